"""Sequences of many lengths as one padded array, and back. Below the batches."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import engine
from engine.backends import HOST, Array


@dataclass(frozen=True)
class Ragged:
    """Sequences one after another: `flat` (sum of lengths, ...), and where each one begins."""

    flat: Array
    starts: Array
    lengths: Array

    @classmethod
    def of(cls, name: str, sequences: Iterable[Any]) -> "Ragged":
        """Sequences joined; integers as int64, floats of Python as float32."""
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

    def padded(self, rows: Array, value: Any, steps: int | None = None) -> Array:
        """These sequences side by side (T, B, ...), with `value` after the end of each."""
        xp = HOST.xp
        lengths = self.lengths[rows]
        steps = int(lengths.max(initial=0)) if steps is None else steps
        times = xp.arange(steps).reshape(-1, 1)
        inside = times < lengths
        out = xp.full((*inside.shape, *self.flat.shape[1:]), value, dtype=self.flat.dtype)
        out[inside] = self.flat[(self.starts[rows] + times)[inside]]
        return out


EMPTY = HOST.xp.zeros(0, dtype=HOST.xp.int64)  # a sequence that says nothing about shape or dtype


def _array(name: str, number: int, one: Any) -> Array:
    """A sequence as an array of the host. Raises TypeError, ValueError for what is none."""
    listed = isinstance(one, list | tuple)
    if isinstance(one, str):
        raise TypeError(f"{name}: sequence {number} is the text {one[:20]!r}; encode it first: "
                        "vocabulary.encode(text)")  # fmt: skip
    array = HOST.xp.asarray(one) if listed else engine.asarray(one).numpy()
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name}: sequence {number} holds no numbers (dtype {array.dtype}); encode "
                        "it first: vocabulary.encode(tokens)")  # fmt: skip
    if not array.ndim:
        raise ValueError(f"{name}: sequence {number} is the single number {array}; expected (T,) "
                         "or (T, ...)")  # fmt: skip
    if not len(array) and array.ndim == 1:
        return EMPTY
    return array.astype("float32") if listed and array.dtype.kind == "f" else array


def pad_sequences(
    sequences: Iterable[Any],
    value: Any = 0,
    *,
    length: int | None = None,
    batch_first: bool = False,
) -> tuple[Array, Array]:
    """Sequences (T_b,) or (T_b, ...) as one array (T, B, ...), and their lengths (B,) of int64.

    `value` stands after the end of each: the index `pad` of a vocabulary. T is the longest length,
    or `length`. Integers come out as int64, floats of Python as float32. Raises ValueError for
    steps of differing shapes and sequences longer than `length`, TypeError for what is no numbers.

    >>> import rnn.data
    >>> x, lengths = rnn.data.pad_sequences([[3, 4, 5], [6]])
    >>> x.tolist(), lengths.tolist()
    ([[3, 6], [4, 0], [5, 0]], [3, 1])
    """
    joined = Ragged.of("pad_sequences", sequences)
    count = len(joined.lengths)
    if length is not None and count and joined.lengths.max() > length:
        longest = int(joined.lengths.argmax())
        raise ValueError(
            f"pad_sequences: sequence {longest} has {joined.lengths[longest]} steps, more than "
            f"length={length}; cut it first"
        )
    x = joined.padded(HOST.xp.arange(count), value, length)
    return (HOST.xp.ascontiguousarray(x.swapaxes(0, 1)) if batch_first else x), joined.lengths


def unpad(x: Any, lengths: Any) -> list[Array]:
    """The columns of x (T, B, ...) without their padding: arrays (T_b, ...) of the host.

    Raises ValueError for lengths that do not fit.
    """
    x, lengths = engine.asarray(x).numpy(), engine.asarray(lengths).numpy()
    if x.ndim < 2 or lengths.shape != x.shape[1:2]:
        raise ValueError(f"unpad: lengths {lengths.shape} for x {x.shape}; expected x (T, B, ...) "
                         "and lengths (B,)")  # fmt: skip
    if lengths.size and not 0 <= lengths.min() <= lengths.max() <= len(x):
        raise ValueError(f"unpad: lengths must lie in 0 to {len(x)}, got {lengths.tolist()}")
    return [x[: int(length), column] for column, length in enumerate(lengths)]


def padding_mask(lengths: Any, steps: int | None = None) -> Array:
    """Where there is something: booleans (T, B), for lengths (B,). T is the longest, or `steps`."""
    sizes = engine.asarray(lengths).numpy()
    steps = int(sizes.max(initial=0)) if steps is None else steps
    return HOST.xp.arange(steps).reshape(-1, 1) < sizes
