"""Names that one thing has and no other, and what to say of a name that there is not.

Below `names.py` and `box_names.py`, which know what there is to call.
"""

import re
from collections.abc import Iterable
from typing import Any, TypeVar

T = TypeVar("T")
MOST = 24  # names in an error
TIMED = re.compile(r"(\D+?)-?\d+((?:_\w+)?)")


def unknown(what: Any, names: Iterable[str]) -> str:
    """Return what to say of a name that there is not: which there are, those of all steps together.

    Of a name that several things have, the longer ones by which these are told apart.
    """
    every = list(names)
    longer = [name for name in every if name.startswith(f"{what}_l") and "." not in name]
    longer = longer or [name for name in every if name.endswith(f".{what}")]
    if longer:
        more = f" and {len(longer) - MOST} more" if len(longer) > MOST else ""
        return (
            f"more than one place is called {what!r} in this graph; there are "
            f"{', '.join(longer[:MOST])}{more}"
        )
    groups: dict[tuple[Any, ...], list[str]] = {}
    for name in every:
        if "." not in name:
            found = TIMED.fullmatch(name)
            groups.setdefault(found.groups() if found else (name,), []).append(name)
    there = [own[0] if len(own) == 1 else f"{own[0]} … {own[-1]}" for own in groups.values()]
    more = f" and {len(there) - MOST} more" if len(there) > MOST else ""
    return (
        f"no place {what!r} in this graph, or more than one; there are "
        f"{', '.join(there[:MOST])}{more}, also by path as in 'cell.weight_hh'"
    )


def suffix_of(layer: Any, direction: Any) -> str:
    """Return the end of the names of a layer, as its weights have it."""
    if layer is None:
        return ""
    return f"_l{layer}{'_reverse' if direction == 'reverse' else ''}"


def unique(found: list[tuple[str, Any, str, str, T]]) -> dict[str, T]:
    """Return the ways to call things (name, t, suffix, path) that one of them alone has."""
    names: list[tuple[str, T]] = []
    for name, t, suffix, path, value in found:
        own = dict.fromkeys((f"{name}{t}", f"{name}{t}{suffix}"))
        names += [(one, value) for one in own]
        names += [(f"{path}.{one}", value) for one in own if path]
    return once(names)


def once(named: list[tuple[str, T]]) -> dict[str, T]:
    """Return the names that only one thing has."""
    found: dict[str, T] = {}
    twice = set()
    for name, value in named:
        if name in found and found[name] is not value:
            twice.add(name)
        found.setdefault(name, value)
    return {name: value for name, value in found.items() if name not in twice}
