"""Test `make gpu`: its parts, their files, and how it treats programs that fail or never end.

Whole runs find the fake of CuPy on their path and write into a folder of the test.
"""

import json
import os
import subprocess
import sys
import time
from functools import partial

import pytest

from benchmarks import (
    gpu_record,
    gpu_recurrence,
    gpu_sanitizer,
    gpu_small_runs,
    gpu_verdict,
)
from benchmarks.gpu_processes import Ended, ran, tail
from tests import ROOT
from tests.devices import FAKE
from tests.forks import Forks

KEY = {"source": "1", "gpu": "x", "versions": {}}


@pytest.fixture(scope="module")
def forks():
    """Yield a process that finds the fake of CuPy."""
    with Forks(FAKE) as opened:
        yield opened


def run_gpu(forks, *arguments):
    """Run the benchmark as `python -m benchmarks.gpu` does; return its status and output."""
    done = forks.run(
        f"import runpy, sys\nsys.argv = {['gpu', *arguments]}\n"
        "runpy.run_module('benchmarks.gpu', run_name='__main__', alter_sys=True)"
    )
    return done.returncode, done.stdout + done.stderr


def in_process(code):
    """Return the status and the output of a program in a process of its own."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, text=True,
                          capture_output=True, timeout=300)  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_engine_rnn_and_the_benchmark_of_a_gpu_need_no_viz():
    code = """
import sys
sys.modules["graphviz"] = sys.modules["viz"] = None
import engine, rnn
from benchmarks import gpu, recurrence, gpu_small_runs, gpu_tests
print(sorted({"graphviz", "torch", "jax", "matplotlib"} & {n for n, m in sys.modules.items() if m}))
"""
    assert in_process(code) == (0, "[]\n")


def test_pictures_need_the_package_graphviz_only_for_dot(tmp_path):
    code = f"""
import sys
sys.modules["graphviz"] = None
import engine, viz
diagram = viz.draw_unrolled(engine.sum(engine.asarray([1.0, 2.0], requires_grad=True) ** 2))
for kind in ("svg", "html", "png", "json"):
    diagram.render("{tmp_path}/a." + kind)
try:
    diagram.render("{tmp_path}/a.dot")
except ImportError as error:
    print(error)
