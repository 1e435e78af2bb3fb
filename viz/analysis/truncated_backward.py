"""Run the backward passes that add up to the gradient of a truncation.

A cut may concern the losses of some steps only. Losses with cuts that do not meet share a pass:
chunks take one pass in all, losses that reach back k steps k passes. Above `cuts.py`; below
`truncation.py`, which draws the sums.
"""

import math
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine import Graph, Node, Tensor
from engine.derivatives.cut_gradients import CutSums, Pass, cut_sums
from engine.derivatives.norms import Group
from engine.derivatives.seeds import seeds
from viz.analysis.cuts import Cuts, crosses, time


def truncated_sums(
    graph: Graph, cuts: Cuts, losses: Iterable[int] | None, group: Group, *, split: bool
) -> CutSums:
    """Return the truncated gradient: of every node, of every use, and what every cut use lost.

    With `split` each output of the graph is the loss of the step of its place, otherwise the one
    output is divided: what enters step t from outside of time is the loss of step t. Of losses that
    are not among `losses` nothing is followed. Raises ValueError where `losses` names a step
    without a loss, or where one loss cannot be divided.
    """
    zones = _Zones(graph)
    steps = list(range(len(graph.outputs))) if split else zones.entries()
    kept = steps if losses is None else sorted(set(losses))
    if unknown := sorted(set(kept) - set(steps)):
        raise ValueError(
            f"draw_truncation: there is no loss of step {unknown[0]}; losses enter at "
            f"{_listed(steps)}"
        )
    groups = _grouped(graph, cuts, kept, merge=zones.forward)
    if split:
        every = [Pass([graph.outputs[t] for t in one.losses], one.blocked(cuts)) for one in groups]
        return cut_sums(every, group)
    alike = all(own is None for own in cuts.uses.values())
    if kept == steps and (alike or (len(groups) < 2 and not zones.blurred)):
        return cut_sums([Pass(graph.outputs, one.blocked(cuts)) for one in groups], group)
    return _divided(graph, zones, cuts, groups, group)


def _divided(
    graph: Graph, zones: "_Zones", cuts: Cuts, groups: "list[_Group]", group: Group
) -> CutSums:
    """Return the sums of one loss: what lies over the steps is gone through, and counted, once."""
    if zones.blurred:
        raise ValueError(
            f"draw_truncation: the loss reaches {zones.blurred} besides the steps, so it cannot "
            "be divided into losses of steps; give a list with the loss of every step"
        )
    over = Pass(graph.outputs, zones.enters)
    arrived: dict[Node, Any] = {}
    for (source, _), g in cut_sums([over]).refused.items():
        arrived[source] = arrived[source] + g if source in arrived else g
    for out in graph.outputs:
        if time(out.node) is not None:
            arrived[out.node] = seeds([out], None)[0].data
    every = [over] if not any(time(out.node) is not None for out in graph.outputs) else []
    for one in groups:
        own = [node for node in arrived if time(node) in one.losses]
        starts, grads = [graph.tensor(node) for node in own], [arrived[node] for node in own]
        every.append(Pass(starts, one.blocked(cuts), grads))
    found = cut_sums(every, group)
    kept = {t for one in groups for t in one.losses}
    for source, target, slot in graph.edges:  # what entered a step has passed after all
        key = source, group(target, slot)
        if target in zones.over and key in found.refused:
            part = found.refused.pop(key)
            if time(source) in kept:
                found.uses[key] = part
    return found


def _listed(steps: Sequence[int]) -> str:
    shown = ", ".join(map(str, steps[:6]))
    return (shown or "no step") + (f", … {steps[-1]}" if len(steps) > 6 else "")


@dataclass
class _Group:
    """Group losses that share a pass, the newest last, with the targets of their cuts in order."""

    losses: list[int] = field(default_factory=list)
    last: frozenset[int] = frozenset()
    borders: set[int] = field(default_factory=set)
    targets: list[tuple[int, int]] = field(default_factory=list)

    def takes(self, t: int, own: frozenset[int], reach: float, target: Sequence[int]) -> bool:
        """Return whether a newer loss may join: it meets no cut of theirs, and they none of its."""
        low = bisect_right(self.targets, (reach, math.inf))
        high = bisect_left(self.targets, (t, math.inf))
        if any(b not in own for _, b in self.targets[low:high]):
            return False
        return all(b in self.last or target[b] > self.losses[-1] for b in own)

    def add(self, t: int, own: frozenset[int], target: Sequence[int]) -> None:
        """Take a loss in."""
        self.losses.append(t)
        for b in sorted(own - self.borders):
            insort(self.targets, (target[b], b))
        self.borders |= own
        self.last = own

    def blocked(self, cuts: Cuts) -> Callable[[Node, int], bool]:
        """Return whether a use is cut in this pass."""
        edges = {use for number, use in enumerate(cuts.uses) if number in self.borders}
        return lambda node, slot: (node, slot) in edges


