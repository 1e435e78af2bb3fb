"""Follow the rows of the batch through a program: which axis of each value they are on.

A value has rows where each row of it depends on the same row of the sources alone, on an axis that
is known. This is what a kernel must prove before it shares the rows among threads, and what makes
it right to select rows in a derivative. Above `program.py`.
"""

from collections.abc import Iterable

from engine.node import Shape
from engine.op import Along, Move
from engine.ops import reductions
from engine.scan.program import Program, Source, Value

MIXED = -1  # depends on rows, but it is not known on which axis they are, or on more than its own
GONE = -2  # summed over, or indexed away

Axes = dict[int, int]


def row_axes(program: Program, seeds: Iterable[Source], *, strict: bool = True) -> Axes:
    """Return the axis of the rows for each value that depends on the seeds, MIXED for others.

    The first axis of each seed is its rows; what depends on no seed is not in the result. A value
    in which rows are summed over is MIXED; where not `strict` it is like one that has no rows, and
    others may be computed from it row by row.
    """
    axes: Axes = {program.leaves[source]: 0 for source in seeds if source in program.leaves}
    found = {program.values[p].shape[:1] for p in axes}
    if len(found) > 1 or () in found:
        return dict.fromkeys(axes, MIXED)
    rows = found.pop()[0] if found else 0
    for value in program.values:
        if value.op is None or not any(p in axes for p in value.operands):
            continue
        to = {
            MIXED if axes[p] == MIXED else carried_to(value, slot, axes[p], program)
            for slot, p in enumerate(value.inputs)
            if isinstance(p, int) and p in axes
        }
        if not strict:
            to.discard(GONE)
            if not to:
                continue
        axis = to.pop() if len(to) == 1 else MIXED
        known = axis >= 0 and value.shape[axis] == rows
        axes[value.position] = axis if known else MIXED
    return axes


def carried_to(value: Value, slot: int, axis: int, program: Program) -> int:
    """Return the axis of an op's result on which the rows of an input lie, whole and in order.

    GONE where the result has none of them, MIXED where that is not known.
    """
    at = value.inputs[slot]
    assert isinstance(at, int)
    own = program.values[at].shape
    if value.kind == "elementwise":
        return axis + len(value.shape) - len(own)
    if value.kind == "reduction":
        folded = folded_axes(value, own)
        if axis in folded:
            return GONE
        return axis if value.attrs.get("keepdims") else axis - sum(one < axis for one in folded)
    if value.kind == "product":
        return _through_product(value, slot, axis, program)
    moves = moves_of(value, program)
    if moves is None:
        return MIXED
    to = {_moved(move, value, axis) for move in moves if value.inputs[move.slot] == at}
    return to.pop() if len(to) == 1 else MIXED


def _moved(move: Move, value: Value, axis: int) -> int:
    """Return where the axis of an operand lies in the result, whole and in order."""
    if axis >= len(move.where):
        return MIXED  # in the part that is flattened
    to, step, offset = move.where[axis]
    if to is None:
        return axis if value.shape[axis:] and value.shape[axis] == 1 else GONE
    whole = (step, offset) == (1, 0) and (move.low[to], move.high[to]) == (0, value.shape[to])
    return to if whole else MIXED


def _through_product(value: Value, slot: int, axis: int, program: Program) -> int:
    """Return where the rows of an operand of a product lie; those that are summed over are gone."""
    a, b = (len(program.values[p].shape) for p in value.operands[:2])
    rank = len(value.shape)
    if slot == 2:
        return rank - 1
    if slot == 0:
        if axis == a - 1:
            return GONE
        return axis + rank + (0 if value.linear or b > 1 else 1) - a
    if value.linear:
        return GONE if axis == 1 else rank - 1
    if axis == max(b - 2, 0):
        return GONE
    return rank - 1 if axis == b - 1 else axis + rank + (1 if a == 1 else 0) - b


def moves_of(value: Value, program: Program) -> tuple[Move, ...] | None:
    """Return where an op of layout takes its numbers from, None where it does not say."""
    if value.op is None or value.op.moves is None or len(value.operands) != len(value.inputs):
        return None
    shapes = tuple(program.values[p].shape for p in value.operands)
    found: tuple[Move, ...] | None = value.op.moves(value.attrs, shapes, value.shape)
    return found


def turned(program: Program, p: int) -> int | None:
    """Return the matrix of which a value is the transpose, None where it is none."""
    key = ("turned", p)
    if key not in program.memo:
        value, found = program.values[p], None
        if len(value.shape) == 2 and (moves := moves_of(value, program)):
            where = moves[0].where
            if len(moves) == 1 and where == (Along(1, 1, 0), Along(0, 1, 0)):
                found = value.operands[0]
        program.memo[key] = found
    known: int | None = program.memo[key]
    return known


def folded_axes(value: Value, shape: Shape) -> tuple[int, ...]:
    """Return the axes that a reduction folds away, of an input of a shape."""
    return tuple(sorted(reductions.folded_axes(shape, value.attrs.get("axis"))))


def selections(program: Program) -> frozenset[int]:
    """Return the values that choose by the mask between two others, row by row."""
    if program.mask is None or program.mask not in program.leaves:
        return frozenset()
    masks = {program.leaves[program.mask]}
    found = set()
    for value in program.values:
        if value.op is None or not value.inputs or value.inputs[0] not in masks:
            continue
        if value.kind == "layout":
            masks.add(value.position)
        elif value.degree == "choice":
            found.add(value.position)
    return frozenset(found)


def closed(program: Program, axes: Axes) -> frozenset[int]:
    """Return the values that reach results only row by row and through a selection by the mask.

    The gradient of one of them is zero in the rows that have no step, with any values there.
    """
    chosen = selections(program)
    uses: dict[int, list[tuple[Value, int]]] = {}
    for value in program.values:
        for slot, p in enumerate(value.inputs):
            if isinstance(p, int):
                uses.setdefault(p, []).append((value, slot))
    results = {*program.carry, *program.steps, *program.totals}
    found: set[int] = set()
    for value in reversed(program.values):
        p = value.position
        if axes.get(p, MIXED) == MIXED or p in results or p in chosen:
            continue
        if all(_through(use, slot, axes, program, chosen, found) for use, slot in uses.get(p, ())):
            found.add(p)
    return frozenset(found)


def _through(
    use: Value, slot: int, axes: Axes, program: Program, chosen: frozenset[int], found: set[int]
) -> bool:
    """Return whether a use is row by row: in a selection by the mask, or a value used so."""
    p = use.inputs[slot]
    assert isinstance(p, int)
    to = carried_to(use, slot, axes[p], program)
    if use.position in chosen:
        mask = use.inputs[0]
        assert isinstance(mask, int)
        return slot == 1 and to == carried_to(use, 0, axes[mask], program)
    return use.position in found and to == axes[use.position]
