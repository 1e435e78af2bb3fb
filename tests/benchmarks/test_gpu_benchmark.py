"""Test the benchmark of recurrences on a GPU: lines, checks and files, run on arrays of the host.

What needs CuPy runs in forks of a process with the fake of CuPy on its path, so that no other test
sees it.
"""

import json
import math

import numpy as np
import pytest

from benchmarks import devices, gpu_lines, gpu_peers, gpu_record, gpu_recurrence
from benchmarks.gpu_lines import Line
from tests.devices import FAKE
from tests.draws import first
from tests.forks import Forks

TINY = (4, 2, 3, 5)


@pytest.fixture(scope="module")
def forks():
    """Yield a process that finds the fake of CuPy."""
    with Forks(FAKE) as opened:
        yield opened


def on_the_fake(forks, code, *, ok=True):
    """Return the output of a program that finds the fake of CuPy."""
    done = forks.run(code)
    assert (done.returncode == 0) == ok, done.stderr
    return done.stdout


def test_every_line_is_in_one_part_and_once():
    found = gpu_lines.anchors() + gpu_lines.grid()
    assert len(set(found)) == len(found)
    assert {line.precision for line in found} == set(gpu_lines.CLASSES)
    assert {line.cell for line in gpu_lines.anchors()} == {*gpu_lines.BUILT, *gpu_lines.WRITTEN}
    sizes = {(T, B, H, H) for T in (64, 512) for B in (1, 16, 64, 128, 256)
             for H in (128, 256, 512, 1024, 2048)}  # fmt: skip
    for cell in gpu_lines.BUILT:
        own = {line.shape for line in found if line.cell == cell}
        assert own >= sizes
    assert Line("lstm", (1024, 16, 768, 768), "tf32") in gpu_lines.anchors()


def test_the_grid_goes_from_its_middle_to_its_corners():
    order = [line.shape for line in gpu_lines.grid()]
    assert order.index((64, 128, 512, 512)) < order.index((64, 256, 2048, 2048))
    assert order.index((64, 16, 512, 512)) < order.index((512, 16, 512, 512))


def test_errors_are_over_the_largest_value_of_each_gradient():
    exact = [np.array([0.0, 2e-3]), np.array([100.0])]
    found = [np.array([1e-4, 2e-3]), np.array([101.0])]
    assert gpu_recurrence.error(found, exact) == pytest.approx(0.05)
    assert math.isnan(gpu_recurrence.error([np.array([0.0, np.nan]), found[1]], exact))
    with pytest.raises(ValueError, match="zip"):
        gpu_recurrence.error(found[:1], exact)


def test_a_competitor_that_is_wrong_or_fails_is_said_and_not_timed(monkeypatch):
    monkeypatch.setattr(devices, "wait", lambda: None)

    def fails():
        raise ZeroDivisionError("no\nmore")

    exact = [np.ones(2)]
    jobs = {"right": lambda: [np.ones(2) + 1e-6], "wrong": lambda: [np.ones(2) + 1e-3],
            "nan": lambda: [np.ones(2) * np.nan], "fails": fails}  # fmt: skip
    errors, failed = gpu_recurrence.checked(jobs, exact, 2e-4)
    assert errors["right"] == pytest.approx(1e-6)
    assert set(failed) == {"wrong", "nan", "fails"}
    assert failed["fails"] == "ZeroDivisionError: no"
    assert "error 1.0e-03, allowed 2e-04" in failed["wrong"]


def test_a_device_that_answers_no_more_ends_the_process(monkeypatch):
    def lost():
        raise RuntimeError("illegal address")

    monkeypatch.setattr(devices, "wait", lost)
    with pytest.raises(gpu_recurrence.LostError, match="illegal address"):
        gpu_recurrence.checked({"bptt": lost}, [], 1.0)


def test_far_competitors_are_timed_once_and_ours_always(monkeypatch):
    calls = []
    taken = {"bptt": 0.5, "quick": 0.02, "near": 0.04, "far": 0.06}

    def in_turn(jobs, *, rounds, warm_ups):
        calls.append((set(jobs), rounds, warm_ups))
        return {name: taken[name] for name in jobs}

    monkeypatch.setattr(gpu_recurrence, "in_turn", in_turn)
    found, rounds = gpu_recurrence.timed({name: lambda: None for name in taken})
    assert calls[-1] == ({"bptt", "quick", "near"}, 9, 2)
    assert (found, rounds) == (taken, 9)
    taken["bptt"] = 2.0
    assert gpu_recurrence.timed({name: lambda: None for name in taken})[1] == 3
    assert gpu_recurrence.timed({}) == ({}, 0)


