"""Run ``python -m rnn`` from outside: files, messages, refusals, and resuming to the bit."""

import errno
import gzip
import hashlib
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import engine
from benchmarks import measuring, plots, task_tables, tasks
from engine.scan.c import compiler
from rnn.command import main
from rnn.command.language import described, nats, opened, trained, vocabulary
from rnn.command.texts import border, cut, shown, text_of, vocabulary_of
from rnn.data.mapped import MappedText
from rnn.data.vocabulary import Vocabulary
from rnn.training import Checkpoints, fit
from rnn.training.history import Log, Validation
from tests import ROOT
from tests.counting import cpu_seconds
from tests.draws import covering, crossed, first

SMALL = ["--hidden", "8", "--length", "6", "--batch", "4", "--steps", "12", "--validate-every", "5",
         "--save-every", "4", "--dropout", "0.2"]  # fmt: skip
LINES = "The quick brown fox jumps over the lazy dog.\nÄpfel, birds and 1,000 dogs don't.\n" * 30


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "fox.txt"
    path.write_text(LINES, encoding="utf-8")
    return path


def train(text, out, *arguments):
    assert main(["train", "--text", str(text), "--out", str(out), *SMALL, *arguments]) == 0
    return out


@pytest.fixture(scope="module")
def folder(text, tmp_path_factory):
    return train(text, tmp_path_factory.mktemp("out") / "run")


@pytest.fixture(scope="module")
def words_folder(text, tmp_path_factory):
    return train(text, tmp_path_factory.mktemp("out") / "run", "--level", "word")


@pytest.fixture(autouse=True)
def unplotted(monkeypatch):
    """Draw no plot but those of the folders above: it takes two thirds of a short run."""
    monkeypatch.setattr("rnn.training.loop.plot_history", lambda *_: None)


def newest(folder):
    return Checkpoints(folder / "checkpoints").newest()


def lines(folder):
    found = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: x for name, x in line.items() if name != "seconds"} for line in found]


def assert_same(one, other):
    """Assert that two folders are equal to the bit but for seconds and number of checkpoints."""
    assert lines(one) == lines(other)
    first, second = newest(one), newest(other)
    assert list(first.tensors) == list(second.tensors)
    for name, value in first.tensors.items():
        cut = (slice(None), slice(-1)) if name == "history" else ...  # seconds are last
        np.testing.assert_array_equal(value[cut], second.tensors[name][cut], strict=True)
    for name in ("step", "epoch", "position", "random", "data", "carried", "bad"):
        assert first.state[name] == second.state[name]


# ---- train


def test_train_writes_a_log_a_plot_and_checkpoints(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoints",
        "log.jsonl",
        "loss.png",
    ]
    assert newest(folder).state["step"] == 12
    assert [line["step"] for line in lines(folder) if "loss" in line] == list(range(1, 13))
    assert [line["step"] for line in lines(folder) if "validation" in line] == [5, 10, 12]


def test_train_says_what_it_came_to(text, tmp_path, capsys):
    train(text, tmp_path / "run")
    first, done, best = capsys.readouterr().out.splitlines()
    assert first.startswith(f"learning from {len(LINES) - len(LINES) // 10:,} characters, ")
    assert done == f"12 steps done (steps); written to {tmp_path / 'run'}"
    assert best.startswith("held-out text, after 12 steps: ")


def test_the_same_seed_gives_the_same_run_and_another_another(text, folder, tmp_path):
    assert_same(train(text, tmp_path / "same"), folder)
    other = train(text, tmp_path / "other", "--seed", "3")
    assert lines(other) != lines(folder)


@pytest.mark.parametrize("arguments", [
    ["--cell", "gru", "--layers", "2"], ["--cell", "rnn", "--tie"], ["--embedding", "3"],
    ["--held-out", "0"], ["--min-count", "20"], ["--patience", "1"],
])  # fmt: skip
def test_options_of_the_model_and_the_training(arguments, text, tmp_path):
    found = newest(train(text, tmp_path / "run", *arguments))
    assert found.state["step"] >= 10
    model = trained(found, "numpy", last=True)
    assert len(model.recurrent.layers) == (2 if "--layers" in arguments else 1)


# ---- resume


@pytest.mark.parametrize("level", ["character", "word"])
def test_a_run_of_fewer_steps_goes_on_to_the_bit(level, text, folder, words_folder, tmp_path):
    whole = folder if level == "character" else words_folder
    cut = train(text, tmp_path / "cut", "--level", level, "--steps", "7")
    assert newest(cut).state["step"] == 7
    assert main(["resume", str(cut), "--steps", "12"]) == 0
    assert_same(cut, whole)


def test_a_run_that_is_over_stays_as_it_is(folder, tmp_path, capsys):
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert main(["resume", str(copy)]) == 0
    assert "12 steps done (steps)" in capsys.readouterr().out
    assert_same(copy, folder)


