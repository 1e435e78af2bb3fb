"""Test the benchmark of language models, a block each: sizes, a tiny run, table and results."""

import json
import math

import numpy as np
import pytest

import engine
from benchmarks import cell_language, cell_tables, measuring
from examples.text import Text
from rnn.models.blocks import CELLS

TINY = "abcab" * 60


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Shorten the text and the training, and write results elsewhere."""
    for name, value in {"UPDATES": 12, "PARAMETERS": 500, "T": 4, "B": 2, "RATE": 0.02}.items():
        monkeypatch.setattr(cell_language, name, value)
    monkeypatch.setattr(cell_language, "documentation", lambda: TINY)
    monkeypatch.setattr(measuring, "RESULTS", tmp_path)
    threads = engine.get_num_threads()
    yield lambda: json.loads((tmp_path / "cell_language.json").read_text(encoding="utf-8"))
    engine.set_num_threads(threads)


def test_a_tiny_run_learns_goes_on_and_is_timed(small, capsys):
    cell_language.main(["gru", "mingru"])
    first = {row["cell"]: row for row in small()["rows"]}
    assert list(first) == ["gru", "mingru"]
    cell_language.main(["lstm", "mingru"])
    rows = small()["rows"]
    assert [row["cell"] for row in rows] == ["lstm", "gru", "mingru"]  # the order of the blocks
    assert rows[2] == first["mingru"]
    assert capsys.readouterr().out.count("mingru: ") == 1  # it is not trained again
    for row in rows:
        assert row["updates"] == 12
        assert "milliseconds" not in row
        assert 0 < row["bits"] < math.log2(3)
    cell_language.main(["gru", "--times"])
    rows = small()["rows"]
    assert [row["cell"] for row in rows if row.get("milliseconds", 0) > 0] == ["gru"]
    text = small()["text"]
    assert (text["characters"], text["held_out"], text["symbols"]) == (270, 30, 3)


def test_a_run_repeats_itself(small):
    text = Text.of(TINY)
    assert cell_language.trained("gru", text) == cell_language.trained("gru", text)


def test_bits_are_those_of_the_whole_text_read_once(small):
    model = cell_language.model_of("gru", 3, 8)
    ids = Text.of(TINY).held_out[:21]
    found = cell_language.bits(model, ids)
    logits = [model(ids[b * 10 : b * 10 + 10, None])[0].numpy()[:, 0] for b in range(2)]
    logs = np.concatenate(logits).astype("float64")
    logs -= np.log(np.exp(logs).sum(axis=-1, keepdims=True))
    own = -logs[np.arange(20), ids[1:21]].mean() / math.log(2)
    assert found == pytest.approx(own, rel=1e-5)


@pytest.mark.parametrize("name", ["gru", "mlstm"])
def test_the_hidden_size_gives_the_closest_model(name):
    step = cell_language.step_of(name)
    assert step == {"gru": 8, "mlstm": 32}[name]
    hidden = cell_language.hidden_of(name, 20, 20_000)

    def gap(hidden):
        return abs(cell_language.parameters(cell_language.model_of(name, 20, hidden)) - 20_000)

    assert hidden % step == 0
    assert gap(hidden) == min(gap(size) for size in range(step, 300, step))


def test_an_unknown_block_is_an_error(capsys):
    with pytest.raises(SystemExit):
        cell_language.main(["transformer"])
    assert "unknown block 'transformer'; there are rnn, lstm, gru, " in capsys.readouterr().err


def test_the_table():
    row = {"cell": "gru", "hidden": 8, "parameters": 1234, "updates": 300, "bits": 2.345}
    result = {"rows": [row, row | {"milliseconds": 20.0}], "text": {"frequencies": 4.5}}
    assert cell_tables.cell_language(result)[2:] == [
        "| gru | 8 | 1,234 | 2.35 |  |",
        "| gru | 8 | 1,234 | 2.35 | 6.0 |",
        "| character frequencies alone | | | 4.50 | |",
    ]


# ---- what was measured


def measured():
    path = measuring.RESULTS / "cell_language.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_all_blocks_were_trained_alike_with_models_of_nearly_one_size():
    result = measured()
    missing = [name for name in CELLS if name not in [row["cell"] for row in result["rows"]]]
    assert not missing, f"run: python -m benchmarks.cell_language {' '.join(missing)}, and --times"
    assert [row["cell"] for row in result["rows"]] == list(CELLS)
    assert result["settings"] == cell_language.SETTINGS
    symbols = result["text"]["symbols"]
    for row in result["rows"]:
        model = cell_language.model_of(row["cell"], symbols, row["hidden"])
        assert row["parameters"] == cell_language.parameters(model), row["cell"]
        assert row["hidden"] % cell_language.step_of(row["cell"]) == 0
        assert abs(row["parameters"] / cell_language.PARAMETERS - 1) < 0.21, row["cell"]
        assert row["updates"] == cell_language.UPDATES
        assert row["milliseconds"] > 0


def test_only_a_memory_without_decay_learnt_nothing():
    # It sums over the whole text, far beyond the chunks that gradients go through.
    result = measured()
    lost = [row["cell"] for row in result["rows"] if row["bits"] > result["text"]["frequencies"]]
    assert lost == ["linear_attention"]
