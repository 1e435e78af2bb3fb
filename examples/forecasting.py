"""Forecast the next value of a time series, given the values before it: many to one.

Data: airline passengers, monthly and yearly sunspots, daily minimum temperatures, in time order;
without them a generated series with a trend and a season. The last part of a series is the test and
the last fifth of what is before it the validation; means and standard deviations are those of what
is before the test. Every forecast is one step ahead: the true values up to it are known.

A network reads a window of changes (and of values, where the series has no trend) on a scale on
which the noise is even, and says the next change. The figure is the root of the mean squared error
(RMSE) in the units of the data, over all test steps. The floors: persistence says the last value
again, the seasonal one the value of a season ago.
"""

import argparse
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import engine
import rnn
from engine import Tensor
from examples.command import whole
from examples.data import found
from examples.layers import LAYERS, NAMED, NAMES
from examples.task import (
    Result,
    begin,
    finish,
    fitted,
    outputs,
    result,
    resumable,
    settled,
    share,
    task_parser,
    validated,
)
from rnn.data import ArrayBatches, Batch, read_table, windows

EVERY = 20  # updates between two validations


class Scale(NamedTuple):
    """Map values to a scale on which the noise of a series is even, and back."""

    there: Callable[[Any], Any]
    back: Callable[[Any], Any]


LOGARITHM = Scale(np.log, np.exp)  # growth in percent
ROOT = Scale(np.sqrt, lambda z: np.maximum(z, 0.0) ** 2)  # counts
PLAIN = Scale(lambda z: z, lambda z: z)


class Series(NamedTuple):
    """Describe a series: file, season in steps, the share before the test, how it is read."""

    file: str
    season: int
    share: float
    scale: Scale
    window: int
    values: bool  # whether values are read beside changes: not where there is a trend


SERIES = {
    "airline": Series("airline-passengers.csv", 12, 2 / 3, LOGARITHM, 12, False),
    "monthly": Series("monthly-sunspots.csv", 132, 0.8, ROOT, 24, True),
    "yearly": Series("sunspots-yearly.csv", 11, 0.8, ROOT, 11, True),
    "temperatures": Series("daily-min-temperatures.csv", 365, 0.8, PLAIN, 30, True),
    "generated": Series("", 12, 0.8, LOGARITHM, 12, False),
}


class Forecaster(rnn.Module):
    """Read a window by a recurrent layer, and give the change that its last state says.

    x (T, B, I) -> (B, 1).
    """

    def __init__(self, cell: str, features: int, hidden: int, dropout: float) -> None:
        self.dropout = dropout
        self.recurrent = LAYERS[cell](features, hidden)
        self.head = rnn.Linear(hidden, 1)

    def forward(self, x: Any) -> Tensor:
        y, _ = self.recurrent(engine.asarray(x, device=self.head.weight.device))
        last = engine.dropout(y[-1], self.dropout) if self.training else y[-1]
        change: Tensor = self.head(last)
        return change


class Task:
    """Hold a series as windows x (N, W, I), the change after each, y (N, 1), and the way back.

    `times` (N,) are the places in the series that are to be forecast; the test begins at `cut`,
    the validation at `before`.
    """

    def __init__(self, raw: Any, series: Series, size: int) -> None:
        self.raw, self.series, self.cut = raw, series, int(len(raw) * series.share + 1e-9)
        self.before = self.cut - self.cut // 5
        if self.before < size + 3 or self.cut < series.season:
            raise ValueError(
                f"the series has {len(raw)} values, too few for windows of {size} and a season of "
                f"{series.season}"
            )
        with np.errstate(all="ignore"):
            scaled = series.scale.there(raw)
        if not np.isfinite(scaled).all():
            raise ValueError("the series has values for which its scale has none; are some 0?")
        known = scaled[: self.cut]
        if not np.diff(known).std() > 0:
            raise ValueError("the series never changes, or always by as much: nothing to learn")
        self.mean, self.deviation = known.mean(), known.std()
        self.z = (scaled - self.mean) / self.deviation
        changes = np.diff(self.z)
        self.size = changes[: self.cut - 1].std()
        changes = changes / self.size
        seen = np.stack([self.z[1:], changes], axis=1) if series.values else changes[:, None]
        x, y = windows(seen.astype(np.float32), size)
        self.x, self.y = x, y[:, 0, -1:]
        self.times = np.arange(len(x)) + size + 1

    def examples(self, start: int, stop: int) -> Any:
        """Return the indices of the windows that forecast places from `start` to before `stop`."""
        return np.flatnonzero((self.times >= start) & (self.times < stop))

    def error(self, model: Forecaster, start: int, stop: int) -> float:
        """Return the RMSE of forecasts of those places, in the units of the series."""
        own = self.examples(start, stop)
        with engine.no_grad():
            change = model.eval()(self.x[own].swapaxes(0, 1)).numpy()[:, 0]
        z = self.z[self.times[own] - 1] + change * self.size
        forecast = self.series.scale.back(z * self.deviation + self.mean)
        return rmse(forecast, self.raw[self.times[own]])

    def floors(self) -> dict[str, float]:
        """Return the RMSE on the test of the last value, and of the one a season ago."""
        late, raw, season = np.arange(self.cut, len(self.raw)), self.raw, self.series.season
        return {
            "persistence": rmse(raw[late - 1], raw[late]),
            "seasonal": rmse(raw[late - season], raw[late]),
        }


