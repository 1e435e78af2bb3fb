"""Name all that a recorded step depends on, so that it is recorded again when that has changed.

Below the cells.
"""

import struct
from collections.abc import Iterator
from operator import is_
from types import BuiltinFunctionType, FunctionType
from typing import Any, NamedTuple

from engine import Tensor
from engine.backends import HOST
from rnn.modules.module import Module

FLAT = frozenset({bool, int, float, str, bytes, type(None)})
DATA: tuple[Any, ...] = (*FLAT, Tensor, HOST.array_type, tuple, list, dict, set, frozenset)
OWN = ("_memos", "_depends", "_leaves")  # what a cell remembers, of which nothing depends


class UnnameableError(Exception):
    """Report a value of which it cannot be told whether it has changed."""


class Held:
    """Compare an object by its identity. It is held, so that no other object gets its address."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Held) and self.value is other.value

    def __hash__(self) -> int:
        return hash((Held, id(self.value)))


def key_of(value: Any, inside: tuple[Any, ...] = ()) -> Any:
    """Name a value: tensors by identity, arrays and numbers by bits, modules by all they have.
    Raises UnnameableError for anything else, such as a function that is not the engine's.
    """
    kind = type(value)
    if value is None or kind in (bool, int, str, bytes):
        return (kind, value)
    if kind is float:
        return (kind, struct.pack("<d", value))
    if kind is complex:
        return (kind, struct.pack("<dd", value.real, value.imag))
    if isinstance(value, Tensor):
        return (Held(value), value.requires_grad, value.dtype.str, value.shape, value.device)
    if isinstance(value, HOST.array_type) or hasattr(value, "tobytes"):
        return _array_key(value)
    if kind in (tuple, list):
        return (kind, *(key_of(one, inside) for one in value))
    if kind is dict:
        return (kind, *((key_of(name), key_of(one, inside)) for name, one in value.items()))
    if kind in (set, frozenset):
        return (kind, frozenset(key_of(one) for one in value))
    home = str(getattr(value, "__module__", "")).partition(".")[0]
    if kind in (FunctionType, BuiltinFunctionType) and home == "engine":
        return Held(value)
    if isinstance(value, Module):
        return module_key(value, inside)
    raise UnnameableError(kind.__name__)


def module_key(module: Module, inside: tuple[Any, ...] = ()) -> Any:
    """Name a module by its attributes; those inside it have to be pure or of this library. Raises
    UnnameableError as `key_of`, and for modules that hold each other.
    """
    kind = type(module)
    pure = getattr(module, "pure", kind.__module__.partition(".")[0] == "rnn")
    if not pure or any(module is outer for outer in inside):
        raise UnnameableError(kind.__name__)
    own = attributes(module)
    return (Held(kind), *((name, key_of(x, (*inside, module))) for name, x in own))


def attributes(module: Module) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of a module, and the data in classes that are not of this library."""
    for name, value in vars(module).items():
        if name not in OWN:
            yield name, value
    if type(module).__module__.startswith("rnn."):
        return
    for kind in type(module).__mro__:
        if kind.__module__.partition(".")[0] in ("rnn", "engine"):
            continue
        for name, value in vars(kind).items():
            if isinstance(value, DATA) and not name.startswith("__"):
                yield name, value


class Leaves(NamedTuple):
    """Hold the attributes of a module, for a look whether any was replaced."""

    objects: list[Any]  # with what makes a tensor another one
    shapes: list[tuple[int, ...]]  # of the tensors


def leaves(module: Module) -> Leaves | None:
    """Return the attributes; None where there are some that may change without being replaced."""
    found = Leaves([], [])
    for _, value in attributes(module):
        for one in value.values() if type(value) is dict else (value,):
            if type(one) is Tensor:
                data = one._data
                found.objects.extend((one, one.requires_grad, data.dtype))
                found.shapes.append(data.shape)
            elif type(one) in FLAT:
                found.objects.append(one)
            else:
                return None
    return found


def alike(one: Leaves | None, other: Leaves | None) -> bool:
    """Return whether two results of `leaves` have the same objects."""
    if one is None or other is None or len(one.objects) != len(other.objects):
        return False
    return one.shapes == other.shapes and all(map(is_, one.objects, other.objects))


def _array_key(value: Any) -> Any:
    """Name an array or a number of the array library on the host by its bits."""
    dtype = getattr(value, "dtype", None)
    if dtype is None or dtype.hasobject or not isinstance(value.tobytes(), bytes):
        raise UnnameableError(type(value).__name__)
    if not isinstance(value, HOST.array_type) and getattr(value, "shape", None) != ():
        raise UnnameableError(type(value).__name__)
    return (type(value), dtype.str, value.shape, value.tobytes())
