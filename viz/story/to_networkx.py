"""Make the networkx graph of the picture, to ask questions of. Above `measuring.py`."""

from collections import Counter
from collections.abc import Iterator, Sequence

import networkx as nx

from viz.model.names import suffix_of
from viz.story.measuring import Row
from viz.story.sentence import fate, main_track


def graph_of(rows: Sequence[Row], title: str) -> nx.MultiDiGraph:
    """Return a node for each state after each step, from each an edge to the one before.

    A node is called ``h3``, ``h3_l1_reverse`` where there are layers and directions, and
    ``Elman.h3`` where there are networks; where cells would share names, as of one network that is
    called twice, those of each begin with its title: ``l0, part 2.h3``. It has `norm`, that of
    dL/ds, and `enters`, the norm of what comes from outside of the cell. ``weight_hh@3`` is the use
    of the weight at a step: `adds` is what it adds to the norm of the gradient of the weight. An
    edge has the `factor` between the norms of its ends. The graph has the finding as `finding`,
    what is said of each cell as `cells`.
    """
    graph = nx.MultiDiGraph(finding=title, measure="norm of the total derivative", cells=[])
    for row, (head, suffix) in zip(rows, _affixes(rows), strict=True):
        found = fate(main_track(row))
        graph.graph["cells"].append(
            {"cell": row.run.cell, "title": row.title, **_where(row),
             "verb": found.verb, "ratio": found.ratio, "factor": found.factor,
             "weight": row.adds.weight.name, "weight_norm": row.adds.norm,
             "elsewhere": row.adds.elsewhere}
        )  # fmt: skip
        _add_states(graph, row, head, suffix)
        for t, value in zip(row.run.times, row.adds.parts, strict=bool(row.adds.parts)):
            name = f"{head}{row.adds.weight.name}{suffix}@{t}"
            graph.add_node(name, kind="use", t=t, adds=value, **_where(row))
            for track in row.tracks[:1]:
                graph.add_edge(f"{head}{track.name}{t}{suffix}", name, kind="parameter")
    return graph


def _affixes(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Return what the names of each cell begin and end with, so that no two cells share a name."""
    many = len({(row.run.layer, row.run.direction) for row in rows}) > 1
    plain = []
    for row in rows:
        head = ".".join(filter(None, (row.network, row.run.block)))
        suffix = suffix_of(row.run.layer, row.run.direction) if many else ""
        plain.append((f"{head}." if head else "", suffix))
    used = Counter(name for row, own in zip(rows, plain, strict=True) for name in _names(row, *own))
    shared = [any(used[name] > 1 for name in _names(row, *own))
              for row, own in zip(rows, plain, strict=True)]  # fmt: skip
    return [(f"{head}{row.title}." if twice else head, suffix)
            for row, (head, suffix), twice in zip(rows, plain, shared, strict=True)]  # fmt: skip


def _names(row: Row, head: str, suffix: str) -> Iterator[str]:
    """Yield the names of all nodes of a cell."""
    for t in row.run.times:
        yield from (f"{head}{track.name}{t}{suffix}" for track in row.tracks)
        if row.adds.parts:
            yield f"{head}{row.adds.weight.name}{suffix}@{t}"


def _add_states(graph: nx.MultiDiGraph, row: Row, head: str, suffix: str) -> None:
    for track in row.tracks:
        later, size = "", 0.0
        for i in reversed(range(len(row.run.times))):
            t, norm = row.run.times[i], track.norms[i]
            name = f"{head}{track.name}{t}{suffix}"
            graph.add_node(name, kind="state", state=track.name, t=t, norm=norm,
                           enters=track.entries[i], **_where(row))  # fmt: skip
            if later:
                graph.add_edge(later, name, kind="time", factor=norm / size if size else None)
            later, size = name, norm


def _where(row: Row) -> dict[str, object]:
    run = row.run
    return {"network": row.network, "path": run.path, "layer": run.layer,
            "direction": run.direction, "block": run.block}  # fmt: skip
