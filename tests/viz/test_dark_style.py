"""Test the dark colours within an SVG: a rule for every colour, on screens only, none twice."""

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from dataclasses import replace

import networkx as nx
import pytest

import viz
from tests.viz.pictures import network
from tests.viz.sketches import sketch
from viz.dark import dark
from viz.page.document import page
from viz.scene import Line, Rect, Swatch
from viz.writers import svg


def pictures():
    """Yield every kind of shape, dim ones too, and real drawings of each."""
    scene = sketch()
    pale = replace(
        scene,
        boxes=tuple(box._replace(dim=True, mark="!") for box in scene.boxes),
        wires=tuple(w._replace(dim=True, mark="×", mark_at=w.points[0]) for w in scene.wires),
        shapes=(
            Rect(0, 0, 9, 9, "#123456", "#654321"),
            Line(((0, 0), (9, 9)), "#abcdef", fill="#fedcba"),
        ),
        legend=(Swatch("box", "#112233", box="#332211"), Swatch("mark", "#445566", mark="×")),
    )
    loss = network("lstm", 3)
    yield from (svg.write(scene), svg.write(pale))
    yield from (viz.draw_gradients(loss).svg(), viz.draw_gates(loss).svg())


def parts(text: str) -> tuple[str, str]:
    """Return the style of a document and the rest of it."""
    found = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    assert len(found) == 1
    return found[0], re.sub("<style>.*?</style>", "", text, flags=re.DOTALL)


def test_every_colour_has_its_dark_one():
    for text in pictures():
        ET.fromstring(text)
        style, rest = parts(text)
        assert style.startswith("@media screen and (prefers-color-scheme: dark){")
        used = set(re.findall(' (fill|stroke)="(#[^"]*)"', rest))
        assert len(used) > 5
        for name, color in used:
            assert f'.bptt [{name}="{color}"]{{{name}:{dark(color)}}}' in style, (name, color)
        rules = re.findall(r"\.bptt \[[^]]*\]", style)
        assert len(rules) == len(set(rules))


def test_the_light_picture_is_in_the_attributes():
    for text in pictures():
        _, rest = parts(text)
        assert 'class="paper" fill="#ffffff"' in rest
        assert "prefers-color-scheme" not in rest
    scene = sketch()
    assert parts(svg.write(scene))[1].replace("\n\n", "\n") == svg.write(scene, dark=False)
    assert svg.write(scene) == svg.write(scene)


def test_a_program_without_such_rules_draws_it_on_white():
    if shutil.which("rsvg-convert") is None:
        pytest.skip("rsvg-convert is not installed")
    for text in pictures():
        drawn = [
            subprocess.run(["rsvg-convert"], input=own.encode(), capture_output=True, check=True)
            for own in (text, parts(text)[1])
        ]
        assert drawn[0].stderr == b""
        assert drawn[0].stdout == drawn[1].stdout


def test_the_page_maps_its_colours_once():
    scene = sketch()
    text = page(scene, nx.MultiDiGraph())
    assert text.count("<style>") == 1
    assert "screen and (prefers-color-scheme" not in text


@pytest.mark.parametrize(
    ("scheme", "medium", "paper", "ink"),
    [
        ("light", "screen", "rgb(255, 255, 255)", "rgb(32, 33, 36)"),
        ("dark", "screen", "rgb(22, 23, 25)", "rgb(197, 200, 207)"),
        ("dark", "print", "rgb(255, 255, 255)", "rgb(32, 33, 36)"),
    ],
)
def test_a_browser_follows_the_scheme_on_a_screen_alone(
    browser, tmp_path, scheme, medium, paper, ink
):
    path = tmp_path / "a.svg"
    path.write_text(viz.draw_gradients(network("lstm", 3)).svg(), encoding="utf-8")
    opened = browser.new_page(color_scheme=scheme)
    try:
        opened.emulate_media(media=medium, color_scheme=scheme)
        opened.goto(path.as_uri())
        fill = "(q) => getComputedStyle(document.querySelector(q)).fill"
        assert opened.evaluate(fill, ".paper") == paper
        assert opened.evaluate(fill, ".title") == ink
    finally:
        opened.close()


def test_the_rules_leave_other_pictures_alone(browser):
    other = '<svg id="other"><rect fill="#ffffff" width="9" height="9"/></svg>'
    opened = browser.new_page(color_scheme="dark")
    try:
        opened.set_content(svg.write(sketch()) + other)
        fill = "(q) => getComputedStyle(document.querySelector(q)).fill"
        assert opened.evaluate(fill, "#other rect") == "rgb(255, 255, 255)"
        assert opened.evaluate(fill, ".paper") == "rgb(22, 23, 25)"
    finally:
        opened.close()


def test_it_can_be_left_out():
    diagram = viz.draw_gates(network("lstm", 3))
    rest = parts(diagram.svg())[1]
    assert rest.split() == diagram.svg(dark=False).split()
