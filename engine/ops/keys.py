"""Write index expressions as templates with slots for arrays, also with a time axis in front.

Below `indexing.py`.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from engine.apply import asarray
from engine.backends import HOST, NAMESPACES, backend_of, on_host, placement
from engine.backends import numpy as host
from engine.node import Shape
from engine.scope import Scope
from engine.state import current
from engine.tensor import Tensor


class Slot(NamedTuple):
    """Mark where in an index expression the array number `position` of the inputs goes.

    It goes there with `gap` axes of size 1 after its first.
    """

    position: int
    gap: int = 0

    def __repr__(self) -> str:
        return f"#{self.position}"


class Range(NamedTuple):
    """Hold positions of an axis, ``range(start, stop, step)``, and `behind` axes of size 1."""

    start: int
    stop: int
    step: int
    behind: int


Key = tuple[Any, ...]


def parsed(x: Tensor, key: Any) -> tuple[Key, list[Tensor]]:
    """Return an index expression as a template with slots, and the arrays that go into them."""
    parts = key if isinstance(key, tuple) else (key,)
    arrays: list[Tensor] = []
    template: list[Any] = []
    from_host: dict[int, Any] = {}  # arrays of the host for a tensor elsewhere
    for part in parts:
        if isinstance(part, Tensor | list) or backend_of(part) is not None:
            empty = isinstance(part, list) and not part  # no numbers, so no dtype to go by
            made = asarray(part, host.int64 if empty else None)
            if type(made.data) is not type(x.data) or placement.several:
                if x.device != made.device and on_host(made.data):
                    from_host[len(arrays)] = made.data
                made = asarray(made, device=x.device)
            arrays.append(made)
            template.append(Slot(len(arrays) - 1))
        elif isinstance(part, slice | int | type(None) | type(Ellipsis)):
            template.append(part)
        elif isinstance(part, HOST.xp.bool_):
            template.append(bool(part))
        elif hasattr(part, "__index__"):
            template.append(part.__index__())
        else:
            raise IndexError(f"getitem: {part!r} is no index; use integers, slices or arrays")
    if from_host:
        check_now(
            x.shape, filled(tuple(template), [from_host.get(n, a) for n, a in enumerate(arrays)])
        )
    return tuple(template), arrays


def integer_entries(shape: Shape, key: Key) -> Iterator[tuple[int, int, Any]]:
    """Yield the axis, its size and the array for each array of integers in an index expression."""
    used = sum(map(_axes, key))
    axis = 0
    for entry in key:
        if hasattr(entry, "dtype") and entry.dtype.kind != "b" and axis < len(shape):
            yield axis, shape[axis], entry
        axis += len(shape) - used if entry is Ellipsis else _axes(entry)


def _axes(entry: Any) -> int:
    """Return how many axes an entry of an index expression reads."""
    if hasattr(entry, "dtype"):
        return entry.ndim if entry.dtype.kind == "b" else 1
    return int(entry is not None and entry is not Ellipsis and not isinstance(entry, bool))


def check_now(shape: Shape, key: Key) -> None:
    """Raise IndexError for indices of the host that go to a device, where errors come later."""
    for axis, size, array in integer_entries(shape, key):
        if on_host(array) and array.size:
            for number in (int(array.min()), int(array.max())):
                if not -size <= number < size:
                    raise _outside("getitem", current().scope, axis, size, number)


def check_later(xp: Any, name: str, shape: Shape, key: Key) -> None:
    """Have indices on a device checked, which wrap around there, without waiting for the answer."""
    for axis, size, array in integer_entries(shape, key):
        error = partial(_outside, name, current().scope, axis, size)
        xp.check_range(array, -size, size - 1, error)


def _outside(name: str, scope: Scope, axis: int, size: int, number: int) -> IndexError:
    """Return the error of an index, in the words of NumPy."""
    bounds = f"index {number} is out of bounds for axis {axis} with size {size}"
    return IndexError(f"{name}{scope.place}: {bounds}")


def filled(key: Key, arrays: Sequence[Any]) -> Key:
    """Return the index expression with its arrays in place."""
    return tuple(_filled(part, arrays) for part in key)


def _filled(part: Any, arrays: Sequence[Any]) -> Any:
    if isinstance(part, Slot):
        array = arrays[part.position]
        if not part.gap:
            return array
        return array.reshape((array.shape[0], *(1,) * part.gap, *array.shape[1:]))
    if isinstance(part, Range):  # an array of the library of the others
        positions = NAMESPACES[type(arrays[0])].arange(part.start, part.stop, part.step)
        return positions.reshape((-1, *(1,) * part.behind))
    return part


def time_batched(key: Key, arrays: Sequence[Shape | None], shape: Shape, steps: int) -> Key:
    """Return the key of a tensor of `shape` for one with a time axis in front, as its arrays have.

    With arrays, time becomes an index of its own, which must be matched with theirs: they have one
    rank, and slices before them are written out as positions. Raises ValueError where the axes of
    the result would come in another order.
    """
    if any(isinstance(part, bool) for part in key):
        raise ValueError("True or False in an index adds an axis in front")
    if not arrays:
        return (slice(None), *key)
    ranks = {0 if one is None else len(one) for one in arrays}
    if len(ranks) > 1:
        raise ValueError(f"indices of shapes {list(arrays)} have no common place for a time axis")
    rank = ranks.pop()
    chosen = [i for i, part in enumerate(key) if _chooses(part)]
    first, last = chosen[0], chosen[-1]
    if not first or last - first >= len(chosen):
        if first and (None in key or ... in key):
            raise ValueError("an index with None or Ellipsis between arrays")
        return (Range(0, steps, 1, rank), *key)  # the axes of the arrays are in front already
    front = _written_out(key[:first], len(shape) - len(key) + 1 + key.count(None))
    if None in front:
        raise ValueError("an index with None in front of an array")
    count = len(front)
    ranges = [
        _range(part, size, count - 1 - axis + rank)
        for axis, (part, size) in enumerate(zip(front, shape, strict=False))
    ]
    rest = (Slot(part.position, count) if isinstance(part, Slot) else part for part in key[first:])
    return (Range(0, steps, 1, count + rank), *ranges, *rest)


def _range(part: slice, size: int, behind: int) -> Range:
    start, stop, step = part.indices(size)
    return Range(start, stop, step, behind)


def _written_out(front: Key, missing: int) -> Key:
    """Return the part of a key before its arrays with whole slices in the place of Ellipsis."""
    if ... not in front:
        return front
    at = front.index(...)
    return (*front[:at], *(slice(None),) * missing, *front[at + 1 :])


def _chooses(part: Any) -> bool:
    """Return whether a part of a key takes single positions, as an array does."""
    return isinstance(part, int | Slot)


def rank_of(key: Key, arrays: Sequence[Shape | None], rank: int) -> int:
    """Return the number of axes of ``x[key]`` for x of `rank`; masks are not counted with."""
    own = max((0 if one is None else len(one) for one in arrays), default=0)
    return rank - sum(map(_chooses, key)) + key.count(None) + own
