"""Clip gradients that lie on one device: nothing is gathered there and nothing read.

Three launches of kernels in CUDA C++: each array is measured, the measures become a norm, and the
gradients are changed by it. Sums have a fixed order, so the same gradients give the same bits each
run. The norm stays a tensor, and whether it is finite is told when numbers are next read. Below
`clip.py`, which has the sums for the host.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

from engine import Tensor
from engine.backends import NAMESPACES, Array, DType, on_device_of, on_host
from engine.backends.multi import THREADS, TYPES, Many, blocks, each
from engine.backends.numpy import float64, uint64
from rnn.optim.elements import head, narrowed, widened
from rnn.optim.flat import parts

NONE, NOT_FINITE, IS_NAN = 0, 1, 2  # what is told as an error: nothing, an infinite norm, a NaN

# Both reductions of a block leave their result with every thread.
BLOCK = f"""
INLINE real most_of(real *all, real x) {{
    all[threadIdx.x] = x;
    for (int half = {THREADS} / 2; half; half /= 2) {{
        __syncthreads();
        const int t = threadIdx.x;
        if (t < half) all[t] = maximum(all[t], all[t + half]);
    }}
    __syncthreads();
    return all[0];
}}
INLINE double sum_of(double *all, double x) {{
    all[threadIdx.x] = x;
    for (int half = {THREADS} / 2; half; half /= 2) {{
        __syncthreads();
        if (threadIdx.x < half) all[threadIdx.x] += all[threadIdx.x + half];
    }}
    __syncthreads();
    return all[0];
}}
"""

LOOP = f"""\
    const long long step = (long long)gridDim.x * {THREADS}, size = stop - start;
    const long long first = (long long)blockIdx.x * {THREADS} + threadIdx.x;
    __shared__ real tops_of_threads[{THREADS}];
    __shared__ double sums_of_threads[{THREADS}];"""

# Numbers are divided by the largest of their block before they are raised, so no power overflows.
MEASURE = """
    real top = 0;
    for (long long i = first; i < size; i += step) top = maximum(top, absolute({element}));
    top = most_of(tops_of_threads, top);
    double sum = 0;
    if (top > 0 && top < INFINITY && p < INFINITY)
        for (long long i = first; i < size; i += step) {{
            const real share = absolute({element}) / top;
            sum += p == 2 ? share * share : p == 1 ? share : raised(share, (real)p);
        }}
    sum = sum_of(sums_of_threads, sum);
    if (threadIdx.x == 0) {{
        tops[row * gridDim.x + blockIdx.x] = top;
        sums[row * gridDim.x + blockIdx.x] = sum;
    }}"""

# found: the norm, the largest number, the norm divided by it, and whether it is over the bound.
COMBINE = f"""
    double top = 0, sum = 0;
    for (long long i = first; i < size; i += step) top = maximum(top, tops[i]);
    top = most_of(tops_of_threads, top);
    const int plain = top > 0 && top < INFINITY;
    if (plain && p < INFINITY)
        for (long long i = first; i < size; i += step) {{
            const double share = tops[i] / top;
            if (share > 0)
                sum += sums[i] * (p == 2 ? share * share : p == 1 ? share : raised(share, p));
        }}
    sum = sum_of(sums_of_threads, sum);
    if (threadIdx.x) return;
    const double root = !plain || !(p < INFINITY) ? 1
        : p == 2 ? squareroot(sum) : p == 1 ? sum : raised(sum, 1 / p);
    const double norm = top * root;
    found[0] = norm;
    found[1] = top;
    found[2] = root;
    found[3] = norm < INFINITY && norm > bound;
    if (refused == {NOT_FINITE} && !(norm < INFINITY)) slot[1] = 1;
    if (refused == {IS_NAN} && norm != norm) slot[1] = 1;"""

# As `clip.py` has it: in two steps where the factor has lost its last digits.
SCALE = """\
        const double factor = bound / (found[1] * found[2]);
        const real g = {element};
        real x = g;
        if (found[3])
            x = factor >= {tiny} ? g * (real)factor : g / (real)found[1] * (real)(bound / found[2]);
        out[at] = {result};"""

CLIP = """\
        const real g = {element}, most = (real)bound;
        const real x = found[0] != found[0] ? g : minimum(maximum(g, -most), most);
        out[at] = {result};"""

TINY = {2: "0", 4: "1.17549435e-38", 8: "2.2250738585072014e-308"}  # the least normal numbers


@lru_cache(maxsize=8)
def measuring(dtype: DType) -> Many:
    """Return the kernel that finds the largest number of each block, and its sum of powers."""
    return Many(
        "measure",
        head=head(dtype) + BLOCK,
        columns=(f"const {TYPES[dtype.itemsize]} *gs", "long long row"),
        shared=("double *tops", "double *sums", "double p"),
        body=LOOP + MEASURE.format(element=widened(dtype, "gs[i]")),
    )


@lru_cache(maxsize=1)
def combining() -> Many:
    """Return the kernel that makes the norm of all that was measured, in one block."""
    return Many(
        "combine",
        head=head(float64) + BLOCK,
        columns=("const double *tops", "const double *sums"),
        shared=(
            "double *found", "unsigned long long *slot", "double p", "double bound",
            "long long refused",
        ),
        body=LOOP + COMBINE,
    )  # fmt: skip


def _changing(name: str, dtype: DType, body: str) -> Many:
    kind = TYPES[dtype.itemsize]
    words = {"element": widened(dtype, "gs[i]"), "result": narrowed(dtype, "x")}
    return Many(
        name,
        head=head(dtype),
        columns=(f"const {kind} *gs",),
        shared=(f"{kind} *out", "const double *found", "double bound"),
        body=each(body.format(tiny=TINY[dtype.itemsize], **words)),
    )


@lru_cache(maxsize=8)
def scaling(dtype: DType) -> Many:
    """Return the kernel that scales gradients to the bound where their norm is over it."""
    return _changing("scale", dtype, SCALE)


@lru_cache(maxsize=8)
def bounding(dtype: DType) -> Many:
    """Return the kernel that brings numbers within a bound, unless one of all is NaN."""
    return _changing("bound", dtype, CLIP)


Sorts = Sequence[list[Tensor]]  # parameters that have a gradient, those of one dtype together


def share_a_device(sorts: Sorts) -> bool:
    """Return whether all gradients lie on one device that is not the host."""
    grads = [x.grad for own in sorts for x in own[:1] if x.grad is not None]
    return not any(on_host(g.data) for g in grads) and len({g.device for g in grads}) == 1


def arrays(own: list[Tensor]) -> list[Array]:
    """Return the gradients of parameters as arrays."""
    return [x.grad.data for x in own]  # type: ignore[union-attr]


def _norm(sorts: Sorts, p: float, bound: float, refused: int) -> Array:
    """Return what the kernels find: the norm of all gradients, then its parts."""
    first = arrays(sorts[0])[0]
    xp = NAMESPACES[type(first)]
    found = xp.empty(4, dtype=float64)
    given = [[g for g in arrays(own) if g.size] for own in sorts]
    given = [grads for grads in given if grads]
    widths = [blocks(max(g.size for g in grads)) for grads in given]
    counts = [len(grads) * width for grads, width in zip(given, widths, strict=True)]
    tops, sums = xp.empty(sum(counts), dtype=float64), xp.empty(sum(counts), dtype=float64)
    start = 0
    for grads, width, count in zip(given, widths, counts, strict=True):
        own = slice(start, start + count)
        rows = [grads, range(len(grads))]
        xp.multi(measuring(grads[0].dtype), rows, (tops[own], sums[own], p), width=width)
        start += count
    if refused == NONE:
        slot = xp.empty(2, dtype=uint64)  # no kernel looks at it
    else:
        slot = xp.check_slot(0, 0, _not_finite if refused == NOT_FINITE else _is_nan)
    shared = (found, slot, p, bound, refused)
    xp.multi(combining(), [[tops], [sums]], shared, width=1)
    return found


def _change(own: list[Tensor], kernel: Many, found: Array, bound: float) -> None:
    """Give parameters the gradients that a kernel makes of theirs."""
    grads = arrays(own)
    xp = NAMESPACES[type(grads[0])]
    out = xp.empty(sum(g.size for g in grads), dtype=grads[0].dtype)
    if out.size:
        xp.multi(kernel, [[g for g in grads if g.size]], (out, found, bound))
    for x, part in zip(own, parts(out, grads), strict=True):
        x.grad = Tensor(part)


def norm(sorts: Sorts, p: float) -> Array:
    """Return the p-norm of all gradients, without axes."""
    with on_device_of(arrays(sorts[0])[0]):
        return _norm(sorts, float(p), math.inf, NONE)[0]


def clip_norm(sorts: Sorts, max_norm: float, p: float, *, refuse: bool) -> Array:
    """Scale gradients to a norm where theirs is over it; return theirs, without axes. With `refuse`
    FloatingPointError is raised later for a norm that is not finite.
    """
    with on_device_of(arrays(sorts[0])[0]):
        found = _norm(sorts, float(p), float(max_norm), NOT_FINITE if refuse else NONE)
        for own in sorts:
            _change(own, scaling(arrays(own)[0].dtype), found, float(max_norm))
        return found[0]


def clip_value(sorts: Sorts, bound: float) -> None:
    """Bring gradients within bounds; all stay as they are where one is NaN, which is told later."""
    with on_device_of(arrays(sorts[0])[0]):
        found = _norm(sorts, math.inf, math.inf, IS_NAN)
        for own in sorts:
            _change(own, bounding(arrays(own)[0].dtype), found, float(bound))


def _not_finite(_: int) -> FloatingPointError:
    return FloatingPointError(
        "clip_grad_norm: the norm of the gradients was not finite, and they were not clipped; "
        "lower the learning rate, or find the origin under engine.detect_anomaly()"
    )


def _is_nan(_: int) -> FloatingPointError:
    return FloatingPointError(
        "clip_grad_value: a gradient had NaN, and none was clipped; find its origin under "
        "engine.detect_anomaly()"
    )
