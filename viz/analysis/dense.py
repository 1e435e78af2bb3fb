"""Whole Jacobians of a few numbers, of any shapes: of what shares rows, and of weights too.

Below `jacobian_hops.py` and `edge_jacobians.py`; `engine.reading.jacobians` has those of a row.
"""

import math
from collections.abc import Sequence
from typing import Any

from engine import Tensor, eye, reshape
from engine.backends import HOST
from engine.reading.jacobians import gradients_along
from viz.analysis.fetching import bring


def dense_jacobian(
    later: Sequence[Tensor], earlier: Sequence[Tensor], *, held: Sequence[Tensor] = ()
) -> list[Any]:
    """Return the Jacobian of all numbers of `later` by each of `earlier`, in float64.

    Each is (N, M): N numbers in all of `later`, M in one of `earlier`. Nothing runs through those
    that are `held`. Takes a backward pass over what lies between for each of the N.
    """
    rows: dict[tuple[int, int], Any] = {}
    count = 0
    for x in later:
        for unit in eye(x.size, dtype=x.dtype, device=x.device):
            found = gradients_along([x], [*earlier, *held], [reshape(unit, x.shape)])
            rows |= {(count, k): g.data for k, g in enumerate(found[: len(earlier)])}
            count += 1
    bring(rows)
    return [
        HOST.xp.stack([rows[n, k].astype("float64").reshape(-1) for n in range(count)]) if count
        else HOST.xp.zeros((0, x.size)) for k, x in enumerate(earlier)
    ]  # fmt: skip


def largest_value(matrices: Any) -> float:
    """Return the largest singular value of a matrix, or of a batch (B, M, N) of them.

    By way of the smaller of both Gram matrices, as a weight has many more numbers than what is
    made of it. inf or NaN where an element is.

    >>> import numpy as np
    >>> largest_value(np.array([[3e200, 0.0, 0.0], [0.0, 4e200, 0.0]]))
    4e+200
    """
    xp = HOST.xp
    size = float(xp.max(xp.abs(matrices))) if matrices.size else 0.0
    if not 0 < size < math.inf:
        return size
    scaled = matrices / size
    turned = xp.swapaxes(scaled, -1, -2)
    gram = scaled @ turned if scaled.shape[-2] < scaled.shape[-1] else turned @ scaled
    return math.sqrt(float(xp.max(xp.linalg.eigvalsh(gram)))) * size
