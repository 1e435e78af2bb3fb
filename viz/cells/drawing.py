"""Draw one cell from its recorded step, beside its equations: `draw_cell`.

The last file of this folder; the others are parts of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import ceil, cos, pi, sin
from typing import Any

import networkx as nx

from engine.suggestions import advised, kind_of
from viz.cells.factors import measure, step_norm
from viz.cells.formulas import SIZE, below, beside, cut, pieces, run_width
from viz.cells.hovering import Hovering
from viz.cells.model import CellModel, StepRecord, build
from viz.cells.routing import Routed, routed
from viz.cells.sheet import UNIT
from viz.cells.signs import at_most
from viz.checks import check_title, check_width, shown
from viz.diagram import Diagram
from viz.instead import DRAWINGS
from viz.labels import number, wrapped
from viz.labels import width as width_of
from viz.rendering.fitting import shrunk
from viz.rendering.placing import Area, Room
from viz.scene import Band, Box, Line, Point, Rect, Run, Scene, Shape, Swatch, Wire, Words
from viz.style import FILLS, FORWARD, TIME

LAYER, OP = FILLS["parameter"], FILLS["op"]
KINDS = {"op": "pointwise", "result": "state"}
COLORS = {"op": OP, "layer": LAYER, "state": FILLS["state"], "result": FILLS["state"],
          "input": FILLS["input"]}  # fmt: skip
PIPE, THIN = 3.4, 1.5
HEAD = 30.0  # pixels: the height of the title
FACTOR, SYMBOL = 10.0, 12.5  # sizes of words
RED = "#8e1212"
DOT = 3.0  # the radius of a branch
GAP = 3.0  # between words and what they stand beside
LEAST = 190.0  # pixels: room for equations beside the cell
LEAST_WIDTH = 480.0  # pixels of a picture


@advised(DRAWINGS)
def draw_cell(
    cell: Any, *, x: Any = None, states: Any = None, title: str = "", width: float = 800
) -> Diagram:
    """Draw one step of a cell as the textbooks do, from its record, beside its equations.

    States that are carried on by sums and products alone are lanes; layers (weights with their
    activation) stand in a row, all other ops between. Each wire has as its factor the norm of the
    derivative of the box that it enters by the one that it leaves, the others held fixed: the
    largest singular value at the numbers of one step. These are `x` (B, I) and `states` (a tensor,
    a tuple, or a dict by name), or small normal numbers, the same at each call. The title has the
    norm of the whole step: how much of dL/d(h, c), the joint norm by the states as a step hands
    them on, each free of the other, one step back leaves at most. Where a browser shows the SVG or
    the page, hovering over a wire, a box or a term lights up what belongs to it.

    `graph` has a node for each box (with `value_norm`) and an edge for each wire (with
    `jacobian_norm`). The picture is `width` pixels wide, 480 or more: chains of ops that are longer
    stand above each other, and where the cell is wider even so it is made smaller, which a
    note says if letters have less than 9 pixels; under 800 long equations are cut. Raises TypeError
    for what is no cell, title or width, ValueError for numbers, names of states and widths that do
    not fit.

    >>> import rnn, viz
    >>> viz.draw_cell(rnn.ElmanCell(3, 5)).graph.number_of_nodes()
    4
    """
    _check(cell, states)
    check_title("draw_cell", title)
    width = check_width("draw_cell", width, LEAST_WIDTH)
    record: StepRecord = cell.recorded_step(x, states)
    model = build(record)
    measure(model)
    made = routed(model, record, width)
    drawing = _Drawing(model, record, made, width, title or _title(cell, record, width))
    told = [] if title else [*record.new]
    scene = drawing.scene(told, given=x is not None or states is not None)
    return Diagram(shrunk(scene, width), drawing.graph())


def _check(cell: Any, states: Any) -> None:
    """Raise TypeError for what is no cell, ValueError for states of other names."""
    if isinstance(cell, type) or not hasattr(cell, "recorded_step"):
        got = shown(cell) if isinstance(cell, type) else kind_of(cell)
        fix = f"; make one, as {cell.__name__}(3, 5)" if hasattr(cell, "recorded_step") else ""
        raise TypeError(f"draw_cell: expected a cell, such as rnn.LSTMCell(3, 5), got {got}{fix}")
    names = cell.state_size
    if isinstance(states, Mapping) and isinstance(names, Mapping) and set(states) != set(names):
        raise ValueError(
            f"draw_cell: expected states {', '.join(names)}, got {', '.join(map(str, states))}"
        )


def _title(cell: Any, record: StepRecord, width: float) -> str:
    """Return the finding: how much of a gradient on the states one step passes back to them."""
    kind, found = type(cell).__name__, step_norm(record)
    if found is None:
        return kind
    names = [old.partition("_")[0] for old in record.new]
    own = f"({', '.join(names)})" if len(names) > 1 else names[0]
    left = f"{kind}: one step back leaves at most {at_most(found)} of"
    titles = (f"{left} dL/d{own}", f"{left} the gradient on the {len(names)} states together")
    fits = (title for title in titles if width_of(title, 15, bold=True) < width - 24)
    return next(fits, kind)


def _notes(states: Sequence[str], *, given: bool) -> Iterator[str]:
    values = "the values given" if given else "small random values, the same at each call"
    yield (
        "Red: the norm (largest singular value) of the derivative of a box by what it reads, the "
        f"rest held fixed, in one step on {values}. In the SVG and the page, hover over a wire, a "
        "box or a term."
    )
    if len(states) > 1:
        own = " and ".join(old.partition("_")[0] for old in states)
        yield f"Title: the joint norm by {own} as a step hands them on, each free of the other."


def _sheet(formulas: Sequence[Words]) -> Rect:
    """Return the sheet that formulas stand on: the page fits itself to it, as it measures none."""
    right = max((one.x + run_width(one.runs) for one in formulas), default=0.0)
    left = min((one.x for one in formulas), default=0.0)
    top = min((one.y for one in formulas), default=0.0) - SIZE
    bottom = max((one.y for one in formulas), default=0.0) + 6
    return Rect(left, top, right - left, bottom - top, "#ffffff")


class _Drawing:
    """Draw the pieces of the picture."""

    def __init__(
        self, model: CellModel, record: StepRecord, made: Routed, width: float, title: str
    ) -> None:
        title_width = min(width, ceil(width_of(title, 15, bold=True)) + 24)
        self.model, self.record, self.made = model, record, made
        self.title = title
        self.lines = [pieces(line) for line in record.equations]
        self.hovering = Hovering(model, self.lines)
        own = made.sheet.width * UNIT
        self.runs = [self.hovering.runs(line) for line in self.lines]
        self.room = min(width - own - 24, ceil(max(map(run_width, self.runs), default=0.0)) + 8)
        self.beside = width - own - 24 >= LEAST and all(map(self._fits, self.runs))
        self.wide = max(width, own) if not self.beside else max(own + 24 + self.room, title_width)
        self.left = 0.0 if self.beside else max(0.0, (self.wide - own) / 2)

    def scene(self, told: Sequence[str], *, given: bool) -> Scene:
        """Return the whole picture; the title has the joint norm of the states `told`."""
        sheet = self.made.sheet
        notes = _notes(told if "at most" in self.title else (), given=given)
        high = HEAD + sheet.height * UNIT
        if self.beside:
            words, foot = beside(self.runs, sheet.width * UNIT + 16, HEAD + 34, self.room)
        else:
            words, foot = below(self.runs, 20.0, high + 22, self.wide - 40)
        return Scene(
            title=self.title,
            width=self.wide,
            height=max(high, foot) + 10,
            boxes=tuple(self._boxes()),
            wires=tuple(self._wires()),
            bands=(self._band(),),
            legend=self._legend(),
            notes=wrapped(notes, self.wide - 40),
            shapes=(_sheet(words), *self._dots(), *self._words(), *words),
            links=tuple(self.hovering.links()),
        )

    def _fits(self, formula: Sequence[Run]) -> bool:
        return all(run_width(line) <= self.room for line in cut(formula, self.room))

    def _at(self, point: Point) -> Point:
        return point[0] + self.left, point[1] + HEAD

    def _boxes(self) -> Iterator[Box]:
        for key, frame in sorted(self.made.sheet.frames.items()):
            part = frame.part
            x, y = self._at(frame.corner)
            yield Box(key, x, y, frame.w, frame.h, KINDS.get(part.role, part.role),
                      (part.sign, *part.inside), self.hovering.of_box(part),
                      fill=COLORS[part.role])  # fmt: skip

    def _wires(self) -> Iterator[Wire]:
        for use in self.model.uses:
            ends = (use.source, use.target)
            color, wide = (TIME, PIPE) if self._is_lane(*ends) else (FORWARD, THIN)
            yield Wire(*ends, tuple(map(self._at, self.made.ways[ends])), "forward", color, wide,
                       title=self.hovering.of_wire(use))  # fmt: skip

    def _is_lane(self, source: int, target: int) -> bool:
        """Tell whether a wire is a piece of a lane: straight, from a state or op to the next."""
        way = self.made.ways[source, target]
        lane = {self.made.sheet.frames[key].at[1] for key in self.made.sheet.lanes}
        return way[0][1] == way[-1][1] and len(way) == 2 and way[0][1] / UNIT in lane

    def _band(self) -> Band:
        left, top, right, bottom = (UNIT * v for v in self.made.sheet.body)
        x, y = self._at((left, top))
        return Band(x, y, right - left, bottom - top, "", True)

    def _dots(self) -> Iterator[Shape]:
        for x, y in map(self._at, self.made.branches):
            ring = tuple((x + DOT * cos(k * pi / 6), y + DOT * sin(k * pi / 6)) for k in range(12))
            yield Line(ring, FORWARD, 0.5, fill=FORWARD)

    def _words(self) -> Iterator[Words]:
        """Yield the symbols of boxes and the factors of wires, where there is room for them."""
        left, top, right, bottom = (UNIT * v for v in self.made.sheet.body)
        room = Room((left + 2, top + 2, right - 2, bottom - 2))
        room.take(((left + right) / 2 - 4, top, (left + right) / 2 + 4, top + 16))  # the heading's
        for frame in self.made.sheet.frames.values():
            x, y = frame.corner
            room.take((x, y, x + frame.w, y + frame.h), 1.0)
        for ends, way in self.made.ways.items():
            wide = PIPE if self._is_lane(*ends) else THIN
            for (ax, ay), (bx, by) in pairwise(way):
                own = (min(ax, bx), min(ay, by), max(ax, bx), max(ay, by))
                room.take(own, wide / 2 + 1)
        yield from self._symbols(room)
        yield from self._factors(room)

    def _symbols(self, room: Room) -> Iterator[Words]:
        for frame in self.made.sheet.frames.values():
            own = self.hovering.left.get(self.hovering.end(frame.part))
            if not own:
                continue
            runs = self.hovering.runs(own)
            words = Words(0, 0, self.hovering.symbol(frame.part), SYMBOL, anchor="start", runs=runs)
            x, y = frame.corner
            area = room.first(
                _beside_box((x, y, x + frame.w, y + frame.h), run_width(runs, SYMBOL), SYMBOL), 1.0
            )
            if area:
                x, y = self._at((area[0], area[3] - 3))
                yield words._replace(x=x, y=y)

    def _factors(self, room: Room) -> Iterator[Words]:
        lanes = [use for use in self.model.uses if self._is_lane(use.source, use.target)]
        for use in (*lanes, *(use for use in self.model.uses if use not in lanes)):
            if use.factor is None:
                continue
            text = number(use.factor)
            own = self.made.own_end((use.source, use.target))
            area = room.first(_beside_wire(own, width_of(text, FACTOR), FACTOR), 1.0)
            if area:
                x, y = self._at((area[0], area[3] - 1.5))
                yield Words(x, y, text, FACTOR, RED, "start")

    def _legend(self) -> tuple[Swatch, ...]:
        roles = {part.role for part in self.model.parts}
        found = [Swatch("layer: weights, then its function", LAYER[1], box=LAYER[0])]
        found = found if "layer" in roles else []
        if "op" in roles:
            found.append(Swatch("op", OP[1], box=OP[0]))
        if self.made.sheet.lanes:
            found.append(Swatch("lane of a state", TIME, PIPE))
        return tuple(found)

    def graph(self) -> nx.MultiDiGraph:
        """Return boxes and wires with all that is known of them."""
        graph = nx.MultiDiGraph()
        for part in self.model.parts:
            node = part.tensor.node
            graph.add_node(part.key, label=part.sign, full=self.hovering.name(part),
                           kind=part.role, op=node.op.name if part.nodes else "",
                           shape=part.tensor.shape, dtype=str(part.tensor.dtype),
                           value_norm=part.value_norm, weights=part.weights)  # fmt: skip
        for use in self.model.uses:
            graph.add_edge(use.source, use.target, kind="forward", jacobian_norm=use.factor,
                           label=self.hovering.of_wire(use))  # fmt: skip
        return graph


def _beside_wire(points: tuple[Point, ...], wide: float, high: float) -> Iterator[Area]:
    """Yield places for words beside a wire, those at its end first."""
    for (ax, ay), (bx, by) in reversed(list(pairwise(points))):
        for share in (0.62, 0.5, 0.38, 0.8, 0.2):
            x, y = ax + (bx - ax) * share, ay + (by - ay) * share
            if ay == by and abs(ax - bx) > wide:
                yield x - wide / 2, y - GAP - high, x + wide / 2, y - GAP
                yield x - wide / 2, y + GAP, x + wide / 2, y + GAP + high
            elif ax == bx and abs(ay - by) > high:
                yield x + GAP, y - high / 2, x + GAP + wide, y + high / 2
                yield x - GAP - wide, y - high / 2, x - GAP, y + high / 2


def _beside_box(area: Area, wide: float, high: float) -> Iterator[Area]:
    """Yield places for words at the corners of a box: above on the right first."""
    x0, y0, x1, y1 = area
    middle = (x0 + x1) / 2
    for y in (y0 - GAP - high, y1 + GAP):
        for x in (middle + GAP + 1, x1 - wide, x1 + GAP, middle - GAP - 1 - wide, x0,
                  x0 - GAP - wide):  # fmt: skip
            yield x, y, x + wide, y + high
    for y in (y0 - 2, y1 - high + 2):
        yield x1 + GAP, y, x1 + GAP + wide, y + high
        yield x0 - GAP - wide, y, x0 - GAP, y + high
