"""Recurrences that keep only some states and compute the rest again on the way back.

With segments of sqrt(T) steps the memory for the backward pass grows with sqrt(T), for one more
forward pass. Source: Chen et al., Training deep nets with sublinear memory cost, 2016.
Above `fused.py`'s `Job`.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from engine.backends import HOST, Array
from engine.bundle import Bundle
from engine.ops.elementwise import clip
from engine.scan.call import ScanCall
from engine.scan.job import Core, Job
from engine.scan.recording import Pair


def segment_length(checkpoint: bool | int, steps: int) -> int:
    """How many steps a segment has: as many as asked for, or the square root of all.

    Raises ValueError for what is neither True nor a positive integer.
    """
    if checkpoint is True:
        return max(1, math.isqrt(steps - 1) + 1)
    if not isinstance(checkpoint, int) or checkpoint < 1:
        raise ValueError(f"scan: checkpoint must be True or a positive integer, got {checkpoint!r}")
    return checkpoint


class CheckpointedJob(Job):
    """A recurrence in segments, each with the programs of the whole."""

    def __init__(self, call: ScanCall, core: Core, programs: Pair, needs: tuple[bool, ...]) -> None:
        super().__init__(call, core, programs, needs)
        self.segment = segment_length(call.checkpoint, call.length)

    def _segments(self) -> Iterator[tuple[slice, Job]]:
        """The segments in the order in which they are run, each as a job of its own."""
        starts = range(0, self.call.length, self.segment)
        for start in reversed(starts) if self.call.reverse else starts:
            stop = min(start + self.segment, self.call.length)
            lengths = self.call.lengths
            own = None if lengths is None else clip(lengths - start, 0, stop - start)
            memo = {"key": self.call.key} if self.programs.chance else {}
            call = replace(self.call, length=stop - start, lengths=own, memo=memo, first=start)
            yield slice(start, stop), Job(call, self.core, self.programs, self.needs)

    def forward(self, inputs: list[Array], *, keep: bool) -> Bundle:
        """Final states and outputs; only the states between segments are kept."""
        state, xs, fixed = self._split(inputs)
        count, kept, parts = len(state), [], []
        for part, job in self._segments():
            kept.append(state)
            found = job.forward([*state, *(x[part] for x in xs), *fixed], keep=False)
            state = list(found[:count])
            parts.append(found[count:])
        if self.call.reverse:
            parts.reverse()
        ys = [HOST.xp.concat(over_time) for over_time in zip(*parts, strict=True)]
        bundle = Bundle([*state, *ys])
        bundle.saved = kept
        return bundle

    def backward(self, grads: Sequence[Any], out: Bundle, inputs: list[Array]) -> list[Any]:
        """The gradients, segment by segment from the last that was run to the first."""
        init, xs, fixed = self._split(inputs)
        count = len(init)
        carry, d_ys = list(grads[:count]), grads[count:]
        totals: list[Any] = [None] * len(fixed)
        steps: dict[int, list[Any]] = {}
        for (part, job), state in reversed(list(zip(self._segments(), out.saved, strict=True))):
            given = [*state, *(x[part] for x in xs), *fixed]
            again = job.forward(given, keep=True)
            own = [*carry, *(None if g is None else g[part] for g in d_ys)]
            found = job.backward(own, again, given)
            carry = found[:count]
            steps[part.start] = found[count : count + len(xs)]
            totals = [_sum(a, b) for a, b in zip(totals, found[count + len(xs) :], strict=True)]
        in_time = [steps[start] for start in sorted(steps)]
        d_xs = [
            None if over_time[0] is None else HOST.xp.concat(over_time)
            for over_time in zip(*in_time, strict=True)
        ]
        return [*carry, *d_xs, *totals]


def _sum(total: Any, part: Any) -> Any:
    if total is None or part is None:
        return part if total is None else total
    return total + part
