"""Which numbers of its operands a fold or a product takes, as positions of loop variables.

Above `arrays.py`; every language writes its loops with these.
"""

from engine.scan.kernels.arrays import Arrays
from engine.scan.kernels.terms import ROW, At, Index
from engine.scan.program import Value


def folded_index(arrays: Arrays, value: Value, index: Index) -> Index:
    """Return the index of a reduction's result, from that of its operand."""
    folded = arrays.layout.folded(value)
    if value.attrs.get("keepdims"):
        return tuple(At() if axis in folded else at for axis, at in enumerate(index))
    return tuple(at for axis, at in enumerate(index) if axis not in folded)


def product_indices(arrays: Arrays, value: Value) -> tuple[Index, Index, Index]:
    """Return the indices of a product and its two operands; ``k0`` is the inner axis's loop."""
    p, (left, right) = value.position, value.operands[:2]
    a, b = arrays.values[left].shape, arrays.values[right].shape
    row = arrays.layout.rows.get(p)
    out = [At(((ROW, 1),)) if axis == row else At(((f"i{axis}", 1),)) if size > 1 else At()
           for axis, size in enumerate(value.shape)]  # fmt: skip
    k = At((("k0", 1),)) if a[-1] > 1 else At()
    columns = 1 if len(b) > 1 else 0  # axes of the result behind its rows
    front = len(value.shape) - columns - (1 if len(a) > 1 else 0)
    batch = out[:front]
    left_index = (*batch[front - max(len(a) - 2, 0) :], *([out[front]] if len(a) > 1 else []), k)
    right_index = (*batch[front - max(len(b) - 2, 0) :], k, *out[len(out) - columns :])
    return tuple(out), arrays.fitted(left, left_index), arrays.fitted(right, right_index)
