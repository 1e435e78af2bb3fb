"""Clipping of gradients that lie on one device: nothing is gathered there and nothing read.

Three launches: each array is measured, the measures become a norm, and the gradients are changed by
it. The norm stays a tensor, and whether it is finite is told when numbers are next read. Below
`clip.py`, which has the sums for the host; above `kernels.py`.
"""

import math
from collections.abc import Sequence

from engine import Tensor
from engine.backends import NAMESPACES, Array, on_device_of, on_host
from engine.backends.multi import Many, blocks
from engine.backends.numpy import float64, uint64
from rnn.clipping.kernels import IS_NAN, NONE, NOT_FINITE, bounding, combining, measuring, scaling
from rnn.optim.flat import parts

Sorts = Sequence[list[Tensor]]  # parameters that have a gradient, those of one dtype together


def share_a_device(sorts: Sorts) -> bool:
    """Return whether all gradients lie on one device that is not the host."""
    grads = [x.grad for own in sorts for x in own[:1] if x.grad is not None]
    return not any(on_host(g.data) for g in grads) and len({g.device for g in grads}) == 1


def _grads(own: list[Tensor]) -> list[Array]:
    return [x.grad.data for x in own]  # type: ignore[union-attr]


def _norm(sorts: Sorts, p: float, bound: float, refused: int) -> Array:
    """Return what the kernels find: the norm of all gradients, then its parts."""
    first = _grads(sorts[0])[0]
    xp = NAMESPACES[type(first)]
    found = xp.empty(4, dtype=float64)
    given = [[g for g in _grads(own) if g.size] for own in sorts]
    given = [grads for grads in given if grads]
    widths = [blocks(max(g.size for g in grads)) for grads in given]
    counts = [len(grads) * width for grads, width in zip(given, widths, strict=True)]
    tops, sums = xp.empty(sum(counts), dtype=float64), xp.empty(sum(counts), dtype=float64)
    start = 0
    for grads, width, count in zip(given, widths, counts, strict=True):
        own = slice(start, start + count)
        rows = [grads, range(len(grads))]
        xp.multi(measuring(grads[0].dtype), rows, (tops[own], sums[own], p), width=width)
        start += count
    if refused == NONE:
        slot = xp.empty(2, dtype=uint64)  # no kernel looks at it
    else:
        slot = xp.check_slot(0, 0, _not_finite if refused == NOT_FINITE else _is_nan)
    shared = (found, slot, p, bound, refused)
    xp.multi(combining(), [[tops], [sums]], shared, width=1)
    return found


def _change(own: list[Tensor], kernel: Many, found: Array, bound: float) -> None:
    """Give parameters the gradients that a kernel makes of theirs."""
    grads = _grads(own)
    xp = NAMESPACES[type(grads[0])]
    out = xp.empty(sum(g.size for g in grads), dtype=grads[0].dtype)
    if out.size:
        xp.multi(kernel, [[g for g in grads if g.size]], (out, found, bound))
    for x, part in zip(own, parts(out, grads), strict=True):
        x.grad = Tensor(part)


def norm(sorts: Sorts, p: float) -> Array:
    """Return the p-norm of all gradients, without axes."""
    with on_device_of(_grads(sorts[0])[0]):
        return _norm(sorts, float(p), math.inf, NONE)[0]


def clip_norm(sorts: Sorts, max_norm: float, p: float, *, refuse: bool) -> Array:
    """Scale gradients to a norm where theirs is over it; return theirs, without axes. With `refuse`
    FloatingPointError is raised later for a norm that is not finite.
    """
    with on_device_of(_grads(sorts[0])[0]):
        found = _norm(sorts, float(p), float(max_norm), NOT_FINITE if refuse else NONE)
        for own in sorts:
            _change(own, scaling(_grads(own)[0].dtype), found, float(max_norm))
        return found[0]


def clip_value(sorts: Sorts, bound: float) -> None:
    """Bring gradients within bounds; all stay as they are where one is NaN, which is told later."""
    with on_device_of(_grads(sorts[0])[0]):
        found = _norm(sorts, math.inf, math.inf, IS_NAN)
        for own in sorts:
            _change(own, bounding(_grads(own)[0].dtype), found, float(bound))


def _not_finite(_: int) -> FloatingPointError:
    return FloatingPointError(
        "clip_grad_norm: the norm of the gradients was not finite, and they were not clipped; "
        "lower the learning rate, or find the origin under engine.detect_anomaly()"
    )


def _is_nan(_: int) -> FloatingPointError:
    return FloatingPointError(
        "clip_grad_value: a gradient had NaN, and none was clipped; find its origin under "
        "engine.detect_anomaly()"
    )
