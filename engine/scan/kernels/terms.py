"""Define positions, terms and literals: the words that kernels are written in. Below `nest.py`."""

import math
import re
from typing import Any, NamedTuple

from engine.node import Shape
from engine.op import Along
from engine.scan.program import Literal

ROW = "b"


class At(NamedTuple):
    """Hold a position on an axis: factors of loop variables, and an offset."""

    factors: tuple[tuple[str, int], ...] = ()
    offset: int = 0

    def along(self, along: Along) -> "At":
        """Return the position on an axis of an input."""
        factors = tuple((name, factor * along.step) for name, factor in self.factors)
        return At(factors, self.offset * along.step + along.offset)


Index = tuple[At, ...]


class Term(NamedTuple):
    """Hold a value at an index: what the terms of a loop are known by."""

    p: int
    at: Index


class Fold(NamedTuple):
    """Hold a number that the innermost `loops` loops make, from `start`; it goes to place `to`."""

    name: str
    start: str
    to: str
    loops: int
    is_sum: bool


def literal(one: Any) -> str:
    """Return a Python number in C."""
    assert isinstance(one, Literal)
    value = one.value
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float) and not math.isfinite(value):
        return "(real)NAN" if math.isnan(value) else f"({'-' if value < 0 else ''}(real)INFINITY)"
    return f"((real){float(value)!r})"


def identifier(label: str) -> str:
    """Return a gate's name as the beginning of a C name."""
    name = re.sub(r"\W+", "_", label.split(",")[0], flags=re.ASCII)
    return f"{name}_" if name and len(name) <= 12 else ""


def strides(shape: Shape) -> tuple[int, ...]:
    """Return the distances between entries of a contiguous array along its axes."""
    found = [1]
    for size in reversed(shape[1:]):
        found.append(found[-1] * size)
    return tuple(reversed(found))[: len(shape)]
