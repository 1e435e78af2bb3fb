"""Test that the examples learn from no data that judges them, and that Ctrl-C ends all of a run.

Every training of an example goes through `task.fitted`, so what it calls is watched there.
"""

import math
import os
import re
import signal
from collections import Counter
from functools import wraps
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import engine
from examples import (
    adding,
    alignment,
    captions,
    copying,
    entities,
    forecasting,
    jordan,
    music,
    sentiment,
    surnames,
    task,
    translation,
)
from tests.draws import first
from tests.examples.shortened import shorten

GIVEN = {
    adding: ["--steps", "60"],
    alignment: ["--steps", "20", "--batch", "4", "--tests", "20"],
    captions: ["--steps", "90", "--hidden", "32"],
    copying: ["--steps", "16", "--hidden", "8"],
    entities: ["--epochs", "2"],
    forecasting: ["--steps", "60", "--hidden", "4"],
    jordan: ["--steps", "20", "--own", "10", "--batch", "4", "-T", "8"],
    music: ["--epochs", "3"],
    sentiment: ["--epochs", "3", "--lr", "0.03"],
    surnames: ["--epochs", "2"],
    translation: ["--epochs", "2"],
}
PARTS = ("speech", "dna", "video")


def named(example):
    return example.__name__.rpartition(".")[2]


def parsed(example, *arguments):
    return example.parse(["--fast", "--threads", "1", *GIVEN[example], *arguments])


def figure(example, *arguments):
    """Return the first metric of the test part, by which an example is judged."""
    figures = example.run(parsed(example, *arguments))["figures"]
    return figures["error" if example is adding else next(iter(figures))]


@pytest.fixture
def watched(monkeypatch):
    """Record the end of every training: weights in bytes, losses, validations, the best."""
    found, fit = [], task.fit

    def watch(model, *given, **how):
        history = fit(model, *given, **how)
        weights = {name: x.numpy().tobytes() for name, x in model.named_parameters()}
        validations = [(one.step, one.metrics) for one in history.validations]
        best = history.best and history.best.step
        found.append((weights, history.losses, validations, best))
        return history

    monkeypatch.setattr(task, "fit", watch)
    return found


# ---- the test part is spoiled: real splits


def other_labels(part):
    """Return the same lines with the answer of another."""
    return [(one, answer) for (one, _), (_, answer) in zip(part, part[1:] + part[:1], strict=True)]


def other_words(part):
    """Replace all words by new ones, and exchange the answers."""
    labels = other_labels(part)
    return [([f"{word}'" for word in words], answer) for words, answer in labels]


def spoiled_tags(part):
    """Replace the words by new ones, and reverse the tags."""
    return [(tuple(f"{word}'" for word in words), tuple(tags[::-1])) for words, tags in part]


def spoiled_parts(parts, field, spoil):
    return parts._replace(**{field: spoil(getattr(parts, field))})


