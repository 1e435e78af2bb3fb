"""Widths and heights: of the columns of each shape, and of the rows and channels of all of them.

In whole pixels. Above `routing.py`, below `geometry.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from viz.layout.grid import Grid
from viz.layout.routing import Net, Wiring

TRACK = 12  # between two parallel wires
PAD = 11  # between a wire and a box
Size = tuple[int, int]


@dataclass(slots=True)
class Frame:
    """A column of one shape: x from its left end of slots (odd) and gutters (even), and of boxes.

    `boxes` are x, width and height by position. `zone` is what the first gutter keeps free on its
    left for words.
    """

    left: list[int]
    width: int
    boxes: list[tuple[int, int, int]]
    wiring: Wiring
    zone: int

    def gutter(self, g: int, net: Net) -> int:
        """Return the x of the track of a net in a gutter."""
        start = self.left[g] + (self.zone if g == 0 else 0)
        return start + PAD + self.wiring.gutters.of[g, net] * TRACK

    def port(self, position: int, net: Net) -> int:
        """Return the x at which a net enters a box from below."""
        x, w, _ = self.boxes[position]
        ports = self.wiring.ports[position]
        return x + w * (ports.index(net) + 1) // (len(ports) + 1)


def framed(grid: Grid, wirings: list[Wiring], sizes: Sequence[Size], gap: int) -> list[Frame]:
    """Return the frame of every shape: wide enough for the widest of its columns."""
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
    for shape, wiring, needed in zip(grid.shapes, wirings, most, strict=True):
        keys = grid.columns.columns[shape.sample].keys
        slots = [2 * grid.slot[n] + 1 for n in keys]
        for p, nets in wiring.ports.items():
            w, h = needed[p]
            needed[p] = (max(w, TRACK * (len(nets) + 1)), h)
        zone = gap if shape.sample > 0 else 0
        widths = [_gutter(wiring, g) for g in range(2 * shape.slots + 1)]
        widths[0] += zone
        widths[1::2] = [0] * shape.slots
        for slot, (w, _) in zip(slots, needed, strict=True):
            widths[slot] = max(widths[slot], w)
        left = list(accumulate(widths, initial=0))
        boxes = [(left[s] + (widths[s] - w) // 2, w, h)
                 for s, (w, h) in zip(slots, needed, strict=True)]  # fmt: skip
        frames.append(Frame(left, left[-1], boxes, wiring, zone))
    return frames


def _gutter(wiring: Wiring, g: int) -> int:
    tracks = wiring.gutters.count.get(g, 0)
    return (tracks - 1) * TRACK + 2 * PAD if tracks else PAD


class Heights:
    """The y of every row and channel, growing downward from `top`."""

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
