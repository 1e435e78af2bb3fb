"""Measure the layout on the written SVG: time forward, no wire through a box, nothing on top of
another, every backward wire beside its forward one, and sizes linear in time.
"""

import xml.etree.ElementTree as ET

import pytest

import engine
import rnn
import viz
from tests.counting import calls
from tests.draws import slow_beside
from tests.viz.pictures import boxes, lines, network

KINDS = ["elman", "lstm", "gru"]
DRAWINGS = {
    "cell": lambda loss: viz.draw_unrolled(loss),
    "op": lambda loss: viz.draw_unrolled(loss, level="op"),
    "rolled": viz.draw_rolled,
    "gradients": viz.draw_gradients,
    "gradients of ops": lambda loss: viz.draw_gradients(loss, level="op"),
    "window": lambda loss: viz.draw_gradients(loss, max_steps=3),
    "window of ops": lambda loss: viz.draw_gradients(loss, level="op", max_steps=2),
}


@pytest.fixture(scope="module", params=KINDS)
def loss(request):
    return network(request.param, 5)


@pytest.fixture(scope="module", params=DRAWINGS)
def diagram(request, loss):
    return DRAWINGS[request.param](loss)


def pierced(svg: str) -> list[tuple]:
    """Return each stretch of a wire that runs inside a box that is not one of its ends."""
    found, standing = [], boxes(svg)
    for line in lines(svg):
        for (ax, ay), (bx, by) in zip(line.points, line.points[1:], strict=False):
            steps = max(2, int(abs(bx - ax) + abs(by - ay)) // 3)
            for box in standing:
                if max(ax, bx) < box.x or min(ax, bx) > box.x + box.w:
                    continue
                hit = any(
                    box.holds(ax + (bx - ax) * k / steps, ay + (by - ay) * k / steps)
                    for k in range(steps + 1)
                )
                if hit and box.key not in (line.source, line.target):
                    found.append((line.kind, line.source, line.target, box.words))
    return found


@slow_beside("viz/test_picture_networks.py::test_nothing_lies_on_anything")
def test_no_wire_runs_through_a_box(diagram):
    assert pierced(diagram.svg()) == []


def test_the_check_for_pierced_boxes_can_fail():
    svg = viz.draw_unrolled(network("elman", 2)).svg()
    (x0,) = [box for box in boxes(svg) if box.words[0] == "x0"]
    planted = (
        '<g class="edge forward" data-source="-1" data-target="-1">'
        f'<path d="M0 {x0.y + 9}L900 {x0.y + 9}" stroke-width="1"/></g></svg>'
    )
    assert pierced(svg.replace("</svg>", planted))


def test_no_two_boxes_overlap(diagram):
    found = boxes(diagram.svg())
    for i, a in enumerate(found):
        for b in found[i + 1 :]:
            apart = a.x + a.w < b.x or b.x + b.w < a.x or a.y + a.h < b.y or b.y + b.h < a.y
            assert apart, (a, b)


def test_words_fit_into_their_boxes(diagram):
    for box in boxes(diagram.svg()):
        for words, size in zip(box.words, [13.0] + [10.0] * len(box.words), strict=False):
            assert 0.45 * size * len(words) <= box.w, box


def test_every_box_and_edge_is_drawn(diagram):
    svg = diagram.svg()
    assert sorted(box.key for box in boxes(svg)) == sorted(diagram.graph)
    forward = sorted((w.source, w.target) for w in lines(svg) if w.kind != "backward")
    assert forward == sorted(diagram.graph.edges())


def test_time_runs_to_the_right(loss):
    for level in ("cell", "op"):
        diagram = viz.draw_unrolled(loss, level=level)
        at = {box.key: box.x for box in boxes(diagram.svg())}
        for a, b, data in diagram.graph.edges(data=True):
            if data["kind"] == "time":
                assert data["dt"] == 1
                assert at[a] < at[b]


def test_the_same_row_in_every_step(loss):
    diagram = viz.draw_unrolled(loss, level="op")
    rows: dict = {}
    for box in boxes(diagram.svg()):
        data = diagram.graph.nodes[box.key]
        if data["kind"] == "op" and data["t"] is not None and data["role"]:
            rows.setdefault((data["role"], data["op"], data["label"]), set()).add(
                round(box.y + box.h / 2, 1)
            )
    assert rows
    single = {key: ys for key, ys in rows.items() if "=" in key[2]}
    assert all(len(ys) == 1 for ys in single.values()), single


def test_every_backward_wire_has_its_forward_one(loss):
    svg = viz.draw_gradients(loss).svg()
    forward = [(w.source, w.target) for w in lines(svg) if w.kind != "backward"]
    backward = [(w.target, w.source) for w in lines(svg) if w.kind == "backward"]
    assert backward
    for pair in backward:
        assert pair in forward
        forward.remove(pair)


def test_the_middle_of_long_sequences_is_left_out_and_said():
    svg = viz.draw_unrolled(network("elman", 40), max_steps=6).svg()
    headings = [t for t in ET.fromstring(svg).itertext() if t.startswith("t = ")]
    assert headings[:6] == ["t = 0", "t = 1", "t = 2", "t = 37", "t = 38", "t = 39"]
    assert "t = 3 … 36 left out: 34 of 40 steps" in svg
    assert "… 34 steps" in svg


def test_layers_over_time_are_drawn_too():
    engine.seed(1)
    y, _ = rnn.LSTM(3, 4)(engine.asarray([[[1.0, 2.0, 3.0]]] * 4, name="x"))
    loss = engine.sum(y * y)
    for draw in DRAWINGS.values():
        assert pierced(draw(loss).svg()) == []


def test_a_graph_without_time_is_drawn():
    x = engine.asarray([1.0, 2.0], requires_grad=True, name="x")
    svg = viz.draw_gradients(engine.sum(engine.exp(x) * x), level="op").svg()
    assert len(boxes(svg)) == 4


def test_reverse_time_is_drawn():
    engine.seed(1)
    layer = rnn.Recurrent(rnn.GRUCell(3, 4), reverse=True)
    y, _ = layer(engine.ones((4, 1, 3)))
    diagram = viz.draw_gradients(engine.sum(y))
    assert {d["dt"] for *_, d in diagram.graph.edges(data=True) if d["kind"] == "time"} == {-1}
    assert pierced(diagram.svg()) == []


def test_names_of_any_kind_are_valid_and_shortened():
    names = ['"<&>"', "back\\slash", "new\nline", "→ ∂ 中文", "العربية", "x" * 10_000, "\x00\x1b"]
    xs = [engine.asarray([1.0], requires_grad=True, name=name) for name in names]
    total = engine.sum(engine.concat(xs))
    diagram = viz.draw_gradients(total, level="op")
    ET.fromstring(diagram.svg())
    assert max(len(box.words[0]) for box in boxes(diagram.svg())) <= 26
    assert "n0" in diagram.source


@slow_beside("viz/test_picture_structure.py::test_files_and_work_are_linear_in_the_steps")
def test_the_work_of_drawing_is_linear_in_the_steps():
    sizes, work = [], []
    for steps in (20, 50, 500):
        engine.seed(0)
        y, _ = rnn.RNN(2, 2)(engine.ones((steps, 1, 2)))
        loss = engine.sum(y)
        svg, done = calls(lambda: viz.draw_unrolled(loss, level="op", max_steps=steps).svg())  # noqa: B023
        sizes.append(len(svg))
        work.append(done)
    assert sizes[2] / sizes[1] < 12
    assert work[2] / work[1] < 11
