"""Tell how two graphs differ: the nodes that were added, removed and changed, as lines of text.

Nodes are aligned by what they are, not by their numbers, so one node more does not make all that
follow it differ. Above the text form and the executors of recurrences; below `Graph.diff`, `viz`.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from engine.graph_base import GraphBase, node_line, return_line, value_text
from engine.node import Node
from engine.tensor import Tensor

LIMIT = 256  # differences up to which a longest common subsequence is searched for in one go

Pairs = list[tuple[int, int]]


class Signature(NamedTuple):
    """Hold all that a node is by itself, without its inputs and its place."""

    op: str
    name: str
    attributes: tuple[tuple[str, str], ...]
    literals: tuple[str, ...]  # for each input the number that stands there, or nothing
    shape: tuple[int, ...]
    dtype: str
    scope: str
    labels: tuple[tuple[str, str], ...]
    grad: bool  # a leaf that requires a gradient
    origin: str


# What nodes are aligned by, one after the other: the same; of another shape or with other
# attributes; in another scope or under another name; another op at the same place.
KEYS: tuple[Callable[[Signature], Hashable], ...] = (
    lambda s: s, lambda s: (s.op, s.name, s.scope), lambda s: (s.op, s.op != "leaf" or s.shape),
    lambda s: (s.op == "leaf", len(s.literals), s.shape, s.scope),
)  # fmt: skip


def graph_diff(old: GraphBase, new: GraphBase) -> str:
    """Return what has to be done to `old` to get `new`, a line a node; empty where both are alike.

    ``-`` removed, with its number in `old`; ``+`` added, with its number in `new`; ``~`` changed,
    with both numbers where they differ, and what is different: op, name, attributes, shape, dtype,
    scope, gradient, inputs, origin. The last line may be that of other outputs. Two graphs are
    alike where they have the same nodes in the same order; the values held do not matter.
    Raises TypeError for what is no graph.

    >>> x = engine.ones(2, requires_grad=True, name="x")
    >>> one, other = engine.Graph.of(engine.sum(x)), engine.Graph.of(engine.sum(engine.exp(x)))
    >>> print(one.diff(other))
    + %1 = exp(%0) -> float32[2]
    ~ %1 -> %2 sum: input 0: %0 leaf -> %1 exp
    """
    if not isinstance(new, GraphBase):
        kind = type(new).__name__
        raise TypeError(f"diff: expected a Graph, got {kind}; make one with Graph.of(*outputs)")
    return "\n".join(_Comparison(old, new).lines())


class Matched(NamedTuple):
    """Match the nodes of one graph to those of another, each in the order of its graph.

    `pairs` are the nodes that both have. `changed` says of those pairs that are not quite the same,
    by the node in the new graph, what is different, a text for each difference.
    """

    pairs: tuple[tuple[Node, Node], ...]
    removed: tuple[Node, ...]
    added: tuple[Node, ...]
    changed: dict[Node, tuple[str, ...]]


def matched(old: GraphBase, new: GraphBase) -> Matched:
    """Return the nodes of two graphs, matched as `graph_diff` matches them."""
    both = _Comparison(old, new)
    kept = {n: both.changes(m, n) for m, n in both.pairs}
    return Matched(
        pairs=tuple((old.nodes[m], new.nodes[n]) for m, n in both.pairs),
        removed=tuple(node for m, node in enumerate(old.nodes) if m not in both.match),
        added=tuple(node for n, node in enumerate(new.nodes) if n not in kept),
        changed={new.nodes[n]: parts for n, parts in kept.items() if parts},
    )


class _Comparison:
    """Compare two graphs: their signatures, and which node of one is which of the other."""

    def __init__(self, old: GraphBase, new: GraphBase) -> None:
        self.old, self.new = old, new
        self.before = [_signature(old, node) for node in old.nodes]
        self.after = [_signature(new, node) for node in new.nodes]
        self.pairs = _aligned(self.before, self.after)
        self.match = dict(self.pairs)

    def lines(self) -> Iterator[str]:
        """Yield the lines of all differences, in the order of the nodes."""
        i = j = 0
        for m, n in [*self.pairs, (len(self.before), len(self.after))]:
            for node in self.old.nodes[i:m]:
                yield f"- {node_line(self.old, node)}"
            for node in self.new.nodes[j:n]:
                yield f"+ {node_line(self.new, node)}"
            if m < len(self.before):
                yield from self._changed(m, n)
            i, j = m + 1, n + 1
        was = [self.match.get(self.old.number[x.node]) for x in self.old.outputs]
        if was != [self.new.number[x.node] for x in self.new.outputs]:
            yield f"~ {return_line(self.old)} -> {return_line(self.new)}"

    def changes(self, m: int, n: int) -> tuple[str, ...]:
        """Return what is different of a pair of nodes."""
        return (*_own_changes(self.before[m], self.after[n]), *self._input_changes(m, n))

    def _changed(self, m: int, n: int) -> Iterator[str]:
        """Yield the line of a pair of nodes that are not quite the same."""
        if parts := self.changes(m, n):
            scope = self.new.nodes[n].scope
            where = f" @ {scope}" if scope.path or scope.labels else ""
            number = f"%{m}" if m == n else f"%{m} -> %{n}"
            yield f"~ {number} {self.after[n].op}{where}: {'; '.join(parts)}"

    def _input_changes(self, m: int, n: int) -> Iterator[str]:
        """Yield the inputs, and the origin, that are not the same nodes or numbers as before."""
        one, other = self.old.nodes[m], self.new.nodes[n]
        for slot, (x, y) in enumerate(zip_longest(one.inputs, other.inputs)):
            if isinstance(x, Tensor) and isinstance(y, Tensor):
                same = self.match.get(self.old.number[x.node]) == self.new.number[y.node]
            else:
                same = not isinstance(x, Tensor | None) and repr(x) == repr(y)
            if not same:
                yield f"input {slot}: {_input(self.old, x)} -> {_input(self.new, y)}"
        p, q = (None if node.origin is None else graph.number.get(node.origin)
                for graph, node in ((self.old, one), (self.new, other)))  # fmt: skip
        named = (self.before[m].origin, self.after[n].origin)
        if p is None and q is None:
            same = named[0] == named[1]
        else:
            same = p is not None and self.match.get(p) == q
        if not same:
            yield f"origin: {_numbered(p, named[0])} -> {_numbered(q, named[1])}"


def _signature(graph: GraphBase, node: Node) -> Signature:
    labels = sorted((name, repr(value)) for name, value in node.scope.labels.items())
    return Signature(
        op=node.op.name, name=node.name,
        attributes=tuple(sorted(_attributes(node))) if node.attrs else (),
        literals=tuple("" if isinstance(x, Tensor) else repr(x) for x in node.inputs),
        shape=node.shape, dtype=str(node.dtype), scope=str(node.scope), labels=tuple(labels),
        grad=not node.inputs and graph.tensor(node).requires_grad,
        origin="" if node.origin is None else node.origin.op.name,
    )  # fmt: skip


def _attributes(node: Node) -> Iterator[tuple[str, str]]:
    """Yield the attributes as exact text; those of a fused recurrence are its call and its body."""
    for name, value in node.attrs.items():
        if describe := getattr(value, "described", None):
            yield from describe()
        elif name != "name" or node.inputs:  # the name of a leaf has a field of its own
            yield name, value_text(value, exact=True)


def _own_changes(one: Signature, other: Signature) -> Iterator[str]:
    """Yield what differs of two nodes by themselves."""
    if one == other:
        return
    yield from _changes(one.attributes, other.attributes, "")
    for field in ("op", "name", "shape", "dtype", "scope", "grad"):
        was, now = getattr(one, field), getattr(other, field)
        if was != now:
            yield f"{field} {_shown(was)} -> {_shown(now)}"
    if one.scope == other.scope:
        yield from _changes(one.labels, other.labels, "label ")


def _changes(
    one: tuple[tuple[str, str], ...], other: tuple[tuple[str, str], ...], kind: str
) -> Iterator[str]:
    """Yield what differs of two sets of named values; of long ones the first lines that do."""
    before, after = dict(one), dict(other)
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name, "not set"), after.get(name, "not set")
        if was != now:
            lines = zip_longest(was.split("\n"), now.split("\n"), fillvalue="nothing")
            yield next(f"{kind}{name} {x} -> {y}" for x, y in lines if x != y)


def _shown(value: Any) -> str:
    return str(list(value)).replace(" ", "") if isinstance(value, tuple) else str(value) or "none"


def _input(graph: GraphBase, x: Any) -> str:
    if x is None:
        return "nothing"
    return _numbered(graph.number[x.node], x.node.op.name) if isinstance(x, Tensor) else repr(x)


def _numbered(number: int | None, op: str) -> str:
    return (op or "none") if number is None else f"%{number} {op}"


# ---- alignment


def _aligned(before: Sequence[Signature], after: Sequence[Signature]) -> Pairs:
    """Return which positions belong together: the same nodes first, then like ones between."""
    pairs: Pairs = []
    for key in KEYS:
        found: Pairs = []
        i = j = 0
        for m, n in [*pairs, (len(before), len(after))]:
            if i < m and j < n:
                one, other = map(key, before[i:m]), map(key, after[j:n])
                found += [(i + p, j + q) for p, q in common_subsequence([*one], [*other])]
            if m < len(before):
                found.append((m, n))
            i, j = m + 1, n + 1
        pairs = found
    return pairs


def common_subsequence(a: Sequence[Hashable], b: Sequence[Hashable]) -> Pairs:
    """Return the positions of a common subsequence of `a` and `b`: a longest up to LIMIT changes.

    Where there are more, the path that has come furthest by then is kept, and the search goes on
    from its end, so the time stays linear in the lengths.

    >>> common_subsequence("abcd", "xbd")
    [(1, 1), (3, 2)]
    """
    codes: dict[Hashable, int] = {}
    one = [codes.setdefault(x, len(codes)) for x in a]
    other = [codes.setdefault(x, len(codes)) for x in b]
    # What only one of them has is in no common subsequence.
    shared = set(one) & set(other)
    p = [i for i, code in enumerate(one) if code in shared]
    q = [j for j, code in enumerate(other) if code in shared]
    x, y = [one[i] for i in p], [other[j] for j in q]
    head = _alike(x, y)
    tail = _alike(x[head:][::-1], y[head:][::-1])
    i = j = head
    m, n = len(x) - tail, len(y) - tail
    found = [(s, s) for s in range(head)]
    while i < m and j < n:
        steps, (s, t) = _furthest(x[i:m], y[j:n])
        found += [(i + u, j + v) for u, v in steps]
        i, j = i + s, j + t
    found += [(m + s, n + s) for s in range(tail)]
    return [(p[s], q[t]) for s, t in found]


def _alike(x: Sequence[int], y: Sequence[int]) -> int:
    """Return how many elements agree from the start."""
    pairs = enumerate(zip(x, y, strict=False))
    return next((at for at, (s, t) in pairs if s != t), min(len(x), len(y)))


def _furthest(a: Sequence[int], b: Sequence[int]) -> tuple[Pairs, tuple[int, int]]:
    """Return the way through the edit graph of a and b: its matches, and where it ends.

    Source: Myers, An O(ND) difference algorithm and its variations, 1986, figure 2.
    """
    n, m = len(a), len(b)
    reach = [0] * (2 * LIMIT + 3)  # by diagonal x - y, the negative ones counted from the end
    trace = []
    for d in range(LIMIT + 1):
        trace.append(reach.copy())
        for k in range(-d, d + 1, 2):
            down = k == -d or (k != d and reach[k - 1] < reach[k + 1])
            x = reach[k + 1] if down else reach[k - 1] + 1
            y = x - k
            while x < n and y < m and a[x] == b[y]:
                x, y = x + 1, y + 1
            reach[k] = x
            if x == n and y == m:
                return _matches(trace, x, y), (x, y)
    ends = ((2 * reach[k] - k, reach[k], k) for k in range(-LIMIT, LIMIT + 1, 2))
    _, x, k = max(end for end in ends if end[1] <= n and end[1] - end[2] <= m)
    return _matches(trace, x, x - k), (x, x - k)


def _matches(trace: list[list[int]], x: int, y: int) -> Pairs:
    """Return the matches on the way to (x, y), walked back through what each step reached."""
    pairs: Pairs = []
    for d in range(len(trace) - 1, -1, -1):
        reach, k = trace[d], x - y
        down = k == -d or (k != d and reach[k - 1] < reach[k + 1])
        k += 1 if down else -1
        start = (reach[k], reach[k] - k) if d else (0, 0)
        while x > start[0] and y > start[1]:
            x, y = x - 1, y - 1
            pairs.append((x, y))
        x, y = start
    return pairs[::-1]
