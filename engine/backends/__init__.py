"""Find the backend of an array or of a device name, without importing CuPy unasked.

Below the whole engine. Nothing outside this folder names an array library.
"""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from engine.backends import numpy as host
from engine.backends.abstract import AbstractArray, AbstractBackend
from engine.backends.base import STAYING, Array, Backend, DType, Namespace, placement

__all__ = [
    "NAMESPACES", "Array", "Backend", "DType", "Namespace", "backend_of", "by_device", "fetched",
    "full_name", "loaded", "namespace_of", "on_device_of", "on_host", "placement",
]  # fmt: skip

HOST: Backend = host.NumpyBackend()
ABSTRACT: Backend = AbstractBackend()
_BACKENDS: dict[str, Backend] = {"numpy": HOST}

# The hot path of `apply` looks an array's type up here; a new backend enters its type.
NAMESPACES: dict[type, Any] = {HOST.array_type: HOST.xp, AbstractArray: ABSTRACT.xp}


def namespace_of(array: Any) -> Any:
    """Return the namespace that computes with an array; that of the host for numbers."""
    return NAMESPACES.get(type(array), HOST.xp)


def _load_cupy() -> Backend:
    """Import CuPy, or say in one line what is missing."""
    if "cupy" not in _BACKENDS:
        try:
            from engine.backends import cupy
        except ImportError as error:
            raise RuntimeError(
                "device 'cupy' needs the cupy package: pip install '.[cuda13]' (or [cuda12]) in "
                "the clone"
            ) from error
        _BACKENDS["cupy"] = backend = cupy.create()
        NAMESPACES[backend.array_type] = backend.xp
    return _BACKENDS["cupy"]


ALIASES = {"cpu": "numpy", "cuda": "cupy"}  # what PyTorch calls them


def by_device(device: str) -> Backend:
    """Return the backend of a device: ``"numpy"``, ``"cupy"``, ``"cupy:1"``; "cpu", "cuda" alike.

    Raises ValueError for an unknown name and RuntimeError where there is no such device.
    """
    name, colon, ordinal = device.partition(":") if isinstance(device, str) else ("", "", "")
    name = ALIASES.get(name, name)
    if name == "numpy" and not colon:
        return HOST
    if name == "cupy" and (ordinal.isdecimal() or not colon):
        return _load_cupy()
    raise ValueError(
        f"unknown device {device!r}; there are 'numpy', 'cupy' and 'cupy:N', "
        "also called 'cpu', 'cuda' and 'cuda:N'"
    )


def on_host(array: Array) -> bool:
    """Return whether the host reads the numbers of an array without waiting for a device."""
    return isinstance(array, HOST.array_type)


def full_name(device: str) -> str:
    """Return what `Tensor.device` says on a device: ``"cuda"`` -> ``"cupy:0"``.

    Raises the errors of `by_device`.
    """
    return by_device(device).full_name(device)


def on_device_of(*arrays: Array) -> AbstractContextManager[Any]:
    """Return a context in which results lie on the device of the first of these arrays, if any."""
    backend = backend_of(arrays[0]) if placement.several and arrays else None
    return STAYING if backend is None else backend.on_device_of(arrays[0])


def fetched(arrays: Sequence[Array]) -> list[Array]:
    """Return arrays on the host: those of a device in one transfer for each of their dtypes."""
    found = list(arrays)
    sorts: dict[tuple[str, DType], tuple[Backend, list[int]]] = {}
    for place, array in enumerate(arrays):
        if not on_host(array) and (backend := backend_of(array)) is not None:
            key = (backend.device_of(array), array.dtype)
            sorts.setdefault(key, (backend, []))[1].append(place)
    for backend, places in sorts.values():
        own = [arrays[place] for place in places]
        with backend.on_device_of(own[0]):
            flat = backend.to_numpy(own[0] if len(own) == 1 else backend.xp.gather(own))
        start = 0
        for place, array in zip(places, own, strict=True):
            found[place] = flat.reshape(-1)[start : start + array.size].reshape(array.shape)
            start += array.size
    return found


def loaded() -> list[Backend]:
    """Return the backends in use."""
    return list(_BACKENDS.values())


def backend_of(array: Array) -> Backend | None:
    """Return the backend that `array` is an array of; None where it is of none."""
    if isinstance(array, HOST.array_type):
        return HOST
    if isinstance(array, AbstractArray):
        return ABSTRACT
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(array, cupy.ndarray):
        return _load_cupy()
    return None
