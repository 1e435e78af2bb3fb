"""Test the overview of the page: all steps, a minimap, a scrubber, the origin of its norms."""

import math
import re

import networkx as nx
import pytest

import engine
import rnn
import viz
from tests.browser import visit
from tests.viz.page.test_page import data_of, grid
from tests.viz.pictures import network
from viz.page.data import by_step
from viz.page.document import page

STEPS = 2_000
VIEW = """() => { const r = document.querySelector('.plot .view');
  return ['x', 'width'].map((n) => Number(r.getAttribute(n))); }"""


class Summing(rnn.Cell):
    """Sum inputs: the least that has states h and c, as 2,000 steps are drawn of it."""

    input_size, state_size = 3, {"h": 3, "c": 3}

    def step(self, x, state):
        c = state[1] + x
        h = engine.tanh(c)
        return h, (h, c)


def summed(steps):
    """Return the sum of the last state of so many steps."""
    cell, x = Summing(), engine.ones((1, 3), requires_grad=True)
    state = cell.zero_state(1, like=x)
    for t in range(steps):
        with engine.scope(t=t):
            h, state = cell(x, state)
    return engine.sum(h)


@pytest.fixture(scope="module")
def long():
    """Return a picture of 12 of 2,000 steps; its graph knows the norms of all."""
    diagram = viz.draw_gradients(summed(STEPS), max_steps=12)
    diagram.graph.graph["norms"] = {
        "h": [(t, 10.0 ** ((t - STEPS + 1) / 100)) for t in reversed(range(STEPS))],
        "c": [(t, 0.0 if t < 1_000 else 0.5) for t in range(STEPS)],
    }
    return diagram


# Where the norms are from


def test_norms_of_all_steps_are_taken_where_the_graph_has_them(long):
    h, c = by_step(long.graph)
    assert (h.name, c.name) == ("h", "c")
    assert h.times == tuple(range(STEPS))
    assert h.norms[-1] == 1.0
    assert h.norms[0] == 10.0 ** (-(STEPS - 1) / 100)  # exact: below what a float of 4 bytes holds
    data = data_of(page(long.scene, long.graph))
    assert [data["words"][name] for name, *_ in data["norms"]] == ["h", "c"]


@pytest.mark.parametrize("level", ["cell", "op"])
def test_else_they_are_those_of_the_boxes(level):
    loss = network("lstm", 4)
    graph = viz.draw_gradients(loss, level=level, max_steps=4).graph
    del graph.graph["norms"]
    cells = viz.draw_gradients(loss, max_steps=4).graph
    wanted = {
        name: [norm for _, node in cells.nodes(data=True) if node["kind"] == "cell"
               for own, norm in node["grads"] if own == name]
        for name in ("h", "c")
    }  # fmt: skip
    found = {own.name: own for own in by_step(graph)}
    for name, norms in wanted.items():
        assert found[name].times == (0, 1, 2, 3)
        assert found[name].norms == pytest.approx(norms, rel=1e-12)
    assert list(found) == ["h", "c"]


def test_states_of_one_name_are_distinguished_by_their_path():
    graph = nx.MultiDiGraph()
    for k, path in enumerate(("l0", "l1")):
        for t in range(2):
            graph.add_node((k, t), kind="cell", t=t, path=path, grads=(("h", 1.0 + k + t),))
    assert [(own.name, own.norms) for own in by_step(graph)] == [
        ("h l0", (1.0, 2.0)),
        ("h l1", (2.0, 3.0)),
    ]
    assert by_step(nx.MultiDiGraph()) == []


# In the browser


