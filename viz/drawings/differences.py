"""Draw two graphs in one picture: what was removed, added and changed from one to the other.

Above `graph_union.py` and `drawing.py`.
"""

import re
from collections.abc import Iterable
from dataclasses import replace

from engine import Graph, Node, Tensor
from engine.suggestions import advised, kind_of
from viz.analysis.graph_union import ADDED, BOTH, CHANGED, REMOVED, Union, union_of
from viz.diagram import Diagram
from viz.instead import DRAWINGS
from viz.labels import count, counted, short
from viz.model.levels import recorded
from viz.model.links import use_of
from viz.model.window import STEPS, Window
from viz.rendering.annotations import Annotations
from viz.rendering.drawing import Drawing
from viz.rendering.fitting import NO_WEIGHTS, WIDTH, Detail, fitted
from viz.scene import Scene, Swatch

FILLS = {
    BOTH: ("#f4f5f6", "#9aa0a6"),
    REMOVED: ("#fde8e2", "#b3321b"),
    ADDED: ("#e0f2e5", "#2e7d4f"),
    CHANGED: ("#fff1cc", "#b7791f"),
}
SIGNS = {BOTH: "", REMOVED: "−", ADDED: "+", CHANGED: "~"}
DASH = "6 3"  # of what is gone
NAMES = ("label cell ", "label gate ")  # differences that begin so are no changes of numbers
NAME = re.compile("/?(?:cell|gate)=[^/]*")  # the same in the scope of a node
TEXTS, LONGEST = 3, 44  # lines of differences in a box, and their characters


@advised(DRAWINGS)
def draw_difference(
    a: Tensor | Graph,
    b: Tensor | Graph,
    *,
    level: str = "op",
    max_steps: int | None = None,
    width: float = WIDTH,
    title: str = "",
) -> Diagram:
    """Draw what has to be done to graph `a` to get graph `b`, both in one picture.

    Grey is in both, red and dashed was removed (−), green added (+), amber changed (~), with what
    it was and is. Another class of cell or name of a variable alone, which a note counts, is no
    change here. Nodes are matched as by ``Graph.diff``, with the steps of fused recurrences put
    back, and the legend counts them. Above the level of ops a box is changed where any node in it
    is. Where all that differs lies in steps that would be left out, those around the first
    difference are shown instead. `graph` says on each node and edge what became of it, as
    `difference`; `max_steps` and `width` are as in `draw_unrolled`. Raises ValueError for an
    unknown level, TypeError for what is neither a tensor nor a graph.

    >>> import engine
    >>> from viz.drawings.differences import draw_difference
    >>> x = engine.ones(2, requires_grad=True, name="x")
    >>> draw_difference(engine.sum(x), engine.sum(engine.exp(x))).scene.notes
    ('2 nodes before, 3 after: 0 removed, 1 added, 1 changed',)
    """
    union, renamed = _without_names(union_of(_graph(a, level), _graph(b, level)))
    title = title or "What is different"

    def make(most: int | None, detail: Detail) -> Diagram:
        return _drawn(union, renamed, level, most, title, detail=detail)

    return fitted(make, "draw_difference", width, level, asked=max_steps)


def _drawn(
    union: Union, renamed: int, level: str, max_steps: int | None, title: str, *, detail: Detail
) -> Diagram:
    """Return the picture of two graphs in one."""
    steps, moved = _steps(union, level, max_steps)
    drawing = Drawing(union.graph, level, max_steps=max_steps, steps=steps, joined=detail.joined,
                      weights=not detail.bare)  # fmt: skip
    boxes, wires = _box_states(drawing, union), _wire_states(drawing, union)
    for key, state in boxes.items():
        drawing.model.items[key].extra["difference"] = state
    annotations = Annotations(
        fills={key: FILLS[state] for key, state in boxes.items()},
        box_marks={key: SIGNS[state] for key, state in boxes.items() if SIGNS[state]},
        lines=_lines(drawing, union, boxes),
        link_colors={i: FILLS[state][1] for i, state in enumerate(wires)},
        legend=tuple(_legend(union, wires)),
        notes=(*moved, *_notes(drawing, union, renamed), *NO_WEIGHTS[: detail.bare]),
        detail=detail,
    )
    diagram = drawing.diagram(title, annotations)
    for i, link in enumerate(drawing.model.links):
        diagram.graph.edges[link.source, link.target, link.key]["difference"] = wires[i]
    return Diagram(_dashed(diagram.scene, annotations.legend), diagram.graph)


def _steps(union: Union, level: str, max_steps: int | None) -> tuple[range | None, tuple[str, ...]]:
    """Return the steps around the first difference where the usual window has none, and a note.

    None leaves the window as it is.
    """
    usual = Window.of(union.graph, level, max_steps, None)
    differ = [node for node, state in union.nodes.items()
              if state != BOTH and isinstance(node.scope.labels.get("t"), int)]  # fmt: skip
    if not differ or any(usual.gap_of(node) is None for node in differ):
        return None, ()
    limit = STEPS[level] if max_steps is None else max_steps
    first = min(node.scope.labels["t"] for node in differ)
    times = [node.scope.labels["t"] for node in union.graph.nodes
             if isinstance(node.scope.labels.get("t"), int)]  # fmt: skip
    before = limit // 3
    start = max(min(first - before, max(times) - limit + 1), min(times))
    return range(start, start + limit), (
        f"The window stands around the first difference, at t = {count(first)}",)  # fmt: skip


