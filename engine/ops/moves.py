"""Tell where ops of layout take each number from: the rules of the field `moves` of their records.

A compiler reads these to index the input in place of moving it. Below the ops.
"""

from collections.abc import Mapping
from itertools import accumulate, product
from math import prod
from typing import Any

from engine.node import Shape
from engine.op import Along, Move

Attrs = Mapping[str, Any]
Shapes = tuple[Shape, ...]

ZERO = Along(None, 0, 0)


def _whole(slot: int, shape: Shape, index: tuple[Along, ...], *, flat: bool = False) -> Move:
    return Move(slot, (0,) * len(shape), shape, index, flat)


def permuted(attrs: Attrs, shapes: Shapes, shape: Shape) -> tuple[Move, ...]:
    """Return the move of `permute_dims`."""
    rank = len(shape)
    place = {axis % rank: i for i, axis in enumerate(attrs["axes"])}
    return (_whole(0, shape, tuple(Along(place[axis], 1, 0) for axis in range(rank))),)


def broadcast(attrs: Attrs, shapes: Shapes, shape: Shape) -> tuple[Move, ...]:
    """Return the move of `broadcast_to`."""
    return (_whole(0, shape, aligned(shapes[0], shape)),)


def aligned(own: Shape, shape: Shape) -> tuple[Along, ...]:
    """Return how an input is indexed that broadcasts to `shape`."""
    extra = len(shape) - len(own)
    return tuple(ZERO if size == 1 else Along(axis + extra, 1, 0) for axis, size in enumerate(own))


def reshaped(attrs: Attrs, shapes: Shapes, shape: Shape) -> tuple[Move, ...]:
    """Return the move of `reshape`: axis by axis where only sizes of 1 come and go."""
    own = shapes[0]
    wide = [axis for axis, size in enumerate(shape) if size != 1]
    if [size for size in own if size != 1] == [shape[axis] for axis in wide]:
        rest = iter(wide)
        index = tuple(ZERO if size == 1 else Along(next(rest), 1, 0) for size in own)
        return (_whole(0, shape, index),)
    same = 0
    while same < min(len(own), len(shape)) and own[same] == shape[same]:
        same += 1
    if not prod(own):
        return ()
    return (_whole(0, shape, tuple(Along(axis, 1, 0) for axis in range(same)), flat=True),)


def joined(attrs: Attrs, shapes: Shapes, shape: Shape) -> tuple[Move, ...]:
    """Return the moves of `concat`."""
    axis = attrs.get("axis", 0) % len(shape)
    stops = list(accumulate(one[axis] for one in shapes))
    return tuple(
        Move(slot, _at(shape, axis, low, 0), _at(shape, axis, high, shape),
             tuple(Along(i, 1, -low if i == axis else 0) for i in range(len(shape))))
        for slot, (low, high) in enumerate(zip([0, *stops], stops, strict=False))
    )  # fmt: skip


def _at(shape: Shape, axis: int, value: int, others: Any) -> Shape:
    """Return a corner of a box: `value` on an axis, 0 or the whole size on the others."""
    return tuple(value if i == axis else size if others else 0 for i, size in enumerate(shape))


def stacked(attrs: Attrs, shapes: Shapes, shape: Shape) -> tuple[Move, ...]:
    """Return the moves of `stack`."""
    axis = attrs.get("axis", 0) % len(shape)
    index = tuple(Along(i, 1, 0) for i in range(len(shape)) if i != axis)
    return tuple(
        Move(slot, _at(shape, axis, slot, 0), _at(shape, axis, slot + 1, shape), index)
        for slot in range(len(shapes))
    )


def flipped(attrs: Attrs, shapes: Shapes, shape: Shape) -> tuple[Move, ...]:
    """Return the move of `flip`."""
    rank = len(shape)
    axis = attrs.get("axis")
    axes = range(rank) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    turned = {one % rank for one in axes}
    index = tuple(Along(i, -1, size - 1) if i in turned else Along(i, 1, 0)
                  for i, size in enumerate(shape))  # fmt: skip
    return (_whole(0, shape, index),)


