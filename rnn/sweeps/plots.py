"""Draw the figure that a sweep compares over each setting, a panel a setting.

Below `trials.py`, which asks for it; matplotlib is imported when there is something to draw.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.checks import is_real
from rnn.training.plots import BACKWARD, FORWARD, GREY, check_plot

if TYPE_CHECKING:
    from rnn.sweeps.trials import Sweep, Trial

WIDTH, HEIGHT, DPI = 8, 2.8, 100  # inches, of a row of panels; 800 px wide
COLUMNS = 3
WIDE = 50  # from this ratio of the largest to the smallest on, an axis is logarithmic


def plot_sweep(sweep: "Sweep", path: str | Path | None = None) -> Any:
    """Draw the figure that `sweep` compares over every setting with more than one value.

    Trials that raised or gave no finite number are ticks at the foot; the best has a ring. Returns
    the figure of matplotlib, written to `path` where there is one. Raises ValueError where there is
    nothing to draw.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if path is not None:
        path = Path(path)
        check_plot(path, "sweep")
    best = sweep.best
    name = sweep.compared
    panels = [one for one in sweep.space if len({str(t.settings[one]) for t in sweep.trials}) > 1]
    if not panels:
        raise ValueError("sweep: there is one value of each setting, and nothing to draw")
    rows, columns = math.ceil(len(panels) / COLUMNS), min(COLUMNS, len(panels))
    figure = Figure(figsize=(WIDTH, HEIGHT * rows + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for place, (one, setting) in enumerate(zip(axes, panels, strict=False)):
        _draw(one, sweep.trials, setting, name, best)
        if place % columns == 0:
            one.set_ylabel(name)
    for unused in axes[len(panels) :]:
        unused.remove()
    marks = axes[0].get_legend_handles_labels()
    figure.legend(*marks, loc="outside upper center", ncols=3, frameon=False)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # No date and no random names in the file: the same trials give the same bytes.
        with rc_context({"svg.hashsalt": "sweep"}):
            metadata = {"Date": None} if path.suffix == ".svg" else None
            figure.savefig(path, dpi=DPI, metadata=metadata)
    return figure


def _draw(axes: Any, trials: Sequence["Trial"], setting: str, name: str, best: "Trial") -> None:
    """Draw one panel."""
    values = [trial.settings[setting] for trial in trials]
    labels = None if all(map(is_real, values)) else list(dict.fromkeys(map(str, values)))
    xs = values if labels is None else [labels.index(str(value)) for value in values]
    ys = [trial.metrics.get(name, math.nan) for trial in trials]
    good = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(y)]
    bad = [x for x, y in zip(xs, ys, strict=True) if not math.isfinite(y)]
    axes.plot(*zip(*good, strict=True), "o", color=FORWARD, alpha=0.6, markersize=5,
              markeredgewidth=0, label="trial")  # fmt: skip
    told = f"best: {best.metrics[name]:.4g} (trial {best.number})"
    axes.plot(xs[trials.index(best)], best.metrics[name], "o", color="black", markersize=10,
              fillstyle="none", label=told)  # fmt: skip
    if bad:
        axes.plot(bad, [0.02] * len(bad), "|", color=BACKWARD, markersize=10,
                  transform=axes.get_xaxis_transform(), label="raised, or no number")  # fmt: skip
    if labels is not None:
        axes.set_xticks(range(len(labels)), labels)
        axes.set_xlim(-0.5, len(labels) - 0.5)
    elif _is_wide(xs):
        axes.set_xscale("log")
    if _is_wide([y for _, y in good]):
        axes.set_yscale("log")
    axes.set_xlabel(setting)
    axes.grid(color="#e6e6e6", linewidth=0.6)
    axes.tick_params(colors=GREY, labelcolor="black")


def _is_wide(numbers: Sequence[float]) -> bool:
    """Return whether numbers span so much that their logarithm shows more."""
    return min(numbers) > 0 and max(numbers) > WIDE * min(numbers)
