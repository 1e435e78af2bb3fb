"""Test fit: what it computes, measures, writes and refuses, and how it stops."""

import gc
import itertools
import json
import math
import os
import signal
import sys
import threading
import types
import weakref

import numpy as np
import pytest
import tqdm
import tqdm.auto
import tqdm.notebook

import engine
import rnn
from rnn.metrics import NLL, Accuracy, Metric, Perplexity
from rnn.training import (
    Callback,
    Checkpoints,
    History,
    Step,
    Validation,
    fit,
    plot_history,
    progress,
)
from rnn.training.history import Log
from rnn.training.progress import Progress
from rnn.training.stopping import Interrupts, Stopping
from tests import ROOT
from tests.draws import first
from tests.rnn.training.small_training import (
    Net,
    Shuffled,
    Sized,
    assert_same_state,
    batches,
    carried,
    logged,
    loss,
    numbers,
    run,
)

# ---- what it computes


def by_hand(steps, *, clip=None, carry=False, epoch=5):
    """Train by a loop written by hand."""
    engine.seed(1)
    net = Net()
    optimizer = rnn.optim.Adam(net.parameters(), lr=0.02)
    losses, state = [], None
    for number in range(steps):
        state = None if number % epoch == 0 else state
        batch = batches(epoch)[number % epoch]
        if carry:
            value, state = carried(net, batch, state)
            state = tuple(part.detach() for part in state)
        else:
            value = loss(net, batch)
        optimizer.zero_grad()
        value.backward()
        if clip:
            rnn.clip_grad_norm(optimizer.parameters, clip)
        optimizer.step()
        losses.append(value.item())
    return net, losses


@pytest.mark.parametrize("options", [{}, {"carry": True}, {"clip_norm": 0.05}])
def test_it_is_the_loop_that_one_would_write(options):
    net, losses = by_hand(12, carry="carry" in options, clip=options.get("clip_norm"))
    found, _, history = run(steps=12, **options)
    assert history.losses == losses
    assert_same_state(found.state_dict(), net.state_dict())
    assert history.stopped == "steps"


def test_epochs_and_steps():
    assert len(run(epochs=2)[2].losses) == 10
    assert [record.epoch for record in run(epochs=2)[2].steps] == [0] * 5 + [1] * 5
    assert len(run(steps=7)[2].losses) == 7
    assert numbers(run(epochs=2)[2])[0] == numbers(run(steps=10)[2])[0]
    assert numbers(run(epochs=2, data=lambda: Sized(batches()))[2]) == numbers(run(epochs=2)[2])


def test_a_generator_is_read_once():
    history = run(epochs=1, data=lambda: iter(batches()))[2]
    assert (len(history.losses), history.stopped) == (5, "epochs")
    history = run(steps=99, data=lambda: iter(batches()))[2]
    assert (len(history.losses), history.stopped) == (5, "data")
    with pytest.raises(ValueError, match="data is an iterator, which can be read once"):
        run(epochs=2, data=lambda: iter(batches()))


def test_data_with_another_length_than_it_says():
    class Long(Shuffled):
        def __len__(self):
            return 7

    class Short(Shuffled):
        def __len__(self):
            return 4

    assert len(run(epochs=2, data=lambda: Long(batches()))[2].losses) == 10
    with pytest.raises(ValueError, match=r"says that it has len\(\) = 4 batches, and has more"):
        run(epochs=2, data=lambda: Short(batches()))


def test_it_learns():
    history = run(epochs=40, optimizer=lambda p, lr: rnn.optim.Adam(p, lr=0.05))[2]
    assert history.losses[0] > 1.5
    assert np.mean(history.losses[-5:]) < 0.5


def test_adam_is_the_default():
    engine.seed(0)
    net = rnn.Linear(2, 1)
    other = rnn.Linear(2, 1)
    other.load_state_dict(net.state_dict())
    x = engine.ones((3, 2))
    fit(net, [x], square, epochs=2, progress=False)
    fit(other, [x], square, epochs=2, progress=False,
        optimizer=rnn.optim.Adam(other.parameters()))  # fmt: skip
    assert_same_state(net.state_dict(), other.state_dict())


def square(net, x):
    return engine.mean(net(x) ** 2)


def test_records_say_what_was_used():
    history = run(steps=6, schedule=lambda o: rnn.schedules.ExponentialLR(o, 0.5))[2]
    assert [record.lr for record in history.steps] == [0.02 * 0.5**n for n in range(6)]
    assert [record.step for record in history.steps] == [1, 2, 3, 4, 5, 6]
    assert all(record.seconds > 0 and record.grad_norm > 0 for record in history.steps)


def test_gradient_norms_are_those_before_clipping():
    one, other = run(steps=1)[2], run(steps=1, clip_norm=1e-3)[2]
    assert one.steps[0].grad_norm == other.steps[0].grad_norm > 1e-2


@pytest.mark.parametrize(
    ("every", "rates"), [("step", [1, 0.5, 0.25, 0.125]), ("epoch", [1, 1, 0.5, 0.5])]
)
def test_schedules_step_when_they_are_asked_to(every, rates):
    history = run(epochs=2, data=lambda: batches(2), schedule_every=every,
                  schedule=lambda o: rnn.schedules.ExponentialLR(o, 0.5))[2]  # fmt: skip
    assert [record.lr / 0.02 for record in history.steps] == rates


def test_a_plateau_follows_the_validation():
    losses = iter([3.0, 3.0, 3.0, 1.0])
    history = run(steps=4, evaluate=lambda net: {"loss": next(losses)}, validate_every=1,
                  monitor="loss",
                  schedule=lambda o: rnn.schedules.ReduceLROnPlateau(o, patience=0, factor=0.5),
                  )[2]  # fmt: skip
    assert [record.lr / 0.02 for record in history.steps] == [1, 1, 0.5, 0.25]


