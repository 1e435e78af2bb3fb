"""Measure the executors of a recurrence in turn, and an update of the character model.

Run `OPENBLAS_NUM_THREADS=1 python -m benchmarks.executors`; with `--device cupy` it is the explicit
loop against the executor that is chosen there.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import engine
from benchmarks import devices, recurrence_problem
from benchmarks.measuring import in_turn, write
from engine.scan import EXECUTORS
from engine.scan.c.core import CCore
from engine.scan.executors import Fused
from engine.scan.explicit import Explicit
from engine.scan.plan import PlanCore
from examples import char_rnn
from examples.text import Text

SHAPES = recurrence_problem.SHAPES
CELLS = ("lstm", "gru", "rnn")
UPDATES = 60  # of the character model
KINDS: dict[str, Any] = {"explicit": Explicit(), "plan": Fused(PlanCore()), "c": Fused(CCore())}


def with_executor(executor: Any, job: Any) -> Any:
    """Return a job that is run by one executor alone, or by the chosen one if none is given."""

    def run() -> Any:
        before = list(EXECUTORS)
        EXECUTORS[:] = before if executor is None else [executor]
        try:
            return job()
        finally:
            EXECUTORS[:] = before

    return run


def kinds(device: str) -> dict[str, Any]:
    """Return the executors by name that can run on a device."""
    return KINDS if devices.on_host(device) else {"explicit": KINDS["explicit"], "chosen": None}


def ended(device: str, job: Callable[[], Any]) -> Callable[[], Any]:
    """Return a job that waits for a GPU at its end."""

    def run() -> Any:
        found = job()
        if not devices.on_host(device):
            devices.wait()
        return found

    return run


def rows(device: str = "numpy") -> list[dict[str, Any]]:
    """Measure the milliseconds of a training step by each executor."""
    found = []
    for cell in CELLS:
        for shape in SHAPES:
            given = recurrence_problem.problem(cell, shape)
            job = ended(device, recurrence_problem.ours(cell, given, device=device))
            jobs = {name: with_executor(one, job) for name, one in kinds(device).items()}
            seconds = in_turn(jobs, rounds=5, warm_ups=1)
            found.append({"cell": cell, "shape": list(shape),
                          "milliseconds": {n: t * 1e3 for n, t in seconds.items()}})  # fmt: skip
            print(found[-1], flush=True)
    return found


def main_job(device: str = "numpy") -> dict[str, float]:
    """Return milliseconds of an update of the character model, by slowest and best executor."""
    result = {}
    for name in ("explicit", list(kinds(device))[-1]):
        options = char_rnn.parse(["--updates", str(UPDATES), "--device", device])
        text = Text.of(char_rnn.read(options))
        engine.seed(0)
        model = char_rnn.CharRNN("lstm", len(text.symbols), options.hidden).to(device)
        training = char_rnn.Training(model, text, options)
        began = time.perf_counter()
        with_executor(kinds(device)[name], training.run)()
        taken = time.perf_counter() - began
        result[f"{name}_milliseconds_per_update"] = taken / UPDATES * 1e3
    return result


def main(arguments: list[str] | None = None) -> None:
    device = devices.parsed("executors", __doc__, arguments)
    name = devices.result_name("executors", device)
    engine.set_num_threads(os.cpu_count() or 1)
    where = "all cores" if devices.on_host(device) else "on a GPU"
    found: dict[str, Any] = {
        "what": f"milliseconds of one training step, float32, {where}, median of 5 in turn",
        **devices.on(device), "main_job": main_job(device),
    }  # fmt: skip
    path: Path = write(name, {**found, "rows": rows(device)})
    print(f"written to {path}")


if __name__ == "__main__":
    main()
