"""Make tensors of gradients: those that a backward pass starts from, and those that hooks bring.

Below the backward pass.
"""

from typing import Any

from engine.apply import asarray
from engine.backends.abstract import AbstractArray, refuse
from engine.interpreter import recording
from engine.registry import RECORDING
from engine.tensor import Tensor


def seeds(outputs: list[Tensor], grads: Any) -> list[Tensor]:
    """Return the gradients to start from, checked against the outputs."""
    if grads is None:
        grads = [None] * len(outputs)
    elif len(outputs) == 1 and not isinstance(grads, list | tuple):
        grads = [grads]
    if len(grads) != len(outputs):
        raise ValueError(
            f"gradients: {len(grads)} grads for {len(outputs)} outputs; give one for each, or None"
        )
    started = []
    for out, g in zip(outputs, grads, strict=True):
        if type(out._data) is AbstractArray and recording() is None:
            refuse("the gradient of a value that is read when it is over")
        if g is None and out.size != 1:
            raise ValueError(
                f"gradients: an output of shape {out.shape} is no single number; "
                "sum it, or give its gradient in grads"
            )
        seed = Tensor(RECORDING.ones_like(out).data) if g is None else asarray_like(g, out)
        if seed.shape != out.shape:
            raise ValueError(
                f"gradients: a grad of shape {seed.shape} for an output {out.shape}; "
                "give one of its shape"
            )
        started.append(seed)
    return started


def asarray_like(g: Any, out: Tensor) -> Tensor:
    """Return `g` as a tensor of the dtype and device of `out`, itself where it is one."""
    if isinstance(g, Tensor) and g.dtype == out.dtype:
        return g
    if isinstance(g, Tensor) and g.requires_grad:  # an outer pass goes through it
        cast: Tensor = RECORDING.astype(g, out.dtype.name)
        return cast
    return asarray(g, dtype=out.dtype, device=out.device)
