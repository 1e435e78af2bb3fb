"""What a diagram writes: files by suffix, DOT that pins every position, errors with the remedy."""

import shutil
import xml.etree.ElementTree as ET

import pytest

import viz
from tests.pictures import network


@pytest.fixture(scope="module")
def diagram():
    return viz.draw_gradients(network("elman", 3), title="a <title> & more")


def test_it_writes_svg_html_and_dot(diagram, tmp_path):
    for suffix in (".svg", ".html", ".dot", ".gv"):
        path = diagram.render(tmp_path / f"picture{suffix}")
        assert path.stat().st_size > 1000
    assert ET.parse(tmp_path / "picture.svg").getroot().tag.endswith("svg")
    page = (tmp_path / "picture.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")  # asks nobody for anything


def test_notebooks_show_it(diagram):
    assert diagram._repr_svg_() == diagram.svg()


def test_the_title_is_escaped(diagram):
    assert "a &lt;title&gt; &amp; more" in diagram.svg()


def test_dot_pins_every_box_and_wire(diagram):
    assert diagram.source.count('!"') == diagram.graph.number_of_nodes()
    backward = sum(1 for *_, d in diagram.graph.edges(data=True) if d["grad_norm"] is not None)
    assert diagram.source.count(" -> ") == diagram.graph.number_of_edges() + backward
    assert diagram.source.count('pos="e,') == diagram.source.count(" -> ")


def test_an_unknown_format_is_refused(diagram, tmp_path):
    with pytest.raises(ValueError, match=r"unknown format '.jpg'.*svg"):
        diagram.render(tmp_path / "picture.jpg")


def test_png_needs_graphviz_and_says_so(diagram, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"apt install graphviz.*\.svg"):
        diagram.render(tmp_path / "picture.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("neato") is None, reason="the Graphviz programs are not installed")
def test_graphviz_draws_png_and_pdf(diagram, tmp_path):
    assert diagram.render(tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert diagram.render(tmp_path / "picture.pdf").read_bytes().startswith(b"%PDF")
