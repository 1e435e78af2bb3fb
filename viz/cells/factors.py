"""Measure a cell: norms of values, and of the derivative of each box by each that it reads.

A factor is the largest singular value of the Jacobian of a box by one of its sources, the others
held fixed, at the numbers of the recorded step. Above `model.py`.
"""

import math
from typing import Any

from engine import Graph, Tensor, asarray, gradients, zeros_like
from engine.apply import apply
from engine.backends import HOST
from engine.backends.half import FLOATING
from engine.derivatives.norms import norm
from engine.reading.jacobians import gradients_along, spectral_norm
from viz.cells.model import CellModel, Part, StepRecord, Use

MOST = 1_024  # numbers of a result
FEW = 32  # of which there is a backward pass for each; more are computed at once
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
            use.factor = largest(matrix)


def largest(matrix: Tensor) -> float:
    """Return the largest singular value; that of a diagonal matrix without a decomposition."""
    values = matrix.numpy()
    diagonal = xp.diagonal(values)
    square = values.shape[0] == values.shape[1]
    if square and xp.count_nonzero(values) == xp.count_nonzero(diagonal):
        return float(abs(diagonal).max(initial=0.0))
    return spectral_norm(matrix)


def jacobians(later: Tensor, earlier: list[Tensor]) -> list[Tensor]:
    """Return the derivative of all numbers of `later` by those of each of `earlier`: (S, S') each.

    Each of `earlier` is free: that one was computed from another is not counted. In float64.
    """
    if later.size > FEW and (found := _at_once(later, earlier)) is not None:
        return found
    seeds = (_like(unit.reshape(later.shape), later) for unit in xp.eye(later.size))
    rows = [gradients_along(later, earlier, seed) for seed in seeds]
    flat = [[g.numpy().astype("float64").reshape(-1) for g in row] for row in rows]
    return [asarray(xp.stack([row[k] for row in flat])) for k in range(len(earlier))]


def _at_once(later: Tensor, earlier: list[Tensor]) -> list[Tensor] | None:
    """Return the same from one backward pass over as many equal rows as there are numbers.

    None where the record is not of one row, or does not run on several independent ones.
    """
    count = later.size
    if any(x.shape[:1] != (1,) for x in (later, *earlier)):
        return None
    leaves = [_like(xp.repeat(x.numpy(), count, axis=0), x, free=True) for x in earlier]
    try:
        out = _again(later, earlier, leaves)
    except (TypeError, ValueError, IndexError):
        return None
    if out.shape != (count, *later.shape[1:]) or not out.requires_grad:
        return None
    first = xp.zeros(out.shape)
    first[: count // 2] = 1.0
    for seed, others in ((first, slice(count // 2, None)), (1.0 - first, slice(0, count // 2))):
        if any(xp.any(g.numpy()[others] != 0) for g in _pulled(out, leaves, seed)):
            return None
    found = _pulled(out, leaves, xp.eye(count).reshape(out.shape))
    return [asarray(g.numpy().astype("float64").reshape(count, -1)) for g in found]


def _again(later: Tensor, earlier: list[Tensor], leaves: list[Tensor]) -> Tensor:
    """Return `later` computed again from leaves in the place of `earlier`."""
    made = {x.node: leaf for x, leaf in zip(earlier, leaves, strict=True)}
    graph = Graph.of(later)
    for node in graph.nodes:
        if node not in made and any(isinstance(x, Tensor) and x.node in made for x in node.inputs):
            inputs = tuple(made.get(x.node, x.detach()) if isinstance(x, Tensor) else x
                           for x in node.inputs)  # fmt: skip
            made[node] = apply(node.op, inputs, dict(node.attrs))
    return made[later.node]


def _pulled(out: Tensor, leaves: list[Tensor], seed: Any) -> list[Tensor]:
    found = gradients([out], leaves, [_like(seed, out)])
    return [zeros_like(x) if g is None else g for x, g in zip(leaves, found, strict=True)]


def _like(values: Any, x: Tensor, *, free: bool = False) -> Tensor:
    return asarray(values, dtype=x.dtype, device=x.device, requires_grad=free)


def step_norm(record: StepRecord) -> float | None:
    """Return the norm of the derivative of all new states together by all states before.

    It is the largest singular value of the whole block matrix, through all of the step: no step
    back takes ‖(dL/dh, dL/dc)‖ times more. None where a state is no float, or where they are large.
    """
    before = list(record.states.values())
    after = [record.results[name] for name in record.new.values()]
    kinds = {x.dtype.kind for x in (*before, *after)}
    if not after or kinds - set(FLOATING) or sum(x.size for x in after) > 2 * MOST:
        return None
    rows = [xp.concatenate([own.numpy() for own in jacobians(x, before)], axis=1) for x in after]
    found = largest(asarray(xp.concatenate(rows)))
    return None if math.isnan(found) else found
