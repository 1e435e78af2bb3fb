"""Microseconds an op, forward and backward, on a chain of tiny ops: what eager recording costs.

Run `python -m benchmarks.eager`; peers that are not installed are left out by name.
"""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

import engine
from benchmarks.measuring import in_turn, write

OPS = 3000
SIZE = 4
START = np.linspace(0.1, 0.9, SIZE)


def chain(tanh: Callable[[Any], Any], x: Any) -> Any:
    """OPS element-wise ops, one after another: tanh, multiply, add."""
    y = x
    for _ in range(OPS // 3):
        y = tanh(y)
        y = y * x
        y = y + x
    return y


def ours(dtype: str = "float32") -> Any:
    x = engine.asarray(START.astype(dtype), requires_grad=True)
    chain(engine.tanh, x).sum().backward()
    assert x.grad is not None
    return x.grad.numpy()


def with_torch(torch: Any) -> Callable[[], Any]:
    torch.set_num_threads(1)

    def run() -> Any:
        x = torch.tensor(START, dtype=torch.float32, requires_grad=True)
        chain(torch.tanh, x).sum().backward()
        return x.grad.numpy()

    return run


def with_autograd(autograd: Any) -> Callable[[], Any]:
    numpy = importlib.import_module("autograd.numpy")
    slope = autograd.grad(lambda x: numpy.sum(chain(numpy.tanh, x)))
    return lambda: slope(START.astype("float32"))


def with_mygrad(mygrad: Any) -> Callable[[], Any]:
    def run() -> Any:
        x = mygrad.tensor(START.astype("float32"))
        chain(mygrad.tanh, x).sum().backward()
        return x.grad

    return run


PEERS = {"torch": with_torch, "autograd": with_autograd, "mygrad": with_mygrad}


def main() -> None:
    jobs: dict[str, Callable[[], Any]] = {"bptt": ours}
    missing = []
    for name, make in PEERS.items():
        try:
            jobs[name] = make(importlib.import_module(name))
        except ImportError:
            missing.append(name)
    exact = ours("float64")
    for name, job in jobs.items():  # right before fast
        np.testing.assert_allclose(job(), exact, rtol=2e-4, err_msg=name)
    seconds = in_turn(jobs)
    micro = {name: taken / OPS * 1e6 for name, taken in seconds.items()}
    ratios = {f"{name} / bptt": micro[name] / micro["bptt"] for name in micro if name != "bptt"}
    path = write(
        "eager",
        {
            "what": f"microseconds an op, forward and backward, chain of {OPS} ops on {SIZE} "
            "float32 numbers, one thread, median of 9 rounds in turn",
            "microseconds_per_op": micro,
            "ratio": ratios,
            "not_installed": missing,
        },
    )
    for name, value in micro.items():
        print(f"{name:10} {value:7.2f} us an op")
    print(f"left out, not installed: {', '.join(missing)}" if missing else "", f"written to {path}")


if __name__ == "__main__":
    main()
