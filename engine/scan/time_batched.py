"""Compute everything of a program that is outside of its core, for all steps at once.

Time is a leading axis: ``x_t W`` becomes one product over T B rows, and a sum over time of
``d_t^T h_t`` one product too. How an op is batched stands in its record; one that cannot be is
computed step by step here. Above `program.py`; the executors differ only in the core.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import prod
from typing import Any

from engine.backends import HOST, Array
from engine.scan.program import Literal, NotFusableError, Program, Source, Value
from engine.scan.rows import folded_axes, turned

BLOCK = 256  # numbers that are added up one after another on the host
# Of large matrix products: of two matrices, transposed views too, and of a row of bias or None.
Multiply = Callable[..., Array]
LARGE = 1 << 25  # numbers of one value over all steps from which its sum is taken step by step


class TimeBatched:
    """Hold the arrays of a program's values: as they are where fixed, (T, ...) where they vary."""

    def __init__(
        self, program: Program, xp: Any, sources: Mapping[Source, Array], steps: int,
        product: Multiply,
    ) -> None:  # fmt: skip
        self.program, self.xp, self.steps, self.product = program, xp, steps, product
        self.totals: dict[Any, Array] = {}
        self.sums: dict[int, Array] = {}  # over time, of what a kernel has added up
        self.arrays: dict[int, Array] = {
            at: sources[source] for source, at in program.leaves.items() if source in sources
        }

    def compute(self, positions: Iterable[int]) -> None:
        """Have the arrays of these values, and of what they need."""
        arrays, values = self.arrays, self.program.values
        stack = [p for p in positions if p not in arrays]
        while stack:
            value = values[stack[-1]]
            missing = [p for p in value.operands if p not in arrays]
            if missing:
                stack += missing
            elif stack.pop() not in arrays:
                arrays[value.position] = self._time_batched(value)

    def get(self, position: int) -> Array:
        """Return the array of one value."""
        if position not in self.arrays:
            self.compute([position])
        return self.arrays[position]

    def over_time(self, position: int) -> Array:
        """Return the array of one value with a leading time axis in any case."""
        array = self.get(position)
        return array if position in self.program.varies else self._repeated(array)

    def _repeated(self, array: Array) -> Array:
        return self.xp.broadcast_to(array, (self.steps, *array.shape))

    # ---- one op

    def _time_batched(self, value: Value) -> Array:
        """Return one op, with time as a leading axis where an input has it."""
        op = value.op
        if op is None:
            raise NotFusableError(f"nothing gives {value.source}")
        given = self._given(value)
        timed = [one in self.program.varies for one in value.inputs]
        if not any(timed):
            return op.forward(self.xp, *given, **value.attrs)
        out = self._at_once(value, given, timed)
        if out is None or out.shape != (self.steps, *value.shape):
            out = self.xp.empty((self.steps, *value.shape), dtype=value.dtype)
            for t, one in enumerate(self._each_step(value)):
                out[t] = one
        return out

    def _given(self, value: Value) -> list[Any]:
        """Return the inputs of an op: arrays and numbers."""
        return [one.value if isinstance(one, Literal) else self.get(one) for one in value.inputs]

    def _each_step(self, value: Value) -> Iterator[Array]:
        """Yield the results of an op, one step after another."""
        given, op = self._given(value), value.op
        timed = [one in self.program.varies for one in value.inputs]
        assert op is not None
        for t in range(self.steps):
            now = [a[t] if has else a for a, has in zip(given, timed, strict=True)]
            yield op.forward(self.xp, *now, **value.attrs)

    def _at_once(self, value: Value, given: list[Any], timed: list[bool]) -> Array | None:
        """Return one op for all steps at once; None where its record does not say how."""
        op = value.op
        assert op is not None
        if op.kind == "elementwise":
            rank = len(value.shape)
            given = [_spread(a, rank) if has else a for a, has in zip(given, timed, strict=True)]
            return op.forward(self.xp, *given, **value.attrs)
        if op.kind == "product" and (out := self._large_product(value, given, timed)) is not None:
            return out
        if op.time_batch is None or any(timed[slot] for slot in op.whole if slot < len(timed)):
            return None
        shapes = tuple(self.program.values[p].shape if isinstance(p, int) else None
                       for p in value.inputs)  # fmt: skip
        try:
            attrs = op.time_batch(value.attrs, shapes, value.shape, self.steps)
        except ValueError:
            return None
        given = [
            a if has or slot in op.whole or not isinstance(one, int) else self._repeated(a)
            for slot, (a, has, one) in enumerate(zip(given, timed, value.inputs, strict=True))
        ]
        return op.forward(self.xp, *given, **attrs)

    def _large_product(self, value: Value, given: list[Any], timed: list[bool]) -> Array | None:
        """Return a product of all rows of all steps with a fixed matrix; None where it is none."""
        if not timed[0]:
            return self._turned_product(value, given)
        if any(timed[1:]) or not is_large(self.program, value):
            return None
        x, weight = given[:2]
        matrix = weight.T if value.linear else weight
        rows = prod(x.shape[:-1])
        out = self.product(x.reshape(rows, x.shape[-1]), matrix, *given[2:])
        return out.reshape(self.steps, *value.shape)

    def _turned_product(self, value: Value, given: list[Any]) -> Array | None:
        """Return A X_t^T as the transpose of one product of rows of X with A^T, or None."""
        if len(given) != 2 or value.linear or given[0].ndim != 2:
            return None
        if (source := turned(self.program, value.operands[-1])) is None:
            return None
        x = self.over_time(source)
        out = self.product(x.reshape(self.steps * x.shape[1], x.shape[2]), given[0].T)
        return out.reshape(self.steps, *value.shape[::-1]).transpose(0, 2, 1)

    # ---- sums over time

    def total(self, position: int) -> Array:
        """Return the sum of one value over all steps; equal sums are computed once."""
        value = self.program.values[position]
        if value.op is None or not value.operands:
            return self._total(value)
        key = value.key
        if key not in self.totals:
            self.totals[key] = self._total(value)
        return self.totals[key]

    def _total(self, value: Value) -> Array:
        position, varies = value.position, self.program.varies
        if position in self.sums:
            return self.sums[position]
        if position not in varies:
            return self.get(position) * self.steps
        op = value.op
        if op is None or value.position in self.arrays:
            return summed(self.xp, self.get(position), (0,))
        if self._is_of_sums(value):
            return op.forward(self.xp, self.total(value.operands[0]), **value.attrs)
        if op.degree == "sum" and op.kind == "reduction":  # over time and its own axes in one go
            inner = self.over_time(value.operands[0])
            axes = (0, *(1 + axis for axis in folded_axes(value, inner.shape[1:])))
            return summed(self.xp, inner, axes).reshape(value.shape)
        real = all(self.program.values[p].dtype.kind == "f" for p in value.operands)
        linear = op.degree == "sum" and real and all(p in varies for p in value.operands)
        if linear and len(value.operands) == len(value.inputs):
            return op.forward(self.xp, *map(self.total, value.operands), **value.attrs)
        if (place := self._one_factor(value)) is not None:
            given: list[Any] = [one.value if isinstance(one, Literal) else self.get(one)
                                if i != place else self.total(one)
                                for i, one in enumerate(value.inputs)]  # fmt: skip
            return op.forward(self.xp, *given, **value.attrs)
        if op.kind == "product" and (out := self._contracted(value)) is not None:
            return out
        if self.steps * prod(value.shape) > LARGE:  # too much memory for all steps at once
            total = self.xp.zeros(value.shape, "f8" if value.dtype.kind == "f" else value.dtype)
            for one in self._each_step(value):
                total += one
            return total.astype(value.dtype)
        return summed(self.xp, self.get(position), (0,))

    def _is_of_sums(self, value: Value) -> bool:
        """Return whether a value is linear in one alone that is known as its sum over time."""
        while value.position not in self.sums:
            if value.degree != "sum" or value.inputs != value.operands[:1]:
                return False
            value = self.program.values[value.operands[0]]
        return True

    def _one_factor(self, value: Value) -> int | None:
        """Return which input alone varies of an op linear in it: it is done once, on the sum."""
        degree = value.degree
        varying = [i for i, one in enumerate(value.inputs) if one in self.program.varies]
        if len(varying) != 1:
            return None
        (place,) = varying
        p = value.inputs[place]
        if not isinstance(p, int) or self.program.values[p].dtype.kind != "f":
            return None
        if degree == "quotient" and place:
            return None
        if degree == "product" and len(value.inputs) > 2:
            return None
        if degree == "choice":
            other = value.inputs[3 - place] if place else None
            if not isinstance(other, Literal) or other.value != 0:
                return None
        elif degree not in ("product", "quotient"):
            return None
        return place

    def _contracted(self, value: Value) -> Array | None:
        """Return sum_t a_t b_t as one product over time and the inner axis, or None."""
        if value.linear:  # x W^T: no plain product
            return None
        left, right = value.operands[:2]
        if (pair := contraction(self.program, value)) is not None:
            a, b = map(self.over_time, pair)
            rows = self.steps * a.shape[1]
            return self.product(a.reshape(rows, a.shape[2]).T, b.reshape(rows, b.shape[2]))
        a, b = self.over_time(left), self.over_time(right)
        if a.ndim != b.ndim or a.ndim < 3 or a.shape[1:-2] != b.shape[1:-2]:
            return None
        front = tuple(range(1, a.ndim - 2))
        rows, inner = a.shape[-2:]
        columns = b.shape[-1]
        # (..., rows, T inner) and (..., T inner, columns): views where a is a transposed view
        a = a.transpose(*front, a.ndim - 2, 0, a.ndim - 1)
        b = b.transpose(*front, 0, b.ndim - 2, b.ndim - 1)
        batch = a.shape[: len(front)]
        a = a.reshape(*batch, rows, self.steps * inner)
        b = b.reshape(*batch, self.steps * inner, columns)
        return self.product(a, b) if a.ndim == 2 else self.xp.matmul(a, b)


