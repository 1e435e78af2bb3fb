"""Find the data of the examples, and split it. Below every example.

Real data are in `shared/data/` beside the repository. They belong to others and are not part of it,
so an example has to do without them.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import engine
from rnn.data import Generated

Item = TypeVar("Item")
Part = TypeVar("Part")

HOME = Path(__file__).parent.parent.parent / "shared" / "data"


def found(name: str) -> Path | None:
    """Return the path of a file or folder such as ``"tinyshakespeare/input.txt.gz"``, or None."""
    path = HOME / name
    return path if path.exists() else None


def documentation() -> str:
    """Return a text that every Python has: the documentation of its language."""
    from pydoc_data.topics import topics

    return "\n\n".join(topics.values())


class Parts(NamedTuple, Generic[Part]):
    """Data: to learn from, to choose by, to judge by."""

    train: Part
    validation: Part
    test: Part


def filled(parts: Parts[Part], where: Any) -> Parts[Part]:
    """Return the same parts. Raises ValueError where one of them is empty."""
    for part, use in zip(parts, ("learn from", "validate", "test"), strict=True):
        if not part:
            raise ValueError(f"{where}: there is nothing to {use}; are there enough examples?")
    return parts


TENTHS = (2, 1, 0, 0, 0, 0, 0, 0, 0, 0)  # of ten, one to test, one to validate, eight to learn from


def dealt(items: Sequence[Item], turns: Sequence[int], *key: Any) -> Parts[list[Item]]:
    """Yield items in an order drawn by the key, each with the number of its part: 0, 1 or 2."""
    parts: Parts[list[Item]] = Parts([], [], [])
    order = engine.random.generator(*key).permutation(len(items)).tolist()
    for place, number in enumerate(order):
        parts[turns[place % len(turns)]].append(items[number])
    return parts


def fresh(make: Callable[..., Item], *given: Any, steps: int) -> Generated[Item]:
    """Yield ``make(*given, epoch, number)``, `steps` an epoch, each made as it is needed."""

    def batches(epoch: int) -> Iterator[Item]:
        return (make(*given, epoch, number) for number in count())

    return Generated(batches, steps)
