"""What a checkpoint holds of a run, and how a run takes it back: all of it, or nothing.

Above `checkpoints.py` and `sameness.py`, below `keeping.py`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import TYPE_CHECKING, Any

from engine.backends import HOST, Array
from engine.random import check_random_state, random_state, set_random_state
from rnn.data.loader import whole_batch
from rnn.modules.module import Module
from rnn.optim import Optimizer
from rnn.optim.flat import wide
from rnn.serialization import documents
from rnn.training.carrying import Collected, taken
from rnn.training.checkpoints import Checkpoint
from rnn.training.history import Step, Validation
from rnn.training.logs import check_mark
from rnn.training.sameness import (
    check_watched,
    digest,
    say_where_data_differ,
    say_where_settings_differ,
)

if TYPE_CHECKING:
    from rnn.training.loop import Run

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
OPTIMIZER_STATE = re.compile(r"state\.(\d+)\.(\w+)")


def gathered(
    run: "Run", parts: Collected, random: dict[str, Any] | None = None, data: Any = None
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return all that a run needs to go on: arrays by name, and plain data.

    `parts` is the carried state; those of `random` and `data` are those of now by default.
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


def _seen(run: "Run") -> dict[str, Any] | None:
    """Return what tells the last batch that was trained on."""
    read = run.reader.seen
    if read is None:
        return run.reader.remembered
    return {"digest": digest(whole_batch(read.batch)), "before": read.before}


def resumed(run: "Run", checkpoint: Checkpoint) -> Any:
    """Give a run what a checkpoint holds; returns the mark of its log.

    Raises ValueError, in one line, for what does not fit the run; then nothing has changed.
    """
    try:
        state = LATER | checkpoint.state
        last = _taken_over(run, checkpoint.tensors, state)
    except Exception as error:  # a file can say anything, and the data may refuse it in any way
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise ValueError(
            f"fit: {checkpoint.path} does not fit this run: {reason}; resume with the arguments "
            "that it was written with, or begin in another folder"
        ) from error
    given, run.made = run.made, state["made"] or run.made
    say_where_settings_differ(run.made, given)
    if last:
        say_where_data_differ(last[0], state["seen"])
    return state["log"]


def _taken_over(run: "Run", tensors: dict[str, Array], state: dict[str, Any]) -> list[Any]:
    """Check everything, then change everything, in an order in which all can be undone.

    Returns the last batch that was trained on as the data have it now, nothing where that cannot be
    read yet.
    """
    _check_fields(run, state)
    steps, validations, best = _records(tensors, state)
    device = run.model.parameters()[0].device
    held = _within(tensors, "carried")
    carried, uncut = taken(run, state["carried"], held, state["ranks"], device)
    check_random_state(state["random"])
    check_mark(state["log"])
    if run.log is not None:
        run.log.check(state["log"])
    model, weights = _within(tensors, "model"), _within(tensors, "best")
    for arrays in (model, weights) if weights else (model,):
        _check_weights(run.model, arrays)
    averages, ema = _within(tensors, "averaged"), run.settings.ema
    optimizer = _within(tensors, "optimizer")
    _check_slots(run.optimizer, optimizer)
    with ExitStack() as undo:
        undo.callback(run.optimizer.load_state_dict, run.optimizer.state_dict())
        run.optimizer.load_state_dict(optimizer)
        if run.schedule is not None:
            undo.callback(run.schedule.load_state_dict, run.schedule.state_dict())
            run.schedule.load_state_dict(state["schedule"])
            # What the schedule sets is in the optimiser's state, to the bit, as it was.
            run.optimizer.load_state_dict(optimizer)
        if run.settings.stateful:
            undo.callback(run.settings.data.restore, run.settings.data.state())
            run.settings.data.restore(state["data"])
        for callback, kept in zip(run.settings.callbacks, state["callbacks"], strict=True):
            undo.callback(callback.restore, callback.state())
            callback.restore(kept)
        undo.callback(set_random_state, random_state())
        set_random_state(state["random"])
        last = _last_batch(run, state)
        set_random_state(state["random"])
        if ema is not None:
            ema.load_state_dict(averages)
        run.model.load_state_dict(model)
        undo.pop_all()
    run.step, run.epoch, run.position = state["step"], state["epoch"], state["position"]
    run.epoch_loss, run.carried, run.due = state["epoch_loss"], carried, state["due"]
    run.uncut = uncut
    count = state["epoch_count"]
    run.epoch_count = float(run.position) if count is None else count
    run.reader.remembered = state["seen"]
    run.history.steps, run.history.validations, run.history.best = steps, validations, best
    run.stopping.best, run.stopping.bad, run.stopping.weights = best, state["bad"], weights
    return last


def _last_batch(run: "Run", state: Mapping[str, Any]) -> list[Any]:
    """Return the last batch before the checkpoint, which data that is read from its start meets by
    itself where it goes on in the middle of an epoch.
    """
    data, seen = run.settings.data, state["seen"]
    if seen is None:
        return []
    if run.settings.stateful:
        data.restore(seen["before"])
        found = list(islice(iter(data), 1))
        data.restore(state["data"])
        return found or [None]
    if isinstance(data, Sequence) and state["position"] in (0, len(data)) and data:
        return [data[state["position"] - 1]]
    return []


def _check_fields(run: "Run", state: Mapping[str, Any]) -> None:
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
        check_watched(state["made"], own)
    if len(state["callbacks"]) != len(own.callbacks):
        raise ValueError(
            f"it was written with {len(state['callbacks'])} callbacks, there are "
            f"{len(own.callbacks)}"
        )
    if own.config is not None and documents.read(documents.written(own.config)) != state["config"]:
        raise ValueError(f"its config is another, {state['config']!r:.80}")


def _records(
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


def _check_weights(model: Module, arrays: Mapping[str, Array]) -> None:
    """Raise ValueError for weights that are not exactly those of the model."""
    own = {name: (x.shape, x.dtype) for name, x in model.named_tensors()}
    found = {name: (x.shape, x.dtype) for name, x in arrays.items()}
    faults = [f"missing: {name}" for name in own if name not in found]
    faults += [f"unknown: {name}" for name in found if name not in own]
    faults += [
        f"{name}: {found[name][1]}{list(found[name][0])}, expected {dtype}{list(shape)}"
        for name, (shape, dtype) in own.items()
        if name in found and found[name] != (shape, dtype)
    ]
    if faults:
        raise ValueError(f"its weights: {'; '.join(faults)}")


def _check_slots(optimizer: Optimizer, arrays: Mapping[str, Array]) -> None:
    """Raise ValueError for a state of the optimiser of other dtypes, or before its first step.

    Names and shapes are the optimiser's to check.
    """
    own = optimizer.parameters
    for name, array in arrays.items():
        match = OPTIMIZER_STATE.fullmatch(name)
        if match is None or int(match[1]) >= len(own):
            continue
        if match[2] == "step":
            good = array.dtype.kind == "i" and array.size == 1 and array.item() >= 1
        else:
            dtype = own[int(match[1])].dtype
            good = array.dtype in (wide(dtype), dtype)  # once the state of half was half
        if not good:
            raise ValueError(f"optimizer: {name} is {array.dtype}{list(array.shape)}")


def _named(prefix: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def _within(tensors: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """Return the arrays under a prefix, by the rest of their names."""
    start = len(prefix) + 1
    return {name[start:]: x for name, x in tensors.items() if name.startswith(f"{prefix}.")}
