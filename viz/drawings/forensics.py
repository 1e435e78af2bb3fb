"""Draw where the first number that is not finite was made, what led to it and what it spoiled.

Above `first_nonfinite.py`, which finds it, and `drawing.py`.
"""

from collections.abc import Iterable
from dataclasses import replace

from engine import Graph, Node, Tensor
from engine.backends.numpy import quiet
from engine.suggestions import advised
from viz import style
from viz.analysis.first_nonfinite import Census, Fault, find_fault
from viz.analysis.nearby import nearby
from viz.diagram import Diagram
from viz.instead import DRAWINGS
from viz.labels import count, counted, wrapped
from viz.model.levels import recorded
from viz.rendering.annotations import Annotations
from viz.rendering.drawing import Drawing
from viz.rendering.fitting import WIDTH, Detail, fitted
from viz.scene import Rect, Scene, Shape, Swatch, Words

WHOLE = 150  # nodes up to which the whole graph is drawn
ROOM = {"op": 16, "gate": 40, "cell": 100}  # else: nodes on either side of the fault
STEPS = 6  # around the fault
TRACES = ("", "led", "spoiled", "fault")
FILLS = {
    "led": ("#dbe9f8", "#1f5fa8"),
    "spoiled": ("#c9ccd1", "#111111"),
    "fault": ("#fbd5d5", "#b00020"),
}
PANEL, GREY, EDGE = "#fff7f7", "#5f6368", 20.0


@advised(DRAWINGS)
def draw_nonfinite(
    x: Tensor | Graph,
    *,
    grad: bool = True,
    infinite: bool = True,
    level: str = "op",
    max_steps: int | None = None,
    width: float = WIDTH,
    title: str = "",
) -> Diagram:
    """Draw the op that made the first NaN or infinity, and under it the numbers of which.

    Forward it is the first node with a value that is not finite while all its inputs are;
    where there is none, and `grad`, the first contribution to a gradient of `x` on the way back,
    for outputs that are single numbers. Blue led to it, dark is what it spoiled, the rest is pale.
    `infinite` False passes over infinities, for graphs that mask with them. Fused recurrences are
    looked into. Of large graphs what stands nearest to the fault is drawn, and a note says how much
    is left out. `max_steps` and `width` are as in `draw_unrolled`. Where all is finite a note says
    so. `graph.graph["fault"]` has the finding in
    words, and nodes carry `trace`: fault, led, spoiled or "". ValueError for an unknown level.

    >>> import engine
    >>> from viz.drawings.forensics import draw_nonfinite
    >>> x = engine.asarray([1.0, 0.0], requires_grad=True, name="x")
    >>> draw_nonfinite(engine.sum(engine.sqrt(x))).graph.graph["fault"]
    'the derivative of sqrt at 0 at [1] gives inf'
    """
    with quiet():  # steps that are run again must not warn of what is looked for
        graph = recorded(x, level)
        fault, census = find_fault(graph, grad=grad, infinite=infinite)
    if fault is None:
        return _clean(graph, census, level, max_steps, width, title, grad=grad, infinite=infinite)
    led = frozenset((graph.descendants if fault.backward else graph.ancestors)(fault.node))
    part, twins = (graph, None) if len(graph) <= WHOLE else nearby(
        graph, fault.node, _room(level), led | fault.spoiled | {fault.node})  # fmt: skip

    def make(most: int | None, detail: Detail) -> Diagram:
        drawing = Drawing(part, level, max_steps=most, steps=_steps(part, fault.node, most))
        trace = _trace(drawing, fault, led, twins)
        for key, own in trace.items():
            drawing.model.items[key].extra["trace"] = own
        annotations = _annotations(drawing, fault, trace, len(graph))
        annotations = replace(annotations, detail=detail, even=True)
        diagram = drawing.diagram(title or _title(fault), annotations)
        diagram.graph.graph["fault"] = fault.headline
        return Diagram(_with_finding(diagram.scene, fault, annotations.legend), diagram.graph)

    return fitted(make, "draw_nonfinite", width, level, asked=max_steps)


def _with_finding(scene: Scene, fault: Fault, legend: tuple[Swatch, ...]) -> Scene:
    """Return the scene with the numbers of the fault in a panel under it, in the fault's colours.

    In its box they would make it many times as large as all others.
    """
    fill, stroke = FILLS["fault"]
    wide = scene.width - 2 * EDGE
    head = wrapped([fault.headline], wide - 56, 14.4)
    facts = wrapped(fault.facts, wide - 56, 11.5)
    high = 20.0 + 18 * len(head) + 16 * len(facts)
    top, left = scene.height, EDGE + 40
    shapes: list[Shape] = [
        Rect(EDGE, top, wide, high, PANEL, stroke),
        Rect(EDGE, top, 26, high, fill, stroke),
        Words(EDGE + 13, top + high / 2 + 6, "!", 18, stroke, bold=True),
    ]
    shapes += [Words(left, top + 22 + 18 * i, line, 12.0, anchor="start", bold=True)
               for i, line in enumerate(head)]  # fmt: skip
    foot = top + 22 + 18 * len(head)
    shapes += [Words(left, foot + 16 * i, line, 11.0, GREY, "start")
               for i, line in enumerate(facts)]  # fmt: skip
    return replace(scene, legend=legend, height=top + high + 6, shapes=(*scene.shapes, *shapes))


