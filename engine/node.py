"""Hold a node of the graph: one application of one op. Immutable, born after its inputs.

Above scopes; tensors hold nodes, and a node holds its input tensors, never its output, so there
are no reference cycles and a dropped result frees its whole graph.
"""

from collections.abc import Mapping
from itertools import count
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, Self

from engine.backends.base import Array, DType
from engine.backends.base import Shape as Shape
from engine.op import Op
from engine.scope import Scope

new_id = count().__next__

NO_ATTRS: Mapping[str, Any] = MappingProxyType({})


class _Changes:
    """Hold what is known of changes of tensors: nodes after the last see tensors as they are."""

    __slots__ = ("epoch", "last")

    def __init__(self) -> None:
        self.last = -1  # its id
        self.epoch: Any = None  # the time since the last change of a leaf, see versions.py


changes = _Changes()


class Value(Protocol):
    """Declare what nodes, hooks and earlier versions know of a tensor; see `Tensor`."""

    requires_grad: bool
    _data: Array
    _node: "Node | None"
    _hooks: Any
    _versions: Any
    _current: Any
    _epoch: Any
    _used: bool

    def __init__(self, data: Array, node: Any = None, requires_grad: bool = False) -> None: ...

    @property
    def node(self) -> "Node": ...

    @property
    def shape(self) -> Shape: ...

    @property
    def dtype(self) -> DType: ...

    def _version_at(self, moment: int) -> Self: ...

    def _current_version(self) -> Self: ...


class Node(NamedTuple):
    """Hold op, inputs (tensors, or Python numbers as literals), attributes, and where it was made.

    `operands` are the tensors that the op was applied to, `inputs` the same as they were then: a
    tensor that was changed in place since is replaced by its earlier version.
    `id` grows with birth, so sorting by it is a topological order. `origin` is set on nodes of a
    recorded gradient: the forward node that they differentiate.

    >>> (3 * engine.ones(2, requires_grad=True)).node
    <node multiply float32[2] at top>
    """

    op: Op
    operands: tuple[Value | complex, ...]
    attrs: Mapping[str, Any]
    shape: Shape
    dtype: DType
    scope: Scope
    id: int
    origin: "Node | None"

    # A node is itself, not the tuple of its fields: comparing those would walk the whole graph.
    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    def __hash__(self) -> int:
        return self.id

    def __repr__(self) -> str:
        return f"<node {self.op.name} {self.dtype}{list(self.shape)} at {self.scope}>"

    @property
    def inputs(self) -> tuple[Value | complex, ...]:
        """Return what the op was applied to, as it was then."""
        if self.id > changes.last:
            return self.operands
        return tuple([self.input(k) for k in range(len(self.operands))])

    def input(self, k: int) -> Value | complex:
        """Return one input, as it was then, without a look at the others: a stack has many."""
        x = self.operands[k]
        return x._version_at(self.id) if hasattr(x, "_versions") else x  # type: ignore[union-attr]

    @property
    def name(self) -> str:
        """Return the name that a leaf was given; empty for all else."""
        return str(self.attrs.get("name", ""))
