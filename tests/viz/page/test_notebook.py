"""Show pictures in notebooks, in a real browser: of the page and the image exactly one is seen."""

from dataclasses import replace

import networkx as nx
import pytest

import viz
from tests.viz.pictures import network
from tests.viz.sketches import sketch
from viz.diagram import Diagram

# What notebooks that are not trusted take away: elements that run or style, handlers of events.
SANITIZED = """(text) => {
  const parsed = new DOMParser().parseFromString(text, 'text/html');
  for (const e of parsed.querySelectorAll('script, iframe, style, svg, object, embed')) e.remove();
  for (const e of parsed.querySelectorAll('*')) {
    for (const { name } of [...e.attributes]) {
      if (name.startsWith('on') || name === 'srcdoc') e.removeAttribute(name);
    }
  }
  document.body.innerHTML = parsed.body.innerHTML; }"""
TRUSTED = "(text) => { document.body.innerHTML = text; }"
SEEN = """() => [...document.querySelectorAll('img, iframe')].filter((e) => e.checkVisibility()
  && e.getBoundingClientRect().width > 100 && e.getBoundingClientRect().height > 100)
  .map((e) => e.tagName)"""


@pytest.fixture(scope="module")
def diagram():
    return viz.draw_gradients(network("lstm", 3))


@pytest.fixture(scope="module")
def notebook(browser):
    """Return a page, and the list of all faults on it."""
    opened, faults = browser.new_page(viewport={"width": 820, "height": 900}), []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
    return opened, faults


@pytest.fixture
def cell(notebook):
    """Return an output cell of 800 pixels; faults in it end the test."""
    opened, faults = notebook
    faults.clear()
    opened.set_content("<!DOCTYPE html><body></body>")
    yield opened
    opened.goto("about:blank")
    assert faults == []


def chart() -> Diagram:
    return Diagram(replace(sketch(), boxes=(), wires=()), nx.MultiDiGraph())


def large() -> Diagram:
    return Diagram(replace(sketch(), boxes=sketch().boxes * 300), nx.MultiDiGraph())


def test_a_trusted_notebook_shows_the_live_page(cell, diagram):
    cell.evaluate(TRUSTED, diagram._repr_html_())
    inside = cell.frame_locator("iframe")
    inside.locator("html[data-ready]").wait_for()
    assert cell.evaluate(SEEN) == ["IFRAME"]
    assert inside.locator("#pass").input_value() == "backward"
    assert inside.locator("g.node").first.is_visible()


@pytest.mark.parametrize("kind", ["graph", "chart", "large"])
def test_an_untrusted_notebook_shows_the_picture(cell, diagram, kind):
    shown = {"graph": diagram, "chart": chart(), "large": large()}[kind]
    cell.evaluate(SANITIZED, shown._repr_html_())
    cell.wait_for_function("document.querySelector('img').complete")
    assert cell.evaluate(SEEN) == ["IMG"]
    assert cell.locator("iframe, style, script").count() == 0
    wide = cell.evaluate("document.querySelector('img').naturalWidth")
    assert wide == pytest.approx(shown.scene.shown or shown.scene.width, abs=1)
    assert cell.get_attribute("img", "alt") == shown.scene.title


def test_a_style_that_is_kept_alone_hides_nothing(cell, diagram):
    cell.evaluate(SANITIZED.replace("style, svg", "svg"), diagram._repr_html_())
    assert cell.locator("style").count() == 1
    cell.wait_for_function("document.querySelector('img').complete")
    assert cell.evaluate(SEEN) == ["IMG"]


def test_the_check_of_what_is_seen_can_fail(cell, diagram):
    without = diagram._repr_html_().replace(".bptt-live+img{display:none}", "")
    cell.evaluate(TRUSTED, without)
    cell.wait_for_function("document.querySelector('img').complete")
    assert cell.evaluate(SEEN) == ["IFRAME", "IMG"]


def test_charts_tell_more_where_one_hovers_in_a_trusted_notebook(cell):
    cell.evaluate(TRUSTED, chart()._repr_html_())
    inside = cell.frame_locator("iframe")
    inside.locator("svg.bptt").wait_for()
    assert cell.evaluate(SEEN) == ["IFRAME"]
    assert inside.locator("svg .chart > title").count() > 0
    scrolls = "(e) => e.contentWindow === null ? null : e.clientHeight"
    assert cell.locator("iframe").evaluate(scrolls) >= chart().scene.height
