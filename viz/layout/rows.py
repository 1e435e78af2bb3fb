"""Compute how high each box of a picture stands: data runs upward, and all steps are alike.

A row is a topological level within one step, of the pattern of steps. Above `columns.py`.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from viz.layout.columns import BAR, RAIL, Columns
from viz.model.elements import Model


def signatures(model: Model, columns: Columns) -> list[int]:
    """Return a number for each box: alike for boxes that do the same in different steps.

    What makes them the same is their place in the program: path, kind, op, role, and the how many
    of these it is in its step. What is outside of time is like nothing else; so is the rail.
    """
    numbers: dict[Any, int] = {}
    found = [-1] * len(model.items)
    for n in [*columns.bars, *columns.rail]:
        found[n] = numbers.setdefault(n, len(numbers))
    for c, column in enumerate(columns.columns):
        timed = columns.first <= c <= columns.last
        seen: dict[Any, int] = {}
        for n in column.keys:
            key: Any = n
            if timed:
                item = model.items[n]
                base = (item.path, item.kind, item.op, item.role, item.block)
                key = (base, seen.get(base, 0))
                seen[base] = key[1] + 1
            number = numbers.get(key)
            if number is None:
                number = numbers[key] = len(numbers)
            found[n] = number
    return found


def rows_of(model: Model, columns: Columns, signature: list[int]) -> tuple[list[int], list[int]]:
    """Return the row of every box, 0 at the bottom and -1 on the rail, and the signatures in force.

    These are the given ones, or one a box where the pattern of the steps runs in a circle.
    """
    of = columns.of
    level = _levels(_pattern(model, of, signature), _lanes(model, of, signature))
    if level is None:
        signature = list(range(len(signature)))
        level = _levels(_pattern(model, of, signature), set())
    if level is None:  # still a circle: rows in the order of numbers
        pattern = {(a, b) for a, b in _pattern(model, of, signature) if a < b}
        level = _levels(pattern, set()) or {}
    _sink(model, columns, signature, level)
    rows = _spaced([level.get(signature[n], 0) for n in range(len(of))], of)
    _beside_the_steps(model, columns, rows)
    return rows, signature


def _pattern(model: Model, of: list[int], signature: list[int]) -> set[tuple[int, int]]:
    """Return the edges within one step, and those to and from bars, of all steps at once."""
    found = set()
    gaps = {item.key for item in model.items if item.kind == "gap"}  # they have rows of their own
    for link in model.links:
        a, b = link.source, link.target
        ca, cb = of[a], of[b]
        if ca != cb and ca != BAR and cb != BAR:
            continue
        if a == b or ca == RAIL or cb == RAIL or (ca == cb and link.dt) or link.kind == "attention":
            continue
        if not (gaps and (a in gaps or b in gaps)):
            found.add((signature[a], signature[b]))
    return found


def _lanes(model: Model, of: list[int], signature: list[int]) -> set[tuple[int, int]]:
    """Return edges that put backward in time above forward, a second call above the first."""
    if not any(item.direction == "reverse" or item.call for item in model.items):
        return set()
    lanes: dict[Any, dict[int, None]] = defaultdict(dict)
    calls: dict[Any, dict[int, None]] = defaultdict(dict)
    for item in model.items:
        if of[item.key] < 0:
            continue
        if item.direction and item.t is not None:
            lanes[item.block, item.layer, item.direction][signature[item.key]] = None
        if item.kind in ("cell", "state"):
            calls[item.block, item.layer, item.direction, item.call][signature[item.key]] = None
    found = {
        (a, b)
        for (block, layer, direction), own in lanes.items()
        if direction == "forward"
        for b in lanes.get((block, layer, "reverse"), ())
        for a in own
    }
    for link in model.links:
        source, target = model.items[link.source], model.items[link.target]
        if target.call:
            below = calls.get((target.block, target.layer, target.direction, target.call - 1), {})
            ends = [target, *([source] if source.kind == "input" else [])]
            found |= {(a, signature[end.key]) for a in below for end in ends}
    return found


def _levels(edges: set[tuple[int, int]], wished: set[tuple[int, int]]) -> dict[int, int] | None:
    """Return the longest path to each end, with wished edges if that is no circle; None for one."""
    found = _longest(edges | wished) if wished else None
    return _longest(edges) if found is None else found


def _longest(edges: Iterable[tuple[int, int]]) -> dict[int, int] | None:
    users: dict[int, list[int]] = defaultdict(list)
    waiting: dict[int, int] = defaultdict(int)
    for a, b in edges:
        users[a].append(b)
        waiting[b] += 1
    level = {a: 0 for a in users if a not in waiting}
    stack = list(level)
    total = len(level) + len(waiting)
    done = 0
    while stack:
        a = stack.pop()
        done += 1
        for b in users.get(a, ()):
            level[b] = max(level.get(b, 0), level[a] + 1)
            waiting[b] -= 1
            if not waiting[b]:
                stack.append(b)
    return level if done == total else None


def _sink(model: Model, columns: Columns, signature: list[int], level: dict[int, int]) -> None:
    """Bring inputs of a step, which nothing feeds, right under what they feed."""
    of = columns.of
    users: dict[int, int] = {}
    fed = set()
    inputs = {item.key for item in model.items
              if item.kind in ("input", "constant") and of[item.key] != RAIL}  # fmt: skip
    for link in model.links:
        a, b = link.source, link.target
        if b in inputs and of[a] != RAIL:
            fed.add(b)
        if a in inputs and of[a] == of[b] and a != b:
            user = level.get(signature[b], 0)
            users[a] = min(user, users.get(a, user))
    for a, user in users.items():
        if a not in fed:
            level[signature[a]] = max(user - 1, 0)


def _spaced(levels: list[int], of: list[int]) -> list[int]:
    """Return rows from levels: a bar has its row to itself, under the boxes of its level."""
    keys = [(level, n if of[n] == BAR else len(of)) for n, level in enumerate(levels)]
    row = {key: r for r, key in enumerate(sorted({k for n, k in enumerate(keys) if of[n] != RAIL}))}
    return [-1 if of[n] == RAIL else row[key] for n, key in enumerate(keys)]


def _beside_the_steps(model: Model, columns: Columns, rows: list[int]) -> None:
    """Put what stands before, between and after the steps beside what it feeds or is fed by."""
    of, items = columns.of, model.items
    ends = (*columns.columns[: columns.first], *columns.columns[columns.last + 1 :])
    outside = {n for column in ends for n in column.keys}
    feeds: dict[int, list[int]] = defaultdict(list)
    fed: set[int] = set()
    feeding = -1
    for link in model.links:
        a, b = link.source, link.target
        if (a in outside or b in outside) and of[a] != RAIL:
            fed.add(b)
            if of[b] >= 0 and of[a] != of[b]:
                feeds[a].append(rows[b])
            if of[b] > columns.last and of[a] <= columns.last:
                feeding = max(feeding, rows[a])
    taken: dict[int, int] = defaultdict(int)
    for column in columns.columns[: columns.first]:
        for n in column.keys:  # the first initial state beside its cell, the next ones under it
            if n not in fed and feeds[n]:
                level = min(feeds[n])
                rows[n] = max(level - taken[level], 0)
                taken[level] += 1
    bars = {rows[n] for n in columns.bars}  # they have their rows to themselves
    gaps = [n for n, item in enumerate(items) if item.kind == "gap"]
    level = min((rows[item.key] for item in items
                 if gaps and item.kind in ("cell", "state") and of[item.key] >= 0),
                default=0)  # fmt: skip
    while level in bars:
        level += 1
    for n in gaps:
        rows[n] = level
    for column in columns.columns[columns.last + 1 :]:
        for n in column.keys:
            if feeding >= 0 and not (n not in fed and feeds[n]):
                rows[n] += feeding + 1
            elif n not in fed and feeds[n]:
                rows[n] = min(feeds[n])
