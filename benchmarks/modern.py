"""Affine recurrences of modern cells against jax and torch: forward and backward, on the CPU.

Linear attention, the gated delta rule, a selective state space (Mamba) and a plain decay, each as
its equations say it, with the gradients of all inputs. Each side runs alone in a process of its
own, after its gradients were compared with those in float64, step by step. Run
`python -m benchmarks.modern`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import ROOT, alone, write

CLOSE = 2e-3  # of the largest number, in float32 against float64
THREADS = (1, 2)
Arrays = dict[str, np.ndarray]
Shape = tuple[int, ...]


def numbers(*shapes: Shape) -> list[np.ndarray]:
    """Return normal numbers, scaled by their last size."""
    rng = np.random.default_rng(0)
    return [rng.normal(size=s) * s[-1] ** -0.5 for s in shapes]


def linear_attention(shape: Shape) -> Arrays:
    """Return k, q (T, B, K), v (T, B, V) and the state of zeros."""
    T, B, K, V = shape
    k, q, v = numbers((T, B, K), (T, B, K), (T, B, V))
    return {"k": k, "q": q, "v": v}


def delta_rule(shape: Shape) -> Arrays:
    """Return those of linear attention, keys of length 1, with gates b and logarithms g (T, B)."""
    T, B, K, V = shape
    k, q, v, b, g = numbers((T, B, K), (T, B, K), (T, B, V), (T, B), (T, B))
    k /= np.sqrt((k**2).sum(-1, keepdims=True))
    return {"k": k, "q": q, "v": v, "b": 1 / (1 + np.exp(-b)), "g": -np.log1p(np.exp(g))}


def mamba(shape: Shape) -> Arrays:
    """Return x, d (T, B, D), b and c (T, B, N) and the logarithms of the decays a (D, N)."""
    T, B, D, N = shape
    x, d, b, c = numbers((T, B, D), (T, B, D), (T, B, N), (T, B, N))
    a = np.log(np.arange(1, N + 1)) + np.zeros((D, 1))
    return {"x": x, "d": d - 4.0, "b": b, "c": c, "a": a}


def decay(shape: Shape) -> Arrays:
    """Return a in [0.9, 1) and b (T, B, D)."""
    T, B, D = shape
    rng = np.random.default_rng(1)
    return {"a": 0.9 + 0.1 * rng.random((T, B, D)), "b": rng.normal(size=(T, B, D))}


LINES: dict[str, tuple[Callable[[Shape], Arrays], Shape]] = {
    "linear attention": (linear_attention, (2048, 2, 64, 64)),
    "gated delta rule": (delta_rule, (1024, 4, 32, 32)),
    "Mamba": (mamba, (2048, 1, 256, 16)),
    "decay": (decay, (16384, 1, 256)),
    "decay, narrow": (decay, (65536, 1, 1)),
}


def step_of(line: str, xp: Any, fixed: Any) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Return the step of a line; `xp` has exp, sum and softplus, `fixed` what no step changes."""

    def attention(S: Any, x: Any) -> Any:
        S = S + x["k"][:, :, None] * x["v"][:, None, :]
        return S, xp.sum(S * x["q"][:, :, None], 1)

    def delta(S: Any, x: Any) -> Any:
        k = x["k"][:, :, None]
        S = xp.exp(x["g"])[:, None, None] * S
        S = S + k * (x["b"][:, None] * (x["v"] - xp.sum(S * k, 1)))[:, None, :]
        return S, xp.sum(S * x["q"][:, :, None], 1)

    def selective(h: Any, x: Any) -> Any:
        d = xp.softplus(x["d"])[:, :, None]
        h = xp.exp(-d * xp.exp(fixed["a"])) * h + d * x["b"][:, None, :] * x["x"][:, :, None]
        return h, xp.sum(h * x["c"][:, None, :], 2)

    def plain(h: Any, x: Any) -> Any:
        h = x["a"] * h + x["b"]
        return h, h

    return {"linear attention": attention, "gated delta rule": delta, "Mamba": selective}.get(
        line, plain
    )


def ours(line: str, shape: Shape, arrays: Arrays, dtype: str, method: str | None) -> Any:
    """Return a job that computes the gradients with the engine, as a dict of arrays."""
    import engine

    given = {
        name: engine.asarray(x.astype(dtype), requires_grad=True) for name, x in arrays.items()
    }
    xs, fixed = parts(line, given)
    step = step_of(line, _Ours(engine), fixed)
    state = engine.zeros(shape[1:], dtype=dtype)

    def job() -> Arrays:
        y = engine.scan(step, state, xs, method=method)[1]
        found = engine.gradients(engine.sum(y * y), list(given.values()))
        return {name: g.numpy() for name, g in zip(given, found, strict=True) if g is not None}

    return job


class _Ours:
    def __init__(self, engine: Any) -> None:
        self.exp, self.softplus = engine.exp, engine.softplus
        self.sum = lambda x, axis: engine.sum(x, axis=axis)


