"""Test the page on modern recurrences: it is what its script makes, and its statements hold."""

import re
from functools import cache

import pytest

import engine
import rnn
from docs import make_modern
from docs.gallery_networks import marked
from docs.modern_networks import networks
from engine.scan.executors import DELTA, ENTRIES, LEAST, OUTER
from rnn.models.blocks import CELLS
from tests import ROOT
from tests.draws import ahead, first, normal, slow_beside
from tests.rnn.cells.test_linear_cells import there_is_a_compiler

TEXT = make_modern.PAGE.read_text(encoding="utf-8")

# One of each kind: gates, a state of numbers, a state space, a memory, the delta rule.
KINDS = ["lstm", "mingru", "mamba", "retnet", "deltanet"]

trained = cache(networks)  # two tests look at the same ones


def test_the_page_and_its_pictures_are_what_the_script_makes(monkeypatch):
    monkeypatch.setattr(make_modern, "networks", trained)
    for path, text in make_modern.files():
        assert path.read_text(encoding="utf-8") == text, (
            f"{path.name}: run python -m docs.make_modern, and look at what changed"
        )
    assert not re.search(r"\[\[[A-Z]", TEXT)


def test_pictures_are_narrow_and_small():
    paths = sorted(make_modern.PICTURES.glob("*.svg"))
    assert [path.stem for path in paths] == ["deltanet", "lif", "lstm", "mingru", "story"]
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert len(text) < 150_000
        assert float(re.search(r'width="([\d.]+)', text).group(1)) <= 800


def test_the_norms_in_the_text_are_those_of_a_probe():
    (x, _), said, found = marked(make_modern.STEPS, 1, 3, mark=3), " ".join(TEXT.split()), []
    for name, net in trained().items():
        probe = rnn.Probe(net.recurrent, x)
        norms = probe.jacobian_norms(make_modern.STATES[name]).numpy()
        drawn = make_modern.pictures({name: net})[name.lower()]
        edge = drawn.graph.edges[0, make_modern.STEPS - 1, 0]["jacobian_norm"]
        assert edge == pytest.approx(norms[-1][1], rel=1e-6)
        found.append(f"{edge:.2f}")
        assert f"{make_modern.error(net):.3f} ({name})" in said
    assert f"has the norm {', '.join(found[:3])} and {found[3]}:" in said


def test_the_code_of_the_page_runs(capsys):
    for code in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(code, {})
    said = capsys.readouterr().out
    assert said.startswith("(3, 2, 9)")
    assert "[1.  , 1.5 , 1.75]" in said


@pytest.mark.parametrize("name", first(5, ahead(KINDS, CELLS)))
def test_every_cell_has_a_row_and_runs_in_a_kernel(name):
    cell = CELLS[name](32, 32)
    (row,) = (line for line in TEXT.splitlines() if line.startswith(f"| `{name}` |"))
    assert type(cell).__name__ in row
    state = cell.zero_state(2, like=engine.ones((2, 32)))
    for one in state if isinstance(state, tuple) else (state,):
        assert f"(B, {', '.join(map(str, one.shape[1:]))})" in row
    if there_is_a_compiler():
        told = str(engine.explain_scan(rnn.Recurrent(cell), engine.ones((3, 2, 32))))
        assert "c: runs it" in told.splitlines()[0]


@pytest.mark.parametrize("name", ["mingru", "retnet", "deltanet", "mlstm"])
def test_methods_of_the_table_agree_with_steps(name):
    step, state, x, _ = make_modern.made(name)
    x = engine.asarray(normal(*x.shape).astype("float32"))
    (row,) = (line for line in TEXT.splitlines() if line.startswith(f"| `{name}` |"))
    applied = row.rstrip(" |").rpartition("| ")[2].split(", ")
    assert len(applied) > 1
    expected = engine.scan(step, state, x, method="steps")[1].numpy()
    for method in applied[1:]:
        found = engine.scan(step, state, x, method=method)[1].numpy()
        assert abs(found - expected).max() < 1e-5
    for method in {"chunks", "stretches"} - set(applied):
        with pytest.raises(ValueError, match=f"method='{method}' does not apply: "):
            engine.scan(step, state, x, method=method)


def chosen(cell, T):
    layer = rnn.Recurrent(cell)
    return str(engine.explain_scan(layer, engine.ones((T, 1, cell.input_size))))


@slow_beside("engine/scan/test_chunks.py::test_large_memories_run_in_chunks_by_themselves")
def test_the_page_says_from_where_chunks_run_by_themselves(monkeypatch):
    told = " ".join(TEXT.split())
    assert f"from {LEAST:,} steps on, where the memory has {OUTER:,} numbers" in told
    assert f"or {DELTA:,} and follows the delta rule" in told
    assert f"from {ENTRIES:,} numbers on" in told
    for cell, entries in ((rnn.LinearAttentionCell, OUTER), (rnn.DeltaNetCell, DELTA)):
        side = round(entries**0.5)
        assert side**2 == entries
        assert "method chunks" in chosen(cell(2, side), LEAST)
        assert "method chunks" not in chosen(cell(2, side), LEAST - 1)
        assert "method chunks" not in chosen(cell(2, side - 1), LEAST)
    assert "method stretches" not in chosen(rnn.MinGRUCell(1, 1), 10_000)
    monkeypatch.setenv("BPTT_EXECUTORS", "plan")
    side = round(ENTRIES**0.5)
    assert "method chunks" in chosen(rnn.DeltaNetCell(2, side), LEAST)
    assert "method chunks" not in chosen(rnn.DeltaNetCell(2, side - 1), LEAST)


def test_the_readme_and_the_page_on_recurrences_lead_here():
    root = ROOT
    assert "(docs/reference/modern.md)" in (root / "README.md").read_text(encoding="utf-8")
    for page in ("recurrences.md", "tasks.md"):
        text = (root / "docs" / "about" / page).read_text(encoding="utf-8")
        assert "(../reference/modern.md)" in text
