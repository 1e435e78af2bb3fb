"""Run the benchmark of pictures, and test that its claims about files are true of the files."""

import json
import re
import subprocess
import sys
from collections import defaultdict

import pytest

import engine
from benchmarks import (
    cells,
    measuring,
    picture_facts,
    picture_frames,
    pictures,
    recurrence_problem,
    tables,
)

OURS = """<svg xmlns="http://www.w3.org/2000/svg">
<text x="10" y="14">t = 0</text><text x="30" y="14">t = 1</text><text x="50" y="14">t = 2</text>
<g class="edge time" data-source="0" data-target="1"><title>a → b</title><path d="M0 0"/></g>
<g class="edge backward"><title>b → a: gradient norm 0.1234</title><path d="M0 0"/></g>
<g class="node cell"><title>‖∂L/∂h‖ = 0.5021</title><g transform="translate(3 4)">
<text>LSTM</text></g></g>
<g class="node cell"><text x="1" y="2">12</text></g>
</svg>"""

GRAPHVIZ = """<svg xmlns="http://www.w3.org/2000/svg"><g class="graph"
 transform="scale(1 1) rotate(0) translate(4 100)"><title>model</title>
<g class="cluster"><text x="{0}" y="-8">@cell:1</text></g>
<g class="cluster"><text x="{1}" y="-8">@cell:2</text></g>
<g class="cluster"><text x="{2}" y="-8">@cell:3</text></g>
<g class="node"><title>a</title><text x="1" y="2">grad-norm: 2.5e-07</text></g>
<g class="node"><title>b</title></g><g class="node"><title>c</title></g>
<g class="edge"><title>a&#45;&gt;b</title><path stroke="black" d="M0,0"/></g>
<g class="edge"><title>a&#45;&gt;b</title><path stroke="black" d="M0,0"/></g>
<g class="edge"><title>b&#45;&gt;a</title><path stroke="red" d="M0,0"/></g>
<g class="edge"><title>c&#45;&gt;b</title><path stroke="#9197f6" d="M0,0"/></g>
</g></svg>"""

DOT = """strict digraph "model" {
	graph [size="12,12"]
	node [shape=box]
	edge [fontsize=10]
	140500 [label="tanh
 (1, 16)" fillcolor=white]
	"b node" [label=<<B>sum</B> 0.75 &lt;> shape=plain]
	140500 -> "b node"
	140500 -> "b node" [color="#112233" tooltip="norm 0.125"]
	"b node" -> 140500 [style=dotted color="#aa0000"]
	subgraph cluster { inside [label=x] }
}"""


def found(tmp_path, name, text, steps=3, norms=None):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return picture_facts.facts(path, steps, norms)


def test_facts_of_our_svg(tmp_path):
    facts = found(tmp_path, "ours.svg", OURS, norms=[0.1234, 0.5, 12.0])
    assert facts == {"nodes": 2, "edges": 1, "backward_edges": 1, "norms": 2, "in_order": 3,
                     "bytes": len(OURS.encode())}  # fmt: skip


def test_facts_of_an_svg_by_graphviz(tmp_path):
    facts = found(tmp_path, "peer.svg", GRAPHVIZ.format(1, 2, 3), norms=[2.5e-7, 1.0])
    assert (facts["nodes"], facts["edges"], facts["backward_edges"]) == (3, 2, 2)
    assert (facts["norms"], facts["in_order"]) == (1, 3)


def test_facts_of_dot(tmp_path):
    facts = found(tmp_path, "peer.dot", DOT, norms=[0.125, 0.75, 0.3])
    assert (facts["nodes"], facts["edges"], facts["backward_edges"]) == (2, 1, 2)
    assert (facts["norms"], facts["in_order"]) == (2, None)
    assert found(tmp_path, "peer.dot", DOT)["norms"] is None


def test_steps_out_of_order_missing_or_named_twice_are_seen(tmp_path):
    def in_order(text, steps=3):
        return found(tmp_path, "peer.svg", text, steps)["in_order"]

    assert in_order(GRAPHVIZ.format(1, 3, 2)) == 2
    assert in_order(GRAPHVIZ.format(1, 1, 1)) == 1
    assert in_order(GRAPHVIZ.format(3, 2, 1)) == 1
    assert in_order(GRAPHVIZ.format(1, 2, 3), steps=4) == 0
    assert in_order(GRAPHVIZ.format(1, 2, 3).replace("cell:2", "cell:1")) == 0