@pytest.mark.parametrize("nested", [1, 2])
def test_a_plateau_after_a_warm_up_follows_the_validation(nested):
    losses, seen = iter([9.0, 9.0, 8.0, 7.0, 7.0, 7.0]), []

    class Watching(rnn.schedules.ReduceLROnPlateau):
        def step(self, *metrics):
            seen.append(metrics)
            super().step(*metrics)

    def made(optimizer):
        schedule = Watching(optimizer, patience=0, factor=0.5)
        for _ in range(nested):
            schedule = rnn.schedules.WarmUp(schedule, 4 // nested, start_factor=0.0)
        return schedule

    history = run(steps=12, evaluate=lambda net: {"loss": next(losses)}, validate_every=2,
                  schedule=made, monitor="loss")[2]  # fmt: skip
    # The warm-up counts steps; the validation after its last step is the first that is followed.
    assert seen == [(9.0,), (8.0,), (7.0,), (7.0,), (7.0,)]
    rates = [record.lr / 0.02 for record in history.steps]
    assert rates[:4] == ([0, 0.25, 0.5, 0.75] if nested == 1 else [0, 0.5, 0, 0.5])
    assert rates[4:] == [1, 1, 1, 1, 1, 1, 0.5, 0.5]


def test_a_plateau_takes_the_mode_of_the_metric_that_is_watched():
    def rates(figures, own=None, **options):
        left = iter(figures)
        history = run(steps=4, evaluate=lambda net: {"accuracy": next(left)}, validate_every=1,
                      schedule=lambda o: rnn.schedules.ReduceLROnPlateau(
                          o, own, patience=0, factor=0.5),
                      monitor="accuracy", **options)[2]  # fmt: skip
        return [record.lr / 0.02 for record in history.steps], history.best.step

    assert rates([0.1, 0.2, 0.3, 0.4]) == ([1, 1, 1, 1], 4)
    assert rates([0.4, 0.3, 0.2, 0.1]) == ([1, 1, 0.5, 0.25], 1)
    assert rates([0.4, 0.3, 0.2, 0.1], mode="min") == ([1, 1, 1, 1], 4)
    assert rates([0.1, 0.2, 0.3, 0.4], own="max") == ([1, 1, 1, 1], 4)
    with pytest.raises(ValueError, match=r"^fit: .* its mode is 'min', .* is 'max'; give mode='ma"):
        rates([0.1], own="min")


def test_a_plateau_of_the_training_loss_takes_smaller_for_better():
    for every in ("step", "epoch"):
        options = {"evaluate": lambda net: {"accuracy": 1.0}, "monitor": "accuracy"}
        plateau = []

        def made(optimizer, plateau=plateau):
            plateau.append(rnn.schedules.ReduceLROnPlateau(optimizer))
            return plateau[0]

        run(epochs=2, schedule=made, schedule_every=every, **options)
        assert plateau[0].mode == "min"


def test_schedules_that_compare_nothing_can_step_after_any_validation():
    history = run(steps=4, evaluate=lambda net: {"size": 1}, validate_every=2,
                  schedule_every="validation",
                  schedule=lambda o: rnn.schedules.ExponentialLR(o, 0.5))[2]  # fmt: skip
    assert [record.lr / 0.02 for record in history.steps] == [1, 1, 0.5, 0.5]
    assert history.best is None


LONG = {
    "steps": ({"steps": 11}, "OneCycleLR is over after 10 steps, and this run takes 11 of them"),
    "epochs": ({"epochs": 3}, "over after 10 steps, and this run takes 15 of them, one every step"),
    "every epoch": ({"epochs": 11, "schedule_every": "epoch"}, "10 steps, .* takes 11 .* epoch"),
    "every epoch, by steps": ({"steps": 58, "schedule_every": "epoch"}, "10 steps, .* takes 11 "),
    "every validation": (
        {"steps": 41, "schedule_every": "validation", "validate_every": 4, "validation": [None]},
        "10 steps, .* takes 11 of them, one every validation",
    ),
}


@pytest.mark.parametrize("kind", LONG)
@pytest.mark.parametrize("warm", [0, 3])
@pytest.mark.parametrize("name", ["OneCycleLR", "CosineAnnealingLR"])
def test_a_schedule_that_is_shorter_than_the_run_is_refused(kind, warm, name):
    def made(optimizer):
        length = 10 - warm
        options = (1.0, length) if name == "OneCycleLR" else (length,)
        found = getattr(rnn.schedules, name)(optimizer, *options)
        return rnn.schedules.WarmUp(found, warm) if warm else found

    options, said = LONG[kind]
    said = said.replace("OneCycleLR", "WarmUp" if warm else name)
    with pytest.raises(ValueError, match=f"^fit: .*{said}"):
        run(schedule=made, loss=_never, **options)


def test_a_schedule_as_long_as_the_run_is_not_refused():
    assert run(steps=10, schedule=lambda o: rnn.schedules.OneCycleLR(o, 1.0, 10))[2].stopped
    assert run(epochs=2, schedule=lambda o: rnn.schedules.CosineAnnealingLR(o, 10))[2].stopped
    assert run(epochs=2, schedule=lambda o: rnn.schedules.CosineAnnealingLR(o, 2),
               schedule_every="epoch")[2].stopped  # fmt: skip
    assert run(steps=14, schedule=lambda o: rnn.schedules.WarmUp(
        rnn.schedules.OneCycleLR(o, 1.0, 10), 4))[2].stopped  # fmt: skip


def test_steps_that_a_schedule_took_before_count():
    engine.seed(1)
    net = Net()
    optimizer = rnn.optim.SGD(net.parameters(), lr=1.0)
    schedule = rnn.schedules.CosineAnnealingLR(optimizer, 4)
    fit(net, batches(), loss, optimizer=optimizer, schedule=schedule, steps=3, progress=False)
    with pytest.raises(ValueError, match="is over after 4 steps, and this run takes 5 of them"):
        fit(net, batches(), loss, optimizer=optimizer, schedule=schedule, steps=2, progress=False)


def test_a_plateau_by_the_epoch_sees_the_mean_of_its_own_epoch():
    seen = []

    class Watching(rnn.schedules.ReduceLROnPlateau):
        def step(self, metric=None):
            seen.append(metric)
            super().step(metric)

    history = run(epochs=3, schedule=Watching, schedule_every="epoch")[2]
    assert len(history.losses) == 15
    means = [np.mean(history.losses[first : first + 5]) for first in (0, 5, 10)]
    assert seen == pytest.approx(means, rel=1e-12)
    assert means[0] > means[1] > means[2]  # so that a wrong share of another epoch would show


def test_a_schedule_that_is_made_already():
    engine.seed(1)
    net = Net()
    optimizer = rnn.optim.SGD(net.parameters(), lr=1.0)
    schedule = rnn.schedules.StepLR(optimizer, 1, gamma=0.1)
    history = fit(net, batches(), loss, optimizer=optimizer, schedule=schedule, steps=2,
                  progress=False)  # fmt: skip
    assert [record.lr for record in history.steps] == [1.0, 0.1]


def test_modes_are_left_as_they_were():
    seen = []

    def watched(net, batch):
        seen.append(net.training)
        return loss(net, batch)

    net = Net().eval()
    net.core.train()
    fit(net, batches(1), watched, steps=1, validation=batches(2), progress=False)
    assert seen == [True, False, False]
    assert [net.training, net.core.training, net.head.training] == [False, True, False]


class Parts(rnn.Module):
    """Hold a part that is frozen, one with dropout inside, one that trains."""

    def __init__(self):
        self.frozen = rnn.Sequential(rnn.Linear(2, 2), rnn.Linear(2, 2))
        for x in self.frozen.parameters():
            x.requires_grad = False
        self.quiet = rnn.Linear(2, 2)
        self.head = rnn.Linear(2, 1)

    def forward(self, x):
        return self.head(self.quiet(self.frozen(x)))


def modes_of(net):
    return {name: module.training for name, module in net.named_modules()}


def test_parts_that_were_put_in_evaluation_stay_there():
    net, seen = Parts(), []
    net.quiet.eval()
    net.frozen.steps[0].eval()
    before = modes_of(net)
    assert not all(before.values())
    assert any(before.values())

    def watched(net, x):
        seen.append((net.training, modes_of(net)))
        return square(net, x)

    x = engine.ones((3, 2))
    fit(net, [x], watched, epochs=2, validation=[x], progress=False)
    assert [mode for mode, _ in seen] == [True, False, True, False]
    for training, modes in seen:
        assert modes == (before if training else dict.fromkeys(before, False))
    assert modes_of(net) == before


def test_a_model_in_evaluation_is_switched_to_training_but_for_frozen_parts():
    net, seen = Parts().eval(), []
    fit(net, [engine.ones((3, 2))], square, epochs=1, progress=False,
        callbacks=[lambda run, record: seen.append(modes_of(run.model))])  # fmt: skip
    frozen = [name for name, mode in seen[0].items() if not mode]
    assert frozen == [name for name in seen[0] if name.startswith("frozen")]
    assert not any(modes_of(net).values())


def test_modes_that_a_callback_changes_are_kept_through_validations():
    net, seen = Parts(), []
    net.quiet.eval()

    def watched(run, record):
        seen.append(net.quiet.training)
        net.quiet.train()

    x = engine.ones((3, 2))
    fit(net, [x], square, epochs=3, validation=[x], callbacks=[watched], progress=False)
    assert seen == [False, True, True]
    assert not net.quiet.training


def test_the_graph_is_freed():
    kept = []

    def watched(net, batch):
        found = loss(net, batch)
        kept.append(weakref.ref(found))
        return found

    gc.disable()
    try:
        run(steps=3, loss=watched)
    finally:
        gc.enable()
    assert [one() for one in kept] == [None] * 3


# ---- validation


def test_a_validation_has_the_mean_loss_metrics_and_what_evaluate_gives():
    net, _, history = run(
        epochs=1,
        validation=batches(3, seed=4),
        metrics={"perplexity": math.exp, "bits": lambda nats: nats / math.log(2)},
        evaluate=lambda net: {"size": len(net.parameters())},
    )
    net.eval()
    with engine.no_grad():
        mean = math.fsum(loss(net, one).item() for one in batches(3, seed=4)) / 3
    (record,) = history.validations
    assert record.metrics == {"loss": mean, "perplexity": math.exp(mean),
                              "bits": mean / math.log(2), "size": 11}  # fmt: skip
    assert (record.step, record.epoch) == (5, 1)


def test_validations_come_after_epochs_or_steps_and_at_the_end():
    def at(**options):
        return [record.step for record in run(validation=batches(1), **options)[2].validations]

    assert at(epochs=2) == [5, 10]
    assert at(epochs=2, data=lambda: Sized(batches())) == [5, 10]
    assert at(steps=7) == [5, 7]
    assert at(steps=3) == [3]
    assert at(steps=7, validate_every=3) == [3, 6, 7]
    assert at(steps=6, validate_every=3) == [3, 6]


def test_validation_leaves_no_trace():
    for options in ({}, {"carry": True}):
        plain = run(epochs=3, **options)
        watched = run(epochs=3, validation=batches(2), validate_every=1, **options)
        assert numbers(plain[2])[0] == numbers(watched[2])[0]


def test_every_validation_reads_the_same_epoch_of_a_loader():
    loader = Shuffled(batches(3, seed=4))
    seen = []

    def watched(net, batch):
        if not net.training:
            seen.append(batch.x.sum())
        return loss(net, batch)

    run(epochs=3, validation=loader, loss=watched)
    assert seen[:3] == seen[3:6] == seen[6:]
    assert loader.state() == {"epoch": 0, "position": 0}


def test_rows_without_steps_and_targets_count_as_rows():
    data = rnn.data.ArrayBatches(np.arange(5.0)[:, None], batch_size=3, steps=False, shuffle=False)
    net = rnn.Linear(1, 1)
    found = rnn.evaluate(net, data, lambda net, batch: engine.mean(engine.asarray(batch.x)))
    assert found["loss"] == 2.0  # the mean of 0 to 4, and not of the means of two batches


def test_a_callback_under_the_names_of_keras_is_refused():
    with pytest.raises(TypeError, match=r"Own: on_epoch_end is not called here; write epoch\("):
        type("Own", (rnn.Callback,), {"on_epoch_end": lambda self, epoch, logs: None})


def test_a_validation_that_was_looked_at_before_is_read_whole():
    seen = []

    def watched(net, batch):
        if not net.training:
            seen.append(batch.x.tolist())
        return loss(net, batch)

    whole = batches(3, seed=4)
    loader = rnn.data.Generated(lambda epoch: iter(whole), 3)
    next(iter(loader))
    run(epochs=2, validation=loader, loss=watched)
    assert seen == 2 * [one.x.tolist() for one in whole]


def test_a_run_that_fails_at_once_on_data_looked_at_before_resumes_at_the_first_batch(tmp_path):
    data = rnn.data.Generated(lambda epoch: iter(batches(3)), 3)
    next(iter(data))
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, epochs=1, data=lambda: data, loss=lambda net, batch: 1 / 0)
    found = run(tmp_path, epochs=1, data=lambda: data, resume=True)
    assert found[2].losses == run(epochs=1, data=lambda: batches(3))[2].losses


