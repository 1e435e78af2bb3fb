"""Test the benchmark of recurrences on the CPU: its processes, checks, choices and tables."""

import json
import mmap
import shutil
import subprocess

import numpy as np
import pytest

from benchmarks import (
    cells,
    first_use,
    measuring,
    recurrence,
    recurrence_problem,
    recurrence_side,
    recurrence_steady,
    recurrence_tables,
    recurrence_turns,
    tables,
)

SHAPE = (4, 2, 3, 5)
TINY = ["--cells", "lstm", "--shapes", "4,2,3,5", "--threads"]


@pytest.fixture(autouse=True)
def results(monkeypatch, tmp_path):
    monkeypatch.setattr(measuring, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def exact(tmp_path):
    recurrence_problem.write_exact("lstm", SHAPE, tmp_path / "exact.npz")
    return tmp_path / "exact.npz"


@pytest.fixture(scope="module")
def process():
    """Yield a process of ours, between two shapes."""
    with recurrence_turns.Process(recurrence_side.OURS, "lstm", 1) as opened:
        yield opened


def run(path, *arguments):
    recurrence.main([*arguments, "--into", str(path)])
    return json.loads(path.read_text(encoding="utf-8"))


def test_a_line_without_peers_says_that_there_is_nothing_to_compare_with(
    monkeypatch, tmp_path, capsys, results
):
    monkeypatch.setattr(recurrence_side, "installed", lambda package: False)
    monkeypatch.setattr(recurrence_steady, "SPREAD", (SHAPE,))
    monkeypatch.setattr(recurrence_steady, "PROCESSES", 2)
    result = run(tmp_path / "a.json", *TINY, "1")
    assert "there is nothing to compare with" in capsys.readouterr().out
    (line,) = result["rows"]
    assert line["milliseconds"].keys() == {"bptt"}
    assert line["milliseconds"]["bptt"] > 0
    assert line["page_faults_a_step"] >= 0
    assert line["system_milliseconds_a_step"] >= 0
    assert line["best_peer"] is line["ratio"] is None
    (spread,) = result["spread"]
    assert len(spread["milliseconds"]) == 2
    assert spread["min"] <= spread["median"] <= spread["max"]
    assert result["beside"] == result["first_use"] == []
    assert result["groups"] == {}
    assert not results.exists()
    assert "not compared" in recurrence_tables.lines(result)[-1]
    assert recurrence_tables.spread(result)[-1].startswith("| lstm | 4, 2, 3, 5 | 1 | 2 | ")


def test_a_line_beside_torch(monkeypatch, tmp_path):
    pytest.importorskip("torch")
    own = recurrence_side.Side(("torch.nn",), "torch", forks=True)
    monkeypatch.setattr(recurrence_side, "PEERS", (own,))
    monkeypatch.setattr(recurrence_steady, "BESIDE", (SHAPE,))
    monkeypatch.setattr(recurrence_steady, "ROUNDS", 2)
    monkeypatch.setattr(recurrence_turns, "ROUNDS", 3)
    result = run(tmp_path / "a.json", *TINY, "2")
    (line,) = result["rows"]
    assert line["best_peer"] == "torch.nn"
    least, most = line["ratio_least_and_most"]
    assert 0 < least <= line["ratio"] <= most
    assert line["milliseconds"].keys() == {"torch.nn", "bptt"}
    assert result["groups"].keys() == {"built-in; 2 threads"}
    assert "torch" in result["machine"]["versions"]
    (beside,) = result["beside"]
    assert min(beside["ratio"], beside["beside_milliseconds"], beside["alone_milliseconds"]) > 0
    assert recurrence_tables.beside(result)[-1].startswith("| lstm | 4, 2, 3, 5 | 2 | ")
    assert "torch.nn" in recurrence_tables.lines(result)[-1]


def test_wrong_gradients_are_not_timed(exact, process):
    with np.load(exact) as right:
        wrong = [right[name] for name in right]
    wrong[1] = wrong[1] * 1.001
    np.savez(exact, *wrong)
    found = process.open(SHAPE, exact)
    assert found.keys() == {"bptt"}
    assert found["bptt"].keys() == {"failed"}
    assert "AssertionError" in found["bptt"]["failed"]
    process.close()
    with pytest.raises(RuntimeError, match="AssertionError"):
        recurrence_turns.line(SHAPE, 1, exact, [process])
    process.close()


def test_one_process_answers_for_several_shapes(exact, process, tmp_path):
    other = (3, 1, 2, 4)
    recurrence_problem.write_exact("lstm", other, tmp_path / "other.npz")
    for shape, path in ((SHAPE, exact), (other, tmp_path / "other.npz")):
        assert process.open(shape, path)["bptt"]["milliseconds"] > 0
        assert process.turn("bptt", 2)["milliseconds"] > 0
        process.close()


def test_gradients_that_are_missing_are_an_error(exact):
    job = recurrence_problem.ours("lstm", recurrence_problem.problem("lstm", SHAPE))
    recurrence_problem.check("all", job(), exact)
    with pytest.raises(ValueError, match="zip"):
        recurrence_problem.check("one less", job()[:-1], exact)


def test_a_process_that_fails_is_an_error_that_says_why(tmp_path):
    process = recurrence_turns.Process(recurrence_side.OURS, "no_cell", 1)
    with process, pytest.raises(RuntimeError, match=r"(?s)bptt, no_cell: .*KeyError"):
        process.open(SHAPE, tmp_path)


class Scripted:
    """Answer as a process would, with answers given beforehand."""

    cell = "lstm"

    def __init__(self, first, turns):
        self.first, self.turns, self.asked = first, turns, []

    def open(self, shape, exact):
        return self.first

    def turn(self, way, steps, warm_ups):
        self.asked.append((way, steps, warm_ups))
        taken = self.turns[way]
        return {"milliseconds": taken[sum(one[0] == way for one in self.asked) - 1],
                "page_faults_a_step": 1.0, "system_milliseconds_a_step": 0.0}  # fmt: skip

    def close(self):
        self.asked.append("closed")


def test_sides_are_measured_in_turn_and_far_ones_once(monkeypatch):
    monkeypatch.setattr(recurrence_turns, "ROUNDS", 3)
    monkeypatch.setattr(recurrence_turns, "ENOUGH", 30.0)
    first = {"a": {"milliseconds": 3.0}, "b": {"milliseconds": 4.0}, "c": {"milliseconds": 9.0},
             "d": {"failed": "no"}}  # fmt: skip
    ours = Scripted({"bptt": {"milliseconds": 2.0}}, {"bptt": [1.0, 2.0, 4.0]})
    peers = Scripted(first, {"a": [2.0, 4.0, 4.0], "b": [4.0, 4.0, 8.0]})
    found = recurrence_turns.line(SHAPE, 1, None, [ours, peers])
    assert ours.asked == [("bptt", 5, 1)] * 3 + ["closed"]
    assert peers.asked == [("a", 3, 1), ("b", 2, 1)] * 3 + ["closed"]
    assert found["milliseconds"] == {"bptt": 2.0, "a": 4.0, "b": 4.0}
    assert (found["best_peer"], found["ratio"]) == ("a", 2.0)
    assert found["ratio_least_and_most"] == [1.0, 2.0]
    assert found["single_run_milliseconds"] == {"c": 9.0}
    assert found["failed"] == {"d": "no"}
    assert found["page_faults_a_step"] == 1.0


def test_a_long_step_needs_none_before_it():
    ours = Scripted({"bptt": {"milliseconds": 400.0}}, {"bptt": [400.0] * recurrence_turns.ROUNDS})
    recurrence_turns.line(SHAPE, 1, None, [ours])
    assert set(ours.asked) == {("bptt", 1, 0), "closed"}


def test_ways_that_cannot_run_a_cell_are_left_out(monkeypatch):
    monkeypatch.setattr(recurrence_side, "installed", lambda package: True)
    ways = {cell: {way for side in recurrence_side.peers(cell) for way in side.ways}
            for cell in cells.STEPS}  # fmt: skip
    loop = {"torch loop of cells"}
    assert ways["lstm"] - ways["projection"] == loop
    assert ways["projection"] - ways["highway"] == {"torch.nn"}
    assert {one for own in cells.GROUPS.values() for one in own} == set(cells.STEPS)


def test_page_faults_of_the_turns_that_count():
    size = 64 * mmap.PAGESIZE
    held = []

    def touch():
        held.append(mmap.mmap(-1, size))
        for page in range(0, size, mmap.PAGESIZE):
            held[-1][page] = 1

    assert measuring.alone(touch)["page_faults_a_step"] >= 64
    assert measuring.alone(lambda: None)["page_faults_a_step"] < 64
    order = []
    measuring.alone(lambda: order.append("job"), rounds=2, warm_ups=1,
                    before=lambda: order.append("before"))  # fmt: skip
    assert order == ["before", "job"] * 3


def test_the_spread_of_medians():
    found = recurrence_steady.over([2.0, 1.0, 4.0])
    assert (found["min"], found["median"], found["max"], found["spread"]) == (1.0, 2.0, 4.0, 1.5)


def test_groups_are_distinguished_by_levels_and_threads():
    rows = [{"cell": cell, "threads": threads, "ratio": ratio}
            for cell, threads, ratio in (("gru", 1, 2.0), ("gru", 1, 0.5), ("gru", 2, 3.0),
                                         ("highway", 1, 4.0), ("peephole", 1, None))]  # fmt: skip
    found = recurrence.groups(rows)
    assert list(found) == ["built-in; 1 thread", "built-in; 2 threads",
                           "user-written, two levels; 1 thread"]  # fmt: skip
    assert found["built-in; 1 thread"] == {"geometric_mean": pytest.approx(1.0), "worst": 0.5,
                                           "losses": 1, "lines": 2}  # fmt: skip


def test_only_a_whole_run_is_written_unasked(monkeypatch, results):
    line = {"cell": "gru", "threads": 1, "best_peer": "jax scan", "ratio": 2.0}
    monkeypatch.setattr(recurrence, "grid", lambda *_: [line])
    monkeypatch.setattr(recurrence_steady, "SPREAD", ())
    monkeypatch.setattr(recurrence_steady, "BESIDE", ())
    monkeypatch.setattr(first_use, "measure", lambda: [{"cell": "lstm"}])
    monkeypatch.setattr(recurrence_side, "installed", lambda package: False)
    for part in (["--cells", "gru"], ["--shapes", "4,2,3,5"], ["--threads", "1"]):
        recurrence.main(part)
    assert not results.exists()
    recurrence.main([])
    (path,) = results.iterdir()
    found = json.loads(path.read_text(encoding="utf-8"))
    assert path.name == "recurrence.json"
    assert found["groups"].keys() == {"built-in; 1 thread"}
    assert {"commit", "date", "machine", "spread", "beside", "first_use", "minutes"} <= set(found)


@pytest.mark.parametrize("options", [["--help"], ["--cells", "no_cell"], ["--shapes", "1,2,3"],
                                     ["--shapes", "1,2,3,0"]])  # fmt: skip
def test_help_and_wrong_options_write_nothing(options, results, capsys):
    with pytest.raises(SystemExit) as ended:
        recurrence.main(options)
    assert ended.value.code == (0 if options == ["--help"] else 2)
    assert not results.exists()
    assert "--into" in "".join(capsys.readouterr())


def test_cpu_seconds_of_a_first_use_are_those_of_all_its_processes(monkeypatch, tmp_path):
    busy = "import time\nwhile time.process_time() < 0.4: pass"
    code = f"import os, subprocess, sys\nsubprocess.run([sys.executable, '-c', {busy!r}])\n"
    asserts = "assert os.environ['XDG_CACHE_HOME'] == {cell!r}"
    monkeypatch.setattr(first_use, "STEP", code + asserts)
    assert first_use.cpu_seconds(str(tmp_path), str(tmp_path)) > 0.4
    monkeypatch.setattr(first_use, "STEP", "raise SystemExit(3)")
    with pytest.raises(RuntimeError, match="lstm ended with status"):
        first_use.cpu_seconds("lstm", str(tmp_path))


def test_first_use_is_what_the_kernels_cost(monkeypatch):
    seen = []

    def cpu_seconds(cell, cache):
        seen.append(cell)
        return 3.0 if seen.count(cell) % 2 else 1.0

    monkeypatch.setattr(first_use, "cpu_seconds", cpu_seconds)
    rows = first_use.measure()
    assert [row["cell"] for row in rows] == list(first_use.CELLS)
    assert {row["first_use_cpu_seconds"] for row in rows} == {2.0}
    assert "| lstm | empty | 3.00 | 1.00 | 2.00 |" in recurrence_tables.first_use(
        {"first_use": rows}
    )


def test_tables_name_commit_and_date(monkeypatch, tmp_path):
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    machine = {"processor": "p", "cores": 1, "python": "3", "versions": {"q": "4"}}
    group = {"lines": 1, "geometric_mean": 1.0, "worst": 1.0, "losses": 0}
    result = {"what": "w", "machine": machine, "commit": "abc1234+", "date": "2026-01-02",
              "groups": {"all": group}}  # fmt: skip
    path = tmp_path / "recurrence.json"
    path.write_text(json.dumps(result), encoding="utf-8")
    assert tables.table("recurrence_groups").endswith("; commit abc1234+, 2026-01-02.")
    path.write_text(json.dumps({**result, "commit": None}), encoding="utf-8")
    assert tables.table("recurrence_groups").endswith(", q 4; 2026-01-02.")


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_the_commit_says_whether_source_has_changed(monkeypatch, tmp_path):
    monkeypatch.setattr(measuring, "ROOT", tmp_path)
    assert measuring.commit() is None

    def git(*arguments):
        own = ("-c", "user.name=a", "-c", "user.email=a@b")
        return subprocess.run(["git", *own, *arguments], cwd=tmp_path, check=True, text=True,
                              capture_output=True).stdout  # fmt: skip

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "first")
    head = git("rev-parse", "--short", "HEAD").strip()
    (tmp_path / "result.json").write_text("{}", encoding="utf-8")
    assert measuring.commit() == head
    (tmp_path / "source.py").write_text("", encoding="utf-8")
    assert measuring.commit() == head + "+"


def test_the_geometric_mean():
    assert measuring.geometric([1.0, 4.0]) == pytest.approx(2.0)
