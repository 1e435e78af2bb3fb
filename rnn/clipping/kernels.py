"""Kernels in CUDA C++ that measure many gradients together, and scale or clip them.

Sums have a fixed order, so the same gradients give the same bits each run. Below `on_device.py`.
"""

from functools import lru_cache

from engine.backends import DType
from engine.backends.multi import THREADS, TYPES, Many, each
from engine.backends.numpy import float64
from rnn.optim.elements import head, narrowed, widened

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
