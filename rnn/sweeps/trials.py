"""Hold the results of a sweep: its trials, the best of them, all as a table, and as a picture.

Above `space.py`, below the file and the runs. matplotlib is imported when something is drawn.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.checks import is_real
from rnn.sweeps.space import flat
from rnn.training.monitoring import BETTER, MODES
from rnn.training.progress import BACKWARD, FORWARD, GREY, check_plot, new_figure, write_figure

WIDEST = 60  # characters of an error in a table
MOST = 20  # trials that are printed unasked
WIDTH, HEIGHT, DPI = 8, 2.8, 100  # inches, of a row of panels; 800 px wide
COLUMNS = 3
WIDE = 50  # from this ratio of the largest to the smallest on, an axis is logarithmic


@dataclass(frozen=True)
class Trial:
    """Hold one trial: its settings, its seed, and the metrics it gave or the error it raised.

    `number` counts from 0, `error` is the text of the traceback, `seconds` what the trial took;
    trials compare equal for any time.

    >>> import rnn
    >>> rnn.sweeps.Trial(0, {"net": {"hidden": 5}}, 1, {"loss": 0.5}).settings
    {'net.hidden': 5}
    """

    number: int
    config: dict[str, Any]
    seed: int
    metrics: dict[str, float]
    error: str | None = None
    seconds: float = field(default=0.0, compare=False)

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings by name, nested ones by dotted name."""
        return flat(self.config)


@dataclass(repr=False)
class Sweep:
    """Hold the trials of a sweep by their numbers. It prints as a table, the best first.

    `space` describes each setting. `monitor` is the metric that is compared, by default "loss" or
    else the first one; `mode` says whether smaller ("min") or larger ("max") is better, which names
    that are known, such as "loss" and "accuracy", say themselves; both may be assigned afterwards.
    `interrupted` says whether a signal ended the sweep before all trials were done.

    >>> import rnn
    >>> trials = [rnn.sweeps.Trial(n, {"lr": lr}, n, {"loss": lr}) for n, lr in enumerate([1, 0.1])]
    >>> rnn.sweeps.Sweep(trials, {"lr": "choice"}).best.config
    {'lr': 0.1}
    """

    trials: list[Trial]
    space: dict[str, str]
    monitor: str | None = None
    mode: str | None = None
    interrupted: bool = False

    @property
    def best(self) -> Trial:
        """Return the trial with the best finite metric, the first of equal ones.

        Raises ValueError where there is none, or nothing says what is better.
        """
        ranked = self._ranked(*self._compared())
        if not ranked:
            failed = self.failed
            why = f"; trial {failed[0].number} raised {last_line(failed[0])}" if failed else ""
            raise ValueError(
                f"sweep: none of {len(self.trials)} trials gave a finite {self.compared!r}{why}"
            )
        return ranked[0]

    @property
    def failed(self) -> list[Trial]:
        """Return the trials that raised."""
        return [trial for trial in self.trials if trial.error is not None]

    @property
    def names(self) -> list[str]:
        """Return the names of all metrics, in the order in which they first come."""
        return list(dict.fromkeys(name for trial in self.trials for name in trial.metrics))

    def table(self) -> str:
        """Return all trials as text, one a line: the best first, those that raised last."""
        try:
            first = self._ranked(*self._compared())
        except ValueError:
            first = []
        told = {trial.number for trial in first}
        others = [t for t in self.trials if t.number not in told and t.error is None]
        settings = list(self.space)
        rows = [["trial", *settings, *self.names, "seconds"]]
        for trial in [*first, *others, *self.failed]:
            own = trial.settings
            row = [str(trial.number), *(shown(own.get(name, "")) for name in settings)]
            row += [shown(trial.metrics.get(name, "")) for name in self.names]
            rows.append([*row, f"{trial.seconds:.3g}"])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(x.rjust(n) for x, n in zip(row, widths, strict=True)) for row in rows]
        for place, trial in enumerate(self.failed, len(lines) - len(self.failed)):
            lines[place] += f"  {last_line(trial)[:WIDEST]}"
        return "\n".join(lines)

    def __repr__(self) -> str:
        ended = ", interrupted" if self.interrupted else ""
        failed = f", {len(self.failed)} raised" if self.failed else ""
        head, *rows = self.table().splitlines()
        more = len(rows) - MOST
        told = [*rows[:MOST], f"  and {more} more, see table()"] if more > 0 else rows
        return "\n".join([f"Sweep of {len(self.trials)} trials{failed}{ended}", head, *told])

    def plot(self, path: str | Path | None = None) -> Any:
        """Draw the monitored figure over each setting that varies; returns matplotlib's figure.

        Trials that raised or gave no finite number are ticks at the foot; the best has a ring. It
        is written to `path`, in the format of its suffix. Raises ValueError where no trial gave a
        number, or no setting varies.
        """
        return _plotted(self, path)

    @property
    def compared(self) -> str:
        """Return the name of the metric that is compared. Raises ValueError for an unknown one."""
        names = self.names
        if self.monitor is None:
            return "loss" if "loss" in names or not names else names[0]
        if names and self.monitor not in names:
            raise ValueError(
                f"sweep: no trial gave a metric {self.monitor!r}; there are {', '.join(names)}"
            )
        return self.monitor

    def _compared(self) -> tuple[str, str]:
        """Return the metric that is compared and its mode."""
        name = self.compared
        mode = self.mode if self.mode is not None else BETTER.get(name)
        if mode is None:
            raise ValueError(
                f"sweep: nothing says whether a smaller or a larger {name!r} is better; "
                "give mode='min' or mode='max', or set it: sweep.mode = 'min'"
            )
        return name, check_mode(mode)

    def _ranked(self, name: str, mode: str) -> list[Trial]:
        """Return the trials with a finite metric, the best first."""
        sign = 1 if mode == "min" else -1
        found = [t for t in self.trials if math.isfinite(t.metrics.get(name, math.nan))]
        return sorted(found, key=lambda trial: sign * trial.metrics[name])  # it is stable