@pytest.mark.parametrize("level", ["cell", "op"])
def test_facts_of_our_pictures_are_those_of_the_network(tmp_path, level):
    steps = 4
    given = {
        n: v.astype("float64")
        for n, v in recurrence_problem.problem("lstm", (steps, 1, 3, 5)).items()
    }
    jobs = pictures.ours(given, tmp_path)
    w = {name: engine.asarray(given[name]) for name in cells.sizes("lstm", 1, 1)}
    h, c = (engine.asarray(given[name], requires_grad=True) for name in ("h0", "c0"))
    states = []
    for x in given["x"]:
        u = engine.linear(engine.asarray(x), w["W"], w["b"])
        h, (_, c) = cells.lstm(cells.Ours, w, u, h, c)
        states.append(h)
    grads = engine.gradients(engine.sum(h**2), states)
    norms = [float((grad.numpy() ** 2).sum() ** 0.5) for grad in grads]
    svg = picture_facts.facts(jobs["bptt", level, "svg"](), steps, norms)
    dot = picture_facts.facts(jobs["bptt", level, "dot"](), steps, norms)
    assert svg["norms"] == dot["norms"] == svg["in_order"] == steps
    for name in ("nodes", "edges", "backward_edges"):
        assert svg[name] == dot[name] > 0
    assert picture_facts.facts(tmp_path / f"bptt_{level}.svg", steps, [n * 1.1 for n in norms])[
        "norms"] < steps  # fmt: skip


def test_what_is_slow_fails_or_never_ends_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(pictures, "SLOW", 0.02)
    monkeypatch.setattr(pictures, "ROUNDS", 3)
    (tmp_path / "a.svg").write_text(OURS, encoding="utf-8")
    runs, prepared = [], []

    def job(name, *, wait=0.0, error=None):
        def run():
            runs.append(name)
            pictures.time.sleep(wait)
            if error:
                raise error
            return tmp_path / "a.svg"

        return run

    jobs = {
        ("quick", "op", "svg"): job("quick"),
        ("slow", "op", "svg"): job("slow", wait=0.03),
        ("endless", "op", "svg"): job("endless", error=subprocess.TimeoutExpired("dot", 60)),
        ("deep", "op", "svg"): job("deep", error=RecursionError()),
    }
    rows = pictures._timed(jobs, prepared.append, 3, None)
    assert [row.get("timed") for row in rows] == [3, 1, None, None]
    assert (rows[2]["over"], rows[3]["failed"]) == (60, "RecursionError")
    assert (runs.count("quick"), runs.count("slow"), runs.count("deep")) == (5, 1, 1)
    assert prepared.count(("quick", "op", "svg")) == 5


def test_a_fault_of_another_kind_is_not_hidden(tmp_path):
    def broken():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        pictures._timed({("ours", "op", "svg"): broken}, lambda key: None, 3, None)


def test_steps_for_gives_the_fewest_that_are_enough():
    for wanted in (20, 200, 203, 204, 1000):
        steps = pictures.steps_for(wanted, lambda t: 17 * t + 10)
        assert 17 * steps + 10 >= wanted > 17 * (steps - 1) + 10 or steps == 2