def _title(fault: Fault) -> str:
    where = f" at {fault.node.scope}" if fault.node.scope.path or fault.node.scope.labels else ""
    kind = "gradient" if fault.backward else "value"
    return f"The first {kind} that is not finite: {fault.node.name or fault.node.op.name}{where}"


def _clean(
    graph: Graph, census: Census, level: str, max_steps: int | None, width: float, title: str, *,
    grad: bool, infinite: bool,
) -> Diagram:  # fmt: skip
    """Return the picture of a graph without a fault."""
    kind = "are finite" if infinite else "are not NaN"
    notes = [f"All {count(census.values)} values of {counted(census.nodes, 'node')} {kind}"]
    if census.gradients:
        notes.append(f"So are the gradients of {counted(census.gradients, 'node')}")
    else:
        why = "no single number requires one" if grad else "grad=False"
        notes.append(f"Gradients were not looked at: {why}")
    outside = sum("t" not in node.scope.labels for node in graph.nodes)
    if outside > WHOLE:  # steps are left out by the drawing, what is outside of them here
        whole, (graph, _) = (
            len(graph),
            nearby(graph, graph.outputs[0].node, _room(level), frozenset(graph.nodes)),
        )
        notes.append(_left_out(whole, len(graph)))

    def make(most: int | None, detail: Detail) -> Diagram:
        drawing = Drawing(graph, level, max_steps=most)
        annotations = Annotations(notes=tuple(notes), detail=detail)
        return drawing.diagram(title or "All values are finite", annotations)

    diagram = fitted(make, "draw_nonfinite", width, level, asked=max_steps)
    diagram.graph.graph["fault"] = ""
    return diagram


def _room(level: str) -> int:
    return ROOM.get(level, ROOM["op"])


def _left_out(whole: int, shown: int) -> str:
    return f"{count(shown)} of {count(whole)} nodes shown: those nearest by"


# ---- what is said of it


def _trace(
    drawing: Drawing, fault: Fault, led: frozenset[Node], twins: dict[Node, Node] | None
) -> dict[int, str]:
    """Return what each box has to do with the fault: the most that any of its nodes has.

    A constant that has no box has its fault in the boxes that use it.
    """

    def own(node: Node) -> Node:
        return node if twins is None else twins.get(node, node)

    at = {fault.node}
    if not any(own(node) is fault.node for node in drawing.member):
        at = {own(b) for a, b, _ in drawing.recorded.edges if own(a) is fault.node}
    found: dict[int, int] = {}
    for node, key in drawing.member.items():
        node = own(node)
        rank = 3 if node in at else 2 if node in fault.spoiled else 1 if node in led else 0
        found[key] = max(rank, found.get(key, 0))
    return {key: TRACES[rank] for key, rank in found.items()}


def _steps(graph: Graph, fault: Node, limit: int | None) -> range | None:
    """Return the time steps around that of the fault; None: as many as the picture shows anyhow."""
    times = sorted({t for node in graph.nodes if (t := node.scope.labels.get("t")) is not None})
    limit = STEPS if limit is None else limit
    t = fault.scope.labels.get("t")
    if t is None or len(times) <= limit or limit < 2:
        return None
    start = max(min(t - limit // 2, times[-1] - limit + 1), times[0])
    return range(start, start + limit)


def _annotations(drawing: Drawing, fault: Fault, trace: dict[int, str], whole: int) -> Annotations:
    """Return blue what led to the fault, dark what it spoiled, the rest pale, and the numbers."""
    fills = {key: FILLS[own] for key, own in trace.items() if own in FILLS}
    colors, pale = {}, set()
    for i, link in enumerate(drawing.model.links):
        ends = trace.get(link.source, ""), trace.get(link.target, "")
        near, far = ends[::-1] if fault.backward else ends  # which way the fault runs on
        if far == "spoiled" and near in ("spoiled", "fault"):
            colors[i] = FILLS["spoiled"][1]
        elif "" in ends:
            pale.add(i)
    place = next(key for key, own in trace.items() if own == "fault")
    led, spoiled = (sum(own == what for own in trace.values()) for what in ("led", "spoiled"))
    notes = []
    if fault.backward:
        notes.append("All values are finite; the gradient runs against the arrows")
    shown = len(drawing.recorded)
    if shown < whole:
        notes.append(_left_out(whole, shown))
    return Annotations(
        dim_items=frozenset(key for key, own in trace.items() if not own),
        dim_links=frozenset(pale),
        box_marks={place: "!"},
        fills=fills,
        link_colors=colors,
        legend=tuple(_legend(fault, led, spoiled)),
        notes=tuple(notes),
    )


def _legend(fault: Fault, led: int, spoiled: int) -> Iterable[Swatch]:
    what = "gradient" if fault.backward else "value"
    yield Swatch("forward", style.FORWARD)
    yield Swatch("the first fault", FILLS["fault"][1], box=FILLS["fault"][0], mark="!")
    yield Swatch(f"led to it: {counted(led, 'box', 'boxes')}", FILLS["led"][1], box=FILLS["led"][0])
    spoils = f"{what} spoiled by it: {counted(spoiled, 'box', 'boxes')}"
    yield Swatch(spoils, FILLS["spoiled"][1], box=FILLS["spoiled"][0])
    yield Swatch("the rest", "#d3d6da", box="#fafbfc")
