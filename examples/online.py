"""Estimate gradients without a way back in time: RTRL, e-prop, truncated BPTT, beside BPTT.

A cell reads bits and has to give each of them out again some steps later. Measures, before any
training, how near each estimate comes to the gradient of BPTT and what it takes, and draws it. Then
trains on one endless stream with an update after every step, by each method that keeps no history.
"""

import argparse
import sys
from typing import Any

import numpy as np

import engine
import rnn
import viz
from engine import Tensor
from examples.command import Parser, folder, seed
from examples.task import finish, settled

METHODS = ("bptt", "rtrl", "eprop", "tbptt:2", "tbptt:8")


def stream(steps: int, batch: int, delay: int) -> tuple[Tensor, Tensor]:
    """Random bits (T, B, 1), and those of `delay` steps before."""
    bits = engine.random.normal((steps + delay, batch, 1), 1.0, "bits").numpy() > 0
    x = bits.astype("float64")
    return engine.asarray(2 * x[delay:] - 1), engine.asarray(x[:steps])


def cells(hidden: int) -> dict[str, rnn.Cell]:
    """Return the cells by name: of the last, no unit sees another one's past."""
    return {
        "Elman": rnn.ElmanCell(1, hidden, dtype="float64"),
        "LSTM": rnn.LSTMCell(1, hidden, dtype="float64"),
        "IndRNN": rnn.IndRNNCell(1, hidden, nonlinearity="tanh", dtype="float64"),
    }


def measured(options: argparse.Namespace) -> dict[str, rnn.online.Comparison]:
    """Compare the methods on each cell, before any training."""
    x, targets = stream(options.steps, options.batch, options.delay)
    return {
        name: rnn.online.compare(
            cell, x, targets, engine.binary_cross_entropy_with_logits, methods=METHODS,
            readout=rnn.Linear(options.hidden, 1, dtype="float64"),
        )
        for name, cell in cells(options.hidden).items()
    }  # fmt: skip


def learned(options: argparse.Namespace, method: str) -> tuple[float, float]:
    """Return the mean loss of the first and last tenth of a stream; each step makes an update."""
    engine.seed(options.seed)
    cell = rnn.LSTMCell(1, options.hidden, dtype="float64")
    readout = rnn.Linear(options.hidden, 1, dtype="float64")
    x, targets = stream(options.stream, options.batch, options.delay)
    weights = rnn.online.trained(cell, readout)
    adam = rnn.optim.Adam(list(weights.values()), lr=options.lr)
    losses = []
    for step in rnn.online.steps(cell, x, targets, engine.binary_cross_entropy_with_logits,
                                 method=method, readout=readout):  # fmt: skip
        for name, w in weights.items():
            w.grad = step.gradients[name]
        adam.step()
        losses.append(step.loss)
    part = max(1, len(losses) // 10)
    return float(np.mean(losses[:part])), float(np.mean(losses[-part:]))


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure, print, draw, train."""
    out = folder(options.out)
    engine.seed(options.seed)
    found = measured(options)
    print(f"estimates of a gradient over {options.steps} steps: the cosine to the true one at the")
    print("end, and ms a step:")
    print(" " * 12 + "".join(f"{method:>18}" for method in METHODS))
    for name, one in found.items():
        row = (f"{one.cosines[m][-1]:10.4f} {one.milliseconds[m]:7.2f}" for m in METHODS)
        print(f"    {name:8}" + "".join(row))
    for name, one in found.items():
        picture = viz.draw_estimators(one.cosines, one.milliseconds, title=f"{name}: estimators")
        picture.render(out / f"estimators_{name.lower()}.svg")
    trained = {method: learned(options, method) for method in rnn.online.METHODS}
    print(f"an LSTM on a stream of {options.stream:,} steps, an update after each: loss of the")
    print(f"first and the last tenth (chance is {np.log(2):.3f})")
    for method, (first, last) in trained.items():
        print(f"    {method:8} {first:.3f} {last:.3f}")
    print(f"written to {out}: " + ", ".join(f"estimators_{name.lower()}.svg" for name in found))
    return {"compared": found, "trained": trained}


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, draw, train. Returns the exit status."""
    return finish("online", lambda: run(parse(arguments)))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the options of the command line."""
    parser = Parser(
        "online", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, number = parser.add_argument, parser.number
    number("-T", "--steps", default=40, help="steps of the comparison")
    number("--delay", default=3, help="steps after which a bit is due")
    number("--hidden", default=8, help="hidden units")
    number("--batch", default=3, help="sequences")
    number("--stream", default=400, help="steps of the training")
    number("--lr", default=0.02, help="learning rate of Adam")
    add("--seed", type=seed, default=0, help="of weights and bits (0)")
    add("--fast", action="store_true", help="small sizes: a second, only to see it run")
    add("--out", metavar="DIR", default="out", help="where the pictures are written (out)")
    return settled(parser, arguments, {"steps": 12, "hidden": 4, "stream": 30, "batch": 2})


if __name__ == "__main__":
    sys.exit(main())
