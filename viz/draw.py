"""The drawings: rolled, unrolled, and with the gradients that travel back. Above everything else
in `viz`; each takes recorded tensors and returns a `Diagram`.
"""

import math
from collections.abc import Hashable, Iterable
from dataclasses import replace
from itertools import pairwise

import networkx as nx

from engine import Graph, Node, Tensor, expanded, gradient_norms
from viz import geometry, style
from viz.diagram import Diagram
from viz.grid import Grid, arrange
from viz.labels import count, number
from viz.levels import Level, build
from viz.routing import EdgeKey, Route, Routing, route
from viz.scene import Band, Box, Point, Scene, Swatch, Wire

STEPS = {"op": 6, "cell": 12}  # shown by default
TITLE = 40.0
BESIDE = 6.0  # between a forward wire and its gradient


def draw_rolled(x: Tensor | Graph, *, title: str = "") -> Diagram:
    """The network with time folded up: one box a cell, its delayed edges marked z⁻¹.

    >>> import engine, rnn, viz
    >>> viz.draw_rolled(rnn.GRU(3, 4)(engine.ones((5, 1, 3)))[0])
    <diagram 'Rolled up': 5 nodes>
    """
    return _Drawing(x, "rolled", None).diagram(title or "Rolled up")


def draw_unrolled(
    x: Tensor | Graph, *, level: str = "cell", max_steps: int | None = None, title: str = ""
) -> Diagram:
    """The network unrolled through time: a column a step, by ``"cell"`` or by ``"op"``.

    Of more than `max_steps` steps the first and last are shown, and how many are left out.
    Raises ValueError for another level or a `max_steps` under 2.

    >>> import engine, rnn, viz
    >>> viz.draw_unrolled(rnn.GRU(3, 4)(engine.ones((5, 1, 3)))[0]).graph.number_of_nodes()
    13
    """
    return _Drawing(x, level, max_steps).diagram(title or "Unrolled through time")


def draw_gradients(
    loss: Tensor, *, level: str = "cell", max_steps: int | None = None, title: str = ""
) -> Diagram:
    """The unrolled network with the gradient of `loss` travelling back along every edge, in red.

    Width and shade show the norm of what each use adds to the gradient, on a log scale; dead and
    non-finite ones are marked. Boxes say the norm of the whole gradient of what they make.
    Raises ValueError where `loss` is no single number or requires no gradient.
    """
    if not loss.requires_grad:
        raise ValueError("draw_gradients: the loss depends on nothing that requires a gradient")
    drawing = _Drawing(loss, level, max_steps)
    drawing.measure()
    return drawing.diagram(title or "Back-propagation through time")


