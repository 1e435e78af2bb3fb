"""Run recurrences with matrix memories in chunks of steps. Above `split.py`."""

from math import prod
from typing import Any

from engine.ops.creation import full
from engine.ops.shaping import broadcast_to, permute_dims, reshape
from engine.scan.affine.chunks import Memory, over_time
from engine.scan.affine.split import split
from engine.scan.affine.stages import Known, Matrix, Split, Stage, StagedRecurrence
from engine.tensor import Tensor


class ChunkedRecurrence(StagedRecurrence):
    """Run the memories of a recurrence in chunks of steps."""

    def stages(self) -> Split:
        """Return the stages of the program."""
        return split(self.program)

    def special(self, stage: Stage, finals: list[Tensor], known: Known) -> None:
        """Run a memory: its final state, and what each read gives."""
        matrix = stage.memory
        assert matrix is not None
        steps = self.run_stage(stage.program, [], known)
        first = finals[matrix.state]
        laid = _Layout(first.shape, matrix, self.steps)

        def keys(place: Any) -> Tensor:
            return laid.keys(steps[place]) if type(place) is int else laid.number(place, first)

        def values(place: Any) -> Tensor:
            known = type(place) is int
            return laid.values(steps[place]) if known else laid.number(place, first, kept=True)

        pair = matrix.rank_one
        decay = matrix.decay
        memory = Memory(
            laid.decay(steps[decay]) if type(decay) is int else decay,
            [(keys(k), values(v)) for k, v in matrix.outer],
            None if pair is None else (keys(pair[0]), keys(pair[1])),
            [(after, keys(q)) for _, after, q in matrix.reads],
        )  # fmt: skip
        final, reads = over_time(laid.state(first), memory, self.steps, reverse=self.reverse,
                                 scan=self.scan)  # fmt: skip
        finals[matrix.state] = laid.state_again(final)
        known |= {("read", n): laid.read(y)
                  for (n, _, _), y in zip(matrix.reads, reads, strict=True)}  # fmt: skip


class _Layout:
    """Lay the arguments of a memory of any rank out as (T, M, K) and (T, M, V), and back."""

    def __init__(self, shape: tuple[int, ...], matrix: Matrix, steps: int) -> None:
        self.shape, self.steps = shape, steps
        self.folded, self.kept = matrix.axes
        self.rest = [i for i in range(len(shape)) if i not in matrix.axes]
        self.batch = tuple(shape[i] for i in self.rest)
        self.order = (*self.rest, self.folded, self.kept)
        self.count = prod(self.batch)

    def state(self, x: Tensor) -> Tensor:
        """Return (M, K, V) of a state."""
        return reshape(permute_dims(x, self.order), (self.count, *self._matrix()))

    def state_again(self, x: Tensor) -> Tensor:
        """Return a state of (M, K, V)."""
        back = tuple(self.order.index(i) for i in range(len(self.order)))
        return permute_dims(reshape(x, (*self.batch, *self._matrix())), back)

    def _matrix(self) -> tuple[int, int]:
        return self.shape[self.folded], self.shape[self.kept]

    def keys(self, x: Tensor) -> Tensor:
        """Return (T, M, K) of what has size 1 on the kept axis."""
        return self._laid(x, self.shape[self.folded])

    def decay(self, x: Tensor) -> Tensor:
        """Return (T, M, 1), or (T, M, K) of a decay that differs by keys."""
        return self._laid(x, x.shape[1 + self.folded])

    def values(self, x: Tensor) -> Tensor:
        """Return (T, M, V) of what has size 1 on the folded axis."""
        return self._laid(x, self.shape[self.kept])

    def number(self, x: float, like: Tensor, *, kept: bool = False) -> Tensor:
        """Return a number as an argument that is the same everywhere."""
        width = self.shape[self.kept if kept else self.folded]
        return full((self.steps, self.count, width), x, dtype=like.dtype, device=like.device)

    def _laid(self, x: Tensor, width: int) -> Tensor:
        order = (0, *(1 + i for i in self.order))
        x = permute_dims(x, order)
        x = reshape(x, (*x.shape[:-2], x.shape[-2] * x.shape[-1]))
        x = broadcast_to(x, (self.steps, *self.batch, width))
        return reshape(x, (self.steps, self.count, width))

    def read(self, y: Tensor) -> Tensor:
        """Return what a read gives at every step, with the axes of the state but the folded one."""
        y = reshape(y, (self.steps, *self.batch, self.shape[self.kept]))
        left = (*self.rest, self.kept)
        target = [i for i in range(len(self.shape)) if i != self.folded]
        return permute_dims(y, (0, *(1 + left.index(i) for i in target)))
