"""Read elements of each floating dtype in kernels over many arrays as a `real`, and write them.

Below the kernels of optimisers and of clipping.
"""

from engine.backends import DType
from engine.backends.multi import THREADS
from engine.scan.cuda.headers import runtime

# bfloat16 is the upper half of a float32; float16 is converted by the hardware.
WIDENED = {
    "bfloat16": "__uint_as_float((unsigned int){0} << 16)", "float16": "of_float16({0})",
}  # fmt: skip
NARROWED = {"bfloat16": "to_bfloat16({0})", "float16": "to_float16({0})"}

FLOAT16 = """
INLINE float of_float16(unsigned short x) {
#ifdef EMULATED
    return emulated::from_half(x);
#else
    float out;
    asm("cvt.f32.f16 %0, %1;" : "=f"(out) : "h"(x));
    return out;
#endif
}
INLINE unsigned short to_float16(float x) {
#ifdef EMULATED
    return emulated::to_half(x);
#else
    unsigned short out;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(out) : "f"(x));
    return out;
#endif
}
"""


def head(dtype: DType) -> str:
    """Return the functions that kernels for numbers of a dtype begin with; `real` is its width."""
    sizes = {"REAL_BYTES": max(dtype.itemsize, 4), "THREADS": THREADS, "PRECISION": 0}
    given = "".join(f"#define {name} {value}\n" for name, value in sizes.items())
    half = FLOAT16 if dtype.itemsize == 2 else ""
    return given + runtime() + half


def widened(dtype: DType, expression: str) -> str:
    """Return an element that a kernel has read, as a `real`."""
    return WIDENED.get(dtype.name, "{0}").format(expression)


def narrowed(dtype: DType, expression: str) -> str:
    """Return a `real` as an element that a kernel writes."""
    return NARROWED.get(dtype.name, "{0}").format(expression)
