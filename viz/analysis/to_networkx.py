"""Make the networkx graph of a picture, without drawing it, and add the Jacobians of states.

Above everything else here.
"""

from collections.abc import Sequence

import networkx as nx

from engine import Graph, Node, Tensor
from engine.reading.jacobians import spectral_norm, step_jacobians
from engine.reading.variables import StateRun, state_runs
from viz.analysis.measures import measure_values
from viz.model.elements import Model
from viz.model.levels import build, recorded


def measure_jacobians(model: Model, graph: Graph) -> None:
    """Write on each edge that brings a state into a cell how much the states after it move.

    That is the spectral norm of their derivative by that state, the largest of the batch.
    """
    found: dict[tuple[Node, int], float] = {}  # by the state and the box of the step it enters
    for run in state_runs(graph):
        for (node, box), norm in _norms(run, model):
            found[node, box] = norm
    for link in model.links:
        for source in link.sources:
            if link.kind != "attention" and (source, link.target) in found:
                link.jacobian_norm = found[source, link.target]


def _norms(run: StateRun, model: Model) -> list[tuple[tuple[Node, int], float]]:
    """Return the norm by each state before each step, and the box of that step."""
    before = [run.before, *run.after[:-1]]
    norms = []
    for states, after, jacobian in zip(before, run.after, step_jacobians(run), strict=True):
        if states is None or jacobian is None:
            continue
        rows = next((x.shape[0] for x in states if x.ndim > 1), 1)
        start = 0
        for state in states:
            size = state.size // max(rows, 1)
            part = jacobian[..., :, start : start + size]
            norms.append(((state.node, model.member[after[0].node]), spectral_norm(part)))
            start += size
    return norms


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
