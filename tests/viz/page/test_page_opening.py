"""Check what the page shows at first, in frames of any size: the loss, in red, legible."""

from html import escape

import pytest

import viz
from tests.browser import visit
from tests.draws import covering, first
from tests.viz.page.test_page import DRAWN, grid, on_stage
from tests.viz.pictures import network
from viz.page.document import page

STAGE = """() => { const r = app.stage.getBoundingClientRect();
  return [r.left, r.top, r.right, r.bottom]; }"""
CAMERA = "() => [app.camera.x, app.camera.y, app.camera.k]"


@pytest.fixture(scope="module")
def gradients():
    return viz.draw_gradients(network("lstm", 12))


def shown(diagram, limit: int = 5000) -> str:
    return page(diagram.scene, diagram.graph, svg_limit=limit)


def options(size: tuple[int, int]) -> dict:
    return {"viewport": {"width": size[0], "height": size[1]}}


@pytest.mark.parametrize(
    ("size", "limit"), covering([(1280, 800), (800, 600), (390, 844)], [5000, 0]), ids=str
)
def test_it_opens_on_red_at_the_loss(browser, tmp_path, gradients, size, limit):
    loss = max(gradients.graph)  # the total of all losses is the last of all
    assert gradients.graph.out_degree(loss) == 0
    with visit(browser, shown(gradients, limit), tmp_path, **options(size)) as v:
        assert v.page.input_value("#pass") == "backward"
        assert v("() => app.player.at") == -1  # nothing is dimmed
        x, y = on_stage(v, loss)
        left, top, right, bottom = v(STAGE)
        assert left < x < right
        assert top + 26 < y < bottom
        assert 0.9 <= v("() => app.camera.k") <= 1.6
        quiet = v("() => [...app.marks.wire].map((m) => Boolean(m & ASIDE))")
        assert quiet == [wire.kind != "backward" for wire in gradients.scene.wires]
        assert any(quiet)
        if limit:
            fade = "(g) => getComputedStyle(document.querySelector(g)).opacity"
            assert v.page.evaluate(fade, "g.aside") == "0.4"
            assert v.page.evaluate(fade, "g.over") == "1"
            red = v("() => [...document.querySelectorAll('g.over g')].map((g) => g.classList[1])")
            assert set(red) == {"backward"}
        v.page.select_option("#pass", "forward")
        assert not v("() => [...app.marks.wire].some((m) => m & ASIDE)")


def test_a_picture_that_fits_is_shown_whole(browser, tmp_path):
    scene, graph = grid(4, 2)
    with visit(browser, page(scene, graph), tmp_path) as v:
        left, top, right, bottom = v(STAGE)
        for key in graph:
            x, y = on_stage(v, key)
            assert left < x < right
            assert top + 26 < y < bottom


def test_a_path_without_norms_of_its_edges_opens_where_it_begins(browser, tmp_path):
    diagram = viz.draw_bptt_path(network("lstm", 12), "L7", "h1")
    path = [wire for wire in diagram.scene.wires if wire.kind == "backward"]
    first = {wire.source for wire in path} - {wire.target for wire in path}
    with visit(browser, shown(diagram), tmp_path) as v:
        assert v.page.input_value("#pass") == "backward"
        (loss,) = first
        x, y = on_stage(v, loss)
        left, top, right, bottom = v(STAGE)
        assert left < x < right
        assert top + 26 < y < bottom


def test_without_gradients_it_opens_at_the_output(browser, tmp_path):
    diagram = viz.draw_unrolled(network("lstm", 12))
    last = max(diagram.graph)
    with visit(browser, shown(diagram), tmp_path) as v:
        assert v.page.input_value("#pass") == "forward"
        assert not v("() => [...app.marks.wire].some((m) => m & ASIDE)")
        x, _ = on_stage(v, last)
        left, _, right, _ = v(STAGE)
        assert left < x < right


HOST = """<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">
<div id="tab" style="{style}"><iframe srcdoc="{inside}"
 style="border:0;width:{width}px;height:{height}px"></iframe></div></body>"""


@pytest.fixture(scope="module")
def host(browser):
    """Return a page of another site."""
    return browser.new_page(reduced_motion="reduce")


def framed(host, inside: str, style: str, width: int = 1000, height: int = 700):
    """Show the picture in a frame on that page; return the frame."""
    host.set_content(HOST.format(style=style, inside=escape(inside), width=width, height=height))
    frame = host.frames[1]
    frame.wait_for_selector("html[data-ready]", state="attached")
    return frame


