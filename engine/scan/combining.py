"""Functions that combine two elements: called on numbers, or on shapes alone, and checked.

Below `associative.py` and `sequential.py`, which reads what was recorded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.apply import asarray
from engine.backends.numpy import int64
from engine.hooks import HOOKED
from engine.interpreter import Recording
from engine.node import Node, new_id
from engine.pytree import Rebuild, flatten, structure
from engine.scan.body import leaf, stand_in
from engine.state import Draws, using
from engine.stepping import while_stepping
from engine.tensor import Tensor


class Combination:
    """A function of two elements on flat lists of tensors, with what it returns checked."""

    def __init__(
        self, fn: Callable[[Any, Any], Any], rebuild: Rebuild, like: Sequence[Tensor]
    ) -> None:
        self.fn, self.rebuild, self.like = fn, rebuild, like
        self.form = structure(rebuild(list(like)))

    def __call__(self, earlier: list[Tensor], later: list[Tensor]) -> list[Tensor]:
        """Return the combination. Raises ValueError for another form, shape or dtype."""
        return self.checked(self.fn(self.rebuild(earlier), self.rebuild(later)), later)

    def checked(self, found: Any, like: Sequence[Tensor]) -> list[Tensor]:
        """Return what the function returned, flat, where it is an element like `like`."""
        if structure(found) != self.form:
            raise ValueError(
                f"associative_scan: fn returned an element of form {structure(found)}, expected "
                f"{self.form} as in xs"
            )
        flat = [x if isinstance(x, Tensor) else asarray(x, device=like[0].device)
                for x in flatten(found)[0]]  # fmt: skip
        for number, (one, own) in enumerate(zip(flat, like, strict=True)):
            if one.shape != own.shape or one.dtype != own.dtype:
                raise ValueError(
                    f"associative_scan: fn changed tensor {number} of an element from "
                    f"{own.dtype}{list(own.shape)} to {one.dtype}{list(one.shape)}; it must "
                    "return what it is given, with the axis of the scan at any length"
                )
        return flat


@dataclass(frozen=True)
class Combined:
    """A recorded combination: the leaves it was called on, and what came of them."""

    earlier: list[Node]
    later: list[Node]
    results: list[Tensor]


def recorded_once(combination: Combination) -> Combined | None:
    """Return the function called on shapes alone; None where it needs numbers, or fails on them.

    Raises ValueError for what `Combination` refuses.
    """
    start = new_id()
    sides = [[stand_in(x, x.shape) for x in combination.like] for _ in range(2)]
    earlier, later = ([x.node for x in side] for side in sides)
    device = combination.like[0].device
    key, t = (leaf(shape, int64, device) for shape in ((2,), ()))
    with (
        using(tracing=True, recording=True, equations=None, interpreter=Recording(),
              draws=Draws(lambda: key, t)),
        while_stepping(first_recorded=start, arguments=(*sides[0], *sides[1])),
    ):  # fmt: skip
        try:
            found = combination.fn(*map(combination.rebuild, sides))
        except Exception:  # which the call on numbers raises again, if it is the function's own
            return None
        results = combination.checked(found, combination.like)
    if any(number >= start for number in list(HOOKED)):
        return None
    return Combined(earlier, later, results)
