"""Run the training loop: steps, epochs, validations, and what follows each.

Above everything in this folder but `fit` and `arguments.py`. `run.py` has the state of a run,
`updating.py` a step's gradients, `resuming.py` the checkpoints.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

from engine.random import random_state, set_random_state
from rnn.distributed.communicator import end, is_shared
from rnn.modules.module import kept_modes, wake
from rnn.training import over_ranks
from rnn.training.history import History, Step, Validation
from rnn.training.progress import Progress, plot_history
from rnn.training.resuming import Keeper
from rnn.training.run import Run, Settings
from rnn.training.stopping import Interrupted, Interrupts
from rnn.training.updating import Update, computed
from rnn.training.validating import metrics_of


class Loop(Run):
    """Run `fit` itself: `go` trains until it is over."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._keeper = Keeper(settings)
        self._interrupts = Interrupts()
        self._progress = Progress(False, None, 0)

    def go(self) -> History:
        """Train until it is over. An error of this rank alone ends all ranks."""
        own = self.settings.distributed
        if own is None:
            return self._go()
        try:
            over_ranks.begin(self)
            return self._go()
        except BaseException as error:
            if own.size > 1 and not is_shared(error):
                end(own, error)
            raise

    def _go(self) -> History:
        mark = self._keeper.resume(self)
        with kept_modes(self.model):
            try:
                if self.log:
                    self.log.open(mark)
                self._progress = Progress(
                    self.settings.progress and not self.rank, self.settings.total, self.step
                )
                with self._interrupts:
                    self._train()
                    self._finish()
            finally:
                self._progress.close()
                if self.log:
                    self.log.close()
                for callback in self.settings.callbacks:
                    callback.close()
        return self.history

    # ---- steps and epochs

    def _train(self) -> None:
        """Train epoch after epoch. A checkpoint is written at the start: a kill may be early."""
        self._keeper.save(self)
        wake(self.model)
        for callback in self.settings.callbacks:
            callback.begin(self)
        self._do_what_is_due()
        while not self.history.stopped:
            self._epoch()
        self._keeper.save(self, last=True)

    def _epoch(self) -> None:
        """Train what is left of an epoch."""
        own, reader = self.settings, self.reader
        with self._keeper.guard(self):
            reader.begin(self.position)
        while not self.history.stopped:
            record = self._step()
            done = reader.over or self.position == own.per_epoch
            if record is None:
                self.due = ["end"]
                self._do_what_is_due()
            else:
                self._after_step(record, done)
            if reader.over and isinstance(own.data, Iterator) and own.steps is not None:
                self.stop("data")
            if done:
                return

    def _step(self) -> Step | None:
        """Return one step of the optimiser; None where the epoch has no batch left."""
        with self._keeper.guard(self, redone=True, reading=True):
            began = time.perf_counter()
            batches, found = self._computed()
            if found is None:
                return None
        lr = float(self.optimizer.lr)
        self.optimizer.step()
        if self.settings.ema is not None:
            self.settings.ema.update()
        self.reader.trained()
        self.carried = found.carried
        self.step += 1
        self.position += len(batches)
        self.epoch_loss += found.loss * found.counted
        self.epoch_count += found.counted
        return Step(self.step, self.epoch, found.loss, lr, found.norm, time.perf_counter() - began)

    def _computed(self) -> tuple[list[Any], Update | None]:
        """Return the batches of a step, and what it computes of them, None where there are none."""
        if self.settings.distributed is not None:
            return over_ranks.computed(self)
        batches = self.reader.group(self.position)
        return batches, computed(self, batches) if batches else None

    def _after_step(self, record: Step, done: bool) -> None:
        """Do what follows a step, whether or not it was the last of its epoch."""
        own = self.settings
        self.history.steps.append(record)
        measured = own.validate_every is not None and self.step % own.validate_every == 0
        self.due = ["validation"] * measured + ["end"] * done
        with self._keeper.guard(self):
            if self.log:
                self.log.write(record)
            self._schedule("step", record.loss)
            if done:
                self.reader.check_end(self.position)
            self._progress.step(record)
            for callback in own.callbacks:
                callback.step(self, record)
        # Before a validation, which takes long and may raise; else after the end of the epoch.
        regular = self.step % own.every == 0 if own.every else done
        if regular and self.due != ["end"]:
            self._keeper.save(self)
        self._do_what_is_due()

    def _end_epoch(self) -> None:
        """Count the epoch; what follows it is due then."""
        if not self.position:
            with self._keeper.guard(self):
                raise ValueError("fit: the data gave no batch in an epoch; is it empty?")
        own, count = self.settings, self.epoch_count
        mean = self.epoch_loss / count if count else math.nan
        self.epoch += 1
        self.position, self.epoch_loss, self.epoch_count, self.carried = 0, 0.0, 0.0, None
        self.uncut = None
        self.due = ["validation"] if own.validates and not own.validate_every else []
        self.due.append("epoch")
        with self._keeper.guard(self):
            self._schedule("epoch", mean)
        if not own.every or self.step % own.every == 0:
            self._keeper.save(self)

    def _tell_epoch(self) -> None:
        self.due = self.due[1:]
        with self._keeper.guard(self):
            for callback in self.settings.callbacks:
                callback.epoch(self)

    def _do_what_is_due(self) -> None:
        """Do what follows the last step, until a signal comes; then look for an end."""
        do: dict[str, Callable[[], Any]] = {
            "validation": self._validate, "end": self._end_epoch, "epoch": self._tell_epoch,
        }  # fmt: skip
        while self.due and not self._asked():
            do[self.due[0]]()
        self._look()

    def _look(self) -> None:
        """Note whether it is time to stop, and why."""
        own = self.settings
        if self._asked():  # first: an interrupt in the last step counts, too
            self.stop("interrupted")
        if own.steps is not None and self.step >= own.steps:
            self.stop("steps")
        if own.epochs is not None and self.epoch >= own.epochs:
            self.stop("epochs")
        if self.stopping.over:
            self.stop("patience")

    def _asked(self) -> bool:
        """Return whether a signal came, to this process or to another one of the run."""
        asked = self._interrupts.asked
        return asked if self.settings.distributed is None else over_ranks.agreed(self, asked)

    def _schedule(self, moment: str, metric: float) -> None:
        schedule = self.schedule
        if schedule is not None and (self.settings.schedule_every or schedule.moment) == moment:
            schedule.step(metric)

    # ---- validation

    def _validate(self) -> dict[str, Any] | None:
        """Measure and take in what follows from it; returns the metrics and whether they are the
        best. Returns None, and is still due, where a signal came meanwhile.
        """
        began, before = time.perf_counter(), random_state()
        if self.settings.distributed is not None:
            over_ranks.check_weights(self)
        ema = self.settings.ema
        with self._keeper.guard(self, redone=True), ema.swapped() if ema else nullcontext():
            # Several processes end a validation together, at its end.
            alone = self.settings.distributed is None
            interrupts = self._interrupts if alone else Interrupts()
            try:
                metrics = metrics_of(self.settings, self.step, self._progress, interrupts)
            except Interrupted:
                set_random_state(before)
                return None
            record = Validation(self.step, self.epoch, metrics, time.perf_counter() - began)
            best = self.stopping.take(record, self.model)
        self.due = self.due[1:]
        self.history.best = self.stopping.best
        self.history.validations.append(record)
        with self._keeper.guard(self):
            known = self.stopping.mode is not None
            self._schedule("validation", self.stopping.metric(record) if known else math.nan)
            if self.log:
                self.log.write(record)
            self._progress.validation(record)
            for callback in self.settings.callbacks:
                callback.validation(self, record)
        return {"metrics": metrics, "best": best}

    def _finish(self) -> None:
        """Do after the last checkpoint what a resumed run must not find done."""
        own, validations = self.settings, self.history.validations
        measured = bool(validations) and validations[-1].step == self.step
        if not self.history.interrupted and own.validates and not measured:
            before = self._keeper.end(self)
            final = self._validate()
            if final is None:
                self.history.stopped = "interrupted"
            else:
                self._keeper.save_end(self, before, final)
        if own.restore_best and not self.history.interrupted:
            self.stopping.restore(self.model)
        if own.plot is not None and not self.rank:
            plot_history(self.history, own.plot)
        for callback in own.callbacks:
            callback.end(self)
