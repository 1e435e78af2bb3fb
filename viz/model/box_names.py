"""Find the boxes of a picture's networkx graph by their names. Above `names.py`."""

import math
from collections.abc import Hashable
from typing import Any

import networkx as nx

from viz.model.inputs import INITIAL
from viz.model.leaves import LAYER, typed_name
from viz.model.names import TIMED, once, suffix_of, unique, unknown


def box(graph: nx.MultiDiGraph, what: Any) -> Hashable:
    """Return the node of a picture's graph that `what` names, by key, by label, or as in `Places`.

    Several states may stand in one box. Raises ValueError for a name of no box or of several.

    >>> import engine, rnn, viz
    >>> from viz.model.box_names import box
    >>> graph = viz.to_networkx(rnn.GRU(3, 4)(engine.ones((5, 1, 3)))[0], "cell")
    >>> graph.nodes[box(graph, "h2")]["label"], graph.nodes[box(graph, "weight_hh")]["kind"]
    ('GRUCell', 'parameter')
    """
    if isinstance(what, Hashable) and what in graph:
        return what
    names = box_names(graph)
    if isinstance(what, str) and what not in names:
        what = typed_name(what)
    if what not in names:
        raise ValueError(unknown(what, names))
    return names[what]


def box_names(graph: nx.MultiDiGraph) -> dict[str, Hashable]:
    """Return the names that one box of a picture's graph has and no other."""
    cells = {str(d.get("label", "")) for _, _, d in graph.edges(data=True)
             if d.get("kind") == "time" and d.get("label")} or {"h"}  # fmt: skip
    timed: list[tuple[str, Any, str, str, Hashable]] = []
    before = _states_before(graph, cells)
    plain: list[tuple[str, Hashable]] = []
    losses: dict[str, Hashable] = {}
    for n, d in graph.nodes(data=True):
        kind, t, path = d.get("kind", ""), d.get("t"), d.get("path", "")
        suffix = suffix_of(d.get("layer"), d.get("direction"))
        names = [d.get("label", ""), d.get("full", ""), d.get("name", "")]
        if d.get("role") == INITIAL:
            names = names[1].split(", ")
        if kind in ("input", "parameter") and t is None:
            names += _by_user(graph, n, str(d.get("full", "")))
        if kind == "parameter":
            names += _parameter_names(str(d.get("full", "")))
        plain += [(str(name), n) for name in dict.fromkeys(names) if name]
        if t is not None and kind == "cell":
            timed += [(name, t, suffix, path, n) for name in sorted(cells)]
        elif t is not None and kind == "input":
            given = str(d.get("full", ""))
            called = [str(d.get("role") or ""), "" if given[-1:].isdigit() else given]
            timed += [(name, t, suffix, path, n) for name in dict.fromkeys(called) if name]
        elif t is not None and (role := d.get("role")) and _ends(graph, n, role, t):
            timed.append((role, t, suffix, path, n))
        elif _is_number(graph, n) and kind not in ("parameter", "constant"):
            losses["L" if t is None else f"L{t}"] = n  # the last of each
    ends = [n for n in losses.values() if not graph.succ[n]]
    if len(ends) == 1:  # the whole loss, though it be that of a step
        losses["L"] = ends[0]
    return unique(before) | once(plain) | unique(timed) | losses


def _is_number(graph: nx.MultiDiGraph, n: Hashable) -> bool:
    """Tell whether a box makes a single number; what is read further has to be one without axes."""
    shape = graph.nodes[n].get("shape")
    return shape == () or (shape is not None and math.prod(shape) == 1 and not graph.succ[n])


def _states_before(
    graph: nx.MultiDiGraph, cells: set[str]
) -> list[tuple[str, Any, str, str, Hashable]]:
    """Return the states before the first step, as `unique` takes them: h-1; h0 follows step 0."""
    found: list[tuple[str, Any, str, str, Hashable]] = []
    for n, d in graph.nodes(data=True):
        users = [graph.nodes[m] for m in graph.succ[n] if isinstance(graph.nodes[m].get("t"), int)]
        if d.get("kind") != "input" or not users:
            continue
        layer, direction = users[0].get("layer"), users[0].get("direction")
        t = users[0]["t"] + (1 if direction == "reverse" else -1)
        path = str(users[0].get("path", ""))
        for own in str(d.get("full", "")).split(", "):
            called = TIMED.fullmatch(typed_name(own.partition(" ")[0]))
            if called and called.group(1) in cells | {"h", "c"}:
                found.append((called.group(1), t, suffix_of(layer, direction), path, n))
    return found


def _by_user(graph: nx.MultiDiGraph, n: Hashable, name: str) -> list[str]:
    """Return a leaf by the path of the box that uses it first, as `Places` has it."""
    paths = (str(graph.nodes[m].get("path") or "") for m in graph.succ[n])
    path = next(filter(None, paths), "")
    if not path or ": " in name:
        return []
    layer = LAYER.search(path)  # what tells it apart is not part of its own name
    own = name.removeprefix(f"{path}.").removesuffix(f"_{layer.group(1)}" if layer else "")
    return [f"{path}.{own}", *([f"{own}_{layer.group(1)}"] if layer else [own])]


def _ends(graph: nx.MultiDiGraph, n: Hashable, role: str, t: Any) -> bool:
    """Return whether a box is the last of its equation."""
    return not any(
        graph.nodes[m].get("role") == role and graph.nodes[m].get("t") == t for m in graph.succ[n]
    )


def _parameter_names(full: str) -> list[str]:
    """Return the names of the parameters in one box, ``θ cell: weight_ih, weight_hh``."""
    head, colon, rest = full.partition(": ")
    if not colon:
        return []
    path = head.removeprefix("θ ")
    own = rest.split(", ")
    layer = LAYER.search(path)
    return [*own, *(f"{path}.{name}" for name in own),
            *(f"{name}_{layer.group(1)}" for name in own if layer)]  # fmt: skip
