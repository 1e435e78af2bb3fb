"""Raise errors and send signals around the steps of `fit`: no trained step is lost to them."""

import itertools
import os
import random
import signal
import threading
import time

import pytest

import engine
import rnn
from rnn.training import Callback, Checkpoints, read_checkpoint
from tests.draws import covering, first
from tests.rnn.training.small_training import (
    Shuffled,
    Sized,
    assert_same_run,
    batches,
    carried,
    logged,
    loss,
    run,
)

VALIDATION = batches(2, seed=9)


class Once:
    """Raise once, at a call of a given number, and be a plain function afterwards."""

    def __init__(self, number, function, error=LookupError):
        self.left, self.function, self.error = number, function, error

    def __call__(self, *given):
        self.left -= 1
        if not self.left:
            raise self.error("once")
        return self.function(*given)


class Raising(Callback):
    """Raise once from a callback, at a moment of a given number."""

    def __init__(self, moment, number):
        self.moment, self.left = moment, number

    def _count(self, moment):
        self.left -= moment == self.moment
        if not self.left and moment == self.moment:
            raise LookupError("once")

    def step(self, run, record):
        self._count("step")

    def validation(self, run, record):
        self._count("validation")

    def epoch(self, run):
        self._count("epoch")


def drawing(net):
    """Return a metric that draws, so that a validation advances the random state."""
    return {"loss": float(engine.random.fresh_key("drawn")[-1] % 7)}


class Unsized:
    """Load as `Shuffled` does, of a length that nothing says."""

    __init__, __iter__ = Shuffled.__init__, Shuffled.__iter__
    state, restore = Shuffled.state, Shuffled.restore


DATA = {
    "list": batches,
    "shuffled, no len": lambda: Unsized(batches()),
    "no len": lambda: Sized(batches()),
    "shuffled": lambda: Shuffled(batches()),
}
BROKEN = {
    "evaluate": lambda n: {"evaluate": Once(n, drawing)},
    "evaluate, by a keyboard": lambda n: {"evaluate": Once(n, drawing, KeyboardInterrupt)},
    "a callback of steps": lambda n: {"callbacks": [Raising("step", n)]},
    "a callback of validations": lambda n: {"callbacks": [Raising("validation", n)]},
    "a callback of epochs": lambda n: {"callbacks": [Raising("epoch", n)]},
    "the loss": lambda n: {"loss": Once(n, carried)},
}


CASES = [*itertools.product(DATA, BROKEN, (1, 2, 3), (None, 1, 100), (None, 4, 2), (1, 1, 2, 3))]
SEED = 3
DRAWN = random.Random(SEED).sample(CASES, 36)
# What breaks takes turns, so that the first six have every value of each setting.
DRAWN = [DRAWN[place] for _, place in sorted(
    (sum(other[1] == case[1] for other in DRAWN[:place]), place)
    for place, case in enumerate(DRAWN)
)]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "broken", "number", "every", "validate_every", "accumulate"),
    first(6, DRAWN),
)
def test_no_step_is_lost_and_the_run_goes_on_to_the_bit(
    data, broken, number, every, validate_every, accumulate, tmp_path
):
    plain = {"data": DATA[data], "evaluate": drawing, "monitor": "loss", "patience": 9,
             "validate_every": validate_every, "carry": True, "every": every, "epochs": 5,
             "callbacks": [Callback()], "accumulate": accumulate}  # fmt: skip
    whole = run(tmp_path / "whole", **plain)
    with pytest.raises((LookupError, KeyboardInterrupt), match="once"):
        run(tmp_path / "cut", **plain | BROKEN[broken](number))
    kept = Checkpoints(tmp_path / "cut" / "checkpoints").newest()
    assert kept.state["step"] == sum("loss" in line for line in logged(tmp_path / "cut"))
    again = run(tmp_path / "cut", seed=66, resume=True, **plain)
    assert_same_run(whole, again)
    assert logged(tmp_path / "cut") == logged(tmp_path / "whole")


def test_data_that_raise_lose_no_step(tmp_path):
    class Broken(Shuffled):
        def __iter__(self):
            for number, batch in enumerate(super().__iter__()):
                if number == 3:
                    raise LookupError("once")
                yield batch

    whole = run(tmp_path / "whole", epochs=2, data=lambda: Shuffled(batches()))
    with pytest.raises(LookupError):
        run(tmp_path / "cut", epochs=2, data=lambda: Broken(batches()))
    assert Checkpoints(tmp_path / "cut" / "checkpoints").newest().state["step"] == 3
    again = run(tmp_path / "cut", epochs=2, data=lambda: Shuffled(batches()), resume=True)
    assert_same_run(whole, again)


def test_a_checkpoint_stands_before_each_validation(tmp_path):
    found = []

    def watched(net, folder):
        found.append(Checkpoints(tmp_path / folder / "checkpoints").newest().state["step"])
        return {"loss": 1.0}

    for options, steps in (({}, [5, 10]), ({"validate_every": 5}, [5, 10]),
                           ({"validate_every": 3, "every": 3}, [3, 6, 9, 10]),
                           ({"validate_every": 2, "every": 5}, [0, 0, 5, 5, 10])):  # fmt: skip
        folder = str(len(options)) + str(options.get("every"))
        run(tmp_path / folder, epochs=2, **options,
            evaluate=lambda net, folder=folder: watched(net, folder))  # fmt: skip
        assert found == steps
        found.clear()


