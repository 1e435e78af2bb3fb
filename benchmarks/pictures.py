"""Draw an LSTM by us and by the libraries that draw torch's graphs, then by us alone at sizes that
nothing else draws: many boxes, a million ops, the interactive page.

Peers run in turn in one process. What is large runs in processes of its own, so that caches are
cold and the peak of memory is its own. Run `python -m benchmarks.pictures`; peers, Graphviz and
Chromium are left out by name where they are not installed; `--device cupy` runs ours only, on a
GPU. Above `picture_peers.py`, `picture_facts.py` and `picture_frames.py`.
"""

import importlib.metadata
import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import engine
import rnn
import viz
from benchmarks import cells, devices, picture_facts, picture_frames, recurrence_problem
from benchmarks.measuring import in_turn, machine, write
from viz.rendering.drawing import Drawing
from viz.writers import dot, raster

ROOT = Path(__file__).parent.parent
I, H = 8, 16
STEPS = (10, 50)  # of the LSTM that all libraries draw
SIZES = (5_000, 100_000)  # boxes
NODES = 1_000_000
FORMATS = ("png", "pdf")
SHOWN = 6  # steps of the picture of a million ops
ROUNDS = 5
REPEATS = {5_000: 3, 100_000: 1}  # processes for each large picture
SLOW = 10.0  # seconds: what takes longer is timed once
PACKAGES = ("torchviz", "torchview", "torchlens", "graphviz", "matplotlib", "playwright")

Job = Callable[[], Path]
Key = tuple[str, str, str]  # library, level, format


def network(given: dict[str, Any]) -> Callable[[], engine.Tensor]:
    """Build the LSTM of these weights and input; the function gives its loss on the last h."""
    trained = cells.sizes("lstm", 1, 1)
    tensors = {name: engine.asarray(value, requires_grad=name in trained, name=name)
               for name, value in given.items()}  # fmt: skip
    layer = rnn.Recurrent(cells.build("lstm", tensors))

    def loss() -> engine.Tensor:
        y, _ = layer(tensors["x"], (tensors["h0"], tensors["c0"]))
        return engine.sum(y[-1] ** 2)

    return loss


def ours(given: dict[str, Any], folder: Path) -> dict[Key, Job]:
    """Return jobs from the model and its input to SVG and DOT, with all steps and gradients."""
    loss, steps = network(given), len(given["x"])

    def job(level: str, kind: str) -> Job:
        return lambda: viz.draw_gradients(loss(), level=level, max_steps=steps).render(
            folder / f"bptt_{level}.{kind}"
        )

    return {("bptt", level, kind): job(level, kind)
            for level in ("cell", "op") for kind in ("svg", "dot")}  # fmt: skip


def against_peers(steps: int) -> dict[str, Any]:
    """Return seconds and facts of every library's pictures of the same LSTM."""
    given = recurrence_problem.problem("lstm", (steps, 1, I, H))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        jobs = ours(given, folder)
        try:
            from benchmarks import picture_peers as peers
        except ImportError:
            rows = _timed(jobs, lambda key: None, steps, None)
            return {"rows": rows, "not_installed": ["torch"]}
        loss, norms = peers.exact(given)
        np.testing.assert_allclose(network(given)().item(), loss, rtol=1e-4)  # the same network
        others, missing = peers.jobs(given, folder)
        rows = _timed(jobs | others, peers.prepare, steps, norms)
        return {"rows": rows, "not_installed": missing}


