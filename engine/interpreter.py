"""Record shapes and dtypes without numbers: the interpreter of steps that are recorded.

Just below `apply`; `state.py` says what an interpreter is.
"""

from functools import partial
from typing import Any

from engine.backends import HOST, DType, backend_of
from engine.backends.abstract import AbstractArray
from engine.backends.numpy import quiet
from engine.op import Op
from engine.state import Pull, current


class Recording:
    """Compute shapes and dtypes and no numbers, while the step of a recurrence is recorded."""

    def compute(self, op: Op, run: "partial[Any]") -> AbstractArray:
        """Return an array without numbers, of the shape and dtype that the op gives."""
        return abstract_result(op, run.args[1:], run.keywords)

    def watched(self, collected: Any, pull: Pull) -> tuple[Any, Pull]:
        """Return both as they are."""
        return collected, pull


def recording() -> Recording | None:
    """Return the recording that is under way in this thread, None where there is none."""
    found = current().interpreter
    return found if isinstance(found, Recording) else None


_dtypes: dict[Any, DType] = {}  # of results of element-wise ops, by the op and what it is given


def abstract_result(op: Op, values: tuple[Any, ...], attrs: dict[str, Any]) -> AbstractArray:
    """Return the shape and dtype that an op gives, found on stand-ins that take no memory.

    Raises what the op raises where shapes do not fit.
    """
    arrays = [x for x in values if hasattr(x, "shape")]
    device = device_of(arrays)
    shapes = [tuple(x.shape) for x in arrays]
    if op.kind == "elementwise":
        alike = all(shape == shapes[0] for shape in shapes)
        shape = shapes[0] if alike else HOST.xp.broadcast_shapes(*shapes)
        return AbstractArray(shape, _elementwise_dtype(op, values, attrs), device)
    if op.shape is not None and (shape := op.shape(*shapes)) is not None:
        return AbstractArray(shape, HOST.xp.result_type(*(x.dtype for x in arrays)), device)
    with quiet():
        out = HOST.xp.asarray(op.forward(HOST.xp, *map(stand_in, values), **attrs))
    return AbstractArray(tuple(out.shape), out.dtype, device)


def device_of(arrays: list[Any]) -> str:
    """Return the device of an op's result: of what has no numbers, else of what a step captures."""
    for x in sorted(arrays, key=lambda x: type(x) is not AbstractArray):
        if (backend := backend_of(x)) is not None:
            return backend.device_of(x)
    return "numpy"


def _elementwise_dtype(op: Op, values: tuple[Any, ...], attrs: dict[str, Any]) -> DType:
    """Return the dtype of an element-wise op's result, tried on numbers once for each kind."""
    kinds = tuple(getattr(x, "dtype", type(x)) for x in values)
    plain = not attrs and all(getattr(kind, "kind", "f") in "fb" for kind in kinds)
    if plain and (op, kinds) in _dtypes:
        return _dtypes[op, kinds]
    with quiet():
        points = [stand_in(x, point=True) for x in values]
        found = HOST.xp.asarray(op.forward(HOST.xp, *points, **attrs)).dtype
    if plain:
        _dtypes[op, kinds] = found
    return found


def stand_in(x: Any, *, point: bool = False) -> Any:
    """Return ones of the shape and dtype of an array, zeros of integers, which may be indices.

    A single number where only the dtype counts.
    """
    if not hasattr(x, "shape"):
        return x
    one = HOST.xp.asarray(0 if x.dtype.kind in "iu" else 1, dtype=x.dtype)
    return one if point else HOST.xp.broadcast_to(one, x.shape)
