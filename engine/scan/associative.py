"""Scan by an associative function of two elements, in a tree of log2(T) levels.

Above `combining.py`, which knows functions that kernels run faster.
Source: Blelloch, Prefix sums and their applications, 1990; interface of `jax.lax.associative_scan`.
"""

from collections.abc import Callable
from typing import Any

from engine.apply import asarray
from engine.arguments import public
from engine.checks import axis_of
from engine.ops.rearranging import flip
from engine.ops.shaping import concat, reshape, stack
from engine.pytree import flatten
from engine.scan.combining import Combination, known, recorded_once, run
from engine.tensor import Tensor


@public
def associative_scan(
    fn: Callable[[Any, Any], Any], xs: Any, *, axis: int = 0, reverse: bool = False
) -> Any:
    """Return all running combinations of the elements of `xs` along `axis`, as a pytree like xs.

    ``fn(earlier, later)`` combines two elements and must be associative. An element is a pytree of
    the form of xs; fn is handed many at once, side by side along `axis`, and must combine each with
    its partner. `axis` is counted in the first tensor. With `reverse` element t combines those from
    the last back to t, and `earlier` is the one of higher t. fn is called once on shapes alone, as
    the step of a scan is, and then about 2 log2(T) times. Where it is found to be an addition, a
    product, a maximum or minimum, a logaddexp, or the affine pair ``(a1 a2, a2 b1 + b2)``, kernels
    run it element after element, with the same values to rounding; of equal maxima the shares in a
    gradient depend on the order.

    Raises ValueError for tensors of different lengths along the axis, and where fn returns another
    form, shape or dtype than it was given; AxisError for an axis that is not there.

    >>> engine.associative_scan(engine.maximum, engine.asarray([1.0, 3.0, 2.0]))
    tensor([1., 3., 3.], dtype=float32)
    """
    if not callable(fn):
        raise TypeError(f"associative_scan: fn must be a function of two elements, got {fn!r}")
    leaves, rebuild = flatten(xs)
    flat = [x if isinstance(x, Tensor) else asarray(x) for x in leaves]
    if not flat:
        return xs
    axis = _checked(flat, axis)
    combination = Combination(fn, rebuild, flat)
    body = recorded_once(combination)
    if flat[0].shape[axis] < 2 or not all(x.size for x in flat):
        return rebuild(flat)
    kinds = None if body is None else known(body)
    found = None if kinds is None else run(kinds, flat, axis, reverse=reverse)
    return rebuild(_in_a_tree(combination, flat, axis, reverse=reverse) if found is None else found)


def _checked(flat: list[Tensor], axis: int) -> int:
    """Return the axis from the front. Raises ValueError where the lengths along it differ."""
    axis = axis_of("associative_scan", axis, flat[0].ndim)
    for x in flat:
        axis_of("associative_scan", axis, x.ndim)
    lengths = sorted({x.shape[axis] for x in flat})
    if len(lengths) > 1:
        shapes = ", ".join(str(x.shape) for x in flat)
        raise ValueError(
            f"associative_scan: the lengths of axis {axis} differ: {lengths}, in tensors of shapes "
            f"{shapes}; xs need one number of elements"
        )
    return axis


def _in_a_tree(
    combination: Combination, flat: list[Tensor], axis: int, *, reverse: bool
) -> list[Tensor]:
    """Return the running combinations by combining neighbours, then those, and so on."""
    if reverse:
        flat = [flip(x, axis=axis) for x in flat]
    found = _tree(combination, flat, axis)
    return [flip(x, axis=axis) for x in found] if reverse else found


def _tree(combination: Combination, flat: list[Tensor], axis: int) -> list[Tensor]:
    """Return the running combinations: odd ones from the scan of pairs, even ones from those."""
    length = flat[0].shape[axis]
    if length < 2:
        return flat

    def cut(xs: list[Tensor], start: int, stop: int | None, stride: int = 1) -> list[Tensor]:
        key = (*(slice(None),) * axis, slice(start, stop, stride))
        return [x[key] for x in xs]

    odd = _tree(combination, combination(cut(flat, 0, length - 1, 2), cut(flat, 1, None, 2)), axis)
    even = cut(flat, 0, 1)
    if length > 2:
        before = odd if length % 2 else cut(odd, 0, -1)
        later = combination(before, cut(flat, 2, None, 2))
        even = [concat([x, y], axis=axis) for x, y in zip(even, later, strict=True)]
    return [_woven(x, y, axis) for x, y in zip(even, odd, strict=True)]


def _woven(even: Tensor, odd: Tensor, axis: int) -> Tensor:
    """Return the entries of two tensors in turn; the first may have one more."""
    pairs = odd.shape[axis]
    front = (slice(None),) * axis
    rest = even[(*front, slice(pairs, None))]
    both = stack([even[(*front, slice(0, pairs))], odd], axis=axis + 1)
    woven = reshape(both, (*odd.shape[:axis], 2 * pairs, *odd.shape[axis + 1 :]))
    return concat([woven, rest], axis=axis) if rest.shape[axis] else woven
