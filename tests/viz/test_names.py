"""Write names of any kind: each writer prints them whole or shortened, never as markup."""

import json
import re
import subprocess
import unicodedata
import warnings
import xml.etree.ElementTree as ET
from dataclasses import replace

import networkx as nx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.draws import ahead, first
from tests.viz.pictures import SVG
from tests.viz.sketches import graph, needs_graphviz, sketch
from viz.diagram import Diagram
from viz.labels import clean, fit, short, width
from viz.scene import Box, Scene, Swatch, Words
from viz.writers import dot, fonts, raster, records, svg
from viz.writers.primitives import picture

HALVES = re.compile("[\ud800-\udfff]")
NAMES = {
    "quotes": '"a\'b`"',
    "backslashes": "\\a\\\\b\\",
    "quote after backslash": '\\"',
    "angle brackets": "<b>bold</b>",
    "comment and section": "--><!-- ]]> <![CDATA[",
    "entities": "&amp; &#65; &lt",
    "newlines": "a\nb\r\nc\u2028d\x85e",
    "arrows": "→ ⇒ a -> b; c",
    "escapes of DOT": "\\N \\G \\E \\L \\l\\r",
    "end of a list": '"] ; }',
    "percent": "100 % %s %(x)d {x} ${y} $z$",
    "control": "\x00\x01\x1b[31m\x7f",
    "halves": "\ud800a\udfff",
    "no characters": "\ufffe\uffff",
    "RTL": "שלום عالم",
    "overrides": "\u202eabc\u2066def",
    "combining": "e\u0301" * 3 + "a" + "\u0323\u0302" * 40,
    "emoji": "👩‍👩‍👧‍👦 🇩🇪 ✌🏽 ❤️",
    "CJK": "中文字符 かな 한국어",
    "Indic": "क्षत्रिय ไทย",
    "long": "x" * 10_000,
    "long and wide": "中" * 10_000,
    "only marks": "\u0301" * 10_000,
    "script": "</script><script>alert(1)</script>",
    "mathtext": "$\\frac{a}{b}$ $",
    "empty": "",
    "blank": " \t ",
    "formula": "=1+1",
}
ODD = ("halves", "no characters", "combining", "CJK", "long", "control", "mathtext", "empty")
named = pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
any_text = st.text(st.characters(exclude_categories=()) | st.sampled_from("<>&\"'\\\n%$]{}|;"))


def shown(text: str) -> str:
    """Return text as a reader of XML sees it."""
    return " ".join(clean(text).split())


def made(name: str) -> Diagram:
    """Draw the sketch as the drawings do: short names in boxes, whole ones in titles."""
    scene = sketch(name, title=name)
    boxes = tuple(b._replace(lines=tuple(map(short, b.lines))) for b in scene.boxes)
    attributes = graph()
    attributes.nodes[0]["label"] = name
    attributes.nodes[1][name or "empty"] = 1
    attributes.edges[0, 1, (0, (0, 0))]["label"] = name
    return Diagram(replace(scene, boxes=boxes), attributes)


# --- XML


@named
def test_svg_is_valid_and_says_the_name(name):
    drawn = made(name)
    root = ET.fromstring(drawn.svg())
    assert {e.tag.removeprefix(SVG) for e in root.iter()} <= {
        "svg", "style", "title", "rect", "text", "g", "path"
    }  # fmt: skip
    (box,) = [g for g in root.iter(f"{SVG}g") if g.get("data-id") == "1"]
    assert shown(box.findtext(f"{SVG}title", "")) == shown(name)
    assert [t.text or "" for t in box.iter(f"{SVG}text")] == [short(name)]
    assert max(len(t.text or "") for t in root.iter(f"{SVG}text")) < 300


@named
def test_graphml_is_valid_and_holds_the_name(name, tmp_path):
    back = nx.read_graphml(made(name).render(tmp_path / "a.graphml"), node_type=int)
    assert shown(back.nodes[0]["label"]) == shown(HALVES.sub("\ufffd", name))
    assert shown(back.graph["title"]) == shown(HALVES.sub("\ufffd", name))
    assert shown(name or "empty") in {shown(key) for key in back.nodes[1]}


@named
def test_json_is_valid_and_holds_the_name(name, tmp_path):
    text = made(name).render(tmp_path / "a.json").read_text(encoding="utf-8")
    label = json.loads(text)["nodes"][0]["label"]
    assert label == HALVES.sub("\ufffd", name)


# --- DOT


def by_graphviz(source: str) -> ET.Element:
    """Return the picture of Graphviz."""
    done = subprocess.run(
        ["neato", "-n2", "-Tsvg"], input=source.encode(), capture_output=True, check=True
    )
    assert b"rror" not in done.stderr
    return ET.fromstring(done.stdout)


def said(root: ET.Element, node: str) -> list[str]:
    """Return the lines of text on a node."""
    (group,) = [
        g for g in root.iter(f"{SVG}g")
        if g.get("class") == "node" and g.find(f"{SVG}title").text == node
    ]  # fmt: skip
    return [(t.text or "").strip("\xa0 ") for t in group.iter(f"{SVG}text")]


@needs_graphviz
@named
def test_graphviz_reads_the_name_and_nothing_into_it(name):
    root = by_graphviz(made(name).source)
    classes = [g.get("class") for g in root.iter(f"{SVG}g")]
    assert (classes.count("node"), classes.count("edge")) == (6, 6)
    expected = short(name)
    assert [shown(t) for t in said(root, "n1")] == ([expected] if expected else [])
    backslash = expected.replace("\\", "∖")
    assert [shown(t) for t in said(root, "n2") if t] == ["θ"] + [backslash] * bool(expected)
    notes = [shown(t.text or "") for t in root.iter(f"{SVG}text")]
    assert fit(name, 574, 11).replace("\\", "∖") in ["", *notes]


