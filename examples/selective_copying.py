"""Copy symbols that are scattered among noise, without the noise: selective copying.

The input is T steps of noise with eight symbols at random places among them, and then eight signs
to write: T + 8 steps. The answers are the symbols in their order. Where the symbols stand differs
from sequence to sequence, so a fixed filter cannot do it: what is kept has to be chosen by content.
Guessing is right in one of eight. Data are made as they are needed: nothing is seen twice.
The model is that of `reader.py`: two layers of a cell, of nearly the same number of parameters for
all cells.

The figure is the accuracy of all answers on 1,000 fresh sequences after the last update.
Source: Gu and Dao, Mamba: linear-time sequence modeling with selective state spaces, 2023, with
4,096 steps and sixteen symbols.
"""

import argparse
import sys
from typing import Any

import numpy as np

import engine
from examples.command import whole
from examples.reader import TESTED, learnt, options_of, right, told
from examples.task import Result, finish, settled, task_parser
from rnn.data import Batch

SYMBOLS, COPIED = 8, 8
NOISE, SIGN = SYMBOLS, SYMBOLS + 1


def sequences(T: int, B: int, *key: Any) -> Batch:
    """B sequences x (T + 8, B) with their answers (8, B), fixed by the seed and the key."""
    draw = engine.random.generator("selective copying", *key)
    symbols = draw.integers(0, SYMBOLS, (COPIED, B))
    places = np.sort(np.argsort(draw.random((T, B)), axis=0)[:COPIED], axis=0)
    x = np.full((T + COPIED, B), NOISE, dtype=np.int64)
    np.put_along_axis(x, places, symbols, axis=0)
    x[T:] = SIGN
    return Batch(x, None, symbols)


def run(options: argparse.Namespace) -> Result:
    """Train on fresh sequences, test on fresh sequences."""
    return learnt(
        "selective_copying",
        options,
        (SYMBOLS + 2, SYMBOLS),
        (sequences, (options.T, options.batch)),
        lambda model: {
            "accuracy": float(right(model, sequences(options.T, TESTED, "last")).mean()),
            "guessing": 1 / SYMBOLS,
        },
    )


def tell(options: argparse.Namespace) -> None:
    kept = run(options)
    own = kept["figures"]
    print(f"{told(options, kept)}: {own['accuracy']:.1%} of the symbols of {options.T} steps are "
          f"right (guessing: {own['guessing']:.1%})")  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Train and test. Returns the exit status."""
    return finish("selective_copying", lambda: tell(parse(arguments)))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the options of the command line."""
    parser = task_parser("selective_copying", __doc__)
    parser.add_argument("-T", type=whole, default=64, help="steps before the signs (64)")
    options_of(parser, size=28_000, steps=600, layers=2)
    fast = {"T": 10, "steps": 100, "parameters": 6000, "lr": 0.01}
    options = settled(parser, arguments, fast)
    if options.T < COPIED:
        parser.error(f"argument -T: {options.T} steps have no room for {COPIED} symbols")
    return options


if __name__ == "__main__":
    sys.exit(main())
