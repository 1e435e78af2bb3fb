"""What every draw function returns: a picture that shows itself in notebooks and writes files."""

from functools import cached_property
from html import escape
from pathlib import Path

import graphviz
import networkx as nx

from viz import dot, svg
from viz.scene import Scene

FORMATS = (".svg", ".html", ".dot", ".gv", ".png", ".pdf")


class Diagram:
    """A laid-out drawing: `graph` is the networkx graph it shows, `source` its DOT text.

    `svg()` gives the picture as text, `render(path)` writes a file by its suffix.
    """

    def __init__(self, scene: Scene, graph: nx.MultiDiGraph) -> None:
        self.scene = scene
        self.graph = graph

    @cached_property
    def source(self) -> str:
        """The drawing as DOT, every position pinned."""
        return str(dot.digraph(self.scene).source)

    def svg(self) -> str:
        """The drawing as an SVG document."""
        return svg.write(self.scene)

    def to_html(self, path: str | Path) -> Path:
        """Write one HTML file that holds the drawing and needs nothing else."""
        page = (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            f"<title>{escape(self.scene.title)}</title></head>\n"
            f'<body style="margin:0;overflow:auto">\n{self.svg()}</body></html>\n'
        )
        path = Path(path)
        path.write_text(page, encoding="utf-8")
        return path

    def render(self, path: str | Path) -> Path:
        """Write the drawing: .svg, .html, .dot or .gv always, .png and .pdf by Graphviz.

        Raises ValueError for another suffix, RuntimeError where Graphviz is needed and missing.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix not in FORMATS:
            raise ValueError(f"render: unknown format {path.suffix!r}; use {', '.join(FORMATS)}")
        if suffix == ".html":
            return self.to_html(path)
        if suffix in (".png", ".pdf"):
            path.write_bytes(self._by_graphviz(suffix[1:]))
        else:
            text = self.svg() if suffix == ".svg" else self.source
            path.write_text(text, encoding="utf-8")
        return path

    def _by_graphviz(self, kind: str) -> bytes:
        """The drawing as the Graphviz program `neato` writes it, nothing moved."""
        try:
            return bytes(graphviz.Source(self.source).pipe(
                format=kind, engine="neato", neato_no_op=2))  # fmt: skip
        except graphviz.ExecutableNotFound as error:
            raise RuntimeError(
                f"render: .{kind} needs the Graphviz programs (apt install graphviz, or brew or "
                "conda install graphviz); .svg, .html and .dot need nothing"
            ) from error

    def _repr_svg_(self) -> str:
        return self.svg()

    def __repr__(self) -> str:
        return f"<diagram {self.scene.title!r}: {len(self.graph)} nodes>"
