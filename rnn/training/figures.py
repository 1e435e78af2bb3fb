"""Which figures a validation gives and which of them is watched: those arguments of `fit`, checked.

Above `metrics.py`, below `arguments.py`.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from engine.checks import is_real
from rnn.training.metrics import Metric

Figure = Callable[[float], float]
MODES = ("min", "max")
# What is better, of figures that are known by name. Those of a `Metric` say it themselves.
BETTER = dict.fromkeys(
    ("loss", "nll", "nats", "bits", "bits_per_character", "perplexity", "error", "mse", "rmse",
     "mae", "cer", "wer"), "min",
) | dict.fromkeys(
    ("accuracy", "f1", "span_f1", "precision", "recall", "auc", "bleu"), "max",
)  # fmt: skip


def named_metrics(given: Any) -> dict[str, Figure | Metric]:
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


def check_validation(given: Mapping[str, Any], metrics: Mapping[str, Figure | Metric]) -> None:
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
    delta = given["min_delta"]
    if not is_real(delta) or not 0 <= float(delta) < math.inf:
        raise ValueError(f"fit: min_delta must be a finite number of at least 0, got {delta!r}")
    _check_monitor(given, metrics)


def mode_of(
    given: Mapping[str, Any], metrics: Mapping[str, Figure | Metric], plateau: bool
) -> str | None:
    """Return whether smaller ("min") or larger ("max") is better of the figure that is watched.

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
        what = "the first figure of evaluate" if name is None else repr(name)
        raise ValueError(
            f"fit: {comparing[0]} compares {what}, and nothing says whether a smaller or a larger "
            "one is better; give mode='min' or mode='max'"
        )
    return found


def _by_own_name(given: Iterable[Any]) -> dict[str, Figure | Metric]:
    """Return metric objects by the names that they have themselves."""
    found: dict[str, Figure | Metric] = {}
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


def _check_outputs(outputs: Any, metrics: Mapping[str, Figure | Metric]) -> None:
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


def _check_monitor(given: Mapping[str, Any], metrics: Mapping[str, Figure | Metric]) -> None:
    """Check that the figure that is watched is there, unless only `evaluate` can tell."""
    known, monitor = ["loss", *metrics], given["monitor"]
    if monitor is not None and not isinstance(monitor, str):
        raise TypeError(f"fit: monitor must be the name of a figure, got {_told(monitor)}")
    if monitor not in (None, *known) and given["evaluate"] is None:
        raise ValueError(f"fit: monitor {monitor!r} is none of {', '.join(sorted(known))}")


def _told(given: Any) -> str:
    """Return what was given, in a word."""
    return f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
