"""Estimate a gradient through time by a method's name; hold methods against the true gradient.

Above `steps.py` and `layers`.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import engine
from engine import Tensor
from engine.pytree import flatten
from engine.state import using
from rnn.cells import Cell
from rnn.layers.recurrent import Recurrent
from rnn.layers.truncation import KINDS, truncated
from rnn.modules.module import Module
from rnn.modules.values import or_zeros
from rnn.online.influence import METHODS
from rnn.online.steps import Loss, OnlineStep, cell_of, first_state, readout_parameters, steps

TRUNCATIONS = {"tbptt": "chunk", **{kind: kind for kind in KINDS}}


def estimate(
    cell: Cell | Recurrent,
    x: Any,
    targets: Any,
    loss: Loss,
    *,
    method: str = "rtrl",
    readout: Module | None = None,
    state: Any = None,
) -> dict[str, Tensor]:
    """Return the gradient of the sum of all losses over x (T, B, I), by parameter and a method.

    ``"bptt"`` is the gradient itself. ``"rtrl"`` equals it, ``"eprop"`` and ``"snap1"`` come near:
    they keep no history, see `rnn.online.steps`. ``"tbptt:k"`` detaches the state every k steps;
    ``"window:k1,k2"``, ``"per-loss:k"`` and ``"tail:k"`` are the other truncations of
    `rnn.truncated`. All else is as for `steps`. Raises ValueError for another method.

    >>> import engine, rnn
    >>> cell, x = rnn.IndRNNCell(3, 5), engine.ones((7, 2, 3))
    >>> found = rnn.online.estimate(cell, x, engine.zeros((7, 2, 5)), engine.mse_loss)
    >>> found["weight_hh"].shape
    (5,)
    """
    total: dict[str, Tensor] = {}
    options: dict[str, Any] = {"readout": readout, "state": state}
    if method in METHODS:
        for step in steps(cell, x, targets, loss, method=method, **options):
            total = {name: total[name] + g if name in total else g
                     for name, g in step.gradients.items()}  # fmt: skip
        return total or _by_name(None, trained(cell, readout))
    weights = trained(cell, readout)
    losses = [one for _, one in losses_of(cell, x, targets, loss, method=method, **options)]
    return _by_name(sum(losses[1:], losses[0]) if losses else None, weights)


def _by_name(loss: Tensor | None, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the gradients of a loss, zeros where there is none."""
    found: list[Tensor | None] = [None] * len(weights)
    if loss is not None and loss.requires_grad:
        found = engine.gradients(loss, list(weights.values()))
    return dict(zip(weights, or_zeros(found, weights.values()), strict=True))


def by_step(
    cell: Cell | Recurrent, x: Any, targets: Any, loss: Loss, *, method: str, **options: Any
) -> Iterator[OnlineStep]:
    """Yield what each step's loss adds to the estimate of a method; a pass backward for each."""
    if method in METHODS:
        yield from steps(cell, x, targets, loss, method=method, **options)
        return
    weights = trained(cell, options.get("readout"))
    found = losses_of(cell, x, targets, loss, method=method, **options)
    for t, (y, one) in enumerate(found):
        out = y.detach() if isinstance(y, Tensor) else y
        yield OnlineStep(t, one.item(), out, _by_name(one, weights))


def trained(cell: Cell | Recurrent, readout: Module | None = None) -> dict[str, Tensor]:
    """Return the parameters that have gradients, by the names of estimates.

    >>> import rnn
    >>> sorted(rnn.online.trained(rnn.ElmanCell(3, 5), rnn.Linear(5, 2)))
    ['bias_hh', 'bias_ih', 'readout.bias', 'readout.weight', 'weight_hh', 'weight_ih']
    """
    found = {name: w for name, w in cell_of(cell).named_parameters() if w.requires_grad}
    return {**found, **readout_parameters(readout, list(found.values()))}


def losses_of(
    cell: Cell | Recurrent, x: Any, targets: Any, loss: Loss, *, method: str,
    readout: Module | None = None, state: Any = None,
) -> list[tuple[Any, Tensor]]:  # fmt: skip
    """Return the output and the loss of every step on one graph, cut as the method says."""
    net = Recurrent(cell_of(cell))
    leaves, rebuild = flatten(x)
    x = rebuild([one if isinstance(one, Tensor) else engine.asarray(one) for one in leaves])
    start = first_state(net.cell, x, state)
    with using(recording=True):
        if method == "bptt":
            ys = net(x, start)[0]
        else:
            ys = truncated(net, x, start, **truncation(method)).outputs
        outputs, rebuild = flatten(ys)
        found = []
        for t in range(flatten(x)[0][0].shape[0]):
            y = rebuild([one[t] for one in outputs])
            out = y if readout is None else readout(y)
            found.append((out, loss(out, targets[t])))
    return found


def truncation(method: str) -> dict[str, Any]:
    """Return the options of `rnn.truncated` for a method such as ``"window:4,8"``."""
    name, _, numbers = method.partition(":")
    given = numbers.split(",") if numbers else []
    names = KINDS.get(TRUNCATIONS.get(name, ""), ())
    if not names or len(given) != len(names) or not all(one.strip().isdigit() for one in given):
        known = [f"{one}:{','.join(KINDS[kind])}" for one, kind in TRUNCATIONS.items()]
        raise ValueError(
            f"online: unknown method {method!r}; expected one of "
            f"{', '.join(('bptt', *METHODS, *known))}"
        )
    return {"kind": TRUNCATIONS[name], **dict(zip(names, map(int, given), strict=True))}


@dataclass(frozen=True)
class Comparison:
    """Compare methods by name: cosine of estimate and true gradient after every step, and cost.

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
