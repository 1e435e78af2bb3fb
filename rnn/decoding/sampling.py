"""Draw from a model's predictions: temperature, top-k, nucleus. The lowest file of decoding."""

import math
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, SupportsFloat

import engine
from engine import Tensor
from engine.backends import HOST, Array
from engine.checks import is_whole

ROUNDING = 1e-9  # probabilities that differ by less are the same
LEAST = 5e-324  # the smallest number above 0
NEVER = -math.inf


def top_k(logits: Any, k: int) -> Tensor:
    """Return the `k` largest of each row (..., V), -inf for the others; first of equals.

    Raises ValueError for k under 1. Source: Fan et al., Hierarchical neural story generation, 2018.

    >>> import engine, rnn
    >>> from rnn.decoding import top_k
    >>> top_k([1.0, 3.0, 2.0], 2)
    tensor([-inf,   3.,   2.], dtype=float32)
    """
    if not is_whole(k, 1):
        raise ValueError(f"top_k: expected a positive integer, got {k!r}")
    x = _rows("top_k", logits)
    rank = engine.argsort(engine.argsort(x, axis=-1, descending=True), axis=-1)
    return engine.where(rank < int(k), x, NEVER)


def nucleus(logits: Any, p: float) -> Tensor:
    """Return the fewest most probable of each row (..., V) with `p` together, else -inf.

    Equals are taken in order, and probabilities compared to within 1e-9; the most probable stays
    however small p is. Raises ValueError for p outside of (0, 1] and rows that are no
    distribution. Source: Holtzman et al., The curious case of neural text degeneration, 2020.

    >>> import engine, rnn
    >>> from rnn.decoding import nucleus
    >>> nucleus(engine.log(engine.asarray([0.2, 0.5, 0.3])), 0.6).numpy().argmin()
    np.int64(0)
    """
    if not 0 < real(p) <= 1:
        raise ValueError(f"nucleus: p must lie in (0, 1], got {p!r}")
    x = _rows("nucleus", logits)
    order = engine.argsort(x, axis=-1, descending=True)
    values = engine.astype(x, engine.float64)
    largest("nucleus", values)
    odds = engine.softmax(values, axis=-1)
    odds = engine.take_along_axis(odds, order, axis=-1)
    before = engine.cumsum(odds, axis=-1) - odds
    share = max(real(p) - ROUNDING, LEAST)  # before the first there is 0
    kept = engine.take_along_axis(before < share, engine.argsort(order, axis=-1), axis=-1)
    return engine.where(kept, x, NEVER)


def real(x: Any) -> float:
    """Return a real number of any kind as a float, NaN for what is none."""
    if isinstance(x, bool) or not isinstance(x, SupportsFloat):
        return math.nan
    try:
        return float(x)
    except (TypeError, ValueError):  # such as an array of several
        return math.nan


def largest(name: str, x: Tensor) -> Tensor:
    """Return the largest of each row (..., V), as (..., 1). Raises ValueError for rows from which
    nothing can be drawn: with NaN or inf, or -inf alone.
    """
    found = engine.max(x, axis=-1, keepdims=True)
    on_host = found.numpy()
    if HOST.xp.isnan(on_host).any():
        raise ValueError(f"{name}: the logits have NaN; has the training diverged?")
    if (on_host == math.inf).any():
        raise ValueError(f"{name}: the logits have inf; has the training diverged?")
    if (on_host == NEVER).any():
        raise ValueError(
            f"{name}: all logits of a row are -inf; leave at least one index that is possible"
        )
    return found


def _rows(name: str, logits: Any) -> Tensor:
    x = logits.detach() if isinstance(logits, Tensor) else engine.asarray(logits)
    if not x.ndim or not x.shape[-1]:
        raise ValueError(f"{name}: expected logits (..., V), got {x.shape}")
    return x


