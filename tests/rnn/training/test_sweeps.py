"""Test sweeps: the settings that are tried, their executors, their file, and their early ends."""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib.util import find_spec
from multiprocessing import get_context

import numpy as np
import pytest

import engine
import rnn
from rnn import sweeps
from rnn.sweeps.records import Records
from rnn.sweeps.running import run_trial
from rnn.sweeps.space import Space
from tests import ROOT
from tests.draws import first
from tests.rnn.training import small_sweep
from tests.rnn.training.small_sweep import SAMPLES, SPACE, train

COUNT = 2 * SAMPLES


def swept(f, space, **options):
    """Run a sweep in threads."""
    with ThreadPoolExecutor(3) as executor:
        return rnn.sweep(f, space, executor=executor, **options)


@pytest.fixture(scope="module")
def expected():
    """Run the trials one by one, without a sweep."""
    found = {}
    for trial in swept(lambda config: 0.0, SPACE, samples=SAMPLES).trials:
        with engine.random.isolated(trial.seed):
            try:
                given = train(json.loads(json.dumps(trial.config)))
                found[trial.number] = {name: float(x) for name, x in given.items()}
            except ValueError:
                found[trial.number] = {}
    return found


def check(trials, expected):
    """Check that trials gave what was expected of each."""
    assert {trial.number: trial.metrics for trial in trials} == expected
    assert [trial.error is None for trial in trials] == [bool(x) for x in expected.values()]
    assert all("ValueError: too small" in t.error for t in trials if t.error)


# ---- settings


def test_a_grid_is_every_combination_with_the_last_setting_fastest():
    found = swept(lambda c: c["a"] * c["b"]["c"], {"a": [1, 2], "b": {"c": (5, 7)}, "d": "x"})
    assert [trial.config for trial in found.trials] == [
        {"a": a, "b": {"c": c}, "d": "x"} for a in (1, 2) for c in (5, 7)
    ]
    assert [trial.metrics["value"] for trial in found.trials] == [5, 7, 10, 14]
    assert len({trial.seed for trial in found.trials}) == 4
    again = swept(lambda c: 0, {"a": range(2), "b": np.linspace(0, 1, 3)}, samples=2)
    assert [tuple(t.config.values()) for t in again.trials] == 2 * [
        (a, b) for a in (0, 1) for b in (0.0, 0.5, 1.0)
    ]


def test_distributions_draw_what_they_say():
    space = Space({
        "u": sweeps.uniform(-1, 3), "l": sweeps.log_uniform(1e-4, 1), "i": sweeps.integers(2, 5),
        "c": sweeps.choice(["a", "b", None]),
    })  # fmt: skip
    drawn = [space.config(3, number) for number in range(2000)]
    u, logs = np.array([c["u"] for c in drawn]), np.log10([c["l"] for c in drawn])
    for values, low, high in ((u, -1, 3), (logs, -4, 0)):
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high >= values.max() > high - 0.01 * (high - low)
        shares = np.histogram(values, 4, (low, high))[0] / len(values)
        np.testing.assert_allclose(shares, 0.25, atol=0.05)  # 5 standard deviations
    assert abs(np.corrcoef(u, logs)[0, 1]) < 0.12
    assert {c["i"] for c in drawn} == {2, 3, 4}
    assert {c["c"] for c in drawn} == {"a", "b", None}


def test_draws_depend_on_seed_number_and_name_alone():
    one = Space({"a": sweeps.uniform(0, 1), "b": sweeps.uniform(0, 1)})
    other = Space({"c": sweeps.uniform(0, 1), "a": sweeps.uniform(0, 1)})
    assert one.config(0, 4)["a"] == other.config(0, 4)["a"]
    assert one.config(0, 4)["a"] != one.config(0, 4)["b"]
    assert len({one.config(seed, n)["a"] for seed in (0, 1) for n in range(9)}) == 18
    assert one.config(0, 0)["a"] == pytest.approx(0.6166097344498506, abs=1e-15)  # always


