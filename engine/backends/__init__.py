"""Finds the backend of an array or of a device name, without importing CuPy unasked.

Below the whole engine. Nothing outside this folder names an array library.
"""

import sys
from typing import Any

from engine.backends import numpy as host
from engine.backends.abstract import AbstractArray, AbstractBackend
from engine.backends.base import Array, Backend, DType
from engine.backends.namespace import Namespace

__all__ = [
    "NAMESPACES",
    "Array",
    "Backend",
    "DType",
    "Namespace",
    "backend_of",
    "by_device",
    "loaded",
    "namespace_of",
]

HOST: Backend = host.NumpyBackend()
ABSTRACT: Backend = AbstractBackend()
_BACKENDS: dict[str, Backend] = {"numpy": HOST}

# The hot path of `apply` looks an array's type up here; a new backend enters its type.
NAMESPACES: dict[type, Any] = {HOST.array_type: HOST.xp, AbstractArray: ABSTRACT.xp}


def namespace_of(array: Any) -> Any:
    """The namespace that computes with an array; that of the host for numbers."""
    return NAMESPACES.get(type(array), HOST.xp)


def _load_cupy() -> Backend:
    """Import CuPy, or say in one line what is missing."""
    if "cupy" not in _BACKENDS:
        try:
            from engine.backends import cupy
        except ImportError as error:
            raise RuntimeError(
                "device 'cupy' needs the cupy package: pip install 'bptt[cuda13]' (or [cuda12])"
            ) from error
        _BACKENDS["cupy"] = backend = cupy.create()
        NAMESPACES[backend.array_type] = backend.xp
    return _BACKENDS["cupy"]


def by_device(device: str) -> Backend:
    """The backend of a device name: ``"numpy"``, ``"cupy"`` or ``"cupy:1"``.

    Raises ValueError for an unknown name and RuntimeError where the device is not to be had.
    """
    name, _, ordinal = device.partition(":")
    if name == "numpy" and not ordinal:
        return HOST
    if name == "cupy" and (ordinal.isdecimal() or not _):
        return _load_cupy()
    here = {"cpu": "; PyTorch's cpu is 'numpy'", "cuda": "; PyTorch's cuda is 'cupy'"}
    hint = here.get(device.partition(":")[0], "") if isinstance(device, str) else ""
    raise ValueError(f"unknown device {device!r}; there are 'numpy', 'cupy' and 'cupy:N'{hint}")


def loaded() -> list[Backend]:
    """The backends in use."""
    return list(_BACKENDS.values())


def backend_of(array: Array) -> Backend | None:
    """The backend whose array `array` is; None where it is no array of any."""
    if isinstance(array, HOST.array_type):
        return HOST
    if isinstance(array, AbstractArray):
        return ABSTRACT
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(array, cupy.ndarray):
        return _load_cupy()
    return None
