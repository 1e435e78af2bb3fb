"""Make the form of the result of each kind of op from those of its inputs.

What an op does is read from its record: `kind`, `degree` and `moves`. Above `forms.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from engine.backends import HOST
from engine.node import Shape
from engine.op import Op
from engine.ops.creation import full
from engine.ops.elementwise import add, multiply
from engine.ops.reductions import sum_ as summed
from engine.ops.shaping import broadcast_to, matrix_transpose
from engine.scan.affine.forms import ANY, Coefficient, Form, NotAffineError, Term, arranged, size
from engine.scan.program import Literal, Program, Value
from engine.scan.reading import traced
from engine.scan.rows import folded_axes
from engine.tensor import Tensor


def form_of(value: Value, given: Sequence[Any], program: Program) -> Form:
    """Return the form of an op's result; `given` are its inputs as forms, tensors or numbers.

    Raises NotAffineError where it has none, or where it is not known.
    """
    op = value.op
    assert op is not None
    forms = [one for one in given if isinstance(one, Form)]
    if value.stopped or op.vjp is None:
        raise NotAffineError(f"{op.name} ends gradients")
    own = [program.values[p].dtype for p, one in zip(value.inputs, given, strict=True)
           if isinstance(p, int) and isinstance(one, Form)]  # fmt: skip
    if set(own) != {value.dtype} or value.dtype.kind != "f":
        raise NotAffineError(f"{op.name} changes the dtype")
    if op.kind == "elementwise":
        found = _elementwise(op, value, given)
    elif op.kind == "layout" and len(forms) == len(given) == 1:
        found = _moved(value, forms[0])
    elif op.kind == "reduction" and op.degree == "sum":
        found = _reduced(op, value, forms[0])
    elif op.kind == "product" and op.inputs == 2 and len(forms) == 1:
        found = _product(given)
    else:
        raise NotAffineError(f"{op.name} is not linear entry by entry")
    if found.shape != value.shape:
        raise NotAffineError(f"the form of {op.name} has another shape")
    return replace(found, terms=_together(found.terms))


# ---- one op


def _elementwise(op: Op, value: Value, given: Sequence[Any]) -> Form:
    where = [i for i, one in enumerate(given) if isinstance(one, Form)]
    allowed = {
        "sum": set(range(len(given))), "product": {0, 1}, "quotient": {0},
        "choice": set(range(1, len(given))),
    }.get(op.degree, set())  # fmt: skip
    several = op.degree in ("product", "quotient")
    if not set(where) <= allowed or (several and (len(where) > 1 or len(given) > 2)):
        raise NotAffineError(f"{op.name} is not linear in the state")

    def result(slot: int, x: Coefficient | None) -> Coefficient | None:
        """Return the op with `x` in a slot, nothing in others that depend on states."""
        if x is None and several:
            return None
        rest = [
            0.0
            if isinstance(one, Form) or (op.degree in ("sum", "choice") and i in allowed)
            else one
            for i, one in enumerate(given)
        ]
        rest[slot] = 0.0 if x is None else x
        if op.degree == "sum":
            return None if x is None else scaled(x, factor_of(op, value.attrs, len(given), slot))
        if op.degree == "product" and x is not None and is_plain(op):
            return scaled(rest[1 - slot], x)
        return _applied(op, value, rest)

    terms = []
    for slot in where:
        for term in given[slot].terms:
            shifted = _shifted(term, given[slot].shape, value.shape)
            coefficient = result(slot, term.coefficient)
            assert coefficient is not None
            terms.append(replace(shifted, coefficient=coefficient))
    offsets = [one.offset if isinstance(one, Form) else one for one in given]
    return Form(value.shape, tuple(terms), _offset(op, value, offsets, several))


def _offset(op: Op, value: Value, offsets: list[Any], several: bool) -> Tensor | None:
    """Return the op on what does not depend on states."""
    if several and any(one is None for one in offsets):
        return None
    filled = [0.0 if one is None else one for one in offsets]
    if all(isinstance(one, float | int) and one == 0 for one in filled):
        return None
    out = _applied(op, value, filled)
    return out if isinstance(out, Tensor) else full((), out, dtype=value.dtype)


def is_plain(op: Op) -> bool:
    """Return whether an op of degree "product" is the product itself, with no factor of its own."""
    return bool(op.forward(HOST.xp, HOST.xp.asarray(3.0), HOST.xp.asarray(5.0)) == 15.0)


def factor_of(op: Op, attrs: Mapping[str, Any], count: int, slot: int) -> float:
    """Return the number by which an element-wise op of degree "sum" scales one of its inputs."""
    numbers = [HOST.xp.asarray(float(i == slot)) for i in range(count)]
    own = {name: one for name, one in attrs.items() if name != "dtype"}
    return float(op.forward(HOST.xp, *numbers, **own))


def _applied(op: Op, value: Value, given: Sequence[Any]) -> Coefficient:
    if any(isinstance(one, Tensor) for one in given):
        if op.degree == "choice":
            given = [full((), one, dtype=value.dtype) if i and not isinstance(one, Tensor) else one
                     for i, one in enumerate(given)]  # fmt: skip
        return _recorded(op, given, value.attrs)
    return float(op.forward(HOST.xp, *map(HOST.xp.asarray, given), **value.attrs))


def _recorded(op: Op, given: Sequence[Any], attrs: Mapping[str, Any]) -> Tensor:
    made = [one for one in given if isinstance(one, Tensor)]
    places = iter(range(len(made)))
    inputs = tuple(next(places) if isinstance(one, Tensor) else Literal(one) for one in given)
    return traced(Value(-1, op, inputs, attrs, (), made[0].dtype, None, ""), made)


def scaled(x: Any, y: Any) -> Coefficient:
    """Return the product of two coefficients; a factor of 1 costs nothing."""
    if not isinstance(x, Tensor) and not isinstance(y, Tensor):
        return float(x) * float(y)
    if not isinstance(y, Tensor) and y == 1.0:
        return x  # type: ignore[no-any-return]
    return y if not isinstance(x, Tensor) and x == 1.0 else multiply(x, y)


def axes_moved(
    op: Op, attrs: Mapping[str, Any], shape: Shape, to: Shape
) -> list[int | None] | None:
    """Return the place in the result for each axis of an input of an op of layout.

    None for an axis of size 1 that is left out; None at all where the op does more than to put axes
    in another order, and axes of size 1 in or out, or to broadcast.
    """
    moves = None if op.moves is None else op.moves(attrs, (shape,), to)
    if not moves or len(moves) > 1 or moves[0].flat or any(moves[0].low) or moves[0].high != to:
        return None
    found: list[int | None] = []
    for axis, n in zip(moves[0].where, shape, strict=True):
        if axis.axis is None and n == 1:
            found.append(None)
        elif axis.axis is not None and (axis.step, axis.offset) == (1, 0) and to[axis.axis] == n:
            found.append(axis.axis)
        else:
            return None
    kept = [one for one in found if one is not None]
    return found if len(set(kept)) == len(kept) else None


def _moved(value: Value, form: Form) -> Form:
    assert value.op is not None
    to = axes_moved(value.op, value.attrs, form.shape, value.shape)
    if to is None:
        raise NotAffineError(f"{value.op.name} moves single entries")
    return _put(form, to, value.shape)


def _put(form: Form, to: Sequence[int | None], shape: Shape) -> Form:
    """Return the form with its axes in other places of a shape; None for one that is left out."""

    def put(x: Any) -> Any:
        return arranged(x, to, len(form.shape), len(shape))

    terms = tuple(
        replace(term, axes=_through(term.axes, to), coefficient=put(term.coefficient))
        for term in form.terms
    )
    return Form(shape, terms, put(form.offset))


def _through(axes: Sequence[int | None], to: Sequence[int | None]) -> tuple[int | None, ...]:
    """Return where the axes of a state lie after those of the value have gone to other places."""
    found: list[int | None] = []
    for one in axes:
        if one is None or one == ANY:
            found.append(one)
        elif to[one] is None:
            raise NotAffineError("an axis of the state is left out")
        else:
            found.append(to[one])
    return tuple(found)


def _reduced(op: Op, value: Value, form: Form) -> Form:
    factor = float(op.forward(HOST.xp, HOST.xp.ones(2), axis=0)) / 2
    if factor != 1.0:
        raise NotAffineError(f"{op.name} is no plain sum")
    axes = folded_axes(value, form.shape)
    for axis in axes:
        form = _summed(form, axis)
    if value.attrs.get("keepdims"):
        return form
    left = iter(range(len(form.shape)))
    to = [None if i in axes else next(left) for i in range(len(form.shape))]
    return _put(form, to, value.shape)


def _summed(form: Form, axis: int) -> Form:
    """Return the sum over one axis, which stays with size 1."""
    n, rank = form.shape[axis], len(form.shape)
    shape = (*form.shape[:axis], 1, *form.shape[axis + 1 :])
    terms = tuple(_sum_of(term, axis, n, rank) for term in form.terms)
    offset = form.offset
    if offset is not None:
        offset = summed(broadcast_to(offset, form.shape), axis=axis, keepdims=True)
    return Form(shape, terms, offset)


def _sum_of(term: Term, axis: int, n: int, rank: int) -> Term:
    coefficient = term.coefficient
    if axis not in term.axes:
        if isinstance(coefficient, Tensor) and size(coefficient, axis, rank) == n:
            place = axis - rank
            return replace(term, coefficient=summed(coefficient, axis=place, keepdims=True))
        return replace(term, coefficient=scaled(coefficient, float(n)))
    if term.weight is not None:
        raise NotAffineError("the state is summed over two of its axes")
    free = [one for one in range(rank) if one not in term.axes]
    if any(isinstance(coefficient, Tensor) and size(coefficient, one, rank) > 1 for one in free):
        raise NotAffineError("sums of the state with several weights")
    to: list[int | None] = [None] * rank
    for i, one in enumerate(term.axes):
        if one is not None and one != ANY:
            to[one] = i
    weight = arranged(coefficient, to, rank, len(term.axes))
    axes = tuple(None if one == axis else one for one in term.axes)
    return Term(term.base, axes, 1.0, weight)


def _product(given: Sequence[Any]) -> Form:
    """Return a product that multiplies entries (inner size 1) or sums with one vector."""
    slot = next(i for i, one in enumerate(given) if isinstance(one, Form))
    form, other = given[slot], given[1 - slot]
    if len(form.shape) < 2 or not isinstance(other, Tensor) or other.ndim < 2:
        raise NotAffineError("a product with a vector mixes entries")
    inner = form.shape[-1] if slot == 0 else form.shape[-2]
    if inner == 1:
        return _times(form, other)
    if other.shape[-1 if slot == 0 else -2] != 1:
        raise NotAffineError("a product of matrices mixes entries")
    found = _times(form, matrix_transpose(other))
    return _summed(found, len(found.shape) - (1 if slot == 0 else 2))


def _times(form: Form, other: Tensor) -> Form:
    shape = HOST.xp.broadcast_shapes(form.shape, other.shape)
    terms = tuple(
        replace(_shifted(term, form.shape, shape), coefficient=scaled(term.coefficient, other))
        for term in form.terms
    )
    return Form(shape, terms, None if form.offset is None else multiply(form.offset, other))


def _shifted(term: Term, shape: Shape, to: Shape) -> Term:
    """Return a term of a value that is broadcast to a shape."""
    more = len(to) - len(shape)
    for one in term.axes:
        if one is not None and one != ANY and shape[one] != to[one + more]:
            raise NotAffineError("a state is broadcast along one of its axes")
    axes = tuple(one if one is None or one == ANY else one + more for one in term.axes)
    return replace(term, axes=axes)


def _together(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    """Return the terms, with those of the same sum or state in one."""
    found: dict[Any, Term] = {}
    for term in terms:
        weight = term.weight.node if isinstance(term.weight, Tensor) else term.weight
        key = (term.base, term.axes, weight)
        known = found.get(key)
        found[key] = term if known is None else replace(
            term, coefficient=_added(known.coefficient, term.coefficient))  # fmt: skip
    return tuple(found.values())


def _added(a: Coefficient, b: Coefficient) -> Coefficient:
    return a + b if isinstance(a, float) and isinstance(b, float) else add(a, b)
