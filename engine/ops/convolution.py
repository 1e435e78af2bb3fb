"""Convolve over time and over the plane, as windows side by side and one matrix product.

Composed of as many ops as the kernel has taps. Above indexing, products and shaping.
"""

from itertools import product
from math import prod
from typing import Any

from engine.apply import asarray
from engine.arguments import public
from engine.checks import is_whole
from engine.ops.indexing import index
from engine.ops.products import matmul
from engine.ops.rearranging import pad
from engine.ops.shaping import stack
from engine.tensor import Tensor

__all__ = ["conv1d", "conv2d"]

Whole = int | tuple[int, int]
WHOLE = slice(None)


@public
def conv1d(
    x: Tensor, weight: Tensor, /, bias: Tensor | None = None, *, stride: int = 1,
    padding: int | str = 0, dilation: int = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Return out[b, o, t] = bias[o] + sum over c, k of weight[o, c, k] x[b, c, stride t + dilation
    k].

    x (B, C_in, T), `weight` (C_out, C_in / groups, K), `bias` (C_out,); the result is (B, C_out,
    T_out), as in PyTorch. `padding` is the number of zeros on each side, ``"valid"`` for none, or
    ``"same"`` for T_out = T, where an odd number has one more behind. For a causal network put the
    zeros in front of x and leave the padding at 0. With `groups` each group of outputs sees its own
    group of inputs. Raises ValueError for shapes and settings that do not fit.

    >>> engine.conv1d(engine.ones((1, 1, 4)), engine.ones((1, 1, 3)), padding="same")
    tensor([[[2., 3., 3., 2.]]], dtype=float32)
    """
    return _convolution("conv1d", x, weight, bias, "T", stride, padding, dilation, groups)


@public
def conv2d(
    x: Tensor, weight: Tensor, /, bias: Tensor | None = None, *, stride: Whole = 1,
    padding: Whole | str = 0, dilation: Whole = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Return `conv1d` over two axes: x (B, C_in, Y, X), `weight` (C_out, C_in / groups, K_y, K_x).

    The result is (B, C_out, Y_out, X_out). `stride`, `padding` and `dilation` are one number for
    both axes, or one each. Raises ValueError for shapes and settings that do not fit.

    >>> engine.conv2d(engine.ones((1, 1, 2, 3)), engine.ones((1, 1, 2, 2)))
    tensor([[[[4., 4.]]]], dtype=float32)
    """
    return _convolution("conv2d", x, weight, bias, "YX", stride, padding, dilation, groups)


def _convolution(
    name: str, x: Tensor, weight: Tensor, bias: Any, axes: str, stride: Any, padding: Any,
    dilation: Any, groups: int,
) -> Tensor:  # fmt: skip
    """Return the convolution over the last axes of x, one for each letter of `axes`."""
    strides = _positive(name, "stride", stride, len(axes))
    dilations = _positive(name, "dilation", dilation, len(axes))
    _positive(name, "groups", groups, 1)
    _check(name, x, weight, axes, groups)
    taps = weight.shape[2:]
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, taps, strict=True)]
    widths = _padding(name, padding, reach, strides)
    x = pad(x, [(0, 0), (0, 0), *widths]) if any(map(any, widths)) else x
    (B, C), O, sizes = x.shape[:2], weight.shape[0], x.shape[2:]
    for size, wide, k, d in zip(sizes, reach, taps, dilations, strict=True):
        if wide > size:
            raise ValueError(
                f"{name}: {size} steps, padding included, are fewer than the {wide} that a kernel "
                f"of {k} with dilation {d} covers; pad more"
            )
    steps = tuple((n - r) // s + 1 for n, r, s in zip(sizes, reach, strides, strict=True))
    firsts = product(*(range(0, r, d) for r, d in zip(reach, dilations, strict=True)))
    windows = [
        index(x, (WHOLE, WHOLE, *(slice(at, at + s * (n - 1) + 1, s)
                                  for at, n, s in zip(first, steps, strides, strict=True))))
        for first in firsts  # the places that one tap of the kernel sees
    ]  # fmt: skip
    depth = C // groups * prod(taps)
    rows = stack(windows, axis=2).reshape((B, groups, depth, prod(steps)))
    out = matmul(weight.reshape((groups, O // groups, depth)), rows).reshape((B, O, *steps))
    return out if bias is None else out + _column(name, bias, O, len(axes))


def _positive(name: str, what: str, given: Any, count: int) -> tuple[int, ...]:
    """Return a setting for each of several axes. Raises ValueError for what is not positive."""
    values = tuple(given) if isinstance(given, tuple | list) and count > 1 else (given,) * count
    for value in values:
        if not is_whole(value, 1):
            raise ValueError(f"{name}: {what} must be a positive integer, got {given!r}")
    if len(values) != count:
        raise ValueError(f"{name}: {what} must be one integer or {count}, got {given!r}")
    return values


def _check(name: str, x: Tensor, weight: Tensor, axes: str, groups: int) -> None:
    """Raise ValueError for what does not fit together."""
    rank = 2 + len(axes)
    layout = f"(B, C_in, {', '.join(axes)})"
    if x.ndim != rank or weight.ndim != rank:
        kernel = "K" if len(axes) == 1 else ", ".join(f"K_{one.lower()}" for one in axes)
        raise ValueError(
            f"{name}: x {x.shape}, weight {weight.shape}; "
            f"expected x {layout}, weight (C_out, C_in / groups, {kernel})"
        )
    outputs, inputs, *taps = weight.shape
    if outputs % groups or not prod(taps):
        raise ValueError(
            f"{name}: weight {weight.shape}: expected at least one tap and outputs that "
            f"{groups} groups share equally"
        )
    if x.shape[1] != inputs * groups:
        fix = f"; transpose x to {layout}?" if x.shape[-1] == inputs * groups else ""
        raise ValueError(
            f"{name}: x {x.shape} has {x.shape[1]} channels and weight {weight.shape} with "
            f"{groups} groups expects {inputs * groups}{fix}"
        )


def _padding(
    name: str, padding: Any, reach: list[int], strides: tuple[int, ...]
) -> list[tuple[int, int]]:
    """Return the numbers of zeros in front of each axis and behind it."""
    if padding == "valid":
        return [(0, 0)] * len(reach)
    if padding == "same":
        if set(strides) != {1}:
            raise ValueError(f"{name}: padding 'same' goes with stride 1, got stride {strides}")
        return [((one - 1) // 2, one // 2) for one in reach]
    several = isinstance(padding, tuple | list) and len(padding) == len(reach) > 1
    values = padding if several else (padding,) * len(reach)
    for value in values:
        if not is_whole(value, 0):
            raise ValueError(
                f"{name}: padding must be 'same', 'valid' or an integer of at least 0, "
                f"got {padding!r}"
            )
    return [(value, value) for value in values]


def _column(name: str, bias: Any, outputs: int, rank: int) -> Tensor:
    """Return the bias under a shape that broadcasts against (B, C_out, ...)."""
    tensor = asarray(bias)
    if tensor.shape != (outputs,):
        raise ValueError(f"{name}: bias {tensor.shape}; expected {(outputs,)}, one for each output")
    return tensor.reshape((outputs, *(1,) * rank))
