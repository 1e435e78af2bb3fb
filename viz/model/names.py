"""Name places in a graph as a person does: L5, h2, c2_l1_reverse, x3, cell.weight_hh.

A letter and a time step: L is a loss, x an input, anything else a state after that step, with the
layer and the direction where there are several. Below `box_names.py` and the drawings of paths.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from engine import Graph, Node, Tensor, add, multiply, sum
from engine.reading.jacobians import gradients_along
from engine.reading.variables import state_runs
from engine.state import using
from viz.model.leaves import LAYER, first_paths, given_names, leaf_names, typed_name
from viz.model.sums import summands

T = TypeVar("T")
MOST = 24  # names in an error
TIMED = re.compile(r"(\D+?)-?\d+((?:_\w+)?)")


@dataclass(frozen=True, slots=True)
class Place:
    """Hold a place on a recorded graph: its name, its tensor, and what it is.

    `kind` is loss, state, input, parameter or node, `t` its time step where it has one. The tensor
    of a loss of a step that comes out of a whole sequence is made here and not on the graph.
    """

    name: str
    tensor: Tensor
    kind: str
    t: Any = None


class Places:
    """Collect all places of a graph that have a name; fused recurrences must be expanded.

    >>> import engine, rnn
    >>> from viz.model.names import Places
    >>> (y,) = engine.expanded(rnn.GRU(3, 4)(engine.ones((3, 1, 3)))[0])
    >>> places = Places(engine.Graph.of(engine.sum(y)))
    >>> places.find("h2").tensor.shape, places.find("weight_hh").kind
    ((1, 4), 'parameter')
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.runs = state_runs(graph)
        self.parts = _parts(graph)
        self.names: dict[str, tuple[str, Any]] = {"L": ("loss", None)}
        self.names |= {f"L{t}": ("loss", t) for t in self.parts if t is not None}
        inputs = _inputs(graph, given_names(graph, self.runs))
        for found in (self._states(), inputs, _leaves(graph)):
            for name, place in found.items():
                self.names.setdefault(name, place)

    def find(self, what: str | Tensor | Node) -> Place:
        """Return the place of a name, a tensor or a node. Raises ValueError for an unknown one."""
        if isinstance(what, Tensor | Node):
            return self._known(what)
        what = typed_name(what)
        if what not in self.names:
            raise ValueError(unknown(what, self.names))
        kind, own = self.names[what]
        if kind == "loss":
            return Place(what, self._loss(own), kind, own)
        t = None if kind == "parameter" else own.node.scope.labels.get("t")
        return Place(what, own, kind, t)

    def _known(self, what: Tensor | Node) -> Place:
        """Return the place of a tensor or a node, under its name where it has one."""
        if what not in self.graph:
            raise ValueError(
                f"{what.node if isinstance(what, Tensor) else what!r} is not on this graph, where "
                "the steps of fused recurrences are made again; give its name, such as 'h2', or "
                "draw what engine.expanded(...) returns"
            )
        node = what.node if isinstance(what, Tensor) else what
        for name, (kind, own) in self.names.items():
            if kind == "loss":
                own = self._single(own)
            if own is not None and own.node is node:
                return self.find(name)
        name = node.name or f"%{self.graph.number[node]}"
        kind = "parameter" if self._trained(node) else "node"
        t = None if kind == "parameter" else node.scope.labels.get("t")
        return Place(name, self.graph.tensor(node), kind, t)

    def _trained(self, node: Node) -> bool:
        """Return whether a node is a parameter, or made of nothing else before all steps."""
        stack, seen = [node], {node}
        while stack:
            own = stack.pop()
            timed = own.inputs and "t" in own.scope.labels
            if timed or not self.graph.tensor(own).requires_grad:
                return False
            inputs = [x.node for x in own.inputs if isinstance(x, Tensor) and x.node not in seen]
            seen.update(inputs)
            stack += inputs
        return True

    def _states(self) -> dict[str, tuple[str, Any]]:
        found = []
        for run in self.runs:
            steps = [*zip(run.times, run.after, strict=True)]
            if run.before is not None and isinstance(run.times[0], int):
                back = 1 if run.direction == "reverse" else -1
                steps.insert(0, (run.times[0] + back, run.before))
            for t, states in steps:
                where = run.block if run.block and run.block not in run.path else run.path
                found += [(name, t, suffix_of(run.layer, run.direction), where, ("state", state))
                          for name, state in zip(run.names, states, strict=True)]  # fmt: skip
        return unique(found)

    def _single(self, t: Any) -> Tensor | None:
        """Return the loss of a step where it is one number on the graph; of None the whole loss."""
        outputs = self.graph.outputs
        if t is None:
            return outputs[0] if len(outputs) == 1 else None
        parts = self.parts[t]
        return parts[0].tensor if len(parts) == 1 and parts[0].among is None else None

    def _loss(self, t: Any) -> Tensor:
        """Return the loss of a step: a number of the graph, or what its outputs add to all."""
        found = self._single(t)
        if found is not None:
            return found
        with using(recording=True, tracing=False, equations=None):
            terms = list(self.graph.outputs) if t is None else [p.term() for p in self.parts[t]]
            total = terms[0]
            for term in terms[1:]:
                total = add(total, term)
            return total


@dataclass(slots=True)
class _Part:
    """Hold a tensor that a loss is computed from, `among` others; alone it is a whole summand."""

    tensor: Tensor
    weight: float
    whole: Tensor
    among: "list[Tensor] | None" = None

    def term(self) -> Tensor:
        """Return what it adds to the loss, to first order: its values times its gradient."""
        if self.among is None:
            return multiply(self.tensor, self.weight)
        found = gradients_along(self.whole, self.among)
        own = next(g for x, g in zip(self.among, found, strict=True) if x is self.tensor)
        return multiply(sum(multiply(self.tensor, own)), self.weight)