@pytest.mark.parametrize("number", first(1, [signal.SIGINT, signal.SIGTERM]))
def test_a_signal_stops_it_and_resume_goes_on_to_the_bit(number, text, tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "rnn", "train", "--text", str(text), "--out", str(out), *SMALL,
               "--steps", "1000000"]  # fmt: skip
    job = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True)  # fmt: skip
    while not (out / "log.jsonl").exists() or not (out / "log.jsonl").stat().st_size:
        assert job.poll() is None, job.communicate()
        time.sleep(0.01)
    job.send_signal(number)
    said, errors = job.communicate(timeout=60)
    assert (job.returncode, errors) == (0, "")
    assert "go on with: python -m rnn resume" in said
    step = newest(out).state["step"]
    assert len([line for line in lines(out) if "loss" in line]) == step
    assert main(["resume", str(out), "--steps", str(step + 3)]) == 0
    whole = train(text, tmp_path / "whole", "--steps", str(step + 3))
    assert_same(out, whole)


@pytest.mark.parametrize("number", first(1, [signal.SIGTERM, signal.SIGINT]))
def test_a_signal_ends_a_long_validation_within_seconds(number, tmp_path):
    long = tmp_path / "long.txt"
    long.write_text(LINES * 400, encoding="utf-8")  # a validation takes minutes
    out = tmp_path / "run"
    command = [sys.executable, "-m", "rnn", "train", "--text", str(long), "--out", str(out), *SMALL,
               "--batch", "1", "--held-out", "0.9", "--validate-every", "1",
               "--save-every", "1"]  # fmt: skip
    job = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           text=True)  # fmt: skip
    for _ in range(6000):
        assert job.poll() is None, job.communicate()
        if newest_step(out):
            break
        time.sleep(0.01)
    time.sleep(0.5)  # it validates now
    begun = spent = cpu_seconds(job.pid)
    job.send_signal(number)
    while job.poll() is None and spent - begun < 60:
        spent = max(spent, cpu_seconds(job.pid))
        time.sleep(0.01)
    assert spent - begun < 5  # of its own, as the machine may have other things to do
    said, errors = job.communicate(timeout=60)
    assert (job.returncode, errors) == (0, "")
    assert "stopped after 1 steps; go on with" in said
    assert not any("validation" in line or "perplexity" in line for line in lines(out))


def newest_step(folder):
    """Return the step of the newest checkpoint, None before there is one."""
    found = Checkpoints(folder / "checkpoints").newest() if folder.exists() else None
    return None if found is None else found.state["step"]


def test_a_validation_reads_as_many_steps_as_its_option_says(text, tmp_path):
    def first(*arguments):
        out = train(text, tmp_path / f"run{len(arguments)}", "--steps", "5", *arguments)
        return next(line["validation"] for line in lines(out) if "validation" in line)

    whole, part = first(), first("--validate-steps", "2")
    assert set(whole) == set(part) == {"loss", "bits_per_character", "perplexity"}
    assert whole["loss"] != part["loss"]
    assert math.isclose(part["perplexity"], math.exp(part["loss"]))


def test_resume_finds_a_text_that_was_moved(text, tmp_path, capsys):
    moved = tmp_path / "text.txt"
    moved.write_bytes(text.read_bytes())
    out = train(moved, tmp_path / "run", "--steps", "4")
    moved.unlink()
    capsys.readouterr()
    said = refused(capsys, "resume", str(out))
    assert (
        f"{moved}: the text that {out} was begun with is no longer there; say where it is" in said
    )
    assert "no longer there; give another by --text" in refused(capsys, "evaluate", str(out))
    assert main(["resume", str(out), "--text", str(text), "--steps", "6"]) == 0
    moved.write_text(LINES + "another end")
    assert "is not the text that" in refused(capsys, "resume", str(out))


