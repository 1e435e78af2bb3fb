"""Attention in a picture: which steps a step looks at, and how much. Above `measures.py`.

The weights are found where they are made: by a softmax in a step of one block over as many places
as another block has steps, from the states of which it is computed by way of a stack.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine import Graph, Node, Tensor
from viz.labels import number
from viz.model.elements import Link, Model
from viz.model.window import in_order


@dataclass(frozen=True, slots=True)
class Attention:
    """Hold the weights of one attention: ``weights[i][j]`` is how much target i looks at source j.

    `targets` and `sources` are time steps of the blocks `target` and `source`, in order; None is a
    step that was not there to be looked at. `rows` is the batch, of which the weights are those of
    `row`, or the mean where that is None. `path` is the scope in which they are made.
    """

    path: str
    target: str
    source: str
    targets: tuple[Any, ...]
    sources: tuple[Any, ...]
    weights: tuple[tuple[float | None, ...], ...]
    rows: int
    row: int | None = None


def attentions(graph: Graph, *, row: int | None = None) -> list[Attention]:
    """Return every attention of a graph that has all steps, in the order in which they begin.

    A weight is the mean over the rows of a batch, or that of `row`; over all heads of one softmax.
    Raises IndexError for a row that is not there.
    """
    found: dict[tuple[str, str, str, int], dict[Any, dict[Any, float]]] = {}
    rows: dict[tuple[str, str, str, int], int] = {}
    for node, sources in _looks(graph):
        labels, values = node.scope.labels, _weights(graph, node)
        name = str(labels.get("block") or ""), str(sources[0].scope.labels.get("block") or "")
        calls = 0  # another softmax of the same step and scope is an attention of its own
        while labels["t"] in found.get((node.scope.path, *name, calls), ()):
            calls += 1
        key = (node.scope.path, *name, calls)
        rows[key] = values.shape[0]
        if row is not None and not 0 <= row < rows[key]:
            last = rows[key] - 1
            raise IndexError(
                f"attention: row {row} of a batch of {last + 1}; give one from 0 to {last}"
            )
        own = values.mean(axis=0) if row is None else values[row]
        times = [source.scope.labels["t"] for source in sources]
        found.setdefault(key, {})[labels["t"]] = dict(zip(times, own.tolist(), strict=True))
    return [_attention(key, steps, rows[key], row) for key, steps in found.items()]


def _attention(
    key: tuple[str, str, str, int], steps: dict[Any, dict[Any, float]], rows: int, row: int | None
) -> Attention:
    path, target, source, _ = key
    targets = in_order(dict.fromkeys(steps))
    sources = in_order(dict.fromkeys(s for own in steps.values() for s in own))
    weights = tuple(tuple(steps[t].get(s) for s in sources) for t in targets)
    return Attention(path, target, source, tuple(targets), tuple(sources), weights, rows, row)


def _looks(graph: Graph) -> Iterator[tuple[Node, list[Node]]]:
    """Yield every softmax that makes weights, with the nodes that they are of."""
    if len({node.scope.labels.get("block") for node in graph.nodes} - {None}) < 2:
        return
    for node in graph.nodes:
        if node.op.role == "distribution" and "t" in node.scope.labels:
            sources = _looked_at(node, node.shape[node.attrs.get("axis", -1)])
            if sources:
                yield node, sources


def _weights(graph: Graph, node: Node) -> Any:
    """Return the weights (rows, S) that a softmax made, as means over all its other axes."""
    values = graph.tensor(node).numpy().astype("float64")
    axis = node.attrs.get("axis", -1) % values.ndim
    if values.ndim == 1:
        return values[None]
    batch = 0 if axis else 1
    others = tuple(k for k in range(values.ndim) if k not in (axis, batch))
    mean = values.mean(axis=others) if others else values
    return mean if batch < axis else mean.T


def add_attention(model: Model, graph: Graph, *, step: int | str = "all") -> None:
    """Add an edge of kind attention for each weight, from the step that is looked at.

    Of a batch it is the mean weight over the rows. `step` is the step that looks of which edges are
    added: ``"all"``, ``"last"`` of those that are shown, or its time.
    """
    shown = [(node, sources) for node, sources in _looks(graph)
             if node in model.member and model.items[model.member[node]].kind != "gap"]  # fmt: skip
    for node, sources in _of_step(shown, step):
        target = model.member[node]
        for source, weight in zip(sources, _weights(graph, node).mean(axis=0).tolist(),
                                  strict=True):  # fmt: skip
            a = model.member.get(source)
            if a is not None and model.items[a].kind != "gap":
                key = ("attention", graph.number[source])
                model.links.append(
                    Link(a, target, key, "attention", label=number(weight), sources=(source,),
                         weight=float(weight))
                )  # fmt: skip


def _of_step(
    looks: list[tuple[Node, list[Node]]], step: int | str
) -> list[tuple[Node, list[Node]]]:
    """Return those of one step; ``"last"`` is that of each block. Raises ValueError for others."""
    if step == "all" or not looks:
        return looks
    times = {(node.scope.labels.get("block"), node.scope.labels["t"]): None for node, _ in looks}
    last = {block: in_order({t: None for b, t in times if b == block})[-1] for block, _ in times}
    chosen = [own for own in looks if own[0].scope.labels["t"]
              == (last[own[0].scope.labels.get("block")] if step == "last" else step)]  # fmt: skip
    if not chosen:
        there = ", ".join(dict.fromkeys(str(t) for _, t in times))
        raise ValueError(f"attention: no step {step!r} looks at others here; there are {there}")
    return chosen


def _looked_at(node: Node, count: int) -> list[Node]:
    """Return the nodes of another block's steps that a stack, of which `node` was made, holds."""
    block = node.scope.labels.get("block")
    seen, queue = {node}, [node]
    for own in queue:  # the nearest first
        if own.op.role == "stack":
            nodes = [x.node for x in own.inputs if isinstance(x, Tensor)]
            places = {n.scope.labels.get("block") for n in nodes if "t" in n.scope.labels}
            if len(nodes) == count and len(places) == 1 and block not in places:
                return nodes
        for x in own.inputs:
            if isinstance(x, Tensor) and x.node not in seen:
                labels = x.node.scope.labels
                if labels.get("t") in (None, node.scope.labels["t"]) and (
                    labels.get("block") in (None, block) or "t" not in labels
                ):
                    seen.add(x.node)
                    queue.append(x.node)
    return []
