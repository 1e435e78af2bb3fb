"""Recurrences with matrix memories, run in stages with the memories in chunks of steps.

The derivative is that of the ops of the stages. Numbers that are not finite go the long way, step
by step: in a product of matrices a NaN would reach steps before its own. Above `split.py`,
`chunks.py` and `recurrence.py`.
"""

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any

from engine.backends import Array, namespace_of
from engine.backward import gradients
from engine.derivatives.multi_output import Bundle
from engine.ops.creation import full
from engine.ops.shaping import broadcast_to, permute_dims, reshape
from engine.scan.affine.chunks import Memory, over_time
from engine.scan.affine.split import Matrix, Stage, split
from engine.scan.call import prepare
from engine.scan.cores import Core
from engine.scan.nodes import on_graph
from engine.scan.program import Program, Source
from engine.scan.recorded import arguments, recorded
from engine.scan.recurrence import Recurrence
from engine.state import current, using
from engine.tensor import Tensor


class ChunkedRecurrence(Recurrence):
    """A recurrence that is run in stages, with its memories in chunks."""

    opens = True

    def _forward(self, inputs: Sequence[Array]) -> Bundle:
        leaves = [Tensor(x, requires_grad=self.keep and x.dtype.kind == "f") for x in inputs]
        with using(recording=self.keep, tracing=False, interpreter=None, equations=None):
            outputs = self.opened(leaves)
        bundle = Bundle([x.data for x in outputs])
        if not _all_finite(bundle):
            return super()._forward(inputs)
        if self.keep:
            bundle.saved = Kept(leaves, outputs)
        return bundle

    def _backward(self, g: Sequence[Any], out: Bundle, inputs: Sequence[Array]) -> list[Any]:
        if not isinstance(out.saved, Kept):
            return super()._backward(g, out, inputs)
        own = [(x, one) for x, one in zip(out.saved.outputs, g, strict=False)
               if one is not None and x.requires_grad]  # fmt: skip
        found = _pulled(own, out.saved.leaves)
        if _all_finite([one for one in found if one is not None]):
            return found
        again = super()._forward(inputs)
        return super()._backward(g, again, inputs)

    def opened(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return the final states and the values of every step, by ops on tensors."""
        found = split(self.program)
        carry, sources = self.split(inputs)
        finals = list(carry)
        known: dict[Source, Any] = dict(sources)
        for stage in found.stages:
            if stage.memory is not None:
                self._remember(stage, stage.memory, finals, known)
                continue
            first = [carry[i] for i in stage.states]
            parts = self._run(stage.program, first, known)
            count = len(first)
            for i, x in zip(stage.states, parts, strict=False):
                finals[i] = x
            held = [i for i in stage.states if ("carry", i) in self.program.leaves]
            known |= {("state", i): x for i, x in zip(held, parts[count:], strict=True)}
        return [*finals, *self._run(found.outputs.program, [], known)]

    def _run(
        self, program: Program, first: Sequence[Tensor], known: dict[Source, Any]
    ) -> list[Tensor]:
        """The results of a stage."""
        inputs = [*first, *(known[source] for source in program.inputs)]
        job = recurrence_of(program, self.cores, inputs, steps=self.steps, reverse=self.reverse)
        return on_graph(job, inputs)

    def _remember(
        self, stage: Stage, matrix: Matrix, finals: list[Tensor], known: dict[Source, Any]
    ) -> None:
        """Run a memory; its final state, and what each read gives."""
        steps = self._run(stage.program, [], known)
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
                                 length=None, scan=partial(_scanned, self.cores))  # fmt: skip
        finals[matrix.state] = laid.state_again(final)
        known |= {("read", n): laid.read(y)
                  for (n, _, _), y in zip(matrix.reads, reads, strict=True)}  # fmt: skip


class Kept:
    """The graph of the stages of a call: the leaves it began with, and its outputs."""

    def __init__(self, leaves: list[Tensor], outputs: list[Tensor]) -> None:
        self.leaves, self.outputs = leaves, outputs


class _Layout:
    """Lays the arguments of a memory of any rank out as (T, M, K) and (T, M, V), and back."""

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


def _scanned(cores: Sequence[Core], step: Any, first: Any, xs: Any) -> tuple[Any, Any]:
    """A recurrence inside of a memory, by the same cores."""
    call = prepare(step, first, xs)
    own = recorded(call)
    inputs = arguments(call, own.program, own.invariants)
    job = recurrence_of(own.program, cores, inputs, steps=call.length, reverse=False)
    parts = on_graph(job, inputs)
    return parts[0], own.ys_nest(parts[1:])


def recurrence_of(
    program: Program, cores: Sequence[Core], inputs: Sequence[Tensor], *, steps: int, reverse: bool
) -> Recurrence:
    """Return a recurrence that keeps what the gradients of its inputs need."""
    names = program.inputs
    given = inputs[len(program.carry) :]
    keep = current().recording and any(x.requires_grad for x in inputs)
    needs = frozenset(s for s, x in zip(names, given, strict=True) if x.requires_grad)
    return Recurrence(program, cores, steps=steps, reverse=reverse, needs=needs, keep=keep)


def _pulled(own: Sequence[tuple[Tensor, Array]], leaves: Sequence[Tensor]) -> list[Array | None]:
    """The gradients of the leaves as arrays."""
    wanted = [x for x in leaves if x.requires_grad]
    found = iter(gradients([x for x, _ in own], wanted, [Tensor(g) for _, g in own]))
    every = [next(found) if x.requires_grad else None for x in leaves]
    return [None if g is None else g.data for g in every]


def _all_finite(arrays: Sequence[Any]) -> bool:
    return all(bool(namespace_of(x).isfinite(x).all()) for x in arrays)
