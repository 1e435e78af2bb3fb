"""Test the animated backward pass: step by step, and still where motion is unwanted."""

import re
import shutil
import xml.etree.ElementTree as ET
from functools import lru_cache

import pytest

import engine
import rnn
import viz
from tests.draws import first, slow_beside
from tests.viz.pictures import SVG, lines, network, per_step
from viz.scene import Box, Scene, Wire
from viz.writers import animation, svg

WAY = ((0.0, 0.0), (50.0, 0.0))
# For each wire: is its line seen, is its head, how much of the line is still missing.
SEEN = """[...document.querySelectorAll('g.edge.backward')].map(g => {
    const [line, head] = [...g.querySelectorAll('path')].map(p => getComputedStyle(p));
    const gone = line.strokeDasharray === 'none' ? 0 : parseFloat(line.strokeDashoffset);
    return [Number(line.opacity), Number(head.opacity), gone];
})"""


def picture(level: str = "cell") -> viz.Diagram:
    return viz.draw_gradients(network("lstm", 3), level=level, max_steps=3)


def last_loss() -> viz.Diagram:
    engine.seed(3)
    return viz.draw_gradients(per_step(rnn.LSTMCell(3, 4), 4)[-1])


def still(text: str) -> str:
    """Return the document without its animation."""
    text = re.sub(r"\n<style>\n@media.*?</style>", "", text, flags=re.DOTALL)
    return re.sub(r" back b\d+", "", text.replace(' pathLength="1"', ""))


@pytest.mark.parametrize("level", ["cell", "gate", "op"])
def test_it_is_the_still_picture_with_a_style_sheet(level):
    diagram = picture(level)
    text = animation.write(diagram.scene)
    assert still(text) == diagram.svg()
    assert text == animation.write(diagram.scene)
    assert [line.width for line in lines(text)] == [line.width for line in lines(diagram.svg())]
    assert not re.search(r"<script|https?:(?!//www.w3.org/2000/svg)|url\(|@import|href", text)


@pytest.mark.parametrize("level", ["cell", "gate", "op"])
def test_every_backward_wire_has_a_stage_after_all_that_lead_to_it(level):
    scene = picture(level).scene
    backward = [wire for wire in scene.wires if wire.kind == "backward"]
    stages = animation.stages_of(backward)
    for wire, stage in zip(backward, stages, strict=True):
        before = [s for w, s in zip(backward, stages, strict=True) if w.target == wire.source]
        assert stage == max((s + 1 for s in before), default=0)
    root = ET.fromstring(animation.write(scene))
    found = [g.get("class").split()[-1] for g in root.iter(f"{SVG}g")
             if (g.get("class") or "").startswith("edge backward")]  # fmt: skip
    assert found == [f"b{stage}" for stage in stages]


def test_time_goes_back_step_by_step():
    scene = last_loss().scene
    places = {box.key: box.x for box in scene.boxes if box.kind == "cell"}
    backward = [wire for wire in scene.wires if wire.kind == "backward"]
    hops = [(stage, places[wire.source])
            for wire, stage in zip(backward, animation.stages_of(backward), strict=True)
            if wire.source in places and wire.target in places]  # fmt: skip
    order = sorted(set(hops))  # h and c of one step go together
    assert len(hops) == 2 * len(order) == 6
    assert [x for _, x in order] == sorted(places.values(), reverse=True)[:3]
    assert len({stage for stage, _ in order}) == 3


def test_words_and_marks_come_with_their_wire():
    boxes = tuple(Box(k, 100.0 * k, 0, 50, 30, "op", (str(k),)) for k in range(3))
    wires = (
        Wire(0, 1, WAY, "forward", "#2b6cb0", label="x", label_at=(5, 5)),
        Wire(2, 1, WAY, "backward", "#8e1212", label="one", label_at=(5, 5)),
        Wire(1, 0, WAY, "backward", "#8e1212", mark="!", mark_at=(5, 5), dash="2 2"),
        Wire(1, 0, WAY, "backward", "#8e1212", label="nowhere"),
    )
    text = animation.write(Scene("", 300, 50, boxes, wires))
    words = re.findall(r'<text class="wire-(\w+)([^"]*)"[^>]*>([^<]*)<', text)
    assert words == [("label", "", "x"), ("label", " back b0", "one"), ("mark", " back b1", "!")]
    paths = re.findall(r"<path( pathLength=\"1\")? d=[^>]*?(stroke-dasharray)?/>", text)
    assert ("", "stroke-dasharray") not in [("x", p[1]) for p in paths if p[0]]
    assert text.count('pathLength="1"') == 2  # a dashed line cannot grow


