"""Read logs of training runs back: CSV, event files, pictures; of runs that fail or are killed."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import engine
import rnn
from rnn.command import main
from rnn.training import Callback, GradientPictures, TensorBoard
from rnn.training.callbacks import gradient_norms
from tests import ROOT
from tests.draws import slow_beside
from tests.rnn.training.small_training import batches, carried, loss, run

COLUMNS = ["step", "epoch", "seconds", "loss", "lr", "grad_norm", "figure", "value"]


def rows(path):
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def assert_logged(path, history):
    """Assert that the lines of a CSV file are the records of a run, to the last digit."""
    found = rows(path)
    assert list(found[0]) == COLUMNS
    steps = [one for one in found if one["loss"]]
    assert [(int(one["step"]), int(one["epoch"]), *(float(one[x]) for x in COLUMNS[3:6]))
            for one in steps] == [record[:-1] for record in history.steps]  # fmt: skip
    figures = [(int(one["step"]), one["figure"], float(one["value"]))
               for one in found if one["figure"]]  # fmt: skip
    assert figures == [(record.step, name, value) for record in history.validations
                       for name, value in record.metrics.items()]  # fmt: skip


def test_csv_has_every_step_and_every_metric(tmp_path):
    path = tmp_path / "run.csv"
    *_, history = run(log=path, validation=batches(2, seed=1),
                      evaluate=lambda net: {"a, b": float("nan"), "c": 1 / 3})  # fmt: skip
    found = rows(path)
    assert [one["value"] for one in found if one["figure"] == "a, b"] == ["nan"] * 3
    for record in history.validations:
        del record.metrics["a, b"]  # no NaN equals itself
    with path.open("w", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(one for one in found if one["figure"] != "a, b")
    assert_logged(path, history)


class StopAt(Callback):
    """Raise after a step."""

    def __init__(self, at):
        self.at = at

    def step(self, run, record):
        if record.step == self.at:
            raise RuntimeError("planted")


def test_csv_goes_on_where_a_run_is_resumed(tmp_path):
    log = tmp_path / "run.csv"
    options = {"log": log, "every": 2, "validation": batches(2, seed=1)}
    whole = run(log=tmp_path / "whole.csv", validation=batches(2, seed=1))[2]
    with pytest.raises(RuntimeError, match="planted"):
        run(checkpoint=tmp_path / "c", callbacks=[StopAt(8)], **options)
    assert sum(bool(one["loss"]) for one in rows(log)) == 8
    log.write_bytes(log.read_bytes() + b"99,9,half a li")
    options["callbacks"] = [StopAt(99)]
    *_, history = run(checkpoint=tmp_path / "c", resume=True, **options)
    assert [one[:-1] for one in history.steps] == [one[:-1] for one in whole.steps]
    assert_logged(log, history)
    log.write_text("another file")
    with pytest.raises(ValueError, match="is not the log of the run"):
        run(checkpoint=tmp_path / "c", resume=True, **options)


def nan_at(step):
    """Return a loss that is NaN from a step on."""

    def found(net, batch, step=step, at=step):
        value = loss(net, batch)
        return value * float("nan") if step >= at else value

    return found


@pytest.mark.parametrize("name", ["run.csv", "run.jsonl"])
def test_a_loss_that_is_nan_loses_nothing_already_logged(name, tmp_path):
    with pytest.raises(engine.AnomalyError):
        run(log=tmp_path / name, loss=nan_at(7))
    found = (tmp_path / name).read_text().splitlines()
    assert len(found) == 7 + (name == "run.csv")


KILLED = """
import sys, time
from tests.rnn.training.small_training import batches, run
from rnn.training import TensorBoard
log, board = sys.argv[1:]
def slow(run, record):
    print(record.step, flush=True)
    time.sleep(0.05)
