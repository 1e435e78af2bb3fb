"""What a picture knows besides what it shows: norms of values, and histograms for the page.

Worked out when the graph of the picture is asked for. Above `measures.py`.
"""

import math
from collections.abc import Sequence
from typing import Any

import networkx as nx

from engine import Graph, Node
from engine.derivatives.norms import norm
from viz.analysis.edge_jacobians import measure_edges
from viz.analysis.fetching import bring
from viz.analysis.histograms import histogram
from viz.analysis.measures import values_of
from viz.model.elements import Item, Model

LIMIT = 5_000  # boxes of the largest picture that has histograms


class Details:
    """Makes the networkx graph of a picture.

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
