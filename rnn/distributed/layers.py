"""Run a layer of an affine cell with each rank holding its stretch of the sequence.

Where each state goes on entry by entry, its a and b are computed for all steps at once and
`affine.py` scans them over time and ranks; what reads the states is then computed for all steps at
once, and shifts hand their last values on to the next rank. For other affine cells the new state is
P h + s with P and s of the inputs. A rank runs its stretch from zero, which gives s; the derivative
of the final state in the first one is P; the ranks scan these maps, and each runs its stretch again
from what comes in. So the cell and the kernels that run it are not looked into. Any order of
derivative follows from either. Above `affine.py`.
"""

from collections.abc import Sequence
from typing import Any

import engine
from engine import Tensor
from engine.pytree import flatten
from engine.scan.affine.kinds import BLOCKS, DIAGONAL, OUTER, SHIFT, Group, classified
from engine.scan.affine.stages import Known, Stage
from engine.scan.affine.stretched import StretchedRecurrence
from engine.scan.call import ScanCall, prepare
from engine.scan.executors import executor_of
from engine.scan.program import NotFusableError, Program
from engine.scan.recorded import arguments, recorded
from engine.state import current, using
from rnn.distributed.affine import borders, maps_before, place_of
from rnn.distributed.communicator import Communicator, marked
from rnn.distributed.sequences import Told, alike, copy_of, shared, tied, wanted_of
from rnn.layers.recurrent import Recurrent
from rnn.modules.values import or_zeros


def in_stages(call: ScanCall, communicator: Any) -> tuple[list[Tensor], Any] | None:
    """Return this rank's final states and the outputs; None where the states are of another kind. A
    state that takes in an outer product is left to kernels that write less at every step.
    """
    own = recorded(call)
    if any(one.kind == OUTER for one in classified(own.program)):
        return None
    cores = getattr(executor_of(call)[0], "cores", None)
    if cores is None:
        return None
    job = RankedRecurrence(own.program, cores, steps=call.length, reverse=call.reverse,
                           needs=frozenset(), keep=False, call=call)  # fmt: skip
    job.communicator = communicator
    try:
        job.stages()
    except NotFusableError:
        return None
    parts = job.opened(arguments(call, own.program, own.invariants))
    count = len(call.init)
    return parts[:count], own.ys_nest(parts[count:])


class RankedRecurrence(StretchedRecurrence):
    """Run a recurrence that goes on entry by entry; each rank has a stretch of time."""

    communicator: Any

    def special(self, stage: Stage, finals: list[Tensor], known: Known) -> None:
        """Run a state: what it is at the end of the stretch and before every step."""
        line = stage.line
        assert line is not None
        steps = self.run_stage(stage.program, [], known)
        first = finals[line.state]
        shape = (self.steps, *first.shape)

        def over_time(x: Any) -> Tensor:
            if type(x) is int:
                return steps[x]
            return engine.full(shape, x, dtype=first.dtype, device=first.device)

        own_first = place_of(self.communicator, reverse=self.reverse) == 0
        start = first if own_first else tied(engine.zeros_like(first), first)
        states = borders(over_time(line.decay), over_time(line.added), start,
                         communicator=self.communicator, reverse=self.reverse)  # fmt: skip
        finals[line.state] = states[0] if self.reverse else states[-1]
        known["state", line.state] = states[1:] if self.reverse else states[:-1]

    def run_stage(self, program: Program, first: Any, known: Known) -> list[Tensor]:
        """Return the results of a stage, of shifts from what the rank before hands on."""
        if not first:
            return super().run_stage(program, first, known)
        last = super().run_stage(program, first, known)[: len(first)]
        incoming = [self._handed_on(x, y) for x, y in zip(last, first, strict=True)]
        return super().run_stage(program, incoming, known)

    def _handed_on(self, last: Tensor, first: Tensor) -> Tensor:
        """Return the last value of the rank before, on the first one `first`."""
        nothing = engine.zeros((1, 1, *last.shape), dtype=last.dtype, device=last.device)
        found = maps_before(nothing, last[None], first[None], communicator=self.communicator,
                            reverse=self.reverse)  # fmt: skip
        return found[0]


