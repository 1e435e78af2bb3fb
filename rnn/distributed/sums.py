"""Add gradients over ranks: a flat array of each dtype, one message each.

Above `rnn/optim/flat.py`. Those of half precision are added in float32; those on a device are added
on the host. They are added after the backward pass, not during it: a recurrence has the gradients
of its weights at its end, so there is little to wait beside.
"""

from collections.abc import Sequence

import engine
from engine import Tensor
from engine.backends import HOST, Array, DType, on_host
from rnn.distributed.communicator import Communicator
from rnn.optim.flat import gathered, parts, wide


def summed(
    own: Communicator, parameters: Sequence[Tensor], known: Sequence[bool], weight: float
) -> None:
    """Give parameters the sum over ranks of `weight` times their gradients.

    `known` says of each whether any rank has a gradient, which the others take as zero.
    """
    sorts: dict[str, list[Tensor]] = {}
    for x, there in zip(parameters, known, strict=True):
        if there:
            sorts.setdefault(wide(x.dtype).str, []).append(x)
    for some in sorts.values():
        dtype = wide(some[0].dtype)
        flat = gathered([_on_host(x, dtype) for x in some])
        flat *= weight
        own.sum(flat)
        for x, part in zip(some, parts(flat, [x.data for x in some]), strict=True):
            x.grad = _placed(x, part)


def _on_host(x: Tensor, dtype: DType) -> Array:
    """Return the gradient of a parameter as an array of the host, zeros where it has none."""
    if x.grad is None:
        return HOST.xp.zeros(x.shape, dtype=dtype)
    return HOST.xp.asarray(x.grad.numpy(), dtype=dtype)


def _placed(x: Tensor, part: Array) -> Tensor:
    """Return a gradient of the dtype and on the device of its parameter."""
    if on_host(x.data) and part.dtype == x.dtype:
        return Tensor(part)
    return engine.asarray(part, dtype=x.dtype, device=x.device)
