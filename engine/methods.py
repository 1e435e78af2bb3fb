"""Declare the methods of tensors to type checkers, and say what to write for names that are none.

`operators.py` installs the methods: operators, and functions of one tensor that `registry.method`
marks. Beside `tensor.py`, of which this is a part.
"""

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

# What other libraries' arrays have, and how it is written here.
INSTEAD = {
    **dict.fromkeys(("view", "resize", "unflatten"), "x.reshape(shape)"),
    **dict.fromkeys(("view_as", "reshape_as"), "x.reshape(y.shape)"),
    "flatten": "x.reshape((-1,)); of the first two axes x.reshape((-1, *x.shape[2:]))",
    "ravel": "x.reshape((-1,))", "detach_": "x.detach()", "new_ones": "engine.ones_like(x)",
    # Their namesakes here have other arguments, or give less.
    "repeat": "engine.tile(x, counts); engine.repeat is NumPy's, of each element",
    "split": "engine.split(x, parts, axis=axis): the number of parts, or where to cut",
    "sort": "engine.sort(x, axis=axis), the values alone; x.argsort(axis=axis) has their places",
    **dict.fromkeys(("permute", "transpose"), "x.mT, x.T or engine.permute_dims(x, axes)"),
    **dict.fromkeys(("clone", "copy"), "engine.asarray(x, copy=True)"),
    **dict.fromkeys(("numel", "nelement"), "x.size"),
    **dict.fromkeys(("dim", "ndimension"), "x.ndim"),
    **dict.fromkeys(("mm", "bmm", "mv", "dot"), "x @ y"),
    **dict.fromkeys(("expand", "expand_as"), "engine.broadcast_to(x, shape)"),
    **dict.fromkeys(("nbytes", "itemsize", "strides", "flags"), "x.data, the array"),
    "t": "x.T", "unsqueeze": "engine.expand_dims(x, axis=axis)", "cpu": 'x.to_device("numpy")',
    "cuda": 'x.to_device("cupy")', "to": "x.to_device(device) or x.astype(dtype)",
    "type": "x.astype(dtype)", "float": "x.astype(engine.float32)",
    "double": "x.astype(engine.float64)", "half": "x.astype(engine.float16)",
    "int": "x.astype(engine.int32)", "long": "x.astype(engine.int64)",
    "bool": "x.astype(engine.bool)", "sub": "x - y", "mul": "x * y", "div": "x / y", "neg": "-x",
    "amax": "x.max(axis=axis)", "amin": "x.min(axis=axis)", "ptp": "x.max() - x.min()",
    "clamp": "x.clip(min, max)", "gather": "engine.take_along_axis(x, indices, axis=axis)",
    "scatter": "engine.put_along_axis(x, indices, values, axis=axis)",
    "index_select": "engine.take(x, indices, axis=axis)", "masked_select": "x[mask]",
    "masked_fill": "engine.where(mask, value, x)", "unbind": "engine.unstack(x, axis=axis)",
    "chunk": "engine.split(x, parts, axis=axis)", "narrow": "x[start:stop]",
    "repeat_interleave": "engine.repeat(x, repeats, axis=axis)", "contiguous": "x",
    "fill": "x[...] = value", "retain_grad": "engine.gradients(loss, [x])", "grad_fn": "x.node",
    "is_leaf": "not x.node.inputs", "is_cuda": "x.device", "new_zeros": "engine.zeros_like(x)",
    "zero_": "x[...] = 0.0", "type_as": "x.astype(y.dtype)", "eq": "x == y",
    "select": "x[index]", "ne": "x != y", "gt": "x > y", "ge": "x >= y", "lt": "x < y",
    "le": "x <= y", "equal": "bool((x == y).all())", "allclose": "numpy.allclose(x, y)",
    "where": "engine.where(mask, x, y)", "new_tensor": "engine.asarray(values)",
    **dict.fromkeys(("new_full", "new_empty"), "engine.full(shape, value)"),
    **dict.fromkeys(("is_contiguous", "pin_memory", "share_memory_"), "x"),
    **dict.fromkeys(("stride", "data_ptr", "layout"), "x.data, the array"),
    "unique": "engine.unique_values(x)", "element_size": "itemsize of x.dtype", "get_device":
    "x.device", "is_floating_point": 'engine.isdtype(x.dtype, "real floating")', "H": "x.mT",
    "get_shape": "x.shape", "to_numpy": "x.numpy()", "assign": "x[...] = values",
    **dict.fromkeys(("normal_", "uniform_"), "rnn.initializers.uniform(x, -0.1, 0.1) and the like"),
}  # fmt: skip


