"""The boxes of a picture's networkx graph by what a person calls them. Above `names.py`."""

from collections.abc import Hashable
from typing import Any

import networkx as nx

from viz.graphs.names import LAYER, once, suffix_of, unique, unknown


def box(graph: nx.MultiDiGraph, what: Any) -> Hashable:
    """The node of a picture's graph that `what` names: its key, its label, or as in `Places`.

    Several states may stand in one box. Raises ValueError for what no box, or more than one, is
    called.

    >>> import engine, rnn, viz
    >>> from viz.graphs.box_names import box
    >>> graph = viz.to_networkx(rnn.GRU(3, 4)(engine.ones((5, 1, 3)))[0], "cell")
    >>> graph.nodes[box(graph, "h2")]["label"], graph.nodes[box(graph, "weight_hh")]["kind"]
    ('GRUCell', 'parameter')
    """
    if isinstance(what, Hashable) and what in graph:
        return what
    names = box_names(graph)
    if what not in names:
        raise ValueError(unknown(what, names))
    return names[what]


def box_names(graph: nx.MultiDiGraph) -> dict[str, Hashable]:
    """The names that one box of a picture's graph has and no other."""
    cells = {str(d.get("label", "")) for _, _, d in graph.edges(data=True)
             if d.get("kind") == "time" and d.get("label")} or {"h"}  # fmt: skip
    timed: list[tuple[str, Any, str, str, Hashable]] = []
    plain: list[tuple[str, Hashable]] = []
    losses: dict[str, Hashable] = {}
    for n, d in graph.nodes(data=True):
        kind, t, path = d.get("kind", ""), d.get("t"), d.get("path", "")
        suffix = suffix_of(d.get("layer"), d.get("direction"))
        names = [d.get("label", ""), d.get("full", ""), d.get("name", "")]
        if kind == "parameter":
            names += _parameter_names(str(d.get("full", "")))
        plain += [(str(name), n) for name in dict.fromkeys(names) if name]
        if t is not None and kind == "cell":
            timed += [(name, t, suffix, path, n) for name in sorted(cells)]
        elif t is not None and (role := d.get("role")) and _ends(graph, n, role, t):
            timed.append((role, t, suffix, path, n))
        elif d.get("shape") == () and kind not in ("parameter", "constant"):
            losses["L" if t is None else f"L{t}"] = n  # the last of each
    return once(plain) | unique(timed) | losses


def _ends(graph: nx.MultiDiGraph, n: Hashable, role: str, t: Any) -> bool:
    """Whether a box is the last of its equation."""
    return not any(
        graph.nodes[m].get("role") == role and graph.nodes[m].get("t") == t for m in graph.succ[n]
    )


def _parameter_names(full: str) -> list[str]:
    """The names of the parameters in one box, ``θ cell: weight_ih, weight_hh``."""
    head, colon, rest = full.partition(": ")
    if not colon:
        return []
    path = head.removeprefix("θ ")
    own = rest.split(", ")
    layer = LAYER.search(path)
    return [*own, *(f"{path}.{name}" for name in own),
            *(f"{name}_{layer.group(1)}" for name in own if layer)]  # fmt: skip
