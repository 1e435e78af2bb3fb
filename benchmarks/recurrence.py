"""One training step of a recurrent layer against its peers, on the CPU or, by --device, on a GPU.

The measure: forward over T with a fixed upstream gradient on every output, then the gradients of
the input, the initial state and all weights; best peer / ours, the two run in turn in one process,
medians of 9 after 2 warm-ups, one process for each number of threads. Before each turn that counts
a competitor runs once uncounted, so that it finds its own threads awake and the others' asleep.
A peer that is far behind the fastest one is timed once, after a warm-up, and not in turn.
Gradients are compared with float64 before anything is timed. Run `python -m benchmarks.recurrence`;
`gpu_recurrence.py` says what `--device cupy` runs and how.
"""

import argparse
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import engine
import rnn
from benchmarks import cells, devices
from benchmarks.measuring import in_turn, write

SHAPES = [(64, 32, 128, 128), (64, 32, 256, 256), (35, 20, 200, 200), (128, 16, 64, 512),
          (50, 64, 512, 512), (200, 1, 64, 64), (1000, 8, 32, 32)]  # fmt: skip
BUILT_IN = ("lstm", "gru", "rnn")
WRITTEN = tuple(cells.WRITTEN)
FAR = 2.5  # a peer that takes this many times as long as the fastest one is timed once, not in turn

Job = Callable[[], list[Any]]


def problem(cell: str, shape: tuple[int, int, int, int]) -> dict[str, Any]:
    """The arrays of one problem, in float32."""
    T, B, I, H = shape
    rng = np.random.default_rng(0)
    k = H**-0.5
    sizes = cells.sizes(cell, I, H)
    draw = {name: rng.uniform(-k, k, size) for name, size in sizes.items()}
    draw["x"] = rng.normal(size=(T, B, I))
    for state in cells.states(cell):
        draw[state] = rng.normal(size=(B, H)) * 0.1
    draw["g"] = rng.normal(size=(T, B, H))
    return {name: value.astype("float32") for name, value in draw.items()}


def layer_of(
    cell: str, given: dict[str, Any], *, dtype: str = "float32", device: str = "numpy"
) -> tuple[rnn.Recurrent, dict[str, engine.Tensor], Any]:
    """Return our layer, its arrays by name, the input first, and its initial state."""
    tensors = {name: engine.asarray(value.astype(dtype), requires_grad=True, device=device)
               for name, value in given.items() if name != "g"}  # fmt: skip
    states = tuple(tensors[s] for s in cells.states(cell))
    layer = rnn.Recurrent(cells.build(cell, tensors))
    return layer, tensors, states[0] if len(states) == 1 else states


def ours(
    cell: str,
    given: dict[str, Any],
    *,
    dtype: str = "float32",
    unroll: bool = False,
    device: str = "numpy",
) -> Job:
    """A step of ours: the gradients by name, the input first, as arrays of the device."""
    layer, tensors, state = layer_of(cell, given, dtype=dtype, device=device)
    leaves = list(tensors.values())
    g = engine.asarray(given["g"].astype(dtype), device=device)

    def run() -> list[Any]:
        y, _ = layer(tensors["x"], state, unroll=unroll)
        return [grad.data for grad in engine.gradients(y, leaves, g) if grad is not None]

    return run


def measure(threads: int) -> list[dict[str, Any]]:
    """All cells and shapes with one number of threads, in this process."""
    engine.set_num_threads(threads)
    rows = []
    for cell in (*BUILT_IN, *WRITTEN):
        for shape in SHAPES:
            given = problem(cell, shape)
            exact = ours(cell, given, dtype="float64")()
            jobs: dict[str, Job] = {"bptt": ours(cell, given)}
            for module, make in (("torch", torch_jobs), ("jax", jax_jobs), ("numpy", numpy_jobs)):
                try:
                    importlib.import_module(module)
                except ImportError:
                    continue
                jobs |= make(cell, given, threads)
            for name, job in jobs.items():
                check(f"{cell} {shape} {name}", job(), exact)
            once = {name: in_turn({name: job}, rounds=1, warm_ups=1)[name]
                    for name, job in jobs.items()}  # fmt: skip
            fastest = min(taken for name, taken in once.items() if name != "bptt")
            close = {name: job for name, job in jobs.items()
                     if name == "bptt" or once[name] <= FAR * fastest}  # fmt: skip
            seconds = in_turn(close, rounds=9, before=lambda job: job())
            rows.append(row(cell, shape, threads, seconds))
            rows[-1]["single_run_milliseconds"] = {
                name: taken * 1e3 for name, taken in once.items() if name not in close
            }
            print(summary(rows[-1]), flush=True)
    return rows


