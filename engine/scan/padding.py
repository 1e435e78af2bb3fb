"""Select rows without a step: they keep their state and their output is zero.

The selection is part of the step that is recorded, so its derivative follows by the rules of the
ops, and no executor knows of lengths. Below the executors.
"""

from typing import Any

from engine.apply import asarray
from engine.backends import HOST, on_device_of
from engine.backends import numpy as host
from engine.backends.abstract import AbstractArray
from engine.ops.choices import where
from engine.ops.creation import arange
from engine.ops.logic import less, logical_and
from engine.ops.shaping import reshape
from engine.stepping import stepping
from engine.tensor import Tensor


def row_mask(
    lengths: Any, mask: Any, states: list[Tensor], xs: list[Tensor], steps: int, device: str | None
) -> Tensor | None:
    """Return which rows have which steps, booleans (T, B); None where all have all.

    Raises ValueError for wrong lengths, a wrong mask, and states that have other rows.
    """
    if lengths is None and mask is None:
        return None
    batch = xs[0].shape[1] if xs and xs[0].ndim > 1 else None
    if any(map(_is_input, (lengths, mask))):
        return _recorded_mask(lengths, mask, steps, batch)
    given = []
    if lengths is not None:  # which are read here once and for all
        ends = read_lengths("scan", lengths, steps, batch)
        given.append(asarray(HOST.xp.arange(steps)[:, None] < ends[None, :], device=device).data)
    given += [] if mask is None else [_of_mask(mask, steps, batch, device)]
    rows, own = given[0], given[-1]
    if rows.shape != own.shape:
        raise ValueError(
            f"scan: {rows.shape[1]} lengths and a mask of {own.shape[1]} rows; give both for the "
            "rows of one batch"
        )
    with on_device_of(rows):
        rows = rows & own
    for number, x in enumerate(states):
        if not x.ndim or x.shape[0] != rows.shape[1]:
            raise ValueError(
                f"scan: state {number} has shape {x.shape}; with lengths or a mask the first axis "
                f"of every state is the row of the batch, and there are {rows.shape[1]} rows"
            )
    return asarray(rows, device=device)


def _is_input(x: Any) -> bool:
    """Return whether lengths or a mask are an input of a model that is recorded as a whole."""
    return stepping().whole and isinstance(x, Tensor) and type(x.data) is AbstractArray


def _recorded_mask(lengths: Any, mask: Any, steps: int, batch: int | None) -> Tensor:
    """Return the mask (T, B) as ops on lengths and a mask without numbers."""
    found = None if mask is None else asarray(mask)
    if lengths is None:
        assert found is not None
        return found
    ends = read_lengths("scan", lengths, steps, batch)
    rows = less(reshape(arange(steps), (steps, 1)), reshape(ends, (1, len(ends))))
    return rows if found is None else logical_and(rows, found)


def read_lengths(where: str, lengths: Any, steps: int, batch: int | None, least: int = 0) -> Any:
    """Return lengths (B,) as an array of int64 on the host; the rule of everything that has them.

    Those without numbers, of a model that is recorded as a whole, come back as they are.

    Raises ValueError for what is no integers (B,), and for such below `least` or above T.
    """
    given = asarray(lengths)
    if given.dtype.kind not in "iu" or given.ndim != 1:
        raise ValueError(
            f"{where}: lengths must be integers (B,), got {given.dtype}{list(given.shape)}"
        )
    values: Any = given if _is_input(given) else HOST.asarray(given.numpy(), host.int64, None)
    if batch is not None and values.shape[0] != batch:
        raise ValueError(
            f"{where}: {values.shape[0]} lengths for a batch of {batch}; give one for each row"
        )
    if values is given:  # of a model that is recorded: there are no numbers to check
        return given
    if values.size and not (values.min() >= least and values.max() <= steps):
        raise ValueError(
            f"{where}: lengths must lie in {least} to T = {steps}, "
            f"got {values.min()} to {values.max()}"
        )
    return values


def _of_mask(mask: Any, steps: int, batch: int | None, device: str | None) -> Any:
    """Return a mask (T, B) as an array of its own on a device; one that is there is not read."""
    given = asarray(mask)
    if given.dtype.kind != "b" or given.ndim != 2 or given.shape[0] != steps:
        raise ValueError(
            f"scan: a mask must be booleans (T, B) with T = {steps}, "
            f"got {given.dtype}{list(given.shape)}"
        )
    if batch is not None and given.shape[1] != batch:
        raise ValueError(
            f"scan: a mask of {given.shape[1]} rows for a batch of {batch}; it must be (T, B)"
        )
    with on_device_of(given.data):
        copied = given.data.copy()
    return asarray(copied, device=device).data


def select_rows(rows: Tensor | None, new: Tensor, old: Any) -> Tensor:
    """Return `new` in the rows (B,) that have a step, `old` in the others."""
    return new if rows is None else where(over(rows, new), new, old)


def over(rows: Tensor, x: Tensor) -> Tensor:
    """Return a mask over rows (B,) under a shape that broadcasts against x (B, ...)."""
    return rows.reshape((-1, *(1,) * (x.ndim - 1))) if x.ndim > 1 else rows


def zero_of(x: Tensor) -> float | int | bool:
    """Return the zero that leaves a dtype as it is."""
    zeros: dict[str, float | int | bool] = {"f": 0.0, "b": False}
    return zeros.get(x.dtype.kind, 0)
