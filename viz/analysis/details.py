"""Compute norms of values, and histograms for the page, which a picture knows but does not show.

Worked out when the graph of the picture is asked for. Above `measures.py`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import networkx as nx

import engine
from engine import Graph, Node, Tensor
from engine.derivatives.norms import norm
from viz.analysis.edge_jacobians import measure_edges
from viz.analysis.fetching import bring
from viz.analysis.measures import values_of
from viz.model.elements import Item, Model

LIMIT = 5_000  # boxes of the largest picture that has histograms


@dataclass(frozen=True, slots=True)
class Histogram:
    """Count the finite values in bins of one width from `low` to `high`; the last includes `high`.

    One bin where all are alike, none where nothing is finite (then `low` and `high` are 0). NaN
    and infinite values of either sign are counted apart.
    """

    counts: tuple[int, ...]
    low: float
    high: float
    nan: int = 0
    inf: int = 0

    def attributes(self, name: str = "histogram") -> dict[str, Any]:
        """Return what a node of a drawing's graph carries: counts, range, what is not finite."""
        return {
            name: list(self.counts),
            f"{name}_range": (self.low, self.high),
            f"{name}_nonfinite": (self.nan, self.inf),
        }


def histogram(array: Any, bins: int = 16) -> Histogram:
    """Return the histogram of all elements of a tensor or array of any shape, dtype and device.

    Raises ValueError for fewer bins than one.

    >>> import engine
    >>> from viz.analysis.details import histogram
    >>> histogram(engine.asarray([0.0, 1.0, 1.0, 4.0, float("nan")]), bins=2)
    Histogram(counts=(3, 1), low=0.0, high=4.0, nan=1, inf=0)
    """
    if bins < 1:
        raise ValueError(f"histogram: bins must be at least 1, got {bins}")
    tensor = array if isinstance(array, Tensor) else engine.asarray(array)
    values = tensor.numpy().reshape(-1).astype("float64")
    nan = int((values != values).sum())
    finite = values[abs(values) < math.inf]
    inf = values.size - nan - finite.size
    if not finite.size:
        return Histogram((), 0.0, 0.0, nan, inf)
    finite.sort()
    low, high = float(finite[0]), float(finite[-1])
    if low == high:
        return Histogram((finite.size,), low, high, nan, inf)
    inner = [low * (1 - k / bins) + high * (k / bins) for k in range(1, bins)]  # cannot overflow
    below = [0, *(int(n) for n in finite.searchsorted(inner)), finite.size]
    return Histogram(tuple(b - a for a, b in pairwise(below)), low, high, nan, inf)


class Details:
    """Make the networkx graph of a picture.

    The values of leaves, which training may change in place, are copied; those of ops are not.
    """

    def __init__(self, model: Model, graph: Graph, gradients: dict[Node, Any]) -> None:
        self.model, self.graph, self.gradients = model, graph, gradients
        self.members = model.members
        self.held = {
            item.key: [value.copy() for value in values_of(item, self.members[item.key], graph)]
            for item in model.leaves
        }

    def __call__(self) -> nx.MultiDiGraph:
        """Return the graph, with a value_norm for every box and, up to 5,000 of them, histograms.

        Where gradients were measured edges have a jacobian_norm, as `measure_edges` bounds them.
        """
        if self.gradients:
            measure_edges(self.model, self.graph)
        few = len(self.model.items) <= LIMIT
        made = {
            item.key: tuple(self.held.get(item.key) or values_of(item, members, self.graph))
            for item, members in zip(self.model.items, self.members, strict=True)
            if item.kind != "gap"
        }
        grads = {node: self.gradients[node] for members in self.members if few
                 if (node := members[-1]) in self.gradients}  # fmt: skip
        bring(made, grads)
        for item, members in zip(self.model.items, self.members, strict=True):
            if item.kind != "gap":
                self._measure(item, made[item.key], few=few)
            if members[-1] in grads:
                parts = grads[members[-1]]
                whole = parts if not isinstance(parts, tuple) else next(
                    part for part in parts if part is not None)  # fmt: skip
                item.extra |= histogram(whole).attributes("grad_histogram")
        return self.model.networkx()

    def _measure(self, item: Item, values: Sequence[Any], *, few: bool) -> None:
        item.value_norm = math.hypot(*map(norm, values))
        if few:
            item.extra |= histogram(values[-1]).attributes()