def test_a_damaged_checkpoint_falls_back_and_says_so_in_a_line(folder, tmp_path, capsys):
    copy = shutil.copytree(folder, tmp_path / "copy")
    newest(copy).path.write_bytes(b"{}")
    capsys.readouterr()
    assert main(["resume", str(copy)]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said
    assert all(line.startswith("rnn resume: checkpoint: ") for line in said)
    assert all("going on from checkpoint-" in line for line in said)
    assert lines(copy) == lines(folder)


# ---- schedules

WAYS = {
    "constant": lambda share: 1.0,
    "linear": lambda share: 1.0 - 0.99 * share,
    "cosine": lambda share: 0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2,
}


def rates(folder):
    return [line["lr"] for line in lines(folder) if "loss" in line]


@pytest.mark.parametrize("kind", WAYS)
def test_a_schedule_goes_to_a_hundredth_over_the_steps_and_stays(kind, text, tmp_path):
    out = train(text, tmp_path / "run", "--schedule", kind, "--lr", "0.02")
    assert main(["resume", str(out), "--steps", "15"]) == 0
    expected = [0.02 * WAYS[kind](min(n / 12, 1.0)) for n in range(15)]
    assert rates(out) == pytest.approx(expected, rel=1e-12)


def test_a_run_with_a_schedule_goes_on_to_the_bit(text, tmp_path, monkeypatch):
    whole = train(text, tmp_path / "whole", "--schedule", "linear")
    cut = tmp_path / "cut"

    def stopped(*given, **options):
        return fit(*given, **options | {"steps": min(7, options["steps"])})

    with monkeypatch.context() as patch:
        patch.setattr("rnn.command.verbs.fit", stopped)
        train(text, cut, "--schedule", "linear")
    assert newest(cut).state["step"] == 7
    assert main(["resume", str(cut)]) == 0
    assert_same(cut, whole)


def test_folders_from_before_schedules_open(text, folder, tmp_path, capsys):
    out = train(text, tmp_path / "run", "--steps", "7")
    found = newest(out)
    config = {name: x for name, x in found.state["config"].items() if name != "schedule"}
    Checkpoints(out / "checkpoints").write(found.tensors, found.state | {"config": config})
    assert main(["resume", str(out), "--steps", "12"]) == 0
    assert_same(out, folder)
    assert sampled(capsys, out, "--count", "3")


# ---- packed texts


@pytest.fixture
def packed(tmp_path):
    path = tmp_path / "fox.txt.gz"
    path.write_bytes(gzip.compress(LINES.encode()))
    return path


@pytest.mark.parametrize("level", first(1, ["word", "character"]))
def test_a_packed_text_is_the_text(level, packed, folder, words_folder, text, tmp_path, capsys):
    plain = folder if level == "character" else words_folder
    out = train(packed, tmp_path / "run", "--level", level, "--steps", "7")
    config = newest(out).state["config"]
    assert config["sha256"] == hashlib.sha256(packed.read_bytes()).hexdigest()
    assert main(["resume", str(out), "--steps", "12"]) == 0
    assert_same(out, plain)
    said = []
    for arguments in ([str(out)], [str(plain)], [str(plain), "--text", str(packed)],
                      [str(plain), "--text", str(text)]):  # fmt: skip
        capsys.readouterr()
        assert main(["evaluate", *arguments]) == 0
        said.append(capsys.readouterr().out.replace(str(packed), str(text)))
    assert said[0] == said[1]
    assert said[2] == said[3] != said[0]
    assert "is not the text that" in refused(capsys, "resume", str(out), "--text", str(text))


def test_a_packed_text_is_unpacked_where_a_plain_one_is_mapped(packed, text, folder, monkeypatch):
    tokens = vocabulary(newest(folder).state["config"])
    plain = text_of(text, "character", tokens)
    monkeypatch.setattr("rnn.command.texts.MAPPED", 10)
    monkeypatch.setattr("rnn.command.texts.BLOCK", 7)
    found = text_of(packed, "character", tokens)
    np.testing.assert_array_equal(found.ids, plain.ids)
    assert found.characters == plain.characters == len(LINES)
    one, other = (vocabulary_of(path, "character", 2, 0.3) for path in (packed, text))
    assert one.tokens == other.tokens


@pytest.mark.parametrize("level", ["character", "word"])
@pytest.mark.parametrize("name", ["marked.txt", "marked.txt.gz"])
@pytest.mark.parametrize("mapped", [10, 1 << 26])
def test_a_byte_order_mark_is_no_token(level, name, mapped, text, tmp_path, monkeypatch):
    monkeypatch.setattr("rnn.command.texts.MAPPED", mapped)
    path, content = tmp_path / name, b"\xef\xbb\xbf" + LINES.encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    found, expected = (vocabulary_of(one, level, 1, 0.0) for one in (path, text))
    assert found == expected
    ours, plain = (text_of(one, level, found) for one in (path, text))
    assert ours.characters == plain.characters
    np.testing.assert_array_equal(ours.ids[:], plain.ids[:])


GOOD = gzip.compress(LINES.encode(), mtime=0)


@pytest.mark.parametrize("level", ["character", "word"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (LINES.encode(), "damaged gzip file"),
        (GOOD[:-20], "damaged gzip file"),
        (GOOD[:30] + bytes([GOOD[30] ^ 255]) + GOOD[31:], "damaged gzip file"),
        (GOOD[:-6] + b"\x00\x00" + GOOD[-4:], "damaged gzip file"),  # another checksum
        (GOOD + b"more", "damaged gzip file"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (gzip.compress(b"\xef\xbb\xbf", mtime=0), "is empty"),
        (b"", "is empty"),
        (gzip.compress(b"ab\xff\xfe", mtime=0), "not UTF-8"),
    ],
)
def test_damaged_packed_texts_are_refused(content, said, level, tmp_path, folder, capsys):
    path = tmp_path / "bad.txt.gz"
    path.write_bytes(content)
    line = refused(capsys, "train", "--text", str(path), "--out", str(tmp_path / "out"),
                   "--level", level)  # fmt: skip
    assert line.startswith(f"rnn train: {path}")
    assert said in line
    assert not (tmp_path / "out").exists()
    if level == "character":
        assert said in refused(capsys, "evaluate", str(folder), "--text", str(path))


# ---- evaluate


def test_evaluate_agrees_with_what_train_has_said(words_folder, folder, capsys):
    for one in (folder, words_folder):
        best = min((line for line in lines(one) if "validation" in line),
                   key=lambda line: line["validation"]["loss"])["validation"]  # fmt: skip
        assert main(["evaluate", str(one), "--batch", "4"]) == 0
        said = capsys.readouterr().out
        assert said.startswith(
            f"{best['loss']:.4f} nats each, {best['bits_per_character']:.4f} "
            f"bits per character, perplexity {best['perplexity']:.2f}\n"
        )


def test_evaluate_is_the_cost_of_every_character_after_those_before(folder, tmp_path, capsys):
    path = tmp_path / "other.txt"
    path.write_text("The lazy fox don't.\n" * 5)
    found = newest(folder)
    model, tokens = trained(found, "numpy", last=False), vocabulary(found.state["config"])
    ids = tokens.encode(path.read_text())
    with engine.no_grad():
        logits, _ = model(ids[:-1, None])
        cost = engine.cross_entropy(logits, ids[1:, None]).item()
    assert main(["evaluate", str(folder), "--text", str(path)]) == 0
    said, count = capsys.readouterr().out.splitlines()
    assert float(said.split()[0]) == pytest.approx(cost, abs=1e-4)
    assert float(said.split()[3]) == pytest.approx(cost / math.log(2), abs=2e-4)
    assert count == f"99 characters of {path}"


def test_bits_per_character_of_words_count_the_characters(words_folder, text):
    config = newest(words_folder).state["config"]
    found = text_of(text, "word", vocabulary(config))
    assert found.characters == len(LINES)
    assert len(found.ids) == 30 * (11 + 9)
    assert cut(found, 0.5)[1].characters == len(LINES) // 2


def test_best_weights_are_taken_and_the_last_where_they_are_asked_for(folder, tmp_path, capsys):
    found = newest(folder)
    model = {name: x for name, x in found.tensors.items() if not name.startswith("best.")}
    for final, best in ((None, True), ({"best": False}, True), ({"best": True}, False)):
        # The best ones are all zeros, which makes everything equally likely.
        zeros = {name.replace("model.", "best."): 0 * x for name, x in model.items()
                 if name.startswith("model.")}  # fmt: skip
        state = found.state | {"final": final}
        Checkpoints(tmp_path / "checkpoints").write(model | zeros, state)
        costs = []
        for arguments in ([], ["--last"]):
            assert main(["evaluate", str(tmp_path), *arguments]) == 0
            costs.append(float(capsys.readouterr().out.split()[0]))
        even = math.log(len(vocabulary(found.state["config"])))
        assert (costs[0] == pytest.approx(even, abs=1e-4)) == best
        assert costs[1] != pytest.approx(even, abs=1e-4)


# ---- sample


def sampled(capsys, folder, *arguments):
    capsys.readouterr()
    assert main(["sample", str(folder), *arguments]) == 0
    return capsys.readouterr().out


def test_sample_goes_on_from_the_prompt(folder, capsys):
    said = sampled(capsys, folder, "--prompt", "The ", "--count", "40")
    assert said.startswith("The ")
    assert len(said) == 4 + 40 + 1
    assert sampled(capsys, folder, "--prompt", "The ", "--count", "40") == said
    assert sampled(capsys, folder, "--prompt", "The ", "--count", "40", "--seed", "2") != said
    assert len(sampled(capsys, folder, "--count", "3")) == 4


def test_sample_follows_the_model(folder, capsys):
    # Greedy text by hand, and --top-k 1 the same at any temperature.
    found = newest(folder)
    model, tokens = trained(found, "numpy", last=False), vocabulary(found.state["config"])
    ids = tokens.encode("The fox").tolist()
    for _ in range(20):
        with engine.no_grad():
            logits, _ = model(np.array(ids)[:, None])
        ids.append(int(logits.numpy()[-1, 0].argmax()))
    expected = "".join(tokens.decode(ids)).replace("<unk>", "\ufffd") + "\n"
    for arguments in (["--temperature", "0"], ["--top-k", "1"], ["--top-p", "0.001"]):
        assert (
            sampled(capsys, folder, "--prompt", "The fox", "--count", "20", *arguments) == expected
        )


def test_a_character_that_is_unknown_is_one_character(folder, capsys, monkeypatch):
    unk = vocabulary(newest(folder).state["config"]).unk
    monkeypatch.setattr("rnn.models.language_model.LanguageModel.generate",
                        lambda self, *given, **options: iter([unk, unk]))  # fmt: skip
    assert main(["sample", str(folder), "--prompt", "Theé\u0416é"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "Theé\u0416é\ufffd\ufffd\n"
    assert captured.err == "rnn sample: --prompt: the model does not know 'é', '\u0416'\n"


@pytest.mark.parametrize("more", first(1, [
    {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONIOENCODING": "ascii"}, {"LANG": "C", "LC_ALL": "C"},
]))  # fmt: skip
def test_what_the_output_cannot_show_is_replaced(more, text, tmp_path):
    out = tmp_path / "Läufe"
    for arguments in (["train", "--text", str(text), "--out", str(out), *SMALL],
                      ["sample", str(out), "--prompt", "Äpfel \u0416"], ["evaluate", str(out)],
                      ["sample", str(tmp_path / "\u0416")]):  # fmt: skip
        done = subprocess.run([sys.executable, "-m", "rnn", *arguments], cwd=ROOT,
                              capture_output=True, check=False, env=os.environ | more)  # fmt: skip
        failed = arguments[-1].endswith("\u0416") and len(arguments) == 2
        assert done.returncode == 2 * failed, done.stderr
        assert b"codec" not in done.stderr
        assert b"Traceback" not in done.stderr


def test_sample_of_words(words_folder, capsys):
    said = sampled(capsys, words_folder, "--prompt", "The quick", "--count", "30")
    assert said.startswith("The quick")
    assert len(said.split()) <= 32
    assert not any(line.startswith(" ") for line in said.splitlines())
    assert sampled(capsys, words_folder, "--count", "5")


def test_words_are_shown_with_lines_and_spaces():
    assert shown(["a", "b", "<eos>", "c"], "word", False) == "a b\nc"
    assert shown(["b"], "word", True) == " b"
    assert shown([], "word", True) == ""
    assert shown(["a", "b"], "character", True) == "ab"


def test_sample_into_a_pipe_that_closes(folder):
    job = subprocess.Popen([sys.executable, "-m", "rnn", "sample", str(folder), "--count", "9999"],
                           cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    assert job.stdout.read(10)
    job.stdout.close()
    assert job.wait(timeout=60) == 0
    assert job.stderr.read() == b""
    job.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(("verb", "unbuffered"), covering(["evaluate", "sample"], ["", "1"]))
def test_a_full_disk_is_said_in_one_line(verb, unbuffered, folder):
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "rnn", verb, str(folder)], cwd=ROOT,
                              stdout=full, stderr=subprocess.PIPE, text=True, check=False,
                              env=os.environ | {"PYTHONUNBUFFERED": unbuffered})  # fmt: skip
    assert (done.returncode, done.stderr) == (
        2,
        f"rnn {verb}: standard output: No space left on device\n",
    )


def test_ctrl_c_ends_a_sample_without_a_traceback(folder, capsys, monkeypatch):
    def drawn(self, *given, **options):
        yield 1
        raise KeyboardInterrupt

    monkeypatch.setattr("rnn.models.language_model.LanguageModel.generate", drawn)
    assert main(["sample", str(folder)]) == 130
    assert capsys.readouterr().err == "\n"


# ---- texts


def test_the_vocabulary_is_of_what_is_learnt_from(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("aaab" * 20 + "zz")
    assert "z" not in vocabulary_of(path, "character", None, 0.1)
    assert "z" in vocabulary_of(path, "character", None, 0.0)
    assert list(vocabulary_of(path, "character", 30, 0.0)) == ["<unk>", "a"]
    path.write_text("a a b\n" * 9 + "z z\n")
    assert set(vocabulary_of(path, "word", None, 0.1)) == {"<unk>", "<eos>", "a", "b"}


def test_what_is_only_held_out_has_no_index(tmp_path):
    # Nothing but different characters: those learnt from have an index, and no others.
    path = tmp_path / "text.txt"
    for size in (10, 57, 100, 300, 1000, 2000):
        characters = [chr(0x4E00 + i) for i in range(size)]
        path.write_text("".join(characters), encoding="utf-8")
        for share in (0.0, 0.03, 0.1, 0.3, 1 / 3, 0.7, 0.9, 0.99):
            tokens = vocabulary_of(path, "character", None, share)
            learnt, held_out = cut(text_of(path, "character", tokens), share)
            assert set(tokens.ordinary) == set(characters[: len(learnt)])
            assert set(held_out.ids.tolist()) <= {tokens.unk}
            assert len(held_out.ids) == int(size * share)


def test_the_words_that_are_only_held_out_have_no_index(tmp_path):
    path = tmp_path / "text.txt"
    for size in (50, 500):  # lines, two tokens each
        path.write_text("".join(f"w{i}\n" for i in range(size)))
        for share in (0.1, 0.3, 0.7):
            tokens = vocabulary_of(path, "word", 1, share)
            learnt, held_out = cut(text_of(path, "word", tokens), share)
            assert len(tokens.ordinary) == (len(learnt) + 1) // 2
            assert set(held_out.ids.tolist()) <= {tokens.unk, tokens.eos}


def test_no_more_than_the_share_is_held_out():
    for count in range(1, 400):
        for eighths in range(8):  # which floats hold exactly
            held_out = count - border(count, eighths / 8)
            assert 8 * held_out <= count * eighths < 8 * (held_out + 1)
    assert border(1000, 0.1) == 900


def test_the_vocabulary_stops_where_the_learning_does(text):
    for level in ("character", "word"):
        whole = text_of(text, level, vocabulary_of(text, level, 1, 0.0))
        tokens = vocabulary_of(text, level, 1, 0.3)
        learnt, _ = cut(text_of(text, level, tokens), 0.3)
        assert len(learnt) == len(whole.ids) - int(len(whole.ids) * 0.3)
        seen = Counter(tokens.decode(learnt))
        # Words of a line hold "<eos>" as a token of its own, so special tokens are left out.
        assert set(seen) - {"<unk>", "<eos>"} == set(tokens) - {"<unk>", "<eos>"}


def test_a_described_vocabulary_comes_back_in_order():
    tokens = Vocabulary.of(["b", "a", "c", "a"], specials=["unk", "eos"])
    from rnn.serialization import documents

    found = documents.read(documents.written({"vocabulary": described(tokens)}))
    assert vocabulary(found) == tokens
    assert vocabulary(found).tokens == tokens.tokens
    shared = Vocabulary(["x", "y"], specials={"bos": "<e>", "eos": "<e>"})  # two roles, one token
    assert described(shared)["tokens"] == ["x", "y"]
    assert vocabulary({"vocabulary": described(shared)}) == shared


@pytest.mark.parametrize(
    ("end", "mapped", "level"),
    covering(["\r\n", "\r"], [10, 1 << 26], ["character", "word"]),
)
def test_lines_end_in_lf_for_any_line_end_in_the_file(level, mapped, end, folder, words_folder,
                                                          tmp_path, monkeypatch):  # fmt: skip
    monkeypatch.setattr("rnn.command.texts.MAPPED", mapped)
    monkeypatch.setattr("rnn.data.mapped.BLOCK", 7)  # a CR LF lies in two blocks
    other = tmp_path / "other.txt"
    other.write_bytes(LINES.replace("\n", end).encode())
    found = train(other, tmp_path / "run", "--level", level)
    whole = words_folder if level == "word" else folder
    assert_same(found, whole)
    same = [one.state["config"]["vocabulary"] for one in map(newest, (found, whole))]
    assert same[0] == same[1]


ENCODINGS = ["latin-1", "utf-16", "utf-16-le", "UTF8", "utf-8-sig"]
STORED = [("other.txt", "character"), ("other.txt.gz", "word"),
          ("other.txt", "word"), ("other.txt.gz", "character")]  # fmt: skip


@pytest.mark.parametrize(
    ("encoding", "name", "level"),
    first(5, [(encoding, *how) for encoding, how in crossed(ENCODINGS, STORED)]),
)
def test_texts_of_other_encodings(encoding, name, level, folder, words_folder, tmp_path, capsys):
    other = tmp_path / name
    content = LINES.encode(encoding)
    other.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    found = train(other, tmp_path / "run", "--level", level, "--encoding", encoding, "--steps", "7")
    assert main(["resume", str(found), "--steps", "12"]) == 0  # the encoding is known
    whole = words_folder if level == "word" else folder
    assert_same(found, whole)
    capsys.readouterr()
    said = []
    for arguments in ([str(found)], [str(whole)],
                      [str(found), "--text", str(other)],
                      [str(whole), "--text", str(other), "--encoding", encoding]):  # fmt: skip
        assert main(["evaluate", *arguments]) == 0
        said.append(capsys.readouterr().out.splitlines()[0])
    assert said[0] == said[1] != said[2] == said[3]
    if encoding.startswith("utf-16"):
        line = refused(capsys, "evaluate", str(whole), "--text", str(other))
        assert "give its --encoding, such as latin-1" in line or encoding == "utf-16-le"
        line = refused(capsys, "evaluate", str(found), "--text", str(other), "--encoding", "ascii")
        assert "not ASCII" in line


def test_large_texts_are_mapped(text, folder, monkeypatch):
    config = newest(folder).state["config"]
    plain = text_of(text, "character", vocabulary(config))
    monkeypatch.setattr("rnn.command.texts.MAPPED", 10)
    mapped = text_of(text, "character", vocabulary(config))
    assert isinstance(mapped.ids, MappedText)
    assert mapped.characters == plain.characters
    for one, other in zip(cut(plain, 0.2), cut(mapped, 0.2), strict=True):
        ids = getattr(one, "ids", one), getattr(other, "ids", other)
        np.testing.assert_array_equal(ids[0][:], ids[1][:])
    model = trained(newest(folder), "numpy", last=False)
    assert nats(model, cut(plain, 0.2)[1].ids, 2, 6) == nats(model, cut(mapped, 0.2)[1].ids, 2, 6)


# ---- refusals


def refused(capsys, *arguments):
    """Return the one line of a refusal."""
    capsys.readouterr()
    try:
        status = main(list(arguments))
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert line.startswith("rnn")
    return line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the following arguments are required: VERB"),
        (["fly"], "invalid choice: 'fly'"),
        (["train"], "required: --text, --out"),
        (["train", "--text", "T", "--out", "O", "--cell", "transformer"], "invalid choice"),
        (["train", "--text", "T", "--out", "O", "--hidden", "0"], "'0' is not a positive integer"),
        (["train", "--text", "T", "--out", "O", "--steps", "x"], "'x' is not a positive integer"),
        (["train", "--text", "T", "--out", "O", "--lr", "nan"], "'nan' is not a positive number"),
        (["train", "--text", "T", "--out", "O", "--schedule", "step"], "invalid choice: 'step'"),
        (["train", "--text", "no.gz", "--out", "O"], "no.gz: No such file"),
        (["train", "--text", "T", "--out", "O", "--lr", "-1"], "'-1' is not a positive number"),
        (["train", "--text", "T", "--out", "O", "--held-out", "1"], "'1' is not in [0, 1)"),
        (["train", "--text", "T", "--out", "O", "--seed", "-1"], "'-1' is not an integer of at"),
        (["train", "--text", "T", "--out", "O", "--device", "tpu"],
         "--device: unknown device 'tpu'"),
        (["train", "--text", "T", "--out", "O", "--tie", "--embedding", "3"],
         "--tie: --embedding 3 and --hidden 128 differ"),
        (["train", "--text", "T", "--out", "O", "--encoding", "klingon"],
         "--encoding: 'klingon' is not an encoding of text"),
        (["train", "--text", "T", "--out", "O", "--encoding", "hex"], "is not an encoding of text"),
        (["train", "--text", "no/such.txt", "--out", "O"], "no/such.txt: No such file"),
        (["train", "--text", ".", "--out", "O"], "Is a directory"),
        (["sample", "no/such"], "no/such: no such folder"),
        (["sample", "O", "--temperature", "-1"], "'-1' is not a number of at least 0"),
        (["sample", "O", "--top-k", "0"], "'0' is not a positive integer"),
        (["sample", "O", "--top-p", "0"], "'0' is not in (0, 1]"),
        (["sample"], "required: DIR"),
        (["resume", "no/such"], "no/such: no such folder"),
        (["evaluate", "no/such"], "no/such: no such folder"),
    ],
)  # fmt: skip
def test_bad_options_are_refused(arguments, said, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in refused(capsys, *arguments)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("level", ["character", "word"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"too short", "to learn from are too few for --batch 32; lower it or --held-out, or"),
        (b"\xff\xfe" * 99, ": not UTF-8: invalid start byte; give its --encoding, such as latin-1"),
    ],
)
def test_bad_texts_are_refused(content, said, level, tmp_path, capsys):
    path = tmp_path / "bad.txt"
    path.write_bytes(content)
    line = refused(capsys, "train", "--text", str(path), "--out", str(tmp_path / "out"),
                   "--level", level, "--min-count", "1")  # fmt: skip
    assert said in line
    assert not (tmp_path / "out").exists()


def test_a_vocabulary_of_nothing_is_refused(text, tmp_path, capsys):
    line = refused(capsys, "train", "--text", str(text), "--out", str(tmp_path / "out"),
                   "--min-count", "99999")  # fmt: skip
    assert "no character is there 99999 times; lower --min-count" in line


def test_a_folder_that_is_there_is_not_written_over(text, folder, tmp_path, capsys):
    line = refused(capsys, "train", "--text", str(text), "--out", str(folder))
    assert f"there is a run in it already; go on with it by python -m rnn resume {folder}" in line
    assert "resume=True" not in line
    file = tmp_path / "file"
    file.touch()
    assert "is there already" in refused(capsys, "train", "--text", str(text), "--out", str(file))
    line = refused(capsys, "train", "--text", str(text), "--out", str(tmp_path))
    assert line.endswith(f"{tmp_path} is there already; give a new folder")


def test_folders_of_something_else_are_refused(folder, tmp_path, capsys):
    (tmp_path / "checkpoints").mkdir()
    assert "no checkpoints in it" in refused(capsys, "sample", str(tmp_path))
    found = newest(folder)
    for change in ({"config": None}, {"config": {}},
                   {"config": found.state["config"] | {"hidden": "8"}},
                   {"config": found.state["config"] | {"level": "line"}},
                   {"config": found.state["config"] | {"schedule": "step"}},
                   {"config": found.state["config"] | {"schedule": ["linear"]}},
                   {"config": found.state["config"] | {"vocabulary": {}}}):  # fmt: skip
        Checkpoints(tmp_path / "checkpoints").write(found.tensors, found.state | change)
        assert "of no language model of this command" in refused(capsys, "sample", str(tmp_path))
    huge = found.state["config"] | {"hidden": 9}
    Checkpoints(tmp_path / "checkpoints").write(found.tensors, found.state | {"config": huge})
    assert "shape" in refused(capsys, "sample", str(tmp_path))


def test_too_short_a_text_is_not_evaluated(folder, tmp_path, capsys):
    path = tmp_path / "a.txt"
    path.write_text("a")
    line = refused(capsys, "evaluate", str(folder), "--text", str(path))
    assert "1 characters are too few" in line


@pytest.mark.parametrize("kind", ["folder", "words_folder"])
def test_an_empty_text_is_not_evaluated(kind, request, tmp_path, capsys):
    path = tmp_path / "empty.txt"
    path.touch()
    found = str(request.getfixturevalue(kind))
    assert "is empty" in refused(capsys, "evaluate", found, "--text", str(path))


def test_a_text_that_has_changed_is_not_evaluated_on(text, tmp_path, capsys):
    path = tmp_path / "text.txt"
    path.write_bytes(text.read_bytes())
    out = train(path, tmp_path / "run", "--steps", "2")
    path.write_text("something else")
    assert "is not the text that" in refused(capsys, "evaluate", str(out))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_numbers_that_are_none_stop_it_with_one_line(text, tmp_path, capsys):
    line = refused(capsys, "train", "--text", str(text), "--out", str(tmp_path / "out"), *SMALL,
                   "--lr", "1e38")  # fmt: skip
    assert line.startswith("rnn train: fit: the loss is nan at step 2, epoch 0: ")
    assert line.endswith("the run has diverged: begin again with a lower --lr")


def test_a_run_that_has_diverged_says_so(text, tmp_path, capsys):
    train(text, tmp_path / "run", "--lr", "1e9")
    *_, best, last = capsys.readouterr().out.splitlines()
    assert last == (
        "the run has diverged: it ends far worse than guesses; begin again with a lower --lr"
    )
    assert len(best) < 140  # not all digits of e^700
    assert best.endswith("perplexity inf")
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    assert "perplexity inf" in capsys.readouterr().out
    train(text, tmp_path / "good")
    assert "the run has diverged" not in capsys.readouterr().out


def test_a_full_disk_names_the_log(tmp_path, monkeypatch):
    class Full(io.BytesIO):
        def write(self, line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    log = Log(tmp_path / "log.jsonl")
    monkeypatch.setattr(log, "_file", Full())
    with pytest.raises(OSError, match=r"No space left on device: .*log\.jsonl"):
        log.write(Validation(1, 0, {"loss": 1.0}, 0.0))


def test_a_full_disk_names_the_file(text, tmp_path, capsys, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    out = tmp_path / "out"
    line = refused(capsys, "train", "--text", str(text), "--out", str(out), *SMALL)
    assert re.fullmatch(rf"rnn train: {out}.*: No space left on device", line)


def test_the_first_compilation_is_said_once_at_a_terminal(text, tmp_path, capsys, monkeypatch):
    for terminal in (False, True):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache {terminal}"))
        monkeypatch.setattr(compiler, "_loaded", {})
        monkeypatch.setattr(sys.stderr, "isatty", lambda terminal=terminal: terminal)
        train(text, tmp_path / f"run {terminal}", "--hidden", f"{9 + terminal}")
        said = capsys.readouterr().err.splitlines()
        assert len([line for line in said if "compiling a kernel with" in line]) == terminal


def test_help_reads_well(capsys):
    for arguments in (["--help"], ["train", "--help"], ["resume", "--help"], ["sample", "--help"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 0
        said = capsys.readouterr().out
        assert said.startswith("usage: python -m rnn")
        assert all(len(line) <= 100 for line in said.splitlines())


def test_it_is_a_command():
    done = subprocess.run([sys.executable, "-m", "rnn", "sample", "no/such"], cwd=ROOT,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "rnn sample: no/such: no such folder\n"


def test_a_checkpoint_of_this_command_says_all_that_the_model_is(folder):
    config = opened(folder).state["config"]
    assert config["hidden"] == 8
    assert config["text"].endswith("fox.txt")


# ---- the command of the benchmarks


def row(name, seeds):
    runs = [{"seed": seed, "figures": {"nats": seed + 0.5}, "steps": 3, "seconds": 2.0,
             "curve": [[0, 1.0], [3, 0.5]]} for seed in seeds]  # fmt: skip
    return {"name": name, "example": name, "figure": "nats", "unit": "nats", "floor": "",
            "aim": None, "better": "min", "arguments": [], "runs": runs}  # fmt: skip


def test_the_table_says_the_seeds_that_were_run():
    head, _, line = task_tables.tasks({"rows": [row("a", [3, 5])]})
    assert "| seeds 3, 5 |" in head
    assert "| 3.5, 5.5 | 4.5 |" in line
    head, _, first, second = task_tables.tasks({"rows": [row("a", [3, 5]), row("b", [4])]})
    assert "| seed: figure |" in head
    assert "| 3: 3.5, 5: 5.5 |" in first
    assert "| 4: 4.5 |" in second
    assert head.count("|") == first.count("|")


def test_every_seed_has_a_line(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(plots, "PICTURES", tmp_path)
    kept = []
    monkeypatch.setattr(plots, "_written", lambda figure, name: kept.append(figure))
    rows = [row("a", range(4)), row("b", range(4))]
    plots.plot_tasks({"rows": rows}, {"a": "nats", "b": "nats"})
    axes = kept[0].axes[:2]
    assert [len(one.lines) for one in axes] == [4, 4]
    assert axes[0].lines[3].get_label() == "seed 3"
    plots._pyplot().close(kept[0])


def test_rows_of_another_machine_are_not_dropped_without_a_word(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(measuring, "RESULTS", tmp_path)
    rows = [row("a", [0]), row("b", [0]), row("c", [0])]
    result = {"machine": measuring.machine(), "rows": rows}
    (tmp_path / "tasks.json").write_text(json.dumps(result))
    assert list(tasks.kept(("b",))) == ["a", "c"]
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(measuring, "machine", dict)
    assert tasks.kept(("b",)) == {}
    assert capsys.readouterr().err.endswith("dropped are the rows of a, c\n")
    assert tasks.kept(("a", "b", "c")) == {}
    assert capsys.readouterr().err == ""


def test_evaluate_says_what_the_vocabulary_has_not(folder, tmp_path, capsys):
    other = tmp_path / "other.txt"
    other.write_text("\u2603\u2603ab" * 50)
    assert main(["evaluate", str(folder), "--text", str(other)]) == 0
    known = vocabulary(opened(folder).state["config"])
    unknown = sum(c not in known for c in other.read_text()) / 200
    assert unknown >= 0.5
    assert f", {unknown:.1%} of them unknown" in capsys.readouterr().out
    assert main(["evaluate", str(folder)]) == 0
    assert "unknown" not in capsys.readouterr().out
