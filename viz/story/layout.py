"""Place the steps of the picture: one column for each, the same in all of its panels.

Above `measuring.py`, below the panels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from viz.axes import whole_ticks
from viz.model.window import in_order
from viz.story.measuring import Key, Row

BOXED = 42.0  # pixels a step: less, and the chain is one ribbon instead of boxes
WIDEST = 150.0
MARKS = 8  # steps that a long axis names


@dataclass(frozen=True, slots=True)
class Frame:
    """Hold the columns of a picture: `at` has the middle of each, `step` is how wide one is.

    `marked` are the steps that are named and have their numbers beside them: all where there is
    room for boxes, else the ends and some round ones between.
    """

    width: float
    left: float
    right: float
    step: float
    at: dict[Key, float]
    marked: tuple[Key, ...]

    @property
    def boxed(self) -> bool:
        """Return whether each state has a box."""
        return self.step >= BOXED


def framed(rows: Sequence[Row], width: float, before: float, after: float) -> Frame:
    """Return the columns of all steps, with room on the left and the right of them."""
    keys = _keys(rows)
    room = width - before - after
    step = min(room / len(keys), WIDEST)
    left = before + (room - step * len(keys)) / 2
    at = {key: left + (i + 0.5) * step for i, key in enumerate(keys)}
    marked = tuple(keys) if step >= BOXED else tuple(_marked(keys))
    return Frame(width, left, left + step * len(keys), step, at, marked)


def _keys(rows: Sequence[Row]) -> list[Key]:
    """Return all steps from left to right, those of one block after those of another."""
    blocks = dict.fromkeys(row.run.block for row in reversed(rows))
    return [
        (block, t)
        for block in blocks
        for t in in_order(t for row in rows if row.run.block == block for t in row.run.times)
    ]


def _marked(keys: Sequence[Key]) -> list[Key]:
    """Return the first and the last step of each block, and round ones between."""
    found: list[Key] = []
    for block in dict.fromkeys(block for block, _ in keys):
        own = [key for key in keys if key[0] == block]
        times = [t for _, t in own]
        most = max(1, round(MARKS * len(own) / len(keys)))
        if all(isinstance(t, int) for t in times):
            ticks = whole_ticks(times[0], times[-1], most)
            apart = 0.6 * (ticks[1] - ticks[0]) if len(ticks) > 1 else 1
            inner = [t for t in ticks if t - times[0] >= apart and times[-1] - t >= apart]
        else:
            inner = times[:: max(1, len(times) // most)]
        kept = dict.fromkeys([times[0], *inner, times[-1]])
        found += [key for key in own if key[1] in kept]
    return found
