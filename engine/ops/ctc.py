"""Compute connectionist temporal classification: the loss of a sequence of labels without times.

All ways to lay S labels over T frames form a lattice of 2S + 1 states (a blank, a label, a blank,
...). One op sums over its paths, for all rows at once; the rest is composed of ops. Source: Graves
et al., Connectionist temporal classification, 2006. Above indexing and `loss_pairs.py`.
"""

import math
from typing import Any

from engine.apply import apply, asarray
from engine.arguments import public
from engine.backends import numpy as host
from engine.checks import is_whole
from engine.op import Op
from engine.ops.casts import astype
from engine.ops.choices import maximum, where
from engine.ops.creation import arange, full, zeros
from engine.ops.indexing import index
from engine.ops.logic import bitwise_and
from engine.ops.loss_pairs import REDUCTIONS, check_reduction, floating, integers
from engine.ops.reductions import logsumexp
from engine.ops.shaping import concat, permute_dims, stack
from engine.tensor import Tensor

__all__ = ["ctc_loss"]


@public
def ctc_loss(
    log_probs: Tensor, targets: Any, input_lengths: Any, target_lengths: Any, /, *, blank: int = 0,
    reduction: str = "mean", zero_infinity: bool = False,
) -> Tensor:  # fmt: skip
    """Return -log of the probability that the frames of each row spell its labels, in nats.

    `log_probs` (T, B, V) are logarithms of probabilities over the classes, one of them the
    `blank`; `targets` (B, S) integers, of which row b has the first ``target_lengths[b]``, without
    blanks; ``input_lengths`` (B,) say how many frames it has. Labels that do not fit into their
    frames give inf, or 0 with `zero_infinity`, and no gradient. `reduction` is ``"none"`` for (B,),
    ``"sum"``, or ``"mean"``: each row divided by its number of labels, then the mean. Raises
    ValueError for shapes and lengths that do not fit, TypeError for other dtypes, IndexError for a
    label outside of V.

    >>> even = engine.full((2, 1, 2), -engine.log(2.0).item())
    >>> engine.ctc_loss(even, [[1]], [2], [1]).item() == -engine.log(0.75).item()
    True
    """
    log_probs = floating("ctc_loss", "log_probs", log_probs)
    check_reduction("ctc_loss", reduction)
    frames, counts = _lengths(log_probs, input_lengths, target_lengths)
    labels = _labels(log_probs, targets, counts, blank)
    states = _states(labels, blank)
    emitted = _emitted(log_probs, states, frames)
    paths = apply(LATTICE, (emitted, _may_skip(states, blank)), {}) + emitted
    loss = -logsumexp(_ends(paths, frames, counts), axis=1)
    # No frames spell no labels, with certainty.
    loss = where(bitwise_and(frames == 0, counts == 0), 0.0, loss)
    if zero_infinity:
        loss = where(loss == math.inf, 0.0, loss)
    if reduction == "mean":
        loss = loss / maximum(counts, 1)
    return astype(REDUCTIONS[reduction](loss), log_probs.dtype.name)


# ---- what is given


def _lengths(log_probs: Tensor, input_lengths: Any, target_lengths: Any) -> tuple[Tensor, Tensor]:
    """Return the numbers of frames and of labels of each row."""
    if log_probs.ndim != 3 or not log_probs.size:
        raise ValueError(
            f"ctc_loss: log_probs {log_probs.shape}; expected (T, B, V), none of them 0"
        )
    T, B, _ = log_probs.shape
    frames = _integers("input_lengths", input_lengths, log_probs)
    counts = _integers("target_lengths", target_lengths, log_probs)
    for name, lengths in (("input_lengths", frames), ("target_lengths", counts)):
        if lengths.shape != (B,):
            raise ValueError(f"ctc_loss: {name} {lengths.shape}; expected {(B,)}, one for each row")
    _check_range("input_lengths", frames, T, "frames")
    return frames, counts


def _integers(what: str, x: Any, like: Tensor) -> Tensor:
    return asarray(integers("ctc_loss", what, x, like.device), host.int64)


def _check_range(name: str, lengths: Tensor, most: int, of: str) -> None:
    """Raise ValueError, with the first length that is none."""
    data = lengths.numpy()
    if data.min() < 0 or data.max() > most:
        wrong = int(data[(data < 0) | (data > most)][0])
        raise ValueError(f"ctc_loss: {name} has {wrong} for {most} {of}; expected 0 to {most}")


def _labels(log_probs: Tensor, targets: Any, counts: Tensor, blank: int) -> Tensor:
    """Return the labels (B, longest), checked, with blanks after the last of a row."""
    B, V = log_probs.shape[1:]
    if not is_whole(blank, 0) or blank >= V:
        raise IndexError(f"ctc_loss: blank {blank!r} for {V} classes; expected 0 to {V - 1}")
    given = _integers("targets", targets, log_probs)
    if given.ndim != 2 or given.shape[0] != B:
        raise ValueError(
            f"ctc_loss: targets {given.shape} for log_probs {log_probs.shape}; "
            f"expected ({B}, S), the rows padded to one length"
        )
    _check_range("target_lengths", counts, given.shape[1], "labels")
    given = given[:, : int(counts.numpy().max())]
    inside = arange(given.shape[1], device=given.device) < counts.reshape((B, 1))
    used = given.numpy()[inside.numpy()]
    if used.size and (used.min() < 0 or used.max() >= V):
        wrong = int(used[(used < 0) | (used >= V)][0])
        raise IndexError(f"ctc_loss: target {wrong} for {V} classes; expected 0 to {V - 1}")
    if (used == blank).any():
        raise ValueError(f"ctc_loss: the targets hold the blank, {blank}; leave blanks out of them")
    return where(inside, given, blank)


