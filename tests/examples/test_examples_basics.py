"""Run the first examples: results, that they learn and repeat themselves, how they refuse."""

import gzip
import importlib
import json
import math
import os
import signal

import numpy as np
import pytest

import engine
import viz
from benchmarks import measuring, plots, task_tables, tasks
from examples import adding, copying, data, forward_pass, hello, shakespeare, task
from rnn.data import read_text
from tests.draws import slow_beside

ONE = ["--threads", "1"]


def figures(example, *arguments):
    kept = example.run(example.parse([*ONE, *arguments]))
    assert kept["name"] == example.__name__.rpartition(".")[2]
    assert kept["seconds"] > 0
    assert json.loads(json.dumps(tasks.plain(kept))) == tasks.plain(kept)
    return kept["figures"]


# ---- hello


def by_hand(x, targets, W_xh, W_hh, W_hy):
    """Compute BPTT from the textbook in NumPy: p, the losses, dL/dh_t, the share of each step in
    dL/dW_hh, and the gradients."""
    T, H = len(x), len(W_hh)
    h, ps, losses = [np.zeros(H)], [], []
    for t in range(T):
        h.append(np.tanh(W_xh @ x[t] + W_hh @ h[-1]))
        odds = np.exp(W_hy @ h[-1])
        ps.append(odds / odds.sum())
        losses.append(-np.log(ps[-1][targets[t]]))
    shares, dhs = np.zeros((T, H, H)), np.zeros((T, H))
    dW_xh, dW_hy, later = np.zeros_like(W_xh), np.zeros_like(W_hy), np.zeros(H)
    for t in reversed(range(T)):
        dy = ps[t].copy()
        dy[targets[t]] -= 1
        dW_hy += np.outer(dy, h[t + 1])
        dhs[t] = W_hy.T @ dy + later
        da = (1 - h[t + 1] ** 2) * dhs[t]
        shares[t] = np.outer(da, h[t])
        dW_xh += np.outer(da, x[t])
        later = W_hh.T @ da
    return np.array(ps), np.array(losses), dhs, shares, (dW_xh, shares.sum(axis=0), dW_hy)


@pytest.mark.parametrize("word", ["hello", "abracadabra"])
def test_hello_shows_the_numbers_of_the_textbook_equations(word):
    engine.seed(3)
    letters, inputs, targets = hello.spelled(word)
    model = hello.Hello(len(letters), 3)
    walk = hello.walked(model, np.eye(len(letters))[inputs], targets)
    weights = [getattr(model, name).numpy().copy() for name in hello.WEIGHTS]
    p, losses, dh, shares, gradients = by_hand(walk.x, targets, *weights)
    for ours, expected in ((walk.p, p), (walk.losses, losses), (walk.dh, dh), (walk.shares, shares),
                           *zip(walk.gradients.values(), gradients, strict=True)):  # fmt: skip
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(walk.direct, (p - np.eye(len(letters))[targets]) @ weights[2])
    later = walk.dh - walk.direct
    assert (later[-1] == 0).all()
    assert (np.abs(later[:-1]) > 0).all()


def test_hello_spells():
    assert hello.spelled("hello")[0] == "helo"
    assert hello.spelled("hello")[1].tolist() == [0, 1, 2, 2]
    assert hello.spelled("hello")[2].tolist() == [1, 2, 2, 3]


def test_the_update_of_hello_is_that_of_gradient_descent():
    options = hello.parse([*ONE, "--steps", "2", "--lr", "0.05"])
    own = hello.run(options)["figures"]
    engine.seed(0)
    letters, inputs, targets = hello.spelled("hello")
    model = hello.Hello(len(letters), 3)
    x = np.eye(4)[inputs]
    weights = [getattr(model, name).numpy() for name in hello.WEIGHTS]
    *_, gradients = by_hand(x, targets, *weights)
    moved = [w - 0.05 * g for w, g in zip(weights, gradients, strict=True)]
    assert own["after one update"] == pytest.approx(by_hand(x, targets, *moved)[1].sum(), rel=1e-10)
    assert own["after one update"] < own["before"]
    once = hello.run(hello.parse([*ONE, "--steps", "1", "--lr", "0.05"]))["figures"]
    assert once["after one update"] == pytest.approx(once["nats"]) == own["after one update"]


