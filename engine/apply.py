"""Apply an op to tensors: compute the result and, where a gradient may be asked for, record it.

This is the hot path of everything eager. Above tensors, below the ops.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial
from types import MappingProxyType
from typing import Any

from engine.backends import (
    ABSTRACT,
    HOST,
    NAMESPACES,
    Array,
    DType,
    backend_of,
    by_device,
    on_device_of,
    placement,
)
from engine.backends import numpy as host
from engine.backends.abstract import AbstractArray
from engine.backends.base import STAYING
from engine.backends.half import FLOATING, half, is_half, narrowed, widened
from engine.debug.anomaly import AnomalyError
from engine.errors import NotRecordableError, explained
from engine.node import NO_ATTRS, Node, changes, new_id
from engine.op import Op
from engine.state import State, threads
from engine.tensor import Tensor, leaf_node

LITERALS = frozenset({float, int, bool})

new = tuple.__new__


def apply(op: Op, inputs: tuple[Any, ...], attrs: Mapping[str, Any]) -> Tensor:
    """Return the result of `op` on `inputs`: tensors, arrays, or Python numbers, kept as literals.

    Raises the array library's class of error with op, scope, shapes and the likely fix.
    """
    values = []
    requires_grad = False
    kind: Any = None
    for x in inputs:
        if type(x) is Tensor:
            values.append(x._data)
            kind = type(x._data)
            if x.requires_grad:
                requires_grad = True
        elif type(x) in LITERALS:
            values.append(x)
        else:
            return apply(op, _operands(op, inputs), attrs)
    if kind is None:
        return apply(op, _operands(op, inputs, literals=False), attrs)
    if (
        placement.several
        and kind is not HOST.array_type
        and (there := _elsewhere(op, values)) is not STAYING
    ):
        with there:
            return apply(op, inputs, attrs)
    state = threads.state
    target = None
    if half.any and op.role != "cast":
        values, target = widened(values)
        if attrs.get("dtype") is not None:  # a sum in a dtype that was asked for
            target = None
    try:
        # Unpacking a mapping costs as much as adding two small arrays: only where there is one.
        xp = NAMESPACES[kind]
        if state.interpreter is None:
            out = op.forward(xp, *values, **attrs) if attrs else op.forward(xp, *values)
        else:
            out = state.interpreter.compute(op, partial(op.forward, xp, *values, **attrs))
    except (AnomalyError, NotRecordableError):
        raise
    except Exception as error:
        _refuse_foreign(op, values)
        raise explained(error, op, state.scope, tuple(values), attrs) from None
    if type(out) is not kind and type(out) not in NAMESPACES:  # a NumPy scalar
        out = HOST.asarray(out, None, None)
    if target is not None:
        out = narrowed(out, target)
    requires_grad = requires_grad and op.vjp is not None and state.recording
    # A sum, say, that was asked for as integers; only attributes can ask for that.
    if requires_grad and attrs and out.dtype.kind not in FLOATING:
        requires_grad = False
    if not (requires_grad or state.tracing):
        return Tensor(out)
    attrs = MappingProxyType(attrs) if attrs else NO_ATTRS
    return recorded(op, inputs, attrs, out, requires_grad, state)


def recorded(
    op: Op, inputs: tuple[Any, ...], attrs: Mapping[str, Any], out: Array, requires_grad: bool,
    state: State,
) -> Tensor:  # fmt: skip
    """Return the tensor of a result, put on the graph: `out` was computed by `op` from `inputs`."""
    for x in inputs:
        if type(x) is Tensor:
            x._used = True
            if x._node is None:
                x._node = leaf_node(x._data, {})  # before the node that it feeds
    scope = state.scope
    if state.equations is not None:
        scope = state.equations.label(scope)
    # What Node(...) and Tensor(...) come to, without the calls in between.
    made = object.__new__(Tensor)
    made._node = new(Node, (op, inputs, attrs, out.shape, out.dtype, scope, new_id(), state.origin))
    made._data, made.requires_grad, made.grad = out, requires_grad, None
    if type(out) is not AbstractArray:
        made._epoch = epoch = changes.epoch
        epoch.used = True
    return made


def _operands(op: Op, inputs: tuple[Any, ...], *, literals: bool = True) -> tuple[Any, ...]:
    """Return the inputs with all that is not a tensor made one, on the device of those that are.

    Those that may be left out may be None. Raises TypeError for another None and for no input.
    """
    required = (op.inputs or len(inputs)) - op.optional
    while len(inputs) > required and inputs[-1] is None:
        inputs = inputs[:-1]
    if not inputs:
        raise TypeError(f"{op.name}: needs at least one tensor")
    for place, x in enumerate(inputs):
        if x is None:
            raise TypeError(f"{op.name}: input {place} is None; expected a tensor or numbers")
    device = next((x.device for x in inputs if isinstance(x, Tensor)), None)
    return tuple(
        x
        if isinstance(x, Tensor) or (literals and type(x) in LITERALS)
        else asarray(x, device=None if backend_of(x) else device)
        for x in inputs
    )


def _elsewhere(op: Op, values: list[Any]) -> AbstractContextManager[Any]:
    """Return the context in which the device of arrays is current; they share one."""
    arrays = [v for v in values if hasattr(v, "device")]
    if len({v.device for v in arrays}) > 1:
        _refuse_foreign(op, values)
    return on_device_of(*arrays[:1])


def _refuse_foreign(op: Op, values: list[Any]) -> None:
    """Say so where arrays of two devices met in one op."""
    devices = sorted({backend.device_of(v) for v in values if (backend := backend_of(v))})
    if len(devices) > 1:
        raise TypeError(
            f"{op.name}: inputs on {' and '.join(devices)}; move them with engine.to(x, device)"
        ) from None


def asarray(
    x: Any, dtype: DType | None = None, device: str | None = None, *, requires_grad: bool = False,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Return what `engine.asarray` makes, as a leaf; a tensor itself if nothing has to change."""
    data = _as_data(x, dtype, device)
    if isinstance(x, Tensor) and data is x._data and not requires_grad and name is None:
        return x
    if requires_grad and data.dtype.kind not in FLOATING:
        raise TypeError(f"asarray: a {data.dtype} tensor has no gradient; give it a float dtype")
    tensor = Tensor(data, None, requires_grad)
    tensor._node = leaf_node(data, {} if name is None else {"name": name})
    return tensor


