"""Compute losses over classes: `cross_entropy` on logits, `nll_loss` on log-probabilities.

Composed of the ops, of which one is made here. Above `loss_pairs.py` and indexing.
"""

import math
from functools import partial
from typing import Any

from engine.apply import asarray
from engine.arguments import public
from engine.backends import NAMESPACES, on_device_of, on_host
from engine.backends import numpy as host
from engine.backends.half import FLOATING
from engine.checks import is_whole, probability
from engine.errors import explain_axis
from engine.node import Shape
from engine.op import Draw, Example
from engine.ops.casts import converted
from engine.ops.choices import where
from engine.ops.creation import open_ranges
from engine.ops.indexing import index
from engine.ops.logic import bitwise_and
from engine.ops.loss_pairs import REDUCTIONS, check_reduction, floating, floating_like, integers
from engine.ops.reductions import log_softmax, sum_
from engine.ops.shaping import expand_dims
from engine.ops.statistics import mean
from engine.ops.time_batching import unchanged
from engine.registry import RECORDING, REGISTRY, op
from engine.tensor import Tensor

__all__ = ["cross_entropy", "nll_loss"]


@public
def cross_entropy(
    logits: Tensor, target: Any, /, *, axis: int = -1, weight: Any = None,
    ignore_index: int | None = None, label_smoothing: float = 0.0, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Return -log softmax(logits)[target], in nats, over the classes on `axis`.

    `logits` (..., V); `target` are integers (...), or floats (..., V) that say how probable each
    class is. `weight` (V,) counts classes more or less; positions of the target `ignore_index`
    count for nothing, with NaN as logits too; `label_smoothing` e puts 1 - e on the target and
    spreads e over all classes.
    `reduction` is ``"none"``, ``"sum"`` or ``"mean"``: as in PyTorch the mean of integer targets is
    weighted, and NaN where all are ignored. Raises ValueError for shapes that do not match and
    unknown settings, TypeError for other dtypes, IndexError for a target outside of V.
    Source: Szegedy et al., Rethinking the inception architecture, 2016, for the smoothing.

    >>> engine.cross_entropy(engine.zeros((3, 4)), [0, 1, 3]).item() == engine.log(4.0).item()
    True
    """
    name = "cross_entropy"
    logits = floating(name, "logits", logits)
    axis = _class_axis(name, logits, axis)
    check_reduction(name, reduction)
    label_smoothing = probability(f"{name}: label_smoothing", label_smoothing)
    weights = None if weight is None else _class_weights(name, logits, weight, axis)
    soft = _probabilities(logits, target)
    if soft is not None:
        if ignore_index is not None:
            raise ValueError(f"{name}: ignore_index goes with integer targets, these are floats")
        if label_smoothing:
            soft = soft * (1 - label_smoothing) + label_smoothing / logits.shape[axis]
        if weights is not None:
            soft = soft * _spread(weights, logits, axis)
        return REDUCTIONS[reduction](_expected(soft, log_softmax(logits, axis=axis), axis))
    classes, kept = _classes(name, "logits", logits, target, axis, ignore_index)
    if axis == logits.ndim - 1 and not label_smoothing:
        given = (classes,) if kept is None else (classes, kept)
        terms = softmax_cross_entropy(logits, *given)
        return _reduced(*_weighted(terms, classes, kept, weights), kept,
                        reduction)  # fmt: skip
    if kept is not None:  # before the softmax, of which the derivative has NaN where it has
        logits = where(expand_dims(kept, axis=axis), logits, 0.0)
    log_probs = log_softmax(logits, axis=axis)
    terms, shares = _picked(log_probs, classes, kept, axis, weights)
    if label_smoothing:
        even = _even(log_probs, kept, axis, weights)
        terms = terms * (1 - label_smoothing) + even * label_smoothing
    return _reduced(terms, shares, kept, reduction)


@public
def nll_loss(
    log_probs: Tensor, target: Any, /, *, axis: int = -1, weight: Any = None,
    ignore_index: int | None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Return -log_probs[target] over the classes on `axis`: `cross_entropy` of normalised ones.

    `log_probs` (..., V), `target` integers (...); the rest, and what it raises, as there.

    >>> engine.nll_loss(engine.asarray([[-1.0, -0.5]]), [1]).item()
    0.5
    """
    name = "nll_loss"
    log_probs = floating(name, "log_probs", log_probs)
    axis = _class_axis(name, log_probs, axis)
    check_reduction(name, reduction)
    weights = None if weight is None else _class_weights(name, log_probs, weight, axis)
    classes, kept = _classes(name, "log_probs", log_probs, target, axis, ignore_index)
    return _reduced(*_picked(log_probs, classes, kept, axis, weights), kept, reduction)


# ---- what is given


def _class_axis(name: str, x: Tensor, axis: int) -> int:
    """Return the axis of the classes, counted from the front."""
    if not x.ndim:
        raise ValueError(f"{name}: a single number has no axis of classes; expected (..., V)")
    if reason := explain_axis([x.shape], {"axis": axis}):
        raise IndexError(f"{name}: {reason}")
    return axis % x.ndim


def _class_weights(name: str, x: Tensor, weight: Any, axis: int) -> Tensor:
    weights = floating_like(weight, x)
    if weights.shape != (x.shape[axis],):
        raise ValueError(
            f"{name}: weight {weights.shape} for {x.shape[axis]} classes; "
            f"expected {(x.shape[axis],)}, a number for each class"
        )
    return weights


def _probabilities(logits: Tensor, target: Any) -> Tensor | None:
    """Return the target where it says how probable each class is; None where it names classes."""
    given = asarray(target, device=logits.device)
    if given.dtype.kind not in FLOATING or given.shape != logits.shape:
        return None
    return floating_like(target, logits)


def _classes(
    name: str, what: str, x: Tensor, target: Any, axis: int, ignore_index: int | None
) -> tuple[Tensor, Tensor | None]:
    """Return the class of every position, and which positions count (None: all do)."""
    expected = (*x.shape[:axis], *x.shape[axis + 1 :])
    given = asarray(target, device=x.device)
    if given.shape != expected:
        soft = f", or floats {x.shape}" if what == "logits" else ""
        if x.ndim > 2 and given.shape == (x.shape[0], *x.shape[2:]):
            soft += "; for classes on axis 1, as PyTorch has them, write axis=1"
        raise ValueError(
            f"{name}: targets {given.shape} do not match {what} {x.shape}; "
            f"expected targets {expected}{soft}"
        )
    classes = integers(name, "targets", target, x.device)
    kept = None
    if ignore_index is not None:
        if not is_whole(ignore_index):
            raise TypeError(f"{name}: ignore_index must be an integer, got {ignore_index!r}")
        kept = classes != ignore_index
        classes = where(kept, classes, 0)
    known = asarray(target)
    if on_host(known.data) and not on_host(classes.data):  # told at once, not later
        counted = known if ignore_index is None else where(known != ignore_index, known, 0)
        _check_range(name, counted, x.shape[axis])
    else:
        _check_range(name, classes, x.shape[axis])
    return classes, kept


def _check_range(name: str, classes: Tensor, count: int) -> None:
    """Raise IndexError, with the first class that is not there; on a device that comes later."""
    data = classes.data
    error = partial(_no_class, name, count)
    later = NAMESPACES[type(data)].check_range
    if later is not None:
        with on_device_of(data):
            later(data, 0, count - 1, error)
    elif data.size and not (data.min() >= 0 and data.max() < count):
        raise error(int(data[(data < 0) | (data >= count)][0]))


def _no_class(name: str, count: int, wrong: int) -> IndexError:
    hint = f"; ignore_index={wrong} leaves such positions out" if wrong < 0 else ""
    return IndexError(
        f"{name}: target {wrong} for {count} classes; expected 0 to {count - 1}{hint}"
    )


# ---- terms


def _spread(weights: Tensor, x: Tensor, axis: int) -> Tensor:
    """Return (V,) under a shape that broadcasts against x with its classes on `axis`."""
    if axis == x.ndim - 1:
        return weights
    return weights.reshape((-1, *(1,) * (x.ndim - 1 - axis)))


def _expected(p: Tensor, log_probs: Tensor, axis: int) -> Tensor:
    """Return -sum p log q over the classes. What has p = 0 counts 0, where log q is -inf too."""
    is_zero = bitwise_and(p == 0, log_probs == -math.inf)
    return -sum_(p * where(is_zero, 0.0, log_probs), axis=axis)


def _picked(
    log_probs: Tensor, classes: Tensor, kept: Tensor | None, axis: int, weights: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Return the term of every position, 0 where it does not count, and its weight if any."""
    key = open_ranges(classes.shape, classes.device)
    key.insert(axis, classes)
    terms = -index(log_probs, tuple(key))
    return _weighted(terms if kept is None else where(kept, terms, 0.0), classes, kept, weights)


def _weighted(
    terms: Tensor, classes: Tensor, kept: Tensor | None, weights: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Return terms by the weights of their classes, and these weights where there are any."""
    if weights is None:
        return terms, None
    shares = index(weights, classes)
    shares = shares if kept is None else where(kept, shares, 0.0)
    return terms * shares, shares


def _even(log_probs: Tensor, kept: Tensor | None, axis: int, weights: Tensor | None) -> Tensor:
    """Return the term of every position for a target that is all classes alike."""
    if weights is None:
        terms = -sum_(log_probs, axis=axis)
    else:
        terms = _expected(_spread(weights, log_probs, axis), log_probs, axis)
    terms = terms / log_probs.shape[axis]
    return terms if kept is None else where(kept, terms, 0.0)


def _reduced(terms: Tensor, shares: Tensor | None, kept: Tensor | None, reduction: str) -> Tensor:
    """Return the terms reduced; a mean is over what counts, by weight."""
    if reduction != "mean":
        return REDUCTIONS[reduction](terms)
    if shares is not None:
        total = sum_(shares)
        return sum_(terms) / where(total == 0, math.nan, total)
    if kept is None:
        return mean(terms)
    if not on_host(kept.data):  # nothing is read from a device
        count = sum_(converted(kept, host.int64))
        share = 1 / where(count == 0, math.nan, count)
        return sum_(terms) * converted(share, terms.dtype)
    known = int(kept.data.sum())
    return sum_(terms) * (1 / known if known else math.nan)


LOG_SOFTMAX = REGISTRY["log_softmax"].forward


def _shape(x: Shape, target: Shape, *kept: Shape) -> Shape:
    if not x or x[:-1] != target or kept not in ((), (target,)):
        raise ValueError("the shapes do not fit")
    return target


def _log_probabilities(xp: Any, x: Any, kept: Any) -> Any:
    """Return log softmax(x), of zeros where a position does not count: NaN goes nowhere then."""
    if kept is not None:
        x = xp.where(xp.expand_dims(kept, axis=-1), x, 0.0)
    return log_softmax(x) if xp is RECORDING else LOG_SOFTMAX(xp, x)


def _slope(xp: Any, g: Any, out: Any, x: Any, target: Any, kept: Any = None) -> Any:
    """Return g (softmax(x) - 1 at the target)."""
    if (
        xp.cross_entropy_kernel
        and (found := xp.cross_entropy_kernel(x, target, kept, g)) is not None
    ):
        return found
    g = g if kept is None else xp.where(kept, g, 0.0)
    places = open_ranges(x.shape[-1:], x.device)[0] if xp is RECORDING else xp.arange(x.shape[-1])
    hit = xp.astype(xp.expand_dims(target, axis=-1) == places, x.dtype)
    return xp.expand_dims(g, axis=-1) * (xp.exp(_log_probabilities(xp, x, kept)) - hit)


@op(
    vjp=(_slope, None, None),
    examples=(
        Example((Draw((3, 4)), Draw((3,), 0, 4, integer=True))),
        Example((Draw((2, 3, 5), 50, 90), Draw((2, 3), 0, 5, integer=True))),
        Example((Draw((4,)), Draw((), 0, 4, integer=True))),
        Example((Draw((3, 4)), Draw((3,), 0, 4, integer=True), Draw((3,), 0, 2, integer=True))),
    ),
    shape=_shape,
    time_batch=unchanged,
    public=False,
)
def softmax_cross_entropy(xp: Any, x: Any, target: Any, kept: Any = None, /) -> Any:
    """Return -log softmax(x)[target] over the last axis: (..., V), (...) -> (...); 0 if not `kept`.

    A primitive for speed: its slopes are written in one pass over the logits, most of the cost.
    """
    if xp.cross_entropy_kernel and (found := xp.cross_entropy_kernel(x, target, kept)) is not None:
        return found
    key = xp.expand_dims(target, axis=-1)
    terms = -xp.take_along_axis(_log_probabilities(xp, x, kept), key, axis=-1)[..., 0]
    return terms if kept is None else xp.where(kept, terms, 0.0)
