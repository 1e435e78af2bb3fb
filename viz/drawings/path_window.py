"""Choose the steps that a picture of paths shows, and check its target. Below `bptt_path.py`."""

from typing import Any

from engine import Graph, Node
from viz.model.names import Place
from viz.model.window import STEPS
from viz.rendering.drawing import Drawing


def check_target(graph: Graph, target: Place) -> None:
    """Raise ValueError for a frozen leaf that several steps use: no gradient gets to it."""
    leaf = target.tensor
    times = {user.scope.labels.get("t") for source, user, _ in graph.edges if source is leaf.node}
    if not leaf.node.inputs and not leaf.requires_grad and len(times) > 1:
        raise ValueError(
            f"draw_bptt_path: {target.name} requires no gradient, and {len(times)} steps use it; "
            "set requires_grad=True before the network runs"
        )


def windowed(
    graph: Graph, times: list[Any], max_steps: int | None, weights: bool | Node
) -> Drawing:
    """Return the drawing, with a window on the steps between two times, or on those at its ends."""
    drawing = Drawing(graph, "cell", max_steps=max_steps, weights=weights)
    limit = STEPS["cell"] if max_steps is None else max_steps
    if not drawing.window.gaps or not all(isinstance(t, int) for t in times):
        return drawing
    first, last = min(times), max(times)
    if last - first < limit:
        start = max(first - (limit - 1 - last + first) // 2, 0)
        steps = frozenset(range(start, start + limit))
    else:
        half = limit // 2
        steps = frozenset((*range(first, first + limit - half), *range(last - half + 1, last + 1)))
    return Drawing(graph, "cell", max_steps=max_steps, steps=steps, weights=weights)
