"""Lay the records of a model at several sizes over each other: ops as `Step`s, numbers as `Size`s.

A model is recorded once for each column of `TRIED`. A number that is the same in all is a constant;
one that is ``scale * (product of axes) + offset`` in all is that. Below `onnx_scopes.py`.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import engine
from engine import Tensor
from engine.checks import is_whole
from engine.node import Node

# Sizes of the first, second, ... axis: large primes, so that no number is one by accident.
TRIED = (
    (11, 23, 41, 71), (13, 19, 47, 61), (7, 29, 37, 67), (17, 31, 43, 59), (5, 53, 73, 79),
)  # fmt: skip
DTYPES = ("float32", "float64", "int32", "int64", "bool")
SPEC = re.compile(r"(\w+)\[(.*)\]")


class Size(NamedTuple):
    """Stand for ``scale * (product of axes) + offset``."""

    scale: int
    axes: tuple[str, ...]
    offset: int

    def __str__(self) -> str:
        product = " * ".join([*([str(self.scale)] if self.scale != 1 else []), *self.axes])
        return product if not self.offset else f"{product} {self.offset:+d}"


class Inverse(NamedTuple):
    """Stand for one over a size, as means have it."""

    size: Size


class Spec(NamedTuple):
    """Describe an input: a dtype and its axes, names or numbers."""

    dtype: Any
    axes: tuple[str | int, ...]

    def shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return the shape with these sizes of the axes."""
        return tuple(sizes[one] if isinstance(one, str) else one for one in self.axes)


class NoEquivalentError(TypeError):
    """Say why an op cannot be written."""


class UnknownSizeError(ValueError):
    """Say that a number follows from the sizes of axes in a way that is not known here."""


def spec(name: str, text: Any) -> Spec:
    """Read a description such as ``"float32[T, B, 5]"``. Raises ValueError for what is none."""
    found = SPEC.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None or found[1] not in DTYPES:
        raise ValueError(
            f"export_onnx: input {name}: expected a dtype and axes such as 'float32[T, B, 5]' or "
            f"'int64[T, B]' with one of {', '.join(DTYPES)}, got {text!r}"
        )
    axes: list[str | int] = []
    for one in filter(None, (part.strip() for part in found[2].split(","))):
        if not one.isidentifier() and not one.isdigit():
            raise ValueError(f"export_onnx: input {name}: {one!r} is no name or number of an axis")
        axes.append(int(one) if one.isdigit() else one)
    return Spec(getattr(engine, found[1]), tuple(axes))


class Sizes:
    """Hold the axes of a model that may have any length, and the sizes it is recorded at."""

    def __init__(self, specs: Sequence[Spec]) -> None:
        names = dict.fromkeys(one for own in specs for one in own.axes if isinstance(one, str))
        self.names = tuple(names)
        if len(self.names) > len(TRIED):
            raise ValueError(
                f"export_onnx: {len(self.names)} axes of any length ({', '.join(self.names)}), "
                f"expected at most {len(TRIED)}; give numbers for some"
            )
        count = len(TRIED[0]) if names else 1
        self.tried = [
            {name: TRIED[place][number] for place, name in enumerate(self.names)}
            for number in range(count)
        ]

    def number(self, values: Sequence[Any]) -> Any:
        """Return the number of these values at the sizes tried: itself, `Size` or `Inverse`."""
        first = values[0]
        if all(type(one) is type(first) and (one == first or one != one) for one in values):
            return first
        if all(is_whole(one) or (isinstance(one, float) and one.is_integer()) for one in values):
            if found := self._solved([int(one) for one in values]):
                return found
        elif all(isinstance(one, float) and one for one in values):
            turned = [round(1 / one) for one in values]
            exact = all(1 / n == one for n, one in zip(turned, values, strict=True) if n)
            if exact and all(turned) and (found := self._solved(turned)):
                return Inverse(found)
        told = ", ".join(map(str, values))
        axes = "; ".join(f"{name} = {', '.join(str(at[name]) for at in self.tried)}"
                         for name in self.names)  # fmt: skip
        raise UnknownSizeError(f"a number is {told} for {axes}")

    def _solved(self, values: Sequence[int]) -> Size | None:
        """Return the size that has these values, None where there is none."""
        for count in range(1, len(self.names) + 1):
            for axes in combinations(self.names, count):
                at = [math.prod(sizes[name] for name in axes) for sizes in self.tried]
                scale, rest = divmod(values[1] - values[0], at[1] - at[0])
                offset = values[0] - scale * at[0]
                if not rest and all(scale * a + offset == v
                                    for a, v in zip(at, values, strict=True)):  # fmt: skip
                    return Size(scale, axes, offset)
        return None

    def merged(self, values: Sequence[Any]) -> Any:
        """Return a setting of an op with sizes in the place of numbers. Raises UnknownSizeError."""
        first = values[0]
        if isinstance(first, tuple | list) and not hasattr(first, "_fields"):
            if len({len(one) for one in values}) > 1:
                raise UnknownSizeError(f"a setting is {', '.join(map(str, values))}")
            return tuple(map(self.merged, zip(*values, strict=True)))
        if isinstance(first, slice):
            return slice(*(self.merged([getattr(one, part) for one in values])
                           for part in ("start", "stop", "step")))  # fmt: skip
        if isinstance(first, int | float) and not isinstance(first, bool):
            return self.number(values)
        if any(one is not first and one != first for one in values):
            raise UnknownSizeError(f"a setting is {', '.join(map(str, values))}")
        return first


