"""Measure the picture: the norm of dL/ds_t for each state s of each cell, and what enters.

One backward pass for all of them. Above `weights.py`, below the panels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine import Graph, Node, Tensor, zeros
from engine.backward import backward_pass
from engine.derivatives.norms import norm
from engine.derivatives.seeds import seeds
from engine.reading.variables import StateRun, state_runs
from viz.analysis.fetching import bring
from viz.model.levels import recorded
from viz.story.given import tokens_of
from viz.story.weights import Adds, Reach, Weight, added, inside, next_time, recurrent_weights

Key = tuple[str | None, Any]  # the block of a time step, and the step


@dataclass(frozen=True, slots=True)
class Track:
    """Hold one state of a cell: ``norms[i]`` is that of dL/ds after the step at ``times[i]``.

    The derivative is the total one, by the state of all rows of the batch. ``entries[i]`` is the
    norm of what enters there from outside of the cell, by uses of the state that lead to the loss
    by no later state of the cell: 0 for no such use. ``reached[i]`` tells whether any derivative
    came there: where none did a zero is one of the structure, else one of the `dtype`, which may be
    a derivative that is too small for it.
    """

    name: str
    norms: tuple[float, ...]
    entries: tuple[float, ...]
    dtype: str = "float64"
    reached: tuple[bool, ...] = ()

    def zero(self, own: range) -> str:
        """Return what the zeros at some positions are: of the structure, or 0 in a dtype."""
        structural = self.reached and not any(self.reached[i] for i in own)
        return "exactly zero, as no path leads there" if structural else f"0 in {self.dtype}"


@dataclass(frozen=True, slots=True)
class Row:
    """Hold a cell over its sequence: its states, and what its steps add to the recurrent weight.

    ``sources[i]`` says where a gradient enters after step i: ``loss``, other cells, or nothing.
    """

    network: str
    title: str
    run: StateRun
    tracks: tuple[Track, ...]
    sources: tuple[tuple[str, ...], ...]
    adds: Adds
    batch: int
    tokens: Mapping[Any, str]

    @property
    def keys(self) -> tuple[Key, ...]:
        """Return the places on the time axis, in the order in which the steps were run."""
        return tuple((self.run.block, t) for t in self.run.times)

    @property
    def reverse(self) -> bool:
        """Return whether the cell reads its sequence from the end, so that gradients go right."""
        return self.run.direction == "reverse"


@dataclass(slots=True)
class _States:
    """Map the nodes that hold the states of one cell to the step and the state of each.

    With lengths a step makes a state and keeps the old one in the rows that are over: what reads
    the output reads the one that was made. dL/ds is then that by what was made, and in the rows
    that are over that by what was kept.
    """

    run: StateRun
    place: dict[Node, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for i, states in enumerate(self.run.after):
            for k, state in enumerate(states):
                self.place[state.node] = i, k
                if (made := _made(state.node)) is not None:
                    self.place[made.node] = i, k


def _made(node: Node) -> Tensor | None:
    """Return the new state that a node keeps in the rows that go on; None where it is no such."""
    if node.op.degree != "choice" or {"state", "gate"} & set(node.scope.labels):
        return None
    made = node.input(1)
    return made if isinstance(made, Tensor) and made.requires_grad else None


def measured(loss: Tensor, network: str, weight: Tensor | None) -> list[Row]:
    """Return a row for every cell over time that leads to a loss, the last layer first.

    Raises ValueError where there is none, and where no state requires a gradient.
    """
    graph = recorded(loss, "cell")
    runs = _whole(graph, state_runs(graph))
    if not runs:
        raise ValueError(
            "draw_story: the loss was computed from no state over time; run a cell or a layer step "
            "by step, or name what a loop makes, as in engine.scope(t=t, state='h'); a cell inside "
            "of a cell is called, as self.inner(x, h): its step alone names no states"
        )
    if not any(x.requires_grad for run in runs for states in run.after for x in states):
        raise ValueError("draw_story: no state depends on anything that requires a gradient")
    return _rows(graph, _ordered(runs), network, weight)


def _whole(graph: Graph, runs: list[StateRun]) -> list[StateRun]:
    """Return the cells with a last step of which the loss reads some states and not others.

    A state that nothing reads is on no graph. A constant of gradient zero stands for it.
    """
    known = {x.node for run in runs for states in run.after for x in states}
    found = []
    for run in runs:
        t = next_time(run)
        last: dict[str, Tensor] = {}
        for node in graph.nodes:
            labels = node.scope.labels
            if node.inputs and node not in known and labels.get("t") == t and inside(node, run):
                last[str(labels.get("state"))] = graph.tensor(node)
        if t is not None and any(name in last for name in run.names):
            after = tuple(last.get(name, zeros(())) for name in run.names)
            run = replace(run, times=(*run.times, t), after=(*run.after, after))
        found.append(run)
    return found


def _ordered(runs: list[StateRun]) -> list[StateRun]:
    """Return the cells that follow in a block as a reader looks for them: the last layer on top."""
    blocks = list(dict.fromkeys(run.block for run in reversed(runs)))
    return sorted(runs, key=lambda r: (blocks.index(r.block), -(r.layer or 0)))


def _rows(graph: Graph, runs: list[StateRun], network: str, weight: Tensor | None) -> list[Row]:
    states = [_States(run) for run in runs]
    reach = Reach(graph, [own.place for own in states])
    weights = recurrent_weights(graph, runs, weight)
    found = _Found(graph, states, reach, weights)
    shares = added(graph, runs, reach, weights, found.whole)
    titles = [_title(run, runs) for run in runs]
    return [
        Row(
            network,
            titles[i],
            run,
            tuple(found.track(i, k) for k in range(len(run.names))),
            found.sources_of(i, titles),
            shares[i],
            next((x.shape[0] for x in run.after[0] if x.ndim > 1), 1),
            tokens_of(graph, run.times),
        )
        for i, run in enumerate(runs)
    ]


def _origin(n: int, i: int, runs: Sequence[StateRun], titles: Sequence[str]) -> str:
    """Return where a gradient comes into cell number `i` from: the loss, a layer, another cell."""
    if n < 0:
        return "loss"
    other, own = runs[n], runs[i]
    if other.layer is not None and other.layer != own.layer and other.block == own.block:
        return f"layer {other.layer}"
    return titles[n]


def _title(run: StateRun, runs: Sequence[StateRun]) -> str:
    """Return what tells a cell from the others: its block, its layer, its direction, its path."""
    parts = []
    if len({other.block for other in runs}) > 1 and run.block:
        parts.append(str(run.block))
    if len({other.layer for other in runs}) > 1 and run.layer is not None:
        parts.append(f"layer {run.layer}")
    if len({other.direction for other in runs}) > 1 and run.direction:
        parts.append(str(run.direction))
    same = [r for r in runs if (r.block, r.layer, r.direction)
            == (run.block, run.layer, run.direction)]  # fmt: skip
    if len(same) > 1:
        parts.append(run.path or run.cell or "cell")
        twice = [r for r in same if (r.path, r.cell) == (run.path, run.cell)]
        if len(twice) > 1:
            parts.append(f"part {1 + next(i for i, r in enumerate(twice) if r is run)}")
    return ", ".join(parts)


class _Found:
    """Collect from one backward pass gradients by states, and what enters at each of them."""

    def __init__(
        self, graph: Graph, states: list[_States], reach: Reach, weights: Sequence[Weight]
    ) -> None:
        self.states, self.reach = states, reach
        self.places = {node: (i, *own.place[node]) for i, own in enumerate(states)
                       for node in own.place}  # fmt: skip
        self.leaves = {found.leaf.node for found in weights if found.leaf is not None}
        self.gradients: dict[Node, Any] = {}
        self.entries: dict[tuple[int, int, int], Any] = {}  # by cell, step and state
        self.sources: dict[tuple[int, int], dict[int, None]] = {}  # by cell and step; -1: the loss
        self.whole: dict[Node, Any] = {}  # gradients by the weights
        loss = graph.outputs[0]
        start = seeds([loss], None)
        backward_pass([loss], start, [], observe=self._observe, finished=self._finished)
        if loss.node in self.places:
            self._enter(loss.node, start[0].data, (-1,))
        self.going: dict[Node, Any] = {}  # of a state that is kept in some rows, which go on
        for node in self.places:
            if _made(node) is not None:
                goes_on = node.input(0)
                assert isinstance(goes_on, Tensor)
                self.going[node] = goes_on.data
        bring(self.gradients, self.entries, self.going)

    def _observe(self, tensor: Tensor, slot: int, part: Any) -> None:
        source, user = tensor.node.input(slot), tensor.node
        if isinstance(source, Tensor) and source.node in self.places:
            i = self.places[source.node][0]
            if self.reach.enters(user, i):
                self._enter(source.node, part, self.reach.others(user, i) or (-1,))

    def _enter(self, node: Node, part: Any, origins: Sequence[int]) -> None:
        i, j, k = self.places[node]
        own = self.entries.get((i, j, k))
        self.entries[i, j, k] = part if own is None else own + part
        self.sources.setdefault((i, j), {}).update(dict.fromkeys(origins))

    def _finished(self, tensor: Tensor, g: Any) -> None:
        if tensor.node in self.places:
            self.gradients[tensor.node] = g
        elif tensor.node in self.leaves:
            self.whole[tensor.node] = g

    def track(self, i: int, k: int) -> Track:
        """Return the norms of one state of one cell."""
        run = self.states[i].run
        entries = [self.entries.get((i, j, k)) for j in range(len(run.times))]
        return Track(
            run.names[k],
            tuple(self._norm(after[k].node) for after in run.after),
            tuple(0.0 if part is None else norm(part) for part in entries),
            str(run.after[0][k].dtype),
            tuple(self._reached(after[k].node) for after in run.after),
        )

    def _reached(self, node: Node) -> bool:
        """Return whether any derivative came to a state, zero or not."""
        made = _made(node)
        return node in self.gradients or (made is not None and made.node in self.gradients)

    def _norm(self, node: Node) -> float:
        """Return the norm of dL/ds for one state; 0 where no gradient comes to it."""
        g, made = self.gradients.get(node), _made(node)
        if made is not None:
            new = self.gradients.get(made.node)
            kept = None if g is None else g * ~self.going[node]
            g = new if kept is None else kept if new is None else kept + new
        return 0.0 if g is None else norm(g)

    def sources_of(self, i: int, titles: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        """Return where a gradient other than zero enters a cell, for each of its steps."""
        run = self.states[i].run
        runs = [own.run for own in self.states]
        tracks = range(len(run.names))
        return tuple(
            tuple(dict.fromkeys(_origin(n, i, runs, titles)
                                for n in sorted(self.sources.get((i, j), ()))))
            if any(norm(self.entries[i, j, k]) != 0 for k in tracks if (i, j, k) in self.entries)
            else ()
            for j in range(len(run.times))
        )  # fmt: skip
