"""Offer what the array API standard has besides functions of arrays: dtypes, constants, its info.

`engine` offers every name in `__all__` as its own; the functions are in `ops/`.
"""

import math
from typing import Any

from engine.backends import DType, by_device, loaded
from engine.backends import numpy as host
from engine.backends.numpy import bool_ as bool
from engine.backends.numpy import (
    broadcast_shapes,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from engine.namespace.conversion import astype, can_cast, finfo, iinfo, isdtype, result_type

API_VERSIONS = ("2022.12", "2023.12", "2024.12")
__array_api_version__ = "2024.12"

inf, nan, pi, e, newaxis = math.inf, math.nan, math.pi, math.e, None

__all__ = [
    "API_VERSIONS", "astype", "bool", "broadcast_shapes", "can_cast", "e", "finfo", "float16",
    "float32", "float64", "iinfo", "inf", "int8", "int16", "int32", "int64", "isdtype", "nan",
    "newaxis", "pi", "result_type", "uint8", "uint16", "uint32", "uint64",
]  # fmt: skip


NAMES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32",
    "float64",
)  # fmt: skip


class ArrayNamespaceInfo:
    """Answer what the array API standard asks for under ``__array_namespace_info__``."""

    def capabilities(self) -> dict[str, Any]:
        """Return boolean indexing, shapes that depend on data, and NumPy's limit of 64 axes."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        return "numpy"

    def default_dtypes(self, *, device: str | None = None) -> dict[str, DType]:
        """Return the dtypes of Python numbers and of indices; there are no complex ones."""
        by_device(device or "numpy")
        return {"real floating": host.float32, "integral": host.int64, "indexing": host.int64}

    def dtypes(self, *, device: str | None = None, kind: Any = None) -> dict[str, DType]:
        """Return the dtypes by name, all of them or those of a kind; there are no complex ones."""
        by_device(device or "numpy")
        every = {name: host.dtype(name) for name in NAMES}
        return {name: one for name, one in every.items() if kind is None or isdtype(one, kind)}

    def devices(self) -> list[str]:
        """Return the devices in use."""
        return [name for backend in loaded() for name in backend.devices()]


def __array_namespace_info__() -> ArrayNamespaceInfo:
    """Return what this namespace can do.

    >>> engine.__array_namespace_info__().default_device()
    'numpy'
    """
    return ArrayNamespaceInfo()