def _grouped(graph: Graph, cuts: Cuts, losses: Sequence[int], *, merge: bool) -> list[_Group]:
    """Return the losses in as few passes as may be, the cuts numbered in the order of uses."""
    always = frozenset(i for i, own in enumerate(cuts.uses.values()) if own is None)
    by_loss: dict[int, list[int]] = {t: [] for t in losses}
    for number, own in enumerate(cuts.uses.values()):
        for t in () if own is None else own:
            if t in by_loss:
                by_loss[t].append(number)
    sources = [time(node.input(slot).node) for node, slot in cuts.uses]  # type: ignore[union-attr]
    target = [node.scope.labels["t"] for node, _ in cuts.uses]
    width = _crossing_counts(graph)
    groups: list[_Group] = []
    for t in losses:
        own = always | frozenset(by_loss[t])
        reach = _reach(t, own, sources, target, width)
        room = (g for g in groups if own == g.borders
                or (merge and g.takes(t, own, reach, target)))  # fmt: skip
        group = next(room, None)
        if group is None:
            groups.append(group := _Group())
        group.add(t, own, target)
    return groups


def _crossing_counts(graph: Graph) -> Counter[int]:
    """Count for each step the edges that come to it, or go past it, from before."""
    counts: Counter[int] = Counter()
    for source, target, _ in graph.edges:
        if crosses(source, target):
            counts.update(range(source.scope.labels["t"] + 1, target.scope.labels["t"] + 1))
    return counts


def _reach(
    t: int, own: frozenset[int], sources: Sequence[Any], target: Sequence[int], width: Counter[int]
) -> float:
    """Return the newest step up to t that nothing passes on the way back; minus infinity: none."""
    cut: Counter[int] = Counter()
    for b in own:
        if target[b] <= t:
            cut.update(range(sources[b] + 1, target[b] + 1))
    return max((s for s, edges in cut.items() if edges == width[s]), default=-math.inf)


class _Zones:
    """Divide a graph into nodes over the steps and between them; `forward`: time runs one way."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        above: set[Node] = set()  # some step is among what it was computed from
        for source, target, _ in graph.edges:
            if source in above or time(source) is not None:
                above.add(target)
        below: set[Node] = set()  # some step is computed from it
        for source, target, _ in reversed(graph.edges):
            if target in below or time(target) is not None:
                below.add(source)
        untimed = [node for node in graph.nodes if time(node) is None]
        self.over = frozenset(node for node in untimed if node in above and node not in below)
        self.between = frozenset(node for node in untimed if node in above and node in below)
        self.forward = not self.between and all(
            _goes_on(source, target) for source, target, _ in graph.edges
        )

    @property
    def blurred(self) -> str:
        """Return what of the nodes between steps the loss uses directly; empty: nothing."""
        for source, target, _ in self.graph.edges:
            if target in self.over and source in self.between:
                return repr(source)
        return ""

    def entries(self) -> list[int]:
        """Return the steps that the loss comes to first."""
        ends = {time(out.node) for out in self.graph.outputs}
        ends |= {time(source) for source, target, _ in self.graph.edges if target in self.over}
        return sorted(t for t in ends if t is not None)

    def enters(self, node: Node, slot: int) -> bool:
        """Return whether a use leads from over the steps into one."""
        source = node.input(slot)
        return node in self.over and isinstance(source, Tensor) and time(source.node) is not None


def _goes_on(source: Node, target: Node) -> bool:
    """Return whether an edge stays within a step, or runs forward from one to another."""
    a, b = time(source), time(target)
    if a is None or b is None:
        return True
    return a <= b and source.scope.labels.get("block") == target.scope.labels.get("block")
