"""Fit a network into the width of a picture: leave out numbers on edges first, then steps.

Above `diagram.py`, below the draw functions.
"""

import math
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import NamedTuple

from viz.checks import check_width
from viz.diagram import Diagram
from viz.labels import SMALL, wrapped
from viz.model.window import STEPS
from viz.scene import Scene

WIDTH = 800.0  # pixels: of a column of text in a browser, a README or a notebook
SMALLEST = 9.0  # pixels: of text in a picture of this width
TRIED = 1.08  # times the room: fewer steps may be narrower than they look among more
NARROWEST = 100.0  # pixels: there is no room for a title in less
BETWEEN = 6.0  # pixels between two steps


class Detail(NamedTuple):
    """Set how much of a picture is shown: `numbers` on edges, names, marks, steps and weights.

    If `narrow`, names are short, wires close to each other, and gradients that are zero unmarked;
    if `joined`, steps of the last block alone are shown; if `bare`, no weights.
    """

    numbers: bool = True
    narrow: bool = False
    joined: bool = False
    bare: bool = False


Make = Callable[[int | None, Detail], Diagram]  # from the most steps and the detail
FULL, PLAIN = Detail(), Detail(numbers=False)
NARROW = Detail(numbers=False, narrow=True)
JOINED, BARE = NARROW._replace(joined=True), NARROW._replace(bare=True)
NO_WEIGHTS = ("weights left out: there is no room for their wires",)


def fitted(
    make: Make,
    where: str,
    width: float,
    level: str,
    *,
    asked: int | Collection[int] | None,
    least: int = 1,
) -> Diagram:
    """Return the picture that `make` draws, with as much in it as fits into `width` pixels.

    Numbers on edges go first, then steps, down to `least`, then long names and room between wires,
    then all steps but one, then those of all blocks but the last or, if that is not enough, weights
    instead, then both. A picture that is still too wide is made smaller; where its smallest text
    has less than 9 pixels then, a note says so, and which width it needs. Steps that are asked for
    are all shown, with their numbers, however wide the picture is. Raises ValueError for a width
    under 100 pixels.
    """
    check_width(where, width, NARROWEST)
    most = None if isinstance(asked, Collection) else asked
    room = width * SMALL / SMALLEST
    numbered = diagram = make(most, FULL)
    if numbered.scene.width > room:
        diagram = make(most, PLAIN)
    if asked is None:
        limit = min(STEPS.get(level, 0), _steps(diagram.scene))
        while diagram.scene.width > room and limit > least:
            limit = most = max(min(_that_fit(diagram.scene, room * TRIED), limit - 1), least)
            diagram = make(most, PLAIN)
    if diagram.scene.width > room:
        diagram = make(most, NARROW)
    for detail in (NARROW, JOINED, BARE, JOINED._replace(bare=True)) if asked is None else ():
        if diagram.scene.width > room and (most, detail) != (1, NARROW):
            diagram = make(1, detail)
    if asked is not None and diagram.scene.width > room:
        return numbered
    diagram.scene = shrunk(diagram.scene, width)
    return diagram


def shrunk(scene: Scene, width: float) -> Scene:
    """Return a scene shown at most `width` pixels wide, with a note where letters get too small."""
    if scene.width <= width:
        return scene
    notes, high = scene.notes, SMALL * width / scene.width
    if high < SMALLEST:
        least = math.ceil(scene.width * SMALLEST / SMALL)
        note = f"Too wide for {width:g} pixels: letters are as small as {high:.1f} pixels; "
        note += f"width={least} keeps them at {SMALLEST:g}"
        notes = (*notes, *wrapped([note], scene.width - 40))
    return replace(scene, shown=width, notes=notes)


def _steps(scene: Scene) -> int:
    """Return how many steps a picture shows."""
    return sum(band.heading != "…" for band in scene.bands)


def _that_fit(scene: Scene, width: float) -> int:
    """Return how many steps would fit, beside what stands before and after them and one gap."""
    step = sum(band.w for band in scene.bands) / max(len(scene.bands), 1) + BETWEEN
    around = scene.width - step * len(scene.bands)
    return int((width - around) / step) - 1
