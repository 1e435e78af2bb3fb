"""Resume runs: to the bit the runs that never stopped, from every step."""

import math
import warnings

import numpy as np
import pytest

import engine
import rnn
from rnn.metrics import NLL, Accuracy
from rnn.training import Callback, Checkpoints, fit, random_state, read_checkpoint, set_random_state
from rnn.training.carrying import put_together, taken_apart
from tests.draws import covering, crossed, first
from tests.rnn.training.small_training import (
    Net,
    Shuffled,
    Sized,
    assert_same_run,
    assert_same_state,
    batches,
    carried,
    logged,
    loss,
    run,
)

VALIDATION = batches(2, seed=9)


def answers_on(net, batch, state):
    """Return the metrics of a batch; odd outputs draw numbers."""
    engine.random.fresh_key("outputs")
    logits, state = net(batch.x, state)
    return (logits, batch.y), state


KINDS = {
    "carried, shuffled": {"carry": True, "data": lambda: Shuffled(batches())},
    "no len": {"data": lambda: Sized(batches()), "validation": VALIDATION},
    "every 2 steps": {"validation": VALIDATION, "validate_every": 2, "patience": 9,
                      "carry": True},
    "metrics": {"validation": VALIDATION, "validate_every": 2, "metrics": [Accuracy(), NLL()],
                "outputs": lambda net, b: (net(b.x)[0], b.y), "monitor": "accuracy",
                "patience": 9},
    "metrics, carried": {"validation": VALIDATION, "metrics": {"right": Accuracy()}, "carry": True,
                         "outputs": answers_on, "monitor": "right", "restore_best": True},
    "schedule": {"schedule": lambda o: rnn.schedules.CosineAnnealingLR(o, 12), "clip_norm": 0.05},
    "warm-up": {"schedule": lambda o: rnn.schedules.WarmUp(
                    rnn.schedules.ReduceLROnPlateau(o, patience=0, factor=0.5), 5),
                "validation": VALIDATION, "validate_every": 2},
    "by epoch": {"schedule": lambda o: rnn.schedules.ExponentialLR(o, 0.5),
                 "schedule_every": "epoch"},
    "momentum": {"schedule": lambda o: rnn.schedules.OneCycleLR(o, 0.1, 30),
                 "optimizer": lambda p, lr: rnn.optim.SGD(p, lr=lr, momentum=0.9)},
    # Each of these has another one above that does what it does, and more.
    "shuffled": {"data": lambda: Shuffled(batches())},
    "carried": {"carry": True},
    "every epoch": {"validation": VALIDATION, "patience": 3},
    "plateau": {"schedule": lambda o: rnn.schedules.ReduceLROnPlateau(o, patience=0, factor=0.5),
                "validation": VALIDATION, "validate_every": 2},
}  # fmt: skip
STEPS = 12


@pytest.mark.parametrize(("kind", "begin"), first(9, crossed(KINDS, [1, 2])))
def test_a_run_stopped_at_any_step_goes_on_to_the_bit(kind, begin, tmp_path):
    whole = run(tmp_path / "whole", steps=STEPS, **KINDS[kind])
    before = random_state()
    for stop in range(begin, STEPS, 2):
        folder = tmp_path / str(stop)
        run(folder, steps=stop, **KINDS[kind])
        again = run(folder, seed=77, steps=STEPS, resume=True, **KINDS[kind])
        assert_same_run(whole, again)
        assert logged(folder) == logged(tmp_path / "whole")
        assert random_state() == before


def test_a_run_stopped_many_times_goes_on_to_the_bit(tmp_path):
    options = KINDS["carried, shuffled"]
    whole = run(tmp_path / "whole", steps=STEPS, **options)
    for stop in range(1, STEPS + 1):
        last = run(tmp_path / "cut", seed=stop + 50, steps=stop, resume=True, **options)
        if stop == 1:  # nothing was there: it began with a seed of its own
            (tmp_path / "cut" / "run.jsonl").unlink()
            for path in (tmp_path / "cut" / "checkpoints").iterdir():
                path.unlink()
            last = run(tmp_path / "cut", steps=1, resume=True, **options)
    assert_same_run(whole, last)
    assert logged(tmp_path / "cut") == logged(tmp_path / "whole")