@pytest.mark.parametrize("broken", [{"callbacks": [Raising("validation", 2)]},
                                    {"evaluate": Once(2, drawing)}])  # fmt: skip
def test_an_error_in_the_validation_at_the_end_leaves_no_trace_of_it(broken, tmp_path):
    plain = {"evaluate": drawing, "monitor": "loss", "validate_every": 4, "patience": 9,
             "callbacks": [Callback()]}  # fmt: skip
    whole = run(tmp_path / "whole", steps=9, **plain)
    with pytest.raises(LookupError):
        run(tmp_path / "cut", steps=6, **plain | broken)
    assert Checkpoints(tmp_path / "cut" / "checkpoints").newest().state["step"] == 6
    assert_same_run(whole, run(tmp_path / "cut", steps=9, resume=True, **plain))


def test_a_step_is_logged_before_a_schedule_can_raise(tmp_path):
    class Broken(rnn.schedules.ExponentialLR):
        def step(self, *metrics):
            if self.steps == 3:
                raise LookupError
            super().step(*metrics)

    with pytest.raises(LookupError):
        run(tmp_path, steps=6, schedule=lambda o: Broken(o, 0.5))
    assert [line["step"] for line in logged(tmp_path)] == [1, 2, 3, 4]
    assert Checkpoints(tmp_path / "checkpoints").newest().state["step"] == 4


def test_the_first_error_is_the_one_that_is_raised(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    def broken(net):
        monkeypatch.setattr(os, "fsync", full)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine") as caught:
        run(tmp_path, epochs=1, evaluate=broken, every=100)
    (note,) = caught.value.__notes__
    assert note.startswith("fit: no checkpoint of step 5 could be written: ")


def test_a_plan_that_is_too_short_keeps_its_steps(tmp_path):
    """Try a run of a length that is not known beforehand."""
    with pytest.raises(ValueError, match="all 7 steps of the cycle are taken"):
        run(tmp_path, epochs=3, data=lambda: Sized(batches()),
            schedule=lambda o: rnn.schedules.OneCycleLR(o, 0.1, 7))  # fmt: skip
    assert Checkpoints(tmp_path / "checkpoints").newest().state["step"] == 8


# ---- signals


def interrupting(after, number=signal.SIGINT):
    """Send this process a signal after some seconds."""
    timer = threading.Timer(after, os.kill, (os.getpid(), number))
    timer.start()
    return timer


@pytest.mark.parametrize(
    ("where", "number"),
    covering(["evaluate", "validation", "the end"], [signal.SIGINT, signal.SIGTERM]),
)
def test_a_signal_ends_a_validation_at_once(number, where, tmp_path):
    timers, data = [], Shuffled(batches(4, seed=2))

    def slow(*given):
        timers.append(interrupting(0.1, number))
        time.sleep(100)

    def slow_loss(net, batch):
        if not net.training:
            slow()
        return loss(net, batch)

    options = {"epochs": 2}
    if where == "validation":
        options |= {"validation": data, "loss": slow_loss}
    else:
        options |= {"evaluate": slow, "monitor": "loss"}
        options |= {"validate_every": 100} if where == "the end" else {}
    began = time.monotonic()
    _, _, history = run(tmp_path, **options)
    assert time.monotonic() - began < 60
    assert history.interrupted
    assert history.validations == []
    assert data.state() == {"epoch": 0, "position": 0}
    timers[0].join()
    steps = 10 if where == "the end" else 5
    newest = Checkpoints(tmp_path / "checkpoints").newest()
    assert newest.state["step"] == len(history.losses) == steps
    # What was broken off is made up for.
    options = options | {"loss": loss} | ({} if where == "validation" else {
        "evaluate": lambda net: {"loss": 1.0}})  # fmt: skip
    whole = run(tmp_path / "whole", **options)
    assert_same_run(whole, run(tmp_path, seed=4, resume=True, **options))


def test_a_signal_in_the_step_before_a_validation_does_not_begin_it(tmp_path):
    def stop(run, record):
        os.kill(os.getpid(), signal.SIGINT)

    history = run(tmp_path, epochs=2, data=lambda: batches(1), callbacks=[stop],
                  evaluate=lambda net: pytest.fail("measured"))[2]  # fmt: skip
    assert history.interrupted
    state = read_checkpoint(sorted((tmp_path / "checkpoints").glob("*.json"))[-1]).state
    assert (state["step"], state["due"]) == (1, ["end"])


# ---- parts of validations


def test_validations_can_be_bounded():
    seen = []

    def watched(net, batch):
        if not net.training:
            seen.append(batch.x.tolist())
        return loss(net, batch)

    endless = rnn.data.Generated(lambda epoch: map(batches().__getitem__, itertools.cycle((0, 1))),
                                 10**9)  # fmt: skip
    history = run(epochs=2, loss=watched, validation=endless, validation_steps=3)[2]
    assert seen == [batches()[n].x.tolist() for n in (0, 1, 0)] * 2
    assert len(history.validations) == 2
    seen.clear()
    run(epochs=1, loss=watched, validation=batches(2), validation_steps=5)
    assert len(seen) == 2
