"""Test the gallery: page and pictures are what its script makes, the code shown is the code that
ran, and the numbers in the text are those of other ways to get them.
"""

import hashlib
import inspect
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest

import engine
import rnn
import viz
from docs import gallery_networks, gallery_story, gallery_structure, make_gallery
from docs.gallery_networks import Networks
from docs.gallery_parts import Section, box, claim, edges, number
from tests import ROOT
from tests.draws import slow_beside
from viz.diagram import Diagram
from viz.scene import Scene

SECTIONS = make_gallery.SECTIONS
LARGEST = 150_000  # bytes of a picture
WIDEST = 800  # pixels
ORDER = [  # the first section of each subject
    "story", "gradients", "path", "jacobians_fading", "truncation", "contributions", "gates",
    "influence", "attention_matrix", "cell", "rolled", "nonfinite", "difference",
    "double_backward",
]  # fmt: skip


@pytest.fixture(scope="module")
def networks():
    return Networks()


@pytest.fixture(scope="module")
def drawn(networks):
    """Return the picture and the text of every section, by its name."""
    found = {}
    for section in SECTIONS:
        diagram = section.drawn(networks)
        found[section.name] = diagram, section.read(diagram, networks)
    return found


def text_of(drawn, name):
    return drawn[name][1]


def numbers(text):
    """Return the numbers in a text, as it writes them."""
    return re.findall(r"−?\d+(?:\.\d+)?(?:×10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?", text)


# ---- what is on disk


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_the_picture_is_what_the_script_makes(section, drawn):
    path = make_gallery.PICTURES / f"{section.name}.svg"
    svg = section.written(drawn[section.name][0])
    assert path.read_text(encoding="utf-8") == svg, "run: python -m docs.make_gallery"
    assert path.stat().st_size < LARGEST
    root = ET.fromstring(svg)
    assert root.tag.endswith("svg")
    assert 0 < float(root.get("width")) <= WIDEST


def test_the_page_is_what_the_script_makes(drawn):
    parts = [make_gallery.HEAD, make_gallery.contents()]
    parts += [make_gallery.written(one, text_of(drawn, one.name)) for one in SECTIONS]
    page = make_gallery.PAGE.read_text(encoding="utf-8")
    assert page == "".join(parts), "run: python -m docs.make_gallery"
    for name, (_, text) in drawn.items():
        bad = re.findall(r"\b(?:nan|inf|None)\b", text)
        assert bad == [], name


def test_there_is_no_other_picture():
    names = {path.stem for path in make_gallery.PICTURES.iterdir()}
    assert names == {section.name for section in SECTIONS}
    assert len({section.title for section in SECTIONS}) == len(SECTIONS)


# Each run of the tests has a hash seed of its own, so that the fast one finds this, too.
@slow_beside("test_the_picture_is_what_the_script_makes")
@pytest.mark.parametrize("count", [8, len(SECTIONS) + 1])
def test_another_hash_seed_makes_the_same_files(count):
    # The first files, as later ones draw on what was made before; with the page they are all.
    script = (
        "import hashlib, itertools; from docs.make_gallery import made\n"
        f"for path, text in itertools.islice(made(), {count}):\n"
        "    print(path.name, hashlib.sha256(text.encode()).hexdigest())"
    )
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    lines = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONHASHSEED": seed},
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout.splitlines()
    paths = [make_gallery.PICTURES / f"{one.name}.svg" for one in SECTIONS] + [make_gallery.PAGE]
    paths = paths[:count]
    assert lines == [f"{p.name} {hashlib.sha256(p.read_bytes()).hexdigest()}" for p in paths]


