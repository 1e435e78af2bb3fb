"""Attention in a picture: which steps a step looks at, and how much. Above `measures.py`.

The weights are found where they are made: by a softmax in a step of one block over as many places
as another block has steps, from the states of which it is computed by way of a stack.
"""

from engine import Graph, Node, Tensor
from viz.graphs.model import Link, Model


def add_attention(model: Model, graph: Graph) -> None:
    """Add an edge of kind attention for each weight, from the step that is looked at.

    Of a batch it is the mean weight over the rows.
    """
    blocks = {node.scope.labels.get("block") for node in graph.nodes}
    if len(blocks - {None}) < 2:
        return
    for node in graph.nodes:
        labels = node.scope.labels
        if node.op.name != "softmax" or "t" not in labels or node not in model.member:
            continue
        axis = node.attrs.get("axis", -1)
        sources = _looked_at(node, node.shape[axis])
        target = model.member[node]
        if not sources or model.items[target].kind == "gap":
            continue
        weights = graph.tensor(node).data
        others = tuple(k for k in range(weights.ndim) if k != axis % weights.ndim)
        for source, weight in zip(sources, weights.mean(axis=others).tolist(), strict=True):
            a = model.member.get(source)
            if a is not None and model.items[a].kind != "gap":
                key = ("attention", graph.number[source])
                model.links.append(
                    Link(a, target, key, "attention", label=f"{weight:.2g}", sources=(source,),
                         weight=float(weight))
                )  # fmt: skip


def _looked_at(node: Node, count: int) -> list[Node]:
    """Return the nodes of another block's steps that a stack, of which `node` was made, holds."""
    block = node.scope.labels.get("block")
    seen, queue = {node}, [node]
    for own in queue:  # the nearest first
        if own.op.name == "stack":
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
