"""Which tags may follow each other, by their names. Below `crf.py`."""

from collections.abc import Sequence

FORBIDDEN = -10000.0  # a score that leaves nothing of a path, and no NaN in the sums as -inf does
SCHEMES = {"BIO": "BI", "IOBES": "BIES"}
Allowed = tuple[list[list[bool]], list[bool], list[bool]]


def constraints(names: Sequence[str], scheme: str) -> Allowed:
    """Return whether tag j may follow tag i, whether a tag may come first, and last.

    ``"BIO"``: I-X only after B-X or I-X. ``"IOBES"``: I-X and E-X only after B-X or I-X, which must
    go on so; S-X is a span of its own. Raises ValueError for unknown schemes and names, and for a
    name that is there twice.

    >>> constraints(["O", "B-X", "I-X"], "BIO")[1]
    [True, True, False]
    """
    if scheme not in SCHEMES:
        raise ValueError(f"CRF: unknown scheme {scheme!r}; there are {', '.join(SCHEMES)}")
    parts = [_part(name, scheme) for name in names]
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise ValueError(f"CRF: tag {twice[0]!r} is there twice; give each name once")
    outside = ("O", "")
    moves = [[_may(i, j, scheme) for j in parts] for i in parts]
    return (
        moves,
        [_may(outside, j, scheme) for j in parts],
        [_may(i, outside, scheme) for i in parts],
    )


def _part(name: str, scheme: str) -> tuple[str, str]:
    """Return ``B-PER`` as its letter and its kind."""
    letter, dash, kind = name.partition("-")
    if name == "O" or (dash and kind and letter in SCHEMES[scheme]):
        return letter, kind
    letters = ", ".join(f"{one}-..." for one in SCHEMES[scheme])
    raise ValueError(f"CRF: {name!r} is no tag of {scheme}; expected O, {letters}")


def _may(i: tuple[str, str], j: tuple[str, str], scheme: str) -> bool:
    """Return whether j may follow i: spans that are open go on, others cannot."""
    open_, goes_on = i[0] in "BI", j[0] in "IE"
    if goes_on:
        return open_ and i[1] == j[1]
    return scheme == "BIO" or not open_
