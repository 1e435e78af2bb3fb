"""Check settings: flags, whole and real numbers, axes. One rule each, of NumPy's numbers too.

`rnn` asks here as well. Below the error messages of ops.
"""

import re
from numbers import Real
from operator import index
from typing import Any

from engine.backends import HOST

__all__ = [
    "AxisError", "axes_of", "axis_of", "byte_count", "flag", "is_real", "is_whole", "probability",
    "whole",
]  # fmt: skip

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}  # of bytes
AxisError: Any = HOST.xp.exceptions.AxisError  # a ValueError and an IndexError


def is_whole(value: Any, least: int | None = None) -> bool:
    """Return whether a value is an integer, of at least `least`; a boolean is none.

    >>> is_whole(3), is_whole(True), is_whole(3.0), is_whole(0, least=1)
    (True, False, False, False)
    """
    try:
        given = None if isinstance(value, bool) else index(value)
    except TypeError:
        given = None
    return given is not None and (least is None or given >= least)


def is_real(value: Any) -> bool:
    """Return whether a value is a number, NaN and infinities among them; a boolean is none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def byte_count(text: str) -> int | None:
    """Return the number of bytes in a text; None where it is none.

    >>> byte_count("1.5 kB"), byte_count("200MB"), byte_count("many")
    (1500, 200000000, None)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]?)b\s*", text.lower())
    return int(float(found[1]) * UNITS[found[2]]) if found else None


def flag(name: str, value: Any) -> bool:
    """Return a flag as a bool. Raises TypeError for anything else: "False" would count as true."""
    if isinstance(value, bool | HOST.xp.bool_):
        return bool(value)
    raise TypeError(f"{name} must be True or False, got {value!r}")


def probability(name: str, value: Any) -> float:
    """Return a number in [0, 1] as a float. Raises ValueError for anything else.

    >>> probability("dropout", 1)
    1.0
    """
    if not is_real(value) or not 0 <= float(value) <= 1:
        raise ValueError(f"{name} must lie in [0, 1], got {value!r}")
    return float(value)


def whole(name: str, value: Any) -> int:
    """Return an integer of any kind as an int. Raises TypeError for booleans and fractions."""
    if not is_whole(value):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    return index(value)


def axes_of(name: str, axis: Any, rank: int) -> tuple[int, ...]:
    """Return an axis, or several in a tuple or list, counted from the front.

    Raises NumPy's errors: TypeError for what is no integer, AxisError (a ValueError and an
    IndexError) for an axis that is not there, ValueError for one that is given twice.
    """
    if type(axis) is int and -rank <= axis < rank:  # as it nearly always is
        return (axis % rank,)
    given = axis if isinstance(axis, tuple | list) else (axis,)
    found = tuple(whole(f"{name}: an axis", one) for one in given)
    for one in found:
        if not -rank <= one < rank:
            there = f"use {-rank} to {rank - 1}" if rank else "there is none"
            raise AxisError(f"{name}: axis {one} is out of bounds for {rank} dimensions; {there}")
    axes = tuple(one % rank for one in found)
    if len(set(axes)) < len(axes):
        raise ValueError(f"{name}: axes {tuple(found)} of {rank} dimensions name one axis twice")
    return axes


def axis_of(name: str, axis: Any, rank: int) -> int:
    """Return one axis, counted from the front. Raises the errors of `axes_of`."""
    return axes_of(name, whole(f"{name}: axis", axis), rank)[0]