def test_hello_prints_every_number(capsys):
    assert hello.main([*ONE, "--fast", "--seed", "1"]) == 0
    said = capsys.readouterr().out
    engine.seed(1)
    _, inputs, targets = hello.spelled("hello")
    walk = hello.walked(hello.Hello(4, 3), np.eye(4)[inputs], targets)
    for values in walk[:-2]:
        assert all(f"{value:.4f}" in said for value in np.ravel(values))
    for gradient in walk.gradients.values():
        assert all(f"{value:.4f}" in said for value in gradient.ravel())
    assert f"falls from {walk.losses.sum():.4f}" in said
    assert said.count("share") == 5


@pytest.mark.parametrize("word", ["hello", "ab"])
def test_hello_draws_its_story(word, tmp_path):
    assert hello.main(["--word", word, "--steps", "1", "--out", str(tmp_path)]) == 0
    engine.seed(0)
    letters, inputs, targets = hello.spelled(word)
    walk = hello.walked(hello.Hello(len(letters), 3), np.eye(len(letters))[inputs], targets)
    drawn = viz.draw_story(walk.loss, tokens=list(word[:-1]))
    assert (tmp_path / "story.svg").read_text(encoding="utf-8") == drawn.svg()
    nodes = drawn.graph.nodes
    for t, (dh, share) in enumerate(zip(walk.dh, walk.shares, strict=True), 1):
        assert nodes[f"h{t}"]["norm"] == pytest.approx(np.linalg.norm(dh))
        if len(word) > 2:
            whole = walk.gradients["W_hh"]
            along = (share * whole).sum() / np.linalg.norm(whole)
            assert nodes[f"W_hh@{t}"]["adds"] == pytest.approx(along, abs=1e-12)


def test_hello_learns_its_word():
    own = figures(hello)
    assert own["letters right"] == 1.0
    assert own["nats"] < 0.2 < 4 * math.log(4) - 1 < own["before"]
    assert figures(hello) == own


# ---- the forward pass


def test_three_ways_give_the_same_states():
    options = forward_pass.parse(["--fast"])
    given = forward_pass.weights(options)
    assert {name: one.shape for name, one in given.items()} == {
        "x": (100, 32), "W": (64, 32), "U": (64, 64), "b": (64,)
    }  # fmt: skip
    h, wide = np.zeros(64), {name: one.astype(np.float64) for name, one in given.items()}
    for x in wide["x"]:
        h = np.tanh(x @ wide["W"].T + h @ wide["U"].T + wide["b"])
    for job in forward_pass.ways(**given).values():
        found = job()
        assert found.shape == (100, 64)
        np.testing.assert_allclose(found[-1], h, atol=1e-6)
    assert 0.1 < np.abs(h).mean() < 0.9  # not in the flat parts of tanh


def test_the_forward_pass_is_timed(capsys):
    assert forward_pass.main(["--fast", "-T", "7"]) == 0
    said = capsys.readouterr().out
    assert "states (7, 64)" in said
    assert said.count(" ms\n") == 3
    assert figures(forward_pass, "--fast")["largest difference"] < 1e-6


# ---- adding and copying


def test_the_sequences_of_the_adding_problem():
    x, _, y, *_ = adding.sequences(9, 500, "here")
    assert x.shape == (9, 500, 2)
    marks = x[..., 1]
    assert (marks[:4].sum(axis=0) == 1).all()
    assert (marks[4:].sum(axis=0) == 1).all()
    assert (marks.max(axis=1) == 1).all()  # every step is marked at times
    expected = [sum(x[t, b, 0] for t in range(9) if x[t, b, 1]) for b in range(500)]
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    assert np.mean((y - 1) ** 2) == pytest.approx(1 / 6, abs=0.03)
    assert (adding.sequences(9, 500, "here").x == x).all()
    assert (adding.sequences(9, 500, "there").x != x).any()


def test_when_the_adding_problem_is_solved():
    solved = adding.solved
    assert solved([[50, 0.1], [100, 0.001], [150, 0.02], [200, 0.009], [250, 0.001]]) == 200
    assert solved([[50, 0.001]]) == 50
    assert solved([[50, 0.001], [100, 0.01]]) == math.inf
    assert solved([[50, math.nan]]) == math.inf


