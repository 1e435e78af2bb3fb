"""Check the metrics of a validation and what follows them, as arguments of `fit`.

Early stopping and a schedule follow a metric, for which a smaller or a larger value is better.
Above `run.py`, below `arguments.py`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rnn.metrics import Metric
from rnn.modules.values import nonnegative
from rnn.optim import Optimizer
from rnn.schedules.base import Schedule
from rnn.training.run import MetricOfLoss, Settings

MODES = ("min", "max")
WHEN = ("step", "epoch", "validation")
# What is better, of metrics that are known by name. Those of a `Metric` say it themselves.
BETTER = dict.fromkeys(
    ("loss", "nll", "nats", "bits", "bits_per_character", "perplexity", "error", "mse", "rmse",
     "mae", "cer", "wer"), "min",
) | dict.fromkeys(
    ("accuracy", "f1", "span_f1", "precision", "recall", "auc", "bleu"), "max",
)  # fmt: skip


def named_metrics(given: Any) -> dict[str, MetricOfLoss | Metric]:
    """Return the argument `metrics` by name, in the order given. Raises TypeError or ValueError."""
    if given is None:
        return {}
    if isinstance(given, list | tuple):
        return _by_own_name(given)
    if not isinstance(given, Mapping):
        raise TypeError(
            "fit: metrics must map names to functions of the loss or Metric objects, or be a list "
            f"of Metric objects, got {_told(given)}"
        )
    for name, one in given.items():
        _check_one(name, one)
    _check_apart(given)
    return dict(given)


def check_validation(
    given: Mapping[str, Any], metrics: Mapping[str, MetricOfLoss | Metric]
) -> None:
    """Check what is measured, and what follows from it. Raises TypeError or ValueError."""
    validation = given["validation"]
    if validation is not None and not isinstance(validation, Iterable):
        raise TypeError(
            f"fit: validation must be an iterable of batches, got {type(validation).__name__}"
        )
    if isinstance(validation, Iterator):
        raise ValueError("fit: validation is an iterator, which can be read once; give a list")
    if metrics and validation is None:
        raise ValueError("fit: metrics are of the validation: give validation")
    _check_outputs(given["outputs"], metrics)
    if validation is None and given["evaluate"] is None:
        for name in ("patience", "validate_every", "monitor", "restore_best"):
            if given[name]:
                raise ValueError(f"fit: {name} needs a validation: give validation or evaluate")
    if validation is None and given["validation_steps"] is not None:
        raise ValueError("fit: validation_steps are batches of the validation: give validation")
    if given["mode"] not in (None, *MODES):
        raise ValueError(f"fit: mode must be 'min' or 'max', got {given['mode']!r}")
    nonnegative("fit", "min_delta", given["min_delta"])
    _check_monitor(given, metrics)


def mode_of(
    given: Mapping[str, Any], metrics: Mapping[str, MetricOfLoss | Metric], plateau: bool
) -> str | None:
    """Return whether smaller ("min") or larger ("max") is better of the metric that is watched.

    That is as was said, as a `Metric` says, or as its name says; None for a name without a known
    direction that nothing compares. `plateau` says whether a schedule does. Raises ValueError for
    one that something compares.
    """
    if given["mode"] is not None:
        return str(given["mode"])
    name = given["monitor"] or ("loss" if given["validation"] is not None else None)
    watched = metrics.get(name or "")
    found = watched.better if isinstance(watched, Metric) else BETTER.get(name or "")
    comparing = [key for key in ("patience", "restore_best", "monitor") if given[key]]
    comparing += ["the schedule"] * plateau
    if found is None and comparing:
        what = "the first metric of evaluate" if name is None else repr(name)
        raise ValueError(
            f"fit: {comparing[0]} compares {what}, and nothing says whether a smaller or a larger "
            "one is better; give mode='min' or mode='max'"
        )
    return found


def _by_own_name(given: Iterable[Any]) -> dict[str, MetricOfLoss | Metric]:
    """Return metric objects by the names that they have themselves."""
    found: dict[str, MetricOfLoss | Metric] = {}
    for one in given:
        if not isinstance(one, Metric):
            raise TypeError(
                f"fit: a list of metrics holds Metric objects, got {_told(one)}; functions of the "
                "loss have no name of their own: give a dict"
                + "; write rnn.training.Accuracy() and the like"
                * isinstance(one, str)
            )
        if one.name in found:
            raise ValueError(
                f"fit: two metrics have the name {one.name!r}; give a dict with a name for each"
            )
        _check_one(one.name, one)
        found[one.name] = one
    return found


def _check_one(name: Any, one: Any) -> None:
    """Check a metric and its name."""
    if not isinstance(name, str):
        raise TypeError(f"fit: the name of a metric must be text, got {name!r}")
    if name == "loss":
        raise ValueError(
            "fit: a metric has the name 'loss', which is the mean loss itself; give another"
        )
    if isinstance(one, type) and issubclass(one, Metric):
        raise TypeError(
            f"fit: metric {name!r} is the class {one.__name__}; make one: {one.__name__}(...)"
        )
    if isinstance(one, Metric):
        if one.better not in MODES:
            raise ValueError(
                f"fit: metric {name!r}: better must be 'min' or 'max', got {one.better!r}"
            )
    elif not callable(one):
        raise TypeError(
            "fit: metrics must map names to functions of the loss or Metric objects, got "
            f"{_told(one)} for {name!r}"
        )


def _check_apart(metrics: Mapping[str, Any]) -> None:
    """Raise ValueError for one Metric under two names, which would take each batch twice."""
    seen: list[tuple[str, Metric]] = []
    for name, one in metrics.items():
        if not isinstance(one, Metric):
            continue
        for other, before in seen:
            if before is one:
                raise ValueError(f"fit: metrics {other!r} and {name!r} are one object; make two")
        seen.append((name, one))


def _check_outputs(outputs: Any, metrics: Mapping[str, MetricOfLoss | Metric]) -> None:
    """Check that metric objects and the function that feeds them go together."""
    if outputs is not None and not callable(outputs):
        raise TypeError(f"fit: outputs must be a function, got {_told(outputs)}")
    fed = [name for name, one in metrics.items() if isinstance(one, Metric)]
    if fed and outputs is None:
        raise ValueError(
            f"fit: metric {fed[0]!r} needs what its update takes: give outputs(model, batch)"
        )
    if outputs is not None and not fed:
        raise ValueError("fit: outputs feeds Metric objects, and there are none: give metrics")


def _check_monitor(given: Mapping[str, Any], metrics: Mapping[str, MetricOfLoss | Metric]) -> None:
    """Check that the metric that is watched is there, unless only `evaluate` can tell."""
    known, monitor = ["loss", *metrics], given["monitor"]
    if monitor is not None and not isinstance(monitor, str):
        raise TypeError(f"fit: monitor must be the name of a metric, got {_told(monitor)}")
    if monitor not in (None, *known) and given["evaluate"] is None:
        raise ValueError(f"fit: monitor {monitor!r} is none of {', '.join(sorted(known))}")


def _told(given: Any) -> str:
    """Return what was given, in a word."""
    return f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__


def made_schedule(given: Mapping[str, Any], optimizer: Optimizer) -> Schedule | None:
    """Return the schedule, made where a function makes it."""
    schedule, when = given["schedule"], given["schedule_every"]
    if when not in (None, *WHEN):
        raise ValueError(f"fit: schedule_every must be one of {', '.join(WHEN)}, got {when!r}")
    if schedule is None:
        return None
    if not isinstance(schedule, Schedule):
        if not callable(schedule):
            raise TypeError(
                "fit: schedule must be a Schedule or a function of the optimizer that makes one, "
                f"got {type(schedule).__name__}"
            )
        schedule = schedule(optimizer)
        if not isinstance(schedule, Schedule):
            raise TypeError(f"fit: schedule made a {type(schedule).__name__}, expected a Schedule")
    if schedule.optimizer is not optimizer:
        raise ValueError("fit: the schedule is of another optimizer; give that one, too")
    unmeasured = given["validation"] is None and given["evaluate"] is None
    if unmeasured and (when == "validation" or takes_metrics(schedule, when)):
        raise ValueError("fit: the schedule follows a validation: give validation or evaluate")
    return schedule


def takes_metrics(schedule: Schedule | None, when: str | None) -> bool:
    """Return whether a schedule compares metrics of validations, be it in its last part only."""
    return schedule is not None and schedule.takes_metric and when in (None, "validation")


def follow(schedule: Schedule | None, when: str | None, mode: str | None) -> None:
    """Tell a schedule what is better of the metric that it takes: a loss, or the one watched."""
    if schedule is None or not schedule.takes_metric:
        return
    try:
        schedule.follow(mode or "min" if takes_metrics(schedule, when) else "min")
    except ValueError as error:
        raise ValueError(f"fit: {error}") from None


def check_length(own: Settings) -> None:
    """Raise ValueError for a schedule that is over before the run is, where that can be known."""
    schedule = own.schedule
    if schedule is None or schedule.length is None:
        return
    when = own.schedule_every or ("validation" if schedule.takes_metric else "step")
    taken = _moments(own, when)
    if taken is None:
        return
    taken += 0 if own.resume else schedule.steps
    if taken > schedule.length:
        raise ValueError(
            f"fit: {type(schedule).__name__} is over after {schedule.length} steps, and this run "
            f"takes {taken} of them, one every {when}; make it longer or the run shorter"
        )


def _moments(own: Settings, when: str) -> int | None:
    """Return how many steps, epochs or validations a run has, None where that is not known."""
    each = own.steps_per_epoch
    if when == "validation" and own.validate_every:
        each = own.validate_every
    elif when != "step" and own.epochs is not None:
        return own.epochs
    if own.total is None or when == "step":
        return own.total
    return None if not each else own.total // each if when == "epoch" else -(-own.total // each)
