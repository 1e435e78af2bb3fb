"""Draw random numbers by name: each is keyed by (seed, path, t), so no draw depends on another.

`uniform` and `normal` are drawn on the host and moved; the keys made here go to the op `chance`,
which draws where its key is. Both give the same numbers on NumPy and CuPy. Above `asarray`.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from itertools import count
from typing import TYPE_CHECKING, Any

from engine.apply import asarray
from engine.backends import HOST, DType, by_device
from engine.backends import numpy as host
from engine.checks import is_whole
from engine.instead import INSTEAD
from engine.state import Draws, Rows, current, using
from engine.suggestions import teller
from engine.tensor import Tensor

__all__ = ["isolated", "normal", "random_state", "seed", "set_random_state", "uniform"]


class _Seed:
    """Hold the state of the randomness: the class itself is that of the process."""

    value = 0
    births = count()
    streams: dict[str, int] = {}  # how many keys were taken at each path  # noqa: RUF012


class _Threads(threading.local):
    seed: type[_Seed] | _Seed = _Seed


_threads = _Threads()


def seed(number: int) -> None:
    """Start all randomness from an integer, which repeats all draws. Raises ValueError below 0.

    >>> engine.seed(3)
    >>> x = engine.random.normal((2,), 1.0)
    >>> engine.seed(3)
    >>> engine.equal(x, engine.random.normal((2,), 1.0)).tolist()
    [True, True]
    """
    if not is_whole(number, 0):
        raise ValueError(f"seed: expected an integer of at least 0, got {number!r}")
    _threads.seed.value = int(number)
    _threads.seed.births = count()
    _threads.seed.streams = {}


def random_state() -> dict[str, Any]:
    """Return the state of the randomness as plain data: all that a resumed run needs to draw on.

    `seed` is the one in force, `births` the number of things made since, `streams` how many keys
    were taken at each path.

    >>> sorted(engine.random.random_state())
    ['births', 'seed', 'streams']
    """
    births = next(_threads.seed.births)
    _threads.seed.births = count(births)  # put back what was looked at
    return {"seed": _threads.seed.value, "births": births, "streams": dict(_threads.seed.streams)}


def check_random_state(state: Any) -> None:
    """Raise ValueError for what is no state of `random_state`."""
    good = isinstance(state, Mapping) and set(state) == {"seed", "births", "streams"}
    good = good and isinstance(state["streams"], Mapping)
    if not good or not all(
        is_whole(n, 0) for n in (state["seed"], state["births"], *state["streams"].values())
    ):
        raise ValueError("random state: expected a seed, births and streams, all counts from 0")


def set_random_state(state: Mapping[str, Any]) -> None:
    """Draw on from where `random_state` was taken. Raises ValueError for what is none.

    >>> before = engine.random.random_state()
    >>> x = engine.random.normal((2,), 1.0)
    >>> engine.random.set_random_state(before)
    >>> engine.equal(x, engine.random.normal((2,), 1.0)).tolist()
    [True, True]
    """
    check_random_state(state)
    _threads.seed.value = state["seed"]
    _threads.seed.births = count(state["births"])
    _threads.seed.streams = dict(state["streams"])


def rows(first: int, count: int, total: int) -> using:
    """Take arrays of a batch inside as some rows of it, and draw the masks of these rows.

    What is drawn for a mask of `total` rows is then drawn in parts, wherever each is. The axis of
    the rows is found by its size, `count`: in the step of a recurrence the first axis of two or
    more, elsewhere the last but one, else the first. A mask without such an axis is drawn as it
    is, and so is one of weights. Raises ValueError for rows outside of the batch.
    """
    if not 0 <= first <= first + count <= total:
        raise ValueError(f"rows: {count} rows from {first} on of a batch of {total}")
    return using(rows=None if count == total else Rows(first, count, total))


def windowed(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return the attribute of `chance` for a mask of the rows in force; none where it is whole."""
    state = current()
    own = state.rows
    if own is None or len(shape) < (1 if state.draws is None else 2):
        return {}
    axes = (0,) if state.draws is not None or len(shape) == 1 else (len(shape) - 2, 0)
    axis = next((one for one in axes if shape[one] == own.size), None)
    return {} if axis is None else {"window": (axis, own.first, own.total)}


