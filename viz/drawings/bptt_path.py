"""Draw the paths of a gradient through time: from a loss back to a state or to a parameter.

Above `jacobian_hops.py`, which has the numbers, and `path_factors.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from engine import Graph, Node, Tensor
from engine.suggestions import advised
from viz.analysis.jacobian_hops import Hops
from viz.analysis.path_numbers import (
    Chosen,
    PathNumbers,
    chosen,
    numbers_of,
    only_path,
    shown_hops,
    totals,
)  # fmt: skip
from viz.charts.parts import bars
from viz.checks import check_choice
from viz.diagram import Diagram
from viz.drawings.path_factors import Factors, Notes, derivatives, joint, norms_of
from viz.drawings.path_window import check_target, windowed
from viz.instead import DRAWINGS
from viz.labels import number, symbol, wrapped
from viz.model.leaves import shown_name
from viz.model.levels import build, recorded
from viz.model.names import Places
from viz.rendering.annotations import Annotations
from viz.rendering.drawing import Drawing
from viz.rendering.fitting import WIDTH, Detail, fitted
from viz.rendering.placing import WireRoom, room_of
from viz.scene import Columns, Scene, Shape, Swatch, Wire
from viz.style import FILLS

WHICH = ("all", "state", "strongest")
RED = "#c0281c"
SOURCE, TARGET = ("#fde8e2", RED), ("#f9cfc3", "#8e1212")
REST = ("#f7f8f9", "#d3d6da")
WIDE = 3.2
SIGNS = {
    "×": "of one hop, all else held",
    "joint": "of all of them together, all else held",
    "≤": "the largest of the hops along the wire",
}


@advised(DRAWINGS)
def draw_bptt_path(
    loss: Tensor | Graph | Sequence[Tensor],
    source: str | Tensor | Node,
    target: str | Tensor | Node,
    *,
    which: str = "all",
    k: int = 1,
    max_steps: int | None = None,
    weights: str = "off",
    width: float = WIDTH,
    title: str = "",
) -> Diagram:
    """Draw the unrolled network with the paths from `source` back to `target` in red.

    Both are names, such as ``"L5"`` (the loss of step 5), ``"h2"`` (the state after step 2), or
    ``"cell.weight_hh"`` (see `viz.model.names.Places`), or tensors of the graph. `which` are all
    paths, the ``"state"`` ones, which having come to a state go on from state to state, or the k
    ``"strongest"``, those with the largest product of norms. A number on a wire is a spectral norm
    of a direct derivative (∂), the Jacobian of one hop with all else held: a factor (×), which
    multiply, as printed, to the printed product where one path is shown; joint where one wire leads
    to several values. In a box stands the norm of the total derivative (d) by its value, over all
    paths, shown or not. Under the picture the product of the norms along a path, the norm of the
    product of its Jacobians and that of the whole derivative are told apart. For a parameter bars
    say what its use at each step adds: its norm, and its part along the whole gradient.

    ``graph.graph["paths"]`` is a `PathNumbers`. Edges carry the norm as ``jacobian_norm``, on all
    paths, shown or not: where a hop takes several edges the first has it and the others 1;
    `k_strongest_paths` takes this graph. Takes a backward pass for each unit and hop, and for each
    number that a use of a parameter makes, up to 2,048 of them; where there are more a use counts
    as 1. `max_steps` and `width` are as in `draw_unrolled`; weights other than the target are left
    out unless `weights` is ``"thin"``. Raises ValueError for unknown names and without a path.

    >>> import engine, rnn, viz
    >>> y, _ = rnn.GRU(3, 4)(engine.ones((5, 1, 3)))
    >>> viz.draw_bptt_path(engine.sum(y[-1]), "L", "h1").graph.graph["paths"].count
    1
    """
    check_choice("draw_bptt_path", "which", which, WHICH)
    graph = recorded(loss, "cell")
    places = Places(graph)
    check_target(graph, place := places.find(target))
    hops = Hops(build(graph, "cell").member, places.find(source), place)
    paths = chosen(hops, places, which, k)
    numbers = numbers_of(hops, paths)
    a, b = shown_name(hops.source.name), shown_name(hops.target.name)
    check_choice("draw_bptt_path", "weights", weights, ("thin", "off"))
    kept = weights == "thin" or hops.start

    def make(most: int | None, detail: Detail) -> Diagram:
        drawing = windowed(graph, [hops.source.t, hops.target.t], most, kept)
        picture = _Picture(drawing, places, hops, paths, numbers)
        annotations = replace(picture.annotations(), detail=detail)
        diagram = drawing.diagram(title or f"From {a} back to {b}", annotations)
        diagram.graph.graph["paths"] = numbers
        return Diagram(picture.dressed(diagram.scene), diagram.graph)

    return fitted(make, "draw_bptt_path", width, "cell", asked=max_steps)


class _Picture:
    """Choose the look of one picture: what is red, what is pale, and what is written."""

    def __init__(
        self, drawing: Drawing, places: Places, hops: Hops, paths: Chosen, numbers: PathNumbers
    ) -> None:
        self.drawing, self.hops, self.chosen, self.numbers = drawing, hops, paths, numbers
        self.names: dict[Node, str] = {}
        for name, (kind, own) in places.names.items():
            if kind == "state":
                self.names.setdefault(own.node, name)
        self.names |= {hops.start: hops.target.name, hops.end: hops.source.name}
        self.states = {x.node: name for run in places.runs for states in (run.before, *run.after)
                       for name, x in zip(run.names, states or (), strict=False)}  # fmt: skip
        self.times: tuple[int, ...] = ()
        shown = shown_hops(hops, paths.keep)
        self.reached = {node for hop in shown for node in hop}
        self.uses = self._uses_of_links(shown)
        self.items = self._items()
        only = only_path(numbers)
        member = drawing.member
        self.factors = (
            None if only is None else Factors(hops, only[0], self.uses, member, self._name)
        )
        self.lines = self._lines()
        self.texts = {i: text for i in self.uses if (text := self._label(i))}
        for i, uses in self._uses_of_links(shown_hops(hops, None)).items():
            drawing.model.links[i].jacobian_norm = max(norms_of(hops, uses), default=1.0)

    def _uses_of_links(self, hops: list[tuple[Node, Node]]) -> dict[int, list[tuple[Node, Node]]]:
        """Return the hops along each edge of the picture; none along one inside of a hop."""
        model, member = self.drawing.model, self.drawing.member
        place = {(node, link.target): i for i, link in enumerate(model.links)
                 if link.kind != "attention" for node in link.sources}  # fmt: skip
        found: dict[int, list[tuple[Node, Node]]] = {}
        for earlier, later in hops:
            for crossing in self.hops.ways[earlier, later]:
                i = place.get((crossing.source, member.get(crossing.user, -1)))
                if i is not None:
                    own = found.setdefault(i, [])
                    if crossing.source is earlier and (earlier, later) not in own:
                        own.append((earlier, later))
        return found

    def _items(self) -> set[int]:
        """Return the boxes that paths go through."""
        links = self.drawing.model.links
        own = {n for i in self.uses for n in (links[i].source, links[i].target)}
        ends = (self.drawing.member.get(node, -1) for node in (self.hops.start, self.hops.end))
        return own | set(ends)

    def annotations(self) -> Annotations:
        """Return what is dim, what stands in boxes and under the picture."""
        model, member = self.drawing.model, self.drawing.member
        fills = {member[node]: SOURCE for node in self._sources()}
        fills[member.get(self.hops.start, -1)] = TARGET
        return Annotations(
            dim_items=frozenset(item.key for item in model.items if item.key not in self.items),
            dim_links=frozenset(i for i in range(len(model.links)) if i not in self.uses),
            lines=self.lines,
            labels=self.texts,
            fills=fills,
            link_colors=dict.fromkeys(self.uses, RED),
            legend=self._legend(),
            below=self._bars if self.numbers.contributions else None,
        )

    def _legend(self) -> tuple[Swatch, ...]:
        """Return what red is, what ∂ and d are, and what is pale."""
        a, b = self._name(self.hops.end), self._name(self.hops.start)
        red = [f"{'path' if self.factors else 'paths'} from {a} back to {b}"]
        for sign, words in SIGNS.items():
            i = next((i for i, text in self.texts.items() if text.startswith(sign)), None)
            if i is not None:
                what = next(derivatives(self.hops, self.uses[i], self._name)).partition(" =")[0]
                red.append(f"{self.texts[i]} on a wire: {what}, {words}")
        every = (line for own in self.lines.values() for line in own)
        total = next((line for line in every if line.startswith(f"d{a}/")), "")
        in_boxes = f"{total} in a box: norm of the total derivative, by all paths"
        fill, stroke = FILLS["cell"]
        return (
            *(Swatch(text, RED, WIDE) for text in red),
            Swatch(in_boxes, stroke, box=fill),
            Swatch(f"source {a}", SOURCE[1], box=SOURCE[0]),
            Swatch(f"target {b}", TARGET[1], box=TARGET[0]),
            Swatch("pale: on no path shown", REST[1], box=REST[0]),
        )

    def _sources(self) -> list[Node]:
        """Return what is drawn of the source: of what some outputs add to a loss, these outputs."""
        if self.hops.end in self.drawing.member:
            return [self.hops.end]
        return [node for node in self.hops.graph.predecessors(self.hops.end)
                if node in self.drawing.member]  # fmt: skip

    def _label(self, i: int) -> str:
        """Return the factor of an edge on the only path, else the norm of the hops along it."""
        if self.factors is not None:
            return self.factors.on_wires.get(i, "")
        own = self.uses[i]
        return "" if not own or self.hops.is_leaf(own[0][0]) else joint(self.hops, own)

    def _lines(self) -> dict[int, tuple[str, ...]]:
        """Return the norm of the total derivative by the values in each box, and factors there."""
        found: dict[int, dict[str, float]] = {}
        a, member, items = self._name(self.hops.end), self.drawing.member, self.drawing.model.items
        for node, g in totals(self.hops).items():
            n = member.get(node, -1)
            if node in self.reached and n >= 0 and items[n].kind != "gap":
                found.setdefault(n, {})[self._value(node)] = self.hops.norm_of(g)
        lines = {
            n: tuple(f"d{a}/d{name} {number(norms[name])}"
                     for name in sorted(norms, key=lambda name: name != "h"))
            for n, norms in found.items()
        }  # fmt: skip
        if self.hops.end in member:
            lines[member[self.hops.end]] = (a,)
        for n, factors in (self.factors.in_boxes if self.factors else {}).items():
            lines[n] = (*lines.get(n, ()), *factors)
        return lines

    def _value(self, node: Node) -> str:
        """Return what the derivative in a box is by."""
        if self.hops.is_leaf(node):
            return node.name or self.hops.target.name
        return self.states.get(node, "out")

    def _name(self, node: Node) -> str:
        return shown_name(self.names.get(node) or node.scope.path or symbol(node))

    def _bars(self, columns: Columns) -> tuple[list[Shape], float]:
        """Return what the use at each step adds: its length, and its part along the whole."""
        self.times = columns.times
        uses = [self.numbers.contributions.get(t, (0.0, 0.0)) for t in columns.times]
        a, b = self._name(self.hops.end), self._name(self.hops.start)
        title = f"norm of what the use at t adds to d{a}/d{b}"
        shapes, high = bars(columns, [norm for norm, _ in uses], RED, title)
        title = f"its part along the whole gradient; all uses sum to {number(self.numbers.whole)}"
        under = replace(columns, top=columns.top + high)
        more, higher = bars(under, [along for _, along in uses], RED, title)
        return [*shapes, *more], high + higher

    def dressed(self, scene: Scene) -> Scene:
        """Return the scene with the edges on paths turned round and red, and with notes."""
        room = room_of(scene)
        # All wires but those of attention stand in the order of the edges.
        drawn = iter([wire for wire in scene.wires if wire.kind != "attention"])
        pale = [wire for wire in scene.wires if wire.kind == "attention"]
        red: dict[int, Wire] = {}
        for i, link in enumerate(self.drawing.model.links):
            if link.kind != "attention":
                wire = next(drawn)
                if i in self.uses:
                    red[i] = self._red(i, wire, room)
                else:
                    pale.append(wire)
        wide = max(scene.width, room.right + 6)
        more = Notes(self.hops, self.chosen, self.numbers, self.factors, self._name)
        lines = [*more.lines(self._sources(), self.times), *self._unplaced(red)]
        notes = (*scene.notes, *wrapped(lines, wide - 40))
        return replace(scene, width=wide, wires=(*pale, *red.values()), notes=notes)

    def _unplaced(self, wires: dict[int, Wire]) -> Iterator[str]:
        """Yield the factors that found no room on their wires."""
        if self.factors and self.factors.elsewhere:
            yield f"not in the picture: {', '.join(self.factors.elsewhere)}"
        for i in sorted(self.texts) if self.factors else ():
            if not wires[i].label:
                yield f"no room on {wires[i].title.partition(':')[0]}: {self.texts[i]}"

    def _red(self, i: int, wire: Wire, room: WireRoom) -> Wire:
        """Return a wire as a gradient goes along it."""
        text = self.texts.get(i, "")
        at = wire.label_at or (room.beside(wire.points, text) if text else None)
        link, items = self.drawing.model.links[i], self.drawing.model.items
        title = f"{items[link.target].full} → {items[link.source].full}"
        whole = "; ".join(derivatives(self.hops, self.uses[i], self._name))
        return wire._replace(
            source=wire.target, target=wire.source, points=tuple(reversed(wire.points)),
            kind="backward", color=RED, width=WIDE, label=text if at else "", label_at=at,
            title=f"{title}: {whole}" if whole else title, dim=False,
        )  # fmt: skip
