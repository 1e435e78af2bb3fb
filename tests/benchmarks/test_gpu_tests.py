"""Merge the outcomes of device tests, the parts of `make gpu`, and test the plugin that writes
them.
"""

import json
import os
import sys
from pathlib import Path

import pytest

from benchmarks import gpu_test_part, gpu_tests
from benchmarks.gpu_processes import Ended, ran
from tests import ROOT
from tests.draws import first

KEY = {"source": "1", "gpu": "x", "versions": {}}


TESTS = """
import os, pytest
def test_right(): pass
def test_wrong(): assert 1 == 2
@pytest.mark.skip(reason="not here")
def test_skipped(): pass
@pytest.mark.xfail
def test_expected(): assert False
@pytest.fixture
def broken(): yield; raise ValueError("at the end")
def test_torn(broken): pass
def test_last(): {last}
"""


def pytest_run(tmp_path, *, last="pass", leave_out=(), more=()):
    """Return the outcomes that the plugin writes for a small file of tests."""
    (tmp_path / "test_it.py").write_text(TESTS.format(last=last), encoding="utf-8")
    (tmp_path / "test_unread.py").write_text("import no_such_module", encoding="utf-8")
    outcomes, out = tmp_path / "outcomes", tmp_path / "leave_out"
    out.write_text(json.dumps(list(leave_out)), encoding="utf-8")
    outcomes.write_text("", encoding="utf-8")
    found = ran([sys.executable, "-m", "pytest", "-q", "-p", "benchmarks.gpu_tests", "-p",
                 "no:cacheprovider", "--continue-on-collection-errors", "--rootdir", str(tmp_path),
                 "-c", os.devnull, f"--outcomes={outcomes}", f"--leave-out={out}", *more,
                 str(tmp_path)], 60)  # fmt: skip
    lines = gpu_test_part.lines(outcomes)
    return found, {line["test"].rpartition("::")[2]: line for line in lines}


@pytest.mark.parametrize("more", first(1, [["-n", "1"], []]))
def test_the_plugin_writes_every_outcome_and_why(tmp_path, more):
    run, found = pytest_run(tmp_path, more=more)
    assert run.status == 1, run.output
    assert {name: one["outcome"] for name, one in found.items()} == {
        "test_right": "passed", "test_wrong": "failed", "test_skipped": "skipped",
        "test_expected": "xfailed", "test_torn": "failed", "test_last": "passed",
        "test_unread.py": "not collected"}  # fmt: skip
    assert "assert 1 == 2" in found["test_wrong"]["why"]
    assert "not here" in found["test_skipped"]["why"]
    assert "no_such_module" in found["test_unread.py"]["why"]


def test_what_was_finished_is_left_out_and_what_was_cut_off_is_known(tmp_path):
    done = [f"test_it.py::test_{name}" for name in ("right", "wrong", "torn", "expected")]
    run, found = pytest_run(tmp_path, last="os._exit(9)", leave_out=done)
    assert run.status == 9
    assert found["test_last"]["outcome"] == "begun"
    assert not {"test_right", "test_wrong"} & set(found)


def test_outcomes_of_two_runs_are_merged():
    def line(test, outcome, why=""):
        return {"test": test, "outcome": outcome, "why": why}

    first = gpu_test_part.merged({}, [
        line("a", "begun"), line("a", "passed"), line("a", "failed", "at its end"),
        line("b", "begun"), line("c", "begun"), line("d", "failed", "first"),
        line("d", "failed", "crashed"), line("d", "passed"),
    ], lost=False)  # fmt: skip
    assert {name: one["outcome"] for name, one in first.items()} == {
        "a": "failed", "b": gpu_test_part.CUT_OFF, "c": gpu_test_part.CUT_OFF,
        "d": "failed"}  # fmt: skip
    assert first["d"]["why"] == "first"
    again = [line("b", "begun"), line("c", "begun"), line("c", "passed")]
    second = gpu_test_part.merged(first, again, lost=False)
    assert (second["b"]["outcome"], second["c"]["outcome"]) == (gpu_test_part.HANGS, "passed")
    lost = gpu_test_part.merged({}, [line("e", "begun")], lost=True)
    assert lost["e"] == {"outcome": "failed", "why": "the device answers no more"}


