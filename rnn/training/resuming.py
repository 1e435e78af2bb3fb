"""Write the checkpoints of a run in time, and go on from one: with all that it holds, or nothing.

They are written at their times, before a validation, and where something raises. Above
`checkpoints.py` and `snapshot.py`, below the loop.
"""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any

from engine.backends import Array
from engine.random import check_random_state, random_state, set_random_state
from rnn.distributed.agreement import by_first, together
from rnn.distributed.communicator import is_shared
from rnn.modules.module import Module
from rnn.optim import Optimizer
from rnn.optim.flat import wide
from rnn.serialization import documents
from rnn.training.carrying import collected, taken
from rnn.training.checkpoints import Checkpoint, Checkpoints
from rnn.training.history import check_mark
from rnn.training.over_ranks import check_weights
from rnn.training.reading import say_where_data_differ
from rnn.training.run import Run, Settings
from rnn.training.snapshot import LATER, check_fields, gathered, records_of

OPTIMIZER_STATE = re.compile(r"state\.(\d+)\.(\w+)")


def resumed(run: Run, checkpoint: Checkpoint) -> Any:
    """Give a run what a checkpoint holds; returns the mark of its log. Raises ValueError, in one
    line, for what does not fit the run; then nothing has changed.
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
    _say_where_settings_differ(run.made, given)
    if last:
        say_where_data_differ(last[0], state["seen"])
    return state["log"]


def _taken_over(run: Run, tensors: dict[str, Array], state: dict[str, Any]) -> list[Any]:
    """Check everything, then change everything, in an order in which all can be undone. Returns the
    last batch that was trained on, as the data have it now, if they can say.
    """
    check_fields(run, state)
    steps, validations, best = records_of(tensors, state)
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


def _last_batch(run: Run, state: Mapping[str, Any]) -> list[Any]:
    """Return the last batch before the checkpoint, or nothing if the data meets it on its way."""
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
    """Raise ValueError for a state of other dtypes or no step; the optimiser checks the rest."""
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


def _say_where_settings_differ(before: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Warn of settings of the optimiser that are not those which the checkpoint's run began with. A
    resumed run goes on with the latter, as they may have changed since, by a schedule.
    """
    then, now = (documents.read(documents.written(one["optimizer"])) for one in (before, own))
    found = [
        (name if not number else f"{name} of group {number}", theirs[name], value)
        for number, (theirs, ours) in enumerate(zip(then, now, strict=False))
        for name, value in ours.items()
        if name in theirs and theirs[name] != value
    ]
    if found:
        warnings.warn(
            f"fit: the optimizer has {', '.join(f'{name}={x!r}' for name, _, x in found)}, and the "
            f"checkpoint's began with {', '.join(f'{name}={x!r}' for name, x, _ in found)}, which "
            "is gone on with; change it in the begin(run) of a callback",
            stacklevel=2,
        )


def _within(tensors: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """Return the arrays under a prefix, by the rest of their names."""
    start = len(prefix) + 1
    return {name[start:]: x for name, x in tensors.items() if name.startswith(f"{prefix}.")}


Mark = tuple[int, int, int, tuple[str, ...]]


class Keeper:
    """Write the checkpoints of a run, where it has a folder for them, and read them again."""

    def __init__(self, own: Settings) -> None:
        self._folder = Checkpoints(own.checkpoint, own.keep) if own.checkpoint else None
        self._resumes = own.resume
        self._saved: Mark | None = None  # of which moment the newest one is
        self._guards = self._folder is not None

    def resume(self, run: Run) -> Any:
        """Go on from a checkpoint where that is asked for; returns how far the log was."""
        if self._folder is None:
            return None
        ranks = run.settings.distributed
        found = by_first(ranks, self._newest)  # of the others the folder may be another one
        if found is None:
            return None
        with warnings.catch_warnings():
            if run.rank:
                warnings.simplefilter("ignore")  # the first one warns
            mark = together(ranks, lambda: resumed(run, found))
        self._saved = _mark(run)
        return mark

    def _newest(self) -> Checkpoint | None:
        """Return the checkpoint to go on from. Raises ValueError for a folder that is in use."""
        assert self._folder is not None
        if self._resumes:
            return self._folder.newest()
        if self._folder.numbers():
            raise ValueError(
                f"fit: there are checkpoints in {self._folder.folder} already; "
                "go on from them with resume=True, or give another folder"
            )
        return None

    def _write(self, run: Run, random: Any = None, data: Any = None) -> None:
        """Write a checkpoint: the first rank does, and the others wait for it."""
        folder, ranks = self._folder, run.settings.distributed
        assert folder is not None
        if ranks is not None:
            check_weights(run)
        parts = collected(run)
        by_first(ranks, lambda: folder.write(*gathered(run, parts, random, data)))

    def save(self, run: Run, *, last: bool = False) -> None:
        """Write a checkpoint, unless there is one of this step, or with `last` of this moment."""
        if self._folder is None:
            return
        saved, now = self._saved, _mark(run)
        if saved is None or (saved != now if last else saved[0] != run.step):
            self._write(run)
            self._saved = now

    @contextmanager
    def guard(self, run: Run, *, redone: bool = False, reading: bool = False) -> Iterator[None]:
        """Write a checkpoint of the last step where what is inside raises, before it goes on.

        What is `redone` when the run is resumed begins with the randomness of now; what is
        `reading` begins with the batches that it has read.
        """
        if self._folder is None or not self._guards:
            yield
            return
        random = random_state() if redone else None
        try:
            yield
        except BaseException as error:
            if run.settings.distributed is not None and not is_shared(error):
                raise  # the other ranks are not here
            try:
                if self._saved != _mark(run):
                    self._write(run, random, run.reader.start if reading else None)
                    self._saved = _mark(run)
            except Exception as other:  # the first one says more
                error.add_note(f"fit: no checkpoint of step {run.step} could be written: {other}")
            raise

    def end(self, run: Run) -> Any:
        """Return what a run that is resumed goes on from, before the validation at its end. It is
        in the last checkpoint, so no other is written from here on but by `save_end`.
        """
        self._guards = False
        if self._folder is None:
            return None
        parts = collected(run)
        return None if run.rank else gathered(run, parts)

    def save_end(self, run: Run, before: Any, final: dict[str, Any]) -> None:
        """Write that with what the last validation gave, which a longer run would not have."""
        folder = self._folder
        if folder is not None:
            by_first(run.settings.distributed,
                     lambda: folder.write(before[0], before[1] | {"final": final}))  # fmt: skip


def _mark(run: Run) -> Mark:
    return run.step, run.epoch, len(run.history.validations), tuple(run.due)
