"""From counts to pixels: how wide and high everything is, and the points of every wire.

Above `routing.py`; `draw.py` dresses the result with colours and words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise

from viz.grid import Grid, Place
from viz.labels import width
from viz.routing import EdgeKey, Route, Routing, slot_index
from viz.scene import Point

FONT = 13.0
SMALL = 10.0
TRACK = 12.0  # between two parallel wires
PAD = 11.0  # between a wire and a box
MARGIN = 18.0
HEADING = 22.0  # over the columns
SIDE = 22.0  # between two straight wires, with room for a label
LANE = 8.0  # between two parameters on the rail


@dataclass(frozen=True)
class Geometry:
    """Rectangles of boxes, x ranges of columns, points of wires, and the size of it all."""

    boxes: dict[int, tuple[float, float, float, float]]
    columns: list[tuple[float, float]]
    wires: dict[EdgeKey, tuple[Point, ...]]
    top: float
    bottom: float
    width: float
    height: float


def box_size(lines: tuple[str, ...], sides: int, ports: int) -> Point:
    """The size of a box for its words, its `sides` straight wires and its `ports` below."""
    inner = max([width(lines[0], FONT), *(width(line, SMALL) for line in lines[1:])])
    high = 10 + FONT + 5 + (SMALL + 4) * (len(lines) - 1)
    return max(inner + 18, 34.0, TRACK * (ports + 1)), max(high, SIDE * (sides + 1))


def measure(
    grid: Grid, routing: Routing, sizes: Mapping[int, Point], gutter: float, top: float
) -> Geometry:
    """Lay a routed grid out in pixels; gutters between columns are at least `gutter` wide."""
    on_grid = {n: p for n, p in grid.places.items() if not p.on_rail}
    index = {n: slot_index(grid, p) for n, p in on_grid.items()}
    rail = max((sizes[n][0] for n, p in grid.places.items() if p.on_rail), default=0.0)
    left, right, columns = _across(grid, routing, sizes, index, gutter, rail)
    low, high, lanes, bottom = _down(grid, routing, sizes, on_grid, top)
    boxes = {}
    for n, place in grid.places.items():
        w, h = sizes[n]
        if place.on_rail:
            boxes[n] = (MARGIN + rail - w, lanes[-1 - place.row] - h / 2, w, h)
        else:
            x = (left[index[n]] + right[index[n]] - w) / 2
            boxes[n] = (x, (low[place.row] + high[place.row] - h) / 2, w, h)
    wires = _Wires(routing, boxes, index, left, low, high, lanes)
    end = max([right[-1], *(x + w for x, _, w, _ in boxes.values())])
    return Geometry(
        boxes=boxes,
        columns=columns,
        wires={edge: wires.points(edge) for edge in routing.routes},
        top=top,
        bottom=bottom,
        width=end + MARGIN,
        height=bottom + MARGIN,
    )


def _across(
    grid: Grid,
    routing: Routing,
    sizes: Mapping[int, Point],
    index: dict[int, int],
    gutter: float,
    rail: float,
) -> tuple[list[float], list[float], list[tuple[float, float]]]:
    """Left and right ends of all gutters and slots, and of the columns."""
    firsts = [2 * before for before in accumulate(grid.slots, initial=0)]
    widths = [0.0] * (firsts[-1] + 1)
    for line in range(0, len(widths), 2):
        tracks = routing.gutters.count.get(line, 0)
        widths[line] = (tracks - 1) * TRACK + 2 * PAD if tracks else PAD
        if line in firsts[1:-1]:
            widths[line] = max(widths[line], gutter)
    for n, i in index.items():
        widths[i] = max(widths[i], sizes[n][0])
    start = MARGIN + (rail + PAD if rail else 0.0)
    ends = list(accumulate(widths, initial=start))
    columns = [(ends[a], ends[b]) for a, b in pairwise(firsts)]
    return ends[:-1], ends[1:], columns


def _down(
    grid: Grid,
    routing: Routing,
    sizes: Mapping[int, Point],
    on_grid: dict[int, Place],
    top: float,
) -> tuple[list[float], list[float], list[float], float]:
    """Top and bottom of every row (y grows downward), the y of every lane, and the last y."""
    heights = [0.0] * grid.rows
    for n, place in on_grid.items():
        heights[place.row] = max(heights[place.row], sizes[n][1])
    y = top
    low, high = [0.0] * grid.rows, [0.0] * grid.rows
    for row in reversed(range(grid.rows)):
        y += _channel(routing, row + 1)
        low[row], high[row] = y, y + heights[row]
        y += heights[row]
    y += _channel(routing, 0)
    lanes = []
    rail = sorted((p.row, n) for n, p in grid.places.items() if p.on_rail)
    for _, n in reversed(rail):
        lanes.append(y + sizes[n][1] / 2)
        y += sizes[n][1] + LANE
    return low, high, lanes, y


def _channel(routing: Routing, line: int) -> float:
    tracks = routing.channels.count.get(line, 0)
    return (tracks - 1) * TRACK + 2 * PAD if tracks else PAD


class _Wires:
    """The points of wires, from their routes and tracks."""

    def __init__(
        self,
        routing: Routing,
        boxes: dict[int, tuple[float, float, float, float]],
        index: dict[int, int],
        left: list[float],
        low: list[float],
        high: list[float],
        lanes: list[float],
    ) -> None:
        self.routing, self.boxes, self.index = routing, boxes, index
        self.left, self.low, self.high, self.lanes = left, low, high, lanes

    def points(self, edge: EdgeKey) -> tuple[Point, ...]:
        a, b, _ = edge
        r = self.routing.routes[edge]
        x, y, w, h = self.boxes[a]
        tx, ty, tw, th = self.boxes[b]
        if r.side:
            order = self.routing.sides[a, b]
            share = (order.index(edge) + 1) / (len(order) + 1)
            level = max(y, ty) + share * (min(y + h, ty + th) - max(y, ty))
            return ((x + w, level), (tx, level)) if x < tx else ((x, level), (tx + tw, level))
        ports = self.routing.ports[b]
        port = tx + tw * (ports.index(r.net) + 1) / (len(ports) + 1)
        below = self._channel(r.down, r)
        end = ((port, below), (port, ty + th))
        if r.up < 0:  # along a lane of the rail
            lane = self.lanes[-1 - r.up]
            turn = self._gutter(r)
            return _straightened(((x + w, lane), (turn, lane), (turn, below), *end))
        middle = x + w / 2
        if r.gutter is None:
            return _straightened(((middle, y), (middle, below), *end))
        above = self._channel(r.up, r)
        turn = self._gutter(r)
        return _straightened(((middle, y), (middle, above), (turn, above), (turn, below), *end))

    def _channel(self, line: int, r: Route) -> float:
        """The y of the track of a net in a channel; channel k lies under row k."""
        track = self.routing.channels.of[line, r.net] * TRACK
        if line == len(self.low):
            return self.low[-1] - PAD - track
        return self.high[line] + _channel(self.routing, line) - PAD - track

    def _gutter(self, r: Route) -> float:
        """The x of the track of a net in a gutter."""
        assert r.gutter is not None
        return self.left[r.gutter] + PAD + self.routing.gutters.of[r.gutter, r.net] * TRACK


def _straightened(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """The points without those at which the line does not turn."""
    kept: list[Point] = []
    for point in points:
        if kept and _same(kept[-1], point):
            continue
        if len(kept) > 1 and (
            _near(kept[-2][0], kept[-1][0], point[0]) or _near(kept[-2][1], kept[-1][1], point[1])
        ):
            kept[-1] = point
            continue
        kept.append(point)
    return tuple(kept)


def _near(*values: float) -> bool:
    return max(values) - min(values) < 0.01


def _same(p: Point, q: Point) -> bool:
    return _near(p[0], q[0]) and _near(p[1], q[1])
