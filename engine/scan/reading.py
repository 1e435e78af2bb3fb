"""Read recorded graphs into programs, and lay programs out as graphs again.

Both directions are needed: a derivative is taken of a graph, and all else reads programs. What is
the same at every step leaves the scan: it is an input of the program, computed once a call. Above
`program.py`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from engine.apply import apply
from engine.backends.abstract import AbstractArray
from engine.errors import NotRecordableError
from engine.graph_base import behind
from engine.interpreter import Recording
from engine.node import Node
from engine.registry import RECORDING
from engine.scan.body import Body, leaf
from engine.scan.program import Literal, Program, Source, Value, named
from engine.scope import ROOT
from engine.state import using
from engine.tensor import Tensor


class Reader:
    """Read recorded nodes into values, back to the nodes with known sources.

    `other` is asked for the source of any other node; None: the node is read as an op.
    """

    def __init__(
        self,
        known: Mapping[Node, Source],
        other: Callable[[Tensor], Source | None] = lambda tensor: None,
    ) -> None:
        self.known, self.other = dict(known), other
        self.position: dict[Node, int] = {}
        self.values: list[Value] = []

    def read(self, root: Tensor) -> int:
        """Add a tensor and all that it was computed from, each after its inputs; its position."""
        stack: list[tuple[Tensor, bool]] = [(root, False)]
        while stack:
            tensor, ready = stack.pop()
            node = tensor.node
            if node in self.position:
                continue
            source = self.known.get(node) or self.other(tensor)
            if source is not None or ready:
                self._add(tensor, source)
                continue
            if not node.operands:
                raise NotRecordableError(f"nothing is known of {node}")
            stack.append((tensor, True))
            stack += [(x, False) for x in reversed(node.inputs) if isinstance(x, Tensor)]
        return self.position[root.node]

    def _add(self, tensor: Tensor, source: Source | None) -> None:
        node, place = tensor.node, len(self.values)
        label = str(node.scope.labels.get("state") or node.scope.labels.get("gate") or "")
        given = node.inputs if source is None else ()
        inputs = tuple(
            self.position[x.node] if isinstance(x, Tensor) else Literal(x)  # type: ignore[arg-type]
            for x in given
        )
        stopped = not tensor.requires_grad and any(
            isinstance(x, Tensor) and x.requires_grad for x in given
        )
        op, attrs = (node.op, node.attrs) if source is None else (None, {})
        self.position[node] = place
        self.values.append(
            Value(place, op, inputs, attrs, node.shape, node.dtype, source, label, stopped)
        )

    def sources(self, name: str) -> tuple[Source, ...]:
        """Return the sources of a name that entered, by number."""
        return tuple(sorted(v.source for v in self.values
                            if v.source is not None and v.source[0] == name))  # fmt: skip


class ConstantReader(Reader):
    """Read nodes with constants, made while recording, as other leaves."""

    def __init__(self, known: Mapping[Node, Source], constants: Iterable[Any] = ()) -> None:
        super().__init__(known, self.source)
        self.constants = list(constants)
        self._constant: dict[Node, int] = {}

    def source(self, tensor: Tensor) -> Source | None:
        """Return the source of a leaf as a constant; None for an op."""
        node = tensor.node
        if node.operands:
            return None
        if type(tensor.data) is AbstractArray:
            raise NotRecordableError(f"nothing is known of {node}")
        if node not in self._constant:
            self._constant[node] = len(self.constants)
            self.constants.append(tensor.data)
        return ("constant", self._constant[node])


class Invariants:
    """Find what a recorded step uses that is the same at every step, and how to compute it.

    `tensors` are the values that the step reads; those that ops of the step made of parameters and
    constants are computed again, by `values`, as ordinary nodes in front of the recurrence.
    """

    def __init__(self, body: Body) -> None:
        self.start = body.start
        self.tensors: list[Tensor] = []
        self._number: dict[Node, int] = {}
        leaves = (*body.states, *body.xs, body.t)
        self._varies: dict[Node, bool] = {x.node: True for x in leaves}
        self._varies[body.key.node] = False
        self.key = body.key

    def source(self, tensor: Tensor) -> Source | None:
        """Return the source of a value that is the same at every step; None for one that is not."""
        node = tensor.node
        if self._changes(tensor):
            return None
        if node not in self._number:
            if (
                type(tensor.data) is AbstractArray
                and (node.id < self.start or not node.operands)
                and tensor is not self.key
            ):
                raise NotRecordableError("the step uses a value of another recorded step")
            self._number[node] = len(self.tensors)
            self.tensors.append(tensor)
        return ("fixed", self._number[node])

    def _changes(self, root: Tensor) -> bool:
        """Return whether a value differs from step to step."""
        known = self._varies

        def is_new(node: Node) -> bool:
            return node not in known and node.id >= self.start and bool(node.operands)

        for node in behind([root.node], is_new):
            known[node] = any(isinstance(x, Tensor) and known.get(x.node) for x in node.inputs)
        return known.get(root.node, False)

    def values(self, key: Callable[[], Tensor]) -> list[Tensor]:
        """Return the invariants as they are now, those of the step as new nodes of the graph."""
        made: dict[Node, Tensor] = {}
        return [self._value(x, made, key) for x in self.tensors]

    def _now(self, x: Tensor) -> Tensor:
        """Return a leaf with the values that it has now; a constant of the step has one value."""
        return x._current_version() if x.node.id < self.start else x

    def _value(self, root: Tensor, made: dict[Node, Tensor], key: Callable[[], Tensor]) -> Tensor:
        if root is self.key:
            return key()
        if root.node.id < self.start or not root.node.operands:
            return self._now(root)
        stack = [root]
        while stack:
            node = stack[-1].node
            inputs = [x for x in node.inputs if isinstance(x, Tensor)
                      and x.node.id >= self.start and x.node.operands]  # fmt: skip
            missing = [x for x in inputs if x.node not in made]
            if missing:
                stack += missing
                continue
            x = stack.pop()
            if node not in made:
                given = tuple(
                    (key() if one is self.key else
                     made[one.node] if one.node in made else self._now(one))
                    if isinstance(one, Tensor) else one for one in node.inputs
                )  # fmt: skip
                with using(scope=node.scope, equations=None):
                    out = apply(node.op, given, dict(node.attrs))
                made[node] = out if x.requires_grad or not out.requires_grad else Tensor(out.data)
        return made[root.node]


def trace(program: Program) -> list[Tensor]:
    """Return the values of a program as a graph of tensors without numbers, by position."""
    made: list[Tensor] = []
    with shapes_only():
        for value in program.values:
            made.append(placeholder(value) if value.op is None else traced(value, made))
    return made


def shapes_only() -> using:
    """Return settings under which all ops are recorded on shapes alone."""
    return using(tracing=True, recording=True, equations=None, origin=None, scope=ROOT,
                 interpreter=Recording())  # fmt: skip


def placeholder(value: Value) -> Tensor:
    """Return a leaf that stands for a source."""
    return leaf(value.shape, value.dtype, "numpy")


def traced(value: Value, made: Sequence[Tensor], *, expand: bool = False) -> Tensor:
    """Return one op on the tensors of its inputs; with `expand` as the ops of its rule."""
    op = value.op
    assert op is not None
    inputs = tuple(one.value if isinstance(one, Literal) else made[one] for one in value.inputs)
    with using(scope=ROOT.named("gate", value.label) if value.label else ROOT):
        if expand:
            out: Tensor = op.forward(RECORDING, *inputs, **value.attrs)
        else:
            out = apply(op, inputs, value.attrs)
    return Tensor(out.data, out.node, False) if value.stopped else out


def signature(values: Iterable[Value]) -> tuple[Any, ...]:
    """Return what must agree for two lists of values to be computed by the same code."""
    return tuple(
        (v.op if v.op is not None else v.source,
         tuple(one if isinstance(one, int) else (named(one.value),) for one in v.inputs),
         named(v.attrs), v.shape, v.dtype.str, v.label, v.stopped)
        for v in values
    )  # fmt: skip
