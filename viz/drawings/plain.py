"""Make the plain drawings: rolled, unrolled, and with the gradients that travel back.

Each takes recorded tensors and returns a `Diagram`. Above `drawing.py` and `fitting.py`.
"""

from collections.abc import Sequence
from functools import lru_cache

from engine import Graph, Tensor
from engine.suggestions import advised
from viz.analysis.loops import affine_loops
from viz.analysis.trunks import Parts, weight_parts
from viz.charts.attention_matrix import under
from viz.checks import check_choice, check_loss
from viz.diagram import Diagram
from viz.instead import DRAWINGS
from viz.model.attention import attentions
from viz.model.levels import outputs_of, recorded
from viz.rendering.annotations import Annotations
from viz.rendering.drawing import Drawing, single
from viz.rendering.fitting import NO_WEIGHTS, WIDTH, Detail, fitted
from viz.style import AFFINE, affine_swatches

Recorded = Tensor | Graph | Sequence[Tensor]
WEIGHTS = ("thin", "full", "off")
UNRECORDED = (
    "nothing was recorded: this was computed under no_grad, or of nothing that requires a "
    "gradient; compute it with engine.tracing()"
)


@advised(DRAWINGS)
def draw_rolled(
    x: Recorded, *, weights: str = "thin", width: float = WIDTH, title: str = ""
) -> Diagram:
    """Draw the network with time folded up: one box a cell, its delayed edges marked z⁻¹.

    A state that is affine in the one before it has an edge of another colour, which says how:
    diagonal, blocks, outer product, rank one or affine. Where several run on one edge, the affine
    ones are named, and the edge has the colour where all are. That is known of recurrences that
    were run fused, not of steps that were called one by one.
    `weights` and `width` are as in `draw_unrolled`, and so are the errors.

    >>> import engine, rnn, viz
    >>> viz.draw_rolled(rnn.GRU(3, 4)(engine.ones((5, 1, 3)))[0])
    <diagram 'Rolled up': 5 nodes>
    """
    title = title or "Rolled up"
    return _drawn("draw_rolled", x, "rolled", None, None, weights, "all", width, title,
                  measured=False)  # fmt: skip


@advised(DRAWINGS)
def draw_unrolled(
    x: Recorded,
    *,
    level: str = "cell",
    max_steps: int | None = None,
    steps: range | None = None,
    weights: str = "thin",
    attention: int | str = "last",
    width: float = WIDTH,
    title: str = "",
) -> Diagram:
    """Draw the network unrolled, a column a time step: by ``"cell"``, ``"gate"`` or ``"op"``.

    The picture is at most `width` pixels wide, where one step fits into that: of more steps the
    first and last are shown, and how many are left out. Where one is too wide names are shortened
    (pointing at a box shows them whole), of several blocks the last alone shows a step, and weights
    go last. `max_steps` steps, or ``steps=range(40,
    46)``, are shown however wide the picture gets. `weights` are drawn with wires to their uses
    that are ``"thin"`` or, where there are gradients, ``"full"``, as wide as their norm; or they
    are left ``"off"``. Attention is a small matrix under the picture, and arcs for one step that
    looks: the ``"last"``, the time of another, or ``"all"``.
    Raises ValueError for another level, for `weights` that there are not, a `max_steps` under 1, a
    `width` under 100, and steps of which there is none.

    >>> import engine, rnn, viz
    >>> viz.draw_unrolled(rnn.GRU(3, 4)(engine.ones((5, 1, 3)))[0]).graph.number_of_nodes()
    13
    """
    title = title or "Unrolled through time"
    return _drawn("draw_unrolled", x, level, max_steps, steps, weights, attention, width, title,
                  measured=False)  # fmt: skip


@advised(DRAWINGS)
def draw_gradients(
    loss: Tensor | Sequence[Tensor],
    *,
    level: str = "cell",
    max_steps: int | None = None,
    steps: range | None = None,
    weights: str = "thin",
    attention: int | str = "last",
    width: float = WIDTH,
    title: str = "",
) -> Diagram:
    """Draw the unrolled network with the gradient of `loss` travelling back along every edge.

    Width and shade show the norm of what each use adds to the gradient, ∂, on a fixed logarithmic
    scale: a decade less is 0.6 times as wide, in all pictures. It begins at 1, or at the power of
    ten that holds all norms where one is above 10. Where boxes are cells, states have twice the
    width of other edges. Dead and non-finite ones are marked. Boxes say the norm of the whole
    gradient of what they make, d. Where `weights` are ``"full"`` each stretch of their wires is as
    wide as the norm of the sum that it carries. A list of one loss is that loss; several are summed
    first: ``draw_gradients(sum(losses))``. Raises TypeError for several, ValueError where the loss
    is no single number or requires no gradient, and as `draw_unrolled`.

    >>> import engine, rnn, viz
    >>> loss = engine.sum(rnn.GRU(3, 4)(engine.ones((5, 1, 3)))[0][-1])
    >>> diagram = viz.draw_gradients(loss)
    >>> sorted(diagram.graph.graph["norms"])
    ['h']
    """
    loss = single("draw_gradients", loss)
    check_loss("draw_gradients", "the loss", loss)
    title = title or "Back-propagation through time"
    return _drawn("draw_gradients", loss, level, max_steps, steps, weights, attention, width, title,
                  measured=True)  # fmt: skip


def _drawn(
    where: str, x: Recorded, level: str, max_steps: int | None, steps: range | None,
    weights: str, attention: int | str, width: float, title: str, *, measured: bool,
) -> Diagram:  # fmt: skip
    """Return the picture with as much in it as fits, with gradients where they are `measured`."""
    check_choice(where, "weights", weights, WEIGHTS)
    graph = recorded(x, level)
    looks = attentions(graph) if level in ("gate", "cell") else []

    @lru_cache(maxsize=1)
    def drawing_of(most: int | None, detail: Detail) -> tuple[Drawing, dict[int, Parts]]:
        drawing = Drawing(graph, level, max_steps=most, steps=steps, attention=attention,
                          weights=weights != "off" and not detail.bare,
                          ready=True, joined=detail.joined)  # fmt: skip
        if measured:
            drawing.measure()
        full = measured and weights == "full"
        return drawing, weight_parts(drawing.model, graph.outputs[0]) if full else {}

    def make(most: int | None, detail: Detail) -> Diagram:
        drawing, parts = drawing_of(most, detail._replace(numbers=True, narrow=False))
        notes: tuple[str, ...] = (
            (UNRECORDED,) if not any(node.inputs for node in graph.nodes) else ()
        )
        notes += NO_WEIGHTS if detail.bare and weights != "off" else ()
        below = under(looks, drawing.looking) if looks else None
        pale = frozenset[int]() if measured else drawing.not_looking
        affine = affine_loops(outputs_of(x), drawing.model) if level == "rolled" else {}
        whole = [i for i, one in affine.items() if one.whole]
        annotations = Annotations(
            weights=parts, detail=detail, notes=notes, below=below, dim_links=pale,
            link_colors=dict.fromkeys(whole, AFFINE), legend=affine_swatches(whole),
            kinds={i: one.words for i, one in affine.items()})  # fmt: skip
        return drawing.diagram(title, annotations)

    asked = steps if max_steps is None else max_steps
    return fitted(make, where, width, level, asked=asked)
