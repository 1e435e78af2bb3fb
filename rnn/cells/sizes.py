"""Read the shapes that a cell declares: of its states, and of one input or a pytree of several.

A size is the shape without the rows of the batch: a width, a tuple of widths for several unit axes,
or None for one number a row. Below the cells.
"""

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import engine
from engine import Tensor
from engine.checks import is_whole
from engine.pytree import flatten, structure

Size = int | tuple[int, ...] | None
Units = tuple[int, ...]


def units(size: Any) -> Units:
    """Return the unit axes of a size. Raises ValueError for what is none."""
    given = (size,) if not isinstance(size, tuple | list) else size
    if size is None:
        return ()
    if not all(map(is_whole, given)):
        raise ValueError(f"expected a width, a tuple of widths or None, got {size!r}")
    return tuple(one.__index__() for one in given)


def width(size: Any) -> int:
    """Return how many numbers a row of that size has."""
    return prod(units(size))


def is_nest(sizes: Any) -> bool:
    """Tell whether sizes are of several inputs: a dict, or a tuple or list of more than widths."""
    if isinstance(sizes, dict):
        return True
    return isinstance(sizes, tuple | list) and any(
        one is None or isinstance(one, tuple | list | dict) for one in sizes
    )


def given(where: str, x: Any, sizes: Any) -> tuple[list[tuple[Tensor, Units]], Any]:
    """Return the inputs with their unit axes, and the function that rebuilds them again.

    ``(3, 4)`` are two axes of one input, or the widths of two where a pytree of two is given.
    Raises ValueError for a pytree of another form.
    """
    single = not is_nest(sizes) and not _are_widths_of(sizes, x)
    if single:
        return [(_tensor(x), units(sizes))], lambda leaves: leaves[0]
    leaves, rebuild = flatten(x)
    own = list(_pairs(x, sizes))
    if len(own) != len(leaves) or any(size is _WRONG for size in own):
        raise ValueError(f"{where}: expected inputs of the form {sizes!r}, got {structure(x)}")
    pairs = [(_tensor(leaf), units(size)) for leaf, size in zip(leaves, own, strict=True)]
    return pairs, rebuild


def examples(sizes: Any, shape: Units, dtype: Any, rows: Any = None) -> Any:
    """Make zeros in the form of `sizes`, `shape` in front; of dtype `rows` where a size is None."""
    if isinstance(sizes, dict):
        return {name: examples(one, shape, dtype, rows) for name, one in sizes.items()}
    if is_nest(sizes):
        return type(sizes)(examples(one, shape, dtype, rows) for one in sizes)
    dtype = dtype if sizes is not None or rows is None else rows
    return engine.zeros((*shape, *units(sizes)), dtype=dtype)


def names(sizes: Any) -> list[str]:
    """Name the inputs: x, x_0 and x_1 of several, or by their keys."""
    if isinstance(sizes, dict):
        return [name for name in sorted(sizes) for _ in names(sizes[name])]
    if is_nest(sizes):
        return [f"x_{i}" for i in range(sum(len(names(one)) for one in sizes))]
    return ["x"]


_WRONG = object()


def _pairs(x: Any, sizes: Any) -> Iterator[Any]:
    """Yield the size of each leaf of x in the order of `flatten`."""
    if isinstance(x, Mapping):
        same = isinstance(sizes, dict) and set(x) == set(sizes)
        for name in sorted(x):
            yield from _pairs(x[name], sizes[name]) if same else [_WRONG]
    elif isinstance(x, tuple | list):
        same = isinstance(sizes, tuple | list) and len(x) == len(sizes)
        for i, one in enumerate(x):
            yield from _pairs(one, sizes[i]) if same else [_WRONG]
    else:
        yield _WRONG if is_nest(sizes) else sizes


def _are_widths_of(sizes: Any, x: Any) -> bool:
    """Tell whether x is several tensors of which `sizes` are the widths."""
    return (
        isinstance(sizes, tuple | list)
        and isinstance(x, tuple | list)
        and len(x) == len(sizes)
        and all(hasattr(one, "shape") for one in x)
    )


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else engine.asarray(x)
