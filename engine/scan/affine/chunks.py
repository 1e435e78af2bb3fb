"""Run a matrix memory over time in chunks of steps: products of matrices in the place of steps.

The state S (M, K, V) of M independent memories changes by

    S_t = (a_t + u_t w_t^T) S_(t-1) + sum_p k_pt v_pt^T,    y_t = q_t^T S_t or q_t^T S_(t-1),

with a decay a_t that is a number, or a number for each key, and at most one pair u, w. Inside of a
chunk all steps are done at once, from chunk to chunk only the state goes on. The part of rank one
is solved as in Yang et al., Parallelizing linear transformers with the delta rule, 2024, section 3.

A decay from step j to step i is the product of the decays between, never a quotient of products
from the start, so decays of 0, negative ones and those above 1 are right. Ops on tensors alone, so
any order of derivative follows. Above the ops.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from engine.apply import asarray
from engine.backends import HOST
from engine.ops.creation import full, zeros
from engine.ops.products import matmul
from engine.ops.rearranging import flip
from engine.ops.reductions import sum_
from engine.ops.shaping import (
    broadcast_to,
    concat,
    expand_dims,
    matrix_transpose,
    permute_dims,
    reshape,
)
from engine.ops.solving import unit_lower_inverse
from engine.tensor import Tensor

LENGTH = 64  # steps of a chunk: the products of a chunk grow with it, the number of chunks falls
SHORT = 16  # of one with a decay for each key: its scores are no product of matrices

Scan = Callable[[Any, Any, Any], tuple[Any, Any]]  # of a step, the initial state, and inputs


class Memory(NamedTuple):
    """Hold the arguments of a memory over time: T steps of M memories of K keys and V values.

    `decay` (T, M, 1) or (T, M, K), or a number; `outer` pairs k (T, M, K), v (T, M, V); `rank_one`
    None or u, w (T, M, K); `reads` q (T, M, K) and whether the state after the step is read.
    """

    decay: Tensor | float
    outer: Sequence[tuple[Tensor, Tensor]]
    rank_one: tuple[Tensor, Tensor] | None
    reads: Sequence[tuple[bool, Tensor]]


def over_time(
    first: Tensor, memory: Memory, steps: int, *, reverse: bool, scan: Scan
) -> tuple[Tensor, list[Tensor]]:
    """Return the final state (M, K, V) and what is read (T, M, V), from a first state (M, K, V).

    `scan` runs a step over a leading axis.
    """
    cut = Cut(steps, min(chunk_length(memory, first.shape[1]), steps), reverse)
    start, updates_before, updates_after, start_after = _decays(memory.decay, first, cut, scan)
    u = [(cut(k), cut(v)) for k, v in memory.outer]
    # What the updates of a chunk leave in the state after it: k_j v_j^T with the decays from j on.
    last = updates_after[:, :, -1]
    added: Tensor | None = None
    for k, v in u:
        added = _sum(added, matmul(matrix_transpose(k * last), v))
    decay = broadcast_to(start_after[:, :, -1], (cut.chunks, first.shape[0], start_after.shape[-1]))
    solved = None
    mixing: tuple[Tensor, ...] = ()
    if memory.rank_one is not None:
        left, right = map(cut, memory.rank_one)
        solved = _solved(left, right, u, start, updates_before)
        by_state, by_input = solved
        weighted = matrix_transpose(left * last)
        if by_input is not None:
            added = _sum(added, matmul(weighted, by_input))
        mixing = (matmul(weighted, by_state),)
    if added is None:
        added = zeros((cut.chunks, *first.shape), dtype=first.dtype, device=first.device)
    step = _mixed_step if mixing else _decayed_step
    final, states = scan(step, first, (decay, *mixing, added))
    reads = []
    for after, q in memory.reads:
        q = cut(q)
        own_start, own_updates = (start_after, updates_after) if after else (start, updates_before)
        y = matmul(q * own_start, states)
        for k, v in u:
            y = y + matmul(_scores(q, k, own_updates), v)
        if solved is not None:
            by_state, by_input = solved
            rest = matmul(by_state, states)
            rest = rest if by_input is None else rest + by_input
            y = y + matmul(_scores(q, left, own_updates), rest)
        reads.append(cut.joined(permute_dims(y, (0, 2, 1, 3))))
    return final, reads


def chunk_length(memory: Memory, keys: int) -> int:
    """Return how many steps a chunk has: fewer where the work of a chunk grows faster than they."""
    if isinstance(memory.decay, Tensor) and memory.decay.shape[-1] > 1:
        return SHORT
    return LENGTH if memory.rank_one is None else min(max(SHORT, keys // 2), LENGTH)


class Cut:
    """Cut (T, M, ...) into chunks (N, C, M, ...), the last filled up, and join them again."""

    def __init__(self, steps: int, length: int, reverse: bool) -> None:
        self.steps, self.length, self.reverse = steps, length, reverse
        self.chunks = -(-steps // length)
        self.filled = self.chunks * length - steps  # the steps of the last chunk that do nothing

    def __call__(self, x: Tensor, fill: float = 0.0) -> Tensor:
        """Return (T, M, D) as (N, M, C, D)."""
        return permute_dims(self.cut(x, fill), (0, 2, 1, 3))

    def cut(self, x: Tensor, fill: float) -> Tensor:
        """Return the chunks of x with steps in front of its other axes."""
        if self.reverse:
            x = flip(x, axis=0)
        if self.filled:
            rest = full((self.filled, *x.shape[1:]), fill, dtype=x.dtype, device=x.device)
            x = concat([x, rest], axis=0)
        return reshape(x, (self.chunks, self.length, *x.shape[1:]))

    def joined(self, y: Tensor) -> Tensor:
        """Return (T, M, ...) of chunks (N, C, M, ...)."""
        y = reshape(y, (self.chunks * self.length, *y.shape[2:]))
        y = y[: self.steps] if self.filled else y
        return flip(y, axis=0) if self.reverse else y


def _decays(
    decay: Tensor | float, first: Tensor, cut: Cut, scan: Scan
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the decays inside of each chunk, around each step.

    Of the first state before a step (N, M, C, K'), of the updates before it and after it
    (N, M, C, C) or (N, M, C, C, K), and of the first state after it.
    """
    length = cut.length
    one = HOST.xp.eye(length + 1, dtype=first.dtype)
    if not isinstance(decay, Tensor) and decay != 1.0 and cut.filled:
        decay = full((cut.steps, 1, 1), decay, dtype=first.dtype, device=first.device)
    if not isinstance(decay, Tensor):
        rows = [one[0]]
        for i in range(length):
            rows.append(decay * rows[-1] + one[i + 1])
        table = HOST.xp.stack(rows).astype(first.dtype)
        constant = asarray(table[None, None, :, :, None], device=first.device)
        before, after = constant[:, :, :-1], constant[:, :, 1:]
    else:
        a = permute_dims(cut(decay, 1.0), (2, 0, 1, 3))  # (C, N, M, K')
        a = expand_dims(a, axis=3)
        start = broadcast_to(
            asarray(one[0][None, None, :, None], device=first.device),
            (*a.shape[1:3], length + 1, a.shape[4]),
        )
        new = asarray(one[1:][:, None, None, :, None], device=first.device)  # (C, 1, 1, C + 1, 1)
        _, (before, after) = scan(_row_step, start, (a, new))
        order = (1, 2, 0, 3, 4)
        before, after = permute_dims(before, order), permute_dims(after, order)
    first_before, first_after = before[:, :, :, 0], after[:, :, :, 0]
    updates = [x[:, :, :, 1:] for x in (before, after)]
    return first_before, updates[0], updates[1], first_after