def test_missing_packages_are_said_apart_from_failures():
    def one(outcome, why=""):
        return {"outcome": outcome, "why": why}

    known = {"a": one("passed"), "b": one("skipped", "no GPU"), "c": one("xfailed"),
             "d": one("not collected", "ModuleNotFoundError: No module named 'graphviz'"),
             "e": one("not collected", "SyntaxError"), "f": one(gpu_test_part.HANGS),
             "g": one("failed", "ModuleNotFoundError: No module named 'x'")}  # fmt: skip
    found = gpu_test_part.counted({"finished": True}, known)
    assert set(found["packages_missing"]) == {"d"}
    assert set(found["not_passed"]) == {"e", "f", "g"}
    assert found["counts"]["not collected"] == 2
    assert found["skipped_because"] == {"no GPU": 1}
    assert gpu_test_part.counted({"finished": False}, known)["tests"] == known


def test_a_device_that_is_lost_ends_the_process_of_the_tests(tmp_path):
    (tmp_path / "cupy.py").write_text(
        "class cuda:\n    class runtime:\n        @staticmethod\n"
        "        def deviceSynchronize(): raise RuntimeError('illegal address')\n"
    )
    (tmp_path / "test_lost.py").write_text(
        "import cupy\ndef test_a(): assert False\ndef test_b(): pass\n", encoding="utf-8"
    )
    outcomes = tmp_path / "outcomes"
    found = ran([sys.executable, "-m", "pytest", "-q", "-p", "benchmarks.gpu_tests", "-c",
                 os.devnull, f"--outcomes={outcomes}", str(tmp_path / "test_lost.py")], 60,
                {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])})  # fmt: skip
    assert found.status == gpu_tests.STATUS_LOST
    assert [line["outcome"] for line in gpu_test_part.lines(outcomes)] == ["begun", "failed"]


def test_a_test_that_loses_the_device_is_failed_and_the_others_run(monkeypatch, tmp_path):
    runs = []

    def run(command, seconds, env=None):
        arguments = dict(one.split("=") for one in command if one.startswith("--") and "=" in one)
        left_out = json.loads(Path(arguments["--leave-out"]).read_text(encoding="utf-8"))
        runs.append(left_out)
        lines = [("a", "begun"), ("a", "failed")] if len(runs) == 1 else [("b", "passed")]
        text = "".join(json.dumps({"test": t, "outcome": o}) + "\n" for t, o in lines)
        Path(arguments["--outcomes"]).write_text(text, encoding="utf-8")
        return Ended(gpu_tests.STATUS_LOST if len(runs) == 1 else 0, "")

    monkeypatch.setattr(gpu_test_part, "ran", run)
    gpu_test_part.run("ops", tmp_path / "a.json", KEY, 60)
    found = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert runs == [[], ["a"]]
    assert found["finished"]
    assert found["counts"] == {"failed": 1, "passed": 1}
    assert set(found["not_passed"]) == {"a"}
    assert "tests" not in found


def test_every_file_with_a_device_is_in_one_group_and_executors_come_first():
    first, ops = gpu_test_part.files("recurrences"), gpu_test_part.files("ops")
    assert not set(first) & set(ops)
    assert "tests/engine/ops/test_ops.py" in ops
    assert first.index("tests/engine/test_gpu.py") < first.index("tests/rnn/cells/test_cells.py")
    scan, autograd = "tests/engine/scan/test_scan.py", "tests/engine/test_autograd.py"
    assert first.index(scan) < first.index(autograd)
    for path in (ROOT / "tests").rglob("test_*.py"):
        if "cupy" in path.read_text(encoding="utf-8"):
            assert path.relative_to(ROOT).as_posix() in [*first, *ops]
