"""Draw weights of attention as the shapes of a matrix: fields, numbers where they fit, both axes.

Small under an unrolled picture; large in `attention.py`. Above `model/attention.py`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from viz import labels
from viz.analysis.sampling import chosen_steps, tile_label, tiles
from viz.axes import fitted
from viz.charts.parts import GREY, INK, SIZE, broken, color_bar, framed
from viz.colors import PURPLES, Colors, ink_on, round_above
from viz.labels import count, figure, fit, short
from viz.model.attention import Attention
from viz.scene import Columns, Rect, Shape, Words
from viz.style import ATTENTION

BAR = 76.0  # the room of the bar of colours
NUMBER = 10.0  # pixels: the size of the numbers in fields
LEAST = 5.0  # the smallest field
SMALL, LOW, TALL, MOST = 34.0, 17.0, 240.0, 40  # a field of the small matrix, all, their number
RULED = 12.0  # pixels: fields are told apart by lines from this size on
OVERLAP = 0.7  # else they reach so far under the next, so that no seam shows
ABSENT, RULE = "#f4f5f6", "#eee9f2"
NAME = 14  # characters of the name of a step


@dataclass(frozen=True, slots=True)
class Fields:
    """Hold a matrix ready to be drawn: names of rows and columns, and the weights."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    weights: tuple[tuple[float | None, ...], ...]
    colors: Colors
    chosen: int | None = None  # the row that is framed

    @property
    def decimals(self) -> int:
        """Return how many decimals of a weight are written: three where all are small."""
        return 2 if self.colors.high > 0.2 else 3

    def short(self, weight: float) -> str:
        """Return a weight as it stands in its field: 0.27, 0 for none, nothing for almost none."""
        if weight == int(weight):
            return f"{weight:.0f}"
        text = f"{weight:.{self.decimals}f}"
        return text if float(text) else ""


def small_matrix(
    found: Attention, *, left: float, top: float, room: float, chosen: object = None
) -> tuple[list[Shape], float]:
    """Return a small matrix for the room under a picture: its shapes and their height.

    It is at most `room` pixels wide from `left` on, with its numbers where they fit; `chosen` is
    the step that looks of which the row is framed.
    """
    fields = fields_of(found, MOST, None, None)
    if chosen in found.targets and len(fields.rows) == len(found.targets):
        fields = replace(fields, chosen=found.targets.index(chosen))
    beside = beside_of(fields)
    wide = min(SMALL, max((room - beside - BAR) / len(fields.columns), 1.0))
    high = max(min(LOW, TALL / len(fields.rows)), LEAST)
    shapes: list[Shape] = [
        Words(left, top + 12, _said(found), 11, INK, "start", bold=True),
        *matrix(fields, left + beside, top + 22, wide, high),
    ]
    foot = axis_titles(fields, found, left + beside, top + 22, wide, high)
    right, tall = left + beside + wide * len(fields.columns), high * len(fields.rows)
    shapes += color_bar(fields.colors, right + 10, top + 22, max(tall, 30.0), ends=True)
    return [*shapes, *foot[0]], max(foot[1], top + 22 + max(tall, 30.0)) - top + 8


def under(
    found: Sequence[Attention], chosen: object = None
) -> Callable[[Columns], tuple[list[Shape], float]]:
    """Return what draws small matrices of all attentions under the columns of a picture.

    For `Annotations.below`; `chosen` is the step that looks of which the rows are framed.
    """

    def draw(columns: Columns) -> tuple[list[Shape], float]:
        shapes: list[Shape] = []
        high, room = 0.0, columns.right - columns.left
        for one in found:
            own, tall = small_matrix(one, left=columns.left, top=columns.top + high, room=room,
                                     chosen=chosen)  # fmt: skip
            shapes, high = [*shapes, *own], high + tall + 8
        return shapes, high

    return draw


def _said(found: Attention) -> str:
    """Return the line over a small matrix."""
    what = "" if found.row is None else f", row {found.row} of {count(found.rows)}"
    if found.row is None and found.rows > 1:
        what = f", mean of {count(found.rows)} rows"
    return f"weights of attention{what}: {found.target} looks at {found.source}"