def rolled(attrs: Attrs, shapes: Shapes, shape: Shape) -> tuple[Move, ...] | None:
    """Return the moves of `roll`, two pieces for each axis; None where all axes are one row."""
    axis, shift = attrs.get("axis"), attrs["shift"]
    if axis is None and len(shape) > 1:
        return None
    axes = axis if isinstance(axis, tuple) else (0 if axis is None else axis,)
    shifts = shift if isinstance(shift, tuple) else (shift,) * len(axes)
    far = [0] * len(shape)
    for one, by in zip(axes, shifts, strict=True):
        far[one % len(shape)] += by
    sides = [[(0, size, 0)] if not size or not by % size else
             [(0, by % size, size - by % size), (by % size, size, -(by % size))]
             for size, by in zip(shape, far, strict=True)]  # fmt: skip
    return tuple(
        Move(0, tuple(low for low, _, _ in box), tuple(high for _, high, _ in box),
             tuple(Along(i, 1, offset) for i, (_, _, offset) in enumerate(box)))
        for box in product(*sides)
    )  # fmt: skip


def taken(attrs: Attrs, shapes: Shapes, shape: Shape) -> tuple[Move, ...] | None:
    """Return the move of `getitem`; None where its key has arrays."""
    parts = _expanded(attrs["key"], len(shapes[0]))
    if parts is None or len(shapes) > 1:
        return None
    index, axis, at = [], 0, 0
    for part in parts:
        if part is None:
            at += 1
        elif isinstance(part, slice):
            start, _, step = part.indices(shapes[0][axis])
            index.append(Along(at, step, start))
            axis, at = axis + 1, at + 1
        else:
            index.append(Along(None, 0, part % shapes[0][axis]))
            axis += 1
    return (_whole(0, shape, tuple(index)),)


def put(attrs: Attrs, shapes: Shapes, shape: Shape) -> tuple[Move, ...] | None:
    """Return the moves of `place`; None where a key has arrays or leaves gaps."""
    if len(attrs["keys"]) != len(shapes):
        return None
    moves = []
    for slot, key in enumerate(attrs["keys"]):
        parts = _expanded(key, len(shape))
        if parts is None:
            return None
        low, high, index, axis = [], [], [], 0
        for part in parts:
            if part is None:
                index.append(ZERO)
                continue
            size = shape[axis]
            if isinstance(part, slice):
                start, stop, step = part.indices(size)
                if step not in (1, -1):
                    return None
                first, last = (start, stop) if step == 1 else (stop + 1, start + 1)
                low.append(first)
                high.append(max(last, first))
                index.append(Along(axis, step, -start * step))
            else:
                low.append(part % size)
                high.append(part % size + 1)
            axis += 1
        own = index[len(index) - len(shapes[slot]) :]  # a piece may have fewer axes than its place
        spread = tuple(ZERO if size == 1 else along
                       for size, along in zip(shapes[slot], own, strict=True))  # fmt: skip
        moves.append(Move(slot, tuple(low), tuple(high), spread))
    return tuple(moves)


def _expanded(key: tuple[Any, ...], rank: int) -> list[Any] | None:
    """Return a key with a part for every axis, Ellipsis spelled out; None where it has arrays."""
    if not all(part is None or part is Ellipsis or isinstance(part, int | slice) for part in key):
        return None
    if any(isinstance(part, bool) for part in key):
        return None
    used = sum(part is not None and part is not Ellipsis for part in key)
    missing = [slice(None)] * (rank - used)
    if Ellipsis in key:
        at = next(i for i, part in enumerate(key) if part is Ellipsis)
        return [*key[:at], *missing, *key[at + 1 :]]
    return [*key, *missing]