KINDS = (SHIFT, DIAGONAL, OUTER, BLOCKS)


def run_stretch(
    layer: Recurrent[Any], x: Any, state: Any = None, *, communicator: Communicator | None = None
) -> tuple[Any, Any]:
    """Return (y, final state) of a layer on a sequence that is cut into stretches, one a rank.

    x (steps, B, I), or (B, steps, I) with `batch_first`, is this rank's stretch, see `stretch`; y
    is of its steps. `state` is that before the first step of all, read on rank 0 (on the last one
    where the layer runs in reverse), the final one is that after all steps, on all ranks. The cell
    is one with states that are affine in themselves, entry by entry or as pairs, or shifts: minGRU,
    minLSTM, RG-LRU, LRU, S4D, QRNN, Mamba, linear attention, and any other of which
    `engine.explain_scan` says so. Weights are the same on all ranks, and a rank has its part of
    their gradients: the sum over ranks is the gradient. For losses see `affine_scan`.

    Raises ValueError for another cell, with its state, for one that draws or takes the time, and
    what `affine_scan` raises.

    >>> import rnn
    >>> own = rnn.distributed.stretch(len(x))  # doctest: +SKIP
    >>> y, h = rnn.distributed.run_stretch(layer, x[own])  # doctest: +SKIP
    """
    if not isinstance(layer, Recurrent):
        raise TypeError(f"run_stretch: expected an rnn.Recurrent, got {type(layer).__name__}")
    job = _Stretch(layer, x, state, shared(communicator))
    return job.run()