def _parts(graph: Graph) -> dict[Any, list[_Part]]:
    """Return what comes to a loss from each time step, without passing another: by t, in order."""
    found: list[tuple[Any, _Part]] = []
    for out in graph.outputs:
        for term, weight in summands(out, whole=_of_one_step) if out.size == 1 else ():
            t = term.node.scope.labels.get("t")
            if t is not None:
                found.append((t, _Part(term, weight, term)))
                continue
            last = _last_timed(term)
            found += [(x.node.scope.labels["t"], _Part(x, weight, term, last)) for x in last]
    parts: dict[Any, list[_Part]] = {t: [] for t, _ in sorted(found, key=lambda p: _rank(p[0]))}
    for t, part in found:
        parts[t].append(part)
    return parts


def _of_one_step(x: Tensor) -> bool:
    """Return whether a number belongs to a time step and adds no number of another to its own."""
    t = x.node.scope.labels.get("t")
    others = (y.node for y in x.node.inputs if isinstance(y, Tensor) and y.size == 1)
    return t is not None and all(
        not node.inputs or node.scope.labels.get("t") == t for node in others
    )


def _rank(t: Any) -> tuple[bool, Any, str]:
    return not isinstance(t, int), t if isinstance(t, int) else 0, str(t)


def _last_timed(term: Tensor) -> list[Tensor]:
    """Return the tensors of time steps that a term outside of time is made of, oldest first."""
    seen = {term.node}
    stack, found = [term], []
    while stack:
        tensor = stack.pop()
        if tensor.node.inputs and "t" in tensor.node.scope.labels:
            if tensor.requires_grad:
                found.append(tensor)
            continue
        for x in tensor.node.inputs:
            if isinstance(x, Tensor) and x.node not in seen:
                seen.add(x.node)
                stack.append(x)
    return sorted(found, key=lambda x: x.node.id)


def _inputs(graph: Graph, given: dict[Node, str]) -> dict[str, tuple[str, Any]]:
    """Return what steps take in, by the name of the argument or of the tensor, and its time."""
    found = []
    for node in graph.nodes:
        labels = node.scope.labels
        if "input" in labels and "t" in labels:
            suffix = suffix_of(labels.get("layer"), labels.get("direction"))
            own = ("input", graph.tensor(node))
            called = [node.name] if node.name and not node.name[-1].isdigit() else []
            found += [(name, labels["t"], suffix, node.scope.path, own)
                      for name in dict.fromkeys([str(labels["input"]), *called])]  # fmt: skip
    for source, target, _ in graph.edges:
        t = target.scope.labels.get("t")
        if given.get(source) == "x" and t is not None:
            own = ("input", graph.tensor(source))
            found.append(("x", t, "", target.scope.path, own))
    return unique(found)


def _leaves(graph: Graph) -> dict[str, tuple[str, Any]]:
    """Return leaves by name: with the path of their users, and as layers call their weights."""
    paths = first_paths(graph)
    found: list[tuple[str, tuple[str, Any]]] = []
    called = leaf_names(graph)
    for node in graph.nodes:
        name = called.get(node, node.name)
        if node.inputs or not name:
            continue
        tensor = graph.tensor(node)
        place = ("parameter" if tensor.requires_grad else "input", tensor)
        path = paths.get(node, "")
        found.append((name, place))
        if path:
            found.append((f"{path}.{name}", place))
        if layer := LAYER.search(path):
            found.append((f"{name}_{layer.group(1)}", place))
    return once(found)


def unknown(what: Any, names: Iterable[str]) -> str:
    """Return what to say of a name that there is not: which there are, those of all steps together.

    Of a name that several things have, the longer ones by which these are told apart.
    """
    every = list(names)
    longer = [name for name in every if name.startswith(f"{what}_l") and "." not in name]
    longer = longer or [name for name in every if name.endswith(f".{what}")]
    if longer:
        more = f" and {len(longer) - MOST} more" if len(longer) > MOST else ""
        return (
            f"more than one place is called {what!r} in this graph; there are "
            f"{', '.join(longer[:MOST])}{more}"
        )
    groups: dict[tuple[Any, ...], list[str]] = {}
    for name in every:
        if "." not in name:
            found = TIMED.fullmatch(name)
            groups.setdefault(found.groups() if found else (name,), []).append(name)
    there = [own[0] if len(own) == 1 else f"{own[0]} … {own[-1]}" for own in groups.values()]
    more = f" and {len(there) - MOST} more" if len(there) > MOST else ""
    return (
        f"no place {what!r} in this graph, or more than one; there are "
        f"{', '.join(there[:MOST])}{more}, also by path as in 'cell.weight_hh'"
    )


def suffix_of(layer: Any, direction: Any) -> str:
    """Return the end of the names of a layer, as its weights have it."""
    if layer is None:
        return ""
    return f"_l{layer}{'_reverse' if direction == 'reverse' else ''}"


def unique(found: list[tuple[str, Any, str, str, T]]) -> dict[str, T]:
    """Return the ways to call things (name, t, suffix, path) that one of them alone has."""
    names: list[tuple[str, T]] = []
    for name, t, suffix, path, value in found:
        own = dict.fromkeys((f"{name}{t}", f"{name}{t}{suffix}"))
        names += [(one, value) for one in own]
        names += [(f"{path}.{one}", value) for one in own if path]
    return once(names)


def once(named: list[tuple[str, T]]) -> dict[str, T]:
    """Return the names that only one thing has."""
    found: dict[str, T] = {}
    twice = set()
    for name, value in named:
        if name in found and found[name] is not value:
            twice.add(name)
        found.setdefault(name, value)
    return {name: value for name, value in found.items() if name not in twice}
