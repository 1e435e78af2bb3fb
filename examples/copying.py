"""Copy ten symbols after a wait of T steps: the copy task.

The input is ten symbols out of eight, T - 1 blanks, a sign to begin, and ten blanks: T + 20 steps.
The target is T + 10 blanks and then the ten symbols. The loss is the mean cross entropy of all
steps, in nats. Blanks in time and guessed symbols have a loss of 10 log 8 / (T + 20): 0.8318
at T = 5. Data are made as they are needed: nothing is seen twice and every test is on fresh data.
The model is a recurrent layer over vectors of the symbols, with logits at every step.
The figure is the loss on 1,000 fresh sequences after the last update.
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

SYMBOLS, COPIED = 8, 10
BLANK, SIGN = 0, SYMBOLS + 1


class Copier(rnn.Module):
    """Map x (T, B) to logits (T, B, 9) of the blank and the symbols."""

    def __init__(self, cell: str, hidden: int) -> None:
        self.embedding = rnn.Embedding(SYMBOLS + 2, SYMBOLS + 2)
        self.recurrent = LAYERS[cell](SYMBOLS + 2, hidden)
        self.head = rnn.Linear(hidden, SYMBOLS + 1)

    def forward(self, x: Any) -> Tensor:
        y, _ = self.recurrent(self.embedding(x))
        logits: Tensor = self.head(y)
        return logits


def sequences(T: int, B: int, *key: Any) -> Batch:
    """B sequences x (T + 20, B) with their targets (T + 20, B), fixed by the seed and the key."""
    symbols = engine.random.generator("copying", *key).integers(1, SYMBOLS + 1, (COPIED, B))
    x = np.full((T + 2 * COPIED, B), BLANK, dtype=np.int64)
    y = x.copy()
    x[:COPIED], x[T + COPIED - 1] = symbols, SIGN
    y[-COPIED:] = symbols
    return Batch(x, None, y)


def cost(model: Copier, batch: Batch) -> Tensor:
    """Return the mean cross entropy of all steps, in nats."""
    return engine.cross_entropy(model(batch.x), batch.y)


def baseline(T: int) -> float:
    """Return the loss of blanks in time and guessed symbols."""
    return COPIED * math.log(SYMBOLS) / (T + 2 * COPIED)


def run(options: argparse.Namespace) -> Result:
    """Train on fresh sequences, test on fresh sequences."""
    began = begin(options)
    model = Copier(options.cell, options.hidden).to(options.device)
    tests = iter(range(10**9))

    def tested(_: rnn.Module) -> dict[str, float]:
        return {"nats": cost(model, sequences(options.T, 1000, "test", next(tests))).item()}

    history = fitted(
        "copying",
        model,
        fresh(sequences, options.T, options.batch, "train", steps=options.steps),
        cost,
        optimizer=rnn.optim.Adam(model.parameters(), options.lr),
        steps=options.steps,
        clip_norm=1.0,
        evaluate=tested,
        validate_every=max(1, options.steps // 15),
        **outputs(options),
    )
    last = sequences(options.T, 1000, "last")
    with engine.no_grad():
        logits = model(last.x)
        own = {"nats": engine.cross_entropy(logits, last.y).item()}
        right = (engine.argmax(logits, axis=-1).numpy() == last.y)[-COPIED:]
    own["of the baseline"] = own["nats"] / baseline(options.T)
    own["symbols right"] = float(right.mean())
    own["baseline"] = baseline(options.T)
    return result("copying", options, began, own, history, validated(history, "nats"))


def tell(options: argparse.Namespace) -> None:
    kept = run(options)
    own = kept["figures"]
    print(
        f"{options.cell.upper()}, T = {options.T}, after {kept['steps']:,} updates: "
        f"{own['nats']:.4f} nats a step, {own['of the baseline']:.3f} of the baseline "
        f"{own['baseline']:.4f};\n{own['symbols right']:.1%} of the symbols are right "
        f"(guessing: {1 / SYMBOLS:.1%}); {kept['seconds']:.0f} s"
    )


def main(arguments: list[str] | None = None) -> int:
    """Train and test. Returns the exit status."""
    return finish("copying", lambda: tell(parse(arguments)))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the options of the command line."""
    parser = task_parser("copying", __doc__)
    add, number = parser.add_argument, parser.number
    add("--cell", default="gru", **NAMED, help=f"of the layer: {NAMES} (gru)")
    number("-T", default=5, help="steps of the wait")
    number("--hidden", default=128, help="hidden units")
    number("--batch", default=64, help="sequences of an update")
    number("--steps", default=1500, help="updates")
    number("--lr", default=5e-3, help="learning rate of Adam")
    fast = {"T": 1, "hidden": 64, "batch": 32, "steps": 250, "lr": 0.02}
    return settled(parser, arguments, fast)


if __name__ == "__main__":
    sys.exit(main())
