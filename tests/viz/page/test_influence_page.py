"""Test the page of an influence: offline, driven in a real browser where there is one."""

import json
import math
import re
import xml.etree.ElementTree as ET
from base64 import b64decode

import numpy as np
import pytest

import viz
from tests.browser import visit
from tests.viz.influences import TEXT, V, made, model
from viz.influence.drawing import InfluenceDiagram
from viz.influence.looks import shade
from viz.influence.norms import Influence
from viz.influence.page import page
from viz.influence.scene import headline
from viz.labels import figure

NASTY = "</script><b>\"'&\x00\x1b\u2028$x {x}"


@pytest.mark.parametrize("unit", ["character", "token"])
def test_any_text_is_well_formed_and_escaped(browser, unit, tmp_path):
    pieces = [*NASTY, "\ud800", NASTY, "長" * 100, "\u202e"]
    norms = [math.nan, math.inf, 0.0, 1e-30, *np.geomspace(1e-9, 2.0, len(pieces) - 4)]
    found = made(norms, pieces, unit=unit)
    diagram = InfluenceDiagram(found, len(pieces) - 1, title=NASTY, width=800)
    ET.fromstring(diagram.svg())
    text = diagram.page()
    text.encode("utf-8")
    assert text.count("<script") == 2
    assert not re.search(r"https?:|\bsrc=|\bhref=|@import|url\(", text)
    with visit(browser, text, tmp_path) as opened:
        assert opened("document.querySelectorAll('.text b').length") == len(pieces)
        assert opened("document.querySelector('#finding').textContent") != ""


def shown(opened) -> list[str]:
    """Return the shade of every token."""
    return opened(
        "[...document.querySelectorAll('.text b')].map(b => [...b.classList].filter(c => "
        "/^(s\\d+|zero|lost|faint|broken)$/.test(c)).join())"
    )


def expected(found: Influence, i: int) -> list[str]:
    tones = [
        shade(v, found.largest, later=k > found.times[i]) for k, v in enumerate(found.norms[i])
    ]
    return [f"s{tone}" if isinstance(tone, int) else tone for tone in tones]


def test_the_data_of_the_page_are_the_norms():
    found = viz.draw_influence(model(), TEXT, vocabulary=V).influence
    data = json.loads(re.search(r'id="data">(.*?)</script>', page(found, 3), re.DOTALL)[1])
    flat = np.frombuffer(b64decode(data["norms"]), "<f8")
    assert flat.tolist() == [v for t, row in enumerate(found.norms) for v in row[: t + 1]]
    assert data["lengths"] == [t + 1 for t in range(len(TEXT))]
    assert page(found, 3) == page(found, 3)


def test_the_page_lets_choose_t(browser, tmp_path):
    diagram = viz.draw_influence(model(), TEXT, 9, vocabulary=V)
    found = diagram.influence
    with visit(browser, diagram.page(), tmp_path) as opened:
        tokens = opened.page.locator(".text b")

        def at() -> int:
            return opened("[...document.querySelectorAll('.text b')].findIndex("
                          "b => b.classList.contains('at'))")  # fmt: skip

        assert (at(), shown(opened)) == (9, expected(found, 9))
        tokens.nth(5).hover()
        assert (at(), shown(opened)) == (5, expected(found, 5))
        tokens.nth(12).click()
        tokens.nth(2).hover()
        assert (at(), shown(opened)) == (12, expected(found, 12))
        told = f"k = 2, space: {figure(found.norms[12][2], 4)}"
        assert opened("document.querySelector('#number').textContent") == told
        assert tokens.nth(2).get_attribute("title") == told
        assert tokens.nth(14).get_attribute("title") == "k = 14, “o”: 0: it comes later"
        opened.page.keyboard.press("ArrowLeft")
        assert at() == 11
        opened.page.keyboard.press("End")
        assert (at(), shown(opened)) == (17, expected(found, 17))
        opened.page.keyboard.press("Escape")
        tokens.nth(3).hover()
        assert at() == 3
        opened.page.locator("#t").focus()
        opened.page.keyboard.press("ArrowRight")
        assert (at(), shown(opened)) == (4, expected(found, 4))
        assert opened.page.locator("#t").get_attribute("aria-valuetext") == "t = 4, after “e”"
        assert opened("document.querySelector('#finding').textContent") == (
            headline(found, 4))  # fmt: skip


def test_the_page_writes_norms_as_the_picture_does(browser, tmp_path):
    norms = [9.99949e-5, 9.99996e-5, 0.00012345678, 0.03125, 9.9996, 1234.5678, 999999.7, 1e7, 3e9]
    found = made(norms, "abcdefghi")
    with visit(browser, page(found, 8), tmp_path) as opened:
        opened.page.keyboard.press("End")
        opened.page.locator(".text b").nth(0).hover()
        told = opened("[...document.querySelectorAll('.text b')].map(b => b.title)")
    assert told == [
        f"k = {k}, “{c}”: {figure(norms[k], 4)}" for k, c in enumerate("abcdefghi")
    ]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone_and_is_read_in_both_schemes(browser, scheme, tmp_path):
    found = made(np.geomspace(1e-7, 1.0, 28), "abcdefghijklmnopqrstuvwxyz" + " \n")
    phone = {"viewport": {"width": 390, "height": 800}, "color_scheme": scheme}
    with visit(browser, page(found, 27), tmp_path, **phone) as opened:
        assert opened("document.documentElement.scrollWidth") == 390
        contrasts = opened("""[...document.querySelectorAll('.text b[class*=s]')].map(b => {
            const light = c => c.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255).map(
                v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4
            ).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
            const style = getComputedStyle(b);
            const [a, z] = [light(style.color), light(style.backgroundColor)].sort();
            return (Math.max(a, z) + 0.05) / (Math.min(a, z) + 0.05);
        })""")
        assert min(contrasts) > 4


def test_the_page_shows_one_t_where_scripts_are_off(browser, tmp_path):
    diagram = viz.draw_influence(model(), TEXT, 9, vocabulary=V)
    with visit(browser, diagram.page(), tmp_path, java_script_enabled=False) as opened:
        classes = [b.get_attribute("class") for b in opened.page.locator(".text b").all()]
        for names, tone in zip(classes, expected(diagram.influence, 9), strict=True):
            assert tone in names.split()
        assert opened.page.locator("noscript p").is_visible()
