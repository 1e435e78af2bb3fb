"""What the array API standard has besides functions of arrays: dtypes, constants, versions.

`engine` offers every name here as its own; the functions are in `ops/`.
"""

import math

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
from engine.namespace.dtypes import astype, can_cast, finfo, iinfo, isdtype, result_type
from engine.namespace.inspection import __array_namespace_info__ as __array_namespace_info__

API_VERSIONS = ("2022.12", "2023.12", "2024.12")
__array_api_version__ = "2024.12"

inf, nan, pi, e, newaxis = math.inf, math.nan, math.pi, math.e, None

__all__ = [
    "API_VERSIONS", "astype", "bool", "broadcast_shapes", "can_cast", "e", "finfo", "float16",
    "float32", "float64", "iinfo", "inf", "int8", "int16", "int32", "int64", "isdtype", "nan",
    "newaxis", "pi", "result_type", "uint8", "uint16", "uint32", "uint64",
]  # fmt: skip
