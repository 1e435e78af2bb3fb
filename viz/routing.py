"""Where wires run, counted in channels and gutters: between boxes, never through one.

Between two rows lies a channel, beside every slot a gutter, and boxes stand in neither. A wire
leaves its box upward into the channel above, follows a gutter, and enters its target from the
channel below; parameters run along lanes under the grid. Wires of one net share a track, other
nets get tracks of their own. Above `grid.py`; `geometry.py` turns the counts into pixels.
"""

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass, field

import networkx as nx

from viz.grid import Grid, Place

EdgeKey = tuple[int, int, Hashable]
Net = tuple[str, int]

FAN_IN = 3  # this many wires into one node from other columns run together


@dataclass(frozen=True)
class Route:
    """How one wire runs: straight to the side of its target, or by channel and gutter.

    `gutter` is None where the channel above the source is the one below the target.
    """

    net: Net
    side: bool
    up: int
    gutter: int | None
    down: int


@dataclass
class Tracks:
    """For each channel or gutter the track of each net, and how many there are."""

    of: dict[tuple[int, Net], int] = field(default_factory=dict)
    count: dict[int, int] = field(default_factory=lambda: defaultdict(int))


@dataclass(frozen=True)
class Routing:
    """The route of every edge, the tracks, and the order of wires at each side of each box."""

    routes: dict[EdgeKey, Route]
    channels: Tracks
    gutters: Tracks
    ports: dict[int, list[Net]]
    sides: dict[tuple[int, int], list[EdgeKey]]


def slot_index(grid: Grid, place: Place) -> int:
    """Slots and gutters counted together from the left: slots are odd, gutters even."""
    return 2 * (sum(grid.slots[: place.column]) + place.slot) + 1


def route(graph: nx.MultiDiGraph, grid: Grid) -> Routing:
    """Route every edge of a drawing."""
    index = {n: slot_index(grid, p) for n, p in grid.places.items() if not p.on_rail}
    occupied: dict[int, list[int]] = defaultdict(list)
    for n, i in index.items():
        occupied[grid.places[n].row].append(i)
    gathered = _gathered(graph, grid)
    routes: dict[EdgeKey, Route] = {}
    for a, b, key in graph.edges(keys=True):
        gather = b in gathered and not grid.places[a].on_rail
        net = ("to", b) if gather else ("from", a)
        routes[a, b, key] = _one(grid, index, occupied, (a, b), net)
    channels, gutters = _tracks(routes, grid, index)
    return Routing(routes, channels, gutters, _ports(routes, index), _sides(routes))


def _gathered(graph: nx.MultiDiGraph, grid: Grid) -> set[int]:
    """Nodes that many others of different columns run into: their wires share a net."""
    found = set()
    for n in graph:
        columns = {grid.places[m].column for m in graph.predecessors(n)
                   if not grid.places[m].on_rail}  # fmt: skip
        if len(columns - {grid.places[n].column}) >= FAN_IN:
            found.add(n)
    return found


def _one(
    grid: Grid,
    index: dict[int, int],
    occupied: dict[int, list[int]],
    edge: tuple[int, int],
    net: Net,
) -> Route:
    """The route of one edge."""
    a, b = edge
    source, target = grid.places[a], grid.places[b]
    if source.on_rail:
        return Route(net, False, source.row, index[b] - 1, target.row)
    low, high = sorted((index[a], index[b]))
    level = source.row == target.row and source.column != target.column and net[0] == "from"
    if level and not any(low < i < high for i in occupied[source.row]):
        return Route(net, True, source.row, None, target.row)
    if target.row == source.row + 1:
        return Route(net, False, target.row, None, target.row)
    gutter = index[b] - 1 if index[a] < index[b] else index[b] + 1
    return Route(net, False, source.row + 1, gutter, target.row)


def _tracks(
    routes: dict[EdgeKey, Route], grid: Grid, index: dict[int, int]
) -> tuple[Tracks, Tracks]:
    """Give each net a track in every channel and gutter that it runs through."""
    across: dict[int, dict[Net, list[int]]] = defaultdict(lambda: defaultdict(list))
    along: dict[int, dict[Net, list[int]]] = defaultdict(lambda: defaultdict(list))
    for (a, b, _), r in routes.items():
        if r.side:
            continue
        if r.gutter is None:
            across[r.down][r.net] += [index[a], index[b]]
            continue
        across[r.down][r.net] += [r.gutter, index[b]]
        along[r.gutter][r.net] += [r.up, r.down]
        if r.up >= 0:
            across[r.up][r.net] += [index[a], r.gutter]
    return _packed(across), _packed(along)


def _packed(spans: dict[int, dict[Net, list[int]]]) -> Tracks:
    """The left-edge rule: each net takes the lowest track that is free where it begins."""
    tracks = Tracks()
    for line, nets in spans.items():
        ends: list[int] = []
        for net, points in sorted(nets.items(), key=lambda item: (min(item[1]), item[0])):
            free = next((k for k, end in enumerate(ends) if end < min(points)), len(ends))
            ends[free : free + 1] = [max(points)]
            tracks.of[line, net] = free
        tracks.count[line] = len(ends)
    return tracks


def _ports(routes: dict[EdgeKey, Route], index: dict[int, int]) -> dict[int, list[Net]]:
    """For each node the nets that enter it from below, from left to right."""
    found: dict[int, dict[Net, float]] = defaultdict(dict)
    for (a, b, _), r in routes.items():
        if not r.side:
            origin = r.gutter if r.gutter is not None else index[a]
            found[b][r.net] = origin - 0.1 * (r.up < 0)
    return {b: [net for _, net in sorted((at, net) for net, at in nets.items())]
            for b, nets in found.items()}  # fmt: skip


def _sides(routes: dict[EdgeKey, Route]) -> dict[tuple[int, int], list[EdgeKey]]:
    """The straight wires between each two boxes, in order."""
    found: dict[tuple[int, int], list[EdgeKey]] = defaultdict(list)
    for edge, r in routes.items():
        if r.side:
            found[edge[0], edge[1]].append(edge)
    return found
