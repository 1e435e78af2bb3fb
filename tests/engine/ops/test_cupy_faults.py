"""Test that the engine gives one answer where CuPy differs from NumPy."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

import engine
from benchmarks import measuring

PLACES = np.array([1, 3, 1, 0, 3, 1, -1])


def test_axes_are_kept_by_counts(device):
    x = engine.asarray(np.array([[0.0, 1.0, np.nan], [0.0, 0.0, -2.0]]), device=device)
    found = engine.count_nonzero(x, axis=1, keepdims=True)
    assert (found.tolist(), found.dtype, found.device) == ([[2], [1]], engine.int64, device)
    assert engine.count_nonzero(engine.asarray([True, False], device=device)).item() == 1


@pytest.mark.parametrize("dtype", ["float32", "int16", "bool"])
def test_the_last_of_several_values_stays(dtype, device):
    values = (np.arange(14).reshape(7, 2) % 5).astype(dtype)
    expected = np.zeros((4, 2), dtype)
    expected[PLACES] = values
    for _ in range(5):
        x = engine.zeros((4, 2), dtype=expected.dtype, device=device)
        x[PLACES] = values
        np.testing.assert_array_equal(x.numpy(), expected)


def test_the_gradient_goes_to_the_value_that_stays(device):
    for _ in range(5):
        values = engine.asarray(np.arange(7.0), device=device, requires_grad=True)
        x = engine.asarray(np.ones(4), device=device, requires_grad=True)
        y = x * 1
        y[PLACES] = values
        (g, own) = engine.gradients(engine.sum(y * y), [values, x])
        # 5 is the last at place 1 and 6 at place -1, which is 3.
        assert y.tolist() == [3, 5, 1, 6]
        assert g.tolist() == [0, 0, 0, 6, 0, 10, 12]
        assert own.tolist() == [0, 0, 2, 0]


def test_assignments_are_broadcast_and_mixed_with_masks_and_slices(device):
    cases = [
        (((0, 2, 0),), np.float32([[7, 8, 9]])), ((slice(1, None), [0, 0]), 5.0),
        (([True, False, True], 1), np.float32([1, 2])), (([], ), 1.0),
        (([0, 0], [2, 2]), np.float32([[[3, 4]]])), ((..., [1, 1]), np.float32([1, 2])),
    ]  # fmt: skip
    for key, values in cases:
        key = tuple(np.array(part, "bool" if bool in map(type, part) else "int64") if
                    isinstance(part, list | tuple) else part for part in key)  # fmt: skip
        expected = np.zeros((3, 3), "float32")
        expected[key] = values
        x = engine.zeros((3, 3), device=device)
        x[key] = values
        np.testing.assert_array_equal(x.numpy(), expected)


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool",
              "float16", "float32", "float64"],
)  # fmt: skip
def test_every_dtype_adds_up(dtype, device):
    values = np.array([100, 100, 100, 1, 0, 0, 1]).astype(dtype)
    expected = np.zeros(4, dtype)
    np.add.at(expected, PLACES, values)
    found = engine.scatter_add(
        engine.zeros(4, dtype=expected.dtype, device=device),
        engine.asarray(PLACES, device=device), engine.asarray(values, device=device),
    )  # fmt: skip
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found.numpy(), expected)


def test_a_condition_of_python_chooses(device):
    x, y = engine.ones(2, device=device), engine.zeros(2, device=device)
    assert engine.where(True, x, y).tolist() == [1, 1]
    assert engine.where(0, x, y).tolist() == [0, 0]


def test_what_to_look_in_may_be_a_list(device):
    x = engine.asarray([1.0, 2.0, 3.0], device=device)
    assert engine.isin(x, [3.0, 1.0]).tolist() == [True, False, True]
    assert engine.isin(x, x[1:2], invert=True).tolist() == [True, False, True]
    if device != "numpy":
        with pytest.raises(TypeError, match=rf"isin: {device} and numpy; move one with"):
            engine.isin(x, np.array([2.0]))
    assert engine.isin([1.0, 5.0], x).tolist() == [True, False]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "bool"])
def test_the_error_function_keeps_its_dtype(dtype, device):
    x = np.array([0, 1]).astype(dtype)
    found = engine.erf(engine.asarray(x, device=device))
    assert found.dtype == (dtype if dtype.startswith("float") else "float64")
    np.testing.assert_allclose(found.numpy(), [0, 0.8427007929497149], rtol=1e-3)


def test_a_tensor_of_one_integer_is_an_index_of_python(device):
    x = engine.asarray(2, device=device)
    assert (range(5)[x], [10, 20, 30][x], int(x), float(x), bool(x)) == (2, 30, 2, 2.0, True)
    with pytest.raises(TypeError):
        range(5)[engine.asarray(2.0, device=device)]


def test_objects_are_refused(device):
    for wrong in (np.array([None, 1]), np.array([1j]), np.array(["a"])):
        with pytest.raises(TypeError, match=r"dtype .* is not supported; use floats"):
            engine.asarray(wrong, device=device)


def test_lists_of_arrays_are_joined(device):
    part = engine.asarray(np.array([1.0, 2.0]), device=device)
    found = engine.asarray([part.data, [part.data[0], 4.0]])
    assert (found.tolist(), found.device) == ([[1, 2], [1, 4]], device)


def test_cumulative_sums_of_half_precision_do_not_get_stuck(device):
    x = engine.asarray(np.ones(3000, "float16"), device=device)
    assert engine.cumulative_sum(x)[-1].item() == 3000


def test_benchmarks_know_the_version_of_cupy(monkeypatch):
    # Its distribution is called cupy-cuda13x, so that no package is called as the module is.
    known = {"numpy": "2.4", "mpi4py": "4.1"}  # another test may have imported that

    def version(name):
        if name not in known:
            raise measuring.importlib.metadata.PackageNotFoundError(name)
        return known[name]

    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(__version__="14.2.0"))
    monkeypatch.setattr(measuring.importlib.metadata, "version", version)
    assert measuring.machine()["versions"]["cupy"] == "14.2.0"
