"""Transform functions: grad, value_and_grad, vjp. Above the backward pass."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from engine.apply import asarray
from engine.backward import gradients
from engine.checks import flag, is_whole
from engine.derivatives.reachability import reachable
from engine.ops.creation import zeros_like
from engine.ops.elementwise import identity
from engine.pytree import flatten
from engine.state import current, using
from engine.tensor import Tensor

Argnums = int | tuple[int, ...]


def differentiable(x: Any) -> Tensor:
    """Return an argument as a tensor to differentiate at, still tied to where it came from."""
    x = asarray(x) if not isinstance(x, Tensor) else x
    inside = x.requires_grad and current().recording  # of something that is differentiated too
    return identity(x) if inside else asarray(x.data, requires_grad=True)


def entangled(outputs: Iterable[Tensor], own: Iterable[Tensor]) -> bool:
    """Return whether outputs depend on anything differentiable but `own`.

    If so, an outer pass may want to go through what is derived from them.
    """
    leaves = {x.node for x in own}
    return any(not node.operands and node not in leaves for _, node in reachable(outputs))


def one_tensor(out: Any, name: str) -> Tensor:
    """Return what a function returned, which must be a tensor. Raises TypeError where it is not."""
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}: f must return one tensor, got {type(out).__name__}")
    return out


def pulled(
    outputs: Sequence[Tensor | None], inputs: Sequence[Tensor], grads: Sequence[Tensor | None], *,
    create_graph: bool = False,
) -> list[Tensor]:  # fmt: skip
    """Return the gradient of each input, zeros where no path leads; of outputs that have one."""
    pairs = [(x, g) for x, g in zip(outputs, grads, strict=True)
             if x is not None and x.requires_grad and g is not None]  # fmt: skip
    found = gradients([x for x, _ in pairs], inputs, [g for _, g in pairs], create_graph)
    return [zeros_like(x) if g is None else g for x, g in zip(inputs, found, strict=True)]


def vjp(f: Callable[..., Tensor], *xs: Any) -> tuple[Tensor, Callable[..., tuple[Any, ...]]]:
    """Return ``f(*xs)`` and its pullback: from a gradient of the output to gradients of each x.

    Each x is a tensor or a pytree of tensors. Zeros stand where f does not depend on an input.
    Raises TypeError for integer inputs and where f returns no tensor.

    >>> out, pullback = engine.vjp(lambda x: x * x, 3.0)
    >>> pullback(1.0)[0].item()
    6.0
    """
    parts = [flatten(x) for x in xs]
    inputs = [[differentiable(x) for x in leaves] for leaves, _ in parts]
    with using(recording=True):  # to differentiate is what was asked for
        out = f(*(rebuild(own) for own, (_, rebuild) in zip(inputs, parts, strict=True)))
    out = one_tensor(out, "vjp")
    flat = [x for own in inputs for x in own]
    nested = entangled([out], flat)

    def pullback(grad: Any = None) -> tuple[Any, ...]:
        found = iter(gradients(out, flat, grad, create_graph=nested) if out.requires_grad else
                     [None] * len(flat))  # fmt: skip
        return tuple(
            rebuild([zeros_like(x) if (g := next(found)) is None else g for x in own])
            for own, (_, rebuild) in zip(inputs, parts, strict=True)
        )

    return out, pullback


def of_chosen(
    f: Callable[..., Tensor], args: tuple[Any, ...], argnums: Argnums
) -> tuple[Callable[..., Tensor], list[Any]]:
    """Return `f` as a function of the named arguments alone, and these."""
    numbers = argnums if isinstance(argnums, tuple) else (argnums,)
    if not all(is_whole(one) and -len(args) <= one < len(args) for one in numbers):
        raise TypeError(
            f"argnums must number the {len(args)} arguments, got {argnums!r}; these transforms "
            "return a function, so write engine.grad(f)(x), not engine.grad(f, x)"
        )
    chosen = tuple(range(len(args))[number] for number in numbers)

    def g(*xs: Any) -> Tensor:
        replaced = dict(zip(chosen, xs, strict=True))
        return f(*(replaced.get(i, arg) for i, arg in enumerate(args)))

    return g, [args[i] for i in chosen]


def value_and_grad(
    f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """Return a function that gives ``f(*args)``, one number, and its gradient by named arguments.

    Arguments may be pytrees of tensors; a tuple of `argnums` gives a tuple of gradients. With
    `has_aux` f returns ``(value, aux)``, and the result is ``((value, aux), gradient)``. It can be
    differentiated again.

    >>> f = engine.value_and_grad(lambda x: (x * x, {"twice": 2 * x}), has_aux=True)
    >>> (value, aux), g = f(3.0)
    >>> value.item(), aux["twice"].item(), g.item()
    (9.0, 6.0, 6.0)
    """
    has_aux = flag("has_aux", has_aux)

    def both(*args: Any) -> tuple[Any, Any]:
        g, chosen = of_chosen(f, args, argnums)
        besides: list[Any] = []
        out, pullback = vjp(partial(_without_aux, g, besides) if has_aux else g, *chosen)
        grads = pullback()
        return ((out, besides[0]) if has_aux else out), (
            grads if isinstance(argnums, tuple) else grads[0]
        )

    return both


def _without_aux(f: Callable[..., Any], besides: list[Any], *xs: Any) -> Any:
    """Return the value of what returns (value, aux); put the latter aside."""
    found = f(*xs)
    if not isinstance(found, tuple) or len(found) != 2:
        told = f"{len(found)} values" if isinstance(found, tuple) else type(found).__name__
        raise TypeError(f"has_aux: f must return (value, aux), got {told}")
    besides.append(found[1])
    return found[0]


def grad(f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """Return the gradient function of `f`; see `value_and_grad`. With `has_aux` (gradient, aux).

    >>> engine.grad(engine.grad(lambda x: x**3))(2.0).item()
    12.0
    """
    both = value_and_grad(f, argnums, has_aux)

    def gradient(*args: Any) -> Any:
        found, grads = both(*args)
        return (grads, found[1]) if has_aux else grads

    return gradient