@needs_graphviz
@settings(max_examples=40, deadline=None)
@given(name=any_text)
@example("<b>")
@example("\\")
@example('"')
@example("\\\n")
@example("&lt;")
@example("]")
def test_any_text_is_a_label_in_dot(name):
    boxes = (
        Box(0, 0, 0, 50, 20, "op", (short(name),), name),
        Box(1, 60, 0, 50, 20, "cell", (short(name), short(name)), name),
    )
    root = by_graphviz(dot.digraph(Scene(name, 120, 60, boxes, (), notes=(name,))).source)
    assert shown(" ".join(said(root, "n0"))) == shown(short(name))
    for line in said(root, "n1"):
        assert shown(line) in (shown(short(name).replace("\\", "∖")), "")


# --- all texts


@settings(max_examples=60, deadline=None)
@given(name=any_text)
@example("\x00")
@example("\ud800")
@example("]]>")
def test_any_text_is_valid_everywhere(name):
    drawn = made(name)
    ET.fromstring(drawn.svg().encode())
    ET.fromstring(records.to_graphml(drawn.graph, name).encode())
    json.loads(records.to_json(drawn.graph, name).encode())
    assert drawn.source.encode()


@pytest.mark.parametrize("kind", first(8, ahead(ODD, NAMES)))
def test_matplotlib_draws_it_and_says_no_more_than_which_letters_it_lacks(kind, caplog):
    name = NAMES[kind]
    scene = Scene(name, 200, 60, (Box(0, 5, 5, 100, 30, "op", (short(name), short(name))),), (),
                  legend=(Swatch(name, "#000000"),), notes=(name,),
                  shapes=(Words(50, 50, name, halo=True),))  # fmt: skip
    scene = Diagram(scene, nx.MultiDiGraph()).scene
    texts = [mark.text for mark in picture(scene) if isinstance(mark, Words)]
    for suffix, start in (("png", b"\x89PNG"), ("pdf", b"%PDF")):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            assert raster.write(scene, suffix).startswith(start)
        assert ["no font at hand can draw" in str(one.message) for one in found] == (
            [True] * bool(fonts.missing(texts)))  # fmt: skip
    assert caplog.records == []


def test_names_that_do_not_fit_are_shortened_all_over():
    scene = Diagram(sketch("x" * 10_000, "y" * 10_000), graph()).scene
    texts = [scene.title, *scene.notes, *(s.text for s in scene.legend)]
    texts += [s.text for s in scene.shapes if isinstance(s, Words)]
    assert max(map(len, texts)) < 150
    assert "…" in scene.title
    assert "xx" in svg.write(scene)
    assert len(scene.boxes[1].title) == 10_000  # hovering shows it whole


# --- shortening


@given(text=any_text, limit=st.integers(1, 40))
@example("a" * 9 + "\u0301" * 9, 6)
@example("\u200d" * 50, 26)
def test_short_is_one_line_and_short_enough(text, limit):
    line = short(text, limit)
    assert len(line) <= limit
    assert line == " ".join(line.split())
    assert not any(unicodedata.category(c)[0] == "C" and c not in "\u200c\u200d" for c in line)
    assert short(line, limit) == line
    assert clean(line) == line


@pytest.mark.parametrize(
    ("text", "limit", "line"),
    [
        ("abcdefgh", 8, "abcdefgh"),
        ("abcdefghi", 8, "abcd…ghi"),
        ("abcdefghi", 7, "abc…ghi"),
        ("abc", 2, "a…"),
        ("abc", 1, "…"),
        ("  a \n b ", 9, "a b"),
        ("abcdef\u0301ghi", 7, "abc…ghi"),
        ("abcde\u0301\u0302i\u0301", 6, "abc…i\u0301"),  # accents have their letter
        ("ab\u200dcdefgh", 6, "ab…gh"),
        ("a\u200db", 9, "a\u200db"),
    ],
)
def test_the_middle_gives_way(text, limit, line):
    assert short(text, limit) == line


@given(text=any_text, room=st.floats(20, 600), size=st.sampled_from([9.0, 11.0, 15.0]))
@example("中" * 99, 100.0, 11.0)
@example("i" * 99, 100.0, 11.0)
@example("\u0301" * 99, 20.0, 11.0)
def test_fit_keeps_to_its_room(text, room, size):
    line = fit(text, room, size)
    assert width(line, size) <= room
    whole = short(text, len(text))
    assert line == whole or "…" in line
    assert line == whole or width(whole, size) > room or len(whole) > room / size * 5


def test_fit_leaves_nothing_that_would_have_room():
    for text in ("a" * 200, "中" * 200, "il" * 200, "mw" * 200):
        line = fit(text, 300.0, 11.0)
        assert width(line, 11.0) > 300 - 2 * 11


def test_widths_are_those_of_the_characters():
    assert width("", 10) == 0
    assert width("e\u0301", 10) == width("e", 10)
    assert width("中", 10) == pytest.approx(10)
    assert width("\u200d\ufe0f\u20dd", 10) == 0
    assert width("ab", 10) == width("a", 10) + width("b", 10)
    assert width("i", 10) < width("a", 10) < width("m", 10)


def test_clean_keeps_what_can_be_held():
    assert clean("a\tb\x00\x9f\ud800\uffff") == "a b    "
    assert clean("ä\xa0→\U0001f600\u202e") == "ä\xa0→\U0001f600\u202e"
    assert clean("a\r\nb\x85c", lines=True) == "a\nb\nc"
    assert clean("", lines=True) == ""
