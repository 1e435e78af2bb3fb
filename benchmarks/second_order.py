"""Time a product with the Hessian against a gradient of the same loss over a recurrence.

Run `OPENBLAS_NUM_THREADS=1 python -m benchmarks.second_order`. Every product is compared with that
of the explicit loop in float64 before anything is timed.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

import engine
import rnn
from benchmarks.measuring import in_turn, write

Shape = tuple[int, int, int, int]  # T, B, I, H
CLOSE = 2e-3  # of the largest number, in float32 against float64
THREADS = (1, 2)
Loss = Callable[[], engine.Tensor]
Way = Callable[[], list[engine.Tensor | None]]


def layer(make: Any) -> Any:
    """Return a maker of the output of a built-in layer and of its parameters."""

    def made(x: engine.Tensor, hidden: int, dtype: str) -> tuple[Loss, list[engine.Tensor]]:
        engine.seed(0)
        own = make(x.shape[-1], hidden, dtype=dtype)
        return lambda: own(x)[0], list(own.parameters())

    return made


def two_levels(x: engine.Tensor, hidden: int, dtype: str) -> tuple[Loss, list[engine.Tensor]]:
    """Return the output of a cell with a product of a product, and its weights."""
    W, U, V = weights(dtype, (hidden, x.shape[-1]), (hidden, hidden), (hidden, hidden))

    def step(h: Any, x: Any) -> Any:
        a = engine.tanh(engine.linear(x, W) + engine.linear(h, U))
        z = engine.sigmoid(engine.linear(a, V))
        h = (1.0 - z) * h + z * a
        return h, h

    return over(step, x, hidden), [W, U, V]


def min_gru(x: engine.Tensor, hidden: int, dtype: str) -> tuple[Loss, list[engine.Tensor]]:
    """Return the output of a minGRU (Feng et al. 2024), and its weights."""
    W, V = weights(dtype, (hidden, x.shape[-1]), (hidden, x.shape[-1]))

    def step(h: Any, x: Any) -> Any:
        z = engine.sigmoid(engine.linear(x, W))
        h = (1.0 - z) * h + z * engine.linear(x, V)
        return h, h

    return over(step, x, hidden), [W, V]


def weights(dtype: str, *shapes: tuple[int, int]) -> list[engine.Tensor]:
    """Return leaves of normal numbers, scaled by their second size."""
    rng = np.random.default_rng(2)
    return [engine.asarray((rng.normal(size=s) * s[1] ** -0.5).astype(dtype), requires_grad=True)
            for s in shapes]  # fmt: skip


def over(step: Any, x: engine.Tensor, hidden: int) -> Loss:
    """Return the outputs (T, B, H) of a step, from a state of zeros."""
    state = engine.zeros((x.shape[1], hidden), dtype=x.dtype)
    return lambda: engine.scan(step, state, x)[1]


LINES: dict[str, tuple[Any, list[Shape]]] = {
    "lstm": (layer(rnn.LSTM), [(64, 32, 128, 128), (64, 8, 64, 64)]),
    "gru": (layer(rnn.GRU), [(64, 32, 128, 128)]),
    "two levels": (two_levels, [(64, 32, 128, 128)]),
    "minGRU": (min_gru, [(1024, 4, 64, 64)]),
}


def ways(make: Any, shape: Shape, dtype: str = "float32") -> tuple[Way, Way]:
    """Return functions that compute a gradient by the weights, and a product with the Hessian."""
    T, B, I, H = shape
    x = engine.asarray(np.random.default_rng(0).normal(size=(T, B, I)).astype(dtype))
    outputs, own = make(x, H, dtype)
    rng = np.random.default_rng(1)
    along = [engine.asarray(rng.normal(size=p.shape).astype(dtype)) for p in own]

    def gradient(*, create_graph: bool = False) -> list[Any]:
        return engine.gradients(engine.sum(outputs() ** 2), own, create_graph=create_graph)

    return gradient, lambda: engine.gradients(gradient(create_graph=True), own, along)


def check(make: Any, shape: Shape) -> None:
    """Raise AssertionError where a product is not that of the explicit loop in float64."""
    found = [one.numpy() for one in ways(make, shape)[1]() if one is not None]
    with engine.explicit():
        exact = [one.numpy() for one in ways(make, shape, "float64")[1]() if one is not None]
    for ours, theirs in zip(found, exact, strict=True):
        gap = np.abs(ours - theirs).max() / np.abs(theirs).max()
        assert gap < CLOSE, f"a product with the Hessian is off by {gap:.1e}"


def lines() -> list[dict[str, Any]]:
    """Return milliseconds of both on every line, and their ratio."""
    found = []
    for cell, (make, shapes) in LINES.items():
        for shape in shapes:
            check(make, shape)
            gradient, product = ways(make, shape)
            for threads in THREADS:
                engine.set_num_threads(threads)
                taken = in_turn({"gradient": gradient, "product": product})
                ms = {name: 1e3 * seconds for name, seconds in taken.items()}
                ratio = ms["product"] / ms["gradient"]
                found.append({"cell": cell, "shape": list(shape), "threads": threads,
                              "milliseconds": ms, "ratio": ratio})  # fmt: skip
                print(found[-1], flush=True)
    return found


def main(arguments: list[str] | None = None) -> None:
    argparse.ArgumentParser("second_order", description=__doc__).parse_args(arguments)
    what = "milliseconds of a gradient by the weights and of a product with the Hessian, float32, "
    path = write("second_order", {"what": f"{what}median of 9 in turn", "rows": lines()})
    print(f"written to {path}")


if __name__ == "__main__":
    main()
