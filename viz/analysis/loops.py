"""Which loops of a rolled picture are affine in their states, and what kind of affine.

Above the model.
"""

from collections.abc import Sequence

from engine import Tensor
from engine.reading.loops import Loop, loops
from engine.scan.affine.kinds import MAX_PLUS, NON_LINEAR, SHIFT
from viz.model.elements import Link, Model

PLAIN = frozenset({NON_LINEAR, SHIFT, MAX_PLUS})  # they look like any wire through time


def affine_loops(outputs: Sequence[Tensor], model: Model) -> dict[int, str]:
    """Return the kind of each edge through time that carries a state affine in the one before.

    By the place of the edge in `model.links`. An edge that carries several states is named only
    where all of them are affine.
    """
    known = loops(outputs)
    if not known:
        return {}
    found = {}
    for i, link in enumerate(model.links):
        kinds = _kinds(link, known) if link.kind == "time" and link.source == link.target else []
        if kinds and not PLAIN & set(kinds):
            found[i] = " + ".join(dict.fromkeys(kinds))
    return found


def _kinds(link: Link, known: Sequence[Loop]) -> list[str]:
    """The kinds of the states that run along an edge; none where one of them is not known."""
    found: list[str] = []
    for source in link.sources:
        name = str(source.scope.labels.get("state") or "")
        fits = [one for one in known
                if one.state == name and source.scope.path.startswith(one.path)]  # fmt: skip
        if not fits:
            return []
        longest = max(len(one.path) for one in fits)
        kinds = {one.kind for one in fits if len(one.path) == longest}
        if len(kinds) > 1:
            return []
        found += kinds
    return found
