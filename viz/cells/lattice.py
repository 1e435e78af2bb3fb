"""Find ways for wires on a lattice of points: around boxes, crossing others at right angles only.

A wire is a way through points that are a unit apart; it turns at points, and wires of one source
share their beginning. Knows boxes and points alone; below `routing.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from heapq import heappop, heappush
from itertools import pairwise
from math import inf

Spot = tuple[int, int]
Step = tuple[int, int]
State = tuple[Spot, Step]
RIGHT, LEFT, UP, DOWN = (1, 0), (-1, 0), (0, -1), (0, 1)
TURN, CROSS, BESIDE, OFF_RAIL, SHARED, ALONG = 5.0, 4.0, 0.6, 3.0, 0.15, 1_000.0


@dataclass(frozen=True, slots=True)
class Port:
    """Describe a point at a box, and the direction in which a wire passes it."""

    at: Spot
    way: Step
    cost: float = 0.0


@dataclass
class Lattice:
    """Hold points 0 to `width`, 0 to `height`: those blocked, and which source's wires use them.

    `level` and `upright` have the source of the wire that passes a point in that direction.
    """

    width: int
    height: int
    blocked: set[Spot] = field(default_factory=set)
    beside: set[Spot] = field(default_factory=set)
    kept: dict[Spot, int] = field(default_factory=dict)  # ports: for wires of that box alone
    mouths: dict[Spot, tuple[int, ...]] = field(default_factory=dict)  # in front of ports
    level: dict[Spot, int] = field(default_factory=dict)
    upright: dict[Spot, int] = field(default_factory=dict)
    rails: dict[int, int] = field(default_factory=dict)  # the row of each source under `floor`
    floor: int = 10_000
    ways: dict[int, list[list[Spot]]] = field(default_factory=dict)  # by their source

    def route(
        self, ends: tuple[int, int], starts: list[Port], goals: list[Port], *, loose: bool = False
    ) -> tuple[list[Spot], Port] | None:
        """Return the cheapest way from a start to a goal, and that goal; None where there is none.

        `ends` are the keys of both boxes. A `loose` way may lie on others where it has to.
        """
        last = {(goal.at, goal.way): goal for goal in goals}
        spots = [goal.at for goal in goals]
        # The least number of steps to a goal; a point is met from several sides.
        near = cache(lambda at: min(abs(at[0] - x) + abs(at[1] - y) for x, y in spots))
        best: dict[State, float] = {}
        before: dict[State, State] = {}
        heap: list[tuple[float, float, Spot, Step]] = []
        for state, cost in self._begun(ends[0], starts):
            if cost < best.get(state, inf):
                best[state] = cost
                heappush(heap, (cost + near(state[0]), cost, *state))
        found: tuple[float, State] = (inf, ((0, 0), RIGHT))
        while heap and heap[0][0] < found[0]:
            _, cost, at, way = heappop(heap)
            if cost > best[at, way]:
                continue
            if (at, way) in last:
                found = min(found, (cost + last[at, way].cost, (at, way)))
                continue
            for step, price in self._steps(ends, at, way, loose=loose):
                to, total = (at[0] + step[0], at[1] + step[1]), cost + price
                if total < best.get((to, step), inf):
                    best[to, step], before[to, step] = total, (at, way)
                    heappush(heap, (total + near(to), total, to, step))
        if found[0] == inf:
            return None
        return self._walked(ends[0], found[1], before), last[found[1]]

    def _begun(self, source: int, starts: list[Port]) -> Iterator[tuple[State, float]]:
        """Yield where a wire can begin: at its box, or on a wire of the box, before its end."""
        yield from (((start.at, start.way), start.cost) for start in starts)
        for way in self.ways.get(source, ()):
            for i, (a, b) in enumerate(pairwise(way[:-1])):
                yield (b, (b[0] - a[0], b[1] - a[1])), SHARED * (i + 1)

    def _walked(self, source: int, state: State, before: dict[State, State]) -> list[Spot]:
        """Return the way to a state, along another wire of the box where it began on one."""
        way = [state[0]]
        while state in before:
            state = before[state]
            way.append(state[0])
        for other in self.ways.get(source, ()):
            for i, (a, b) in enumerate(pairwise(other[:-1])):
                if state == (b, (b[0] - a[0], b[1] - a[1])):
                    return [*other[: i + 1], *way[::-1]]
        return way[::-1]

    def _steps(
        self, ends: tuple[int, int], at: Spot, way: Step, *, loose: bool
    ) -> Iterator[tuple[Step, float]]:
        """Yield where a wire may go on from a point, and what it costs."""
        for step in (RIGHT, UP, DOWN, LEFT):
            if step == (-way[0], -way[1]):
                continue
            to = (at[0] + step[0], at[1] + step[1])
            if not (0 <= to[0] <= self.width and 0 <= to[1] <= self.height) or to in self.blocked:
                continue
            if self.kept.get(to, ends[0]) not in ends and not loose:
                continue
            price = self._price(ends, at, way, to, step)
            if price < ALONG or loose:
                yield step, price

    def _price(self, ends: tuple[int, int], at: Spot, way: Step, to: Spot, step: Step) -> float:
        source = ends[0]
        own, other = (self.level, self.upright) if step[1] == 0 else (self.upright, self.level)
        price = 1.0
        if own.get(to, source) != source or own.get(at, source) != source:
            price += ALONG
        if step != way:
            price += TURN
            closing = at in self.mouths and not set(ends) & set(self.mouths[at])
            if closing or other.get(at, source) != source:  # it would turn on another's wire
                price += ALONG
        if other.get(to, source) != source:
            price += CROSS
        if to in self.beside:
            price += BESIDE
        if step[1] == 0 and at[1] > self.floor and self.rails.get(source, at[1]) != at[1]:
            price += OFF_RAIL
        return price + (0.4 if step == LEFT else 0.0)

    def take(self, source: int, way: list[Spot], end: Step) -> None:
        """Note that a wire of a source passes these points, and how it goes on from the last."""
        for a, b in pairwise(way):
            own = self.level if a[1] == b[1] else self.upright
            own[a] = own[b] = source
        self.ways.setdefault(source, []).append(way)
        own = self.level if end[1] == 0 else self.upright
        own[way[-1]] = source
