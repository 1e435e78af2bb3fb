"""The style of an SVG for dark screens: every colour that the document uses, with its dark one.

Colours are collected from the scene and not from the text, which may be megabytes long. Above
scenes and `dark.py`, below `svg.py`.
"""

from collections.abc import Iterable, Iterator
from operator import attrgetter

from viz.dark import night
from viz.scene import Line, Rect, Scene, Shape, Swatch
from viz.style import FILLS
from viz.writers.primitives import FAINT, GRADIENT, INK, shade

NAME = "bptt"  # the class of the document: its rules leave other pictures of a page alone
PAPER, BAND, BAND_EVEN = "#ffffff", "#fafbfc", "#f4f6f8"
MARK, BOX_MARK = "#111111", "#b00020"


def dark_style(scene: Scene) -> str:
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
        yield from _of_swatch(swatch)


def _shaded(colors: Iterable[str], *, dim: bool) -> Iterator[str]:
    return (shade(color, dim=dim) for color in colors)


def _of_shape(shape: Shape) -> tuple[str, ...]:
    if isinstance(shape, Rect):
        return (shape.fill, shape.stroke)
    if isinstance(shape, Line):
        return (shape.color, shape.fill)
    return (shape.color,)


def _of_swatch(swatch: Swatch) -> tuple[str, ...]:
    return (swatch.color, swatch.box, MARK, *(color for color, _ in swatch.wedge))