def test_the_data_that_is_trained_on_can_be_the_validation(tmp_path):
    data = Shuffled(batches())
    plain = run(epochs=3, data=lambda: Shuffled(batches()))
    run(tmp_path, steps=8, validate_every=3, data=lambda: data, validation=data)
    again = Shuffled(batches())
    found = run(tmp_path, epochs=3, validate_every=3, data=lambda: again, validation=again,
                resume=True)  # fmt: skip
    assert found[2].losses == plain[2].losses


@pytest.mark.parametrize("steps", [2, 3, 6, 8])
def test_a_loader_that_is_also_the_validation_goes_on_as_without_it(steps):
    ends = []
    for watched in (False, True):
        data = rnn.data.Generated(lambda epoch: iter(batches(6, seed=epoch)), 6)
        run(steps=steps, data=lambda data=data: data, validate_every=2 if watched else None,
            validation=data if watched else None)  # fmt: skip
        ends.append((data.state(), [one.x.tolist() for one in data], data.state()))
    assert ends[0] == ends[1]


def test_a_loader_that_goes_on_goes_on_after_a_validation():
    data = rnn.data.Generated(lambda epoch: iter(batches(6, seed=epoch)), 6)
    data.restore({"epoch": 1, "position": 4})
    run(steps=1, validation=data)
    assert [one.x.tolist() for one in data] == [one.x.tolist() for one in batches(6, seed=1)[4:]]


def test_the_state_of_a_validation_is_carried_through_it():
    seen = []

    def watched(net, batch, state):
        seen.append((net.training, state is None))
        return carried(net, batch, state)

    run(steps=2, carry=True, loss=watched, validation=batches(2), validate_every=1)
    assert seen == [(True, True), (False, True), (False, False),
                    (True, False), (False, True), (False, False)]  # fmt: skip


# ---- metrics that take what the model gives


def answers(net, batch):
    """Return the arguments of accuracy and likelihood."""
    return net(batch.x)[0], batch.y


def answers_on(net, batch, state):
    logits, state = net(batch.x, state)
    return (logits, batch.y), state


def metrics_by_hand(net, data, carry=False):
    """Compute mean log-likelihood and accuracy of all tokens, from the logits, in NumPy."""
    net.eval()
    right, nats, state = [], [], None
    for batch in data:
        with engine.no_grad():
            logits, after = net(batch.x, state)
        state = after if carry else None
        logits = logits.numpy().astype("float64")
        chosen = np.take_along_axis(logits, batch.y[..., None], -1)[..., 0]
        nats.append((np.log(np.exp(logits).sum(-1)) - chosen).ravel())
        right.append((logits.argmax(-1) == batch.y).ravel())
    return np.concatenate(nats).mean(), np.concatenate(right).mean()