def test_the_script_writes_and_removes_old_files(tmp_path, monkeypatch, capsys):
    pictures, page = tmp_path / "pictures", tmp_path / "gallery.md"
    monkeypatch.setattr(make_gallery, "PICTURES", pictures)
    monkeypatch.setattr(make_gallery, "PAGE", page)
    monkeypatch.setattr(make_gallery, "made", lambda: iter([(pictures / "a.svg", "é"), (page, "")]))
    pictures.mkdir()
    (pictures / "gone.svg").touch()
    make_gallery.main()
    assert [path.name for path in pictures.iterdir()] == ["a.svg"]
    assert (pictures / "a.svg").read_text(encoding="utf-8") == "é"
    assert capsys.readouterr().out == f"written to {page}: {len(SECTIONS)} pictures\n"


def test_made_is_every_picture_and_the_page_last(monkeypatch):
    monkeypatch.setattr(make_gallery, "SECTIONS", SECTIONS[:1])
    files = list(make_gallery.made())
    assert [path.name for path, _ in files] == ["story.svg", "gallery.md"]
    assert files[0][1] == (make_gallery.PICTURES / "story.svg").read_text(encoding="utf-8")


# ---- what the page shows


def test_every_drawing_is_in_the_gallery():
    shown = "".join(section.code() for section in SECTIONS)
    names = [name for name in viz.__all__ if name.startswith("draw_")]
    assert len(names) >= 12
    missing = [name for name in names if f"viz.{name}(" not in shown]
    assert not missing, "give each a Section in a docs/gallery_*.py, then run: make gallery"


def test_every_picture_has_a_lesson_of_its_own_before_its_numbers():
    lessons = [section.lesson for section in SECTIONS]
    assert len(set(lessons)) == len(lessons)
    page = make_gallery.PAGE.read_text(encoding="utf-8")
    for section, lesson in zip(SECTIONS, lessons, strict=True):
        assert re.fullmatch(r"Shows [^.]*\.", lesson), lesson  # one sentence
        assert f"## {section.title}\n\n{make_gallery.filled(lesson)}\n\n" in page


def test_the_sections_have_their_order():
    names = [section.name for section in SECTIONS]
    assert sorted(ORDER, key=names.index) == ORDER
    assert names[0] == "story"


def test_the_animated_picture_moves_without_a_script(drawn):
    svg = (make_gallery.PICTURES / "animated.svg").read_text(encoding="utf-8")
    assert "@keyframes" in svg
    assert "prefers-reduced-motion" in svg
    assert "<script" not in svg
    assert svg != drawn["animated"][0].svg()


def test_links_within_the_page_lead_to_its_headings():
    page = make_gallery.PAGE.read_text(encoding="utf-8")
    anchors = [re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
               for title in re.findall(r"^## (.*)$", page, re.MULTILINE)]  # fmt: skip
    assert re.findall(r"\]\(#(.*?)\)", page) == anchors
    assert len(anchors) == len(SECTIONS)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.name)
def test_the_code_shown_makes_the_picture(section, drawn, networks, tmp_path, monkeypatch):
    code = section.code()
    page = make_gallery.PAGE.read_text(encoding="utf-8")
    assert f"```python\n{code}\n```" in page
    assert len(code.splitlines()) <= 4
    names = {**vars(gallery_networks), "engine": engine, "rnn": rnn, "viz": viz, "np": np}
    given = inspect.signature(section.draw).parameters
    names |= {name: getattr(networks, name) for name in given}
    assert [name for name in given if f"`{name}`" not in make_gallery.HEAD] == []
    *before, last = code.splitlines()
    engine.seed(0)
    monkeypatch.chdir(tmp_path)
    with np.errstate(all="ignore"):
        exec("\n".join(before), names)  # as a reader would run it
        found = eval(last, names)
    svg = found.read_text(encoding="utf-8") if section.animated else found.svg()
    assert svg == section.written(drawn[section.name][0])


def test_code_and_name_come_from_the_function():
    assert SECTIONS[0].code() == "viz.draw_story(untrained(*eight))"
    assert Section("Title", "Shows.", gallery_structure.attention, str).name == "attention"
    assert gallery_structure.SECTIONS[4].code().splitlines()[0].startswith("net = rnn.LSTM(")
    still = Section("Title", "Shows.", gallery_story.gradients, str)
    assert still.code() == "viz.draw_gradients(untrained(*five))"
    assert still._replace(animated=True).code().splitlines() == [
        "diagram = viz.draw_gradients(untrained(*five))", 'diagram.animate("gradients.svg")'
    ]  # fmt: skip


