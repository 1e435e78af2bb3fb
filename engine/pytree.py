"""Nests: tensors in any nesting of tuples, lists, dicts and None. Below the transforms and scan."""

from collections.abc import Callable
from typing import Any

Rebuild = Callable[[list[Any]], Any]


def flatten(nest: Any) -> tuple[list[Any], Rebuild]:
    """The leaves of a nest in order, and a function that puts other leaves in their places."""
    leaves: list[Any] = []
    shape = _strip(nest, leaves)
    return leaves, lambda new: _fill(shape, iter(new))


def structure(nest: Any) -> str:
    """The nesting as text with ``*`` for each leaf, to compare and to show in errors."""
    return repr(_strip(nest, []))


class _Leaf:
    def __repr__(self) -> str:
        return "*"


_LEAF = _Leaf()


def _strip(nest: Any, leaves: list[Any]) -> Any:
    """The nest with its leaves moved to the list."""
    if nest is None:
        return None
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        return type(nest)(*(_strip(part, leaves) for part in nest))
    if isinstance(nest, tuple | list):
        return type(nest)(_strip(part, leaves) for part in nest)
    if isinstance(nest, dict):
        return {key: _strip(nest[key], leaves) for key in sorted(nest)}
    leaves.append(nest)
    return _LEAF


def _fill(shape: Any, leaves: Any) -> Any:
    """The nest with leaves taken one by one."""
    if shape is _LEAF:
        return next(leaves)
    if isinstance(shape, tuple) and hasattr(shape, "_fields"):
        return type(shape)(*(_fill(part, leaves) for part in shape))
    if isinstance(shape, tuple | list):
        return type(shape)(_fill(part, leaves) for part in shape)
    if isinstance(shape, dict):
        return {key: _fill(part, leaves) for key, part in shape.items()}
    return shape
