"""Compute the points of every wire, in pixels. Above `geometry.py`.

What lies in one column and its neighbours is worked out once for each shape of columns.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from viz.layout import wire_kinds
from viz.layout.columns import BAR, RAIL
from viz.layout.geometry import Geometry
from viz.layout.routing import Route, net_of
from viz.model.elements import Model
from viz.moved import Form, Moved, form_of, moved

LEAD = 40  # of the level stretch before the form of a wire: longer than corners and heads
INNER = frozenset({wire_kinds.LOCAL, wire_kinds.NEXT, wire_kinds.BACK})  # no stretch lies outside
Points = tuple[tuple[int, int], ...]


def strung(model: Model, geometry: Geometry) -> list[Moved]:
    """Return the way of every link, from its source to its target."""
    return _Strings(model, geometry).all()


class _Strings:
    """Compute the wires of one picture."""

    def __init__(self, model: Model, geometry: Geometry) -> None:
        self.model, self.geometry = model, geometry
        self.grid, self.frames, self.y = geometry.grid, geometry.frames, geometry.heights
        self.sides: dict[tuple[int, int], list[int]] = {}
        for i in sorted(self.grid.straight):
            link = model.links[i]
            self.sides.setdefault((link.source, link.target), []).append(i)

    def all(self) -> list[Moved]:
        """Return every wire, by the number of its link."""
        grid, left = self.grid, self.geometry.left
        wires: list[Any] = [()] * len(self.model.links)
        made: dict[Any, list[Form]] = {}
        shapes = [-1, *grid.shape_of, -1]
        for c, home in enumerate(grid.home):
            around = tuple(shapes[c : c + 3])
            if around not in made:
                routes = self.frames[grid.shape_of[c]].wiring.routes
                made[around] = [form_of(self._inside(i, route, c))
                                for i, route in zip(home, routes, strict=True)]  # fmt: skip
            x = left[c]
            for i, form in zip(home, made[around], strict=True):
                wires[i] = Moved(form, x)
        for i, way in enumerate(grid.way):
            if way not in INNER:
                wires[i] = self._reaching(i, way, wires[i]) or moved(self._closed(i, way, wires[i]))
        return wires

    def _source(self, a: int, c: int) -> tuple[int, int, int]:
        """Return x, from the left end of column c, width and height of a box there or beside it."""
        at = self.grid.columns.of[a]
        x, w, h = self.frames[self.grid.shape_of[at]].boxes[self.grid.position[a]]
        return x + self.geometry.left[at] - self.geometry.left[c], w, h

    def _inside(self, i: int, r: Route, c: int) -> Points:
        """Return the part of a wire in its column and the next ones, from the column's left end."""
        grid, link, way = self.grid, self.model.links[i], self.grid.way[i]
        a, b = link.source, link.target
        frame = self.frames[grid.shape_of[c]]
        if way in (wire_kinds.TO_BAR, wire_kinds.TO_END):
            return self._upward(i, r, c)
        x, w, h = frame.boxes[grid.position[b]]
        if r.side:
            return self._straight(i, c, (x, w, h))
        end = self.y.middle[grid.row[b]] - h // 2 + h
        port = frame.port(grid.position[b], r.net)
        if way == wire_kinds.FROM_BAR and r.gutter is None:
            return ((port, end),)
        below = self.y.track(r.down, frame.wiring.channels.of[r.down, r.net])
        last: Points = ((port, below), (port, end))
        if r.gutter is None:
            middle, start = self._top(a, c)
            return straightened(((middle, start), (middle, below), *last))
        turn = frame.gutter(r.gutter, r.net)
        last = ((turn, below), *last)
        if way not in INNER:  # the first stretches come later
            return last
        middle, start = self._top(a, c)
        above = self._above(i, a, r.up, "left" if way == wire_kinds.BACK else "from")
        return straightened(((middle, start), (middle, above), (turn, above), *last))

    def _top(self, a: int, c: int) -> tuple[int, int]:
        """Return where wires leave a box upward."""
        x, w, h = self._source(a, c)
        return x + w // 2, self.y.middle[self.grid.row[a]] - h // 2

    def _above(self, i: int, a: int, channel: int, kind: str) -> int:
        """Return the y of the wire of a box in the channel above it."""
        wiring = self.frames[self.grid.shape_of[self.grid.columns.of[a]]].wiring
        net = net_of(self.grid, kind, i, self.grid.position[a])
        return self.y.track(channel, wiring.channels.of[channel, net])

    def _bar(self, n: int) -> tuple[int, int, int]:
        """Return the right end of the box of a bar, and the y of the wires to it and from it."""
        x, y, w, h = self.geometry.boxes[n]
        return x + w, y + h * 3 // 4, y + h // 4

    def _straight(self, i: int, c: int, target: tuple[int, int, int]) -> Points:
        link = self.model.links[i]
        order = self.sides[link.source, link.target]
        sx, sw, sh = self._source(link.source, c)
        x, w, h = target
        high = min(sh, h)
        level = self.y.middle[self.grid.row[link.target]] - high // 2
        level += high * (order.index(i) + 1) // (len(order) + 1)
        return ((sx + sw, level), (x, level)) if sx < x else ((sx, level), (x + w, level))

    def _upward(self, i: int, r: Route, c: int) -> Points:
        """Return a wire that ends at a bar, without its last stretch."""
        link = self.model.links[i]
        middle, start = self._top(link.source, c)
        _, arrives, _ = self._bar(link.target)
        if r.gutter is None:
            return ((middle, start), (middle, arrives))
        frame = self.frames[self.grid.shape_of[c]]
        turn = frame.gutter(r.gutter, r.net)
        above = self.y.track(r.up, frame.wiring.channels.of[r.up, r.net])
        return ((middle, start), (middle, above), (turn, above), (turn, arrives))

    def _reaching(self, i: int, way: int, inside: Moved) -> Moved | None:
        """Return a long wire from a rail or bar, of one form in all columns; None for another."""
        if way not in (wire_kinds.FROM_RAIL, wire_kinds.FROM_BAR):
            return None
        a, form, by = self.model.links[i].source, inside.form, inside.by
        x, y, w, h = self.geometry.boxes[a]
        reach = x + w + LEAD - form.points[0][0] - by
        if reach > 0:
            return None
        level = self.geometry.rail[self.grid.lane[a]] if way == wire_kinds.FROM_RAIL else y + h // 4
        form = _led(form, level)
        return Moved(form, by, reach) if len(form.points) > 2 else None

    def _closed(self, i: int, way: int, points: Sequence[Any]) -> Points:
        """Return a wire with the stretches that lie outside of its column."""
        link, geometry, boxes = self.model.links[i], self.geometry, self.geometry.boxes
        a, b = link.source, link.target
        if way == wire_kinds.ASIDE:
            return self._aside(i)
        if way == wire_kinds.TO_END:
            return straightened((*points, (boxes[b][0], points[-1][1])))
        if way == wire_kinds.TO_BAR:
            return straightened((*points, (self._bar(b)[0], points[-1][1])))
        turn = points[0][0]
        if way == wire_kinds.FROM_RAIL:
            y = geometry.rail[self.grid.lane[a]]
            return straightened(((boxes[a][0] + boxes[a][2], y), (turn, y), *points))
        if way in (wire_kinds.FROM_BAR, wire_kinds.BAR_END):
            x, _, level = self._bar(a)
            return straightened(((x, level), (turn, level), *points))
        at = self.grid.columns.of[a]
        frame = self.frames[self.grid.shape_of[at]]
        up = self.grid.row[a] + 1
        last = len(frame.left) - 2
        exit_ = geometry.left[at] + frame.gutter(
            last, net_of(self.grid, "from", i, self.grid.position[a])
        )
        above = self._above(i, a, up, "from")
        x, y, w, _ = boxes[a]
        middle = x + w // 2
        if way == wire_kinds.FAN:
            arc = arched(exit_, turn, geometry.fan, geometry.fan - geometry.top)
            return straightened(((middle, y), (middle, above), (exit_, above), *arc, *points))
        lane = geometry.lanes["from", a] if way == wire_kinds.FAR else geometry.lanes["to", b]
        return straightened(
            ((middle, y), (middle, above), (exit_, above), (exit_, lane), (turn, lane), *points)
        )

    def _aside(self, i: int) -> Points:
        """Return a wire between two boxes on the rail or on bars: by their left ends."""
        link, of, boxes = self.model.links[i], self.grid.columns.of, self.geometry.boxes
        a, b = link.source, link.target
        zone = self.geometry.zones[i]
        (ax, ay, aw, ah), (bx, by, _, bh) = boxes[a], boxes[b]
        arrives = by + bh * 3 // 4
        if of[a] == RAIL and of[b] == BAR:
            y = self.geometry.rail[self.grid.lane[a]]
            return straightened(((ax + aw, y), (zone, y), (zone, arrives), (bx, arrives)))
        y = ay + ah // 4
        return straightened(((ax, y), (zone, y), (zone, arrives), (bx, arrives)))


@lru_cache(maxsize=4096)
def _led(form: Form, y: int) -> Form:
    """Return a form with a level stretch before it, at this height."""
    turn = form.points[0][0]
    return form_of(straightened(((turn - LEAD, y), (turn, y), *form.points)))


def arched(start: int, end: int, foot: int, room: int) -> Points:
    """Return half an ellipse over `foot`, the higher the wider it is, at most `room` high."""
    high = min(room - 6, 12 + abs(end - start) // 12)
    middle, half = (start + end) / 2, (start - end) / 2
    turns = [math.pi * k / 24 for k in range(25)]
    return tuple((round(middle + half * math.cos(a)), round(foot - high * math.sin(a)))
                 for a in turns)  # fmt: skip


def straightened(points: Sequence[Any]) -> Points:
    """Return the points without those at which the line does not turn."""
    kept: list[tuple[int, int]] = []
    for x, y in points:
        if kept and kept[-1] == (x, y):
            continue
        if len(kept) > 1 and (kept[-2][0] == kept[-1][0] == x or kept[-2][1] == kept[-1][1] == y):
            kept[-1] = (x, y)
            continue
        kept.append((x, y))
    return tuple(kept)
