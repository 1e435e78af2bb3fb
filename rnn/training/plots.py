"""The picture of a run: loss and gradient norm over the steps, in a file or on a screen.

Below the loop; matplotlib is imported when there is something to draw.
"""

import math
from pathlib import Path
from typing import Any

from engine.backends import HOST
from rnn.training.history import History

# As in the diagrams: blue forward, red backward.
FORWARD, FAINT, BACKWARD, GREY = "#1f5fa8", "#9dbfe3", "#8e1212", "#5f6368"
SIZE = (8, 6)  # inches
SPANS = 40  # how many windows of the running mean fit into the run


def plot_history(history: History, path: str | Path | None = None) -> Any:
    """Draw the losses and gradient norms of a run; returns the figure of matplotlib.

    With a `path` it is written there, in the format of its suffix, without a screen. Without one it
    is shown in a window where matplotlib has one; a notebook shows the figure that is returned.
    Raises OSError where it cannot be written, ValueError for a suffix that matplotlib has not.

    >>> import rnn, tempfile
    >>> history = rnn.History([rnn.training.Step(n, 0, 1 / n, 0.1, 0.5, 0.0) for n in (1, 2, 3)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     figure = rnn.training.plot_history(history, f"{folder}/run.svg")
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['loss', 'norm before clipping, rate']
    """
    if path is None:
        return _shown(history)
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=SIZE, layout="constrained")
    FigureCanvasAgg(figure)
    _draw(figure, history)
    # No date and no random names in the file: the same run gives the same bytes.
    metadata = {"Date": None} if path.suffix == ".svg" else None
    with rc_context({"svg.hashsalt": "run"}):
        figure.savefig(path, dpi=120, metadata=metadata)
    return figure


def _shown(history: History) -> Any:
    """Return the figure, in a window where there are windows."""
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=SIZE, layout="constrained")
    _draw(figure, history)
    if figure.canvas.required_interactive_framework is not None:
        pyplot.show()
    else:
        pyplot.close(figure)  # else a notebook shows it twice: as a figure, and as a value
    return figure


def _draw(figure: Any, history: History) -> None:
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    _draw_losses(above, history)
    _draw_norms(below, history)


def check_plot(path: str | Path, where: str = "fit") -> None:
    """Raise ValueError for a suffix that matplotlib has not: better now than after the run."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    kinds = FigureCanvasAgg.get_supported_filetypes()
    suffix = Path(path).suffix.removeprefix(".").lower()
    if suffix and suffix not in kinds:
        raise ValueError(
            f"{where}: plot {path} cannot be of the kind {suffix!r}; expected one of "
            f"{', '.join(sorted(kinds))}"
        )


def _draw_losses(axes: Any, history: History) -> None:
    steps = [record.step for record in history.steps]
    axes.plot(steps, history.losses, color=FAINT, linewidth=0.8, label="loss of a step")
    mean = _running_mean(history.losses)
    axes.plot(steps[len(steps) - len(mean) :], mean, color=FORWARD, label="running mean")
    metrics = [(one.step, one.metrics["loss"]) for one in history.validations
               if "loss" in one.metrics]  # fmt: skip
    if metrics:
        axes.plot(*zip(*metrics, strict=True), color="black", linestyle="--", marker="o",
                  markersize=3.5, label="validation")  # fmt: skip
    best = history.best
    if best is not None and "loss" in best.metrics:
        axes.plot(best.step, best.metrics["loss"], "o", markersize=9, fillstyle="none",
                  color="black", label=f"best: {best.metrics['loss']:.4g}")  # fmt: skip
    axes.set(ylabel="loss")
    axes.grid(color="#e6e6e6", linewidth=0.6)
    axes.legend(frameon=False)


def _draw_norms(axes: Any, history: History) -> None:
    steps = [record.step for record in history.steps]
    norms = [record.grad_norm or math.nan for record in history.steps]  # 0 has no logarithm
    axes.plot(steps, norms, color=BACKWARD, linewidth=0.8, label="gradient norm")
    rates = [record.lr or math.nan for record in history.steps]
    axes.plot(steps, rates, color=GREY, linestyle=":", label="learning rate")
    if any(x > 0 for x in (*norms, *rates)):
        axes.set_yscale("log")
    axes.set(xlabel="step", ylabel="norm before clipping, rate")
    axes.grid(color="#e6e6e6", linewidth=0.6)
    axes.legend(frameon=False)


def _running_mean(values: list[float]) -> list[float]:
    """Return the mean over a window that slides over the values."""
    if not values:
        return []
    xp = HOST.xp
    span = max(1, len(values) // SPANS)
    sums = xp.concatenate((xp.zeros(1), xp.cumsum(xp.asarray(values, dtype="float64"))))
    return ((sums[span:] - sums[:-span]) / span).tolist()  # type: ignore[no-any-return]
