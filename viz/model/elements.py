"""Define a drawing's own graph: the boxes of a picture, and the edges that join two boxes.

Plain lists, so that pictures of 100,000 boxes are quick; `networkx()` gives the same graph to those
that ask questions of it. Below `levels.py`, which makes it from a recorded graph.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import networkx as nx

from engine import Node


@dataclass(slots=True)
class Item:
    """Describe a box: one op, one equation or gate, one module or cell at one step.

    `key` is its number, `label` its words and `full` the same uncut. `members` counts the nodes of
    the recorded graph in it. `value_norm` is the norm of what its last node made, `grad_norm` that
    of the gradient, and `grads` the norms that the box shows by name, both None and empty until
    gradients are measured. `gap` are the first and last step that a gap stands for. `position` is
    the middle of the box in pixels once it is laid out, `call` the number of the call at this step.
    """

    key: int
    kind: str
    label: str
    full: str
    op: str = ""
    t: Any = None
    layer: Any = None
    direction: str | None = None
    cell: str | None = None
    role: str = ""
    block: str | None = None
    shape: tuple[int, ...] = ()
    dtype: str = ""
    path: str = ""
    members: int = 1
    is_state: bool = False
    gap: tuple[int, int] | None = None
    sub: str = ""
    call: int = 0
    value_norm: float | None = None
    grad_norm: float | None = None
    grads: tuple[tuple[str, float], ...] = ()
    position: tuple[float, float] | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Link:
    """Describe an edge: the use of what `source` made by `target`.

    `kind` is data, parameter, time for an edge from one step to another, `dt` steps on, context for
    one from a block to another, as from encoder to decoder, or attention, which has a `weight`.
    `sources` are the nodes of the recorded graph that it stands for and `use` names their joint
    use; `grad_norm` is the norm of what that use adds to the gradient of the source. `cut` marks
    an edge that gradients do not pass.
    """

    source: int
    target: int
    key: Hashable
    kind: str
    slot: int = 0
    dt: int = 0
    label: str = ""
    sources: tuple[Node, ...] = ()
    use: Hashable = None
    grad_norm: float | None = None
    jacobian_norm: float | None = None
    cut: bool = False
    weight: float | None = None


@dataclass
class Model:
    """Hold all boxes, by number, and all edges of a picture; `member` has the box of every node.

    `calls` are those after the first of what was called several times at a step. `norms` are those
    of the gradient by each state, step by step, shown or left out, once measured.
    """

    level: str
    items: list[Item]
    links: list[Link]
    member: dict[Node, int]
    calls: dict[Node, int] = field(default_factory=dict)
    norms: dict[str, list[tuple[Any, float]]] = field(default_factory=dict)

    @cached_property
    def members(self) -> list[list[Node]]:
        """Return the nodes of each box, in topological order."""
        found: list[list[Node]] = [[] for _ in self.items]
        for node, n in self.member.items():
            found[n].append(node)
        return found

    @cached_property
    def leaves(self) -> list[Item]:
        """Return the boxes of what was given and not computed."""
        return [item for item, own in zip(self.items, self.members, strict=True)
                if item.kind != "gap" and not own[0].inputs]  # fmt: skip

    def networkx(self) -> nx.MultiDiGraph:
        """Return the same as a networkx graph: an attribute for each field, no bookkeeping.

        What is unknown is left out: norms before they are measured, positions before the layout.
        """
        graph = nx.MultiDiGraph(level=self.level)
        if self.norms:
            graph.graph["norms"] = self.norms
        graph.add_nodes_from((item.key, _item_attributes(item)) for item in self.items)
        graph.add_edges_from(
            (link.source, link.target, link.key, _link_attributes(link)) for link in self.links
        )
        return graph


ITEM_FIELDS = ("kind", "label", "full", "op", "t", "layer", "direction", "cell", "role", "block",
               "shape", "dtype", "path", "members", "is_state")  # fmt: skip
LINK_FIELDS = ("kind", "slot", "dt", "label", "cut")
MEASURED = ("value_norm", "grad_norm", "position")


def _item_attributes(item: Item) -> dict[str, Any]:
    found = {name: getattr(item, name) for name in ITEM_FIELDS}
    for name in MEASURED:
        if (value := getattr(item, name)) is not None:
            found[name] = value
    if item.sub:
        found["sub"] = item.sub
    if item.grads:
        found["grads"] = item.grads
    return found | item.extra


def _link_attributes(link: Link) -> dict[str, Any]:
    found = {name: getattr(link, name) for name in LINK_FIELDS}
    for name in ("grad_norm", "jacobian_norm", "weight"):
        if (value := getattr(link, name)) is not None:
            found[name] = value
    return found
