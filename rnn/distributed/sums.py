"""Add gradients over ranks: a flat array of each dtype, one message each.

Above `rnn/optim/flat.py` and `devices.py`, which says whether they are added on the devices or on
the host. Those of half precision are added in float32: a sum of many halves is far from the true
one, or infinite. They are added after the backward pass, not during it: a recurrence has the
gradients of its weights at its end, so there is little to wait beside.
"""

from collections.abc import Sequence
from typing import Any

import engine
from engine import Tensor
from engine.backends import HOST, NAMESPACES, Array, DType, on_device_of
from rnn.distributed.communicator import Communicator
from rnn.optim.flat import gathered, parts, wide


def summed(
    own: Communicator, parameters: Sequence[Tensor], known: Sequence[bool], weight: float
) -> None:
    """Give parameters the sum over ranks of `weight` times their gradients.

    `known` says of each whether any rank has a gradient, which the others take as zero. Raises
    RuntimeError where gradients are added on devices and another rank is gone.
    """
    sorts: dict[str, list[Tensor]] = {}
    for x, there in zip(parameters, known, strict=True):
        if there:
            sorts.setdefault(wide(x.dtype).str, []).append(x)
    adder: Any = own if own.link is None else own.link
    for some in sorts.values():
        dtype = wide(some[0].dtype)
        with on_device_of(some[0].data):
            flat = gathered([_gradient(x, dtype, on_host=own.link is None) for x in some])
            flat *= weight
            adder.sum(flat)
            for x, part in zip(some, parts(flat, [x.data for x in some]), strict=True):
                x.grad = _placed(x, part)


def _gradient(x: Tensor, dtype: DType, *, on_host: bool) -> Array:
    """Return the gradient of a parameter as an array, zeros where it has none."""
    if x.grad is None:
        return (HOST.xp if on_host else NAMESPACES[type(x.data)]).zeros(x.shape, dtype=dtype)
    if on_host:
        return HOST.xp.asarray(x.grad.numpy(), dtype=dtype)
    return x.grad.data.astype(dtype, copy=False)


def _placed(x: Tensor, part: Array) -> Tensor:
    """Return a gradient of the dtype and on the device of its parameter."""
    if type(part) is type(x.data) and part.dtype == x.dtype:
        return Tensor(part)
    return engine.asarray(part, dtype=x.dtype, device=x.device)
