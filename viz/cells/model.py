"""Build the boxes and wires of a cell from the ops of its recorded step, each layer one box.

A layer is an activation with what comes before it and is linear in the weights: products with
weights, sums, slices, norms. Knows nodes alone; below `factors.py` and the layout.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from engine import Graph, Node, Tensor
from engine.reading.composites import Composite, composites
from viz.cells.signs import plain, sign


class StepRecord(Protocol):
    """Describe one recorded step, as `rnn.Cell.recorded_step` returns it."""

    @property
    def inputs(self) -> Mapping[str, Tensor]: ...
    @property
    def states(self) -> Mapping[str, Tensor]: ...
    @property
    def results(self) -> Mapping[str, Tensor]: ...
    @property
    def new(self) -> Mapping[str, str]: ...
    @property
    def symbols(self) -> Mapping[Node, str]: ...
    @property
    def equations(self) -> tuple[str, ...]: ...
    @property
    def graph(self) -> Graph: ...


@dataclass
class Part:
    """Hold a box. `role` is input, state, layer, op or result; `name` a LaTeX symbol, or empty."""

    key: int
    role: str
    tensor: Tensor
    sign: str
    name: str = ""
    nodes: tuple[Node, ...] = ()  # of the ops that it stands for
    weights: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()  # the functions that it calls besides
    value_norm: float = 0.0


@dataclass
class Use:
    """Hold one wire. `uses` are its places in the equations, as ``"7.1"``: input 1 of node 7."""

    source: int
    target: int
    uses: tuple[str, ...] = ()
    factor: float | None = None
    why: str = ""  # there is no factor


@dataclass
class CellModel:
    """Hold boxes by key, the wires between them, and node numbers of the equations by box."""

    parts: list[Part] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    number: dict[Node, int] = field(default_factory=dict)

    def into(self, key: int) -> list[Use]:
        """Return the wires that end at a box."""
        return [use for use in self.uses if use.target == key]

    def out_of(self, key: int) -> list[Use]:
        """Return the wires that begin at a box."""
        return [use for use in self.uses if use.source == key]


def build(record: StepRecord) -> CellModel:
    """Return the boxes and wires of a step: what it is given, what it computes, what it returns."""
    return _Builder(record).model


class _Builder:
    """Build the boxes and wires: look from each box back to the boxes that it reads."""

    def __init__(self, record: StepRecord) -> None:
        self.record, self.graph = record, record.graph
        self.calls: dict[Node, Composite] = composites(self.graph)
        self.given = {x.node: name for name, x in (*record.inputs.items(), *record.states.items())}
        self.returned = {x.node for x in record.results.values()}
        self.varying = self._varying()
        self.cores: dict[Node, bool] = {}
        self.model = CellModel(number=dict(self.graph.number))
        self.key: dict[Node, int] = {}
        for role, own in (("input", record.inputs), ("state", record.states)):
            for name, x in own.items():
                self._add(role, x, plain(name), name)
        for node in self._heads():
            self._add_op(node)
        for name, x in record.results.items():
            key = self._add("result", x, plain(name), name)
            if x.node in self.key:
                self.model.uses.append(Use(self.key[x.node], key))

    def _add(self, role: str, x: Tensor, text: str, name: str) -> int:
        key = len(self.model.parts)
        self.model.parts.append(Part(key, role, x, text, name))
        if role != "result":
            self.key[x.node] = key
        return key

    def _varying(self) -> set[Node]:
        """Return what depends on inputs and states; all else are weights and constants."""
        found = set(self.given)
        for node in self.graph.nodes:
            if any(n in found for n in _inputs(node)):
                found.add(node)
        return found

    def _heads(self) -> list[Node]:
        """Return the nodes that get boxes: those that results and other boxes read."""
        found: set[Node] = set()
        waiting = [n for n in self.returned if n not in self.given]
        while waiting:
            node = waiting.pop()
            if node not in found:
                found.add(node)
                waiting += [n for n, _, _ in self._reads(node) if n not in self.given]
        return [node for node in self.graph.nodes if node in found]

    def _add_op(self, node: Node) -> None:
        paths = list(self._reads(node))
        inside = dict.fromkeys([node, *(n for _, nodes, _ in paths for n in nodes)])
        layer = any(self._core(n) for n in inside)
        weights = self._weights(inside)
        text = self._called(node, inside) or sign(node, self.varying, self.record.symbols,
                                                  linear=layer)  # fmt: skip
        key = self._add("layer" if layer else "op", self.graph.tensor(node), text, "")
        part = self.model.parts[key]
        part.nodes, part.weights = tuple(inside), weights
        own = dict.fromkeys(self.calls[n].name for n in inside if n in self.calls)
        part.inside = tuple(name for name in own if name != part.sign)
        uses: dict[Node, dict[str, None]] = {}
        for source, _, marks in paths:
            uses.setdefault(source, {}).update(dict.fromkeys(marks))
        for source, own in uses.items():
            if source in self.key:
                self.model.uses.append(Use(self.key[source], key, tuple(own)))

    def _called(self, node: Node, inside: Mapping[Node, Any]) -> str:
        """Return the function that a box calls, with gain and bias of a norm; empty for none."""
        if node in self.calls:
            return self.calls[node].name
        return next((self.calls[n].name for n in inside if n in self.calls), "") * self._normed(
            node
        )

    def _weights(self, inside: Mapping[Node, Any]) -> tuple[str, ...]:
        """Return the symbols of the weights that the nodes of a box read."""
        found: dict[str, None] = {}
        waiting = [n for node in inside for n in _inputs(node) if n not in self.varying]
        for node in waiting:
            if node in self.record.symbols:
                found[self.record.symbols[node]] = None
            waiting += _inputs(node)
        return tuple(found)

    def _reads(
        self, node: Node, *, absorbing: bool | None = None
    ) -> Iterator[tuple[Node, tuple[Node, ...], tuple[str, ...]]]:
        """Yield what a box reads: the source, the nodes on the way there, and the uses on it."""
        absorbing = self._absorbs(node) if absorbing is None else absorbing
        for slot, source in self._operands(node):
            use = f"{self.graph.number[node]}.{slot}"
            if source not in self.varying:
                continue
            if source in self.given or source in self.returned:
                yield source, (), (use,)
            elif self._is_seen_through(source) or (absorbing and self._absorbable(node, source)):
                for end, nodes, uses in self._reads(source, absorbing=absorbing):
                    yield end, (source, *self._inner(source), *nodes), (use, *uses)
            else:
                yield source, (), (use,)

    def _inner(self, node: Node) -> tuple[Node, ...]:
        call = self.calls.get(node)
        return tuple(sorted(call.inner, key=lambda n: n.id)) if call else ()

    def _operands(self, node: Node) -> list[tuple[int, Node]]:
        if node in self.calls:
            return [(0, self.calls[node].source)]
        return [(slot, x.node) for slot, x in enumerate(node.inputs) if isinstance(x, Tensor)]

    def _absorbs(self, node: Node) -> bool:
        """Tell whether a box takes in the layer before it: an activation does, and a layer."""
        if self._core(node) or self._normed(node):
            return True
        varying = [n for _, n in self._operands(node) if n in self.varying]
        if node in self.calls:
            return True
        formula = node.op.sign or node.op.role == "arithmetic"
        return len(varying) == 1 and not formula and node.op.kind != "reduction"

    def _absorbable(self, user: Node, node: Node) -> bool:
        """Tell whether a node is a part of the layer that reads it."""
        if self._normed(node) and self._normed(user):
            return True
        if self._core(node) or node.op.kind == "layout":
            return self._core(node) or self._core(user)
        scaled = node.op.sign == "*"
        return scaled and self._core(user) and self._by_weight(node)

    def _normed(self, node: Node) -> bool:
        """Tell whether a node is a layer norm, with its gain and bias or without."""
        if node in self.calls:
            return self.calls[node].name == "LN"
        varying = [n for _, n in self._operands(node) if n in self.varying and n not in self.given]
        fits = node.op.sign in ("*", "+") and self._by_weight(node)
        return fits and len(varying) == 1 and self._normed(varying[0])

    def _by_weight(self, node: Node) -> bool:
        """Tell whether an op has one operand that varies, and the others are weights."""
        tensors = [x.node for x in node.inputs if isinstance(x, Tensor)]
        varying = sum(n in self.varying for n in tensors)
        return varying == 1 and len(tensors) == len(node.inputs)

    def _core(self, node: Node) -> bool:
        """Tell whether a node is linear in weights and reads something that varies."""
        if node not in self.cores:
            self.cores[node] = (
                node in self.varying and node not in self.given and self._is_core(node)
            )
        return self.cores[node]

    def _is_core(self, node: Node) -> bool:
        sources = [n for _, n in self._operands(node) if n in self.varying]
        if node.op.kind == "product":
            return len(sources) == 1
        if node.op.sign in ("+", "-") and node.op.inputs == 2:
            return any(map(self._core, sources))
        if node.op.sign == "*":
            return len(sources) == 1 and self._core(sources[0]) and self._by_weight(node)
        if node in self.calls:
            return self.calls[node].name == "LN" and self._core(sources[0])
        return node.op.kind == "layout" and len(sources) == 1 and self._core(sources[0])

    def _is_seen_through(self, node: Node) -> bool:
        """Tell whether a node has the numbers of its input, under another shape or dtype."""
        op = node.op
        return (op.kind == "layout" and op.attributes == ("shape",)) or op.role == "cast"


def _inputs(node: Node) -> list[Node]:
    return [x.node for x in node.inputs if isinstance(x, Tensor)]
