"""Draw gradients as a graph: what a backward pass records, beside the forward graph.

Above `drawing.py`.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from engine import Graph, Node, Tensor, expanded, gradients
from engine.suggestions import advised
from viz import style
from viz.checks import check_loss
from viz.diagram import Diagram
from viz.instead import DRAWINGS
from viz.labels import count, counted, symbol
from viz.rendering.annotations import Annotations
from viz.rendering.drawing import Drawing, single
from viz.rendering.fitting import WIDTH, Detail, fitted
from viz.scene import Swatch

BACK = style.FILLS["gradient"][1]
BACK_TOO = "#c77d2e"  # the same where red is the second backward pass
ACROSS = "#6b4fa0"  # a forward value that a derivative uses

GradOf = Callable[[list[Tensor | None]], Tensor]


@advised(DRAWINGS)
def draw_double_backward(
    loss: Tensor | Sequence[Tensor],
    inputs: Sequence[Tensor],
    *,
    grad_of: GradOf | None = None,
    level: str = "op",
    max_steps: int | None = None,
    width: float = WIDTH,
    title: str = "",
) -> Diagram:
    """Draw the gradients of `loss` by `inputs` as nodes, each by the step that it undoes.

    Forward nodes are as in the other drawings, gradient nodes red, in the column of the node that
    they differentiate. Purple edges are forward values that derivatives use. `grad_of` makes a
    single number of the list of gradients (None where no path leads), such as the square of their
    norm; then its own gradient travels back through both halves, the second backward pass. Fused
    recurrences are taken apart first, so `inputs` are leaves or what stands outside of them.
    `max_steps` and `width` are as in `draw_unrolled`. Raises ValueError for inputs that the loss
    does not depend on, and where `loss` or the result of `grad_of` is no single number that
    requires a gradient.

    >>> import engine
    >>> from viz.drawings.double_backward import draw_double_backward
    >>> x = engine.asarray(3.0, requires_grad=True, name="x")
    >>> draw_double_backward(engine.exp(x), [x]).scene.notes[:2]
    ('1 gradient node for 1 of 1 forward op', '1 forward value used in derivatives')
    """
    (loss,) = expanded(single("draw_double_backward", loss))
    check_loss("draw_double_backward", "the loss", loss)
    graph = Graph.of(loss)
    for i, x in enumerate(inputs):
        if x not in graph:
            raise ValueError(
                f"draw_double_backward: the loss was not computed from input {i}, {x.node!r}; if "
                "it stands inside of a fused recurrence, record that in `with engine.explicit():`"
            )
    found = gradients(loss, inputs, create_graph=True)
    known = [g for g in found if g is not None]
    if not known:
        raise ValueError("draw_double_backward: none of the inputs requires a gradient")
    second = None if grad_of is None else _checked(grad_of(found))
    outputs = [loss, *known, *([] if second is None else [second])]
    title = title or ("The gradient as a graph" if second is None else "The second backward pass")

    def make(most: int | None, detail: Detail) -> Diagram:
        drawing = Drawing(outputs, level, max_steps=most)
        if second is not None:
            drawing.measure(drawing.recorded.outputs[-1])
        annotations = replace(_annotations(drawing, second=second is not None), detail=detail)
        return drawing.diagram(title, annotations)

    return fitted(make, "draw_double_backward", width, level, asked=max_steps)


def _checked(second: object) -> Tensor:
    """Return what `grad_of` made, which has to be a number that a gradient goes through."""
    if not isinstance(second, Tensor) or second.size != 1 or not second.requires_grad:
        shape = getattr(second, "shape", "no shape")
        raise ValueError(
            "draw_double_backward: expected grad_of to make a single number that depends on the "
            f"gradients and requires one itself, got {type(second).__name__} of {shape}"
        )
    return second


def _annotations(drawing: Drawing, *, second: bool) -> Annotations:
    """Return colours by the ends of an edge, what each gradient is of, and the number of nodes."""
    back = BACK_TOO if second else BACK
    graph, model = drawing.recorded, drawing.model
    gradient = {node for node in graph.nodes if node.origin is not None}
    loss = graph.outputs[0]
    forward = {loss.node, *graph.ancestors(loss)}
    seed = _seed(drawing, forward)
    starts = {item.key for item in model.items if item.kind == "gradient"} | set(seed)
    colors = {}
    for i, link in enumerate(model.links):
        if model.items[link.target].kind == "gradient":
            colors[i] = back if link.source in starts else ACROSS
    _call_ops_ops(drawing)
    undone = {node.origin for node in gradient}
    used = {a for a, b, _ in graph.edges if b in gradient and a in forward}
    ops = sum(bool(node.inputs) for node in forward)
    notes = [
        f"{counted(len(gradient), 'gradient node')} for {count(len(undone))} of "
        f"{counted(ops, 'forward op')}",
        f"{counted(len(used), 'forward value')} used in derivatives",
    ]
    notes.append("∂ of an op: a part of its own derivative; d: through the whole graph")
    if second:
        notes.append("Red lines: the gradient of what grad_of made")
    legend = (
        Swatch("gradient to gradient", back),
        Swatch("forward value used in a derivative", ACROSS),
    )
    return Annotations(
        lines=_undone(drawing) | dict.fromkeys(seed, ("seed, dL/dL = 1",)),
        link_colors=colors,
        fills=dict.fromkeys(seed, style.FILLS["gradient"]),
        legend=legend,
        notes=tuple(notes),
    )


def _seed(drawing: Drawing, forward: set[Node]) -> list[int]:
    """Return the box of the 1 that the backward pass begins with, where it has one."""
    graph, member = drawing.recorded, drawing.member
    loss = graph.outputs[0].node
    found = {
        member[a]: None for a, b, _ in graph.edges
        if b.origin is loss and not a.inputs and a not in forward and a.shape == loss.shape
        and a in member
    }  # fmt: skip
    return list(found)


def _call_ops_ops(drawing: Drawing) -> None:
    """Let what stands outside of all modules be an op, above the level of ops."""
    for item in drawing.model.items:
        if item.kind == "module" and not item.path:
            item.kind = "op"


def _undone(drawing: Drawing) -> dict[int, tuple[str, ...]]:
    """Return what each gradient box differentiates; above the level of ops its label says so."""
    items = drawing.model.items
    found: dict[int, tuple[str, ...]] = {}
    for node, key in drawing.member.items():
        if node.origin is None or items[key].kind != "gradient" or key in found:
            continue
        forward = items[drawing.member[node.origin]] if node.origin in drawing.member else None
        name = symbol(node.origin) if forward is None else forward.label
        if drawing.model.level == "op":
            found[key] = (f"∂({name})",)
        else:
            items[key].label = f"∂ {name}"
            found[key] = ()
    return found
