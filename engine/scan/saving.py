"""Decides which values of a program its derivative reads, and which it computes again.

Above `rows.py`, below `derivative.py`.
"""

from math import prod

from engine.scan.program import Program, Value
from engine.scan.rows import moves_of, turned


def worth_saving(program: Program) -> frozenset[int]:
    """Return the values that a backward program reads rather than computes again.

    Those that are larger than all that they are computed from before the core it computes again. A
    derived program has many more that are quickly computed of others: to write and to read them
    takes longer. An op of any other kind has its inputs saved as they were: a product needs them in
    memory, and what a rule compares must be the same to the last bit.
    """
    if not program.derived:
        return program.varies - _spread(program)
    others = {value.position for value in program.values if not _is_quick(value, program)}
    read = {p for one in others for p in program.values[one].operands}
    return frozenset(p for p in program.varies & (others | read) if turned(program, p) is None)


def _spread(program: Program) -> frozenset[int]:
    """Return the hoisted values that are computed number by number of others that are smaller
    together, as of a row and a column. A kernel computes them again and stores none.

    What is compared or chosen from is no such value: its bits count.
    """
    compared = {p for value in program.values if value.op is not None and not _is_smooth(value)
                for p in value.operands}  # fmt: skip
    made_of: dict[int, frozenset[int]] = {}
    candidates = program.hoisted & program.varies - compared
    for value in program.values:
        p = value.position
        if p in candidates and _is_smooth(value):
            varying = (one for one in value.operands if one in program.varies)
            sources = frozenset[int]().union(*(made_of.get(one, {one}) for one in varying))
            if sum(prod(program.values[one].shape) for one in sources) < prod(value.shape):
                made_of[p] = sources
    return frozenset(made_of)


def _is_smooth(value: Value) -> bool:
    """Return whether a value is computed number by number, without a choice."""
    op = value.op
    choice = op is None or op.degree in ("choice", "maximum") or value.dtype.kind != "f"
    return op is not None and op.kind == "elementwise" and not choice


def _is_quick(value: Value, program: Program) -> bool:
    """Return whether a value is a move, a sum or a product of others, number by number."""
    if value.op is None or turned(program, value.position) is not None:
        return False
    if value.op.kind == "elementwise":
        return value.op.degree in ("sum", "product", "choice")
    return moves_of(value, program) is not None
