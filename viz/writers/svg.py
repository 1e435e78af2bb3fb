"""Write a scene as SVG: plain text, no script, nothing fetched. Same scene, same bytes."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from operator import attrgetter
from xml.sax.saxutils import escape, quoteattr

from viz.dark import night
from viz.gc_pause import gc_paused
from viz.labels import clean
from viz.moved import Moved, moved
from viz.scene import Band, Box, Line, Rect, Scene, Shape, Swatch, Wire, Words
from viz.style import FILLS
from viz.writers import formulas
from viz.writers.paths import digits as _n
from viz.writers.paths import drawn, reaching
from viz.writers.primitives import (
    FAINT,
    GRADIENT,
    INK,
    ROUND_BOXES,
    SIGN,
    band_heading,
    box_words,
    headline,
    height,
    legend_places,
    notes,
    shade,
    swatch_words,
    wedge,
    wire_words,
)

FAMILY = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
HIDDEN = '<path class="hidden" d="{}{}" fill="none" stroke="transparent" stroke-width="10"/>'
NAME = "bptt"  # the class of the document: its rules leave other pictures of a page alone
PAPER, BAND, BAND_EVEN = "#ffffff", "#fafbfc", "#f4f6f8"
MARK, BOX_MARK = "#111111", "#b00020"


def _dark_style(scene: Scene) -> str:
    """Return the style element that darkens a scene where dark colours are preferred."""
    return f"<style>{night(_colors(scene), f'.{NAME}')}</style>"


def _colors(scene: Scene) -> Iterator[str]:
    yield from (PAPER, INK, FAINT)
    if scene.bands:
        yield from (BAND, BAND_EVEN)
    for kind, own, dim in dict.fromkeys(map(attrgetter("kind", "fill", "dim"), scene.boxes)):
        yield from _shaded((*(own or FILLS[kind]), INK, FAINT, BOX_MARK), dim=dim)
    for color, dim in dict.fromkeys(map(attrgetter("color", "dim"), scene.wires)):
        yield from _shaded((color, GRADIENT, MARK), dim=dim)
    for shape in scene.shapes:
        yield from _of_shape(shape)
    for swatch in scene.legend:
        yield from (swatch.color, swatch.box, MARK, *(color for color, _ in swatch.wedge))


def _shaded(colors: Iterable[str], *, dim: bool) -> Iterator[str]:
    return (shade(color, dim=dim) for color in colors)


def _of_shape(shape: Shape) -> tuple[str, ...]:
    if isinstance(shape, Rect):
        return (shape.fill, shape.stroke)
    if isinstance(shape, Line):
        return (shape.color, shape.fill)
    return (shape.color,)


@gc_paused()
def write(scene: Scene, *, dark: bool = True) -> str:
    """Return the scene as one SVG document, with a style for dark screens unless `dark` is off."""
    high = height(scene)
    scale = scene.shown / scene.width if scene.shown else 1.0
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{NAME}" '
        f'width="{_n(scene.width * scale)}" height="{_n(high * scale)}" '
        f'viewBox="0 0 {_n(scene.width)} {_n(high)}" '
        f'font-family="{FAMILY}" role="img" aria-label={quoteattr(clean(scene.title))}>'
    )
    parts = [head, f"<title>{_text(scene.title)}</title>", *formulas.links(scene)]
    parts += [_dark_style(scene)] if dark else []
    parts.append(
        f'<rect width="{_n(scene.width)}" height="{_n(high)}" class="paper" fill="#ffffff"/>'
    )
    parts += map(_band, scene.bands)
    parts.append(_words(headline(scene), "title"))
    parts += map(_shape, scene.shapes)
    parts += _wires(scene.wires, hovered=bool(scene.links))
    parts += _boxes(scene.boxes)
    parts += _wire_words(scene.wires)
    parts += [part for place in legend_places(scene) for part in _swatch(*place)]
    parts += [_words(note, "note") for note in notes(scene)]
    return "\n".join([*parts, "</svg>", ""])


def _text(text: str) -> str:
    """Return text as XML has it; most of it, which is read here once, needs no change."""
    text = text.replace("\n", " ")
    plain = text.isprintable() and "<" not in text and ">" not in text and "&" not in text
    return text if plain else escape(clean(text))


def _words(words: Words, kind: str = "") -> str:
    x, y, text, size, color, anchor, bold, angle, halo, _ = words
    turned = f' transform="rotate({_n(angle)} {_n(x)} {_n(y)})"' if angle else ""
    start, dressed = _font(size, color, bold, anchor, halo, kind)
    return f'{start} x="{_n(x)}" y="{_n(y)}"{dressed}{turned}>{_text(text)}</text>'


@lru_cache(maxsize=4096)
def _font(
    size: float, color: str, bold: bool, anchor: str, halo: bool, kind: str
) -> tuple[str, str]:
    """Return what stands before and after the place of a line of text."""
    glow = ' stroke="#ffffff" stroke-width="3" paint-order="stroke"' if halo else ""
    weight = ' font-weight="bold"' if bold else ""
    named = f' class="{kind}"' if kind else ""
    dressed = f' font-size="{_n(size)}" fill="{color}" text-anchor="{anchor}"{weight}{glow}'
    return f"<text{named}", dressed


def _band(band: Band) -> str:
    fill = "#f4f6f8" if band.shaded else "#fafbfc"
    rect = (
        f'<rect class="step" x="{_n(band.x)}" y="{_n(band.y)}" width="{_n(band.w)}" '
        f'height="{_n(band.h)}" rx="6" fill="{fill}"/>'
    )
    return rect + _words(band_heading(band), "heading")


def _boxes(boxes: Iterable[Box]) -> Iterator[str]:
    n, text, inside = _n, _text, _box_inside
    for key, x, y, w, h, kind, lines, title, mark, dim, fill in boxes:
        named = f"<title>{text(title)}</title>" if title else ""
        yield (
            f'<g class="node {kind}" data-id="{key}">{named}'
            f'<g transform="translate({n(x)} {n(y)})">'
            f"{inside(w, h, kind, lines, mark, fill, dim)}</g></g>"
        )


@lru_cache(maxsize=65536)  # boxes of different steps are mostly alike
def _box_inside(
    w: float,
    h: float,
    kind: str,
    lines: tuple[str, ...],
    mark: str,
    own: tuple[str, str] | None,
    dim: bool,
) -> str:
    fill, stroke = (shade(color, dim=dim) for color in own or FILLS[kind])
    dash = ' stroke-dasharray="4 3"' if kind == "gap" else ""
    radius = 10 if kind in ROUND_BOXES else 4
    parts = [
        f'<rect width="{_n(w)}" height="{_n(h)}" rx="{radius}" fill="{fill}" stroke="{stroke}" '
        f'stroke-width="1.4"{dash}/>'
    ]
    return "".join(
        [*parts, *map(_words, box_words(Box(0, 0, 0, w, h, kind, lines, "", mark, dim)))]
    )


def _shape(shape: Shape) -> str:
    """Return a piece of a chart."""
    if isinstance(shape, Words) and shape.runs:
        return formulas.formula(shape)
    if isinstance(shape, Words):
        return _words(shape, "chart")
    title = f"<title>{_text(shape.title)}</title>" if shape.title else ""
    if isinstance(shape, Rect):
        edge = f' stroke="{shape.stroke}"' if shape.stroke else ""
        return (
            f'<rect class="chart" x="{_n(shape.x)}" y="{_n(shape.y)}" width="{_n(shape.w)}" '
            f'height="{_n(shape.h)}" fill="{shape.fill}"{edge}>{title}</rect>'
        )
    dash = f' stroke-dasharray="{shape.dash}"' if shape.dash else ""
    way = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in shape.points)
    return (
        f'<path class="chart" d="{way}{"Z" if shape.fill else ""}" fill="{shape.fill or "none"}" '
        f'stroke="{shape.color}" stroke-width="{_n(shape.width)}" '
        f'stroke-linejoin="round"{dash}>{title}</path>'
    )


def _wires(wires: Iterable[Wire], *, hovered: bool = False) -> Iterator[str]:
    """Yield every wire: its line, its head and, for pointers, an unseen wide line if `hovered`."""
    dress, text = _dress, _text
    for source, target, points, kind, color, wide, dash, _, _, title, _, _, dim in wires:
        way = points if type(points) is Moved else moved(points)
        x, y = way.form.points[0]
        x += way.by + way.start
        dressed, tipped = dress(color, wide, dash, dim)
        if way.start or way.end:
            tip, line = reaching(way.form, wide, way.start, way.end)
        else:
            tip, line = drawn(way.form, wide)
        start = f"M{x} {y}" if type(x) is int and type(y) is int else f"M{_n(x)} {_n(y)}"
        yield (
            f'<g class="edge {kind}" data-source="{source}" data-target="{target}">'
            f'<title>{text(title)}</title><path d="{start}{line}"{dressed}'
            f'<path d="{start}{tip}"{tipped}'
            f"{HIDDEN.format(start, line) if hovered else ''}</g>"
        )


@lru_cache(maxsize=4096)
def _dress(color: str, wide: float, dash: str, dim: bool) -> tuple[str, str]:
    """Return the attributes of a line and of its head."""
    color = shade(color, dim=dim)
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    line = f'stroke="{color}" stroke-width="{_n(wide)}" stroke-linejoin="round"{dashed}'
    return f' fill="none" {line}/>', f' fill="{color}"/>'


def _wire_words(wires: Iterable[Wire]) -> Iterator[str]:
    """Yield the label and the mark of each wire, over everything else."""
    for wire in wires:
        if wire.label or wire.mark:
            for words in wire_words(wire):
                yield _words(words, "wire-mark" if words.bold else "wire-label")


def _swatch(swatch: Swatch, x: float, y: float) -> Iterable[str]:
    if swatch.wedge:
        for area, color in wedge(swatch, x, y):
            way = "M" + "L".join(f"{_n(px)} {_n(py)}" for px, py in area)
            yield f'<path class="legend" d="{way}Z" fill="{color}"/>'
    elif swatch.box:
        yield (
            f'<rect class="legend" x="{_n(x + 6)}" y="{_n(y - 6)}" width="24" height="12" rx="3" '
            f'fill="{swatch.box}" stroke="{swatch.color}" stroke-width="1.4"/>'
        )
    else:
        dash = f' stroke-dasharray="{swatch.dash}"' if swatch.dash else ""
        yield (
            f'<path class="legend" d="M{_n(x)} {_n(y)}L{_n(x + SIGN)} {_n(y)}" '
            f'stroke="{swatch.color}" stroke-width="{_n(swatch.width)}"{dash}/>'
        )
    yield from (_words(words, "legend") for words in swatch_words(swatch, x, y))
