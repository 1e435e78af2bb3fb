"""Choose which steps a picture shows, and which are joined in gaps that say how many they are.

Below `drawing.py`.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from engine import Graph, Node
from engine.checks import is_whole
from viz.labels import count

STEPS = {"op": 6, "gate": 8, "cell": 12}  # shown by default

Block = str | None


def in_order(times: Iterable[Any]) -> list[Any]:
    """Return the steps in the order in which a picture has them.

    >>> in_order([2, 0, 1]), in_order(["noon", "night"])
    ([0, 1, 2], ['noon', 'night'])
    """
    given = list(dict.fromkeys(times))
    return sorted(given) if all(isinstance(t, int | float) for t in given) else given


@dataclass(frozen=True)
class Window:
    """Map every step that is left out, by block and t, to its gap; hold a note for each gap."""

    gaps: dict[tuple[Block, Any], tuple[Block, int]]
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls,
        graph: Graph,
        level: str,
        max_steps: int | None,
        steps: Collection[int] | None,
        *,
        joined: bool = False,
    ) -> "Window":
        """Return the window of a graph: the steps asked for, or the first and the last `max_steps`.

        With `joined` of all blocks but the last no step is shown.
        Raises ValueError for a `max_steps` under 1 and for steps of which there is none.
        """
        if level not in STEPS:  # rolled up, or unknown
            return cls({}, ())
        limit = STEPS[level] if max_steps is None else max_steps
        if not is_whole(limit):
            raise TypeError(f"max_steps must be a whole number, got {limit!r}")
        if not isinstance(steps, Collection | None) or isinstance(steps, str):
            raise TypeError(f"steps must be a range of time steps, got {steps!r}")
        if limit < 1:
            raise ValueError(f"max_steps must be at least 1, got {limit}")
        gaps: dict[tuple[Block, Any], tuple[Block, int]] = {}
        notes = []
        blocks = times_of(graph)
        if steps is not None and not any(t in steps for times in blocks.values() for t in times):
            there = ", ".join(_span(times) for times in blocks.values()) or "none"
            raise ValueError(
                f"steps {steps} holds none of the steps that there are; give some of t = {there}"
            )
        for block, times in blocks.items():
            whole = joined and block != next(reversed(blocks))
            for hidden in [times] if whole else _hidden(times, limit, steps):
                gaps |= {(block, t): (block, hidden[0]) for t in hidden}
                notes.append(
                    f"{f'{block}: ' if block else ''}t = {_span(hidden)} "
                    f"left out: {count(len(hidden))} of {count(len(times))} steps"
                )
        return cls(gaps, tuple(notes))

    def gap_of(self, node: Node) -> Hashable | None:
        """Return the gap that a node is joined in; None where it is shown."""
        if not self.gaps:
            return None
        labels = node.scope.labels
        return self.gaps.get((labels.get("block"), labels.get("t")))


def times_of(graph: Graph) -> dict[Block, list[Any]]:
    """Return the steps of each block, in order."""
    found: dict[Block, dict[Any, None]] = defaultdict(dict)
    last = None
    for node in graph.nodes:
        scope = node.scope
        if scope is not last:
            last = scope
            labels = scope.labels
            if "t" in labels:
                found[labels.get("block")][labels["t"]] = None
    return {block: in_order(times) for block, times in found.items()}


def from_the_start(limit: int) -> int:
    """Return how many of `limit` steps are the first ones: gradients come from the last ones."""
    return limit // 2


def _span(hidden: list[Any]) -> str:
    """Return the steps of a gap in words."""
    first, last = (count(t) if isinstance(t, int) else str(t) for t in (hidden[0], hidden[-1]))
    return first if len(hidden) == 1 else f"{first} … {last}"


def _hidden(times: list[Any], limit: int, steps: Collection[int] | None) -> list[list[Any]]:
    """Return the runs of steps that are left out; to save a single one is not worth a gap."""
    if steps is not None:
        return [list(run) for shown, run in groupby(times, lambda t: t in steps) if not shown]
    if len(times) <= limit + (limit > 1):
        return []
    first = from_the_start(limit)
    return [times[first : len(times) - (limit - first)]]
