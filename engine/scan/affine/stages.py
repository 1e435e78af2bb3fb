"""The stages of a recurrence as data. Below `split.py`, which cuts a step into them."""

from dataclasses import dataclass
from typing import Any

from engine.scan.affine.kinds import Axes
from engine.scan.program import Program


@dataclass(frozen=True, eq=False)
class Stage:
    """A program for some states of the whole one, or for the arguments of a memory or of a line.

    The sources of the program are those of the whole one by name and number; ``("state", i)`` is
    state i before every step, ``("read", n)`` what read n gives.
    """

    program: Program
    states: tuple[int, ...] = ()
    memory: "Matrix | None" = None
    line: "Line | None" = None
    shift: int | None = None  # the state of which its steps give the new value


@dataclass(frozen=True, eq=False)
class Line:
    """A state that goes on entry by entry, S' = a S + b: what its stage gives are a and b.

    Each is a number, or a place among the steps of the stage.
    """

    state: int
    decay: Any
    added: Any


@dataclass(frozen=True, eq=False)
class Matrix:
    """How the steps of a stage are the arguments of a memory: numbers, or places among the steps.

    ``outer`` has pairs (k, v), `rank_one` u and w, `reads` the number of the read, whether it is of
    the state after the step, and q.
    """

    state: int
    axes: Axes
    decay: Any
    outer: tuple[tuple[Any, Any], ...]
    rank_one: tuple[Any, Any] | None
    reads: tuple[tuple[int, bool, Any], ...]


@dataclass(frozen=True, eq=False)
class Split:
    """The stages of a program in the order in which they are run; the last has the outputs."""

    stages: tuple[Stage, ...]
    outputs: Stage
