"""The plain drawings: rolled, unrolled, and with the gradients that travel back.

Each takes recorded tensors and returns a `Diagram`. Above `drawing.py`.
"""

from collections.abc import Sequence

from engine import Graph, Tensor
from viz.diagram import Diagram
from viz.drawings.drawing import Drawing, single


def draw_rolled(x: Tensor | Graph | Sequence[Tensor], *, title: str = "") -> Diagram:
    """Draw the network with time folded up: one box a cell, its delayed edges marked z⁻¹.

    >>> import engine, rnn, viz
    >>> viz.draw_rolled(rnn.GRU(3, 4)(engine.ones((5, 1, 3)))[0])
    <diagram 'Rolled up': 5 nodes>
    """
    return Drawing(x, "rolled").diagram(title or "Rolled up")


def draw_unrolled(
    x: Tensor | Graph | Sequence[Tensor],
    *,
    level: str = "cell",
    max_steps: int | None = None,
    steps: range | None = None,
    title: str = "",
) -> Diagram:
    """Draw the network unrolled, a column a time step: by ``"cell"``, ``"gate"`` or ``"op"``.

    Of more than `max_steps` steps the first and last are shown, and how many are left out;
    ``steps=range(40, 46)`` shows those. Raises ValueError for another level, a `max_steps` under 2
    and steps of which there is none.

    >>> import engine, rnn, viz
    >>> viz.draw_unrolled(rnn.GRU(3, 4)(engine.ones((5, 1, 3)))[0]).graph.number_of_nodes()
    13
    """
    drawing = Drawing(x, level, max_steps=max_steps, steps=steps)
    return drawing.diagram(title or "Unrolled through time")


def draw_gradients(
    loss: Tensor | Sequence[Tensor],
    *,
    level: str = "cell",
    max_steps: int | None = None,
    steps: range | None = None,
    title: str = "",
) -> Diagram:
    """Draw the unrolled network with the gradient of `loss` travelling back along every edge.

    Width and shade show the norm of what each use adds to the gradient, on a log scale; dead and
    non-finite ones are marked. Boxes say the norm of the whole gradient of what they make. A list
    of one loss is that loss; several are summed first: ``draw_gradients(sum(losses))``. Raises
    TypeError for several, ValueError where the loss is no single number or requires no gradient,
    and as `draw_unrolled`.
    """
    loss = single("draw_gradients", loss)
    if not loss.requires_grad:
        raise ValueError("draw_gradients: the loss depends on nothing that requires a gradient")
    drawing = Drawing(loss, level, max_steps=max_steps, steps=steps)
    drawing.measure()
    return drawing.diagram(title or "Back-propagation through time")