def is_large(program: Program, value: Value) -> bool:
    """Return whether a value is a product of rows that vary with a matrix that does not."""
    if value.kind != "product" or len(value.operands) < len(value.inputs):
        return False
    first, *others = value.operands
    fixed = first in program.varies and not any(p in program.varies for p in others)
    return fixed and len(program.values[others[0]].shape) == 2 and bool(program.values[first].shape)


def contraction(program: Program, value: Value) -> tuple[int, int] | None:
    """Return a and b where the sum of a value over time is one product a^T b over all rows."""
    if value.kind != "product" or value.linear or len(value.operands) < len(value.inputs):
        return None
    left, right = value.operands
    if not {left, right} <= program.varies or len(program.values[right].shape) != 2:
        return None
    source = turned(program, left)
    return None if source is None else (source, right)


def _spread(array: Array, rank: int) -> Array:
    """Return (T, ...) with axes after time, to broadcast against (T, *shape of `rank`)."""
    missing = rank + 1 - array.ndim
    if missing <= 0:
        return array
    return array.reshape(array.shape[0], *(1,) * missing, *array.shape[1:])


def summed(xp: Any, x: Array, axes: tuple[int, ...]) -> Array:
    """Return the sum of x (T, ...) over its first axis and, after it, others.

    NumPy adds up along the first one step after another, and rounding grows with the number of
    steps; sums of blocks, and then of these, are nearer. A device adds up in a tree.
    """
    if xp is not HOST.xp or x.dtype.kind not in "fc":
        return xp.sum(x, axis=axes)
    if axes == (*range(len(axes)),) and x.flags.c_contiguous:
        x, axes = x.reshape(prod(x.shape[: len(axes)]), *x.shape[len(axes) :]), (0,)
    block = BLOCK // max(1, prod(x.shape[axis] for axis in axes[1:])) or 1
    count = len(x) // block
    if count < 2:
        return xp.sum(x, axis=axes)
    parts = x[: count * block].reshape(count, block, *x.shape[1:])
    total = summed(xp, xp.sum(parts, axis=(1, *(1 + axis for axis in axes[1:]))), (0,))
    rest = x[count * block :]
    return total + xp.sum(rest, axis=axes) if len(rest) else total