def test_the_adding_problem_is_learnt(capsys):
    assert adding.main([*ONE, "--fast"]) == 0
    assert "T = 10: below 0.01 for good after" in capsys.readouterr().out
    few = [*ONE, "--fast", "--steps", "60", "--cell", "lstm"]
    own = figures(adding, *few)
    assert own["answering 1"] == pytest.approx(1 / 6, abs=0.01)
    assert own["updates"] == math.inf
    assert figures(adding, *few) == own != figures(adding, *few, "--seed", "1")
    assert adding.main(few) == 0
    assert "not below 0.01 after 60 updates" in capsys.readouterr().out


def test_the_sequences_of_the_copy_task():
    x, _, y, *_ = copying.sequences(5, 300, "here")
    assert x.shape == y.shape == (25, 300)
    assert (x[:10] == y[15:]).all()
    assert np.unique(x[:10]).tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert (x[10:14] == 0).all()
    assert (x[14] == 9).all()
    assert (x[15:] == 0).all()
    assert (y[:15] == 0).all()


def test_the_baseline_of_the_copy_task_is_that_of_guesses():
    y = copying.sequences(5, 2000, "here").y
    odds = np.zeros((*y.shape, 9))
    odds[:15, :, 0] = 1
    odds[15:, :, 1:] = 1 / 8
    cost = -np.log(np.take_along_axis(odds, y[..., None], axis=-1)).mean()
    assert copying.baseline(5) == pytest.approx(cost) == pytest.approx(0.8318, abs=1e-4)


@slow_beside("test_the_adding_problem_is_learnt")
def test_the_copy_task_is_learnt(capsys):
    own = figures(copying, "--fast")
    assert own["of the baseline"] < 0.95
    assert own["symbols right"] > 0.2
    few = ["--fast", "--steps", "20"]
    assert figures(copying, *few) == figures(copying, *few) != figures(copying, *few, "--seed", "1")
    assert copying.main([*ONE, *few]) == 0
    assert "T = 1, after 20 updates" in capsys.readouterr().out


# ---- Shakespeare


def test_the_split_is_by_characters():
    text = shakespeare.split("abcdefghi" * 10 + "z" * 10, "character")
    assert (len(text.train), len(text.valid)) == (90, 10)
    assert (text.valid == text.vocabulary.unk).all()  # z was never seen
    if (path := data.found(tasks.SHAKESPEARE)) is not None:
        text = shakespeare.split(read_text(path), "character")
        assert (len(text.train), len(text.valid)) == (1_003_854, 111_540)


def test_rare_words_are_unknown_and_lines_have_an_end():
    text = shakespeare.split("to be or\nto be\n" * 9 + "once\n" * 4, "word")
    tokens = [text.vocabulary.token(i) for i in text.train[:8]]
    assert tokens == ["to", "be", "or", "<eos>", "to", "be", "<eos>", "to"]
    assert "once" not in text.vocabulary
    said = shakespeare.shown(text.vocabulary, text.train[:7].tolist(), "word")
    assert said == "to be or \nto be \n"


def test_the_cost_of_the_frequencies_alone():
    text = shakespeare.split("ab" * 45 + "b" * 10, "character")
    p_b = (45 + 1) / (90 + 3)  # one more of each of <unk>, a, b
    assert shakespeare.frequencies(text) == pytest.approx(-math.log(p_b))


@slow_beside("test_words_and_their_perplexity")
def test_the_language_model_learns(capsys):
    assert shakespeare.main([*ONE, "--fast"]) == 0
    said = capsys.readouterr().out
    assert "learning from Python's own documentation" in said
    assert "a sample at temperature 0.8" in said
    (line,) = [line for line in said.splitlines() if line.startswith("held out: ")]
    nats, alone = float(line.split()[2]), float(line.split()[-2])
    assert nats < alone - 0.8


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "verse.txt.gz"
    lines = "the king is come\nand all the court with him\nlong live the king\n"
    path.write_bytes(gzip.compress((lines * 60).encode()))
    return [*ONE, "--fast", "--data", str(path), "--hidden", "16", "--embedding", "16",
            "--length", "8", "--batch", "4", "--sample", "20"]  # fmt: skip


def test_words_and_their_perplexity(small, capsys):
    own = figures(shakespeare, *small, "--level", "word", "--steps", "60", "--lr", "0.03")
    assert own["perplexity"] == pytest.approx(math.exp(own["nats"]))
    assert own["perplexity"] < own["of frequencies"] / 2
    again = figures(shakespeare, *small, "--level", "word", "--steps", "60", "--lr", "0.03")
    assert again == own
    assert shakespeare.main([*small, "--level", "word", "--steps", "5"]) == 0
    assert "nats a word, perplexity" in capsys.readouterr().out


