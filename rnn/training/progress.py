"""Show a run: a bar in a terminal or a notebook, elsewhere a line now and then; and its picture.

Above `history.py`, below the loop; tqdm and matplotlib are imported when something is drawn.
"""

import math
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from engine.backends import HOST
from rnn.training.history import History, Step, Validation, shown

EVERY = 30.0  # seconds between lines where there is no bar


class Progress:
    """Show steps and validations on stderr; nothing where `shown` is false.

    The bar is tqdm's. Without a terminal or a notebook there is at most a line every half minute,
    so that short runs say nothing. Without `steps` there are validations alone.
    """

    def __init__(self, shown: bool, total: int | None, initial: int, *, steps: bool = True) -> None:
        self._kind = _bar() if shown else None
        self._lines = shown and self._kind is None
        self._total, self._done = total, initial
        self._next = time.monotonic() + EVERY
        self._bar = self._made(total=total, initial=initial, unit="step") if steps else None
        self._metrics = ""

    def step(self, record: Step) -> None:
        """Show one step more, with its loss, gradient norm and rate."""
        self._done = record.step
        if self._bar is None and not self._lines:
            return
        told = (
            f"loss {record.loss:.4g}, gradient norm {record.grad_norm:.3g}, "
            f"lr {record.lr:.3g}{self._metrics}"
        )
        if self._bar is not None:
            self._bar.set_postfix_str(told, refresh=False)
            self._bar.update()
        self._say(f"step {_of(self._done, self._total)}, epoch {record.epoch}: {told}")

    def through(self, batches: Iterable[Any], total: int | None) -> Iterator[Any]:
        """Yield the batches of a validation, and show how many are done."""
        bar = self._made(total=total, unit="batch", desc="validation", leave=False)
        try:
            for number, batch in enumerate(batches):
                self._say(f"step {_of(self._done, self._total)}: validation, {_of(number, total)}")
                yield batch
                if bar is not None:
                    bar.update()
        finally:
            if bar is not None:
                bar.close()

    def validation(self, record: Validation) -> None:
        """Show the metrics of a validation from here on."""
        self._metrics = f"; validation: {shown(record.metrics)}"

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()

    def _made(self, **options: Any) -> Any:
        """Return a bar, None where none is shown."""
        return None if self._kind is None else self._kind(dynamic_ncols=True, **options)

    def _say(self, line: str) -> None:
        """Print a line, if the last one was long enough ago."""
        if self._lines and time.monotonic() >= self._next:
            print(line, file=sys.stderr, flush=True)
            self._next = time.monotonic() + EVERY


def _of(done: int, total: int | None) -> str:
    return f"{done:,}" if total is None else f"{done:,} of {total:,}"


def _bar() -> Any:
    """Return the kind of bar that can be shown here: that of a notebook, of a terminal, or None."""
    if "IPython" in sys.modules:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tqdm says so where a notebook has no widgets
            from tqdm.auto import tqdm as auto
            from tqdm.notebook import tqdm_notebook
        if issubclass(auto, tqdm_notebook):
            return auto
    if sys.stderr is None or not sys.stderr.isatty():
        return None
    from tqdm import tqdm  # takes a tenth of the time of `import rnn`

    return tqdm


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
    figure = new_figure(SIZE)
    _draw(figure, history)
    write_figure(figure, Path(path), dpi=120)
    return figure


def new_figure(size: tuple[float, float]) -> Any:
    """Return an empty figure of matplotlib, in inches, that needs no screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def write_figure(figure: Any, path: Path, *, dpi: int) -> None:
    """Write a figure without a date and random names: the same numbers give the same bytes."""
    from matplotlib import rc_context

    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"Date": None} if path.suffix == ".svg" else None
    with rc_context({"svg.hashsalt": "run"}):
        figure.savefig(path, dpi=dpi, metadata=metadata)


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
