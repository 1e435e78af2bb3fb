"""Write values of a step as affine functions of states: coefficients times states, plus a rest.

A coefficient is a recorded tensor, made by the ops of the step on what does not depend on the
states. So a form is found, proved and computed by the same rules. Above `program.py`; the rules are
in `rules.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.node import Shape
from engine.ops.shaping import permute_dims, reshape
from engine.scan.program import NotFusableError
from engine.tensor import Tensor

ANY = -1  # the place of a state's axis of size 1, which may be left out anywhere
Coefficient = Tensor | float
Base = tuple[str, int]  # ("before", i) or ("after", i): state i before or after the step


class NotAffineError(NotFusableError):
    """Report a value that is no affine function of states that is known entry by entry."""


@dataclass(frozen=True, eq=False)
class Term:
    """Hold ``coefficient * state``, or ``coefficient * sum(weight * state)`` over an axis of state.

    `axes` has, for each axis of the state, the axis of the value on which it lies, ANY for one of
    size 1, None for the one that is summed over. The coefficient broadcasts against the value, the
    weight against the state; without a sum there is no weight.
    """

    base: Base
    axes: tuple[int | None, ...]
    coefficient: Coefficient = 1.0
    weight: Coefficient | None = None

    @property
    def folded(self) -> int | None:
        """Return the axis of the state that is summed over."""
        return None if self.weight is None else self.axes.index(None)


@dataclass(frozen=True, eq=False)
class Form:
    """Hold a value of `shape` as the sum of its terms and an offset that depends on no state."""

    shape: Shape
    terms: tuple[Term, ...]
    offset: Tensor | None = None


def identity(base: Base, shape: Shape) -> Form:
    """Return the form of a state itself."""
    return Form(shape, (Term(base, tuple(ANY if n == 1 else i for i, n in enumerate(shape))),))


def size(x: Tensor, axis: int, rank: int) -> int:
    """Return the size of a tensor on an axis of a value of `rank` that it broadcasts against."""
    at = axis - (rank - x.ndim)
    return x.shape[at] if at >= 0 else 1


def arranged(x: Any, to: Sequence[int | None], old: int, new: int) -> Any:
    """Return what broadcasts against a value of rank `old` with its axes in other places.

    ``to[i]`` is the place of axis i among `new`; None for an axis of size 1 that is left out.
    """
    if not isinstance(x, Tensor) or list(to) == list(range(new)):
        return x
    shape = (*(1,) * (old - x.ndim), *x.shape)
    if any(place is None and n != 1 for n, place in zip(shape, to, strict=True)):
        raise NotAffineError("a coefficient varies where its state does not")
    kept = [i for i, place in enumerate(to) if place is not None]
    order = sorted(kept, key=lambda i: to[i])  # type: ignore[arg-type,return-value]
    out = reshape(x, tuple(shape[i] for i in kept))
    if order != kept:
        out = permute_dims(out, tuple(kept.index(i) for i in order))
    sizes = [1] * new
    for i in order:
        sizes[to[i]] = shape[i]  # type: ignore[index]
    return out if out.shape == tuple(sizes) else reshape(out, tuple(sizes))
