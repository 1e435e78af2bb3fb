"""Write a run as arrays and plain data, the fields of a checkpoint, and check them.

Above `run.py` and `carrying.py`, below `resuming.py`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from engine.backends import HOST, Array
from engine.random import random_state
from rnn.data.loader import whole_batch
from rnn.serialization import documents
from rnn.training.carrying import Collected
from rnn.training.history import Step, Validation
from rnn.training.reading import digest
from rnn.training.run import Run, Settings

TAIL = 10_000  # steps of the history that a checkpoint holds
FIELDS = {
    "step": int, "epoch": int, "position": int, "epoch_loss": float, "bad": int,
    "validations": list, "callbacks": list, "optimizer": str, "random": dict,
}  # fmt: skip
OPTIONAL = {"best", "carried", "config", "data", "final", "log", "schedule"}
# What was not there in the first checkpoints of this version, and what it is taken to be then.
LATER: dict[str, Any] = {"averaged": False, "due": [], "epoch_count": None, "made": None,
                         "ranks": None, "seen": None}  # fmt: skip
DUE = [[*["validation"] * n, *last] for n in (0, 1) for last in ([], ["end"], ["epoch"])]
LATER_GOOD: dict[str, Callable[[Any], bool]] = {
    "averaged": lambda x: isinstance(x, bool),
    "due": lambda x: x in DUE,
    "epoch_count": lambda x: x is None or (type(x) is float and x >= 0),
    "made": lambda x: x is None or isinstance(x, dict),
    "ranks": lambda x: x is None or (isinstance(x, dict) and set(x) == {"axes", "rows"}),
    "seen": lambda x: x is None or (isinstance(x, dict) and set(x) == {"digest", "before"}),
}


def gathered(
    run: Run, parts: Collected, random: dict[str, Any] | None = None, data: Any = None
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return all that a run needs to go on: arrays by name, and plain data. `parts` is the carried
    state; those of `random` and `data` are those of now by default.
    """
    own, ema = run.settings, run.settings.ema
    carried, plan, spread = parts
    best = run.stopping.best
    steps = [tuple(map(float, record)) for record in run.history.steps[-TAIL:]]
    tensors = (
        _named("model", run.model.state_dict())
        | _named("best", run.stopping.weights)
        | _named("optimizer", run.optimizer.state_dict())
        | _named("carried", carried)
        | _named("averaged", {} if ema is None else ema.state_dict())
        | {"history": HOST.xp.asarray(steps, dtype="float64").reshape(-1, len(Step._fields))}
    )
    state = {
        "step": run.step,
        "epoch": run.epoch,
        "position": run.position,
        "epoch_loss": run.epoch_loss,
        "epoch_count": run.epoch_count,
        "due": list(run.due),
        "averaged": ema is not None,
        "random": random_state() if random is None else random,
        "data": own.data.state() if own.stateful and data is None else data,
        "seen": _seen(run),
        "made": run.made,
        "optimizer": type(run.optimizer).__name__,
        "schedule": None if run.schedule is None else run.schedule.state_dict(),
        "bad": run.stopping.bad,
        "best": None if best is None else best._asdict(),
        "validations": [record._asdict() for record in run.history.validations],
        "carried": plan,
        "ranks": spread,
        "callbacks": [callback.state() for callback in own.callbacks],
        "log": None if run.log is None else run.log.mark(),
        "config": own.config,
        "final": None,  # of the validation after the last step, which a longer run would not have
    }
    return tensors, state


def _seen(run: Run) -> dict[str, Any] | None:
    """Return what tells the last batch that was trained on."""
    read = run.reader.seen
    if read is None:
        return run.reader.remembered
    return {"digest": digest(whole_batch(read.batch)), "before": read.before}


def check_fields(run: Run, state: Mapping[str, Any]) -> None:
    """Raise ValueError for fields of other kinds, and for another kind of run."""
    if set(state) != set(FIELDS) | OPTIONAL | set(LATER):
        raise ValueError(f"expected {', '.join(sorted(set(FIELDS) | OPTIONAL))}")
    for name, good in LATER_GOOD.items():
        if not good(state[name]):
            raise ValueError(f"{name} is {state[name]!r:.80}")
    for name, kind in FIELDS.items():
        if type(state[name]) is not kind or (kind is int and state[name] < 0):
            raise ValueError(f"{name} is {state[name]!r:.80}")
    own = run.settings
    rule = type(run.optimizer).__name__
    if state["optimizer"] != rule:
        raise ValueError(f"it is of {state['optimizer']}, the optimizer is {rule}")
    for what, there, here in (
        ("schedule", state["schedule"] is not None, run.schedule is not None),
        ("data with state()", state["data"] is not None, own.stateful),
        ("ema", state["averaged"], own.ema is not None),
    ):
        if there != here:
            raise ValueError(
                f"it was written with {'no ' if here else ''}{what}, this run has "
                f"{'one' if here else 'none'}"
            )
    if state["made"] is not None and state["best"] is not None and own.validates:
        _check_watched(state["made"], own)
    if len(state["callbacks"]) != len(own.callbacks):
        raise ValueError(
            f"it was written with {len(state['callbacks'])} callbacks, there are "
            f"{len(own.callbacks)}"
        )
    if own.config is not None and documents.read(documents.written(own.config)) != state["config"]:
        raise ValueError(f"its config is another, {state['config']!r:.80}")


def records_of(
    tensors: Mapping[str, Array], state: Mapping[str, Any]
) -> tuple[list[Step], list[Validation], Validation | None]:
    """Return the history: steps, validations and the best one."""
    table = tensors["history"]
    if table.ndim != 2 or table.shape[1] != len(Step._fields) or table.dtype != "float64":
        raise ValueError(f"its history is {table.dtype}{list(table.shape)}")
    steps = [Step(int(step), int(epoch), *rest) for step, epoch, *rest in table.tolist()]
    validations = [_validation(record) for record in state["validations"]]
    return steps, validations, None if state["best"] is None else _validation(state["best"])


def _validation(record: Any) -> Validation:
    # Checkpoints that were written before `metrics` had its name say figures.
    found = Validation(**{"metrics" if k == "figures" else k: x for k, x in dict(record).items()})
    if not isinstance(found.metrics, dict) or not all(
        isinstance(x, int | float) for x in (*found.metrics.values(), *found[:2], found.seconds)
    ):
        raise ValueError(f"{record!r:.80} is no validation")
    return found


def _check_watched(before: Mapping[str, Any], own: Settings) -> None:
    """Raise ValueError where the best validation so far is the best of another figure."""
    then, now = before["watched"], own.watched
    if then != now:
        raise ValueError(
            f"its best is of monitor {then[0]!r}, mode {then[1]!r}; this run has monitor "
            f"{now[0]!r}, mode {now[1]!r}"
        )


def _named(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {f"{prefix}.{name}": array for name, array in arrays.items()}
