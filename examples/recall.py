"""Recall values by keys (multi-query associative recall): pairs first, then keys to answer.

The input is N pairs, each a key and behind it its value, and then the N keys in another order:
3N steps. The answer to a key is the value that it had. All keys of a sequence are different; which
value a key has is drawn for each sequence, so that nothing can be known beforehand. Guessing is
right in one of the number of values. Data are made as they are needed: nothing is seen twice.
The model is that of `reader.py`: one layer of a cell, of nearly the same number of parameters for
all cells.

The figure is the accuracy of all answers on 1,000 fresh sequences after the last update. As
published, a memory that is a matrix of outer products solves it, the best with the delta rule, and
the state of a network of gates is too small.
Source: Arora et al., Zoology: measuring and improving recall in efficient language models, 2023,
with as many keys at the end as there are pairs; delta rule: Yang et al., Parallelizing linear
transformers with the delta rule, 2024.
"""

import argparse
import sys
from typing import Any

import numpy as np

import engine
from examples.reader import TESTED, learnt, options_of, right, told
from examples.task import Result, finish, settled, task_parser
from rnn.data import Batch


def sequences(keys: int, values: int, pairs: int, B: int, *key: Any) -> Batch:
    """B sequences x (3N, B) with their answers (N, B), fixed by the seed and the key.

    Keys are 0 to `keys` - 1, values follow; answers count values from 0.
    """
    draw = engine.random.generator("recall", *key)
    own = np.argsort(draw.random((keys, B)), axis=0)[:pairs]
    theirs = draw.integers(0, values, (pairs, B))
    order = np.argsort(draw.random((pairs, B)), axis=0)
    x = np.empty((3 * pairs, B), dtype=np.int64)
    x[0 : 2 * pairs : 2], x[1 : 2 * pairs : 2] = own, keys + theirs
    x[2 * pairs :] = np.take_along_axis(own, order, axis=0)
    return Batch(x, None, np.take_along_axis(theirs, order, axis=0))


def run(options: argparse.Namespace) -> Result:
    """Train on fresh sequences, test on fresh sequences."""
    sizes = options.keys, options.values, options.pairs
    return learnt(
        "recall",
        options,
        (options.keys + options.values, options.values),
        (sequences, (*sizes, options.batch)),
        lambda model: {
            "accuracy": float(right(model, sequences(*sizes, TESTED, "last")).mean()),
            "guessing": 1 / options.values,
        },
    )


def tell(options: argparse.Namespace) -> None:
    kept = run(options)
    own = kept["figures"]
    print(f"{told(options, kept)}: {own['accuracy']:.1%} of the values of {options.pairs} pairs "
          f"are right (guessing: {own['guessing']:.1%})")  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Train and test. Returns the exit status."""
    return finish("recall", lambda: tell(parse(arguments)))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the options of the command line."""
    parser = task_parser("recall", __doc__)
    number = parser.number
    number("--pairs", default=16, help="of a key and a value")
    number("--keys", default=32, help="different ones, at least as many as pairs")
    number("--values", default=32, help="different ones")
    options_of(parser, size=28_000, steps=600)
    options = settled(parser, arguments, {"pairs": 4, "keys": 8, "values": 8, "steps": 250,
                                          "parameters": 7000, "lr": 0.01})  # fmt: skip
    if options.pairs > options.keys:
        parser.error(f"argument --pairs: {options.pairs} pairs need as many keys, of which there "
                     f"are {options.keys}")  # fmt: skip
    return options


if __name__ == "__main__":
    sys.exit(main())