# ---- the numbers in the text, by other ways


def norms_of(net, sequence, state="h"):
    """Return the norm of the gradient of the loss by a state after each step, by a probe."""
    x, y = sequence
    probe = rnn.Probe(net.recurrent, x)
    loss = engine.mean((net.head(probe.states["h"][-1]) - y) ** 2)
    return probe.gradient_norms(loss)[state].numpy()[1:]


def test_the_story_of_a_gradient(drawn, networks):
    norms = norms_of(networks.untrained, networks.eight)
    factor = (norms[0] / norms[-1]) ** (1 / 7)
    expected = [number(norms[-1]), number(norms[0]), f"{factor:.2f}", "2",
                f"{norms[2] / norms[-1]:.1%}"[:-1]]  # fmt: skip
    assert numbers(text_of(drawn, "story"))[:-1] == expected
    assert networks.eight[0].numpy()[2, 0, 1] == 1


def test_the_story_of_two_networks(drawn, networks):
    text = text_of(drawn, "story_networks")
    for name, state, told in (("Elman", "h", "1/{:.0f} of it"), ("LSTM", "c", "leaves {:.0%}")):
        norms = norms_of(networks.runs[name].net, networks.forty, state)
        last = norms[-1]  # the gradient enters c through h, in the last step
        ratio = norms[0] / last
        assert told.format(1 / ratio if name == "Elman" else ratio) in text, name
        digits = 3 if name == "Elman" else 4
        assert f"×{ratio ** (1 / 39):.{digits}f}" in text, name


def test_the_story_of_three_sizes_of_weights(drawn, networks):
    weight = networks.untrained.recurrent.cell.weight_hh.numpy().copy()
    factors = []
    for k in (0.3, 1, 3):
        net = gallery_networks.scaled(networks.untrained, k)
        np.testing.assert_array_equal(net.recurrent.cell.weight_hh.numpy(), k * weight)
        norms = norms_of(net, networks.twelve)
        factors.append((norms[0] / norms[-1]) ** (1 / 11))
    np.testing.assert_array_equal(networks.untrained.recurrent.cell.weight_hh.numpy(), weight)
    text = text_of(drawn, "story_weights")
    assert f"by {factors[0]:.2g}, {factors[1]:.2g} and {factors[2]:.2g}." in text
    assert f"give {factors[2] / factors[1]:.1f} times" in text


def test_the_gradient_that_vanishes(drawn, networks):
    net, (x, y) = networks.untrained, networks.five
    norms = norms_of(net, networks.five)
    probe = rnn.Probe(net.recurrent, x)
    loss = engine.mean((net.head(probe.states["h"][-1]) - y) ** 2)
    uses = sum(own.numpy() ** 2 for own in probe.contribution_norms(loss).values()) ** 0.5
    expected = [number(norms[-1]), number(norms[0]), "4", number(uses[4]), "0", number(uses[0])]
    assert numbers(text_of(drawn, "gradients")) == expected


def test_influence(drawn, networks):
    text, net = "a dog said woof. a cat said meow.", networks.reader
    at = text.index(" meow")
    ids = [[i] for i in networks.letters.encode(text)]
    x = engine.asarray(net.embedding(ids).data, requires_grad=True)
    y, _ = net.recurrent(x)
    logits = net.head(y)[at, 0]
    (slope,) = engine.gradients(logits[networks.letters.encode("m")[0]], [x])
    norms = np.linalg.norm(slope.numpy()[:, 0], axis=-1)
    sure = engine.softmax(logits).numpy()[networks.letters.encode("m")[0]]
    assert text[norms.argmax()] == "c"
    np.testing.assert_array_equal(norms[at + 1 :], 0)
    expected = [f"{sure:.0%}"[:-1], str(at - int(norms.argmax())), number(norms.max()),
                number(norms[text.index("dog")])]  # fmt: skip
    assert numbers(text_of(drawn, "influence")) == expected


