"""The numbers of a cell: norms of values, and of the derivative of each box by each that it reads.

A factor is the largest singular value of the Jacobian of a box by one of its sources, the others
held fixed, at the numbers of the recorded step. Above `model.py`.
"""

import math

from engine import Tensor, asarray
from engine.backends import HOST
from engine.backends.half import FLOATING
from engine.derivatives.norms import norm
from engine.reading.jacobians import gradients_along, spectral_norm
from viz.cells.model import CellModel, Part, StepRecord, Use

MOST = 1_024  # numbers of a result: there is a backward pass for each of them
xp = HOST.xp


def measure(model: CellModel) -> None:
    """Write the norm of its values on each box, and its factor on each wire into an op."""
    for part in model.parts:
        part.value_norm = norm(part.tensor.data)
        if part.role in ("op", "layer"):
            _measure_into(part, model.into(part.key), model.parts)


def _measure_into(part: Part, uses: list[Use], parts: list[Part]) -> None:
    """Write the factors of all wires into one box."""
    known = []
    for use in uses:
        source = parts[use.source].tensor
        if {part.tensor.dtype.kind, source.dtype.kind} - set(FLOATING):
            use.why = "no derivative: not floats"
        elif part.tensor.size > MOST:
            use.why = f"not measured: {part.tensor.size:,} numbers"
        else:
            known.append(use)
    if known:
        found = jacobians(part.tensor, [parts[use.source].tensor for use in known])
        for use, matrix in zip(known, found, strict=True):
            use.factor = spectral_norm(matrix)


def jacobians(later: Tensor, earlier: list[Tensor]) -> list[Tensor]:
    """Return the derivative of all numbers of `later` by those of each of `earlier`: (S, S') each.

    Each of `earlier` is free: that one was computed from another is not counted.
    """
    rows: list[list[Tensor]] = []
    for i in range(later.size):
        unit = xp.zeros(later.size, dtype="float64")
        unit[i] = 1.0
        seed = asarray(unit.reshape(later.shape), dtype=later.dtype, device=later.device)
        rows.append(gradients_along(later, earlier, seed))
    return [
        asarray(xp.stack([row[k].numpy().astype("float64").reshape(-1) for row in rows]))
        for k in range(len(earlier))
    ]


def state_factors(record: StepRecord) -> dict[tuple[str, str], float]:
    """Return the norm of each new state's derivative by each state before, through all of the step.

    By their names, the new one first. Empty where the states are no floats, or very large.
    """
    found = {}
    floating = {name: x for name, x in record.states.items() if x.dtype.kind in FLOATING}
    for name in record.new.values():
        x = record.results[name]
        if floating and x.size <= MOST and x.dtype.kind in FLOATING:
            for old, matrix in zip(floating, jacobians(x, list(floating.values())), strict=True):
                found[name, old] = spectral_norm(matrix)
    return {pair: value for pair, value in found.items() if not math.isnan(value)}