# ---- the lattice


def _states(labels: Tensor, blank: int) -> Tensor:
    """Return the class of every state (B, 2S + 1): the labels with blanks around each."""
    B, S = labels.shape
    device = labels.device
    blanks = full((B, S), blank, dtype=host.int64, device=device)
    pairs = stack([blanks, labels], axis=2).reshape((B, 2 * S))
    return concat([pairs, full((B, 1), blank, dtype=host.int64, device=device)], axis=1)


def _may_skip(states: Tensor, blank: int) -> Tensor:
    """Return whether a state may follow the one before the last: labels that differ, no blank."""
    B, count = states.shape
    first = zeros((B, min(2, count)), dtype=host.bool_, device=states.device)
    other = bitwise_and(states[:, 2:] != blank, states[:, 2:] != states[:, :-2])
    return concat([first, other], axis=1)


def _emitted(log_probs: Tensor, states: Tensor, frames: Tensor) -> Tensor:
    """Return log p of the class of every state at every frame (T, B, 2S + 1), 0 in the padding.

    In float64: the sums over T frames grow so large that float32 would keep few digits of the
    differences between paths, which are what counts.
    """
    T, B, V = log_probs.shape
    device = log_probs.device
    rows = arange(B, device=device).reshape((B, 1))
    # Whole rows of a matrix are taken: their gradient is much cheaper to place than elements.
    by_class = permute_dims(log_probs, (1, 2, 0)).reshape((B * V, T))
    taken = permute_dims(index(by_class, rows * V + states), (2, 0, 1))
    valid = arange(T, device=device).reshape((T, 1, 1)) < frames.reshape((B, 1))
    return where(valid, astype(taken, "float64"), 0.0)


def _ends(paths: Tensor, frames: Tensor, counts: Tensor) -> Tensor:
    """Return the paths (B, 2) that end each row at its last frame, in its last label or blank."""
    B = paths.shape[1]
    last = maximum(frames - 1, 0).reshape((B, 1))
    rows = arange(B, device=paths.device).reshape((B, 1))
    blank, label = counts * 2, counts * 2 - 1
    ends = index(paths, (last, rows, stack([blank, maximum(label, 0)], axis=1)))
    there = bitwise_and(stack([blank, label], axis=1) >= 0, frames.reshape((B, 1)) > 0)
    return where(there, ends, -math.inf)


def _lattice(xp: Any, emitted: Any, skip: Any, /) -> Any:
    """Return log of the sum over all paths that arrive in a state, before it emits: (T, B, 2S + 1).

    A path stays in its state, goes on by one, or by two where `skip` (B, 2S + 1) lets it.
    """
    out = xp.empty(emitted.shape, dtype=emitted.dtype)
    out[0] = -math.inf
    out[0, :, :2] = 0.0
    steps, rows, states = emitted.shape
    past = xp.full((rows, states + 2), -math.inf, dtype=emitted.dtype)
    for t in range(1, steps):
        past[:, 2:] = out[t - 1] + emitted[t - 1]
        near = xp.logaddexp(past[:, 2:], past[:, 1:-1])
        out[t] = xp.logaddexp(near, xp.where(skip, past[:, :-2], -math.inf))
    return out


def _widened(xp: Any, x: Any, fill: float) -> Any:
    """Return x with two more states at the end."""
    more = xp.zeros_like(x[..., :1]) + fill
    return xp.concat([x, more, more], axis=-1)


def _lattice_vjp(xp: Any, g: Any, out: Any, emitted: Any, skip: Any) -> list[Any]:
    """Return the gradient flows back along the paths, by the share of each where it arrives."""
    left = (out + emitted)[:-1]
    arrived = xp.where(out == -math.inf, math.inf, out)[1:]  # nothing came: no path has a share
    skipped = xp.where(skip, arrived, math.inf)
    stay = xp.exp(left - arrived)
    step = xp.exp(left - _widened(xp, arrived, math.inf)[..., 1:-1])
    jump = xp.exp(left - _widened(xp, skipped, math.inf)[..., 2:])
    total = g[-1]
    grads = [xp.zeros_like(total)]  # what the last frame emits leads nowhere
    for t in range(emitted.shape[0] - 2, -1, -1):
        wide = _widened(xp, total, 0.0)
        back = total * stay[t] + wide[:, 1:-1] * step[t] + wide[:, 2:] * jump[t]
        grads.append(back)
        total = g[t] + back
    return [xp.stack(grads[::-1]), None]


# A primitive for speed: a node for all frames, with shares that are computed for all at once.
# It is no function that users call, so it is not in the registry.
LATTICE = Op("ctc_lattice", _lattice, _lattice_vjp)
