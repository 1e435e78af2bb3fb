"""Define what draw functions return: a picture that shows itself in notebooks and writes files.

Above all writers, below the drawings.
"""

import errno
import os
import secrets
import shutil
import struct
import subprocess
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any

import networkx as nx

from engine.suggestions import Advised
from viz.instead import DIAGRAMS
from viz.labels import fit, short
from viz.page.document import LARGEST, in_notebook, page, still
from viz.scene import Band, Scene, Words
from viz.writers import animation, dot, fonts, raster, records, svg
from viz.writers.primitives import sign_width

FORMATS = (".svg", ".html", ".png", ".pdf", ".dot", ".gv", ".json", ".graphml")
WORDS = 60  # characters on a wire
TEMPORARY = ".bptt-"  # how files begin that are being written
DPI = 144  # two dots to a pixel of the scene
RASTERED = (
    400  # boxes and wires of the largest picture that notebooks get as PNG too: half a second
)


class Diagram(Advised):
    """Hold a laid-out drawing: `graph` is the networkx graph it shows, `source` its DOT text.

    `svg()` gives the picture as text, `render(path)` writes a file by its suffix. In a notebook it
    shows itself, also in one that is not trusted. `graph` may also be given as a function, which is
    called when it is first needed.

    >>> import engine, rnn, viz
    >>> diagram = viz.draw_rolled(rnn.GRU(3, 4)(engine.ones((5, 1, 3)))[0])
    >>> diagram.svg()[:4], diagram.graph.number_of_nodes()
    ('<svg', 5)
    """

    _advice = DIAGRAMS

    def __init__(
        self, scene: Scene, graph: nx.MultiDiGraph | Callable[[], nx.MultiDiGraph]
    ) -> None:
        self.scene = _fitted(scene)
        self._title = scene.title
        self._graph = graph

    @cached_property
    def graph(self) -> nx.MultiDiGraph:
        """Return the graph of the picture: a node for each box, with all that is known of it."""
        return self._graph if isinstance(self._graph, nx.Graph) else self._graph()

    @cached_property
    def source(self) -> str:
        """Return the drawing as DOT, every position pinned: ``dot -Tsvg`` draws it."""
        return str(dot.digraph(self.scene).source)

    def svg(self, *, dark: bool = True) -> str:
        """Return the drawing as an SVG document.

        It darkens by itself where dark colours are preferred, unless `dark` is off.
        """
        return svg.write(self.scene, dark=dark)

    def to_html(self, path: str | Path) -> Path:
        """Write one interactive HTML file that needs nothing else.

        Raises OSError where it cannot be written; what was there before then stays.
        """
        return _write(Path(path), page(self.scene, self.graph).encode())

    def render(self, path: str | Path) -> Path:
        """Write the drawing in the format that the suffix of `path` names.

        .svg, .html, .dot or .gv, .json and .graphml are written here; .png and .pdf by Graphviz
        where it is installed and can draw all of it, else by matplotlib.
        Raises ValueError for another suffix, OSError where the file cannot be written (what was
        there before then stays), RuntimeError where nothing here draws a .png or .pdf.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix not in FORMATS:
            raise ValueError(f"render: unknown format {path.suffix!r}; use {', '.join(FORMATS)}")
        if suffix in (".png", ".pdf"):
            return _write(path, self._drawn(suffix[1:]))
        return _write(path, self._text(suffix).encode())

    def animate(self, path: str | Path) -> Path:
        """Write an SVG in which the gradient travels back from the loss, without a script.

        It is still where the reader asks for less motion. Raises ValueError for a picture without
        gradients and for another suffix than .svg, OSError where it cannot be written.
        """
        if Path(path).suffix.lower() != ".svg":
            raise ValueError(f"animate: expected a path that ends in .svg, got {str(path)!r}")
        return _write(Path(path), animation.write(self.scene).encode())

    def _text(self, suffix: str) -> str:
        if suffix == ".svg":
            return self.svg()
        if suffix == ".html":
            return page(self.scene, self.graph)
        if suffix == ".json":
            return records.to_json(self.graph, self._title)
        if suffix == ".graphml":
            return records.to_graphml(self.graph, self._title)
        return self.source

    def _drawn(self, kind: str) -> bytes:
        """Return the picture as PNG or PDF."""
        found = self._by_graphviz(kind) if dot.holds(self.scene) else None
        if found:
            fonts.warn_of_missing(fonts.unknown_to_graphviz(self.scene), kind, stacklevel=3)
            return found
        try:
            return raster.write(self.scene, kind)
        except ImportError as error:
            raise RuntimeError(
                f"render: .{kind} needs matplotlib (pip install matplotlib) or the Graphviz "
                "programs (apt install graphviz, or brew or conda install graphviz); "
                ".svg, .html and .dot need nothing"
            ) from error

    def _by_graphviz(self, kind: str) -> bytes | None:
        """Return the drawing as the Graphviz program `neato` writes it, None where it does not."""
        try:
            import graphviz
        except ImportError:
            return None
        sharp = dot.digraph(self.scene)
        sharp.attr(dpi=str(DPI if kind == "png" else 72))
        if kind == "pdf" and self.scene.shown:
            sharp.attr(size=f"{self.scene.shown / 72:g},{raster.PAGE / 72:g}")  # inches, at most
        try:
            return bytes(sharp.pipe(format=kind, engine="neato", neato_no_op=2, quiet=True))
        except (graphviz.ExecutableNotFound, subprocess.CalledProcessError):
            return None

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return all forms of the picture for a notebook, by MIME type, and the size of the PNG.

        HTML shows the interactive page where the notebook is trusted and an image where it is not.
        A PNG is there where Graphviz or matplotlib is and the picture is small.
        """
        forms: dict[str, Callable[[], Any]] = {
            "text/plain": self.__repr__,
            "text/html": self._repr_html_,
            "image/svg+xml": self.svg,
            "image/png": self._small_png,
        }
        asked = [
            kind
            for kind in forms
            if (include is None or kind in include) and kind not in (exclude or ())
        ]
        data = {kind: found for kind in asked if (found := forms[kind]()) is not None}
        png = data.get("image/png")
        return data, {"image/png": _shown_size(png)} if png else {}

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_html_(self) -> str:
        """Return the interactive page in a frame, and an image for where frames are taken away.

        A chart is its plain picture in the frame; a large picture is an image alone.
        """
        scene = self.scene
        if len(scene.boxes) + len(scene.wires) > LARGEST:
            return still(scene, self.svg())
        return in_notebook(scene, self.svg(), self.graph if scene.boxes else None)

    def _small_png(self) -> bytes | None:
        """Return the picture as PNG, None where it is large or nothing here can draw it."""
        if len(self.scene.boxes) + len(self.scene.wires) > RASTERED:
            return None
        with suppress(Exception):  # a notebook shows the other forms
            return self._drawn("png")
        return None

    def __repr__(self) -> str:
        nodes = len(self.scene.boxes)
        return f"<diagram {self.scene.title!r}: {f'{nodes} nodes' if nodes else 'a chart'}>"