def fields_of(
    found: Attention, most: int, sources: Sequence[str] | None, targets: Sequence[str] | None
) -> Fields:
    """Return the matrix with at most so many rows, else some, and columns, else their sums."""
    own = tiles(len(found.sources), most)
    columns = tuple(
        tile_label(found.sources, tile) if sources is None or len(own) < len(found.sources)
        else short(sources[tile[0]], NAME) for tile in own
    )  # fmt: skip
    shown = chosen_steps(found.targets, most)
    rows = tuple(str(found.targets[i]) if targets is None else short(targets[i], NAME)
                 for i in shown)  # fmt: skip
    weights = tuple(tuple(_sum([found.weights[i][j] for j in tile]) for tile in own)
                    for i in shown)  # fmt: skip
    alive = [w for line in weights for w in line if w is not None and math.isfinite(w)]
    largest = max(alive, default=1.0)
    high = 1.0 if largest > 0.5 else round_above(largest) if largest > 0 else 1.0
    return Fields(rows, columns, weights, Colors(0.0, high, above=PURPLES))


def _sum(weights: list[float | None]) -> float | None:
    there = [w for w in weights if w is not None]
    return math.fsum(there) if there else None


def beside_of(fields: Fields) -> float:
    """Return the room for the names of the rows, and the upright title of their axis."""
    return max(labels.width(name, SIZE) for name in fields.rows) + 26


def matrix(fields: Fields, left: float, top: float, wide: float, high: float) -> list[Shape]:
    """Return the fields, their numbers where all fit, and the frame of the row that is chosen."""
    shapes: list[Shape] = []
    numbers = written(fields, wide, high)
    ruled = min(wide, high) >= RULED
    edge, over = (RULE, 0.0) if ruled else ("", OVERLAP)
    right, low = left + wide * len(fields.columns), top + high * len(fields.rows)
    for i, line in enumerate(fields.weights):
        y = top + i * high
        for j, weight in enumerate(line):
            x = left + j * wide
            w, h = min(x + wide + over, right) - x, min(y + high + over, low) - y
            where = f"t = {fields.rows[i]} at {fields.columns[j]}"
            if weight is None:
                shapes.append(Rect(x, y, w, h, ABSENT, edge, f"{where}: not there"))
                continue
            fill = fields.colors.of(weight)
            shapes.append(Rect(x, y, w, h, fill, edge, f"{where}: {figure(weight, 6)}"))
            if not math.isfinite(weight):
                shapes.append(broken(x + wide / 2, y + high / 2 + 4, weight))
            elif numbers and fields.short(weight):
                shapes.append(Words(x + wide / 2, y + high / 2 + 3.2, fields.short(weight), NUMBER,
                                    ink_on(fill)))  # fmt: skip
    shapes.append(framed(left, top, right, low, "#b8bec6", 0.8))
    if fields.chosen is not None:
        y = top + fields.chosen * high
        shapes.append(framed(left, y, right, y + high, ATTENTION, 2.0))
    return shapes


def written(fields: Fields, wide: float, high: float) -> bool:
    """Return whether the numbers of all fields fit."""
    alive = [w for line in fields.weights for w in line if w is not None and math.isfinite(w)]
    room = max((labels.width(fields.short(w), NUMBER) for w in alive), default=0.0)
    return high >= NUMBER + 4 and wide >= room + 3


def axis_titles(
    fields: Fields, found: Attention, left: float, top: float, wide: float, high: float
) -> tuple[list[Shape], float]:
    """Return the names of rows and columns with the titles of both axes, and where they end."""
    rows, columns = len(fields.rows), len(fields.columns)
    low, middle = top + rows * high, left + columns * wide / 2
    shapes: list[Shape] = []
    stride = next(s for s in (1, 2, 5, 10, 20) if s * high >= SIZE + 1)
    for i in range(0, rows, stride):
        y = top + (i + 0.5) * high + 3.5
        bold = i == fields.chosen
        shapes.append(Words(left - 6, y, fields.rows[i], SIZE, INK if bold else GREY, "end", bold))
    shapes.append(Words(left - beside_of(fields) + 9, top + rows * high / 2,
                        fit(f"{found.target} t", max(rows * high, 60.0), 11), 11, INK,
                        angle=-90.0))  # fmt: skip
    placed = [(left + (j + 0.5) * wide, name) for j, name in enumerate(fields.columns)]
    longest = max(labels.width(name, SIZE) for name in fields.columns)
    tokens = any(not name.isdigit() and "–" not in name for name in fields.columns)
    if tokens and longest > wide - 4 and wide >= SIZE + 1:
        shapes += [Words(x + 3.5, low + 6, name, SIZE, GREY, "end", angle=-90.0)
                   for x, name in placed]  # fmt: skip
        y = low + 6 + longest
    else:
        shapes += [Words(placed[j][0], low + 14, placed[j][1], SIZE, GREY)
                   for j in fitted(placed, SIZE)]  # fmt: skip
        y = low + 16
    shapes.append(Words(middle, y + 14, f"{found.source} t", 11, INK))
    return shapes, y + 16
