"""Run the examples that compare cells: their sequences, which cell learns which, refusals."""

import json

import numpy as np
import pytest

from benchmarks import cell_tasks, measuring
from examples import parity, reader, recall, selective_copying
from tests.draws import first
from tests.examples.test_examples_basics import ONE, figures, refused

EXAMPLES = (parity, recall, selective_copying)


def test_the_sequences_of_recall():
    x, _, y, *_ = recall.sequences(8, 6, 5, 300, "here")
    assert (x.shape, y.shape) == ((15, 300), (5, 300))
    keys, values, asked = x[0:10:2], x[1:10:2] - 8, x[10:]
    assert (np.diff(np.sort(keys, axis=0), axis=0) > 0).all()  # all different
    assert set(keys.ravel()) == set(range(8))
    assert set(values.ravel()) == set(range(6))
    for b in range(300):
        known = dict(zip(keys[:, b], values[:, b], strict=True))
        assert [known[key] for key in asked[:, b]] == y[:, b].tolist()
    assert (asked != keys).any(axis=0).mean() > 0.9  # in another order
    assert (recall.sequences(8, 6, 5, 300, "here").x == x).all()
    assert (recall.sequences(8, 6, 5, 300, "there").x != x).any()


def test_the_sequences_of_selective_copying():
    x, _, y, *_ = selective_copying.sequences(20, 300, "here")
    assert (x.shape, y.shape) == ((28, 300), (8, 300))
    assert (x[20:] == selective_copying.SIGN).all()
    for b in range(300):
        assert [s for s in x[:20, b] if s != selective_copying.NOISE] == y[:, b].tolist()
    places = (x[:20] != selective_copying.NOISE).mean(axis=1)
    assert places.min() > 0.25  # 0.4 everywhere
    assert (selective_copying.sequences(20, 300, "there").x != x).any()


def test_the_sequences_of_parity():
    x, _, y, *_ = parity.sequences(9, 300, "here")
    assert set(x.ravel()) == {0, 1}
    for t in range(9):
        assert (y[t] == x[: t + 1].sum(axis=0) % 2).all()
    assert (parity.sequences(9, 300, "there").x != x).any()


def test_models_of_all_cells_have_nearly_the_same_size():
    sizes = {}
    for cell in ("lstm", "mingru", "deltanet", "slstm", "mamba"):
        model = reader.made(recall.parse(["--cell", cell]), 64, 32)
        sizes[cell] = reader.parameters(model)
    assert all(abs(size - 28_000) < 0.2 * 28_000 for size in sizes.values()), sizes
    with pytest.raises(ValueError, match=r"the smallest model has .* 10 are too few"):
        reader.made(recall.parse(["--parameters", "10"]), 64, 32)


def test_a_layer_sees_a_symbol_and_the_one_before_it_and_no_later_one():
    model = reader.Reader("mingru", 5, 3, 8, 2)
    x = np.array([[1], [2], [3], [4]])
    whole = model(x, 4).numpy()
    np.testing.assert_allclose(model(x, 2).numpy(), whole[2:], atol=1e-6)
    later = x.copy()
    later[3] = 0
    np.testing.assert_allclose(model(later, 4).numpy()[:3], whole[:3], atol=1e-6)
    assert np.abs(model(later, 4).numpy()[3] - whole[3]).max() > 1e-4


def recall_is_learnt_by_the_delta_rule_alone():
    """Learn four pairs out of 8 keys and 8 values, for 250 updates, as with --fast."""
    delta, lstm = (figures(recall, "--fast", "--cell", cell) for cell in ("deltanet", "lstm"))
    assert delta["parameters"] < lstm["parameters"]
    assert delta["accuracy"] > 0.99
    assert lstm["accuracy"] < 0.6
    assert delta["guessing"] == lstm["guessing"] == 1 / 8


def parity_is_kept_by_a_negative_eigenvalue_alone():
    few = ["--fast", "--steps", "150"]
    found = {cell: figures(parity, *few, "--cell", cell)["accuracy"]
             for cell in ("deltanet_negative", "deltanet", "mingru")}  # fmt: skip
    assert found["deltanet_negative"] > 0.95
    assert found["deltanet"] < 0.7
    assert found["mingru"] < 0.7