@pytest.mark.parametrize(("space", "told"), [
    ({}, "must map names of settings to lists"),
    ([1], "must map names of settings to lists"),
    ({"a": []}, "a is an empty list"),
    ({"a": {}}, "a is an empty mapping"),
    ({"a.b": [1]}, "text without dots, got 'a.b'"),
    ({1: [1]}, "text without dots, got 1"),
    ({"cell": [rnn.GRUCell]}, "cell must be a list.*the name of a cell in the place of its class"),
    ({"a": [{"b": 1}]}, "a lists a mapping"),
    ({"a": 1}, "nothing varies"),
    ({"a": sweeps.uniform(0, 1), "b": [1]}, "a is drawn; say how often: samples=20"),
])  # fmt: skip
def test_spaces_that_make_no_sense(space, told):
    with pytest.raises((TypeError, ValueError), match=told):
        swept(lambda c: 0, space)


@pytest.mark.parametrize(("make", "told"), [
    (lambda: sweeps.uniform(1, 1), "uniform: expected finite numbers low < high, got 1 and 1"),
    (lambda: sweeps.log_uniform(0, 1), "log_uniform: expected positive, finite numbers"),
    (lambda: sweeps.integers(1, 2.5), "integers: expected integers low < high, got 1 and 2.5"),
    (lambda: sweeps.choice([]), "choice: expected a list of values"),
    (lambda: sweeps.choice("ab"), "choice: expected a list of values"),
])  # fmt: skip
def test_distributions_that_make_no_sense(make, told):
    with pytest.raises(ValueError, match=told):
        make()


@pytest.mark.parametrize(("options", "told"), [
    ({"samples": 0}, "samples"), ({"seed": -1}, "seed must be"), ({"mode": "up"}, "'min' or 'max'"),
    ({"errors": "ignore"}, "'record' or 'raise'"), ({"workers": 2}, "give max_workers"),
    ({"executor": 3}, "executor must be one of concurrent.futures"), ({"resume": 1}, "resume"),
])  # fmt: skip
def test_arguments_that_make_no_sense(options, told):
    with ThreadPoolExecutor(1) as executor, pytest.raises((TypeError, ValueError), match=told):
        rnn.sweep(lambda c: 0, {"a": [1]}, **{"executor": executor, **options})


# ---- executors


def test_threads_give_what_each_trial_gives_alone(expected):
    with engine.random.isolated(5):
        before = engine.random.random_state()
        check(swept(train, SPACE, samples=SAMPLES).trials, expected)
        assert engine.random.random_state() == before
    assert {bool(x) for x in expected.values()} == {True, False}  # one raises at least


def test_new_processes_give_it_and_more_samples_go_on(expected, tmp_path):
    path = tmp_path / "new" / "sweep.jsonl"
    options = {"samples": SAMPLES, "workers": 2, "path": path}
    found = rnn.sweep(train, SPACE, **options)
    check(found.trials, expected)
    assert not found.interrupted
    read = sweeps.read_sweep(path)
    assert read.trials == found.trials
    assert read.space == found.space
    more = swept(train, SPACE, samples=SAMPLES + 1, path=path, resume=True)
    assert more.trials[:COUNT] == found.trials
    assert len(more.trials) == COUNT + 2
    fewer = rnn.sweep(train, SPACE, samples=1, path=path, resume=True)  # nothing is left to do
    assert fewer.trials == found.trials[:2]


