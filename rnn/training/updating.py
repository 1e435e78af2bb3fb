"""The gradients of one update, from one batch or several together. Below the loop.

Above `losses.py` and `forensics.py`.
"""

import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from engine import Tensor
from engine.random import random_state
from rnn.clipping.clip import clip_grad_norm, grad_norm
from rnn.models.stacks import detached
from rnn.training.forensics import explained
from rnn.training.losses import count_of, loss_of, mean_of

if TYPE_CHECKING:
    from rnn.training.loop import Run


class Update(NamedTuple):
    """The mean loss of an update, how much it counts, the norm before clipping, the state after."""

    loss: float
    counted: float
    norm: float
    carried: Any


def computed(run: "Run", batches: list[Any]) -> Update:
    """Give the parameters the gradient of the mean loss over all batches, clipped.

    Batches weigh as much as they count, so the gradient is that of one batch of all of them.
    Raises AnomalyError where the loss or the gradient is not finite.
    """
    own, before, carried = run.settings, random_state(), run.carried
    counts = [count_of(own, batch) for batch in batches]
    shares, losses = _shares(counts), []
    for number, batch in enumerate(batches):
        loss, carried = loss_of(own, batch, carried, run.step)
        losses.append(float(loss.item()))
        if not math.isfinite(losses[-1]):
            raise explained_step(run, batches[: number + 1], before, f"loss is {losses[-1]}")
        if not number:
            run.optimizer.zero_grad()
        (loss if len(batches) == 1 else loss * shares[number]).backward()
        carried = detached(carried)
    if all(x.grad is None for x in run.optimizer.parameters):
        raise ValueError(
            "fit: the loss depends on no parameter that is trained; is it computed from another "
            "model than the one it is given?"
        )
    norm = clipped(run)
    if not math.isfinite(norm):
        raise explained_step(run, batches, before, f"gradient norm is {norm}")
    mean = losses[0] if len(batches) == 1 else mean_of(losses, counts)
    return Update(mean, math.fsum(counts), norm, carried)


def _shares(counts: list[float]) -> list[float]:
    """Return the weight of each batch; equal ones where none counts."""
    total = math.fsum(counts)
    return [count / total if total else 1 / len(counts) for count in counts]


def clipped(run: "Run") -> float:
    """Return the norm of the gradients before they are clipped."""
    bound = run.settings.clip_norm
    if bound is None:
        return grad_norm(run.optimizer.parameters)
    return float(clip_grad_norm(run.optimizer.parameters, bound, error_if_nonfinite=False))


def explained_step(run: "Run", batches: list[Any], before: Any, found: str) -> Exception:
    """Return the error for a step whose loss or gradient is not finite."""
    what = f"fit: the {found} at step {run.step + 1}, epoch {run.epoch}"
    again = partial(_again, run, batches)
    batch = batches[0] if len(batches) == 1 else batches
    return explained(what, run.model, batch, run.carried, again, before)


def _again(run: "Run", batches: list[Any]) -> Tensor:
    """Return the loss of the step in one graph."""
    own, carried = run.settings, run.carried
    shares = _shares([count_of(own, batch) for batch in batches])
    total, carried = loss_of(own, batches[0], carried, run.step)
    if len(batches) > 1:
        total = total * shares[0]
    for batch, share in zip(batches[1:], shares[1:], strict=True):
        loss, carried = loss_of(own, batch, detached(carried), run.step)
        total = total + loss * share
    return total
