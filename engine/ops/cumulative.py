"""Accumulate sums and products along an axis, and multiply over an axis. Above the registry.

The derivatives of products never divide, so zeros among the factors are no exception: they are
made of products of all the others, in log2(n) rounds of doubling.
"""

from typing import Any

from engine.apply import asarray
from engine.backends.numpy import real_dtype
from engine.checks import axis_of, whole
from engine.errors import explain_axis
from engine.op import Draw, Example
from engine.ops.reductions import Axis, folded_axes, kept
from engine.ops.shaping import broadcast_to, concat
from engine.ops.time_batching import along, folded
from engine.registry import METHODS, composition, method, op
from engine.tensor import Tensor

__all__ = ["cummax", "cumprod", "cumsum", "cumulative_prod", "cumulative_sum", "diff", "prod"]

ROWS = (
    Example((Draw((5,)),), {"axis": 0}),
    Example((Draw((2, 4)),), {"axis": -1}),
    Example((Draw((3, 2)),), {"axis": 0, "include_initial": True}),
)


def _along(x: Any, axis: int, part: slice) -> tuple[slice, ...]:
    """Return the key that takes a part of one axis."""
    return (*(slice(None),) * (axis % len(x.shape)), part)


def _shifted(xp: Any, x: Any, axis: int, by: int, fill: float) -> Any:
    """Return x moved along an axis, forward for positive `by`, `fill` where nothing comes from."""
    by = max(-x.shape[axis], min(by, x.shape[axis]))
    if by == 0:
        return x
    gap = x[_along(x, axis, slice(0, abs(by)))]
    gap = xp.zeros_like(gap) if fill == 0 else xp.ones_like(gap)
    if by > 0:
        return xp.concat([gap, x[_along(x, axis, slice(0, -by))]], axis=axis)
    return xp.concat([x[_along(x, axis, slice(-by, None))], gap], axis=axis)


def _others(xp: Any, x: Any, axis: int, direction: int) -> Any:
    """Return for each element the product of all before it (direction 1) or after it (-1)."""
    running, width = _shifted(xp, x, axis, direction, 1.0), 1
    while width < x.shape[axis]:
        running = running * _shifted(xp, running, axis, direction * width, 1.0)
        width *= 2
    return running


def _running_sum_vjp(
    xp: Any, g: Any, out: Any, x: Any, *, axis: int, dtype: Any = None,
    include_initial: bool = False,
) -> Any:  # fmt: skip
    if include_initial:
        g = g[_along(g, axis, slice(1, None))]
    return xp.flip(xp.cumulative_sum(xp.flip(g, axis=axis), axis=axis), axis=axis)


def _running_product_vjp(
    xp: Any, g: Any, out: Any, x: Any, *, axis: int, dtype: Any = None,
    include_initial: bool = False,
) -> Any:  # fmt: skip
    """Return the product of all before each element, times s with s_i = g_i + x_(i+1) s_(i+1)."""
    if include_initial:
        g = g[_along(g, axis, slice(1, None))]
    return _others(xp, x, axis, 1) * _collected(xp, g, x, axis)


def _collected(xp: Any, g: Any, factor: Any, axis: int) -> Any:
    """Return s with s_i = g_i + factor_(i+1) s_(i+1): a recurrence backward in time."""
    factor, width = _shifted(xp, factor, axis, -1, 0.0), 1
    while width < g.shape[axis]:
        g = g + factor * _shifted(xp, g, axis, -width, 0.0)
        factor = factor * _shifted(xp, factor, axis, -width, 0.0)
        width *= 2
    return g


@op(
    vjp=(_running_sum_vjp,),
    examples=ROWS,
    explain=explain_axis,
    time_batch=along(None),
    degree="sum",
)
def cumulative_sum_(
    xp: Any, x: Any, /, *, axis: int, dtype: Any = None, include_initial: bool = False
) -> Any:
    """Return running sums along an axis (what `cumulative_sum` records)."""
    dtype = dtype if dtype is None else real_dtype(dtype)
    return xp.cumulative_sum(x, axis=axis, dtype=dtype, include_initial=include_initial)


@op(vjp=(_running_product_vjp,), examples=ROWS, explain=explain_axis, time_batch=along(None))
def cumulative_prod_(
    xp: Any, x: Any, /, *, axis: int, dtype: Any = None, include_initial: bool = False
) -> Any:
    """Return running products along an axis (what `cumulative_prod` records)."""
    dtype = dtype if dtype is None else real_dtype(dtype)
    return xp.cumulative_prod(x, axis=axis, dtype=dtype, include_initial=include_initial)


def _running_max_vjp(xp: Any, g: Any, out: Any, x: Any, *, axis: int = -1) -> Any:
    """Return each element that is a maximum collects the gradients up to the next one."""
    hit = (x == out) | (x != x)
    held = xp.astype(xp.logical_not(hit), g.dtype)
    return xp.where(hit, _collected(xp, g, held, axis), 0.0)


