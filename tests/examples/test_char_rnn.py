"""Run the character model from outside: its files, that it repeats itself, and how it refuses."""

import signal
import subprocess
import sys
import time
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

import rnn
from examples import char_rnn
from examples.text import Text
from tests import ROOT
from tests.draws import first
from tests.viz.pictures import boxes

WRITTEN = [
    "gradients.svg", "gradients_last.svg", "gradients_ops.svg", "loss.png",
    "model.safetensors", "rolled.svg", "sample.txt", "story.svg", "unrolled.svg",
    "unrolled_ops.svg",
]  # fmt: skip
SMALL = ["--hidden", "12", "-T", "8", "--batch", "4", "--updates", "30"]


def run(out: Path, *arguments: str) -> int:
    return char_rnn.main([*SMALL, "--out", str(out), *arguments])


@pytest.fixture(autouse=True, scope="module")
def short():
    """Learn from the beginning of the text, and write a line, not a page."""
    text, sample = char_rnn.documentation()[:100_000], char_rnn.sample_text
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(char_rnn, "documentation", lambda: text)
        patch.setattr(char_rnn, "sample_text", partial(sample, length=40))
        yield


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    out = tmp_path_factory.mktemp("first")
    assert run(out) == 0
    return out


def test_it_writes_everything(written):
    assert sorted(path.name for path in written.iterdir()) == WRITTEN
    assert all(path.stat().st_size for path in written.iterdir())


def test_the_same_seed_gives_the_same_bytes(written, tmp_path):
    assert run(tmp_path) == 0
    for name in WRITTEN:
        assert (tmp_path / name).read_bytes() == (written / name).read_bytes(), name


def test_another_seed_gives_another_model(written, tmp_path):
    assert run(tmp_path, "--seed", "1") == 0
    name = "model.safetensors"
    assert (tmp_path / name).read_bytes() != (written / name).read_bytes()


def test_the_checkpoint_is_the_model(written):
    arrays, config = rnn.load(written / "model.safetensors")
    model = char_rnn.CharRNN(config["cell"], len(config["symbols"]), config["hidden"])
    model.load_state_dict(arrays)
    text = Text.of(char_rnn.read(char_rnn.parse(SMALL)))
    bits = char_rnn.evaluate(model, text.held_out, char_rnn.parse(SMALL))
    assert bits == pytest.approx(config["held_out_bits_per_character"], rel=1e-12)


def test_training_beats_the_character_frequencies(tmp_path, capsys):
    assert run(tmp_path, "--hidden", "48", "--batch", "16", "-T", "24", "--updates", "150",
               "--lr", "0.01") == 0  # fmt: skip
    _, config = rnn.load(tmp_path / "model.safetensors")
    baseline = Text.of(char_rnn.read(char_rnn.parse([]))).baseline()
    assert config["held_out_bits_per_character"] < baseline - 0.5
    assert f"character frequencies alone: {baseline:.2f}" in capsys.readouterr().out


def test_the_baseline_is_the_cost_of_the_frequencies_alone():
    text = Text.of("ab" * 45 + "b" * 10)  # learns 45 a and 45 b, is judged on 10 b
    assert text.baseline() == pytest.approx(1.0)


@pytest.mark.parametrize("cell", first(1, ["rnn", "gru"]))
def test_every_cell_runs(cell, tmp_path):
    assert run(tmp_path, "--cell", cell, "--updates", "2") == 0
    unrolled = (tmp_path / "unrolled.svg").read_text(encoding="utf-8")
    cells = [box.kind for box in boxes(unrolled)].count("cell")
    left_out = char_rnn.DRAWN - cells
    assert left_out == 0 or f"{left_out} of {char_rnn.DRAWN} steps" in unrolled


