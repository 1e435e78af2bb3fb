"""Write diagrams: files whole or not at all, by any program that can draw them, errors with the
remedy, and themselves in notebooks.
"""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from base64 import b64decode
from dataclasses import replace

import graphviz
import networkx as nx
import pytest

import viz
from tests.draws import slow_beside
from tests.viz.pictures import network
from tests.viz.sketches import graph, needs_graphviz, sketch
from viz.diagram import Diagram
from viz.writers import raster


@pytest.fixture(scope="module")
def diagram():
    return viz.draw_gradients(network("elman", 3), title="a <title> & more")


@pytest.fixture
def drawn():
    return Diagram(sketch(), graph())


@pytest.fixture
def alone(monkeypatch, tmp_path_factory):
    """Remove Graphviz from the path."""
    monkeypatch.setenv("PATH", str(tmp_path_factory.mktemp("empty")))


# --- renderers of PNG and PDF


def test_without_graphviz_matplotlib_draws(drawn, tmp_path, alone):
    assert drawn.render(tmp_path / "a.png").read_bytes() == raster.write(drawn.scene, "png")
    assert drawn.render(tmp_path / "a.PDF").read_bytes().startswith(b"%PDF")


@needs_graphviz
def test_graphviz_draws_what_it_can(tmp_path):
    drawn = Diagram(sketch(turned=False), graph())
    ours = raster.write(drawn.scene, "png")
    assert drawn.render(tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert drawn.render(tmp_path / "a.png").read_bytes() != ours
    assert drawn.render(tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


def test_turned_words_are_drawn_by_matplotlib(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(graphviz.Digraph, "pipe", None)  # is not called
    assert drawn.render(tmp_path / "a.png").read_bytes() == raster.write(drawn.scene, "png")


def test_a_pdf_of_graphviz_is_as_wide_as_the_picture_is_shown(tmp_path, monkeypatch):
    asked = []

    def pipe(digraph, **options):
        asked.append(digraph.source)
        return b"%PDF"

    monkeypatch.setattr(graphviz.Digraph, "pipe", pipe)
    scene = sketch(turned=False)
    for one in (scene, replace(scene, shown=360.0)):
        Diagram(one, graph()).render(tmp_path / "a.pdf")
        Diagram(one, graph()).render(tmp_path / "a.png")
    found = [re.search(r'\bsize="?([\d.]+)', source) for source in asked]
    assert [one and one[1] for one in found] == [None, None, "5", None]


def test_where_graphviz_fails_matplotlib_draws(tmp_path, monkeypatch):
    def fails(*args, **kwargs):
        raise subprocess.CalledProcessError(1, "neato")

    monkeypatch.setattr(graphviz.Digraph, "pipe", fails)
    drawn = Diagram(sketch(turned=False), graph())
    assert drawn.render(tmp_path / "a.png").read_bytes() == raster.write(drawn.scene, "png")


def test_without_a_renderer_the_remedies_are_named(drawn, tmp_path, alone, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(RuntimeError, match=r"pip install matplotlib.*apt install graphviz.*\.svg"):
        drawn.render(tmp_path / "picture.png")
    assert list(tmp_path.iterdir()) == []


def test_drawing_needs_no_matplotlib():
    code = "import sys, viz; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- files


def test_it_writes_what_its_suffix_says(diagram, tmp_path):
    for suffix in (".svg", ".html", ".dot", ".gv", ".json", ".graphml", ".SVG"):
        path = diagram.render(tmp_path / f"picture{suffix}")
        assert path == tmp_path / f"picture{suffix}"
        assert path.stat().st_size > 1000
    assert ET.parse(tmp_path / "picture.svg").getroot().tag.endswith("svg")
    page = (tmp_path / "picture.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "a &lt;title&gt; &amp; more" in page
    asked = set(re.findall(r"https?://[^\"' <]*", page)) - {"http://www.w3.org/2000/svg"}
    assert asked == set()
    assert diagram.to_html(str(tmp_path / "other.html")).read_text(encoding="utf-8") == page
    assert (tmp_path / "picture.dot").read_text(encoding="utf-8") == diagram.source


def test_an_unknown_format_is_refused(diagram, tmp_path):
    with pytest.raises(ValueError, match=r"unknown format '.jpg'.*svg.*json, .graphml"):
        diagram.render(tmp_path / "picture.jpg")
    with pytest.raises(ValueError, match="unknown format ''"):
        diagram.render(tmp_path / "picture")


def test_a_failure_leaves_the_old_file(drawn, tmp_path, monkeypatch):
    path = drawn.render(tmp_path / "a.svg")
    old = path.read_bytes()

    def full(self, content):
        with open(self, "wb") as file:
            file.write(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match="No space left") as caught:
        drawn.render(path)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["a.svg"]


def test_a_place_that_cannot_be_written_is_named(drawn, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"nowhere/a\.svg"):
        drawn.render(tmp_path / "nowhere" / "a.svg")
    (tmp_path / "b.svg").mkdir()
    with pytest.raises(IsADirectoryError, match=r"b\.svg"):
        drawn.render(tmp_path / "b.svg")
    file = drawn.render(tmp_path / "c.svg")
    with pytest.raises(NotADirectoryError, match=r"c\.svg/d\.svg"):
        drawn.render(file / "d.svg")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match=r"c\.svg"):
        drawn.render(file)
    assert sorted(os.listdir(tmp_path)) == ["b.svg", "c.svg"]


def test_files_keep_their_mode_and_links_their_target(drawn, tmp_path):
    path = tmp_path / "a.svg"
    path.write_text("old")
    path.chmod(0o640)
    (tmp_path / "link.svg").symlink_to(path)
    drawn.render(tmp_path / "link.svg")
    assert (tmp_path / "link.svg").is_symlink()
    assert path.read_text(encoding="utf-8") == drawn.svg()
    assert path.stat().st_mode & 0o777 == 0o640
    fresh = drawn.render(tmp_path / "b.svg")
    (tmp_path / "plain").write_text("")
    assert fresh.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_devices_take_what_is_written(drawn, tmp_path):
    (tmp_path / "null.svg").symlink_to(os.devnull)
    drawn.render(tmp_path / "null.svg")
    assert not os.path.isfile(os.devnull)


# --- in notebooks


def test_notebooks_show_it(diagram):
    assert diagram._repr_svg_() == diagram.svg()
    frame, image, style = ET.fromstring(diagram._repr_html_())
    assert (frame.tag, image.tag, style.tag) == ("iframe", "img", "style")
    assert picture_of(image) == diagram.svg()
    assert frame.get("srcdoc").startswith("<!DOCTYPE html>")
    assert frame.get("title") == "a <title> & more"
    assert "allow-same-origin" not in frame.get("sandbox")


def test_notebooks_show_charts_and_large_pictures_plainly():
    chart = Diagram(replace(sketch(), boxes=(), wires=()), nx.MultiDiGraph())
    frame, image, _ = ET.fromstring(chart._repr_html_())
    assert chart.svg().replace("\n", " ") in frame.get("srcdoc")  # as XML reads attributes
    assert picture_of(image) == chart.svg()
    assert repr(chart) == "<diagram 'A sketch': a chart>"
    many = replace(sketch(), boxes=sketch().boxes * 300)
    (alone,) = ET.fromstring(Diagram(many, graph())._repr_html_())  # held once
    assert picture_of(alone) == Diagram(many, graph()).svg()
    assert repr(Diagram(many, graph())) == "<diagram 'A sketch': 1800 nodes>"


def picture_of(image: ET.Element) -> str:
    """Return the SVG that an image holds in its address."""
    head, data = image.get("src").split(",")
    assert head == "data:image/svg+xml;base64"
    return b64decode(data).decode()


def test_every_form_is_in_the_bundle(diagram):
    data, metadata = diagram._repr_mimebundle_()
    assert data["text/plain"] == repr(diagram)
    assert data["text/html"] == diagram._repr_html_()
    assert data["image/svg+xml"] == diagram.svg()
    assert data["image/png"].startswith(b"\x89PNG")
    size = metadata["image/png"]
    assert size["width"] == pytest.approx(diagram.scene.width, abs=2)
    assert list(diagram._repr_mimebundle_(include={"text/html"})[0]) == ["text/html"]
    left, metadata = diagram._repr_mimebundle_(exclude={"image/png", "text/html"})
    assert (list(left), metadata) == (["text/plain", "image/svg+xml"], {})


def test_a_notebook_gets_no_png_where_none_can_be_drawn(drawn, alone, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert list(drawn._repr_mimebundle_()[0]) == ["text/plain", "text/html", "image/svg+xml"]
    many = Diagram(replace(sketch(), boxes=sketch().boxes * 300), graph())
    assert "image/png" not in many._repr_mimebundle_()[0]


def test_a_graph_may_be_made_when_it_is_asked_for():
    calls = []

    def make():
        calls.append(1)
        return graph()

    drawn = Diagram(sketch(), make)
    drawn.svg(), drawn.source, repr(drawn)
    assert calls == []
    assert drawn.graph is drawn.graph
    assert drawn.graph.nodes == graph().nodes
    assert calls == [1]


def test_the_title_is_escaped(diagram):
    assert "a &lt;title&gt; &amp; more" in diagram.svg()


@slow_beside("viz/test_golden.py::test_two_hash_seeds_give_the_same_bytes")
def test_every_text_is_the_same_under_any_hash_seed():
    code = (
        "from tests.viz.sketches import sketch, graph\n"
        "from viz.diagram import Diagram\n"
        "from viz.writers import raster, records\n"
        "import sys, hashlib\n"
        "d = Diagram(sketch(), graph())\n"
        "out = d.svg() + d.source + records.to_json(d.graph, 't')\n"
        "out += records.to_graphml(d.graph, 't')\n"
        "print(hashlib.sha256(out.encode() + raster.write(d.scene, 'png')).hexdigest())"
    )
    found = {
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True,
                       env={**os.environ, "PYTHONHASHSEED": seed}).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(found) == 1