callbacks = ([TensorBoard(board)] if board else []) + [slow]
run(log=log, epochs=1000, callbacks=callbacks)
"""


def killed(log, board=""):
    """Kill a run without warning after some steps; return how many it had told of."""
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(log), str(board)],
                             cwd=ROOT, stdout=subprocess.PIPE, text=True)  # fmt: skip
    assert child.stdout is not None
    told = 0
    while told < 4:
        told = int(child.stdout.readline())
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    return told


def test_a_killed_run_loses_nothing_already_logged(tmp_path):
    told = killed(tmp_path / "run.csv")
    assert [int(one["step"]) for one in rows(tmp_path / "run.csv")][:told] == [1, 2, 3, 4][:told]


# ---- event files


def events(folder):
    """Return the scalars and sizes of pictures in the event files of a folder, oldest first."""
    event = pytest.importorskip("tensorboardX.proto.event_pb2")
    scalars, images, purged = {}, {}, []
    for path in sorted(folder.iterdir(), key=lambda one: one.stat().st_mtime_ns):
        content = path.read_bytes()
        while content:
            size = int.from_bytes(content[:8], "little")
            one = event.Event.FromString(content[12 : 12 + size])
            content = content[16 + size :]
            if one.HasField("session_log"):
                purged.append(one.step)
            for value in one.summary.value:
                if value.HasField("image"):
                    size = (value.image.height, value.image.width)
                    images.setdefault(value.tag, {})[one.step] = size
                else:
                    scalars.setdefault(value.tag, []).append((one.step, value.simple_value))
    return scalars, images, purged


def test_event_files_have_every_metric(tmp_path):
    pytest.importorskip("tensorboardX")
    *_, history = run(callbacks=[TensorBoard(tmp_path)], validation=batches(2, seed=1),
                      metrics={"twice": lambda x: 2 * x})  # fmt: skip
    scalars, _, _ = events(tmp_path)
    expected = {f"train/{name}": [(one.step, np.float32(getattr(one, name)))
                                  for one in history.steps]
                for name in ("loss", "lr", "grad_norm")}  # fmt: skip
    expected |= {f"validation/{name}": [(one.step, np.float32(one.metrics[name]))
                                        for one in history.validations]
                 for name in ("loss", "twice")}  # fmt: skip
    assert scalars == expected
    run(callbacks=[TensorBoard(tmp_path / "sparse", every=4)])
    assert [step for step, _ in events(tmp_path / "sparse")[0]["train/loss"]] == [4, 8, 12]


def test_event_files_of_a_run_that_raises_and_goes_on(tmp_path):
    pytest.importorskip("tensorboardX")
    board, options = tmp_path / "events", {"checkpoint": tmp_path / "c", "every": 4}
    with pytest.raises(RuntimeError, match="planted"):
        run(callbacks=[TensorBoard(board), StopAt(6)], **options)
    assert [step for step, _ in events(board)[0]["train/loss"]] == [1, 2, 3, 4, 5, 6]
    with pytest.raises(engine.AnomalyError):
        run(callbacks=[TensorBoard(tmp_path / "nan")], loss=nan_at(5))
    assert [step for step, _ in events(tmp_path / "nan")[0]["train/loss"]] == [1, 2, 3, 4, 5]
    run(callbacks=[TensorBoard(board), StopAt(99)], resume=True, **options)
    scalars, _, purged = events(board)
    assert purged == [7]
    assert [step for step, _ in scalars["train/loss"]] == list(range(1, 16))


def test_event_files_of_a_killed_run(tmp_path):
    pytest.importorskip("tensorboardX")
    told = killed(tmp_path / "run.jsonl", tmp_path / "events")
    scalars, _, _ = events(tmp_path / "events")
    assert [step for step, _ in scalars["train/loss"]][:told] == [1, 2, 3, 4][:told]
    lines = (tmp_path / "run.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines[:told]] == [1, 2, 3, 4][:told]


def test_without_tensorboardx_the_error_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"pip install '\.\[logs\]'"):
        TensorBoard(tmp_path)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"pip install '\.\[keras\]'"):
        rnn.interop.export_keras(rnn.Linear(2, 2), tmp_path / "a.keras")


# ---- gradients through time


def test_pictures_of_gradients_every_n_steps(tmp_path):
    seen = run(callbacks=[GradientPictures(batches()[0], tmp_path / "new", every=6)])
    names = [one.name for one in sorted((tmp_path / "new").iterdir())]
    assert names == ["gradients-000001.png", "gradients-000006.png", "gradients-000012.png"]
    assert len({one.read_bytes() for one in (tmp_path / "new").iterdir()}) == 3
    alone = run()
    for one, two in zip(seen[0].parameters(), alone[0].parameters(), strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())  # dropout is drawn as without


def test_pictures_of_gradients_in_event_files(tmp_path):
    pytest.importorskip("tensorboardX")
    board = TensorBoard(tmp_path)
    run(
        callbacks=[board, GradientPictures(batches()[0], board, every=10)], loss=carried, carry=True
    )
    images = events(tmp_path)[1]["gradients/through_time"]
    assert list(images) == [1, 10]
    assert min(images[1]) > 100
    with pytest.raises(ValueError, match="before the callbacks that write into it"):
        run(callbacks=[GradientPictures(batches()[0], TensorBoard(tmp_path))])


class Grab(Callback):
    """Take the settings of a run."""

    def begin(self, run):
        self.settings = run.settings


def test_norms_are_those_of_a_probe():
    grab, batch = Grab(), batches()[0]
    net, *_ = run(callbacks=[grab])
    found = gradient_norms(grab.settings, batch, 0)
    net.eval()
    probe = rnn.Probe(net.core, net.embedding(batch.x))
    expected = probe.gradient_norms(lambda y: engine.cross_entropy(net.head(y), batch.y))
    assert set(found) == set(expected) == {"h_l0", "c_l0", "h_l1", "c_l1"}
    for name, norms in found.items():
        assert list(norms) == [0, 1, 2, 3]
        np.testing.assert_allclose(list(norms.values()), expected[name].numpy()[1:], rtol=1e-6)


def test_models_with_lengths_directions_and_decoders():
    def norms_of(model, data, loss):
        grab = Grab()
        rnn.fit(model, [data], loss, steps=1, progress=False, callbacks=[grab])
        return gradient_norms(grab.settings, data, 1)

    net = rnn.Classifier(9, 2, embedding=3, hidden=4, bidirectional=True)
    data = (np.array([[1, 2], [3, 4], [5, 0]]), [3, 2], np.array([0, 1]))
    found = norms_of(net, data, lambda net, batch: net.loss(*batch))
    assert set(found) == {"h_l0", "c_l0", "h_l0_reverse", "c_l0_reverse"}
    assert all(value > 0 for value in found["h_l0"].values())
    x = engine.ones((12, 4))
    with pytest.raises(ValueError, match="no cell of the model has made a step"):
        norms_of(rnn.GRU(3, 4), x, lambda own, x: engine.sum(own.weight_hh_l0 * x))
    with pytest.raises(ValueError, match="there is no cell in Linear"):
        norms_of(rnn.Linear(3, 4), engine.ones((2, 3)), lambda net, x: engine.sum(net(x)))


def test_arguments_of_the_callbacks(tmp_path):
    with pytest.raises(TypeError, match="to must be a folder or a TensorBoard, got int"):
        GradientPictures(1, 3)
    with pytest.raises(ValueError, match="every"):
        GradientPictures(1, tmp_path, every=0)


def test_callbacks_are_closed_after_an_error_too():
    class Closed(Callback):
        count = 0

        def close(self):
            self.count += 1

    one = Closed()
    run(callbacks=[one])
    with pytest.raises(RuntimeError, match="planted"):
        run(callbacks=[StopAt(2), one])
    assert one.count == 2


# ---- the command line


def trained(tmp_path, *arguments):
    """Return the folder of a short run of the command line."""
    text, out = tmp_path / "text.txt", tmp_path / "run"
    text.write_text("The quick brown fox jumps over the lazy dog.\n" * 20)
    small = ["--hidden", "8", "--length", "6", "--batch", "4", "--steps", "6"]
    assert main(["train", "--text", str(text), "--out", str(out), *small, *arguments]) == 0
    return out


@slow_beside("test_the_command_line_writes_event_files")
def test_the_command_line_draws_gradients(tmp_path):
    out = trained(tmp_path, "--gradients", "4")
    assert main(["resume", str(out), "--steps", "8"]) == 0
    names = [one.name for one in sorted((out / "gradients").iterdir())]
    assert names == ["gradients-000001.png", "gradients-000004.png", "gradients-000008.png"]


def test_the_command_line_writes_event_files(tmp_path, monkeypatch, capsys):
    pytest.importorskip("tensorboardX")
    out = trained(tmp_path, "--tensorboard", "--gradients", "4", "--validate-every", "3")
    assert main(["resume", str(out), "--steps", "8"]) == 0
    scalars, images, purged = events(out / "events")
    assert [step for step, _ in scalars["train/loss"]] == list(range(1, 9))
    assert list(images["gradients/through_time"]) == [1, 4, 8]
    assert purged == [7]
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    capsys.readouterr()
    assert main(["resume", str(out), "--steps", "9"]) == 2
    assert "--tensorboard: TensorBoard: event files are written by" in capsys.readouterr().err
