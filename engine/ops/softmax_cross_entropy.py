"""The cross entropy of each position with the class that it should have: `cross_entropy` is made
of it. Above the reductions, below `losses.py`.
"""

from typing import Any

from engine.node import Shape
from engine.op import Draw, Example
from engine.ops.creation import open_ranges
from engine.ops.reductions import log_softmax
from engine.ops.time_batching import unchanged
from engine.registry import RECORDING, REGISTRY, op

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
