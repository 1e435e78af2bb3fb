"""Classify recurrences: the claims about groups of states on known cells, and 2,000 random steps,
of which `make test` draws the first 100.

A claim about a random step is checked on its numbers: on the Jacobian of its new states at two
points, or on what it makes of maxima.
"""

import numpy as np
import pytest

import engine
from engine.scan.affine.kinds import (
    AFFINE,
    BLOCKS,
    DIAGONAL,
    MAX_PLUS,
    NON_LINEAR,
    OUTER,
    RANK_ONE,
    SHIFT,
)
from tests.draws import first

B, K, V = 2, 4, 5


def tensor(*shape, seed=0, dtype="float64"):
    return engine.asarray(np.random.default_rng([seed, *shape]).normal(size=shape), dtype=dtype)


def kinds(step, init, xs):
    return [one.kind for one in engine.scan_body(step, init, xs).groups]


def attention(S, x, decay):
    k, v, q = x
    S = decay(S) + k[:, :, None] * v[:, None, :]
    return S, engine.sum(S * q[:, :, None], axis=1)


def delta(S, x):
    k, v, _ = x
    S = 0.9 * S
    S = S + k[:, :, None] * (v - engine.sum(S * k[:, :, None], axis=1))[:, None, :]
    return S, v


def delta_by_products(S, x):
    k, v, _ = x
    read = engine.matmul(k[:, None, :], S)
    return S - engine.matmul(k[:, :, None], read - v[:, None, :]), v


def delta_by_einsum(S, x):
    k, v, _ = x
    return S + engine.einsum("bk,bv->bkv", k, v - engine.einsum("bkv,bk->bv", S, k)), v


def turned(S, x):
    """Take a step of a memory with its values first."""
    k, v, _ = x
    read = engine.sum(S * k[:, None, :], axis=-1)
    return S + (v - read)[:, :, None] * k[:, None, :], read


def rotation(s, x):
    a, b = s
    return (0.8 * a - 0.6 * b + x, 0.6 * a + 0.8 * b), a


def stabilised(s, x):
    a, m = s
    new = engine.maximum(m - 0.1, x)
    return (engine.exp(m - 0.1 - new) * a + engine.exp(x - new), new), a


