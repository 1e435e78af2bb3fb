"""Compare predictions and targets as metrics do: what they are, and which of them count.

Below `base.py`. What would be counted wrongly without a word is refused: probabilities and
one-hot vectors in the place of classes, classes that no prediction can be.
"""

from typing import Any, NamedTuple

import engine
from engine import Tensor
from rnn.data.padding import sizes


class Compared(NamedTuple):
    """Hold predicted classes, targets, which of them count, the number of classes, where known."""

    classes: Tensor
    targets: Tensor
    kept: Tensor
    number: int | None


def compared(name: str, predicted: Any, targets: Any, lengths: Any, ignore: int | None) -> Compared:
    """Return classes and targets of the same shape on the same device.

    Raises TypeError for floats in the place of classes, ValueError for shapes and lengths that do
    not fit, for logits of fewer than two classes, and for NaN that counts.
    """
    given = predicted if isinstance(predicted, Tensor) else engine.asarray(predicted)
    theirs = as_integers(name, "targets", targets, given.device)
    logits = given.ndim == theirs.ndim + 1
    if given.shape[: theirs.ndim] != theirs.shape or (not logits and given.ndim != theirs.ndim):
        raise ValueError(
            f"{name}: predictions {given.shape} for targets {theirs.shape}; expected classes of "
            "that shape or logits with one more axis (one-hot targets? give their classes)"
        )
    if logits and given.shape[-1] < 2:
        raise ValueError(
            f"{name}: predictions {given.shape} for targets {theirs.shape} have {given.shape[-1]} "
            "classes, of which the first is always the largest; give classes, such as p[..., 0] > "
            "0.5"
        )
    kept = kept_of(theirs, lengths, ignore)
    if not logits:
        return Compared(as_integers(name, "predictions", given), theirs, kept, None)
    _check_numbers(name, given, kept)
    return Compared(engine.argmax(given, axis=-1), theirs, kept, given.shape[-1])


def as_integers(name: str, what: str, x: Any, device: str | None = None) -> Tensor:
    """Return classes as a tensor, truth values as 0 and 1. Raises TypeError for other dtypes."""
    given = engine.asarray(x, device=device)
    if given.dtype.kind == "b":
        return engine.astype(given, engine.int64)
    if given.dtype.kind not in "iu" and given.size:
        floats = "; probabilities? give p > 0.5" if what == "predictions" else ""
        raise TypeError(f"{name}: expected {what} as integers, got {given.dtype}{floats}")
    return given if given.dtype.kind in "iu" else engine.astype(given, engine.int64)


def kept_of(targets: Tensor, lengths: Any, ignore: int | None) -> Tensor:
    """Return which targets count: those that are not `ignore` and not after the lengths."""
    kept: Tensor = targets == targets if ignore is None else targets != ignore
    if lengths is None:
        return kept
    ends = engine.asarray(lengths_of(lengths, targets.shape), device=targets.device)
    times = engine.reshape(engine.arange(targets.shape[0], device=targets.device), (-1, 1))
    return engine.bitwise_and(kept, times < ends)


def lengths_of(lengths: Any, shape: tuple[int, ...]) -> Tensor:
    """Return lengths that fit targets (T, B). Raises ValueError for others."""
    ends = lengths if isinstance(lengths, Tensor) else engine.asarray(lengths)
    if len(shape) != 2 or ends.shape != shape[1:] or ends.dtype.kind not in "iu":
        raise ValueError(
            f"metrics: lengths {ends.dtype}{list(ends.shape)} for targets {shape}; expected "
            "integers (B,) for targets (T, B)"
        )
    return engine.asarray(sizes("metrics", ends, shape[0]))


def check_targets(name: str, targets: Tensor, kept: Tensor, classes: int | None) -> None:
    """Raise ValueError for a target that counts and is no class, which no prediction can meet."""
    odd = targets < 0
    if classes is not None:
        odd = engine.bitwise_or(odd, targets >= classes)
    odd = engine.bitwise_and(odd, kept)
    if engine.any(odd):
        found = targets.numpy()[odd.numpy()][0]
        most = "" if classes is None else f" of {classes}"
        raise ValueError(
            f"{name}: target {found} is no class{most}; is it padding? give ignore or lengths"
        )


def _check_numbers(name: str, logits: Tensor, kept: Tensor) -> None:
    """Raise ValueError for NaN among the predictions that count."""
    if engine.isdtype(logits.dtype, "real floating") and engine.any(
        engine.bitwise_and(engine.any(engine.isnan(logits), axis=-1), kept)
    ):
        raise ValueError(f"{name}: the predictions have NaN; has the training diverged?")
