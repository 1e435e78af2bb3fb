"""Flatten pytrees: tensors in any nesting of tuples, lists, dicts, dataclasses and None.

A field of a dataclass with ``metadata={"static": True}`` is kept as it is. Below transforms, scan.
"""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

Rebuild = Callable[[list[Any]], Any]


def flatten(pytree: Any) -> tuple[list[Any], Rebuild]:
    """Return the leaves of a pytree in order, and a function that puts others in their places."""
    leaves: list[Any] = []
    shape = _strip(pytree, leaves)
    return leaves, lambda new: _fill(shape, iter(new))


def structure(pytree: Any) -> str:
    """Return the nesting as text with ``*`` for each leaf, to compare and to show in errors."""
    return repr(_strip(pytree, []))


class _Leaf:
    def __repr__(self) -> str:
        return "*"


_LEAF = _Leaf()


class _Fields:
    """Hold a dataclass with the places of its leaves: printed alike, without its own repr."""

    def __init__(self, kind: type, parts: dict[str, Any], static: dict[str, Any]) -> None:
        self.kind, self.parts, self.static = kind, parts, static

    def __repr__(self) -> str:
        held = ", ".join(f"{name}={part!r}" for name, part in {**self.parts, **self.static}.items())
        return f"{self.kind.__qualname__}({held})"


def _strip(pytree: Any, leaves: list[Any]) -> Any:
    """Return the pytree with its leaves moved to the list."""
    if pytree is None:
        return None
    if isinstance(pytree, tuple) and hasattr(pytree, "_fields"):
        return type(pytree)(*(_strip(part, leaves) for part in pytree))
    if isinstance(pytree, tuple | list):
        return type(pytree)(_strip(part, leaves) for part in pytree)
    if isinstance(pytree, dict):
        return {key: _strip(pytree[key], leaves) for key in sorted(pytree)}
    if hasattr(type(pytree), "__dataclass_fields__"):
        own = {one.name: bool(one.metadata.get("static")) for one in fields(pytree)}
        held = {name: getattr(pytree, name) for name, static in own.items() if static}
        return _Fields(type(pytree), {name: _strip(getattr(pytree, name), leaves)
                                    for name, static in own.items() if not static},
                       held)  # fmt: skip
    leaves.append(pytree)
    return _LEAF


def _fill(shape: Any, leaves: Any) -> Any:
    """Return the pytree with leaves taken one by one."""
    if shape is _LEAF:
        return next(leaves)
    if isinstance(shape, tuple) and hasattr(shape, "_fields"):
        return type(shape)(*(_fill(part, leaves) for part in shape))
    if isinstance(shape, tuple | list):
        return type(shape)(_fill(part, leaves) for part in shape)
    if isinstance(shape, dict):
        return {key: _fill(part, leaves) for key, part in shape.items()}
    if isinstance(shape, _Fields):
        made: Any = object.__new__(shape.kind)  # as a copy: nothing is checked or counted again
        for name, part in shape.parts.items():
            object.__setattr__(made, name, _fill(part, leaves))
        for name, value in shape.static.items():
            object.__setattr__(made, name, value)
        return made
    return shape
