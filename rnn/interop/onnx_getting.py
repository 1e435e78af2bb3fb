"""Write an index expression as ONNX operators. Below `onnx_operators.py`."""

from typing import Any

import engine
from engine.ops.keys import Range, Slot
from rnn.interop.onnx_scopes import Scope
from rnn.interop.onnx_sizes import NoEquivalentError
from rnn.interop.onnx_steps import Step

FIRST, LAST = -(2**63), 2**63 - 1


def got(w: Scope, s: Step) -> str:
    """Write ``x[key]`` of slices, integers, None, Ellipsis and at most one array of integers, or of
    several for the first axes alone.

    Raises NoEquivalentError for what there is else.
    """
    x, arrays = w.given(s)[0], s.inputs[1:]
    key, rank = list(s.attrs["key"]), len(s.shapes[0])
    if any(isinstance(one, bool | Range) or (isinstance(one, Slot) and one.gap) for one in key):
        raise NoEquivalentError("an index expression with booleans")
    if any(one is None or one.kind == "b" for one in s.dtypes[1:]):
        raise NoEquivalentError("an index expression with a mask")
    if len(arrays) > 1:
        return _at_points(w, x, key, [w.cast(w.name(one), engine.int64) for one in arrays])
    used = sum(1 for one in key if one is not None and one is not Ellipsis)
    if Ellipsis in [one for one in key if one is Ellipsis]:
        at = next(place for place, one in enumerate(key) if one is Ellipsis)
        key[at : at + 1] = [slice(None)] * (rank - used)
    if arrays and any(not isinstance(one, slice | Slot) for one in key):
        raise NoEquivalentError("an index expression with an array beside integers or None")
    x = _sliced(w, x, [one for one in key if one is not None])
    axis = 0
    for one in key:
        if isinstance(one, Slot):
            x = w.op("Gather", x, w.cast(w.name(arrays[0]), engine.int64), axis=axis)
        elif one is None:
            x = w.op("Unsqueeze", x, w.integers([axis]))
            axis += 1
        elif isinstance(one, slice):
            axis += 1
        else:
            x = w.op("Gather", x, w.scalar(one), axis=axis)  # takes the axis off
    return x


def _sliced(w: Scope, x: str, key: list[Any]) -> str:
    """Write the slices among the entries, one for each axis, all at once."""
    found = [(axis, one) for axis, one in enumerate(key)
             if isinstance(one, slice) and one != slice(None)]  # fmt: skip
    if not found:
        return x
    starts, ends, steps = [], [], []
    for _, one in found:
        step = 1 if one.step is None else one.step
        starts.append((0 if step > 0 else LAST) if one.start is None else one.start)
        ends.append((LAST if step > 0 else FIRST) if one.stop is None else one.stop)
        steps.append(step)
    axes = w.integers([axis for axis, _ in found])
    return w.op("Slice", x, w.integers(starts), w.integers(ends), axes, w.integers(steps))


def _at_points(w: Scope, x: str, key: list[Any], arrays: list[str]) -> str:
    """Write ``x[i, j, ...]`` of arrays of integers, which are broadcast against each other."""
    if [one for one in key if isinstance(one, Slot)] != key[: len(arrays)] or any(
        one not in (slice(None), Ellipsis) for one in key[len(arrays) :]
    ):
        raise NoEquivalentError("an index expression with several arrays beside slices")
    zero = w.scalar(0)
    zeros = [w.op("Mul", one, zero) for one in arrays]
    while len(zeros) > 1:
        zeros = [w.op("Add", zeros[0], zeros[1]), *zeros[2:]]
    last = w.integers([-1])
    order = [arrays[one.position] for one in key[: len(arrays)]]
    parts = [w.op("Unsqueeze", w.op("Add", one, zeros[0]), last) for one in order]
    return w.op("GatherND", x, w.op("Concat", *parts, axis=-1))
