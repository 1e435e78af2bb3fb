"""Build steps of every structure that generated CUDA distinguishes, and run one on any device.

Each step takes ``(w, state, x)`` with weights by name; `SIZES` has the shapes for I inputs and H
units, `STATES` those of the states for B rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import engine
from engine.scan import EXECUTORS
from engine.scan.cuda.core import CudaCore
from engine.scan.executors import Fused
from engine.scan.explicit import Explicit

Arrays = dict[str, np.ndarray[Any, Any]]
FORMS = ("sweep", "graph", "launches")


def lstm(w, state, x):
    h, c = state
    a = engine.linear(x, w["W"], w["b"]) + engine.linear(h, w["U"])
    i, f, g, o = engine.split(a, 4, axis=-1)
    c = engine.sigmoid(f) * c + engine.sigmoid(i) * engine.tanh(g)
    h = engine.sigmoid(o) * engine.tanh(c)
    return (h, c), h


def reset_before(w, h, x):
    """Take two products, one after the other."""
    u_r, u_z, u_n = engine.split(engine.linear(x, w["W"], w["b"]), 3, axis=-1)
    r = engine.sigmoid(u_r + engine.linear(h, w["R"]))
    z = engine.sigmoid(u_z + engine.linear(h, w["Z"]))
    n = engine.tanh(u_n + engine.linear(r * h, w["N"]))
    h = (1 - z) * n + z * h
    return h, h


def layer_norm(w, h, x):
    """Sum over rows between a product and its use."""
    a = engine.linear(h, w["U"]) + engine.linear(x, w["W"])
    a = a - engine.mean(a, axis=-1, keepdims=True)
    a = a / engine.sqrt(engine.mean(a * a, axis=-1, keepdims=True) + 1e-5)
    h = engine.tanh(a * w["gain"])
    return h, h


def widths(w, state, x):
    """Update states of different widths, which no tile serves together."""
    a, b = state
    a_new = engine.tanh(engine.linear(x, w["W"]) + engine.linear(b, w["A"]))
    b = engine.sigmoid(engine.linear(a, w["D"])) * b
    return (a_new, b), (a_new, engine.sum(b, axis=-1))


def matrix_memory(w, state, x):
    """Update a matrix for each row, read by a query and written by an outer product."""
    q = engine.tanh(engine.linear(x, w["W"]))
    read = engine.squeeze(engine.expand_dims(q, axis=1) @ state, axis=1)
    state = 0.9 * state + engine.expand_dims(q, axis=2) * engine.expand_dims(read + x, axis=1)
    return state, read


def diagonal(w, state, x):
    """Update each unit by itself: no thread waits for another."""
    h, c = state
    h = engine.tanh(w["a"] * h + engine.linear(x, w["W"]))
    c = engine.sigmoid(x) * c + (1 - engine.sigmoid(x)) * h
    return (h, c), h * c


def affine(w, h, x):
    """Update a state by an affine map, with a decay for each unit and step."""
    h = engine.sigmoid(x) * h + engine.linear(x, w["W"])
    return h, h


def coupled(w, state, x):
    """Update by affine maps two states that turn into each other, and a stored difference."""
    h, c = state
    g = engine.sigmoid(x)
    h, c = 0.9 * (g * h - c) + x, engine.where(x > 0, c, h / (1 + g)) + w["a"]
    return (h, c), h - c


def delay(w, state, x):
    """Shift: one state is what another was."""
    h, before = state
    new = engine.tanh(engine.linear(h, w["U"]) + engine.linear(before, w["V"]) + x)
    return (new, h), new


def mixing(w, h, x):
    """Mix the rows of the batch."""
    h = engine.tanh(engine.linear(h, w["U"]) + x - engine.mean(h, axis=0, keepdims=True))
    return h, h


def largest(w, h, x):
    """Take a maximum, a product of units and a condition."""
    a = engine.linear(h, w["U"]) + x
    m = engine.max(a, axis=-1, keepdims=True)
    p = engine.prod(engine.sigmoid(a), axis=-1, keepdims=True)
    h = engine.where(a > 0.5 * m, engine.tanh(a), 0.1 * a) + p
    return h, m


STEPS: dict[str, Callable[..., Any]] = {
    one.__name__: one
    for one in (lstm, reset_before, layer_norm, widths, matrix_memory, diagonal, affine, coupled,
                delay, mixing, largest)
}  # fmt: skip
SIZES: dict[str, Callable[[int, int], dict[str, tuple[int, ...]]]] = {
    "lstm": lambda I, H: {"W": (4 * H, I), "b": (4 * H,), "U": (4 * H, H)},
    "reset_before": lambda I, H: {"W": (3 * H, I), "b": (3 * H,), "R": (H, H), "Z": (H, H),
                                  "N": (H, H)},
    "layer_norm": lambda I, H: {"W": (H, I), "U": (H, H), "gain": (H,)},
    "widths": lambda I, H: {"W": (H, I), "A": (H, H + 2), "D": (H + 2, H)},
    "matrix_memory": lambda I, H: {"W": (H, H)},
    "diagonal": lambda I, H: {"W": (H, H), "a": (H,)},
    "affine": lambda I, H: {"W": (H, H)},
    "coupled": lambda I, H: {"a": (H,)},
    "delay": lambda I, H: {"U": (H, H), "V": (H, H)},
    "mixing": lambda I, H: {"U": (H, H)},
    "largest": lambda I, H: {"U": (H, H)},
}  # fmt: skip
STATES: dict[str, Callable[[int, int], tuple[tuple[int, ...], ...]]] = {
    "lstm": lambda B, H: ((B, H), (B, H)),
    "widths": lambda B, H: ((B, H), (B, H + 2)),
    "matrix_memory": lambda B, H: ((B, H, H),),
    "diagonal": lambda B, H: ((B, H), (B, H)),
    "coupled": lambda B, H: ((B, H), (B, H)),
    "delay": lambda B, H: ((B, H), (B, H)),
}
LIKE_UNITS = ("matrix_memory", "diagonal", "affine", "coupled", "delay", "mixing",
              "largest")  # where x is (B, H)  # fmt: skip


def problem(name: str, *, T: int, B: int, H: int, dtype: str, seed: int = 0) -> Arrays:
    """Return the weights, the states and the input of a step, by name."""
    rng = np.random.default_rng(seed)
    I = H if name in LIKE_UNITS else 3
    found = {key: rng.normal(0, 0.5, size) for key, size in SIZES[name](I, H).items()}
    for i, size in enumerate(STATES.get(name, lambda B, H: ((B, H),))(B, H)):
        found[f"state{i}"] = rng.normal(0, 0.5, size)
    found["x"] = rng.normal(0, 1, (T, B, I))
    return {key: value.astype(dtype) for key, value in found.items()}


def run(name: str, given: Arrays, device: str, **options: Any) -> Arrays:
    """Return the results of a step over time and the gradient of every input, by name."""
    made = {key: engine.asarray(x, device=device, requires_grad=True) for key, x in given.items()}
    states = tuple(x for key, x in made.items() if key.startswith("state"))

    def step(state: Any, x: Any) -> Any:
        return STEPS[name](made, state, x)

    init = states if len(states) > 1 else states[0]
    final, ys = engine.scan(step, init, made["x"], **options)
    results = [*(final if isinstance(final, tuple) else (final,)),
               *(ys if isinstance(ys, tuple) else (ys,))]  # fmt: skip
    loss: Any = 0.0
    for i, result in enumerate(results):
        weight = np.random.default_rng(i).normal(size=result.shape).astype(result.dtype)
        loss = loss + engine.sum(result * engine.asarray(weight, device=device))
    grads = engine.gradients(loss, list(made.values()))
    out = {f"result{i}": np.asarray(x.numpy()) for i, x in enumerate(results)}
    pairs = zip(made, grads, strict=True)
    return out | {f"d{key}": g.numpy() for key, g in pairs if g is not None}


@contextmanager
def only_cuda(form: str) -> Iterator[CudaCore]:
    """Run recurrences on a device by generated kernels of one form, and nothing else."""
    before, core = list(EXECUTORS), CudaCore(form)
    EXECUTORS[:] = [Fused(core), *(one for one in before if one.library == "numpy"), Explicit()]
    try:
        yield core
    finally:
        EXECUTORS[:] = before


def gap(ours: Arrays, theirs: Arrays) -> float:
    """Return the largest difference, relative to the largest number of each array."""
    assert ours.keys() == theirs.keys()
    return max(float(np.abs(ours[key] - y).max() / max(np.abs(y).max(), 1e-30))
               for key, y in theirs.items())  # fmt: skip
