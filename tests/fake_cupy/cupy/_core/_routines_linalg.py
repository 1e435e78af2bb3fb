"""Set the compute type of products, after `cupy/_core/_routines_linalg.pyx`."""

import numpy as np

COMPUTE_TYPE_TBD, COMPUTE_TYPE_DEFAULT, COMPUTE_TYPE_PEDANTIC, COMPUTE_TYPE_FP16 = range(4)
COMPUTE_TYPE_FP32, COMPUTE_TYPE_FP64, COMPUTE_TYPE_BF16, COMPUTE_TYPE_TF32 = range(4, 8)

_types = {"e": COMPUTE_TYPE_DEFAULT, "f": COMPUTE_TYPE_DEFAULT, "d": COMPUTE_TYPE_DEFAULT}
_KEPT = {COMPUTE_TYPE_TF32: 10}  # bits behind the point; no product of the real one asks for BF16


def set_compute_type(dtype, compute_type):
    _types[np.dtype(dtype).char] = compute_type


def get_compute_type(dtype):
    return _types[np.dtype(dtype).char]


def rounded(a):
    """Return a factor of a product as the tensor cores see it; as it is for other dtypes, and in
    stacks of matrices, of which the real one takes no notice of the type.
    """
    if a.ndim > 2:
        return a
    bits = _KEPT.get(_types["f"], 23) if a.dtype == np.float32 else 23
    if bits == 23:
        return a
    unit = np.uint32(1 << (23 - bits))
    found = ((a.view(np.uint32) + unit // 2) & ~(unit - np.uint32(1))).view(np.float32)
    return np.where(np.isfinite(a), found, a)
