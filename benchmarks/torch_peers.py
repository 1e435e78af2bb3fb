"""Build the peers of torch: its layers, a loop of its cells, a loop of plain ops, and the same with
the step compiled.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch.nn import functional

from benchmarks import cells

Job = Callable[[], list[Any]]
LAYERS = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN,
          "projection": torch.nn.LSTM}  # fmt: skip
CELLS = {"lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell, "rnn": torch.nn.RNNCell}


class Torch:
    """Offer the functions that the equations ask for."""

    tanh, sigmoid, sqrt = torch.tanh, torch.sigmoid, torch.sqrt
    linear, absolute = functional.linear, torch.abs

    @staticmethod
    def split(a: Any, n: int) -> Any:
        return a.chunk(n, -1)

    @staticmethod
    def row_mean(a: Any) -> Any:
        return a.mean(-1, keepdim=True)


def jobs(
    cell: str, given: dict[str, Any], threads: int, *, device: str = "cpu", dtype: str = "float32"
) -> dict[str, Job]:
    """Return a training step by each way of torch that can run this cell."""
    torch.set_num_threads(threads)
    names = [name for name in given if name != "g"]
    place = {"device": device, "dtype": getattr(torch, dtype)}
    w = {name: torch.tensor(given[name], requires_grad=True, **place) for name in names}
    g = torch.tensor(given["g"], **place)
    states = [w[name] for name in cells.states(cell)]

    def stepwise(step: Callable[..., Any]) -> Any:
        now, ys = tuple(states), []
        for x in w["x"]:
            y, now = step(x, *now)
            ys.append(y)
        return torch.stack(ys)

    def plain() -> Any:
        return stepwise(lambda x, *now: cells.STEPS[cell](
            Torch, w, functional.linear(x, w["W"], w["b"]), *now))  # fmt: skip

    weights = {name: w[name] for name in cells.sizes(cell, 1, 1)}

    def compiled() -> Any:
        step = _compiled(cell)
        return stepwise(lambda x, *now: step(weights, x, *now))

    ways: dict[str, Callable[[], Any]] = {"torch loop of ops": plain, "torch.compile": compiled}
    if cell in LAYERS:
        I, P, H = (given[name].shape[-1] for name in ("x", "h0", cells.states(cell)[-1]))
        held = {"weight_ih": "W", "weight_hh": "U", "bias_ih": "b", "bias_hh": "d"}
        for own in cells.sizes(cell, 1, 1):
            w[own] = weights[own] = torch.nn.Parameter(w[own].detach())
        layer = LAYERS[cell](I, H, **({"proj_size": P} if P != H else {}))
        for name, own in (held | ({"weight_hr": "R"} if P != H else {})).items():
            setattr(layer, f"{name}_l0", w[own])
        layer.flatten_parameters()  # else cuDNN would copy the weights together at every call
        shaped = lambda: tuple(s[None] for s in states)  # noqa: E731
        ways["torch.nn"] = lambda: layer(w["x"], shaped() if len(states) > 1 else shaped()[0])[0]
    if cell in CELLS:  # none of torch's projects
        one = CELLS[cell](I, H)
        for name, own in held.items():
            setattr(one, name, w[own])
        if cell == "lstm":
            ways["torch loop of cells"] = lambda: stepwise(lambda x, h, c: _pair(one(x, (h, c))))
        else:
            ways["torch loop of cells"] = lambda: stepwise(lambda x, h: _single(one(x, h)))

    def training(way: Callable[[], Any]) -> Job:
        return lambda: list(torch.autograd.grad(way(), [w[name] for name in names], g))

    return {name: training(way) for name, way in ways.items()}


@lru_cache
def _compiled(cell: str) -> Any:
    """Return the step of a cell by `torch.compile`, once for shapes of all sizes."""

    def step(w: dict[str, Any], x: Any, *now: Any) -> Any:
        return cells.STEPS[cell](Torch, w, functional.linear(x, w["W"], w["b"]), *now)

    return torch.compile(step, dynamic=True)


def _pair(state: Any) -> Any:
    return state[0], state


def _single(h: Any) -> Any:
    return h, (h,)