def test_the_comparison_of_runs_can_fail(tmp_path):
    one = run(steps=3)
    assert_same_run(one, run(steps=3))
    for other in (run(steps=4), run(steps=3, seed=2), run(steps=3, data=lambda: batches(seed=4))):
        with pytest.raises(AssertionError):
            assert_same_run(one, other)


def test_resuming_does_not_depend_on_where_it_was_checkpointed(tmp_path):
    whole = run(tmp_path / "a", steps=9, every=1)
    run(tmp_path / "b", steps=7, every=3)
    assert_same_run(whole, run(tmp_path / "b", steps=9, every=3, resume=True))


def test_epochs_count_what_was_before(tmp_path):
    whole = run(tmp_path / "a", epochs=3, validation=VALIDATION)
    run(tmp_path / "b", epochs=1, validation=VALIDATION)
    run(tmp_path / "b", steps=8, epochs=None, validation=VALIDATION, resume=True)
    again = run(tmp_path / "b", epochs=3, validation=VALIDATION, resume=True)
    assert_same_run(whole, again)
    assert again[2].stopped == "epochs"


def test_a_run_that_is_over_is_over_when_resumed(tmp_path):
    options = {"validation": VALIDATION, "patience": 1, "min_delta": 10.0, "epochs": 9}
    done = run(tmp_path, **options)
    assert done[2].stopped == "patience"
    assert len(done[2].validations) == 2
    written = sorted((tmp_path / "checkpoints").iterdir())
    again = run(tmp_path, seed=5, resume=True, **options)
    assert_same_run(done, again)
    assert again[2].best == done[2].best
    assert sorted((tmp_path / "checkpoints").iterdir()) == written


def test_best_weights_and_counts_come_back(tmp_path):
    # The first validation is the best by far: min_delta says so.
    options = {"validation": VALIDATION, "patience": 3, "min_delta": 10.0, "epochs": 9}
    whole = run(tmp_path / "a", **options)
    assert whole[2].stopped == "patience"
    assert whole[2].best.epoch == 1
    run(tmp_path / "b", **options | {"epochs": 2})
    again = run(tmp_path / "b", seed=5, resume=True, **options)
    assert_same_run(whole, again)
    best = run(epochs=1)
    assert_same_state(again[0].state_dict(), best[0].state_dict())


class Counting(Callback):
    """Count the steps, also over a resume."""

    def __init__(self) -> None:
        self.count = 0

    def step(self, run, record):
        self.count += 1

    def state(self):
        return {"count": self.count}

    def restore(self, state):
        self.count = state["count"]


def test_callbacks_go_on_with_what_they_remember(tmp_path):
    first, second = Counting(), Counting()
    run(tmp_path, steps=4, callbacks=[first])
    run(tmp_path, steps=7, callbacks=[second], resume=True)
    assert (first.count, second.count) == (4, 7)


def test_the_history_is_a_tail_and_the_log_is_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("rnn.training.snapshot.TAIL", 3)
    whole = run(tmp_path / "a", steps=8)
    run(tmp_path / "b", steps=6)
    again = run(tmp_path / "b", steps=8, resume=True)
    assert [record.step for record in again[2].steps] == [4, 5, 6, 7, 8]
    assert again[2].losses == whole[2].losses[3:]
    assert logged(tmp_path / "a") == logged(tmp_path / "b")


