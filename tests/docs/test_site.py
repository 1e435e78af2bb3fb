"""Test the site: every public name is in the reference, and the check of built pages can fail."""

import re
from io import BytesIO
from types import SimpleNamespace

import pytest
from matplotlib.image import imread

import engine
import rnn
import viz
from docs import check_site, make_reference
from tests import ROOT
from tests.browser import chromium

# ---- the reference


@pytest.mark.parametrize("package", [engine, rnn, viz], ids=lambda package: package.__name__)
def test_every_public_name_is_described_once(package):
    described = [f"{module}.{name}" if module else name for name, module in re.findall(
        r"^\.\. (?:auto(?:function|class)|py:(?:function|class|data|module)):: (\S+)\n"
        r"(?:   :module: (\S+)\n)?", "".join(make_reference.pages().values()), re.MULTILINE,
    )]  # fmt: skip
    own = [name for name in described if name.split(".")[0] == package.__name__]
    assert len(set(own)) == len(own)
    assert {f"{package.__name__}.{name}" for name in package.__all__} <= set(own)
    for name in package.__all__:
        value = getattr(package, name)
        if isinstance(value, type(engine)):
            inner = {f"{package.__name__}.{name}.{one}" for one in make_reference.public(value)}
            assert inner
            assert inner <= set(own)


def test_a_module_without_a_list_offers_what_is_defined_in_it():
    names = make_reference.public(rnn.initializers)
    assert {"orthogonal", "xavier_uniform"} <= set(names)
    assert not {"HOST", "Tensor", "engine", "math"} & set(names)


def test_what_is_internal_to_the_randomness_is_not_offered():
    names = make_reference.public(engine.random)
    assert {"normal", "seed", "uniform", "random_state"} <= set(names)
    assert not {"birth", "taken", "value", "Draws", "fresh_key"} & set(names)


def test_every_op_is_in_the_table():
    table = make_reference.pages()["all_ops.rst"]
    shown = re.findall(r"^   \* - (?::py:obj:`(\w+) <|``(\w+)``)", table, re.MULTILINE)
    assert ["".join(pair) for pair in shown] == sorted(engine.REGISTRY)
    kinds = re.findall(r"^   \* - .*\n     - (\w+)$", table, re.MULTILINE)
    assert kinds[1:] == [engine.REGISTRY[name].kind for name in sorted(engine.REGISTRY)]


def test_the_text_of_a_module_leaves_out_what_is_for_developers():
    text = "Do a thing.\n\n`a.py` is first. It takes `b`. Above `c`.\n\nRead `rooms/` of it.\n"
    assert make_reference.for_users(text) == "Do a thing.\n\nIt takes `b`."
    assert not re.search(r"\w\.py`", "".join(make_reference.pages().values()))


def test_a_parameter_is_no_link_to_a_function_of_its_name():
    pytest.importorskip("sphinx")
    pytest.importorskip("latex2mathml")
    from docs.site_extension import keep_parameters

    lines = ["`device` is that of `to`, not `x.device` or ``device``; see :py:obj:`device`."]
    keep_parameters(None, "function", "", lambda device: None, None, lines)
    told = "``device`` is that of `to`, not `x.device` or ``device``; see :py:obj:`device`."
    assert lines == [told]


def test_a_type_of_python_is_no_link_to_a_dtype():
    pytest.importorskip("sphinx")
    pytest.importorskip("latex2mathml")
    from docutils import nodes, utils
    from sphinx import addnodes

    from docs.site_extension import link_names

    page = utils.new_document("page")
    for target, kind in (("bool", "class"), ("Tensor", "class"), ("bool", "obj")):
        page += addnodes.pending_xref("", nodes.Text(target), reftarget=target, reftype=kind)
    link_names(SimpleNamespace(env=SimpleNamespace(docname="page")), page)
    left = [(node["reftarget"], node["reftype"]) for node in page.findall(addnodes.pending_xref)]
    assert left == [("Tensor", "class"), ("bool", "obj")]
    assert page.astext().split() == ["bool", "Tensor", "bool"]


