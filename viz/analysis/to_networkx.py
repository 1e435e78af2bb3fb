"""The graph of a picture for networkx, without the picture. Above everything else here."""

from collections.abc import Sequence

import networkx as nx

from engine import Graph, Tensor
from viz.analysis.jacobians import measure_jacobians
from viz.analysis.measures import measure_values
from viz.model.levels import build, recorded


def to_networkx(
    x: Tensor | Graph | Sequence[Tensor], level: str = "op", *, jacobians: bool = False
) -> nx.MultiDiGraph:
    """Return the graph that led to `x` for networkx, nodes numbered in topological order.

    `level` is ``"op"`` (a node an op), ``"gate"`` (a node an equation), ``"cell"`` (a node for each
    module or cell and time step) or ``"rolled"`` (time folded, edges with their delay). Nodes carry
    kind, label, op, t, layer, direction, cell, role, block, shape, dtype, path, members and, where
    it is known, value_norm; edges carry kind, slot, dt, label and cut. What `draw_gradients` and
    its kin return has grad_norm, position and, up to a size, jacobian_norm besides (see
    `viz.analysis.edge_jacobians`). With `jacobians`, at the level of cells, edges of states carry
    jacobian_norm: the spectral norm of the derivative of all states after the step by the one that
    comes in. Raises ValueError for an unknown level.

    >>> import engine, rnn, viz
    >>> y, _ = rnn.GRU(3, 4)(engine.ones((5, 1, 3)))
    >>> [d["label"] for _, d in viz.to_networkx(y, "rolled").nodes(data=True) if d["cell"]]
    ['GRUCell', 'stack']
    """
    graph = recorded(x, level)
    model = build(graph, level)
    measure_values(model, graph)
    if jacobians and level == "cell":
        measure_jacobians(model, graph)
    return model.networkx()