def test_short_jobs_are_repeated_within_a_turn(monkeypatch):
    runs = []
    monkeypatch.setattr(gpu_recurrence, "in_turn", lambda jobs, *, rounds, warm_ups: {
        name: (job(), 1e-3 if rounds == 1 else 8e-3)[1] for name, job in jobs.items()})  # fmt: skip
    found, _ = gpu_recurrence.timed({"bptt": lambda: runs.append(1)})
    assert len(runs) == 1 + 10
    assert found["bptt"] == pytest.approx(8e-4)


def test_the_ratio_is_of_the_best_peer_and_a_failure_of_ours_is_a_loss():
    rates = gpu_recurrence.rates({"bptt": 2e-3, "bptt loop": 1e-6, "a": 4e-3, "b": 1e-3}, 100)
    assert (rates["best_peer"], rates["ratio"]) == ("b", 0.5)
    assert rates["microseconds_a_step"]["bptt"] == pytest.approx(20)
    assert gpu_recurrence.rates({"a": 1.0}, 1)["ratio"] is None
    assert gpu_recurrence.rates({"bptt": 1.0}, 1)["best_peer"] is None
    rows = [{"precision": "tf32", "failed": {}, "ratio": 2.0},
            {"precision": "tf32", "failed": {}, "ratio": 0.5},
            {"precision": "tf32", "failed": {"bptt": "wrong"}, "ratio": None}]  # fmt: skip
    assert gpu_recurrence.groups(rows) == {"tf32": {
        "lines": 3, "failed": 1, "geometric_mean": 1.0, "worst": 0.5, "losses": 2}}  # fmt: skip


RUN = """
from benchmarks import gpu_lines, gpu_recurrence, recurrence
lines = [gpu_lines.Line(cell, (4, 2, 3, 5), precision) for cell in {cells}
         for precision in {classes}]
gpu_recurrence.PARTS["anchors"] = lambda: lines
{more}
recurrence.main(["--device", "cupy", "--into", {path!r}, *{arguments}])
"""


def run_into(forks, path, *, cells=("lstm", "layernorm"), classes=(), more="", arguments=()):
    code = RUN.format(cells=cells, classes=tuple(classes or gpu_lines.CLASSES), more=more,
                      path=str(path), arguments=list(arguments))  # fmt: skip
    said = on_the_fake(forks, code)
    return said, json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("cells", first(1, [["layernorm"], ["lstm", "layernorm"]]))
def test_the_benchmark_runs_on_the_fake_and_says_what_it_is(cells, forks, tmp_path):
    said, result = run_into(forks, tmp_path / "a.json", cells=cells)
    assert result["finished"]
    assert result["machine"]["gpu"] == {"name": devices.FAKE, "fake": True}
    left_out = {one["what"] for one in result["not_run"]}
    rows = {(row["cell"], row["precision"]): row for row in result["rows"]}
    classes = [one for one in gpu_lines.CLASSES if one not in left_out]
    assert set(rows) == {(cell, one) for cell in cells for one in classes}
    for (_, precision), row in rows.items():
        assert row["failed"] == {}
        assert 0 < row["errors"]["bptt"] <= gpu_recurrence.TOLERANCES[precision]
        assert gpu_lines.named(row["executor"]).endswith("runs it")
        assert len(row["executor"]) <= 12
        assert row["microseconds_a_step"]["bptt"] > 0
    assert "bptt loop" in rows["layernorm", "float32"]["microseconds_a_step"]
    assert said.count("us a step") == len(rows)
    again, same = run_into(forks, tmp_path / "a.json", cells=cells)
    assert "us a step" not in again
    assert same["rows"] == result["rows"]


PLANTED = """
from benchmarks import cells
right = cells.build
def wrong(name, w):
    cell = right(name, w)
    cell.bias_hh = cell.bias_hh * 1.01
    return cell
"""


