"""Measure microseconds an op, forward and backward, on a chain of tiny ops: the cost of recording.

Run `python -m benchmarks.eager`; peers that are not installed are left out by name. With
`--device cupy` it costs launches, and the only peer is torch on the same GPU.
"""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

import engine
from benchmarks import devices
from benchmarks.measuring import in_turn, write

OPS = 3000
SIZE = 4
START = np.linspace(0.1, 0.9, SIZE)


def chain(tanh: Callable[[Any], Any], x: Any) -> Any:
    """Apply OPS element-wise ops, one after another: tanh, multiply, add."""
    y = x
    for _ in range(OPS // 3):
        y = tanh(y)
        y = y * x
        y = y + x
    return y


def ours(dtype: str = "float32", device: str = "numpy") -> Any:
    """Return the gradient of the chain on the host, so that all work on a device has ended."""
    x = engine.asarray(START.astype(dtype), requires_grad=True, device=device)
    chain(engine.tanh, x).sum().backward()
    assert x.grad is not None
    return x.grad.numpy()


def with_torch(torch: Any, device: str) -> Callable[[], Any]:
    torch.set_num_threads(1)
    if not devices.on_host(device) and not torch.cuda.is_available():
        raise ImportError("torch sees no GPU")
    where = "cpu" if devices.on_host(device) else "cuda"

    def run() -> Any:
        x = torch.tensor(START, dtype=torch.float32, requires_grad=True, device=where)
        chain(torch.tanh, x).sum().backward()
        return x.grad.cpu().numpy()

    return run


def only_on_host(device: str) -> None:
    if not devices.on_host(device):
        raise ImportError("it runs on the host only")


def with_autograd(autograd: Any, device: str) -> Callable[[], Any]:
    only_on_host(device)
    numpy = importlib.import_module("autograd.numpy")
    slope = autograd.grad(lambda x: numpy.sum(chain(numpy.tanh, x)))
    return lambda: slope(START.astype("float32"))


def with_mygrad(mygrad: Any, device: str) -> Callable[[], Any]:
    only_on_host(device)

    def run() -> Any:
        x = mygrad.tensor(START.astype("float32"))
        chain(mygrad.tanh, x).sum().backward()
        return x.grad

    return run


PEERS = {"torch": with_torch, "autograd": with_autograd, "mygrad": with_mygrad}


def main(arguments: list[str] | None = None) -> None:
    device = devices.parsed("eager", __doc__, arguments)
    name_of_result = devices.result_name("eager", device)
    jobs: dict[str, Callable[[], Any]] = {"bptt": lambda: ours(device=device)}
    missing = []
    for name, make in PEERS.items():
        try:
            jobs[name] = make(importlib.import_module(name), device)
        except ImportError:
            missing.append(name)
    exact = ours("float64")
    for name, job in jobs.items():  # right before fast
        np.testing.assert_allclose(job(), exact, rtol=2e-4, err_msg=name)
    seconds = in_turn(jobs)
    micro = {name: taken / OPS * 1e6 for name, taken in seconds.items()}
    ratios = {f"{name} / bptt": micro[name] / micro["bptt"] for name in micro if name != "bptt"}
    where = "one thread" if devices.on_host(device) else "on a GPU"
    path = write(
        name_of_result,
        {
            "what": f"microseconds an op, forward and backward, chain of {OPS} ops on {SIZE} "
            f"float32 numbers, {where}, median of 9 rounds in turn",
            **devices.on(device),
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
