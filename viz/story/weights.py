"""Find the recurrent weight of a cell, what each of its steps adds to the gradient of it, and where
gradients enter a cell from outside.

A contribution is measured by its projection on the whole gradient, so that all of them sum to the
norm of that, as in `viz.analysis.weight_contributions`. Below `measuring.py`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine import Graph, Node, Tensor, gradients
from engine.backward import backward_pass
from engine.derivatives.norms import norms
from engine.derivatives.seeds import seeds
from engine.reading.variables import StateRun
from viz.analysis.fetching import bring
from viz.analysis.weight_contributions import before_time
from viz.model.leaves import leaf_names


class Reach:
    """Find which cells the result of each node goes on to: from the graph alone, once backward.

    A use of a state that leads to a loss by no later state of the same cell is where a gradient
    enters the cell: a loss is read off, or another cell takes the state in.
    """

    def __init__(self, graph: Graph, states: Sequence[Mapping[Node, object]]) -> None:
        own: dict[Node, int] = {}
        for i, nodes in enumerate(states):
            for node in nodes:
                own[node] = own.get(node, 0) | 1 << i
        every = (1 << len(states)) - 1
        next_to = dict.fromkeys(graph.nodes, 0)  # the cells of the first states after a node
        past = dict.fromkeys(graph.nodes, 0)  # those that some way to the loss does not touch
        for out in graph.outputs:
            past[out.node] = every
        for node in reversed(graph.nodes):
            mine = own.get(node, 0)
            past[node] &= ~mine
            if mine:
                next_to[node], behind = mine, next_to[node]
            down, free = next_to[node], past[node]
            for x in node.inputs:
                if type(x) is Tensor:
                    next_to[x.node] |= down
                    past[x.node] |= free
            if mine:
                next_to[node] |= behind
        self.next_to, self.past = next_to, past

    def feeds(self, user: Node, cell: int) -> bool:
        """Return whether a node is a state of a cell, or leads to one before those of others."""
        return bool(self.next_to[user] >> cell & 1)

    def enters(self, user: Node, cell: int) -> bool:
        """Return whether gradients reach a node without having passed a state of a cell."""
        return bool(self.past[user] >> cell & 1)

    def others(self, user: Node, cell: int) -> tuple[int, ...]:
        """Return the other cells that a node leads to first, in order."""
        reached = self.next_to[user] & ~(1 << cell)
        return tuple(i for i in range(reached.bit_length()) if reached >> i & 1)


@dataclass(frozen=True, slots=True)
class Weight:
    """Hold the recurrent weight of a cell: a leaf, or the reason why there is none to draw."""

    name: str
    leaf: Tensor | None
    reason: str = ""
    joint: bool = False  # it multiplies the input too


@dataclass(frozen=True, slots=True)
class Adds:
    """Split ‖dL/dW‖ = `norm` of a cell by what steps add: ``parts[i]`` at step i, and `elsewhere`.

    All parts and what is added elsewhere sum to the norm. No parts where there is no weight, or
    where its gradient is not finite; `reason` says which.
    """

    weight: Weight
    norm: float
    parts: tuple[float, ...]
    elsewhere: float = 0.0
    reason: str = ""


def recurrent_weights(graph: Graph, runs: Sequence[StateRun], given: Tensor | None) -> list[Weight]:
    """Return the weight of each cell that multiplies its state; `given` instead where it is.

    Raises ValueError where the loss does not depend on a given weight.
    """
    names = leaf_names(graph)
    if given is not None:
        node = given.node
        if node not in graph or not given.requires_grad:
            raise ValueError(
                f"draw_story: the loss does not depend on {node.name or 'the given weight'}; give "
                "a leaf that requires a gradient, and a loss computed since it was last changed"
            )
        return [Weight(names.get(node, "the weight"), given)] * len(runs)
    users: dict[Node, list[Node]] = {}
    for source, target, _ in graph.edges:
        users.setdefault(source, []).append(target)
    return [_recurrent(graph, run, users, names) for run in runs]


def _recurrent(
    graph: Graph, run: StateRun, users: dict[Node, list[Node]], names: dict[Node, str]
) -> Weight:
    """Return the leaf of the first product that a step takes its old state into.

    One of matrices goes before one by elements, such as a peephole.
    """
    if len(run.times) > 1:
        before, t = [x.node for x in run.after[0]], run.times[1]
    else:  # an initial state that needs no gradient is found by its name
        zeros = [f"{name}0" for name in run.names]
        before, t = [node for node in users if node.name in zeros], run.times[0]
    seen = _within_step(before, t, users)
    best: tuple[int, Node, bool] | None = None
    for user in [*seen][len(before) :]:
        for leaf in _factors(user, seen):
            rank = int(user.op.kind == "elementwise")
            if best is None or rank < best[0]:
                best = rank, leaf, _is_joint(user, seen)
    if best is None:
        return Weight("", None, "no weight multiplies the state")
    _, leaf, joint = best
    name = names.get(leaf) or leaf.name or "the weight"
    if not graph.tensor(leaf).requires_grad:
        return Weight(name, None, f"{name}, which multiplies the state, requires no gradient")
    return Weight(name, graph.tensor(leaf), joint=joint)


def _within_step(before: list[Node], t: Any, users: dict[Node, list[Node]]) -> dict[Node, None]:
    """Return states and what a step makes of them, the nearest first."""
    seen = dict.fromkeys(before)
    queue = list(before)
    for node in queue:  # breadth first: the queue grows while it is read
        for user in users.get(node, ()):
            if user not in seen and user.scope.labels.get("t") == t:
                seen[user] = None
                queue.append(user)
    return seen


def _factors(user: Node, state: dict[Node, None]) -> list[Node]:
    """Return the leaves that a product multiplies a state by; none of what is no such product."""
    if user.op.degree != "product":
        return []
    pair = [x for x in user.inputs[:2] if isinstance(x, Tensor)]
    others = [x for x in pair if x.node not in state]
    if len(pair) != 2 or len(others) != 1:
        return []
    stack, leaves, seen = [others[0].node], [], {others[0].node}
    while stack:
        node = stack.pop()
        inner = [x.node for x in node.inputs if isinstance(x, Tensor)]
        if not inner:
            leaves.append(node)
        stack += [n for n in inner if n not in seen]
        seen.update(inner)
    timed = any("t" in leaf.scope.labels for leaf in leaves)
    wide = [leaf for leaf in leaves if leaf.name or leaf.shape]
    return [] if timed or not wide else wide[:1]


def _is_joint(user: Node, state: dict[Node, None]) -> bool:
    """Return whether what a product multiplies is the state and something else side by side."""
    for x in user.inputs[:2]:
        if isinstance(x, Tensor) and x.node in state and x.node.op.role == "join":
            return any(isinstance(y, Tensor) and y.node not in state for y in x.node.inputs)
    return False


def added(
    graph: Graph,
    runs: Sequence[StateRun],
    reach: Reach,
    weights: Sequence[Weight],
    whole: dict[Node, Any],
) -> list[Adds]:
    """Return what the steps of each cell add to its weight, by one backward pass.

    `whole` has the gradient of each weight; a contribution is projected on it as it is met, so no
    more than one is held at a time.
    """
    uses = _Uses(graph, runs, reach, weights, whole)
    if uses.along:
        loss = graph.outputs[0]
        start = seeds([loss], None)
        backward_pass([loss], start, [], observe=uses.observe)
        uses.bring()
    return [uses.adds(i) for i in range(len(runs))]


class _Uses:
    """Project the uses of every weight on its gradient, by cell and step."""

    def __init__(
        self,
        graph: Graph,
        runs: Sequence[StateRun],
        reach: Reach,
        weights: Sequence[Weight],
        whole: dict[Node, Any],
    ) -> None:
        self.runs, self.reach, self.weights = runs, reach, weights
        self.times = [frozenset(run.times) for run in runs]
        self.norms = dict(zip(whole, norms(whole.values()), strict=True))
        self.along: dict[Node, Any] = {}
        self.before: dict[Node, dict[Node, Tensor]] = {}  # what is made of a weight before time
        for weight in weights:
            leaf = weight.leaf
            if leaf is None or not 0 < self.norms.get(leaf.node, 0.0) < math.inf:
                continue
            g = whole[leaf.node].astype("float64").reshape(-1)
            self.along[leaf.node] = g / self.norms[leaf.node]
            before = {node: graph.tensor(node) for node in before_time(graph, leaf.node)}
            self.before[leaf.node] = before
        self.added: list[tuple[tuple[Node, int, Any], Any]] = []  # -1 for no cell
        self.found: dict[tuple[Node, int, Any], float] = {}

    def bring(self) -> None:
        """Read what all uses add, which may lie on a device, at once."""
        values = dict(enumerate(value for _, value in self.added))
        bring(values)
        for number, (key, _) in enumerate(self.added):
            self.found[key] = self.found.get(key, 0.0) + float(values[number])
        self.added = []

    def observe(self, tensor: Tensor, slot: int, part: Any) -> None:
        """Note what one use adds."""
        source, user = tensor.node.input(slot), tensor.node
        assert isinstance(source, Tensor)
        for leaf, before in self.before.items():
            if source.node not in before or user in before:
                continue
            cell, t = self._where(user, leaf)
            value = self._projected(leaf, before[source.node], part)
            self.added.append(((leaf, cell, t), value))

    def _where(self, user: Node, leaf: Node) -> tuple[int, Any]:
        """Return the cell and the step that a use belongs to."""
        t = user.scope.labels.get("t")
        for i, run in enumerate(self.runs):
            own = self.weights[i].leaf
            mine = own is not None and own.node is leaf and t in self.times[i]
            if mine and inside(user, run) and self.reach.feeds(user, i):
                return i, t
        return -1, None

    def _projected(self, leaf: Node, source: Tensor, part: Any) -> Any:
        """Return the projection of a contribution on the gradient of the leaf."""
        if source.node is not leaf:
            own = self.before[leaf][leaf]
            (pulled,) = gradients([source], [own], [Tensor(part)])
            assert pulled is not None
            part = pulled.data
        return part.astype("float64").reshape(-1) @ self.along[leaf]

    def adds(self, i: int) -> Adds:
        """Return what the steps of one cell add."""
        weight, run = self.weights[i], self.runs[i]
        if weight.leaf is None:
            return Adds(weight, 0.0, (), reason=weight.reason)
        node = weight.leaf.node
        size = self.norms.get(node, 0.0)
        if not math.isfinite(size):
            return Adds(weight, size, (), reason=f"the gradient of {weight.name} is not finite")
        if size == 0:
            return Adds(weight, 0.0, (0.0,) * len(run.times))
        parts = tuple(self.found.get((node, i, t), 0.0) for t in run.times)
        rest = math.fsum(v for (leaf, k, _), v in self.found.items() if leaf is node and k != i)
        return Adds(weight, size, parts, rest)


def inside(user: Node, run: StateRun) -> bool:
    """Return whether a node was made by a cell, or by a module inside of it."""
    labels = user.scope.labels
    where = labels.get("layer"), labels.get("direction"), labels.get("cell"), labels.get("block")
    own = run.layer, run.direction, run.cell, run.block
    path = user.scope.path
    return where == own and (
        path == run.path or (bool(run.path) and path.startswith(run.path + ".")) or not run.path
    )


def next_time(run: StateRun) -> int | None:
    """Return the time after the last step of a cell; None where times are no numbers."""
    last = run.times[-1]
    if not isinstance(last, int):
        return None
    return last - 1 if run.direction == "reverse" else last + 1