def separate(x: Any, made: Tensor, copy: bool | None) -> Tensor:
    """Return the leaf made of x, with an array of its own where `copy` asks for one.

    Raises ValueError where `copy` is False and the array had to be copied.
    """
    source = x._data if isinstance(x, Tensor) else x
    if copy is False and made.data is not source:
        raise ValueError(
            f"asarray: {type(x).__name__} to {made.dtype} on {made.device} cannot be done without "
            "a copy; leave copy=False out"
        )
    if copy and made.data is source:
        backend = backend_of(made.data)
        assert backend is not None
        with backend.on_device_of(made.data):
            made.data = backend.xp.asarray(made.data, copy=True)
    return made


def name_leaf(x: Tensor, name: str) -> None:
    """Give a leaf the name that graphs call it by, if it has none and no node has read it yet.

    >>> w = engine.ones(2)
    >>> engine.name_leaf(w, "bias")
    >>> w.node.name
    'bias'
    """
    node = x._node
    if node is None:
        x._node = leaf_node(x._data, {"name": name})
    elif not (node.operands or node.attrs or getattr(x, "_used", False) or hasattr(x, "_versions")):
        x._node = node._replace(attrs=MappingProxyType({"name": name}))  # its number has the hooks


def _is_typed(x: Any) -> bool:
    """Return whether x says of which type its numbers are: an array, memory, a sequence with one.

    What can be made an array, such as a table, has a dtype once it is one.
    """
    if isinstance(x, list | tuple):
        if LITERALS.issuperset(map(type, x)):  # at the speed of C: lists of numbers may be long
            return False
        return any(_is_typed(part) for part in x if type(part) not in LITERALS)
    if hasattr(x, "dtype") or hasattr(x, "__array__"):
        return True
    try:
        memoryview(x)
    except TypeError:
        return False
    return True


def _as_data(x: Any, dtype: DType | None, device: str | None) -> Array:
    """Return the array in or made from `x`, of the dtype and on the device asked for."""
    if isinstance(x, Tensor):
        x = x._data
    backend = backend_of(x)
    if x is None:  # NumPy makes a NaN of it where a dtype is given
        raise TypeError("asarray: expected numbers, got None")
    if backend is HOST:
        _check_dtype(x)
    if backend is None:
        found = HOST.asarray(x, None, None)
        if found.dtype.kind == "O" and not found.shape:  # a module, a function, anything at all
            raise TypeError(f"asarray: expected numbers, got {type(x).__name__}")
        _check_dtype(found)  # first: NumPy reads None as NaN where it is asked for floats
        if dtype is None and found.dtype == host.float64 and not _is_typed(x):
            found = found.astype(host.float32)  # the default float, for Python numbers
        x = found if dtype is None else HOST.asarray(x, dtype, None)
    target = backend or HOST if device is None or backend is ABSTRACT else by_device(device)
    if target is HOST and backend is not None:
        x = backend.to_numpy(x)
    data = target.asarray(x, dtype, device)
    _check_dtype(data)
    half.any = half.any or is_half(data)
    return data


FIXES = {  # by the kind of a dtype that holds no numbers
    "U": "; make numbers of text first: float(word), or its index in a vocabulary",
    "O": "; None, text among numbers, or rows of several lengths? Fill, convert or pad them first",
    "M": "; make a number of a date first, such as the days since the first one",
}


def _check_dtype(data: Array) -> None:
    """Raise TypeError for complex numbers, text, None and other objects."""
    if data.dtype.kind not in "fiub" and not is_half(data):
        fix = FIXES.get(data.dtype.kind, "")
        raise TypeError(
            f"dtype {data.dtype} is not supported; use floats, integers or booleans{fix}"
        )
