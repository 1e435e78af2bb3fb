"""Everything of a program that is outside of its core, for all steps at once.

Time is a leading axis: ``x_t W`` becomes one product over T B rows, and a sum over time of
``d_t^T h_t`` one product too. Above `program.py`; the executors differ only in the core.
"""

from collections.abc import Iterable
from typing import Any, Protocol

from engine.backends import Array
from engine.scan.program import Literal, NotFusableError, Program, Source, Value, is_product

SAME = ("identity", "astype", "clip", "power", "bitwise_and", "bitwise_or", "isfinite")
LINEAR = ("negative", "identity", "place", "permute_dims", "reshape", "concat", "stack")
FOLDS = ("sum", "max", "min", "logsumexp")
ALONG = ("softmax", "log_softmax", "concat")


class Products(Protocol):
    """Who computes large matrix products."""

    def __call__(self, a: Array, b: Array, bias: Array | None = None) -> Array:
        """The product of two matrices, either possibly a transposed view, plus a row of bias."""
        ...


def liftable(value: Value, program: Program) -> bool:
    """Whether an op can be computed for all steps at once."""
    assert value.op is not None
    name = value.op.name
    if value.op.c or name in (*SAME, *FOLDS, *ALONG, "reshape", "permute_dims", "broadcast_to"):
        return True
    if name == "linear":
        return not any(one in program.varies for one in value.operands[1:])
    if name == "matmul":
        return all(len(program.values[one].shape) >= 2 for one in value.operands)
    if name == "chance":
        return value.operands[0] not in program.varies
    if name in ("getitem", "place"):
        return len(value.operands) == (1 if name == "getitem" else len(value.attrs["keys"]))
    return name == "stack"


