"""Total derivatives of a source by the values on the way back from it, over all paths.

A hop holds all else fixed that comes into a box, and leads on from one box to another. The total
derivative by the c of an LSTM counts besides what its h of the same step makes of it. Above
`jacobian_hops.py`, below the drawing of paths.
"""

from typing import Any

from engine import Node, asarray
from engine.reading.jacobians import gradients_along
from viz.analysis.jacobian_hops import Hops


def totals(hops: Hops) -> dict[Node, Any]:
    """Return the whole derivative of the source by every value that hops lead to.

    Of a number shaped as the value, else (B, S, S').

    >>> import engine, rnn
    >>> from viz.model.levels import build
    >>> from viz.model.names import Places
    >>> (y,) = engine.expanded(rnn.LSTM(3, 4)(engine.ones((3, 1, 3)))[0])
    >>> graph = engine.Graph.of(loss := engine.sum(y))
    >>> find = Places(graph).find
    >>> found = totals(Hops(build(graph, "cell").member, find("L"), find("h0")))
    >>> c1 = find("c1").tensor
    >>> float(abs(found[c1.node] - engine.gradients(loss, [c1])[0].numpy()).max()) < 1e-6
    True
    """
    found = hops.sums(None)
    inside: dict[int, list[Node]] = {}
    for node in hops.graph:
        if node in hops.boxes and node is not hops.end and not hops.is_leaf(node):
            inside.setdefault(hops.boxes[node], []).append(node)
    for own in inside.values():
        own.sort(key=lambda node: -node.id)
    # Hops count already what runs from one value of their box through another, so that what is
    # added here does not run on to earlier boxes.
    whole = dict(found)
    for own in inside.values():
        for i, later in enumerate(own):
            earlier = [node for node in own[i + 1 :] if node is not hops.start]
            if later in whole and earlier:
                for node, part in _passed(hops, later, earlier, whole[later]).items():
                    whole[node] = whole[node] + part if node in whole else part
    return whole


def _passed(hops: Hops, later: Node, earlier: list[Node], g: Any) -> dict[Node, Any]:
    """Return what a value passes to others of its box, each of them free of the rest."""
    own, tensors = hops.tensor(later), [hops.tensor(node) for node in earlier]
    if hops.of_number:
        grad = asarray(g, dtype=own.dtype, device=own.device)
        parts = gradients_along([own], tensors, [grad])
        return {n: p.numpy().astype("float64") for n, p in zip(earlier, parts, strict=True)}
    blocks = hops.jacobians(later, earlier)
    return {node: g @ blocks[node] for node in earlier}