def _graph(x: Tensor | Graph, level: str) -> Graph:
    if not isinstance(x, Tensor | Graph):
        raise TypeError(
            f"draw_difference: expected a tensor or a Graph, got {kind_of(x)}; "
            "make one with Graph.of(*outputs)"
        )
    return recorded(x, level)


def _without_names(union: Union) -> tuple[Union, int]:
    """Return the union in which other names alone are no change, and how many nodes have them."""
    renamed = [
        node for node, texts in union.texts.items()
        if texts and all(map(_is_name, texts))
    ]  # fmt: skip
    return replace(union, nodes=union.nodes | dict.fromkeys(renamed, BOTH)), len(renamed)


def _is_name(text: str) -> bool:
    """Return whether a difference is one of the cell's class, or of a variable's name, alone."""
    before, arrow, after = text.removeprefix("scope ").partition(" -> ")
    scopes = text.startswith("scope ") and arrow
    return text.startswith(NAMES) or bool(scopes and NAME.sub("", before) == NAME.sub("", after))


def _box_states(drawing: Drawing, union: Union) -> dict[int, str]:
    """Return what became of each box: of its nodes if they agree, else it is changed."""
    found: dict[int, str] = {}
    for node, key in drawing.member.items():
        state = union.nodes[node]
        found[key] = state if found.get(key, state) == state else CHANGED
    return found


def _wire_states(drawing: Drawing, union: Union) -> list[str]:
    """Return what became of each edge: of the uses that it stands for."""
    uses: dict[tuple[Node, object], set[str]] = {}
    for source, target, slot in union.graph.edges:
        place = source, use_of(drawing.model, target, slot)
        uses.setdefault(place, set()).add(union.uses[target, slot])
    found = []
    for link in drawing.model.links:
        own = {state for source in link.sources for state in uses.get((source, link.use), ())}
        found.append(own.pop() if len(own) == 1 else BOTH if BOTH in own else CHANGED)
    return found


def _lines(drawing: Drawing, union: Union, boxes: dict[int, str]) -> dict[int, tuple[str, ...]]:
    """Return what each changed box was and is."""
    texts: dict[int, dict[str, None]] = {}  # each once, in order
    for node, key in drawing.member.items():
        if boxes[key] == CHANGED:
            found = texts.setdefault(key, {})
            before = union.old.get(node, node).scope.labels.get("cell")
            if drawing.model.level == "cell" and before != drawing.model.items[key].cell and before:
                found[f"was {before}"] = None
            found.update(dict.fromkeys(_texts(union, node, drawing.model.level)))
    shown = {}
    for key, different in texts.items():
        own = list(different)
        more = (f"… {count(len(own) - TEXTS)} more",) if len(own) > TEXTS else ()
        shown[key] = (*(short(text, LONGEST) for text in own[:TEXTS]), *more)
    return shown


def _texts(union: Union, node: Node, level: str) -> Iterable[str]:
    """Yield the differences of one node in words, with its op where a box has several nodes."""
    of = "" if level == "op" else f"{node.op.name}: "
    state = union.nodes[node]
    if state == CHANGED:
        own = (text for text in union.texts[node] if not _is_name(text))
        yield from (f"{of}{text.replace(' -> ', ' → ')}" for text in own)
    elif state != BOTH:
        yield f"{node.op.name} {state}"


def _legend(union: Union, wires: list[str]) -> Iterable[Swatch]:
    """Yield the states that there are, with how many nodes are in each, and those of edges."""
    words = {BOTH: "in both", REMOVED: "removed", ADDED: "added", CHANGED: "changed"}
    for state, text in words.items():
        fill, stroke = FILLS[state]
        sign = f"{SIGNS[state]} " if SIGNS[state] else ""
        if union.count(state):
            yield Swatch(f"{sign}{text}: {counted(union.count(state), 'node')}", stroke, box=fill)
    for state, text in words.items():
        if state in wires:
            dash = DASH if state == REMOVED else ""
            yield Swatch(f"edge {text}", FILLS[state][1], dash=dash)


def _notes(drawing: Drawing, union: Union, renamed: int) -> Iterable[str]:
    """Yield the result in one line, and what the picture does not show of it."""
    counts = {state: union.count(state) for state in (REMOVED, ADDED, CHANGED)}
    if not renamed and not any(counts.values()) and union.same_outputs:
        yield f"The graphs are alike: {counted(len(union.old), 'node')}, no difference"
        return
    tally = ", ".join(f"{count(number)} {state}" for state, number in counts.items())
    yield f"{counted(len(union.old), 'node')} before, {count(len(union.new))} after: {tally}"
    if renamed:
        nodes = counted(renamed, "node")
        yield f"{nodes} in both belong to another class of cell or variable than before"
    if not union.same_outputs:
        yield "The outputs are other nodes than before"
    gaps = {item.key for item in drawing.model.items if item.kind == "gap"}
    left = sum(union.nodes[n] != BOTH for n, key in drawing.member.items() if key in gaps)
    if left:
        yield f"{counted(left, 'node')} that differ lie in the steps left out"


def _dashed(scene: Scene, legend: tuple[Swatch, ...]) -> Scene:
    """Return the scene with the edges that are gone dashed, so that they differ in grey too.

    Its legend is this one alone: colours say what became of a box here, and not its kind.
    """
    gone = FILLS[REMOVED][1]
    wires = (wire._replace(dash=DASH) if wire.color == gone else wire for wire in scene.wires)
    return replace(scene, wires=tuple(wires), legend=legend)