@pytest.mark.parametrize("carry", [False, True])
def test_metrics_are_reset_before_every_validation(carry):
    data = [*batches(2, seed=4), *batches(2, seed=5, rows=3, steps=2)]
    options = {"carry": True, "outputs": answers_on} if carry else {"outputs": answers}
    net, _, history = run(epochs=3, validation=data, metrics=[NLL(), Accuracy()], **options)
    nats, share = metrics_by_hand(net, data, carry)
    first, *_, last = history.validations
    assert list(last.metrics) == ["loss", "nll", "accuracy"]
    assert last.metrics["nll"] == pytest.approx(nats, abs=1e-6)
    assert last.metrics["accuracy"] == pytest.approx(share, abs=1e-12)
    assert last.metrics["loss"] == pytest.approx(nats, abs=1e-6)  # by token, not by batch
    net.eval()
    state, by_batch = None, []
    for batch in data:
        logits, after = net(batch.x, state)
        state = after if carry else None
        by_batch.append(engine.cross_entropy(logits, batch.y).item())
    assert np.mean(by_batch) != pytest.approx(nats, abs=1e-4)
    assert first.metrics != last.metrics


def test_metrics_have_the_names_and_the_order_of_the_caller():
    metrics = {"ppl": Perplexity(), "bits": lambda nats: nats / math.log(2), "right": Accuracy()}
    found = run(epochs=1, validation=batches(1), metrics=metrics, outputs=answers,
                evaluate=lambda net: {"size": 3})[2].validations[0].metrics  # fmt: skip
    assert list(found) == ["loss", "ppl", "bits", "right", "size"]
    assert found["ppl"] == pytest.approx(math.exp(found["loss"]), rel=1e-6)


def test_outputs_are_asked_once_a_batch_without_gradients_and_dropout():
    seen = []

    def watched(net, batch):
        logits, targets = answers(net, batch)
        seen.append((net.training, logits.requires_grad))
        return logits, targets

    run(steps=2, validation=batches(3), validate_every=1, metrics=[NLL(), Accuracy()],
        outputs=watched)  # fmt: skip
    assert seen == [(False, False)] * 6


def test_the_state_of_outputs_is_their_own():
    seen = []

    def watched(net, batch, state):
        seen.append(state)
        return answers_on(net, batch, None)[0], (0 if state is None else state) + 1

    run(steps=2, carry=True, validation=batches(3), validate_every=1, metrics=[NLL()],
        outputs=watched)  # fmt: skip
    assert seen == [None, 1, 2] * 2


def test_metrics_leave_no_trace_in_the_training():
    plain = run(epochs=3)
    watched = run(epochs=3, validation=batches(2), validate_every=1, metrics=[NLL(), Accuracy()],
                  outputs=answers)  # fmt: skip
    assert numbers(plain[2])[0] == numbers(watched[2])[0]
    assert_same_state(plain[0].state_dict(), watched[0].state_dict())


class Fixed(Metric):
    """Report metrics that are known beforehand."""

    name = "told"

    def __init__(self, figures, better):
        self.metrics, self.better = iter(figures), better

    def reset(self):
        pass

    def update(self, *given):
        pass

    def value(self):
        return next(self.metrics)


@pytest.mark.parametrize(
    ("better", "options", "best"),
    [
        ("max", {"monitor": "told"}, 3),
        ("min", {"monitor": "told"}, 2),
        ("max", {"monitor": "told", "mode": "min"}, 2),
        ("min", {"monitor": "told", "mode": "max"}, 3),
        ("max", {}, 4),  # the loss is watched, and smaller is better
        ("max", {"monitor": "loss", "mode": "max"}, 1),
    ],
)
def test_the_metric_that_is_watched_says_what_is_better(better, options, best):
    losses = iter([4.0, 3.0, 2.0, 1.0])

    def falling(net, batch):
        return loss(net, batch) if net.training else engine.asarray(next(losses))

    history = run(steps=4, loss=falling, validation=batches(1), validate_every=1,
                  metrics=[Fixed([5, 1, 9, 3], better)], outputs=answers, **options)[2]  # fmt: skip
    assert history.best.step == best


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"outputs": lambda net, b: net(b.x)[0]},
         r"outputs must give a tuple, the arguments of update, got Tensor; .* write \(x,\)"),
        ({"outputs": lambda net, b: [1, 2]}, "outputs must give a tuple.*got list"),
        ({"outputs": lambda net, b: None}, "outputs must give a tuple.*got NoneType"),
        ({"outputs": lambda net, b: (net(b.x)[0],)}, r"metric 'nll' of outputs \(Tensor\): .*1"),
        ({"outputs": lambda net, b: (net(b.x)[0], b.y[:1])},
         r"metric 'nll' of outputs \(Tensor, ndarray\): "),
        ({"carry": True, "outputs": lambda net, b, s: (net(b.x)[0], b.y)},
         r"with carry outputs must give \(arguments, state\).*got \(Tensor, ndarray\)"),
        ({"carry": True, "outputs": lambda net, b, s: answers(net, b)[0]},
         r"with carry outputs must give \(arguments, state\).*got Tensor"),
        ({"outputs": answers, "metrics": {"told": Fixed(["x"], "min")}},
         "metric 'told' must be a number, got str"),
        ({"metrics": {"none": lambda nats: None}}, "metric 'none' must be a number, got NoneType"),
        ({"metrics": None, "evaluate": lambda net: 0.5},
         "evaluate must give metrics by name, got float; return a dict such as"),
        ({"metrics": None, "evaluate": lambda net: {"f": None}},
         "evaluate: 'f' must be a number, got NoneType"),
    ],
)  # fmt: skip
def test_bad_outputs_and_metrics_are_refused(options, said):
    with pytest.raises((TypeError, ValueError), match=said) as caught:
        run(steps=1, validation=batches(1), **{"metrics": [NLL()]} | options)
    assert str(caught.value).startswith("fit: ")
    assert "\n" not in str(caught.value)


# ---- stopping


@pytest.mark.parametrize(
    ("name", "best"), [("accuracy", 2), ("f1", 2), ("bleu", 2), ("loss", 3), ("perplexity", 3)]
)
def test_metrics_of_known_names_have_a_direction(name, best):
    left = iter([2, 3, 1])
    net, _, history = run(steps=3, evaluate=lambda net: {"size": 1, name: next(left)},
                          validate_every=1, monitor=name, restore_best=True)  # fmt: skip
    assert history.best.step == best
    assert_same_state(net.state_dict(), run(steps=best)[0].state_dict())


def test_without_a_direction_no_validation_is_the_best():
    history = run(steps=2, evaluate=lambda net: {"score": 1}, validate_every=1)[2]
    assert len(history.validations) == 2
    assert history.best is None


def fed(figures, **options):
    """Return a run with these metrics in the validations after every step."""
    left = iter(figures)
    return run(steps=len(figures), evaluate=lambda net: {"score": next(left)}, validate_every=1,
               **{"mode": "min"} | options)  # fmt: skip


@pytest.mark.parametrize(
    ("figures", "options", "steps", "best"),
    [
        ([5, 4, 3, 2, 1], {"patience": 1}, 5, 5),
        ([5, 4, 4, 3, 1], {"patience": 1}, 3, 2),
        ([5, 6, 4, 6, 6, 1], {"patience": 2}, 5, 3),
        ([1, 2, 3, 3, 9], {"patience": 1, "mode": "max"}, 4, 3),
        ([5, 4.5, 4.2, 3.9, 3.5], {"patience": 3, "min_delta": 1.0}, 5, 4),
        ([math.nan, 4, math.nan, math.nan, 1], {"patience": 2}, 4, 2),
        ([5, math.inf, 4], {"patience": 2}, 3, 3),
    ],
)
def test_patience(figures, options, steps, best):
    net, _, history = fed(figures, **options)
    assert len(history.losses) == steps
    assert history.best.step == best
    assert history.stopped == ("patience" if steps < len(figures) else "steps")
    assert_same_state(net.state_dict(), run(steps=best)[0].state_dict())  # the best are back


