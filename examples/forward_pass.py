"""Run one layer by hand: 100 steps of 32 features through a recurrence of 64 units, three ways.

    state_t = tanh(W x_t + U state_(t-1) + b)    x (100, 32), W (64, 32), U (64, 64), b (64,)

As a loop in NumPy, as the textbooks write it; as a cell, run step by step with everything on the
graph; and the same cell compiled. They agree to the rounding of float32. The figure is the largest
difference from the loop; times are medians of many runs, after one that is not counted.
"""

import argparse
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

import engine
import rnn
from examples.task import Result, begin, finish, result, settled, task_parser
from rnn.training import History


def weights(options: argparse.Namespace) -> dict[str, Any]:
    """Random inputs, and random weights shrunk to keep tanh out of its flat parts."""
    I, H = options.inputs, options.hidden
    shapes = {"x": (options.T, I), "W": (H, I), "U": (H, H), "b": (H,)}
    return {
        name: engine.random.uniform(shape, 0.0, 1.0, name).numpy() / (1 if name == "x" else H)
        for name, shape in shapes.items()
    }


def numpy_loop(x: Any, W: Any, U: Any, b: Any) -> Any:
    """Map x (T, I) to all states (T, H)."""
    state_t = np.zeros(len(b), dtype=x.dtype)
    outputs = []
    for x_t in x:
        state_t = np.tanh(W @ x_t + U @ state_t + b)
        outputs.append(state_t)
    return np.stack(outputs)


class Simple(rnn.Cell):
    """Write the same equation as a cell."""

    pure = True

    def __init__(self, W: Any, U: Any, b: Any) -> None:
        self.input_size, self.state_size = W.shape[1], {"state": len(b)}
        self.W, self.U, self.b = (engine.asarray(one, requires_grad=True) for one in (W, U, b))

    def step(self, x: engine.Tensor, state: engine.Tensor) -> tuple[engine.Tensor, engine.Tensor]:
        state = engine.tanh(engine.linear(x, self.W) + engine.linear(state, self.U) + self.b)
        return state, state


def ways(x: Any, W: Any, U: Any, b: Any) -> dict[str, Callable[[], Any]]:
    """Return each way to all states (T, H), by its name."""
    layer = rnn.Recurrent(Simple(W, U, b))
    batch = engine.asarray(x[:, None])  # (T, 1, I): a batch of one

    def states(unroll: bool) -> Any:
        with engine.no_grad():
            return layer(batch, unroll=unroll)[0][:, 0].numpy()

    return {
        "NumPy loop": lambda: numpy_loop(x, W, U, b),
        "cell, step by step": lambda: states(True),
        "cell, compiled": lambda: states(False),
    }


def timed(job: Callable[[], Any], rounds: int) -> float:
    """Return the median time of a call in milliseconds."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        job()
        taken.append(time.perf_counter() - began)
    return 1e3 * median(taken)


def run(options: argparse.Namespace) -> Result:
    """Compare all three with the first, and time them."""
    began = begin(options)
    given = weights(options)
    jobs = ways(**given)
    outputs = {name: job() for name, job in jobs.items()}
    expected = outputs["NumPy loop"]
    off = {name: float(np.abs(found - expected).max()) for name, found in outputs.items()}
    figures = {"largest difference": max(off.values())}
    figures |= {f"{name}, ms": timed(job, options.rounds) for name, job in jobs.items()}
    return result("forward_pass", options, began, figures, History(), [])


def tell(options: argparse.Namespace) -> None:
    own = run(options)["figures"]
    print(f"x ({options.T}, {options.inputs}) -> states ({options.T}, {options.hidden})")
    for name, value in own.items():
        if name.endswith(", ms"):
            print(f"    {name.removesuffix(', ms'):20} {value:8.3f} ms")
    print(f"largest difference from the loop: {own['largest difference']:.1e}")


def main(arguments: list[str] | None = None) -> int:
    """Run all three ways. Returns the exit status."""
    return finish("forward_pass", lambda: tell(parse(arguments)))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the options of the command line."""
    parser = task_parser("forward_pass", __doc__, writes=False)
    number = parser.number
    number("-T", default=100, help="steps")
    number("--inputs", default=32, help="features of a step")
    number("--hidden", default=64, help="units")
    number("--rounds", default=200, help="runs of each that are timed")
    parser.set_defaults(threads=1)  # one sequence has nothing to share
    return settled(parser, arguments, {"rounds": 5})


if __name__ == "__main__":
    sys.exit(main())
