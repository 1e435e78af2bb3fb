"""Route wires, counted in channels and gutters: between boxes, never through one.

Between two rows lies a channel, beside every slot a gutter, and boxes stand in neither. A wire
leaves its box upward into the channel above, follows a gutter, and enters its target from the
channel below. The rail lies under the grid, lanes for long ways above it. Wires of one net share a
track, other nets have tracks of their own. What leaves a column has the lowest tracks of its
channel to itself, so that it meets nothing in the next column. Worked out once for each shape of
columns. Above `grid.py`; `geometry.py` turns the counts into pixels.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple

from viz.layout import wire_kinds
from viz.layout.grid import Grid
from viz.model.elements import Model

Net = tuple[str, int]
Spans = dict[int, dict[Net, tuple[int, int]]]


class Route(NamedTuple):
    """Describe how one wire runs: straight to the side of its target, or by channels and a gutter.

    `gutter` is None where the channel above the source is the one below the target.
    """

    net: Net
    up: int
    gutter: int | None
    down: int
    side: bool = False


@dataclass(slots=True)
class Tracks:
    """Map each net of a channel or gutter to its track, and count the tracks of each."""

    of: dict[tuple[int, Net], int] = field(default_factory=dict)
    count: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Wiring:
    """Hold the wires of all columns of one shape.

    `routes` are those of the links at home there, in order. `ports[p]` are the nets that enter the
    box at position p from below, from left to right.
    """

    routes: list[Route]
    channels: Tracks
    gutters: Tracks
    ports: dict[int, list[Net]]


def wired(model: Model, grid: Grid, *, bundle: bool = False) -> list[Wiring]:
    """Return the wiring of every shape; `bundle` what leads into steps left out."""
    sketches = [_Sketch(model, grid, shape.sample, bundle=bundle) for shape in grid.shapes]
    right: dict[int, int] = defaultdict(int)  # tracks of what leaves to the right, by channel
    left: dict[int, int] = defaultdict(int)
    for sketch in sketches:
        for k, nets in sketch.channels.items():
            right[k] = max(right[k], sum(hi > sketch.end for _, hi in nets.values()))
            left[k] = max(left[k], sum(lo < 0 for lo, _ in nets.values()))
    return [sketch.packed(right, left) for sketch in sketches]


class _Sketch:
    """Collect the nets of one column and their spans, before they have tracks."""

    def __init__(self, model: Model, grid: Grid, c: int, *, bundle: bool) -> None:
        self.grid, self.links, self.c = grid, model.links, c
        self.bundled = bundle and grid.columns.columns[c].time == "gap"
        self.end = 2 * grid.shapes[grid.shape_of[c]].slots  # the last gutter
        self.top = grid.rows + 1  # over all rows
        self.channels: Spans = defaultdict(dict)
        self.gutters: Spans = defaultdict(dict)
        self.far: dict[int, int] = {}
        self.routes = [self._at_home(i) for i in grid.home[c]]
        for i in grid.leaving[c]:
            self._leave(i)

    def net(self, kind: str, i: int, number: int) -> Net:
        """Return the net of a link; a twin has one of its own."""
        return net_of(self.grid, kind, i, number)

    def _shared(self, kind: str, own: Net, b: int) -> Net:
        """Return the net that all wires of a kind into steps left out share, else their own."""
        return (kind, self.grid.position[b]) if self.bundled else own

    def _x(self, n: int) -> int:
        return 2 * self.grid.slot[n] + 1

    def _at_home(self, i: int) -> Route:
        link, way, grid = self.links[i], self.grid.way[i], self.grid
        a, b = link.source, link.target
        if way in (wire_kinds.TO_BAR, wire_kinds.TO_END):
            return self._to_bar(i, a, b, way)
        ra, rb, xb = grid.row[a], grid.row[b], self._x(b)
        if way == wire_kinds.LOCAL:
            return self._local(i, a, b)
        if i in grid.straight:
            return Route(("side", 0), ra, None, rb, side=True)
        if way == wire_kinds.FROM_RAIL:
            net = self._shared(f"rails {link.kind}", self.net("rail", i, grid.lane[a]), b)
            return self._by(net, -1, xb - 1, rb, xb)
        if way == wire_kinds.FROM_BAR and rb == ra + 1:
            return Route(self.net("bar", i, grid.lane[a]), rb, None, rb)
        if way == wire_kinds.FROM_BAR:
            return self._by(self.net("bar", i, grid.lane[a]), ra + (rb > ra), xb - 1, rb, xb)
        if way == wire_kinds.BAR_END:
            return self._by(self.net("bar", i, grid.lane[a]), ra, 0, rb, xb)
        if way == wire_kinds.NEXT:
            net = self._shared("in all", self.net("in", i, grid.position[a]), b)
            return self._by(net, ra + 1, 0, rb, xb)
        if way == wire_kinds.BACK:
            net = self._shared("back all", self.net("back", i, grid.position[a]), b)
            return self._by(net, ra + 1, self.end, rb, xb)
        if way == wire_kinds.GATHERED:
            return self._by(self.net("to", i, grid.position[b]), self.top, 0, rb, xb)
        if way == wire_kinds.FAN:
            return self._by(("fan", grid.position[b]), self.top, 0, rb, xb)
        assert way == wire_kinds.FAR
        return self._by(
            self.net("far", i, self.far.setdefault(a, len(self.far))), self.top, 0, rb, xb
        )

    def _by(self, net: Net, up: int, gutter: int, down: int, x: int) -> Route:
        """Go down or up a gutter, then along the channel below the target."""
        _span(self.gutters[gutter], net, up, down)
        _span(self.channels[down], net, gutter, x)
        return Route(net, up, gutter, down)

    def _local(self, i: int, a: int, b: int) -> Route:
        ra, rb = self.grid.row[a], self.grid.row[b]
        xa, xb = self._x(a), self._x(b)
        net = self.net("from", i, self.grid.position[a])
        if rb == ra + 1:
            _span(self.channels[rb], net, xa, xb)
            return Route(net, rb, None, rb)
        gutter = xb - 1 if xa < xb else xb + 1
        _span(self.channels[ra + 1], net, xa, gutter)
        return self._by(net, ra + 1, gutter, rb, xb)

    def _to_bar(self, i: int, a: int, b: int, way: int) -> Route:
        ra, bar = self.grid.row[a], self.grid.row[b]
        net = self.net("up" if way == wire_kinds.TO_BAR else "from", i, self.grid.position[a])
        if way == wire_kinds.TO_BAR and ra + 1 == bar:
            return Route(net, bar, None, bar)
        gutter = self._x(a) + 1 if way == wire_kinds.TO_BAR else self.end
        _span(self.channels[ra + 1], net, self._x(a), gutter)
        _span(self.gutters[gutter], net, ra + 1, bar)
        return Route(net, ra + 1, gutter, bar)

    def _leave(self, i: int) -> None:
        """Note what a wire spans in the column that it leaves."""
        a, way, grid = self.links[i].source, self.grid.way[i], self.grid
        if i in grid.straight:
            return
        end = {wire_kinds.BACK: -1, wire_kinds.NEXT: self.end + 1}.get(way, self.end)
        net = self.net("left" if way == wire_kinds.BACK else "from", i, grid.position[a])
        up = grid.row[a] + 1
        _span(self.channels[up], net, self._x(a), end)
        if end == self.end:
            _span(self.gutters[end], net, up, self.top)

    def packed(self, right: dict[int, int], left: dict[int, int]) -> Wiring:
        """Return the wiring, with a track for each net."""
        channels, gutters = Tracks(), Tracks()
        for k, nets in self.channels.items():
            out = sorted((lo, net) for net, (lo, hi) in nets.items() if hi > self.end)
            back = sorted((hi, net) for net, (lo, hi) in nets.items() if lo < 0 and hi <= self.end)
            channels.of.update({(k, net): j for j, (_, net) in enumerate(reversed(out))})
            channels.of.update({(k, net): right[k] + j for j, (_, net) in enumerate(back)})
            inner = {net: (lo, hi) for net, (lo, hi) in nets.items() if lo >= 0 and hi <= self.end}
            first = right[k] + left[k]
            channels.count[k] = first + _pack(inner, channels.of, k, first)
        for g, nets in self.gutters.items():
            gutters.count[g] = _pack(nets, gutters.of, g, 0)
        return Wiring(self.routes, channels, gutters, self._ports())

    def _ports(self) -> dict[int, list[Net]]:
        found: dict[int, dict[Net, float]] = defaultdict(dict)
        for i, route in zip(self.grid.home[self.c], self.routes, strict=True):
            link, way = self.links[i], self.grid.way[i]
            if route.side or way in (wire_kinds.TO_BAR, wire_kinds.TO_END):
                continue
            if route.gutter is not None:
                origin = route.gutter - 0.1 * (way == wire_kinds.FROM_RAIL)
            else:
                origin = self._x(link.source if way == wire_kinds.LOCAL else link.target)
            found[self.grid.position[link.target]][route.net] = origin
        return {p: [net for _, net in sorted((at, net) for net, at in nets.items())]
                for p, nets in found.items()}  # fmt: skip


def net_of(grid: Grid, kind: str, i: int, number: int) -> Net:
    """Return the net that a link belongs to, by the number of its source, lane or target."""
    return (f"{kind} {grid.twin[i]}", number) if i in grid.twin else (kind, number)


def _span(nets: dict[Net, tuple[int, int]], net: Net, *points: int) -> None:
    """Widen what a net spans by points."""
    if net in nets:
        points += nets[net]
    nets[net] = (min(points), max(points))


def _pack(
    nets: dict[Net, tuple[int, int]], of: dict[tuple[int, Net], int], line: int, first: int
) -> int:
    """Give each net the track that has been free for longest where it begins; how many are used."""
    busy: list[tuple[int, int]] = []  # where a track is free again
    count = 0
    for net, (low, high) in sorted(nets.items(), key=lambda item: (item[1][0], item[0])):
        if busy and busy[0][0] < low:
            track = heappop(busy)[1]
        else:
            track, count = count, count + 1
        of[line, net] = first + track
        heappush(busy, (high, track))
    return count
