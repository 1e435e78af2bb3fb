"""Check random recurrences in subprocesses and print a summary; also the command of `make fuzz`.

Usage: python -m tests.engine.scan.random_steps --count 20000 [--seed S] [--no-compiler | --cuda
FORM]; with --cuda cores run as generated CUDA of a form, in the emulator where there is no GPU.
A crash of the interpreter is reported with its seed. Above `step_checks` and `step_shrinking`.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from tests import ROOT

CHUNK = 250  # seeds of one subprocess: a leak or a crash spoils no more than this
PATIENCE = 120.0  # seconds for one seed
CUDA = "TEST_CUDA_FORM"  # in the environment of subprocesses


@dataclass
class Outcome:
    """Hold the verdict of one seed: equal, refused, wrong, wild, skipped, crashed or stuck."""

    seed: int
    status: str
    kind: str = ""
    detail: str = ""
    executor: str = ""
    reads: bool = False

    def failed(self) -> bool:
        return self.status in ("wrong", "crashed", "stuck", "broken")


@dataclass
class Summary:
    """Count outcomes and keep those that failed."""

    outcomes: list[Outcome] = field(default_factory=list)

    def failures(self) -> list[Outcome]:
        return [o for o in self.outcomes if o.failed()]

    def fused(self) -> float:
        """Return the share of fused cases, of those that ran and ask for no number."""
        ran = [o for o in self.outcomes if o.status in ("equal", "wild", "wrong") and not o.reads]
        return sum(o.executor not in ("explicit", "unknown") for o in ran) / max(len(ran), 1)

    def text(self) -> str:
        statuses = Counter(o.status for o in self.outcomes)
        executors = Counter(o.executor or "none" for o in self.outcomes)
        kinds = Counter(f"{o.status}: {o.kind}" for o in self.failures())
        lines = [f"{len(self.outcomes)} random steps"]
        lines += [", ".join(f"{n} {name}" for name, n in statuses.most_common())]
        lines += ["executors: " + ", ".join(f"{n} {name}" for name, n in executors.most_common())]
        lines += [f"fused: {self.fused():.1%} of the steps that ask for no number"]
        for kind, n in kinds.most_common():
            seeds = [o.seed for o in self.failures() if f"{o.status}: {o.kind}" == kind]
            lines += [f"  {n:5d} {kind}: seeds {', '.join(map(str, seeds[:8]))}"]
        return "\n".join(lines)


# ---- in the subprocess


def work(seeds: range) -> None:
    """Check these seeds and print a line before and after each, so that a crash has a seed."""
    from tests.engine.scan.step_checks import check_source
    from tests.engine.scan.step_programs import made

    with executors():
        for seed in seeds:
            print(json.dumps({"begin": seed}), flush=True)
            try:
                program = made(seed)
                verdict = check_source(program.source())
                found = {**vars(verdict), "reads": program.reads()}
            except Exception as error:
                found = {"status": "broken", "kind": type(error).__name__, "detail": str(error)}
            found["detail"] = found["detail"][:400]
            print(json.dumps({"seed": seed, **found}), flush=True)


def executors() -> AbstractContextManager[None]:
    """Return the setting of executors that this process was asked for."""
    if not os.environ.get(CUDA):
        return nullcontext()
    from tests.engine.cuda.emulated_core import emulated

    return emulated(os.environ[CUDA])


def shrink(seed: int, kind: str) -> None:
    """Print the smallest program found that is wrong as this seed is."""
    from tests.engine.scan.step_programs import made
    from tests.engine.scan.step_shrinking import shrunk, still

    with executors():
        print(shrunk(made(seed), still(kind)).source())


# ---- around it


def environment(compiler: bool | str, cache: str) -> dict[str, str]:
    """Return the environment of a subprocess; without a compiler the plan and the loop are left.

    A name is a form of generated CUDA.
    """
    if isinstance(compiler, str):
        return {**environment(True, cache), CUDA: compiler}
    more = {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "XDG_CACHE_HOME": cache}
    return {**os.environ, **more} | ({} if compiler else {"BPTT_EXECUTORS": "plan,explicit"})


def outcomes(
    seeds: range, compiler: bool | str, patience: float = PATIENCE, *, kept: str | None = None
) -> Iterator[Outcome]:
    """Yield the outcome of each seed; where a subprocess dies, another takes up after that seed.

    Kernels are compiled into the folder `kept`, or into one that is gone afterwards.
    """
    with nullcontext(kept) if kept else tempfile.TemporaryDirectory() as cache:
        start = seeds.start
        while start < seeds.stop:
            part = range(start, min(start + CHUNK, seeds.stop))
            for outcome in chunk(part, environment(compiler, cache), patience):
                start = outcome.seed + 1
                yield outcome


def chunk(seeds: range, env: dict[str, str], patience: float) -> Iterator[Outcome]:
    """Yield the outcomes of one subprocess, the last of them a crash if it died."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.engine.scan.random_steps", "--work"]
    command += [str(seeds.start), str(seeds.stop)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    lines: queue.Queue[str] = queue.Queue()
    errors: list[str] = []
    readers = [
        threading.Thread(target=pour, args=(process.stdout, lines.put)),
        threading.Thread(target=pour, args=(process.stderr, errors.append)),
    ]
    for reader in readers:
        reader.start()
    begun, done = seeds.start, seeds.start
    try:
        while done < seeds.stop:
            line = lines.get(timeout=patience)
            found = json.loads(line) if line else {}
            if not line:
                break
            begun = found.get("begin", begun)
            if "seed" in found:
                done = found["seed"] + 1
                yield Outcome(**found)
    except queue.Empty:
        process.kill()
        yield Outcome(begun, "stuck", f"more than {patience:.0f} s")
        return
    finally:
        process.kill() if done < seeds.stop and process.poll() is None else None
        code = process.wait()
        for reader in readers:
            reader.join()
        process.stdout.close() if process.stdout else None
        process.stderr.close() if process.stderr else None
    if done < seeds.stop:
        yield Outcome(begun, "crashed", f"exit status {code}", "".join(errors)[-400:])


def pour(stream: Any, put: Any) -> None:
    """Hand on each line of a stream, and an empty one at its end."""
    for line in stream:
        put(line)
    put("")


def smallest(outcome: Outcome, compiler: bool | str) -> str:
    """Return the shrunk source of a failure, or the whole where it cannot be shrunk."""
    from tests.engine.scan.step_programs import made

    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "tests.engine.scan.random_steps",
        "--shrink",
        str(outcome.seed),
    ]
    with tempfile.TemporaryDirectory() as cache:
        try:
            done = subprocess.run(
                [*command, outcome.kind], cwd=ROOT, env=environment(compiler, cache), check=True,
                capture_output=True, text=True, timeout=PATIENCE,
            )  # fmt: skip
            return done.stdout if outcome.status == "wrong" else made(outcome.seed).source()
        except subprocess.SubprocessError:
            return made(outcome.seed).source()


