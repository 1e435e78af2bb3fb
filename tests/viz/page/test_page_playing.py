"""Play the passes: wires keep their widths and colours, weights grow by what each step adds, and
dimmed lines are equally pale where they lie on each other.
"""

import io
import math

import numpy as np
import pytest

import viz
from tests.browser import visit
from tests.draws import covering, first
from tests.viz.page.test_page import DRAWN, grid
from tests.viz.pictures import network
from viz.dark import dark
from viz.page.document import page

DRESS = """() => app.view.wires.map(({ line, tip }) => {
  const [a, b] = [getComputedStyle(line), getComputedStyle(tip)];
  return [a.stroke, a.strokeWidth, a.strokeDasharray, b.fill].join(); })"""
MODES = pytest.mark.parametrize("limit", [5000, 0], ids=["svg", "canvas"])


@pytest.fixture(scope="module")
def gradients():
    return viz.draw_gradients(network("lstm", 5), max_steps=5)


def pixel(v, x: float, y: float) -> tuple[int, int, int]:
    """Return the colour on the screen at a place of the picture."""
    image = pytest.importorskip("matplotlib.image")
    v(DRAWN)
    left, top = v(f"""() => {{ const s = app.stage.getBoundingClientRect(), c = app.camera;
      return [s.left + {x} * c.k + c.x, s.top + {y} * c.k + c.y]; }}""")
    shot = image.imread(io.BytesIO(v.page.screenshot()))
    return tuple(np.round(255 * shot[round(top), round(left), :3]).astype(int).tolist())


@pytest.mark.parametrize("way", first(1, ["forward", "backward"]))
def test_playing_leaves_widths_and_colours_of_wires(browser, tmp_path, gradients, way):
    with visit(browser, page(gradients.scene, gradients.graph), tmp_path) as v:
        v.page.select_option("#pass", way)
        before = v(DRESS)
        assert len(set(before)) > 5
        stages = v("() => app.player.stages.stages.length")
        for _ in range(stages):
            v.page.click("#step")
            assert v(DRESS) == before
        lit = v("() => app.view.wires.map(({ g }) => g.parentNode.classList.contains('over'))")
        assert lit == [(wire.kind == "backward") == (way == "backward")
                       for wire in gradients.scene.wires]  # fmt: skip
        v.page.click("#stop")
        assert v(DRESS) == before


@MODES
def test_a_lit_wire_looks_as_it_was_drawn(browser, tmp_path, limit):
    scene, graph = grid(3, 1)
    (wire,) = [w for w in scene.wires if w.kind == "backward" and w.source == 2]
    (x0, y0), (x1, _) = wire.points
    with visit(browser, page(scene, graph, svg_limit=limit), tmp_path) as v:
        v("() => app.camera.zoom(2 / app.camera.k)")
        assert v("() => app.camera.k") == 2
        resting = pixel(v, (x0 + x1) / 2, y0)
        assert resting == (0x8E, 0x12, 0x12)
        for stage in range(3):
            v("() => app.player.move(1)")
            v("() => app.camera.fly(640 - 2 * 240, 300 - 2 * 90, 2, false)")
            lit = pixel(v, (x0 + x1) / 2, y0) == resting
            assert lit == (stage > 0)  # also at the very stage that it lights up at
        v("() => app.player.reset()")
        v.page.select_option("#pass", "forward")
        v("() => app.player.move(1)")
        assert pixel(v, (x0 + x1) / 2, y0) != resting


@pytest.mark.parametrize(("limit", "scheme"), covering([5000, 0], ["light", "dark"]))
def test_dimmed_wires_on_a_trunk_do_not_add_up(browser, tmp_path, limit, scheme):
    scene, graph = grid(30, 1, weights=True)
    scene = scene.__class__(**{**{name: getattr(scene, name) for name in scene.__slots__},
                               "bands": ()})  # fmt: skip
    grey, paper = "#8793a3", "#ffffff"
    if scheme == "dark":
        grey, paper = dark(grey), dark(paper)
    rgb = [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in (grey, paper)]
    expected = [0.16 * a + 0.84 * b for a, b in zip(*rgb, strict=True)]
    text = page(scene, graph, svg_limit=limit)
    with visit(browser, text, tmp_path, color_scheme=scheme) as v:
        v.page.select_option("#pass", "forward")
        v("() => app.player.move(1)")
        v("() => { app.camera.fly(100, -400, 4, false); }")
        trunk = pixel(v, 90, 170)  # where the wires to all 30 steps lie on each other
        assert trunk == pytest.approx(expected, abs=6)


# Weights


