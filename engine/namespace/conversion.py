"""`asarray` as users have it: anything as a tensor, a tensor of another dtype with its gradient.

Above the ops; `apply.asarray` makes leaves.
"""

from typing import Any

from engine import apply
from engine.arguments import public
from engine.backends import HOST, DType, backend_of
from engine.backends.numpy import dtype as as_dtype
from engine.namespace.dtypes import astype
from engine.ops.casts import copy as copied
from engine.ops.shaping import stack
from engine.tensor import Tensor


@public
def asarray(
    x: Any, /, dtype: DType | None = None, device: str | None = None, *, copy: bool | None = None,
    requires_grad: bool = False, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Return a tensor that holds `x`: an array, a number, a nested sequence, or a tensor.

    Arrays keep their dtype and are not copied without `copy`; Python floats become float32. A
    tensor comes back as it is where nothing about it has to change; one that requires a gradient
    keeps it under another dtype. With `requires_grad` or a `name`, which the graph calls it by, it
    is a new leaf. Raises TypeError for complex or object data and for integers that should have a
    gradient, ValueError for ragged sequences, unknown devices, and where `copy` False cannot be.

    >>> engine.asarray([1.0, 2.0], name="x")
    tensor([1., 2.], dtype=float32)
    """
    if isinstance(x, Tensor) and not requires_grad and name is None and device in (None, x.device):
        changed = dtype is not None and as_dtype(dtype) != x.dtype
        if changed and copy is False:
            raise ValueError(f"asarray: {x.dtype} to {dtype} cannot be done without a copy")
        if changed:
            return astype(x, dtype)
        return copied(x) if copy else x
    if isinstance(x, list | tuple) and (there := _tensors(x)) is not None:
        joined = stack([asarray(part, dtype, device or there) for part in x])
        return asarray(joined, requires_grad=requires_grad, name=name)
    made = apply.asarray(x, dtype, device, requires_grad=requires_grad, name=name)
    return apply.separate(x, made, copy)


def _tensors(pytree: Any) -> str | None:
    """Return the device of the first tensor, or device array, in a nested sequence, if any."""
    waiting = [pytree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Tensor):
            return one.device
        if (backend := backend_of(one)) not in (None, HOST):
            return backend.device_of(one)
        if isinstance(one, list | tuple):
            waiting += reversed(one)
    return None