def rmse(ours: Any, theirs: Any) -> float:
    return math.sqrt(np.mean((ours - theirs) ** 2))


# ---- data


def read(path: Path) -> Any:
    """Read the second column of a table with a header, as numbers."""
    rows = [row for (row,) in read_table(path, columns=[1], header=True)]
    try:
        return np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise ValueError(f"{path}: its second column must hold numbers: {error}") from error


def generated() -> Any:
    """Twenty years of months: growth, a season of 12 and noise, all of them in percent."""
    month = np.arange(240)
    noise = engine.random.generator("forecasting").normal(0.0, 0.03, 240)
    return 100 * np.exp(0.008 * month + 0.3 * np.sin(2 * np.pi * month / 12) + noise)


def task_of(options: argparse.Namespace) -> Task:
    """Return the series that was asked for, the generated one without it."""
    series = SERIES[options.series]
    path = options.data
    if path is None and series.file and not options.fast:
        path = found(f"timeseries/{series.file}")
    if path is None:
        print("no data given: forecasting a generated series")
        options.series = "generated"
        series = SERIES[options.series]
    raw = generated() if path is None else read(path)
    try:
        return Task(raw, series, options.window or series.window)
    except ValueError as error:
        raise ValueError(f"{path or options.series}: {error}") from error


# ---- training


def loss(model: Forecaster, batch: Batch) -> Tensor:
    """Return the mean squared error of the changes."""
    changes = model(batch.x)
    return engine.mean((changes - engine.asarray(batch.y, device=changes.device)) ** 2)


def run(options: argparse.Namespace) -> Result:
    """Train, choose the moment by the validation, measure on the test."""
    began = begin(options)
    task = task_of(options)
    model = Forecaster(options.cell, task.x.shape[-1], options.hidden, options.dropout)
    model.to(options.device)
    first = task.examples(0, task.before)
    history = fitted(
        "forecasting",
        model,
        ArrayBatches(task.x[first], task.y[first], batch_size=options.batch, y_steps=False),
        loss,
        optimizer=rnn.optim.Adam(model.parameters(), options.lr),
        steps=options.steps,
        evaluate=lambda _: {"rmse": task.error(model, task.before, task.cut)},
        validate_every=EVERY,
        monitor="rmse",
        patience=options.patience,
        clip_norm=1.0,
        **outputs(options),
    )
    own = {"rmse": task.error(model, task.cut, len(task.raw))}
    own |= {"valid": task.error(model, task.before, task.cut), **task.floors()}
    own |= {"test steps": len(task.raw) - task.cut}
    return result("forecasting", options, began, own, history, validated(history, "rmse"))


def tell(options: argparse.Namespace) -> None:
    kept = run(options)
    own = kept["figures"]
    print(
        f"{options.data or options.series}: RMSE {own['rmse']:.2f} on the last "
        f"{own['test steps']} steps (validation {own['valid']:.2f}) after {kept['steps']:,} "
        f"updates in {kept['seconds']:.0f} s; persistence {own['persistence']:.2f}, a season ago "
        f"{own['seasonal']:.2f}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Train and measure. Returns the exit status."""
    return finish("forecasting", lambda: tell(parse(arguments)))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the options of the command line."""
    parser = task_parser("forecasting", __doc__)
    add, number = parser.add_argument, parser.number
    add("--data", type=Path, metavar="FILE", help="a table of times and values with a header")
    add("--series", choices=list(SERIES), default="airline", help="its season and scale (airline)")
    add("--window", type=whole, help="values that a forecast reads (a season, 24, 11, 30)")
    add("--cell", default="gru", **NAMED, help=f"of the layer: {NAMES} (gru)")
    number("--hidden", default=32, help="hidden units")
    add("--dropout", type=share, default=0.2, help="on the last state (0.2)")
    number("--batch", default=32, help="windows of an update")
    number("--steps", default=3000, help="at most so many updates")
    add("--patience", type=whole, default=25, help=f"times {EVERY} updates without a better (25)")
    number("--lr", default=3e-3, help="learning rate of Adam")
    resumable(parser)
    return settled(parser, arguments, {"steps": 200, "hidden": 16, "lr": 0.01})


if __name__ == "__main__":
    sys.exit(main())
