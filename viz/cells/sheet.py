"""Lay out the sheet of a cell: boxes in pixels, and points at their edges where wires begin or end.

Everything stands on a lattice of `UNIT` pixels. Above `places.py`, below `routing.py`.
"""

from dataclasses import dataclass, field
from math import ceil

from viz.cells.lattice import DOWN, LEFT, RIGHT, UP, Lattice, Port, Spot
from viz.cells.model import CellModel, Part, StepRecord
from viz.cells.places import Places, place
from viz.labels import width

UNIT = 8  # pixels
LAYER, NARROW, OP, STUB = (48.0, 32.0), (32.0, 32.0), (24.0, 24.0), (46.0, 28.0)
SIGN = 13.0  # pixels: the size of what stands in a box
NEAR = 4.0  # pixels that stay free around a box
SIDES = (RIGHT, LEFT, UP, DOWN)


@dataclass(frozen=True, slots=True)
class Spread:
    """Set the units between columns and between rows: more where wires found no way.

    `between` are the rows between lanes and layers to begin with: more where a cell is wide. Where
    it is wider still, boxes are small, and layers in no order, so that they stand `close`.
    """

    columns: int = 4
    rows: int = 5
    between: int = 1
    close: bool = False


@dataclass
class Frame:
    """Hold a box: its middle on the lattice, and its size in pixels."""

    part: Part
    at: Spot
    w: float
    h: float

    @property
    def corner(self) -> tuple[float, float]:
        """Return the upper left corner in pixels."""
        return self.at[0] * UNIT - self.w / 2, self.at[1] * UNIT - self.h / 2

    def port(self, side: Spot, shift: int = 0) -> Spot:
        """Return the point of the lattice in front of a side, `shift` units from its middle."""
        half = self.w / 2 if side[0] else self.h / 2
        away = ceil((half + NEAR) / UNIT)
        return (self.at[0] + side[0] * away + (shift if side[1] else 0),
                self.at[1] + side[1] * away + (shift if side[0] else 0))  # fmt: skip

    def edge(self, spot: Spot, side: Spot) -> tuple[float, float]:
        """Return the point on the edge, in pixels, behind a point in front of a side."""
        x, y = spot[0] * UNIT, spot[1] * UNIT
        if side[0]:
            return self.at[0] * UNIT + side[0] * self.w / 2, float(y)
        return float(x), self.at[1] * UNIT + side[1] * self.h / 2

    def shifts(self, side: Spot) -> list[int]:
        """Return where on a side wires may end, the middle first."""
        room = self.w if side[1] else self.h
        most = int((room / 2 - 7) // UNIT)
        return sorted(range(-most, most + 1), key=lambda s: (abs(s), s))


@dataclass
class Sheet:
    """Hold all boxes by key, the body around the ops, and the size in units."""

    frames: dict[int, Frame] = field(default_factory=dict)
    body: tuple[int, int, int, int] = (0, 0, 0, 0)  # left, top, right, bottom
    width: int = 0
    height: int = 0
    lanes: tuple[int, ...] = ()  # the states that are lanes
    rails: dict[int, int] = field(default_factory=dict)  # rows under the layers, by their source
    floor: int = 0  # the row of the ends of wires into layers

    def lattice(self) -> Lattice:
        """Return the lattice around the boxes."""
        lattice = Lattice(self.width, self.height, rails=self.rails, floor=self.floor)
        for key, frame in self.frames.items():
            wide, high = frame.w / 2, frame.h / 2
            for spot in _around(frame, 3):
                dx, dy = (abs(a - b) * UNIT for a, b in zip(spot, frame.at, strict=True))
                if dx < wide + NEAR and dy < high + NEAR:
                    lattice.blocked.add(spot)
                elif dx < wide + NEAR + UNIT and dy < high + NEAR + UNIT:
                    lattice.beside.add(spot)
            for side in SIDES:
                for x, y in (frame.port(side, shift) for shift in frame.shifts(side)):
                    lattice.kept[x, y] = key
                    mouth = (x + side[0], y + side[1])
                    lattice.mouths[mouth] = (*lattice.mouths.get(mouth, ()), key)
        return lattice

    def starts(self, key: int) -> list[Port]:
        """Return where wires out of a box begin."""
        frame = self.frames[key]
        sides = {"input": [(UP, 0.0)], "state": [(RIGHT, 0.0)], "layer": [(UP, 0.0), (RIGHT, 0.5)]}
        found = sides.get(frame.part.role, [(RIGHT, 0.0), (UP, 6.0)])
        return [Port(frame.port(side), side, cost) for side, cost in found]

    def goals(self, key: int, source: int) -> list[Port]:
        """Return where wires into a box end.

        What is given enters a layer from below wherever that is possible, as it is usual to draw.
        """
        frame = self.frames[key]
        given = self.frames[source].part.role in ("input", "state")
        other = 40.0 if given else 8.0
        sides = {"layer": [(DOWN, 0.0), (LEFT, other), (UP, other)], "result": [(LEFT, 0.0)]}
        found = sides.get(frame.part.role, [(LEFT, 0.0), (DOWN, 0.0), (UP, 2.0)])
        return [Port(frame.port(side, s), (-side[0], -side[1]), cost + 0.3 * abs(s))
                for side, cost in found for s in frame.shifts(side)]  # fmt: skip


def _around(frame: Frame, more: int) -> list[Spot]:
    wide, high = (ceil(size / 2 / UNIT) + more for size in (frame.w, frame.h))
    x, y = frame.at
    return [(x + i, y + j) for i in range(-wide, wide + 1) for j in range(-high, high + 1)]


def sheet(model: CellModel, record: StepRecord, spread: Spread) -> Sheet:
    """Return where everything stands."""
    return _Sheet(model, record, spread).made


class _Sheet:
    """Set columns and rows in units, then the given and the returned values around them."""

    def __init__(self, model: CellModel, record: StepRecord, spread: Spread) -> None:
        self.model, self.spread = model, spread
        named = {part.name: part.key for part in model.parts if part.role == "state"}
        results = {part.name: part.key for part in model.parts if part.role == "result"}
        self.new = {named[old]: results[name] for old, name in record.new.items()}
        self.places: Places = place(model, self.new, spread.between, ordered=not spread.close)
        self.made = Sheet(lanes=tuple(self.places.lane))
        self.low = [part for part in model.parts
                    if part.role == "state" and part.key not in self.places.lane]  # fmt: skip
        self._rows()
        self._columns()
        self._ops()
        self._ends()

    def _rows(self) -> None:
        """Set the middle of each row, then of the rails of states that are no lanes."""
        pitch = self.spread.rows + 3
        self.row = {row: 6 + pitch * row for row in range(self.places.layers + 1)}
        has_layers = any(part.role == "layer" for part in self.model.parts)
        last = self.row[max(self.places.layers - (not has_layers), 0)]
        low = {part.key for part in self.low}
        own = [part.key for part in self.model.parts if part.role in ("input", "state")
               and part.key not in low and self._feeds_a_layer(part)]  # fmt: skip
        others = len(own)
        first = last + 7 + others
        self.rail = {part.key: first + 5 * i for i, part in enumerate(self.low)}
        bottom = max([last + 4 + others + bool(own), *(y + 3 for y in self.rail.values())])
        self.made.body = (0, 2, 0, bottom)
        self.made.floor = last + 4
        self.made.rails = {**{key: last + 5 + i for i, key in enumerate(own)}, **self.rail}

    def _feeds_a_layer(self, part: Part) -> bool:
        targets = (self.model.parts[use.target] for use in self.model.out_of(part.key))
        return any(target.role == "layer" for target in targets)

    def _columns(self) -> None:
        """Set the middle of each column: wide boxes need more room."""
        widest = [0.0] * self.places.width
        for key, column in self.places.columns.items():
            widest[column] = max(widest[column], self._size(self.model.parts[key])[0])
        x, self.column = 11 + self.spread.columns, []
        for i, wide in enumerate(widest):
            half = ceil(wide / 2 / UNIT)
            x += half + (self.spread.columns if i else 0)
            self.column.append(x)
            x += half
        # Wires that find no way between narrow columns go around them.
        self.right = x + (self.spread.columns if self.spread.columns > 3 else 6)

    def _ops(self) -> None:
        for key, column in self.places.columns.items():
            part = self.model.parts[key]
            at = (self.column[column], self.row[self.places.rows[key]])
            self.made.frames[key] = Frame(part, at, *self._size(part))

    def _ends(self) -> None:
        """Set states on the left, inputs below, results on the right."""
        _, top, _, bottom = self.made.body
        stub = max((self._size(part)[0] for part in self.model.parts
                    if part.role not in ("op", "layer")), default=STUB[0])  # fmt: skip
        half = ceil(stub / 2 / UNIT)
        shift = 2 * half - 6  # wide names move everything to the right
        for frame in self.made.frames.values():
            frame.at = (frame.at[0] + shift, frame.at[1])
        self.right += shift
        left = 1 + 2 * half + 2
        self.made.body = (left, top, self.right, bottom)
        heights = {**{k: self.row[r] for k, r in self.places.lane.items()}, **self.rail}
        for key, y in heights.items():
            self._stub(key, (1 + half, y))
        x = max(left + 2, self._first_reader() + shift - 1)
        for part in self.model.parts:
            if part.role == "input":
                self._stub(part.key, (x, bottom + 4))
                x += 2 * half + 2
        self._results(heights, self.right + 2 + half)
        self.made.width = max(self.right + 3 + 2 * half, x)
        self.made.height = max([bottom + 6, *(f.at[1] + 3 for f in self.made.frames.values())])

    def _first_reader(self) -> int:
        """Return the middle of the first column with a box that reads an input."""
        read = [self.places.columns[use.target] for part in self.model.parts
                if part.role == "input" for use in self.model.out_of(part.key)
                if use.target in self.places.columns]  # fmt: skip
        return self.column[min(read, default=0)]

    def _results(self, heights: dict[int, int], x: int) -> None:
        """Set new states where the old ones stand, and each other result by the op that made it."""
        taken = [heights[old] for old in self.new]
        for old, new in self.new.items():
            self._stub(new, (x, heights[old]))
        for part in self.model.parts:
            if part.role == "result" and part.key not in self.made.frames:
                made = [self.made.frames[use.source].at[1] for use in self.model.into(part.key)]
                y = made[0] if made else 6
                while any(abs(y - other) < 5 for other in taken):
                    y += 1
                taken.append(y)
                self._stub(part.key, (x, y))

    def _stub(self, key: int, at: Spot) -> None:
        part = self.model.parts[key]
        self.made.frames[key] = Frame(part, at, *self._size(part))

    def _size(self, part: Part) -> tuple[float, float]:
        """Return the size of a box: a circle where its sign is short."""
        layer, free = (NARROW, 10) if self.spread.close else (LAYER, 14)
        least = {"layer": layer, "op": OP}.get(part.role, STUB)
        needed = width(part.sign, SIGN) + free
        wide = least[0] if needed <= least[0] + 2 else 2.0 * UNIT * ceil(needed / 2 / UNIT)
        return wide, least[1]
