"""Tell which loops of a rolled picture are affine in their states, and what kind of affine.

Above the model.
"""

from collections.abc import Sequence
from typing import NamedTuple

from engine import Tensor
from engine.reading.loops import Loop, loops
from engine.scan.affine.kinds import MAX_PLUS, NON_LINEAR, SHIFT
from viz.model.elements import Link, Model

PLAIN = frozenset({NON_LINEAR, SHIFT, MAX_PLUS})  # of which nothing is said


class Affine(NamedTuple):
    """Hold what is said of an edge: the kinds of states along it, and whether all are affine."""

    words: str
    whole: bool


def affine_loops(outputs: Sequence[Tensor], model: Model) -> dict[int, Affine]:
    """Return what is said of each edge through time that carries a state affine in the one before.

    By the place of the edge in `model.links`. Of an edge that carries several states each affine
    one is named with its kind, but where all are affine and of one kind.
    """
    known = loops(outputs)
    if not known:
        return {}
    found = {}
    for i, link in enumerate(model.links):
        kinds = _kinds(link, known) if link.kind == "time" and link.source == link.target else {}
        affine = {name: kind for name, kind in kinds.items() if kind not in PLAIN}
        if affine:
            found[i] = Affine(_words(affine, kinds), len(affine) == len(kinds))
    return found


def _words(affine: dict[str, str], all_of_them: dict[str, str]) -> str:
    """Return the kinds, each behind the names of its states where there is more than one kind."""
    if len(set(all_of_them.values())) == 1:
        return next(iter(affine.values()))
    names: dict[str, list[str]] = {}
    for name, kind in affine.items():
        names.setdefault(kind, []).append(name)
    return ", ".join(f"{', '.join(own)} {kind}" for kind, own in names.items())


def _kinds(link: Link, known: Sequence[Loop]) -> dict[str, str]:
    """Return the kind of each state that runs along an edge; "non-linear" for what is not known."""
    found: dict[str, str] = {}
    for source in link.sources:
        name = str(source.scope.labels.get("state") or "")
        fits = [one for one in known
                if one.state == name and source.scope.path.startswith(one.path)]  # fmt: skip
        longest = max((len(one.path) for one in fits), default=0)
        kinds = {one.kind for one in fits if len(one.path) == longest}
        own = kinds.pop() if len(kinds) == 1 else NON_LINEAR
        found[name] = own if found.get(name, own) == own else NON_LINEAR
    return found