@pytest.mark.parametrize("limit", first(1, [5000, 0]), ids=["svg", "canvas"])
def test_it_fits_itself_when_a_hidden_frame_is_shown(host, gradients, limit):
    text = shown(gradients, limit)
    frame = framed(host, text, "")
    wanted, size = frame.evaluate(CAMERA), frame.evaluate("() => app.camera.size")
    frame = framed(host, text, "display:none")
    assert frame.evaluate("() => app.camera.size") == [0, 0]
    host.evaluate("document.getElementById('tab').style.display = 'block'")
    frame.wait_for_function("() => app.camera.size[0] > 0 && app.camera.seen[0] > 0")
    assert frame.evaluate("() => app.camera.size") == size
    assert frame.evaluate(CAMERA) == pytest.approx(wanted)
    lines = "() => document.querySelectorAll('.plot path.norm').length"
    assert frame.evaluate(lines) == 2  # of h and of c
    drawn = "() => document.querySelector('.plot .view').getBoundingClientRect().width"
    assert frame.evaluate(drawn) > 100
    if limit:
        moved = "() => document.querySelector('.sheet svg > g').getAttribute('transform')"
        assert frame.evaluate(moved).endswith(f"scale({wanted[2]})")
    # hidden and shown again it is where it was
    host.evaluate("document.getElementById('tab').style.display = 'none'")
    frame.wait_for_function("() => app.camera.size[0] === 0")
    host.evaluate("document.getElementById('tab').style.display = 'block'")
    frame.wait_for_function("() => app.camera.size[0] > 0")
    frame.evaluate(DRAWN)  # the observer of sizes has its turn
    assert frame.evaluate(CAMERA) == pytest.approx(wanted)


def test_a_frame_that_grows_fits_until_the_reader_has_moved_the_picture(host, gradients):
    text = shown(gradients)
    wanted = framed(host, text, "").evaluate(CAMERA)
    frame = framed(host, text, "", 500, 420)
    resize = """([w, h]) => { const f = document.querySelector('iframe');
      f.style.width = `${w}px`; f.style.height = `${h}px`; }"""
    host.evaluate(resize, [1000, 700])
    frame.wait_for_function("() => app.camera.seen[0] === 1000")
    assert frame.evaluate(CAMERA) == pytest.approx(wanted)
    frame.evaluate("() => { app.camera.zoom(1.5); app.camera.pan(300, -10); }")
    middle = """() => { const [w, h] = app.camera.size;
      return [...app.camera.world(w / 2, h / 2), app.camera.k]; }"""
    before = frame.evaluate(middle)
    host.evaluate(resize, [900, 640])
    frame.wait_for_function("() => app.camera.seen[0] === 900")
    assert frame.evaluate(middle) == pytest.approx(before)  # the middle stays


def test_on_a_phone_nothing_overflows_and_every_control_is_reached(browser, tmp_path, gradients):
    phone = {**options((390, 844)), "has_touch": True, "is_mobile": True}
    with visit(browser, shown(gradients), tmp_path, **phone) as v:
        assert v("() => [document.documentElement.scrollWidth, innerWidth]") == [390, 390]
        assert v("() => app.camera.size[1]") > 400  # the picture has most of the room
        script = """() => [...document.querySelectorAll(
            '.bar button, .bar select, .bar input, #zoom button, .plot svg')]
          .filter((e) => e.checkVisibility()).map((e) => {
            const r = e.getBoundingClientRect();
            const on = document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2);
            const inside = r.left >= 0 && r.right <= 390 && r.top >= 0 && r.bottom <= 844;
            return [e.id || e.dataset.panel || e.tagName, inside && e.contains(on),
              r.height]; })"""
        found = v(script)
        names = [name for name, *_ in found]
        for name in ("search", "fold-panel", "path-panel", "list-panel", "legend-toggle",
                     "help-panel", "theme", "zoom-fit", "pass", "play", "step", "unit",
                     "speed"):  # fmt: skip
            assert name in names
        assert [name for name, reached, _ in found if not reached] == []
        assert min(high for *_, high in found) >= 32  # for fingers
        v.page.touchscreen.tap(*on_stage(v, max(gradients.graph)))
        card = v.page.locator("#card").bounding_box()
        assert card["x"] >= 0
        assert card["x"] + card["width"] <= 390
        _, y = on_stage(v, max(gradients.graph))
        assert y < card["y"]  # what is picked is not under its card
        for panel in ("fold", "path", "list", "legend", "help"):
            v.page.tap(f"button[data-panel={panel}-panel]")
            box = v.page.locator(f"#{panel}-panel").bounding_box()
            assert box["x"] >= 0, panel
            assert box["x"] + box["width"] <= 390, panel
