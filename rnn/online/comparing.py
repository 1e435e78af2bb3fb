"""Estimators of a gradient beside the true one: by step, and by what they cost.

Above `estimating.py`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import engine
from engine import Tensor
from rnn.cells import Cell
from rnn.layers.recurrent import Recurrent
from rnn.modules.module import Module
from rnn.online.estimating import by_step, estimate
from rnn.online.steps import Loss, OnlineStep


@dataclass(frozen=True)
class Comparison:
    """Methods by name: the cosine of estimate and true gradient after every step, and the cost.

    `cosines` is of the sums up to a step, NaN where one of them is zero; `errors` the length of the
    difference, relative to that of the true gradient. `milliseconds` are of one estimate by T.

    >>> import rnn
    >>> rnn.online.Comparison({"rtrl": [1.0]}, {"rtrl": [0.0]}, {"rtrl": 0.4}).cosines["rtrl"]
    [1.0]
    """

    cosines: dict[str, list[float]]
    errors: dict[str, list[float]]
    milliseconds: dict[str, float]


def compare(
    cell: Cell | Recurrent,
    x: Any,
    targets: Any,
    loss: Loss,
    *,
    methods: Iterable[str] = ("bptt", "rtrl", "eprop", "snap1", "tbptt:4"),
    readout: Module | None = None,
    state: Any = None,
) -> Comparison:
    """Hold estimators of a gradient over x (T, B, I) against backpropagation through time.

    The arguments are those of `rnn.online.estimate`, which is run once for each method to be timed.
    `viz.draw_estimators` draws the result. Raises ValueError for an unknown method.

    >>> import engine, rnn
    >>> cell, x = rnn.GRUCell(3, 5), engine.ones((7, 2, 3))
    >>> found = rnn.online.compare(cell, x, engine.zeros((7, 2, 5)), engine.mse_loss)
    >>> round(found.cosines["rtrl"][-1], 4)
    1.0
    """
    options: dict[str, Any] = {"readout": readout, "state": state}
    truth = _sums(by_step(cell, x, targets, loss, method="bptt", **options))
    cosines, errors, milliseconds = {}, {}, {}
    for method in methods:
        own = _sums(by_step(cell, x, targets, loss, method=method, **options))
        pairs = list(zip(own, truth, strict=True))
        cosines[method] = [_ratio(engine.sum(a * b).item(), _norm(a) * _norm(b)) for a, b in pairs]
        errors[method] = [_ratio(_norm(a - b), _norm(b)) for a, b in pairs]
        start = perf_counter()
        estimate(cell, x, targets, loss, method=method, **options)
        milliseconds[method] = 1e3 * (perf_counter() - start) / max(len(own), 1)
    return Comparison(cosines, errors, milliseconds)


def _sums(steps: Iterable[OnlineStep]) -> list[Tensor]:
    """Return the gradients up to every step, all parameters side by side (N,), in float64."""
    found: list[Tensor] = []
    for step in steps:
        parts = [engine.reshape(engine.astype(g, "float64"), (-1,))
                 for g in step.gradients.values()]  # fmt: skip
        own = engine.concat(parts, axis=0)
        found.append(found[-1] + own if found else own)
    return found


def _norm(x: Tensor) -> float:
    return float(engine.norm(x).item())


def _ratio(a: float, b: float) -> float:
    return a / b if b else math.nan
