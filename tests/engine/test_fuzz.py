"""Compare the gradients of ten thousand random graphs of ops with finite differences, and with
torch where it is installed. `make test` draws the first five hundred of them.
"""

import numpy as np
import pytest

import engine
from tests.draws import first

GRAPHS, PARTS = 10_000, 20
FEW = 1  # parts that are not slow
SHAPES = [(), (3,), (1,), (2, 3), (2, 1), (1, 3), (4, 2, 3)]

# Smooth where they are used: inputs are kept away from poles, kinks and overflow by `tame`.
UNARY = ("tanh", "sigmoid", "sin", "cos", "exp", "square", "negative", "atan", "expm1")
BINARY = ("add", "subtract", "multiply", "maximum", "minimum", "hypot", "logaddexp")


class Engine:
    """Build graphs from the functions of the engine."""

    def __getattr__(self, name):
        return getattr(engine, name)

    def fold(self, x, axis, kind):
        return getattr(engine, kind)(x, axis=axis, keepdims=True)

    def total(self, x):
        return engine.sum(x)


class Torch:
    """Build the same graphs from torch."""

    def __getattr__(self, name):
        import torch

        return getattr(torch, {"negative": "neg", "astype": "to"}.get(name, name))

    def fold(self, x, axis, kind):
        return getattr(x, kind)(axis, keepdim=True)

    def logsumexp(self, x, axis, keepdims):
        return x.logsumexp(axis, keepdim=keepdims)

    def softmax(self, x, axis):
        return x.softmax(axis)

    def total(self, x):
        return x.sum()


def recipe(rng):
    """Return a random program: the shapes of its leaves, and steps that name earlier values."""
    leaves = [SHAPES[rng.integers(len(SHAPES))] for _ in range(rng.integers(1, 4))]
    steps, shapes = [], list(leaves)
    for _ in range(rng.integers(2, 9)):
        kind, a = rng.integers(6), int(rng.integers(len(shapes)))
        if kind <= 1:
            step, shape = ("unary", UNARY[rng.integers(len(UNARY))], a), shapes[a]
        elif kind <= 3:
            fits = [b for b, other in enumerate(shapes) if broadcasts(shapes[a], other)]
            b = fits[rng.integers(len(fits))]
            step = ("binary", BINARY[rng.integers(len(BINARY))], a, b)
            shape = np.broadcast_shapes(shapes[a], shapes[b])
        elif kind == 4 and shapes[a]:
            axis = int(rng.integers(len(shapes[a])))
            fold = ("sum", "mean", "logsumexp", "softmax")[rng.integers(4)]
            step = ("fold", fold, a, axis)
            shape = shapes[a] if fold == "softmax" else tuple(
                1 if i == axis else n for i, n in enumerate(shapes[a]))  # fmt: skip
        elif len(shapes[a]) >= 2:
            step, shape = ("matmul", a), (*shapes[a][:-2], shapes[a][-2], shapes[a][-2])
        else:
            continue
        steps.append(step)
        shapes.append(shape)
    return leaves, steps


def broadcasts(a, b):
    return all(m == n or 1 in (m, n) for m, n in zip(a[::-1], b[::-1], strict=False))


def run(xp, leaves, steps):
    """Return the one number that the program computes."""
    values = list(leaves)
    for kind, *rest in steps:
        if kind == "unary":
            values.append(getattr(xp, rest[0])(tame(xp, values[rest[1]])))
        elif kind == "binary":
            values.append(getattr(xp, rest[0])(values[rest[1]], values[rest[2]]))
        elif kind == "fold":
            name, a, axis = rest
            if name == "softmax":
                values.append(xp.softmax(values[a], axis=axis))
            elif name == "logsumexp":
                values.append(xp.logsumexp(values[a], axis=axis, keepdims=True))
            else:
                values.append(xp.fold(values[a], axis, name))
        else:
            x = tame(xp, values[rest[0]])
            values.append(x @ x.mT)
    out = xp.total(tame(xp, values[-1]))
    for x in values[:-1]:
        out = out + 0.1 * xp.total(tame(xp, x))
    return out


