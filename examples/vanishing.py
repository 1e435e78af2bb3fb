"""Measure how the gradient of a last loss vanishes or explodes on its way back in time.

Measures, by a probe, the norm of dL/dh at every distance from the last step for networks before any
training, prints how much is left at the first step, and draws it as a plot and as the story of all
networks on one scale. Q is an orthogonal matrix.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import engine
import rnn
import viz
from engine import Tensor
from examples.command import Parser, folder, seed
from examples.task import finish, settled

RADII = (0.8, 1.0, 1.25)
COLORS = ("#9dbfe3", "#1f5fa8", "#8e1212", "#2e7d32", "#5f6368")


def orthogonal(hidden: int, radius: float) -> Any:
    """Return a matrix that turns, and makes everything longer or shorter by `radius`."""
    q = np.linalg.qr(engine.random.normal((hidden, hidden), 1.0, "vanishing").numpy())[0]
    return (radius * q).astype(np.float64)


def networks(inputs: int, hidden: int) -> dict[str, Callable[[], rnn.Cell]]:
    """Return the function that makes each cell, by the name that the plot shows."""

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

    made = {f"Elman {radius:g} Q": lambda radius=radius: elman(radius) for radius in RADII}
    return {**made, "LSTM, forget bias 1": lstm, "IRNN": irnn}


class Run(NamedTuple):
    """Hold a network on its inputs, and a loss: its last state weighed by fixed random numbers."""

    probe: rnn.Probe
    state: str
    loss: Tensor

    @classmethod
    def of(cls, cell: rnn.Cell, x: Any) -> "Run":
        probe = rnn.Probe(rnn.Recurrent(cell), x)
        state = "c" if "c" in cell.state_size else "h"
        last = probe.states[state][-1]
        weights = engine.random.normal(last.shape, 1.0, "loss", dtype=last.dtype)
        return cls(probe, state, engine.sum(last * weights))

    def fading(self) -> Any:
        """Return the norm of dL/ds at each distance from the last step (T + 1,), 1 at 0."""
        norms = self.probe.gradient_norms(self.loss)[self.state].numpy()[::-1]
        return norms / norms[0]


def runs(options: argparse.Namespace) -> dict[str, Run]:
    """Return a run of every network, on the same inputs."""
    engine.seed(options.seed)
    shape = (options.steps, options.batch, options.inputs)
    x = engine.random.normal(shape, options.scale, "x", dtype=np.dtype("float64"))
    made = networks(options.inputs, options.hidden)
    return {name: Run.of(make(), x) for name, make in made.items()}


def measured(found: dict[str, Run]) -> dict[str, Any]:
    """Return the curve of every network."""
    return {f"{name}: {run.state}": run.fading() for name, run in found.items()}


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
    found = runs(options)
    curves = measured(found)
    print(f"what is left of a gradient {options.steps} steps back, and the factor a step:")
    for name, norms in curves.items():
        factor = norms[-1] ** (1 / options.steps)
        print(f"    {name:24} {norms[-1]:10.3g} {factor:8.4f}")
    plot_fading(curves, out / "vanishing.png")
    viz.draw_story({name: run.loss for name, run in found.items()}).render(out / "story.svg")
    print(f"written to {out}: vanishing.png, story.svg")


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, draw. Returns the exit status."""
    return finish("vanishing", lambda: run(parse(arguments)))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the options of the command line."""
    parser = Parser(
        "vanishing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, number = parser.add_argument, parser.number
    number("-T", "--steps", default=60, help="time steps")
    number("--hidden", default=32, help="hidden units")
    number("--inputs", default=8, help="features of the input")
    number("--batch", default=4, help="sequences")
    number("--scale", default=0.05, help="standard deviation of the inputs")
    add("--seed", type=seed, default=0, help="of weights and inputs (0)")
    add("--fast", action="store_true", help="small sizes: a second, only to see it run")
    add("--out", metavar="DIR", default="out", help="where both are written (out)")
    return settled(parser, arguments, {"steps": 20, "hidden": 16})


if __name__ == "__main__":
    sys.exit(main())
