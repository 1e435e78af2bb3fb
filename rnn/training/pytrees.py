"""A carried state as arrays and plain data, and back: what checkpoints hold of it.

Below `carrying.py`.
"""

from typing import Any

import engine
from engine import Tensor
from engine.backends import Array


def taken_apart(pytree: Any) -> tuple[dict[str, Array], Any]:
    """Return the tensors of a pytree as host arrays by name, and plain data of their places. Raises
    TypeError for what is no pytree of tensors, numbers and words in tuples, lists and dicts.
    """
    arrays: dict[str, Array] = {}
    return arrays, _described(pytree, arrays)


def put_together(plan: Any, arrays: dict[str, Array], device: str) -> Any:
    """Return the pytree, its tensors on a device. Raises ValueError for a plan that is none."""
    if plan is None or isinstance(plan, bool | int | float | str):
        return plan
    if not isinstance(plan, dict) or len(plan) != 1:
        raise ValueError(f"carried state: {plan!r} is no part of one")
    kind, content = next(iter(plan.items()))
    if kind == "tensor" and isinstance(content, str) and content in arrays:
        return engine.asarray(arrays[content], device=device)
    if kind == "dict" and isinstance(content, dict):
        return {name: put_together(part, arrays, device) for name, part in content.items()}
    if kind in ("tuple", "list") and isinstance(content, list):
        parts = [put_together(part, arrays, device) for part in content]
        return tuple(parts) if kind == "tuple" else parts
    raise ValueError(f"carried state: {plan!r} is no part of one")


def _described(pytree: Any, arrays: dict[str, Array]) -> Any:
    """Return the plan of a pytree; its arrays are added to `arrays`."""
    if isinstance(pytree, Tensor):
        name = str(len(arrays))
        arrays[name] = pytree.numpy()
        return {"tensor": name}
    if pytree is None or isinstance(pytree, bool | int | float | str):
        return pytree
    if type(pytree) in (tuple, list):
        return {type(pytree).__name__: [_described(part, arrays) for part in pytree]}
    if type(pytree) is dict and all(isinstance(name, str) for name in pytree):
        return {"dict": {name: _described(part, arrays) for name, part in pytree.items()}}
    raise TypeError(
        f"fit: a checkpoint cannot hold a {type(pytree).__name__} in the carried state; "
        "carry tensors in tuples, lists or dicts"
    )
