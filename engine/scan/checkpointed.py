"""Run recurrences that keep only some states and compute the rest again on the way back.

With segments of sqrt(T) steps memory grows with sqrt(T), for one more forward pass. Source: Chen
et al., Training deep nets with sublinear memory cost, 2016. Above `recurrence.py`.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from engine.backends import Array, namespace_of
from engine.checks import byte_count
from engine.derivatives.multi_output import MultiOutput
from engine.scan.program import Program
from engine.scan.recurrence import Recurrence


def bytes_of(program: Program, kept: Sequence[Any]) -> tuple[int, int]:
    """Return the bytes that a step keeps for the backward pass, and those of the states."""

    def size(p: int) -> int:
        value = program.values[p]
        return int(math.prod(value.shape)) * int(value.dtype.itemsize)

    places = [program.leaves["carry", i] if name == "state" else i for name, i in kept]
    return sum(map(size, {*places, *program.carry})), sum(map(size, program.carry))


def segment_length(checkpoint: bool | int | str, steps: int, step: int = 0, state: int = 0) -> int:
    """Return how many steps a segment has: as many as asked for, or the square root of all.

    For a number of bytes it is the largest length within it, where each step of a segment takes
    `step` bytes and the states between two `state`. Raises ValueError where none is.
    """
    root = max(1, math.isqrt(steps - 1) + 1)
    if checkpoint is True:
        return root
    if isinstance(checkpoint, str):
        limit = byte_count(checkpoint) or 0
        for length in range(steps, 0, -1):
            if length * step + -(-steps // length) * state <= limit:
                return length
        least = min(n * step + -(-steps // n) * state for n in range(1, steps + 1))
        raise ValueError(
            f"scan: checkpoint={checkpoint!r} is too little for {steps} steps; the least is "
            f"{least:,} bytes"
        )
    return checkpoint


class CheckpointedRecurrence(Recurrence):
    """Run a recurrence in segments, each with the programs of the whole."""

    @property
    def segment(self) -> int:
        """Return how many steps a segment has."""
        own = self.derivative(None, saved=True)
        return segment_length(self.call.checkpoint, self.steps, *bytes_of(own.forward, own.kept))

    opens = True

    def opened(self, inputs: Sequence[Any]) -> Recurrence:
        """Return the recurrence without segments."""
        return self._over(self.steps, keep=True)

    def _over(self, steps: int, *, keep: bool) -> Recurrence:
        return Recurrence(self.program, self.cores, steps=steps, reverse=self.reverse,
                          needs=self.needs, keep=keep, call=self.call)  # fmt: skip

    def first(self) -> Program:
        """Return the program that is run forward: it keeps only the states between segments."""
        return self.program

    def _segments(self, *, keep: bool) -> Iterator[tuple[slice, Recurrence]]:
        """Yield the segments in the order in which they run, each as a recurrence."""
        length = self.segment
        starts = range(0, self.steps, length)
        for start in reversed(starts) if self.reverse else starts:
            stop = min(start + length, self.steps)
            yield slice(start, stop), self._over(stop - start, keep=keep)

    def _given(self, inputs: Sequence[Array], state: list[Array], part: slice) -> list[Array]:
        """Return the inputs of one segment."""
        first = len(self.program.carry)
        second = first + len(self.program.per_step)
        return [*state, *(x[part] for x in inputs[first:second]), *inputs[second:]]

    def forward(self, inputs: Sequence[Array]) -> MultiOutput:
        """Return final states and outputs; only the states between segments are kept."""
        count = len(self.program.carry)
        state, kept, parts = list(inputs[:count]), [], []
        for part, recurrence in self._segments(keep=False):
            kept.append(state)
            found = recurrence.forward(self._given(inputs, state, part))
            state = list(found[:count])
            parts.append(found[count:])
        if self.reverse:
            parts.reverse()
        xp = namespace_of(inputs[0])
        ys = [xp.concat(over_time) for over_time in zip(*parts, strict=True)]
        multi_output = MultiOutput([*state, *ys])
        multi_output.saved = kept
        return multi_output

    def backward(self, g: Sequence[Any], out: MultiOutput, inputs: Sequence[Array]) -> list[Any]:
        """Return the gradients, segment by segment from the last that was run to the first."""
        count = len(self.program.carry)
        second = count + len(self.program.per_step)
        carry, d_ys = list(g[:count]), g[count : self.public]
        totals: list[Any] = [None] * (len(inputs) - second)
        steps: dict[int, list[Any]] = {}
        for (part, recurrence), state in reversed(
            list(zip(self._segments(keep=True), out.saved, strict=True))
        ):
            given = self._given(inputs, state, part)
            again = recurrence.forward(given)
            own = [*carry, *(None if one is None else one[part] for one in d_ys),
                   *(None for _ in self.histories())]  # fmt: skip
            found = recurrence.backward(own, again, given)
            carry = found[:count]
            steps[part.start] = found[count:second]
            totals = [_sum(a, b) for a, b in zip(totals, found[second:], strict=True)]
        in_time = [steps[start] for start in sorted(steps)]
        xp = namespace_of(inputs[0])
        d_xs = [
            None if over_time[0] is None else xp.concat(over_time)
            for over_time in zip(*in_time, strict=True)
        ]
        return [*carry, *d_xs, *totals]


def _sum(total: Any, part: Any) -> Any:
    if total is None or part is None:
        return part if total is None else total
    return total + part