def _timed(
    jobs: dict[Key, Job], prepare: Callable[[Key], None], steps: int, norms: list[float] | None
) -> list[dict[str, Any]]:
    """Return a row for each job: what is slow is timed once, what fails or is too slow is said."""
    rows: dict[Key, dict[str, Any]] = {}
    for key, job in jobs.items():
        row = rows[key] = dict(zip(("library", "level", "format"), key, strict=True))
        prepare(key)
        began = time.perf_counter()
        try:
            path = job()
            row["seconds"], row["timed"] = time.perf_counter() - began, 1
            row |= picture_facts.facts(path, steps, norms)
        except subprocess.TimeoutExpired as error:
            row["over"] = error.timeout
        except (RecursionError, subprocess.CalledProcessError) as error:
            row["failed"] = type(error).__name__
    quick = {key: jobs[key] for key, row in rows.items() if row.get("seconds", SLOW) < SLOW}
    names = {job: key for key, job in quick.items()}
    taken = in_turn({" ".join(key): job for key, job in quick.items()}, rounds=ROUNDS, warm_ups=1,
                    before=lambda job: prepare(names[job]))  # fmt: skip
    for key in quick:
        rows[key] |= {"seconds": taken[" ".join(key)], "timed": ROUNDS}
    for row in rows.values():
        print(row, flush=True)
    return list(rows.values())


def lstm(steps: int, device: str = "numpy") -> engine.Tensor:
    """Return the loss on the last h of an LSTM over so many steps."""
    engine.seed(0)
    x = np.random.default_rng(0).normal(size=(steps, 1, I)).astype("float32")
    y, _ = rnn.LSTM(I, H).to(device)(engine.asarray(x, device=device))
    return engine.sum(y[-1] ** 2)


def steps_for(wanted: int, size: Callable[[int], int]) -> int:
    """Count the steps that give at least `wanted`; `size(steps)` grows by the same every step."""
    few, more = size(8), size(12)
    return max(8 + math.ceil(4 * (wanted - few) / (more - few)), 2)


def large(
    level: str, steps: str, measured: str, page: str, device: str = "numpy"
) -> dict[str, Any]:
    """Time one large picture from the loss to its files, in this process: everything is cold."""
    loss = lstm(int(steps), device)
    seconds: dict[str, float] = {}
    seconds["graph"], drawing = _clock(lambda: Drawing(loss, level, max_steps=int(steps)))
    if measured == "gradients":
        seconds["norms"], _ = _clock(drawing.measure)
    seconds["picture"], diagram = _clock(lambda: drawing.diagram("A large picture"))
    seconds["svg"], text = _clock(diagram.svg)
    seconds["from_the_loss"] = sum(seconds.values())
    again = lambda: drawing.diagram("A large picture").svg()  # noqa: E731
    seconds["picture_and_svg_again"] = median(_clock(again)[0] for _ in range(3))
    seconds["page"], _ = _clock(lambda: diagram.to_html(page))
    return {
        "level": level, "steps": int(steps), "measured": measured,
        "boxes": len(diagram.scene.boxes), "wires": len(diagram.scene.wires),
        "svg_bytes": len(text.encode()), "page_bytes": Path(page).stat().st_size,
        "peak_megabytes": _peak(), "seconds": seconds,
    }  # fmt: skip


def million(level: str, steps: str) -> dict[str, Any]:
    """Draw a graph of very many ops, every step's own, with most steps left out, and time it."""
    with engine.explicit():
        recording, loss = _clock(lambda: lstm(int(steps)))
    nodes, recorded = len(engine.Graph.of(loss)), _peak()
    drawing, diagram = _clock(lambda: viz.draw_unrolled(loss, level=level, max_steps=SHOWN))
    writing, text = _clock(diagram.svg)
    return {
        "level": level, "steps": int(steps), "nodes": nodes,
        "seconds": {"record": recording, "draw": drawing, "svg": writing},
        "peak_megabytes": {"recorded": recorded, "drawn": _peak()},
        "boxes": len(diagram.scene.boxes), "wires": len(diagram.scene.wires),
        "svg_bytes": len(text.encode()), "notes": list(diagram.scene.notes),
    }  # fmt: skip


