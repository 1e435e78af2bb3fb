"""The state of the engine's randomness as plain data: the seed, and what has been drawn since.

Every draw is keyed by the seed and counters, so these are all that a resumed run needs to draw on.
Above `engine.random`, below the loop.
"""

from collections.abc import Mapping
from itertools import count
from typing import Any

import engine
from engine.random import _Seed

NAMES = {"seed", "births", "streams"}


def random_state() -> dict[str, Any]:
    """The seed in force, the things made since, and the keys taken at each path."""
    births = next(_Seed.births)
    _Seed.births = count(births)  # put back what was looked at
    return {"seed": _Seed.value, "births": births, "streams": dict(_Seed.streams)}


def check_random_state(state: Any) -> None:
    """Raise ValueError for what is no state of `random_state`."""
    good = isinstance(state, Mapping) and set(state) == NAMES
    good = good and isinstance(state["streams"], Mapping)
    if not good or not all(
        isinstance(n, int) and not isinstance(n, bool) and n >= 0
        for n in (state["seed"], state["births"], *state["streams"].values())
    ):
        raise ValueError("random state: expected a seed, births and streams, all counts from 0")


def set_random_state(state: Mapping[str, Any]) -> None:
    """Draw on from where `random_state` was taken. Raises ValueError for what is none."""
    check_random_state(state)
    engine.seed(state["seed"])
    _Seed.births = count(state["births"])
    _Seed.streams = dict(state["streams"])