def test_best_weights_stay_away_where_they_are_not_wanted():
    last = run(steps=3)[0].state_dict()
    assert_same_state(fed([1, 2, 3], restore_best=False, patience=9)[0].state_dict(), last)
    assert_same_state(fed([1, 2, 3])[0].state_dict(), last)
    first = run(steps=1)[0].state_dict()
    assert_same_state(fed([1, 2, 3], restore_best=True)[0].state_dict(), first)


def test_a_metric_can_be_selected():
    left = iter([1, 2, 3])
    options = {"steps": 3, "validate_every": 1, "restore_best": True, "mode": "min"}
    found = run(validation=batches(1), evaluate=lambda net: {"score": next(left)},
                monitor="score", **options)[2]  # fmt: skip
    assert found.best.step == 1
    with pytest.raises(ValueError, match="monitor 'other' is not in the validation, which has sc"):
        run(evaluate=lambda net: {"score": 1}, monitor="other", **options)
    with pytest.raises(ValueError, match="which has no metrics at all"):
        run(evaluate=lambda net: {}, **options)


def test_a_stopping_without_weights_restores_none():
    net = Net()
    before = net.state_dict()
    Stopping(None, "min", None, 0.0, True).restore(net)
    assert_same_state(net.state_dict(), before)


# ---- callbacks


class Moments(Callback):
    def __init__(self, stop=None):
        self.seen, self.stop = [], stop

    def begin(self, run):
        self.seen.append("begin")

    def step(self, run, record):
        self.seen.append(record.step)
        assert run.history.steps[-1] is record
        if record.step == self.stop:
            run.stop("enough")

    def validation(self, run, record):
        self.seen.append("validation")

    def epoch(self, run):
        self.seen.append(f"epoch {run.epoch}")

    def end(self, run):
        self.seen.append(run.history.stopped)


def test_callbacks_are_called_in_order():
    moments = Moments()
    run(epochs=2, data=lambda: batches(2), callbacks=[moments], validation=batches(1))
    assert moments.seen == ["begin", 1, 2, "validation", "epoch 1", 3, 4, "validation", "epoch 2",
                            "epochs"]  # fmt: skip
    assert Callback().state() == {}
    Callback().restore({})


def test_a_callback_can_stop_the_run(tmp_path):
    moments = Moments(stop=3)
    _, _, history = run(tmp_path, epochs=2, callbacks=[moments])
    assert (len(history.losses), history.stopped) == (3, "enough")
    assert moments.seen[-1] == "enough"
    assert len(run(tmp_path, epochs=2, callbacks=[Moments()], resume=True)[2].losses) == 10


@pytest.mark.parametrize("reason", ["", None])
def test_a_reason_to_stop_has_words(reason):
    with pytest.raises(ValueError, match=f"Run.stop: expected a reason in words, got {reason!r}"):
        run(steps=3, callbacks=[lambda run, record: run.stop(reason)])


def test_a_function_is_called_after_every_step():
    seen = []
    run(steps=3, callbacks=[lambda run, record: seen.append((run.step, record.loss))])
    assert [step for step, _ in seen] == [1, 2, 3]


# ---- interrupts


def at_step(number, what):
    return lambda run, record: what() if record.step == number else None


@pytest.mark.parametrize("number", first(1, [signal.SIGINT, signal.SIGTERM]))
def test_a_signal_ends_it_after_the_step_and_the_checkpoint(number, tmp_path):
    before = signal.getsignal(number)
    plot = tmp_path / "loss.svg"
    stop = at_step(4, lambda: os.kill(os.getpid(), number))
    _, _, history = run(tmp_path, epochs=9, callbacks=[stop], every=100, plot=plot,
                        validation=batches(1), validate_every=100, restore_best=True)  # fmt: skip
    assert history.interrupted
    assert history.stopped == "interrupted"
    assert len(history.losses) == 4
    assert history.validations == []  # not over, so nothing of the end but the plot
    assert plot.exists()
    assert signal.getsignal(number) is before
    whole = run(epochs=2)
    again = run(tmp_path, epochs=2, callbacks=[lambda run, record: None], resume=True)
    assert again[2].losses == whole[2].losses


def test_a_second_signal_ends_it_at_once(tmp_path):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(epochs=9, callbacks=[at_step(2, twice)])
    assert signal.getsignal(signal.SIGINT) is before


def test_in_another_thread_signals_are_left_alone():
    found, before = [], signal.getsignal(signal.SIGINT)

    def work():
        found.append(len(run(steps=2)[2].losses))
        with Interrupts() as one:
            found.append((one.asked, signal.getsignal(signal.SIGINT) is before))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [2, (False, True)]


# ---- numbers that are none


class Faulty(rnn.Module):
    """Divide the input of a GRU by zero at t = 2 where the data has a zero."""

    def __init__(self):
        self.core = rnn.GRU(2, 3)

    def forward(self, x):
        return self.core(x)[0]


class Inverse(rnn.Cell):
    """Compute h' = 1 / x + h: infinite where x is zero."""

    input_size, state_size = 2, {"h": 2}

    def __init__(self):
        self.w = rnn.parameter((2,))

    def step(self, x, h):
        n = self.w / x
        h = h + n
        return h, h


class Dividing(rnn.Module):
    def __init__(self):
        self.core = rnn.Recurrent(Inverse())

    def forward(self, x):
        return self.core(x)[0]


def total(net, x):
    return engine.mean(net(x) ** 2)


def faulty(model, data, of=total, **options):
    engine.seed(0)
    net = model()
    optimizer = rnn.optim.SGD(net.parameters(), lr=options.pop("lr", 1e-3))
    with np.errstate(all="ignore"), pytest.raises(engine.AnomalyError) as caught:
        fit(net, data, of, optimizer=optimizer, epochs=9, progress=False, **options)
    return net, str(caught.value)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_loss_that_is_none_names_the_op_its_scope_and_t(tmp_path):
    good = np.ones((4, 1, 2), "float32")
    bad = good.copy()
    bad[2] = 0
    net, text = faulty(Dividing, [good, bad], log=tmp_path / "run.jsonl",
                       checkpoint=tmp_path / "checkpoints", every=1)  # fmt: skip
    assert text.startswith(
        "fit: the loss is inf at step 2, epoch 0: first in divide at core.l0/t=2"
    )
    assert "w / x" in text
    only, _ = _steps(Dividing, [good], 1)
    assert_same_state(net.state_dict(), only.state_dict())  # as before the step that failed
    assert len((tmp_path / "run.jsonl").read_text().splitlines()) == 1
    newest = Checkpoints(tmp_path / "checkpoints").newest()
    assert newest.state["step"] == 1


def _steps(model, data, steps):
    engine.seed(0)
    net = model()
    optimizer = rnn.optim.SGD(net.parameters(), lr=1e-3)
    return net, fit(net, data, total, optimizer=optimizer, steps=steps, progress=False)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_gradient_that_is_none_names_the_derivative():
    def rooted(net, x):
        return engine.mean(engine.sqrt(net(x) * 0.0))

    _, text = faulty(Faulty, [np.ones((4, 1, 2), "float32")], rooted)
    assert text.startswith("fit: the gradient norm is nan at step 1, epoch 0: first in ")
    assert "the derivative of sqrt" in text


