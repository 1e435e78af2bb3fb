"""What one column of one row of a value is in C: which values are memory, which are expressions.

Below `cloop.py` and `csource.py`, which ask these questions of programs.
"""

from itertools import accumulate
from typing import Any

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
    return _of_last_axis(value.attrs["key"], len(value.shape))


def is_place(value: Value) -> bool:
    """Pieces of the last axis put side by side, or joined along it."""
    if value.op is None:
        return False
    rank = len(value.shape)
    if value.op.name == "concat":
        return rank > 0 and value.attrs.get("axis", 0) in (-1, rank - 1)
    if value.op.name != "place":
        return False
    keys = value.attrs["keys"]
    return len(value.operands) == len(keys) and all(_of_last_axis(key, rank) for key in keys)


def pieces(value: Value, program: Program) -> list[tuple[int, int, int]]:
    """The pieces that a value is put together of: first column, the one after the last, operand."""
    assert value.op is not None
    if value.op.name == "concat":
        stops = list(accumulate(program.values[one].shape[-1] for one in value.operands))
        return list(zip([0, *stops], stops, value.operands, strict=False))
    return [(*bounds(key[-1], value.shape[-1]), one)
            for key, one in zip(value.attrs["keys"], value.operands, strict=True)]  # fmt: skip


def _of_last_axis(key: tuple[Any, ...], rank: int) -> bool:
    """Whether an index is a plain slice of the last of `rank` axes."""
    if not key or not isinstance(key[-1], slice) or key[-1].step not in (None, 1):
        return False
    front = key[:-1]
    reaches = len(key) == rank or Ellipsis in front
    return reaches and all(part == slice(None) or part is Ellipsis for part in front)


def bounds(part: slice, width: int) -> tuple[int, int]:
    """The first column of a slice and the one after its last."""
    low, high, _ = part.indices(width)
    return low, high
