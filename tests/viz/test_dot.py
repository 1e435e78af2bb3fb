"""Test DOT: every position pinned, and the whole picture as the Graphviz programs draw it."""

import math
import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

import viz
from tests.viz.pictures import SVG, network
from tests.viz.sketches import color_at, graph, needs_graphviz, pixels, sketch
from viz.diagram import Diagram
from viz.scene import Box, Line, Rect, Scene, Words
from viz.writers import dot, primitives, raster


@pytest.fixture(scope="module")
def diagram():
    return viz.draw_gradients(network("elman", 3), title="a <title> & more")


@pytest.fixture
def drawn():
    return Diagram(sketch(), graph())


def test_dot_pins_every_box_and_wire(diagram):
    assert diagram.source.count('!"') == diagram.graph.number_of_nodes()
    assert diagram.source.count(" -> ") == len(diagram.scene.wires)
    assert len(re.findall(r"->.* pos=\"", diagram.source)) == diagram.source.count(" -> ")


def neato(source: str, kind: str) -> bytes:
    done = subprocess.run(
        ["neato", "-n2", f"-T{kind}"], input=source.encode(), capture_output=True, check=True
    )
    assert done.stderr == b""
    return done.stdout


@needs_graphviz
def test_graphviz_moves_nothing(drawn):
    lines = neato(drawn.source, "plain").decode().splitlines()
    high = primitives.height(drawn.scene)
    assert lines[0].split()[2:] == [str(590 / 72)[:6], f"{high / 72:.5g}"]
    at = {line.split()[1]: line.split()[2:6] for line in lines if line.startswith("node")}
    for box in drawn.scene.boxes:
        x, y, w, h = (float(n) * 72 for n in at[f"n{box.key}"])
        assert (x, y) == pytest.approx((box.x + box.w / 2, high - box.y - box.h / 2), abs=0.05)
        assert (w, h) == pytest.approx((box.w, box.h), abs=0.05)
    ends = [[float(n) * 72 for n in line.split()[4:6]] for line in lines if line.startswith("edge")]
    starts = [[w.points[0][0], high - w.points[0][1]] for w in drawn.scene.wires]
    assert sorted(ends) == [pytest.approx(s, abs=0.05) for s in sorted(starts)]


GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.dot"))


@needs_graphviz
@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_every_program_draws_the_golden_pictures_alike(path):
    # Words in a background end Graphviz 2.43 in every layout but nop2.
    source = path.read_text(encoding="utf-8")
    expected = neato(source, "svg")
    assert b"<text" in expected
    for command in (["dot"], ["neato"], ["fdp"], ["circo"]):
        done = subprocess.run(
            [*command, "-Tsvg"], input=source.encode(), capture_output=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, b""), command
        assert done.stdout == expected, command


@needs_graphviz
def test_graphviz_draws_the_whole_picture():
    scene = sketch(turned=False)
    root = ET.fromstring(neato(Diagram(scene, graph()).source, "svg"))
    said = [t.text for t in root.iter(f"{SVG}text")]
    assert sorted(said) == sorted(w.text for w in primitives.picture(scene) if isinstance(w, Words))
    fills = {p.get("fill") for tag in ("polygon", "path") for p in root.iter(f"{SVG}{tag}")}
    for color in ("#f4f6f8", "#2b6cb0", "#f7b095", "#fde8e2", "#8e1212", "#c0ffee", "#dbe9f8"):
        assert color in fills
    assert len([g for g in root.iter(f"{SVG}g") if g.get("class") == "node"]) == 6


@needs_graphviz
def test_graphviz_and_matplotlib_draw_alike(tmp_path):
    drawn = Diagram(sketch(turned=False), graph())
    ours = pixels(raster.write(drawn.scene, "png"))
    theirs = pixels(drawn.render(tmp_path / "a.png").read_bytes())
    assert theirs.shape == ours.shape
    for x, y in ((5, 5), (40, 60), (260, 115), (176, 115), (85, 300), (300, 360), (30, 450)):
        assert color_at(theirs, x, y) == color_at(ours, x, y), (x, y)
    assert np.abs(theirs - ours).mean() < 8


@needs_graphviz
def test_graphviz_reads_charts_and_words_of_any_length():
    points = tuple((x / 10, 50 + 40 * math.sin(x)) for x in range(5_000))
    chart = (Line(points, "#2b6cb0"), *(Rect(x, 0, 1, 9, "#8e1212") for x in range(500)))
    box = Box(0, 10, 10, 50, 30, "op", ("中" * 9_999,), '"\\' * 9_999)
    scene = Scene("", 500, 100, (box,), (), shapes=chart)
    root = ET.fromstring(neato(dot.digraph(scene).source, "svg"))
    (line,) = [p for p in root.iter(f"{SVG}polyline") if p.get("stroke") == "#2b6cb0"]
    assert len(line.get("points").split()) == 5_000
    assert len([p for p in root.iter(f"{SVG}polygon") if p.get("fill") == "#8e1212"]) == 500
    assert "中" * 9_999 in [t.text for t in root.iter(f"{SVG}text")]


def test_turned_words_are_written_letter_by_letter():
    scene = Scene("", 100, 100, (), (), shapes=(Words(50, 50, "abc", 10, angle=-90),))
    source = dot.digraph(scene).source
    placed = re.findall(r"T (\S+) (\S+) 0 \d+ 1 -(\w)", source)
    assert [letter for *_, letter in placed] == ["a", "b", "c"]
    ys = [float(y) for _, y, _ in placed]
    assert np.diff(ys) == pytest.approx([-10, -10])  # downward: y grows upward there
    ends = Scene("", 100, 100, (), (), shapes=(
        Words(50, 50, "ab", 10, angle=45, anchor="start"),
        Words(50, 50, "ab", 10, angle=45, anchor="end")))  # fmt: skip
    xs = [float(x) for x, *_ in re.findall(r"T (\S+) (\S+) -?\d", dot.digraph(ends).source)]
    assert xs[0] < xs[1]
    assert xs[3] < xs[1]
    assert not dot.holds(scene)
    assert dot.holds(sketch(turned=False))
