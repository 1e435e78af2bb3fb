"""Give tensors their operators and methods, from the ops of the same meaning, and assignment.

Arrays are never written to. A changed tensor gets a new array and a new node; nodes that read it
before keep the earlier version, so every gradient is that of the values that were used. A tensor
that was changed by values computed from itself is part of a cycle and waits for the garbage
collector. Above `ops/`, `versions.py` and the backward pass.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from engine.apply import asarray
from engine.backends import HOST
from engine.backends.half import FLOATING
from engine.backward import backward
from engine.namespace.devices import to
from engine.ops import elementwise as e
from engine.ops import logic
from engine.ops.casts import round_
from engine.ops.indexing import assign, index
from engine.ops.keys import parsed
from engine.ops.products import matmul
from engine.ops.shaping import matrix_transpose, permute_dims, reshape
from engine.ops.stopping import detach
from engine.registry import METHODS, RECORDING
from engine.state import current
from engine.tensor import Tensor
from engine.versions import become, copied, keep, refuse_in_step


def set_item(x: Tensor, key: Any, values: Any) -> None:
    """Assign ``x[key] = values``. Raises ValueError for a leaf that requires a gradient.

    >>> x = engine.zeros(3)
    >>> x[1:] = 2.0
    >>> x
    tensor([0., 2., 2.], dtype=float32)
    """
    earlier = _earlier_version(x, "x[...] = values")
    template, arrays = parsed(x, key)
    if not isinstance(values, int | float):
        values = values if isinstance(values, Tensor) else asarray(values, device=x.device)
        values = earlier if values is x else values
        if x.dtype.kind not in FLOATING and values.requires_grad:
            values = values.detach()
    _become(x, assign(earlier, values, *arrays, key=template), earlier)


def in_place(function: Callable[..., Tensor], symbol: str) -> Callable[[Tensor, Any], Tensor]:
    """Return the in-place form of a binary operator. Raises where the result does not fit."""

    def change(x: Tensor, other: Any) -> Tensor:
        earlier = _earlier_version(x, f"x {symbol}= y")
        out = function(earlier, earlier if other is x else other)
        if out.shape != x.shape or out.dtype != x.dtype:
            kind = ValueError if out.shape != x.shape else TypeError
            raise kind(
                f"x {symbol}= y: the result {out.dtype}{list(out.shape)} does not fit into x, "
                f"{x.dtype}{list(x.shape)}; write x = x {symbol} y"
            )
        _become(x, out, earlier)
        return x

    return change


def _earlier_version(x: Tensor, what: str) -> Tensor:
    """Return the tensor as it is now, as an object of its own."""
    refuse_in_step(x, what)
    state = current()
    if x.requires_grad and not state.recording and x.node.operands:
        raise ValueError(
            f"{what}: a tensor with a history cannot be changed where nothing is recorded, its "
            "gradient would be lost; detach() it first"
        )
    if x.requires_grad and state.recording and not x.node.operands:
        raise ValueError(
            f"{what}: a leaf that requires a gradient cannot be changed in place where gradients "
            "are recorded; change a copy, or do it under engine.no_grad()"
        )
    return copied(x, x.data)


def _become(x: Tensor, new: Tensor, earlier: Tensor) -> None:
    """Give the tensor its new value and keep the earlier version for the nodes that read it."""
    if earlier._used:
        keep(x, earlier)
    if x.requires_grad and new._node is None and not x.node.operands:
        new._node, new.requires_grad = x.node, True  # under no_grad a leaf stays that leaf
    become(x, new)


BINARY: dict[str, tuple[str, Callable[..., Tensor]]] = {
    "add": ("+", e.add), "sub": ("-", e.subtract), "mul": ("*", e.multiply),
    "truediv": ("/", e.divide), "floordiv": ("//", e.floor_divide), "mod": ("%", e.remainder),
    "pow": ("**", e.power), "matmul": ("@", matmul), "and": ("&", logic.bitwise_and),
    "or": ("|", logic.bitwise_or), "xor": ("^", logic.bitwise_xor),
    "lshift": ("<<", logic.bitwise_left_shift), "rshift": (">>", logic.bitwise_right_shift),
}  # fmt: skip
OTHERS: dict[str, Callable[..., Tensor]] = {
    "eq": logic.equal, "ne": logic.not_equal, "lt": logic.less, "le": logic.less_equal,
    "gt": logic.greater, "ge": logic.greater_equal, "invert": logic.bitwise_invert,
    "neg": e.negative, "abs": e.abs_,
}  # fmt: skip


def _namespace(x: Tensor, /, *, api_version: str | None = None) -> Any:
    """Return the engine. Raises ValueError for a version of the standard that it does not speak."""
    engine = import_module("engine")
    if api_version is not None and api_version not in engine.API_VERSIONS:
        raise ValueError(
            f"__array_namespace__: api_version {api_version!r}; expected one of "
            f"{', '.join(engine.API_VERSIONS)}"
        )
    return engine


def _to_device(x: Tensor, device: str, /, *, stream: Any = None) -> Tensor:
    """Return the values of x on a device; x itself where it is there. Takes no stream."""
    if stream is not None:
        raise ValueError(f"to_device: streams are not supported, got {stream!r}; leave stream out")
    return to(x, device)


def _divmod(x: Any, y: Any) -> tuple[Tensor, Tensor]:
    return e.floor_divide(x, y), e.remainder(x, y)


def _reshape(x: Tensor, *shape: Any, copy: bool | None = None) -> Tensor:
    """Return x in another shape, a tuple or sizes one by one."""
    whole = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
    return reshape(x, tuple(whole), copy=copy)


def _ufunc(x: Tensor, ufunc: Any, method: str, *inputs: Any, **keywords: Any) -> Any:
    """Call the engine's function in the place of NumPy's of the same name, also for operators.

    Raises TypeError where there is none, and for all but plain calls.
    """
    function = UFUNCS.get(ufunc)
    name = f"np.{ufunc.__name__}"
    if keywords.get("out") is not None:
        raise TypeError(f"{name}: an array cannot be the output for tensors; use x.numpy()")
    if function is None or method != "__call__":
        call = name if method == "__call__" else f"{name}.{method}"
        raise TypeError(f"{call}: tensors have no such function; write {call}(x.numpy())")
    return function(*inputs, **keywords)


UFUNCS: dict[Any, Callable[..., Any]] = {}  # by NumPy's function
OWN: dict[str, Any] = {
    "reshape": _reshape, "detach": detach, "to_device": _to_device, "__getitem__": index,
    "__setitem__": set_item,
    "T": property(lambda x: permute_dims(x, tuple(reversed(range(x.ndim))))),
    "mT": property(matrix_transpose), "__pos__": lambda x: x, "__divmod__": _divmod,
    "__rdivmod__": lambda x, other: _divmod(other, x),
    "__round__": lambda x, decimals=None: round_(x, decimals=decimals or 0),
    "__array_namespace__": _namespace, "__array_ufunc__": _ufunc,
}  # fmt: skip


def _comparable(function: Callable[..., Tensor]) -> Callable[[Tensor, Any], Any]:
    """Return the equality by element; None equals no tensor, as for any other object."""
    return lambda x, other: NotImplemented if other is None else function(x, other)


def _reflected(function: Callable[..., Tensor]) -> Callable[[Tensor, Any], Tensor]:
    return lambda x, other: function(other, x)


def _rows(x: Tensor) -> Iterator[Tensor]:
    """Yield the slices along the first axis (Python's protocol stops at an IndexError only)."""
    if not x.ndim:
        raise TypeError("a tensor of shape () cannot be iterated over; x.item() is its number")
    return (index(x, position) for position in range(len(x)))


def install() -> None:
    """Set the operators on the class; `engine/__init__.py` calls this once."""
    Tensor.backward = backward  # type: ignore[method-assign, assignment]
    for name, (symbol, function) in BINARY.items():
        setattr(Tensor, f"__{name}__", function)
        setattr(Tensor, f"__r{name}__", _reflected(function))
        setattr(Tensor, f"__i{name}__", in_place(function, symbol))
    for name, function in OTHERS.items():
        setattr(Tensor, f"__{name}__", _comparable(function) if name in ("eq", "ne") else function)
    for name, method in (METHODS | OWN).items():
        setattr(Tensor, name, method)
    for name, function in vars(RECORDING).items():
        if isinstance(theirs := getattr(HOST.xp, name, None), HOST.xp.ufunc):
            UFUNCS[theirs] = function
    UFUNCS[HOST.xp.divmod] = _divmod
    Tensor.__iter__ = _rows  # type: ignore[method-assign, assignment]
