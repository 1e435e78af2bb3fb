"""Vanishing and exploding gradients: how the gradient of a last loss fades on its way back in time.

Measures, by a probe, the norm of dL/dh at every distance from the last step for networks before any
training, draws it, and prints what is left at the first step.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import engine
import rnn
from examples.command import Parser, folder, positive, seed, whole
from examples.task import finish, settled

RADII = {"small": 0.8, "unit": 1.0, "large": 1.25}
COLORS = ("#9dbfe3", "#1f5fa8", "#8e1212", "#2e7d32", "#5f6368")


def orthogonal(hidden: int, radius: float) -> Any:
    """A matrix that turns, and makes everything longer or shorter by `radius`."""
    q = np.linalg.qr(engine.random.normal((hidden, hidden), 1.0, "vanishing").numpy())[0]
    return (radius * q).astype(np.float64)


def networks(inputs: int, hidden: int) -> dict[str, Callable[[], rnn.Cell]]:
    """What makes each cell, by the name that the plot shows."""

    def elman(radius: float) -> rnn.Cell:
        cell = rnn.ElmanCell(inputs, hidden, bias=False, dtype="float64")
        cell.weight_hh.data = orthogonal(hidden, radius)
        return cell

    def lstm() -> rnn.Cell:
        cell = rnn.LSTMCell(inputs, hidden, dtype="float64")
        assert cell.bias_ih is not None and cell.bias_hh is not None  # noqa: PT018
        cell.bias_ih.data[:] = 0.0
        cell.bias_hh.data[:] = 0.0
        cell.bias_ih.data[hidden : 2 * hidden] = 1.0  # the forget gate
        return cell

    def irnn() -> rnn.Cell:  # Le, Jaitly and Hinton, 2015
        cell = rnn.ElmanCell(inputs, hidden, nonlinearity="relu", bias=False, dtype="float64")
        cell.weight_hh.data = np.eye(hidden)
        return cell

    made = {f"Elman, {name} weights ({radius:g} Q)": lambda radius=radius: elman(radius)
            for name, radius in RADII.items()}  # fmt: skip
    return {**made, "LSTM, forget bias 1": lstm, "IRNN": irnn}


def fading(cell: rnn.Cell, x: Any, state: str) -> Any:
    """The norm of dL/ds at each distance from the last step (T + 1,), 1 at distance 0.

    L weighs the last state by fixed random numbers.
    """
    probe = rnn.Probe(rnn.Recurrent(cell), x)
    last = probe.states[state][-1]
    weights = engine.random.normal(last.shape, 1.0, "loss", dtype=last.dtype)
    norms = probe.gradient_norms(engine.sum(last * weights))[state].numpy()[::-1]
    return norms / norms[0]


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """The curve of every network, on the same inputs."""
    engine.seed(options.seed)
    shape = (options.steps, options.batch, options.inputs)
    x = engine.random.normal(shape, options.scale, "x", dtype=np.dtype("float64"))
    found = {}
    for name, make in networks(options.inputs, options.hidden).items():
        cell = make()
        state = "c" if "c" in cell.state_size else "h"
        found[f"{name}: {state}"] = fading(cell, x, state)
    return found


def plot_fading(curves: dict[str, Any], path: Path) -> None:
    """Gradient norm against distance in time, on a logarithmic scale."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for color, (name, norms) in zip(COLORS, curves.items(), strict=True):
        shown = np.where(norms > 0, norms, np.nan)  # a relu may let nothing through
        axes.semilogy(shown, color=color, label=name)
    axes.set(xlabel="steps back from the loss", ylabel="norm of the gradient, 1 at the loss")
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def run(options: argparse.Namespace) -> None:
    """Measure, print, draw."""
    out = folder(options.out)
    curves = measured(options)
    print(f"what is left of a gradient {options.steps} steps back, and the factor a step:")
    for name, norms in curves.items():
        factor = norms[-1] ** (1 / options.steps)
        print(f"    {name:36} {norms[-1]:10.3g} {factor:8.4f}")
    plot_fading(curves, out / "vanishing.png")
    print(f"written to {out / 'vanishing.png'}")


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, draw. Returns the exit status."""
    return finish("vanishing", lambda: run(parse(arguments)))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = Parser(
        "vanishing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("-T", "--steps", type=whole, default=60, help="time steps (60)")
    add("--hidden", type=whole, default=32, help="hidden units (32)")
    add("--inputs", type=whole, default=8, help="features of the input (8)")
    add("--batch", type=whole, default=4, help="sequences (4)")
    add("--scale", type=positive, default=0.05, help="standard deviation of the inputs (0.05)")
    add("--seed", type=seed, default=0, help="of weights and inputs (0)")
    add("--fast", action="store_true", help="small sizes: a second, only to see it run")
    add("--out", metavar="DIR", default="out", help="where the plot is written (out)")
    return settled(parser, arguments, {"steps": 20, "hidden": 16})


if __name__ == "__main__":
    sys.exit(main())