def test_a_part_in_a_process_of_its_own(tmp_path):
    row = pictures.apart("large", "cell", 4, "gradients", tmp_path / "page.html")
    assert (row["boxes"], row["steps"], row["measured"]) == (pictures._boxes("cell", 4), 4,
                                                             "gradients")  # fmt: skip
    own = ("graph", "norms", "picture", "svg")
    assert row["seconds"]["from_the_loss"] == pytest.approx(sum(row["seconds"][n] for n in own))
    assert row["page_bytes"] == (tmp_path / "page.html").stat().st_size


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Run the whole benchmark with small sizes, in one process, and make tables of its results."""
    for name, value in (("STEPS", (3,)), ("SIZES", (40,)), ("NODES", 300), ("ROUNDS", 1),
                        ("REPEATS", defaultdict(lambda: 1)), ("FORMATS", ("pdf",))):  # fmt: skip
        monkeypatch.setattr(pictures, name, value)
    monkeypatch.setattr(measuring, "RESULTS", tmp_path)
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    monkeypatch.setattr(picture_frames, "FRAMES", 5)
    monkeypatch.setitem(sys.modules, "benchmarks.picture_peers", None)
    monkeypatch.setattr(
        pictures, "apart",
        lambda part, *given: json.loads(json.dumps(pictures.PARTS[part](*map(str, given)))),
    )  # fmt: skip
    return tmp_path


def test_the_benchmark_of_pictures_and_its_tables(monkeypatch, small):
    monkeypatch.setattr(picture_frames, "frames", lambda pages: {"not_run": "left out"})
    pictures.main([])
    result = json.loads((small / "pictures.json").read_text())
    (peers,) = result["peers"].values()
    assert peers["not_installed"] == ["torch"]
    assert [row["in_order"] for row in peers["rows"]] == [3, None, 3, None]
    assert [(row["level"], row["measured"]) for row in result["large"]] == [
        ("cell", "plain"), ("cell", "gradients"), ("op", "plain"), ("op", "gradients")]  # fmt: skip
    assert all(40 <= row["boxes"] < 60 for row in result["large"])
    for row in result["million"]:
        assert row["nodes"] >= 300
        assert re.search(r"left out: \d+ of", row["notes"][0])
    assert {row["format"] for row in result["files"]} == {"pdf"}
    assert result["machine"]["versions"]["matplotlib"]
    widths = {name: tables.table(name) for name in ("pictures", "large_pictures", "million_ops")}
    for text in widths.values():
        head, *rows = [line for line in text.splitlines() if line.startswith("|")]
        assert all(row.count("|") == head.count("|") for row in rows if "installed" not in row)
    assert "not installed: torch" in widths["pictures"]
    assert "| not run |" in widths["large_pictures"]
    assert "Frames: not run, left out." in widths["large_pictures"]
    assert "PDF by matplotlib" in widths["million_ops"]


def test_rows_without_seconds_and_with_frames_have_a_table_too(small):
    line = {"library": "bptt", "level": "op", "format": "svg", "seconds": 0.5, "nodes": 1,
            "edges": 1, "backward_edges": 0, "bytes": 1, "norms": 2, "in_order": 3}  # fmt: skip
    late = {"library": "dot", "level": "op", "format": "svg", "over": 60.0}
    deep = {"library": "deep", "level": "op", "format": "svg", "failed": "RecursionError"}
    peer = {**line, "library": "peer", "seconds": 1.25}
    zoom = {"median": 16.7, "slowest_twentieth": 20.0}
    page = {"full": zoom, "fifth": zoom, "whole": zoom}
    big = {"level": "op", "boxes": 5, "wires": 6, "measured": "plain", "svg_bytes": 1, "page": "p",
           "page_bytes": 1, "peak_megabytes": None, "seconds": {
               "graph": 1, "picture": 1, "svg": 1, "picture_and_svg_again": 1,
               "from_the_loss": 3, "page": 1}}  # fmt: skip
    machine = {"processor": "p", "cores": 1, "python": "3", "versions": {}}
    result = {"what": "w", "machine": machine,
              "peers": {"3": {"rows": [line, peer, late, deep], "not_installed": []}},
              "large": [big],
              "frames": {"browser": "Chromium 1", "pages": {"p": page}}}  # fmt: skip
    (small / "pictures.json").write_text(json.dumps(result), encoding="utf-8")
    text = tables.table("pictures")
    assert "| 3 | peer | ops | SVG | 1.250 | 2.5 | 1 | 1 | 0 | 0 | 2 of 3 | 3 of 3 |" in text
    assert "| 3 | dot | ops | SVG | over 60 |" in text
    assert "| SVG | RecursionError |" in text
    assert text.splitlines()[4].count("|") == text.splitlines()[0].count("|")
    assert "16.7 / 20.0, 16.7 / 20.0, 16.7 / 20.0 |" in tables.table("large_pictures")
    assert "Frames in Chromium 1" in tables.table("large_pictures")


def test_a_table_that_was_never_made_says_how(small):
    assert tables.table("pictures") == "Not run yet: `python -m benchmarks.pictures`."


def test_frames_are_not_run_without_a_browser(monkeypatch):
    monkeypatch.setattr("tests.browser.shutil.which", lambda name: None)
    assert "not installed" in picture_frames.frames([])["not_run"]
    monkeypatch.setitem(sys.modules, "tests.browser", None)
    assert "tests.browser" in picture_frames.frames([])["not_run"]


def test_frames_of_a_small_page(monkeypatch, tmp_path):
    monkeypatch.setattr(picture_frames, "FRAMES", 5)
    pictures.large("cell", "3", "gradients", str(tmp_path / "page.html"))
    result = picture_frames.frames([tmp_path / "page.html"])
    if "not_run" in result:
        pytest.skip(result["not_run"])
    page = result["pages"]["page.html"]
    assert page["drawn_as"] == "svg"
    for zoom in picture_frames.ZOOMS:
        assert 0 < page[zoom]["median"] <= page[zoom]["slowest_twentieth"]


@pytest.mark.filterwarnings("ignore")  # theirs
def test_peers_draw_the_same_network(tmp_path):
    pytest.importorskip("torch")
    from benchmarks import picture_peers as peers

    given = recurrence_problem.problem("lstm", (3, 1, 4, 5))
    loss, norms = peers.exact(given)
    assert pictures.network(given)().item() == pytest.approx(loss, rel=1e-4)
    mine = picture_facts.facts(pictures.ours(given, tmp_path)["bptt", "op", "svg"](), 3, norms)
    assert mine["norms"] == 3
    jobs, missing = peers.jobs(given, tmp_path)
    assert not {key[0] for key in jobs} & set(missing)
    for key, job in jobs.items():
        peers.prepare(key)
        facts = picture_facts.facts(job(), 3, norms)
        assert facts["nodes"] >= 3
        assert facts["edges"] >= 3
        assert (facts["norms"] == 3) == ("norms" in key[0])
    peers.prepare(("none", "", ""))  # torch as it was


@pytest.mark.filterwarnings("ignore")
def test_peers_without_graphviz_write_dot_only(monkeypatch, tmp_path):
    pytest.importorskip("torch")
    from benchmarks import picture_peers as peers

    monkeypatch.setattr(peers.shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "torchview", None)
    jobs, missing = peers.jobs(recurrence_problem.problem("lstm", (3, 1, 4, 5)), tmp_path)
    assert missing[-1] == "dot"
    assert "torchview" in missing
    assert {key[2] for key in jobs} <= {"dot"}
