"""Say where a node was made: a module path and labels such as layer, direction and t.

Plain immutable data, below everything; `state.scope` sets the one in force.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


class Scope:
    """Hold a path (``"lstm.l0"``) and labels (``{"t": 3, "gate": "i"}``).

    >>> engine.Scope("lstm", {"t": 3}).child("l0", {"gate": "i"})
    lstm.l0/t=3/gate=i
    """

    __slots__ = ("_named", "labels", "path")

    path: str
    labels: Mapping[str, Any]
    _named: "dict[tuple[str, str], Scope]"

    def __init__(self, path: str, labels: Mapping[str, Any]) -> None:
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "labels", MappingProxyType(dict(labels)))
        object.__setattr__(self, "_named", {})

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a Scope is immutable; make a child() instead of setting {name!r}")

    def child(self, name: str, labels: Mapping[str, Any]) -> "Scope":
        """Return this scope with `name` joined to the path and `labels` laid over its own."""
        if not name and not labels:
            return self
        path = f"{self.path}.{name}" if self.path and name else self.path or name
        return Scope(path, {**self.labels, **labels})

    def named(self, label: str, value: str) -> "Scope":
        """Return the child with one more label; the same object each time it is asked for."""
        key = (label, value)
        found = self._named.get(key)
        if found is None:
            found = self._named[key] = self.child("", {label: value})
        return found

    @property
    def place(self) -> str:
        """Return `` at lstm.l0/t=3`` for an error; empty where nothing has been named."""
        return f" at {self}" if self.path or self.labels else ""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Scope):
            return NotImplemented
        return self.path == other.path and self.labels == other.labels

    def __hash__(self) -> int:
        return hash((self.path, frozenset(self.labels.items())))

    def __repr__(self) -> str:
        shown = (f"{k}={v}" for k, v in self.labels.items() if k not in IMPLIED)
        return "/".join([self.path or "top", *shown])


# Labels that the path tells already; they are for programs to read.
IMPLIED = frozenset({"layer", "direction", "cell"})

ROOT = Scope("", {})