def tame(xp, x):
    """Bring values into (-2, 2), so that nothing overflows in deep graphs."""
    return 2.0 * xp.tanh(0.5 * x)


def drawn(seed):
    rng = np.random.default_rng(seed)
    shapes, steps = recipe(rng)
    return [rng.normal(size=shape) for shape in shapes], steps, rng


@pytest.mark.parametrize("part", first(FEW, range(PARTS)))
def test_gradients_of_random_graphs_are_their_slopes(part):
    # Along one random direction for each graph, by central differences.
    own, wrong = Engine(), []
    for number in range(part * GRAPHS // PARTS, (part + 1) * GRAPHS // PARTS):
        arrays, steps, rng = drawn(number)
        leaves = [engine.asarray(x, requires_grad=True) for x in arrays]
        grads = engine.gradients(run(own, leaves, steps), leaves)
        ways = [rng.normal(size=x.shape) for x in arrays]
        slope = sum(float((g.numpy() * way).sum()) for g, way in zip(grads, ways, strict=True))
        ends = []
        for sign in (1e-5, -1e-5):
            moved = [x + sign * way for x, way in zip(arrays, ways, strict=True)]
            ends.append(run(own, [engine.asarray(x) for x in moved], steps).item())
        found = (ends[0] - ends[1]) / 2e-5
        if abs(found - slope) > 1e-5 * max(1.0, abs(found)) and not near_a_kink(
            own, arrays, ways, steps
        ):
            wrong.append((number, slope, found))
    assert wrong == []


def near_a_kink(own, arrays, ways, steps):
    """Return whether a smaller step gives another slope: a maximum changes sides in between."""
    slopes = []
    for size in (1e-5, 1e-6):
        ends = [
            run(own, [engine.asarray(x + sign * size * way)
                      for x, way in zip(arrays, ways, strict=True)], steps).item()
            for sign in (1, -1)
        ]  # fmt: skip
        slopes.append((ends[0] - ends[1]) / (2 * size))
    return abs(slopes[0] - slopes[1]) > 1e-6 * max(1.0, abs(slopes[0]))


def test_a_wrong_rule_is_found(monkeypatch):
    op = engine.REGISTRY["tanh"]
    wrong = (lambda xp, g, out, x: g * (1.0 - out * out) * 1.001,)
    monkeypatch.setattr(op.__class__, "__setattr__", object.__setattr__)
    monkeypatch.setattr(op, "vjp", wrong)
    with pytest.raises(AssertionError):
        test_gradients_of_random_graphs_are_their_slopes(0)


@pytest.mark.parametrize("part", first(FEW, range(PARTS)))
def test_gradients_of_random_graphs_are_torchs(part):
    torch = pytest.importorskip("torch")
    for number in range(part * GRAPHS // PARTS, (part + 1) * GRAPHS // PARTS):
        arrays, steps, _ = drawn(number)
        leaves = [engine.asarray(x, requires_grad=True) for x in arrays]
        theirs = [torch.tensor(x, requires_grad=True) for x in arrays]
        out, other = run(Engine(), leaves, steps), run(Torch(), theirs, steps)
        assert out.item() == pytest.approx(other.item(), rel=1e-10), number
        own = engine.gradients(out, leaves)
        for g, x in zip(own, torch.autograd.grad(other, theirs), strict=True):
            if torch.isnan(x).any():  # at the origin of hypot, where ours is 0 by definition
                assert any("hypot" in step for step in steps), number
                assert np.isfinite(g.numpy()).all()
                continue
            np.testing.assert_allclose(g.numpy(), x.numpy(), rtol=1e-8, atol=1e-10,
                                       err_msg=str(number))  # fmt: skip
