"""Where the gradient of a state comes from: from later states of its cell, or from outside of it.

Read from the graph alone, once backward over its edges, a bit for each cell. Below `weights.py`.
"""

from collections.abc import Mapping, Sequence

from engine import Graph, Node, Tensor


class Reach:
    """For every node, which cells its result goes on to.

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
