"""Compute norms of d logit_t / d x_k for a text: one backward pass for each t, all of them exact.

Models are known by what they do, as pictures import no frontend. Below the rest of the folder.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import engine
from engine import Tensor
from engine.backends import HOST, Array
from engine.state import using
from engine.suggestions import kind_of

NAME = "draw_influence"


class Output(NamedTuple):
    """Hold the logit that is differentiated at one t: its place, its value, its probability."""

    place: int
    token: str
    follows: bool  # the token that comes next in the text, else the one of the largest logit
    logit: float
    probability: float


@dataclass(frozen=True)
class Influence:
    """Hold in ``norms[i][k]`` the norm of d logit / d x_k for logit ``outputs[i]`` at t = times[i].

    `pieces` are the tokens of the text, of which `unit` is the name: character or token. Below
    `smallest`, the least number of their dtype, gradients are zero. It `predicts` where the logits
    are those of the next token.
    """

    pieces: tuple[str, ...]
    unit: str
    times: tuple[int, ...]
    outputs: tuple[Output, ...]
    norms: tuple[tuple[float, ...], ...]
    smallest: float
    predicts: bool

    @cached_property
    def largest(self) -> float:
        """Return the largest finite norm of all, 0.0 where there is none."""
        return max((v for row in self.norms for v in row if math.isfinite(v)), default=0.0)


class Reading(NamedTuple):
    """Hold a forward pass over a text: x, with the inputs x_k as rows, and the logits (T, K)."""

    inputs: list[Tensor]
    logits: Tensor
    values: Array


def read(model: Callable[..., Any], embedding: Any, ids: Sequence[int]) -> Reading:
    """Run a model on indices (T, 1), in evaluation mode, with what `embedding` returns as leaves.

    Raises TypeError where there is no embedding or no tensor of logits, ValueError for logits of
    another number of steps, and where the embedding does not read the text once.
    """
    embedding = getattr(model, "embedding", None) if embedding is None else embedding
    if not hasattr(embedding, "register_forward_hook"):
        raise TypeError(
            f"{NAME}: {type(model).__name__} has no `embedding` that is a module; give "
            "embedding=, the module that turns indices into the inputs x"
        )
    leaves: list[Tensor] = []

    def cut(module: Any, given: Any, out: Tensor) -> Tensor:
        leaves.append(engine.asarray(out.detach().data, requires_grad=True))
        return leaves[-1]

    handle = embedding.register_forward_hook(cut)
    device = getattr(getattr(embedding, "weight", None), "device", None)
    try:
        # To differentiate is what was asked for, also inside of no_grad().
        with _evaluating(model), using(recording=True):
            found = model(engine.asarray([[i] for i in ids], device=device))
    finally:
        handle.remove()
    return _checked(found[0] if isinstance(found, tuple) else found, leaves, len(ids))


def _checked(logits: Any, leaves: list[Tensor], T: int) -> Reading:
    """Return the reading where its shapes are those of a text of T tokens."""
    if not isinstance(logits, Tensor):
        raise TypeError(f"{NAME}: expected logits from the model, got {kind_of(logits)}")
    if logits.ndim != 3 or logits.shape[:2] != (T, 1):
        raise ValueError(
            f"{NAME}: indices {(T, 1)} gave logits {logits.shape}; expected {(T, 1, 'V')}, those "
            "of every step, as a LanguageModel or a Tagger returns them"
        )
    rows = sum(math.prod(x.shape[:-1]) for x in leaves)
    if rows != T:
        raise ValueError(
            f"{NAME}: the embedding was asked for {rows} inputs for a text of {T} tokens; "
            "give embedding=, the module that reads each of them once"
        )
    if not logits.requires_grad:
        raise ValueError(
            f"{NAME}: the logits do not depend on what the embedding returns; give embedding=, the "
            "module that they are computed from"
        )
    return Reading(leaves, logits, logits.numpy()[:, 0].astype("float64"))


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Put all modules of a model, where it has some, into evaluation mode inside."""
    modules = list(model.modules()) if hasattr(model, "modules") else []
    before = [module.training for module in modules]
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, mode in zip(modules, before, strict=True):
            module.training = mode


def smallest(reading: Reading) -> float:
    """Return the least number above zero of the dtype of the gradients."""
    xp, dtype = HOST.xp, reading.inputs[0].numpy().dtype
    return float(xp.nextafter(xp.zeros((), dtype=dtype), xp.ones((), dtype=dtype)))


def norms_of(reading: Reading, t: int, place: int) -> tuple[float, ...]:
    """Return the norm of d logits[t, place] / d x_k for each k: one backward pass."""
    seed = HOST.xp.zeros(reading.logits.shape, dtype=reading.logits.dtype)
    seed[t, 0, place] = 1
    found = engine.gradients(reading.logits, reading.inputs, seed)
    rows: list[float] = []
    for x, g in zip(reading.inputs, found, strict=True):
        count = math.prod(x.shape[:-1])
        rows += [0.0] * count if g is None else _norms(g.numpy().reshape((count, -1)))
    return tuple(rows)


def _norms(rows: Array) -> list[float]:
    """Return the norm of each row in float64, scaled so that no square overflows or vanishes."""
    xp = HOST.xp
    rows = xp.abs(rows.astype("float64"))
    size = rows.max(axis=1, initial=0.0)
    unit = xp.where((size > 0) & xp.isfinite(size), size, 1.0)
    norms: list[float] = (unit * xp.sqrt(((rows / unit[:, None]) ** 2).sum(axis=1))).tolist()
    return norms


def output_at(
    reading: Reading, t: int, ids: Sequence[int], names: Callable[[int], str], *, follows: bool
) -> Output:
    """Return the logit at t: that of the token which follows, or the largest where none does."""
    values = reading.values[t]
    follows = follows and t + 1 < len(ids)
    index = int(ids[t + 1]) if follows else int(values.argmax())
    weights = HOST.xp.exp(values - values.max())
    share = float(weights[index] / weights.sum())
    return Output(index, names(index), follows, float(values[index]), share)
