"""Music, forecasts, alignment, captions and Jordan: data, that they learn, repeat, and refuse."""

import gzip
import json

import numpy as np
import pytest

import engine
import rnn
from examples import alignment, captions, forecasting, jordan, music
from rnn.data import Batch
from rnn.models import OutputRecurrent

EXAMPLES = (alignment, captions, forecasting, jordan, music)
NAMES = [example.__name__.rpartition(".")[2] for example in EXAMPLES]


def run(example, *arguments):
    return example.run(example.parse(["--fast", "--threads", "1", *arguments]))


def plain(kept):
    """What has to be the same each time: all but the clock."""
    return {name: x for name, x in kept.items() if name not in ("seconds", "times")}


# ---- all of them


SHORT = {
    "alignment": ["--steps", "8"], "captions": ["--steps", "8"], "forecasting": ["--steps", "40"],
    "jordan": ["--steps", "8", "--own", "4"], "music": ["--epochs", "2"],
}  # fmt: skip


@pytest.mark.parametrize("example", EXAMPLES, ids=NAMES)
def test_the_same_seed_gives_the_same_numbers(example):
    name = example.__name__.rpartition(".")[2]
    first, again, other = (run(example, *SHORT[name], "--seed", s) for s in ("1", "1", "2"))
    assert plain(first) == plain(again)
    assert first["figures"] != other["figures"]
    assert first["name"] == name
    assert first["seconds"] > 0
    assert first["seed"] == 1
    assert len(first["curve"]) >= 1
    kept = {"name", "figures", "seconds", "steps", "curve", "seed", "settings"}
    assert kept <= set(json.loads(json.dumps(first)))


@pytest.mark.parametrize("example", EXAMPLES, ids=NAMES)
def test_it_writes_a_log_a_plot_and_a_checkpoint(example, tmp_path, capsys):
    name = example.__name__.rpartition(".")[2]
    out = tmp_path / "out"
    assert example.main(["--fast", "--threads", "1", *SHORT[name], "--out", str(out)]) == 0
    assert (out / "log.jsonl").stat().st_size
    assert (out / "loss.png").stat().st_size
    assert list(out.glob("checkpoints*/*.safetensors"))
    assert capsys.readouterr().out


