"""Write recorded tensors as sums of products of factors with few axes: so outer products are found.

Above `rules.py`.
"""

from collections.abc import Sequence
from functools import reduce
from itertools import product as pairs
from typing import Any

from engine.node import Shape
from engine.ops.elementwise import multiply
from engine.scan.affine.forms import Coefficient, NotAffineError, arranged, size
from engine.scan.affine.rules import axes_moved, factor_of, is_plain
from engine.tensor import Tensor

Factors = tuple[Coefficient, ...]
MANY = 8  # products into which a sum of products is multiplied out


def products(x: Tensor, shape: Shape, a: int, b: int) -> list[tuple[Coefficient, Coefficient]]:
    """Return pairs (u, v) with x = sum of u v; u has size 1 on axis `b` of `shape`, v on axis `a`.

    Raises NotAffineError where x is not known to be of this form.
    """
    found = []
    for factors in _factors(x, len(shape), a, b):
        left = [one for one in factors if not isinstance(one, Tensor)
                or size(one, b, len(shape)) == 1]  # fmt: skip
        right = [one for one in factors if all(one is not other for other in left)]
        if any(size(one, a, len(shape)) > 1 for one in right):  # type: ignore[arg-type]
            raise NotAffineError("what is added to the state is no sum of outer products")
        found.append((_multiplied(left), _multiplied(right)))
    return found


def _multiplied(factors: Sequence[Coefficient]) -> Coefficient:
    numbers = [one for one in factors if not isinstance(one, Tensor)]
    tensors = [one for one in factors if isinstance(one, Tensor)]
    number = reduce(lambda x, y: x * y, numbers, 1.0)
    if not tensors:
        return number
    tensors.sort(key=lambda one: one.size)
    out = reduce(multiply, tensors)
    return out if number == 1.0 else multiply(out, number)


def _factors(x: Tensor, rank: int, a: int, b: int) -> list[Factors]:
    """Return the products of which a tensor is the sum, each as its factors."""
    node = x.node
    op, given = node.op, node.inputs
    own = [one for one in given if isinstance(one, Tensor)]
    if size(x, a, rank) == 1 or size(x, b, rank) == 1 or not own or _changes(x, own):
        return [(x,)]

    def of(one: Any) -> list[Factors]:
        return _factors(one, rank, a, b) if isinstance(one, Tensor) else [(float(one),)]

    if op.kind == "elementwise" and op.degree == "product" and len(given) == 2 and is_plain(op):
        return _times(of(given[0]), of(given[1]))
    if op.kind == "elementwise" and op.degree == "sum":
        found: list[Factors] = []
        for slot, one in enumerate(given):
            factor = factor_of(op, node.attrs, len(given), slot)
            found += [part if factor == 1.0 else (factor, *part) for part in of(one)]
        return _few(found)
    matrices = op.kind == "product" and op.inputs == 2 and min(one.ndim for one in own) >= 2
    if matrices and own[0].shape[-1] == 1:
        return _times(of(own[0]), of(own[1]))
    if op.kind == "layout" and len(own) == len(given) == 1:
        (inner,) = own
        to = axes_moved(op, node.attrs, inner.shape, x.shape)
        if to is not None:
            return _moved(inner, to, x.ndim, rank, a, b)
    return [(x,)]


def _changes(x: Tensor, given: Sequence[Tensor]) -> bool:
    """Return whether an op ends gradients or changes the dtype: its result is one factor then."""
    ends = not x.requires_grad and any(one.requires_grad for one in given)
    return ends or any(one.dtype != x.dtype for one in given)


def _moved(
    inner: Tensor, to: list[int | None], ndim: int, rank: int, a: int, b: int
) -> list[Factors]:
    """Return the factors of what an op of layout moves, each with its axes in their new places."""
    back = {place: i for i, place in enumerate(to) if place is not None}
    own = [back.get(axis - (rank - ndim)) for axis in (a, b)]
    if own[0] is None or own[1] is None:
        return [(arranged(inner, to, inner.ndim, ndim),)]
    parts = _factors(inner, inner.ndim, own[0], own[1])
    return [tuple(arranged(one, to, inner.ndim, ndim) for one in part) for part in parts]


def _times(left: list[Factors], right: list[Factors]) -> list[Factors]:
    return _few([(*one, *other) for one, other in pairs(left, right)])


def _few(found: list[Factors]) -> list[Factors]:
    if len(found) > MANY:
        raise NotAffineError(f"what is added to the state is a sum of more than {MANY} products")
    return found
