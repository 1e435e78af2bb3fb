"""Take the norm of many float32 gradients on the host, or scale them, in one compiled pass each.

Squares are summed in double, in which no float32 overflows or vanishes, and always in the same
order. Below `clip.py`.
"""

import math
from collections.abc import Sequence

from engine.backends import HOST, Array
from engine.backends.numpy import float32, float64
from rnn.optim import on_host

MEASURE = on_host.Kernel(
    columns=("const real *g;",),
    wide=("sums",),
    body="""\
    const real *g = own->g;
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (long i = first; i < last; i++) sum += (double)g[i] * g[i];
    sums[piece] += sum;""",
)
SCALE = on_host.Kernel(
    columns=("const real *g;",),
    shared=("out",),
    numbers=("share",),
    body="""\
    const real *g = own->g;
#pragma omp simd
    for (long i = first; i < last; i++) out[own->start + i] = g[i] * share;""",
)


def suited(arrays: Sequence[Array]) -> bool:
    """Return True for gradients of which the kernels here take the norm."""
    return on_host.suited(arrays) and arrays[0].dtype == float32


def norm(arrays: Sequence[Array]) -> float | None:
    """Return the 2-norm, not finite where an element is not; None without a compiler."""
    sums = HOST.xp.zeros(on_host.pieces(sum(array.size for array in arrays)), dtype=float64)
    return math.sqrt(float(sums.sum())) if on_host.run(MEASURE, [arrays], [sums]) else None


def scaled(arrays: Sequence[Array], share: float) -> Array | None:
    """Return all gradients times a number in one flat array; None without a compiler."""
    out = HOST.xp.empty(sum(array.size for array in arrays), dtype=float32)
    return out if on_host.run(SCALE, [arrays], [out], [share]) else None