def test_the_validation_at_the_end_is_noted_but_not_gone_on_from(tmp_path):
    options = {"validation": VALIDATION, "validate_every": 4, "restore_best": True}
    whole = run(tmp_path / "a", steps=8, **options)
    done = run(tmp_path / "b", steps=6, **options)
    found = Checkpoints(tmp_path / "b" / "checkpoints").newest().state
    assert [record["step"] for record in found["validations"]] == [4]
    final = done[2].validations[-1]
    assert final.step == 6
    assert found["final"] == {"metrics": final.metrics, "best": done[2].best is final}
    assert_same_run(done, run(tmp_path / "b", steps=6, resume=True, **options))
    assert_same_run(whole, run(tmp_path / "b", steps=8, resume=True, **options))
    assert logged(tmp_path / "a") == logged(tmp_path / "b")


# ---- what is said


def resumed(folder, **options):
    """Return the sentence that reports a resumed run, and the run."""
    with pytest.warns(UserWarning, match="^fit: ") as caught:
        found = run(folder, resume=True, **options)
    assert len(caught) == 1
    text = str(caught[0].message)
    assert "\n" not in text
    return text, found


def test_settings_of_the_optimiser_that_differ_are_said(tmp_path):
    def adam(rate, **options):
        return lambda p, lr: rnn.optim.Adam(p, lr=rate, **options)

    whole = run(tmp_path / "a", steps=6)
    run(tmp_path / "b", steps=4)
    text, found = resumed(tmp_path / "b", steps=5, optimizer=adam(0.5, betas=(0.8, 0.9)))
    assert "has lr=0.5, betas=[0.8, 0.9], and the checkpoint's began with lr=0.02, b" in text
    text, found = resumed(tmp_path / "b", steps=6, optimizer=adam(0.02, weight_decay=0.1))
    assert "has weight_decay=0.1, and the checkpoint's began with weight_decay=0.0, w" in text
    assert_same_run(whole, found)


def test_a_setting_can_be_changed_where_a_run_is_resumed(tmp_path):
    class Slower(Callback):
        def begin(self, run):
            run.optimizer.lr = np.float32(0.25)  # log and checkpoints are plain data still

    run(tmp_path, steps=3, callbacks=[Callback()])
    history = run(tmp_path, steps=5, callbacks=[Slower()], resume=True)[2]
    assert [record.lr for record in history.steps] == [0.02] * 3 + [0.25] * 2


def test_rates_that_a_schedule_has_changed_are_not_said(tmp_path):
    made = {"schedule": lambda o: rnn.schedules.WarmUp(rnn.schedules.StepLR(o, 2), 2)}
    whole = run(tmp_path / "a", steps=8, **made)
    run(tmp_path / "b", steps=5, **made)
    assert_same_run(whole, run(tmp_path / "b", steps=8, resume=True, **made))


def test_settings_of_groups_that_differ_are_said(tmp_path):
    def adam(rate):
        return lambda p, lr: rnn.optim.Adam([{"params": p[:2]}, {"params": p[2:], "lr": rate}])

    run(tmp_path, steps=4, optimizer=adam(0.5))
    text, _ = resumed(tmp_path, steps=5, optimizer=adam(0.25))
    assert "has lr of group 1=0.25, and the checkpoint's began with lr of group 1=0.5, w" in text


@pytest.mark.parametrize(
    ("kind", "stop"), covering(["list", "shuffled", "no len", "accumulated"], [4, 5, 7])
)
def test_data_in_another_order_are_said(kind, stop, tmp_path):
    def data(items):
        return {"shuffled": Shuffled, "no len": Sized}.get(kind, list)(items)

    options = {"accumulate": 2, "epochs": 3, "steps": None} if kind == "accumulated" else {}
    halved = 4 if kind == "accumulated" else stop
    run(tmp_path, data=lambda: data(batches()), **options | {"steps": halved, "epochs": None})
    if kind == "no len" and stop == 5:
        return  # nothing of it is read again at the border of an epoch
    text, _ = resumed(tmp_path, data=lambda: data(batches()[::-1]), steps=halved + 1,
                      accumulate=options.get("accumulate", 1))  # fmt: skip
    assert "the last batch before the checkpoint is another one in these data" in text