class Batched:
    """The arrays of a program's values: as they are where fixed, (T, ...) where they vary."""

    def __init__(
        self, program: Program, xp: Any, sources: dict[Source, Array], steps: int, product: Products
    ) -> None:
        self.program, self.xp, self.steps, self.product = program, xp, steps, product
        self._totals: dict[Any, Array] = {}
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
                arrays[value.position] = self._lifted(value)

    def get(self, position: int) -> Array:
        """The array of one value."""
        if position not in self.arrays:
            self.compute([position])
        return self.arrays[position]

    def over_time(self, position: int) -> Array:
        """The array of one value with a leading time axis in any case."""
        array = self.get(position)
        if position in self.program.varies:
            return array
        return self.xp.broadcast_to(array, (self.steps, *array.shape))

    def total(self, position: int) -> Array:
        """The sum of one value over all steps; equal sums are computed once."""
        value = self.program.values[position]
        if value.op is None or not value.operands:
            return self._total(value)
        key = (value.op.name, value.inputs, value.settings)
        if key not in self._totals:
            self._totals[key] = self._total(value)
        return self._totals[key]

    def _total(self, value: Value) -> Array:
        position = value.position
        if position not in self.program.varies:
            return self.get(position) * self.steps
        name = "" if value.op is None else value.op.name
        shapes = [self.program.values[p].shape for p in value.operands]
        if name in LINEAR and all(p in self.program.varies for p in value.operands):
            assert value.op is not None
            return value.op.forward(self.xp, *map(self.total, value.operands), **value.attrs)
        if name == "add" and len(shapes) == 2 and all(s == value.shape for s in shapes):
            return self.total(value.operands[0]) + self.total(value.operands[1])
        if (place := self._one_factor(value)) is not None:
            assert value.op is not None
            given: list[Any] = [one.value if isinstance(one, Literal) else self.get(one)
                                if i != place else self.total(one)
                                for i, one in enumerate(value.inputs)]  # fmt: skip
            return value.op.forward(self.xp, *given, **value.attrs)
        if name == "sum" and value.attrs.get("axis") in (0, (0,)):
            inner = self.over_time(value.operands[0])
            return self.xp.sum(inner, axis=(0, 1), keepdims=False).reshape(value.shape)
        if name == "matmul":
            flipped = self.program.values[value.operands[0]]
            rank = len(flipped.shape), len(shapes[1])
            if flipped.op is not None and flipped.op.name == "permute_dims" and rank == (2, 2):
                return self._outer(flipped.operands[0], value.operands[1])
        return self.xp.sum(self.get(position), axis=0)

    def _one_factor(self, value: Value) -> int | None:
        """Which input alone varies of a product with what is fixed, or of a fixed choice of it.

        The op can then be done once, on the sum of that input.
        """
        name = "" if value.op is None else value.op.name
        varying = [i for i, one in enumerate(value.inputs)
                   if isinstance(one, int) and one in self.program.varies]  # fmt: skip
        if len(varying) != 1 or name not in ("multiply", "divide", "where"):
            return None
        (place,) = varying
        p = value.inputs[place]
        assert isinstance(p, int)
        if name == "divide" and place:
            return None
        if name == "where":
            other = value.inputs[3 - place] if place else None
            if not isinstance(other, Literal) or other.value != 0:
                return None
        return place if self.program.values[p].shape == value.shape else None

    def _outer(self, left: int, right: int) -> Array:
        """sum_t a_t^T b_t as one product over all rows of all steps."""
        a, b = self.over_time(left), self.over_time(right)
        return self.product(a.reshape(-1, a.shape[-1]).T, b.reshape(-1, b.shape[-1]))

    def _lifted(self, value: Value) -> Array:
        """One op, with time as a leading axis where an input has it."""
        op, xp = value.op, self.xp
        if op is None:
            raise NotFusableError(f"nothing gives {value.source}")
        given: list[Any] = [
            one.value if isinstance(one, Literal) else self.arrays[one] for one in value.inputs
        ]
        timed = [isinstance(one, int) and one in self.program.varies for one in value.inputs]
        if not any(timed):
            return op.forward(xp, *given, **value.attrs)
        if not liftable(value, self.program):
            raise NotFusableError(f"{op.name} cannot be computed for all steps at once")
        if is_product(value):
            return self._product(value, given, timed)
        rank = len(value.shape)
        if op.name == "chance":  # it has a mask for every time that it is given
            return op.forward(xp, *given, **value.attrs)
        if op.name not in (*FOLDS, *ALONG, "reshape", "getitem", "permute_dims", "place", "stack"):
            given = [_spread(a, rank) if has_time else a
                     for a, has_time in zip(given, timed, strict=True)]  # fmt: skip
        elif not all(timed):
            given = [a if has_time else xp.broadcast_to(a, (self.steps, *a.shape))
                     for a, has_time in zip(given, timed, strict=True)]  # fmt: skip
        return op.forward(xp, *given, **_shifted(value, self.steps, self.program))

    def _product(self, value: Value, given: list[Any], timed: list[bool]) -> Array:
        """A product of all rows of all steps with a fixed matrix; other cases as NumPy has them."""
        assert value.op is not None
        if timed[1] or len(given[1].shape) != 2:
            return self.xp.matmul(*given[:2])
        x, weight = given[:2]
        matrix = weight.T if value.op.name == "linear" else weight
        out = self.product(x.reshape(-1, x.shape[-1]), matrix, *given[2:])
        return out.reshape(self.steps, *value.shape)


def _spread(array: Array, rank: int) -> Array:
    """(T, ...) with axes put in after time, so that it broadcasts against (T, *shape of `rank`)."""
    missing = rank + 1 - array.ndim
    if missing <= 0:
        return array
    return array.reshape(array.shape[0], *(1,) * missing, *array.shape[1:])


def _shifted(value: Value, steps: int, program: Program) -> dict[str, Any]:
    """The attributes of an op with every axis one further on."""
    assert value.op is not None
    name, attrs = value.op.name, dict(value.attrs)
    if name in (*FOLDS, *ALONG, "stack"):
        rank = len(program.values[value.operands[0]].shape)
        axis = attrs.get("axis", -1 if name in ("softmax", "log_softmax") else None)
        if axis is None:
            axis = 0 if name in ("concat", "stack") else tuple(range(rank))
        if name == "stack":
            rank += 1
        axes = axis if isinstance(axis, tuple) else (axis,)
        moved = tuple(1 + one % rank for one in axes)
        attrs["axis"] = moved if isinstance(axis, tuple) else moved[0]
    elif name == "permute_dims":
        rank = len(value.shape)
        attrs["axes"] = (0, *(1 + one % rank for one in attrs["axes"]))
    elif name in ("reshape", "broadcast_to"):
        attrs["shape"] = (steps, *value.shape)
    elif name == "getitem":
        attrs["key"] = (slice(None), *attrs["key"])
    elif name == "place":
        attrs["keys"] = tuple((slice(None), *key) for key in attrs["keys"])
        attrs["shape"] = (steps, *value.shape)
    return attrs
