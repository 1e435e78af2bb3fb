"""Lay the records of a model at several sizes over each other: ops as `Step`s.

Above `onnx_sizes.py`, below `onnx_scopes.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine import Tensor
from engine.node import Node
from rnn.interop.onnx_sizes import NoEquivalentError, Sizes, UnknownSizeError


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
        kept = nodes[0].op.name == "recurrence"
        attrs = {} if kept or not nodes[0].operands else {
            name: sizes.merged([node.attrs[name] for node in nodes]) for name in nodes[0].attrs
        }  # fmt: skip
    except UnknownSizeError as error:
        raise UnknownSizeError(f"{nodes[0].op.name}: {error}") from None
    return Step(column, inputs, attrs, sizes)
