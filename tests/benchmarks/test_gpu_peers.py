"""Test the competitors of a line on a GPU: the numbers that they start from, their gradients."""

import importlib.util

import numpy as np
import pytest

from benchmarks import cells, devices, gpu_lines, gpu_peers, gpu_recurrence, recurrence_problem
from benchmarks.gpu_lines import Line


def test_numbers_are_rounded_to_bfloat16_as_ml_dtypes_does():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    x = np.random.default_rng(0).normal(size=1000).astype("float32")
    x[:3] = 1 + 2.0**-8, 1 + 3 * 2.0**-8, -(1 + 2.0**-8)  # ties go to even
    np.testing.assert_array_equal(gpu_peers.rounded(x), x.astype(bfloat16).astype("float32"))
    full, short = (gpu_peers.problem(Line("lstm", (4, 2, 3, 5), precision))["x"]
                   for precision in ("tf32", "bfloat16"))  # fmt: skip
    assert (full != short).any()
    np.testing.assert_array_equal(gpu_peers.rounded(full), short)


@pytest.mark.filterwarnings("ignore")  # theirs
@pytest.mark.parametrize("cell", cells.STEPS)
@pytest.mark.parametrize("precision", gpu_lines.CLASSES)
def test_peers_give_the_gradients_of_float64(monkeypatch, cell, precision):
    torch_peers = pytest.importorskip("benchmarks.torch_peers", exc_type=ImportError)
    true = torch_peers.jobs
    torch = importlib.import_module("torch")
    where = "cuda" if torch.cuda.is_available() else "cpu"
    monkeypatch.setattr(devices, "wait", lambda: None)
    monkeypatch.setattr(torch_peers, "jobs", lambda *own, device, dtype: true(
        *own, device=where, dtype=dtype))  # fmt: skip
    line = Line(cell, (3, 2, 3, 4), precision)
    given = gpu_peers.problem(line)
    exact = [devices.host(x) for x in recurrence_problem.ours(cell, given, dtype="float64")()]
    if where == "cpu":
        monkeypatch.setattr("benchmarks.torch_graphs.graphed", lambda job: job)
    jobs = gpu_peers.with_torch(line, given, everything=True)
    jobs.pop("torch.compile")  # half a minute
    assert {"torch loop of ops", "torch loop in a CUDA graph"} <= set(jobs)
    if importlib.util.find_spec("jax"):
        jobs |= gpu_peers.with_jax(line, given, everything=True)
    with gpu_peers.all_in(precision):
        errors, failed = gpu_recurrence.checked(jobs, exact, gpu_recurrence.TOLERANCES[precision])
    assert failed == {}
    assert set(errors) == set(jobs)
    few = {*gpu_peers.with_torch(line, given, everything=False)}
    assert ("torch.compile" in few) == (cell in cells.WRITTEN)
