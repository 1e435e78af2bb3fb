"""The training loop: steps, epochs, validations, and when to write what.

Above everything in this folder but `fit`, which is its door.
"""

import math
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

from engine.random import random_state
from rnn.clipping import clip_grad_norm, grad_norm
from rnn.models.stacks import detached
from rnn.training.checkpoints import Checkpoints
from rnn.training.forensics import explained
from rnn.training.history import History, Step, Validation
from rnn.training.interrupts import Interrupts
from rnn.training.logs import Log
from rnn.training.losses import loss_of
from rnn.training.plots import plot_history
from rnn.training.progress import Progress
from rnn.training.resuming import gathered, resumed
from rnn.training.settings import Settings
from rnn.training.stopping import Stopping
from rnn.training.validating import figures_of

END = object()


class Run:
    """One run of `fit`. Callbacks read its attributes; `step` and `epoch` count what is done."""

    def __init__(self, settings: Settings) -> None:
        own = self.settings = settings
        self.model, self.optimizer, self.schedule = own.model, own.optimizer, own.schedule
        self.history = History()
        self.step = self.epoch = 0
        self.position = 0  # batches of this epoch that are done
        self.carried: Any = None
        self.epoch_loss = 0.0  # the sum of the losses of this epoch
        self.stopping = Stopping(
            own.monitor, own.mode, own.patience, own.min_delta, own.restore_best
        )
        self.log = None if own.log is None else Log(own.log)
        self._checkpoints = Checkpoints(own.checkpoint, own.keep) if own.checkpoint else None
        self._validated = self._saved = -1  # after which step that was last done
        self._interrupts = Interrupts()
        self._progress = Progress(False, None, 0)

    def stop(self, reason: str) -> None:
        """End the run after this step; `reason` becomes `history.stopped`, if it is the first.

        Raises ValueError for an empty reason.
        """
        if not isinstance(reason, str) or not reason:
            raise ValueError(f"Run.stop: expected a reason in words, got {reason!r}")
        self.history.stopped = self.history.stopped or reason

    def go(self) -> History:
        """Train until it is over."""
        mark = self._resume()
        modes = [(module, module.training) for module in self.model.modules()]
        try:
            if self.log:
                self.log.open(mark)
            self._progress = Progress(self.settings.progress, self.settings.total, self.step)
            with self._interrupts:
                self._train()
            self._finish()
        finally:
            self._progress.close()
            if self.log:
                self.log.close()
            for module, mode in modes:
                module.training = mode
        return self.history

    # ---- steps and epochs

    def _train(self) -> None:
        """Epoch after epoch. The first checkpoint is that of the start: it can be written, and a
        run that is killed early can be resumed like any other.
        """
        self._save()
        self.model.train()
        for callback in self.settings.callbacks:
            callback.begin(self)
        self._look()
        while not self.history.stopped:
            self._epoch()
        self._save()

    def _epoch(self) -> None:
        """What is left of an epoch."""
        batches = self._batches()
        while not self.history.stopped:
            batch = next(batches, END)
            if batch is END:
                if isinstance(self.settings.data, Iterator) and self.settings.steps is not None:
                    self.stop("data")
                self._end_epoch()
                return
            record = self._step(batch)
            done = self.position == self.settings.per_epoch
            # Asking for one more lets the data see its own end.
            if done and next(batches, END) is not END:
                raise ValueError(
                    f"fit: the data says that it has len() = {self.position} batches, and has more"
                    "; make its __len__ count what __iter__ gives"
                )
            self._after_step(record)
            if done:
                self._end_epoch()
            elif self.settings.every and self.step % self.settings.every == 0:
                self._save()
            if done:
                return

    def _batches(self) -> Iterator[Any]:
        """The batches from the position on; data that does not know where it is, is read again."""
        batches: Iterator[Any] = iter(self.settings.data)
        if self.position and not self.settings.stateful:
            before = random_state()
            for number in range(self.position):
                if next(batches, END) is END:
                    raise ValueError(
                        f"fit: the data has {number} batches, and {self.position} of the epoch "
                        "were done when the checkpoint was written; give the same data"
                    )
            if random_state() != before:
                raise ValueError(
                    "fit: the data draws from the engine while it is read, so it has to have "
                    "state() and restore(state) for a run to be resumed"
                )
        return batches

    def _step(self, batch: Any) -> Step:
        """One step of the optimiser."""
        began, before = time.perf_counter(), random_state()
        loss, carried = loss_of(self.settings, batch, self.carried, self.step)
        value = float(loss.item())
        norm = math.nan
        if math.isfinite(value):
            self.optimizer.zero_grad()
            loss.backward()
            norm = self._clipped()
        if not math.isfinite(norm):
            found = f"loss is {value}" if not math.isfinite(value) else f"gradient norm is {norm}"
            what = f"fit: the {found} at step {self.step + 1}, epoch {self.epoch}"
            again = partial(loss_of, self.settings, batch, self.carried, self.step)
            raise explained(what, self.model, batch, self.carried, lambda: again()[0], before)
        lr = self.optimizer.lr
        self.optimizer.step()
        self.carried = detached(carried)
        self.step += 1
        self.position += 1
        self.epoch_loss += value
        return Step(self.step, self.epoch, value, lr, norm, time.perf_counter() - began)

    def _clipped(self) -> float:
        """The norm of the gradients before they are clipped."""
        bound = self.settings.clip_norm
        if bound is None:
            return grad_norm(self.optimizer.parameters)
        return clip_grad_norm(self.optimizer.parameters, bound, error_if_nonfinite=False)

    def _after_step(self, record: Step) -> None:
        """What follows a step, whether or not it was the last of its epoch."""
        self._schedule("step", record.loss)
        self.history.steps.append(record)
        if self.log:
            self.log.write(record)
        self._progress.step(record)
        for callback in self.settings.callbacks:
            callback.step(self, record)
        if self.settings.validate_every and self.step % self.settings.validate_every == 0:
            self._validate()
        self._look()

    def _end_epoch(self) -> None:
        """What follows an epoch."""
        if not self.position:
            raise ValueError("fit: the data gave no batch in an epoch; is it empty?")
        mean = self.epoch_loss / self.position
        self.epoch += 1
        self.position, self.epoch_loss, self.carried = 0, 0.0, None
        self._schedule("epoch", mean)
        if not self.settings.validate_every and self.settings.validates:
            self._validate()
        for callback in self.settings.callbacks:
            callback.epoch(self)
        self._look()
        if not self.settings.every or self.step % self.settings.every == 0:
            self._save()

    def _look(self) -> None:
        """Note whether it is time to stop, and why."""
        own = self.settings
        if self._interrupts.asked:  # first: whoever broke off in the last step wants an end, too
            self.stop("interrupted")
        if own.steps is not None and self.step >= own.steps:
            self.stop("steps")
        if own.epochs is not None and self.epoch >= own.epochs:
            self.stop("epochs")
        if self.stopping.over:
            self.stop("patience")

    def _schedule(self, moment: str, metric: float) -> None:
        schedule = self.schedule
        if schedule is not None and (self.settings.schedule_every or schedule.moment) == moment:
            schedule.step(metric)

    # ---- validation

    def _validate(self) -> dict[str, Any]:
        """Measure, and take in what follows from it; returns the figures and whether they are the
        best.
        """
        began = time.perf_counter()
        figures = figures_of(self.settings, self.step)
        record = Validation(self.step, self.epoch, figures, time.perf_counter() - began)
        self._validated = self.step
        best = self.stopping.take(record, self.model)
        self.history.best = self.stopping.best
        self.history.validations.append(record)
        known = self.stopping.mode is not None
        self._schedule("validation", self.stopping.figure(record) if known else math.nan)
        if self.log:
            self.log.write(record)
        self._progress.validation(record)
        for callback in self.settings.callbacks:
            callback.validation(self, record)
        return {"figures": figures, "best": best}

    # ---- what stays

    def _resume(self) -> Any:
        """Go on from a checkpoint where that is asked for; returns how far the log was."""
        if self._checkpoints is None:
            return None
        if not self.settings.resume:
            if self._checkpoints.numbers():
                raise ValueError(
                    f"fit: there are checkpoints in {self._checkpoints.folder} already; "
                    "go on from them with resume=True, or give another folder"
                )
            return None
        found = self._checkpoints.newest()
        if found is None:
            return None
        mark = resumed(self, found)
        self._saved = self.step
        if self.history.validations:
            self._validated = self.history.validations[-1].step
        return mark

    def _save(self) -> None:
        """Write a checkpoint, unless there is one of this moment."""
        if self._checkpoints is None or self._saved == self.step:
            return
        self._checkpoints.write(*gathered(self))
        self._saved = self.step

    def _finish(self) -> None:
        """After the last checkpoint: what is not to be there when the run is taken up again."""
        own = self.settings
        interrupted = self.history.interrupted
        if not interrupted:
            if own.validates and self._validated != self.step:
                # What a resumed run goes on from is as it was before this validation.
                kept = None if self._checkpoints is None else gathered(self)
                final = self._validate()
                if kept is not None and self._checkpoints is not None:
                    self._checkpoints.write(kept[0], kept[1] | {"final": final})
            if own.restore_best:
                self.stopping.restore(self.model)
        if own.plot is not None:
            plot_history(self.history, own.plot)
        for callback in own.callbacks:
            callback.end(self)