def test_weights_grow_by_the_norm_of_what_each_step_adds(browser, tmp_path, gradients):
    graph = gradients.graph
    weights = [n for n, node in graph.nodes(data=True) if node["kind"] == "parameter"]
    index = {box.key: i for i, box in enumerate(gradients.scene.boxes)}
    with visit(browser, page(gradients.scene, graph), tmp_path) as v:
        v.page.select_option("#unit", "time")
        assert v.page.locator("g.growth .part").count() == 0
        assert len(weights) == 3
        for t in (None, 4, 3, 2, 1, 0):  # the total of all losses, then a step after another
            v.page.click("#step")
            for key in weights:
                uses = [(graph.nodes[b]["t"], d["grad_norm"])
                        for _, b, d in graph.out_edges(key, data=True)]  # fmt: skip
                total = sum(norm for _, norm in uses)
                _, _, wide = place = (
                    v(f"""() => {{ const r = app.model.rect; const i = {index[key]};
                  return Growth.place(r[4*i], r[4*i+1], r[4*i+2], r[4*i+3]); }}""")
                )
                parts = [(x - place[0], w) for x, w, top in v("""() =>
                  [...document.querySelectorAll('.sheet .growth .part')].map((e) =>
                    ['x', 'width', 'y'].map((n) => Number(e.getAttribute(n))))""")
                    if top == pytest.approx(place[1], abs=0.01)]  # fmt: skip
                played = [norm for step, norm in sorted(uses, reverse=True)
                          if t is not None and step >= t]  # fmt: skip
                assert len(parts) == len(played)
                at = 0.0
                for (x, w), norm in zip(parts, played, strict=True):
                    assert x == pytest.approx(at, abs=0.02)
                    assert w == pytest.approx(norm / total * wide, abs=0.65)  # hairlines between
                    at += norm / total * wide
                now = dict(uses).get(t)
                words = v.page.locator(".sheet .growth .adds").all_text_contents()
                if now is not None:
                    assert f"+ {float(f'{now:.3g}'):g} · t = {t}" in words


def test_the_tick_is_the_norm_of_the_sum(browser, tmp_path, gradients):
    graph = gradients.graph
    with visit(browser, page(gradients.scene, graph), tmp_path) as v:
        for i, box in enumerate(gradients.scene.boxes):
            if box.kind != "parameter":
                continue
            total = math.fsum(d["grad_norm"] for *_, d in graph.out_edges(box.key, data=True))
            share = v(f"() => app.card.growth.whole({i})")
            assert share == pytest.approx(graph.nodes[box.key]["grad_norm"] / total, rel=1e-6)
            assert 0 < share < 1
            v(f"() => app.pick({i}, true)")
            facts = v.page.text_content("#card dl")
            assert f"{total:.6g} sum of the norms of what 5 uses add" in facts
            assert "total, of parameters θ" in facts


@pytest.mark.parametrize("limit", first(1, [5000, 0]), ids=["svg", "canvas"])
def test_weights_out_of_sight_grow_in_the_dock(browser, tmp_path, gradients, limit):
    with visit(browser, page(gradients.scene, gradients.graph, svg_limit=limit), tmp_path) as v:
        assert not v.page.is_visible("#dock")
        v("() => app.camera.fly(-2000, 0, 1.5, false)")
        v.page.select_option("#unit", "time")
        v.page.click("#step")
        v.page.click("#step")
        v("() => app.camera.fly(-2000, 0, 1.5, false)")
        assert v.page.locator("#dock button").count() == 3
        assert "· t = 4" in v.page.locator("#dock button span").first.text_content()
        assert v.page.locator("#dock .part").count() == 3
        v("() => app.camera.fit(false)")
        assert not v.page.is_visible("#dock")  # the boxes themselves are seen
        v("() => app.camera.fly(-2000, 0, 1.5, false)")
        v.page.locator("#dock button").first.click()
        assert v("() => app.model.node(app.state.picked, 'kind')") == "parameter"
        v.page.click("#stop")
        assert not v.page.is_visible("#dock")


def test_gradients_that_are_not_finite_have_no_bar(browser, tmp_path):
    scene, graph = grid(3, 1, weights=True)
    for *_, data in graph.out_edges(3, data=True):
        data["grad_norm"] = math.nan
    with visit(browser, page(scene, graph), tmp_path) as v:
        v("() => { app.player.move(1); app.camera.fit(false); }")
        assert v.page.locator(".growth .part").count() == 0
        assert v.page.locator(".growth .adds").text_content() == "+ NaN · t = 2"


def test_the_card_of_a_cell_says_which_state_it_speaks_of(browser, tmp_path, gradients):
    cell = next(box for box in gradients.scene.boxes if box.kind == "cell")
    node = gradients.graph.nodes[cell.key]
    with visit(browser, page(gradients.scene, gradients.graph), tmp_path) as v:
        v(f"() => app.pick({gradients.scene.boxes.index(cell)}, true)")
        facts = v.page.text_content("#card dl")
        for name, norm in node["grads"]:
            words = {"h": "hidden state h", "c": "cell state c"}[name]
            assert f"‖dL/d{name}‖{norm:.6g} total, of {words}" in facts
        assert f"‖dL/d(h, c)‖{node['grad_norm']:.6g} total, of h and c joined" in facts
        assert "hidden state h" in v.page.text_content("#live")
        assert "values of its last operation" in v.page.text_content("#card .charts")


def test_a_bar_of_very_many_uses_has_two_parts(browser, tmp_path):
    scene, graph = grid(300, 1, weights=True)
    norms = [d["grad_norm"] for *_, d in sorted(graph.out_edges(300, data=True))]
    total = math.fsum(norms)
    with visit(browser, page(scene, graph), tmp_path) as v:
        v("() => { for (let k = 0; k < 120; k += 1) app.player.move(1); }")
        parts = v("() => app.card.growth.parts(300, app.player.state)")
        assert [part["now"] for part in parts] == [False, True]
        (past, now) = parts
        assert past["from"] == 0
        assert past["to"] == pytest.approx(math.fsum(norms[300 - 119 :]) / total)
        assert now["from"] == past["to"]
        assert now["to"] - now["from"] == pytest.approx(norms[300 - 120] / total)
        v("() => { while (app.player.at < 299) app.player.move(1); }")
        assert v("() => app.card.growth.parts(300, app.player.state)")[-1]["to"] == pytest.approx(1)
