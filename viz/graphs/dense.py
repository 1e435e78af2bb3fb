"""Whole Jacobians of a few numbers, of any shapes: of what shares rows, and of weights too.

Below `hops.py` and `edge_jacobians.py`; `engine.reading.jacobians` has those of a row.
"""

from collections.abc import Sequence
from typing import Any

from engine import Tensor, eye, reshape
from engine.backends import HOST
from engine.reading.jacobians import gradients_along


def dense_jacobian(
    later: Sequence[Tensor], earlier: Sequence[Tensor], *, held: Sequence[Tensor] = ()
) -> list[Any]:
    """Return the Jacobian of all numbers of `later` by each of `earlier`, in float64.

    Each is (N, M): N numbers in all of `later`, M in one of `earlier`. Nothing runs through those
    that are `held`. Takes a backward pass over what lies between for each of the N.
    """
    rows: list[list[Any]] = []
    for x in later:
        for unit in eye(x.size, dtype=x.dtype, device=x.device):
            found = gradients_along([x], [*earlier, *held], [reshape(unit, x.shape)])
            rows.append([g.numpy().astype("float64").reshape(-1) for g in found[: len(earlier)]])
    return [_stacked([row[k] for row in rows], x.size) for k, x in enumerate(earlier)]


def _stacked(rows: list[Any], width: int) -> Any:
    return HOST.xp.stack(rows) if rows else HOST.xp.zeros((0, width))