def test_data_that_is_none_is_named():
    bad = np.full((4, 1, 2), np.nan, "float32")
    _, text = faulty(Faulty, [bad])
    assert "step 1, epoch 0: array 0 of the batch is not finite" in text


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_weights_that_are_none_are_named():
    def blown(net, x):
        return total(net, x) * 1e30

    _, text = faulty(Faulty, [np.ones((4, 1, 2), "float32")], blown, lr=1e30)
    assert "step 2, epoch 1: parameter core.weight_ih_l0 was not finite before" in text
    assert "lower the learning rate" in text


def test_what_is_finite_when_looked_at_says_so():
    calls = iter([math.nan])
    _, text = faulty(Faulty, [np.ones((4, 1, 2), "float32")],
                     lambda net, x: total(net, x) * next(calls, 1.0))  # fmt: skip
    assert "computed again op by op, every number is finite" in text


def test_plain_numbers_in_a_batch_are_looked_at():
    _, text = faulty(Faulty, [{"scale": math.inf, "x": np.ones((4, 1, 2), "float32"), "n": 3}],
                     lambda net, batch: total(net, batch["x"]) * batch["scale"])  # fmt: skip
    assert "array 1 of the batch is not finite" in text  # by name: n, scale, x


def test_the_masks_are_the_same_when_it_is_looked_into():
    # The fault is there only where dropout has left nothing.

    def dropped(net, x):
        kept = engine.dropout(engine.ones(1), 0.5)
        return total(net, x) / kept[0]

    _, text = faulty(Faulty, [np.ones((4, 1, 2), "float32")] * 20, dropped)
    assert "first in divide" in text


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_carried_state_that_is_none_is_named():
    def poisoned(net, x, state):
        value = engine.mean(net(x) ** 2)
        return (value if state is None else value + engine.sum(state)), engine.asarray([math.nan])

    _, text = faulty(Faulty, [np.ones((4, 1, 2), "float32")] * 2, poisoned, carry=True)
    assert "step 2, epoch 0: array 0 of the carried state is not finite" in text


# ---- logs, plots, bars


def test_the_log_has_a_line_for_every_step_and_validation(tmp_path):
    history = run(tmp_path, epochs=2, data=lambda: batches(2), validation=batches(1))[2]
    lines = logged(tmp_path)
    first = lines[0]
    assert list(first) == ["step", "epoch", "loss", "lr", "grad_norm"]
    assert [line["step"] for line in lines] == [1, 2, 2, 3, 4, 4]
    assert [line["loss"] for line in lines if "loss" in line] == history.losses
    assert lines[2] == {"step": 2, "epoch": 1, "validation": history.validations[0].metrics}


def test_a_log_is_begun_again_without_resume(tmp_path):
    path = tmp_path / "deep" / "run.jsonl"
    for _ in range(2):
        run(steps=3, log=path)
    assert len(path.read_text().splitlines()) == 3


def test_numbers_that_are_none_stay_standard_json(tmp_path):
    path = tmp_path / "run.jsonl"
    fed([math.nan, math.inf], log=path)
    found = [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().split("\n")
             if "validation" in line]  # fmt: skip
    assert [line["validation"]["score"] for line in found] == [{"$float": "nan"},
                                                               {"$float": "inf"}]  # fmt: skip


def test_a_log_that_is_not_open_takes_nothing(tmp_path):
    log = Log(tmp_path / "run.jsonl")
    with pytest.raises(ValueError, match=r"run.jsonl is not open"):
        log.write(Step(1, 0, 1.0, 1.0, 1.0, 1.0))
    log.close()
    assert log.mark()["bytes"] == 0


def drawn_history(steps):
    records = [Step(n + 1, 0, 1 / (n + 1), 0.1, 0.5, 0.1) for n in range(steps)]
    validations = [Validation(n, 0, {"loss": 1 / n}, 0.1) for n in range(10, steps + 1, 10)]
    return History(records, validations, validations[-1] if validations else None)


@pytest.mark.parametrize("steps", first(2, [0, 400, 1, 35]))
def test_a_plot_is_drawn(steps, tmp_path):
    path = tmp_path / "new" / "loss.svg"
    plot_history(drawn_history(steps), path)
    text = path.read_text()
    assert "<svg" in text
    plot_history(drawn_history(steps), path)
    assert path.read_text() == text
    plot_history(drawn_history(steps), path.with_suffix(".png"))
    assert path.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"


def test_a_plot_without_a_path_is_a_figure(monkeypatch):
    from matplotlib import pyplot
    from matplotlib.figure import Figure

    before = pyplot.get_fignums()
    shown = []
    monkeypatch.setattr(pyplot, "show", lambda: shown.append(pyplot.get_fignums()))
    figure = plot_history(drawn_history(30))
    assert isinstance(figure, Figure)
    above, below = figure.axes
    np.testing.assert_array_equal(above.lines[0].get_ydata(), drawn_history(30).losses)
    assert below.get_xlabel() == "step"
    assert (shown, pyplot.get_fignums()) == ([], before)  # there is no screen here
    monkeypatch.setattr(type(figure.canvas), "required_interactive_framework", "tk")
    plot_history(drawn_history(30))
    assert len(shown) == 1
    assert len(shown[0]) == len(before) + 1
    pyplot.close(shown[0][-1])


def test_a_plot_with_a_path_returns_its_figure(tmp_path):
    assert len(plot_history(drawn_history(3), tmp_path / "loss.png").axes) == 2


def test_a_history_prints_as_a_few_lines():
    history = run(steps=7, validation=batches(2), validate_every=3)[2]
    lines = repr(history).splitlines()
    assert lines[0] == "History of 7 steps in 2 epochs, stopped: steps"
    assert lines[1].startswith(f"  last loss {history.losses[-1]:.4g}, gradient norm ")
    figure = history.best.metrics["loss"]
    assert lines[2].startswith("  last validation, after 7 steps: loss ")
    assert lines[3] == f"  best validation, after {history.best.step} steps: loss {figure:.4g}"
    assert len(lines) == 4
    assert repr(History()) == "History of no steps"
    assert repr(run(steps=1)[2]).startswith("History of 1 step in 1 epoch, stopped: steps\n")


def test_a_plot_of_nothing_but_zeros_and_other_metrics(tmp_path):
    history = History([Step(1, 0, 0.0, 0.0, 0.0, 0.1)], [Validation(1, 0, {"f1": 1.0}, 0.1)])
    history.best = history.validations[0]
    plot_history(history, tmp_path / "loss.png")


def test_the_running_mean():
    from rnn.training.progress import _running_mean

    assert _running_mean([]) == []
    assert _running_mean([1.0, 3.0]) == [1.0, 3.0]
    values = [float(n % 7) for n in range(120)]
    expected = np.convolve(values, np.ones(3) / 3, mode="valid")
    np.testing.assert_allclose(_running_mean(values), expected, rtol=1e-12)


def test_the_bar_shows_what_there_is(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    run(steps=4, progress=True, validation=batches(1), validate_every=2)
    said = capsys.readouterr().err
    assert "4/4" in said
    assert "loss " in said
    assert "gradient norm" in said
    assert "validation: loss" in said
    run(steps=2, progress=False)
    assert capsys.readouterr().err == ""


def test_the_bar_of_a_validation_goes_away(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)
    bar = Progress(True, 4, 0)
    assert list(bar.through(iter([1, 2, 3]), 3)) == [1, 2, 3]
    bar.close()
    assert "validation:" in capsys.readouterr().err


def test_without_a_terminal_short_runs_say_nothing(capsys):
    run(steps=2, progress=True, validation=batches(2))
    assert capsys.readouterr().err == ""


def test_without_a_terminal_there_is_a_line_now_and_then(capsys, monkeypatch):
    now = itertools.count()
    monkeypatch.setattr("rnn.training.progress.time.monotonic", lambda: next(now) * 8.0)
    run(steps=9, progress=True, validation=batches(2), validate_every=3)
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("step 8 of 9, epoch 1: loss ") for line in lines), lines
    assert 2 < len(lines) < 6
    assert any("validation, " in line for line in lines)
    assert not any("\r" in line for line in lines)
    run(steps=9, progress=False)
    assert capsys.readouterr().err == ""


