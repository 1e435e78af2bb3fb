"""The tables in the docs are the files that the benchmarks wrote, and the benchmarks run."""

import json

import pytest

from benchmarks import eager, measuring, tables


@pytest.mark.parametrize("page", tables.PAGES)
def test_the_tables_are_those_of_the_result_files(page):
    text = (tables.ROOT / page).read_text(encoding="utf-8")
    assert "<!-- " in text
    assert tables.filled(text) == text


def test_a_number_changed_by_hand_is_caught():
    text = (tables.ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
    result = json.loads((measuring.RESULTS / "eager.json").read_text())
    planted = text.replace(f"{result['microseconds_per_op']['bptt']:.2f}", "0.01", 1)
    assert planted != text
    assert tables.filled(planted) == text


def test_the_eager_benchmark_computes_what_it_times(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(eager, "OPS", 30)
    monkeypatch.setattr(eager, "PEERS", {"torch": lambda *_: pytest.fail("left out")})
    monkeypatch.setattr(eager.importlib, "import_module", no_such_module)
    monkeypatch.setattr(measuring, "RESULTS", tmp_path)
    eager.main([])
    result = json.loads((tmp_path / "eager.json").read_text())
    assert result["not_installed"] == ["torch"]
    assert result["microseconds_per_op"]["bptt"] > 0
    assert "left out" in capsys.readouterr().out


def no_such_module(name):
    raise ImportError(name)


def test_competitors_run_in_turn_and_only_counted_rounds_count():
    order = []
    found = measuring.in_turn(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=3, warm_ups=1
    )
    assert order == ["a", "b"] * 4
    assert set(found) == {"a", "b"}
