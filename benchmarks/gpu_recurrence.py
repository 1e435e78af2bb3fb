"""Time a training step of a recurrent layer on a GPU: `benchmarks.recurrence --device cupy`.

Every competitor's gradients are compared with float64 before it is timed; one that is wrong or
fails is said and not timed. Times are of the wall clock from an idle device to an idle device, over
as many steps as take 10 ms: jax has streams of its own, so that events on one of CuPy's or torch's
would not see its work. Medians of 9 in turn after 2 turns that do not count; a competitor that is
far behind is timed once. The file is written after every line, and a later run of the same source
on the same GPU goes on from there. Above `gpu_peers.py` and `gpu_lines.py`, below `recurrence.py`.
"""

import math
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

import engine
from benchmarks import devices, gpu_lines, gpu_peers, gpu_record, measuring
from benchmarks.gpu_lines import RUNS, Line
from benchmarks.measuring import RESULTS, geometric, in_turn
from benchmarks.recurrence_problem import layer_of

PARTS: dict[str, Callable[[], list[Line]]] = {"anchors": gpu_lines.anchors, "grid": gpu_lines.grid}
FOLDERS = ("engine", "rnn", "benchmarks")
# The largest error allowed, over the largest value of the gradient in float64.
TOLERANCES = {"float32": 2e-4, "tf32": 1e-2, "bfloat16": 5e-2}
FAR = 2.5  # a peer that takes this many times as long as the fastest one is timed once, not in turn
TURN = 0.01  # seconds of a turn at least
LONG = 1.0  # seconds of one turn of all; beyond it there are 3 turns
LINE = 90  # seconds after which a line that does not end is given up
AFTER = 4  # lines of the account of our executor from the one that names it
STATUS_LOST = 3  # of a process that has to be started again
WHAT = ("microseconds of one time step of a training step of a recurrent layer on a GPU, wall "
        "clock, median of 9 in turn (3 if slow), and best peer / bptt")  # fmt: skip


class LostError(RuntimeError):
    """Tell that the device answers no more, so that a new process is needed."""


def run(device: str, part: str, minutes: float, into: Path | None) -> int:
    """Measure the lines of a part that are not in its file yet; return the exit status."""
    if into is None and devices.graphics()["fake"]:
        print("recurrence: CuPy is a fake here; its times are kept only in a file given by --into")
        return 1
    path = into or RESULTS / "gpu" / f"recurrence_{part}.json"
    result = gpu_record.earlier(path, gpu_record.key(FOLDERS))
    result |= {"what": WHAT, "part": part, "commit": measuring.commit(),
               "machine": devices.described(), "not_run": not_run(), "finished": False}  # fmt: skip
    result.setdefault("rows", [])
    ends = time.monotonic() + 60 * minutes
    try:
        result["finished"] = measure(device, part, result, ends, path)
    except LostError as error:
        result["rows"][-1]["failed"] = {"bptt": str(error)}
        result["rows"][-1].pop("cut_off", None)
        print(f"recurrence: {error}")
        return STATUS_LOST
    finally:
        keep(result, path)
    print(f"written to {path}")
    return 0


def not_run() -> list[dict[str, str]]:
    """Return the classes and peers that cannot be measured here, with the reason."""
    missing = [{"what": module, "why": "not installed, or it sees no GPU"}
               for module in ("torch", "jax") if not gpu_peers.available(module)]  # fmt: skip
    if gpu_peers.choice() is None:
        missing += [{"what": precision, "why": "the engine has no choice of precision yet"}
                    for precision in gpu_lines.CLASSES[1:]]  # fmt: skip
    return missing


def measure(device: str, part: str, result: dict[str, Any], ends: float, path: Path) -> bool:
    """Add the missing rows one by one; return True once there are all."""
    left_out = {one["what"] for one in result["not_run"]}
    before = {key_of(row) for row in result["rows"] if "cut_off" in row}
    rows = result["rows"] = [row for row in result["rows"] if "cut_off" not in row]
    done = {key_of(row) for row in rows}
    for line in PARTS[part]():
        if line.precision in left_out or line in done:
            continue
        left = math.floor(ends - time.monotonic())
        if left < 1:
            return False
        # Written before, so that a line which ends the process is not tried again; one that had
        # less than its time is, once.
        row = {**line._asdict(), "shape": list(line.shape)}
        short = {"cut_off": left} if left < LINE and line not in before else {}
        why = f"ended the process, or took over {LINE} s"
        rows.append({**row, "failed": {"bptt": why}, **short})
        keep(result, path)
        signal.alarm(min(left, LINE))  # ends the process even while it waits for the device
        began = time.monotonic()
        rows[-1] = row | tried(line, device, everything=part == "grid")
        rows[-1]["seconds"] = time.monotonic() - began
        keep(result, path)
        print(summary(rows[-1]), flush=True)
        devices.release()
    return True


def keep(result: dict[str, Any], path: Path) -> None:
    """Write the rows and what they come to; one that had not its whole time counts for nothing."""
    result["groups"] = groups(row for row in result["rows"] if "cut_off" not in row)
    gpu_record.save(path, result)


def tried(line: Line, device: str, *, everything: bool) -> dict[str, Any]:
    """Return what is found on a line, or why nothing is: out of memory, say.

    Raises LostError where the device does not answer after that.
    """
    try:
        return measured(line, device, everything=everything)
    except LostError:
        raise
    except Exception as problem:
        answers(said(problem))
        return {"failed": {"line": said(problem)}}
    finally:
        signal.alarm(0)


def key_of(row: dict[str, Any]) -> Line:
    """Return the line of a row."""
    T, B, I, H = row["shape"]
    return Line(row["cell"], (T, B, I, H), row["precision"])