class _Drawing:
    """One drawing in the making: the graph, then its grid and wires, then the scene."""

    def __init__(self, x: Tensor | Graph, level: str, max_steps: int | None) -> None:
        outputs = x.outputs if isinstance(x, Graph) else (x,)
        recorded = Graph.of(*expanded(*outputs))
        if level != "rolled" and level not in STEPS:
            raise ValueError(f"unknown level {level!r}; there are 'cell' and 'op'")
        self.steps, self.hidden = _window(recorded, level, max_steps)
        self.level: Level = build(recorded, level, self._is_hidden)
        self.graph: nx.MultiDiGraph = self.level.graph
        self.recorded = recorded
        self.scale: style.Scale | None = None

    def _is_hidden(self, node: Node) -> bool:
        return node.scope.labels.get("t") in self.hidden

    def measure(self) -> None:
        """Write the norms of gradients on nodes and edges."""
        by_node, by_use = gradient_norms(self.recorded.outputs[0], group=self._group)
        for _, _, data in self.graph.edges(data=True):
            norms = [by_use[s, data["use"]] for s in data["sources"] if (s, data["use"]) in by_use]
            data["grad_norm"] = math.hypot(*norms) if norms else None
        for n, members in self._members().items():
            self.graph.nodes[n]["grads"] = _named_norms(members, by_node, self.graph.nodes[n])
        alive = (d["grad_norm"] for *_, d in self.graph.edges(data=True))
        self.scale = style.Scale.of(n for n in alive if n is not None)

    def _group(self, node: Node, slot: int) -> Hashable:
        return self.level.use(node, slot)

    def _members(self) -> dict[int, list[Node]]:
        found: dict[int, list[Node]] = {n: [] for n in self.graph}
        for node, n in self.level.member.items():
            if n in found:  # constants are not drawn at every level
                found[n].append(node)
        return found

    def diagram(self, title: str) -> Diagram:
        """Lay the graph out and dress it."""
        grid = arrange(self.graph)
        routing = route(self.graph, grid)
        lines = {n: self._lines(n) for n in self.graph}
        sides = _most_sides(routing)
        sizes = {
            n: geometry.box_size(own, sides.get(n, 0), len(routing.ports.get(n, ())))
            for n, own in lines.items()
        }
        gap = 56.0 if self.graph.graph["level"] == "cell" else 26.0
        placed = geometry.measure(grid, routing, sizes, gap, TITLE + geometry.HEADING)
        boxes = tuple(self._box(n, placed, lines[n]) for n in self.graph)
        wires = tuple(self._wires(placed, routing))
        scene = Scene(
            title=title,
            width=max(placed.width, 420.0),
            height=placed.height,
            boxes=boxes,
            wires=wires,
            bands=tuple(_bands(grid, placed)),
            legend=tuple(self._legend()),
            notes=tuple(self._notes()),
        )
        return Diagram(scene, _plain(self.graph))

    def _lines(self, n: int) -> tuple[str, ...]:
        """The words of a box: its label, then its size or its gradient."""
        data = self.graph.nodes[n]
        if "grads" in data:
            return (data["label"], *(f"∂{name} {number(g)}" for name, g in data["grads"]))
        if "sub" in data:
            return (data["label"], data["sub"])
        if data["kind"] in ("parameter", "input") and data["shape"]:
            return (data["label"], "×".join(map(count, data["shape"])))
        return (data["label"],)

    def _box(self, n: int, placed: geometry.Geometry, lines: tuple[str, ...]) -> Box:
        data = self.graph.nodes[n]
        x, y, w, h = placed.boxes[n]
        where = f"{data['path'] or 'top'}" + ("" if data["t"] is None else f", t = {data['t']}")
        title = [data["full"], where, f"{data['dtype']} {'×'.join(map(str, data['shape']))}"]
        title += [f"‖∂L/∂{name}‖ = {g:.6g}" for name, g in data.get("grads", ())]
        broken = any(not math.isfinite(g) for _, g in data.get("grads", ()))
        kind = "state" if data["is_state"] and data["kind"] == "op" else data["kind"]
        return Box(n, x, y, w, h, kind, lines, "\n".join(title), "!" if broken else "")

    def _wires(self, placed: geometry.Geometry, routing: Routing) -> Iterable[Wire]:
        """A blue wire for every edge and, where gradients were measured, a red one beside it."""
        forward, backward = [], []
        for edge, points in placed.wires.items():
            data = self.graph.edges[edge]
            way = routing.routes[edge]
            wire = self._forward(edge, points, way.side)
            norm = data.get("grad_norm")
            if self.scale is None or norm is None:
                forward.append(wire)
                continue
            forward.append(replace(wire, label="", points=_shifted(points, -BESIDE / 2)))
            backward.append(self._backward(edge, points, norm, way))
        return [*forward, *sorted(backward, key=lambda wire: wire.width)]

    def _forward(self, edge: EdgeKey, points: tuple[Point, ...], side: bool) -> Wire:
        a, b, _ = edge
        data = self.graph.edges[edge]
        nodes = self.graph.nodes
        timed = data["kind"] == "time"
        rolled = self.graph.graph["level"] == "rolled"
        label = data["label"] if timed and side else ""
        at = _over(points) if side else None
        if timed and rolled:
            label = f"{data['label']} z⁻¹".strip() if data["dt"] == 1 else f"z^{-data['dt']}"
            at = _beside_longest(points)
        color = style.TIME if timed else style.FORWARD
        if data["kind"] == "parameter":
            color = style.PARAMETER
        return Wire(
            a, b, points, "time" if timed else "forward", color, 2.2 if timed else 1.2,
            label=label, label_at=at, title=f"{nodes[a]['full']} → {nodes[b]['full']}",
        )  # fmt: skip

    def _backward(self, edge: EdgeKey, points: tuple[Point, ...], norm: float, way: Route) -> Wire:
        assert self.scale is not None
        a, b, _ = edge
        data, nodes = self.graph.edges[edge], self.graph.nodes
        color, wide, dash, mark = style.backward_line(norm, self.scale)
        shifted = _shifted(points, BESIDE / 2)
        what = f"∂{data['label']} " if data["label"] else ""
        title = f"{nodes[b]['full']} → {nodes[a]['full']}: gradient norm {norm:.6g}"
        label = f"{what}{number(norm)}" if way.side else ""
        at = _over(points) if way.side else None
        where = _own_stretch(shifted, from_source=way.net[0] == "to")
        return Wire(b, a, tuple(reversed(shifted)), "backward", color, wide, dash, label, at,
                    title, mark, where)  # fmt: skip

    def _legend(self) -> list[Swatch]:
        kinds = {
            "state" if d["is_state"] and d["kind"] == "op" else d["kind"]
            for _, d in self.graph.nodes(data=True)
        }
        delayed = any(d["kind"] == "time" for *_, d in self.graph.edges(data=True))
        shown = [kind for kind in style.FILLS if kind in kinds]
        swatches = style.forward_swatches(shown, delayed=delayed)
        return swatches + (style.backward_swatches(self.scale) if self.scale else [])

    def _notes(self) -> list[str]:
        if not self.hidden:
            return []
        low, high = min(self.hidden), max(self.hidden)
        return [
            f"t = {count(low)} … {count(high)} left out: "
            f"{count(len(self.hidden))} of {count(self.steps)} steps"
        ]


