"""The interpreter decides what becomes of an op that is applied: the one seam of `apply`.

Without one an op is computed. A profile measures what it computes, an anomaly detector looks at the
results, and `Recording` computes shapes alone. Just below `apply`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from engine.backends import HOST, Array
from engine.backends.abstract import AbstractArray
from engine.backends.numpy import quiet
from engine.op import Op
from engine.state import current

Pull = Callable[..., None]


class Interpreter(Protocol):
    """A way to apply ops."""

    def compute(self, op: Op, run: "partial[Any]") -> Array:
        """Return the result of ``run()``, which is ``op.forward(xp, *values, **attributes)``."""
        ...

    def watched(self, collected: Any, pull: Pull) -> tuple[Any, Pull]:
        """Return what collects the gradients of a backward pass, and the function that pulls them
        through a node, in the form in which this interpreter sees them.
        """
        ...


class Recording:
    """Computes shapes and dtypes and no numbers, while the step of a recurrence is recorded."""

    def compute(self, op: Op, run: "partial[Any]") -> AbstractArray:
        """Return an array without numbers, of the shape and dtype that the op gives."""
        values = run.args[1:]
        return abstract_result(op, values, run.keywords)

    def watched(self, collected: Any, pull: Pull) -> tuple[Any, Pull]:
        """Return both as they are."""
        return collected, pull


def recording() -> Recording | None:
    """Return the recording that is under way in this thread, None where there is none."""
    found = current().interpreter
    return found if isinstance(found, Recording) else None


def abstract_result(op: Op, values: tuple[Any, ...], attrs: dict[str, Any]) -> AbstractArray:
    """Return the shape and dtype that an op gives, found on stand-ins that take no memory.

    Raises what the op raises where shapes do not fit.
    """
    arrays = [x for x in values if hasattr(x, "shape")]
    device = next((x.device for x in arrays if type(x) is AbstractArray), "numpy")
    shapes = [tuple(x.shape) for x in arrays]
    shape: tuple[int, ...] | None = None
    if op.shape is not None:
        shape = op.shape(*shapes)
    elif op.kind == "elementwise":
        shape = HOST.xp.broadcast_shapes(*shapes)
    with quiet():
        if op.shape is not None and shape is not None:
            return AbstractArray(shape, HOST.xp.result_type(*(x.dtype for x in arrays)), device)
        stand_ins = [stand_in(x, point=shape is not None) for x in values]
        out = HOST.xp.asarray(op.forward(HOST.xp, *stand_ins, **attrs))
    return AbstractArray(tuple(out.shape) if shape is None else shape, out.dtype, device)


def stand_in(x: Any, *, point: bool = False) -> Any:
    """Ones of the shape and dtype of an array, zeros of integers, which may be indices.

    A single number where only the dtype counts.
    """
    if not hasattr(x, "shape"):
        return x
    one = HOST.xp.asarray(0 if x.dtype.kind in "iu" else 1, dtype=x.dtype)
    return one if point else HOST.xp.broadcast_to(one, x.shape)
