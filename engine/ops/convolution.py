"""Convolution over time, as windows side by side and one matrix product.

Composed of ops, as many as the kernel is long and no more for a longer sequence. Above indexing,
products and shaping.
"""

from typing import Any

from engine.apply import asarray
from engine.arguments import public
from engine.ops.indexing import index, place
from engine.ops.products import matmul
from engine.ops.shaping import stack
from engine.tensor import Tensor

__all__ = ["conv1d"]


@public
def conv1d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    /,
    *,
    stride: int = 1,
    padding: int | str = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Tensor:
    """out[b, o, t] = bias[o] + sum over c, k of weight[o, c, k] x[b, c, stride t + dilation k].

    x (B, C_in, T), `weight` (C_out, C_in / groups, K), `bias` (C_out,); the result is (B, C_out,
    T_out), as in PyTorch. `padding` is the number of zeros on each side, ``"valid"`` for none, or
    ``"same"`` for T_out = T, where an odd number has one more behind. For a causal network put the
    zeros in front of x and leave the padding at 0. With `groups` each group of outputs sees its own
    group of inputs. Raises ValueError for shapes and settings that do not fit.

    >>> import engine
    >>> engine.conv1d(engine.ones((1, 1, 4)), engine.ones((1, 1, 3)), padding="same")
    tensor([[[2., 3., 3., 2.]]], dtype=float32)
    """
    x, weight = asarray(x), asarray(weight)
    _check(x, weight, {"stride": stride, "dilation": dilation, "groups": groups})
    reach = dilation * (weight.shape[2] - 1) + 1
    x = _padded(x, *_padding(padding, reach, stride))
    (B, C, T), (O, _, K) = x.shape, weight.shape
    steps = (T - reach) // stride + 1
    if reach > T:
        raise ValueError(
            f"conv1d: {T} steps, padding included, are fewer than the {reach} that a kernel of "
            f"{K} with dilation {dilation} covers; pad more"
        )
    windows = [
        index(x, (slice(None), slice(None), slice(first, first + stride * (steps - 1) + 1, stride)))
        for first in range(0, reach, dilation)
    ]
    rows = stack(windows, axis=2).reshape((B, groups, C // groups * K, steps))
    kernel = weight.reshape((groups, O // groups, C // groups * K))
    out = matmul(kernel, rows).reshape((B, O, steps))
    return out if bias is None else out + _column(bias, O)


def _check(x: Tensor, weight: Tensor, settings: dict[str, Any]) -> None:
    """Raise ValueError for what does not fit together."""
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"conv1d: {name} must be a positive integer, got {value!r}")
    if x.ndim != 3 or weight.ndim != 3:
        raise ValueError(
            f"conv1d: x {x.shape}, weight {weight.shape}; "
            "expected x (B, C_in, T), weight (C_out, C_in / groups, K)"
        )
    groups = settings["groups"]
    outputs, inputs, width = weight.shape
    if outputs % groups or not width:
        raise ValueError(
            f"conv1d: weight {weight.shape}: expected at least one tap and outputs that "
            f"{groups} groups share equally"
        )
    if x.shape[1] != inputs * groups:
        fix = "; transpose x to (B, C_in, T)?" if x.shape[2] == inputs * groups else ""
        raise ValueError(
            f"conv1d: x {x.shape} has {x.shape[1]} channels and weight {weight.shape} with "
            f"{groups} groups expects {inputs * groups}{fix}"
        )


def _padding(padding: int | str, reach: int, stride: int) -> tuple[int, int]:
    """The numbers of zeros in front and behind."""
    if padding == "valid":
        return 0, 0
    if padding == "same":
        if stride != 1:
            raise ValueError(f"conv1d: padding 'same' goes with stride 1, got stride {stride}")
        return (reach - 1) // 2, reach // 2
    if isinstance(padding, bool) or not isinstance(padding, int) or padding < 0:
        raise ValueError(
            f"conv1d: padding must be 'same', 'valid' or an integer of at least 0, got {padding!r}"
        )
    return padding, padding


def _padded(x: Tensor, front: int, behind: int) -> Tensor:
    """x with zeros in front of its last axis and behind."""
    if not front and not behind:
        return x
    B, C, T = x.shape
    key = (slice(None), slice(None), slice(front, front + T))
    return place(x, keys=(key,), shape=(B, C, front + T + behind))


def _column(bias: Any, outputs: int) -> Tensor:
    """The bias under a shape that broadcasts against (B, C_out, T_out)."""
    tensor = asarray(bias)
    if tensor.shape != (outputs,):
        raise ValueError(f"conv1d: bias {tensor.shape}; expected {(outputs,)}, one for each output")
    return tensor.reshape((outputs, 1))
