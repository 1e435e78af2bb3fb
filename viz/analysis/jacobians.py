"""Norms of one-step Jacobians on the edges of states. Above `levels.py`."""

from engine import Graph, Node
from engine.reading.jacobians import spectral_norm, step_jacobians
from engine.reading.variables import StateRun, state_runs
from viz.model.elements import Model


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
