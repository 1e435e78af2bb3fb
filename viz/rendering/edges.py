"""Draw the wires of a picture: their colours, their words, their marks, and where these stand.

Above `placing.py` and the layout, below `scene_builder.py`.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import attrgetter

from viz import style
from viz.labels import width
from viz.layout import wire_kinds
from viz.layout.geometry import Geometry
from viz.layout.wires import strung
from viz.model.elements import Link, Model
from viz.moved import Form, Moved, form_of, reversed_form
from viz.rendering.annotations import Annotations
from viz.rendering.placing import SIZE, WIRES, Area, Table, WireRoom, level_at, mark_at
from viz.rendering.trunks import trunks
from viz.rendering.wire_words import Words
from viz.scene import Line, Point, Wire

FORWARD = {  # class, colour and width of the wire of each kind of link
    "data": ("forward", style.FORWARD, 1.2),
    "parameter": ("forward", style.PARAMETER, 1.0),
    "time": ("time", style.TIME, 2.0),
    "context": ("time", style.CONTEXT, 2.0),
}
# How far a gradient and its forward wire lie apart: wide ones more, thin rails less.
BESIDE = {"data": 6, "parameter": 4, "time": 10, "context": 10}
MARK = 22  # the room for a mark between columns
STATES = frozenset({"time", "context"})  # the kinds of edges from state to state


Label = tuple[str, Point]


def states_wider(model: Model) -> bool:
    """Return whether gradients from state to state have a wider scale: where boxes are cells."""
    return model.level in ("cell", "rolled")


class Edges:
    """Draw the wires of one picture that is laid out.

    Then `right` is how far their words reach, and `without_room` how many edges got none.
    """

    def __init__(
        self, model: Model, annotations: Annotations, scale: style.Scale | None, words: Words,
        place: Geometry,
    ) -> None:  # fmt: skip
        self.model, self.annotations, self.scale = model, annotations, scale
        self.words, self.place = words, place
        self.items, self.links = model.items, model.links
        self.names = [item.full for item in self.items]
        self.points = strung(model, place)
        self.worded = words.worded(place.grid)
        self.states_wider = states_wider(model)
        self.right, self.without_room = 0.0, 0
        self.strokes: dict[tuple[str, float], tuple[str, float, str, str, str]] = {}
        self.marks_at: dict[int, Point] = {}  # the places of marks between columns

    def wires(self) -> list[Wire]:
        """Return a blue wire for every edge and, for measured gradients, a red one beside it."""
        forward, backward, looking = [], [], []
        names, points = self.names, self.points
        labels = self._labels()
        dressed = self.worded
        if self.annotations.marks or self.annotations.link_colors or self.annotations.dim_links:
            dressed = set(range(len(self.links)))
        measured = self.scale is not None
        for i, link in enumerate(self.links):
            if link.kind == "attention":
                looking.append(self._attention(i, link))
                continue
            way = points[i]
            if backed := measured and link.grad_norm is not None:
                way, back = self._both(i, way)
                backward.append(self._backward(i, link, back, labels.get(i)))
            if i in dressed:
                forward.append(self._forward(i, link, way, None if backed else labels.get(i)))
            else:  # most of them, so this is quick
                kind, color, wide = FORWARD[link.kind]
                a, b = link.source, link.target
                title = f"{names[a]} → {names[b]}"
                forward.append(Wire(a, b, way, kind, color, wide, "", "", None, title))
        looking.sort(key=lambda wire: wire.width)
        return [*looking, *forward, *sorted(backward, key=attrgetter("width"))]

    # ---- words

    def _labels(self) -> dict[int, Label]:
        """Return the words of edges and their places: between columns, or where there is room."""
        found: dict[int, Label] = {}
        crowded: dict[int, str] = {}
        self._mark_bundled()
        for i, text, between in self.words.texts(self.place.grid):
            at = self._between_columns(i, text) if between else None
            if at is not None:
                found[i] = text, at
            elif self.words.rolled or i in self.annotations.labels or len(self.links) < WIRES:
                crowded[i] = text
        for i in self._on_marks(found):
            crowded[i] = found.pop(i)[0]
        if crowded:
            self._find_room(crowded, found)
        return found

    def _mark_bundled(self) -> None:
        """Put the marks of wires that come to share one between the columns, before they do."""
        grid = self.place.grid
        for i in self.annotations.marks if self.words.bundled else ():
            near = grid.way[i] in (wire_kinds.NEXT, wire_kinds.BACK) and i not in grid.straight
            if near and self.items[self.links[i].target].gap is not None:
                right = self.words.column(grid, i)
                x = self.place.left[right] + self.place.gap(right) / 2
                level = level_at(self.points[i], x)
                if level is not None:
                    self.marks_at[i] = x, level

    def _on_marks(self, found: dict[int, Label]) -> list[int]:
        """Return the edges of which the words lie on the mark of another edge."""
        marks = Table()
        for i, (x, y) in self.marks_at.items():
            if self._mark(i, self.links[i]):
                marks.add((x - 7.0, y - 4.0, x + 7.0, y + 5.0))
        halves = {i: width(text, SIZE) / 2 for i, (text, _) in found.items()}
        return [i for i, (_, (x, y)) in found.items()
                if marks.hits((x - halves[i], y - 8.0, x + halves[i], y + 2.0))]  # fmt: skip

    def _find_room(self, crowded: dict[int, str], found: dict[int, Label]) -> None:
        """Give words to edges that have no place between columns, where nothing is."""
        room = self._room()
        for text, at in found.values():
            room.take_words(*at, text)
        for i, text in crowded.items():
            points: Sequence[Point] = self._drawn(i)
            if not self.words.rolled:  # the stretch that the wire has to itself
                points = points[1:3] if i in self.marks_at else points[-3:]
            free = room.beside(points, text)
            if free is None:
                self.without_room += 1
            else:
                found[i] = text, free
        self.right = room.right + 6

    def _between_columns(self, i: int, text: str) -> Point | None:
        """Return the place in the room between columns, where no upright wire is.

        A mark of the edge stands there too.
        """
        place = self.place
        grid, right = place.grid, self.words.column(place.grid, i)
        straight, gap = i in grid.straight, place.gap(right)
        room = gap - (0 if straight or not self.words.crowded else MARK)
        x = place.left[right] + room / 2
        mark_x = x
        backed = self.scale is not None and self.links[i].grad_norm is not None
        if straight:
            level: float | None = self.points[i][0][1]
            over = 13 if self._mark(i, self.links[i]) and not backed else 8
        else:
            mark_x = place.left[right] + gap - 9
            if not gap:
                return None
            level, over = level_at(self.points[i], x), 7
        if level is None or width(text, SIZE) > room - 4:
            return None
        self.marks_at[i] = (mark_x, level + BESIDE["time"] // 2 * backed)
        return x, level - over

    def _drawn(self, i: int) -> Moved:
        """Return the wire that words belong to: the gradient's where there is one."""
        backed = self.scale is not None and self.links[i].grad_norm is not None
        return self._both(i, self.points[i])[1].reversed() if backed else self.points[i]

    def _both(self, i: int, way: Moved) -> tuple[Moved, Moved]:
        """Return the wires of an edge and of its gradient, which runs back, beside each other."""
        apart = BESIDE[self.links[i].kind]
        if self.words.crowded and i not in self.place.grid.straight:
            apart = BESIDE["data"]  # so that marks of neighbours are as far apart as their wires
        ahead, back = _apart(way.form, apart)
        by, start, end = way.by, way.start, way.end
        return Moved(ahead, by, start, end), Moved(back, by, end, start)

    def _room(self) -> WireRoom:
        """Return the sheet with all that stands on it before the words of edges do."""
        place = self.place
        heads = ((x, place.top - 22.0, y, place.top - 2.0) for x, y in place.spans)
        boxes: Iterable[Area] = (
            (x - 2.0, y - 2.0, x + w + 2.0, y + h + 2.0) for x, y, w, h in place.boxes
        )
        room = WireRoom([*boxes, *heads], left=4, right=place.width - 6, bottom=place.bottom + 12)
        drawn = [self._drawn(i) for i in range(len(self.links))]
        room.cross(drawn)
        for i, link in enumerate(self.links):
            if mark := self._mark(i, link):
                x, y = self._mark_at(i, drawn[i])
                room.take_words(x, y + 5, mark, 15)
        return room

    def _mark(self, i: int, link: Link) -> str:
        """Return the mark of an edge: that of the look, or that of a dead or broken gradient."""
        own = self.annotations.marks.get(i, "")
        if own or self.scale is None or link.grad_norm is None:
            return own
        if not self.words.has_mark(link.grad_norm):
            return ""
        return style.backward_line(link.grad_norm, self.scale)[3]

    def _mark_at(self, i: int, wire: Moved, *, back: bool = False) -> Point:
        """Return where its mark stands: by its words where they stand between columns.

        A wire that runs `back` has it where one of the edge itself would.
        """
        if i in self.marks_at:
            return self.marks_at[i]
        x, y = _mark_on(wire.form, self.place.grid.way[i], back=back)
        return x + wire.by, y

    # ---- wires

    def _forward(self, i: int, link: Link, points: Moved, label: Label | None) -> Wire:
        kind, color, wide = FORWARD[link.kind]
        backed = self.scale is not None and link.grad_norm is not None
        mark = "" if backed else self.annotations.marks.get(i, "")
        text, at = label or ("", None)
        title = f"{self.names[link.source]} → {self.names[link.target]}"
        if not (text or backed) and i in self.worded and (hidden := self.words.of(i)):
            title = f"{title}: {hidden}"
        return Wire(
            link.source, link.target, points, kind, self.annotations.link_colors.get(i, color),
            wide, "", text, at, title, mark,
            self._mark_at(i, points) if mark else None, i in self.annotations.dim_links,
        )  # fmt: skip

    def _attention(self, i: int, link: Link) -> Wire:
        color, wide = style.attention_line(link.weight or 0.0)
        a, b = self.items[link.source], self.items[link.target]
        title = f"{b.full} at t = {b.t} looks at t = {a.t}: weight {link.weight:.6g}"
        return Wire(link.source, link.target, self.points[i], "attention", color, wide,
                    title=title, dim=i in self.annotations.dim_links)  # fmt: skip

    def _backward(self, i: int, link: Link, points: Moved, label: Label | None) -> Wire:
        assert self.scale is not None
        assert link.grad_norm is not None
        color, wide, dash, mark, norm = self._gradient(link.kind, link.grad_norm)
        a, b = link.source, link.target
        title = f"{self.names[b]} → {self.names[a]}: gradient norm {norm}"
        mark = self.annotations.marks.get(i, mark)
        text, at = label or ("", None)
        return Wire(
            b, a, points, "backward", color, wide, dash, text, at, title, mark,
            self._mark_at(i, points, back=True) if self._mark(i, link) else None,
            i in self.annotations.dim_links,
        )  # fmt: skip

    def _gradient(self, kind: str, norm: float) -> tuple[str, float, str, str, str]:
        """Return colour, width, dash, mark and number: states have more room, rails are thin."""
        assert self.scale is not None
        if (kind, norm) not in self.strokes:  # zeros are many
            full = style.STATE if self.states_wider and kind in STATES else style.FULL
            color, wide, dash, mark = style.backward_line(norm, self.scale, full)
            wide = min(wide, style.RAIL) if kind == "parameter" else wide
            self.strokes[kind, norm] = color, wide, dash, mark, f"{norm:.6g}"
        return self.strokes[kind, norm]

    def trunks(self) -> list[Line]:
        """Return what lies under the wires of weights that are as wide as what they carry."""
        if self.scale is None or not self.annotations.weights:
            return []
        ways = {i: self._both(i, self.points[i])[1] for i in self.annotations.weights}
        return list(trunks(self.model, self.annotations.weights, ways, self.scale))


@lru_cache(maxsize=65536)
def _mark_on(form: Form, way: int, *, back: bool) -> Point:
    return mark_at(form.points[::-1] if back else form.points, way)


@lru_cache(maxsize=65536)
def _apart(form: Form, by: int) -> tuple[Form, Form]:
    """Return a wire moved to one side, and turned round on the other."""
    return shifted(form, -by // 2), reversed_form(shifted(form, by // 2))


def shifted(form: Form, by: int) -> Form:
    """Return a wire moved aside; its ends stay on the edges of the boxes that they touch."""
    points = form.points
    aside = [(x + by, y + by) for x, y in points]
    for end, inner in ((0, 1), (-1, -2)):
        x, y = aside[end]
        aside[end] = (
            (x, points[end][1]) if points[end][0] == points[inner][0] else (points[end][0], y)
        )
    return form_of(tuple(aside))
