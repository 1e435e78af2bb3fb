"""Compute the numbers of a picture of paths: how many there are, and what runs along them.

Above `jacobian_hops.py`, below `bptt_path.py`.
"""

import math
from dataclasses import dataclass
from typing import Any

from engine import Node, asarray
from engine.reading.jacobians import gradients_along
from viz.analysis.jacobian_hops import Hops, Keep
from viz.analysis.paths import Path, count_paths, k_strongest_paths
from viz.analysis.weight_contributions import contributions
from viz.labels import counted, superscript
from viz.model.names import Places

MANY = 10**9  # steps: each is a bar of its own


def totals(hops: Hops) -> dict[Node, Any]:
    """Return the whole derivative of the source by every value that hops lead to.

    Of a number shaped as the value, else (B, S, S').

    >>> import engine, rnn
    >>> from viz.model.levels import build
    >>> from viz.model.names import Places
    >>> (y,) = engine.expanded(rnn.LSTM(3, 4)(engine.ones((3, 1, 3)))[0])
    >>> graph = engine.Graph.of(loss := engine.sum(y))
    >>> find = Places(graph).find
    >>> found = totals(Hops(build(graph, "cell").member, find("L"), find("h0")))
    >>> c1 = find("c1").tensor
    >>> float(abs(found[c1.node] - engine.gradients(loss, [c1])[0].numpy()).max()) < 1e-6
    True
    """
    found = hops.sums(None)
    inside: dict[int, list[Node]] = {}
    for node in hops.graph:
        if node in hops.boxes and node is not hops.end and not hops.is_leaf(node):
            inside.setdefault(hops.boxes[node], []).append(node)
    for own in inside.values():
        own.sort(key=lambda node: -node.id)
    # Hops count already what runs from one value of their box through another, so that what is
    # added here does not run on to earlier boxes.
    whole = dict(found)
    for own in inside.values():
        for i, later in enumerate(own):
            earlier = [node for node in own[i + 1 :] if node is not hops.start]
            if later in whole and earlier:
                for node, part in _passed(hops, later, earlier, whole[later]).items():
                    whole[node] = whole[node] + part if node in whole else part
    return whole


def _passed(hops: Hops, later: Node, earlier: list[Node], g: Any) -> dict[Node, Any]:
    """Return what a value passes to others of its box, each of them free of the rest."""
    own, tensors = hops.tensor(later), [hops.tensor(node) for node in earlier]
    if hops.of_number:
        grad = asarray(g, dtype=own.dtype, device=own.device)
        parts = gradients_along([own], tensors, [grad])
        return {n: p.numpy().astype("float64") for n, p in zip(earlier, parts, strict=True)}
    blocks = hops.jacobians(later, earlier)
    return {node: g @ blocks[node] for node in earlier}


@dataclass(frozen=True)
class PathNumbers:
    """Hold the numbers of a picture of paths.

    `count` paths are shown, of `all` that there are. `whole` is the norm of the derivative of the
    source by the target, `shown` that of the sum of the products along the shown paths, and `bound`
    the sum of their products of norms. Of each of `strongest` it has the norm of the product and
    the product of the norms. `contributions` has by time the norm of what a parameter's use
    adds, and its projection on the whole gradient.
    """

    count: int
    all: int
    whole: float
    shown: float
    bound: float
    strongest: tuple[tuple[Path, float], ...]
    contributions: dict[int, tuple[float, float]]


@dataclass(frozen=True)
class Chosen:
    """Hold the paths to show: which hops are kept, None for all, and the strongest of them."""

    which: str
    keep: Keep | None
    strongest: list[Path]


def chosen(hops: Hops, places: Places, which: str, k: int) -> Chosen:
    """Return the hops that are shown, and the strongest paths along them."""
    for earlier, later, data in hops.graph.edges(data=True):
        data["jacobian_norm"] = hops.hop_norm(earlier, later)
    keep = _state_only(hops, places) if which == "state" else None
    best = k_strongest_paths(hops.graph, hops.start, hops.end, k, edges=_along(keep))
    if which != "strongest":
        return Chosen(which, keep, best)
    kept = {edge[:2] for path in best for edge in path.edges}
    return Chosen(which, lambda earlier, later: (earlier, later) in kept, best)


