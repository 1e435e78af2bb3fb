"""What one column of one row of a value is in C: which values are memory, which are expressions.

Below `cloop.py` and `csource.py`, which ask these questions of programs.
"""

from engine.scan.program import Program, Value

THROUGH = ("identity", "broadcast_to", "reshape")


def inlined(value: Value, program: Program) -> bool:
    """Whether a value outside of the core is computed where it is used."""
    if value.op is None or value.position in program.core:
        return False
    if value.position not in program.varies:
        return False
    return is_expression(value) and len(value.shape) <= 2


def is_expression(value: Value) -> bool:
    """Whether a value is computed column by column."""
    assert value.op is not None
    return bool(value.op.c) or value.op.name in THROUGH or is_slice(value) or is_place(value)


def is_slice(value: Value) -> bool:
    """A slice of the last axis, everything of the others."""
    if value.op is None or value.op.name != "getitem" or len(value.operands) != 1:
        return False
    *front, last = value.attrs["key"]
    whole = all(part == slice(None) or part is Ellipsis for part in front)
    return whole and isinstance(last, slice) and last.step in (None, 1)


def is_place(value: Value) -> bool:
    """Pieces of the last axis put side by side."""
    if value.op is None or value.op.name != "place":
        return False
    keys = value.attrs["keys"]
    return len(value.operands) == len(keys) and all(
        key and isinstance(key[-1], slice) and key[-1].step in (None, 1)
        and all(part == slice(None) for part in key[:-1]) for key in keys
    )  # fmt: skip


def bounds(part: slice, width: int) -> tuple[int, int]:
    low, high, _ = part.indices(width)
    return low, high
