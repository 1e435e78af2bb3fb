"""Run music and forecasts: their data, metrics and floors, that they learn, how they refuse."""

import gzip
import json

import numpy as np
import pytest

import engine
from examples import forecasting, music
from tests.draws import first


def figures(example, *arguments):
    return example.run(example.parse(["--fast", "--threads", "1", *arguments]))["figures"]


# ---- music


def test_music_beats_what_knows_the_step_before(capsys):
    own = figures(music)
    assert own["nats"] < own["step before"] - 1 < own["frequencies"]
    assert "no data given" in capsys.readouterr().out


def written(path, content):
    path.write_bytes(gzip.compress(json.dumps(content).encode()))
    return path


def test_music_is_read_as_published(tmp_path):
    content = {"train": [[[21, 108], []]], "valid": [[[60]]], "test": [[[61]], [[62], [63]]]}
    parts = music.read(written(tmp_path / "a.json.gz", content))
    assert [len(part) for part in parts] == [1, 1, 2]
    assert np.argwhere(parts.train[0]).tolist() == [[0, 0], [0, 87]]
    assert np.argwhere(parts.test[1]).tolist() == [[0, 41], [1, 42]]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"train": [], "valid": []}, "KeyError('test')"),
        ([1], "expected train, valid and test"),
        ({"train": [[[20]]], "valid": [], "test": []}, "pitch 20; expected 21 to 108"),
        ({"train": [[["C"]]], "valid": [], "test": []}, "expected train, valid and test"),
        ({"train": [[]], "valid": [], "test": []}, "is empty"),
        ({"train": [], "valid": [], "test": []}, "is empty"),
    ],
)
def test_other_music_is_refused(content, text, tmp_path, capsys):
    path = written(tmp_path / "a.json.gz", content)
    assert music.main(["--fast", "--data", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert text in line
    assert str(path) in line


def test_the_cost_of_music_is_summed_over_keys_and_leaves_padding_out():
    engine.seed(0)
    model = music.Pianist(5, 0.9).eval()
    pieces = [music.keys_of([[60, 64], [62], [65]]), music.keys_of([[70]])]
    total = 0.0
    for piece in pieces:
        before = np.concatenate([np.zeros((1, 88), np.float32), piece[:-1]])
        y, _ = model.recurrent(engine.asarray(before[:, None]))
        p = engine.sigmoid(model.head(y)).numpy()[:, 0].astype(np.float64)
        total -= np.log(np.where(piece > 0, p, 1 - p)).sum()
    assert music.measured(model, pieces) == pytest.approx(total / 4, rel=1e-5)
    batch = next(iter(music.batches(pieces, 2)))
    assert music.loss(model, batch).item() == pytest.approx(total / 4, rel=1e-5)


def test_the_baselines_of_music():
    piece = np.zeros((4, 88), np.float32)
    piece[1:3, 0] = 1.0  # silent, on, on, off
    own = music.baselines(music.Parts([piece], [], [piece]))
    often = np.full(88, 1 / 6)
    often[0] = 3 / 6
    nats = -(2 * np.log(often[0]) + 2 * np.log(1 - often[0]) + 4 * 87 * np.log(5 / 6)) / 4
    assert own["frequencies"] == pytest.approx(nats)
    # Of key 0: after silence (twice) on once, after sound (twice) on once; others never sound.
    on, off = (1 + 0.5) / 3, (1 + 0.5) / 3
    rest = 4 * 87 * np.log(1 - (1 / 6) / 5)
    nats = -(np.log(1 - off) + np.log(off) + np.log(on) + np.log(1 - on) + rest) / 4
    assert own["step before"] == pytest.approx(nats)


def test_music_is_played_by_its_probabilities():
    engine.seed(0)
    model = music.Pianist(4, 0.0).eval()
    model.head.weight.data[:] = 0.0
    model.head.bias.data[:] = -50.0
    model.head.bias.data[39] = 50.0  # MIDI 60
    assert music.played(model, 2) == [["C4"], ["C4"]]


# ---- forecasting


@pytest.mark.parametrize("series", first(1, ["generated", "airline"]))
def test_forecasts_beat_both_floors(series, capsys):
    own = figures(forecasting, "--series", series)
    assert own["rmse"] < 0.8 * min(own["persistence"], own["seasonal"])
    assert "no data given" in capsys.readouterr().out


def table(path, values):
    path.write_text("when,what\n" + "".join(f"{i},{x}\n" for i, x in enumerate(values)))
    return path


def test_forecasts_are_in_the_units_of_the_series(tmp_path):
    raw = 100 * np.exp(np.random.default_rng(0).normal(0, 0.1, 60).cumsum())
    task = forecasting.Task(raw, forecasting.SERIES["airline"], 12)
    assert (task.cut, task.before) == (40, 32)
    assert task.times[0] == 13
    assert task.examples(40, 60).tolist() == list(range(27, 47))

    def still(x):  # the last value again
        return engine.zeros((x.shape[1], 1))

    still.eval = lambda: still
    expected = np.sqrt(np.mean((raw[40:] - raw[39:-1]) ** 2))
    assert task.error(still, 40, 60) == pytest.approx(expected, rel=1e-5)
    assert task.floors()["persistence"] == pytest.approx(expected)
    assert task.floors()["seasonal"] == pytest.approx(
        np.sqrt(np.mean((raw[40:] - raw[28:48]) ** 2))
    )

    def oracle(x):
        changes = np.diff(task.z)[task.times[27:] - 1] / task.size
        return engine.asarray(changes[:, None])

    oracle.eval = lambda: oracle
    assert task.error(oracle, 40, 60) < 1e-4
    # Nothing that is fitted or read before the test knows the test.
    other = forecasting.Task(np.concatenate([raw[:40], raw[40:] * 3]),
                             forecasting.SERIES["airline"], 12)  # fmt: skip
    early = task.examples(0, 40)
    np.testing.assert_array_equal(other.x[early], task.x[early])
    np.testing.assert_array_equal(other.y[early], task.y[early])
    # The window of a forecast ends with the change to the value before it.
    logs = np.diff(np.log(raw))
    np.testing.assert_allclose(task.x[0, :, 0], logs[:12] / logs[:39].std(), rtol=1e-4)
    np.testing.assert_allclose(task.y[0, 0], logs[12] / logs[:39].std(), rtol=1e-4)


def test_counts_have_a_scale_of_roots(tmp_path, capsys):
    values = np.abs(np.random.default_rng(0).normal(0, 9, 200)).round()
    path = table(tmp_path / "spots.csv", values)
    arguments = ["--series", "yearly", "--data", str(path), "--steps", "20"]
    assert np.isfinite(figures(forecasting, *arguments)["rmse"])
    assert "no data given" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["1", "x"], "its second column must hold numbers"),
        (range(1, 20), "19 values, too few for windows of 12 and a season of 12"),
        ([0] * 99, "are some 0?"),
        ([5] * 99, "the series never changes"),
    ],
)
def test_other_series_are_refused(values, text, tmp_path, capsys):
    path = table(tmp_path / "a.csv", values)
    assert forecasting.main(["--fast", "--data", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert text in line
