"""Drawing from a model's predictions."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import engine
from engine import Tensor


def sample(logits: Tensor, temperature: float = 1.0, *, key: tuple[Any, ...] = ()) -> int:
    """An index drawn from softmax(logits / temperature); the largest at temperature 0.

    `logits` (V,); the draw follows from the seed and `key`. Raises ValueError for a negative
    temperature.

    >>> import engine, rnn
    >>> rnn.sample(engine.asarray([0.0, 9.0, 1.0]), temperature=0)
    1
    """
    if not temperature >= 0:
        raise ValueError(f"sample: temperature must be at least 0, got {temperature!r}")
    values = engine.astype(logits.detach(), engine.float64)
    if temperature == 0:
        return int(engine.argmax(values))
    odds = engine.softmax(values / temperature).numpy()
    mark = engine.random.generator("sample", *key).random() * odds.sum()
    return min(int(odds.cumsum().searchsorted(mark, side="right")), len(odds) - 1)


def generate(
    advance: Callable[[int, Any], tuple[Tensor, Any]],
    prompt: list[int],
    *,
    temperature: float = 1.0,
    key: tuple[Any, ...] = (),
) -> Iterator[int]:
    """Indices without end, each drawn from what the model predicts after all those before it.

    ``advance(index, state)`` feeds one index and returns logits (V,) and the next state; its first
    state is None. Raises ValueError for an empty prompt.
    """
    if not prompt:
        raise ValueError("generate: the prompt needs at least one index")
    state = None
    for index in prompt:
        with engine.no_grad():
            logits, state = advance(index, state)
    for position in count():
        index = sample(logits, temperature, key=(*key, position))
        yield index  # outside of no_grad: what the caller does meanwhile is the caller's
        with engine.no_grad():
            logits, state = advance(index, state)
