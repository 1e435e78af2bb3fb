"""Walk the lists, tuples and dicts in which a module may hold modules and tensors.

Below `module.py`, which says what is done with them.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, MappingView, Set
from copy import copy
from typing import Any

PLAIN = frozenset({str, bytes, int, float, complex, bool, type(None)})
# Besides dicts: no place in them has a lasting name.
UNNAMED = (Set, Mapping, MappingView, deque)


def leaves(name: str, value: Any, inside: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield all that lies in a value with its path, such as ``layers.0.f``; no list or dict itself.

    Containers of plain values alone, such as the words of a vocabulary, are passed over.

    >>> list(leaves("layers", [{"f": abs}, (3, 4)]))
    [('layers.0.f', <built-in function abs>)]
    """
    parts = _parts(value)
    if parts is None:
        yield name, value
    elif not any(value is outer for outer in inside):
        values, keys = parts
        if not PLAIN.issuperset(map(type, values)):
            for key, part in zip(keys, values, strict=True):
                yield from leaves(f"{name}.{key}", part, (*inside, value))


def rebuilt(name: str, value: Any, change: Callable[[str, Any], Any]) -> Any:
    """Return a value with ``change(path, leaf)`` in the place of every leaf, in new containers."""
    parts = _parts(value)
    if parts is None:
        return change(name, value)
    values, keys = parts
    if PLAIN.issuperset(map(type, values)):
        return value
    made = [rebuilt(f"{name}.{key}", part, change)
            for key, part in zip(keys, values, strict=True)]  # fmt: skip
    if isinstance(value, dict):
        own = copy(value)
        own.update(zip(keys, made, strict=True))
        return own
    kind = type(value)
    return kind._make(made) if hasattr(kind, "_make") else kind(made)


def _parts(value: Any) -> tuple[Any, Any] | None:
    """Return the values and the keys of a container, None for anything else."""
    if isinstance(value, list | tuple):
        return value, range(len(value))
    if isinstance(value, dict):
        return value.values(), value
    return None