def selective_copying_is_learnt():
    assert figures(selective_copying, "--fast")["accuracy"] > 0.35


@pytest.mark.parametrize(
    "learnt",
    first(1, [parity_is_kept_by_a_negative_eigenvalue_alone,
              recall_is_learnt_by_the_delta_rule_alone, selective_copying_is_learnt]),
)  # fmt: skip
def test_an_example_is_learnt_by_the_cells_that_can(learnt):
    learnt()


def test_a_run_of_selective_copying_is_the_same_again(capsys):
    few = ["--fast", "--steps", "5", "--cell", "mingru"]
    assert figures(selective_copying, *few) == figures(selective_copying, *few)
    assert selective_copying.main([*ONE, *few]) == 0
    assert "of the symbols of 10 steps are right" in capsys.readouterr().out


@pytest.mark.parametrize("example", EXAMPLES)
def test_what_is_said_and_written(example, tmp_path, capsys):
    few = [*ONE, "--fast", "--steps", "3", "--cell", "lstm", "--out", str(tmp_path)]
    assert example.main(few) == 0
    assert capsys.readouterr().out.startswith("lstm, ")
    assert {path.name for path in tmp_path.iterdir()} >= {"log.jsonl", "loss.png"}


@pytest.mark.parametrize(
    ("example", "arguments", "said"),
    [
        (recall, ["--pairs", "40"], "40 pairs need as many keys, of which there are 32"),
        (selective_copying, ["-T", "7"], "7 steps have no room for 8 symbols"),
        (parity, ["--test", "32"], "32 steps are not beyond the 32 of -T"),
        (recall, ["--cell", "transformer"], "invalid choice: 'transformer'"),
        (recall, ["--parameters", "10"], "10 are too few"),
    ],
)
def test_bad_options(example, arguments, said, capsys):
    assert said in refused(capsys, example, *arguments)


# ---- what was measured


def measured():
    text = (measuring.RESULTS / "cell_tasks.json").read_text(encoding="utf-8")
    return {(row["task"], row["cell"], row["times"]): row for row in json.loads(text)["rows"]}


def figure(task, cell, times=1):
    return measured()[task, cell, times]["figures"]["accuracy"]


def test_recall_was_solved_by_matrix_memories_and_not_by_gates():
    for cell in ("linear_attention", "deltanet", "gated_deltanet"):
        assert figure("recall", cell) > 0.99
    assert figure("recall", "lstm") < 0.2
    assert figure("recall", "lstm", times=4) < 0.2
    assert figure("recall", "mingru") < 0.2


def test_parity_was_kept_by_a_negative_eigenvalue_and_by_gates_that_see_the_state():
    for cell in ("lstm", "slstm", "deltanet_negative"):
        assert figure("parity", cell) > 0.95
    for cell in ("mingru", "linear_attention", "deltanet", "gated_deltanet"):
        assert figure("parity", cell) < 0.6


def test_selective_copying_was_learnt_best_by_the_delta_rule():
    found = {cell: figure("selective_copying", cell) for cell in cell_tasks.COMMON}
    assert max(found, key=found.get) == "deltanet"
    assert found["lstm"] < 0.15  # as good as guessing
    assert all(found[cell] > 0.5 for cell in found if cell != "lstm")


def test_every_task_was_run_with_every_cell_that_is_asked_for():
    wanted = [(task.example, cell, times) for task, cell, times in cell_tasks.wanted()]
    assert list(measured()) == wanted


def test_what_was_measured_is_what_the_examples_do_with_models_of_one_size():
    examples = {example.__name__.rpartition(".")[2]: example for example in EXAMPLES}
    for (task, cell, times), row in measured().items():
        options = examples[task].parse(["--cell", cell])
        own = {
            key: value for key, value in row["settings"].items() if key not in ("steps", "threads")
        }
        assert all(getattr(options, key) == value for key, value in own.items()), (task, cell)
        assert row["steps"] == times * options.steps
        assert abs(row["figures"]["parameters"] / options.parameters - 1) < 0.21
