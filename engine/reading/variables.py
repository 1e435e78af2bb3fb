"""Find the states of cells over time on a recorded graph, by the scopes of its nodes.

A step makes a state where the last op with that state's label stands; which step follows which is
read from the edges, so cells that share a name and windows that run a step twice are told apart.
Above graphs; `jacobians.py` differentiates along what is found here.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from engine.graph import Graph
from engine.node import Node
from engine.scan.expansion import expanded
from engine.tensor import Tensor

Where = tuple[str, Any, Any, Any, Any]  # path, layer, direction, cell and block
Place = tuple[Where, Any]  # and t


@dataclass(frozen=True, slots=True)
class StateRun:
    """Hold the states of one cell along one sequence, in the order in which the steps were run.

    `names` are its states, h before others; ``after[i]`` has the tensor of each after the step at
    ``times[i]``, `before` those before the first step, None where the graph does not tell them.
    `path` is the scope of the cell, `block` its label where there are encoder and decoder. With
    lengths, rows past their end keep the state they had. What is done to a state that nothing reads
    is not on a graph, so not on the last state either.
    """

    path: str
    layer: int | None
    direction: str | None
    cell: str | None
    names: tuple[str, ...]
    times: tuple[int, ...]
    before: tuple[Tensor, ...] | None
    after: tuple[tuple[Tensor, ...], ...]
    block: str | None = None


@dataclass(eq=False, slots=True)
class _Step:
    """Hold one step of a cell: the ends of its equations, and its states as the next reads them."""

    place: Place
    rank: int
    ends: dict[str, Node]
    states: dict[str, Node]
    before: "_Step | None" = None
    after: "_Step | None" = None

    @property
    def created(self) -> int:
        return max(node.id for node in self.ends.values())


def state_runs(x: Tensor | Graph) -> list[StateRun]:
    """Return the states of every cell that led to `x`, in the order in which the runs begin.

    Fused recurrences are put back as steps, again at every call: give a graph of what
    `engine.expanded` returned for tensors that are on it. The state before the first step is told
    where it is used as in the second step; what needs no gradient may have left no trace.

    >>> import engine, rnn
    >>> from engine.reading.variables import state_runs
    >>> y, _ = rnn.LSTM(3, 4, bidirectional=True)(engine.ones((5, 1, 3)))
    >>> [(run.direction, run.names, run.times[0]) for run in state_runs(y)]
    [('forward', ('h', 'c'), 0), ('reverse', ('h', 'c'), 4)]
    """
    graph = Graph.of(*expanded(*(x.outputs if isinstance(x, Graph) else (x,))))
    finder = _Finder(graph)
    return [finder.run(step) for step in finder.steps if step.before is None]


class _Finder:
    """Find the steps of the cells of a graph, each linked to the next."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        bases = _bases(graph)
        self.places = {node: place for node in graph.nodes
                       if node.inputs and (place := _place(node, bases)) is not None}  # fmt: skip
        self.near = _near(self.places)
        self.steps = self._steps()
        self.step_of = {node: step for step in self.steps for node in step.ends.values()}
        for node in graph.nodes:
            if node.op.degree == "choice":
                self._keep(node)
        for step in self.steps:
            self._link(step)

    def run(self, first: _Step) -> StateRun:
        """Return the run that begins with a step."""
        steps = [first]
        while steps[-1].after is not None:
            steps.append(steps[-1].after)
        # A state that nothing reads is on no graph: its step is left out.
        steps = list(takewhile(lambda step: step.states.keys() >= first.ends.keys(), steps))
        names = sorted(first.ends, key=lambda name: (name != "h", first.ends[name].id))
        tensor = self.graph.tensor
        path, layer, direction, cell, block = first.place[0]
        return StateRun(
            path, layer, direction, cell, block=block, names=tuple(names),
            times=tuple(step.place[1] for step in steps), before=self._initial(first, names),
            after=tuple(tuple(tensor(step.states[name]) for name in names) for step in steps),
        )  # fmt: skip

    def _steps(self) -> list[_Step]:
        """Return every step of every cell, the oldest first."""
        found: dict[Place, dict[str, list[Node]]] = defaultdict(dict)
        for (place, name), nodes in self._ends().items():
            found[place][name] = nodes
        steps = [
            _Step(place, rank, ends := dict(zip(names, nodes, strict=True)), dict(ends))
            for place, names in found.items()
            for rank, nodes in enumerate(zip(*names.values(), strict=False))
        ]
        return sorted(steps, key=lambda step: step.created)

    def _ends(self) -> dict[tuple[Place, str], list[Node]]:
        """Return the nodes that make a state, by place and state: the last of their equations."""
        inner, leaving = set(), {out.node for out in self.graph.outputs}
        for source, target, _ in self.graph.edges:
            name = source.scope.labels.get("state")
            if name is None or source not in self.places:
                continue
            if self.places[source] != self.places.get(target):
                leaving.add(source)
            elif target.scope.labels.get("state") == name:
                inner.add(source)
        ends: dict[tuple[Place, str], list[Node]] = defaultdict(list)
        for node, place in self.places.items():
            if "state" in node.scope.labels and node not in inner:
                ends[place, str(node.scope.labels["state"])].append(node)
        for key, nodes in ends.items():
            if len(nodes) > 1:  # such as dropped units of the state before, which this step reads
                ends[key] = [node for node in nodes
                             if node in leaving or not self._feeds(node, nodes)]  # fmt: skip
        return ends

    def _feeds(self, node: Node, others: list[Node]) -> bool:
        """Return whether another node of the same step was computed from this one."""
        stack = [other for other in others if other is not node]
        place, seen = self.places[node], set(stack)
        while stack:
            for x in stack.pop().inputs:
                if type(x) is Tensor and x.node not in seen and self.places.get(x.node) == place:
                    seen.add(x.node)
                    stack.append(x.node)
        return node in seen

    def _keep(self, node: Node) -> None:
        """Take the old state, which rows past their end keep, as what the next step reads."""
        _, new, old = node.inputs
        made = new.node if isinstance(new, Tensor) else None
        labels = node.scope.labels
        if made in self.step_of and isinstance(old, Tensor) and not {"state", "gate"} & set(labels):
            step = self.step_of[made]
            if labels.get("t") == step.place[1] and old.shape == made.shape:
                name = next(name for name, end in step.ends.items() if end is made)
                step.states[name] = node

    def _link(self, step: _Step) -> None:
        """Find the step before: of the same cell, at another time, and read by this one."""
        found = {
            other: None
            for node in self._back(step)
            if (other := self.step_of.get(node)) is not None
            and other.place[0] == step.place[0]
            and other.place[1] != step.place[1]
        }
        if found:
            step.before = max(found, key=lambda other: (other.rank == step.rank, other.created))
            step.before.after = step

    def _back(self, step: _Step) -> Iterator[Node]:
        """Yield what a step was computed from, up to other steps and what is far away in time."""
        times = self.near[step.place]
        seen = set(step.ends.values())
        stack = list(step.ends.values())
        while stack:
            node = stack.pop()
            yield node
            other = self.step_of.get(node, step)
            if other is step and node.scope.labels.get("t") in times:
                for x in node.inputs:
                    if type(x) is Tensor and x.node not in seen:
                        seen.add(x.node)
                        stack.append(x.node)

    def _initial(self, step: _Step, names: list[str]) -> tuple[Tensor, ...] | None:
        """Return the states before the first step: what it reads where the second reads it."""
        own = self._own(step)
        if step.after is None:
            given = {x.node.name: x for node in own for x in node.inputs
                     if type(x) is Tensor and x.requires_grad}  # fmt: skip
            found = [given.get(f"{name}0") for name in names]
        else:
            second = self._own(step.after)
            if [(n.op.name, len(n.inputs)) for n in own] != [
                (n.op.name, len(n.inputs)) for n in second
            ]:
                return None  # a part that needs no gradient has left no trace
            found = [_read(own, second, step.states[name]) for name in names]
        known = [x for x in found if x is not None]
        distinct = {x.node for x in known}
        return tuple(known) if len(distinct) == len(names) else None

    def _own(self, step: _Step) -> list[Node]:
        """Return the nodes of one step, the oldest first."""
        own = (node for node in self._back(step) if self.places.get(node) == step.place
               and self.step_of.get(node, step) is step)  # fmt: skip
        return sorted(own, key=lambda node: node.id)


