"""A carried state as arrays and plain data, and back: what checkpoints hold of it.

Below `carrying.py`.
"""

from collections.abc import Mapping
from typing import Any

import engine
from engine import Tensor
from engine.backends import Array
from rnn.layers.row_axes import with_row_axis


def taken_apart(pytree: Any) -> tuple[dict[str, Tensor], Any]:
    """Return the tensors of a pytree by name, and plain data of their places. Raises TypeError for
    what is no pytree of tensors, numbers and words in tuples, lists and dicts.
    """
    tensors: dict[str, Tensor] = {}
    return tensors, _described(pytree, tensors)


def put_together(
    plan: Any, arrays: dict[str, Array], device: str, axes: Mapping[str, int | None]
) -> Any:
    """Return the pytree, its tensors on a device, with the axes of the batch that are known. Raises
    ValueError for a plan that is none, and axes that are none.
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


def _described(pytree: Any, tensors: dict[str, Tensor]) -> Any:
    """Return the plan of a pytree; its tensors are added to `tensors`."""
    if isinstance(pytree, Tensor):
        name = str(len(tensors))
        tensors[name] = pytree
        return {"tensor": name}
    if pytree is None or isinstance(pytree, bool | int | float | str):
        return pytree
    if type(pytree) in (tuple, list):
        return {type(pytree).__name__: [_described(part, tensors) for part in pytree]}
    if type(pytree) is dict and all(isinstance(name, str) for name in pytree):
        return {"dict": {name: _described(part, tensors) for name, part in pytree.items()}}
    raise TypeError(
        f"fit: a checkpoint cannot hold a {type(pytree).__name__} in the carried state; "
        "carry tensors in tuples, lists or dicts"
    )
