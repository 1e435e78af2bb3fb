"""Find the hops that a gradient takes from a source back to a target: from box to box, exactly.

A hop leads from a value that leaves a box to one that leaves an earlier box. Its Jacobian counts
what runs between the two inside of the later box, all else that comes into it held fixed, so the
products of the Jacobians along all paths of hops sum to the whole derivative (the chain rule). Each
path is a sequence of edges of the picture. Above `paths.py`, below the drawing of paths.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import networkx as nx

from engine import Graph, Node, Tensor, asarray, concat
from engine.derivatives.norms import norm
from engine.reading.jacobians import gradients_along, jacobian_along, spectral_norm
from viz.analysis.dense import dense_jacobian, largest_value
from viz.model.names import Place

Keep = Callable[[Node, Node], bool]
PASSES = 2_048  # backward passes for the Jacobians of all uses of a parameter together


@dataclass(frozen=True, slots=True)
class Crossing:
    """Describe the use of what `source` made by `user`, a node of another box."""

    source: Node
    user: Node


class Hops:
    """Collect all hops between a target and a source of one recorded graph, in a networkx graph.

    `graph` has the values that leave boxes, as engine nodes, with edges as data flows; `ways` says
    which edges of the recorded graph each hop uses. Raises ValueError where no path leads from the
    source back to the target, and for a parameter with a source that is no single number.
    """

    def __init__(self, boxes: Mapping[Node, int], source: Place, target: Place) -> None:
        self.boxes, self.source, self.target = boxes, source, target
        self.end, self.start = source.tensor.node, target.tensor.node
        self.recorded = Graph.of(source.tensor)
        self._as_read = self._target()
        self.between = self._between()
        if self.end not in self.between or self.end is self.start:
            raise ValueError(
                f"draw_bptt_path: no path leads from {source.name} back to {target.name}; "
                "the source must come after the target and depend on it"
            )
        if self.to_parameter and not self.of_number:
            raise ValueError(
                f"draw_bptt_path: {source.name} has shape {self.end.shape}; paths to a parameter "
                "start at a loss, which is one number"
            )
        self.rows = self._rows()
        self.graph: nx.MultiDiGraph = nx.MultiDiGraph()
        self.ways: dict[tuple[Node, Node], list[Crossing]] = {}
        self._explore()
        self._blocks: dict[Node, dict[Node, Any]] = {}
        self._uses: dict[tuple[Node, ...], float] = {}

    @property
    def to_parameter(self) -> bool:
        """Return whether the target is a leaf that many steps use, and not a value of one step."""
        return self.target.kind == "parameter"

    @property
    def of_number(self) -> bool:
        """Return whether the source is a single number."""
        return self.source.tensor.size == 1

    def tensor(self, node: Node) -> Tensor:
        """Return the value that a node made."""
        return self._as_read if node is self.start else self.recorded.tensor(node)

    def _target(self) -> Tensor:
        """Return the target as it was read: a weight may have been trained since."""
        users = (x for node in self.recorded.nodes for x in node.inputs if isinstance(x, Tensor))
        return next((x for x in users if x.node is self.start), self.target.tensor)

    def _between(self) -> set[Node]:
        """Return the nodes that were computed from the target."""
        found = {self.start} if self.start in self.recorded else set()
        for node in self.recorded.nodes:
            if any(isinstance(x, Tensor) and x.node in found for x in node.inputs):
                found.add(node)
        return found

    def _rows(self) -> int | None:
        """Return the size of the batch, which the values on the way have as their first axis."""
        if not self.to_parameter:
            if len(self.start.shape) > 1:
                return self.start.shape[0]
            if "state" not in self.start.scope.labels:
                return None
        states = (n for n in self.recorded.nodes if "state" in n.scope.labels and len(n.shape) > 1)
        first = next(states, None) or self._carried()
        rows = None if first is None else first.shape[0]
        return rows if self.to_parameter or self.start.shape == (rows,) else None

    def _carried(self) -> Node | None:
        """Return the first value that goes from step to step where no equation names a state."""
        for source, target, _ in self.recorded.edges:
            times = [node.scope.labels.get("t") for node in (source, target)]
            later = None not in times and times[0] != times[1]
            if later and source in self.between and len(source.shape) > 1:
                return source
        return None

    def _explore(self) -> None:
        """Find the hops, from the source backward."""
        stack, seen = [self.end], {self.end}
        while stack:
            node = stack.pop()
            found = self._into(node)
            for earlier in self._alive(found) if node is self.end else found:
                self.graph.add_edge(earlier, node, key=0)
                if earlier not in seen and earlier is not self.start:
                    seen.add(earlier)
                    stack.append(earlier)

    def _alive(self, earlier: list[Node]) -> list[Node]:
        """Return those that reach the source: of a stack of outputs it may read one."""
        values = [node for node in earlier if not self.is_leaf(node)]
        if len(values) < 2 or not self.of_number:
            return earlier
        blocks = self._computed(self.end, values)
        alive = [node for node in values if blocks[node].any()] or values
        return [*alive, *(node for node in earlier if self.is_leaf(node))]

    def _into(self, value: Node) -> list[Node]:
        """Return the values that hops lead back to from a value; notes the edges that they use."""
        found: dict[Node, None] = {}
        crossed: list[Crossing] = []
        stack, seen = [value], {value}
        while stack:
            node = stack.pop()
            for x in node.inputs:
                if not isinstance(x, Tensor) or x.node not in self.between:
                    continue
                leaves = self.boxes.get(x.node, -1) != self.boxes.get(node, -1)
                if x.node is self.start or (leaves and self._stops(x.node)):
                    found[x.node] = None
                    self.ways.setdefault((x.node, value), []).append(Crossing(x.node, node))
                elif x.node not in seen:
                    seen.add(x.node)
                    stack.append(x.node)
                if leaves and x.node not in found:
                    crossed.append(Crossing(x.node, node))
        for earlier in found:
            self.ways[earlier, value] += crossed
        return list(found)

    def _stops(self, node: Node) -> bool:
        """Return whether a value is one of a step, and has a row for each of the batch."""
        shape = node.shape
        if self.rows is None:  # no batch at all: values are vectors
            return "t" in node.scope.labels and len(shape) == 1
        whole = len(shape) > 1 or ("state" in node.scope.labels and shape)
        return "t" in node.scope.labels and bool(whole) and shape[0] == self.rows

    def is_leaf(self, node: Node) -> bool:
        """Return whether a node is the parameter at the end: a use of it has no Jacobian."""
        return self.to_parameter and node is self.start

    def blocks(self, value: Node) -> dict[Node, Any]:
        """Return the Jacobian (B, S, S') of a value by each that hops lead back to, in float64.

        Of a single number (B, 1, S').
        """
        if value not in self._blocks:
            self._blocks[value] = self._computed(value, self._earlier(value, None))
        return self._blocks[value]

    def _earlier(self, value: Node, keep: Keep | None) -> list[Node]:
        return [node for node in self.graph.predecessors(value)
                if not self.is_leaf(node) and (keep is None or keep(node, value))]  # fmt: skip

    def _computed(self, value: Node, earlier: list[Node]) -> dict[Node, Any]:
        if value is self.end and self.of_number:
            tensors = [self.tensor(node) for node in earlier]
            found = gradients_along(self.tensor(value), tensors)
            return {n: self._wide(g) for n, g in zip(earlier, found, strict=True)}
        return self.jacobians(value, earlier)

    def jacobians(self, value: Node, earlier: list[Node]) -> dict[Node, Any]:
        """Return the Jacobian (B, S, S') of a value by each of others, all of them free."""
        tensors = [self.tensor(node) for node in earlier]
        whole = self._jacobian(self.tensor(value), tensors)
        blocks, at = {}, 0
        for node, x in zip(earlier, tensors, strict=True):
            size = x.size // (x.shape[0] or 1) if self._has_rows(x) else x.size
            blocks[node] = whole[..., at : at + size]
            at += size
        return blocks

    def _jacobian(self, later: Tensor, earlier: list[Tensor]) -> Any:
        """Return the Jacobian (B, S, S'), of tensors without rows (S, S')."""
        whole = jacobian_along([later], earlier).numpy().astype("float64")
        if whole.ndim > 2 or not self._has_rows(later):
            return whole
        # All are numbers (B,), taken for the units of one row: what is off the diagonal is 0.
        return whole.reshape(len(whole), len(earlier), -1).diagonal(axis1=0, axis2=2).T[:, None]

    def _has_rows(self, x: Tensor) -> bool:
        return x.ndim > 1 or x.shape == (self.rows,)

    def _wide(self, g: Tensor) -> Any:
        """Return a gradient (B, ...) as a matrix of one row for each of the batch."""
        values = g.numpy().astype("float64")
        return values.reshape(len(values), 1, -1) if self._has_rows(g) else values.reshape(1, -1)

    def hop_norm(self, earlier: Node, later: Node) -> float:
        """Return the spectral norm of one hop's Jacobian, of the whole batch."""
        if self.is_leaf(earlier):
            return self._use_norm((later,))
        block = self.blocks(later)[earlier]
        return self.norm_of(block) if later is self.end else spectral_norm(asarray(block))

    @cached_property
    def measures_uses(self) -> bool:
        """Return whether the uses of a parameter are few enough for their Jacobians.

        If not, such a use counts as a hop of norm 1.
        """
        users = self.graph.successors(self.start) if self.to_parameter else ()
        return sum(later.size for later in map(self.tensor, users)) <= PASSES

    def _use_norm(self, later: tuple[Node, ...]) -> float:
        """Return the norm of the derivative of values of one box by the parameter, at that use."""
        if not self.measures_uses:
            return 1.0
        if later not in self._uses:
            held = dict.fromkeys(node for value in later for node in self._earlier(value, None))
            (jacobian,) = dense_jacobian(
                [self.tensor(value) for value in later], [self.tensor(self.start)],
                held=[self.tensor(node) for node in held],
            )  # fmt: skip
            self._uses[later] = largest_value(jacobian)
        return self._uses[later]

    def joint_norm(self, earlier: Node, later: Iterable[Node]) -> float:
        """Return the norm of the Jacobian of values of one box, side by side, by one before."""
        own = list(later)
        if len(own) == 1:
            return self.hop_norm(earlier, own[0])
        if self.is_leaf(earlier):
            return self._use_norm(tuple(own))
        return spectral_norm(concat([asarray(self.blocks(v)[earlier]) for v in own], axis=-2))

    def norm_of(self, derivative: Any) -> float:
        """Return the spectral norm of a derivative of the source by a value, of the whole batch."""
        if self.of_number:  # one row, as long as the batch
            return norm(asarray(derivative))
        return spectral_norm(asarray(derivative))

    def whole(self) -> Any:
        """Return the derivative of the source by the target, straight from the engine."""
        source, target = self.source.tensor, self._as_read
        if self.of_number:
            return gradients_along(source, [target])[0].numpy().astype("float64")
        return self._jacobian(source, [target])

    def sums(self, keep: Keep | None = None) -> dict[Node, Any]:
        """Return for each value the sum of the products along all paths from the source.

        Along hops that are kept alone; without `keep` that is the derivative of the source by it.
        Of a number shaped as the value, else (B, S, S').
        """
        found: dict[Node, Any] = {}
        for value in sorted(self.graph, key=lambda node: -node.id):
            if value is not self.end and value not in found:
                continue
            for node, part in self.passed(value, found.get(value), keep).items():
                found[node] = found[node] + part if node in found else part
        return found

    def passed(self, value: Node, g: Any, keep: Keep | None) -> dict[Node, Any]:
        """Return what a value passes back to those before it."""
        earlier = [n for n in self.graph.predecessors(value) if keep is None or keep(n, value)]
        if not earlier:
            return {}
        if not self.of_number:
            blocks = self.blocks(value)
            return {n: blocks[n] if g is None else g @ blocks[n] for n in earlier}
        own = self.tensor(value)
        grads = None if g is None else [asarray(g, dtype=own.dtype, device=own.device)]
        tensors = [self.tensor(n) for n in earlier]
        # What is not kept is free too, so that nothing runs through it.
        others = [self.tensor(n) for n in self.graph.predecessors(value) if n not in earlier]
        parts = gradients_along([own], [*tensors, *others], grads)
        return {n: p.numpy().astype("float64") for n, p in zip(earlier, parts, strict=False)}