@dataclass(frozen=True, eq=False)
class Literal:
    """Stand for a Python number that is an input, or what it is at any size."""

    value: Any


@dataclass(frozen=True, eq=False)
class Step:
    """Hold one op as it is at all sizes: `inputs` are tensors of the first record or literals."""

    tensors: tuple[Tensor, ...]  # of each record
    inputs: tuple[Any, ...]
    attrs: dict[str, Any]
    sizes: Sizes

    @property
    def node(self) -> Node:
        return self.tensors[0].node

    @property
    def op(self) -> Any:
        return self.node.op

    @property
    def dtype(self) -> Any:
        return self.node.dtype

    @property
    def shape(self) -> tuple[Any, ...]:
        """Return the shape of the result. Raises UnknownSizeError."""
        try:
            return self.sizes.merged([x.shape for x in self.tensors])  # type: ignore[no-any-return]
        except UnknownSizeError as error:
            raise UnknownSizeError(f"the shape of {self.op.name}: {error}") from None

    @property
    def shapes(self) -> list[tuple[Any, ...]]:
        """Return the shapes of the inputs in the first record."""
        return [x.shape if isinstance(x, Tensor) else () for x in self.inputs]

    @property
    def dtypes(self) -> list[Any]:
        """Return the dtypes of the inputs, None of a literal."""
        return [x.dtype if isinstance(x, Tensor) else None for x in self.inputs]


Columns = Sequence[tuple[Tensor, ...]]


def laid_over(sizes: Sizes, roots: Columns, is_known: Callable[[Tensor], bool]) -> list[Step]:
    """Return the ops that lead to some tensors, each after its inputs, without those known before.

    `roots` has a tuple for each tensor, with that of every record. Raises NoEquivalentError where
    the records have different ops, as a loop over an axis of any length has, and UnknownSizeError.
    """
    steps: list[Step] = []
    met: dict[Node, tuple[Node, ...]] = {}
    stack = [(column, False) for column in reversed(roots)]
    while stack:
        column, ready = stack.pop()
        nodes = tuple(x.node for x in column)
        if ready:
            steps.append(_step(sizes, column))
            continue
        if nodes[0] in met:
            if met[nodes[0]] != nodes:
                raise NoEquivalentError(_differing(sizes, nodes))
            continue
        met[nodes[0]] = nodes
        if is_known(column[0]):
            continue
        if len({(node.op, len(node.inputs)) for node in nodes}) > 1:
            raise NoEquivalentError(_differing(sizes, nodes))
        stack.append((column, True))
        for inputs in reversed(list(zip(*(node.inputs for node in nodes), strict=True))):
            if len({isinstance(x, Tensor) for x in inputs}) > 1:
                raise NoEquivalentError(_differing(sizes, nodes))
            if isinstance(inputs[0], Tensor):
                stack.append((inputs, False))
    return steps


def _differing(sizes: Sizes, nodes: Sequence[Node]) -> str:
    return (
        f"what leads to {nodes[0].op.name} depends on the length of {' or '.join(sizes.names)}; "
        "run loops over time by rnn.Recurrent or engine.scan, or give the axis a number"
    )


def _step(sizes: Sizes, column: tuple[Tensor, ...]) -> Step:
    nodes = [x.node for x in column]
    try:
        inputs = tuple(
            given[0] if isinstance(given[0], Tensor) else Literal(sizes.number(given))
            for given in zip(*(node.inputs for node in nodes), strict=True)
        )
        kept = nodes[0].op.role == "recurrence"
        attrs = {} if kept or not nodes[0].operands else {
            name: sizes.merged([node.attrs[name] for node in nodes]) for name in nodes[0].attrs
        }  # fmt: skip
    except UnknownSizeError as error:
        raise UnknownSizeError(f"{nodes[0].op.name}: {error}") from None
    return Step(column, inputs, attrs, sizes)