def _read(own: list[Node], second: list[Node], state: Node) -> Tensor | None:
    """Return what a step's nodes read where another's read `state`; None for several."""
    found: dict[Node, Tensor] = {}
    for mine, other in zip(own, second, strict=True):
        for x, y in zip(mine.inputs, other.inputs, strict=True):
            if isinstance(y, Tensor) and y.node is state:
                if not isinstance(x, Tensor):
                    return None
                found[x.node] = x
    return next(iter(found.values())) if len(found) == 1 else None


def _bases(graph: Graph) -> dict[tuple[Any, ...], list[str]]:
    """Return the paths of cells by layer, direction and cell, modules inside left out."""
    paths: dict[tuple[Any, ...], dict[str, None]] = defaultdict(dict)
    for node in graph.nodes:
        if "state" in node.scope.labels and "t" in node.scope.labels:
            paths[_kind(node)][node.scope.path] = None
    bases: dict[tuple[Any, ...], list[str]] = {}
    for kind, own in paths.items():
        kept: list[str] = []
        for path in sorted(own, key=len):
            if not any(_under(path, base) for base in kept):
                kept.append(path)
        bases[kind] = kept
    return bases


def _kind(node: Node) -> tuple[Any, ...]:
    labels = node.scope.labels
    return labels.get("layer"), labels.get("direction"), labels.get("cell"), labels.get("block")


def _under(path: str, base: str) -> bool:
    return path == base or (bool(base) and path.startswith(base + "."))


def _place(node: Node, bases: dict[tuple[Any, ...], list[str]]) -> Place | None:
    """Return the cell and the time that a node belongs to."""
    labels = node.scope.labels
    if "t" not in labels or node.origin is not None:
        return None
    kind = _kind(node)
    path = next((base for base in bases.get(kind, ()) if _under(node.scope.path, base)), None)
    return None if path is None else ((path, *kind), labels["t"])


def _near(places: dict[Node, Place]) -> dict[Place, set[Any]]:
    """Return the times beside that of each place, itself among them."""
    times: dict[Where, dict[Any, None]] = defaultdict(dict)
    for where, t in places.values():
        times[where][t] = None
    near = {}
    for where, own in times.items():
        ordered = sorted(own)
        for i, t in enumerate(ordered):
            near[where, t] = set(ordered[max(i - 1, 0) : i + 2])
    return near
