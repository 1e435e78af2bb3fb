"""Write a scene as PNG or PDF with matplotlib: the same positions and sizes as the SVG.

Matplotlib is a wheel that needs no system package, and is imported when first used. Above
primitives and fonts.
"""

import io
import math
from functools import lru_cache
from typing import Any

from viz.labels import width
from viz.scene import Scene, Words
from viz.writers.fonts import drawable, families_of, hushed, missing, warn_of_missing
from viz.writers.primitives import Stroke, height, picture

SHARPNESS = 2.0  # pixels of the PNG to one of the scene
WIDEST, LARGEST = 32_000.0, 6e7  # pixels of a side and of a whole PNG that programs still open
PAGE = 14_400.0  # points: the widest page that readers of PDF take
SIDES: dict[str, Any] = {"start": "left", "middle": "center", "end": "right"}
POINTS = 72.0  # in an inch; a pixel of the scene is drawn as a point


def write(scene: Scene, kind: str) -> bytes:
    """Return the scene as a ``"png"`` or ``"pdf"`` file; what is very large is scaled down.

    Warns of letters that no font at hand can draw. Raises ImportError without matplotlib.
    """
    import matplotlib
    from matplotlib.figure import Figure

    texts = (mark.text for mark in picture(scene) if isinstance(mark, Words))
    warn_of_missing(missing(texts), kind, stacklevel=4)
    wide, high = max(scene.width, 1.0), max(height(scene), 1.0)
    dots = _dots(wide, high) if kind == "png" else 1.0
    page = min(scene.shown / wide or 1.0, PAGE / max(wide, high)) if kind == "pdf" else 1.0
    with hushed(), matplotlib.rc_context():
        matplotlib.rcdefaults()  # no style of the caller's
        matplotlib.rcParams["pdf.fonttype"] = 42  # letters that can be searched and copied
        inches = (wide * page / POINTS, high * page / POINTS)
        figure = Figure(figsize=inches, dpi=POINTS * dots, facecolor="#ffffff")
        _draw(figure, scene, high, page)
        file = io.BytesIO()
        figure.savefig(file, format=kind, metadata=_metadata(kind, scene.title))
    return file.getvalue()


def _dots(wide: float, high: float) -> float:
    """Return the pixels of the PNG to one of the scene: fewer for a very large picture."""
    return min(SHARPNESS, WIDEST / max(wide, high), math.sqrt(LARGEST / (wide * high)))


def _metadata(kind: str, title: str) -> dict[str, Any]:
    """Return the title, and neither dates nor versions: the same scene makes the same bytes."""
    if kind == "png":
        return {"Title": title.encode("latin-1", "replace").decode("latin-1"), "Software": None}
    return {"Title": title, "Creator": None, "Producer": None, "CreationDate": None}


def _draw(figure: Any, scene: Scene, high: float, unit: float) -> None:
    """Put all strokes on the figure, `unit` points to a pixel; y grows upward there."""
    from matplotlib.transforms import Affine2D

    inch = unit / POINTS
    place = Affine2D().scale(inch, -inch).translate(0, high * inch) + figure.dpi_scale_trans
    for order, mark in enumerate(picture(scene)):
        if isinstance(mark, Stroke):
            artist = _patch(mark, unit)
        elif mark.text.strip():
            artist = _text(mark, unit)
        else:
            continue
        artist.set_transform(place)
        artist.set_zorder(order)
        figure.add_artist(artist)


def _patch(stroke: Stroke, unit: float) -> Any:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    closed = bool(stroke.fill)
    step = Path.CURVE4 if stroke.curved else Path.LINETO
    points = [*stroke.points, stroke.points[-1]] if closed else list(stroke.points)
    codes = [Path.MOVETO, *[step] * (len(stroke.points) - 1), *[Path.CLOSEPOLY] * closed]
    return PathPatch(
        Path(points, codes), facecolor=stroke.fill or "none", edgecolor=stroke.color or "none",
        linewidth=stroke.width * unit, linestyle=_dashes(stroke), joinstyle="round",
        capstyle="butt", snap=False,
    )  # fmt: skip


def _dashes(stroke: Stroke) -> Any:
    """Return dash and gap in widths of the line, as matplotlib counts them."""
    if not stroke.dash or not stroke.width:
        return "solid"
    return 0, tuple(float(part) / stroke.width for part in stroke.dash.split())


def _text(words: Words, unit: float) -> Any:
    from matplotlib.patheffects import withStroke
    from matplotlib.text import Text

    text = drawable(words.text)
    families = families_of(text)
    size = words.size * unit * _squeeze(text, words.size, words.bold, families)
    halo = [withStroke(linewidth=3 * unit, foreground="#ffffff")] if words.halo else None
    return Text(
        words.x, words.y, text, color=words.color, fontproperties=_font(size, words.bold, families),
        horizontalalignment=SIDES[words.anchor],
        verticalalignment="baseline", rotation=-words.angle, rotation_mode="anchor",
        path_effects=halo, parse_math=False,
    )  # fmt: skip


@lru_cache(maxsize=256)
def _font(size: float, bold: bool, families: tuple[str, ...]) -> Any:
    from matplotlib.font_manager import FontProperties

    weight = "bold" if bold else "normal"
    return FontProperties(family=list(families), size=size, weight=weight)


@lru_cache(maxsize=4096)
def _squeeze(text: str, size: float, bold: bool, families: tuple[str, ...]) -> float:
    """Return how much smaller the text is drawn so that it keeps to the room that it was given."""
    from matplotlib.textpath import text_to_path

    font = _font(size, bold, families)
    wide, _, _ = text_to_path.get_text_width_height_descent(text, font, False)
    return min(1.0, width(text, size, bold=bold) / wide) if wide else 1.0
