"""A longest common subsequence of two sequences, by Myers' algorithm. Below `differences.py`."""

from collections.abc import Hashable, Sequence

LIMIT = 256  # differences up to which a longest common subsequence is searched for in one go

Pairs = list[tuple[int, int]]


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
