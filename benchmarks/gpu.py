"""Run `make gpu`: everything that only a GPU can show, within a budget of minutes.

Parts are ordered by worth: the machine and one step, tests of recurrences, the benchmark of
recurrences at its anchors, compute-sanitizer, tests of ops, the rest of the benchmark. Each writes
a file of its own as it goes. A later run goes on where this one has stopped, as long as source,
versions and GPU are the same. `docs/about/gpu.md` says what has been run.
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import (
    devices,
    gpu_environment,
    gpu_record,
    gpu_recurrence,
    gpu_sanitizer,
    gpu_test_part,
    measuring,
)
from benchmarks.gpu_processes import module, ran, tail
from benchmarks.gpu_record import earlier
from benchmarks.gpu_verdict import right, verdict
from benchmarks.measuring import RESULTS

TESTS = ("engine", "rnn", "tests")
SHORT = 5.0  # seconds below which no part begins
GRACE = 5.0  # seconds between the end that a part is told and the one that is made for it
OVER = (0, 1)  # statuses of the benchmark after which there is nothing to start again


class Part(NamedTuple):
    """Hold a part: its share of the budget at most, the source that it depends on, its function."""

    share: float
    folders: tuple[str, ...]
    run: Callable[[Path, dict[str, Any], float], None]


def recurrence(part: str, path: Path, key: dict[str, Any], seconds: float) -> None:
    """Run a part of the benchmark; start it again where a line has ended its process."""
    ends = time.monotonic() + seconds
    status: int | None = None
    output = ""
    while status not in OVER and (left := ends - time.monotonic()) > GRACE:
        own = ("--device", "cupy", "--part", part, "--into", str(path), "--minutes")
        status, said = ran(module("benchmarks.recurrence", *own, str((left - GRACE) / 60)), left)
        output += said
    gpu_record.save(path, earlier(path, key) | {"output": tail(output)})


PARTS: dict[str, Part] = {
    "environment": Part(0.15, gpu_recurrence.FOLDERS, gpu_environment.run),
    "tests": Part(0.25, TESTS, partial(gpu_test_part.run, "recurrences")),
    "recurrence_anchors": Part(0.4, gpu_recurrence.FOLDERS, partial(recurrence, "anchors")),
    "sanitizer": Part(0.2, gpu_recurrence.FOLDERS, gpu_sanitizer.run),
    "tests_of_ops": Part(0.3, TESTS, partial(gpu_test_part.run, "ops")),
    "recurrence_grid": Part(1.0, gpu_recurrence.FOLDERS, partial(recurrence, "grid")),
}


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser("gpu", description=__doc__)
    add = parser.add_argument
    add("--minutes", type=float, default=10.0, help="the budget of all parts together (10)")
    add("--only", nargs="+", choices=PARTS, metavar="PART", default=list(PARTS),
        help=f"of {', '.join(PARTS)} (all)")  # fmt: skip
    add("--out", type=Path, default=RESULTS / "gpu", help="the folder of results (%(default)s)")
    add("--again", action="store_true", help="run parts from the beginning, finished or not")
    options = parser.parse_args(arguments)
    devices.usable(parser, "cupy")
    if devices.graphics()["fake"] and options.out == RESULTS / "gpu":
        parser.exit(1, "gpu: CuPy is a fake here; its results are kept only in a folder of --out\n")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the parts that are not finished; return 1 where one has failed or is not finished."""
    options = parse(arguments)
    ends = time.monotonic() + 60 * options.minutes
    keys = {name: gpu_record.key(part.folders) for name, part in PARTS.items()}

    def found(name: str) -> dict[str, Any]:
        return earlier(options.out / f"{name}.json", keys[name])

    for name in options.only:
        part, path = PARTS[name], options.out / f"{name}.json"
        if options.again:
            path.unlink(missing_ok=True)
        seconds = min(part.share * 60 * options.minutes, ends - time.monotonic())
        if found(name)["finished"] or seconds < SHORT:
            continue
        print(f"{name}: up to {seconds:.0f} s", flush=True)
        took, began = found(name).get("seconds", 0.0), time.monotonic()
        about = {"commit": measuring.commit(), "machine": devices.described()}
        gpu_record.save(path, found(name) | about)  # before: a part that is ended has it, too
        part.run(path, keys[name], seconds)
        gpu_record.save(path, found(name) | {"seconds": took + time.monotonic() - began})
        print(f"{name}: {verdict(found(name))}", flush=True)
    print("\nverdict", *(f"{name}: {verdict(found(name))}" for name in PARTS), sep="\n")
    return 0 if all(right(found(name)) for name in options.only) else 1


if __name__ == "__main__":
    sys.exit(main())