@op(
    vjp=(_running_max_vjp,),
    examples=(Example((Draw((5,)),)), Example((Draw((3, 2)),), {"axis": 0})),
    explain=explain_axis,
    time_batch=along(-1),
)
def cummax(xp: Any, x: Any, /, *, axis: int = -1) -> Any:
    """Return running maxima along an axis; of equal ones the last has the gradient.

    >>> engine.cummax([1, 3, 2, 5]).tolist()
    [1, 3, 3, 5]
    """
    width = 1
    while width < x.shape[axis]:
        first, rest = x[_along(x, axis, slice(0, width))], x[_along(x, axis, slice(width, None))]
        before = x[_along(x, axis, slice(0, -width))]
        x, width = xp.concat([first, xp.maximum(rest, before)], axis=axis), 2 * width
    return x


def _only(x: Tensor, axis: int | None, name: str) -> int:
    """Return the axis that is meant; it may be left out where there is only one."""
    if not x.ndim or (axis is None and x.ndim != 1):
        what = "give axis for" if x.ndim else "there is no axis of"
        raise ValueError(f"{name}: {what} a tensor of {x.ndim} dimensions")
    return 0 if axis is None else axis


@method
@composition
def cumulative_sum(
    x: Tensor, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Return running sums along `axis`; with `include_initial` a 0 stands before them.

    Raises ValueError where `axis` is missing and x has not one dimension.

    >>> engine.cumsum([1, 2, 3, 4]).tolist()
    [1, 3, 6, 10]
    """
    return cumulative_sum_(x, axis=_only(x, axis, "cumulative_sum"), dtype=dtype,
                           include_initial=include_initial)  # fmt: skip


@method
@composition
def cumulative_prod(
    x: Tensor, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Tensor:
    """Return running products along `axis`; with `include_initial` a 1 stands before them.

    Raises ValueError where `axis` is missing and x has not one dimension.

    >>> engine.cumprod([1, 2, 3, 4]).tolist()
    [1, 2, 6, 24]
    """
    return cumulative_prod_(x, axis=_only(x, axis, "cumulative_prod"), dtype=dtype,
                            include_initial=include_initial)  # fmt: skip


def _prod_vjp(
    xp: Any, g: Any, out: Any, x: Any, *, axis: Axis = None, dtype: Any = None,
    keepdims: bool = False,
) -> Any:  # fmt: skip
    """Return g times the product of all other elements."""
    if not x.size:
        return xp.zeros_like(x)
    rank = len(x.shape)
    folded = sorted(folded_axes(x.shape, axis))
    order = [one for one in range(rank) if one not in folded] + folded
    turned = xp.permute_dims(x, tuple(order)) if rank else x
    flat = xp.reshape(turned, (*turned.shape[: rank - len(folded)], -1))
    others = _others(xp, flat, -1, 1) * _others(xp, flat, -1, -1)
    back = xp.reshape(others, turned.shape)
    if rank:
        back = xp.permute_dims(back, tuple(order.index(one) for one in range(rank)))
    return back * xp.reshape(g, kept(x.shape, axis))


@op(
    vjp=(_prod_vjp,),
    examples=(
        Example((Draw((3, 4)),)),
        Example((Draw((2, 3, 2)),), {"axis": (0, 2)}),
        Example((Draw((3, 4)),), {"axis": -1, "keepdims": True}),
    ),
    explain=explain_axis,
    kind="reduction",
    time_batch=folded,
    c="({0} * {1})",
    start="(real)1",
)
def prod(
    xp: Any, x: Any, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False
) -> Any:
    """Return the product over `axis`, over everything by default.

    >>> engine.prod([[1, 2], [3, 4]], axis=1).tolist()
    [2, 12]
    """
    dtype = dtype if dtype is None else real_dtype(dtype)
    return xp.prod(x, axis=axis, dtype=dtype, keepdims=keepdims)


@composition
def diff(
    x: Tensor, /, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None
) -> Tensor:
    """Return the differences of neighbours along an axis, `n` times over; x itself for n = 0.

    `prepend` and `append`, tensors or numbers, are put at its ends first. Raises ValueError for
    n < 0 and for a tensor without axes.

    >>> engine.diff([1, 4, 9, 16]).tolist()
    [3, 5, 7]
    """
    if whole("diff: n", n) < 0:
        raise ValueError(f"diff: n must be at least 0, got {n}")
    if not x.ndim:
        raise ValueError("diff: a tensor of shape () has no neighbours")
    axis = axis_of("diff", axis, x.ndim)
    if not n:
        return x
    edge = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    parts = [part if part is x else _as_edge(part, edge, x.device)
             for part in (prepend, x, append) if part is not None]  # fmt: skip
    x = concat(parts, axis=axis) if len(parts) > 1 else x
    for _ in range(n):
        later, earlier = (x[_along(x, axis, part)] for part in (slice(1, None), slice(0, -1)))
        x = later != earlier if x.dtype.kind == "b" else later - earlier
    return x


def _as_edge(part: Any, shape: tuple[int, ...], device: str) -> Tensor:
    """Return what goes before or behind x: a number once in every row, a tensor as it is."""
    tensor = part if isinstance(part, Tensor) else asarray(part, device=device)
    return tensor if tensor.ndim else broadcast_to(tensor, shape)


cumsum, cumprod = cumulative_sum, cumulative_prod
METHODS.update(cumsum=cumsum, cumprod=cumprod)