def test_another_metric_to_watch_is_refused(tmp_path):
    options = {"validation": VALIDATION, "evaluate": lambda net: {"accuracy": 0.5}, "patience": 9}
    run(tmp_path, steps=6, monitor="accuracy", **options)
    for other in ({"monitor": "loss"}, {}, {"monitor": "accuracy", "mode": "min"}):
        with pytest.raises(ValueError, match="its best is of monitor 'accuracy', mode 'max'; this"):
            run(tmp_path, steps=9, resume=True, **options | other)
    run(tmp_path, steps=9, resume=True, monitor="accuracy", mode="max", **options)


def test_checkpoints_of_before_are_read(tmp_path):
    # Without the fields that were added later.
    whole = run(tmp_path / "a", steps=8)
    run(tmp_path / "b", steps=6)
    folder = Checkpoints(tmp_path / "b" / "checkpoints")
    found = folder.newest()
    later = ("averaged", "due", "epoch_count", "made", "seen")
    folder.write(found.tensors, {k: x for k, x in found.state.items() if k not in later})
    assert_same_run(whole, run(tmp_path / "b", steps=8, resume=True))


# ---- what is refused


def refused(folder, match, **options):
    """Check that a resume is refused and changes nothing."""
    engine.seed(3)
    net = Net()
    optimizer = options.pop("optimizer", rnn.optim.Adam)(net.parameters(), lr=0.5)
    data = options.pop("data", batches())
    weights, before, chance = net.state_dict(), optimizer.state_dict(), random_state()
    log = (folder / "run.jsonl").read_bytes()
    with pytest.raises(ValueError, match=match) as caught:
        fit(net, data, options.pop("loss", loss), optimizer=optimizer, steps=9, resume=True,
            checkpoint=folder / "checkpoints", log=options.pop("log", folder / "run.jsonl"),
            progress=False, **options)  # fmt: skip
    assert "\n" not in str(caught.value)
    assert_same_state(weights, net.state_dict())
    assert_same_state(before, optimizer.state_dict())
    assert random_state() == chance
    assert (folder / "run.jsonl").read_bytes() == log
    return data


def test_another_model_is_refused(tmp_path):
    run(tmp_path, steps=4)
    engine.seed(3)
    wide = Net(hidden=7)
    weights = wide.state_dict()
    with pytest.raises(ValueError, match=r"does not fit this run: its weights: .*head.weight: "):
        fit(wide, batches(), loss, steps=9, resume=True, checkpoint=tmp_path / "checkpoints",
            progress=False)  # fmt: skip
    assert_same_state(weights, wide.state_dict())


def test_other_runs_are_refused(tmp_path):
    run(tmp_path, steps=4, callbacks=[Counting()])
    for match, options in {
        "it is of Adam, the optimizer is SGD": {"optimizer": rnn.optim.SGD},
        "written with no schedule, this run has one": {
            "schedule": lambda o: rnn.schedules.ExponentialLR(o, 0.9)
        },
        r"written with no data with state\(\), this run has one": {"data": Shuffled(batches())},
        "written with 1 callbacks, there are 0": {"callbacks": []},
        "its config is another": {"config": {"hidden": 3}},
        "it is of Adam, the optimizer is AdamW": {"optimizer": rnn.optim.AdamW},
    }.items():
        refused(tmp_path, match, **{"callbacks": [Counting()]} | options)


def test_what_the_data_refuses_is_undone(tmp_path):
    run(tmp_path, steps=4, data=lambda: Shuffled(batches()))

    class Picky(Shuffled):
        def restore(self, state):
            super().restore(state)
            if state["position"] == 4:
                raise LookupError("not with me")

    data = refused(tmp_path, "not with me", data=Picky(batches()))
    assert data.state() == {"epoch": 0, "position": 0}