def test_two_thousand_steps_are_read_at_once(browser, tmp_path, long):
    with visit(browser, page(long.scene, long.graph), tmp_path) as v:
        line = v.page.locator(".plot path.norm").first.get_attribute("d")
        points = [(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", line)]
        assert line.count("M") == 1  # one line over all steps, without a break
        assert "bands hold neighbouring steps" in v.page.inner_text("#overview-title")
        half = len(points) // 2  # the largest norms of neighbours, then the smallest, back
        largest, smallest = points[:half], points[half:][::-1]
        xs = [x for x, _ in largest]
        left, width = v("() => [EDGE.left, app.overview.size[0] - EDGE.left - EDGE.right]")
        assert xs == sorted(xs) == [x for x, _ in smallest]
        assert xs[0] == pytest.approx(left, abs=1)
        assert xs[-1] == pytest.approx(left + width, abs=1)
        top, foot = v("() => [app.overview.row(0), app.overview.row(-20)]")
        steps = [(x - left) / width * STEPS - 0.5 for x in xs]
        for t, (_, high), (_, low) in zip(steps, largest, smallest, strict=True):
            assert high <= low
            for y in (high, low):  # a straight line: 20 decades over all steps
                power = -20 * (y - top) / (foot - top)
                assert power == pytest.approx((t - STEPS + 1) / 100, abs=0.12)
        assert v.page.locator(".plot .tick").all_text_contents()[0] == "1"
        dead = v.page.locator(".plot .dead").nth(1).get_attribute("d")  # c: zero up to t = 999
        assert float(re.findall(r"M(\d+)", dead)[-1]) <= left + width / 2 + 1


def test_a_click_and_a_drag_move_the_camera(browser, tmp_path, long):
    with visit(browser, page(long.scene, long.graph), tmp_path) as v:
        assert v.page.text_content("#when") == f"t = {STEPS - 1}"
        middle = "() => app.camera.world(app.camera.size[0] / 2, 0)[0]"
        place = v.page.locator(".plot svg").bounding_box()
        at = lambda t: place["x"] + v(f"() => app.overview.px({t})")  # noqa: E731
        y = place["y"] + place["height"] / 2
        v.page.mouse.click(at(1), y)
        assert v.page.text_content("#when") == "t = 1"
        assert v(middle) == pytest.approx(v("() => app.overview.timeline.x(1)"), abs=1)
        column = v(
            "() => { const b = app.model.bands.find((p) => p.t === 1); return b.x + b.w / 2; }"
        )
        assert v(middle) == pytest.approx(column, abs=1)
        x, wide = v(VIEW)
        assert x - 8 <= v("() => app.overview.px(1)") <= x + wide + 8
        v.page.mouse.move(at(1), y)
        v.page.mouse.down()
        v.page.mouse.move(at(700), y, steps=3)
        assert v.page.text_content("#when") == "t = 700"
        assert "not in the picture" in v.page.text_content("#reading")
        norm = f"{10 ** ((700 - STEPS + 1) / 100):.3g}"
        digits, power = norm.split("e")
        superscript = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        assert f"‖dL/dh‖ {digits}×10{superscript}" in v.page.text_content("#reading")
        gap = v("""() => { const b = app.model.bands.find((p) => p.t === null);
          return [b.x, b.x + b.w]; }""")
        assert gap[0] < v(middle) < gap[1]
        v.page.mouse.move(at(STEPS - 1), y, steps=3)
        v.page.mouse.up()
        v.page.mouse.move(at(3), y)  # hovering reads a step and moves nothing
        assert v.page.text_content("#when") == "t = 3"
        assert v(middle) > gap[1]
        v.page.mouse.move(600, 300)
        assert v.page.text_content("#when") == f"t = {STEPS - 1}"


def test_keys_move_it_too(browser, tmp_path, long):
    with visit(browser, page(long.scene, long.graph), tmp_path) as v:
        v.page.focus("#time")
        assert v("() => getComputedStyle(document.querySelector('.plot')).outlineStyle") == "solid"
        v.page.keyboard.press("Home")
        assert v.page.text_content("#when") == "t = 0"
        v.page.keyboard.press("ArrowRight")
        text = v.page.get_attribute("#time", "aria-valuetext")
        assert text.startswith("t = 1, ‖dL/dh‖")
        assert "‖dL/dc‖ 0" in text


def test_what_is_in_view_is_marked_as_the_camera_moves(browser, tmp_path):
    scene, graph = grid(40, 2)
    with visit(browser, page(scene, graph), tmp_path) as v:
        assert "bare" in v.page.get_attribute("#overview", "class")  # no state by name: no line
        ends = "() => app.overview.view"
        first = v(VIEW)
        low, high = v(ends)
        assert high == pytest.approx(39.5)
        v("() => app.camera.pan(1200, 0)")
        assert v(VIEW)[0] < first[0] - 50
        assert v(ends)[0] < low
        expected = v(
            "() => [-app.camera.x, app.camera.size[0] - app.camera.x].map((p) => p / app.camera.k)"
        )
        for t, x in zip(v(ends), expected, strict=True):
            assert 100 + 120 * (t + 0.5) == pytest.approx(x, abs=12)  # gaps between columns are 10
        v("() => app.foldPanel.fold(10, 30)")
        v("() => app.camera.fit(false)")
        assert v(ends) == pytest.approx([-0.5, 39.5])
        assert "all" in v.page.get_attribute(".plot .view", "class")


def test_zeros_and_what_is_not_finite_are_marked_and_break_the_line(browser, tmp_path):
    scene, graph = grid(6, 1)
    norms = [1.0, 0.0, 0.1, math.nan, 0.01, 0.001]
    graph.graph["norms"] = {"h": list(enumerate(norms))}
    with visit(browser, page(scene, graph), tmp_path) as v:
        line = v.page.get_attribute(".plot path.norm", "d")
        assert line.count("M") == 3
        assert v.page.get_attribute(".plot path.dead", "d").count("M") == 1
        assert v.page.get_attribute(".plot path.broken", "d").count("M") == 1
        v("() => app.overview.set(3)")
        assert v.page.text_content("#reading") == "‖dL/dh‖ NaN"
        v("() => app.overview.set(1)")
        assert v.page.text_content("#reading") == "‖dL/dh‖ 0"


def test_pictures_without_time_have_none(browser, tmp_path):
    diagram = viz.draw_rolled(network("lstm", 4))
    with visit(browser, page(diagram.scene, diagram.graph), tmp_path) as v:
        assert not v.page.is_visible("#overview")
