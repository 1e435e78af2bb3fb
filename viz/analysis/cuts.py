"""List the uses of a recorded graph that a truncation cuts. Below `truncated_backward.py`."""

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, cast

from engine import Graph, Node, Tensor
from engine.checks import is_whole
from viz.model.window import from_the_start

Use = tuple[Node, int]


class CutLike(Protocol):
    """Describe an edge that is cut, as `rnn.cut_edges` returns it."""

    @property
    def state(self) -> str:
        """Return the name of the state, such as ``"h"``."""

    @property
    def source(self) -> int:
        """Return the step that makes the state."""

    @property
    def target(self) -> int:
        """Return the step that uses it."""

    @property
    def losses(self) -> Iterable[int]:
        """Return the steps of the losses that do not pass the edge."""


class Cuts(NamedTuple):
    """Hold the uses that are cut, each with the losses it is cut for; None stands for all."""

    uses: dict[Use, frozenset[int] | None]
    steps: int


def find_cuts(graph: Graph, cuts: int | Iterable[CutLike]) -> Cuts:
    """Return the uses of `graph`, a graph of single steps, that `cuts` are about.

    Raises ValueError for a number of steps under 1, for a graph without time steps, and for a cut
    that there is no edge for; TypeError for what is neither a number nor cuts.
    """
    times = {t for node in graph.nodes if (t := time(node)) is not None}
    if not times:
        raise ValueError(
            "draw_truncation: the graph has no time steps; run a recurrence, or a loop in "
            "`with engine.scope(t=t)`"
        )
    crossing = [(source, target, slot) for source, target, slot in graph.edges if crosses(
        source, target)]  # fmt: skip
    if is_whole(cuts):
        return Cuts(_every(crossing, int(cast("int", cuts))), len(times))
    return Cuts(_named(crossing, _checked(cuts)), len(times))


def steps_with_a_cut(graph: Graph, cuts: Cuts, limit: int) -> range | None:
    """Return the `limit` steps around the last cut, where the ends of many steps hold none.

    One step is the last that a cut leads into. None: they hold one, all are shown, or none is cut.
    """
    times = sorted({t for node in graph.nodes if (t := time(node)) is not None})
    if len(times) <= limit or not cuts.uses:
        return None
    first = from_the_start(limit)
    heads, tails = set(times[:first]), set(times[len(times) - (limit - first) :])
    ends = [(time(node.input(slot).node), time(node)) for node, slot in cuts.uses]  # type: ignore[union-attr]
    if limit == 1:  # the cut is on an edge from the steps left out
        last = max(t for _, t in ends if t is not None)
        return range(last, last + 1)
    if any({a, b} <= shown for a, b in ends for shown in (heads, tails)):
        return None
    last = max(t for pair in ends for t in pair if t is not None)
    start = max(times[0], min(last - limit // 2, times[-1] - limit + 1))
    return range(start, start + limit)


def time(node: Node) -> int | None:
    """Return the step of a node; None outside of time."""
    return node.scope.labels.get("t")


def crosses(source: Node, target: Node) -> bool:
    """Return whether an edge goes from one step to another of the same sequence."""
    a, b = source.scope.labels, target.scope.labels
    both = "t" in a and "t" in b and a["t"] is not None and b["t"] is not None
    return both and a["t"] != b["t"] and a.get("block") == b.get("block")


def _every(crossing: list[tuple[Node, Node, int]], k: int) -> dict[Use, frozenset[int] | None]:
    """Return all edges over the borders of chunks of k steps."""
    if k < 1:
        raise ValueError(f"draw_truncation: cuts must be at least 1 step apart, got {k}")
    return {(b, slot): None for a, b, slot in crossing
            if a.scope.labels["t"] // k != b.scope.labels["t"] // k}  # fmt: skip


def _named(
    crossing: list[tuple[Node, Node, int]], cuts: list[CutLike]
) -> dict[Use, frozenset[int] | None]:
    """Return the edges of the states that cuts name, with the losses that each is cut for."""
    places: dict[tuple[int, int], list[tuple[Node, Node, int]]] = {}
    for edge in crossing:
        place = edge[0].scope.labels["t"], edge[1].scope.labels["t"]
        places.setdefault(place, []).append(edge)
    found: dict[Use, frozenset[int]] = {}
    for cut in cuts:
        there = places.get((cut.source, cut.target), [])
        own = [edge for edge in there if _state(edge[0]) in (cut.state, "")]
        if not own:
            states = ", ".join(dict.fromkeys(repr(_state(a)) for a, _, _ in there)) or "none"
            raise ValueError(
                f"draw_truncation: no edge of state {cut.state!r} from step {cut.source} to step "
                f"{cut.target}; states that run there: {states}"
            )
        for _, target, slot in own:
            use = target, slot
            found[use] = found.get(use, frozenset()) | frozenset(cut.losses)
    return dict(found)


def _checked(cuts: Any) -> list[CutLike]:
    listed = None if isinstance(cuts, bool | str) or not hasattr(cuts, "__iter__") else list(cuts)
    parts = ("state", "source", "target", "losses")
    if listed is None or not all(hasattr(cut, part) for cut in listed for part in parts):
        raise TypeError(
            "draw_truncation: expected cuts as a number of steps or as a list of cuts with state, "
            f"source, target and losses (rnn.cut_edges makes them), got {cuts!r}"
        )
    for cut in listed:
        if cut.source >= cut.target:
            raise ValueError(
                f"draw_truncation: cuts run forward in time, got one from step {cut.source} to "
                f"step {cut.target}"
            )
    return listed


def _state(node: Node) -> str:
    """Return the name of the state that a node carries from step to step; empty for none."""
    # Where rows end early the state goes through a choice, which is no equation of the cell.
    for own in (node, *(x.node for x in node.inputs if isinstance(x, Tensor))):
        if (name := own.scope.labels.get("state")) is not None:
            return str(name)
    return ""
