"""Writes a scene as SVG: plain text, no script, nothing fetched. Same scene, same bytes."""

import math
from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape, quoteattr

from viz.geometry import FONT, SMALL
from viz.labels import width
from viz.scene import Band, Box, Point, Rect, Scene, Shape, Swatch, Wire, Words
from viz.style import FILLS

FAMILY = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
ROUND = 5.0
LEGEND_LINE = 18.0
INK = "#202124"


def write(scene: Scene) -> str:
    """The scene as one SVG document."""
    legend, size = _legend(scene)
    height = scene.height + size + 16 * len(scene.notes)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(scene.width)}" '
        f'height="{_n(height)}" viewBox="0 0 {_n(scene.width)} {_n(height)}" '
        f'font-family="{FAMILY}" role="img" aria-label={quoteattr(_clean(scene.title))}>'
    )
    parts = [head, f"<title>{_text(scene.title)}</title>"]
    parts.append(f'<rect width="{_n(scene.width)}" height="{_n(height)}" fill="#ffffff"/>')
    parts += map(_band, scene.bands)
    parts.append(_words(scene.width / 2, 22, scene.title, 15, weight="bold"))
    parts += map(_shape, scene.shapes)
    parts += map(_wire, scene.wires)
    parts += map(_box, scene.boxes)
    parts += [part for wire in scene.wires for part in _wire_words(wire)]
    parts += legend
    for line, note in enumerate(scene.notes):
        y = scene.height + size + 16 * line + 4
        parts.append(_words(scene.width / 2, y, note, 11, color="#5f6368"))
    return "\n".join([*parts, "</svg>", ""])


def _n(value: float) -> str:
    """A number with at most two decimals, the same on every machine."""
    return f"{round(value, 2) + 0.0:.2f}".rstrip("0").rstrip(".")


def _clean(text: str) -> str:
    """Text without the characters that XML does not allow."""
    return "".join(c if c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff"
                   else " " for c in text)  # fmt: skip


def _text(text: str) -> str:
    return escape(_clean(text))


def _words(
    x: float,
    y: float,
    text: str,
    size: float,
    *,
    color: str = INK,
    weight: str = "normal",
    anchor: str = "middle",
    halo: bool = False,
    angle: float = 0.0,
) -> str:
    turned = f' transform="rotate({_n(angle)} {_n(x)} {_n(y)})"' if angle else ""
    glow = ' stroke="#ffffff" stroke-width="3" paint-order="stroke"' if halo else ""
    bold = f' font-weight="{weight}"' if weight != "normal" else ""
    return (
        f'<text x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}" fill="{color}" '
        f'text-anchor="{anchor}"{bold}{glow}{turned}>{_text(text)}</text>'
    )


def _band(band: Band) -> str:
    fill = "#f4f6f8" if band.shaded else "#fafbfc"
    rect = (
        f'<rect class="step" x="{_n(band.x)}" y="{_n(band.y)}" width="{_n(band.w)}" '
        f'height="{_n(band.h)}" rx="6" fill="{fill}"/>'
    )
    return rect + _words(band.x + band.w / 2, band.y + 14, band.heading, 11, color="#5f6368")


def _box(box: Box) -> str:
    fill, stroke = FILLS[box.kind]
    dash = ' stroke-dasharray="4 3"' if box.kind == "gap" else ""
    radius = 10 if box.kind in ("cell", "module") else 4
    parts = [
        f'<g class="node {box.kind}" data-id="{box.key}">',
        f"<title>{_text(box.title)}</title>" if box.title else "",
        f'<rect x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(box.w)}" height="{_n(box.h)}" '
        f'rx="{radius}" fill="{fill}" stroke="{stroke}" stroke-width="1.4"{dash}/>',
    ]
    words = FONT + (SMALL + 4) * (len(box.lines) - 1)
    first = box.y + (box.h - words) / 2 + FONT - 2
    for line, text in enumerate(box.lines):
        size = FONT if line == 0 else SMALL
        y = first + line * (SMALL + 4)
        color = INK if line == 0 else "#5f6368"
        parts.append(_words(box.x + box.w / 2, y, text, size, color=color))
    if box.mark:
        parts.append(_words(box.x + box.w, box.y + 4, box.mark, 15, weight="bold", color="#b00020"))
    return "".join([*parts, "</g>"])


