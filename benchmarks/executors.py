"""The three executors of a recurrence against each other, what compiling costs, and what the main
job gains. Run `OPENBLAS_NUM_THREADS=1 python -m benchmarks.executors`.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import engine
from benchmarks import recurrence
from benchmarks.measuring import in_turn, write
from engine.scan import EXECUTORS
from engine.scan.c.core import CCore
from engine.scan.explicit import Explicit
from engine.scan.fused import Fused
from engine.scan.plan import PlanCore
from examples import char_rnn
from examples.text import Text

SHAPES = recurrence.SHAPES
CELLS = ("lstm", "gru", "rnn")
KINDS: dict[str, Any] = {"explicit": Explicit(), "plan": Fused(PlanCore()), "c": Fused(CCore())}


def with_executor(executor: Any, job: Any) -> Any:
    """A job that is run by one executor alone."""

    def run() -> Any:
        before = list(EXECUTORS)
        EXECUTORS[:] = [executor]
        try:
            return job()
        finally:
            EXECUTORS[:] = before

    return run


def rows() -> list[dict[str, Any]]:
    """Milliseconds of a training step by each executor."""
    found = []
    for cell in CELLS:
        for shape in SHAPES:
            job = recurrence.ours(cell, recurrence.problem(cell, shape))
            jobs = {name: with_executor(executor, job) for name, executor in KINDS.items()}
            seconds = in_turn(jobs, rounds=5, warm_ups=1)
            found.append({"cell": cell, "shape": list(shape),
                          "milliseconds": {n: t * 1e3 for n, t in seconds.items()}})  # fmt: skip
            print(found[-1], flush=True)
    return found


COMPILE = """
import time
from benchmarks import recurrence
job = recurrence.ours("{cell}", recurrence.problem("{cell}", (4, 2, 8, 8)))
began = time.perf_counter()
job()
print(time.perf_counter() - began)
"""


def compiling() -> dict[str, dict[str, float]]:
    """Seconds of the first step of a cell in a new process: kernels made, and kernels found."""
    found = {}
    for cell in ("lstm", "layernorm"):
        with tempfile.TemporaryDirectory() as cache:
            command = [sys.executable, "-c", COMPILE.format(cell=cell)]
            environment = {**os.environ, "XDG_CACHE_HOME": cache}
            first, second = (
                float(subprocess.run(command, env=environment, check=True, capture_output=True,
                                     text=True).stdout)
                for _ in range(2)
            )  # fmt: skip
        found[cell] = {"made": first, "found": second}
    return found


def main_job() -> dict[str, float]:
    """Milliseconds of an update of the character model, explicit and compiled."""
    result = {}
    for name in ("explicit", "c"):
        options = char_rnn.parse(["--updates", "60"])
        text = Text.of(char_rnn.read(options))
        engine.seed(0)
        model = char_rnn.CharRNN("lstm", len(text.symbols), options.hidden)
        training = char_rnn.Training(model, text, options)
        began = time.perf_counter()
        with_executor(KINDS[name], training.run)()
        result[f"{name}_milliseconds_per_update"] = (time.perf_counter() - began) / 60 * 1e3
    return result


def main() -> None:
    engine.set_num_threads(os.cpu_count() or 1)
    what = "milliseconds of one training step, float32, all cores, median of 5 in turn"
    path: Path = write("executors", {"what": what, "main_job": main_job(),
                                     "compiling": compiling(), "rows": rows()})  # fmt: skip
    print(f"written to {path}")


if __name__ == "__main__":
    main()
