"""Run a recurrence that goes on entry by entry, in stages, over stretches of time.

What gives a and b of a state is computed for all steps at once, a and b are scanned over time and
ranks, and what reads the states is computed for all steps at once. Shifts hand their last values on
to the next rank. Above `affine.py` and `maps.py`, below `layers.py`.
"""

from typing import Any

import engine
from engine import Tensor
from engine.scan.affine.kinds import OUTER, classified
from engine.scan.affine.staged import Known
from engine.scan.affine.stages import Stage
from engine.scan.affine.stretched import StretchedRecurrence
from engine.scan.call import ScanCall
from engine.scan.executors import executor_of
from engine.scan.program import NotFusableError, Program
from engine.scan.recorded import arguments, recorded
from rnn.distributed.affine import borders
from rnn.distributed.exchange import place_of
from rnn.distributed.links import tied
from rnn.distributed.maps import maps_before


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
    """A recurrence that goes on entry by entry; each rank has a stretch of time."""

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