W = tensor(K, K)
MEMORY = (tensor(3, B, K), tensor(3, B, V), tensor(3, B, K, seed=1))
GATE = tensor(B, K, V)
STATE, VECTOR = engine.zeros((B, K, V), dtype="float64"), engine.zeros((B, K), dtype="float64")
CASES = {
    "a sum": (lambda h, x: (h + x, h), VECTOR, MEMORY[0], [DIAGONAL]),
    "a gate": (lambda h, x: (engine.sigmoid(x) * h + x, h), VECTOR, MEMORY[0], [DIAGONAL]),
    "a choice": (lambda h, x: (engine.where(x > 0, h, x), h), VECTOR, MEMORY[0], [DIAGONAL]),
    "over a number": (lambda h, x: ((h - x) / 2 - h, h), VECTOR, MEMORY[0], [DIAGONAL]),
    "under a number": (lambda h, x: (2 / (h + x), h), VECTOR, MEMORY[0], [NON_LINEAR]),
    "a square": (lambda h, x: (h * h + x, h), VECTOR, MEMORY[0], [NON_LINEAR]),
    "a choice by the state": (
        lambda h, x: (engine.where(h > 0, h, x), h), VECTOR, MEMORY[0], [NON_LINEAR]),
    "Elman": (lambda h, x: (engine.tanh(engine.linear(h, W) + x), h), VECTOR, MEMORY[0],
              [NON_LINEAR]),
    "a product": (lambda h, x: (engine.linear(h, W) + x, h), VECTOR, MEMORY[0], [AFFINE]),
    "turned round": (lambda h, x: (h[:, ::-1] + x, h), VECTOR, MEMORY[0], [AFFINE]),
    "a sum over units": (
        lambda h, x: (engine.sum(h, axis=-1, keepdims=True) + x, h), VECTOR, MEMORY[0], [AFFINE]),
    "a shift": (lambda h, x: (x, h), VECTOR, MEMORY[0], [SHIFT]),
    "a rotation": (rotation, (VECTOR, VECTOR), MEMORY[0], [BLOCKS]),
    "linear attention": (lambda S, x: attention(S, x, lambda S: S), STATE, MEMORY, [OUTER]),
    "a decay": (lambda S, x: attention(S, x, lambda S: 0.9 * S), STATE, MEMORY, [OUTER]),
    "a decay for each key": (
        lambda S, x: attention(S, x, lambda S: engine.sigmoid(x[2])[:, :, None] * S), STATE,
        MEMORY, [OUTER]),
    "a decay for each value": (
        lambda S, x: attention(S, x, lambda S: engine.sigmoid(x[1])[:, None, :] * S), STATE,
        MEMORY, [OUTER]),
    "a decay for each entry": (
        lambda S, x: attention(S, x, lambda S: GATE * S), STATE, MEMORY, [DIAGONAL]),
    "the delta rule": (delta, STATE, MEMORY, [RANK_ONE]),
    "the delta rule by products": (delta_by_products, STATE, MEMORY, [RANK_ONE]),
    "the delta rule by einsum": (delta_by_einsum, STATE, MEMORY, [RANK_ONE]),
    "the delta rule turned": (turned, engine.zeros((B, V, K), dtype="float64"), MEMORY, [RANK_ONE]),
    "a stabiliser": (stabilised, (VECTOR, VECTOR), MEMORY[0], [MAX_PLUS, DIAGONAL]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_kind_of_a_group(name):
    step, init, xs, expected = CASES[name]
    assert kinds(step, init, xs) == expected


def test_a_gradient_that_ends_in_the_step_is_no_coefficient():
    def step(h, x):
        return engine.stop_gradient(h) * 0.5 + x, h

    assert kinds(step, VECTOR, MEMORY[0]) == [AFFINE]


def test_kinds_are_in_the_explanation():
    text = engine.explain_scan(CASES["the delta rule"][0], STATE, MEMORY)
    assert "group S: reads itself (rank one: affine, a decay plus a product of rank one)" in text


# ---- random steps


KINDS = [
    *["scale"] * 4, *["add"] * 4, *["join"] * 3, *["read"] * 3, "choice", "over", "maximum", "tanh",
    "square", "turned", "mixed", "product",
]  # fmt: skip


class Random:
    """Draw a random step of a matrix state, or of two: sums, products, gates, sums over axes."""

    def __init__(self, seed):
        self.seed = seed
        self.count = int(np.random.default_rng(seed).integers(1, 3))

    def __call__(self, states, x):
        rng = np.random.default_rng([self.seed, 1])
        k, v, full = x
        own = list(states)
        known = [k[:, :, None], v[:, None, :], full, engine.sigmoid(k)[:, :, None], 1.0, 0.0, 0.5]

        def draw(values):
            return values[int(rng.integers(len(values)))]

        def known_value():
            return draw(known)

        def change(a):
            kind = draw(KINDS)
            if kind == "scale":
                return a * known_value()
            if kind == "add":
                return a + draw([known[0] * known[1], known_value(), known_value()])
            if kind == "join":
                return draw([engine.add, engine.subtract])(a, draw(own))
            if kind == "read":
                axis = int(rng.integers(1, 3))
                weight = draw([known[0], known[0], known[1], known[2], 1.0])
                back = draw([known[0], known[0], known[1], known[2]])
                read = engine.sum(a * weight, axis=axis, keepdims=True)
                return draw(own) + back * draw([read, read - known[1]])
            if kind == "choice":
                return engine.where(full > 0, a, draw([*own, full]))
            if kind == "over":
                return draw([a / 2, a / (2 + known[3]), 1 / (3 + a * a)])
            if kind == "maximum":
                return engine.maximum(a, draw([known[2], draw(own)]))
            if kind == "tanh":
                return engine.tanh(a)
            if kind == "square":
                return a * draw(own)
            if kind == "turned":
                return draw([a[:, ::-1], engine.roll(a, 1, axis=2)])
            if kind == "mixed":
                return engine.matmul(M, a)
            return engine.matmul(known[0], draw([known[1], engine.matmul(k[:, None, :], a)])) + a

        for _ in range(int(rng.integers(1, 5))):
            own[int(rng.integers(len(own)))] = change(draw(own))
        if rng.random() < 0.1:
            own[0] = full
        return tuple(own), full


M = tensor(K, K, seed=3)
XS = (tensor(1, B, K), tensor(1, B, V), tensor(1, B, K, V, seed=2))


def checked(seed):
    """Return the kinds of a random step, each held against its numbers."""
    step = Random(seed)
    shape = (B, K, V)
    init = tuple(engine.zeros(shape, dtype="float64") for _ in range(step.count))
    found = engine.scan_body(step, init, XS).groups
    x = tuple(one[0] for one in XS)
    rng = np.random.default_rng([seed, 2])
    a, b = rng.normal(size=(2, step.count, *shape))
    for one in found:
        own = list(one.states)

        def new(values, own=own, base=a):
            states = [engine.asarray(part) for part in base]
            for i, part in zip(own, values, strict=True):
                states[i] = part if isinstance(part, engine.Tensor) else engine.asarray(part)
            return [step(tuple(states), x)[0][i] for i in own]

        if one.kind == MAX_PLUS:
            parts = [np.stack([y.numpy() for y in new(values)]) for values in
                     (a[own], b[own], np.maximum(a[own], b[own]))]  # fmt: skip
            np.testing.assert_array_equal(np.maximum(parts[0], parts[1]), parts[2])
        elif one.kind != NON_LINEAR:
            check_affine(one, new, a[own], b[own])
    return [one.kind for one in found]


def jacobian(new, point):
    """Return dnew/dold of (states, B, K, V), as a matrix of entries."""
    count = point.size

    def flat(z):
        parts = [engine.reshape(z[i], point.shape[1:]) for i in range(len(point))]
        return engine.reshape(engine.stack(new(parts)), (count,))

    z = engine.asarray(point.reshape(len(point), -1), requires_grad=True)
    return engine.jacobian(flat)(z).numpy().reshape(count, count)


def check_affine(group, new, a, b):
    first, second = jacobian(new, a), jacobian(new, b)
    np.testing.assert_allclose(first, second, rtol=1e-9, atol=1e-9)
    # Linear in values too, not only in slope:
    ends = [np.stack([y.numpy() for y in new(point)]).ravel() for point in (a, b)]
    np.testing.assert_allclose(ends[1] - ends[0], first @ (b - a).ravel(), rtol=1e-8, atol=1e-8)
    size = B * K * V
    J = first.reshape(len(a), size, len(a), size)
    if group.kind == SHIFT:
        assert not first.any()
    if group.kind in (DIAGONAL, BLOCKS, OUTER):
        off = J.transpose(0, 2, 1, 3) * (1 - np.eye(size))
        assert not off.any()
    if group.kind in (OUTER, RANK_ONE):
        parts = J[0, :, 0].reshape(B, K, V, B, K, V)
        assert any(is_low_rank(parts, kept) for kept in (2, 1))


def is_low_rank(J, kept):
    """Return whether columns along `kept` go by themselves, all alike, diagonal plus rank one."""
    if kept == 1:
        J = J.transpose(0, 2, 1, 3, 5, 4)
    batch, keys, values = J.shape[:3]
    for row in range(batch):
        own = J[row, :, :, row]
        if np.delete(J[row], row, axis=2).any():
            return False
        columns = [own[:, j, :, j] for j in range(values)]
        if any(own[:, i, :, j].any() for i in range(values) for j in range(values) if i != j):
            return False
        if not all(np.allclose(one, columns[0], atol=1e-12) for one in columns):
            return False
        one = columns[0]
        for p, q, r, s in ((0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 1, 2), (1, 2, 0, 3)):
            if p < keys and abs(one[p, r] * one[q, s] - one[p, s] * one[q, r]) > 1e-9:
                return False
    return True


@pytest.mark.parametrize("part", first(1, range(50)))
def test_no_claim_about_a_random_step_is_false(part):
    counts = {}
    for seed in range(40 * part, 40 * part + 40):
        for kind in checked(seed):
            counts[kind] = counts.get(kind, 0) + 1
    assert {DIAGONAL, NON_LINEAR} <= counts.keys()


def test_random_steps_are_of_all_kinds():
    found = set()
    for seed in range(600):
        step = Random(seed)
        init = tuple(engine.zeros((B, K, V), dtype="float64") for _ in range(step.count))
        found.update(kinds(step, init, XS))
    assert found >= {SHIFT, DIAGONAL, BLOCKS, OUTER, RANK_ONE, AFFINE, MAX_PLUS, NON_LINEAR}