def _fitted(scene: Scene) -> Scene:
    """Return the scene with no line of text wider than its room: names may be of any length."""
    room = scene.width - 16
    wires = scene.wires
    if max(map(len, map(attrgetter("label"), wires)), default=0) > WORDS:
        wires = tuple(wire._replace(label=short(wire.label, WORDS)) for wire in wires)
    return replace(
        scene,
        title=fit(scene.title, room, 15, bold=True),
        bands=tuple(map(_band, scene.bands)),
        wires=wires,
        legend=tuple(
            line._replace(text=fit(line.text, room - 16 - sign_width(line), 11))
            for line in scene.legend
        ),
        notes=tuple(fit(note, room, 11) for note in scene.notes),
        shapes=tuple(
            shape._replace(text=fit(shape.text, room, shape.size))
            if isinstance(shape, Words)
            else shape
            for shape in scene.shapes
        ),
    )


def _band(band: Band) -> Band:
    heading = fit(band.heading, band.w, 11)
    return band if heading == band.heading else band._replace(heading=heading)


def _shown_size(png: bytes) -> dict[str, int]:
    """Return how large a PNG is shown, in pixels of the scene, by what it says of itself."""
    wide, high = struct.unpack(">II", png[16:24])
    return {"width": round(wide * 72 / DPI), "height": round(high * 72 / DPI)}


def _write(path: Path, content: bytes) -> Path:
    """Write a file whole or not at all: beside its place, then into it."""
    place = Path(os.path.realpath(path))
    if place.exists() and not place.is_file():  # a pipe or a device takes what comes
        path.write_bytes(content)
        return path
    beside = place.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
    try:
        if place.exists() and not os.access(place, os.W_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        beside.write_bytes(content)
        if place.exists():
            shutil.copymode(place, beside)
        beside.replace(place)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            beside.unlink()
    return path