SPOILED = {  # what gives the data, and how it is spoiled; the first ones take the least time
    music: ("generated", lambda part: [1 - piece[: len(piece) // 2] for piece in part]),
    surnames: ("split", lambda part: [(f"{name[::-1]}'", nation) for name, nation
                                      in other_labels(part)]),
    sentiment: ("split", other_words),
    captions: ("scenes", lambda part: captions.Scenes(-part.features, part.captions[::-1].copy())),
    entities: ("read", spoiled_tags),
    translation: ("split", lambda part: [(french, [f"{word}'" for word in english[::-1]])
                                         for french, english in other_words(part)]),
}  # fmt: skip


def spoil(example, field, monkeypatch):
    maker, way = SPOILED[example]
    make = getattr(example, maker)
    monkeypatch.setattr(example, maker, lambda *given: spoiled_parts(make(*given), field, way))


CLEAN: dict = {}


@pytest.fixture
def short(monkeypatch):
    """Let examples have half of their data, but for one that learns nothing of that."""
    for example in set(SPOILED) - {entities}:
        shorten(example, monkeypatch, every=2)


def unspoiled(example, watched):
    """Return the metric of an example and its trainings on sound data, which two tests need."""
    if example not in CLEAN:
        CLEAN[example] = figure(example), watched.copy()
        watched.clear()
    return CLEAN[example]


@pytest.mark.parametrize("example", first(2, SPOILED), ids=named)
def test_nothing_is_learned_from_the_test_part(example, watched, short, monkeypatch):
    clean, before = unspoiled(example, watched)
    spoil(example, "test", monkeypatch)
    assert figure(example) != clean
    assert watched == before


@pytest.mark.parametrize("example", first(2, SPOILED), ids=named)
def test_the_validation_part_only_chooses(example, watched, short, monkeypatch):
    _, before = unspoiled(example, watched)
    field = "valid" if example in (captions, music) else "validation"
    spoil(example, field, monkeypatch)
    example.run(parsed(example))
    for (_, losses, validations, _), (_, others, figures, _) in zip(before, watched, strict=True):
        both = min(len(losses), len(others))  # patience may end one of them before
        assert both > 3
        assert losses[:both] == others[:both]
        assert validations != figures


def cut_of(values):
    """Return the index at which the test of the generated series begins."""
    return int(len(values) * forecasting.SERIES["generated"].share + 1e-9)


def test_a_forecast_learns_nothing_from_what_is_to_come(watched, monkeypatch):
    values = {}

    def later(how):
        raw = values["raw"].copy()
        raw[cut_of(raw) :] = how(raw[cut_of(raw) :])
        monkeypatch.setattr(forecasting, "generated", lambda: raw)

    engine.seed(0)
    values["raw"] = forecasting.generated()
    clean = forecasting.run(parsed(forecasting))["figures"]
    before = watched.copy()
    watched.clear()
    later(lambda test: 7 * test[::-1] ** 1.5)
    spoiled = forecasting.run(parsed(forecasting))["figures"]
    assert spoiled["rmse"] != clean["rmse"]
    assert spoiled["valid"] == clean["valid"]
    assert watched == before


def test_a_forecast_is_trained_on_what_is_before_the_validation(watched, monkeypatch):
    make = forecasting.task_of

    def spoiled(options):
        found = make(options)
        late = found.examples(found.before, len(found.raw))
        found.x, found.y = found.x.copy(), found.y.copy()
        found.x[late] += 1.0
        found.y[late] = 9.0
        return found

    forecasting.run(parsed(forecasting))
    monkeypatch.setattr(forecasting, "task_of", spoiled)
    forecasting.run(parsed(forecasting))
    (_, losses, validations, _), (_, others, figures, _) = watched
    assert losses == others
    assert validations != figures


@pytest.mark.parametrize("name", ["generated", "yearly"])
def test_the_scale_of_a_series_is_that_of_what_is_before_the_test(name):
    engine.seed(0)
    raw, series = forecasting.generated(), forecasting.SERIES[name]
    found = forecasting.Task(raw, series, 12)
    there = {"generated": math.log, "yearly": math.sqrt}[name]
    known = [there(value) for value in raw[: cut_of(raw)]]
    mean = sum(known) / len(known)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in known) / len(known))
    steps = [(b - a) / deviation for a, b in pairwise(known)]
    middle = sum(steps) / len(steps)
    size = math.sqrt(sum((step - middle) ** 2 for step in steps) / len(steps))
    assert (found.mean, found.deviation, found.size) == pytest.approx((mean, deviation, size))
    first, second = (set(found.times[found.examples(*ends)].tolist())
                     for ends in ((0, found.before), (found.before, found.cut)))  # fmt: skip
    assert not first & second
    assert max(first | second) < found.cut


def test_the_baselines_of_music_are_counted_on_what_is_learned():
    engine.seed(0)
    parts = music.generated()
    own = music.baselines(parts)
    more = parts._replace(valid=[], test=parts.test * 3)  # the same mean, if none of it is counted
    assert music.baselines(more) == pytest.approx(own, rel=1e-12)
    assert music.baselines(parts._replace(train=parts.train[:9])) != pytest.approx(own, rel=1e-6)


def test_the_most_frequent_answer_is_that_of_what_is_learned():
    train, test = [("a", 0)] * 3 + [("b", 1)], [("c", 1)] * 4 + [("d", 0)]
    assert sentiment.most_frequent(sentiment.Parts(train, test, test)) == 0.2
    assert sentiment.most_frequent(sentiment.Parts(test, train, train)) == 0.25


# ---- the test is spoiled: data made as they are needed


def spied(example, monkeypatch, last):
    """Record the keys that an example's maker is called with; change the data of key `last`."""
    keys = []

    def spy(make):
        def made(*given):
            (start,) = [at for at, one in enumerate(given) if isinstance(one, str)]
            keys.append(given[start:])
            batch = make(*given)
            return batch if given[start] != last else batch._replace(x=batch.x[::-1].copy())

        return made

    if example is alignment:
        for name, part in alignment.PARTS.items():
            monkeypatch.setitem(alignment.PARTS, name, part._replace(make=spy(part.make)))
    else:
        maker = "turns" if example is jordan else "sequences"
        monkeypatch.setattr(example, maker, spy(getattr(example, maker)))
    return keys


MADE = [  # an example, its options, what it is tested with, and the other names of its keys
    (copying, [], "last", {"train", "test"}),
    (jordan, [], "test", {"forced", "own", "validation", "clock"}),
    *((alignment, ["--part", part], "test", {"train", "validation"}) for part in PARTS[::-1]),
    (adding, [], "last", {"train", "test"}),
]


@pytest.mark.parametrize(("example", "arguments", "last", "others"), first(3, MADE))
def test_generated_data_is_generated_again(example, arguments, last, others, watched, monkeypatch):
    shorten(example, monkeypatch, every=1)
    clean = figure(example, *arguments)
    before = watched.copy()
    watched.clear()
    keys = spied(example, monkeypatch, last)
    assert figure(example, *arguments) != clean
    assert watched == before
    assert {key[0] for key in keys} == {last, *others}
    again = {key for key, count in Counter(keys).items() if count > 1}
    assert again <= {("validation",), ("clock",)}  # both trainings of jordan are measured by them


MAKERS = {
    "adding": lambda *key: adding.sequences(9, 4, *key),
    "copying": lambda *key: copying.sequences(3, 4, *key),
    "jordan": lambda *key: jordan.turns(9, 4, *key),
    **{part: lambda *key, make=alignment.PARTS[part].make: make(4, *key) for part in PARTS},
}


@pytest.mark.parametrize("name", MAKERS)
def test_other_keys_make_other_data(name):
    engine.seed(0)
    after = ((), (0,), (0, 0), (0, 1), (1, 0))
    keys = [(use, *rest) for use in ("train", "validation", "test") for rest in after]
    made = [np.asarray(MAKERS[name](*key).x).tobytes() for key in keys]
    assert len(set(made)) == len(keys)
    assert np.asarray(MAKERS[name](*keys[-1]).x).tobytes() == made[-1]


# ---- Ctrl-C


def interrupt(monkeypatch, training, step=3):
    """Raise the signal in that training of a run, after so many updates; returns the trainings."""
    started, fit = [], task.fit

    def stopped(model, data, loss, **how):
        started.append(model)
        calls = []

        @wraps(loss)
        def costly(*given, **told):
            calls.append(given)
            if len(started) == training and len(calls) == step:
                os.kill(os.getpid(), signal.SIGINT)
            return loss(*given, **told)

        return fit(model, data, costly, **how)

    monkeypatch.setattr(task, "fit", stopped)
    return started


TWO = {  # what is measured after each training, and what the two are called
    entities: ("scored", ["entities: softmax", "entities: crf"]),
    jordan: ("seconds", ["jordan: forced", "jordan: own"]),
}


WHOLE: dict = {}


# That Ctrl-C ends the first training of the slow ones stands in the test below.
@pytest.mark.parametrize(
    ("example", "training"), first(2, [(jordan, 1), (jordan, 2), (entities, 1), (entities, 2)])
)
def test_ctrl_c_ends_all_trainings(example, training, monkeypatch, capsys, tmp_path):
    shorten(example, monkeypatch, every=2)
    given = ["--fast", "--threads", "1", *GIVEN[example]]
    given += ["--epochs", "1"] if example is entities else []
    if example not in WHOLE:
        WHOLE[example] = example.run(example.parse(given))["figures"]
    capsys.readouterr()
    for out in ([], ["--out", str(tmp_path)]):
        with monkeypatch.context() as patch:
            started = interrupt(patch, training)
            assert example.main([*given, *out]) == 130
        assert len(started) == training
        told = capsys.readouterr()
        way_on = "; go on with --resume" if out else ""
        said = told.err.splitlines()[-1]
        assert said == f"{TWO[example][1][training - 1]}: broken off after 3 updates{way_on}"
        assert "F1" not in told.out
        assert "distance" not in told.out
    found = example.run(example.parse([*given, "--out", str(tmp_path), "--resume"]))["figures"]
    assert found == WHOLE[example]


@pytest.mark.parametrize("example", GIVEN, ids=named)
def test_ctrl_c_is_one_line_and_no_metric(example, short, monkeypatch, capsys):
    interrupt(monkeypatch, 1)
    assert example.main(["--fast", "--threads", "1", *GIVEN[example]]) == 130
    told = capsys.readouterr()
    assert told.err.splitlines()[-1].endswith(": broken off after 3 updates")
    assert told.out.startswith("no data given: ") or not told.out


def test_every_training_is_watched():
    for path in Path(task.__file__).parent.glob("*.py"):
        called = re.findall(
            r"(?<![.\w])(?:rnn\.|training\.)*fit\(", path.read_text(encoding="utf-8")
        )
        assert called == (["fit("] if path.stem == "task" else []), path.name


def test_ctrl_c_outside_of_a_training_is_said(capsys):
    def broken():
        raise KeyboardInterrupt

    assert task.finish("anything", broken) == 130
    assert capsys.readouterr().err == "anything: broken off\n"
