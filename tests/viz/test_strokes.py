"""Compare strokes with the SVG, read from its text: words and lines stand where it has them."""

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

import viz
from tests.viz.pictures import SVG, network
from tests.viz.sketches import sketch
from viz.scene import Wire, Words
from viz.writers import primitives, svg


def words_of(text: str) -> list[tuple]:
    """Return every line of text in an SVG: its place, size and words."""
    found = []

    def collect(group, x, y):
        for t in group:
            moved = re.match(r"translate\((\S+) (\S+)\)", t.get("transform") or "")
            if t.tag == f"{SVG}g":
                collect(t, x + float(moved[1] if moved else 0), y + float(moved[2] if moved else 0))
            elif t.tag == f"{SVG}text":
                turned = re.match(r"rotate\((\S+)", t.get("transform") or "")
                found.append((
                    x + float(t.get("x")), y + float(t.get("y")), t.text or "",
                    float(t.get("font-size")), t.get("text-anchor"),
                    t.get("font-weight") == "bold", t.get("stroke") is not None,
                    float(turned[1]) if turned else 0.0,
                ))  # fmt: skip

    collect(ET.fromstring(text), 0.0, 0.0)
    return found


def ends_of(path: str) -> list[tuple[float, float]]:
    """Return the ends of the pieces of an SVG path, from commands with or without capitals."""
    found, x, y = [], 0.0, 0.0
    for command, rest in re.findall(r"([MLQmlq])([^MLQmlqZz]*)", path):
        *_, px, py = (float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", rest))
        x, y = (px, py) if command.isupper() else (x + px, y + py)
        found.append((x, y))
    return found


def test_strokes_have_their_words_where_the_svg_has_them():
    for scene in (sketch(), viz.draw_gradients(network("lstm", 3)).scene):
        mine = [
            (w.x, w.y, w.text, w.size, w.anchor, w.bold, w.halo, w.angle)
            for w in primitives.picture(scene)
            if isinstance(w, Words)
        ]
        there = words_of(svg.write(scene))
        assert [w[2:] for w in mine] == [w[2:] for w in there]
        assert near([w[:2] for w in mine], [w[:2] for w in there])


def test_strokes_have_their_lines_where_the_svg_has_them():
    scene = sketch()
    paths = [p.get("d") for p in ET.fromstring(svg.write(scene)).iter(f"{SVG}path")
             if not p.get("class")]  # fmt: skip
    for wire, line, tip in zip(scene.wires, paths[::2], paths[1::2], strict=False):
        way, head = primitives.wire_strokes(wire)
        assert near(way.points[0::3], ends_of(line))
        assert near(head.points, ends_of(tip)[-3:])


def near(a, b) -> bool:
    """Return whether two lines of points are the same but for repeated points and rounding."""
    a, b = ([p for i, p in enumerate(c) if i == 0 or math.dist(p, c[i - 1]) > 0.1] for c in (a, b))
    return len(a) == len(b) and all(math.dist(*pair) < 0.05 for pair in zip(a, b, strict=True))


def test_the_height_is_that_of_the_svg():
    for scene in (sketch(), replace(sketch(), legend=(), notes=())):
        root = ET.fromstring(svg.write(scene))
        assert primitives.height(scene) == pytest.approx(float(root.get("height")), abs=0.01)


def test_round_corners_run_on_a_circle_and_touch_the_sides():
    (box,) = [b for b in sketch().boxes if b.kind == "cell"]
    x, y, r = box.x + box.w - 10, box.y + 10, 10.0  # the centre of the corner at the upper right
    p = primitives.outline(box).points
    start = next(i for i, point in enumerate(p) if point == (x, box.y))
    a, b, c, d = p[start + 1 : start + 5]
    assert a == (x, box.y)
    middle = [(a[i] + 3 * b[i] + 3 * c[i] + d[i]) / 8 for i in (0, 1)]
    assert math.dist(middle, (x, y)) == pytest.approx(r, rel=1e-3)
    assert d == (box.x + box.w, y)


def test_a_wire_without_length_is_drawn():
    wire = Wire(0, 0, ((5, 5), (5, 5)), "forward", "#2b6cb0")
    assert all(math.isfinite(c) for s in primitives.wire_strokes(wire) for p in s.points for c in p)
