"""Run every benchmark with `--device` on the fake of CuPy at small sizes, in processes apart."""

import json

import pytest

from tests.devices import FAKE
from tests.draws import slow_beside
from tests.forks import Forks

BENCHMARKS = ("eager", "recurrence", "executors", "char_rnn", "tasks", "pictures")
DRAWING = ("matplotlib.pyplot", "viz")  # that most of them import, which takes a second

ALLOWED = """
import sys
from pathlib import Path
from benchmarks import devices, measuring
devices.result_name = lambda name, device: name if devices.on_host(device) else f"gpu/{{name}}"
measuring.RESULTS = Path({folder!r})
from benchmarks import {name}
{code}
"""


SMALL_JOB = """
from functools import partial
from examples import char_rnn as example
example.sample_text = partial(example.sample_text, length=40)
parse = example.parse
small = ["--text", f"{measuring.RESULTS}/text.txt", "-T", "8", "--batch", "4", "--hidden", "8"]
example.parse = lambda own: parse([*own, *small, "--updates", "2"])
"""


@pytest.fixture(scope="module")
def hosts():
    """Yield a process that finds no CuPy of the tests."""
    with Forks(imports=DRAWING) as opened:
        yield opened


@pytest.fixture(scope="module")
def forks():
    """Yield a process that finds the fake of CuPy."""
    with Forks(FAKE, imports=DRAWING) as opened:
        yield opened


def run(forks, name, *arguments):
    """Run a benchmark as `python -m` does."""
    return forks.run(
        f"import runpy, sys\nsys.argv = {[name, *arguments]}\n"
        f"runpy.run_module('benchmarks.{name}', run_name='__main__', alter_sys=True)"
    )


def result(forks, tmp_path, name, code):
    """Return the result of a benchmark that may write what it finds on the fake."""
    done = forks.run(ALLOWED.format(folder=str(tmp_path), name=name, code=code))
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"gpu", "text.txt"}
    found = json.loads((tmp_path / "gpu" / f"{name}.json").read_text(encoding="utf-8"))
    assert found["machine"]["gpu"]["fake"]
    return found


@slow_beside("benchmarks/test_gpu_benchmark.py::test_a_device_that_there_is_not_ends_with_one_line")
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_device_that_there_is_not_ends_a_benchmark_with_one_line(name, hosts):
    done = run(hosts, name, "--device", "tpu")
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{name}: ")
    assert "'tpu'" in line


@pytest.mark.parametrize("name", [one for one in BENCHMARKS if one != "recurrence"])
def test_times_of_the_fake_are_not_written(name, forks):
    done = run(forks, name, "--device", "cupy")
    assert done.returncode == 1
    assert done.stderr == f"{name}: CuPy is a fake here; its times are not written\n"


def test_eager_ops_on_a_device(forks, tmp_path):
    found = result(forks, tmp_path, "eager", "eager.OPS = 30\neager.main(['--device', 'cupy'])")
    assert found["microseconds_per_op"]["bptt"] > 0
    assert {"autograd", "mygrad"} <= set(found["not_installed"])
    assert "on a GPU" in found["what"]


def test_executors_on_a_device(forks, tmp_path):
    (tmp_path / "text.txt").write_text("To be, or not to be.\n" * 200, encoding="utf-8")
    code = (
        SMALL_JOB
        + """
executors.SHAPES, executors.CELLS, executors.UPDATES = [(3, 2, 3, 4)], ("gru",), 2
executors.main(['--device', 'cupy'])"""
    )
    found = result(forks, tmp_path, "executors", code)
    (row,) = found["rows"]
    assert set(row["milliseconds"]) == {"explicit", "chosen"}
    assert set(found["main_job"]) == {
        "explicit_milliseconds_per_update", "chosen_milliseconds_per_update"}  # fmt: skip


def test_pictures_of_a_network_on_a_device(forks, tmp_path):
    code = "pictures.SIZES = (40,)\npictures.main(['--device', 'cupy'])"
    found = result(forks, tmp_path, "pictures", code)
    assert [row["level"] for row in found["large"]] == ["cell", "op"]
    assert all(row["boxes"] >= 40 and row["seconds"]["norms"] > 0 for row in found["large"])


def test_the_character_model_on_a_device_leaves_the_pictures_of_the_docs(forks, tmp_path):
    (tmp_path / "text.txt").write_text("To be, or not to be.\n" * 200, encoding="utf-8")
    code = (
        SMALL_JOB
        + """
char_rnn.PICTURES = Path("no such folder")
char_rnn.main(["--device", "cupy"])"""
    )
    found = result(forks, tmp_path, "char_rnn", code)
    assert found["updates"] == 2
    assert found["seconds"] > 0


def test_tasks_on_a_device(forks, tmp_path):
    code = """
tasks.SEEDS = (0,)
tasks.TASKS = (tasks.TASKS[0]._replace(arguments=("--steps", "3")),)
tasks.main(["--device", "cupy"])"""
    found = result(forks, tmp_path, "tasks", code)
    (row,) = found["rows"]
    (run,) = row["runs"]
    assert run["figures"]["nats"] < run["figures"]["before"]
    assert run["steps"] == 3
