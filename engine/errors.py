"""Write error messages: the op, the scope, the shapes given, what is wrong, and the likely fix.

Checks cost time on every call, so `apply` lets the array library find the fault and comes here
only then; the class of the error stays NumPy's. Below `apply`.
"""

from collections.abc import Mapping
from math import prod
from typing import Any

from engine.backends.abstract import NotRecordableError
from engine.backends.base import Shape
from engine.checks import is_whole
from engine.op import Op
from engine.scope import Scope
from engine.suggestions import clearer

__all__ = ["ImpureStepError", "NotRecordableError", "RecurrenceWarning", "explained"]


class ImpureStepError(ValueError):
    """Report a step that is another when it is called again, so one record is not all steps."""


class RecurrenceWarning(UserWarning):
    """Warn that a recurrence that could be fast runs step by step.

    >>> import warnings
    >>> warnings.simplefilter("ignore", engine.RecurrenceWarning)
    """


def explained(
    error: Exception, op: Op, scope: Scope, values: tuple[Any, ...], attrs: Mapping[str, Any]
) -> Exception:
    """Return the same class of error as `error`, with a message that a user can act on."""
    shapes = [getattr(value, "shape", ()) for value in values]
    given = f" {op.sign or ','} ".replace(" , ", ", ").join(map(shown, values))
    message = f"{op.name}{scope.place}: {given}: {_reason(op, shapes, attrs) or clearer(error)}"
    return _same_class(error, message)


def _reason(op: Op, shapes: list[Shape], attrs: Mapping[str, Any]) -> str:
    """Return what the op says of its inputs; nothing where they are too odd for that as well."""
    try:
        return op.explain(shapes, attrs) if op.explain else ""
    except (TypeError, ValueError, IndexError, KeyError):
        return ""


def _same_class(error: Exception, message: str) -> Exception:
    """Return an error of the class of `error`, or of the nearest base that takes just a message."""
    for kind in type(error).__mro__:
        try:
            return kind(message)  # type: ignore[no-any-return]
        except TypeError:
            continue
    return ValueError(message)


def shown(value: Any) -> str:
    """Return an input of an op for an error: a shape, or a number."""
    return str(tuple(value.shape)) if hasattr(value, "shape") else repr(value)


def explain_broadcast(shapes: list[Shape], attrs: Mapping[str, Any]) -> str:
    """Return why shapes do not broadcast: the first pair of sizes, from the right, that differ."""
    rank = max(len(shape) for shape in shapes)
    for axis in range(-1, -rank - 1, -1):
        sizes = {shape[axis] for shape in shapes if len(shape) >= -axis} - {1}
        if len(sizes) > 1:
            low, high = sorted(sizes)[:2]
            return f"sizes {low} and {high} on axis {axis} differ and neither is 1"
    return ""


def explain_matmul(shapes: list[Shape], attrs: Mapping[str, Any]) -> str:
    """Return why two shapes cannot be multiplied as matrices."""
    left, right = shapes
    if not left or not right:
        return "a scalar has no matrix product; multiply with * instead"
    inner = right[0] if len(right) == 1 else right[-2]
    if left[-1] == inner:
        return explain_broadcast([(*left[:-2], 1, 1), (*right[:-2], 1, 1)], attrs)
    fix = "; transpose the weight?" if len(right) > 1 and left[-1] == right[-1] else ""
    return f"inner sizes {left[-1]} and {inner} differ{fix}"


def explain_linear(shapes: list[Shape], attrs: Mapping[str, Any]) -> str:
    """Return why an input does not fit a weight (out, in) and a bias (out,)."""
    x, weight = shapes[:2]
    if not x or len(weight) != 2:
        return f"expected x (..., in), weight (out, in); got x of rank {len(x)}"
    if x[-1] != weight[1]:
        fix = "; transpose the weight?" if x[-1] == weight[0] else ""
        return f"the input has {x[-1]} features and the weight expects {weight[1]}{fix}"
    if len(shapes) > 2 and shapes[2] != weight[:1]:
        return f"expected a bias of shape {weight[:1]}, got {shapes[2]}"
    return ""


def explain_axis(shapes: list[Shape], attrs: Mapping[str, Any]) -> str:
    """Name the axis that is not there, or is no axis."""
    axis = attrs.get("axis")
    rank = len(shapes[0])
    for one in axis if isinstance(axis, tuple) else (axis,):
        if one is not None and not is_whole(one):
            return f"axis must be an integer or a tuple of integers, got {axis!r}"
        if isinstance(one, int) and not -rank <= one < rank:
            return f"axis {one} is out of bounds for {rank} dimensions; use {-rank} to {rank - 1}"
    return ""


def explain_reshape(shapes: list[Shape], attrs: Mapping[str, Any]) -> str:
    """Return how many elements there are for the shape that was asked for."""
    return f"{prod(shapes[0])} elements do not fill shape {attrs.get('shape')}"


def explain_concat(shapes: list[Shape], attrs: Mapping[str, Any]) -> str:
    """Return which of the tensors to be joined has another shape than the first."""
    for index, shape in enumerate(shapes):
        if len(shape) != len(shapes[0]):
            return f"tensor {index} has {len(shape)} dimensions, tensor 0 has {len(shapes[0])}"
    return explain_axis(shapes, attrs) or (
        f"all sizes but that on axis {attrs.get('axis')} must agree"
    )


def explain_stack(shapes: list[Shape], attrs: Mapping[str, Any]) -> str:
    """Name the tensor of another shape among those to be stacked, or the axis that there is not."""
    if len(set(shapes)) > 1:
        return (
            explain_concat(shapes, {}) if len({*map(len, shapes)}) > 1 else "all sizes must agree"
        )
    return explain_axis([(*shapes[0], 1)], attrs)


def explain_permute(shapes: list[Shape], attrs: Mapping[str, Any]) -> str:
    """Say why axes are no permutation of those of the tensor."""
    rank = len(shapes[0])
    return f"axes must be the numbers 0 to {rank - 1} in some order, got {attrs.get('axes')}"
