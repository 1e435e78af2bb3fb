"""Place the boxes of a cell: states as lanes, layers in one row, other ops between them.

A box stands right of all that it reads, or straight above a layer that it reads. Columns and rows
are counted here; `sheet.py` turns them into pixels. Above `model.py`.
"""

from dataclasses import dataclass, field

from viz.cells.model import CellModel, Part


@dataclass
class Places:
    """Column and row of each op by key. Rows from above: `lanes`, `between`, then the layers.

    `lane` is the row of each state that ops alone carry on to its new value.
    """

    columns: dict[int, int] = field(default_factory=dict)
    rows: dict[int, int] = field(default_factory=dict)
    lane: dict[int, int] = field(default_factory=dict)
    between: int = 0
    layers: int = 0  # their row

    @property
    def width(self) -> int:
        """Return the number of columns."""
        return 1 + max(self.columns.values(), default=0)


def place(
    model: CellModel, new: dict[int, int], between: int = 1, *, ordered: bool = True
) -> Places:  # fmt: skip
    """Return the places of all ops; `new` is the result of each state, by keys.

    There are `between` rows between lanes and layers to begin with: in more of them chains of ops
    stand above each other, which makes the cell narrower and higher. Layers stand in the order of
    the record, or where they are not `ordered` each in the first column that is free.
    """
    return _Placing(model, new, between, ordered=ordered).run()


class _Placing:
    """Place one op after the other, in the order of the record."""

    def __init__(
        self, model: CellModel, new: dict[int, int], between: int, *, ordered: bool
    ) -> None:
        self.model, self.new, self.ordered = model, new, ordered
        self.places = Places(between=between)
        self.taken: dict[int, set[int]] = {}

    def run(self) -> Places:
        """Give each op a row, then the first column that is free and right of what it reads."""
        on_lanes = self._lanes()
        lanes = len(self.places.lane)
        ops = [part for part in self.model.parts if part.role in ("op", "layer")]
        bottom = 10_000  # the row of layers until the number of rows between is known
        for part in ops:
            if part.key in on_lanes:
                self._put(part, on_lanes[part.key])
            elif part.role == "layer":
                self._put(part, bottom)
            else:
                self._put(part, self._row_between(part, lanes))
        rows = self.places.rows
        used = [row for row in rows.values() if lanes <= row < bottom]
        self.places.between = 1 + max(used) - lanes if used else 0
        self.places.layers = lanes + self.places.between
        for key, row in rows.items():
            rows[key] = self.places.layers if row == bottom else row
        return self.places

    def _lanes(self) -> dict[int, int]:
        """Return the row of each op that lies on a lane; states that no layer reads come first."""
        found: dict[int, int] = {}
        ways = {state: way for state, result in self.new.items()
                if (way := self._way(state, result)) is not None}  # fmt: skip

        def read_by_layers(state: int) -> int:
            return sum(self.model.parts[use.target].role == "layer"
                       for use in self.model.out_of(state))  # fmt: skip

        for state in sorted(ways, key=read_by_layers):
            if not any(key in found for key in ways[state]):
                row = len(self.places.lane)
                self.places.lane[state] = row
                found.update(dict.fromkeys(ways[state], row))
        return found

    def _way(self, state: int, result: int) -> list[int] | None:
        """Return the ops of the longest way of a state to its new value that meets no layer."""
        ways: dict[int, list[int]] = {state: []}
        for part in self.model.parts:  # each after those that it reads
            if part.key == result or self._passes(part):
                own = [ways[use.source] for use in self.model.into(part.key) if use.source in ways]
                if own:
                    ways[part.key] = [*max(own, key=len), part.key]
        return ways.get(result)

    def _passes(self, part: Part) -> bool:
        """Tell whether a lane goes through a box: through sums, products and choices."""
        sign = part.sign
        carries = sign[:1] in "⊙+−×÷" or sign[-1:] in "+−÷" or sign == "where"
        return part.role == "op" and carries

    def _least(self, part: Part, row: int) -> int:
        """Return the first column that is right of all that a box in this row reads."""
        least = 0
        for use in self.model.into(part.key):
            if use.source in self.places.columns:
                own = self.places.rows[use.source]
                upward = row < own
                least = max(least, self.places.columns[use.source] + (0 if upward else 1))
        return least

    def _free(self, part: Part, row: int) -> int:
        """Return the first free column for a box in a row."""
        taken = self.taken.get(row, set())
        column = self._least(part, row)
        if part.role == "layer" and self.ordered:
            column = max(column, 1 + max(taken, default=-1))
        while column in taken:
            column += 1
        return column

    def _row_between(self, part: Part, lanes: int) -> int:
        """Return the row between lanes and layers in which the box stands furthest left."""
        rows = range(lanes, lanes + self.places.between)
        best = min(rows, key=lambda row: (self._free(part, row), -row))
        if self._free(part, best) > self._least(part, best) + 1 and self.places.between < 4:
            best = lanes + self.places.between
            self.places.between += 1
        return best

    def _put(self, part: Part, row: int) -> None:
        column = self._free(part, row)
        self.places.columns[part.key], self.places.rows[part.key] = column, row
        self.taken.setdefault(row, set()).add(column)
