"""Keep lines as moved copies of one form: columns of one shape repeat, and so do their wires.

What is worked out of a form, its text in a file say, holds for all copies of it. Below the scene.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import overload

Point = tuple[float, float]


class Form:
    """Hold a line through points, one object a line: caches look it up without reading it."""

    __slots__ = ("points",)

    def __init__(self, points: tuple[Point, ...]) -> None:
        self.points = points


@lru_cache(maxsize=65536)
def form_of(points: tuple[Point, ...]) -> Form:
    """Return the form of a line, the same one for the same line."""
    return Form(points)


@lru_cache(maxsize=65536)
def reversed_form(form: Form) -> Form:
    """Return a form from its end to its beginning."""
    return form_of(form.points[::-1])


class Moved(Sequence[Point]):
    """Hold the points of a form, moved to the right by `by`; equal to a tuple of the same points.

    Its first and last point may lie further to the right by `start` and `end`, on a level stretch
    that is long in the form and as long here: a wire from a rail reaches as far as its column is.
    """

    __slots__ = ("by", "end", "form", "start")

    def __init__(self, form: Form, by: float, start: float = 0, end: float = 0) -> None:
        self.form, self.by, self.start, self.end = form, by, start, end

    def reversed(self) -> "Moved":
        """Return the points from the last to the first."""
        return Moved(reversed_form(self.form), self.by, self.end, self.start)

    def all(self) -> tuple[Point, ...]:
        """Return the points."""
        by = self.by
        points = [(x + by, y) for x, y in self.form.points]
        for at, more in ((0, self.start), (-1, self.end)):
            if more:
                x, y = points[at]
                points[at] = (x + more, y)
        return tuple(points)

    @overload
    def __getitem__(self, at: int) -> Point: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[Point, ...]: ...

    def __getitem__(self, at: int | slice) -> Point | tuple[Point, ...]:
        return self.all()[at]

    def __len__(self) -> int:
        return len(self.form.points)

    def __iter__(self) -> Iterator[Point]:
        return iter(self.all())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Moved):
            return self.all() == other.all()
        return self.all() == other if isinstance(other, tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.all())

    def __repr__(self) -> str:
        return repr(self.all())


def moved(points: Sequence[Point]) -> Moved:
    """Return any line as a moved form."""
    return points if isinstance(points, Moved) else Moved(form_of(tuple(points)), 0)
