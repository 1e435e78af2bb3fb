"""Test data types: creation, promotion, casting, refusals."""

import array
from typing import Any

import numpy as np
import pytest

import engine
from tests.draws import normal
from tests.engine.ops.standard import DTYPES, same

pytestmark = pytest.mark.usefixtures("quiet")


# ---- dtypes


def test_promotion_is_numpys():
    for a in DTYPES:
        for b in DTYPES:
            expected = np.result_type(np.dtype(a), np.dtype(b))
            one, other = getattr(engine, a), getattr(engine, b)
            assert engine.result_type(one, other) == expected
            x, y = engine.ones(2, dtype=one), engine.ones((), dtype=other)
            assert engine.result_type(x, other) == (x + y).dtype == expected
            assert engine.concat([x, x]).dtype == one
            assert engine.concat([x, engine.ones(1, dtype=other)]).dtype == expected
            assert engine.where(x > 0, x, y).dtype == expected
            assert engine.can_cast(one, other) == np.can_cast(np.dtype(a), np.dtype(b))
            assert engine.can_cast(x, other) == np.can_cast(np.dtype(a), np.dtype(b))


@pytest.mark.parametrize("dtype", DTYPES)
def test_python_numbers_do_not_widen(dtype):
    x, theirs = engine.ones(2, dtype=dtype), np.ones(2, dtype)
    for number in (True, 1, 1.0):
        expected = (theirs + number).dtype
        assert engine.result_type(x, number) == np.result_type(theirs, number) == expected
        assert (x + number).dtype == (number + x).dtype == expected
        assert engine.add(number, x).dtype == engine.where(x > 0, x, number).dtype == expected


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_asked_about_dtypes_is_numpys(dtype):
    own, theirs = getattr(engine, dtype), np.dtype(dtype)
    kinds = ["bool", "signed integer", "unsigned integer", "integral", "real floating",
             "complex floating", "numeric"]  # fmt: skip
    for kind in [*kinds, tuple(kinds[:2]), ("numeric", "bool"), np.dtype("int8")]:
        assert engine.isdtype(own, kind) is np.isdtype(theirs, kind)
    assert engine.isdtype(own, (own, "bool")) is True
    if theirs.kind == "f":
        for argument in (own, engine.ones(2, dtype=own)):
            found, known = engine.finfo(argument), np.finfo(theirs)
            for name in ("bits", "eps", "max", "min", "smallest_normal"):
                assert getattr(found, name) == getattr(known, name)
                assert type(getattr(found, name)) in (int, float)
            assert found.dtype == own
    elif theirs.kind in "iu":
        for argument in (own, engine.ones(2, dtype=own)):
            found, known = engine.iinfo(argument), np.iinfo(theirs)
            assert (found.bits, found.max, found.min) == (known.bits, known.max, known.min)
            assert found.dtype == own


@pytest.mark.parametrize("dtype", DTYPES)
def test_astype_and_asarray(dtype):
    values = np.array([0, 1, 2, 100])
    x = engine.asarray(values.astype(dtype))
    for other in DTYPES:
        target = getattr(engine, other)
        same(engine.astype(x, target), values.astype(dtype).astype(other))
        same(
            engine.astype(x, target, copy=False, device="numpy"), values.astype(dtype).astype(other)
        )
        same(engine.asarray(values, dtype=target), values.astype(other))
    own = getattr(engine, dtype)
    assert engine.astype(x, own, copy=False) is x
    assert not np.shares_memory(engine.astype(x, own).numpy(), x.numpy())
    assert not np.shares_memory(engine.asarray(x, copy=True).numpy(), x.numpy())
    assert np.shares_memory(engine.asarray(x, copy=False).numpy(), x.numpy())
    assert engine.asarray(x, device="numpy") is x
    with pytest.raises(ValueError, match="without a copy"):
        engine.asarray([1, 2], copy=False)


def test_copies_of_reshape_are_the_standards():
    x = engine.asarray(normal(2, 3))
    assert not np.shares_memory(engine.reshape(x, (6,), copy=True).numpy(), x.numpy())
    assert np.shares_memory(engine.reshape(x, (6,), copy=False).numpy(), x.numpy())
    with pytest.raises(ValueError, match="copy"):
        engine.reshape(x.T, (6,), copy=False)


@pytest.mark.parametrize("make", [array.array("d", [1.0, 2.0]), memoryview(np.ones(2))])
def test_buffers_keep_their_dtype(make):
    assert engine.asarray(make).dtype == engine.float64


