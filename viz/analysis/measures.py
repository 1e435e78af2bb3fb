"""Measure a picture: norms of values, of gradients, and of what each edge adds to them.

Above `levels.py`; the norms themselves are the engine's.
"""

import math
from collections.abc import Iterable
from typing import Any

from engine import Graph, Node, Tensor, gradient_norms
from engine.derivatives.multi_output import MultiOutput
from engine.derivatives.norms import Norms
from viz.model.elements import Item, Model
from viz.model.links import use_of
from viz.model.names import suffix_of
from viz.model.window import in_order


def measure_values(model: Model, graph: Graph) -> None:
    """Write the norm of what each box makes on it: of all its parameters, else of its last node."""
    found: Norms[int] = Norms()
    for place, (item, members) in enumerate(zip(model.items, model.members, strict=True)):
        if item.kind != "gap":
            found.add(place, values_of(item, members, graph))
    for place, size in found.known().items():
        model.items[place].value_norm = size


def values_of(item: Item, members: list[Node], graph: Graph) -> list[Any]:
    """Return what a box makes: the values of all its parameters, else that of its last node."""
    own = members if item.kind == "parameter" else members[-1:]
    values: list[Any] = [graph.tensor(node).data for node in own]
    return [one for x in values for one in (x if type(x) is MultiOutput else (x,))]


def measure_gradients(model: Model, loss: Tensor, keep: dict[Node, Any] | None = None) -> None:
    """Write the norms of the gradients of `loss` on boxes and edges; they go into `keep`.

    An edge has that of what its use adds to the gradient of its source; joint uses add up first.
    """
    by_node, by_use = gradient_norms(
        loss, group=lambda node, slot: use_of(model, node, slot), keep=keep
    )
    model.norms = state_norms(by_node, model.calls)
    for link in model.links:
        norms = [by_use[s, link.use] for s in link.sources if (s, link.use) in by_use]
        link.grad_norm = math.hypot(*norms) if norms else None
    for item, members in zip(model.items, model.members, strict=True):
        item.grads = named_norms(item, members, by_node)
        if item.grads:
            item.grad_norm = math.hypot(*(g for _, g in item.grads))


def state_norms(
    norms: dict[Node, float], calls: dict[Node, int]
) -> dict[str, list[tuple[Any, float]]]:
    """Return the norm of the gradient by each state at each of its steps, in the order of time.

    A state is called as its layer and direction are, h_l1_reverse, where there are several layers;
    of the ops of one equation the last makes the state. Of two calls at a step the second is h (2).
    """
    found: dict[tuple[Any, ...], dict[Any, float]] = {}
    for node in sorted(norms, key=lambda node: node.id):
        labels = node.scope.labels
        if "state" in labels and "t" in labels and node.inputs:
            place = (labels["state"], labels.get("layer"), labels.get("direction"),
                     labels.get("block"), node.scope.path, calls.get(node, 0))  # fmt: skip
            found.setdefault(place, {})[labels["t"]] = norms[node]
    places = sorted(found, key=lambda place: place[0] != "h")  # as boxes have them
    return {_state_name(place, found): [(t, found[place][t]) for t in in_order(found[place])]
            for place in places}  # fmt: skip


def _state_name(place: tuple[Any, ...], found: Iterable[tuple[Any, ...]]) -> str:
    """Return the shortest name that no other state has: with its layer, or else with its path."""
    name, layer, direction, block, path, call = place
    if call:
        return f"{_state_name((*place[:-1], 0), found)} ({call + 1})"
    others = [one for one in found if one[0] == name and not one[-1]]
    if len(others) == 1:
        return str(name)
    layered = [one for one in others if one[1:3] == (layer, direction)]
    if len(layered) == 1:
        return f"{name}{suffix_of(layer, direction)}"
    return ".".join(filter(None, (block, path, name)))


def named_norms(
    item: Item, members: list[Node], norms: dict[Node, float]
) -> tuple[tuple[str, float], ...]:
    """Return the gradients that a box shows: of its states where it is a cell, else of its result.

    `members` are its nodes in topological order, `norms` those that are known.
    """
    known = [node for node in members if node in norms]
    if not known or item.kind == "gap":
        return ()
    if item.kind == "parameter":
        return (("θ", math.hypot(*(norms[node] for node in known))),)
    states: dict[str, list[float]] = {}
    last: dict[Any, Node] = {}  # of each step; only rolled up a box has several
    for node in known:
        last[node.scope.labels.get("t")] = node
    if item.kind == "cell":
        ends: dict[tuple[str, Any], Node] = {}
        for node in known:
            if "state" in node.scope.labels:
                ends[str(node.scope.labels["state"]), node.scope.labels.get("t")] = node
        for (name, _), node in ends.items():
            states.setdefault(name, []).append(norms[node])
    if states:
        named = ((name, math.hypot(*own)) for name, own in states.items())
        return tuple(sorted(named, key=lambda pair: pair[0] != "h"))
    return (("", math.hypot(*(norms[node] for node in last.values()))),)
