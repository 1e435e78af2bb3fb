"""Run alignment, captions and Jordan: their data, and that they learn; and that these and music and
forecasts repeat themselves, write what they print, and refuse bad options.
"""

import json
import re

import numpy as np
import pytest

import engine
import rnn
from examples import alignment, captions, forecasting, jordan, music
from rnn.data import Batch
from rnn.models import OutputRecurrent
from tests.draws import first, slow_beside

EXAMPLES = (music, alignment, jordan, forecasting, captions)
NAMES = [example.__name__.rpartition(".")[2] for example in EXAMPLES]


def run(example, *arguments):
    return example.run(example.parse(["--fast", "--threads", "1", *arguments]))


def plain(kept):
    """Return the lines that are the same in every run, without the clock."""
    return {name: x for name, x in kept.items() if name not in ("seconds", "times")}


# ---- all of them


SHORT = {
    "alignment": ["--steps", "4", "--tests", "20"], "captions": ["--steps", "4"],
    "forecasting": ["--steps", "40"], "jordan": ["--steps", "8", "--own", "4"],
    "music": ["--epochs", "2"],
}  # fmt: skip


@pytest.mark.parametrize("example", first(2, EXAMPLES), ids=NAMES)
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


@pytest.mark.parametrize("example", first(2, EXAMPLES), ids=NAMES)
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


# ---- alignment


@slow_beside("test_videos_are_classified_by_the_order_of_their_frames")
def test_speech_is_recognised(capsys):
    assert alignment.main(["--fast", "--threads", "1"]) == 0
    said = capsys.readouterr().out.splitlines()
    rate, other = (float(share) for share in re.findall(r"([\d.]+)%", said[0]))
    assert rate < 0.5 * other
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


@slow_beside("test_videos_are_classified_by_the_order_of_their_frames")
def test_dna_is_read():
    own = run(alignment, "--part", "dna", "--steps", "100")["figures"]
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


def test_videos_are_classified_by_the_order_of_their_frames():
    own = run(alignment, "--part", "video", "--steps", "400", "--hidden", "64")["figures"]
    assert own["accuracy"] > 0.45
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
    said = capsys.readouterr().out.splitlines()
    exact, beam, linear = (float(share) for share in re.findall(r"([\d.]+)%", said[0]))
    assert min(exact, beam, linear) > 40  # there are 6,912 captions
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


# ---- a network with its only recurrence from its output


def test_jordan_learns_with_teacher_forcing_and_fails_in_a_free_run(capsys):
    options = jordan.parse(["--fast", "--threads", "1"])
    jordan.tell(options)
    said = capsys.readouterr().out
    first = {line[4:44].strip(): float(line[44:53]) for line in said.splitlines()[2:6]}
    assert list(first) == [
        "fed the truth, as it was trained",
        "free, fed its own outputs",
        "free, after 100 updates on its own",
        "saying where it began",
    ]
    forced, free, _, still = first.values()
    assert forced < 0.3 < free < still
    assert said.count(" ms ") == 3
    assert "all 40 steps at once" in said


@slow_beside("test_jordan_learns_with_teacher_forcing_and_fails_in_a_free_run")
def test_training_on_its_own_outputs_narrows_the_gap():
    kept = run(jordan, "--steps", "300", "--own", "300")
    own = kept["figures"]
    assert list(kept["times"]) == ["at_once", "one_by_one", "free"]
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
