"""Draw random graphs under random scopes: time may run anyhow, names are of any kind. For tests."""

from typing import Any

import numpy as np

import engine
from engine import Tensor

NAMES = ["x", "W", "weight_hh", "", "h", "中文", "<&>\"'", "a " * 30, "\x00", "∂", "−1", "l" * 90]
TIMES: list[Any] = [0, 1, 2, 3, 5, 9, -1]
UNARY = ("tanh", "exp", "sin", "negative", "square", "sigmoid")


def random_graph(seed: int) -> Tensor:
    """Return a random graph of vectors under random scopes, with times and names of any kind."""
    rng = np.random.default_rng(seed)
    ordered = rng.random() < 0.5  # in half of them later nodes stand in later steps
    times = TIMES[: rng.integers(1, len(TIMES) + 1)]
    made = [_leaf(rng) for _ in range(rng.integers(1, 4))]
    for k in range(rng.integers(1, 30)):
        t = times[k * len(times) // 30] if ordered else times[rng.integers(len(times))]
        with engine.scope(str(rng.choice(["", "a", "b.c", "cell"])), **_labels(rng, t)):
            if rng.random() < 0.1:
                made.append(_leaf(rng))
            made.append(_op(rng, made[-8:] if rng.random() < 0.7 else made))
    return engine.sum(engine.stack([engine.mean(x) for x in made[-3:]]))


def _leaf(rng: np.random.Generator) -> Tensor:
    values = rng.normal(size=2) / 2
    return engine.asarray(values, dtype="float64", requires_grad=bool(rng.random() < 0.6),
                          name=str(rng.choice(NAMES)))  # fmt: skip


def _labels(rng: np.random.Generator, t: Any) -> dict[str, Any]:
    """Return labels as recurrences write them, and labels of other kinds."""
    labels: dict[str, Any] = {}
    if rng.random() < 0.8:
        labels["t"] = t
    for name, values in (
        ("cell", ["GRUCell", "Cell " * 9]),
        ("state", ["h", "c", "s, t"]),
        ("gate", ["i", "f, g", "z" * 40]),
        ("layer", [0, 1]),
        ("direction", ["forward", "reverse"]),
        ("block", ["encoder", "decoder"]),
        ("input", ["x"]),
    ):
        if rng.random() < (0.1 if name in ("block", "input") else 0.25):
            chosen = values[rng.integers(len(values))]
            labels[name] = chosen
    return labels


def _op(rng: np.random.Generator, made: list[Tensor]) -> Tensor:
    x, y = (made[rng.integers(len(made))] for _ in range(2))
    kind = rng.integers(4)
    if kind == 0:
        return engine.tanh(x + y)
    if kind == 1:
        return engine.tanh(x * y)
    if kind == 2:
        return x - y
    return engine.tanh(getattr(engine, str(rng.choice(UNARY)))(engine.tanh(x)))
