"""Load the state of a module: all of it, or nothing with a list of what is wrong.

Below `module.py`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import engine
from engine import Tensor
from engine.backends import Array, DType

KINDS = ("real floating", "integral", "bool", "complex floating")


class IncompatibleKeys(NamedTuple):
    """Hold the names that have no values, and those of values that have no place, as in PyTorch."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def load(own: Mapping[str, Tensor], state: Mapping[str, Any], strict: bool) -> IncompatibleKeys:
    """Give tensors the values of `state`, by path; see `Module.load_state_dict`."""
    if not isinstance(state, Mapping):
        hint = "; of what rnn.load returns that is the first" if isinstance(state, tuple) else ""
        raise TypeError(
            f"load_state_dict: expected arrays by name, got {type(state).__name__}{hint}"
        )
    arrays = {name: _array(name, value) for name, value in state.items()}
    faults = name_faults(own, arrays, strict)
    for name, x in own.items():
        faults += _faults(name, x, arrays[name]) if name in arrays else []
    faults += twin_faults(own, arrays)
    if faults:
        hint = "; names of PyTorch are taken by rnn.interop.from_pytorch, also behind 'module.'"
        strange = bool(arrays) and not any(name in own for name in arrays)
        raise ValueError(f"load_state_dict: {'; '.join(faults)}{hint * strange}")
    for name, x in own.items():
        if name in arrays:
            x.data = engine.asarray(arrays[name].copy(), dtype=x.dtype, device=x.device).data
    return incompatible(own, arrays)


def _array(name: str, value: Any) -> Array:
    """Return a value as an array, of PyTorch's parameters too. Raises TypeError with its name."""
    try:
        return engine.asarray(value.detach() if hasattr(value, "detach") else value).numpy()
    except (TypeError, ValueError) as error:
        raise TypeError(f"load_state_dict: {name}: {error}") from error


def incompatible(own: Mapping[str, Tensor], arrays: Mapping[str, Any]) -> IncompatibleKeys:
    """Return the names that only one side has; of tied weights one name is enough."""
    missing = [names[0] for names in _twins(own) if not any(name in arrays for name in names)]
    return IncompatibleKeys(missing, [name for name in arrays if name not in own])


def name_faults(
    own: Mapping[str, Tensor], arrays: Mapping[str, Any], strict: bool = True
) -> list[str]:
    """Name the tensors that have no array under any of their names, and unknown arrays.

    Where it is not `strict` that is a fault only if no name is known, so that nothing would load.
    """
    if not strict and any(name in arrays for name in own):
        return []
    missing = [" or ".join(names) for names in _twins(own)
               if not any(name in arrays for name in names)]  # fmt: skip
    return [*(f"missing: {names}" for names in missing),
            *(f"unknown: {name}" for name in arrays if name not in own)]  # fmt: skip


def twin_faults(own: Mapping[str, Tensor], arrays: Mapping[str, Array]) -> list[str]:
    """Name tensors that are one, as tied weights are, of which the arrays are not; NaN is NaN."""
    faults = []
    for names in _twins(own):
        first, *others = [name for name in names if name in arrays] or [""]
        faults += [
            f"{first} and {name} are one tensor here, and their values differ; leave one out"
            for name in others
            if not _same(arrays[first], arrays[name])
        ]
    return faults


def _twins(own: Mapping[str, Tensor]) -> list[list[str]]:
    """Return the names of each tensor."""
    found: dict[int, list[str]] = {}
    for name, x in own.items():
        found.setdefault(id(x), []).append(name)
    return list(found.values())


def _same(x: Array, y: Array) -> bool:
    return x.shape == y.shape and bool(((x == y) | ((x != x) & (y != y))).all())


def _faults(name: str, x: Tensor, array: Array) -> list[str]:
    """Say what keeps an array from being the values of a tensor."""
    if array.shape != x.shape:
        return [f"{name}: shape {array.shape}, expected {x.shape}"]
    if _kind(array.dtype) != _kind(x.dtype):
        return [f"{name}: {array.dtype}, expected {x.dtype}; convert it if that is meant"]
    return []


def _kind(dtype: DType) -> str:
    return next(kind for kind in KINDS if engine.isdtype(dtype, kind))
