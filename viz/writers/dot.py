"""Write a scene as DOT with every position pinned, through the `graphviz` package.

Every Graphviz program draws it as laid out here, as it asks for the layout "nop2", which moves
nothing: in any other, Graphviz 2 crashes on the words of a background. The programs are not needed
to write it. Nodes and edges are those of the picture and no others: bands, charts, arrow heads,
legend and notes are the background of the graph. Above primitives and labels.
"""

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from viz.labels import FONT, SMALL, clean, width
from viz.scene import Box, Point, Scene, Wire, Words
from viz.writers.primitives import (
    ROUND_BOXES,
    Stroke,
    backdrop,
    box_words,
    caption,
    height,
    outline,
    wire_strokes,
    wire_words,
)

if TYPE_CHECKING:  # imported where DOT is written: all other pictures do without it
    import graphviz

INCH = 72.0  # Graphviz counts positions in points and sizes in inches
LIFT = 0.2  # Graphviz draws words of a background higher, by this share of their size
MIDDLE = 0.33  # from the foot of letters to their middle, as a share of their size
FACE, BOLD = "Helvetica", "Helvetica-Bold"
CLEAR = "#ffffff00"
ESCAPES = str.maketrans({"&": "&amp;", "\\": "\\\\", "\n": "\\n"})
PIECE = 2_000  # characters, or points: Graphviz reads no longer stretches of text at once
CONTINUED = "\\\n"  # ... but goes on in the next line
BACKSLASH = "∖"  # looks like one: where none can be written or \\N would be read as a name


def digraph(scene: Scene) -> "graphviz.Digraph":
    """Return the scene as a `graphviz.Digraph`; y grows upward there."""
    import graphviz

    high = height(scene)
    graph = graphviz.Digraph(
        name=graphviz.escape(clean(scene.title)),
        engine="neato",
        graph_attr={"layout": "nop2", "pad": "0", "outputorder": "nodesfirst", "bgcolor": "#ffffff",
                    "_background": _background(scene, high)},
        node_attr={"shape": "box", "style": "filled", "fixedsize": "shape", "margin": "0",
                   "penwidth": "1.4", "fontname": FACE, "fontsize": f"{FONT}",
                   "fontcolor": "#202124"},
        edge_attr={"fontname": FACE, "fontsize": f"{SMALL}", "dir": "none"},  # heads: _background
    )  # fmt: skip
    for box in scene.boxes:
        graph.node(f"n{box.key}", **_node(box, high))
    for wire in scene.wires:
        graph.edge(f"n{wire.source}", f"n{wire.target}", **_edge(wire, high))
    return graph


def holds(scene: Scene) -> bool:
    """Return whether Graphviz can draw all of a scene: it cannot turn words."""
    return not any(isinstance(shape, Words) and shape.angle for shape in scene.shapes)


def _escaped(text: str) -> str:
    """Return text with nothing that DOT would read as its own; a line break becomes DOT's."""
    import graphviz

    text = clean(text, lines=True)
    pieces = [text[i : i + PIECE] for i in range(0, len(text), PIECE)]
    plain: str = graphviz.nohtml(CONTINUED.join(piece.translate(ESCAPES) for piece in pieces))
    return plain


def _at(point: Point, high: float) -> str:
    return f"{point[0]:.2f},{high - point[1]:.2f}"


def _node(box: Box, high: float) -> dict[str, str]:
    shape = outline(box)
    rounded = box.kind in ROUND_BOXES  # Graphviz has no small round corners
    style = ",".join(["filled", *["rounded"] * rounded, *["dashed"] * bool(shape.dash)])
    attributes = {
        "label": _label(box),
        "pos": _at((box.x + box.w / 2, box.y + box.h / 2), high) + "!",
        "width": f"{box.w / INCH:.4f}",
        "height": f"{box.h / INCH:.4f}",
        "fillcolor": shape.fill,
        "color": shape.color,
        "tooltip": _escaped(box.title),
    }
    for words in box_words(box):
        if words.bold:  # its mark
            attributes |= {"xlabel": _html([words]), "xlp": _at(_middle(words), high)}
    return attributes | ({"style": style} if style != "filled" else {})


def _label(box: Box) -> str:
    """Return the words in a box: plain where all have one size and colour."""
    if len(box.lines) > 1 or box.dim:
        return _html(box_words(box._replace(mark="")))
    return _escaped(box.lines[0]) if box.lines else ""