def test_a_notebook_has_a_bar_of_its_own(monkeypatch):
    class Notebook:
        pass

    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setattr("tqdm.auto.tqdm", Notebook)
    monkeypatch.setattr("tqdm.notebook.tqdm_notebook", Notebook)
    assert progress._bar() is Notebook
    monkeypatch.setattr("tqdm.auto.tqdm", tqdm.tqdm)  # a terminal, or a notebook without widgets
    assert progress._bar() is (tqdm.tqdm if sys.stderr.isatty() else None)


def test_matplotlib_comes_with_the_first_plot_only():
    import subprocess
    import sys

    code = "import sys, rnn.training; print('matplotlib' in sys.modules)"
    root = ROOT
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True,
                          check=True)  # fmt: skip
    assert done.stdout.strip() == "False"


# ---- bad arguments


class Odd(NLL):
    name, better = "odd", "small"


def _no_outputs(*given):
    pytest.fail("outputs was called")


ONE = NLL()
BAD = {
    "model must be a Module, got int": {"model": 3},
    "Module has no parameters to train": {"model": rnn.Module()},
    "data must be an iterable of batches, got int": {"data": 3},
    "loss must be a function, got str": {"loss": "mse"},
    "got a function of targets, engine.mse_loss; it is called with the model and a batch: "
    "lambda model, batch: engine.mse_loss(model(batch.x), batch.y)": {"loss": engine.mse_loss},
    "data are batches, got a pair of arrays; write rnn.data.ArrayBatches(x, y, batch_size=32)": {
        "data": (np.ones((2, 3)), np.ones(2))},
    "validation are batches, got a pair of arrays": {"validation": (np.ones((2, 3)), np.ones(2))},
    "evaluate must be a function, got int": {"evaluate": 3},
    "optimizer must be an Optimizer, got str": {"optimizer": "adam"},
    "the optimizer has none of the parameters of the model": {
        "optimizer": lambda net: rnn.optim.SGD(rnn.Linear(1, 1).parameters(), lr=1.0)},
    "give epochs or steps, got both": {"epochs": 1, "steps": 1},
    "give epochs or steps, got neither": {"epochs": None},
    "epochs must be an integer of at least 1, got 0": {"epochs": 0},
    "steps must be an integer of at least 1, got 2.5": {"epochs": None, "steps": 2.5},
    "patience must be an integer of at least 1, got True": {"patience": True},
    "validate_every must be an integer of at least 1, got -1": {"validate_every": -1},
    "every must be an integer of at least 1, got '5'": {"every": "5"},
    "keep must be an integer of at least 1, got 0": {"keep": 0},
    "accumulate must be an integer of at least 1, got 0": {"accumulate": 0},
    "accumulate must be an integer of at least 1, got np.float64(2.0)": {
        "accumulate": np.float64(2)},
    "accumulate must be an integer of at least 1, got None": {"accumulate": None},
    "keep must be an integer of at least 1, got None": {"keep": None},
    "validation_steps must be an integer of at least 1, got 0": {
        "validation": [], "validation_steps": 0},
    "validation_steps are batches of the validation: give validation": {"validation_steps": 3},
    "count must be a function, got int": {"count": 3},
    "ema must be an EMA, got float; make one: EMA(model, decay=0.999)": {"ema": 0.9},
    "the ema is of another model": {"ema": rnn.training.EMA(rnn.Linear(1, 1))},
    "clip_norm must be positive, got 0": {"clip_norm": 0},
    "clip_norm must be positive, got nan": {"clip_norm": math.nan},
    "carry must be True or False, got 1": {"carry": 1},
    "progress must be True or False, got 'yes'": {"progress": "yes"},
    "resume must be True or False, got None": {"resume": None},
    "restore_best must be True or False, got 'best'": {"restore_best": "best"},
    "validation must be an iterable of batches, got int": {"validation": 3},
    "validation is an iterator, which can be read once": {"validation": iter([])},
    "metrics must map names to functions of the loss or Metric objects, got int for 'f'": {
        "validation": [], "metrics": {"f": 3}},
    "or be a list of Metric objects, got Accuracy": {"validation": [], "metrics": Accuracy()},
    "or be a list of Metric objects, got str": {"validation": [], "metrics": "accuracy"},
    "a list of metrics holds Metric objects, got str; functions of the loss have no name of their "
    "own: give a dict; write rnn.training.Accuracy()": {
        "validation": [], "metrics": ["perplexity"]},
    "got builtin_function_or_method; functions of the loss have no name of their own: give a": {
        "validation": [], "metrics": [math.exp]},
    "two metrics have the name 'accuracy'; give a dict": {
        "validation": [], "metrics": [Accuracy(), Accuracy()], "outputs": _no_outputs},
    "metrics 'a' and 'b' are one object; make two": {
        "validation": [], "metrics": {"a": ONE, "p": math.exp, "b": ONE}, "outputs": _no_outputs},
    "metric 'a' is the class Accuracy; make one: Accuracy(...)": {
        "validation": [], "metrics": {"a": Accuracy}, "outputs": _no_outputs},
    "holds Metric objects, got the class NLL": {"validation": [], "metrics": [NLL]},
    "metric 'odd': better must be 'min' or 'max', got 'small'": {
        "validation": [], "metrics": [Odd()], "outputs": _no_outputs},
    "the name of a metric must be text, got 3": {"validation": [], "metrics": {3: math.exp}},
    "a metric has the name 'loss', which is the mean loss itself; give another": {
        "validation": [], "metrics": {"loss": math.exp}},
    "metrics are of the validation: give validation": {"metrics": {"p": math.exp}},
    "metrics are of the validation: give v": {"metrics": [NLL()], "outputs": _no_outputs},
    "metric 'nll' needs what its update takes: give outputs(model, batch)": {
        "validation": [], "metrics": [NLL()]},
    "outputs must be a function, got str": {
        "validation": [], "metrics": [NLL()], "outputs": "logits"},
    "outputs feeds Metric objects, and there are none: give metrics": {
        "validation": [], "outputs": _no_outputs},
    "outputs feeds Metric objects, and there are none": {
        "validation": [], "outputs": _no_outputs, "metrics": {"p": math.exp}},
    "outputs feeds Metric objects, and there are no": {"outputs": _no_outputs},
    "monitor must be the name of a metric, got NLL": {
        "validation": [], "metrics": [ONE], "outputs": _no_outputs, "monitor": ONE},
    "monitor 'f1' is none of loss, nll": {
        "validation": [], "metrics": [NLL()], "outputs": _no_outputs, "monitor": "f1"},
    "patience needs a validation": {"patience": 3},
    "validate_every needs a validation": {"validate_every": 3},
    "monitor needs a validation": {"monitor": "loss"},
    "restore_best needs a validation": {"restore_best": True},
    "mode must be 'min' or 'max', got 'up'": {"mode": "up"},
    "patience compares 'p', and nothing says whether a smaller or a larger one is better; give": {
        "validation": [], "metrics": {"p": math.exp}, "monitor": "p", "patience": 2},
    "patience compares the first metric of evaluate, and nothing says": {
        "evaluate": _no_outputs, "patience": 2},
    "restore_best compares the first metric of evaluate": {
        "evaluate": _no_outputs, "restore_best": True},
    "monitor compares 'score'": {"evaluate": _no_outputs, "monitor": "score"},
    "the schedule compares the first metric of evaluate": {
        "evaluate": _no_outputs, "schedule": lambda o: rnn.schedules.WarmUp(
            rnn.schedules.ReduceLROnPlateau(o), 3)},
    "the schedule follows a validation: ": {
        "schedule": lambda o: rnn.schedules.WarmUp(rnn.schedules.ReduceLROnPlateau(o), 3)},
    "restore_best must be True or False, got 1": {"validation": [], "restore_best": 1},
    "min_delta must be a finite number of at least 0, got -1": {"min_delta": -1},
    "monitor 'f1' is none of loss, p": {
        "validation": [], "metrics": {"p": math.exp}, "monitor": "f1"},
    "log must be a path, got int": {"log": 3},
    "log . is a folder, expected a file": {"log": "."},
    "plot . is a folder, expected a file": {"plot": "."},
    "plot loss.docx cannot be of the kind 'docx'; expected one of ": {"plot": "loss.docx"},
    "is a file, expected a folder": {"checkpoint": __file__},
    "resume needs a checkpoint folder": {"resume": True},
    "every needs a checkpoint folder": {"every": 3},
    "config needs a checkpoint folder": {"config": {"a": 1}},
    "config must be plain data for JSON": {"checkpoint": "no/where", "config": {"a": {1, 2}}},
    "callbacks must be a list, got function": {"callbacks": lambda run, record: None},
    "a callback is a Callback or a function": {"callbacks": [3]},
    "got Callback": {"callbacks": [Callback]},
    "schedule must be a Schedule or a function of the optimizer": {"schedule": "cosine"},
    "schedule made a NoneType, expected a Schedule": {"schedule": lambda optimizer: None},
    "the schedule is of another optimizer": {
        "schedule": rnn.schedules.StepLR(rnn.optim.SGD(rnn.Linear(1, 1).parameters()), 1)},
    "schedule_every must be one of step, epoch, validation, got 'day'": {"schedule_every": "day"},
    "the schedule follows a validation": {
        "schedule": lambda o: rnn.schedules.ReduceLROnPlateau(o)},
}  # fmt: skip


