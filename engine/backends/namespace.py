"""The namespace object `xp` that rules compute with: a module's functions plus what it lacks.

Below everything; the backends and the op registry each build one of these.
"""

from types import ModuleType
from typing import Any


class Namespace:
    """Attribute access to `module`, with `extensions` laid over it and every hit remembered."""

    def __init__(self, name: str, module: ModuleType | None = None, **extensions: Any) -> None:
        self.__name__ = name
        self._module = module
        self.__dict__.update(extensions)

    def __getattr__(self, name: str) -> Any:
        if self._module is None:
            raise AttributeError(f"namespace {self.__name__} has no {name!r}")
        value = getattr(self._module, name)
        self.__dict__[name] = value
        return value

    def __repr__(self) -> str:
        return f"<namespace {self.__name__}>"
