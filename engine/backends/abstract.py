"""Make arrays without numbers, with a shape, dtype and device, for a step that is recorded.

To ask one of them for a number raises NotRecordableError. Beside the backends, which it needs only
to create the constants of a step.
"""

from math import prod
from typing import Any, NoReturn

from engine.backends.base import Array, Backend, DType, Namespace


class NotRecordableError(Exception):
    """Report that a step cannot be recorded: it depends on numbers, not on shapes alone."""


class AbstractArray:
    """Hold the shape, dtype and device of an array that has no numbers."""

    __slots__ = ("device", "dtype", "shape")

    __array_ufunc__ = None  # NumPy asks this class, which refuses
    __hash__ = object.__hash__

    def __init__(self, shape: tuple[int, ...], dtype: DType, device: str) -> None:
        self.shape, self.dtype, self.device = shape, dtype, device

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return prod(self.shape)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without axes")
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<abstract {self.dtype}{list(self.shape)}>"

    def __getattr__(self, name: str) -> NoReturn:
        refuse(f"the attribute {name!r} of an array")


def refuse(what: str) -> NoReturn:
    """Raise NotRecordableError for something that needs numbers."""
    raise NotRecordableError(
        f"the step of a recurrence uses {what}, and a recorded step has no numbers; return the "
        "value as an output, or run the recurrence under engine.explicit()"
    )


WORDS = {
    "bool": "the truth of a number, as `if` and `while` do",
    "index": "a number as an index", "array": "the numbers of a tensor",
    "iter": "the numbers of an array", "dlpack": "the memory of a tensor",
}  # fmt: skip


def _refusing(name: str) -> Any:
    arithmetic = name in (*_BINARY, *(f"{side}{one}" for side in "ri" for one in _BINARY))
    what = "the numbers of a tensor" if arithmetic else WORDS.get(name, f"{name}() of a number")

    def method(self: AbstractArray, *args: Any) -> NoReturn:
        refuse(what)

    return method


_BINARY = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor",
           "lshift", "rshift", "divmod")  # fmt: skip
_OTHER = ("neg", "pos", "abs", "invert", "bool", "int", "float", "complex", "index", "iter", "eq",
          "ne", "lt", "le", "gt", "ge", "contains", "getitem", "setitem", "array", "dlpack",
          "copy", "deepcopy", "reduce_ex")  # fmt: skip
for _name in (*_BINARY, *(f"r{one}" for one in _BINARY), *(f"i{one}" for one in _BINARY), *_OTHER):
    setattr(AbstractArray, f"__{_name}__", _refusing(_name))


class _AbstractNamespace(Namespace):
    """Refuse every function of a namespace of arrays: there are no numbers for it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **keywords: refuse(f"the function {name!r} of the array library")


class AbstractBackend(Backend):
    """Make arrays without numbers, as a backend."""

    name = "abstract"
    array_type = AbstractArray
    xp = _AbstractNamespace("abstract")

    def asarray(self, x: Any, dtype: DType | None, device: str | None) -> Array:
        if isinstance(x, AbstractArray) and dtype in (None, x.dtype):
            return x
        refuse("the conversion of an array")

    def to_numpy(self, x: Array) -> Array:
        refuse("the numbers of a tensor")

    def device_of(self, x: Array) -> str:
        return str(x.device)

    def devices(self) -> list[str]:
        return []

    def full_name(self, device: str) -> str:
        return device
