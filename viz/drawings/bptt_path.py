"""The paths that a gradient takes through time: from a loss back to a state or to a parameter.

Above `hops.py`, which has the numbers, and `drawing.py`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from engine import Graph, Node, Tensor
from viz.charts.parts import bars
from viz.diagram import Diagram
from viz.drawings.drawing import Drawing
from viz.drawings.look import Look
from viz.drawings.placing import Room, room_of
from viz.graphs.hops import Hops
from viz.graphs.levels import build
from viz.graphs.names import Places
from viz.graphs.path_numbers import Chosen, PathNumbers, chosen, counted, numbers_of
from viz.graphs.paths import Path
from viz.graphs.window import STEPS
from viz.labels import count, number, symbol, wrapped
from viz.scene import Columns, Scene, Shape, Swatch, Wire

WHICH = ("all", "state", "strongest")
RED = "#c0281c"
SOURCE, TARGET = ("#fde8e2", RED), ("#f9cfc3", "#8e1212")
REST = ("#f7f8f9", "#d3d6da")
WIDE = 3.2
LONGEST = 9  # values of a path in a note


def draw_bptt_path(
    loss: Tensor | Graph | Sequence[Tensor],
    source: str | Tensor | Node,
    target: str | Tensor | Node,
    *,
    which: str = "all",
    k: int = 1,
    max_steps: int | None = None,
    title: str = "",
) -> Diagram:
    """Draw the unrolled network with the paths from `source` back to `target` in red.

    Both are names, such as ``"L5"`` (the loss of step 5), ``"h2"`` (the state after step 2), or
    ``"cell.weight_hh"`` (see `viz.graphs.names.Places`), or tensors of the graph. `which` are all
    paths, the ``"state"`` ones, which having come to a state go on from state to state, or the k
    ``"strongest"``, those with the largest product of norms. A number on an edge is the spectral
    norm of the Jacobian of what the next box makes of it; in a box stands the norm of what the
    shown paths bring there. Under the picture the norm of the whole derivative, that of the
    products along paths, and the product of the norms, an upper bound, are told apart. For a
    parameter bars say what its use at each step adds: its norm, and its part along the whole
    gradient, which sums to the norm of that.

    ``graph.graph["paths"]`` is a `PathNumbers`. Edges carry the norm as ``jacobian_norm``, on all
    paths, shown or not: where a hop takes several edges the first has it and the others 1, as has
    the use of a parameter; `k_strongest_paths` takes this graph. Takes a backward pass for each
    unit and hop. Raises ValueError for unknown names and a target that does not lead to the source.

    >>> import engine, rnn, viz
    >>> y, _ = rnn.GRU(3, 4)(engine.ones((5, 1, 3)))
    >>> viz.draw_bptt_path(engine.sum(y[-1]), "L", "h1").graph.graph["paths"].count
    1
    """
    if which not in WHICH:
        expected = ", ".join(WHICH)
        raise ValueError(f"draw_bptt_path: unknown which={which!r}; expected one of {expected}")
    drawing, places = _windowed(loss, source, target, max_steps)
    hops = Hops(build(drawing.recorded, "cell").member, places.find(source), places.find(target))
    paths = chosen(hops, places, which, k)
    numbers = numbers_of(hops, paths)
    picture = _Picture(drawing, places, hops, paths, numbers)
    a, b = hops.source.name, hops.target.name
    diagram = drawing.diagram(title or f"From {a} back to {b}", picture.look())
    graph = diagram.graph
    graph.graph["paths"] = numbers
    return Diagram(picture.dressed(diagram.scene), graph)


def _windowed(
    loss: Tensor | Graph | Sequence[Tensor],
    source: str | Tensor | Node,
    target: str | Tensor | Node,
    max_steps: int | None,
) -> tuple[Drawing, Places]:
    """The drawing, with a window on the steps between source and target where those fit in one."""
    drawing = Drawing(loss, "cell", max_steps=max_steps)
    places = Places(drawing.recorded)
    times = [places.find(source).t, places.find(target).t]
    limit = STEPS["cell"] if max_steps is None else max_steps
    if not drawing.window.gaps or not all(isinstance(t, int) for t in times):
        return drawing, places
    first, last = min(times), max(times)
    if last - first >= limit:
        return drawing, places
    start = max(first - (limit - 1 - last + first) // 2, 0)
    steps = range(start, start + limit)
    drawing = Drawing(drawing.recorded, "cell", max_steps=max_steps, steps=steps)
    return drawing, Places(drawing.recorded)


class _Picture:
    """The look of one picture: what is red, what is pale, and what is written."""

    def __init__(
        self, drawing: Drawing, places: Places, hops: Hops, paths: Chosen, numbers: PathNumbers
    ) -> None:
        self.drawing, self.hops, self.chosen, self.numbers = drawing, hops, paths, numbers
        self.names: dict[Node, str] = {}
        for name, (kind, own) in places.names.items():
            if kind == "state":
                self.names.setdefault(own.node, name)
        self.names |= {hops.start: hops.target.name, hops.end: hops.source.name}
        self.times: tuple[int, ...] = ()
        self.shown = hops.shown(paths.keep)
        self.reached = {node for hop in self.shown for node in hop}
        self.uses = self._uses_of_links(self.shown)
        self.items = self._items()
        for i, uses in self._uses_of_links(hops.shown(None)).items():
            drawing.model.links[i].jacobian_norm = self._norm(uses)

    def _uses_of_links(self, hops: list[tuple[Node, Node]]) -> dict[int, list[tuple[Node, Node]]]:
        """Return the hops along each edge of the picture; none along one inside of a hop."""
        model, member = self.drawing.model, self.drawing.member
        place = {(node, link.target): i for i, link in enumerate(model.links)
                 for node in link.sources}  # fmt: skip
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

    def look(self) -> Look:
        """What is dim, what stands in boxes and under the picture."""
        model, member = self.drawing.model, self.drawing.member
        fills = {member[node]: SOURCE for node in self._sources()}
        fills[member.get(self.hops.start, -1)] = TARGET
        a, b = self.hops.source.name, self.hops.target.name
        return Look(
            dim_items=frozenset(item.key for item in model.items if item.key not in self.items),
            dim_links=frozenset(i for i in range(len(model.links)) if i not in self.uses),
            lines=self._lines(),
            labels={i: text for i in self.uses if (text := self._label(i))},
            fills=fills,
            link_colors=dict.fromkeys(self.uses, RED),
            legend=(
                Swatch(
                    f"paths from {a} back to {b}, with the norm of each hop's Jacobian", RED, WIDE
                ),
                Swatch(f"source {a}", SOURCE[1], box=SOURCE[0]),
                Swatch(f"target {b}", TARGET[1], box=TARGET[0]),
                Swatch("pale: on no path shown", REST[1], box=REST[0]),
            ),
            below=self._bars if self.numbers.uses else None,
        )

    def _sources(self) -> list[Node]:
        """What is drawn of the source: of what some outputs add to a loss, these outputs."""
        if self.hops.end in self.drawing.member:
            return [self.hops.end]
        return [node for node in self.hops.graph.predecessors(self.hops.end)
                if node in self.drawing.member]  # fmt: skip

    def _label(self, i: int) -> str:
        """Return the norm of what the next box makes of what an edge brings to it."""
        hops = self.uses[i]
        return "" if not hops or self.hops.is_leaf(hops[0][0]) else number(self._norm(hops))

    def _norm(self, hops: list[tuple[Node, Node]]) -> float:
        """The same as a number; 1 for the use of a parameter and for an edge inside of a hop."""
        if not hops or self.hops.is_leaf(hops[0][0]):
            return 1.0
        groups: dict[Node, list[Node]] = {}
        for earlier, later in hops:
            groups.setdefault(earlier, []).append(later)
        return max(self.hops.joint_norm(earlier, later) for earlier, later in groups.items())

    def _lines(self) -> dict[int, tuple[str, ...]]:
        """Return the norm of what the shown paths bring to each box, by value."""
        if self.chosen.which == "strongest" and len(self.chosen.strongest) > 1:
            return {}
        found: dict[int, dict[str, float]] = {}
        a, member, items = self.hops.source.name, self.drawing.member, self.drawing.model.items
        for node, g in self.hops.sums(self.chosen.keep).items():
            n = member.get(node, -1)
            if node in self.reached and n >= 0 and items[n].kind != "gap":
                found.setdefault(n, {})[self._value(node)] = self.hops.norm_of(g)
        lines = {
            n: tuple(f"‖∂{a}/∂{name}‖ {number(norms[name])}"
                     for name in sorted(norms, key=lambda name: name != "h"))
            for n, norms in found.items()
        }  # fmt: skip
        if self.hops.end in member:
            lines[member[self.hops.end]] = (a,)
        return lines

    def _value(self, node: Node) -> str:
        """What the derivative in a box is by."""
        if self.hops.is_leaf(node):
            return node.name or self.hops.target.name
        return str(node.scope.labels.get("state", "out"))

    def _notes(self) -> Iterable[str]:
        """Yield the numbers, told apart."""
        numbers, hops = self.numbers, self.hops
        a, b = hops.source.name, hops.target.name
        if hops.end not in self.drawing.member:
            outputs = ", ".join(self._name(node) for node in self._sources())
            yield f"{a}: what the loss takes from {outputs}, to first order"
        every = f"the whole derivative, over all {counted(numbers.all)}"
        yield f"‖∂{a}/∂{b}‖ = {number(numbers.whole)}: {every}"
        which, many = self.chosen.which, numbers.count
        if which == "state" or (which == "strongest" and many > 1):
            kind = "along states" if which == "state" else "strongest"
            shown = f"the {counted(many)} shown, {kind}" if many else f"no path leads {kind}"
            yield f"{shown}: norm of the sum of their products {number(numbers.shown)}"
        for path, product in numbers.strongest:
            yield (
                f"strongest path {self._words(path)}: norm of the product of the Jacobians "
                f"{number(product)}, product of their norms {_power(path)}"
            )
        if many > 1 and not numbers.uses:  # a use counts as 1 there, so that it bounds nothing
            yield (
                f"sum of the products of norms over the {counted(many)} shown: "
                f"{number(numbers.bound)}, an upper bound: directions turn and cancel"
            )
        if numbers.uses:
            hidden = [t for t in numbers.uses if t not in self.times]
            yield f"the use of {b} counts as a hop of norm 1"
            if hidden:
                rest = math.fsum(numbers.uses[t][1] for t in hidden)
                yield f"uses at the {count(len(hidden))} steps left out add {number(rest)} along it"

    def _words(self, path: Path) -> str:
        """Return a path from its source back, by the names of its values."""
        names = [self._name(node) for node in reversed(path.nodes)]
        if len(names) > LONGEST:
            names = [*names[: LONGEST // 2], "…", *names[-LONGEST // 2 + 1 :]]
        return " ← ".join(names)

    def _name(self, node: Node) -> str:
        return self.names.get(node) or node.scope.path or symbol(node)

    def _bars(self, columns: Columns) -> tuple[list[Shape], float]:
        """What the use at each step adds: its length, and its part along the whole."""
        self.times = columns.times
        uses = [self.numbers.uses.get(t, (0.0, 0.0)) for t in columns.times]
        a, b = self.hops.source.name, self.hops.target.name
        shapes, high = bars(columns, [norm for norm, _ in uses], color=RED,
                            title=f"norm of what the use at t adds to ∂{a}/∂{b}")  # fmt: skip
        whole = number(self.numbers.whole)
        more, higher = bars(
            replace(columns, top=columns.top + high), [along for _, along in uses], color=RED,
            title=f"its part along the whole gradient; all uses sum to {whole}",
        )  # fmt: skip
        return [*shapes, *more], high + higher

    def dressed(self, scene: Scene) -> Scene:
        """Return the scene with the edges on paths turned round and red, and with notes."""
        wires = list(scene.wires)
        room = room_of(scene)
        for i in sorted(self.uses):
            wires[i] = self._red(i, wires[i], room)
        pale = [wire for i, wire in enumerate(wires) if i not in self.uses]
        red = [wires[i] for i in sorted(self.uses)]
        wide = max(scene.width, room.right + 6)
        notes = (*scene.notes, *wrapped(self._notes(), wide - 40))
        return replace(scene, width=wide, wires=(*pale, *red), notes=notes)

    def _red(self, i: int, wire: Wire, room: Room) -> Wire:
        """Return a wire as a gradient goes along it."""
        text = self._label(i)
        at = wire.label_at or (room.beside(wire.points, text) if text else None)
        link, items = self.drawing.model.links[i], self.drawing.model.items
        title = f"{items[link.target].full} → {items[link.source].full}"
        return wire._replace(
            source=wire.target, target=wire.source, points=tuple(reversed(wire.points)),
            kind="backward", color=RED, width=WIDE, label=text if at else "", label_at=at,
            title=f"{title}: norm of the Jacobian {text}" if text else title, dim=False,
        )  # fmt: skip


def _power(path: Path) -> str:
    """Return a product of norms, also where it is smaller or larger than a float can be."""
    if math.isfinite(path.log) and path.value in (0.0, math.inf):
        return f"1e{path.log / math.log(10):+.0f}"
    return number(path.value)