def test_mpi_gives_it(expected, tmp_path):
    mpiexec = shutil.which("mpiexec", path=os.pathsep.join(
        [os.path.dirname(sys.executable), os.environ["PATH"]]))  # fmt: skip
    if find_spec("mpi4py") is None or mpiexec is None:
        pytest.skip("mpi4py or mpiexec is not installed")
    path = tmp_path / "sweep.jsonl"
    done = subprocess.run(
        [mpiexec, "-n", "3", sys.executable, "-m", "mpi4py.futures", "-m", small_sweep.__name__,
         str(path)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    check(sweeps.read_sweep(path).trials, expected)


def test_a_worker_that_is_killed_ends_the_sweep(tmp_path):
    path = tmp_path / "sweep.jsonl"
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        told = r"worker process ended.* has 1 trials: go on with resume=True"
        with pytest.raises(RuntimeError, match=told):
            rnn.sweep(small_sweep.dies, {"x": [0, 1, 2]}, executor=executor, path=path)
    assert [trial.number for trial in sweeps.read_sweep(path).trials] == [0]


class Holder:
    """Hold an object that cannot be sent, in a function."""

    def __init__(self):
        self.lock = threading.Lock()

    def __call__(self, config):
        return 0


def held(config, data):
    return 0


@pytest.mark.parametrize(("f", "told"), [
    (lambda config: 0, r"train, a lambda of .*test_sweeps.py:\d+, cannot be sent"),
    (functools.partial(held, data={"a": [1, lambda: 0]}),
     r"train.keywords\['data'\]\['a'\]\[1\], a lambda"),
    (functools.partial(held, Holder()), r"train.args\[0\].lock, a lock, cannot be sent"),
    (Holder().__call__, r"train.__self__.lock, a lock, cannot"),
])  # fmt: skip
def test_what_cannot_be_sent_is_named_before_anything_starts(f, told, tmp_path):
    path = tmp_path / "sweep.jsonl"
    with pytest.raises(TypeError, match=f"{told}.*top level of a module.*ThreadPoolExecutor"):
        rnn.sweep(f, {"x": [1]}, path=path)
    assert not path.exists()


def script(tmp_path, text, *args):
    """Run a script; return its status and what it says on stderr."""
    (tmp_path / "script.py").write_text(text)
    done = subprocess.run(
        [sys.executable, *(args or ["script.py"])], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


UNGUARDED = """
import rnn
def train(config):
    return 0
rnn.sweep(train, {"x": [1]})
"""


def test_a_script_without_a_guard_gets_an_error(tmp_path):
    status, said = script(tmp_path, UNGUARDED)
    assert status == 1
    assert 'put what the script does below `if __name__ == "__main__":`' in said
    status, said = script(tmp_path, "", "-c", UNGUARDED)
    assert status == 1
    assert "train was written in an interactive session" in said


# ---- trials that raise, metrics that are no numbers


def test_an_error_is_recorded_and_may_stop_the_sweep(tmp_path):
    path, broken = tmp_path / "sweep.jsonl", [True]

    def f(config):
        if config["x"] == 2 and broken:
            raise KeyError("gone")
        return config["x"]

    with pytest.raises(RuntimeError, match=r"trial 1 \(x=2\) raised KeyError: 'gone'\n\nTraceback"):
        swept(f, {"x": [1, 2, 3]}, path=path, errors="raise")
    found = swept(f, {"x": [1, 2, 3]}, path=path, resume=True)
    assert [t.number for t in found.failed] == [1]
    error = found.trials[1].error
    assert error.startswith("Traceback")
    assert error.count("File ") == 1  # the frames of the sweep are left out
    lines = path.read_text().splitlines(keepends=True)
    broken.clear()
    assert swept(f, {"x": [1, 2, 3]}, path=path, resume=True).failed  # what is there stays
    path.write_text("".join(line for line in lines if "KeyError" not in line))
    assert not swept(f, {"x": [1, 2, 3]}, path=path, resume=True).failed


def test_a_trial_that_exits_is_one_that_raised():
    assert "SystemExit: 2" in swept(lambda config: sys.exit(2), {"x": [1]}).trials[0].error


@pytest.mark.parametrize(("given", "told"), [
    (None, "got a NoneType"), ({}, "got none"), ({"a": "b"}, "got 'a': str"),
    ({1: 2}, "got 1: int"), (True, "got a bool"), (np.zeros(3), "got a ndarray"),
    (rnn.History(), "got a History"),
])  # fmt: skip
def test_a_metric_that_is_no_number_is_an_error_of_the_trial(given, told):
    found = swept(lambda config: given, {"x": [1]})
    error = found.trials[0].error
    assert "sweep: train must return a number, or metrics by name" in error
    assert told in error


def test_numbers_of_all_kinds_are_metrics():
    for given in (0.5, np.float32(0.5), np.array([0.5]), engine.asarray(0.5)):
        (trial,) = swept(lambda config, given=given: given, {"x": [1]}).trials
        assert trial.metrics == {"value": 0.5}
        assert type(trial.metrics["value"]) is float


def metrics_of(values, **options):
    """Return a sweep with these metrics of its trials."""
    return swept(lambda config: values[config["i"]], {"i": list(range(len(values)))}, **options)


def test_the_best_trial():
    nan, inf = float("nan"), float("inf")
    found = metrics_of([{"loss": nan, "accuracy": 0.1}, {"loss": 2.0, "accuracy": 0.3},
                        {"loss": -inf}, {"loss": 2.0, "accuracy": 0.2}])  # fmt: skip
    assert found.best.number == 1
    found.monitor = "accuracy"
    assert found.best.number == 1
    found.mode = "min"
    assert found.best.number == 0
    found.monitor = "f1"
    with pytest.raises(ValueError, match="no trial gave a metric 'f1'; there are loss, accuracy"):
        _ = found.best
    with pytest.raises(ValueError, match=r"a larger 'value' is better; give mode='min'"):
        _ = metrics_of([1.0, 2.0]).best
    assert metrics_of([1.0, 2.0], mode="max").best.number == 1
    with pytest.raises(ValueError, match="none of 1 trials gave a finite 'loss'; trial 0 raised"):
        _ = metrics_of([None]).best


def test_a_long_sweep_prints_its_best_trials():
    found = metrics_of([{"loss": float(n)} for n in range(25)])
    lines = repr(found).splitlines()
    assert len(lines) == 23
    assert lines[2].split()[0] == "0"
    assert lines[-1] == "  and 5 more, see table()"
    assert len(found.table().splitlines()) == 26


def test_the_table():
    found = metrics_of([{"loss": 0.5}, None, {"loss": 0.123456}])
    lines = [line.rsplit(maxsplit=1)[0].split() for line in found.table().splitlines()]
    assert [line[:3] for line in lines[:3]] == [
        ["trial", "i", "loss"], ["2", "2", "0.1235"], ["0", "0", "0.5"]]  # fmt: skip
    assert found.table().splitlines()[3].split()[:2] == ["1", "1"]
    assert "TypeError: sweep: train must return" in found.table().splitlines()[3]
    assert repr(found).startswith("Sweep of 3 trials, 1 raised\ntrial  i")


def test_the_plot(tmp_path):
    space = {"lr": [0.001, 0.1], "cell": ["a", "b"], "net": {"n": [1, 2, 3], "deep": True}}
    found = swept(lambda c: {"loss": c["lr"] / (c["net"]["n"] != 2)}, space)
    figure = found.plot(tmp_path / "new" / "sweep.png")
    content = (tmp_path / "new" / "sweep.png").read_bytes()
    assert int.from_bytes(content[16:20], "big") == 800  # the width, in the header
    assert [axes.get_xlabel() for axes in figure.axes] == ["lr", "cell", "net.n"]
    assert [axes.get_xscale() for axes in figure.axes] == ["log", "linear", "linear"]
    dots, best, ticks = figure.axes[0].lines
    shown = [t for t in found.trials if t.error is None]
    np.testing.assert_array_equal(dots.get_ydata(), [t.metrics["loss"] for t in shown])
    np.testing.assert_array_equal(dots.get_xdata(), [t.config["lr"] for t in shown])
    assert (best.get_xdata()[0], best.get_ydata()[0]) == (0.001, found.best.metrics["loss"])
    assert sorted(ticks.get_xdata()) == [0.001, 0.001, 0.1, 0.1]
    found.plot(tmp_path / "a.svg")
    found.plot(tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    with pytest.raises(ValueError, match=r"sweep: plot .*cannot be of the kind 'txt'"):
        found.plot(tmp_path / "a.txt")
    with pytest.raises(ValueError, match="one value of each setting"):
        metrics_of([{"loss": 1.0}]).plot()


# ---- the file


def written(path, **options):
    return swept(lambda c: c["x"], {"x": [1, 2, 3]}, path=path, **options)


def test_a_file_that_is_there_is_refused_without_resume(tmp_path):
    path = tmp_path / "sweep.jsonl"
    written(path)
    with pytest.raises(ValueError, match=r"results in .*sweep.jsonl already; go on .*resume=True"):
        written(path)
    path.write_bytes(b"")
    assert len(written(path).trials) == 3


@pytest.mark.parametrize(("space", "seed", "told"), [
    ({"x": [1, 2]}, 0, r"another sweep: x was \[1, 2, 3\], is \[1, 2\]"),
    ({"x": [1, 2, 3], "y": 4}, 0, "another sweep: y was not there, is 4"),
    ({"x": sweeps.uniform(1, 3)}, 0, r"x was \[1, 2, 3\], is uniform\(1.0, 3.0\)"),
    ({"x": [1, 2, 3]}, 1, "another sweep: seed was 0, is 1; give the same space and seed"),
])  # fmt: skip
def test_a_file_of_another_sweep_is_refused_by_name(space, seed, told, tmp_path):
    path = tmp_path / "sweep.jsonl"
    written(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=told):
        swept(lambda c: 0, space, seed=seed, samples=1, path=path, resume=True)
    assert path.read_bytes() == before


def test_settings_in_another_order_are_another_sweep(tmp_path):
    path = tmp_path / "sweep.jsonl"
    swept(lambda c: 0, {"a": [1, 2], "b": [1, 2]}, path=path)
    with pytest.raises(ValueError, match="the order was seed, a, b"):
        swept(lambda c: 0, {"b": [1, 2], "a": [1, 2]}, path=path, resume=True)


def test_a_file_torn_at_any_place_goes_on(tmp_path):
    path = tmp_path / "sweep.jsonl"
    whole = written(path).trials
    content = path.read_bytes()
    for length in (*range(1, len(content), 7), *(n + 1 for n, x in enumerate(content) if x == 10)):
        path.write_bytes(content[:length])
        if content[:length].endswith(b"\n"):
            assert written(path, resume=True).trials == whole
        else:
            with pytest.warns(UserWarning, match="the last line of .* was cut off and is dropped"):
                assert written(path, resume=True).trials == whole
        assert sorted(t.number for t in sweeps.read_sweep(path).trials) == [0, 1, 2]


@pytest.mark.parametrize(("change", "told"), [
    (lambda lines: [lines[0], b"{", *lines[1:]], ":2 is damaged: .*remove the line"),
    (lambda lines: [lines[0], lines[1], lines[1]], ":3: trial . is there twice"),
    (lambda lines: [lines[0], b'{"trial": 0}'], ":2 is no trial"),
    (lambda lines: [b'{"step": 1}', *lines], "is not the file of a sweep"),
    (lambda lines: [lines[0].replace(b'n": 1', b'n": 9')], "of version 9, this one reads 1"),
    (lambda lines: [b"[]"], ":1 is no line of a sweep"),
])  # fmt: skip
def test_a_damaged_file_is_refused(change, told, tmp_path):
    path = tmp_path / "sweep.jsonl"
    written(path)
    path.write_bytes(b"\n".join(change(path.read_bytes().splitlines())) + b"\n")
    with pytest.raises(ValueError, match=told):
        written(path, resume=True)


def test_an_error_of_writing_names_the_file(tmp_path):
    with pytest.raises(OSError, match=r"directory.*test_an_error"):
        Records(tmp_path, True, 0, {})


FULL = """
import resource, sys
import rnn
from concurrent.futures import ThreadPoolExecutor
resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))  # the third trial is cut in its middle
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with ThreadPoolExecutor(1) as threads:
    rnn.sweep(lambda config: config["x"], {"x": list(range(9))}, executor=threads, path=sys.argv[1])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits")
def test_a_full_disk_ends_a_sweep_that_can_go_on(tmp_path):
    path = tmp_path / "sweep.jsonl"
    status, said = script(tmp_path, "", "-c", FULL, str(path))
    assert status == 1
    assert "OSError" in said
    assert "sweep.jsonl" in said
    assert not path.read_bytes().endswith(b"\n")
    with pytest.warns(UserWarning, match="was cut off and is dropped"):
        found = swept(lambda config: config["x"], {"x": list(range(9))}, path=path, resume=True)
    assert [trial.metrics["value"] for trial in found.trials] == list(range(9))


# ---- ends before its time


KILLED = """
import os, random, signal, sys, time
from concurrent.futures import ThreadPoolExecutor
import engine, rnn
from rnn import sweeps

def train(config):
    time.sleep(0.004)
    return {"loss": config["x"] ** 2, "seed": engine.random.value()}

path, kills = sys.argv[1], int(sys.argv[2])

def swept():
    with ThreadPoolExecutor(2) as threads:
        return rnn.sweep(train, {"x": sweeps.uniform(0, 1)}, samples=300, executor=threads,
                         path=path, resume=True)

draw = random.Random(20240607)
for kill in range(kills):
    child = os.fork()
    if not child:
        swept()
        os._exit(0)
    time.sleep(draw.uniform(0, 0.12))
    os.kill(child, signal.SIGKILL)
    print(os.waitpid(child, 0)[1], flush=True)
found = swept()
print(len(found.trials), found.interrupted)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore")
def test_a_sweep_that_was_killed_is_the_one_that_was_not(tmp_path):
    for name, kills in (("killed", 10), ("whole", 0)):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(tmp_path / name), str(kills)], check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
            timeout=100,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert lines == [str(int(signal.SIGKILL))] * kills + ["300 False"]
    killed, whole = (sweeps.read_sweep(tmp_path / name).trials for name in ("killed", "whole"))
    assert killed == whole
    assert len({trial.metrics["seed"] for trial in whole}) == 300


def wait_for(happened, seconds=60):
    """Wait until something has happened."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("number", first(2, [signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
def test_signals_end_a_sweep_and_its_processes(number, tmp_path):
    path = tmp_path / "sweep.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", small_sweep.__name__, str(path), str(tmp_path)], cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(lambda: path.exists() and path.read_bytes().count(b"\n") == 3)
        pids = [int(one.stem) for one in tmp_path.glob("*.started")]
        if number == signal.SIGKILL:
            process.kill()
        else:  # as a terminal and a scheduler do: to all processes of the group
            os.killpg(process.pid, number)
        out, said = process.communicate(timeout=60)
        wait_for(lambda: not any(map(alive, pids)), 20)
    finally:
        process.kill()
    if number != signal.SIGKILL:
        assert (process.returncode, out) == (0, "interrupted True\n"), said
        assert "Traceback" not in said
    trials = sweeps.read_sweep(path).trials
    assert [(t.number, t.metrics) for t in trials] == [(0, {"steps": 1}), (1, {"steps": 2})]


def number_of(config):
    return config["a"]


class Terminated(Executor):
    """Run the first trial; then the job gets SIGTERM, which ends the only worker."""

    def submit(self, call, /, *args, **keywords):
        future = Future()
        if not hasattr(self, "ran"):
            self.ran = True
            future.set_result(call(*args, **keywords))
        else:
            os.kill(os.getpid(), signal.SIGTERM)
            future.set_exception(BrokenProcessPool("a worker ended"))
        return future


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_a_signal_that_ends_the_workers_too_loses_no_trial(tmp_path):
    path = tmp_path / "sweep.jsonl"
    found = rnn.sweep(
        number_of, {"a": [1.0, 2.0]}, executor=Terminated(), path=path, progress=False
    )
    assert found.interrupted
    assert [trial.number for trial in sweeps.read_sweep(path).trials] == [0]


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_a_trial_that_a_signal_cut_short_is_none():
    def f(config):
        history = rnn.fit(
            rnn.Linear(2, 1), [engine.ones((1, 2))], lambda net, x: engine.mean(net(x)), steps=9,
            progress=False, callbacks=[lambda run, record: os.kill(os.getpid(), signal.SIGTERM)],
        )  # fmt: skip
        assert history.interrupted
        return len(history.steps)

    def interrupted(config):
        raise KeyboardInterrupt

    assert run_trial(f, 0, {}, 0) is None
    assert run_trial(interrupted, 0, {}, 0) is None
    assert run_trial(lambda config: 1, 0, {}, 0).metrics == {"value": 1.0}


# ---- randomness of a thread


def test_a_thread_may_have_a_randomness_of_its_own():
    def drawn():
        return engine.random.uniform((2,), 0, 1).tolist(), rnn.parameter((2,)).tolist()

    with engine.random.isolated(1):
        engine.seed(7)
        first = drawn()
        engine.seed(7)
        with engine.random.isolated(7):
            assert drawn() == first
            engine.seed(8)
            assert drawn() != first
        assert engine.random.value() == 7
        assert drawn() == first  # nothing was drawn of this one meanwhile
        seen = []
        thread = threading.Thread(target=lambda: seen.append(engine.random._threads.seed))
        thread.start()
        thread.join()
        assert seen == [engine.random._Seed]
    with pytest.raises(ValueError, match="seed: expected an integer"), engine.random.isolated(-1):
        pass
    assert engine.random._threads.seed is engine.random._Seed
