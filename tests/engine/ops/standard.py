"""Share arrays, dtypes and equality among the tests of the array API standard."""

from typing import Any

import numpy as np

import engine

SIGNED = ["int8", "int16", "int32", "int64"]
UNSIGNED = ["uint8", "uint16", "uint32", "uint64"]
FLOATING = ["float32", "float64"]
KINDS = {
    "any": ["bool", *SIGNED, *UNSIGNED, *FLOATING],
    "real": [*SIGNED, *UNSIGNED, *FLOATING],
    "signed": [*SIGNED, *FLOATING],
    "bits": ["bool", *SIGNED, *UNSIGNED],
    "whole": [*SIGNED, *UNSIGNED],
    "floating": FLOATING,
    "bool": ["bool"],
}
DTYPES = KINDS["any"]
ROUNDING = {"float32": 1e-6, "float64": 1e-14}


class Source:
    """Make arrays of one namespace and dtype: ``a(2, 3)`` has the same numbers in each of them."""

    def __init__(self, xp: Any, dtype: str) -> None:
        self.xp, self.dtype = xp, dtype

    def __call__(
        self, *shape: int, salt: int = 0, low: float = -3, high: float = 4, dtype: str = ""
    ) -> Any:
        kind = np.dtype(dtype or self.dtype)
        rng = np.random.default_rng([salt, *shape])
        if kind.kind == "f":
            return self.of(rng.uniform(low, high, shape), kind)
        low = max(int(low), 0) if kind.kind in "ub" else int(low)
        return self.of(rng.integers(low, 2 if kind.kind == "b" else int(high) + 1, shape), kind)

    def of(self, values: Any, dtype: Any = None) -> Any:
        """Return these values, of the dtype of this source if not of another."""
        array = np.asarray(values).astype(dtype or self.dtype)
        return array if self.xp is np else engine.asarray(array)


def same(ours: Any, theirs: Any) -> None:
    """Assert that values, shapes and dtypes are alike, in all parts of nested results."""
    if isinstance(theirs, tuple | list):
        assert isinstance(ours, tuple | list)
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            same(one, other)
    elif isinstance(theirs, np.ndarray | np.generic):
        assert isinstance(ours, engine.Tensor)
        array = np.asarray(theirs)
        assert (ours.shape, ours.dtype) == (array.shape, array.dtype)
        tolerance = ROUNDING.get(array.dtype.name, 0.0)
        np.testing.assert_allclose(ours.numpy(), array, rtol=tolerance, atol=tolerance)
    else:
        assert ours == theirs
