"""Collect what the equations of cells computed at each step: values of gates and states, in order.

Read from the scopes on an explicit graph. Above the engine, below the drawing of gates.
"""

from dataclasses import dataclass, field
from math import prod
from typing import Any

from engine import Graph, Node, Tensor

Key = tuple[str, Any, Any, Any]


@dataclass(slots=True)
class Variable:
    """Hold one variable of one cell: its node and tensor at each time step.

    `is_state` tells new states from gates; `op` is the op that ends its equation. `rows` is the
    batch of its cell, 0 where there is none: of a matrix for each row all numbers are units.
    """

    name: str
    is_state: bool
    op: str = ""
    rows: int = 0
    at: dict[int, tuple[Node, Tensor]] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Return how many units it has."""
        shape = next(iter(self.at.values()))[1].shape
        if len(shape) == 1 and shape[0] != self.rows:
            return shape[0]
        return prod(shape[1:])


@dataclass(slots=True)
class Run:
    """Describe a cell over its sequence: its variables in the order of its equations.

    `going` has the tensors that tell which rows go on, by time step, where rows have lengths.
    """

    path: str
    layer: int | None
    direction: str | None
    cell: str | None
    variables: dict[str, Variable] = field(default_factory=dict)
    going: dict[int, Tensor] = field(default_factory=dict)

    @property
    def times(self) -> list[int]:
        """Return all time steps that have any variable."""
        return sorted({t for one in self.variables.values() for t in one.at})

    def as_wide_as_a_state(self, variable: Variable) -> bool:
        """Return whether a variable has a unit for each of a state; joined gates have more."""
        return variable.width in {one.width for one in self.variables.values() if one.is_state}

    @property
    def title(self) -> str:
        """Return what a picture calls it: LSTMCell, layer 0, reverse."""
        parts = [self.cell or self.path or "cell"]
        parts += [] if self.layer is None else [f"layer {self.layer}"]
        parts += [] if self.direction in (None, "forward") else [str(self.direction)]
        return ", ".join(parts)


def variable_name(node: Node) -> str:
    """Return the variable that a node's equation assigns; empty for none or several at once."""
    labels = node.scope.labels
    name = str(labels.get("state") or labels.get("gate") or "") if node.inputs else ""
    return "" if "," in name or node.origin is not None else name


def runs(graph: Graph) -> list[Run]:
    """Return every cell of an explicit graph, in the order in which they begin.

    Where an equation takes several ops the last has the value of its variable.
    """
    found: dict[Key, Run] = {}
    inner = _unfinished(graph)
    for node in graph.nodes:
        t, name = node.scope.labels.get("t"), variable_name(node)
        if t is None or not name or node in inner:
            continue
        run = found.setdefault(_key(node), Run(*_key(node)))
        one = run.variables.setdefault(name, Variable(name, "state" in node.scope.labels))
        one.op = node.op.name
        one.at[t] = (node, graph.tensor(node))
    for run in found.values():
        _note_rows(run)
    _note_lengths(graph, found)
    return list(found.values())


def _note_rows(run: Run) -> None:
    """Note the batch: what tensors with units have as their first axis."""
    shapes = [x.shape for one in run.variables.values() for _, x in one.at.values()]
    rows = next((shape[0] for shape in shapes if len(shape) > 1), 0)
    for one in run.variables.values():
        one.rows = rows


def _key(node: Node) -> Key:
    labels = node.scope.labels
    return node.scope.path, labels.get("layer"), labels.get("direction"), labels.get("cell")


def _unfinished(graph: Graph) -> set[Node]:
    """Return the nodes that feed one of the same equation and step, so that it goes on."""
    return {
        source
        for source, target, _ in graph.edges
        if variable_name(source)
        and variable_name(source) == variable_name(target)
        and source.scope.labels.get("t") == target.scope.labels.get("t")
        and _key(source) == _key(target)
    }


def _note_lengths(graph: Graph, found: dict[Key, Run]) -> None:
    """Note the rows that go on, where a new state is kept in these only."""
    states = {one.at[t][0]: run for run in found.values() for one in run.variables.values()
              if one.is_state for t in one.at}  # fmt: skip
    for source, target, slot in graph.edges:
        plain = "state" not in target.scope.labels and "gate" not in target.scope.labels
        if source in states and target.op.degree == "choice" and slot == 1 and plain:
            t, rows = target.scope.labels.get("t"), target.inputs[0]
            if t is not None and t == source.scope.labels.get("t") and isinstance(rows, Tensor):
                states[source].going[t] = rows