def sample_rows(
    logits: Any,
    temperature: float = 1.0,
    *,
    top_k: int | None = None,
    top_p: float | None = None,
    key: tuple[Any, ...] | None = None,
) -> Array:
    """Return an index (B,) for each row of logits (B, V), each drawn as `sample` does it.

    The draw of a row does not depend on how many there are. An array of the host, int64. Raises
    ValueError for logits that are not (B, V), and where `sample` does.

    >>> import rnn
    >>> rnn.decoding.sample_rows([[-99.0, 0.0], [0.0, -99.0]]).tolist()
    [1, 0]
    """
    x = _rows("sample_rows", logits)
    if x.ndim != 2:
        raise ValueError(f"sample_rows: expected logits (B, V), got {x.shape}")
    heat = real(temperature)
    if not heat >= 0:
        raise ValueError(f"sample: temperature must be at least 0, got {temperature!r}")
    values = engine.astype(x, engine.float64)
    most = largest("sample", values)
    if heat == 0:
        return engine.argmax(values, axis=-1).numpy()
    odds = engine.softmax(_filtered(values, most, heat, top_k, top_p), axis=-1).numpy()
    heaps = odds.cumsum(axis=-1)
    # A number below 1 times the sum, however that was rounded, stays below it: the mark lies in the
    # step of an index, and one of probability 0 makes no step.
    marks = engine.random.generator("sample", *own_key(key)).random(len(odds)) * heaps[:, -1]
    return (heaps <= marks[:, None]).sum(axis=-1)


def own_key(key: tuple[Any, ...] | None) -> tuple[Any, ...]:
    """Return the key, or where there is none, one that no draw since the seed has had."""
    return ("draw", engine.random.taken("sample")) if key is None else key


def _filtered(values: Tensor, most: Tensor, heat: float, k: int | None, p: float | None) -> Tensor:
    """Return what top-k leaves of the logits, over the temperature, and nucleus of that. The k
    largest are so at any temperature; where they are taken first, no two became equal.
    """
    values = values if k is None else top_k(values, k)
    possible = values > NEVER
    # Less the largest they are at most 0, and e^-1000 is 0: no quotient overflows.
    values = engine.maximum(engine.where(possible, values - most, 0.0), -1000 * heat)
    values = engine.where(possible, values / heat, NEVER)  # at inf 0 for all
    return values if p is None else nucleus(values, p)


def sample(
    logits: Any,
    temperature: float = 1.0,
    *,
    top_k: int | None = None,
    top_p: float | None = None,
    key: tuple[Any, ...] | None = None,
) -> int:
    """Return an index drawn from softmax(logits / temperature); the largest at temperature 0.

    `logits` (V,); `top_k` leaves that many to draw from, `top_p` the nucleus of that probability.
    Temperature inf draws each index that is not at -inf as often as any other. The draw follows
    from the seed and `key`, by default from the number of such draws since `engine.seed`. Raises
    ValueError for other shapes, a negative temperature, settings out of range, and logits that have
    NaN or inf or are all -inf.

    >>> import engine, rnn
    >>> rnn.sample(engine.asarray([0.0, 9.0, 1.0]), temperature=0)
    1
    """
    row = _rows("sample", logits)
    if row.ndim != 1:
        raise ValueError(f"sample: expected logits (V,), got {row.shape}")
    row = engine.expand_dims(row, axis=0)
    return int(sample_rows(row, temperature, top_k=top_k, top_p=top_p, key=key)[0])


def generate(
    advance: Callable[[int, Any], tuple[Tensor, Any]],
    prompt: list[int],
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    key: tuple[Any, ...] | None = None,
) -> Iterator[int]:
    """Yield indices without end, each drawn from what the model predicts after all those before it.

    ``advance(index, state)`` feeds one index and returns logits (V,) and the next state; its first
    state is None. What is drawn follows from the seed and `key`, by default from the number of
    such calls. Raises ValueError for an empty prompt. `Stream` does it for batches, with an end.

    >>> import engine, rnn
    >>> from itertools import islice
    >>> cycle = lambda index, state: (engine.asarray([[-9.0, 99.0], [99.0, -9.0]])[index], state)
    >>> list(islice(rnn.generate(cycle, [0]), 5))
    [1, 0, 1, 0, 1]
    """
    if not prompt:
        raise ValueError("generate: the prompt needs at least one index")
    state, key = None, own_key(key)
    for index in prompt:
        with engine.no_grad():
            logits, state = advance(index, state)
    for position in count():
        index = sample(logits, temperature, top_k=top_k, top_p=top_p, key=(*key, position))
        yield index  # outside of no_grad: what the caller does meanwhile is the caller's
        with engine.no_grad():
            logits, state = advance(index, state)
