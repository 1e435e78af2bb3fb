"""Solve the adding problem: a long sequence of numbers, two of them marked, their sum at its end.

Every step has a number, uniform in [0, 1), and a mark: 1 at one step of the first half and at one
of the second half, 0 elsewhere. The target is the sum of the two marked numbers. The constant
answer 1 has a mean squared error of 1/6 = 0.167, the variance of the sum (the literature prints
0.1767 as well). Data are made as they are needed: nothing is seen twice and every test is on fresh
data.
The model is a recurrent layer, and one number made of its last state.

The figure is the number of updates until the error on 1,000 fresh sequences, measured every 50
updates, stays below 0.01 to the end of the run.
Source: Hochreiter and Schmidhuber, Long short-term memory, 1997, as Arjovsky, Shah and Bengio,
Unitary evolution recurrent neural networks, 2016, have it.
"""

import argparse
import math
import sys
from typing import Any

import numpy as np

import engine
import rnn
from engine import Tensor
from examples.data import fresh
from examples.layers import LAYERS, NAMED, NAMES
from examples.task import (
    Result,
    begin,
    finish,
    fitted,
    outputs,
    result,
    settled,
    task_parser,
    validated,
)
from rnn.data import Batch

SOLVED = 0.01
EVERY = 50  # updates between two tests


class Adder(rnn.Module):
    """Map x (T, B, 2) to one number (B,) of the last state of a recurrent layer."""

    def __init__(self, cell: str, hidden: int) -> None:
        self.recurrent = LAYERS[cell](2, hidden)
        self.head = rnn.Linear(hidden, 1)

    def forward(self, x: Any) -> Tensor:
        y, _ = self.recurrent(engine.asarray(x, device=self.head.weight.device))
        sums: Tensor = self.head(y[-1])[:, 0]
        return sums


def sequences(T: int, B: int, *key: Any) -> Batch:
    """B sequences x (T, B, 2) with their sums y (B,), fixed by the seed and the key."""
    draw = engine.random.generator("adding", *key)
    numbers, marks = draw.random((T, B)), np.zeros((T, B))
    first, second = draw.integers(0, T // 2, B), draw.integers(T // 2, T, B)
    rows = np.arange(B)
    marks[first, rows] = marks[second, rows] = 1.0
    x = np.stack([numbers, marks], axis=-1)
    return Batch(x.astype(np.float32), None, (numbers * marks).sum(axis=0).astype(np.float32))


def error(model: Adder, batch: Batch) -> Tensor:
    """Return the mean squared error."""
    sums = model(batch.x)
    return engine.mean((sums - engine.asarray(batch.y, device=sums.device)) ** 2)


def solved(curve: list[list[float]]) -> float:
    """Return the update from which on all tests are below the threshold, infinite without one."""
    above = [step for step, value in curve if not value < SOLVED]
    after = [step for step, _ in curve if not above or step > above[-1]]
    return after[0] if after else math.inf


def run(options: argparse.Namespace) -> Result:
    """Train on fresh sequences, test on fresh sequences."""
    began = begin(options)
    model = Adder(options.cell, options.hidden).to(options.device)
    tests = iter(range(10**9))

    def tested(_: rnn.Module) -> dict[str, float]:
        return {"error": error(model, sequences(options.T, 1000, "test", next(tests))).item()}

    history = fitted(
        "adding",
        model,
        fresh(sequences, options.T, options.batch, "train", steps=options.steps),
        error,
        optimizer=rnn.optim.Adam(model.parameters(), options.lr),
        steps=options.steps,
        clip_norm=1.0,
        evaluate=tested,
        validate_every=EVERY,
        **outputs(options),
    )
    curve = validated(history, "error")
    last = sequences(options.T, 10_000, "last")
    with engine.no_grad():
        own = {"updates": solved(curve), "error": error(model, last).item()}
    own["answering 1"] = float(np.mean((last.y - 1.0) ** 2))
    return result("adding", options, began, own, history, curve)


def tell(options: argparse.Namespace) -> None:
    kept = run(options)
    own, name = kept["figures"], options.cell.upper()
    if math.isfinite(own["updates"]):
        print(f"{name}, T = {options.T}: below {SOLVED} for good after {own['updates']:,} updates")
    else:
        print(f"{name}, T = {options.T}: not below {SOLVED} after {kept['steps']:,} updates")
    print(
        f"mean squared error on 10,000 fresh sequences: {own['error']:.5f} "
        f"(answering 1: {own['answering 1']:.4f}); {kept['seconds']:.0f} s"
    )


def main(arguments: list[str] | None = None) -> int:
    """Train and test. Returns the exit status."""
    return finish("adding", lambda: tell(parse(arguments)))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the options of the command line."""
    parser = task_parser("adding", __doc__)
    add, number = parser.add_argument, parser.number
    add("--cell", default="gru", **NAMED, help=f"of the layer: {NAMES} (gru)")
    number("-T", default=30, help="steps, at least 2")
    number("--hidden", default=64, help="hidden units")
    number("--batch", default=64, help="sequences of an update")
    number("--steps", default=2000, help="updates")
    number("--lr", default=5e-3, help="learning rate of Adam")
    options = settled(parser, arguments, {"T": 10, "steps": 400, "lr": 0.01, "hidden": 32})
    if options.T < 2:
        parser.error(f"argument -T: {options.T} steps have no two halves; expected at least 2")
    return options


if __name__ == "__main__":
    sys.exit(main())