def parts(line: str, given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what has a value a step, and what has not."""
    fixed = {name: x for name, x in given.items() if line == "Mamba" and name == "a"}
    return {name: x for name, x in given.items() if name not in fixed}, fixed


def in_jax(line: str, shape: Shape, arrays: Arrays, *, associative: bool) -> Any:
    """Return a job that computes the gradients with jax, compiled."""
    import jax
    import jax.numpy as jnp

    given = {name: jnp.asarray(x.astype("float32")) for name, x in arrays.items()}

    class own:
        exp, softplus = jnp.exp, jax.nn.softplus
        sum = staticmethod(jnp.sum)

    def by_steps(given: Any) -> Any:
        xs, fixed = parts(line, given)
        step = step_of(line, own, fixed)
        return jax.lax.scan(step, jnp.zeros(shape[1:]), xs)[1]

    def by_pairs(given: Any) -> Any:
        if line == "Mamba":
            d = jax.nn.softplus(given["d"])[..., None]
            a = jnp.exp(-d * jnp.exp(given["a"]))
            b = d * given["b"][:, :, None, :] * given["x"][..., None]
        else:
            a, b = given["a"], given["b"]
        h = jax.lax.associative_scan(lambda p, q: (q[0] * p[0], q[0] * p[1] + q[1]), (a, b))[1]
        return jnp.sum(h * given["c"][:, :, None, :], -1) if line == "Mamba" else h

    outputs = by_pairs if associative else by_steps
    gradient = jax.jit(jax.grad(lambda given: jnp.sum(outputs(given) ** 2)))

    def job() -> Arrays:
        found = jax.block_until_ready(gradient(given))
        return {name: np.asarray(x) for name, x in found.items()}

    return job


def in_torch(line: str, shape: Shape, arrays: Arrays) -> Any:
    """Return a job that computes the gradients with a loop over the steps in torch."""
    import torch

    given = {name: torch.tensor(x.astype("float32"), requires_grad=True)
             for name, x in arrays.items()}  # fmt: skip

    class own:
        exp, softplus = torch.exp, torch.nn.functional.softplus
        sum = staticmethod(torch.sum)

    def job() -> Arrays:
        xs, fixed = parts(line, given)
        step, h, total = step_of(line, own, fixed), torch.zeros(shape[1:]), 0.0
        rows = {name: x.unbind(0) for name, x in xs.items()}
        for t in range(shape[0]):
            h, y = step(h, {name: x[t] for name, x in rows.items()})
            total = total + (y * y).sum()
        found = torch.autograd.grad(total, list(given.values()))
        return {name: g.numpy() for name, g in zip(given, found, strict=True)}

    return job


SIDES = ("bptt", "bptt, steps", "bptt, stretches", "jax scan", "jax associative_scan", "torch loop")


def job_of(side: str, line: str, shape: Shape, arrays: Arrays) -> Any:
    """Return the job of one side."""
    if side.startswith("bptt"):
        return ours(line, shape, arrays, "float32", side.partition(", ")[2] or None)
    if side.startswith("jax"):
        return in_jax(line, shape, arrays, associative="associative" in side)
    return in_torch(line, shape, arrays)


def sides_of(line: str) -> list[str]:
    """Return the sides that are installed and can run a line."""
    pairs = line == "Mamba" or line.startswith("decay")
    return [side for side in SIDES
            if (side.startswith("bptt") or find_spec(side.split()[0]) is not None)
            and (pairs or "associative" not in side)
            and (line.startswith("decay") or "stretches" not in side)
            and not (side.startswith("torch") and LINES[line][1][0] > 20_000)]  # fmt: skip


def check(found: Arrays, exact: Arrays) -> None:
    """Raise AssertionError where gradients are not those in float64."""
    for name, right in exact.items():
        gap = np.abs(found[name] - right).max() / np.abs(right).max()
        assert gap < CLOSE, f"the gradient of {name} is off by {gap:.1e}"


def measured(side: str, line: str, threads: int, exact: Path) -> dict[str, Any]:
    """Return the milliseconds of one side, alone in this process; of ours the memory too."""
    make, shape = LINES[line]
    if side.startswith("bptt"):
        import engine

        engine.set_num_threads(threads)
    elif side.startswith("torch"):
        import torch

        torch.set_num_threads(threads)
    job = job_of(side, line, shape, make(shape))
    check(job(), dict(np.load(exact)))
    found = alone(job, rounds=9 if not side.startswith("torch") else 3)
    if side == "bptt":
        tracemalloc.start()
        job()
        found["peak_megabytes"] = tracemalloc.get_traced_memory()[1] / 2**20
    return found


def rows() -> list[dict[str, Any]]:
    """Return the figures of all lines, each side in a process of its own, in turn."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for line, (make, shape) in LINES.items():
            exact = Path(folder) / "exact.npz"
            np.savez(exact, **ours(line, shape, make(shape), "float64", "steps")())
            for threads in THREADS:
                row: dict[str, Any] = {"line": line, "shape": shape, "threads": threads,
                                       "milliseconds": {}}  # fmt: skip
                for side in sides_of(line):
                    own = run(side, line, threads, exact)
                    row["milliseconds"][side] = own["milliseconds"]
                    if "peak_megabytes" in own:
                        row["peak_megabytes"] = own["peak_megabytes"]
                print(row, flush=True)
                found.append(row)
    return found


def run(side: str, line: str, threads: int, exact: Path) -> dict[str, Any]:
    """Return what a process of its own says of one side."""
    cores = ",".join(map(str, range(threads)))
    command = [sys.executable, "-m", "benchmarks.modern", "--side", side, "--line", line,
               "--threads", str(threads), "--exact", str(exact)]  # fmt: skip
    limited = ["taskset", "-c", cores, *command] if side.startswith("jax") else command
    done = subprocess.run(limited, cwd=ROOT, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=SIDES, help="measure this side alone, and write nothing")
    parser.add_argument("--line", choices=LINES)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--exact", type=Path)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(measured(options.side, options.line, options.threads, options.exact)))
        return
    what = "milliseconds forward and backward, float32, each side alone in a process of its own"
    found = rows()
    for name in ("jax", "torch"):  # a version is told of what this process has imported
        if find_spec(name) is not None:
            import_module(name)
    print(f"written to {write('modern', {'what': what, 'rows': found})}")


if __name__ == "__main__":
    main()