def report(outcome: Outcome, compiler: bool | str) -> str:
    """Return a failure as text: its seed, what is wrong, and a program that shows it."""
    what = f"{outcome.status} {outcome.kind}: {outcome.detail} [{outcome.executor}]"
    return f"---- seed {outcome.seed}: {what}\n{smallest(outcome, compiler)}"


def summary(
    seeds: range, compiler: bool | str = True, jobs: int = 1, every: float = 30.0
) -> Summary:
    """Check these seeds, in so many subprocesses at once, and count; say how far it is at times."""
    total, lock, said = Summary(), threading.Lock(), [time.monotonic()]
    parts: queue.Queue[range] = queue.Queue()
    for start in range(seeds.start, seeds.stop, CHUNK):
        parts.put(range(start, min(start + CHUNK, seeds.stop)))

    def serve() -> None:
        while True:
            try:
                part = parts.get_nowait()
            except queue.Empty:
                return
            for outcome in outcomes(part, compiler):
                with lock:
                    total.outcomes.append(outcome)
                    if time.monotonic() - said[0] > every:
                        said[0] = time.monotonic()
                        bad = len(total.failures())
                        print(
                            f"{len(total.outcomes)} checked, {bad} failed",
                            file=sys.stderr,
                            flush=True,
                        )

    threads = [threading.Thread(target=serve) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total.outcomes.sort(key=lambda o: o.seed)
    return total


def main() -> int:
    """Run the command; the exit status is 1 where a case failed."""
    parser = argparse.ArgumentParser(description="Check random recurrences against the loop.")
    parser.add_argument("--count", type=int, default=1000, help="how many seeds")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="subprocesses at once"
    )
    parser.add_argument("--no-compiler", action="store_true", help="the plan and the loop alone")
    parser.add_argument("--cuda", metavar="FORM", help="cores as CUDA: sweep, graph or launches")
    parser.add_argument(
        "--print", type=int, default=10, help="how many failures to shrink and print"
    )
    parser.add_argument("--source", type=int, metavar="SEED", help="print the program of a seed")
    parser.add_argument("--work", type=int, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--shrink", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(range(*arguments.work))
    elif arguments.shrink:
        shrink(int(arguments.shrink[0]), arguments.shrink[1])
    elif arguments.source is not None:
        from tests.engine.scan.step_programs import made

        print(made(arguments.source).source())
    else:
        seeds = range(arguments.seed, arguments.seed + arguments.count)
        compiler = arguments.cuda or not arguments.no_compiler
        total = summary(seeds, compiler, arguments.jobs)
        for outcome in total.failures()[: arguments.print]:
            print(report(outcome, compiler))
        print(total.text())
        return int(bool(total.failures()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
