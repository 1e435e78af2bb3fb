"""Norms of the Jacobians of all edges that gradients run along, for the paths of the page.

What an edge brings into a box moves what leaves the box; the norm is that of the derivative of all
that leaves it together, by all that the edge brings, the rest held. Along a path of boxes the
product of the norms bounds what the path carries. Above `dense.py`, below `details.py`.
"""

from typing import Any

from engine import Graph, Node, Tensor
from engine.backends import HOST
from engine.backends.half import FLOATING
from engine.reading.jacobians import jacobian_along
from viz.graphs.dense import dense_jacobian, largest_value
from viz.graphs.measures import members_of
from viz.graphs.model import Link, Model

VISITS = 64_000  # of nodes by backward passes, in a whole picture: about 3 s
BOX = 8_000  # the same for a box
NUMBERS = 300_000  # of the Jacobian of a box


def measure_edges(model: Model, graph: Graph) -> None:
    """Write the norm of its Jacobian on each edge that has a gradient, from the last box back.

    Takes a backward pass within its box for each unit of what leaves it, and for parameters one for
    each number. Those that take too many, or more than are left of a picture's 64,000 visits of a
    node, have none: 12 steps of an LSTM have all up to about 8 units and 8 rows, and those between
    states up to about 60 units. Nor have edges of a picture that is rolled up.
    """
    if model.level == "rolled":
        return
    into: dict[int, list[Link]] = {}
    leaving: dict[int, dict[Node, None]] = {}
    for link in model.links:
        leaving.setdefault(link.source, {}).update(dict.fromkeys(link.sources))
        if link.kind != "attention" and link.grad_norm is not None and not link.cut:
            into.setdefault(link.target, []).append(link)
    left, members = VISITS, members_of(model)
    boxes = {n: _Box(graph, members[n], [*leaving.get(n, members[n][-1:])])
             for n in sorted(into, reverse=True)}  # fmt: skip
    for weights in (False, True):  # what runs along states comes first
        for n, box in boxes.items():
            own = [link for link in into[n] if (link.kind == "parameter") is weights]
            cost = box.cost(own)
            if own and cost <= min(BOX, left):
                left -= cost
                box.measure(own)


class _Box:
    """One box: what leaves it, and what it reads, as it was read whatever leaves hold by now."""

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
        return passes * (len(self.members) + 15) + (rows or 1) * side**3 // 300_000

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
        others = [x for node, x in self.read.items()
                  if node not in sources and node not in self.members and _is_float(x)]  # fmt: skip
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
