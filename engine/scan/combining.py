"""Combine two elements by functions: called on numbers, recorded on shapes alone, and known ones.

What was recorded tells the functions that run faster one element after another. Every node between
the elements and the result is accounted for: one op on exactly two leaves, or the product and sum
of an affine pair, all of one shape and dtype. Anything else is not known. Above the executors,
below `associative.py`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.apply import asarray
from engine.backends import HOST
from engine.backends.arena import arena
from engine.backends.numpy import int64
from engine.hooks import HOOKED
from engine.interpreter import Recording
from engine.node import Node, new_id
from engine.op import Op
from engine.ops.choices import maximum, minimum
from engine.ops.creation import full
from engine.ops.cumulative import cumulative_prod, cumulative_sum
from engine.ops.elementwise import add, multiply
from engine.ops.exponentials import logaddexp
from engine.ops.rearranging import flip, moveaxis
from engine.ops.shaping import reshape
from engine.pytree import Rebuild, flatten, structure
from engine.scan.body import leaf, stand_in
from engine.scan.call import prepare
from engine.scan.executors import EXECUTORS, executor_of
from engine.state import Draws, current, using
from engine.stepping import while_stepping
from engine.tensor import Tensor


class Combination:
    """Call a function of two elements on flat lists of tensors, and check what it returns."""

    def __init__(
        self, fn: Callable[[Any, Any], Any], rebuild: Rebuild, like: Sequence[Tensor]
    ) -> None:
        self.fn, self.rebuild, self.like = fn, rebuild, like
        self.form = structure(rebuild(list(like)))

    def __call__(self, earlier: list[Tensor], later: list[Tensor]) -> list[Tensor]:
        """Return the combination. Raises ValueError for another form, shape or dtype."""
        return self.checked(self.fn(self.rebuild(earlier), self.rebuild(later)), later)

    def checked(self, found: Any, like: Sequence[Tensor]) -> list[Tensor]:
        """Return what the function returned, flat, where it is an element like `like`."""
        if structure(found) != self.form:
            raise ValueError(
                f"associative_scan: fn returned an element of form {structure(found)}, expected "
                f"{self.form} as in xs"
            )
        flat = [x if isinstance(x, Tensor) else asarray(x, device=like[0].device)
                for x in flatten(found)[0]]  # fmt: skip
        for number, (one, own) in enumerate(zip(flat, like, strict=True)):
            if one.shape != own.shape or one.dtype != own.dtype:
                raise ValueError(
                    f"associative_scan: fn changed tensor {number} of an element from "
                    f"{own.dtype}{list(own.shape)} to {one.dtype}{list(one.shape)}; it must "
                    "return what it is given, with the axis of the scan at any length"
                )
        return flat


@dataclass(frozen=True)
class Combined:
    """Hold a recorded combination: the leaves it was called on, and what came of them."""

    earlier: list[Node]
    later: list[Node]
    results: list[Tensor]


def recorded_once(combination: Combination) -> Combined | None:
    """Return the function called on shapes alone; None where it needs numbers, or fails on them.

    Raises ValueError for what `Combination` refuses.
    """
    start = new_id()
    sides = [[stand_in(x, x.shape) for x in combination.like] for _ in range(2)]
    earlier, later = ([x.node for x in side] for side in sides)
    device = combination.like[0].device
    key, t = (leaf(shape, int64, device) for shape in ((2,), ()))
    with (
        using(tracing=True, recording=True, equations=None, interpreter=Recording(),
              draws=Draws(lambda: key, t)),
        while_stepping(first_recorded=start, arguments=(*sides[0], *sides[1])),
    ):  # fmt: skip
        try:
            found = combination.fn(*map(combination.rebuild, sides))
        except Exception:  # which the call on numbers raises again, if it is the function's own
            return None
        results = combination.checked(found, combination.like)
    if any(number >= start for number in list(HOOKED)):
        return None
    return Combined(earlier, later, results)


WIDE = 4  # bytes: sums of narrower floats lose too much one after another
LARGE = 1 << 15  # numbers in a tensor: below, a tree is done before a kernel is compiled


class Found(NamedTuple):
    """Tell how one tensor of the elements is combined: by an op, or the affine pair with `factor`.

    `inner` is ``a2 b1 + b2``, the other ``a1 b2 + b1``.
    """

    op: Op
    factor: int | None = None
    inner: bool = True


def known(body: Combined) -> list[Found] | None:
    """Return how each tensor of the elements is combined; None where one is not known."""
    found = [_found(body, number) for number in range(len(body.results))]
    return None if None in found else found  # type: ignore[return-value]


def _found(body: Combined, number: int) -> Found | None:
    x = body.results[number]
    kind, size = x.dtype.kind, x.dtype.itemsize
    op, pair = _op_of_two(x)
    if op is None or kind not in "iuf" or (kind == "f" and size < WIDE):
        return None
    if _are_both(pair, body, number):
        return Found(op) if op in WHOLE or (op in STEPS and kind == "f") else None
    if op.sign != "+" or kind != "f":
        return None
    for factor, a in enumerate(body.results):
        product, factors = _op_of_two(a)
        alike = (a.shape, a.dtype) == (x.shape, x.dtype)
        scaled = product is not None and product.sign == "*"
        if alike and scaled and _are_both(factors, body, factor):
            for inner in (True, False):
                if _is_affine(pair, body, number, factor, inner=inner):
                    return Found(op, factor, inner)
    return None


def _are_both(pair: Sequence[Tensor], body: Combined, number: int) -> bool:
    """Return whether two tensors are those of one number in the two elements, in either order."""
    return {one.node for one in pair} == {body.earlier[number], body.later[number]}


def _is_affine(
    pair: Sequence[Tensor], body: Combined, number: int, factor: int, *, inner: bool
) -> bool:
    """Return whether two summands are ``a2 b1`` and ``b2``, or else ``a1 b2`` and ``b1``."""
    own, other = (body.later, body.earlier) if inner else (body.earlier, body.later)
    for product, rest in (pair, pair[::-1]):
        op, factors = _op_of_two(product)
        if rest.node is own[number] and op is not None and op.sign == "*":
            return {one.node for one in factors} == {own[factor], other[number]}
    return False


def _op_of_two(x: Tensor) -> tuple[Op | None, tuple[Tensor, ...]]:
    """Return the op of a result and its two tensors, of its shape; None for any other result."""
    node = x.node
    given = tuple(one for one in node.inputs if isinstance(one, Tensor)
                  and (one.shape, one.dtype) == (x.shape, x.dtype))  # fmt: skip
    plain = not node.attrs and len(given) == len(node.inputs) == 2
    if not plain or (x.dtype.kind == "f" and not x.requires_grad):
        return None, ()
    return node.op, given


def run(found: list[Found], flat: list[Tensor], axis: int, *, reverse: bool) -> list[Tensor] | None:
    """Return the scan by kernels; None where one cannot run it, or has too little to do."""
    results = []
    for x, (op, factor, inner) in zip(flat, found, strict=True):
        inputs = [x] if factor is None else [flat[factor], x]
        step = STEPS[op] if factor is None else INNER if inner else OUTER
        one = _stepped(step, inputs, axis, reverse=reverse)
        if one is None and factor is None and op in WHOLE:
            one = _whole(WHOLE[op], x, axis, reverse=reverse)
        if one is None:
            return None
        results.append(one)
    return results


def _whole(kernel: Callable[..., Tensor], x: Tensor, axis: int, *, reverse: bool) -> Tensor:
    """Return running sums or products."""
    found = kernel(flip(x, axis=axis) if reverse else x, axis=axis, dtype=x.dtype)
    return flip(found, axis=axis) if reverse else found


def _stepped(step: "Step", inputs: list[Tensor], axis: int, *, reverse: bool) -> Tensor | None:
    """Return the last state of every step of a recurrence, from the step's neutral element on.

    None where it is not compiled, and for first elements that the neutral one changes: 0 times
    infinity is NaN, and two minus infinities share a gradient.
    """
    x = inputs[-1]
    if x.size < LARGE or x.device != "numpy" or x.dtype.kind != "f" or current().tracing:
        return None
    lines = [reshape(one, (one.shape[0], 1, -1))
             for one in (moveaxis(one, axis, 0) for one in inputs)]  # fmt: skip
    if not all(HOST.xp.isfinite(one.data[-1 if reverse else 0]).all() for one in lines):
        return None
    init = [full(lines[0].shape[1:], value, dtype=x.dtype) for value in step.neutral]
    call = prepare(step, init, lines, reverse=reverse)
    if executor_of(call)[0] is not EXECUTORS[0]:
        return None
    arena.enter()
    ys: Tensor = EXECUTORS[0].run(call)[1]
    rest = (*x.shape[:axis], *x.shape[axis + 1 :])
    return moveaxis(reshape(ys, (x.shape[axis], *rest)), 0, axis)


class Step:
    """Hold the step of a recurrence, recorded once for each kind of state, and where it begins."""

    def __init__(self, function: Callable[..., Any], *neutral: float) -> None:
        self.__wrapped__, self.neutral = function, neutral
        self.memo: dict[Any, Any] = {}

    def __call__(self, state: list[Tensor], x: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        new = self.__wrapped__(*state, *x)
        return ([*new], new[-1]) if isinstance(new, tuple) else ([new], new)


def _op(function: Any) -> Op:
    """Return the record of an op's public function."""
    op: Op = function.op
    return op


INNER = Step(lambda h, a, b: a * h + b, 0.0)
OUTER = Step(lambda p, h, a, b: (p * a, p * b + h), 1.0, 0.0)
STEPS = {
    _op(function): Step(function, neutral)
    for function, neutral in (
        (add, 0.0), (multiply, 1.0), (maximum, -math.inf), (minimum, math.inf),
        (logaddexp, -math.inf),
    )
}  # fmt: skip
WHOLE: dict[Op, Callable[..., Tensor]] = {
    _op(add): cumulative_sum, _op(multiply): cumulative_prod,
}  # fmt: skip