def test_a_callback_that_refuses_undoes_everything(tmp_path):
    class Picky(Counting):
        def restore(self, state):
            if state["count"]:
                raise TypeError("no counts")

    run(tmp_path, steps=4, data=lambda: Shuffled(batches()), callbacks=[Counting()],
        schedule=lambda o: rnn.schedules.ExponentialLR(o, 0.5))  # fmt: skip
    data = refused(tmp_path, "no counts", data=Shuffled(batches()), callbacks=[Picky()],
                   schedule=lambda o: rnn.schedules.ExponentialLR(o, 0.5))  # fmt: skip
    assert data.state() == {"epoch": 0, "position": 0}


def test_fewer_data_is_refused(tmp_path):
    run(tmp_path, steps=4)
    with pytest.raises(ValueError, match="has 2 batches, and 4 of the epoch were done"):
        run(tmp_path, steps=9, data=lambda: batches(2), resume=True)


def test_data_that_draws_while_it_is_read_is_refused(tmp_path):
    class Drawing(Sized):
        def __iter__(self):
            for item in self.items:
                engine.random.fresh_key("drawn")
                yield item

    run(tmp_path, steps=4, data=lambda: Drawing(batches()))
    with pytest.raises(ValueError, match=r"has to have state\(\) and restore"):
        run(tmp_path, steps=9, data=lambda: Drawing(batches()), resume=True)


def test_another_log_is_refused_and_left_alone(tmp_path):
    run(tmp_path, steps=4)
    other = tmp_path / "other.txt"
    other.write_text("dear diary\n" * 100)
    refused(tmp_path, "is not the log of the run that is resumed", log=other)
    assert other.read_text() == "dear diary\n" * 100


def test_a_log_that_is_gone_is_begun_again(tmp_path):
    run(tmp_path, steps=4)
    (tmp_path / "run.jsonl").unlink()
    run(tmp_path, steps=6, resume=True)
    assert [line["step"] for line in logged(tmp_path)] == [5, 6]


