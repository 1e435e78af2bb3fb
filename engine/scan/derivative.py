"""Make the derivative of a program a program: its steps run the other way through time.

Recorded by the same rules as any backward pass, so the derivative of a derivative follows, to any
order. Where rows have no step, what the step computes there is left out by selection, so that not
even a NaN of padding gets into a sum over rows. What a derivative reads, and what it computes
again, is decided here too. Above `reading.py` and `rows.py`.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any, NamedTuple

from engine.backward import backward_pass
from engine.interpreter import Recording
from engine.node import Node
from engine.ops.choices import where
from engine.ops.creation import zeros
from engine.ops.indexing import Piece
from engine.ops.shaping import reshape
from engine.scan.body import leaf
from engine.scan.program import Program, Source, Value
from engine.scan.reading import ConstantReader, shapes_only, trace
from engine.scan.rows import MIXED, Axes, carried_to, closed, moves_of, row_axes, turned
from engine.state import Pull, using
from engine.tensor import Tensor

SAFE = 0.5  # a number at which derivatives are finite, in the place of a row that has no step


class Derivative(NamedTuple):
    """Hold the backward program of another one, and how the two fit together.

    `forward` is the program that was differentiated, with what the backward one reads of it as
    further steps: `kept` are the sources that take them. Of its states only those in `states` have
    a gradient; ``program.steps`` are the gradients of the sources `per_step`, ``program.totals``
    those of the sources `fixed`.
    """

    program: Program
    forward: Program
    kept: tuple[Source, ...]
    states: tuple[int, ...]
    per_step: tuple[Source, ...]
    fixed: tuple[Source, ...]
    dys: tuple[int, ...]
    dtotals: tuple[int, ...]


def derivative(
    program: Program, needs: frozenset[Source], dys: tuple[int, ...], dtotals: tuple[int, ...], *,
    saved: bool,
) -> Derivative:  # fmt: skip
    """Return the derivative by the states and the sources in `needs`, recorded once.

    `dys` and `dtotals` are the steps and totals that have a gradient. With `saved` the backward
    program reads what the forward one has computed; without, it computes all from the states, and
    can itself be differentiated in everything.
    """
    key = (needs, dys, dtotals, saved)
    if key not in program.memo:
        program.memo[key] = _derive(program, needs, dys, dtotals, saved)
    found: Derivative = program.memo[key]
    return found


def _derive(
    program: Program, needs: frozenset[Source], dys: tuple[int, ...], dtotals: tuple[int, ...],
    saved: bool,
) -> Derivative:  # fmt: skip
    made = trace(program)
    values = program.values
    states = tuple(i for i, p in enumerate(program.carry) if values[p].dtype.kind == "f")
    roots = [(("carry", n), program.carry[i]) for n, i in enumerate(states)]
    real = [k for k in dys if values[program.steps[k]].dtype.kind == "f"]
    roots += [(("dy", k), program.steps[k]) for k in real]
    roots += [(("dtotal", k), program.totals[k]) for k in dtotals]
    seeds = {source: leaf(values[p].shape, values[p].dtype, "numpy") for source, p in roots}
    own = {("carry", i) for i in states}
    wanted = {source: made[at] for source, at in program.leaves.items()
              if source in own or (source in needs and values[at].dtype.kind == "f")}  # fmt: skip
    active = [(made[p], seeds[source]) for source, p in roots if made[p].requires_grad]
    with shapes_only(), using(interpreter=_guarded(program, made)):
        pairs = backward_pass([a for a, _ in active], [b for _, b in active],
                              list(wanted.values()), True, hooks=False)  # fmt: skip
    of = {x.node: g for x, g in pairs}
    worth = worth_saving(program) if saved else frozenset()
    reader = _Back(program, made, {seeds[source].node: source for source in seeds}, worth)
    carry = []
    for i in states:
        x = wanted.get(("carry", i))
        g = None if x is None else of.get(x.node)
        p = program.carry[i]
        carry.append(reader.read(zeros(values[p].shape, dtype=values[p].dtype) if g is None else g))
    per_step = tuple(s for s in program.per_step if s in wanted and wanted[s].node in of)
    fixed = tuple(s for s in program.fixed if s in wanted and wanted[s].node in of)
    steps = [reader.read(of[wanted[s].node]) for s in per_step]
    totals = [reader.read(of[wanted[s].node]) for s in fixed]
    back = replace(_program(program, reader, carry, steps, totals),
                   derived=program.derived or not saved)  # fmt: skip
    kept = (*reader.sources("state"), *reader.sources("saved"))
    places = [program.leaves["carry", i] if name == "state" else i for name, i in kept]
    forward = replace(program, steps=(*program.steps, *places), memo={})
    return Derivative(back, forward, kept, states, per_step, fixed, dys, dtotals)


class _Back(ConstantReader):
    """Read the nodes of a derivative, back to values of the forward program or to its leaves."""

    def __init__(
        self, program: Program, made: list[Tensor], seeds: dict[Node, Source], saved: frozenset[int]
    ) -> None:
        super().__init__(seeds)
        for (name, i), at in program.leaves.items():
            self.known[made[at].node] = (
                ("state", i) if name == "carry"
                else ("x", program.per_step.index((name, i))) if (name, i) in program.per_step
                else ("fixed", program.fixed.index((name, i)))
            )  # fmt: skip
        self._at = {made[p].node: p for p in saved}

    def source(self, tensor: Tensor) -> Source | None:
        """Return a value of the forward program, or a constant that a rule has made."""
        node = tensor.node
        return ("saved", self._at[node]) if node in self._at else super().source(tensor)


def _program(
    program: Program, reader: _Back, carry: Sequence[int], steps: Sequence[int],
    totals: Sequence[int],
) -> Program:  # fmt: skip
    """Return the backward program, with the rows and the mask of the forward one."""
    sources = reader.sources
    per_step = (*sources("state"), *sources("x"), *sources("dy"), *sources("saved"))
    axes = row_axes(program, program.rowed)
    rowed = {("carry", n) for n in range(len(carry)) if program.rowed}
    rowed |= {("state", i) for name, i in program.rowed if name == "carry"}
    rowed |= {("x", program.per_step.index(s)) for s in program.rowed if s in program.per_step}
    rowed |= {("saved", p) for _, p in sources("saved") if axes.get(p) == 0}
    rowed |= {("dy", k) for _, k in sources("dy") if axes.get(program.steps[k]) == 0}
    mask = None if program.mask is None else ("x", program.per_step.index(program.mask))
    return Program(
        values=tuple(reader.values), carry=tuple(carry), steps=tuple(steps), totals=tuple(totals),
        per_step=per_step, fixed=(*sources("fixed"), *sources("dtotal"), *sources("constant")),
        rowed=frozenset(rowed), mask=mask, constants=tuple(reader.constants),
    )  # fmt: skip


# ---- rows without a step


def _guarded(program: Program, made: list[Tensor]) -> Recording:
    """Return the recording of a derivative, which selects rows where the program has a mask."""
    if program.mask is None or program.mask not in program.leaves:
        return Recording()
    axes = row_axes(program, program.rowed, strict=False)
    ends = {program.leaves[source] for source in program.rowed if source in program.leaves}
    slots = {}
    for p in closed(program, axes):
        value = program.values[p]
        if value.op is not None:
            slots[made[p].node.id] = tuple(_use(value, slot, program, axes, ends)
                                           for slot in range(len(value.inputs)))  # fmt: skip
    positions = {made[p].node.id: axis for p, axis in axes.items() if axis != MIXED}
    return _Guarded(made[program.leaves[program.mask]], positions, slots)


def _use(value: Value, slot: int, program: Program, axes: Axes, ends: set[int]) -> str:
    """Return how a value that has rows uses an input: by row, as a source of them, or whole."""
    p = value.inputs[slot]
    if not isinstance(p, int) or axes.get(p, MIXED) == MIXED:
        return SHARED
    if carried_to(value, slot, axes[p], program) != axes[value.position]:
        return SHARED
    return END if p in ends else ROWS


ROWS, END, SHARED = "rows", "end", "shared"


class _Guarded(Recording):
    """Pull gradients through values, past their rows without a step.

    The gradient of such a value is zero there, but zero times infinity is not. So where it is
    summed over rows, into an input that is not used row by row, the rows without a step are taken
    out of all that the rule reads; and what comes to a source that has rows is selected by row.
    """

    def __init__(
        self, rows: Tensor, axes: dict[int, int], slots: dict[int, tuple[str, ...]]
    ) -> None:
        self.rows, self.axes, self.slots = rows, axes, slots

    def watched(self, collected: Any, pull: Pull) -> tuple[Any, Pull]:
        """Return the collected gradients, and a function that guards those that are closed."""

        def guarded(tensor: Tensor, node: Node, g: Any, gradients: Any, observe: Any) -> None:
            uses = self.slots.get(node.id)
            if uses is None:
                pull(tensor, node, g, gradients, observe)
                return
            active = {use for use, x in zip(uses, node.inputs, strict=True)
                      if type(x) is Tensor and x.requires_grad}  # fmt: skip
            select = partial(self._selected, axis=self.axes[node.id])
            for use in sorted(active):

                def only(x: Tensor, slot: int, part: Any, use: str = use) -> bool:
                    return uses[slot] == use

                if use == SHARED:
                    given = tuple(x if own == SHARED else self._safe(x)
                                  for own, x in zip(uses, node.inputs, strict=True))  # fmt: skip
                    pull(self._safe(tensor), node._replace(operands=given), select(g), gradients,
                         only)  # fmt: skip
                else:
                    part = _Ends(gradients, select) if use == END else gradients
                    pull(tensor, node, g, part, only)

        return collected, guarded

    def _mask(self, rank: int, axis: int) -> Tensor:
        shape = tuple(-1 if one == axis else 1 for one in range(rank))
        return self.rows if rank == 1 else reshape(self.rows, shape)

    def _selected(self, g: Any, *, axis: int) -> Any:
        """Return a gradient with zeros in the rows that have no step."""
        if type(g) is Piece:
            return g._replace(g=self._selected(g.g, axis=axis))
        return where(self._mask(g.ndim, axis), g, 0.0)

    def _safe(self, x: Any) -> Any:
        """Return a value with a harmless number in the rows that have no step."""
        if type(x) is not Tensor or x.dtype.kind != "f" or x.node.id not in self.axes:
            return x
        return where(self._mask(x.ndim, self.axes[x.node.id]), x, SAFE)


class _Ends:
    """Collect the gradients under way, where what comes to a source is selected by row."""

    def __init__(self, gradients: Any, select: Any) -> None:
        self.needed, self.recorded = gradients.needed, gradients.recorded
        self._gradients, self._select = gradients, select

    def add(self, number: int, part: Any) -> None:
        """Add one contribution to the gradient of node `number`."""
        axis = {} if type(part) is Piece else {"axis": 0}  # a source has its rows in front
        self._gradients.add(number, self._select(part, **axis))


def worth_saving(program: Program) -> frozenset[int]:
    """Return the values that a backward program reads rather than computes again.

    Those that are larger than all that they are computed from before the core it computes again. A
    derived program has many more that are quickly computed of others: to write and to read them
    takes longer. An op of any other kind has its inputs saved as they were: a product needs them in
    memory, and what a rule compares must be the same to the last bit.
    """
    if not program.derived:
        return program.varies - _spread(program)
    others = {value.position for value in program.values if not _is_quick(value, program)}
    read = {p for one in others for p in program.values[one].operands}
    return frozenset(p for p in program.varies & (others | read) if turned(program, p) is None)


def _spread(program: Program) -> frozenset[int]:
    """Return the hoisted values made number by number of others that are smaller together."""
    # Such as of a row and a column. What is compared or chosen from is none: its bits count.
    compared = {p for value in program.values if value.op is not None and not _is_smooth(value)
                for p in value.operands}  # fmt: skip
    made_of: dict[int, frozenset[int]] = {}
    candidates = program.hoisted & program.varies - compared
    for value in program.values:
        p = value.position
        if p in candidates and _is_smooth(value):
            varying = (one for one in value.operands if one in program.varies)
            sources = frozenset[int]().union(*(made_of.get(one, {one}) for one in varying))
            if sum(prod(program.values[one].shape) for one in sources) < prod(value.shape):
                made_of[p] = sources
    return frozenset(made_of)


def _is_smooth(value: Value) -> bool:
    """Return whether a value is computed number by number, without a choice."""
    choice = value.degree in ("choice", "maximum") or value.dtype.kind != "f"
    return value.kind == "elementwise" and not choice


def _is_quick(value: Value, program: Program) -> bool:
    """Return whether a value is a move, a sum or a product of others, number by number."""
    if value.op is None or turned(program, value.position) is not None:
        return False
    if value.kind == "elementwise":
        return value.degree in ("sum", "product", "choice")
    return moves_of(value, program) is not None