def _clock(job: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = job()
    return time.perf_counter() - began, result


def _peak() -> float | None:
    """Return the most memory that this process has held, in megabytes, where the system tells.

    `resource` would count what the process held from which this one was started.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return None
    kilobytes = next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]
    return int(kilobytes) * 1024 / 1e6


PARTS: dict[str, Callable[..., dict[str, Any]]] = {"large": large, "million": million}


def apart(part: str, *given: object) -> dict[str, Any]:
    """Run a part in a new process, and return what it finds."""
    command = [sys.executable, "-m", "benchmarks.pictures", part, *map(str, given)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(found, flush=True)
    return found


def all_large(pages: Path) -> list[dict[str, Any]]:
    """Time every level and size with and without gradients; medians over processes, pages kept."""
    rows = []
    for level in ("cell", "op"):
        for size in SIZES:
            steps = steps_for(size, partial(_boxes, level))
            for measured in ("plain", "gradients"):
                page = pages / f"{level}_{size}_{measured}.html"
                runs = [apart("large", level, steps, measured, page) for _ in range(REPEATS[size])]
                times = {name: median(run["seconds"][name] for run in runs)
                         for name in runs[0]["seconds"]}  # fmt: skip
                rows.append(runs[0] | {"seconds": times, "page": page.name})
    return rows


def _boxes(level: str, steps: int) -> int:
    return len(Drawing(lstm(steps), level, max_steps=steps).model.items)


def _nodes(steps: int) -> int:
    with engine.explicit():
        return len(engine.Graph.of(lstm(steps)))


def files() -> list[dict[str, Any]]:
    """Time PNG and PDF of one picture, by matplotlib and, where installed, by Graphviz."""
    diagram = viz.draw_gradients(lstm(STEPS[0]), level="op", max_steps=STEPS[0])
    with tempfile.TemporaryDirectory() as folder:
        return [row for kind in FORMATS for row in _written(diagram, Path(folder), kind)]


def _written(diagram: viz.Diagram, folder: Path, kind: str) -> list[dict[str, Any]]:
    paths = {way: folder / f"{way}.{kind}" for way in ("matplotlib", "Graphviz")}
    ways: dict[str, Callable[[], Any]] = {
        "matplotlib": lambda: paths["matplotlib"].write_bytes(raster.write(diagram.scene, kind)),
    }
    if shutil.which("neato") and dot.holds(diagram.scene):  # then `render` asks Graphviz
        ways["Graphviz"] = lambda: diagram.render(paths["Graphviz"])
    taken = in_turn(ways, rounds=ROUNDS, warm_ups=1)
    return [{"format": kind, "by": way, "seconds": taken[way],
             "bytes": paths[way].stat().st_size, "boxes": len(diagram.scene.boxes)}
            for way in ways]  # fmt: skip


def described() -> dict[str, Any]:
    """Return the machine, with the versions of what draws."""
    on = machine()
    for package in PACKAGES:
        try:
            on["versions"][package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    if shutil.which("dot"):
        said = subprocess.run(["dot", "-V"], capture_output=True, text=True, check=True).stderr
        on["versions"]["dot"] = said.split()[4]
    return on


def on_device(device: str) -> None:
    """Write what a picture with gradients of a network on a GPU takes."""
    name = devices.result_name("pictures", device)
    with tempfile.TemporaryDirectory() as folder:
        rows = [large(level, str(steps_for(SIZES[0], partial(_boxes, level))), "gradients",
                      f"{folder}/page.html", device) for level in ("cell", "op")]  # fmt: skip
    print(f"written to {write(name, {'what': 'pictures', 'large': rows, **devices.on(device)})}")


def main(arguments: list[str]) -> None:
    if arguments and arguments[0] in PARTS:
        print(json.dumps(PARTS[arguments[0]](*arguments[1:])))
        return
    if not devices.on_host(device := devices.parsed("pictures", __doc__, arguments)):
        return on_device(device)
    with tempfile.TemporaryDirectory() as folder:
        peers = {str(steps): against_peers(steps) for steps in STEPS}
        rows = all_large(Path(folder))
        frames = picture_frames.frames([Path(folder) / row["page"] for row in rows])
    steps = steps_for(NODES, _nodes)
    result = {
        "what": f"pictures of an LSTM, I = {I}, H = {H}, one sequence, loss on the last h",
        "rounds": ROUNDS,
        "peers": peers,
        "large": rows,
        "frames": frames,
        "million": [apart("million", level, steps) for level in ("op", "cell")],
        "files": files(),
    }
    print(f"written to {write('pictures', {'machine': described(), **result})}")


if __name__ == "__main__":
    main(sys.argv[1:])