def test_a_torn_last_line_is_cut(tmp_path):
    whole = run(tmp_path / "a", steps=6)
    run(tmp_path / "b", steps=4)
    with (tmp_path / "b" / "run.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')
    assert_same_run(whole, run(tmp_path / "b", steps=6, resume=True))
    assert logged(tmp_path / "a") == logged(tmp_path / "b")


def test_a_run_that_broke_in_its_first_step_goes_on_from_the_start(tmp_path):
    def broken(net, batch):
        raise LookupError

    whole = run(tmp_path / "a", steps=5)
    with pytest.raises(LookupError):
        run(tmp_path / "b", steps=5, loss=broken)
    assert_same_run(whole, run(tmp_path / "b", seed=4, steps=5, resume=True))


def test_checkpoints_of_before_are_not_written_over(tmp_path):
    run(tmp_path, steps=4)
    with pytest.raises(ValueError, match=r"there are checkpoints in .* already; .* resume=True"):
        run(tmp_path, steps=4)


def test_a_damaged_newest_one_falls_back_and_says_so(tmp_path):
    whole = run(tmp_path / "a", steps=9)
    run(tmp_path, steps=7, every=3)
    paths = sorted((tmp_path / "checkpoints").glob("*.json"))
    paths[-1].write_bytes(b"{")
    with pytest.warns(UserWarning, match=f"{paths[-1].name} is damaged.*going on from"):
        again = run(tmp_path, steps=9, every=3, resume=True)
    assert_same_run(whole, again)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(tmp_path, steps=10, every=3, resume=True)  # the damaged one is gone by now


# ---- the pieces


def test_random_state_comes_back():
    engine.seed(5)
    rnn.Linear(2, 2)
    engine.dropout(engine.ones(3), 0.5)
    state = random_state()
    assert random_state() == state
    weights, mask = rnn.Linear(2, 2).weight.numpy(), engine.dropout(engine.ones(40), 0.5).numpy()
    assert random_state() != state
    set_random_state(state)
    np.testing.assert_array_equal(rnn.Linear(2, 2).weight.numpy(), weights)
    np.testing.assert_array_equal(engine.dropout(engine.ones(40), 0.5).numpy(), mask)


@pytest.mark.parametrize(
    "state",
    [
        None,
        {},
        {"seed": -1, "births": 0, "streams": {}},
        {"seed": 1, "births": True, "streams": {}},
        {"seed": 1, "births": 0, "streams": {"a": 1.5}},
        {"seed": 1, "births": 0, "streams": [1]},
        {"seed": 1, "births": 0, "streams": {}, "more": 1},
    ],
)
def test_bad_random_states_are_refused(state):
    before = random_state()
    with pytest.raises(ValueError, match="random state: expected a seed"):
        set_random_state(state)
    assert random_state() == before


def test_carried_states_of_every_form_come_back():
    tensor = engine.ones((2, 3))
    for tree in (None, tensor, (tensor, [tensor, None]), {"a": tensor, "n": 3, "w": "x"}, ()):
        arrays, plan = taken_apart(tree)
        found = put_together(plan, arrays, "numpy", {})
        assert taken_apart(found)[1] == plan
        assert type(found) is type(tree)


def test_carried_states_of_other_forms_are_refused():
    for odd in (object(), {1: 2}, np.ones(2)):
        with pytest.raises(TypeError, match="a checkpoint cannot hold a"):
            taken_apart([odd])
    for plan in ({}, {"tensor": "0", "more": 1}, {"tensor": "1"}, {"list": 3}, [1], {"set": []}):
        with pytest.raises(ValueError, match="is no part of one"):
            put_together(plan, {"0": np.ones(1)}, "numpy", {})


def test_the_gradient_ends_between_chunks(tmp_path):
    seen = []

    def watched(net, batch, state):
        if state is not None:
            seen.extend(x.requires_grad for x in state)
        return carried(net, batch, state)

    run(epochs=1, carry=True, loss=watched)
    assert seen == [False] * 8


def test_the_state_restarts_with_every_epoch():
    seen = []

    def watched(net, batch, state):
        seen.append(state is None)
        return carried(net, batch, state)

    run(epochs=2, carry=True, loss=watched)
    assert seen == ([True] + [False] * 4) * 2


def test_the_device_of_the_state_is_the_model_s(tmp_path, device):
    engine.seed(0)
    nets = []
    for steps in (3, 5):
        net = Net().to(device)
        history = fit(net, batches(), carried, steps=steps, carry=True, resume=True,
                      checkpoint=tmp_path, progress=False)  # fmt: skip
        nets.append(net)
    assert nets[1].head.weight.device == device
    assert len(history.losses) == 5
    assert all(map(math.isfinite, history.losses))


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_models_of_other_dtypes_go_on_to_the_bit(dtype, tmp_path):
    kind = pytest.importorskip("ml_dtypes").bfloat16 if dtype == "bfloat16" else dtype

    def trained(folder, steps):
        engine.seed(2)
        net = rnn.Linear(3, 2, dtype=kind)
        x = engine.asarray(np.linspace(0, 1, 6).reshape(2, 3), dtype=kind)
        optimizer = rnn.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        history = fit(net, [x] * 3, squared, steps=steps, optimizer=optimizer, checkpoint=folder,
                      resume=True, progress=False)  # fmt: skip
        return net, optimizer, history

    def squared(net, x):
        return engine.mean((net(x) - 1) ** 2)

    whole = trained(tmp_path / "a", 7)
    assert whole[0].weight.dtype == np.dtype(kind)
    trained(tmp_path / "b", 4)
    assert_same_run(whole, trained(tmp_path / "b", 7))


def test_a_checkpoint_says_where_it_is(tmp_path):
    run(tmp_path, steps=7, data=lambda: Shuffled(batches()), config={"hidden": 6})
    (path,) = sorted((tmp_path / "checkpoints").glob("*.json"))[-1:]
    state = read_checkpoint(path).state
    assert (state["step"], state["epoch"], state["position"]) == (7, 1, 2)
    assert state["data"] == {"epoch": 1, "position": 2}
    assert state["config"] == {"hidden": 6}
