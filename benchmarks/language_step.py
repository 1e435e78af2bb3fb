"""Time a whole training step of a language model with 10,000 words, against torch on the CPU.

The step: embedding, LSTM (T = 35, B = 20, H = 200), linear to all words, mean cross entropy,
backward, clipping by the norm of all gradients, one step of the optimiser; float32, and the state
is carried from step to step. Each side runs in a process of its own, in turn, several times; the
losses of the first steps are compared before anything is timed. Run
`python -m benchmarks.language_step`; `--parts` prints what each part takes instead.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from functools import partial
from importlib import import_module
from statistics import median
from typing import Any

from benchmarks import language_sides
from benchmarks.measuring import in_turn, write

STEPS = 5  # of which the losses are compared
TOLERANCE = 1e-4  # of the last of them, relative
WARM_UPS, ROUNDS = 10, 30


def alone(side: str, optimizer: str, threads: int, rounds: int, *, parts: bool) -> dict[str, Any]:
    """Return the first losses of one side in this process, and its times in milliseconds."""
    run = language_sides.SIDES[side](optimizer, threads)
    losses = [run.step(number) for number in range(STEPS)]
    if parts:
        taken = {name: in_turn({name: job}, rounds=rounds)[name]  # an update spoils torch's graphs
                 for name, job in run.parts().items()}  # fmt: skip
        return {"losses": losses, "parts": {name: 1e3 * one for name, one in taken.items()}}
    times = []
    for number in range(STEPS, STEPS + (WARM_UPS if rounds else 0) + rounds):
        began = time.perf_counter()
        run.step(number)
        times.append(1e3 * (time.perf_counter() - began))
    return {"losses": losses, "milliseconds": median(times[WARM_UPS:]) if rounds else None}


def apart(
    side: str, optimizer: str, threads: int, rounds: int, *, parts: bool = False
) -> dict[str, Any]:
    """Return what `alone` finds in a fresh process that has one core for each thread."""
    cores = set(sorted(os.sched_getaffinity(0))[:threads])
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.language_step", "--side", side, "--optimizer", optimizer,
         "--threads", str(threads), "--rounds", str(rounds), *["--parts"] * parts],
        check=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)}, stdout=subprocess.PIPE,
        preexec_fn=partial(os.sched_setaffinity, 0, cores), text=True,
    )  # fmt: skip
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def agreeing(found: dict[str, dict[str, Any]]) -> float:
    """Return how far the losses of the last of the first steps are apart, relative to torch's.

    Raises ValueError where that is more than they may be.
    """
    one, other = (found[side]["losses"][-1] for side in language_sides.SIDES)
    gap: float = abs(one - other) / abs(other)
    if not gap <= TOLERANCE:
        raise ValueError(f"language_step: the losses after {STEPS} steps are {one} and {other}")
    return gap


def measured(optimizer: str, threads: int, processes: int) -> dict[str, Any]:
    """Return one line of the result: the medians of several processes of each side in turn."""
    gap = agreeing({side: apart(side, optimizer, threads, 0) for side in language_sides.SIDES})
    times: dict[str, list[float]] = {side: [] for side in language_sides.SIDES}
    for _ in range(processes):
        for side in language_sides.SIDES:
            times[side].append(apart(side, optimizer, threads, ROUNDS)["milliseconds"])
    own = {side: median(taken) for side, taken in times.items()}
    line = {
        "optimizer": optimizer, "threads": threads, "milliseconds": own, "processes": times,
        "loss_gap": gap, "ratio": own["torch"] / own["bptt"],
    }  # fmt: skip
    print(f"{optimizer} {threads}: {line['ratio']:.2f} ({own['bptt']:.1f} ms, torch "
          f"{own['torch']:.1f} ms)", flush=True)  # fmt: skip
    return line


def print_parts(optimizer: str, threads: int) -> None:
    """Print what each part of a step takes, in milliseconds, by side."""
    found = {side: apart(side, optimizer, threads, 15, parts=True)["parts"]
             for side in language_sides.SIDES}  # fmt: skip
    print(f"{optimizer}, {threads} threads", *found, sep="\t")
    for name in found["bptt"]:
        print(f"{name:22}", *(f"{own[name]:7.2f}" for own in found.values()), sep="\t")


def main(arguments: list[str] | None = None) -> None:
    """Measure all lines and write the result; or what the options ask for."""
    parser = argparse.ArgumentParser("language_step", description=__doc__)
    parser.add_argument("--parts", action="store_true", help="print what each part takes")
    parser.add_argument("--optimizer", choices=tuple(language_sides.RATES), help="this one only")
    parser.add_argument("--threads", type=int, help="this number of threads only (1 and 2)")
    parser.add_argument("--processes", type=int, default=5, help="of each side and line (5)")
    parser.add_argument("--side", choices=tuple(language_sides.SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=argparse.SUPPRESS)
    own = parser.parse_args(arguments)
    if own.side:
        found = alone(own.side, own.optimizer, own.threads, own.rounds, parts=own.parts)
        print(json.dumps(found))
        return
    try:
        import_module("torch")  # so that its version is written down
    except ImportError:
        parser.exit(1, "language_step: torch is not installed; nothing to compare with\n")
    optimizers = [own.optimizer] if own.optimizer else list(language_sides.RATES)
    lines = [(one, n) for one in optimizers for n in ([own.threads] if own.threads else [1, 2])]
    if own.parts:
        for line in lines:
            print_parts(*line)
        return
    rows = [measured(*line, own.processes) for line in lines]
    if len(rows) < 4:
        return  # a part of the table is no result
    what = (
        f"milliseconds of one training step of a language model, {language_sides.V:,} words, LSTM, "
        f"T = {language_sides.T}, B = {language_sides.B}, H = {language_sides.WIDTH}, float32; "
        f"medians of {own.processes} processes a side"
    )
    print(f"written to {write('language_step', {'what': what, 'rows': rows})}")


if __name__ == "__main__":
    main()