"""
    status, output = in_process(code)
    assert status == 0, output
    assert "graphviz" in output
    assert {"a.svg", "a.html", "a.png", "a.json"} <= {path.name for path in tmp_path.iterdir()}


def test_make_gpu_runs_by_the_python_of_the_machine():
    command = ["make", "--no-print-directory", "-n", "gpu", "PYTHON=py", "ARGS=--minutes 4"]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=True)
    assert done.stdout == "py -m benchmarks.gpu --minutes 4\n"


def test_the_fake_writes_nothing_into_the_results(forks):
    status, output = run_gpu(forks)
    assert status == 1
    assert "CuPy is a fake here" in output


def test_parts_are_kept_and_not_run_again(forks, tmp_path):
    run = ("--out", str(tmp_path), "--minutes", "2", "--only", "environment")
    status, output = run_gpu(forks, *run)
    assert status == 0, output
    assert "environment: up to 18 s" in output
    found = json.loads((tmp_path / "environment.json").read_text(encoding="utf-8"))
    assert found["finished"]
    assert found["step"]["right"]
    assert found["machine"]["gpu"]["fake"]
    assert {"nvcc", "compute-sanitizer"} <= set(found["programs"])
    assert [path.name for path in tmp_path.iterdir()] == ["environment.json"]
    status, again = run_gpu(forks, *run)
    assert status == 0
    assert "up to" not in again
    assert "environment: one step right" in again
    assert "recurrence_grid: not run" in again
    assert "up to" in run_gpu(forks, *run, "--again")[1]


def test_a_program_that_never_ends_is_ended_with_its_children(tmp_path):
    late = f"import time; time.sleep(1.5); open({str(tmp_path / 'late')!r}, 'w')"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {late!r}])"
    assert ran([sys.executable, "-c", code], 1.0).status is None
    time.sleep(1.5)
    assert not (tmp_path / "late").exists()
    assert ran([sys.executable, "-c", "print('said'); raise SystemExit(7)"], 60) == Ended(
        7, "said\n"
    )
    assert ran([sys.executable, "-c", late], 60).status == 0
    assert (tmp_path / "late").exists()


def test_the_tail_of_an_output_begins_with_a_line():
    assert tail("short") == "short"
    text = "\n".join(f"line {i}" for i in range(1000))
    assert tail(text).startswith("line ")
    assert text.endswith(tail(text))


MEMCHECK = """{"cell": "lstm", "right": true, "executor": "l0: device: runs it"}
========= Invalid __global__ read of size 4 bytes
=========     at step+0x10 in kernel.cu
========= ERROR SUMMARY: 2 errors
"""
RACECHECK = "========= RACECHECK SUMMARY: 3 hazards displayed (1 error, 2 warnings)\n"


def test_findings_of_the_sanitizer():
    found = gpu_sanitizer.findings(Ended(9, MEMCHECK))
    assert (found["errors"], found["ended"]) == (2, True)
    assert found["runs"][0]["executor"] == "l0: device: runs it"
    assert len(found["reports"]) == 3
    assert gpu_sanitizer.findings(Ended(9, RACECHECK))["errors"] == 3
    clean = gpu_sanitizer.findings(Ended(0, "========= ERROR SUMMARY: 0 errors\n"))
    assert (clean["errors"], clean["output"]) == (0, "")
    refused = gpu_sanitizer.findings(Ended(1, "========= Error: Device not supported\n"))
    assert (refused["errors"], refused["ended"]) == (None, True)
    assert not gpu_sanitizer.findings(Ended(None, ""))["ended"]


def test_every_tool_runs_once_under_the_sanitizer(monkeypatch, tmp_path):
    commands = []

    def run(command, seconds, env=None):
        commands.append(command[2])
        late = command[2] == "racecheck" and len(commands) < 4
        return Ended(None if late else 0, "========= ERROR SUMMARY: 0 errors\n")

    monkeypatch.setattr(gpu_sanitizer, "ran", run)
    monkeypatch.setattr(gpu_sanitizer.shutil, "which", lambda name: f"/bin/{name}")
    path = tmp_path / "a.json"
    gpu_sanitizer.run(path, KEY, 60)
    assert not gpu_record.earlier(path, KEY)["finished"]
    gpu_sanitizer.run(path, KEY, 60)
    found = gpu_record.earlier(path, KEY)
    assert found["finished"]
    assert commands == ["memcheck", "racecheck", "synccheck", "racecheck"]
    assert gpu_verdict.right(found)


def test_without_the_sanitizer_the_part_is_not_right(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu_sanitizer.shutil, "which", lambda name: None)
    gpu_sanitizer.run(tmp_path / "a.json", KEY, 60)
    found = gpu_record.earlier(tmp_path / "a.json", KEY)
    assert found["finished"]
    assert not gpu_verdict.right(found)
    assert "there is no compute-sanitizer" in gpu_verdict.verdict(found)


def test_small_runs_say_what_is_wrong(monkeypatch):
    monkeypatch.setattr(gpu_small_runs, "DEVICE", "numpy")
    lengths = gpu_small_runs.with_lengths()
    assert lengths["right"]
    line = gpu_recurrence.Line("gru", (3, 5, 7, 33), "float32")
    right = gpu_small_runs.tried(partial(gpu_small_runs.one, line))
    assert right["right"]
    assert right["executor"].endswith("runs it")
    monkeypatch.setitem(gpu_recurrence.TOLERANCES, "float32", right["error"] / 2)
    assert not gpu_small_runs.one(line)["right"]

    def fails(what):
        raise MemoryError("too much")

    found = gpu_small_runs.tried(partial(fails, line))
    assert (found["right"], found["failed"]) == (False, "MemoryError: too much")
    assert "gru" in found["cell"]


def test_a_line_of_the_benchmark_that_ends_its_process_does_not_end_the_part(monkeypatch, tmp_path):
    from benchmarks import gpu

    statuses = [-14, gpu_recurrence.STATUS_LOST, 0]
    monkeypatch.setattr(gpu, "ran", lambda command, seconds: Ended(statuses.pop(0), "said\n"))
    gpu.recurrence("anchors", tmp_path / "a.json", KEY, 60)
    assert statuses == []
    assert gpu_record.earlier(tmp_path / "a.json", KEY)["output"] == "said\n" * 3


@pytest.mark.parametrize(("found", "right", "words"), [
    ({"step": {"right": True, "error": 1e-7, "executor": "l0: c: runs it"}}, True,
     "one step right; error 1.0e-07, l0: c: runs it"),
    ({"step": {"right": False, "failed": "KeyError: x"}}, False, "WRONG; KeyError: x"),
    ({"counts": {"passed": 3, "failed": 1}, "not_passed": {"a": {}}}, False, "1 failed; 3 passed"),
    ({"counts": {"passed": 3}, "not_passed": {}}, True, "3 passed"),
    ({"tools": {"memcheck": {"errors": None, "status": 1}}}, False, "memcheck: no summary"),
    ({"tools": {"memcheck": {"errors": 2, "status": 9}}}, False, "memcheck: 2 errors"),
    ({"tools": {"memcheck": {"errors": 0, "status": 1, "runs": [{"right": False}]}}}, False,
     "memcheck: 0 errors, 1 runs wrong"),
    ({"groups": {"tf32": {"lines": 2, "failed": 0, "geometric_mean": 1.5, "worst": 1.25}}}, True,
     "tf32: 2 lines, 0 failed, best peer / bptt 1.50, worst 1.25"),
    ({"groups": {"tf32": {"lines": 2, "failed": 1, "geometric_mean": None, "worst": None}}}, False,
     "1 failed, no ratios"),
])  # fmt: skip
def test_the_verdict_of_a_part(found, right, words):
    assert gpu_verdict.right({"key": KEY, "finished": True, **found}) == right
    assert words in gpu_verdict.verdict({"key": KEY, "finished": True, **found})
    unfinished = {"key": KEY, "finished": False, **found}
    assert not gpu_verdict.right(unfinished)
    assert gpu_verdict.verdict(unfinished).startswith("not finished; ")
    assert gpu_verdict.verdict({"key": KEY, "finished": False}) == "not run"