def _edge(wire: Wire, high: float) -> dict[str, str]:
    line, _ = wire_strokes(wire)
    attributes = {
        "pos": " ".join(_at(point, high) for point in line.points),
        "color": line.color,
        "penwidth": f"{wire.width:.2f}",
        "style": _style(wire.dash),
        "tooltip": _escaped(wire.title),
    }
    for words in wire_words(wire):
        at = _at(_middle(words), high)
        if words.bold:
            attributes |= {"headlabel": _html([words]), "head_lp": at}
        else:
            attributes |= {"label": _escaped(words.text), "lp": at, "fontcolor": words.color}
    return attributes


def _style(dash: str) -> str:
    """Return the nearest of the dashes that Graphviz knows."""
    if not dash:
        return "solid"
    return "dotted" if float(dash.split()[0]) < 3 else "dashed"


def _middle(words: Words) -> Point:
    return words.x, words.y - MIDDLE * words.size


def _html(lines: Iterable[Words]) -> str:
    """Return lines of text in sizes and colours of their own, in the HTML of Graphviz."""
    return f"<{'<BR/>'.join(map(_font, lines))}>"


def _font(words: Words) -> str:
    face = f'POINT-SIZE="{words.size:g}" COLOR="{words.color}"'
    text = escape(clean(words.text).replace("\\", BACKSLASH), {"]": "&#93;"}) or " "
    # A bracket at the beginning of a line ends what Graphviz takes for a CDATA section.
    return f"<FONT {face}>{f'<B>{text}</B>' if words.bold else text}</FONT>"


def _background(scene: Scene, high: float) -> str:
    """Return what is no node and no edge, in the drawing language of Graphviz (xdot)."""
    sheet = ((0.0, 0.0), (scene.width, 0.0), (scene.width, high), (0.0, high))
    # Arrow heads of Graphviz grow into the boxes where lines are thick.
    heads = (head for wire in scene.wires for _, head in [wire_strokes(wire)])
    parts: list[str] = []
    for mark in (Stroke(sheet, fill="#ffffff"), *backdrop(scene), *heads, *caption(scene)):
        if isinstance(mark, Stroke):
            parts += _stroke(mark, high)
        elif mark.text:
            parts += _text(mark, high)
    return f" {CONTINUED}".join(parts)


def _stroke(stroke: Stroke, high: float) -> Iterator[str]:
    yield _said("c", stroke.color or CLEAR)
    yield _said("S", _style(stroke.dash))
    yield _said("S", f"setlinewidth({stroke.width:g})")
    shape = "b" if stroke.fill else "B"
    if not stroke.curved:
        shape = "P" if stroke.fill else "L"
    if stroke.fill:
        yield _said("C", stroke.fill)
    yield f"{shape} {len(stroke.points)}"
    for i in range(0, len(stroke.points), PIECE // 10):
        part = stroke.points[i : i + PIECE // 10]
        yield " ".join(f"{x:.2f} {high - y:.2f}" for x, y in part)


def _text(words: Words, high: float) -> Iterator[str]:
    """Yield a line of text, which must not be empty: Graphviz reads nothing after an empty one."""
    yield _said("c", words.color)
    yield f"F {words.size:g} {_counted(BOLD if words.bold else FACE)}"
    side = {"start": -1, "end": 1}.get(words.anchor, 0)
    for text, x, y in _pieces(words):
        at = f"{x:.2f} {high - y - LIFT * words.size:.2f}"
        yield f"T {at} {side} {width(text, words.size):.0f} {_counted(text)}"


def _pieces(words: Words) -> Iterator[tuple[str, float, float]]:
    """Yield the text, or its letters where it is turned, and where their feet stand."""
    text, size = words.text, words.size
    if not words.angle:
        yield text, words.x, words.y
        return
    turn = math.radians(words.angle)
    along, up = (math.cos(turn), math.sin(turn)), (math.sin(turn), -math.cos(turn))
    if abs(along[0]) < 0.5:
        along = along[0], abs(along[1])  # upright letters are not read upward
    steps = [max(width(c, size) * abs(along[0]), size * abs(along[1])) for c in text]
    way = {"start": 0.0, "end": -math.fsum(steps)}.get(words.anchor, -math.fsum(steps) / 2)
    for c, step in zip(text, steps, strict=True):
        way += step / 2
        lift = MIDDLE * size
        yield (
            c,
            words.x + along[0] * way + up[0] * lift,
            words.y + along[1] * way + (up[1] + 1) * lift,
        )
        way += step / 2


def _said(op: str, text: str) -> str:
    return f"{op} {_counted(text)}"


def _counted(text: str) -> str:
    """Return text as xdot has it: the number of its bytes, then itself."""
    text = clean(text).replace("\\", BACKSLASH)
    return f"{len(text.encode())} -{text}"