def _window(graph: Graph, level: str, limit: int | None) -> tuple[int, frozenset[int]]:
    """How many steps there are, and which are left out: the middle, the first and last stay."""
    times = sorted({t for node in graph.nodes if (t := node.scope.labels.get("t")) is not None})
    if level == "rolled":
        return len(times), frozenset()
    limit = STEPS[level] if limit is None else limit
    if limit < 2:
        raise ValueError(f"max_steps must be at least 2, got {limit}")
    if len(times) <= limit:
        return len(times), frozenset()
    first = (limit + 1) // 2
    return len(times), frozenset(times[first : len(times) - (limit - first)])


def _named_norms(
    members: list[Node], norms: dict[Node, float], data: dict[str, object]
) -> list[tuple[str, float]]:
    """The gradients that a box shows: of its states where it is a cell, else of its result."""
    known = [node for node in members if node in norms]
    if not known or data["kind"] == "gap":
        return []
    if data["kind"] == "parameter":
        return [("θ", math.hypot(*(norms[node] for node in known)))]
    states = {str(node.scope.labels["state"]): norms[node] for node in known
              if "state" in node.scope.labels}  # fmt: skip
    if data["kind"] == "cell" and states:
        return sorted(states.items(), key=lambda item: item[0] != "h")
    return [("", norms[known[-1]])]


def _bands(grid: Grid, placed: geometry.Geometry) -> Iterable[Band]:
    top = placed.top - geometry.HEADING
    for i, ((left, right), t) in enumerate(zip(placed.columns, grid.times, strict=True)):
        if t is not None:
            heading = "…" if t == "gap" else f"t = {t}"
            yield Band(left + 3, top, right - left - 6, placed.bottom - top, heading, i % 2 == 0)


def _most_sides(routing: Routing) -> dict[int, int]:
    """For each box the most straight wires at one of its sides; one needs no extra room."""
    most: dict[int, int] = {}
    for (a, b), edges in routing.sides.items():
        for n in (a, b):
            most[n] = max(most.get(n, 0), len(edges) if len(edges) > 1 else 0)
    return most


def _over(points: tuple[Point, ...]) -> Point:
    """Where the label of a straight wire goes: over its middle."""
    (ax, ay), (bx, _) = points[0], points[-1]
    return (ax + bx) / 2, ay - 8


def _beside_longest(points: tuple[Point, ...]) -> Point:
    """Where the label of a loop goes: beside its longest stretch that runs up or down."""
    upright = [(p, q) for p, q in pairwise(points) if p[0] == q[0]]
    if not upright:
        return _over(points)
    (ax, ay), (_, by) = max(upright, key=lambda pair: abs(pair[0][1] - pair[1][1]))
    return ax + 22, (ay + by) / 2


def _own_stretch(points: tuple[Point, ...], *, from_source: bool) -> Point:
    """Where a mark stands: on the stretch that a wire does not share with others of its net.

    That is by the source where the net gathers at a target, by the target where it fans out.
    """
    upright = [(p, q) for p, q in pairwise(points) if abs(p[0] - q[0]) < 0.01]
    if not upright or from_source:
        (ax, ay), (bx, by) = points[0], points[1]
    else:
        (ax, ay), (bx, by) = max(upright, key=lambda pair: abs(pair[0][1] - pair[1][1]))
    return (ax + bx) / 2, (ay + by) / 2


def _shifted(points: tuple[Point, ...], by: float) -> tuple[Point, ...]:
    """A wire moved aside; its ends stay on the edges of the boxes that they touch."""
    moved = [(x + by, y + by) for x, y in points]
    for end, inner in ((0, 1), (-1, -2)):
        upright = abs(points[end][0] - points[inner][0]) < 0.01
        x, y = moved[end]
        moved[end] = (x, points[end][1]) if upright else (points[end][0], y)
    return tuple(moved)


def _plain(graph: nx.MultiDiGraph) -> nx.MultiDiGraph:
    """The graph without the bookkeeping of the drawing."""
    for _, _, data in graph.edges(data=True):
        data.pop("sources", None)
    return graph