@pytest.mark.parametrize("example", EXAMPLES, ids=NAMES)
def test_bad_options_are_one_line(example, tmp_path, capsys):
    name = example.__name__.rpartition(".")[2]
    for wrong in (["--lr", "0"], ["--seed", "-1"], ["--hidden", "none"], ["--nothing"]):
        with pytest.raises(SystemExit) as stopped:
            example.main(wrong)
        assert stopped.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"{name}: ")
    (tmp_path / "file").touch()
    assert example.main(["--fast", "--out", str(tmp_path / "file")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "File exists" in line


# ---- music


def test_music_beats_what_knows_the_step_before(capsys):
    own = run(music)["figures"]
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


@pytest.mark.parametrize("series", ["airline", "generated"])
def test_forecasts_beat_both_floors(series, capsys):
    own = run(forecasting, "--series", series)["figures"]
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
    assert np.isfinite(run(forecasting, *arguments)["figures"]["rmse"])
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


# ---- alignment


def test_speech_is_heard(capsys):
    assert alignment.main(["--fast", "--threads", "1"]) == 0
    own = run(alignment)["figures"]
    assert own["label error rate"] < 0.5 * own["frame by frame"]
    said = capsys.readouterr().out.splitlines()
    assert f"label error rate {own['label error rate']:.1%}" in said[0]
    assert len(said) == 7
    for line in said[2:]:
        _, labels, path = line.split()
        read = [c for c, before in zip(path, "_" + path, strict=False) if c not in ("_", before)]
        assert "".join(read) == labels


def test_the_frames_of_speech_are_sounds_with_noise():
    engine.seed(0)
    x, lengths, y, *_ = alignment.speech(300, "here")
    assert x.shape[1:] == (300, alignment.BANDS)
    sounds = alignment.known_sounds()
    assert (sounds[0] == 0).all()
    gaps = ((x[:, :, None] - sounds) ** 2).sum(axis=-1)
    inside = np.arange(len(x))[:, None] < lengths
    assert (x[~inside] == 0).all()
    assert gaps.min(axis=-1)[inside].mean() == pytest.approx(alignment.BANDS, rel=0.15)
    counts = (y > 0).sum(axis=0)
    assert counts.min() == 3
    assert counts.max() == 8
    assert set(np.unique(y)) == set(range(9))
    # Every label has two frames at least, and a repeated one silence before it.
    repeats = ((y[1:] == y[:-1]) & (y[1:] > 0)).sum(axis=0)
    assert (lengths >= 2 * counts + repeats).all()


def test_the_distance_of_labels():
    assert alignment.distance([], [1, 2]) == 2
    assert alignment.distance([1, 2, 3], [1, 3]) == 1
    assert alignment.distance([1, 2], [2, 1]) == 2
    assert alignment.distance([1, 2, 3], [1, 4, 3]) == 1
    batch = Batch(None, None, np.array([[1, 4], [2, 0], [3, 0]]))
    assert alignment.error_rate([[1, 3], [4, 5]], batch) == 2 / 4


def test_dna_is_read():
    own = run(alignment, "--part", "dna")["figures"]
    assert own["accuracy"] > own["guessing"] + 0.1
    assert own["knowing the motifs"] > 0.8


def test_each_dna_has_its_motif():
    engine.seed(0)
    x, lengths, y, *_ = alignment.dna(200, "here")
    motifs = alignment.known_motifs()
    wrong = []
    for row, (length, which) in enumerate(zip(lengths, y, strict=True)):
        letters = x[:length, row]
        wrong.append(min((letters[i : i + 8] != motifs[which]).sum() for i in range(length - 7)))
    assert np.mean(wrong) < 1.5  # 8 letters mutate with 0.15 each
    assert set(np.unique(lengths)) <= set(range(40, 81))


def test_videos_are_told_by_the_order_of_their_frames():
    own = run(alignment, "--part", "video", "--steps", "400")["figures"]
    assert own["accuracy"] > 0.6
    assert own["mixed frames"] < 0.4
    assert own["guessing"] == 0.25


def test_the_dot_moves_its_way():
    engine.seed(0)
    x, lengths, y, *_ = alignment.video(50, "here")
    assert x.shape == (8, 50, 64)
    assert (lengths == 8).all()
    place = x.argmax(axis=-1)
    row, column = place // 8, place % 8
    moves = np.stack([np.diff(row, axis=0) % 8, np.diff(column, axis=0) % 8], axis=-1)
    assert (moves == alignment.WAYS[y] % 8).all()


# ---- captions


def test_captions_of_scenes_never_seen(capsys):
    assert captions.main(["--fast", "--threads", "1"]) == 0
    own = run(captions)["figures"]
    said = capsys.readouterr().out.splitlines()
    assert own["exact"] > 0.2  # there are 6,912 captions
    assert own["beam"] > 0.2
    assert f"{own['exact']:.1%} of the captions right" in said[0]
    assert len(said) == 1 + captions.SHOWN


def test_scenes_have_their_captions():
    engine.seed(0)
    parts = captions.scenes(9, 0.0)
    lines = [tuple(line) for part in parts[:3] for line in part.captions.tolist()]
    assert len(set(lines)) == len(lines) == 48 * 3 * 48
    texts = [parts.words.decode(line, clean=True) for line in parts.test.captions[:50]]
    for a, size, colour, shape, place, b, *other in texts:
        assert a == b == "a"
        assert place in captions.PLACES
        assert (size, colour, shape) in captions.THINGS
        assert tuple(other) in captions.THINGS
    assert parts.train.features.shape == (4838, 9)
    assert np.abs(parts.train.features).max() <= 1.0


def test_the_share_of_right_captions_counts_whole_ones(monkeypatch):
    end, part = 2, captions.Scenes(np.zeros((3, 1)), np.array([[3, 4, 2], [3, 5, 2], [6, 7, 2]]))
    said = [[3, 4], [3, 4], [6, 7, 8]]
    monkeypatch.setattr(captions, "written", lambda model, features, width: said)
    model = type("Model", (), {"end": end})()
    assert captions.right(model, part, 1) == pytest.approx(1 / 3)


def test_the_linear_map_finds_what_is_linear():
    draw = np.random.default_rng(0)
    words = rnn.data.Vocabulary(["a", "b", "c"], specials=["eos"])
    lines = draw.integers(1, 4, (60, 2))
    marks = np.eye(4)[lines].reshape(60, -1).astype(np.float32)
    train, test = captions.Scenes(marks[:40], lines[:40]), captions.Scenes(marks[40:], lines[40:])
    assert captions.linear(captions.Parts(train, train, test, words)) == 1.0
    blind = captions.Scenes(np.zeros_like(marks[40:]), lines[40:])
    assert captions.linear(captions.Parts(train, train, blind, words)) < 0.5


# ---- a network whose only recurrence runs from its output


def test_jordan_learns_the_truth_and_errs_when_free(capsys):
    assert jordan.main(["--fast", "--threads", "1"]) == 0
    kept = run(jordan)
    own = kept["figures"]
    assert own["forced"] < 0.3 < own["free"] < own["standing still"]
    assert set(kept["times"]) == {"at_once", "one_by_one", "free"}
    said = capsys.readouterr().out
    assert f"{own['free']:9.4f}" in said
    assert "all 40 steps at once" in said


def test_training_on_its_own_outputs_narrows_the_gap():
    own = run(jordan, "--steps", "300", "--own", "300")["figures"]
    assert own["free later"] < 0.9 * own["free"]


def test_all_at_once_and_one_by_one_are_the_same():
    engine.seed(0)
    model = OutputRecurrent(rnn.JordanCell(1, 7, 2))
    given = jordan.turns(9, 4, "here")
    found = []
    for way in (jordan.at_once, jordan.one_by_one):
        model.zero_grad()
        loss = jordan.loss_of(way)(model, given)
        loss.backward()
        found.append([loss.item(), *(x.grad.numpy() for x in model.parameters())])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_the_free_run_reads_its_own_outputs():
    engine.seed(0)
    model = OutputRecurrent(rnn.JordanCell(1, 7, 2))
    given = jordan.turns(6, 3, "here")
    y, x = engine.asarray(given.first), engine.asarray(given.x)
    for t in range(6):
        y, _ = model.recurrent.cell(x[t], y)
    np.testing.assert_allclose(jordan.free(model, given).numpy()[-1], y.numpy(), rtol=1e-5)


def test_the_needle_is_turned_by_its_angles():
    engine.seed(0)
    x, y, first = jordan.turns(50, 20, "here")
    assert x.shape == (50, 20, 1)
    before = np.concatenate([first[None], y[:-1]])
    c, s = np.cos(x[..., 0]), np.sin(x[..., 0])
    turned = np.stack([c * before[..., 0] - s * before[..., 1],
                       s * before[..., 0] + c * before[..., 1]], axis=-1)  # fmt: skip
    np.testing.assert_allclose(turned, y, atol=1e-5)
    assert np.abs(x).max() <= jordan.LARGEST
    assert (x[1:] != x[:-1]).mean() == pytest.approx(jordan.JUMP, abs=0.03)


def test_the_error_of_a_needle_is_its_distance():
    given = jordan.Turns(None, np.zeros((2, 1, 2)), None)
    found = jordan.errors(
        None, given, lambda model, given: engine.asarray([[[3.0, 4.0]], [[0.0, 1.0]]])
    )
    np.testing.assert_allclose(found, [5.0, 1.0])
    assert jordan.overall(found) == pytest.approx(np.sqrt(13))
