"""Check what drawings are asked for: widths, titles, tensors, names. Above the engine alone.

Each raises one error that says what was expected; `where` is the name of the drawing.
"""

import math
from collections.abc import Sequence
from typing import Any

from engine import Graph, Tensor
from engine.checks import is_real, is_whole
from engine.suggestions import kind_of


def check_width(where: str, width: Any, least: float) -> float:
    """Return a width in pixels. Raises TypeError for no number, ValueError for less than `least`.

    Under `least` the words of a drawing would be cut, or stand beyond its sheet.

    >>> from viz.checks import check_width
    >>> check_width("draw_story", 800, 640)
    800.0
    """
    expected = f"{where}: expected a width in pixels, {least:.0f} or more, got {width!r}"
    if not is_real(width):
        raise TypeError(expected)
    if not least <= width < math.inf:
        raise ValueError(expected)
    return float(width)


def check_title(where: str, title: Any) -> None:
    """Raise TypeError for a title that is no text."""
    if not isinstance(title, str):
        raise TypeError(f"{where}: expected a title as text, got {title!r}")


def check_tensor(where: str, what: str, x: Any) -> None:
    """Raise TypeError for what is no tensor, such as the name of a parameter."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{where}: expected {what} as a tensor, got {shown(x)}")


def check_loss(where: str, what: str, x: Any) -> None:
    """Raise TypeError for no tensor, ValueError for several numbers, and without a gradient."""
    check_tensor(where, what, x)
    if x.size != 1:
        raise ValueError(
            f"{where}: {what} has shape {x.shape}, expected one number; add it up first"
        )
    if not x.requires_grad:
        raise ValueError(f"{where}: {what} depends on nothing that requires a gradient")


def check_outputs(where: str, x: Any, *, several: bool = False) -> None:
    """Raise TypeError for what has no record: a module, None; a list unless `several` will do."""
    if isinstance(x, Tensor | Graph):
        return
    listed = isinstance(x, Sequence) and not isinstance(x, str)
    if several and listed and x and all(isinstance(one, Tensor) for one in x):
        return
    more = ", or a list of tensors" if several else ""
    fix = "; join several by engine.Graph.of(*tensors)" if listed and not several else ""
    raise TypeError(
        f"{where}: expected a tensor that a network computed or a graph{more}, got {shown(x)}{fix}"
    )


def check_names(where: str, what: str, names: Any, number: int | None = None) -> None:
    """Raise TypeError for names that are no sequence, ValueError for another `number` of them."""
    if not isinstance(names, Sequence):
        raise TypeError(f"{where}: expected {what} as a sequence of texts, got {shown(names)}")
    if number is not None and len(names) != number:
        raise ValueError(
            f"{where}: expected a name for each of {number:,} {what}, got {len(names):,}"
        )


def check_whole(where: str, what: str, value: Any) -> None:
    """Raise TypeError for what is no whole number."""
    if not is_whole(value):
        raise TypeError(f"{where}: expected {what} as a whole number, got {value!r}")


def check_choice(where: str, what: str, value: Any, known: Sequence[str]) -> None:
    """Raise ValueError for what is none of the known words."""
    if value not in known:
        ways = ", ".join(map(repr, known))
        raise ValueError(f"{where}: unknown {what}={value!r}; expected one of {ways}")


def shown(x: Any) -> str:
    """Return what was given as it stands in an error: short values as they are, else their type."""
    if isinstance(x, type):
        return f"the class {x.__name__}"
    short = x is None or isinstance(x, str | int | float)
    return repr(x) if short and len(repr(x)) <= 40 else kind_of(x)
