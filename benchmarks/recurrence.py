"""Time a training step of a recurrent layer and its peers, on the CPU or, by --device, on a GPU.

The measure: forward over T with a fixed upstream gradient on every output, then the gradients of
the input, the initial state and all weights; best peer / ours, the sides in turn, each alone on the
machine in a process of its own (`recurrence_turns.py`), after its gradients were compared with
float64 (`recurrence_side.py`). The
options --threads, --cells and --shapes choose lines; what they find is shown, and written only to
--into. Run `python -m benchmarks.recurrence`; `gpu_recurrence.py` says what `--device cupy` does.
"""

import argparse
import contextlib
import importlib
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import (
    cells,
    devices,
    first_use,
    recurrence_side,
    recurrence_steady,
    recurrence_turns,
)
from benchmarks.measuring import geometric, write
from benchmarks.recurrence_problem import SHAPES, Shape, write_exact
from benchmarks.recurrence_side import OURS

THREADS = (1, 2)
WHAT = "training steps of recurrent layers, float32, in turn, each side in a process of its own"


def grid(
    names: Sequence[str], shapes: Sequence[Shape], counts: Sequence[int]
) -> list[dict[str, Any]]:
    """Return the lines of these cells, shapes and numbers of threads, those of one thread first."""
    found = []
    for cell in names:
        with tempfile.TemporaryDirectory() as folder:
            exact = {shape: Path(folder) / f"{n}.npz" for n, shape in enumerate(shapes)}
            for shape, path in exact.items():
                write_exact(cell, shape, path)
            for threads in counts:
                found += lines(cell, threads, exact)
    return sorted(found, key=lambda line: counts.index(line["threads"]))


def lines(cell: str, threads: int, exact: dict[Shape, Path]) -> list[dict[str, Any]]:
    """Return the lines of one cell and number of threads."""
    found = []
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(recurrence_turns.Process(side, cell, threads))
                   for side in (OURS, *recurrence_side.peers(cell))]  # fmt: skip
        for shape, path in exact.items():
            found.append(recurrence_turns.line(shape, threads, path, running))
            print(summary(found[-1]), flush=True)
    return found


def summary(line: dict[str, Any]) -> str:
    """Return a line in one line of text."""
    times = ", ".join(f"{name} {ms:.2f}" for name, ms in line["milliseconds"].items())
    ratio = f"{line['ratio']:.2f}" if line["ratio"] else "nothing to compare with"
    failed = "".join(f"; {name} failed: {why}" for name, why in line["failed"].items())
    return (f"{line['threads']} {line['cell']} {tuple(line['shape'])}: {ratio} ({times}; "
            f"{line['page_faults_a_step']:.0f} page faults){failed}")  # fmt: skip


def groups(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the mean ratio, the worst and the losses of each group of cells and of threads."""
    found = {}
    for name, own in cells.GROUPS.items():
        for threads in dict.fromkeys(line["threads"] for line in rows):
            ratios = [line["ratio"] for line in rows if line["cell"] in own
                      and line["threads"] == threads and line["ratio"]]  # fmt: skip
            if ratios:
                found[f"{name}; {threads} thread{'s' * (threads > 1)}"] = {
                    "geometric_mean": geometric(ratios), "worst": min(ratios),
                    "losses": sum(r < 1 for r in ratios), "lines": len(ratios),
                }  # fmt: skip
    return found


def main(arguments: list[str] | None = None) -> None:
    """Measure on the device that the options name."""
    parser = argparse.ArgumentParser("recurrence", description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", help="numbers of threads (1 2)")
    parser.add_argument("--cells", nargs="+", choices=cells.STEPS, help="cells (all)",
                        metavar="CELL")  # fmt: skip
    parser.add_argument("--shapes", nargs="+", type=shape_of, metavar="T,B,I,H", help="shapes")
    parser.add_argument("--into", type=Path, help="the file of the result (one in results/)")
    devices.add_device(parser)
    parser.add_argument(
        "--part", choices=("anchors", "grid"), default="anchors",
        help="of a GPU: the shapes that tell most, or all others (anchors)",
    )  # fmt: skip
    parser.add_argument("--minutes", type=float, default=10.0, help="of a GPU, at most (10)")
    options = parser.parse_args(arguments)
    device = devices.usable(parser, options.device)
    if not devices.on_host(device):
        from benchmarks import gpu_recurrence

        parser.exit(gpu_recurrence.run(device, options.part, options.minutes, options.into))
    on_host(options)


def shape_of(text: str) -> Shape:
    """Return the shape of an option. Raises ValueError where it is not four positive integers."""
    T, B, I, H = map(int, text.split(","))
    if min(T, B, I, H) < 1:
        raise ValueError(text)
    return T, B, I, H


def on_host(options: argparse.Namespace) -> None:
    """Measure the lines that the options choose and, if they are all or --into is given, write."""
    began = time.monotonic()
    names = options.cells or list(cells.STEPS)
    shapes = options.shapes or SHAPES
    counts = options.threads or THREADS
    whole = not (options.cells or options.shapes or options.threads)
    rows = grid(names, shapes, counts)
    lstm = [(shape, threads) for threads in counts for shape in shapes if "lstm" in names]
    result: dict[str, Any] = {
        "what": WHAT,
        "groups": groups(rows),
        "rows": rows,
        "spread": recurrence_steady.spread(lstm),
        "beside": recurrence_steady.beside(lstm),
        "first_use": first_use.measure() if whole else [],
    }
    result["minutes"] = (time.monotonic() - began) / 60
    compared = {line["best_peer"] for line in rows} - {None}
    if not compared:
        print("recurrence: no peer is installed; there is nothing to compare with")
    for name in ("spread", "beside", "first_use", "groups"):
        print(name, json.dumps(result[name], indent=1))
    if options.into or (whole and compared):
        for package in {side.package for side in recurrence_side.PEERS}:
            if recurrence_side.installed(package):
                importlib.import_module(package)  # so that its version is written down
        print(f"written to {write(options.into or 'recurrence', result)}")


if __name__ == "__main__":
    main()