def measured(line: Line, device: str, *, everything: bool) -> dict[str, Any]:
    """Return what is found on one line: the executor, errors, failures and times."""
    given = gpu_peers.problem(line)
    with gpu_peers.all_in(line.precision):
        exact = [devices.host(grad) for grad in gpu_peers.reference(line, given)]
        jobs = gpu_peers.competitors(line, given, device, everything=everything)
        errors, failed = checked(jobs, exact, TOLERANCES[line.precision])
        right = {name: waiting(job) for name, job in jobs.items() if name not in failed}
        seconds, rounds = timed(right)
        row = {"executor": executor(line, given, device), "errors": errors, "failed": failed}
    return row | rates(seconds, line.shape[0]) | {"rounds": rounds}


def checked(
    jobs: dict[str, Callable[[], list[Any]]], exact: list[Any], tolerance: float
) -> tuple[dict[str, float], dict[str, str]]:
    """Return the error of each competitor, and why some are not to be timed.

    Raises LostError where the device does not answer after a failure.
    """
    errors: dict[str, float] = {}
    failed: dict[str, str] = {}
    for name, job in jobs.items():
        try:
            errors[name] = error(job(), exact)
        except Exception as problem:  # of any kind: the others are measured
            failed[name] = said(problem)
            answers(failed[name])
            continue
        if not errors[name] <= tolerance:  # NaN is wrong, too
            failed[name] = f"gradients are wrong: error {errors[name]:.1e}, allowed {tolerance:.0e}"
    return errors, failed


def said(problem: Exception) -> str:
    """Return the type of an error and the first line of its message."""
    return f"{type(problem).__name__}: {str(problem).partition(chr(10))[0][:200]}"


def answers(why: str) -> None:
    """Raise LostError if the device cannot even be waited for."""
    try:
        devices.wait()
    except Exception as problem:
        raise LostError(f"the device answers no more, after {why}") from problem


def error(found: list[Any], exact: list[Any]) -> float:
    """Return the largest error of any gradient, over the largest value of that gradient."""
    worst = 0.0
    for one, other in zip(map(devices.host, found), exact, strict=True):
        scale = float(np.abs(other).max()) or 1.0
        worst = max(worst, float(np.abs(one - other).max()) / scale, key=_nan_last)
    return worst


def _nan_last(value: float) -> float:
    return math.inf if math.isnan(value) else value


def waiting(job: Callable[[], Any]) -> Callable[[], Any]:
    """Return a job that ends when its work on the device has ended."""

    def run() -> Any:
        found = job()
        devices.wait()
        return found

    return run


def timed(jobs: dict[str, Callable[[], Any]]) -> tuple[dict[str, float], int]:
    """Return the median seconds of each job, and of how many turns those in turn are."""
    if not jobs:
        return {}, 0
    once = {name: in_turn({name: job}, rounds=1, warm_ups=1)[name] for name, job in jobs.items()}
    fastest = min(taken for name, taken in once.items())
    close = {name for name in jobs if name == "bptt" or once[name] <= FAR * fastest}
    rounds = 9 if sum(once[name] for name in close) < LONG else 3
    times = {name: max(1, min(50, math.ceil(TURN / once[name]))) for name in close}
    turns = {name: repeated(jobs[name], times[name]) for name in jobs if name in close}
    found = in_turn(turns, rounds=rounds, warm_ups=2)
    return once | {name: found[name] / times[name] for name in close}, rounds


def repeated(job: Callable[[], Any], times: int) -> Callable[[], None]:
    def run() -> None:
        for _ in range(times):
            job()

    return run


def rates(seconds: dict[str, float], steps: int) -> dict[str, Any]:
    """Return microseconds a time step of each competitor, the best peer, and its ratio to ours."""
    micro = {name: taken / steps * 1e6 for name, taken in seconds.items()}
    peers = {name: taken for name, taken in micro.items() if not name.startswith("bptt")}
    best = min(peers, key=lambda name: peers[name]) if peers else None
    ratio = peers[best] / micro["bptt"] if best and "bptt" in micro else None
    return {"microseconds_a_step": micro, "best_peer": best, "ratio": ratio}


def executor(line: Line, given: dict[str, Any], device: str) -> list[str]:
    """Return what is told of our executor: why not another, which one, and the lines after that.

    Where it cannot be told, the reason; times are worth more than the account.
    """
    layer, tensors, state = layer_of(line.cell, given, device=device)
    try:
        told = engine.explain_scan(layer, tensors["x"], state).splitlines()
    except Exception as problem:
        return [f"not told: {said(problem)}"]
    return told[: next(n for n, text in enumerate(told) if RUNS in text) + AFTER]


def groups(given: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the mean ratio, the worst and the losses of each class; ours failed is a loss."""
    rows, found = list(given), {}
    for precision in gpu_lines.CLASSES:
        own = [row for row in rows if row["precision"] == precision]
        ratios = [row["ratio"] for row in own if row.get("ratio")]
        failures = sum("bptt" in row["failed"] for row in own)
        if own:
            found[precision] = {
                "lines": len(own), "failed": failures,
                "geometric_mean": geometric(ratios) if ratios else None,
                "worst": min(ratios, default=None),
                "losses": failures + sum(ratio < 1 for ratio in ratios),
            }  # fmt: skip
    return found


def summary(row: dict[str, Any]) -> str:
    """Return a row in one line of text."""
    micro = row.get("microseconds_a_step", {})
    times = ", ".join(f"{name} {taken:.2f}" for name, taken in micro.items())
    ratio = f"{row['ratio']:.2f}" if row.get("ratio") else "no ratio"
    faults = "".join(f"; {name}: {why}" for name, why in row["failed"].items())
    shape = tuple(row["shape"])
    return f"{row['precision']} {row['cell']} {shape}: {ratio} ({times} us a step){faults}"
