"""Gather the text that generated CUDA begins with, that of optimisers too. Below `source.py`."""

from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).parent


@lru_cache(maxsize=1)
def runtime() -> str:
    """Return memory, tensor cores and functions of numbers, for one source without includes."""
    files = (FOLDER / "runtime.cuh", FOLDER.parent / "kernels" / "functions.h")
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


@lru_cache(maxsize=1)
def recurrences() -> str:
    """Return the same with products of tiles and the barrier."""
    files = (FOLDER / "products.cuh", FOLDER / "sweeps.cuh")
    return "\n".join([runtime(), *(file.read_text(encoding="utf-8") for file in files)])
