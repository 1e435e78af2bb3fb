"""Gives tensors their operators and methods, from the ops of the same meaning.

Above `ops/` and the backward pass.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from engine.backward import backward
from engine.ops import elementwise as e
from engine.ops import logic
from engine.ops.indexing import index
from engine.ops.products import matmul
from engine.ops.reductions import mean, sum_
from engine.ops.shaping import matrix_transpose, permute_dims, reshape
from engine.tensor import Tensor

BINARY: dict[str, Callable[..., Tensor]] = {
    "add": e.add, "sub": e.subtract, "mul": e.multiply, "truediv": e.divide, "pow": e.power,
    "matmul": matmul, "and": logic.bitwise_and, "or": logic.bitwise_or, "xor": logic.bitwise_xor,
}  # fmt: skip
OTHERS: dict[str, Callable[..., Tensor]] = {
    "eq": logic.equal, "ne": logic.not_equal, "lt": logic.less, "le": logic.less_equal,
    "gt": logic.greater, "ge": logic.greater_equal, "invert": logic.bitwise_invert,
    "neg": e.negative, "abs": e.abs_,
}  # fmt: skip
METHODS: dict[str, Any] = {
    "sum": sum_,
    "mean": mean,
    "reshape": reshape,
    "__getitem__": index,
    "T": property(lambda x: permute_dims(x, tuple(reversed(range(x.ndim))))),
    "mT": property(matrix_transpose),
    "__pos__": lambda x: x,
    "__array_namespace__": lambda x, *, api_version=None: import_module("engine"),
}


def _reflected(function: Callable[..., Tensor]) -> Callable[[Tensor, Any], Tensor]:
    return lambda x, other: function(other, x)


def _rows(x: Tensor) -> Iterator[Tensor]:
    """The slices along the first axis (Python's own protocol would only stop at an IndexError)."""
    if not x.ndim:
        raise TypeError("a tensor of shape () cannot be iterated over")
    return (index(x, position) for position in range(len(x)))


def install() -> None:
    """Set the operators on the class; `engine/__init__.py` calls this once."""
    Tensor.backward = backward  # type: ignore[method-assign, assignment]
    for name, function in BINARY.items():
        setattr(Tensor, f"__{name}__", function)
        setattr(Tensor, f"__r{name}__", _reflected(function))
    for name, function in OTHERS.items():
        setattr(Tensor, f"__{name}__", function)
    for name, method in METHODS.items():
        setattr(Tensor, name, method)
    Tensor.__iter__ = _rows  # type: ignore[method-assign]
