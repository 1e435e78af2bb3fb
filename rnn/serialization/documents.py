"""Write and read JSON strictly: write what is standard, refuse to read what is not plain data.

Numbers that JSON has no word for (nan, inf) are written as ``{"$float": "inf"}``. Below
`saving.py`, the checkpoints of runs and their logs.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

TAG = "$float"


def written(value: Any, *, indent: int | None = None) -> bytes:
    """Return plain data as one JSON text, in its order. Raises TypeError for anything else."""
    return json.dumps(_plain(value), indent=indent, allow_nan=False, default=_odd).encode()


def read(content: bytes) -> Any:
    """Return the data of one JSON text. Raises ValueError for bad JSON, also of equal names."""
    try:
        return json.loads(content.decode(), object_pairs_hook=_mapping, parse_constant=_refused)
    except RecursionError:
        raise ValueError("JSON: nested too deep") from None


def _plain(value: Any) -> Any:
    """Return the same data with numbers that are not finite as words."""
    if isinstance(value, Mapping):
        if odd := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"JSON: names must be text, got {odd[0]!r}")
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {TAG: repr(float(value))}
    return value


def _mapping(pairs: list[tuple[str, Any]]) -> Any:
    """Return an object of the text: a mapping, or a number in words."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"JSON: {twice!r} is there twice")
    if TAG not in found:
        return found
    if found not in [{TAG: word} for word in ("nan", "inf", "-inf")]:
        raise ValueError(f"JSON: {found!r} is no number")
    return float(found[TAG])


def _odd(value: Any) -> Any:
    raise TypeError(f"JSON: {value!r} is {type(value).__name__}; expected text, numbers of Python, "
                    "None, lists and mappings of them")  # fmt: skip


def _refused(word: str) -> Any:
    raise ValueError(f"JSON: {word} is no number of JSON")