@pytest.mark.parametrize("said", BAD)
def test_bad_arguments_are_refused_before_anything_is_run(said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = BAD[said]
    net = Net()
    before = net.state_dict()
    if callable(given.get("optimizer")):
        given = given | {"optimizer": given["optimizer"](net)}
    options = {"model": net, "data": batches(), "epochs": 1, "loss": _never} | given
    model, data, of = (options.pop(name) for name in ("model", "data", "loss"))
    with pytest.raises((ValueError, TypeError)) as caught:
        fit(model, data, of, **options)
    assert str(caught.value).startswith("fit: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert_same_state(net.state_dict(), before)
    assert list(tmp_path.iterdir()) == []


def _never(*given):
    pytest.fail("the loss was called")


@pytest.mark.parametrize(
    ("of", "options", "said"),
    [
        (lambda net, b: 3.0, {}, "the loss must give a tensor, got float"),
        (lambda net, b: net(b.x)[0], {}, r"must give one number, got shape \(4, 3, 5\); take its"),
        (loss, {"carry": True}, "takes 2 positional arguments but 3 were given"),
        (lambda net, b, s: loss(net, b), {"carry": True}, r"must give \(loss, state\), got Tensor"),
    ],
)
def test_bad_losses_are_refused(of, options, said):
    with pytest.raises((ValueError, TypeError), match=said):
        run(steps=1, loss=of, **options)


def test_data_without_batches_is_refused():
    for empty in ([], Sized([]), Shuffled([]), iter([])):
        with pytest.raises(ValueError, match="the data gave no batch in an epoch"):
            run(epochs=1, data=lambda empty=empty: empty)
    with pytest.raises(ValueError, match="validation gave no batch"):
        run(steps=1, validation=[])


def test_an_error_of_the_loss_leaves_everything_closed(tmp_path):
    before = signal.getsignal(signal.SIGINT)

    def broken(net, batch):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        run(tmp_path, steps=3, loss=broken)
    assert signal.getsignal(signal.SIGINT) is before
    assert (tmp_path / "run.jsonl").read_text() == ""
    assert Checkpoints(tmp_path / "checkpoints").newest().state["step"] == 0


def test_where_no_checkpoint_can_be_written_nothing_is_run(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        run(steps=3, loss=_never, checkpoint=tmp_path / "file" / "checkpoints")


def test_numbers_may_be_those_of_numpy(tmp_path):
    options = {"epochs": 2, "validation": batches(2), "validate_every": 2, "patience": 9,
               "clip_norm": 0.5, "min_delta": 0.25, "keep": 3, "every": 2, "validation_steps": 1,
               "accumulate": 2}  # fmt: skip
    plain = run(tmp_path / "a", **options)
    kinds = {int: np.int64, float: np.float32}
    numpy = {name: kinds.get(type(x), lambda x: x)(x) for name, x in options.items()}
    found = run(tmp_path / "b", **numpy)
    assert numbers(found[2]) == numbers(plain[2])
    assert_same_state(found[0].state_dict(), plain[0].state_dict())
    assert logged(tmp_path / "a") == logged(tmp_path / "b")


def test_a_loss_may_take_the_step():
    told = []

    def loss(net, batch, *, step):
        told.append((step, net.training))
        return engine.mean(net(batch) ** 2)

    net = rnn.Linear(2, 1)
    x = engine.ones((3, 2))
    fit(net, [x, x], loss, epochs=2, validation=[x], progress=False)
    assert told == [(0, True), (1, True), (2, False), (2, True), (3, True), (4, False)]


def test_a_ratio_that_falls_is_resumed(tmp_path):
    asked = []

    def run(steps, folder, *, resume=False):
        engine.seed(0)
        model = rnn.Seq2Seq(rnn.Encoder(6, 3, 4), rnn.Decoder(6, 3, 4), start=1, end=1, pad=0)

        def loss(model, batch, step):
            ratio = rnn.models.forcing_ratio(step, "linear", 6)
            asked.append(ratio)
            return model.loss(*batch, ratio=ratio)

        batch = ([[2, 3], [4, 5]], None, [[2, 3], [4, 5], [1, 1]])
        fit(model, [batch] * 3, loss, steps=steps, checkpoint=tmp_path / folder, resume=resume,
            progress=False)  # fmt: skip
        return model.state_dict()

    whole = run(6, "whole")
    run(2, "parts")
    found = run(6, "parts", resume=True)
    assert asked == [1 - step / 6 for step in (*range(6), *range(6))]
    for name, x in whole.items():
        np.testing.assert_array_equal(found[name], x)


def test_a_loss_of_another_model_is_refused_at_the_first_step():
    net, other = rnn.Linear(2, 1), rnn.Linear(2, 1)
    before = net.weight.numpy().copy()
    with pytest.raises(ValueError, match="depends on no parameter that is trained"):
        fit(net, [engine.ones((3, 2))], lambda net, x: engine.mean(other(x)), epochs=2,
            progress=False)  # fmt: skip
    np.testing.assert_array_equal(net.weight.numpy(), before)
