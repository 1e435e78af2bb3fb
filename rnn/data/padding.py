"""Pad sequences of many lengths to one array, and back. Above `loader.py`, below the batches."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import engine
from engine.backends import HOST, Array
from engine.checks import is_whole
from engine.suggestions import advised
from rnn.keywords import ARGUMENTS
from rnn.modules.values import whole


@dataclass(frozen=True)
class Ragged:
    """Hold sequences one after another: `flat` (sum of lengths, ...), and where each one begins."""

    flat: Array
    starts: Array
    lengths: Array

    @classmethod
    def of(cls, name: str, sequences: Iterable[Any]) -> "Ragged":
        """Return sequences joined; integers as int64, floats of Python as float32."""
        xp = HOST.xp
        arrays = [_array(name, number, one) for number, one in enumerate(sequences)]
        lengths = xp.asarray([len(one) for one in arrays], dtype=xp.int64)
        full = [one for one in arrays if one is not EMPTY]
        for number, one in enumerate(arrays):
            if one is not EMPTY and one.shape[1:] != full[0].shape[1:]:
                raise ValueError(
                    f"{name}: sequence {number} has steps of shape {one.shape[1:]}, the first "
                    f"{full[0].shape[1:]}"
                )
        floats = [one.dtype for one in full if one.dtype.kind == "f"]
        kind = xp.result_type(*floats) if floats else xp.int64
        flat = xp.concatenate([one.astype(kind) for one in full]) if full else EMPTY
        return cls(flat, xp.cumsum(lengths) - lengths, lengths)

    def listed(self) -> list[Array]:
        """Return the sequences one by one, as views."""
        ends = self.starts + self.lengths
        return [self.flat[a:b] for a, b in zip(self.starts, ends, strict=True)]

    def longest(self, rows: Array) -> int:
        """Return the most steps that one of these sequences has."""
        return int(self.lengths[rows].max(initial=0))

    def padded(self, rows: Array, value: Any, steps: int | None = None) -> Array:
        """Return these sequences side by side (T, B, ...), with `value` after the end of each."""
        xp = HOST.xp
        lengths = self.lengths[rows]
        steps = self.longest(rows) if steps is None else steps
        times = xp.arange(steps).reshape(-1, 1)
        inside = times < lengths
        out = xp.full((*inside.shape, *self.flat.shape[1:]), value, dtype=self.flat.dtype)
        out[inside] = self.flat[(self.starts[rows] + times)[inside]]
        return out


EMPTY = HOST.xp.zeros(0, dtype=HOST.xp.int64)  # a sequence that says nothing about shape or dtype
BEYOND = 1 << 63  # the first integer that int64 does not hold


def _array(name: str, number: int, one: Any) -> Array:
    """Return a sequence as an array of the host. Raises TypeError, ValueError for what is none."""
    listed = isinstance(one, list | tuple)
    if isinstance(one, str):
        raise TypeError(f"{name}: sequence {number} is the text {one[:20]!r}; encode it first: "
                        "vocabulary.encode(text)")  # fmt: skip
    array = HOST.xp.asarray(one) if listed else engine.asarray(one).numpy()
    if too_large(array, one):
        raise ValueError(f"{name}: sequence {number} holds an integer beyond int64, which ends at "
                         "2**63 - 1; give floats")  # fmt: skip
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: sequence {number} holds no numbers (dtype {array.dtype}); encode "
                        "it first: vocabulary.encode(tokens)")  # fmt: skip
    if not array.ndim:
        raise ValueError(f"{name}: sequence {number} is the single number {array}; expected (T,) "
                         "or (T, ...)")  # fmt: skip
    if not len(array) and array.ndim == 1:
        return EMPTY
    return array.astype("float32") if listed and array.dtype.kind == "f" else array


def too_large(array: Array, given: Any) -> bool:
    """Return whether integers are beyond int64: NumPy makes uint64, floats or objects of them."""
    kind, xp = array.dtype.kind, HOST.xp
    if kind == "u":
        return bool(array.max(initial=0) >= BEYOND)
    if not isinstance(given, list | tuple) or kind not in "fO":
        return False
    if kind == "f" and not abs(array).max(initial=0) >= BEYOND:
        return False
    return all(
        is_whole(one) or isinstance(one, bool) for one in xp.asarray(given, dtype=object).ravel()
    )


def fitting(where: str, value: Any, dtype: Any) -> Any:
    """Return a fill that this dtype holds. Raises TypeError for no number, else ValueError."""
    xp = HOST.xp
    given = xp.asarray(value)
    if given.dtype.kind not in "biuf" and not isinstance(value, int):
        raise TypeError(f"{where}={value!r}; expected a number")
    with xp.errstate(over="ignore", invalid="ignore"):
        if dtype.kind == "f":
            fits = xp.isfinite(given.astype(dtype)) == xp.isfinite(given.astype("float64"))
        else:
            fits = given.dtype.kind != "O" and given.astype(dtype) == given
    if not xp.all(fits):
        hint = "take a whole number of int64, or sequences of floats"
        raise ValueError(f"{where}={value!r} does not fit sequences of {dtype}; "
                         f"{'take a smaller one' if dtype.kind == 'f' else hint}")  # fmt: skip
    return value


def sizes(where: str, lengths: Any, most: int | None = None) -> Array:
    """Return lengths (B,) as int64 of the host. Raises ValueError for others, or beyond `most`."""
    found = engine.asarray(lengths).numpy()
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise ValueError(f"{where}: expected whole numbers as lengths (B,), got {found.tolist()}")
    if found.size and not (found.min() >= 0 and (most is None or found.max() <= most)):
        upper = "or more" if most is None else f"to {most}"
        raise ValueError(f"{where}: lengths must lie in 0 {upper}, got {found.tolist()}")
    return found.astype(HOST.xp.int64)


@advised(ARGUMENTS)
def pad_sequences(
    sequences: Iterable[Any],
    value: Any = 0,
    *,
    length: int | None = None,
    batch_first: bool = False,
) -> tuple[Array, Array]:
    """Return sequences (T_b,) or (T_b, ...) as one array (T, B, ...), and lengths (B,), int64.

    `value` stands after the end of each: the index `pad` of a vocabulary. T is the longest length,
    or `length`. Integers come out as int64, floats of Python as float32. Raises ValueError for
    steps of differing shapes, sequences longer than `length`, and integers or a `value` that the
    array cannot hold, such as 0.5 among integers; TypeError for what is no numbers.

    >>> import rnn.data
    >>> x, lengths = rnn.data.pad_sequences([[3, 4, 5], [6]])
    >>> x.tolist(), lengths.tolist()
    ([[3, 6], [4, 0], [5, 0]], [3, 1])
    """
    joined = Ragged.of("pad_sequences", sequences)
    count = len(joined.lengths)
    fitting("pad_sequences: value", value, joined.flat.dtype)
    if length is not None:
        length = whole("pad_sequences", "length", length, 0)
    if length is not None and count and joined.lengths.max() > length:
        longest = int(joined.lengths.argmax())
        raise ValueError(
            f"pad_sequences: sequence {longest} has {joined.lengths[longest]} steps, more than "
            f"length={length}; cut it first"
        )
    x = joined.padded(HOST.xp.arange(count), value, length)
    return (HOST.xp.ascontiguousarray(x.swapaxes(0, 1)) if batch_first else x), joined.lengths


def unpad(x: Any, lengths: Any) -> list[Array]:
    """Return the columns of x (T, B, ...) without their padding: arrays (T_b, ...) of the host.

    Raises ValueError for lengths that do not fit or are no whole numbers.

    >>> import rnn
    >>> [row.tolist() for row in rnn.data.unpad([[3, 6], [4, 0], [5, 0]], [3, 1])]
    [[3, 4, 5], [6]]
    """
    x, shape = engine.asarray(x).numpy(), engine.asarray(lengths).shape
    if x.ndim < 2 or shape != x.shape[1:2]:
        raise ValueError(f"unpad: lengths {shape} for x {x.shape}; expected x (T, B, ...) "
                         "and lengths (B,)")  # fmt: skip
    lengths = sizes("unpad", lengths, len(x))
    return [x[: int(length), column] for column, length in enumerate(lengths)]


def padding_mask(lengths: Any, steps: int | None = None) -> Array:
    """Return booleans (T, B), true up to the lengths (B,). T is the longest, or `steps`.

    Raises ValueError for lengths that are no whole numbers of 0 to T.

    >>> import rnn
    >>> rnn.data.padding_mask([3, 1]).tolist()
    [[True, True], [True, False], [True, False]]
    """
    most = None if steps is None else whole("padding_mask", "steps", steps, 0)
    found = sizes("padding_mask", lengths, most)
    steps = int(found.max(initial=0)) if most is None else most
    mask: Array = HOST.xp.arange(steps).reshape(-1, 1) < found
    return mask
