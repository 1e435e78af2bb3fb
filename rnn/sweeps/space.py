"""Make the settings that a sweep tries, from lists, distributions and single values by name.

Below the other files of the sweep. Draws are keyed by (seed, trial, setting), so that none depends
on another.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import product
from random import Random
from typing import Any

from engine.checks import is_real, is_whole
from rnn.serialization import documents

SAMPLERS = "rnn.sweeps.uniform(low, high), log_uniform, integers or choice"


@dataclass(frozen=True)
class Distribution:
    """Draw values of a setting; made by `uniform`, `log_uniform`, `integers` and `choice`.

    >>> import rnn
    >>> rnn.sweeps.Distribution("uniform", (0.0, 0.5))
    uniform(0.0, 0.5)
    """

    kind: str
    arguments: tuple[Any, ...]

    def draw(self, random: Random) -> Any:
        """Return one value."""
        if self.kind == "choice":
            return self.arguments[0][random.randrange(len(self.arguments[0]))]
        low, high = self.arguments
        if self.kind == "integers":
            return random.randrange(low, high)
        if self.kind == "log_uniform":
            return math.exp(random.uniform(math.log(low), math.log(high)))
        return random.uniform(low, high)

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(map(repr, self.arguments))})"


def uniform(low: float, high: float) -> Distribution:
    """Return the uniform distribution between two numbers.

    >>> uniform(0, 0.5)
    uniform(0.0, 0.5)
    """
    return Distribution("uniform", _bounds("uniform", low, high, -math.inf))


def log_uniform(low: float, high: float) -> Distribution:
    """Return the distribution between two positive numbers with a uniform logarithm.

    >>> log_uniform(1e-4, 1e-1)
    log_uniform(0.0001, 0.1)
    """
    return Distribution("log_uniform", _bounds("log_uniform", low, high, 0.0))


def integers(low: int, high: int) -> Distribution:
    """Return the uniform distribution of the integers from `low` to below `high`, as in NumPy.

    Raises ValueError for bounds that are no integers, low < high.

    >>> integers(1, 4)  # 1, 2 or 3
    integers(1, 4)
    """
    if not is_whole(low) or not is_whole(high) or not low < high:
        raise ValueError(f"integers: expected integers low < high, got {low!r} and {high!r}")
    return Distribution("integers", (int(low), int(high)))


def choice(values: Sequence[Any]) -> Distribution:
    """Return the uniform distribution over some values. Raises ValueError for no values.

    >>> choice(["tanh", "relu"])
    choice(['tanh', 'relu'])
    """
    found = _listed(values)
    if not found:
        raise ValueError(f"choice: expected a list of values, got {values!r}")
    return Distribution("choice", (_plain("choice", found),))


class Space:
    """Hold a space of settings: its parts by dotted name, and the trials that it makes.

    Lists make a grid; its points come in the order of nested loops, the last setting fastest.
    Trial ``number`` is point ``number % size`` of sample ``number // size``.
    """

    def __init__(self, given: Any) -> None:
        if not isinstance(given, Mapping) or not given:
            raise TypeError(
                "sweep: space must map names of settings to lists (a grid) or distributions "
                f"({SAMPLERS}), got {given!r}"
            )
        self.parts = dict(_parts(given, ""))
        grid = {name: part for name, part in self.parts.items() if isinstance(part, list)}
        self._names = list(grid)
        self._points = list(product(*grid.values()))

    @property
    def size(self) -> int:
        """Return the number of points of the grid, 1 without lists."""
        return len(self._points)

    @property
    def drawn(self) -> list[str]:
        """Return the names of the settings that are drawn."""
        return [name for name, x in self.parts.items() if isinstance(x, Distribution)]

    def config(self, seed: int, number: int) -> dict[str, Any]:
        """Return the settings of one trial, nested as the space is."""
        point = dict(zip(self._names, self._points[number % self.size], strict=True))
        found: dict[str, Any] = {}
        for name, part in self.parts.items():
            *outer, last = name.split(".")
            place = found
            for one in outer:
                place = place.setdefault(one, {})
            if isinstance(part, Distribution):
                place[last] = part.draw(Random(key(seed, number, name)))
            else:
                place[last] = point.get(name, part)
        return found

    def described(self) -> dict[str, str]:
        """Return each part as text, which tells one space from another."""
        return {name: repr(part) for name, part in self.parts.items()}


def key(*parts: Any) -> int:
    """Return an integer of 62 bits that follows from the parts."""
    digest = blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 2


def flat(config: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return settings by dotted name."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        nested = isinstance(value, Mapping)
        found |= flat(value, f"{before}{name}.") if nested else {f"{before}{name}": value}
    return found


def _parts(given: Mapping[Any, Any], before: str) -> Iterator[tuple[str, Any]]:
    """Yield every setting by dotted name: a list, a distribution or a plain value."""
    for name, value in given.items():
        if not isinstance(name, str) or not name or "." in name:
            raise ValueError(
                f"sweep: the name of a setting must be text without dots, got {name!r}"
            )
        path = before + name
        if isinstance(value, Mapping):
            if not value:
                raise ValueError(f"sweep: {path} is an empty mapping")
            yield from _parts(value, f"{path}.")
        elif isinstance(value, Distribution):
            yield path, value
        else:
            found = _listed(value)
            if found == []:
                raise ValueError(f"sweep: {path} is an empty list; give the values of the grid")
            yield path, _plain(path, value if found is None else found)


def _listed(value: Any) -> list[Any] | None:
    """Return the elements of a list, tuple, range or array; None for any other value."""
    if isinstance(value, list | tuple | range):
        return list(value)
    found = value.tolist() if hasattr(value, "tolist") else None
    return found if isinstance(found, list) else None


def _plain(name: str, value: Any) -> Any:
    """Return a value as JSON returns it, so that settings are equal before and after a resume."""
    try:
        found = documents.read(documents.written({"": value}))[""]
    except TypeError as error:
        raise TypeError(
            f"sweep: {name} must be a list, a distribution ({SAMPLERS}) or plain data, such as "
            f"the name of a cell in the place of its class; {error}"
        ) from None
    if any(isinstance(one, dict) for one in (found if isinstance(found, list) else [])):
        raise TypeError(f"sweep: {name} lists a mapping; give names, and look them up in train")
    return found


def _bounds(kind: str, low: Any, high: Any, least: float) -> tuple[float, float]:
    good = is_real(low) and is_real(high) and least < low < high < math.inf
    if not good:
        positive = "positive, finite" if least == 0 else "finite"
        raise ValueError(
            f"{kind}: expected {positive} numbers low < high, got {low!r} and {high!r}"
        )
    return float(low), float(high)