@slow_beside("examples/test_examples_shared.py::test_a_run_goes_on_where_it_stopped")
def test_a_run_goes_on_where_it_stopped(small, tmp_path):
    whole = figures(shakespeare, *small, "--steps", "24")
    out = ["--out", str(tmp_path / "run")]
    loss, calls = shakespeare.loss, []

    def interrupted(*given):
        if given[0].training:
            calls.append(given)
            if len(calls) == 11:
                os.kill(os.getpid(), signal.SIGINT)
        return loss(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shakespeare, "loss", interrupted)
        with pytest.raises(KeyboardInterrupt, match="broken off after 11 updates"):
            shakespeare.run(shakespeare.parse([*small, *out, "--steps", "24"]))
    assert figures(shakespeare, *small, *out, "--steps", "24", "--resume") == whole


def test_what_is_written_and_drawn(small, tmp_path, capsys):
    out = tmp_path / "deep" / "out"
    assert shakespeare.main([*small, "--steps", "5", "--out", str(out), "--draw"]) == 0
    written = sorted(path.name for path in out.iterdir())
    assert written == [
        "all.svg", "checkpoints", "last.svg", "log.jsonl", "loss.png", "story.svg",
    ]  # fmt: skip
    last = (out / "last.svg").read_text(encoding="utf-8")
    left_out = shakespeare.DRAWN - last.count(">LSTMCell<")
    assert left_out == 0 or f"{left_out} of {shakespeare.DRAWN} steps" in last
    story = (out / "story.svg").read_text(encoding="utf-8")
    assert f">t = {shakespeare.DRAWN - 1}<" in story
    assert shakespeare.main([*small, "--steps", "5", "--out", str(out)]) == 2
    assert "has checkpoints already; go on from them with --resume" in capsys.readouterr().err


# ---- what is refused


def refused(capsys, example, *arguments):
    """Return the one line of a refusal."""
    try:
        status = example.main([*ONE, *arguments])
    except SystemExit as stop:
        status = stop.code
    assert status == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{example.__name__.rpartition('.')[2]}: ")
    return line


@pytest.mark.parametrize("example", [adding, copying, forward_pass, hello, shakespeare])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seed", "-1"], "-1 is negative"),
        (["--threads", "0"], "'0' is not a positive integer"),
        (["--hidden", "none"], "'none' is not a positive integer"),
        (["--fast", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["--fast", "--out", __file__], "File exists"),
    ],
)
def test_bad_options_are_one_line(example, arguments, said, capsys):
    if example is forward_pass and "--out" in arguments:
        said = "unrecognized arguments: --out"  # it writes nothing
    assert said in refused(capsys, example, *arguments)


@pytest.mark.parametrize(
    ("example", "arguments", "said"),
    [
        (hello, ["--word", "a"], "'a' has fewer than two letters"),
        (adding, ["-T", "1"], "1 steps have no two halves; expected at least 2"),
        (adding, ["--cell", "transformer"], "invalid choice: 'transformer'"),
        (shakespeare, ["--dropout", "1"], "'1' does not lie in [0, 1)"),
        (shakespeare, ["--dropout", "some"], "'some' does not lie in [0, 1)"),
        (shakespeare, ["--draw"], "argument --draw: it needs a folder; give --out DIR"),
        (shakespeare, ["--data", "no/such.txt"], "no/such.txt: No such file"),
        (shakespeare, ["--data", "."], "Is a directory"),
    ],
)
def test_other_bad_options(example, arguments, said, capsys):
    assert said in refused(capsys, example, *arguments)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", b"", "is empty"),
        ("a.txt", b"\xff\xfe\xfd", "byte 0: not UTF-8"),
        ("a.txt", b"short", "a text of 4 tokens for 16 streams"),
        ("a.gz", b"no gzip at all", "damaged gzip file, or none"),
        ("a.gz", gzip.compress(b"some text " * 99, mtime=0)[:-12], "damaged gzip file"),
        ("a.gz", gzip.compress(b"some text", mtime=0)[:10] + b"\xff" * 9, "damaged gzip file"),
    ],
)
def test_bad_texts_are_one_line(name, content, said, tmp_path, capsys):
    path = tmp_path / name
    path.write_bytes(content)
    assert said in refused(capsys, shakespeare, "--fast", "--data", str(path))


