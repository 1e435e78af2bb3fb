"""Measure strong and weak scaling over ranks of MPI: training by rows, and scans by time.

Run `python -m benchmarks.scaling`, or with `--parts` some of it. `network` times all-reduces and
the ways to scan maps over ranks, `fit` the steps of `rnn.fit(..., distributed=True)` of a language
model on drawn tokens, `scan` a forward and backward pass of `rnn.distributed.affine_scan`, `layer`
that of a minGRU by `run_stretch`. A rank has one thread. Where there are more ranks than cores they
take turns, which the result says. What `benchmarks/scaling_model.py` makes of it for more ranks is
a prediction.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measuring import ROOT, write

ROUNDS = 3
ROWS = [(1, 8), (1, 16), (1, 32), (2, 32), (4, 32), (4, 64)]  # ranks, B over all
TIMES = [(1, 2048), (1, 4096), (2, 4096), (4, 4096), (4, 8192)]  # ranks, T over all
LAYERS = [(1, 512), (1, 1024), (2, 1024), (4, 1024)]
WIDTH = {"B": 8, "H": 256}  # of the scan
WHAT = {
    "network": "median seconds of the slowest rank; all-reduces of float32, and scans of maps",
    "fit": "seconds of a training step of an LSTM language model, float32, chunks of 35 steps, "
           "gradients clipped, drawn tokens; medians of 3 launches in turn, one thread a rank",
    "scan": "seconds of h = a h + b over time, forward and backward, float32, (T, 8, 256); medians "
            "of 3 launches in turn, one thread a rank; one rank is `engine.scan`",
    "layer": "seconds of `rnn.Recurrent(rnn.MinGRUCell(256, 256))`, B = 8, float32, with all "
             "gradients, by `rnn.distributed.run_stretch`; medians of 3 launches in turn, one "
             "thread a rank; one rank calls the layer",
}  # fmt: skip


def launcher() -> list[str]:
    """Return mpiexec as a command: that beside Python, else that of the system.

    Raises FileNotFoundError where there is none.
    """
    beside = Path(sys.executable).with_name("mpiexec")
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        raise FileNotFoundError("scaling needs mpiexec and mpi4py: pip install '.[mpi]'")
    return [found]


def launched(command: list[str], ranks: int, **given: Any) -> Any:
    """Return what a launch of so many ranks finds."""
    command = [*command, "-n", str(ranks), sys.executable, "-m", "mpi4py", "-m",
               "benchmarks.scaling_side", json.dumps(given)]  # fmt: skip
    one_thread = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    done = subprocess.run(command, cwd=ROOT, env=os.environ | one_thread, capture_output=True,
                          text=True, timeout=600)  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def network(command: list[str], rounds: int) -> dict[str, Any]:
    """Return the times of messages of two ranks and of four."""
    return {"ranks": {str(ranks): launched(command, ranks, part="network") for ranks in (2, 4)}}


def lines(
    command: list[str],
    part: str,
    sizes: Sequence[tuple[int, int]],
    name: str,
    rounds: int,
    **given: int,
) -> list[Any]:
    """Return a line for each number of ranks and size, launched in turn."""
    found: list[list[Any]] = [[] for _ in sizes]
    for _ in range(rounds):
        for own, (ranks, size) in zip(found, sizes, strict=True):
            own.append(launched(command, ranks, part=part, **{name: size}, **given))
    return [
        {"ranks": ranks, name: size, **given, **middle(own)}
        for own, (ranks, size) in zip(found, sizes, strict=True)
    ]


def middle(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the launch of the median seconds, with the median of each part."""
    seconds = median(one["seconds"] for one in found)
    parts = {name: median(one["milliseconds"][name] for one in found)
             for name in found[0]["milliseconds"]}  # fmt: skip
    return {**found[0], "seconds": seconds, "milliseconds": parts,
            "each_launch": [one["seconds"] for one in found]}  # fmt: skip


def fit(command: list[str], rounds: int) -> dict[str, Any]:
    """Return the steps of training."""
    return {"rows": lines(command, "fit", ROWS, "B", rounds)}


def scan(command: list[str], rounds: int) -> dict[str, Any]:
    """Return the passes over time."""
    return {"rows": lines(command, "scan", TIMES, "T", rounds, **WIDTH), "maps": "doubling"}


def layer(command: list[str], rounds: int) -> dict[str, Any]:
    """Return the passes of a layer."""
    return {"rows": lines(command, "layer", LAYERS, "T", rounds, B=8, I=256, H=256)}


PARTS = {"network": network, "fit": fit, "scan": scan, "layer": layer}


def main(arguments: list[str] | None = None) -> None:
    """Measure and write a result for each part."""
    parser = argparse.ArgumentParser("scaling", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="launches of each line")
    parser.add_argument("--launcher", help="such as 'mpiexec -f hosts'; by default mpiexec")
    given = parser.parse_args(arguments)
    command = shlex.split(given.launcher) if given.launcher else launcher()
    import mpi4py  # its version is in the result  # noqa: F401

    for name in given.parts:
        found = PARTS[name](command, given.rounds)
        print(json.dumps(found, indent=1), flush=True)
        print(f"written to {write(f'scaling_{name}', {'what': WHAT[name], **found})}")


if __name__ == "__main__":
    main()