def _shape(shape: Shape) -> str:
    """A piece of a chart."""
    if isinstance(shape, Words):
        return _words(
            shape.x, shape.y, shape.text, shape.size, color=shape.color, anchor=shape.anchor,
            weight="bold" if shape.bold else "normal", halo=shape.halo, angle=shape.angle,
        )  # fmt: skip
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


def _wire(wire: Wire) -> str:
    dash = f' stroke-dasharray="{wire.dash}"' if wire.dash else ""
    tip, line = _arrow(wire.points, wire.width)
    return (
        f'<g class="edge {wire.kind}" data-source="{wire.source}" data-target="{wire.target}">'
        f"<title>{_text(wire.title)}</title>"
        f'<path d="{_path(line)}" fill="none" stroke="{wire.color}" '
        f'stroke-width="{_n(wire.width)}" stroke-linejoin="round"{dash}/>'
        f'<path d="{tip}" fill="{wire.color}"/></g>'
    )


def _wire_words(wire: Wire) -> Iterator[str]:
    """The label and the mark of a wire, over everything else."""
    if wire.label and wire.label_at:
        x, y = wire.label_at
        color = wire.color if wire.kind != "backward" else "#8e1212"
        yield _words(x, y, wire.label, SMALL, color=color, halo=True)
    if wire.mark and wire.mark_at:
        x, y = wire.mark_at
        yield _words(x, y + 5, wire.mark, 15, weight="bold", color="#111111", halo=True)


def _arrow(points: tuple[Point, ...], wide: float) -> tuple[str, tuple[Point, ...]]:
    """The arrow head at the end of a line, and the line cut short to meet it."""
    (ax, ay), (bx, by) = points[-2], points[-1]
    length = math.dist((ax, ay), (bx, by)) or 1.0
    ux, uy = (bx - ax) / length, (by - ay) / length
    size = min(5.0 + wide, max(length, 3.0))
    half = size * 0.5
    cx, cy = bx - ux * size, by - uy * size
    corners = ((bx, by), (cx - uy * half, cy + ux * half), (cx + uy * half, cy - ux * half))
    tip = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in corners) + "Z"
    return tip, (*points[:-1], (bx - ux * size * 0.8, by - uy * size * 0.8))


def _path(points: tuple[Point, ...]) -> str:
    """A line through points with its corners rounded."""
    out = [f"M{_n(points[0][0])} {_n(points[0][1])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        r = min(ROUND, math.dist(before, corner) / 2, math.dist(corner, after) / 2)
        start, end = _toward(corner, before, r), _toward(corner, after, r)
        out.append(f"L{_n(start[0])} {_n(start[1])}")
        out.append(f"Q{_n(corner[0])} {_n(corner[1])} {_n(end[0])} {_n(end[1])}")
    out.append(f"L{_n(points[-1][0])} {_n(points[-1][1])}")
    return "".join(out)


def _toward(start: Point, goal: Point, distance: float) -> Point:
    length = math.dist(start, goal) or 1.0
    share = distance / length
    return start[0] + (goal[0] - start[0]) * share, start[1] + (goal[1] - start[1]) * share


def _legend(scene: Scene) -> tuple[list[str], float]:
    """The legend in as many lines as it takes, and their height."""
    x, y = 20.0, scene.height + 10
    parts: list[str] = []
    for swatch in scene.legend:
        needed = 44 + width(swatch.text, 11) + 14
        if x + needed > scene.width and x > 20:
            x, y = 20.0, y + LEGEND_LINE
        parts += _swatch(swatch, x, y)
        x += needed
    return parts, (y - scene.height + 16) if scene.legend else 0.0


def _swatch(swatch: Swatch, x: float, y: float) -> Iterable[str]:
    if swatch.box:
        yield (
            f'<rect x="{_n(x + 6)}" y="{_n(y - 6)}" width="24" height="12" rx="3" '
            f'fill="{swatch.box}" stroke="{swatch.color}" stroke-width="1.4"/>'
        )
    else:
        dash = f' stroke-dasharray="{swatch.dash}"' if swatch.dash else ""
        yield (
            f'<path d="M{_n(x)} {_n(y)}L{_n(x + 34)} {_n(y)}" stroke="{swatch.color}" '
            f'stroke-width="{_n(swatch.width)}"{dash}/>'
        )
    if swatch.mark:
        yield _words(x + 17, y + 5, swatch.mark, 15, weight="bold", color="#111111", halo=True)
    yield _words(x + 40, y + 4, swatch.text, 11, anchor="start")