def check_mode(mode: Any) -> str:
    """Return a mode. Raises ValueError for any other value."""
    if mode not in MODES:
        raise ValueError(f"sweep: mode must be 'min' or 'max', got {mode!r}")
    return str(mode)


def shown(value: Any) -> str:
    """Return a setting or a metric as short text."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def last_line(trial: Trial) -> str:
    """Return the last line of the traceback of a trial: the error itself."""
    return (trial.error or "").strip().rpartition("\n")[2]


def numbers(given: Any) -> dict[str, float]:
    """Return metrics by name; a number is called "value". Raises TypeError for anything else."""
    metrics = given if isinstance(given, Mapping) else {"value": given}
    odd = [
        name for name, x in metrics.items() if not isinstance(name, str) or not is_real(_item(x))
    ]
    if odd or not metrics:
        told = f"{odd[0]!r}: {type(metrics[odd[0]]).__name__}" if odd else "none"
        told = told if isinstance(given, Mapping) else f"a {type(given).__name__}"
        raise TypeError(
            "sweep: train must return a number, or metrics by name such as {'loss': 0.5}; "
            f"got {told}"
        )
    return {name: float(_item(x)) for name, x in metrics.items()}


def _item(value: Any) -> Any:
    """Return the number in an array or tensor of one element, any other value as it is."""
    try:
        return value.item() if hasattr(value, "item") else value
    except (TypeError, ValueError):  # of several elements
        return value


def _plotted(sweep: Sweep, path: str | Path | None) -> Any:
    """Return a figure of matplotlib with a panel for every setting of more than one value."""
    if path is not None:
        path = Path(path)
        check_plot(path, "sweep")
    best = sweep.best
    name = sweep.compared
    panels = [one for one in sweep.space if len({str(t.settings[one]) for t in sweep.trials}) > 1]
    if not panels:
        raise ValueError("sweep: there is one value of each setting, and nothing to draw")
    rows, columns = math.ceil(len(panels) / COLUMNS), min(COLUMNS, len(panels))
    figure = new_figure((WIDTH, HEIGHT * rows + 0.4))
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
        write_figure(figure, path, dpi=DPI)
    return figure


def _draw(axes: Any, trials: Sequence[Trial], setting: str, name: str, best: Trial) -> None:
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
