"""Decides which values of a program its derivative reads, and which it computes again.

Above `rows.py`, below `derivative.py`.
"""

from engine.scan.program import Program, Value
from engine.scan.rows import moves_of, turned


def worth_saving(program: Program) -> frozenset[int]:
    """Return the values that a backward program reads rather than computes again.

    A derived program has many that are quickly computed of others: to write and to read them takes
    longer. An op of any other kind has its inputs saved as they were: a product needs them in
    memory, and what a rule compares must be the same to the last bit.
    """
    if not program.derived:
        return program.varies
    others = {value.position for value in program.values if not _is_quick(value, program)}
    read = {p for one in others for p in program.values[one].operands}
    return frozenset(p for p in program.varies & (others | read) if turned(program, p) is None)


def _is_quick(value: Value, program: Program) -> bool:
    """Return whether a value is a move, a sum or a product of others, number by number."""
    if value.op is None or turned(program, value.position) is not None:
        return False
    if value.op.kind == "elementwise":
        return value.op.degree in ("sum", "product", "choice")
    return moves_of(value, program) is not None