def draws(path: str, device: str | None = None) -> Draws:
    """Return draws of their own, by the seed, the path and how often this path has asked."""
    return Draws(lambda: fresh_key(path, device), asarray(host.asarray(0), device=device))


def fresh_key(path: str, device: str | None = None) -> Tensor:
    """Return a key (2,) of `chance`, by the seed, the path and how often this path has asked."""
    book = current().keys
    number = taken(path) if book is None else book(path)
    words = _words(_threads.seed.value, path, number)[:2]
    backend = HOST if device is None else by_device(device)
    if backend is HOST:
        return asarray(host.asarray(words))
    with backend.on(device):  # two launches, and no transfer
        key = backend.xp.full(2, words[0], dtype=host.int64)
        key[1:] = words[1]
    return asarray(key)


def taken(path: str) -> int:
    """Return the number of the next key at a path, for good."""
    number = _threads.seed.streams.get(path, 0)
    _threads.seed.streams[path] = number + 1
    return number


def value() -> int:
    """Return the seed in force."""
    return _threads.seed.value


def birth() -> int:
    """Return the number of things made since the seed was set: the key of one without a path."""
    return next(_threads.seed.births)


@contextmanager
def isolated(number: int) -> Iterator[None]:
    """Give this thread a randomness of its own inside, from `number` on; others keep theirs.

    `seed` and `set_random_state` change the own one then, and both are as before afterwards. So
    functions that run at the same time in several threads draw what each would draw alone.

    >>> with engine.random.isolated(3):
    ...     engine.random.value()
    3
    """
    before, _threads.seed = _threads.seed, _Seed()
    try:
        seed(number)
        yield
    finally:
        _threads.seed = before


def generator(*key: Any) -> Any:
    """Return a generator of a stream that follows from the seed and `key` (a path, a time step)."""
    return host.generator([_threads.seed.value, *_words(*key)])


def _words(*key: Any) -> list[int]:
    """Return four integers of 32 bits that follow from a key."""
    if any(isinstance(part, tuple | list) for part in key):
        raise TypeError(f"random: a key is made of numbers and text, got {key}; shape comes first")
    digest = blake2b("\x1f".join(map(str, key)).encode(), digest_size=16).digest()
    return [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4)]


def uniform(
    shape: tuple[int, ...], low: float, high: float, *key: Any, dtype: DType | None = None,
    device: str | None = None,
) -> Tensor:  # fmt: skip
    """Return numbers uniform in [low, high), fixed by the seed and `key`; float32 by default.

    Without a key those of every call differ.

    >>> x = engine.random.uniform((2,), -1.0, 1.0, "a key")
    >>> engine.equal(x, engine.random.uniform((2,), -1.0, 1.0, "a key")).tolist()
    [True, True]
    """
    values = generator(*(key or ("drawn", birth()))).uniform(low, high, shape)
    return asarray(values, dtype=dtype or host.float32, device=device)


def normal(
    shape: tuple[int, ...], scale: float, *key: Any, dtype: DType | None = None,
    device: str | None = None,
) -> Tensor:  # fmt: skip
    """Return normal numbers of mean 0 and standard deviation `scale`, fixed by the seed and `key`.

    Without a key those of every call differ.

    >>> engine.random.normal((2, 3), 0.1).shape
    (2, 3)
    """
    values = generator(*(key or ("drawn", birth()))).normal(0.0, scale, shape)
    return asarray(values, dtype=dtype or host.float32, device=device)


if not TYPE_CHECKING:  # to which every name would then be one
    __getattr__ = teller(__name__, INSTEAD)
