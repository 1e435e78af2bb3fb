"""Draw numbers by an op: a function of a key and a position, and so reproducible.

`chance` gives the same mask for the same key and time on every backend, step by step or for all
steps at once, independent of earlier draws; `dropout` takes its key from the step or the scope that
it is in. Above the registry.
"""

import math
from typing import Any

from engine.arguments import public
from engine.backends import numpy as host
from engine.checks import probability
from engine.op import Draw, Example
from engine.ops.choices import where
from engine.ops.time_batching import unchanged
from engine.random import draws, windowed
from engine.registry import op
from engine.state import current
from engine.tensor import Tensor

LOW = 0xFFFFFFFF
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
WEYL = 0x9E3779B9, 0xBB67AE85
ROUNDS = 10


def philox(xp: Any, counter: list[Any], key: list[Any]) -> list[Any]:
    """Return Philox 4x32-10: four words of 32 bits for each counter of four words.

    Everything is held in uint64. Source: Salmon et al., Parallel random numbers: as easy as
    1, 2, 3, 2011.
    """
    a, b, c, d = counter
    k, l = key
    for _ in range(ROUNDS):
        left, right = a * MULTIPLIERS[0], c * MULTIPLIERS[1]
        a, b, c, d = (right >> 32) ^ b ^ k, right & LOW, (left >> 32) ^ d ^ l, left & LOW
        k, l = (k + WEYL[0]) & LOW, (l + WEYL[1]) & LOW
    return [a, b, c, d]


@op(
    vjp=None,
    examples=(
        Example(
            (Draw((2,), 0, 99, integer=True), Draw((), 0, 9, integer=True)),
            {"shape": (3, 5), "probability": 0.5},
        ),
        Example(
            (Draw((2,), 0, 99, integer=True), Draw((4,), 0, 9, integer=True)),
            {"shape": (3,), "probability": 0.9, "number": 2},
        ),
        Example(
            (Draw((2,), 0, 99, integer=True), Draw((2,), 0, 9, integer=True)),
            {"shape": (2, 3, 5), "probability": 0.5, "window": (1, 2, 7)},
        ),
    ),
    time_batch=unchanged,
    whole=(0,),
    role="random",
    public=False,
)
def chance(
    xp: Any, key: Any, t: Any, /, *, shape: tuple[int, ...], probability: float, number: int = 0,
    window: tuple[int, int, int] | None = None,
) -> Any:  # fmt: skip
    """Return booleans of t.shape + `shape`, each true with a probability.

    `key` are two integers of 32 bits, `t` the time (one or several), `number` tells the draws of
    one step apart. With `window` (axis, first, total) they are a part of what is drawn for a shape
    with `total` in place of ``shape[axis]``: the elements from `first` on along that axis.
    """
    numbers, kept = _numbers(xp, shape, window)
    groups = numbers.shape[0]
    wide = (*t.shape, groups)
    index = xp.broadcast_to(numbers, wide)
    times = xp.broadcast_to(t.astype(host.uint64).reshape((*t.shape, 1)), wide)
    zeros = xp.zeros(wide, dtype=host.uint64)
    keys = key.astype(host.uint64)
    words = philox(xp, [index, times, zeros + number, zeros], [keys[0], keys[1]])
    bits = xp.stack(words, axis=-1).reshape((*t.shape, groups * 4))[..., kept]
    return (bits < int(probability * 2**32)).reshape((*t.shape, *shape))


def _numbers(xp: Any, shape: tuple[int, ...], window: tuple[int, int, int] | None) -> Any:
    """Return the counters (G,) of the groups of four words to draw, and which words to keep."""
    if window is None:
        count = math.prod(shape)
        return xp.arange(-(-count // 4), dtype=host.uint64), slice(count)
    axis, first, total = window
    inner = math.prod(shape[axis + 1 :])
    blocks, size = math.prod(shape[:axis]), shape[axis] * inner  # each block is contiguous in all
    starts = (xp.arange(blocks, dtype=host.int64) * total + first) * inner
    groups = (size + 6) // 4  # enough wherever in a group of four a block begins
    numbers = starts[:, None] // 4 + xp.arange(groups, dtype=host.int64)
    places = xp.arange(blocks, dtype=host.int64) * (4 * groups) + starts % 4
    kept = places[:, None] + xp.arange(size, dtype=host.int64)
    return numbers.reshape(-1).astype(host.uint64), kept.reshape(-1)


@op(
    vjp=None,
    examples=(
        Example((Draw((2,), 0, 99, integer=True), Draw((), 0, 9, integer=True)), {"number": 3}),
    ),
    time_batch=unchanged,
    whole=(0,),
    role="random",
    public=False,
)
def subkey(xp: Any, key: Any, t: Any, /, *, number: int = 0) -> Any:
    """Return a key t.shape + (2,) for what is drawn in one go at time `t`, by the key around it."""
    times = t.astype(host.uint64).reshape((*t.shape, 1))
    last = xp.zeros(times.shape, dtype=host.uint64)
    counter = [last + LOW, times, last + number, last + 1]
    keys = key.astype(host.uint64)
    words = philox(xp, counter, [keys[0], keys[1]])
    return xp.concat(words[:2], axis=-1).astype(host.int64)


__all__ = ["dropout"]


@public
def dropout(x: Tensor, p: float = 0.5, *, shape: tuple[int, ...] | None = None) -> Tensor:
    """Return x with each element zero with probability `p`, the others times 1 / (1 - p).

    `shape` is the shape of the mask where it is to be smaller and broadcast. In a recurrence the
    masks of the steps differ and follow from the key of the call and from t, so they are the same
    fused, explicit and checkpointed. Raises ValueError for p outside of [0, 1]. Source: Srivastava
    et al., Dropout, 2014.

    >>> engine.dropout(engine.ones(3), 0.0)
    tensor([1., 1., 1.], dtype=float32)
    """
    p = probability("dropout: p", p)
    if p == 0:
        return x
    scale = 1.0 if p == 1 else 1 / (1 - p)
    return where(kept(x, 1 - p, shape), x * scale, 0.0)


def kept(x: Tensor, probability: float, shape: tuple[int, ...] | None = None) -> Tensor:
    """Return a mask of the shape of x, or of `shape`: true with a probability."""
    state = current()
    source = state.draws or draws(state.scope.path, x.device)
    number = next(source.count)
    shape = shape or x.shape
    return chance(source.key(), source.t, shape=shape, probability=probability, number=number,
                  **windowed(shape))  # fmt: skip
