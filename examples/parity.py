"""Say after every bit whether the number of ones so far is odd: parity over long ranges.

The input is random bits, the answer at each step the parity of all bits up to it, a state that
every one flips. Training has sequences of T steps, the test far longer ones, so that only a cell
that keeps the state by a rule is right there. A linear recurrence with positive gates cannot
flip a state; a delta rule that allows the eigenvalue -1 can, and so can networks with gates that
read the state. Guessing is right in half. Data are made as they are needed: nothing is seen twice.
The model is that of `reader.py`: one layer of a cell, of nearly the same number of parameters for
all cells.

The figure is the accuracy of the answers beyond step T, on 200 fresh sequences of `--test` steps.
Source: Grazzi et al., Unlocking state-tracking in linear RNNs through negative eigenvalues, 2024,
where lengths of up to 40 are trained and of up to 256 tested.
"""

import argparse
import sys
from typing import Any

import engine
from examples.reader import TESTED, learnt, options_of, right, told
from examples.task import Result, finish, settled, task_parser
from rnn.data import Batch

LONG = 200  # sequences of the long test


def sequences(T: int, B: int, *key: Any) -> Batch:
    """B sequences of bits x (T, B) with their parities (T, B), fixed by the seed and the key."""
    x = engine.random.generator("parity", *key).integers(0, 2, (T, B))
    return Batch(x, None, x.cumsum(axis=0) % 2)


def run(options: argparse.Namespace) -> Result:
    """Train on short fresh sequences, test on long ones."""

    def judged(model: Any) -> dict[str, float]:
        beyond = right(model, sequences(options.test, LONG, "long"))[options.T :]
        return {
            "accuracy": float(beyond.mean()),
            "as trained": float(right(model, sequences(options.T, TESTED, "last")).mean()),
            "guessing": 0.5,
        }

    train = (sequences, (options.T, options.batch))
    return learnt("parity", options, (2, 2), train, judged)


def tell(options: argparse.Namespace) -> None:
    kept = run(options)
    own = kept["figures"]
    print(f"{told(options, kept)}: {own['as trained']:.1%} of the parities of {options.T} steps "
          f"are right, {own['accuracy']:.1%} of those from there to step {options.test} "
          "(guessing: 50.0%)")  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Train and test. Returns the exit status."""
    return finish("parity", lambda: tell(parse(arguments)))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the options of the command line."""
    parser = task_parser("parity", __doc__)
    number = parser.number
    number("-T", default=32, help="steps of the sequences that it learns from")
    number("--test", default=256, help="steps of the sequences of the test")
    options_of(parser, size=12_000, steps=600)
    parser.set_defaults(cell="lstm")
    fast = {"T": 8, "test": 32, "steps": 300, "parameters": 3000, "lr": 0.01}
    options = settled(parser, arguments, fast)
    if options.test <= options.T:
        parser.error(f"argument --test: {options.test} steps are not beyond the {options.T} of -T")
    return options


if __name__ == "__main__":
    sys.exit(main())
