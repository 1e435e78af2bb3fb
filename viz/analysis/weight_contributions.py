"""Compute what the uses of a parameter at each step add to its gradient, loss by loss, exactly.

Above the engine's backward pass, below the chart of contributions.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine import Graph, Node, Tensor, asarray, expanded, full, gradients
from engine.backward import backward_pass
from engine.derivatives.norms import norm
from viz.analysis.sampling import tiles
from viz.model.sums import summands

Whole = Tensor | Sequence[Tensor] | Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Loss:
    """Hold a part of the total loss: tensors with the weights (seeds) with which they enter it."""

    name: str
    t: int | None
    outputs: tuple[Tensor, ...]
    seeds: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Use:
    """Hold what the uses at some steps add to the gradient of one loss; no times: outside of time.

    `projection` is the part that points along the whole gradient of all losses; over all losses
    and steps it sums to the norm of that. `norm` is the length of the whole contribution.
    """

    loss: int
    times: tuple[int, ...]
    norm: float
    projection: float


@dataclass(frozen=True, slots=True)
class Contributions:
    """Hold all uses, by loss and by step, and the norm of the gradient that they make up."""

    losses: tuple[Loss, ...]
    steps: tuple[tuple[int, ...], ...]
    uses: tuple[Use, ...]
    norm: float


def contributions(
    losses: Whole, parameter: Tensor, *, max_steps: int, max_losses: int
) -> Contributions:
    """Return every use of a leaf, by two backward passes a loss.

    Of more than `max_steps` steps neighbours are joined, and of more than `max_losses` losses.
    Raises ValueError for a loss that is no single number, and where no loss depends on the leaf.
    """
    paths = _Paths(*_recorded(losses), parameter)
    steps = tuple(tuple(paths.times[i] for i in own) for own in tiles(len(paths.times), max_steps))
    groups = {t: own for own in steps for t in own}
    parts = [
        _joined(paths.losses[own.start : own.stop]) for own in tiles(len(paths.losses), max_losses)
    ]
    total: Any = None
    for loss in parts:
        for g in paths.parts(loss, groups).values():
            total = g if total is None else total + g
    length = norm(total)
    along = total / length if 0 < length < math.inf else total
    uses = []
    for i, loss in enumerate(parts):
        for times, g in sorted(paths.parts(loss, groups).items(), key=lambda own: own[0]):
            uses.append(Use(i, times, norm(g), float(g.reshape(-1) @ along.reshape(-1))))
    outside = ((),) if any(not one.times for one in uses) else ()
    return Contributions(tuple(parts), (*steps, *outside), tuple(uses), length)


def _recorded(losses: Whole) -> tuple[list[Loss], Graph]:
    """Return the losses on a graph that has every step: as given, or the summands of the one."""
    if isinstance(losses, Tensor):
        (whole,) = expanded(losses)
        return _parts_of(whole), Graph.of(whole)
    named = losses if isinstance(losses, Mapping) else {}
    outputs: list[Tensor] = [*(losses.values() if isinstance(losses, Mapping) else losses)]
    for i, one in enumerate(outputs):
        if one.size != 1:
            raise ValueError(
                f"draw_contributions: loss {i} has shape {one.shape}, expected one number; give "
                "a sequence of them, or one tensor (T,)"
            )
    outputs = list(expanded(*outputs))
    names = [*named] or [""] * len(outputs)
    found = [_loss(x, 1.0, i, name) for i, (x, name) in enumerate(zip(outputs, names, strict=True))]
    return found, Graph.of(*outputs)


def _loss(x: Tensor, weight: float, number: int, name: str = "") -> Loss:
    """Return a loss of one number; it is called by its time step, or by its number."""
    t = x.node.scope.labels.get("t")
    name = name or (f"loss {number + 1}" if t is None else f"loss at t = {t}")
    return Loss(name, t, (x,), (full(x.shape, weight, dtype=x.dtype, device=x.device),))


def _parts_of(whole: Tensor) -> list[Loss]:
    """Return the elements of a tensor (T,) of losses, or the summands of a loss of one number."""
    if whole.ndim == 1 and whole.size != 1:
        rows = [[float(i == k) for k in range(whole.size)] for i in range(whole.size)]
        return [Loss(f"loss {i + 1}", None, (whole,),
                     (asarray(row, dtype=whole.dtype, device=whole.device),))
                for i, row in enumerate(rows)]  # fmt: skip
    if whole.size != 1:
        raise ValueError(
            f"draw_contributions: expected a loss of one number, or losses (T,), got {whole.shape}"
        )
    return [_loss(x, weight, i) for i, (x, weight) in enumerate(summands(whole))]


def _joined(losses: Sequence[Loss]) -> Loss:
    """Return losses that follow each other as one."""
    first, last = losses[0], losses[-1]
    if len(losses) == 1:
        return first
    name = f"{first.name} to {last.name.rpartition(' ')[2]}"
    outputs = tuple(x for one in losses for x in one.outputs)
    return Loss(name, first.t, outputs, tuple(seed for one in losses for seed in one.seeds))


class _Paths:
    """Find where the paths from a leaf to the losses come into time.

    What is made of the leaf before any step (a normalised weight, say) belongs to no step; the
    edge that leads from there to the node of a step is a use at that step. Every path has one.
    """

    def __init__(self, losses: list[Loss], graph: Graph, parameter: Tensor) -> None:
        if not losses or parameter not in graph:
            raise ValueError(
                f"draw_contributions: no loss depends on {parameter.node.name or 'the parameter'}; "
                "give a leaf of the graph, and losses computed since it was last changed"
            )
        self.losses, self.parameter = losses, parameter
        self.before = before_time(graph, parameter.node)
        self.tensors = {node: graph.tensor(node) for node in self.before}
        found = {b.scope.labels.get("t") for a, b, _ in graph.edges
                 if a in self.before and b not in self.before}  # fmt: skip
        self.times = sorted(t for t in found if t is not None)

    def parts(
        self, loss: Loss, groups: Mapping[int, tuple[int, ...]]
    ) -> dict[tuple[int, ...], Any]:
        """Return what each group of steps adds to the gradient of one loss, in float64."""
        sums: dict[tuple[int, ...], dict[Node, Any]] = {}

        def add(times: tuple[int, ...], node: Node, part: Any) -> None:
            own = sums.setdefault(times, {})
            own[node] = own[node] + part if node in own else part

        def observe(tensor: Tensor, slot: int, part: Any) -> None:
            source = tensor.node.input(slot)
            assert isinstance(source, Tensor)
            if source.node in self.before and tensor.node not in self.before:
                t = tensor.node.scope.labels.get("t")
                add(() if t is None else groups[t], source.node, part)

        outputs = [x for x in loss.outputs if x.requires_grad]
        seeds = [s for x, s in zip(loss.outputs, loss.seeds, strict=True) if x.requires_grad]
        backward_pass(outputs, seeds, [], observe=observe)
        for x, seed in zip(outputs, seeds, strict=True):
            if x.node in self.before:
                add((), x.node, seed.data)
        return {times: self._pulled(own) for times, own in sums.items()}

    def _pulled(self, parts: dict[Node, Any]) -> Any:
        """Return contributions to what the leaf became as some to the leaf itself, in float64."""
        outputs = [self.tensors[node] for node in parts]
        (g,) = gradients(outputs, [self.parameter], [Tensor(part) for part in parts.values()])
        assert g is not None
        return g.data.astype("float64")


def before_time(graph: Graph, leaf: Node) -> dict[Node, None]:
    """Return the leaf, and what was computed from it and from no time step."""
    before: dict[Node, None] = {}
    timed: dict[Node, None] = {}
    for node in graph.nodes:
        inputs = [x.node for x in node.inputs if isinstance(x, Tensor)]
        if (inputs and "t" in node.scope.labels) or any(n in timed for n in inputs):
            timed[node] = None
        elif node is leaf or any(n in before for n in inputs):
            before[node] = None
    return before
