"""Send kill -9 at random moments of training and saving: nothing is lost but the steps since the
last checkpoint, and the resumed run is the one that was never killed, to the bit.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rnn.training import read_checkpoint
from tests import ROOT
from tests.draws import first

EVERY, STEPS, SEED = 3, 100_000, 20240607

# Moments are those of the clock of the process that is killed, as seconds are few steps for it
# where the machine has much to do: clock_gettime(2) says how the clock is made of the process.
SPENT = """
import time

def wait_until_it_spent(child, seconds):
    while time.clock_gettime((~child << 3) | 2) < seconds:
        time.sleep(0.001)

"""
needs_clock = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="needs fork, and the clock of another process"
)

# Runs in a process of its own, which imports everything once and has no other threads when it
# forks the runs that are killed.
ZYGOTE = f"""{SPENT}
import os, random, signal, sys
from pathlib import Path
from tests.rnn.training.small_training import Shuffled, batches, run

folder, until, least = Path(sys.argv[1]), *map(int, sys.argv[2:])


def train(steps):
    run(folder, steps=steps, every={EVERY}, resume=True, carry=True, patience=10**6,
        data=lambda: Shuffled(batches(7)), validation=batches(1), validate_every=4)


if until:
    train(until)
    sys.exit()
draw = random.Random({SEED})
kills = 0
while kills < least or not any(folder.glob("checkpoints/*.json")):
    kills += 1
    child = os.fork()
    if not child:
        try:
            train({STEPS})
        finally:
            os._exit(1)
    wait = draw.uniform(0, 0.2)
    wait_until_it_spent(child, wait)
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, "the run was over before it was killed"
    names = sorted(path.name for path in folder.rglob("*") if path.is_file())
    print(f"{{wait:.4f}} {{' '.join(names)}}", flush=True)
"""


def zygote(folder: Path, until: int = 0, kills: int = 0) -> list[str]:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", ZYGOTE, str(folder), str(until), str(kills)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def lines(folder: Path) -> list[dict]:
    found = [json.loads(line) for line in (folder / "run.jsonl").read_text().splitlines()]
    return [{name: x for name, x in line.items() if name != "seconds"} for line in found]


@needs_clock
@pytest.mark.parametrize("kills", first(1, [20, 50]))
def test_kill_9_at_any_moment_loses_only_the_steps_since_the_last_checkpoint(kills, tmp_path):
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    zygote(tmp_path / "first", 1)  # compiles the kernels, which takes longer than a run lives
    moments = zygote(killed, kills=kills)
    print(f"seed {SEED}, killed after seconds of its own:", *(line.split()[0] for line in moments))
    assert len(moments) >= kills
    torn = sum(".part" in line or line.count(".json") != line.count(".safetensors")
               for line in moments)  # fmt: skip
    print(f"{torn} of the kills left a checkpoint half written")
    # No line is lost that was written before the last checkpoint.
    newest = sorted((killed / "checkpoints").glob("checkpoint-*.json"))[-1]
    step = read_checkpoint(newest).state["step"]
    assert step >= EVERY
    logged = (killed / "run.jsonl").read_text().split("\n")[:-1]
    assert json.loads(logged[-1])["step"] - step <= EVERY
    end = step + 10
    zygote(killed, end)
    zygote(whole, end)
    assert lines(killed) == lines(whole)
    last = [read_checkpoint(sorted((folder / "checkpoints").glob("*.json"))[-1])
            for folder in (killed, whole)]  # fmt: skip
    for name, value in last[0].tensors.items():
        expected = last[1].tensors[name]
        if name == "history":
            value, expected = value[:, :-1], expected[:, :-1]  # seconds
        np.testing.assert_array_equal(value, expected, strict=True, err_msg=name)
    for name in ("step", "epoch", "position", "epoch_loss", "random", "data", "bad"):
        assert last[0].state[name] == last[1].state[name], name


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_kill_between_any_two_writes_of_a_save_leaves_a_good_checkpoint(tmp_path):
    # Every system call of saving in turn is the last one: fork, count down, kill.
    code = """
import os, sys, warnings
from pathlib import Path
warnings.simplefilter("error")
from rnn.training import Checkpoints
from tests.rnn.training.small_training import assert_same_run, run

root = Path(sys.argv[1])
whole = run(root / "whole", steps=12, every=3)
kills = 0
for stop in range(1, 200):
    folder = root / str(stop)
    run(folder, steps=6, every=3)
    child = os.fork()
    if not child:
        left = stop
        for name in ("fsync", "rename", "replace", "unlink", "open"):
            def counted(*given, own=getattr(os, name), **options):
                global left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), 9)
                return own(*given, **options)
            setattr(os, name, counted)
        run(folder, steps=12, every=3, resume=True)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if not status:
        break
    kills += 1
    found = Checkpoints(folder / "checkpoints").newest()
    assert found.state["step"] >= 6, (stop, found.state["step"])
    assert_same_run(whole, run(folder, steps=12, every=3, resume=True))
print(kills)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True,
        timeout=120, check=False,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) >= 16


SAVES = (
    SPENT
    + """
import os, random, signal, sys
import numpy as np
import rnn

path, draw = os.path.join(sys.argv[1], "m.safetensors"), random.Random(5)
torn, before = 0, 0
rnn.save(path, {"w": np.zeros(20_000), "b": np.zeros(3)}, {"version": 0})
for kill in range(40):
    child = os.fork()
    if not child:
        try:
            for version in range(before + 1, 10**9):
                full = {"w": np.full(20_000, version), "b": np.full(3, version)}
                rnn.save(path, full, {"version": version})
        finally:
            os._exit(1)
    wait_until_it_spent(child, draw.uniform(0.002, 0.04))
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, "the saves were over before they were killed"
    arrays, config = rnn.load(path)
    found = {config["version"], *arrays["w"].tolist(), *arrays["b"].tolist()}
    assert len(found) == 1 and config["version"] >= before, found
    before = config["version"]
    torn += os.path.exists(path + ".part")
rnn.save(path, {"w": np.ones(1)})
assert os.listdir(sys.argv[1]) == ["m.safetensors"]
print(before, torn)
"""
)


@needs_clock
def test_a_kill_at_any_moment_of_save_leaves_the_old_file_or_the_new_one(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SAVES, str(tmp_path)], cwd=ROOT, capture_output=True,
        text=True, timeout=120, check=False,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    versions, torn = map(int, done.stdout.split())
    assert versions >= 10, "too few saves were done between the kills"
    assert torn >= 5, "too few kills fell within a save"
