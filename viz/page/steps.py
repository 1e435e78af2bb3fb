"""Norms of the gradients of states by step, for the overview line of the page.

A drawing knows those of all steps and says them under the key ``norms`` of its graph; of another
graph the steps that it shows are read from its boxes. Above graphs, below `data.py`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import networkx as nx


class Series(NamedTuple):
    """A state by name, the steps at which its gradient is known, and its norms at these steps."""

    name: str
    times: tuple[int, ...]
    norms: tuple[float, ...]


Key = tuple[str, str, str]  # name of the state, path of its cell, direction


def by_step(graph: nx.MultiDiGraph) -> list[Series]:
    """Return the norm of dL/d state by step for each state, in order of time.

    >>> import networkx as nx
    >>> by_step(nx.MultiDiGraph(norms={"h": [(1, 0.5), (0, 0.25)]}))
    [Series(name='h', times=(0, 1), norms=(0.25, 0.5))]
    """
    given = graph.graph.get("norms")
    if given:
        return [_series(str(name), dict(pairs)) for name, pairs in given.items()]
    found: dict[Key, dict[int, float]] = {}
    for _, node in graph.nodes(data=True):
        if isinstance(node.get("t"), int):
            for name, norm in _states(node):
                key = (name, str(node.get("path") or ""), str(node.get("direction") or ""))
                found.setdefault(key, {})[node["t"]] = norm  # the last box of a step has the state
    order = sorted(found, key=lambda key: key[0] != "h")  # as on the boxes, else as recorded
    return [_series(_name(key, found), found[key]) for key in order]


def _series(name: str, norms: Mapping[int, float]) -> Series:
    times = tuple(sorted(norms))
    return Series(name, times, tuple(float(norms[t]) for t in times))


def _states(node: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    """Yield the states that a box shows the gradients of: a cell by name, an op by its role."""
    for name, norm in node.get("grads") or ():
        if node.get("kind") == "cell" and name:
            yield name, norm
        elif node.get("is_state") and node.get("role"):
            yield node["role"], norm


def _name(key: Key, among: Iterable[Key]) -> str:
    """Return the name of a state, with its path and direction where the name alone is not one."""
    same = [other for other in among if other[0] == key[0]]
    several = [part for i, part in enumerate(key) if i and len({own[i] for own in same}) > 1]
    return " ".join([key[0], *several]).strip()