def test_data_are_looked_for_beside_the_repository(monkeypatch, tmp_path):
    assert data.HOME.parts[-2:] == ("shared", "data")
    monkeypatch.setattr(data, "HOME", tmp_path)
    assert data.found("some/file.txt") is None
    (tmp_path / "some").mkdir()
    assert data.found("some") == tmp_path / "some"


def test_ctrl_c_is_no_traceback():
    def interrupted():
        raise KeyboardInterrupt

    assert task.finish("anything", interrupted) == 130


# ---- the benchmark


@pytest.fixture
def results(monkeypatch, tmp_path):
    monkeypatch.setattr(measuring, "RESULTS", tmp_path)
    row = tasks.Task("a", "hello", "nats", "nats", "before", "nats", 9.0, arguments=("--fast",))
    lost = tasks.Task("lost", "hello", "nats", "nats", "before", "nats", data="no/such/data")
    monkeypatch.setattr(tasks, "TASKS", (row, row._replace(name="b", floor=""), lost))
    monkeypatch.setattr(tasks, "SEEDS", (0, 1))
    return tmp_path / "tasks.json"


def test_the_tasks_are_run_and_rows_are_kept(results, monkeypatch, capsys):
    tasks.main(["b"])
    assert "b, seed 1: {'nats': " in capsys.readouterr().out
    tasks.main(["a"])
    assert capsys.readouterr().out.count("seed 1: ") == 1
    found = json.loads(results.read_text())
    assert [row["name"] for row in found["rows"]] == ["a", "b"]
    run = found["rows"][0]["runs"][1]
    assert run["seed"] == 1
    assert run["figures"] == figures(hello, "--fast", "--seed", "1")
    assert len(run["curve"]) == tasks.POINTS
    assert run["curve"][0][0] == 0
    assert run["curve"][-1][0] == 99
    head, _, first, second = task_tables.tasks(found)
    assert head.count("|") == first.count("|") == second.count("|")
    assert "< 9" in first
    assert "(before)" in first
    tasks.main(["a", "b"])
    assert capsys.readouterr().out.count("seed 1: ") == 1  # they are the same runs
    monkeypatch.setattr(measuring, "machine", lambda: {"versions": {}})
    assert tasks.kept(()) == {}  # rows of another machine


def test_tasks_that_cannot_be_run_are_refused(results):
    with pytest.raises(SystemExit, match="no task 'c'; there are a, b, lost"):
        tasks.main(["c"])
    with pytest.raises(FileNotFoundError, match="lost: there is no no/such/data"):
        tasks.main(["lost"])
    with pytest.raises(ValueError, match=r"a: no speed in \{.*before"):
        tasks.measured(tasks.TASKS[0]._replace(figure="speed"), 1, {})


def test_numbers_that_are_none_are_said(results):
    assert tasks.plain({"a": math.inf, "b": [np.float64(2.5), np.int64(3)], "c": (True, None)}) == {
        "a": None, "b": [2.5, 3], "c": [True, None]
    }  # fmt: skip
    runs = [{"seed": seed, "steps": 3, "seconds": 1.0, "figures": {"f": f}}
            for seed, f in enumerate((1234.5, None))]  # fmt: skip
    row = {"name": "x", "unit": "u", "figure": "f", "floor": "", "aim": None, "better": "min"}
    row["runs"] = runs
    assert task_tables.tasks({"rows": [row]})[-1].split(" | ")[2:4] == [
        "1,234, not reached", "not reached"
    ]  # fmt: skip


def test_every_task_is_an_example_that_takes_its_options():
    names = [row.name for row in tasks.TASKS]
    assert len(set(names)) == len(names)
    for row in tasks.TASKS:
        example = importlib.import_module(f"examples.{row.example}")
        assert example.parse([*row.arguments, "--seed", "2"]).seed == 2
        assert callable(example.run)


def test_the_curves_of_a_run_are_drawn_once(results, monkeypatch, tmp_path):
    tasks.main(["a", "b"])
    found, names = json.loads(results.read_text()), {"a": "nats", "b": "nats"}
    monkeypatch.setattr(plots, "PICTURES", tmp_path)
    drawn = plots.plot_tasks(found, names).read_text()
    assert drawn == plots.plot_tasks(found, names).read_text()
    assert "<!-- a -->" in drawn
    assert "<!-- seed 1 -->" in drawn
    assert "<!-- b -->" not in drawn  # another figure of the same runs
