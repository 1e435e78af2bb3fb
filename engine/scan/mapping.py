"""Map a function of one example over a batch: a recurrence of steps that do not read each other.

What can be computed for all steps at once is, as of any recurrence. Above `scan`.
"""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from engine.apply import asarray
from engine.checks import is_whole
from engine.ops.creation import zeros
from engine.ops.rearranging import moveaxis
from engine.pytree import flatten
from engine.scan import scan
from engine.tensor import Tensor

Axes = int | None | tuple[int | None, ...] | list[int | None]


def vmap(f: Callable[..., Any], in_axes: Axes = 0) -> Callable[..., Any]:
    """Return `f` mapped over an axis of its arguments, as `jax.vmap`; results have it in front.

    `in_axes` is the axis of every argument, or one for each; arguments may be pytrees, and None are
    handed on whole. f is recorded once, by `engine.scan`, and runs for all examples at once where
    its ops can; what cannot be recorded runs in a loop, of which a RecurrenceWarning tells. The
    result can be differentiated. Raises ValueError for lengths that differ and nothing to map.

    >>> slopes = engine.vmap(engine.grad(lambda w, x: (w * x) ** 2), in_axes=(None, 0))
    >>> slopes(3.0, engine.asarray([1.0, 2.0])).tolist()
    [6.0, 24.0]
    """

    def mapped(*args: Any) -> Any:
        axes = list(in_axes) if isinstance(in_axes, tuple | list) else [in_axes] * len(args)
        if len(axes) != len(args) or not all(one is None or is_whole(one) for one in axes):
            raise ValueError(
                f"vmap: in_axes must be an axis or None for each of {len(args)} arguments, "
                f"got {in_axes!r}"
            )
        given = {n: _in_front(n, arg, axis)
                 for n, (arg, axis) in enumerate(zip(args, axes, strict=True))
                 if axis is not None}  # fmt: skip
        leaves = [x for xs, _ in given.values() for x in xs]
        if len({len(x) for x in leaves}) != 1:
            told = f"lengths {sorted({len(x) for x in leaves})}" if leaves else "no argument"
            raise ValueError(f"vmap: expected arguments of one length to map over, got {told}")

        def step(state: Any, xs: Any) -> Any:
            own = dict(zip(given, xs, strict=True))
            return state, f(*(own.get(n, arg) for n, arg in enumerate(args)))

        update_wrapper(step, f, assigned=(), updated=())  # warnings are of f, once for each
        xs = tuple(rebuild(parts) for parts, rebuild in given.values())
        return scan(step, zeros((), device=leaves[0].device), xs)[1]

    return mapped


def _in_front(number: int, arg: Any, axis: Any) -> Any:
    """Return the leaves of an argument with the mapped axis in front, and how they are nested."""
    leaves, rebuild = flatten(arg)
    tensors = [x if isinstance(x, Tensor) else asarray(x) for x in leaves]
    for x in tensors:
        if not -x.ndim <= axis < x.ndim:
            raise ValueError(f"vmap: argument {number} of shape {x.shape} has no axis {axis}")
    return [moveaxis(x, axis, 0) for x in tensors], rebuild
