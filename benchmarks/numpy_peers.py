"""Build the peers of autograd and MyGrad: a loop of the equations, op by op."""

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import cells

Job = Callable[[], list[Any]]


def jobs(cell: str, given: dict[str, Any]) -> dict[str, Job]:
    """Return a training step by each of the two that is installed."""
    found: dict[str, Job] = {}
    if importlib.util.find_spec("autograd"):
        found["autograd"] = _autograd(cell, given)
    if importlib.util.find_spec("mygrad"):
        found["mygrad"] = _mygrad(cell, given)
    return found


def _unrolled(ops: Any, stack: Callable[[list[Any]], Any], cell: str, w: dict[str, Any]) -> Any:
    """Return all outputs, (T, B, H)."""
    now, ys = tuple(w[name] for name in cells.states(cell)), []
    for t in range(w["x"].shape[0]):
        y, now = cells.STEPS[cell](ops, w, ops.linear(w["x"][t], w["W"], w.get("b")), *now)
        ys.append(y)
    return stack(ys)


def _autograd(cell: str, given: dict[str, Any]) -> Job:
    import autograd
    import autograd.numpy as anp

    class Ops:
        tanh, sqrt, absolute = anp.tanh, anp.sqrt, anp.abs

        @staticmethod
        def sigmoid(a: Any) -> Any:
            return 0.5 * (anp.tanh(0.5 * a) + 1)

        @staticmethod
        def linear(x: Any, weight: Any, bias: Any = None) -> Any:
            out = anp.dot(x, weight.T)
            return out if bias is None else out + bias

        @staticmethod
        def split(a: Any, n: int) -> Any:
            return anp.split(a, n, axis=-1)

        @staticmethod
        def row_mean(a: Any) -> Any:
            return anp.mean(a, axis=-1, keepdims=True)

    names = [name for name in given if name != "g"]

    def loss(values: tuple[Any, ...]) -> Any:
        w = dict(zip(names, values, strict=True))
        return anp.sum(_unrolled(Ops, anp.stack, cell, w) * given["g"])

    gradient = autograd.grad(loss)
    return lambda: list(gradient(tuple(given[name] for name in names)))


def _mygrad(cell: str, given: dict[str, Any]) -> Job:
    import mygrad
    from mygrad.nnet.activations import sigmoid as logistic

    class Ops:
        tanh, sqrt, absolute, sigmoid = mygrad.tanh, mygrad.sqrt, mygrad.abs, logistic

        @staticmethod
        def linear(x: Any, weight: Any, bias: Any = None) -> Any:
            out = mygrad.matmul(x, weight.T)
            return out if bias is None else out + bias

        @staticmethod
        def split(a: Any, n: int) -> Any:
            wide = a.shape[-1] // n
            return [a[..., i * wide : (i + 1) * wide] for i in range(n)]

        @staticmethod
        def row_mean(a: Any) -> Any:
            return mygrad.mean(a, axis=-1, keepdims=True)

    names = [name for name in given if name != "g"]

    def run() -> list[Any]:
        w = {name: mygrad.tensor(given[name]) for name in names}
        _unrolled(Ops, mygrad.stack, cell, w).backward(given["g"])
        return [np.asarray(w[name].grad) for name in names]

    return run