def test_the_forget_gate_is_the_factor_along_c(drawn):
    engine.seed(0)
    cell = rnn.LSTMCell(3, 4, forget_bias=1.0, dtype="float64")
    record = cell.recorded_step()
    x, h = (next(iter(own.values())).numpy() for own in (record.inputs, record.states))
    w_x, w_h, *biases = (p.numpy() for p in cell.parameters())
    f = 1 / (1 + np.exp(-(x @ w_x.T + h @ w_h.T + sum(biases))[:, 4:8]))
    diagram, text = drawn["cell"]
    assert f"lets {number(f.max())} of it" in text
    lane = [own["jacobian_norm"] for a, _, own in diagram.graph.edges(data=True)
            if diagram.graph.nodes[a]["label"] == "cₜ₋₁"]  # fmt: skip
    assert lane == [pytest.approx(f.max(), rel=1e-6)]
    assert diagram.scene.title.endswith("of dL/d(h, c)")  # both states, each free of the other


@pytest.mark.parametrize(("name", "net", "state"), [
    ("jacobians_fading", "untrained", "h"), ("jacobians_holding", "lstm", "c"),
])  # fmt: skip
def test_jacobians(drawn, networks, name, net, state):
    probe = rnn.Probe(getattr(networks, net).recurrent, networks.twelve[0])
    table = probe.jacobian_norms(state).numpy()[1:, 1:]
    if state == "h":
        expected = ["1", number(table[11, 10]), number(table[11, 0]), "11"]
    else:
        below = table[np.tril_indices(12, -1)]
        expected = [number(below.min()), number(below.max()), "3", number(table[11, 3])]
    assert numbers(text_of(drawn, name)) == expected


def test_gates(drawn, networks):
    _, _, found = rnn.observe(networks.lstm.recurrent, networks.twelve[0])
    f, g, c = (found[name].numpy()[:, 0] for name in "fgc")
    others = np.delete(f.mean(axis=1), 3)
    *_, unit, before, after, end = numbers(text_of(drawn, "gates"))
    values = [number(c[t, int(unit)]) for t in (2, 3, 11)]
    assert [before, after, end] == values
    assert numbers(text_of(drawn, "gates"))[:4] == [
        "3", f"{f[3].mean():.2f}", f"{others.min():.2f}", f"{others.max():.2f}"
    ]  # fmt: skip
    assert abs(g).mean(axis=1).argmax() == 3


def test_what_a_window_says_of_the_weights(drawn, networks):
    net, (x, y) = networks.lstm, networks.forty
    probe = rnn.Probe(net.recurrent, x)
    loss = engine.mean((net.head(probe.states["h"][-1]) - y) ** 2)
    squares = sum(norms.numpy() ** 2 for norms in probe.contribution_norms(loss).values())
    norms = squares**0.5
    expected = ["20", "22", "40", "21", *(number(norms[t]) for t in (21, 20, 22))]
    assert numbers(text_of(drawn, "window")) == expected


def spelled(net, before=lambda t, state: state):
    """Yield the losses of the speller by hand; `before` changes the state that enters a step."""
    state = net.lstm.zero_state(1, like=net.head.weight)
    for t, letters in enumerate(pairwise(gallery_networks.WORD)):
        i, j = (np.array([net.letters.index(letter)]) for letter in letters)
        h, state = net.lstm(net.embedding(i), before(t, state))
        yield engine.cross_entropy(net.head(h), j)


