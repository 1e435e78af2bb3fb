"""Order names of cells: the first ones are run in `make test`, the rest is slow."""

from collections.abc import Iterable


def ahead(few: Iterable[str], names: Iterable[str]) -> list[str]:
    """Return all names, a few of them first."""
    first, known = list(few), list(names)
    assert set(first) <= set(known), set(first) - set(known)
    return [*first, *(name for name in known if name not in first)]