def test_a_wrong_gradient_of_ours_is_caught_before_it_is_timed(forks, tmp_path):
    more = PLANTED + "gpu_recurrence.gpu_peers.cells.build = wrong\n" + (
        "true = gpu_recurrence.gpu_peers.reference\n"
        "def reference(line, given):\n"
        "    cells.build = right\n"
        "    try:\n        return true(line, given)\n"
        "    finally:\n        cells.build = wrong\n"
        "gpu_recurrence.gpu_peers.reference = reference\n"
    )  # fmt: skip
    _, result = run_into(
        forks, tmp_path / "a.json", cells=("lstm",), classes=["float32"], more=more
    )
    row = result["rows"][0]
    assert "gradients are wrong" in row["failed"]["bptt"]
    assert row["ratio"] is None
    assert row["microseconds_a_step"] == {}
    assert result["groups"]["float32"]["losses"] == 1


def test_no_line_begins_after_the_time_is_up(forks, tmp_path):
    _, result = run_into(forks, tmp_path / "a.json", arguments=("--minutes", "0"))
    assert (result["finished"], result["rows"]) == (False, [])


def test_a_line_that_ends_the_process_is_kept_as_failed_and_not_tried_again(forks, tmp_path):
    path = tmp_path / "a.json"
    code = RUN.format(
        cells=("lstm", "gru"),
        classes=("float32",),
        path=str(path),
        arguments=[],
        more="import os\ngpu_recurrence.measured = lambda *a, **k: os._exit(5)",
    )
    on_the_fake(forks, code, ok=False)
    found = json.loads(path.read_text(encoding="utf-8"))
    row = found["rows"][0]
    assert "ended the process" in row["failed"]["bptt"]
    assert found["groups"]["float32"]["failed"] == 1
    _, result = run_into(forks, path, cells=("lstm", "gru"), classes=["float32"])
    assert result["rows"][0] == row
    assert result["rows"][1]["cell"] != "lstm" or result["rows"][1]["precision"] != "float32"
    assert result["finished"]


def test_a_line_that_was_cut_off_is_tried_once_more(forks, tmp_path):
    path = tmp_path / "a.json"
    short = ("--minutes", "0.5")
    code = RUN.format(
        cells=("lstm",),
        classes=("float32",),
        path=str(path),
        arguments=list(short),
        more="import os\ngpu_recurrence.measured = lambda *a, **k: os._exit(5)",
    )
    on_the_fake(forks, code, ok=False)
    found = json.loads(path.read_text(encoding="utf-8"))
    assert "cut_off" in found["rows"][0]
    assert found["groups"] == {}
    on_the_fake(forks, code, ok=False)
    found = json.loads(path.read_text(encoding="utf-8"))
    assert "cut_off" not in found["rows"][0]
    assert found["groups"]["float32"]["failed"] == 1


def test_an_account_that_fails_costs_no_times(monkeypatch):
    def fails(*_):
        raise KeyError("x")

    monkeypatch.setattr(gpu_recurrence.engine, "explain_scan", fails)
    line = Line("gru", TINY, "float32")
    told = gpu_recurrence.executor(line, gpu_peers.problem(line), "numpy")
    assert told == ["not told: KeyError: 'x'"]


def test_times_of_the_fake_do_not_reach_the_results(forks):
    assert "are kept only in a file" in on_the_fake(
        forks, "from benchmarks import recurrence\nrecurrence.main(['--device', 'cupy'])", ok=False
    )
    assert devices.result_name("eager", "numpy") == "eager"


def test_a_device_that_there_is_not_ends_with_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        devices.parsed("eager", None, ["--device", "tpu"])
    assert stop.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("eager: ")
    assert "'tpu'" in line


def test_results_are_kept_only_for_the_same_source_and_gpu(tmp_path):
    path, key = tmp_path / "new" / "a.json", {"source": "1", "gpu": "x", "versions": {}}
    assert gpu_record.earlier(path, key) == {"key": key, "finished": False}
    gpu_record.save(path, {"key": key, "finished": True})
    assert gpu_record.earlier(path, key)["finished"]
    assert not gpu_record.earlier(path, {**key, "source": "2"})["finished"]
    assert [one.name for one in path.parent.iterdir()] == ["a.json"]


def test_the_digest_of_the_source_changes_with_any_file_of_it(tmp_path):
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "a.py").write_text("x = 1")
    before = gpu_record.source(["engine"], tmp_path)
    assert before == gpu_record.source(["engine"], tmp_path)
    (tmp_path / "engine" / "a.json").write_text("1")
    assert before == gpu_record.source(["engine"], tmp_path)
    (tmp_path / "engine" / "b.cu").write_text("y")
    assert before != gpu_record.source(["engine"], tmp_path)