def test_contributions_and_truncation(drawn, networks):
    net = networks.speller
    w = net.lstm.weight_hh
    (full,) = (g.numpy() for g in engine.gradients(sum(spelled(net)), [w]))
    assert f"norm of the gradient, {number(np.linalg.norm(full))}." in text_of(
        drawn, "contributions"
    )

    def chunked(t, state):
        return tuple(s.detach() for s in state) if t % 2 == 0 else state

    def first_four(**before):
        losses = [loss for _, loss in zip(range(4), spelled(net, **before), strict=False)]
        return engine.gradients(sum(losses), [w])[0].numpy()

    full, kept = first_four(), first_four(before=chunked)
    length = np.linalg.norm(full)
    cosine = (full * kept).sum() / length / np.linalg.norm(kept)
    text = text_of(drawn, "truncation")
    assert f"weights is {np.linalg.norm(full - kept) / length:.0%} as long" in text
    assert f"a cosine of {cosine:.2f};" in text


def test_paths(drawn, networks):
    net, places = networks.speller, []

    def tapped(t, state):
        if t == 1:  # h0 goes into step 1
            places.append(engine.asarray(state[0].data, requires_grad=True))
            return places[0], state[1].detach()
        return state

    losses = list(spelled(net, tapped))
    (by_state,) = engine.gradients(losses[3], places)
    assert f"norm {number(engine.norm(by_state).item())}, the strongest" in text_of(drawn, "path")
    (by_weight,) = engine.gradients(networks.losses[2], [net.lstm.weight_hh])
    told = f"norm {number(engine.norm(by_weight).item())} the use"
    assert told in text_of(drawn, "path_to_weights")


def test_the_trainings(networks):
    runs = networks.runs
    assert [len(run.losses) for run in runs.values()] == [400, 400]
    x, y = gallery_networks.marked(12, 64, 10**6)
    errors = {name: run.net(x, y).item() for name, run in runs.items()}
    assert errors["LSTM"] < 0.02 < 0.2 < errors["Elman"]
    numbers_x, at = x.numpy()[..., 0], x.numpy()[..., 1].argmax(axis=0)
    np.testing.assert_array_equal(y.numpy()[:, 0], numbers_x[at, np.arange(64)])
    np.testing.assert_array_equal(x.numpy()[..., 1].sum(axis=0), np.ones(64))


def test_what_the_reverser_and_the_speller_have_learned(networks):
    ids = np.random.default_rng(1).integers(0, 5, (4, 50))
    assert np.mean([x.item() for x in networks.reverser(ids)]) < 0.2
    assert np.mean([x.item() for x in networks.losses]) < 0.2


def test_the_cell_with_a_floor():
    cell = gallery_networks.Normed(2, 3, floor=1e-12)
    _, h = rnn.Recurrent(cell)(np.array([[[0.0, 0.0]], [[1.0, 2.0]]]))
    assert np.linalg.norm(h.numpy()) == pytest.approx(1)


# ---- the tools that texts are made with


def small(**attributes):
    graph = nx.MultiDiGraph()
    graph.add_node(0, label="a", t=0)
    graph.add_node(1, label="a", t=1)
    graph.add_edge(0, 1, kind="time", **attributes)
    return Diagram(Scene("", 10, 10, (), ()), graph)


def test_boxes_and_edges_by_their_attributes():
    assert box(small(), t=1)["label"] == "a"
    assert [(a["t"], b["t"], own["dt"]) for a, b, own in edges(small(dt=1), "time")] == [(0, 1, 1)]
    assert edges(small(), "data") == []
    for wanted, many in (({"label": "a"}, 2), ({"t": 7}, 0), ({"shape": 1}, 0)):
        with pytest.raises(ValueError, match=f"expected one box with .*, got {many}"):
            box(small(), **wanted)


def test_a_text_that_is_no_longer_true_stops_the_script(networks):
    claim("x", True, True)
    with pytest.raises(RuntimeError, match=r"text of 'x' says, by its conditions \[1\]; look"):
        claim("x", True, False)
    trained = gallery_story.gradients(networks.lstm, networks.five)
    with pytest.raises(RuntimeError, match="text of 'gradients'"):
        gallery_story.read_gradients(trained, networks)
