"""Differentiate in forward mode: along a direction, whole Jacobians, products with a Hessian.

A pullback is linear in the gradient that it is given, so differentiating it once more, by that
gradient, gives the derivative along a direction: exact, for everything that can be recorded, with
no second rule for any op. Above `transforms.py`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from engine.apply import asarray
from engine.backends import on_device_of
from engine.backward import gradients
from engine.checks import is_whole
from engine.derivatives.seeds import asarray_like
from engine.derivatives.transforms import (
    Argnums,
    differentiable,
    entangled,
    grad,
    of_chosen,
    one_tensor,
    pulled,
)
from engine.namespace.conversion import astype
from engine.ops.creation import zeros, zeros_like
from engine.ops.shaping import reshape, stack
from engine.pytree import flatten, structure
from engine.state import using
from engine.tensor import Tensor

Push = Callable[[Sequence[Tensor | None], bool], list[Tensor]]


def jvp(f: Callable[..., Any], xs: tuple[Any, ...], vs: tuple[Any, ...]) -> tuple[Any, Any]:
    """Return ``f(*xs)`` and its derivative along `vs`: the Jacobian times v.

    `xs` and `vs` are tuples of pytrees, of the same form; f returns a pytree, and the derivative
    has its form. Both can be differentiated again, by xs, by vs and by what f uses besides. It
    costs about a forward pass and two backward passes, and runs
    recurrences explicitly. Raises TypeError for integer inputs, ValueError where vs do not fit.

    >>> out, tangent = engine.jvp(lambda x, y: x * y, (3.0, 4.0), (1.0, 10.0))
    >>> tangent.item()
    34.0
    """
    inputs, args = _entered("jvp", xs)
    directions = _directions("jvp", xs, vs, inputs)
    with using(recording=True):  # to differentiate is what was asked for
        result = f(*args)
    outs, rebuild = flatten(result)
    outs = [one_tensor(x, "jvp") for x in outs]
    nested = entangled(outs, inputs) or any(v.requires_grad for v in directions)
    tangents = _pushforward(outs, inputs)(directions, nested)
    return rebuild(outs if nested else [Tensor(x.data) for x in outs]), rebuild(tangents)


def _entered(name: str, xs: Any) -> tuple[list[Tensor], tuple[Any, ...]]:
    """Return arguments as tensors to differentiate at, flat and as they were nested."""
    if not isinstance(xs, tuple | list):
        raise TypeError(
            f"{name}: xs and vs hold one entry for each argument of f; write (x,) and (v,) "
            f"for a single one, got {type(xs).__name__}"
        )
    leaves, rebuild = flatten(tuple(xs))
    inputs = [differentiable(x) for x in leaves]
    return inputs, rebuild(list(inputs))


def _directions(name: str, xs: Any, vs: Any, inputs: list[Tensor]) -> list[Tensor]:
    """Return the directions, flat, each checked against its input."""
    if not isinstance(vs, tuple | list) or structure(tuple(vs)) != structure(tuple(xs)):
        raise ValueError(f"{name}: vs must be nested as xs are: {structure(tuple(xs))}")
    found = [asarray_like(v, x) for v, x in zip(flatten(tuple(vs))[0], inputs, strict=True)]
    for number, (v, x) in enumerate(zip(found, inputs, strict=True)):
        if v.shape != x.shape:
            raise ValueError(
                f"{name}: direction {number} has shape {v.shape}, its input has {x.shape}"
            )
    return found


def _pushforward(outs: list[Tensor], inputs: list[Tensor]) -> Push:
    """Map directions of the inputs, None for zero, to derivatives of the outputs."""
    active = [x for x in outs if x.requires_grad]
    # Any numbers will do: what is linear in them has the same derivative everywhere.
    us = [asarray(zeros_like(x).data, requires_grad=True) for x in active]
    back = gradients(active, inputs, us, create_graph=True)

    def push(vs: Sequence[Tensor | None], create_graph: bool) -> list[Tensor]:
        tangents = iter(pulled(back, us, vs, create_graph=create_graph))
        return [next(tangents) if x.requires_grad else zeros_like(x) for x in outs]

    return push


def jacobian(f: Callable[..., Tensor], argnums: Argnums = 0) -> Callable[..., Any]:
    """Return a function that returns all derivatives of ``f(*args)``: out.shape + x.shape.

    A pytree for a pytree, a tuple for a tuple of `argnums`. Computed backward, an element of the
    output at a time, or forward, an element of the inputs at a time, by the fewer of both.
    The result can be differentiated again. Raises TypeError for integer inputs.

    >>> engine.jacobian(lambda x: x * x)(engine.asarray([1.0, 2.0]))
    tensor([[2., 0.],
           [0., 4.]], dtype=float32)
    """

    def at(*args: Any) -> Any:
        g, chosen = of_chosen(f, args, argnums)
        inputs, own = _entered("jacobian", tuple(chosen))
        with using(recording=True):
            out = one_tensor(g(*own), "jacobian")
        nested = entangled([out], inputs)
        few = out.size <= sum(x.size for x in inputs)
        blocks = (_by_rows if few else _by_columns)(out, inputs, nested)
        trees = flatten(tuple(chosen))[1](blocks)
        return trees if isinstance(argnums, tuple) else trees[0]

    return at


def hessian(f: Callable[..., Tensor], argnums: int = 0) -> Callable[..., Tensor]:
    """Return a function that gives all second derivatives of ``f(*args)``, one number, by a tensor.

    x.shape + x.shape, as the Jacobian of the gradient. The result can be differentiated again.
    Raises TypeError for integer inputs and pytrees; products with a direction, which are cheaper,
    and of pytrees, are those of `hessian_vector_product`.

    >>> engine.hessian(lambda x: (x**3).sum())(engine.asarray([1.0, 2.0]))
    tensor([[ 6.,  0.],
           [ 0., 12.]], dtype=float32)
    """
    if not is_whole(argnums):
        raise TypeError(f"hessian: argnums must be the number of one argument, got {argnums!r}")
    slope = grad(f, argnums)
    return jacobian(lambda *args: one_tensor(slope(*args), "hessian"), argnums)


def _by_rows(out: Tensor, inputs: list[Tensor], nested: bool) -> list[Tensor]:
    """Return the Jacobian by each input, an element of the output at a time."""
    rows = [pulled([out], inputs, [_unit(out, i)], create_graph=nested) for i in range(out.size)]
    return [_block([row[number] for row in rows], 0, out, x) for number, x in enumerate(inputs)]


def _by_columns(out: Tensor, inputs: list[Tensor], nested: bool) -> list[Tensor]:
    """Return the Jacobian by each input, an element of it at a time."""
    push = _pushforward([out], inputs)
    blocks = []
    for number, x in enumerate(inputs):
        columns = []
        for i in range(x.size):
            vs: list[Tensor | None] = [None] * len(inputs)
            vs[number] = _unit(x, i)
            columns += push(vs, nested)
        blocks.append(_block(columns, -1, out, x))
    return blocks


def _unit(like: Tensor, position: int) -> Tensor:
    """Return zeros with a one at a position, counted through all elements."""
    unit = zeros_like(like)
    with on_device_of(unit.data):
        unit.data.reshape(-1)[position] = 1
    return unit


def _block(slices: Sequence[Any], axis: int, out: Tensor, x: Tensor) -> Tensor:
    """Return rows or columns as one array of out.shape + x.shape, in the dtype of x."""
    shape = (*out.shape, *x.shape)
    if not slices:
        return zeros(shape, dtype=x.dtype, device=x.device)
    return astype(reshape(stack(slices, axis=axis), shape), x.dtype, copy=False)


def hessian_vector_product(
    f: Callable[..., Tensor], xs: tuple[Any, ...], vs: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Return the Hessian of ``f(*xs)``, one number, times `vs`: a tuple of the form of xs.

    The Hessian is symmetric, so this is the gradient of the gradient along vs: two to five times
    the cost of a gradient. The result can be differentiated again. Raises ValueError where f
    returns more than one number or vs do not fit, TypeError for integer inputs.

    >>> x = engine.asarray([1.0, 2.0])
    >>> engine.hessian_vector_product(lambda x: (x**3).sum(), (x,), (engine.ones(2),))
    (tensor([ 6., 12.], dtype=float32),)
    """
    name = "hessian_vector_product"
    inputs, args = _entered(name, xs)
    directions = _directions(name, xs, vs, inputs)
    with using(recording=True):
        out = one_tensor(f(*args), name)
    if out.size != 1:
        raise ValueError(f"{name}: f must return one number, got shape {out.shape}; sum it")
    nested = entangled([out], inputs) or any(v.requires_grad for v in directions)
    found = gradients(out, inputs, create_graph=True)
    return tuple(flatten(tuple(xs))[1](pulled(found, inputs, directions, create_graph=nested)))
