"""Measure for validations: the mean loss, the metrics, and the results of `evaluate`.

Above `updating.py` and `rnn/metrics`, below the loop.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from itertools import islice
from typing import Any

from engine.random import rows
from rnn.data.loader import begun_at, unread
from rnn.distributed.agreement import by_first
from rnn.distributed.communicator import Communicator
from rnn.distributed.sharing import shared
from rnn.metrics import Metric
from rnn.modules.module import evaluating
from rnn.training.progress import Progress
from rnn.training.run import Settings
from rnn.training.stopping import Interrupts
from rnn.training.updating import count_of, loss_of, mean_of


def metrics_of(
    settings: Settings, step: int, progress: Progress, interrupts: Interrupts
) -> dict[str, float]:
    """Return what a validation of the model as it is now gives, by name, in evaluation mode. Raises
    Interrupted for a signal that comes meanwhile.
    """
    metrics: dict[str, float] = {}
    with evaluating(settings.model):
        if settings.validation is not None:
            # It begins where all others do and leaves no trace: it may be the data trained on.
            start, data = settings.validation_start, settings.validation
            with nullcontext() if start is None else begun_at(data, start), interrupts.at_once():
                metrics |= measured(settings, step, progress)
        if settings.evaluate is not None:
            with interrupts.at_once():
                metrics |= by_first(settings.distributed, lambda: _evaluated(settings))
    ranks = settings.distributed
    return metrics if ranks is None else ranks.broadcast(metrics)  # one answer, to the bit


def _evaluated(settings: Settings) -> dict[str, float]:
    """Return the metrics that a function of the model gives."""
    found = None if settings.evaluate is None else settings.evaluate(settings.model)
    if not isinstance(found, Mapping):
        raise TypeError(
            f"fit: evaluate must give metrics by name, got {type(found).__name__}; "
            "return a dict such as {'accuracy': 0.5}"
        )
    return {name: _number(f"evaluate: {name!r}", value) for name, value in found.items()}


def measured(settings: Settings, step: int, progress: Progress) -> dict[str, float]:
    """Return the mean loss and the metrics over the validation, states carried through."""
    fed = {name: one for name, one in settings.metrics.items() if isinstance(one, Metric)}
    for metric in fed.values():
        metric.reset()
    ranks = settings.distributed
    if ranks is not None and not all(_merges(metric) for metric in fed.values()):
        ranks = None  # each measures it all
    losses, counts, carried, state = [], [], None, None
    data = settings.validation
    data = unread(data) if ranks is not None and settings.in_parts else data
    batches, read = islice(data, settings.validation_steps), False
    for batch in progress.through(batches, settings.per_validation):
        read = True
        with _own_rows(settings, ranks, batch) as own:
            if own is None:
                continue
            loss, carried = loss_of(settings, own, carried, step)
            losses.append(float(loss.item()))
            counts.append(count_of(settings, own))
            if fed:
                arguments, state = _outputs_of(settings, own, state)
                for name, metric in fed.items():
                    _feed(name, metric, arguments)
    if not read:
        raise ValueError("fit: validation gave no batch; is it empty?")
    if ranks is not None:
        losses, counts = _of_all(ranks, losses, counts, fed)
    metrics = {"loss": mean_of(losses, counts)}
    for name, one in settings.metrics.items():
        value = one.value() if isinstance(one, Metric) else one(metrics["loss"])
        metrics[name] = _number(f"metric {name!r}", value)
    return metrics


def _merges(metric: Metric) -> bool:
    """Return whether parts of what a metric measures can be put together. A subclass with a `reset`
    of its own gathers more than the `merge` of its base knows of.
    """
    order = type(metric).__mro__
    places = {
        name: next(number for number, kind in enumerate(order) if name in vars(kind))
        for name in ("state", "merge", "reset")
    }
    written = order.index(Metric) > max(places["state"], places["merge"])
    return written and max(places["state"], places["merge"]) <= places["reset"]


@contextmanager
def _own_rows(settings: Settings, ranks: Communicator | None, batch: Any) -> Iterator[Any]:
    """Give the rows of this rank in a batch, None where it has none; masks are theirs."""
    share = None if ranks is None else shared(ranks, settings.validation, batch)
    if share is None:
        yield batch if ranks is None else None
        return
    with rows(*share.rows):
        yield share.batch


def _of_all(
    ranks: Communicator, losses: list[float], counts: list[float], fed: Mapping[str, Metric]
) -> tuple[list[float], list[float]]:
    """Return the losses and counts of all ranks; metrics take in what those of the others have."""
    there = ranks.gather((losses, counts, [metric.state() for metric in fed.values()]))
    for number, metric in enumerate(fed.values()):
        metric.reset()
        for _, _, states in there:
            metric.merge(states[number])
    return [x for one in there for x in one[0]], [x for one in there for x in one[1]]


def _outputs_of(settings: Settings, batch: Any, state: Any) -> tuple[tuple[Any, ...], Any]:
    """Return what the metrics take of a batch, and the state after it, None without carry."""
    assert settings.outputs is not None  # checked: there are metrics to feed
    found = settings.outputs(settings.model, batch, *((state,) if settings.carry else ()))
    if settings.carry:
        if not isinstance(found, tuple) or len(found) != 2 or not isinstance(found[0], tuple):
            raise TypeError(
                "fit: with carry outputs must give (arguments, state), the arguments in a tuple, "
                f"got {_told(found)}; for one argument write ((x,), state)"
            )
        return found
    if not isinstance(found, tuple):
        raise TypeError(
            f"fit: outputs must give a tuple, the arguments of update, got {_told(found)}; "
            "for one argument write (x,)"
        )
    return found, None


def _feed(name: str, metric: Metric, arguments: tuple[Any, ...]) -> None:
    """Give a metric a batch; what it says against it is said with its name."""
    try:
        metric.update(*arguments)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"fit: metric {name!r} of outputs {_told(arguments)}: {error}") from error


def _number(what: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"fit: {what} must be a number, got {type(value).__name__}") from error


def _told(found: Any) -> str:
    """Return the kind of what was given; of a tuple, the kinds of its parts."""
    if type(found) is not tuple:
        return type(found).__name__
    return f"({', '.join(type(part).__name__ for part in found)})"
