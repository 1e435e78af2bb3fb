"""Compute norms of the Jacobians of all edges that gradients run along, for paths of the page.

What an edge brings into a box moves what leaves the box; the norm is that of the derivative of all
that leaves it together, by all that the edge brings, the rest held. Along a path of boxes the
product of the norms bounds what the path carries. Above `dense.py`, below `details.py`.
"""

import math
from collections import Counter
from typing import Any

from engine import Graph, Node, Tensor, asarray, gradients, ones_like
from engine.apply import apply
from engine.backends import HOST
from engine.backends.half import FLOATING
from engine.backends.numpy import quiet
from engine.reading.jacobians import jacobian_along
from engine.state import using
from viz.analysis.dense import dense_jacobian, largest_value
from viz.analysis.fetching import bring
from viz.model.elements import Link, Model

VISITS = 64_000  # of nodes by backward passes, in a whole picture: about 3 s
BOX = 8_000  # the same for a box
LEAST = 16  # what a pass over one node takes
NUMBERS = 300_000  # of the Jacobian of a box


def measure_edges(model: Model, graph: Graph) -> None:
    """Write the norm of its Jacobian on each edge that has a gradient, from the last box back.

    Takes a backward pass within its box for each unit of what leaves it, for parameters one for
    each number. Those that take too many, or more than are left of a picture's 64,000 visits of a
    node, have none: 12 steps of an LSTM have all up to about 8 units and 2 rows, and all but those
    of weights up to about 90 units. Nor have edges of a picture that is rolled up.
    """
    if model.level != "rolled":
        _measure_all(model, graph)
        norms: dict[int, Any] = {i: link.jacobian_norm for i, link in enumerate(model.links)}
        held = {i: norm for i, norm in norms.items() if hasattr(norm, "dtype")}
        bring(held)
        for place, slope in held.items():
            model.links[place].jacobian_norm = float(slope)


def _measure_all(model: Model, graph: Graph) -> None:
    """Write the norms of all edges; the largest slope of an op stays where its values are."""
    into: dict[int, list[Link]] = {}
    leaving: dict[int, dict[Node, None]] = {}
    for link in model.links:
        leaving.setdefault(link.source, {}).update(dict.fromkeys(link.sources))
        if link.kind != "attention" and link.grad_norm is not None and not link.cut:
            into.setdefault(link.target, []).append(link)
    members = model.members
    into = {n: _told_apart(own, members[n]) for n, own in into.items()}
    left = VISITS
    for weights in (False, True):  # what runs along states comes first
        for n in sorted(into, reverse=True):
            own = [link for link in into[n] if (link.kind == "parameter") is weights]
            if left <= 0:
                return
            if own and len(members[n]) == 1:
                left -= LEAST * len(own)
                by_slot = model.level == "op"
                own = [one for one in own if not _by_itself(members[n][0], one, by_slot=by_slot)]
            if own:
                box = _Box(graph, members[n], [*leaving.get(n, members[n][-1:])])
                cost = box.cost(own)
                if cost <= min(BOX, left):
                    left -= cost
                    box.measure(own)
                elif cost <= BOX:
                    left = 0


def _told_apart(links: list[Link], members: list[Node]) -> list[Link]:
    """Return the edges of which Jacobians tell: two of one value only where their slots differ."""
    if members[0].op.kind == "elementwise" or _rearranges(members[0]):
        return links
    brought = Counter(node for link in links for node in link.sources)
    return [link for link in links if all(brought[node] == 1 for node in link.sources)]


def _rearranges(node: Node) -> bool:
    """Tell whether every number that an op reads is in its result once."""
    op, read = node.op, sum(x.size for x in node.inputs if isinstance(x, Tensor))
    moved = op.role in ("join", "stack") or op.attributes in (("shape",), ("axes",))
    return op.kind == "layout" and moved and read == math.prod(node.shape)


