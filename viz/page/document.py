"""Write a scene and its graph as one interactive HTML page that needs nothing else.

The page pans, zooms, searches, folds time and layers, counts paths, plays the passes and shows the
norms of all steps at one glance. Up to `SVG_LIMIT` boxes and wires it holds the very picture of
`svg.py`, above that a canvas. In a notebook it stands in a frame, with an image for where frames
are taken away. Above scenes and their writers; styles and scripts are in `assets/`.
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from string import Template

import networkx as nx

from viz.dark import rules
from viz.page.data import encode
from viz.scene import Scene, Swatch
from viz.writers import svg
from viz.writers.primitives import height, sign_width, wedge

SVG_LIMIT = 5_000
SCRIPTS = (
    "model.js", "axis.js", "folding.js", "strokes.js", "spatial.js", "order.js", "paths.js",
    "search.js", "marks.js", "growth.js", "dock.js", "svg_view.js", "trunks.js", "canvas_view.js",
    "canvas_wires.js", "camera.js", "gestures.js", "ruler.js", "headings.js", "timeline.js",
    "overview_lines.js", "overview.js", "card.js", "histogram.js",
    "list.js", "panels.js", "fold_panel.js", "path_panel.js", "player.js", "walk.js",
    "keyboard.js", "app.js",
)  # fmt: skip
COLOR = re.compile(r' (?:fill|stroke)="(#[0-9a-fA-F]{3,6})"')
LARGEST = 1_500  # boxes and wires of the largest picture that is a page within a notebook
FRAME = 760  # pixels: the greatest height of that page
CONTROLS = 250  # pixels: what the page needs around a small picture
BAR = 18  # pixels: a scroll bar under a plain picture that is too wide
LIVE = "bptt-live"  # the class of the frame


def in_notebook(scene: Scene, picture: str, graph: nx.MultiDiGraph | None) -> str:
    """Return HTML that shows a scene, its SVG being `picture`, in trusted notebooks and others.

    The frame holds the interactive page, or the plain picture where there is no `graph`.
    """
    if graph is None:
        inside, high = _plain(picture), height(scene) + BAR
    else:
        inside, high = page(scene, graph), min(FRAME, scene.height + CONTROLS)
    return (
        f'<div style="overflow:auto"><iframe class="{LIVE}" srcdoc="{escape(inside)}" '
        f'sandbox="allow-scripts allow-downloads" title="{escape(scene.title)}" '
        f'style="display:block;width:100%;height:{round(high)}px;border:0"></iframe>'
        f"{_image(picture, scene.title)}<style>.{LIVE}+img{{display:none}}</style></div>"
    )


def still(scene: Scene, picture: str) -> str:
    """Return HTML that shows the SVG `picture` as an image and holds it only once."""
    return f'<div style="overflow:auto">{_image(picture, scene.title)}</div>'


def _image(picture: str, title: str) -> str:
    data = b64encode(picture.encode()).decode("ascii")
    return f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(title)}"/>'


def _plain(picture: str) -> str:
    """Return a document that holds nothing but a picture, which tells more where one hovers."""
    return f'<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">{picture}</body>'


def page(scene: Scene, graph: nx.MultiDiGraph, *, svg_limit: int = SVG_LIMIT) -> str:
    """Return the page as text: HTML with style, scripts and data inside, and no address anywhere.

    `graph` tells more of the boxes and wires by the keys of the boxes (see `viz.to_networkx`).
    Scenes of more than `svg_limit` boxes and wires are drawn on a canvas; those without boxes get
    no controls of graphs. Raises ValueError for a negative `svg_limit`.

    >>> import networkx as nx
    >>> from viz.scene import Scene
    >>> page(Scene("Empty", 100, 50, (), ()), nx.MultiDiGraph())[:15]
    '<!DOCTYPE html>'
    """
    if svg_limit < 0:
        raise ValueError(f"page: svg_limit must be at least 0, got {svg_limit}")
    elements = len(scene.boxes) + len(scene.wires)
    mode = "svg" if elements <= svg_limit else "canvas"
    picture = svg.write(scene, dark=False) if mode == "svg" else _canvas(scene)
    legend = "\n".join(map(_swatch, scene.legend))
    style = _asset("page.css") + rules(COLOR.findall(picture + legend), ":is(.sheet,.swatch)")
    scripts = [_asset(name) for name in SCRIPTS]
    return Template(_asset("page.html")).substitute(
        policy=_policy(scripts),
        title=_words(scene.title or "Diagram"),
        style=style,
        what="graph" if scene.boxes else "chart",
        mode=mode,
        picture=picture,
        legend=legend,
        notes="\n".join(f"<p>{_words(note)}</p>" for note in scene.notes),
        data=encode(scene, graph, mode),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )


def _asset(name: str) -> str:
    return files("viz").joinpath("page", "assets", name).read_text(encoding="utf-8")


def _words(text: str) -> str:
    """Return text for HTML, without control characters and lone surrogates."""
    kept = (c if c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\x7f\ufffe\uffff" else " "
            for c in text)  # fmt: skip
    return escape("".join(kept))


def _policy(scripts: Iterable[str]) -> str:
    """Return the rule for browsers: fetch nothing, and run these scripts and no others."""
    hashes = (b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts)
    allowed = " ".join(f"'sha256-{one}'" for one in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _canvas(scene: Scene) -> str:
    """Return a canvas for a picture too large for SVG, and a line for where scripts are off."""
    size = f"{len(scene.boxes):,} boxes and {len(scene.wires):,} wires"
    return (
        f'<canvas class="picture"></canvas>\n<noscript><p class="sorry">{size} are drawn by a '
        "script, and scripts are off here. Write the .svg instead to see them.</p></noscript>"
    )


def _swatch(swatch: Swatch) -> str:
    """Return a line of the legend as HTML."""
    wide = round(sign_width(swatch)) + 2
    if swatch.wedge:
        sign = "".join(
            f'<path d="M{"L".join(f"{x:.2f} {y:.2f}" for x, y in area)}Z" fill="{color}"/>'
            for area, color in wedge(swatch, 1, 9)
        )
    elif swatch.box:
        sign = (
            f'<rect x="6" y="3" width="24" height="12" rx="3" fill="{swatch.box}" '
            f'stroke="{swatch.color}" stroke-width="1.4"/>'
        )
    else:
        dash = f' stroke-dasharray="{swatch.dash}"' if swatch.dash else ""
        sign = (
            f'<path d="M1 9H35" stroke="{swatch.color}" stroke-width="{swatch.width:.2f}"{dash}/>'
        )
    if swatch.mark:
        sign += f'<text x="18" y="14" text-anchor="middle">{_words(swatch.mark)}</text>'
    return (
        f'<li><svg class="swatch" width="{wide}" height="18" aria-hidden="true">{sign}</svg>'
        f"{_words(swatch.text)}</li>"
    )