def test_pages_are_written_once_and_old_ones_go(tmp_path):
    (tmp_path / "gone.rst").touch()
    make_reference.write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(make_reference.pages())
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    make_reference.write(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


# ---- the check of the built site


def site(tmp_path, monkeypatch, body):
    """Return a site of two pages, of which `body` is in one."""
    monkeypatch.setattr(check_site, "NAMES", {"engine.tanh": None})
    (tmp_path / "other.html").write_text('<h1 id="top">x</h1>', encoding="utf-8")
    (tmp_path / "index.html").write_text(f'<dt id="engine.tanh"></dt>{body}', encoding="utf-8")
    return list(check_site.faults(tmp_path))


@pytest.mark.parametrize("body", [
    '<a href="other.html">', '<a href="other.html#top">', '<a href="#engine.tanh">',
    '<a href="https://example.org/x#y">', '<img src="data:image/png;base64,AA==" alt="x">',
])  # fmt: skip
def test_a_good_site_has_no_faults(tmp_path, monkeypatch, body):
    assert site(tmp_path, monkeypatch, body) == []


@pytest.mark.parametrize(("body", "told"), [
    ('<a href="gone.html">', "index.html: gone.html: there is no such file"),
    ('<a href="other.html#gone">', "index.html: other.html#gone: there is no such anchor"),
    ('<a href="#gone">', "index.html: #gone: there is no such anchor"),
    ('<img src="other.html">', "index.html: other.html: a picture without words (alt)"),
    ('<img src="other.html" alt="other.html">',
     "index.html: other.html: a picture without words (alt)"),
    ('<img src="gone.svg" alt="x">', "index.html: gone.svg: there is no such file"),
    ('<script src="https://example.org/x.js">', "index.html fetches https://example.org/x.js"),
    ('<link href="//example.org/x.css">', "index.html fetches //example.org/x.css"),
])  # fmt: skip
def test_a_planted_fault_is_found(tmp_path, monkeypatch, body, told):
    assert site(tmp_path, monkeypatch, body) == [told]


def test_a_name_on_no_page_and_a_site_without_pages_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(check_site, "NAMES", {"engine.tanh": None, "engine.gone": None})
    (tmp_path / "index.html").write_text('<dt id="engine.tanh">', encoding="utf-8")
    assert list(check_site.faults(tmp_path)) == ["engine.gone is public, and on no page"]
    (tmp_path / "index.html").unlink()
    assert "there is no page" in next(check_site.faults(tmp_path))


def test_a_picture_that_code_drew_has_the_words_of_its_title(tmp_path):
    nodes = pytest.importorskip("docutils.nodes")
    pytest.importorskip("sphinx")
    pytest.importorskip("latex2mathml")
    from docs.site_extension import name_pictures

    viz.draw_cell(rnn.GRUCell(2, 3)).render(tmp_path / "a.svg")
    tree = nodes.paragraph()
    tree += [nodes.image(uri="a.svg"), nodes.image(uri="a.svg", alt="own words")]
    name_pictures(SimpleNamespace(srcdir=tmp_path), tree, "page")
    drawn, told = (node["alt"] for node in tree)
    assert drawn
    assert f"<title>{drawn}</title>" in (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert told == "own words"
    assert "has-no-dark" not in tree[0]["classes"]


def test_a_picture_without_dark_colours_is_marked(tmp_path):
    nodes = pytest.importorskip("docutils.nodes")
    pytest.importorskip("sphinx")
    pytest.importorskip("latex2mathml")
    from docs.site_extension import name_pictures

    picture = viz.draw_cell(rnn.GRUCell(2, 3)).svg(dark=False)
    (tmp_path / "a.svg").write_text(picture, encoding="utf-8")
    tree = nodes.paragraph("", "", nodes.image(uri="a.svg", alt="own words"))
    name_pictures(SimpleNamespace(srcdir=tmp_path), tree, "page")
    assert tree[0]["classes"] == ["has-no-dark"]


def test_pictures_follow_the_switch_of_the_site(tmp_path):
    css = (ROOT / "docs" / "static" / "site.css").read_text(encoding="utf-8")
    drawn = viz.draw_cell(rnn.GRUCell(2, 3))
    (tmp_path / "own.svg").write_text(drawn.svg(), encoding="utf-8")
    (tmp_path / "light.svg").write_text(drawn.svg(dark=False), encoding="utf-8")
    images = '<img src="own.svg" width="400"><img src="light.svg" width="400" class="has-no-dark">'
    (tmp_path / "page.html").write_text(
        f"<style>{css}</style><body><article>{images}</article>", encoding="utf-8"
    )
    found = {}
    with chromium() as browser:
        for system in ("light", "dark"):
            page = browser.new_page(color_scheme=system)
            page.goto((tmp_path / "page.html").as_uri())
            for theme in ("light", "dark", "auto"):
                page.evaluate(f"document.body.dataset.theme = '{theme}'")
                shots = [page.locator("img").nth(i).screenshot() for i in (0, 1)]
                found[theme, system] = [imread(BytesIO(shot))[..., :3].mean() for shot in shots]
    for (theme, system), grey in found.items():
        wanted = system if theme == "auto" else theme
        assert (min(grey) > 0.7) if wanted == "light" else (max(grey) < 0.3), (theme, system, grey)


# ---- equations


def test_equations_of_every_cell_are_mathml():
    pytest.importorskip("sphinx")
    pytest.importorskip("latex2mathml")
    from docs.site_extension import mathml

    text = (ROOT / "docs" / "reference" / "cells.md").read_text(encoding="utf-8")
    found = re.findall(r"```math\n(.*?)```", text, re.DOTALL)
    assert len(found) == text.count("\n## rnn.")
    for one in found:
        made = mathml(one, "block")
        assert made.count("<mtr>") == one.count("&=")
        assert "&amp;" not in made
    with pytest.raises(ValueError, match="has a command that MathML is not made of"):
        mathml(r"\gone{x}", "inline")


def test_signs_in_docstrings_are_escaped_where_they_are_mathematics():
    pytest.importorskip("sphinx")
    pytest.importorskip("latex2mathml")
    from docs.site_extension import escape_signs

    def escaped(text):
        lines = text.split("\n")
        escape_signs(SimpleNamespace(), "", "", None, None, lines)
        return "\n".join(lines)

    assert escaped("the size |x| of `a|b` and ``*xs``") == r"the size \|x\| of `a|b` and ``*xs``"
    assert escaped("x *= 2 with *emphasis*") == r"x \*= 2 with *emphasis*"
    assert escaped("a\n    >>> a | b * c") == "a\n    >>> a | b * c"
