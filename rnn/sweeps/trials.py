"""Hold the results of a sweep: its trials, the best of them, and all as a table.

Above `space.py`, below the file and the runs.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.checks import is_real
from rnn.sweeps.space import flat
from rnn.training.figures import BETTER, MODES

WIDEST = 60  # characters of an error in a table
MOST = 20  # trials that are printed unasked


@dataclass(frozen=True)
class Trial:
    """Hold one trial: its settings, its seed, and the metrics it gave or the error it raised.

    `number` counts from 0, `error` is the text of the traceback, `seconds` what the trial took;
    trials compare equal whatever they took.
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

    `space` describes each setting. `monitor` is the figure that is compared, by default "loss" or
    else the first one; `mode` says whether smaller ("min") or larger ("max") is better, which names
    that are known, such as "loss" and "accuracy", say themselves; both may be assigned afterwards.
    `interrupted` says whether a signal ended the sweep before all trials were done.
    """

    trials: list[Trial]
    space: dict[str, str]
    monitor: str | None = None
    mode: str | None = None
    interrupted: bool = False

    @property
    def best(self) -> Trial:
        """Return the trial with the best finite figure, the first of equal ones.

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
        """Return all trials as text, one a line: the best first where it is known what is better,
        those that raised last.
        """
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

        It is written to `path`, in the format of its suffix. Raises ValueError where no trial gave
        a number.
        """
        from rnn.sweeps.plots import plot_sweep

        return plot_sweep(self, path)

    @property
    def compared(self) -> str:
        """Return the name of the figure that is compared. Raises ValueError for an unknown one."""
        names = self.names
        if self.monitor is None:
            return "loss" if "loss" in names or not names else names[0]
        if names and self.monitor not in names:
            raise ValueError(
                f"sweep: no trial gave a figure {self.monitor!r}; there are {', '.join(names)}"
            )
        return self.monitor

    def _compared(self) -> tuple[str, str]:
        """Return the figure that is compared and its mode."""
        name = self.compared
        mode = self.mode if self.mode is not None else BETTER.get(name)
        if mode is None:
            raise ValueError(
                f"sweep: nothing says whether a smaller or a larger {name!r} is better; "
                "give mode='min' or mode='max', or set it: sweep.mode = 'min'"
            )
        return name, check_mode(mode)

    def _ranked(self, name: str, mode: str) -> list[Trial]:
        """Return the trials with a finite figure, the best first."""
        sign = 1 if mode == "min" else -1
        found = [t for t in self.trials if math.isfinite(t.metrics.get(name, math.nan))]
        return sorted(found, key=lambda trial: sign * trial.metrics[name])  # it is stable


def check_mode(mode: Any) -> str:
    """Return a mode. Raises ValueError for any other value."""
    if mode not in MODES:
        raise ValueError(f"sweep: mode must be 'min' or 'max', got {mode!r}")
    return str(mode)


def shown(value: Any) -> str:
    """Return a setting or a figure as short text."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def last_line(trial: Trial) -> str:
    """Return the last line of the traceback of a trial: the error itself."""
    return (trial.error or "").strip().rpartition("\n")[2]


def numbers(given: Any) -> dict[str, float]:
    """Return what a `train` function returned as metrics by name; a number is called "value".

    Raises TypeError for anything else.
    """
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
