"""Randomness with names: every draw is keyed by (seed, path, t), so no draw depends on another.

`uniform` and `normal` are drawn on the host and moved; the keys made here go to the op `chance`,
which draws where its key is. Both give the same numbers on NumPy and CuPy. Above `asarray`.
"""

from collections.abc import Mapping
from hashlib import blake2b
from itertools import count
from typing import Any, ClassVar

from engine.apply import asarray
from engine.backends import HOST, DType, by_device
from engine.backends import numpy as host
from engine.checks import is_whole
from engine.state import Draws, current
from engine.tensor import Tensor


class _Seed:
    value = 0
    births = count()
    streams: ClassVar[dict[str, int]] = {}  # how many keys were taken at each path


def seed(number: int) -> None:
    """Start all randomness anew from `number`: the same program then draws the same numbers."""
    if not is_whole(number, 0):
        raise ValueError(f"seed: expected an integer of at least 0, got {number!r}")
    _Seed.value = int(number)
    _Seed.births = count()
    _Seed.streams = {}


def random_state() -> dict[str, Any]:
    """The state of the randomness as plain data: all that a resumed run needs to draw on.

    `seed` is the one in force, `births` the number of things made since, `streams` how many keys
    were taken at each path.
    """
    births = next(_Seed.births)
    _Seed.births = count(births)  # put back what was looked at
    return {"seed": _Seed.value, "births": births, "streams": dict(_Seed.streams)}


def check_random_state(state: Any) -> None:
    """Raise ValueError for what is no state of `random_state`."""
    good = isinstance(state, Mapping) and set(state) == {"seed", "births", "streams"}
    good = good and isinstance(state["streams"], Mapping)
    if not good or not all(
        is_whole(n, 0) for n in (state["seed"], state["births"], *state["streams"].values())
    ):
        raise ValueError("random state: expected a seed, births and streams, all counts from 0")


def set_random_state(state: Mapping[str, Any]) -> None:
    """Draw on from where `random_state` was taken. Raises ValueError for what is none."""
    check_random_state(state)
    _Seed.value = state["seed"]
    _Seed.births = count(state["births"])
    _Seed.streams = dict(state["streams"])


def draws(path: str, device: str | None = None) -> Draws:
    """Draws that nobody else has, by the seed, the path and how often this path has asked."""
    return Draws(lambda: fresh_key(path, device), asarray(host.asarray(0), device=device))


def fresh_key(path: str, device: str | None = None) -> Tensor:
    """A key (2,) of `chance`, by the seed, the path and how often this path has asked."""
    book = current().keys
    number = taken(path) if book is None else book(path)
    return _key_of(_words(_Seed.value, path, number)[:2], device)


def _key_of(words: list[int], device: str | None) -> Tensor:
    """A key on a device, where its numbers arrive with two launches and no transfer."""
    backend = HOST if device is None else by_device(device)
    if backend is HOST:
        return asarray(host.asarray(words))
    with backend.on(device):
        key = backend.xp.full(2, words[0], dtype=host.int64)
        key[1:] = words[1]
    return asarray(key)


def taken(path: str) -> int:
    """The number of the next key at a path, for good."""
    number = _Seed.streams.get(path, 0)
    _Seed.streams[path] = number + 1
    return number


def value() -> int:
    """The seed in force."""
    return _Seed.value


def birth() -> int:
    """The number of things made since the seed was set: the key of a thing with no path yet."""
    return next(_Seed.births)


def generator(*key: Any) -> Any:
    """A generator whose whole stream follows from the seed and `key` (a path, a time step)."""
    return host.generator([_Seed.value, *_words(*key)])


def _words(*key: Any) -> list[int]:
    """Four integers of 32 bits that follow from a key."""
    if any(isinstance(part, tuple | list) for part in key):
        raise TypeError(f"random: a key is made of numbers and text, got {key}; shape comes first")
    digest = blake2b("\x1f".join(map(str, key)).encode(), digest_size=16).digest()
    return [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4)]


def _next() -> tuple[str, int]:
    return "drawn", birth()


def uniform(
    shape: tuple[int, ...],
    low: float,
    high: float,
    *key: Any,
    dtype: DType | None = None,
    device: str | None = None,
) -> Tensor:
    """Numbers uniform in [low, high), fixed by the seed and `key`; float32 by default.

    Without a key those of every call differ.
    """
    values = generator(*(key or _next())).uniform(low, high, shape)
    return asarray(values, dtype=dtype or host.float32, device=device)


def normal(
    shape: tuple[int, ...],
    scale: float,
    *key: Any,
    dtype: DType | None = None,
    device: str | None = None,
) -> Tensor:
    """Normal numbers of mean 0 and standard deviation `scale`, fixed by the seed and `key`.

    Without a key those of every call differ.
    """
    values = generator(*(key or _next())).normal(0.0, scale, shape)
    return asarray(values, dtype=dtype or host.float32, device=device)