def _by_itself(node: Node, link: Link, *, by_slot: bool) -> bool:
    """Write the norm where the op tells it: 1 for one that moves numbers, or the largest slope."""
    read = {k: x.node for k, x in enumerate(node.inputs)
            if isinstance(x, Tensor) and x.size and x.node in link.sources}  # fmt: skip
    slots = [link.slot] if by_slot and link.slot in read else list(read)
    sources = {read[k] for k in slots}
    if _rearranges(node) and len(slots) == len(sources) == len(link.sources):
        link.jacobian_norm = 1.0
    elif node.op.kind == "elementwise" and len(sources) == 1:
        link.jacobian_norm = _largest_slope(node, slots)
    return link.jacobian_norm is not None


def _largest_slope(node: Node, slots: list[int]) -> Any:
    """Return the largest slope of an elementwise op by one input; None if it is broadcast."""
    x = node.inputs[slots[0]]
    if not isinstance(x, Tensor) or x.shape != node.shape or not _is_float(x):
        return None
    with using(recording=True, tracing=False, equations=None), quiet():
        free = asarray(x.data, requires_grad=True)
        held = (one.detach() if isinstance(one, Tensor) else one for one in node.inputs)
        inputs = tuple(free if k in slots else one for k, one in enumerate(held))
        out = apply(node.op, inputs, dict(node.attrs))
    (slopes,) = gradients([out], [free], [ones_like(out)])
    return None if slopes is None else asarray(abs(slopes.data).max()).data


class _Box:
    """Hold a box: values that leave it, and its inputs as read, also of leaves changed since."""

    def __init__(self, graph: Graph, members: list[Node], leaving: list[Node]) -> None:
        self.members = members
        self.read = {x.node: x for node in members for x in node.inputs if isinstance(x, Tensor)}
        self.later = [graph.tensor(node) for node in leaving if _is_float(graph.tensor(node))]

    def cost(self, links: list[Link]) -> int:
        """Return how many nodes are visited; more than all may where there is too much to hold."""
        size = sum(x.size for x in self.later)
        held = sum(self.read[node].size for link in links for node in self._sources(link))
        rows = self._rows(links) if held else 0
        if not held or size * held // (rows or 1) > NUMBERS:
            return VISITS + 1
        # A pass over few nodes takes its time too, a dense one records them each time, and the
        # norm of what they give is cubic in its smaller side.
        passes, wide = (size // rows, held // rows) if rows else (3 * size, held)
        side = min(passes, wide)
        return passes * (len(self.members) + LEAST - 1) + (rows or 1) * side**3 // 300_000

    def _sources(self, link: Link) -> list[Node]:
        """Return the values that an edge brings and that this box reads itself."""
        return [node for node in link.sources if node in self.read and _is_float(self.read[node])]

    def _rows(self, links: list[Link]) -> int:
        """Return the size of the batch, 0 where not all have one."""
        brought = [self.read[node] for link in links for node in self._sources(link)]
        shapes = [x.shape for x in (*self.later, *brought)]
        rows = shapes[0][0] if shapes[0] else 0
        one = all(len(shape) > 1 and shape[0] == rows for shape in shapes)
        return rows if one and links[0].kind != "parameter" else 0

    def measure(self, links: list[Link]) -> None:
        """Write the norms of these edges into the box."""
        sources = {node: self.read[node] for link in links for node in self._sources(link)}
        inside = frozenset(self.members)
        others = [x for node, x in self.read.items()
                  if node not in sources and node not in inside and _is_float(x)]  # fmt: skip
        blocks = dict(zip(sources, self._blocks(links, [*sources.values()], others), strict=True))
        for link in links:
            own = [blocks[node] for node in self._sources(link)]
            if own:
                whole = HOST.xp.concatenate(own, axis=-1)
                link.jacobian_norm = largest_value(whole)

    def _blocks(self, links: list[Link], earlier: list[Tensor], others: list[Tensor]) -> list[Any]:
        """Return the Jacobian of what leaves the box by each of `earlier`, all else held."""
        if self._rows(links):
            try:
                whole = jacobian_along(self.later, earlier).numpy().astype("float64")
            except ValueError:  # rows that depend on each other
                return dense_jacobian(self.later, earlier, held=others)
            ends = HOST.xp.cumsum([x.size // x.shape[0] for x in earlier])[:-1]
            return list(HOST.xp.split(whole, ends, axis=-1))
        return dense_jacobian(self.later, earlier, held=others)


def _is_float(x: Tensor) -> bool:
    return x.dtype.kind in FLOATING
