"""Compute widths and heights: of columns of each shape, and of rows and channels of all of them.

In whole pixels. Above `routing.py`, below `geometry.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from viz.layout.grid import Grid
from viz.layout.routing import Net, Wiring

TRACK = 12  # between two parallel wires
MARGIN = 18  # around all
PAD = 11  # between a wire and a box, with room for its head
Size = tuple[int, int]


class Spacing(NamedTuple):
    """Set how close upright wires stand: `rail` rail to rail, `aside` to boxes, `track` all others.

    With `bundle` the rails into steps left out share a wire, and so do states from either side.
    """

    rail: int
    aside: int
    track: int = TRACK
    margin: int = MARGIN
    bundle: bool = False


DENSE = Spacing(7, 6)  # wires from rails are thin
ROOMY = Spacing(TRACK, PAD)  # and here some have marks


@dataclass(slots=True)
class Frame:
    """Measure a column of one shape: x of slots (odd), gutters (even), boxes, from its left end.

    `boxes` are x, width and height by position. `zone` is what the first gutter keeps free on its
    left for words, `tracks` how far the tracks of each gutter lie from there.
    """

    left: list[int]
    width: int
    boxes: list[tuple[int, int, int]]
    wiring: Wiring
    zone: int
    tracks: dict[int, list[int]]

    def gutter(self, g: int, net: Net) -> int:
        """Return the x of the track of a net in a gutter."""
        start = self.left[g] + (self.zone if g == 0 else 0)
        return start + self.tracks[g][self.wiring.gutters.of[g, net]]

    def port(self, position: int, net: Net) -> int:
        """Return the x at which a net enters a box from below."""
        x, w, _ = self.boxes[position]
        ports = self.wiring.ports[position]
        return x + w * (ports.index(net) + 1) // (len(ports) + 1)


def framed(
    grid: Grid, wirings: list[Wiring], sizes: Sequence[Size], gaps: Sequence[int], spacing: Spacing,
    least: Sequence[int],
) -> list[Frame]:  # fmt: skip
    """Return the frame of every shape: wide enough for the widest of its columns.

    `gaps` are the room that each shape keeps on its left for words, but at the left end of all;
    `least` are the least widths of shapes.
    """
    most: list[list[Size]] = [
        [(0, 0)] * len(grid.columns.columns[s.sample].keys) for s in grid.shapes
    ]
    for column, kind in zip(grid.columns.columns, grid.shape_of, strict=True):
        own = most[kind]
        for p, n in enumerate(column.keys):
            w, h = sizes[n]
            if w > own[p][0] or h > own[p][1]:
                own[p] = (max(w, own[p][0]), max(h, own[p][1]))
    frames = []
    for shape, wiring, needed, gap, wide in zip(
        grid.shapes, wirings, most, gaps, least, strict=True
    ):
        keys = grid.columns.columns[shape.sample].keys
        slots = [2 * grid.slot[n] + 1 for n in keys]
        for p, nets in wiring.ports.items():
            w, h = needed[p]
            needed[p] = (max(w, spacing.track * (len(nets) + 1)), h)
        zone = gap if shape.sample > 0 else 0
        tracks = _tracks(wiring, spacing)
        rows = [grid.row[n] for n in keys]
        left, middles = _spread(shape.slots, slots, rows, needed, tracks, zone, spacing.aside)
        left[-1] = max(left[-1], wide)
        boxes = [(middles[s] - w // 2, w, h) for s, (w, h) in zip(slots, needed, strict=True)]
        frames.append(Frame(left, left[-1], boxes, wiring, zone, tracks))
    return frames


def _spread(
    count: int,
    slots: list[int],
    rows: list[int],
    sizes: list[Size],
    tracks: dict[int, list[int]],
    zone: int,
    aside: int,
) -> tuple[list[int], dict[int, int]]:
    """Return where slots and gutters begin, the end of all last, and the middles of the slots."""
    # Without a wire between two slots their boxes may reach past each other in different rows.
    left = [0] * (2 * count + 2)
    middles: dict[int, int] = {}
    ends: dict[int, int] = {}  # how far each row reaches
    start = zone + _room(tracks, 0, aside)
    end = start
    for s in range(1, 2 * count, 2):
        own = [(row, w) for slot, row, (w, _) in zip(slots, rows, sizes, strict=True) if slot == s]
        if s > 1 and s - 1 in tracks:
            left[s - 1], start = end, end + _room(tracks, s - 1, aside)
        least = [start + w - w // 2 for _, w in own]
        least += [ends[row] + 2 * aside + w - w // 2 for row, w in own if row in ends]
        middle = max([middles[s - 2] + TRACK if s > 1 else 0, *least])
        for row, w in own:
            ends[row] = middle + w - w // 2
            end = max(end, ends[row])
        middles[s], left[s] = middle, middle
    left[-2], left[-1] = end, end + _room(tracks, 2 * count, aside)
    return left, middles


def _room(tracks: dict[int, list[int]], g: int, aside: int) -> int:
    """Return the width of a gutter."""
    return tracks[g][-1] + aside if g in tracks else aside


def _tracks(wiring: Wiring, spacing: Spacing) -> dict[int, list[int]]:
    """Return how far the tracks of each gutter lie from its left end."""
    thin = {g: [True] * count for g, count in wiring.gutters.count.items()}
    for (g, (kind, _)), track in wiring.gutters.of.items():
        thin[g][track] &= kind.startswith("rail")
    found = {}
    for g, own in thin.items():
        x, xs = spacing.aside, [spacing.aside]
        for before, after in pairwise(own):
            x += spacing.rail if before and after else spacing.track
            xs.append(x)
        found[g] = xs
    return found


class Heights:
    """Compute the y of every row and channel, growing downward from `top`."""

    def __init__(self, grid: Grid, frames: list[Frame], sizes: Sequence[Size], top: int) -> None:
        high = [0] * grid.rows
        for shape, frame in zip(grid.shapes, frames, strict=True):
            for n, (_, _, h) in zip(
                grid.columns.columns[shape.sample].keys, frame.boxes, strict=True
            ):
                high[grid.row[n]] = max(high[grid.row[n]], h)
        for n in grid.columns.bars:
            high[grid.row[n]] = sizes[n][1]
        self.tracks: dict[int, int] = {}
        for frame in frames:
            for k, count in frame.wiring.channels.count.items():
                self.tracks[k] = max(count, self.tracks.get(k, 0))
        self.middle = [0] * grid.rows
        self.floor = [0] * (grid.rows + 1)  # the lower end of each channel; k lies under row k
        y = top
        for row in reversed(range(grid.rows)):
            y += self._channel(row + 1)
            self.floor[row + 1] = y
            self.middle[row] = y + high[row] // 2
            y += high[row]
        y += self._channel(0)
        self.floor[0] = y
        self.bottom = y

    def _channel(self, k: int) -> int:
        tracks = self.tracks.get(k, 0)
        return (tracks - 1) * TRACK + 2 * PAD if tracks else PAD

    def track(self, k: int, track: int) -> int:
        """Return the y of a track of a channel."""
        return self.floor[k] - PAD - track * TRACK