COMPLEX: dict[str, Any] = {
    "asarray": lambda: engine.asarray([1j]),
    "from NumPy": lambda: engine.asarray(np.ones(2, "complex64")),
    "dtype": lambda: engine.asarray([1.0], dtype=np.complex64),
    "zeros": lambda: engine.zeros(2, dtype="complex64"),
    "full": lambda: engine.full(2, 1j),
    "full_like": lambda: engine.full_like(engine.ones(2), 1j),
    "arange": lambda: engine.arange(3, dtype="complex128"),
    "linspace": lambda: engine.linspace(0, 1j, 3),
    "astype": lambda: engine.astype(engine.ones(2), np.complex64),
    "sum": lambda: engine.sum(engine.ones(2), dtype=np.complex64),
    "cumulative_sum": lambda: engine.cumulative_sum(engine.ones(2), dtype=np.complex64),
    "operator": lambda: engine.ones(2) * 1j,
    "reflected": lambda: np.complex64(1j) * engine.ones(2),
    "in place": lambda: engine.ones(2).__setitem__(0, 1j),
    "from_dlpack": lambda: engine.from_dlpack(np.ones(2, "complex64")),
}


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
@pytest.mark.parametrize("name", COMPLEX)
def test_complex_numbers_are_refused_by_name(name):
    with pytest.raises(TypeError, match="complex"):
        COMPLEX[name]()


def test_the_default_float_is_float32():
    made = [engine.zeros(2), engine.ones(2), engine.empty(2), engine.full(2, 1.0), engine.eye(2),
            engine.linspace(0, 1, 3), engine.arange(0.0, 1), engine.arange(3, step=0.5),
            engine.asarray(1.0), engine.asarray([1, 2.0])]  # fmt: skip
    assert {x.dtype.name for x in made} == {"float32"}
    whole = [engine.full(2, 1), engine.arange(3), engine.asarray([1, 2]), engine.asarray(1)]
    assert {x.dtype.name for x in whole} == {"int64"}
    truths = [engine.full(2, True), engine.asarray(True), engine.asarray([True, False])]
    assert {x.dtype.name for x in truths} == {"bool"}


@pytest.mark.parametrize("device", ["numpy", None])
def test_creation_takes_a_device(device):
    x = engine.ones((2, 3), dtype=engine.int16)
    made = [engine.zeros(2, device=device), engine.ones(2, device=device),
            engine.eye(2, device=device), engine.empty(2, device=device),
            engine.full(2, 1, device=device),
            engine.arange(2, device=device), engine.linspace(0, 1, 2, device=device),
            engine.asarray([1], device=device), engine.from_dlpack(x, device=device),
            engine.zeros_like(x, device=device), engine.ones_like(x, device=device),
            engine.empty_like(x, device=device), engine.full_like(x, 1, device=device)]  # fmt: skip
    assert [one.device for one in made] == ["numpy"] * len(made)
    assert [one.dtype.name for one in made[-4:]] == ["int16"] * 4
    for call in (
        engine.zeros,
        engine.ones,
        engine.empty,
        engine.arange,
        engine.eye,
        engine.asarray,
    ):
        with pytest.raises(ValueError, match="unknown device 'tpu'"):
            call(2, device="tpu")


class Table:
    """Hold numbers with a dtype once they are an array, as a data frame does."""

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values)

    def __repr__(self) -> str:
        return f"Table({self.values.dtype})"

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.values.astype(dtype or self.values.dtype)


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        (Table([1 / 3]), "float64"),
        (Table([1.0]).values.astype("float32"), "float32"),
        (Table(np.float32([1])), "float32"),
        ([Table([1 / 3]), [0.5]], "float64"),
        (np.float64(1 / 3), "float64"),
        ([1.0, np.float64(1 / 3)], "float64"),
        ([[1.0, 2.0], [1.0, np.float64(1 / 3)]], "float64"),
        ((1.0, (np.array(1 / 3),)[0]), "float64"),
        ([1.0, 2.0], "float32"),
        ([1, 2.5, True], "float32"),
        ([], "float32"),
        ([np.float32(1.0)], "float32"),
        ([1, 2], "int64"),
        (range(3), "int64"),
    ],
    ids=repr,
)
def test_asarray_keeps_what_says_its_dtype_and_makes_python_floats_float32(given, dtype):
    found = engine.asarray(given)
    assert str(found.dtype) == dtype
    np.testing.assert_array_equal(found.numpy(), np.asarray(given).astype(dtype))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "expected numbers, got None"),
        (Ellipsis, "expected numbers, got ellipsis"),
        *((odd, "use floats, integers or booleans") for odd in ([1.0, None], "3", ["1.5"], [1j])),
    ],
    ids=repr,
)
@pytest.mark.parametrize("dtype", [None, "float32", "int64"])
def test_asarray_refuses_what_is_no_number_with_a_dtype_and_without(given, told, dtype):
    with pytest.raises(TypeError, match=told):
        engine.asarray(given, dtype=dtype)
