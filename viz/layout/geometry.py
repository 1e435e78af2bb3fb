"""Turn counts into pixels: where boxes, columns and lanes are, and the size of it all.

All in whole pixels. Columns of one shape are equally wide. Above `frames.py`; `wires.py` draws the
lines between, and the drawings dress the result with colours and words.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from viz.layout import wire_kinds
from viz.layout.columns import BAR, RAIL
from viz.layout.frames import PAD, TRACK, Frame, Heights, Size, Spacing, framed
from viz.layout.grid import Grid
from viz.layout.routing import wired
from viz.model.elements import Model

FAN_HEIGHT = 64
LANE = 8  # between two boxes on the rail

Rectangle = tuple[int, int, int, int]


@dataclass(slots=True)
class Geometry:
    """Hold the place of everything: boxes, the left end of every column, rows, lanes.

    `left` has the right end of the last column too. `lanes` has the y above the grid of each net
    that crosses columns, `rail` the y of each lane under it. `zones` has the x of links that join
    what stands on the rail or on bars.
    """

    grid: Grid
    frames: list[Frame]
    heights: Heights
    boxes: list[Rectangle]
    left: list[int]
    lanes: dict[tuple[str, int], int]
    rail: list[int]
    zones: dict[int, int]
    top: int
    fan: int  # the foot of the arcs of attention, which rise up to `top`
    bottom: int
    width: int

    def gap(self, column: int) -> int:
        """Return the room that a column keeps free on its left for words."""
        return self.frames[self.grid.shape_of[column]].zone

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Return the x range of every column."""
        return [(x, x + self.frames[s].width)
                for x, s in zip(self.left, self.grid.shape_of, strict=False)]  # fmt: skip


def measured(
    model: Model, grid: Grid, sizes: Sequence[Size], gaps: Sequence[int], top: int,
    spacing: Spacing, least: Sequence[int],
) -> Geometry:  # fmt: skip
    """Return a grid in pixels, from the `sizes` of boxes and the room on the left of each shape.

    `least` are the least widths of shapes.
    """
    frames = framed(grid, wired(model, grid, bundle=spacing.bundle), sizes, gaps, spacing, least)
    nets, count = _lanes(model, grid)
    fan = FAN_HEIGHT if wire_kinds.FAN in grid.way else 0
    high = top + fan + (count + 1) * TRACK * bool(count)
    heights = Heights(grid, frames, sizes, high)
    rail, bottom = _rail(grid, sizes, heights.bottom)
    aside = [i for i, way in enumerate(grid.way) if way == wire_kinds.ASIDE]
    rails = [i for i in aside if grid.columns.of[model.links[i].target] == RAIL]
    bars = [i for i in aside if i not in rails]
    edge = spacing.margin + (len(rails) * spacing.track + PAD if rails else 0)
    widest = max((sizes[n][0] for n in grid.columns.rail), default=0)
    bar = max((sizes[n][0] + PAD for n in grid.columns.bars), default=0)
    zone = bar + (len(bars) * spacing.track + 2 * PAD if bars else 0)
    end = edge + widest + PAD if grid.columns.rail else edge
    left = _columns(
        grid, frames, max(spacing.margin, end - _over_rail(model, grid, frames, zone)), zone
    )
    zones = {i: spacing.margin + k * spacing.track for k, i in enumerate(rails)}
    inner = left[grid.columns.first] - bar - PAD
    zones |= {i: inner - k * spacing.track for k, i in enumerate(bars)}
    boxes = _boxes(grid, frames, heights, sizes, left, rail, edge + widest)
    right = max([left[-1], *(x + w for x, _, w, _ in boxes)])
    lanes = {net: high - PAD - k * TRACK for net, k in nets.items()}
    return Geometry(
        grid, frames, heights, boxes, left, lanes, rail, zones, top, top + fan, bottom,
        right + spacing.margin,
    )  # fmt: skip


def _over_rail(model: Model, grid: Grid, frames: list[Frame], zone: int) -> int:
    """Return how far all before the steps may reach over the rail, where no wire joins the two."""
    of, first = grid.columns.of, grid.columns.first
    ends = {(of[link.source], of[link.target]) for link in model.links}
    if any(a == RAIL and 0 <= b < first for a, b in ends):
        return 0
    before = frames[grid.shape_of[0]].width if first else 0
    return before + (0 if {(RAIL, BAR), (BAR, RAIL)} & ends else zone)


def _lanes(model: Model, grid: Grid) -> tuple[dict[tuple[str, int], int], int]:
    """Return the lane above the grid of every net that crosses columns, and how many there are."""
    spans: dict[tuple[str, int], list[int]] = {}
    of = grid.columns.of
    for link, way in zip(model.links, grid.way, strict=True):
        if way in (wire_kinds.FAR, wire_kinds.GATHERED):
            net = ("from", link.source) if way == wire_kinds.FAR else ("to", link.target)
            spans.setdefault(net, []).extend((of[link.source], of[link.target]))
    lanes: dict[tuple[str, int], int] = {}
    ends: list[int] = []
    for net, columns in sorted(spans.items(), key=lambda item: (min(item[1]), item[0])):
        free = next((k for k, end in enumerate(ends) if end < min(columns)), len(ends))
        ends[free : free + 1] = [max(columns)]
        lanes[net] = free
    return lanes, len(ends)


def _rail(grid: Grid, sizes: Sequence[Size], y: int) -> tuple[list[int], int]:
    """Return the y of every lane of the rail, the first at the bottom, and the lowest y."""
    rail = grid.columns.rail
    lanes = [0] * len(rail)
    for k in reversed(range(len(rail))):
        high = sizes[rail[k]][1]
        lanes[k] = y + high // 2
        y += high + LANE
    return lanes, y


def _columns(grid: Grid, frames: list[Frame], start: int, zone: int) -> list[int]:
    """Return the left end of every column, and the right end of the last."""
    found = [start]
    for c, shape in enumerate(grid.shape_of):
        if c == grid.columns.first:
            found[-1] += zone
        found.append(found[-1] + frames[shape].width)
    return found


def _boxes(
    grid: Grid,
    frames: list[Frame],
    heights: Heights,
    sizes: Sequence[Size],
    left: list[int],
    rail: list[int],
    rail_end: int,
) -> list[Rectangle]:
    """Return rectangles: in columns, on the rail at its end, and left of the first step."""
    columns, row = grid.columns, grid.row
    boxes: list[Rectangle] = [(0, 0, 0, 0)] * len(row)
    for column, x, shape in zip(columns.columns, left, grid.shape_of, strict=False):
        for n, (bx, w, h) in zip(column.keys, frames[shape].boxes, strict=True):
            boxes[n] = (bx + x, heights.middle[row[n]] - h // 2, w, h)
    for n, y in zip(columns.rail, rail, strict=True):
        w, h = sizes[n]
        boxes[n] = (rail_end - w, y - h // 2, w, h)
    for n in columns.bars:
        w, h = sizes[n]
        boxes[n] = (left[columns.first] - PAD - w, heights.middle[row[n]] - h // 2, w, h)
    return boxes
