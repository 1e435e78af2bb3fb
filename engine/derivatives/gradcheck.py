"""Check derivatives against finite differences in float64: `gradcheck`. Above the transforms."""

from collections.abc import Callable, Sequence
from typing import Any

from engine.apply import asarray
from engine.backends import Array
from engine.backends import numpy as host
from engine.backends.half import FLOATING
from engine.backward import gradients
from engine.ops.creation import zeros
from engine.ops.reductions import sum_
from engine.tensor import Tensor


class GradientError(AssertionError):
    """Report a derivative that does not agree with finite differences.

    >>> cube = engine.custom_vjp(lambda x: x * x * x, lambda g, out, x: g * x)
    >>> engine.gradcheck(cube, (engine.asarray(2.0, dtype="float64"),))
    Traceback (most recent call last):
    engine.derivatives.gradcheck.GradientError: ...
    """


def gradcheck(
    f: Callable[..., Tensor], xs: Sequence[Any], order: int = 1, *, step: float = 1e-6,
    rtol: float = 1e-5, atol: float = 1e-7,
) -> bool:  # fmt: skip
    """Check the derivatives of ``f(*xs)``, up to `order` 1 or 2, in every floating input.

    Everything is computed in float64, the output projected on a fixed direction. Returns True;
    raises GradientError with the input, the position and both numbers where they disagree.

    >>> engine.gradcheck(lambda x: engine.exp(x) * x, [[0.1, 0.7]], order=2)
    True
    """
    if not isinstance(xs, tuple | list) or order not in (1, 2):
        given = f"order {order!r}" if isinstance(xs, tuple | list) else type(xs).__name__
        raise TypeError(f"gradcheck: expected the arguments of f in a tuple, such as (x,), and an "
                        f"order of 1 or 2, got {given}")  # fmt: skip
    inputs = [_as_double(x) for x in xs]
    if order > 1:

        def slope(*own: Tensor) -> Tensor:
            total = None
            for number, g in enumerate(_projected_gradients(f, own)):
                if g is not None:
                    part = sum_(g * _direction(g, number))
                    total = part if total is None else total + part
            return sum_(own[0] * 0.0) if total is None else total

        gradcheck(f, inputs, order - 1, step=step, rtol=rtol, atol=atol)
        # One derivative more: its own rounding is larger, so is the best step.
        return gradcheck(slope, inputs, 1, step=max(step, 1e-5), rtol=rtol * 10, atol=atol * 100)
    own = [asarray(x.data, requires_grad=x.dtype.kind in FLOATING) for x in inputs]
    for number, (x, g) in enumerate(zip(own, _projected_gradients(f, own), strict=True)):
        if x.requires_grad:
            exact = 0.0 * x.numpy() if g is None else g.numpy()
            _compare(exact, _differences(f, own, number, step), number, rtol, atol)
    return True


def _as_double(x: Any) -> Tensor:
    x = asarray(x)
    return asarray(x, dtype=host.float64) if x.dtype.kind in FLOATING else x


def _direction(like: Tensor, salt: int = 0) -> Array:
    """Return fixed numbers in [0.5, 1.5), a direction that hides no component."""
    return asarray(
        host.generator([7, salt, *like.shape]).random(like.shape) + 0.5, device=like.device
    ).data


def _projected(f: Callable[..., Tensor], own: Sequence[Tensor]) -> Tensor:
    out = f(*own)
    return sum_(out * _direction(out))


def _projected_gradients(f: Callable[..., Tensor], own: Sequence[Tensor]) -> list[Tensor | None]:
    inputs = [x for x in own if x.requires_grad]
    out = _projected(f, own)
    grads = iter(gradients(out, inputs, create_graph=True) if out.requires_grad else
                 [None] * len(inputs))  # fmt: skip
    return [next(grads) if x.requires_grad else None for x in own]


def _differences(
    f: Callable[..., Tensor], own: Sequence[Tensor], number: int, step: float
) -> Array:
    """Return the gradient of input `number` by central differences, an element at a time."""
    values, device = own[number].numpy(), own[number].device
    flat = values.reshape(-1)
    slopes = zeros(own[number].shape, dtype=host.float64, device="numpy").data
    for position in range(flat.size):
        ends = []
        for sign in (1, -1):
            moved = flat.copy()
            moved[position] += sign * step
            xs = list(own)
            shaped = moved.reshape(values.shape)
            xs[number] = asarray(shaped, device=device, requires_grad=True)
            ends.append(_projected(f, xs).item())
        slopes.reshape(-1)[position] = (ends[0] - ends[1]) / (2 * step)
    return slopes


def _compare(exact: Array, slopes: Array, number: int, rtol: float, atol: float) -> None:
    gap = abs(exact - slopes) - (atol + rtol * abs(slopes))
    if not (gap <= 0).all():
        worst = int((gap == gap).reshape(-1).argmin() if (gap != gap).any() else gap.argmax())
        raise GradientError(
            f"gradcheck: input {number}, element {worst}: the derivative is "
            f"{exact.flat[worst]:.9g}, finite differences give {slopes.flat[worst]:.9g}"
        )