def _row_step(row: Tensor, x: tuple[Tensor, Tensor]) -> tuple[Tensor, Any]:
    """Return one step of the decays: those up to now go on, this step's update comes in."""
    a, new = x
    after = a * row + new
    return after, (row, after)


def _decayed_step(state: Tensor, x: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Step from chunk to chunk: S' = a S + b; the state before it is kept."""
    a, b = x
    return expand_dims(a, axis=-1) * state + b, state


def _mixed_step(state: Tensor, x: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Step from chunk to chunk: S' = a S + A S + b; the state before it is kept."""
    a, mixing, b = x
    return expand_dims(a, axis=-1) * state + matmul(mixing, state) + b, state


STEPS: tuple[Any, ...] = (_row_step, _decayed_step, _mixed_step)
for _step in STEPS:
    _step.memo = {}  # they compute the same at every call


def _scores(q: Tensor, k: Tensor, decays: Tensor) -> Tensor:
    """Return q_i . k_j with the decays from j to i: (N, M, C, C) of (N, M, C, K)."""
    if decays.shape[-1] == 1:
        return matmul(q, matrix_transpose(k)) * decays[..., 0]
    return sum_(expand_dims(q, axis=3) * decays * expand_dims(k, axis=2), axis=-1)


def _solved(
    left: Tensor, right: Tensor, outer: Sequence[tuple[Tensor, Tensor]], start: Tensor,
    updates: Tensor,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """Return w_i^T S_(i-1) of all steps of a chunk, as X S + Y of the state before it.

    It is (I - G) r = (decayed w) S + H, with G and H the scores of w with u and with k.
    """
    inverse = unit_lower_inverse(-_scores(right, left, updates))
    by_input = None
    for k, v in outer:
        by_input = _sum(by_input, matmul(_scores(right, k, updates), v))
    by_state = matmul(inverse, right * start)
    return by_state, None if by_input is None else matmul(inverse, by_input)


def _sum(a: Tensor | None, b: Tensor) -> Tensor:
    return b if a is None else a + b
