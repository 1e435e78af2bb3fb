"""A carried state as arrays and plain data, and back: what checkpoints hold of it.

Below `resuming.py`.
"""

from collections.abc import Mapping
from typing import Any

import engine
from engine import Tensor
from engine.backends import Array
from rnn.layers.row_axes import with_row_axis


def taken_apart(nest: Any) -> tuple[dict[str, Tensor], Any]:
    """Return the tensors of a nest by name, and plain data that says where they were.

    Raises TypeError for what is no nest of tensors, numbers and words in tuples, lists and dicts.
    """
    tensors: dict[str, Tensor] = {}
    return tensors, _described(nest, tensors)


def put_together(
    plan: Any, arrays: dict[str, Array], device: str, axes: Mapping[str, int | None]
) -> Any:
    """Return the nest again, its tensors on a device, with the axes of the batch that are known.

    Raises ValueError for a plan that is none, and axes that are none.
    """
    if plan is None or isinstance(plan, bool | int | float | str):
        return plan
    if not isinstance(plan, dict) or len(plan) != 1:
        raise ValueError(f"carried state: {plan!r} is no part of one")
    kind, content = next(iter(plan.items()))
    if kind == "tensor" and isinstance(content, str) and content in arrays:
        axis, x = axes.get(content), engine.asarray(arrays[content], device=device)
        if axis is None:
            return x
        if type(axis) is not int or not 0 <= axis < x.ndim:
            raise ValueError(f"carried state: leaf {content} {x.shape} has no axis {axis!r}")
        return with_row_axis(x, axis)
    if kind == "dict" and isinstance(content, dict):
        return {name: put_together(part, arrays, device, axes) for name, part in content.items()}
    if kind in ("tuple", "list") and isinstance(content, list):
        parts = [put_together(part, arrays, device, axes) for part in content]
        return tuple(parts) if kind == "tuple" else parts
    raise ValueError(f"carried state: {plan!r} is no part of one")


def _described(nest: Any, tensors: dict[str, Tensor]) -> Any:
    """Return the plan of a nest; its tensors are added to `tensors`."""
    if isinstance(nest, Tensor):
        name = str(len(tensors))
        tensors[name] = nest
        return {"tensor": name}
    if nest is None or isinstance(nest, bool | int | float | str):
        return nest
    if type(nest) in (tuple, list):
        return {type(nest).__name__: [_described(part, tensors) for part in nest]}
    if type(nest) is dict and all(isinstance(name, str) for name in nest):
        return {"dict": {name: _described(part, tensors) for name, part in nest.items()}}
    raise TypeError(
        f"fit: a checkpoint cannot hold a {type(nest).__name__} in the carried state; "
        "carry tensors in tuples, lists or dicts"
    )