def test_epochs_and_seconds_limit_the_training(tmp_path, monkeypatch):
    text = tmp_path / "short.txt"
    text.write_text("the quick brown fox jumps over the lazy dog. " * 10)
    out = tmp_path / "epochs"
    assert run(out, "--text", str(text), "--epochs", "2") == 0
    assert rnn.load(out / "model.safetensors")[1]["updates"] == 2 * ((405 - 1) // 4 // 8)
    ticks = count()  # of a second each: one before all updates, two in each of them
    monkeypatch.setattr(char_rnn, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    assert run(tmp_path / "seconds", "--text", str(text), "--seconds", "5.5") == 0
    assert rnn.load(tmp_path / "seconds" / "model.safetensors")[1]["updates"] == 3


def refused(capsys, out: Path, *arguments: str) -> str:
    """Return the one line of a refusal, which writes no file."""
    try:
        status = char_rnn.main(["--out", str(out), *arguments])
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    assert not out.exists()
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "is empty"), (b"too short", "has only 9 characters"), (b"\xff\xfe" * 9, "not UTF-8")],
)
def test_bad_texts_are_refused(content, said, tmp_path, capsys):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    assert said in refused(capsys, tmp_path / "out", "--text", str(path))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--text", "no/such/file.txt"], "no/such/file.txt: No such file"),
        (["--text", "."], "Is a directory"),
        (["--cell", "transformer"], "invalid choice: 'transformer'"),
        (["--hidden", "0"], "'0' is not a positive integer"),
        (["--batch", "-3"], "'-3' is not a positive integer"),
        (["-T", "2.5"], "'2.5' is not a positive integer"),
        (["--lr", "nan"], "'nan' is not a positive number"),
        (["--seed", "-1"], "-1 is negative"),
        (["--device", "tpu"], "unknown device 'tpu'"),
    ],
)
def test_bad_options_are_refused(arguments, said, tmp_path, capsys):
    assert said in refused(capsys, tmp_path / "out", *arguments)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_gradients_that_are_no_numbers_stop_it_with_one_line(tmp_path, capsys):
    arguments = ["--lr", "1e38", "--updates", "20", "--hidden", "8", "--batch", "4", "-T", "8"]
    assert run(tmp_path / "out", *arguments) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("char_rnn: clip_grad_norm: the gradient of parameter")
    assert "lower the learning rate" in said


def test_an_unwritable_folder_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert "file" in refused(capsys, tmp_path / "file" / "out")


@pytest.mark.parametrize("found", [0, None])
def test_cupy_without_a_device_is_refused(found, monkeypatch, tmp_path, capsys):
    from engine import backends

    def count():
        if found is None:
            raise cupy.cuda.runtime.CUDARuntimeError("no driver")
        return found

    cupy = pytest.importorskip("cupy")
    monkeypatch.setattr(cupy.cuda.runtime, "getDeviceCount", count)
    monkeypatch.delitem(backends._BACKENDS, "cupy", raising=False)
    assert "device 'cupy' needs a CUDA device" in refused(
        capsys, tmp_path / "out", "--device", "cupy"
    )


def test_cupy_that_is_not_installed_is_refused(monkeypatch, tmp_path, capsys):
    from engine import backends

    for module in ("cupy", "engine.backends.cupy", "engine.backends.cupy_indexing"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delattr(backends, "cupy", raising=False)
    monkeypatch.delitem(backends._BACKENDS, "cupy", raising=False)
    said = refused(capsys, tmp_path / "out", "--device", "cuda")
    assert "device 'cupy' needs the cupy package: pip install '.[cuda13]'" in said


def test_ctrl_c_stops_cleanly_and_writes_everything(tmp_path):
    command = [sys.executable, "-u", "-m", "examples.char_rnn", "--out", str(tmp_path / "out"),
               "--hidden", "16", "--updates", "1000000"]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as job:
        try:
            assert b"training" in job.stdout.readline()
            time.sleep(0.5)
            job.send_signal(signal.SIGINT)
            output, errors = job.communicate(timeout=120)
        finally:
            job.kill()
    assert job.returncode == 0, errors
    assert b"stopped by Ctrl-C" in output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == WRITTEN
