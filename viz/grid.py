"""Where boxes stand, counted in rows, columns and slots: time runs to the right, data upward.

A column is a time step. Rows are topological levels within one step, computed once on the pattern
that all steps share. Parameters stand on a rail under the grid. Above `levels.py`.
"""

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import networkx as nx

Signature = tuple[Any, ...]


@dataclass(frozen=True)
class Place:
    """Column, row from the bottom, and slot within the column; `row` -1 - k is rail lane k."""

    column: int
    row: int
    slot: int

    @property
    def on_rail(self) -> bool:
        return self.row < 0


@dataclass(frozen=True)
class Grid:
    """The place of every node and the size of the grid; `times` names the columns."""

    places: dict[int, Place]
    slots: tuple[int, ...]
    rows: int
    lanes: int
    times: tuple[int | str | None, ...]


def arrange(graph: nx.MultiDiGraph) -> Grid:
    """Give every node of a drawing its place."""
    rail = [n for n, d in graph.nodes(data=True) if d["kind"] == "parameter"]
    rest = [n for n in graph if graph.nodes[n]["kind"] != "parameter"]
    column_of = _columns(graph, rest)
    times = {c for c in column_of.values() if isinstance(c, int)}
    columns = sorted(set(column_of.values()), key=_column_order(times))
    position = {column: i for i, column in enumerate(columns)}
    rows = _rows(graph, rest, column_of)
    slots = _slots(graph, rest, rows, {n: position[column_of[n]] for n in rest})
    places = {n: Place(position[column_of[n]], rows[n], slots[n]) for n in rest}
    places |= {n: Place(0, -1 - lane, 0) for lane, n in enumerate(rail)}
    widths = [1 + max(slots[n] for n in rest if column_of[n] == c) for c in columns]
    return Grid(
        places=places,
        slots=tuple(widths),
        rows=1 + max(rows.values(), default=0),
        lanes=len(rail),
        times=tuple(c if isinstance(c, int) or c == "gap" else None for c in columns),
    )


def _columns(graph: nx.MultiDiGraph, nodes: list[int]) -> dict[int, int | str]:
    """A time step, ``"gap"`` for what is left out, ``"before"`` or ``"after"`` all of time."""
    timed = {n for n in nodes if graph.nodes[n]["t"] is not None or _is_gap(graph, n)}
    before = _closure(graph.reverse(copy=False), timed) - _closure(graph, timed)
    found: dict[int, int | str] = {}
    for n in nodes:
        t = graph.nodes[n]["t"]
        outside = "before" if n in before else "after"
        found[n] = "gap" if _is_gap(graph, n) else outside if t is None else t
    return found


def _is_gap(graph: nx.MultiDiGraph, n: int) -> bool:
    return bool(graph.nodes[n]["kind"] == "gap")


def _closure(graph: nx.MultiDiGraph, start: set[int]) -> set[int]:
    """Everything that is reached from `start` along the edges."""
    seen, stack = set(start), list(start)
    while stack:
        for m in graph.successors(stack.pop()):
            if m not in seen:
                seen.add(m)
                stack.append(m)
    return seen


def _column_order(times: set[int]) -> Any:
    """Before, the time steps with the gap where steps are missing, after."""
    ordered = sorted(times)
    holes = [b for a, b in pairwise(ordered) if b - a > 1]
    gap = holes[0] - 0.5 if holes else (ordered[-1] + 0.5 if ordered else 0.0)

    def order(column: int | str) -> float:
        if isinstance(column, int):
            return column
        return {"before": -1e18, "gap": gap, "after": 1e18}[column]

    return order


