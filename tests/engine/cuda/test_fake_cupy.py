"""Test that the fake of CuPy refuses what CuPy refuses, has its names, and counts its work."""

import json
import subprocess
import sys

import numpy as np
import pytest

import engine
from tests import ROOT, devices

engine.device("cupy")
cp = pytest.importorskip("cupy")
if not getattr(cp, "IS_FAKE", False):
    pytest.skip("a GPU is here, and the real CuPy", allow_module_level=True)

from cupy import _state  # noqa: E402
from cupy._array import Unsupported  # noqa: E402
from cupyx.scipy import special  # noqa: E402

RECORD = json.loads((devices.FAKE / "cupy" / "recorded.json").read_text(encoding="utf-8"))


@pytest.fixture
def x():
    return cp.asarray(np.arange(6.0, dtype="float32").reshape(2, 3))


HOST = np.ones((2, 3), "float32")
REFUSED = {
    "a host array as an operand": (lambda x: x + HOST, TypeError),
    "a list as an operand": (lambda x: x * [1.0, 2.0, 3.0], TypeError),
    "a host array in a function": (lambda x: cp.exp(HOST), TypeError),
    "a list of arrays that are not stacked": (lambda x: cp.sum([x, x]), TypeError),
    "NumPy reading an array": (lambda x: np.asarray(x), TypeError),
    "an array as an index of Python": (lambda x: range(5)[cp.asarray(1)], TypeError),
    "an unknown keyword": (lambda x: cp.count_nonzero(x, keepdims=True), TypeError),
    "a condition of Python": (lambda x: cp.where(True, x, x), AttributeError),
    "a list to look in": (lambda x: cp.isin(x, [1.0]), TypeError),
    "adding small integers": (lambda x: cp.add.at(x.astype("int8"), cp.asarray([0]), 1), TypeError),
    "objects": (lambda x: cp.asarray(np.array([None])), ValueError),
    "a dtype without a loop": (lambda x: cp.bitwise_and(x, x), TypeError),
    "a kernel with a name that there is not": (lambda x: cp.no_such_function, AttributeError),
    "the truth of several numbers": (lambda x: bool(x), ValueError),
    "axes that do not fit": (lambda x: x[0, 0, 0], IndexError),
    "half precision in cuSOLVER": (lambda x: cp.linalg.inv(cp.eye(2, dtype="float16")), TypeError),
    "a device that is not there": (
        lambda x: cp.cuda.Device(2).use(), cp.cuda.runtime.CUDARuntimeError,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_cupy_refuses_is_refused(what, x):
    attempt, error = REFUSED[what]
    with pytest.raises(error):
        attempt(x)


def test_an_array_elsewhere_is_no_operand(x, monkeypatch):
    monkeypatch.setattr(_state, "DEVICES", 2)
    with cp.cuda.Device(1):
        for attempt in (lambda: x + 1, lambda: cp.exp(x), lambda: x[cp.asarray([0])],
                        lambda: x.__setitem__(0, 1.0), lambda: x.astype("int32")):  # fmt: skip
            with pytest.raises(ValueError, match=r"resides \(0\) is different.*device \(1\)"):
                attempt()
        assert x[0].device.id == x.reshape(-1).device.id == 0  # views are where they were
        there = cp.asarray(x)
        assert there.device.id == x.copy().device.id == 1  # a copy is where one is now
    np.testing.assert_array_equal(there.get(), x.get())


def test_results_without_axes_are_arrays(x):
    for found in (x.sum(), x[0, 0], cp.max(x), x[cp.asarray(0), cp.asarray(1)]):
        assert isinstance(found, cp.ndarray)
        assert found.shape == ()


def test_positions_wrap_around_silently(x):
    assert x[cp.asarray([2, -3])].get().tolist() == [[0, 1, 2], [3, 4, 5]]


def test_memory_that_nothing_was_written_to_is_poisoned():
    assert np.isnan(cp.empty(3, dtype="float32").get()).all()


def test_which_of_several_values_stays_is_open(monkeypatch):
    zeros, places = cp.zeros(1), cp.asarray(np.zeros(50, int))
    kept = set()
    for _ in range(20):
        zeros[places] = cp.arange(50.0)
        kept.add(zeros.item())
    assert len(kept) > 1
    monkeypatch.setattr(_state.order, "any", False)
    zeros[places] = cp.arange(50.0)
    assert zeros.item() == 49


def test_atomics_add_in_any_order(monkeypatch):
    values = cp.asarray(np.float32([1e8, 1.0, -1e8, 3.0] * 10))
    places = cp.asarray(np.zeros(40, int))

    def total():
        buffer = cp.zeros(1, dtype="float32")
        cp.add.at(buffer, places, values)
        return buffer.item()

    assert len({total() for _ in range(20)}) > 1
    monkeypatch.setattr(_state.order, "any", False)
    assert len({total() for _ in range(20)}) == 1


def test_half_precision_has_no_error_function_of_its_own():
    assert special.erf(cp.zeros(2, dtype="float16")).dtype == np.float64


def test_launches_and_transfers_are_counted(x):
    count = _state.count
    count.clear()
    (x * 2 + 1).sum()
    assert (count.total(), count.to_host, count.to_device) == (3, [], [])
    x.get()
    bool(x[0, 0] > 3)
    x[[0, 1]]
    assert [why for why, _ in count.to_host] == ["get", "bool"]
    assert count.to_device == [(2,)]


def test_what_is_missing_says_so():
    before = _state.count.unsupported.copy()
    with pytest.raises(Unsupported, match="fft needs a real GPU"):
        cp.fft  # noqa: B018
    assert (_state.count.unsupported - before).total() == 1


@pytest.mark.parametrize("module", ["cupy", "cupy.linalg", "cupy.cuda.nccl"])
def test_there_is_no_name_that_cupy_lacks(module):
    fake = {"cupy": cp, "cupy.linalg": cp.linalg}.get(module, cp.cuda.nccl)
    modules = ("sys", "types", "math", "np", "state", "cuda", "linalg", "here", "ndarray", "wrap")
    own = {name for name in vars(fake) if not name.startswith("_")} - set(modules)
    assert own - set(RECORD["modules"][module]) <= {"IS_FAKE", "Unsupported"}


def test_there_is_no_method_that_cupy_lacks():
    own = {name for name in dir(cp.ndarray) if not name.startswith("_")}
    assert own <= set(RECORD["ndarray"])


def test_processes_without_the_path_have_no_fake():
    code = "import importlib.util as u; print(u.find_spec('cupy'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "fake_cupy" not in done.stdout


def test_the_fake_is_no_test():
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/fake_cupy"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "no tests" in done.stdout


def test_a_real_gpu_is_preferred(monkeypatch, tmp_path):
    (tmp_path / "cupy.py").write_text(
        "class cuda:\n    class runtime:\n        getDeviceCount = staticmethod(lambda: 1)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code = (
        "import sys\nfrom tests import devices\ndevices.choose_cupy()\nimport cupy\n"
        "print(cupy.__file__, devices.has_gpu())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == [str(tmp_path / "cupy.py"), "True"]
    (tmp_path / "cupy.py").write_text("raise ImportError('no driver')")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.split() == [str(devices.FAKE / "cupy" / "__init__.py"), "False"]
