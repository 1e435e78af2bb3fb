"""The arguments of `fit`, checked before anything is run. Above `figures.py`, below the loop."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from rnn.module import Module
from rnn.optim import Adam, Optimizer
from rnn.schedules import ReduceLROnPlateau
from rnn.schedules.base import Schedule
from rnn.training import documents
from rnn.training.callbacks import Callback, as_callback
from rnn.training.figures import Figure, check_validation, mode_of, named_metrics
from rnn.training.metrics import Metric
from rnn.training.plots import check_plot

WHEN = ("step", "epoch", "validation")


@dataclass(frozen=True)
class Settings:
    """What `fit` was asked for; see there."""

    model: Module
    data: Any
    loss: Callable[..., Any]
    told: bool  # whether the loss is told how many steps are done
    optimizer: Optimizer
    epochs: int | None
    steps: int | None
    validation: Any
    validation_start: Any  # its state before the run, where it has one: each validation is the same
    evaluate: Callable[[Module], Mapping[str, float]] | None
    metrics: Mapping[str, Figure | Metric]
    outputs: Callable[..., Any] | None
    validate_every: int | None
    monitor: str | None
    mode: str
    patience: int | None
    min_delta: float
    restore_best: bool
    clip_norm: float | None
    schedule: Schedule | None
    schedule_every: str
    carry: bool
    callbacks: tuple[Callback, ...]
    progress: bool
    log: Path | None
    plot: Path | None
    checkpoint: Path | None
    every: int | None
    keep: int
    resume: bool
    config: Any

    @property
    def validates(self) -> bool:
        return self.validation is not None or self.evaluate is not None

    @property
    def stateful(self) -> bool:
        """Whether the data says where it is."""
        return has_state(self.data)

    @property
    def per_epoch(self) -> int | None:
        """The number of batches in an epoch, where the data knows it."""
        return len(self.data) if hasattr(self.data, "__len__") else None

    @property
    def total(self) -> int | None:
        """The number of steps of the whole run, where it is known."""
        if self.steps is not None:
            return self.steps
        if self.epochs is None or self.per_epoch is None:
            return None
        return self.epochs * self.per_epoch


def has_state(data: Any) -> bool:
    """Whether data says where it is, and goes back there."""
    return hasattr(data, "state") and hasattr(data, "restore")


def settings(**given: Any) -> Settings:
    """The arguments of `fit`, in their final form. Raises TypeError or ValueError."""
    _check_what(given)
    _check_counts(given)
    metrics = named_metrics(given["metrics"])
    check_validation(given, metrics)
    _check_files(given)
    optimizer = given["optimizer"]
    if optimizer is None:
        optimizer = Adam(given["model"].parameters())
    schedule, when = _schedule(given, optimizer)
    restore, validation = given["restore_best"], given["validation"]
    return Settings(
        **given
        | {
            "optimizer": optimizer,
            "told": _takes_step(given["loss"]),
            "validation_start": validation.state() if has_state(validation) else None,
            "metrics": metrics,
            "mode": mode_of(given, metrics),
            "restore_best": given["patience"] is not None if restore is None else restore,
            "schedule": schedule,
            "schedule_every": when,
            "callbacks": tuple(as_callback(one) for one in given["callbacks"]),
            **{name: None if given[name] is None else Path(given[name])
               for name in ("log", "plot", "checkpoint")},
        }
    )  # fmt: skip


def _takes_step(loss: Callable[..., Any]) -> bool:
    """Whether a function has a parameter of the name `step`."""
    try:
        return "step" in inspect.signature(loss).parameters
    except ValueError:  # of some built in C nothing is known
        return False


def _check_what(given: Mapping[str, Any]) -> None:
    """What is trained, on what, by what."""
    model, data, optimizer = given["model"], given["data"], given["optimizer"]
    if not isinstance(model, Module):
        raise TypeError(f"fit: model must be a Module, got {type(model).__name__}")
    if not any(x.requires_grad for x in model.parameters()):
        raise ValueError(f"fit: {type(model).__name__} has no parameters to train")
    if not isinstance(data, Iterable):
        raise TypeError(f"fit: data must be an iterable of batches, got {type(data).__name__}")
    for name in ("loss", "evaluate"):
        if not callable(given[name]) and not (name == "evaluate" and given[name] is None):
            raise TypeError(f"fit: {name} must be a function, got {type(given[name]).__name__}")
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"fit: optimizer must be an Optimizer, got {type(optimizer).__name__}; "
            "make one, such as rnn.optim.Adam(model.parameters())"
        )
    if optimizer is not None:
        own = {id(x) for x in model.parameters()}
        if not any(id(x) in own for x in optimizer.parameters):
            raise ValueError(
                "fit: the optimizer has none of the parameters of the model; "
                "make it of model.parameters()"
            )
    if not isinstance(given["callbacks"], Sequence):
        raise TypeError(f"fit: callbacks must be a list, got {type(given['callbacks']).__name__}")


def _check_counts(given: Mapping[str, Any]) -> None:
    """How long, how often."""
    epochs, steps = given["epochs"], given["steps"]
    if (epochs is None) == (steps is None):
        told = "neither" if epochs is None else "both"
        raise ValueError(f"fit: give epochs or steps, got {told}")
    for name in ("epochs", "steps", "validate_every", "patience", "every", "keep"):
        value = given[name]
        if value is not None and (type(value) is not int or value < 1):
            raise ValueError(f"fit: {name} must be an integer of at least 1, got {value!r}")
    if isinstance(given["data"], Iterator) and epochs is not None and epochs > 1:
        raise ValueError(
            f"fit: data is an iterator, which can be read once, and not for {epochs} epochs; "
            "give a list or an object whose __iter__ begins anew"
        )
    clip = given["clip_norm"]
    if clip is not None and (
        isinstance(clip, bool) or not isinstance(clip, Real) or not float(clip) > 0
    ):
        raise ValueError(f"fit: clip_norm must be positive, got {clip!r}")
    for name in ("carry", "progress", "resume"):
        if not isinstance(given[name], bool):
            raise TypeError(f"fit: {name} must be True or False, got {given[name]!r}")
    if given["restore_best"] not in (None, True, False):
        raise TypeError(f"fit: restore_best must be True or False, got {given['restore_best']!r}")


def _check_files(given: Mapping[str, Any]) -> None:
    """Where things are written."""
    for name in ("log", "plot", "checkpoint"):
        if given[name] is not None and not isinstance(given[name], str | Path):
            raise TypeError(f"fit: {name} must be a path, got {type(given[name]).__name__}")
    for name in ("log", "plot"):
        if given[name] is not None and Path(given[name]).is_dir():
            raise ValueError(f"fit: {name} {given[name]} is a folder, expected a file")
    if given["plot"] is not None:
        check_plot(given["plot"])
    folder = given["checkpoint"]
    if folder is not None and Path(folder).exists() and not Path(folder).is_dir():
        raise ValueError(f"fit: checkpoint {folder} is a file, expected a folder")
    if given["checkpoint"] is None:
        for name in ("resume", "every", "config"):
            if given[name]:
                raise ValueError(f"fit: {name} needs a checkpoint folder: give checkpoint")
    try:
        documents.written(given["config"])
    except (TypeError, ValueError) as error:
        raise TypeError(f"fit: config must be plain data for JSON: {error}") from None


def _schedule(given: Mapping[str, Any], optimizer: Optimizer) -> tuple[Schedule | None, str]:
    """The schedule, made where a function makes it, and when it takes its steps."""
    schedule, when = given["schedule"], given["schedule_every"]
    if schedule is not None and not isinstance(schedule, Schedule):
        if not callable(schedule):
            raise TypeError(
                "fit: schedule must be a Schedule or a function of the optimizer that makes one, "
                f"got {type(schedule).__name__}"
            )
        schedule = schedule(optimizer)
        if not isinstance(schedule, Schedule):
            raise TypeError(f"fit: schedule made a {type(schedule).__name__}, expected a Schedule")
    if schedule is not None and schedule.optimizer is not optimizer:
        raise ValueError("fit: the schedule is of another optimizer; give that one, too")
    if when is None:
        when = "validation" if isinstance(schedule, ReduceLROnPlateau) else "step"
    if when not in WHEN:
        raise ValueError(f"fit: schedule_every must be one of {', '.join(WHEN)}, got {when!r}")
    unmeasured = given["validation"] is None and given["evaluate"] is None
    if when == "validation" and schedule is not None and unmeasured:
        raise ValueError("fit: the schedule follows a validation: give validation or evaluate")
    return schedule, when