def _along(keep: Keep | None) -> Any:
    """Return the same for edges with their attributes."""
    return None if keep is None else lambda earlier, later, data: keep(earlier, later)


def _state_only(hops: Hops, places: Places) -> Keep:
    """Return whether a hop is one of paths that go on from state to state."""
    states = {s.node for run in places.runs for after in run.after for s in after}

    def keep(earlier: Node, later: Node) -> bool:
        return later not in states or earlier in states or earlier is hops.start

    return keep


def numbers_of(hops: Hops, chosen: Chosen) -> PathNumbers:
    """Return all numbers of a picture."""
    keep, every = chosen.keep, count_paths(hops.graph, hops.start, hops.end)
    products = [_product(hops, path) for path in chosen.strongest]
    strongest = tuple(
        (path, hops.norm_of(product))
        for path, product in zip(chosen.strongest, products, strict=True)
    )
    if chosen.which == "strongest":
        many, shown = len(products), sum(products[1:], products[0])
        bound = math.fsum(path.value for path in chosen.strongest)
    else:
        many = count_paths(hops.graph, hops.start, hops.end, edges=_along(keep))
        shown, bound = hops.sums(keep).get(hops.start), _bound(hops, keep)
    return PathNumbers(
        count=many,
        all=every,
        whole=hops.norm_of(hops.whole()),
        shown=0.0 if shown is None else hops.norm_of(shown),
        bound=bound,
        strongest=strongest,
        contributions=_contributions(hops) if hops.to_parameter else {},
    )


def _bound(hops: Hops, keep: Keep | None) -> float:
    """Return the sum over all paths of the product of the norms of their hops."""
    found = {hops.end: 1.0}
    for value in sorted(hops.graph, key=lambda node: -node.id):
        for node in hops.graph.predecessors(value) if value in found else ():
            if keep is None or keep(node, value):
                gain = found[value] * hops.hop_norm(node, value)
                found[node] = found.get(node, 0.0) + gain
    return found.get(hops.start, 0.0)


def shown_hops(hops: Hops, keep: Keep | None) -> list[tuple[Node, Node]]:
    """Return the hops (earlier, later) on paths of kept hops from the source to the target."""
    found, reached = [], {hops.end}
    for later in sorted(hops.graph, key=lambda node: -node.id):
        for earlier in hops.graph.predecessors(later) if later in reached else ():
            if keep is None or keep(earlier, later):
                found.append((earlier, later))
                reached.add(earlier)
    good, kept = {hops.start}, []
    for earlier, later in reversed(found):
        if earlier in good:
            good.add(later)
            kept.append((earlier, later))
    return kept


def _contributions(hops: Hops) -> dict[int, tuple[float, float]]:
    """Return what the parameter's use at each step adds to its gradient: norm and projection."""
    source = hops.source
    found = contributions({source.name: source.tensor}, hops.target.tensor,
                          max_steps=MANY, max_losses=2)  # fmt: skip
    return {one.times[0]: (one.norm, one.projection) for one in found.uses if one.times}


def only_path(numbers: PathNumbers) -> tuple[Path, float] | None:
    """Return the path that is shown, with the norm of its product; None where several are."""
    return numbers.strongest[0] if numbers.count == 1 and numbers.strongest else None


def _product(hops: Hops, path: Path) -> Any:
    """Return the product of the Jacobians along one path, from the source to its last value."""
    found: Any = None
    for earlier, later, _ in reversed(path.edges):
        if hops.is_leaf(earlier):
            g = None if found is None else found.reshape(later.shape)
            return hops.passed(later, g, None)[earlier]
        block = hops.blocks(later)[earlier]
        found = block if found is None else found @ block
    return found


def paths_counted(many: int) -> str:
    """Return a number of paths in words, of very many to two digits."""
    if many < 10**12:
        return counted(many, "path")
    digits = str(many)
    return f"about {digits[0]}.{digits[1]}×10{superscript(len(digits) - 1)} paths"