def missing(name: str) -> AttributeError:
    """Return the error for an attribute that tensors do not have, with what to write instead."""
    instead = INSTEAD.get(name, "")
    engine = import_module("engine")
    for space, module in (("engine", engine), ("engine.linalg", engine.linalg)):
        if not instead and name in module.__all__ and callable(getattr(module, name)):
            instead = f"{space}.{name}(x, ...)"
    if not instead and name.endswith("_"):
        values = f"engine.{name[:-1]}(x, ...)" if name[:-1] in engine.__all__ else "values"
        instead = f"x += y or x[...] = {values}, as no method works in place"
    if not instead:
        return AttributeError(f"'Tensor' object has no attribute {name!r}")
    return AttributeError(f"a tensor has no {name!r}; write {instead}")


if TYPE_CHECKING:

    class Methods:
        """Declare what is installed on tensors, for type checkers alone."""

        # fmt: off
        T: Self
        mT: Self
        def __add__(self, other: Any) -> Self: ...
        __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __add__
        __pow__ = __rpow__ = __matmul__ = __rmatmul__ = __floordiv__ = __rfloordiv__ = __add__
        __mod__ = __rmod__ = __lshift__ = __rlshift__ = __rshift__ = __rrshift__ = __and__ = __add__
        __or__ = __xor__ = __lt__ = __le__ = __gt__ = __ge__ = __add__
        def __divmod__(self, other: Any) -> tuple[Self, Self]: ...
        __rdivmod__ = __divmod__
        def __neg__(self) -> Self: ...
        __pos__ = __abs__ = __invert__ = __neg__
        def __round__(self, decimals: int | None = None) -> Self: ...
        def __eq__(self, other: Any) -> Self: ...  # type: ignore[override]
        def __ne__(self, other: Any) -> Self: ...  # type: ignore[override]
        def __getitem__(self, key: Any) -> Self: ...
        def __setitem__(self, key: Any, values: Any) -> None: ...
        def __iter__(self) -> Iterator[Self]: ...
        def __array_namespace__(self, *, api_version: str | None = None) -> Any: ...
        def __array_ufunc__(
            self, ufunc: Any, method: str, *inputs: Any, **keywords: Any
        ) -> Any: ...
        def detach(self) -> Self: ...
        def backward(
            self, grad: Any = None, create_graph: bool = False, *, retain_graph: bool = True
        ) -> None: ...
        def to_device(self, device: str, /, *, stream: Any = None) -> Self: ...

        def abs(self) -> Self: ...
        acos = acosh = asin = asinh = atan = atanh = bitwise_invert = ceil = cos = cosh = erf = abs
        exp = exp2 = expm1 = floor = isfinite = isinf = isnan = log = log10 = log1p = log2 = abs
        logical_not = negative = reciprocal = relu = rsqrt = sigmoid = sign = signbit = sin = abs
        sinc = sinh = sqrt = square = stop_gradient = tan = tanh = trunc = abs
        def all(self, axis: Any = None, keepdims: bool = False) -> Self: ...
        any = argmax = argmin = logsumexp = max = min = all
        def argsort(
            self, axis: int = -1, descending: bool = False, stable: bool = True
        ) -> Self: ...
        def astype(self, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Self: ...
        def clip(self, min: Any = None, max: Any = None) -> Self: ...
        def count_nonzero(self, axis: Any = None, keepdims: bool = False) -> Self: ...
        def cumprod(
            self, *, axis: Any = None, dtype: Any = None, include_initial: bool = False
        ) -> Self: ...
        cumsum = cumulative_prod = cumulative_sum = cumprod
        def diagonal(self, *, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Self: ...
        def log_softmax(self, axis: int = -1) -> Self: ...
        softmax = log_softmax
        def mean(self, axis: Any = None, *, keepdims: bool = False) -> Self: ...
        def prod(self, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Self: ...
        def reshape(self, *shape: Any, copy: bool | None = None) -> Self: ...
        def round(self, decimals: int = 0) -> Self: ...
        def squeeze(self, axis: Any = None) -> Self: ...
        def std(
            self, axis: Any = None, *, correction: float = 0.0, keepdims: bool = False
        ) -> Self: ...
        var = std
        def sum(self, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Self: ...
        def swapaxes(self, axis1: int, axis2: int, /) -> Self: ...
        def trace(self, *, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Self: ...
        # fmt: on
