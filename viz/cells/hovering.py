"""Show on hovering over a cell words for boxes, wires and terms, and what lights up together.

Above `model.py` and `formulas.py`, below `drawing.py`.
"""

from collections.abc import Iterator

from viz.cells.formulas import THIN, Piece, by_mark, left_side, text
from viz.cells.model import CellModel, Part, Use
from viz.cells.signs import plain
from viz.labels import number, short
from viz.scene import Group, Link, Run

LONGEST = 48  # characters of a term


class Hovering:
    """Map the marks of the equations to the boxes and wires that they belong to."""

    def __init__(self, model: CellModel, lines: list[list[Piece]]) -> None:
        self.model = model
        self.terms = by_mark([line[len(left_side(line)[1]) :] for line in lines])
        self.part = {mark: i for i, mark in enumerate(self.terms)}
        self.left = {mark: own for mark, own in map(left_side, lines) if mark}
        self.symbols = {mark: text(own) for mark, own in self.left.items()}
        self.boxes: dict[str, list[Part]] = {}
        self.wires: dict[str, list[Use]] = {}
        for part in model.parts:
            for node in part.nodes:
                self.boxes.setdefault(str(model.number[node]), []).append(part)
        for use in model.uses:
            for mark in use.uses:
                self.wires.setdefault(mark, []).append(use)

    def name(self, part: Part) -> str:
        """Return what a box computes: its symbol, else its term, else its sign."""
        if not part.nodes:
            return plain(part.name)
        mark = self.end(part)
        return self.symbols.get(mark) or self._term(mark) or part.sign

    def end(self, part: Part) -> str:
        """Return the mark of the node that a box ends with, empty where it has no op."""
        return str(self.model.number[part.nodes[0]]) if part.nodes else ""

    def symbol(self, part: Part) -> str:
        """Return the variable that a box computes, empty for none."""
        return self.symbols.get(self.end(part), "")

    def of_box(self, part: Part) -> str:
        """Return the words over a box: its equation, its weights, and the norm of its values."""
        if not part.nodes:
            return f"{plain(part.name)}, {_shape(part)}: norm {number(part.value_norm)}"
        own = self.symbol(part)
        term = self._term(self.end(part)) or part.sign
        weights = f"\nweights {', '.join(map(plain, part.weights))}" if part.weights else ""
        return (f"{f'{own} = ' if own else ''}{term}, {_shape(part)}: norm "
                f"{number(part.value_norm)}{weights}")  # fmt: skip

    def of_wire(self, use: Use) -> str:
        """Return the words over a wire: the derivative that it stands for, and its norm."""
        source, target = self.model.parts[use.source], self.model.parts[use.target]
        if target.role == "result":
            return f"{self.name(source)} → {plain(target.name)}"
        what = f"∂{_bracketed(self.name(target))}/∂{_bracketed(self.name(source))}"
        if use.factor is None:
            return f"{what}: {use.why}"
        return f"{what}: {number(use.factor)} (largest singular value)"

    def _term(self, mark: str) -> str:
        return short(text(self.terms.get(mark, ())), LONGEST)

    def runs(self, pieces: list[Piece]) -> tuple[Run, ...]:
        """Return pieces as runs of a formula, with what they tell."""
        found = []
        for piece in pieces:
            own = next((mark for mark in reversed(piece.marks) if self._is_drawn(mark)), "")
            within = tuple(self.part[mark] for mark in piece.marks if mark in self.part)
            part = self.part.get(own, -1) if piece.text != THIN else -1
            found.append(Run(piece.text, piece.italic, piece.level, part, within,
                             self._title(own)))  # fmt: skip
        return tuple(found)

    def _is_drawn(self, mark: str) -> bool:
        return mark in self.boxes or mark in self.wires

    def _title(self, mark: str) -> str:
        uses = self.wires.get(mark, [])
        if uses:
            return "\n".join(map(self.of_wire, uses))
        return "\n".join(map(self.of_box, self.boxes.get(mark, [])))

    def links(self) -> Iterator[Link]:
        """Yield what lights up over each box, each wire and each term."""
        for part in self.model.parts:
            own = self.part.get(self.end(part))
            if own is not None:
                yield Link(Group(boxes=(part.key,)), Group(boxes=(part.key,), parts=(own,)))
        for use in self.model.uses:
            wire = ((use.source, use.target),)
            parts = tuple(self.part[mark] for mark in use.uses if mark in self.part)
            yield Link(Group(wires=wire), Group(wires=wire, parts=parts))
        for mark, number_ in self.part.items():
            if self._is_drawn(mark):
                wires = tuple((use.source, use.target) for use in self.wires.get(mark, ()))
                boxes = tuple(part.key for part in self.boxes.get(mark, ()))
                yield Link(Group(parts=(number_,)), Group(boxes, wires, (number_,)))


def _shape(part: Part) -> str:
    return "×".join(map(str, part.tensor.shape)) or "one number"


def _bracketed(term: str) -> str:
    return f"({term})" if " " in term else term
