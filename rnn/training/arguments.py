"""Check the arguments of `fit` before anything is run. Above `monitoring.py`, below `fit`."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import engine
from engine.checks import flag, is_real
from engine.suggestions import kind_of
from rnn.data.loader import Loader, cut_at
from rnn.distributed import Communicator
from rnn.modules.module import Module
from rnn.modules.values import whole
from rnn.optim import Adam, Optimizer
from rnn.serialization import documents
from rnn.training.averaging import EMA
from rnn.training.history import Step
from rnn.training.monitoring import (
    check_length,
    check_validation,
    follow,
    made_schedule,
    mode_of,
    named_metrics,
    takes_metrics,
)
from rnn.training.progress import check_plot
from rnn.training.reading import has_state
from rnn.training.run import Callback, Run, Settings

COUNTS = ("epochs", "steps", "accumulate", "validate_every", "validation_steps", "patience",
          "every", "keep")  # fmt: skip


def settings(**given: Any) -> Settings:
    """Return the arguments of `fit`, in their final form. Raises TypeError or ValueError."""
    _check_what(given)
    _split(given)
    for data in (given["data"], given["validation"]):
        if isinstance(data, Loader):
            data.forget_loop()  # a batch that was looked at before is no place to go on from
    given |= _counts(given)
    metrics = named_metrics(given["metrics"])
    check_validation(given, metrics)
    _check_files(given)
    optimizer = given["optimizer"]
    if optimizer is None:
        optimizer = Adam(given["model"].parameters())
    schedule = made_schedule(given, optimizer)
    mode = mode_of(given, metrics, takes_metrics(schedule, given["schedule_every"]))
    follow(schedule, given["schedule_every"], mode)
    restore, validation = given["restore_best"], given["validation"]
    found = Settings(
        **given
        | {
            "optimizer": optimizer,
            "told": takes_step(given["loss"]),
            "validation_start": validation.state() if has_state(validation) else None,
            "metrics": metrics,
            "mode": mode,
            "restore_best": given["patience"] is not None if restore is None else restore,
            "schedule": schedule,
            "callbacks": tuple(_callback(one) for one in given["callbacks"]),
            "clip_norm": None if given["clip_norm"] is None else float(given["clip_norm"]),
            "min_delta": float(given["min_delta"]),
            "distributed": _communicator(given["distributed"]),
            **{name: None if given[name] is None else Path(given[name])
               for name in ("log", "plot", "checkpoint")},
        }
    )  # fmt: skip
    check_length(found)
    return found


def _split(given: dict[str, Any]) -> None:
    """Cut the validation from the data where `validation_split` says so."""
    share = given.pop("validation_split")
    if share is not None:
        if given["validation"] is not None:
            raise ValueError("fit: give validation or validation_split, got both")
        given["data"], given["validation"] = _cut(given["data"], share)


def _cut(data: Any, share: float) -> tuple[Any, Any]:
    """Return the data without its last `share`, and that: of batches, or of a loader's examples.
    Raises TypeError for data that cannot be cut, ValueError where a part would be empty.
    """
    if isinstance(data, Loader):
        return data.split(share)
    if isinstance(data, list):
        place = cut_at("fit: validation_split", len(data), share)
        return data[:place], data[place:]
    raise TypeError(
        "fit: validation_split cuts rnn.data.Batches, ArrayBatches and lists of batches, got "
        f"{type(data).__name__}; give the validation itself"
    )


def _communicator(given: Any) -> Communicator | None:
    """Return what connects the processes; None for this one alone."""
    if given is None or given is False:
        return None
    if given is not True and not isinstance(given, Communicator):
        raise TypeError(
            "fit: distributed must be True or an rnn.distributed.Communicator, got "
            f"{type(given).__name__}"
        )
    return Communicator() if given is True else given


def takes_step(loss: Callable[..., Any]) -> bool:
    """Tell whether a function has a parameter of the name `step`."""
    try:
        return "step" in inspect.signature(loss).parameters
    except ValueError:  # of some built in C nothing is known
        return False


def _check_what(given: Mapping[str, Any]) -> None:
    """Check what is trained, on what, by what."""
    model, data, optimizer = given["model"], given["data"], given["optimizer"]
    if not isinstance(model, Module):
        raise TypeError(f"fit: model must be a Module, got {kind_of(model)}")
    if not any(x.requires_grad for x in model.parameters()):
        raise ValueError(f"fit: {type(model).__name__} has no parameters to train")
    if not isinstance(data, Iterable):
        raise TypeError(f"fit: data must be an iterable of batches, got {kind_of(data)}")
    refuse_pair("fit: data", data)
    refuse_pair("fit: validation", given["validation"])
    check_loss("fit", given["loss"])
    for name in ("count", "evaluate"):
        if not callable(given[name]) and given[name] is not None:
            raise TypeError(f"fit: {name} must be a function, got {kind_of(given[name])}")
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise TypeError(
            f"fit: optimizer must be an Optimizer, got {kind_of(optimizer)}; "
            "make one, such as rnn.optim.Adam(model.parameters())"
        )
    if optimizer is not None:
        own = {id(x) for x in model.parameters()}
        if not any(id(x) in own for x in optimizer.parameters):
            raise ValueError(
                "fit: the optimizer has none of the parameters of the model; "
                "make it of model.parameters()"
            )
    ema = given["ema"]
    if ema is not None and not isinstance(ema, EMA):
        raise TypeError(
            f"fit: ema must be an EMA, got {kind_of(ema)}; make one: EMA(model, decay=0.999)"
        )
    if ema is not None and ema.model is not model:
        raise ValueError("fit: the ema is of another model; make it of this one")
    if not isinstance(given["callbacks"], Sequence):
        raise TypeError(f"fit: callbacks must be a list, got {kind_of(given['callbacks'])}")


def _counts(given: Mapping[str, Any]) -> dict[str, int]:
    """Return the counts among the arguments, how long and how often, as ints."""
    epochs, steps = given["epochs"], given["steps"]
    if (epochs is None) == (steps is None):
        told = "neither" if epochs is None else "both"
        raise ValueError(f"fit: give epochs or steps, got {told}")
    found = {}
    for name in COUNTS:
        value = given[name]
        if value is not None or name in ("accumulate", "keep"):
            found[name] = whole("fit", name, value)
    if isinstance(given["data"], Iterator) and epochs is not None and epochs > 1:
        raise ValueError(
            f"fit: data is an iterator, which can be read once, and not for {epochs} epochs; "
            "give a list or an object with an __iter__ that starts over"
        )
    clip = given["clip_norm"]
    if clip is not None and (not is_real(clip) or not float(clip) > 0):
        raise ValueError(f"fit: clip_norm must be positive, got {clip!r}")
    for name in ("carry", "progress", "resume"):
        flag(f"fit: {name}", given[name])
    if given["restore_best"] is not None:
        flag("fit: restore_best", given["restore_best"])
    return found


def _check_files(given: Mapping[str, Any]) -> None:
    """Check the paths that are written to."""
    for name in ("log", "plot", "checkpoint"):
        if given[name] is not None and not isinstance(given[name], str | Path):
            raise TypeError(f"fit: {name} must be a path, got {kind_of(given[name])}")
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


class _EachStep(Callback):
    """Call a function of the run and the record after every step."""

    def __init__(self, function: Callable[[Run, Step], Any]) -> None:
        self._function = function

    def step(self, run: Run, record: Step) -> None:
        self._function(run, record)


def _callback(given: Any) -> Callback:
    """Return a callback, made of a function of run and record. Raises TypeError for others."""
    if isinstance(given, Callback):
        return given
    if isinstance(given, type) or not callable(given):
        told = given.__name__ if isinstance(given, type) else type(given).__name__
        raise TypeError(f"fit: a callback is a Callback or a function(run, record), got {told}")
    return _EachStep(given)


def check_loss(where: str, loss: Any) -> None:
    """Raise TypeError for a loss that is no function of the model and a batch."""
    name = getattr(loss, "__name__", "cross_entropy")
    if not callable(loss) or getattr(engine, name, None) is loss:
        told = f"a function of targets, engine.{name}" if callable(loss) else type(loss).__name__
        name = name if callable(loss) else "cross_entropy"
        raise TypeError(
            f"{where}: loss must be a function, got {told}; it is called with the model and a "
            f"batch: lambda model, batch: engine.{name}(model(batch.x), batch.y)"
        )


def refuse_pair(where: str, data: Any) -> None:
    """Raise TypeError for all examples as a pair of arrays, which would be read as two batches."""
    pair = isinstance(data, tuple) and len(data) == 2
    if pair and all(getattr(one, "shape", ()) for one in data) and len(data[0]) == len(data[1]):
        raise TypeError(
            f"{where} are batches, got a pair of arrays; write rnn.data.ArrayBatches(x, y, "
            "batch_size=32), with steps=False for a model that is batch first"
        )