def row(
    cell: str, shape: tuple[int, int, int, int], threads: int, seconds: dict[str, float]
) -> dict[str, Any]:
    """One line of the result."""
    peers = {name: taken for name, taken in seconds.items() if name != "bptt"}
    best = min(peers, key=lambda name: peers[name]) if peers else ""
    return {
        "cell": cell,
        "shape": list(shape),
        "threads": threads,
        "milliseconds": {name: taken * 1e3 for name, taken in seconds.items()},
        "best_peer": best,
        "ratio": peers[best] / seconds["bptt"] if best else math.nan,
    }


def summary(line: dict[str, Any]) -> str:
    times = ", ".join(f"{name} {ms:.2f}" for name, ms in line["milliseconds"].items())
    return f"{line['threads']} {line['cell']} {tuple(line['shape'])}: {line['ratio']:.2f} ({times})"


def check(what: str, found: list[Any], exact: list[Any]) -> None:
    """Compare the gradients of one competitor with those in float64."""
    for one, other in zip(found, exact, strict=True):
        scale = max(1.0, float(np.abs(other).max()))
        np.testing.assert_allclose(np.asarray(one) / scale, other / scale, rtol=0, atol=2e-4,
                                   err_msg=what)  # fmt: skip


def torch_jobs(cell: str, given: dict[str, Any], threads: int) -> dict[str, Job]:
    """The layers of torch, a loop of its cells, and a loop of plain ops."""
    from benchmarks import torch_peers

    return torch_peers.jobs(cell, given, threads)


def jax_jobs(cell: str, given: dict[str, Any], threads: int) -> dict[str, Job]:
    """`jax.lax.scan` under jit, the input's product inside and before it."""
    from benchmarks import jax_peers

    return jax_peers.jobs(cell, given)


def numpy_jobs(cell: str, given: dict[str, Any], threads: int) -> dict[str, Job]:
    """autograd and MyGrad, op by op."""
    from benchmarks import numpy_peers

    return numpy_peers.jobs(cell, given)


def geometric(ratios: list[float]) -> float:
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def main(arguments: list[str] | None = None) -> None:
    """Measure on the device that the options name."""
    parser = argparse.ArgumentParser("recurrence", description=__doc__)
    parser.add_argument("--threads", type=int, help="measure one number of threads, to --into")
    parser.add_argument("--into", help="the file of the result (one in results/)")
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
    measure_all(parser, options)


def measure_all(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Measure with one and two threads, each in a process of its own, and write the result."""
    if options.threads:
        rows = measure(options.threads)
        Path(options.into).write_text(json.dumps(rows), encoding="utf-8")
        return
    if not any(importlib.util.find_spec(module) for module in ("torch", "jax")):
        parser.exit(1, "recurrence: neither torch nor jax is installed; nothing to compare with\n")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for threads in (1, 2):
            into = Path(folder) / f"{threads}.json"
            # One core for one thread: a library that starts more of them gains nothing by it.
            cores = set(sorted(os.sched_getaffinity(0))[:threads])
            subprocess.run(
                [sys.executable, "-m", "benchmarks.recurrence", "--threads", str(threads),
                 "--into", str(into)],
                check=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)},
                preexec_fn=partial(os.sched_setaffinity, 0, cores),
            )  # fmt: skip
            rows += json.loads(into.read_text(encoding="utf-8"))
    for module in ("torch", "jax", "autograd", "mygrad"):
        try:
            importlib.import_module(module)  # so that its version is written down
        except ImportError:
            continue
    groups = {}
    for name, own in (("built-in", BUILT_IN), ("user-written", WRITTEN)):
        ratios = [line["ratio"] for line in rows if line["cell"] in own]
        groups[name] = {
            "geometric_mean": geometric(ratios), "worst": min(ratios),
            "losses": sum(r < 1 for r in ratios), "lines": len(ratios),
        }  # fmt: skip
    path = write(
        "recurrence",
        {
            "what": "milliseconds of one training step of a recurrent layer, "
            "float32, and best peer / bptt",
            "groups": groups,
            "rows": rows,
        },
    )
    print(json.dumps(groups, indent=2), f"written to {path}")


if __name__ == "__main__":
    main()
