"""A carried state as arrays and plain data, and back: what checkpoints hold of it.

Below `resuming.py`.
"""

from typing import Any

import engine
from engine import Tensor
from engine.backends import Array


def taken_apart(nest: Any) -> tuple[dict[str, Array], Any]:
    """Return the tensors of a nest as host arrays by name, and plain data that says where they
    were.

    Raises TypeError for what is no nest of tensors, numbers and words in tuples, lists and dicts.
    """
    arrays: dict[str, Array] = {}
    return arrays, _described(nest, arrays)


def put_together(plan: Any, arrays: dict[str, Array], device: str) -> Any:
    """Return the nest again, its tensors on a device. Raises ValueError for a plan that is none."""
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


def _described(nest: Any, arrays: dict[str, Array]) -> Any:
    """Return the plan of a nest; its arrays are added to `arrays`."""
    if isinstance(nest, Tensor):
        name = str(len(arrays))
        arrays[name] = nest.numpy()
        return {"tensor": name}
    if nest is None or isinstance(nest, bool | int | float | str):
        return nest
    if type(nest) in (tuple, list):
        return {type(nest).__name__: [_described(part, arrays) for part in nest]}
    if type(nest) is dict and all(isinstance(name, str) for name in nest):
        return {"dict": {name: _described(part, arrays) for name, part in nest.items()}}
    raise TypeError(
        f"fit: a checkpoint cannot hold a {type(nest).__name__} in the carried state; "
        "carry tensors in tuples, lists or dicts"
    )