def test_circles_come_last():
    wires = [Wire(a, b, WAY, "backward", "#8e1212") for a, b in ((0, 1), (1, 2), (2, 1), (1, 3))]
    assert animation.stages_of(wires) == [0, 1, 1, 1]


def test_what_cannot_be_animated_is_refused(tmp_path):
    unrolled = viz.draw_unrolled(network("gru", 2))
    with pytest.raises(ValueError, match="this picture shows no gradients"):
        unrolled.animate(tmp_path / "x.svg")
    with pytest.raises(ValueError, match=r"ends in \.svg"):
        picture().animate(tmp_path / "x.png")
    assert not list(tmp_path.iterdir())
    assert picture().animate(tmp_path / "x.svg").read_text() == animation.write(picture().scene)


@lru_cache(maxsize=2)
def tab(browser, motion: str):
    return browser.new_page(viewport={"width": 1200, "height": 700}, reduced_motion=motion)


def opened(browser, path, motion: str):
    page = tab(browser, motion)
    page.goto(path.as_uri())
    return page


@pytest.mark.parametrize("level", first(1, ["op", "cell"]))
def test_no_gradient_is_seen_at_first_and_all_at_the_end(browser, level, tmp_path):
    diagram = picture(level)
    path = diagram.animate(tmp_path / "x.svg")
    backward = [wire for wire in diagram.scene.wires if wire.kind == "backward"]
    stages = animation.stages_of(backward)
    page = opened(browser, path, "no-preference")
    period = page.evaluate("document.getAnimations()[0].effect.getComputedTiming().duration")

    def at(seconds: float) -> list[list[float]]:
        page.evaluate(f"""for (const a of document.getAnimations()) {{
            a.pause(); a.currentTime = {1000 * seconds};
        }}""")
        return page.evaluate(SEEN)

    dashed = [bool(wire.dash) for wire in backward]
    assert any(dashed) == (level == "op")  # dead gradients: dashes of their own cannot grow
    assert at(0) == [[0, 0, 0 if dash else 1] for dash in dashed]
    assert at(period / 1000 - 1) == [[1, 1, 0]] * len(backward)
    count = max(stages) + 1
    moving = period / 1000 - animation.BEFORE - animation.REST - animation.FADE
    for stage in range(count):  # in the middle of a stage: its lines are half there
        states = at(animation.BEFORE + moving * (stage + 0.5) / count)
        for own, dash, (line, head, gone) in zip(stages, dashed, states, strict=True):
            assert line == float(own < stage if dash else own <= stage)
            assert head == float(own < stage)
            missing = 0 if own < stage else 0.5 if own == stage else 1
            assert dash or gone == pytest.approx(missing, abs=0.06)


def test_the_still_picture_is_shown_where_less_motion_is_wanted(browser, tmp_path):
    diagram = picture()
    path, plain = diagram.animate(tmp_path / "x.svg"), diagram.render(tmp_path / "plain.svg")
    shots = []
    for one in (path, plain):
        page = opened(browser, one, "reduce")
        assert page.evaluate("document.getAnimations().length") == 0
        shots.append(page.screenshot())
    assert shots[0] == shots[1]
    moving = opened(browser, path, "no-preference")
    assert moving.screenshot() != shots[0]


@slow_beside("test_the_still_picture_is_shown_where_less_motion_is_wanted")
def test_an_img_moves_unless_the_system_prefers_reduced_motion(browser, tmp_path):
    diagram = picture()
    diagram.animate(tmp_path / "x.svg")
    diagram.render(tmp_path / "plain.svg")
    for name in ("x", "plain"):
        (tmp_path / f"{name}.html").write_text(f'<img src="{name}.svg">')
    shots = [opened(browser, tmp_path / f"{name}.html", "no-preference").screenshot()
             for name in ("x", "plain")]  # fmt: skip
    assert shots[0] != shots[1]
    wish = browser.browser_type.launch(
        executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
        args=["--no-sandbox", "--force-prefers-reduced-motion"],
    )
    shots = [opened(wish, tmp_path / f"{name}.html", "reduce").screenshot()
             for name in ("x", "plain")]  # fmt: skip
    wish.close()
    assert shots[0] == shots[1]


def test_the_style_sheet_of_a_long_picture_stays_small():
    scene = viz.draw_gradients(network("gru", 40)).scene
    assert len(animation.write(scene)) < 1.5 * len(svg.write(scene))
