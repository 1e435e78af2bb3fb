"""Write what rearranges as ONNX operators: index expressions, sorts, rolls, scatters.

Below `onnx_operators.py`.
"""

from typing import Any

import engine
from engine.ops.keys import Range, Slot
from rnn.interop.onnx_scopes import Scope
from rnn.interop.onnx_steps import NoEquivalentError, Size, Step

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


def _argsort(w: Scope, s: Step) -> str:
    """Write TopK of all elements, of which equal ones stay in order. NaN counts as infinite."""
    (x,), dtype, rank = w.given(s), s.dtypes[0], len(s.shapes[0])
    axis = s.attrs.get("axis", -1) % rank
    if dtype.kind == "b":
        x = w.cast(x, engine.int32)
    elif dtype.kind == "f":
        x = w.op("Where", w.op("IsNaN", x), w.number(float("inf"), dtype), x)
    count, made = w.op("Shape", x, start=axis, end=axis + 1), w.shared.new("TopK")
    w.nodes.append(w.shared.onnx.helper.make_node(
        "TopK", [x, count], [f"{made}.values", made], axis=axis,
        largest=int(bool(s.attrs.get("descending"))), sorted=1,
    ))  # fmt: skip
    return made


def _roll(w: Scope, s: Step) -> str:
    """Write a Gather for each axis, of its positions moved around."""
    (x,), rank = w.given(s), len(s.shapes[0])
    shift, axis = s.attrs["shift"], s.attrs.get("axis")
    shape = ""
    if axis is None:
        shape, x, axis = w.op("Shape", x), w.op("Reshape", x, w.integers([-1])), 0
    axes = axis if isinstance(axis, tuple) else (axis,)
    shifts = shift if isinstance(shift, tuple) else (shift,) * len(axes)
    for one, by in zip(axes, shifts, strict=True):
        place = one % max(rank, 1)
        size = w.op("Squeeze", w.op("Shape", x, start=place, end=place + 1), w.integers([0]))
        steps = w.op("Range", w.scalar(0), size, w.scalar(1))
        x = w.op("Gather", x, w.op("Mod", w.op("Sub", steps, w.scalar(by)), size), axis=place)
    return w.op("Reshape", x, shape, allowzero=1) if shape else x


def _place(w: Scope, s: Step) -> str:
    """Write pieces put between zeros: Pad of a piece at integers and slices without steps, a
    ScatterND that adds of one at integers in an array for the first axis.
    """
    inputs, found = list(s.inputs), ""
    for key in s.attrs["keys"]:
        count = sum(isinstance(one, Slot) for one in key)
        piece, arrays = w.as_dtype(inputs[0], s.dtype), inputs[1 : 1 + count]
        del inputs[: 1 + count]
        made = _scattered(w, s, key, piece, arrays) if count else _padded(w, s, key, piece)
        found = w.op("Add", found, made) if found else made
    return found


def _padded(w: Scope, s: Step, key: Any, piece: str) -> str:
    rank = len(s.node.shape)
    key = [one for one in key if one is not Ellipsis] if key and key[-1] is Ellipsis else list(key)
    key += [slice(None)] * (rank - len(key))
    low, high = [], []
    for axis, one in enumerate(key):
        if isinstance(one, int) and not isinstance(one, bool) and one >= 0:
            piece = w.op("Unsqueeze", piece, w.integers([axis]))
            one = slice(one, one + 1)
        if not isinstance(one, slice) or one.step not in (None, 1):
            raise NoEquivalentError("place at other than slices without steps")
        start = 0 if one.start is None else one.start
        stop = s.shape[axis] if one.stop is None else one.stop
        if any(not isinstance(end, Size) and end < 0 for end in (start, stop)):
            raise NoEquivalentError("place at positions from the end")
        low.append(w.integers([start]))
        high.append(w.op("Sub", w.integers([s.shape[axis]]), w.integers([stop])))
    return w.op("Pad", piece, w.op("Concat", *low, *high, axis=0), w.number(0, s.dtype))


def _scattered(w: Scope, s: Step, key: Any, piece: str, arrays: list[Any]) -> str:
    rest = key[1:]
    if len(arrays) != 1 or key[0] != Slot(0) or any(
        one not in (slice(None), Ellipsis) for one in rest
    ):  # fmt: skip
        raise NoEquivalentError("place at other than integers for the first axis")
    if arrays[0].dtype.kind == "b":
        raise NoEquivalentError("place at a mask")
    zeros = w.op("Expand", w.number(0, s.dtype), w.integers(s.shape))
    at = w.op("Unsqueeze", w.cast(w.name(arrays[0]), engine.int64), w.integers([-1]))
    return w.op("ScatterND", zeros, at, piece, reduction="add")


def _searchsorted(w: Scope, s: Step) -> str:
    """Write how many numbers are below each, or not above it."""
    if len(s.inputs) > 2:
        raise NoEquivalentError("searchsorted with a sorter")
    row, found = w.cast_all(s, w.common(s))
    if len(s.shapes[0]) > 1:
        row = w.op("Unsqueeze", row, w.integers([-2]))
    op = "Less" if s.attrs.get("side", "left") == "left" else "LessOrEqual"
    below = w.op(op, row, w.op("Unsqueeze", found, w.integers([-1])))
    return w.op("ReduceSum", w.cast(below, engine.int64), w.integers([-1]), keepdims=0)


def _count_nonzero(w: Scope, s: Step) -> str:
    rank, axis = len(s.shapes[0]), s.attrs.get("axis")
    given = range(rank) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    (x,) = w.cast_all(s, engine.bool)
    found, axes = w.cast(x, s.dtype), [one % rank for one in given]
    kept = int(bool(s.attrs.get("keepdims")))
    return w.op("ReduceSum", found, w.integers(axes), keepdims=kept) if axes else found


ARRANGING = {
    "argsort": _argsort, "count_nonzero": _count_nonzero, "place": _place, "roll": _roll,
    "searchsorted": _searchsorted,
}  # fmt: skip