def _rows(
    graph: nx.MultiDiGraph, nodes: list[int], column_of: dict[int, int | str]
) -> dict[int, int]:
    """The level of every node: longest path over the pattern that the steps share."""
    signature = _signatures(graph, nodes, column_of)
    pattern = nx.DiGraph()
    pattern.add_nodes_from(dict.fromkeys(signature.values()))
    for a, b in graph.edges():
        if a in signature and b in signature and column_of[a] == column_of[b] and a != b:
            pattern.add_edge(signature[a], signature[b])
    if not nx.is_directed_acyclic_graph(pattern):  # steps of different shapes: each for itself
        signature = {n: (n,) for n in nodes}
        pattern = nx.DiGraph((signature[a], signature[b]) for a, b in graph.edges()
                             if a in signature and b in signature and a != b
                             and column_of[a] == column_of[b])  # fmt: skip
        pattern.add_nodes_from(signature.values())
    level: dict[Signature, int] = {}
    for one in nx.topological_sort(pattern):
        level[one] = 1 + max((level[p] for p in pattern.predecessors(one)), default=-1)
    rows = {n: level[signature[n]] for n in nodes}
    _level_with_time(graph, rows, column_of)
    return rows


def _level_with_time(
    graph: nx.MultiDiGraph, rows: dict[int, int], column_of: dict[int, int | str]
) -> None:
    """Put what stands outside of the steps beside what it feeds or is fed by."""
    cells = [rows[n] for n in rows if graph.nodes[n]["kind"] == "cell"]
    taken: dict[int, int] = defaultdict(int)
    for n in rows:
        if column_of[n] == "gap":
            rows[n] = min(cells, default=0)
        elif column_of[n] == "before" and not any(m in rows for m in graph.predecessors(n)):
            fed = [rows[m] for m in graph.successors(n) if column_of[m] != column_of[n]]
            if fed:  # the first initial state beside its cell, the next ones under it
                level = min(fed)
                rows[n] = max(level - taken[level], 0)
                taken[level] += 1
    after = [n for n in rows if column_of[n] == "after"]
    feeding = [rows[m] for n in after for m in graph.predecessors(n)
               if m in rows and column_of[m] != "after"]  # fmt: skip
    for n in after:
        rows[n] += max(feeding, default=-1) + 1


def _signatures(
    graph: nx.MultiDiGraph, nodes: list[int], column_of: dict[int, int | str]
) -> dict[int, Signature]:
    """What makes nodes of different steps the same: place in the program, not in time."""
    seen: dict[Signature, int] = defaultdict(int)
    found = {}
    for n in nodes:
        d = graph.nodes[n]
        timed = isinstance(column_of[n], int)
        base = (timed or column_of[n], d["path"], d["kind"], d["op"], d["role"])
        key = (column_of[n], *base)
        found[n] = (*base, seen[key])
        seen[key] += 1
    return found


def _slots(
    graph: nx.MultiDiGraph, nodes: list[int], rows: dict[int, int], column: dict[int, int]
) -> dict[int, int]:
    """A slot for every node: as near as may be to what feeds it in its own column."""
    by_cell: dict[tuple[int, int], list[int]] = defaultdict(list)
    for n in nodes:
        by_cell[column[n], rows[n]].append(n)
    most: dict[int, int] = defaultdict(int)
    for (c, _), own in by_cell.items():
        most[c] = max(most[c], len(own))
    slots: dict[int, int] = {}
    for (c, _), own in sorted(by_cell.items(), key=lambda item: (item[0][1], item[0][0])):
        wish = {n: _wish(graph, n, slots, column, (most[c] - 1) / 2) for n in own}
        ordered = sorted(own, key=lambda n: (wish[n], n))
        for rank, n in enumerate(ordered):
            lowest = 0 if rank == 0 else slots[ordered[rank - 1]] + 1
            highest = most[c] - (len(ordered) - rank)
            slots[n] = min(max(lowest, round(wish[n])), highest)
    return slots


def _wish(
    graph: nx.MultiDiGraph, n: int, slots: dict[int, int], column: dict[int, int], middle: float
) -> float:
    """The mean slot of what feeds a node from below, the middle where nothing does."""
    below = [slots[m] for m in graph.predecessors(n) if m in slots and column[m] == column[n]]
    return sum(below) / len(below) if below else middle