class _Stretch:
    """Hold one call: the layer, its inputs, and the states before the stretch as far as known."""

    def __init__(self, layer: Recurrent[Any], x: Any, state: Any, communicator: Any) -> None:
        self.layer, self.communicator = layer, communicator
        self.reverse = layer.reverse
        self.axis = 1 if layer.batch_first else 0
        told: Told | str
        try:
            told = self._read(x, state)
        except (TypeError, ValueError) as reason:  # which all ranks raise, so that none waits
            told = str(reason)
        alike("run_stretch", communicator, told)

    def _read(self, x: Any, state: Any) -> Told:
        """Read the arguments; return what all ranks are told of them."""
        layer, axis = self.layer, self.axis
        self.inputs, self.rebuild = layer._inputs(x)
        self.xs = self.rebuild(self.inputs)
        self.steps = self.inputs[0].shape[axis]
        if not self.steps:
            raise ValueError("run_stretch: expected at least one step on every rank; use fewer")
        given = layer._checked(state, self.inputs, self.inputs[0].shape[1 - axis])
        self.first: list[Tensor]
        self.first, self.state_nest = flatten(given)
        if (kind := str(self.first[0].dtype)) not in ("float32", "float64"):
            raise ValueError(f"run_stretch: expected states of float32 or float64, got {kind}")
        sizes = [(*one.shape[:axis], *one.shape[axis + 1 :]) for one in self.inputs]
        weights = dict(layer.named_parameters())
        named = {**{f"x {n}": one for n, one in enumerate(self.inputs)},
                 **{f"state {n}": one for n, one in enumerate(self.first)}, **weights}  # fmt: skip
        sums = tuple((name, float(one.numpy().sum())) for name, one in weights.items())
        return Told(self.steps, sizes, kind, wanted_of(named), sums)

    def run(self) -> tuple[Any, Any]:
        """Return (y, final state)."""
        call, program = self._program()
        found = None
        if self.layer.checkpoint is False:
            with self.layer._scope():
                found = in_stages(call, self.communicator)
        if found is None:
            y, final = self._run(self._known(program))
        else:
            final, y = found
            if self.axis:
                leaves, rebuild = flatten(y)
                y = rebuild([engine.moveaxis(one, 0, 1) for one in leaves])
        root = 0 if self.reverse else self.communicator.Get_size() - 1
        return y, self.state_nest(
            [copy_of(one, communicator=self.communicator, root=root) for one in final]
        )

    def _known(self, program: Program) -> list[Tensor]:
        """Return the states before the stretch, found by running it for each group of states."""
        before = [engine.zeros_like(one) for one in self.first]
        groups = classified(program)
        for number, group in enumerate(groups, 1):
            # A shift of shifts of the inputs is known from as many of the last steps.
            short = all(one.kind == SHIFT for one in groups[:number])
            steps = min(number, self.steps) if short else self.steps
            for i, found in zip(group.states, self._incoming(group, before, steps), strict=True):
                before[i] = found
        return before

    def _program(self) -> tuple[ScanCall, Program]:
        """Return the layer's scan and its step's program. Raises ValueError for no affine cell."""
        name = type(self.layer.cell).__name__
        step = self.layer.step()
        xs = [one if self.axis == 0 else engine.moveaxis(one, 1, 0) for one in self.inputs]
        call = prepare(step, self.state_nest(self.first), self.rebuild(xs), reverse=self.reverse)
        program = recorded(call).program
        if step.timed or any(source[0] in ("key", "t") for source in program.inputs):
            raise marked(ValueError(
                f"run_stretch: {name} draws or takes the time, which a rank would count from its "
                "own first step; run it on one process"
            ))  # fmt: skip
        names = list(self.layer.cell.state_size)
        for group in classified(program):
            if group.kind not in KINDS:
                states = ", ".join(names[i] for i in group.states)
                raise marked(ValueError(
                    f"run_stretch: state {states} of {name} is {group.kind}; expected a cell with "
                    "states that are affine in themselves entry by entry, such as rnn.MinGRUCell"
                ))  # fmt: skip
        return call, program

    def _incoming(self, group: Group, before: list[Tensor], steps: int) -> list[Tensor]:
        """Return a group's states before the stretch. `before` is right for what it depends on."""
        recording = current().recording
        with using(recording=True):
            own = [engine.asarray(before[i].data, requires_grad=True) for i in group.states]
            start = list(before)
            for i, one in zip(group.states, own, strict=True):
                start[i] = one
            final = [self._run(start, steps)[1][i] for i in group.states]
            rows = [
                [engine.zeros_like(final[0])] * len(own)
                if group.kind == SHIFT
                else _derivatives(one, own, create_graph=recording)
                for one in final
            ]
        P = engine.stack([engine.stack(row, axis=0) for row in rows], axis=0)
        s = engine.stack(final, axis=0)
        first = engine.stack([self.first[i] for i in group.states], axis=0)
        if not recording:
            P, s = P.detach(), s.detach()
        found = maps_before(P, s, first, communicator=self.communicator, reverse=self.reverse)
        return [found[n] for n in range(len(own))]

    def _run(self, start: Sequence[Tensor], steps: int | None = None) -> tuple[Any, list[Tensor]]:
        """Return the outputs and the final states of the last `steps` steps, or of all."""
        xs = self.xs
        if steps is not None and steps < self.steps:
            part = slice(0, steps) if self.reverse else slice(self.steps - steps, None)
            key = (slice(None),) * self.axis + (part,)
            xs = self.rebuild([one[key] for one in self.inputs])
        y, final = self.layer.run(xs, self.state_nest(list(start)))
        return y, flatten(final)[0]


def _derivatives(y: Tensor, xs: list[Tensor], *, create_graph: bool) -> list[Tensor]:
    """Return dy/dx of each x, entry by entry, zeros where there is none."""
    found = engine.gradients([y], xs, [engine.ones_like(y)], create_graph=create_graph)
    return or_zeros(found, xs)
