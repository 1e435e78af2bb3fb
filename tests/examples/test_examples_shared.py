"""Test the helpers that examples share, and the code of the page on tasks: it runs as printed."""

import gzip
import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

import engine
from examples import (
    alignment,
    captions,
    char_rnn,
    data,
    forecasting,
    forward_pass,
    jordan,
    layers,
    music,
    sentiment,
    vanishing,
)
from examples.command import fail, folder, seed
from examples.installed.bptt import pictures
from tests import ROOT
from tests.draws import first

SHAPES = ("One to one", "One to many", "Many to one", "Many to many, aligned",
          "Many to many, unaligned")  # fmt: skip


# ---- the page


def page():
    """Return the part of the page on the shapes, by shape."""
    text = (ROOT / "docs" / "about" / "tasks.md").read_text(encoding="utf-8")
    text = text.split("## The five shapes")[1].split("\n## ")[0]
    parts = re.split(r"^\*\*(.+?)\.\*\*", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_the_page_has_the_five_shapes():
    assert tuple(page()) == SHAPES


@pytest.mark.parametrize("shape", SHAPES)
def test_the_code_of_a_shape_prints_what_its_comments_say(shape, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", page()[shape], re.DOTALL)
    assert max(map(len, code.splitlines())) <= 110
    said = re.findall(r"^print\(.*\)  # (\(.*?\))", code, re.MULTILINE)
    assert said
    engine.seed(0)
    names = {}
    exec(code, names)  # as a reader would run it
    assert capsys.readouterr().out.splitlines() == said
    if "backward()" in code:
        assert all(x.grad is not None for x in names["model"].parameters())
    if "written" in names:
        assert [len(one) <= 6 for one in names["written"]] == [True, True]


def test_every_example_is_on_the_page():
    text = (ROOT / "docs" / "about" / "tasks.md").read_text(encoding="utf-8")
    for path in (ROOT / "examples").glob("*.py"):
        if "task_parser(" in (code := path.read_text(encoding="utf-8")) and path.stem != "task":
            assert f"(../../examples/{path.name})" in text, path.name
            assert f'task_parser("{path.stem}", __doc__' in code


# ---- data


def test_items_are_distributed_in_turns():
    engine.seed(0)
    items = [f"i{number}" for number in range(47)]
    parts = data.dealt(items, data.TENTHS, "here", 1)
    assert [len(part) for part in parts] == [37, 5, 5]  # 47 places: 0 to 46
    assert sorted(one for part in parts for one in part) == sorted(items)
    assert data.dealt(items, data.TENTHS, "here", 1) == parts != data.dealt(items, data.TENTHS, 2)
    order = engine.random.generator("here", 1).permutation(47).tolist()
    assert parts.test == [items[number] for number in order[::10]]
    assert parts.validation == [items[number] for number in order[1::10]]
    assert data.dealt([], data.TENTHS, "here") == ([], [], [])


def test_an_empty_part_is_said():
    full = data.Parts([1], [2], [3])
    assert data.filled(full, "a.txt") is full
    for name, use in (("train", "learn from"), ("validation", "validate"), ("test", "test")):
        with pytest.raises(ValueError, match=rf"^a\.txt: there is nothing to {use}; are there en"):
            data.filled(full._replace(**{name: []}), "a.txt")


def test_fresh_batches_are_made_by_epoch_and_number():
    made = data.fresh(lambda *key: key, "a", 7, steps=3)
    assert len(made) == 3
    assert list(made) == [("a", 7, 0, 0), ("a", 7, 0, 1), ("a", 7, 0, 2)]
    assert list(made) == [("a", 7, 1, 0), ("a", 7, 1, 1), ("a", 7, 1, 2)]


# ---- models and pictures


def test_hidden_words_are_the_share_that_is_asked_for():
    engine.seed(0)
    ids = engine.asarray(np.arange(2, 20_002).reshape(200, 100))
    assert layers.hide(ids, 0.0, 1) is ids
    found = layers.hide(ids, 0.3, 1).numpy()
    assert found.dtype == ids.numpy().dtype
    assert np.isin(found, [1]).mean() == pytest.approx(0.3, abs=0.02)
    assert ((found == 1) | (found == ids.numpy())).all()
    assert (layers.hide(ids, 0.3, 1).numpy() != found).any()


def test_the_losses_of_a_picture_are_those_after_the_start():
    engine.seed(0)
    table = engine.asarray(np.random.default_rng(0).normal(size=(5, 5)), requires_grad=True)
    ids, states = [0, 3, 1, 4, 2], []

    def advance(x, state):
        states.append(state)
        return table[x], 0 if state is None else state + 1

    losses = pictures.losses_over_time(
        advance, ids, 2, "abcde".__getitem__, named=lambda state: state + 100
    )
    rows = table.numpy()
    for loss, i, j in zip(losses, [1, 4], [4, 2], strict=True):
        assert loss.item() == pytest.approx(np.log(np.exp(rows[i]).sum()) - rows[i, j])
    assert states == [None, 0, 101, 102]
    text = engine.Graph.of(losses[0] + losses[1]).text()
    for leaf in ("x = 'b'", "x = 'e'", "y = 'e'", "y = 'c'"):
        assert leaf in text, text


# ---- options and files


@pytest.mark.parametrize("text", ["-1", "x", "1.5", ""])
def test_what_is_no_seed(text):
    with pytest.raises(Exception, match="is negative" if text == "-1" else "is not an integer"):
        seed(text)
    assert seed("7") == 7


def test_a_folder_is_made_and_can_be_written_into(tmp_path):
    made = folder(str(tmp_path / "deep" / "out"))
    assert made == tmp_path / "deep" / "out"
    assert not list(made.iterdir())
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(OSError, match="file"):
            folder(path)


def test_an_error_without_a_file_is_said_without_one(capsys):
    assert fail("name", OSError(28, "No space left on device")) == 2
    assert capsys.readouterr().err == "name: No space left on device\n"


def test_a_reader_that_closes_the_pipe_gets_no_error():
    command = [sys.executable, "-u", "-m", "examples.hello", "--fast"]
    job = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert job.stdout.readline().startswith(b"letters: h e l o")
    job.stdout.close()
    with job.stderr as errors:
        assert errors.read() == b""
    assert job.wait(60) == 1


def test_what_writes_nothing_has_no_folder():
    assert forward_pass.parse([]).out is None
    with pytest.raises(SystemExit):
        forward_pass.parse(["--out", "anywhere"])


RESUMED = {
    forecasting: ["--steps", "40", "--hidden", "4"],
    alignment: ["--part", "dna", "--steps", "12", "--tests", "20", "--batch", "4"],
    captions: ["--steps", "16", "--features", "8", "--hidden", "8"],
    music: ["--epochs", "2", "--hidden", "8"],
}


@pytest.mark.parametrize("example", first(1, RESUMED), ids=lambda one: one.__name__)
def test_a_run_goes_on_where_it_stopped(example, tmp_path, monkeypatch, capsys):
    given = ["--fast", "--threads", "1", *RESUMED[example]]
    whole = example.run(example.parse(given))
    out, loss, calls = [*given, "--out", str(tmp_path)], example.loss, []

    def interrupted(model, batch):
        calls.append(batch)
        if len(calls) == 7:
            os.kill(os.getpid(), signal.SIGINT)
        return loss(model, batch)

    with monkeypatch.context() as patch:
        patch.setattr(example, "loss", interrupted)
        with pytest.raises(KeyboardInterrupt, match="broken off after 7 updates"):
            example.run(example.parse(out))
    assert example.main(out) == 2  # what is there is not written over
    assert "has checkpoints already; go on from them with --resume" in capsys.readouterr().err
    found = example.run(example.parse([*out, "--resume"]))
    for kept in (whole, found):
        del kept["seconds"]
    assert found == whole


def test_both_trainings_of_jordan_go_on(tmp_path):
    given = ["--fast", "--threads", "1", "--steps", "6", "--own", "4", "--batch", "4", "-T", "8"]
    whole = jordan.run(jordan.parse(given))["figures"]
    out = [*given, "--out", str(tmp_path)]
    assert jordan.run(jordan.parse(out))["figures"] == whole
    assert jordan.run(jordan.parse([*out, "--resume"]))["figures"] == whole
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        "checkpoints-forced", "checkpoints-own"
    ]  # fmt: skip


def test_a_series_is_called_by_its_name(tmp_path, capsys):
    assert forecasting.main(["--fast", "--steps", "5"]) == 0
    assert "\ngenerated: RMSE" in capsys.readouterr().out
    path = tmp_path / "own.csv"
    rows = [f"{t},{100 + t + t % 7}" for t in range(120)]
    path.write_text("\n".join(["time,value", *rows]), encoding="utf-8")
    given = ["--fast", "--steps", "5", "--data", str(path), "--series", "generated"]
    assert forecasting.main(given) == 0
    assert capsys.readouterr().out.startswith(f"{path}: RMSE")
    path.write_text("time,value\n1,2\n", encoding="utf-8")
    assert forecasting.main(given) == 2
    assert f"{path}: the series has 1 values, too few" in capsys.readouterr().err


def test_examples_that_are_too_few_are_said(tmp_path, capsys):
    for name, text in zip(sentiment.FILES, ("bad\n", "good\n"), strict=True):
        (tmp_path / name).write_bytes(gzip.compress(text.encode()))
    assert sentiment.main(["--fast", "--data", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert (
        said
        == f"sentiment: {tmp_path}: there is nothing to learn from; are there enough examples?\n"
    )


def test_a_text_that_is_too_short_has_a_name(capsys, tmp_path):
    assert char_rnn.main(["-T", "9999", "--batch", "99", "--out", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("char_rnn: the documentation of Python has only ")
    assert said.endswith("T = 9999 and batch = 99 need 1,099,892\n")


@pytest.mark.parametrize("example", [char_rnn, vanishing], ids=lambda one: one.__name__)
def test_fast_is_smaller_but_what_is_given_counts(example):
    assert example.parse(["--fast"]).hidden < example.parse([]).hidden
    assert example.parse(["--fast", "--hidden", "999"]).hidden == 999
