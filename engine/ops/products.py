"""Multiply matrices: `matmul` for all ranks, and `linear`, the affine map of a layer.

Above the registry.
"""

import math
from typing import Any

from engine.backends.numpy import broadcast_shapes
from engine.errors import explain_linear, explain_matmul
from engine.node import Shape
from engine.op import Draw, Example
from engine.ops.time_batching import over_matrices, unchanged
from engine.registry import op

__all__ = ["linear", "matmul"]


def _as_matrices(xp: Any, g: Any, x: Any, y: Any) -> tuple[Any, Any, Any]:
    """Return g, x and y with the axes put back that a product with a vector leaves out."""
    if len(x.shape) == 1:
        g = xp.expand_dims(g, axis=-1 if len(y.shape) == 1 else -2)
        x = xp.expand_dims(x, axis=0)
    if len(y.shape) == 1:
        y = xp.expand_dims(y, axis=1)
        g = xp.expand_dims(g, axis=-1)
    return g, x, y


def _matmul_shape(left: Shape, right: Shape) -> Shape | None:
    if min(len(left), len(right)) < 2:
        return None
    if left[-1] != right[-2]:
        raise ValueError("the shapes do not fit")
    return (*broadcast_shapes(left[:-2], right[:-2]), left[-2], right[-1])


def _linear_shape(x: Shape, weight: Shape, *bias: Shape) -> Shape:
    fits = x and len(weight) == 2 and x[-1] == weight[1] and bias in ((), (weight[:1],))
    if not fits:
        raise ValueError("the shapes do not fit")
    return (*x[:-1], weight[0])


def _matmul_vjp_left(xp: Any, g: Any, out: Any, x: Any, y: Any) -> Any:
    vector = len(x.shape) == 1
    g, x, y = _as_matrices(xp, g, x, y)
    dx = xp.matmul(g, xp.matrix_transpose(y))
    return xp.squeeze(dx, axis=-2) if vector else dx


def _matmul_vjp_right(xp: Any, g: Any, out: Any, x: Any, y: Any) -> Any:
    vector = len(y.shape) == 1
    g, x, y = _as_matrices(xp, g, x, y)
    dy = xp.matmul(xp.matrix_transpose(x), g)
    return xp.squeeze(dy, axis=-1) if vector else dy


@op(
    # Batch axes that were broadcast are summed by the backward pass.
    vjp=(_matmul_vjp_left, _matmul_vjp_right),
    examples=(
        Example((Draw((3, 4)), Draw((4, 2)))),
        Example((Draw((4,)), Draw((4,)))),
        Example((Draw((4,)), Draw((4, 2)))),
        Example((Draw((2, 3, 4)), Draw((4,)))),
        Example((Draw((5, 1, 3, 4)), Draw((2, 4, 2)))),
        Example((Draw((4,)), Draw((2, 4, 3)))),
    ),
    explain=explain_matmul,
    shape=_matmul_shape,
    kind="product",
    time_batch=over_matrices,
    degree="product",
    sign="@",
)
def matmul(xp: Any, x: Any, y: Any, /) -> Any:
    """Return the matrix product over the last two axes; the axes before them broadcast.

    (..., M, K), (..., K, N) -> (..., M, N). Raises ValueError for inner sizes that differ.

    >>> engine.matmul(engine.ones((5, 2, 3)), engine.ones((3, 4))).shape
    (5, 2, 4)
    """
    return xp.matmul(x, y)


def _rows(xp: Any, x: Any) -> Any:
    """Return x as a matrix of rows: (..., n) -> (all, n)."""
    return x if len(x.shape) == 2 else xp.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


@op(
    vjp=(
        lambda xp, g, out, x, weight, bias=None: xp.matmul(g, weight),
        lambda xp, g, out, x, weight, bias=None: xp.matmul(
            xp.matrix_transpose(_rows(xp, g)), _rows(xp, x)
        ),
        lambda xp, g, out, x, weight, bias=None: xp.sum(_rows(xp, g), axis=0),
    ),
    examples=(
        Example((Draw((3, 4)), Draw((2, 4)), Draw((2,)))),
        Example((Draw((2, 3, 4)), Draw((5, 4)))),
        Example((Draw((4,)), Draw((2, 4)), Draw((2,)))),
    ),
    explain=explain_linear,
    shape=_linear_shape,
    kind="product",
    time_batch=unchanged,
    whole=(1, 2),
    degree="product",
)
def linear(xp: Any, x: Any, weight: Any, bias: Any = None, /) -> Any:
    """Return x W^T + b, W of shape (out, in) as in PyTorch: (..., in) -> (..., out).

    A primitive for speed (one product for the gradient of W however many axes x has) and because
    a picture should show one node for one affine map.

    >>> engine.linear([[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]], [0.5, 0.0]).tolist()
    [[11.5, 17.0]]
    """
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError("the bias does not fit")
    if bias is not None and xp.affine is not None:  # in one pass
        return xp.affine(x, xp.matrix_transpose(weight), bias)
    out = xp.matmul(x, xp.matrix_transpose(weight))
    return out if bias is None else out + bias
