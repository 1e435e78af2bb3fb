"""The engine as an array API namespace, seen from outside: every function of the standard of
2024.12 against NumPy's of the same name, over the dtypes it allows; then what differentiates.
"""

import array
import inspect
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from tests.draws import leaf, normal

SIGNED = ["int8", "int16", "int32", "int64"]
UNSIGNED = ["uint8", "uint16", "uint32", "uint64"]
FLOATING = ["float32", "float64"]
KINDS = {
    "any": ["bool", *SIGNED, *UNSIGNED, *FLOATING],
    "real": [*SIGNED, *UNSIGNED, *FLOATING],
    "signed": [*SIGNED, *FLOATING],
    "bits": ["bool", *SIGNED, *UNSIGNED],
    "whole": [*SIGNED, *UNSIGNED],
    "floating": FLOATING,
    "bool": ["bool"],
}
ROUNDING = {"float32": 1e-6, "float64": 1e-14}


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    """NumPy's warnings about infinities and overflow are the same on both sides."""
    with np.errstate(all="ignore"):
        yield


class Source:
    """Arrays of one namespace and dtype: ``a(2, 3)`` are the same numbers in every namespace."""

    def __init__(self, xp: Any, dtype: str) -> None:
        self.xp, self.dtype = xp, dtype

    def __call__(
        self, *shape: int, salt: int = 0, low: float = -3, high: float = 4, dtype: str = ""
    ) -> Any:
        kind = np.dtype(dtype or self.dtype)
        rng = np.random.default_rng([salt, *shape])
        if kind.kind == "f":
            return self.of(rng.uniform(low, high, shape), kind)
        low = max(int(low), 0) if kind.kind in "ub" else int(low)
        return self.of(rng.integers(low, 2 if kind.kind == "b" else int(high) + 1, shape), kind)

    def of(self, values: Any, dtype: Any = None) -> Any:
        """These values, of the dtype of this source if not of another."""
        array = np.asarray(values).astype(dtype or self.dtype)
        return array if self.xp is np else engine.asarray(array)


def same(ours: Any, theirs: Any) -> None:
    """Values, shapes and dtypes are alike, in all parts of nested results."""
    if isinstance(theirs, tuple | list):
        assert isinstance(ours, tuple | list)
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            same(one, other)
    elif isinstance(theirs, np.ndarray | np.generic):
        assert isinstance(ours, engine.Tensor)
        array = np.asarray(theirs)
        assert (ours.shape, ours.dtype) == (array.shape, array.dtype)
        tolerance = ROUNDING.get(array.dtype.name, 0.0)
        np.testing.assert_allclose(ours.numpy(), array, rtol=tolerance, atol=tolerance)
    else:
        assert ours == theirs


# ---- names, constants, signatures

# Of the standard; two came after 2024.12: broadcast_shapes and isin.
SIGNATURES = """
abs acos acosh asin asinh atan atanh bitwise_invert ceil conj cos cosh exp expm1 floor imag \
isfinite isinf isnan log log10 log1p log2 logical_not matrix_transpose negative nonzero positive \
real reciprocal round sign signbit sin sinh sqrt square tan tanh trunc unique_all unique_counts \
unique_inverse unique_values: x, /
add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign \
divide equal floor_divide greater greater_equal hypot less less_equal logaddexp logical_and \
logical_or logical_xor matmul maximum minimum multiply nextafter not_equal pow remainder \
subtract: x1, x2, /
all any argmax argmin count_nonzero max mean min: x, /, *, axis=None, keepdims=False
prod sum: x, /, *, axis=None, dtype=None, keepdims=False
std var: x, /, *, axis=None, correction=0.0, keepdims=False
cumulative_prod cumulative_sum: x, /, *, axis=None, dtype=None, include_initial=False
diff: x, /, *, axis=-1, n=1, prepend=None, append=None
clip: x, /, min=None, max=None
where: condition, x1, x2, /
arange: start, /, stop=None, step=1, *, dtype=None, device=None
asarray: obj, /, *, dtype=None, device=None, copy=None
empty ones zeros: shape, *, dtype=None, device=None
empty_like ones_like zeros_like: x, /, *, dtype=None, device=None
full: shape, fill_value, *, dtype=None, device=None
full_like: x, /, fill_value, *, dtype=None, device=None
eye: n_rows, n_cols=None, /, *, k=0, dtype=None, device=None
linspace: start, stop, /, num, *, dtype=None, device=None, endpoint=True
from_dlpack: x, /, *, device=None, copy=None
meshgrid: *arrays, indexing="xy"
tril triu: x, /, *, k=0
astype: x, dtype, /, *, copy=True, device=None
can_cast: from_, to, /
finfo iinfo: type, /
isdtype: dtype, kind
result_type: *arrays_and_dtypes
broadcast_arrays: *arrays
broadcast_shapes: *shapes
broadcast_to: x, /, shape
concat stack: arrays, /, *, axis=0
squeeze: x, /, axis
expand_dims: x, /, *, axis
flip: x, /, *, axis=None
moveaxis: x, source, destination, /
permute_dims: x, /, axes
repeat: x, repeats, /, *, axis=None
reshape: x, /, shape, *, copy=None
roll: x, /, shift, *, axis=None
tile: x, repetitions, /
unstack: x, /, *, axis=0
argsort sort: x, /, *, axis=-1, descending=False, stable=True
searchsorted: x1, x2, /, *, side="left", sorter=None
isin: x1, x2, /, *, invert=False
take: x, indices, /, *, axis=None
take_along_axis: x, indices, /, *, axis=-1
tensordot: x1, x2, /, *, axes=2
vecdot: x1, x2, /, *, axis=-1
__array_namespace_info__:
"""
LINES = [line.partition(":")[::2] for line in SIGNATURES.strip().splitlines()]
STANDARD = {name: parameters for names, parameters in LINES for name in names.split()}
DTYPES = KINDS["any"]


@pytest.mark.parametrize("name", STANDARD)
def test_signatures_are_the_standards(name):
    expected = inspect.signature(eval(f"lambda {STANDARD[name]}: 0")).parameters
    given = inspect.signature(getattr(engine, name)).parameters
    ordered = list(given.values())
    for place, (own, theirs) in enumerate(expected.items()):
        if theirs.kind in (theirs.POSITIONAL_ONLY, theirs.VAR_POSITIONAL):  # names do not matter
            assert ordered[place].kind in (theirs.kind, theirs.POSITIONAL_OR_KEYWORD), own
            found = ordered[place]
        else:
            found = given[own]
            assert found.kind in (theirs.kind, theirs.POSITIONAL_OR_KEYWORD), own
        if theirs.default is not theirs.empty:
            assert found.default == theirs.default, own
    for extra in (p for p in ordered[len(expected) :] if p.name not in expected):
        assert extra.default is not extra.empty or extra.kind is extra.VAR_KEYWORD, extra


def test_every_name_of_the_standard_is_there_and_listed():
    constants = {"e", "inf", "nan", "newaxis", "pi", "__array_api_version__", *DTYPES}
    assert (set(STANDARD) | constants) - set(dir(engine)) == set()
    assert (set(STANDARD) | constants) - set(engine.__all__) == set()
    assert [getattr(engine, name).name for name in DTYPES] == DTYPES


def test_constants_and_version():
    assert (engine.e, engine.pi, engine.inf) == (math.e, math.pi, math.inf)
    assert math.isnan(engine.nan)
    assert engine.newaxis is None
    assert engine.__array_api_version__ == "2024.12"


def test_array_namespace():
    x = engine.ones(2)
    assert x.__array_namespace__() is engine
    for version in ("2022.12", "2023.12", "2024.12", None):
        assert x.__array_namespace__(api_version=version) is engine
    with pytest.raises(ValueError, match=r"'1999\.12'"):
        x.__array_namespace__(api_version="1999.12")


def test_namespace_info():
    info = engine.__array_namespace_info__()
    assert info.capabilities() == {
        "boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64,
    }  # fmt: skip
    assert info.default_device() in info.devices()
    defaults = info.default_dtypes(device=info.default_device())
    assert defaults["real floating"] == engine.float32
    assert (defaults["integral"], defaults["indexing"]) == (engine.int64, engine.int64)
    assert {name: one.name for name, one in info.dtypes().items()} == dict(zip(DTYPES, DTYPES))  # noqa: B905
    assert list(info.dtypes(kind="unsigned integer")) == UNSIGNED
    assert list(info.dtypes(kind=("bool", "real floating"))) == ["bool", *FLOATING]
    assert info.dtypes(kind="complex floating") == {}
    assert info.dtypes(device="numpy", kind="numeric").keys() == set(DTYPES) - {"bool"}


def test_attributes_of_arrays():
    x = engine.zeros((2, 0, 3))
    assert (x.shape, x.ndim, x.size, x.dtype, x.device) == ((2, 0, 3), 3, 0, "float32", "numpy")
    assert (x.mT.shape, engine.zeros((2, 3)).T.shape) == ((2, 3, 0), (3, 2))
    assert x.to_device("numpy") is x
    one = engine.asarray(3)
    assert (bool(one), int(one), float(one), complex(one), [0, 1, 2, 7][one]) == (1, 3, 3, 3, 7)


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


# ---- element by element

UNARY = {
    "signed": "abs negative sign",
    "real": "ceil conj floor isfinite isinf isnan positive real round square trunc imag",
    "floating": """
        acos acosh asin asinh atan atanh cos cosh exp expm1 log log1p log2 log10 reciprocal signbit
        sin sinh sqrt tan tanh""",
    "bits": "bitwise_invert",
    "bool": "logical_not",
}
BINARY = {
    "any": "equal not_equal",
    "real": """
        add greater greater_equal less less_equal maximum minimum multiply subtract""",
    "floating": "atan2 copysign divide hypot logaddexp nextafter pow floor_divide remainder",
    "bits": "bitwise_and bitwise_or bitwise_xor",
    "bool": "logical_and logical_or logical_xor",
    "whole": "floor_divide remainder bitwise_left_shift bitwise_right_shift pow",
}
SHAPES = [(), (1,), (3,), (2, 3), (0,), (2, 0, 3), (3, 1, 2)]
PAIRS = [((), ()), ((3,), ()), ((2, 3), (3,)), ((2, 1), (1, 3)), ((0,), (1,)), ((3, 1, 2), (2, 2)),
         ((2, 0), (1, 1, 1))]  # fmt: skip
FILLED = ("floor_divide", "remainder", "pow", "bitwise_left_shift", "bitwise_right_shift")


def cases(table: dict[str, str]) -> list[tuple[str, str]]:
    return [(name, dtype) for kind, names in table.items() for name in names.split()
            for dtype in KINDS[kind]]  # fmt: skip


@pytest.mark.parametrize(("name", "dtype"), cases(UNARY))
def test_functions_of_one_array(name, dtype):
    ours, theirs = Source(engine, dtype), Source(np, dtype)
    for shape in SHAPES:
        expected = getattr(np, name)(theirs(*shape))
        same(getattr(engine, name)(ours(*shape)), expected)
    if dtype in FLOATING:
        extreme = [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, -2.5, np.inf, -np.inf, np.nan, 1e-45, 3e38]
        found = getattr(engine, name)(ours.of(extreme))
        expected = getattr(np, name)(theirs.of(extreme))
        same(found, expected)
        np.testing.assert_array_equal(np.signbit(found.numpy()), np.signbit(expected))


@pytest.mark.parametrize(("name", "dtype"), cases(BINARY))
def test_functions_of_two_arrays(name, dtype):
    ours, theirs = Source(engine, dtype), Source(np, dtype)
    low = {"low": 1} if name in FILLED and dtype not in FLOATING else {}
    f, g = getattr(engine, name), getattr(np, name)
    for left, right in PAIRS:
        for one, other in ((left, right), (right, left)):
            expected = g(theirs(*one), theirs(*other, salt=1, **low))
            same(f(ours(*one), ours(*other, salt=1, **low)), expected)
            same(f(ours(*one), theirs(*other, salt=1, **low)), expected)
    number = {"b": True, "f": 1.5}.get(np.dtype(dtype).kind, 2)
    same(f(ours(2, 3), number), g(theirs(2, 3), number))
    same(f(number, ours(2, 3, **low)), g(number, theirs(2, 3, **low)))
    if dtype in FLOATING:
        ends = [0.0, -0.0, 1.0, -1.0, 2.0, np.inf, -np.inf, np.nan]
        x, y = (np.asarray(part) for part in np.meshgrid(ends, ends))
        same(f(ours.of(x), ours.of(y)), g(theirs.of(x), theirs.of(y)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_clip_and_where(dtype):
    def calls(xp: Any, a: Any) -> Any:
        yield xp.where(a(2, 3, dtype="bool"), a(2, 3), a(3, salt=1))
        yield xp.where(a(2, 1, dtype="bool"), a(), a(3))
        yield xp.where(a(0, dtype="bool"), a(1), a(0))
        if dtype != "bool":
            low, high = (1, 2) if dtype not in FLOATING else (-0.5, 0.5)
            yield xp.clip(a(2, 3), low, high)
            yield xp.clip(a(2, 3), min=low)
            yield xp.clip(a(), max=high)
            yield xp.clip(a(2, 0), low, high)
            yield xp.clip(a(2, 3), a(3, high=0), a(2, 1, low=1))
            yield xp.clip(a(2, 3), None, a(3))
            yield xp.clip(a(3), a(3, salt=1), high)
            yield xp.where(a(3, dtype="bool"), a(3), low)
            yield xp.where(a(3, dtype="bool"), high, a(3))
            yield xp.clip(a(3))

    for ours, theirs in zip(
        calls(engine, Source(engine, dtype)), calls(np, Source(np, dtype)), strict=True
    ):
        same(ours, theirs)


# ---- everything with keywords

Rows = list[Any]
CALLS: dict[str, tuple[str, Rows]] = {
    **{
        name: (kind, [
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3)),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3, 2), axis=1),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3, 2), axis=-1, keepdims=True),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3), keepdims=True),
            lambda xp, a, n=name: getattr(xp, n)(a()),
            lambda xp, a, n=name: getattr(xp, n)(a(0, 2), axis=1),
        ])
        for kind, names in {
            "any": "all any count_nonzero",
            "real": "argmax argmin max min sum prod",
            "floating": "mean std var",
        }.items()
        for name in names.split()
    },
    **{
        f"{name} of axes": (kind, [
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3, 2), axis=(0, -1)),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3, 2), axis=(2, 1), keepdims=True),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3), axis=()),
        ])
        for kind, names in {
            "any": "all any count_nonzero",
            "real": "max min sum prod",
            "floating": "mean std var",
        }.items()
        for name in names.split()
    },
    **{
        f"{name} of nothing": (kind, [
            lambda xp, a, n=name: getattr(xp, n)(a(0)),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 0), axis=1, keepdims=True),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 0, 3), axis=(0, 1)),
        ])
        for kind, names in {"any": "all any count_nonzero", "real": "sum prod"}.items()
        for name in names.split()
    },
    **{
        f"{name} dtype": ("real", [
            lambda xp, a, n=name, d=d: getattr(xp, n)(a(2, 3), dtype=getattr(xp, d))
            for d in ("float32", "float64", "int64", "int8")
        ])
        for name in ("sum", "prod")
    },
    **{
        f"{name} correction": ("floating", [
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3), correction=1),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 4), axis=1, correction=0.5, keepdims=True),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3, 2), axis=(0, 1), correction=2.0),
        ])
        for name in ("var", "std")
    },
    **{
        name: ("real", [
            lambda xp, a, n=name: getattr(xp, n)(a(4)),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3), axis=0),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3), axis=-1, include_initial=True),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3), axis=1, dtype=xp.float64),
            lambda xp, a, n=name: getattr(xp, n)(a(0), include_initial=True),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 0), axis=1),
        ])
        for name in ("cumulative_sum", "cumulative_prod")
    },
    "diff": ("any", [
        lambda xp, a: xp.diff(a(4)),
        lambda xp, a: xp.diff(a(3, 4), axis=0),
        lambda xp, a: xp.diff(a(3, 5), n=3),
        lambda xp, a: xp.diff(a(3, 4), axis=1, n=2, prepend=a(3, 1), append=a(3, 2)),
        lambda xp, a: xp.diff(a(3, 4), n=0),
        lambda xp, a: xp.diff(a(2), n=3),
        lambda xp, a: xp.diff(a(0)),
    ]),
    "matmul": ("real", [
        lambda xp, a: xp.matmul(a(2, 3), a(3, 4)),
        lambda xp, a: a(3) @ a(3, salt=1),
        lambda xp, a: a(3) @ a(3, 2),
        lambda xp, a: a(2, 2, 3) @ a(3),
        lambda xp, a: xp.matmul(a(2, 1, 2, 3), a(5, 3, 1)),
        lambda xp, a: xp.matmul(a(2, 0), a(0, 3)),
        lambda xp, a: xp.matrix_transpose(a(2, 3, 4)),
    ]),
    "vecdot": ("real", [
        lambda xp, a: xp.vecdot(a(3), a(3, salt=1)),
        lambda xp, a: xp.vecdot(a(4, 2, 3), a(2, 3)),
        lambda xp, a: xp.vecdot(a(3, 2), a(3, 1), axis=-2),
        lambda xp, a: xp.vecdot(a(2, 0), a(0)),
    ]),
    "tensordot": ("real", [
        lambda xp, a: xp.tensordot(a(2, 3, 4), a(3, 4, 5)),
        lambda xp, a: xp.tensordot(a(2, 3), a(3, 4), axes=1),
        lambda xp, a: xp.tensordot(a(2), a(3), axes=0),
        lambda xp, a: xp.tensordot(a(2, 3, 4), a(4, 5, 2), axes=((0, 2), (2, 0))),
        lambda xp, a: xp.tensordot(a(2, 3), a(3, 2), axes=((-1, 0), (0, -1))),
        lambda xp, a: xp.tensordot(a(2, 0), a(0, 3), axes=1),
    ]),
    "arange": ("real", [
        lambda xp, a: xp.arange(5, dtype=a.dtype),
        lambda xp, a: xp.arange(2, 9, dtype=a.dtype),
        lambda xp, a: xp.arange(1, 9, 3, dtype=a.dtype),
        lambda xp, a: xp.arange(9, 1, -3, dtype=a.dtype),
        lambda xp, a: xp.arange(9, stop=1, step=-3),
        lambda xp, a: xp.arange(0, -2, dtype=a.dtype),
    ]),
    "creation": ("any", [
        lambda xp, a: xp.zeros((2, 3), dtype=a.dtype),
        lambda xp, a: xp.ones(3, dtype=a.dtype),
        lambda xp, a: xp.full((2, 0), 1, dtype=a.dtype),
        lambda xp, a: xp.full((), True, dtype=a.dtype),
        lambda xp, a: xp.full(shape=(2,), fill_value=1),
        lambda xp, a: xp.full((2,), False),
        lambda xp, a: xp.empty((2, 3), dtype=a.dtype).shape,
        lambda xp, a: xp.empty((2, 3), dtype=a.dtype).dtype,
        lambda xp, a: xp.zeros_like(a(2, 3)),
        lambda xp, a: xp.ones_like(a(), dtype=xp.int16),
        lambda xp, a: xp.full_like(a(2, 3), 1),
        lambda xp, a: xp.full_like(a(2, 3), 1, dtype=xp.float64),
        lambda xp, a: xp.empty_like(a(0, 3), dtype=xp.uint8),
        lambda xp, a: xp.empty_like(a(0, 3)),
        lambda xp, a: xp.eye(3, dtype=a.dtype),
        lambda xp, a: xp.eye(2, 4, k=1, dtype=a.dtype),
        lambda xp, a: xp.eye(3, 2, k=-1, dtype=a.dtype),
        lambda xp, a: xp.eye(2, k=5, dtype=a.dtype),
        lambda xp, a: xp.meshgrid(a(2), a(3)),
        lambda xp, a: xp.meshgrid(a(2), a(3), a(4), indexing="ij"),
        lambda xp, a: xp.meshgrid(a(2)),
        lambda xp, a: xp.tril(a(3, 4)),
        lambda xp, a: xp.tril(a(2, 3, 3), k=1),
        lambda xp, a: xp.triu(a(3, 4), k=-1),
        lambda xp, a: xp.triu(a(2, 3, 3), k=5),
        lambda xp, a: xp.triu(a(0, 3)),
    ]),
    "linspace": ("floating", [
        lambda xp, a: xp.linspace(0, 1, 5, dtype=a.dtype),
        lambda xp, a: xp.linspace(1.5, -2, num=4, dtype=a.dtype, endpoint=False),
        lambda xp, a: xp.linspace(1, 2, 1, dtype=a.dtype),
        lambda xp, a: xp.linspace(1, 2, 0, dtype=a.dtype),
    ]),
    "joining": ("any", [
        lambda xp, a: xp.concat([a(2, 3), a(1, 3)]),
        lambda xp, a: xp.concat((a(2, 3), a(2, 0)), axis=-1),
        lambda xp, a: xp.concat([a(2, 3), a()[None]], axis=None),
        lambda xp, a: xp.stack([a(2, 3), a(2, 3, salt=1)]),
        lambda xp, a: xp.stack((a(2), a(2)), axis=-1),
        lambda xp, a: xp.stack([a()]),
        lambda xp, a: xp.unstack(a(3, 2)),
        lambda xp, a: xp.unstack(a(3, 2), axis=-1),
        lambda xp, a: xp.unstack(a(0, 2)),
        lambda xp, a: xp.broadcast_arrays(a(2, 1), a(3), a()),
        lambda xp, a: xp.broadcast_to(a(2, 1), (3, 2, 4)),
        lambda xp, a: xp.broadcast_to(a(), (0,)),
        lambda xp, a: np.broadcast_shapes((2, 1), (3,), ()) == (2, 3),
    ]),
    "shaping": ("any", [
        lambda xp, a: xp.reshape(a(2, 6), (3, 4)),
        lambda xp, a: xp.reshape(a(2, 6), (-1, 3), copy=True),
        lambda xp, a: xp.reshape(a(), (1, 1), copy=False),
        lambda xp, a: xp.reshape(a(2, 3).T, (6,)),
        lambda xp, a: xp.reshape(a(0, 3), (3, 0)),
        lambda xp, a: xp.permute_dims(a(2, 3, 4), (2, 0, 1)),
        lambda xp, a: xp.permute_dims(a(2, 3, 4), axes=(-1, 0, 1)),
        lambda xp, a: xp.permute_dims(a(), ()),
        lambda xp, a: xp.expand_dims(a(2, 3), axis=0),
        lambda xp, a: xp.expand_dims(a(2, 3), axis=-1),
        lambda xp, a: xp.expand_dims(a(), axis=0),
        lambda xp, a: xp.squeeze(a(1, 3, 1), 0),
        lambda xp, a: xp.squeeze(a(1, 3, 1), axis=(0, -1)),
        lambda xp, a: xp.moveaxis(a(2, 3, 4), 0, -1),
        lambda xp, a: xp.moveaxis(a(2, 3, 4), (0, 1), (2, 0)),
        lambda xp, a: xp.flip(a(2, 3)),
        lambda xp, a: xp.flip(a(2, 3, 2), axis=(0, -1)),
        lambda xp, a: xp.flip(a(2, 3), axis=1),
        lambda xp, a: xp.flip(a()),
        lambda xp, a: xp.roll(a(2, 3), 2),
        lambda xp, a: xp.roll(a(2, 3), shift=-1, axis=1),
        lambda xp, a: xp.roll(a(2, 3), (1, 2), axis=(0, 1)),
        lambda xp, a: xp.roll(a(2, 3), 1, axis=(0, 1)),
        lambda xp, a: xp.roll(a(0), 4),
        lambda xp, a: xp.repeat(a(2, 3), 2),
        lambda xp, a: xp.repeat(a(2, 3), 2, axis=1),
        lambda xp, a: xp.repeat(a(2, 3), a.of([1, 0, 2], "int64"), axis=-1),
        lambda xp, a: xp.repeat(a(3), 0),
        lambda xp, a: xp.tile(a(2, 3), (2,)),
        lambda xp, a: xp.tile(a(3), (2, 1, 2)),
        lambda xp, a: xp.tile(a(2, 3), ()),
        lambda xp, a: xp.tile(a(2, 3), (0, 1)),
        lambda xp, a: (a(2, 3).T, a(2, 3, 4).mT),
    ]),
    "taking": ("any", [
        lambda xp, a: xp.take(a(4), a.of([3, 0, 3], "int64")),
        lambda xp, a: xp.take(a(3, 4), a.of([1, 0], "int32"), axis=1),
        lambda xp, a: xp.take(a(3, 4), a.of([-1], "int64"), axis=-2),
        lambda xp, a: xp.take(a(3, 4), a.of([], "int64"), axis=0),
        lambda xp, a: xp.take_along_axis(a(2, 3), a.of([[0, 2], [1, 1]], "int64")),
        lambda xp, a: xp.take_along_axis(a(2, 3), a.of([[1, 0, 1]], "int64"), axis=0),
        lambda xp, a: xp.nonzero(a(2, 3)),
        lambda xp, a: xp.nonzero(a(0)),
    ]),
    "sorting": ("real", [
        lambda xp, a: xp.sort(a(3, 4)),
        lambda xp, a: xp.sort(a(3, 4), axis=0, stable=False),
        lambda xp, a: xp.sort(a(0)),
        lambda xp, a: xp.argsort(a(6), stable=True),
        lambda xp, a: xp.argsort(a(3, 4), axis=0),
        lambda xp, a: xp.searchsorted(xp.sort(a(6)), a(4, salt=1)),
        lambda xp, a: xp.searchsorted(xp.sort(a(6)), a(2, 2), side="right"),
        lambda xp, a: xp.searchsorted(a(6), a(4, salt=1), sorter=xp.argsort(a(6))),
        lambda xp, a: xp.searchsorted(xp.sort(a(0)), a(2)),
    ]),
    "unique": ("any", [
        lambda xp, a: tuple(xp.unique_all(a(3, 4))),
        lambda xp, a: tuple(xp.unique_counts(a(3, 4))),
        lambda xp, a: tuple(xp.unique_inverse(a(3, 4))),
        lambda xp, a: xp.sort(xp.unique_values(a(9))),
        lambda xp, a: tuple(xp.unique_all(a())),
        lambda xp, a: tuple(xp.unique_all(a(0))),
        lambda xp, a: xp.isin(a(3, 2), a(4, salt=1)),
        lambda xp, a: xp.isin(a(3), a(4, salt=1), invert=True),
    ]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "dtype"), [(name, dtype) for name, (kind, _) in CALLS.items() for dtype in KINDS[kind]]
)
def test_functions_with_their_keywords(name, dtype):
    for number, call in enumerate(CALLS[name][1]):
        expected = call(np, Source(np, dtype))
        try:
            same(call(engine, Source(engine, dtype)), expected)
        except Exception as error:
            error.add_note(f"call {number} of {name!r}")
            raise


def test_every_function_was_called():
    tried = {name.split()[0] for name in CALLS} | {name for name, _ in cases(UNARY) + cases(BINARY)}
    source = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in STANDARD if name not in tried and f"{name}(" not in source] == []


@pytest.mark.parametrize("dtype", KINDS["real"])
def test_descending_order_is_stable(dtype):
    values = np.array([[2, 1, 2, 0, 1], [3, 3, 3, 1, 9]]).astype(dtype)
    x = engine.asarray(values)
    order = np.argsort(-values.astype("float64"), axis=-1, kind="stable")
    same(engine.argsort(x, descending=True), order)
    same(engine.sort(x, descending=True), np.take_along_axis(values, order, -1))
    same(engine.sort(x, axis=0, descending=True), np.sort(values, axis=0)[::-1])


def test_unique_tells_nans_apart_and_names_its_results():
    x = engine.asarray([np.nan, 1.0, np.nan, -0.0, 0.0])
    found = engine.unique_all(x)
    assert found._fields == ("values", "indices", "inverse_indices", "counts")
    assert engine.unique_counts(x)._fields == ("values", "counts")
    assert engine.unique_inverse(x)._fields == ("values", "inverse_indices")
    assert found.values.shape == engine.unique_values(x).shape == (4,)
    assert found.counts.numpy().tolist() == [2, 1, 1, 1]


# ---- operators

OPERATORS: dict[str, tuple[str, Any]] = {
    "+": ("real", lambda x, y: x + y), "-": ("real", lambda x, y: x - y),
    "*": ("real", lambda x, y: x * y), "/": ("floating", lambda x, y: x / y),
    "//": ("real", lambda x, y: x // y), "%": ("real", lambda x, y: x % y),
    "**": ("real", lambda x, y: x**y), "&": ("bits", lambda x, y: x & y),
    "|": ("bits", lambda x, y: x | y), "^": ("bits", lambda x, y: x ^ y),
    "<<": ("whole", lambda x, y: x << y), ">>": ("whole", lambda x, y: x >> y),
    "<": ("real", lambda x, y: x < y), "<=": ("real", lambda x, y: x <= y),
    ">": ("real", lambda x, y: x > y), ">=": ("real", lambda x, y: x >= y),
    "==": ("any", lambda x, y: x == y), "!=": ("any", lambda x, y: x != y),
}  # fmt: skip
IN_PLACE: dict[str, Any] = {
    "+": "__iadd__", "-": "__isub__", "*": "__imul__", "/": "__itruediv__", "//": "__ifloordiv__",
    "%": "__imod__", "**": "__ipow__", "&": "__iand__", "|": "__ior__", "^": "__ixor__",
    "<<": "__ilshift__", ">>": "__irshift__",
}  # fmt: skip


@pytest.mark.parametrize(
    ("sign", "dtype"), [(s, d) for s, (kind, _) in OPERATORS.items() for d in KINDS[kind]]
)
def test_operators_with_arrays_and_numbers_on_either_side(sign, dtype):
    f = OPERATORS[sign][1]
    x, y = (Source(np, dtype)(2, 3, salt=s, low=1, high=3) for s in (0, 1))
    own = engine.asarray(x)
    expected = f(x, y)
    for found in (f(own, engine.asarray(y)), f(own, y), f(x, engine.asarray(y))):
        same(found, expected)
    number = {"b": True, "f": 1.5}.get(np.dtype(dtype).kind, 2)
    same(f(own, number), f(x, number))
    same(f(number, own), f(number, x))
    scalar = x.dtype.type(number)
    same(f(own, scalar), f(x, scalar))
    same(f(scalar, own), f(scalar, x))
    same(f(np.asarray(scalar), own), f(np.asarray(scalar), x))
    same(f(own, engine.asarray(scalar)), f(x, np.asarray(scalar)))
    if sign in IN_PLACE:
        for other, theirs in ((engine.asarray(y), y), (y, y), (number, number), (scalar, scalar)):
            changed = engine.asarray(x)
            assert getattr(changed, IN_PLACE[sign])(other) is changed
            same(changed, f(x, theirs))


@pytest.mark.parametrize("dtype", KINDS["signed"])
def test_signs_and_products(dtype):
    x = Source(np, dtype)(3, 3)
    own = engine.asarray(x)
    same((-own, +own, abs(own)), (-x, +x, abs(x)))
    same((own @ own, x @ own, own @ x, own @ x[0]), (x @ x, x @ x, x @ x, x @ x[0]))
    changed = engine.asarray(x)
    changed @= own
    same(changed, x @ x)
    if dtype not in FLOATING:
        same(~own, ~x)


def test_operators_leave_strangers_to_python():
    for f in (lambda x, y: x + y, lambda x, y: x < y, lambda x, y: x @ y, lambda x, y: y - x):
        with pytest.raises(TypeError):
            f(engine.ones(2), object())
    with pytest.raises(TypeError):
        engine.ones(2) + None


# ---- indexing

BLOCK = np.arange(60.0).reshape(3, 4, 5)
MASK = BLOCK % 7 < 3
KEYS: list[Any] = [
    0, -1, 2, np.int64(1), slice(None), slice(1, None), slice(None, None, -1), slice(-1, 0, -2),
    slice(5, 9), slice(2, 1), ..., None, (), (0, 1, 2), (-1, -4, -5), (0, ...), (..., 0),
    (0, ..., 1), (None, ..., None), (slice(1, 3), None, 0), (slice(None, None, 2), ..., -1),
    (1, slice(None, None, -1), slice(1, 4, 2)), [0, 2], [-1, 0, -1], [[0, 1], [2, 0]],
    ([0, 1], [1, 2]), ([0, 1], [1, 2], [3, 4]), (slice(None), [0, 2]), (..., [1, 3]),
    ([0, 1], slice(None), [1, 2]), (0, [1, 2]), ([0, 1], 1), (None, [0, 1]), ([[0], [1]], [0, 1]),
    (np.array(1), 0), np.array([], "int64"), np.array([2, 0], "uint8"), np.array([1], "int32"),
    MASK, MASK[:, 0, 0], (slice(None), MASK[0, :, 0]), MASK[:, :, 0], (..., MASK[0, 0]),
    (MASK[:, 0, 0], 0), (MASK[:, 0, 0], [0, 1, 2][: int(MASK[:, 0, 0].sum())]), ~(MASK | True),
    (0, MASK[0]), (None, MASK), [True, False, True], (slice(0, 0), [1]),
    (np.array(True), 0), np.array(False), True, False, (slice(None), True),
]  # fmt: skip


def shown(key: Any) -> str:
    return repr(key).replace("\n", "").replace(" ", "")[:50]


@pytest.mark.parametrize("key", KEYS, ids=shown)
def test_indexing_is_numpys(key):
    expected = BLOCK[key]
    same(engine.asarray(BLOCK)[key], expected)
    parts = key if isinstance(key, tuple) else (key,)
    tensors = tuple(engine.asarray(p) if isinstance(p, np.ndarray | list) else p for p in parts)
    same(engine.asarray(BLOCK)[tensors], expected)
    x = leaf(BLOCK)
    taken = x[key]
    weights = np.arange(1.0, taken.size + 1).reshape(taken.shape)
    slopes = np.zeros_like(BLOCK)
    np.add.at(slopes, key, weights)
    (g,) = engine.gradients(taken, [x], grads=weights)
    np.testing.assert_array_equal(np.zeros_like(BLOCK) if g is None else g.numpy(), slopes)


@pytest.mark.parametrize("key", [(), ..., None, (None, ...), np.array(True), np.array(False)],
                         ids=shown)  # fmt: skip
def test_indexing_of_a_number(key):
    same(engine.asarray(2.5, dtype="float64")[key], np.asarray(2.5)[key])


OUTSIDE: list[Any] = [
    3, -4, (0, 4), (0, 0, 5), (0, 0, 0, 0), [3], [0, -4], (slice(None), [9]), ([0, 1], [0, 1, 2]),
    MASK[0], MASK[:2], (..., ...),
]  # fmt: skip
NO_KEYS: list[Any] = ["a", 1.0, [1.5], (0, 1.0), np.array([1.0]), {}]


@pytest.mark.parametrize("key", [*OUTSIDE, *NO_KEYS], ids=shown)
def test_wrong_keys_are_numpys_errors(key):
    with pytest.raises(Exception) as theirs:  # noqa: PT011  (whichever it is)
        BLOCK[key]
    with pytest.raises(type(theirs.value)) as ours:
        engine.asarray(BLOCK)[key]
    assert "getitem" in str(ours.value)
    assert "(3, 4, 5)" in str(ours.value) or any(key is one for one in NO_KEYS)


# ---- derivatives

SMOOTH = {
    (0.3, 0.9): """
        abs acos asin atan atanh ceil cos cosh exp expm1 floor log log10 log1p log2 negative
        reciprocal round sign sin sinh sqrt square tan tanh trunc positive real conj asinh""",
    (1.2, 2.5): "acosh",
}
ONES = [(name, domain) for domain, names in SMOOTH.items() for name in names.split()]
TWOS = "add atan2 copysign divide hypot logaddexp maximum minimum multiply pow subtract remainder"


def inside(x: Any, low: float, high: float) -> Any:
    """x brought between two numbers by a smooth function, so that more than one rule is used."""
    return low + (high - low) * engine.sigmoid(x)


@pytest.mark.parametrize(("name", "domain"), ONES)
def test_derivatives_of_functions_of_one_array(name, domain):
    f = getattr(engine, name)
    assert engine.gradcheck(lambda x: engine.sin(f(inside(x, *domain))) * x, [normal(2, 3)], 2)


@pytest.mark.parametrize("name", TWOS.split())
def test_derivatives_of_functions_of_two_arrays(name):
    f = getattr(engine, name)

    def composed(x: Any, y: Any) -> Any:
        return engine.sin(f(inside(x, 1.1, 1.5), inside(y, 0.8, 0.9))) * x

    assert engine.gradcheck(composed, [normal(2, 3), normal(3, salt=1)], 2)
    assert engine.gradcheck(lambda x: f(inside(x, 1.1, 1.5), 0.7) * x, [normal(3)], 2)
    assert engine.gradcheck(lambda x: f(1.7, inside(x, 1.1, 1.5)) * x, [normal(3)], 2)


FOLLOWED: dict[str, Any] = {
    "astype": lambda x: engine.astype(engine.astype(x, engine.float64), engine.float64),
    "clip": lambda x: engine.clip(x, -0.4, 0.6),
    "clip arrays": lambda x: engine.clip(x, x[:, :1] - 0.31, engine.asarray([0.33, 5, 0.1])),
    "where": lambda x: engine.where(x > 0, x * x, engine.exp(x)),
    "sum": lambda x: engine.sum(x, axis=(0,), keepdims=True),
    "sum dtype": lambda x: engine.sum(x, axis=1, dtype=engine.float64),
    "mean": lambda x: engine.mean(x, axis=-1),
    "max of no axis": lambda x: engine.max(x, axis=()) * engine.prod(x, axis=()),
    "prod": lambda x: engine.prod(x, axis=1),
    "max": lambda x: engine.max(x, axis=0),
    "min": lambda x: engine.min(x, axis=(0, 1)),
    "var": lambda x: engine.var(x, axis=1, correction=1.5, keepdims=True),
    "std": lambda x: engine.std(x, axis=0, correction=1),
    "cumulative_sum": lambda x: engine.cumulative_sum(x, axis=0, include_initial=True),
    "cumulative_prod": lambda x: engine.cumulative_prod(x, axis=1, include_initial=True),
    "diff": lambda x: engine.diff(x, n=2, prepend=x[:, :1] * 2, append=x[:, 1:]),
    "concat": lambda x: engine.concat([x, x * x, x], axis=1),
    "stack": lambda x: engine.stack([x, engine.exp(x)], axis=-1),
    "unstack": lambda x: engine.unstack(x, axis=1)[2] * engine.unstack(x)[1][0],
    "flip": lambda x: engine.flip(x, axis=-1) * x,
    "roll": lambda x: engine.roll(x, (1, -1), axis=(0, 1)) * x,
    "repeat": lambda x: engine.repeat(x, np.array([2, 0, 1]), axis=1),
    "tile": lambda x: engine.tile(x, (2, 1, 2)),
    "moveaxis": lambda x: engine.moveaxis(x, 0, 1) @ x,
    "meshgrid": lambda x: engine.meshgrid(x[0], x[1])[0] * engine.meshgrid(x[0], x[1])[1],
    "broadcast": lambda x: engine.broadcast_arrays(x[:, None], x)[0] * x,
    "sort": lambda x: engine.sort(x, axis=0, descending=True) * x,
    "topk": lambda x: engine.topk(x, 2)[0] * x[:, :2],
    "take": lambda x: engine.take(x, np.array([2, 0, 2]), axis=1) * x,
    "take_along_axis": lambda x: engine.take_along_axis(x, np.array([[1, 0, 1]]), axis=0) * x,
    "vecdot": lambda x: engine.vecdot(x, x[:1]),
    "tensordot": lambda x: engine.tensordot(x, x, axes=((1,), (1,))),
    "matmul": lambda x: x @ engine.matrix_transpose(x),
    "outer": lambda x: engine.outer(x[0], x[1]),
    "norm": lambda x: engine.norm(x, axis=1),
    "norm 3": lambda x: engine.norm(x, ord=3),
    "logsumexp": lambda x: engine.logsumexp(x, axis=1),
    "squeeze": lambda x: engine.squeeze(engine.expand_dims(x, axis=1), 1),
    **{f"tril {k}": lambda x, k=k: engine.tril(x, k=k) for k in (-1, 0, 1, 3)},
    **{f"triu {k}": lambda x, k=k: engine.triu(x, k=k) for k in (-2, 0, 2)},
    **{f"diagonal {k}": lambda x, k=k: engine.diagonal(x, offset=k) for k in (-1, 0, 2)},
    **{f"trace {k}": lambda x, k=k: engine.trace(x, offset=k) for k in (-1, 0, 1)},
    **{f"diag {k}": lambda x, k=k: engine.diag(x[0], k=k) for k in (-1, 0, 2)},
    **{
        f"pad {mode}": lambda x, mode=mode: engine.pad(x, ((1, 0), (1, 2)), mode=mode)
        for mode in ("constant", "edge", "reflect", "symmetric", "wrap")
    },
    "pad 2.5": lambda x: engine.pad(x, 1, constant_values=2.5),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_derivatives_of_all_else(name):
    f = FOLLOWED[name]
    x = normal(2, 3, salt=4)
    assert engine.gradcheck(lambda x: engine.sin(f(engine.tanh(x) + 0.1 * x)), [x], 2)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
@pytest.mark.parametrize("widths", [1, (1, 2), ((0, 3), (5, 0)), ((2, 2), (0, 0)), 0])
def test_pad_is_numpys(mode, widths):
    x = normal(3, 4)
    same(engine.pad(engine.asarray(x), widths, mode=mode), np.pad(x, widths, mode=mode))
    if mode == "constant":
        for values in (x, x > 0, (x * 10).astype("int8")):
            expected = np.pad(values, widths, constant_values=1)
            same(engine.pad(engine.asarray(values), widths, constant_values=1), expected)


@pytest.mark.parametrize("offset", [-3, -1, 0, 1, 2, 9])
def test_triangles_and_diagonals_are_numpys(offset):
    x, vector = normal(3, 4, 5), normal(4)
    own = engine.asarray(x)
    same(engine.tril(own, k=offset), np.tril(x, offset))
    same(engine.triu(own, k=offset), np.triu(x, offset))
    same(engine.diag(engine.asarray(vector), k=offset), np.diag(vector, offset))
    same(engine.diag(own[0], k=offset), np.diag(x[0], offset))
    for axes in ((0, 1), (2, 0), (-1, -2)):
        named = dict(zip(("axis1", "axis2"), axes, strict=True))
        same(engine.diagonal(own, offset=offset, **named), np.diagonal(x, offset, *axes))
        same(engine.trace(own, offset=offset, **named), np.trace(x, offset, *axes))


def test_triangles_do_not_spread_what_they_cut_off():
    x = np.array([[np.nan, np.inf], [1.0, 2.0]])
    same(engine.triu(engine.asarray(x), k=1), np.triu(x, 1))
    same(engine.tril(engine.asarray(x), k=-1), np.tril(x, -1))


def test_gradients_of_ties_go_where_the_elements_came_from():
    x, weights = leaf(2.0, 1.0, 2.0, 1.0), np.array([1.0, 10, 100, 1000])
    for f, expected in (
        (engine.sort, [100, 1, 1000, 10]),
        (lambda x: engine.sort(x, descending=True), [1, 100, 10, 1000]),
    ):
        (g,) = engine.gradients(f(x), [x], grads=weights)
        assert g.numpy().tolist() == expected
    values, places = engine.topk(x, 3)
    assert (values.numpy().tolist(), places.numpy().tolist()) == ([2, 2, 1], [0, 2, 1])
    (g,) = engine.gradients(values, [x], grads=weights[:3])
    assert g.numpy().tolist() == [1, 100, 10, 0]
    values, places = engine.topk(x, 2, largest=False)
    assert (values.numpy().tolist(), places.numpy().tolist()) == ([1, 1], [1, 3])
    for plain in (engine.argsort(x), *engine.unique_all(x), engine.unique_values(x)):
        assert not plain.requires_grad
    (g,) = engine.gradients(engine.max(x), [x])
    assert g.numpy().tolist() == [0.5, 0, 0.5, 0]


PRODUCTS = [
    engine.prod, engine.cumulative_prod, lambda x: engine.cumulative_prod(x, include_initial=True),
]  # fmt: skip


@pytest.mark.parametrize("f", PRODUCTS)
@pytest.mark.parametrize("zeros", [(), (0,), (2,), (4,), (1, 3), (0, 4), (0, 1, 2), range(5)])
def test_products_with_zeros(f, zeros):
    x = np.array([1.5, -0.7, 2.0, 0.4, -1.2])
    x[list(zeros)] = 0
    assert engine.gradcheck(f, [x], 2)


def test_products_of_nothing_and_of_several_axes():
    x = normal(2, 3, 2)
    x[0, 1, 1] = x[1, 0, 0] = x[1, 2, 1] = 0
    for axis in (None, 0, (0, 2), (2, 1)):
        assert engine.gradcheck(lambda x, axis=axis: engine.prod(x, axis=axis), [x], 2)
    y = leaf(np.zeros((0, 3)))
    (g,) = engine.gradients(engine.sum(engine.prod(y, axis=0)), [y])
    assert g.shape == (0, 3)


FLAT: dict[str, Any] = {
    "std": lambda x: engine.std(x),
    "std of rows": lambda x: engine.sum(engine.std(x, axis=1, correction=1)),
    "var": lambda x: engine.var(x),
    "norm": lambda x: engine.norm(x - x.numpy()),
    "norm of rows": lambda x: engine.sum(engine.norm(x * 0, axis=0)),
    "norm 1": lambda x: engine.norm(x * 0, ord=1),
    "norm 3": lambda x: engine.norm(x * 0, ord=3),
    "norm inf": lambda x: engine.norm(x * 0, ord=math.inf),
}


@pytest.mark.parametrize("name", FLAT)
def test_no_nan_where_all_is_alike(name):
    x = leaf(np.full((2, 3), 0.1))
    out = FLAT[name](x)
    (g,) = engine.gradients(out, [x], create_graph=True)
    assert np.isfinite(out.numpy())
    assert np.isfinite(g.numpy()).all()
    np.testing.assert_allclose(g.numpy(), 0 * x.numpy(), atol=1e-12)
    (second,) = engine.gradients(engine.sum(g * normal(2, 3)), [x])
    assert second is None or np.isfinite(second.numpy()).all()


WHOLE: dict[str, Any] = {
    "sum": lambda w: engine.sum(w, dtype=engine.int64),
    "prod": lambda w: engine.prod(w, dtype=engine.int64),
    "cumulative_sum": lambda w: engine.cumulative_sum(w, dtype=engine.int32),
    "cumulative_prod": lambda w: engine.cumulative_prod(w, dtype=engine.int32),
    "astype": lambda w: engine.astype(w, engine.int8),
    "asarray": lambda w: engine.asarray(w, dtype=engine.int8),
    "argmax": engine.argmax,
    "argsort": engine.argsort,
    "count_nonzero": engine.count_nonzero,
    "comparison": lambda w: w > 1,
    "isnan": engine.isnan,
    "zeros_like": engine.zeros_like,
}


@pytest.mark.parametrize("name", WHOLE)
def test_gradients_end_at_whole_numbers(name):
    out = WHOLE[name](leaf(1.5, 2.5))
    assert not out.requires_grad


def test_a_sequence_of_tensors_keeps_their_gradients_or_is_refused():
    w = leaf(2.0)
    try:
        x = engine.asarray([w * w, w])
    except (TypeError, ValueError):
        return
    assert engine.gradients(engine.sum(x), [w])[0].item() == 5


def test_sequences_of_arrays_keep_their_dtype():
    for values in ([np.ones(2), np.zeros(2)], [np.float64(1), np.float64(2)]):
        assert engine.asarray(values).dtype == engine.float64
    assert engine.asarray([engine.ones(2), engine.zeros(2)]).dtype == engine.float32
    assert engine.asarray([np.float32(1)]).dtype == engine.float32


# ---- einsum

EQUATIONS: dict[str, list[tuple[int, ...]]] = {
    "ij,jk->ik": [(2, 3), (3, 4)], "ij,jk": [(2, 3), (3, 4)], "i,i->": [(3,), (3,)],
    "i,j->ji": [(2,), (3,)], "ii->": [(3, 3)], "ii->i": [(3, 3)], "ii": [(3, 3)], "ba": [(2, 3)],
    "ijk->ki": [(2, 3, 4)], "...ij,...jk->...ik": [(5, 2, 3), (3, 4)], "...i->...": [(2, 3)],
    "i...,i...": [(2, 3, 1), (2, 4)], "bhtd,bhsd->bhts": [(2, 2, 3, 4), (2, 2, 5, 4)],
    "ij,ij->": [(2, 3), (2, 3)], "ij,kj,kl->il": [(2, 3), (4, 3), (4, 2)], "iij->j": [(2, 2, 3)],
    "iji,jk->k": [(2, 3, 2), (3, 4)], "ij,ij->ij": [(1, 3), (2, 1)], "ij,jk->": [(2, 1), (3, 4)],
    "iii->i": [(3, 3, 3)], "i->": [(4,)], "ij->": [(2, 3)], "...->...": [(2, 3)], ",->": [(), ()],
    ",ij->ij": [(), (2, 3)], "ij,k->": [(2, 3), (4,)], "i...j,j->...": [(2, 5, 3), (3,)],
    "ij, jk -> ik": [(2, 3), (3, 4)], "iJ,Jk": [(2, 3), (3, 4)], "ij,i->j": [(0, 3), (0,)],
    "...ii->...i": [(2, 3, 3)], "a...b,b...a->...": [(2, 1, 3), (3, 4, 2)],
}  # fmt: skip


@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum_is_numpys(equation):
    arrays = [normal(*shape, salt=n) for n, shape in enumerate(EQUATIONS[equation])]
    expected = np.einsum(equation, *arrays)
    found = engine.einsum(equation, *map(engine.asarray, arrays))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-13)
    if expected.size:
        assert engine.gradcheck(lambda *xs: engine.sin(engine.einsum(equation, *xs)), arrays, 2)


@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum_keeps_whole_dtypes(equation):
    shapes = EQUATIONS[equation]
    whole = [(normal(*shape, salt=n) * 4).astype("int32") for n, shape in enumerate(shapes)]
    same(engine.einsum(equation, *map(engine.asarray, whole)), np.einsum(equation, *whole))


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [("ij,jk->ik", [(2, 3)]), ("ij->ijk", [(2, 3)]), ("ij", [(2,)]), ("i,i->", [(2,), (3,)]),
     ("ij->ii", [(2, 3)]), ("i->...", [(2, 3)]), ("i1->i", [(2, 3)]), ("ii->i", [(2, 3)])],
)  # fmt: skip
def test_wrong_equations_are_refused(equation, shapes):
    with pytest.raises(ValueError, match="einsum"):
        engine.einsum(equation, *(engine.ones(shape) for shape in shapes))


# ---- activations far out

LIMITS: dict[str, tuple[Any, Any, Any]] = {  # f, its limits on the left and on the right
    "relu": (engine.relu, 0.0, "x"),
    "elu": (engine.elu, -1.0, "x"),
    "gelu": (engine.gelu, 0.0, "x"),
    "gelu tanh": (lambda x: engine.gelu(x, approximate="tanh"), 0.0, "x"),
    "silu": (engine.silu, 0.0, "x"),
    "softplus": (engine.softplus, 0.0, "x"),
    "leaky_relu": (lambda x: engine.leaky_relu(x, 0.25), "x/4", "x"),
    "erf": (engine.erf, -1.0, 1.0),
    "sigmoid": (engine.sigmoid, 0.0, 1.0),
    "tanh": (engine.tanh, -1.0, 1.0),
}


@pytest.mark.parametrize("dtype", FLOATING)
@pytest.mark.parametrize("size", [200.0, 1e4, 1e15])
@pytest.mark.parametrize("name", LIMITS)
def test_activations_far_out_are_their_limits(name, size, dtype):
    f, *limits = LIMITS[name]
    for sign, limit in zip((-1, 1), limits, strict=True):
        x = engine.asarray(np.asarray(sign * size, dtype), requires_grad=True)
        slope = {"x": 1.0, "x/4": 0.25}.get(limit, 0.0)
        expected = slope * sign * size if slope else limit
        out = f(x)
        (g,) = engine.gradients(out, [x], create_graph=True)
        (second,) = engine.gradients(g, [x]) if g.requires_grad else (None,)
        assert out.dtype == dtype
        found = [out.item(), g.item(), 0.0 if second is None else second.item()]
        np.testing.assert_allclose(found, [expected, slope, 0.0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", LIMITS)
def test_activations_of_infinities_and_nan(name):
    f, low, high = LIMITS[name]
    infinite = {"x": math.inf, "x/4": math.inf}
    assert f(engine.asarray(math.inf)).item() == infinite.get(high, high)
    assert f(engine.asarray(-math.inf)).item() == (-math.inf if low in infinite else low)
    assert math.isnan(f(engine.asarray(math.nan)).item())


@pytest.mark.parametrize("name", sorted(set(LIMITS) - {"relu", "leaky_relu"}))
def test_derivatives_of_activations(name):
    x = np.array([-12.0, -5.0, -1.0, -0.2, 0.3, 1.0, 4.0, 12.0])
    assert engine.gradcheck(LIMITS[name][0], [x], 2)
    assert engine.gradcheck(LIMITS[name][0], [np.zeros(1)], 1)  # all of them are smooth there


# ---- layouts and special values

SPECIAL = [0.0, -0.0, 1.0, -1.5, math.inf, -math.inf, math.nan, 5e-324, -1e-310, 1e308, 0.3]
LAYOUTS: dict[str, Any] = {
    "transposed": lambda x: x.T,
    "backwards": lambda x: x[::-1, ::-1],
    "strided": lambda x: np.repeat(np.repeat(x, 2, 0), 3, 1)[::2, ::3],
    "broadcast": lambda x: np.broadcast_to(x[:1], (3, x.shape[1])),
    "fortran": np.asfortranarray,
    "shifted": lambda x: np.concatenate([np.zeros((1, x.shape[1])), x])[1:],
    "unaligned": lambda x: np.ndarray(x.shape, x.dtype, bytearray(b"\0" + x.tobytes()), 1),
}  # fmt: skip
LAID_OUT: dict[str, Any] = {
    "exp": lambda xp, x: xp.exp(x), "negative": lambda xp, x: -x, "abs": lambda xp, x: xp.abs(x),
    "tanh": lambda xp, x: xp.tanh(x), "sqrt": lambda xp, x: xp.sqrt(x), "*": lambda xp, x: x * x,
    "sign": lambda xp, x: xp.sign(x), "maximum": lambda xp, x: xp.maximum(x, 0.5),
    "minimum": lambda xp, x: xp.minimum(x, x[:1]), "divide": lambda xp, x: x / x[-1:],
    "where": lambda xp, x: xp.where(x > 0, x, -x), "sum": lambda xp, x: xp.sum(x, axis=0),
    "max": lambda xp, x: xp.max(x, axis=1), "argmin": lambda xp, x: xp.argmin(x, axis=0),
    "sort": lambda xp, x: xp.sort(x, axis=1), "flip": lambda xp, x: xp.flip(x, axis=0),
    "reshape": lambda xp, x: xp.reshape(x, (-1,)), "rows": lambda xp, x: x[[0, -1], 1:],
    "mask": lambda xp, x: x[x == x], "transpose": lambda xp, x: x.T,
    "runs": lambda xp, x: xp.cumulative_sum(x, axis=1), "clip": lambda xp, x: xp.clip(x, -1, 1),
    "triu": lambda xp, x: xp.triu(x), "concat": lambda xp, x: xp.concat([x, x[:1]]),
    "roll": lambda xp, x: xp.roll(x, 1), "isfinite": lambda xp, x: xp.isfinite(x),
    "signbit": lambda xp, x: xp.signbit(x), "copysign": lambda xp, x: xp.copysign(1.0, x),
    "floor": lambda xp, x: xp.floor(x), "round": lambda xp, x: xp.round(x),
}  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    st.data(), st.sampled_from(sorted(LAYOUTS)), st.sampled_from(sorted(LAID_OUT)), st.booleans(),
)  # fmt: skip
def test_layouts_and_special_values_change_nothing(data, layout, name, frozen):
    rows, columns = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    numbers = st.one_of(st.sampled_from(SPECIAL), st.floats(-10, 10))
    flat = data.draw(st.lists(numbers, min_size=rows * columns, max_size=rows * columns))
    x = LAYOUTS[layout](np.array(flat).reshape(rows, columns))
    if x.flags.writeable:
        x.flags.writeable = not frozen
    before, f = x.copy(), LAID_OUT[name]
    with np.errstate(all="ignore"):
        own, plain = leaf(x), np.ascontiguousarray(x)
        assert np.shares_memory(own.numpy(), x)
        expected = np.asarray(f(np, plain))
        found = f(engine, own)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-14, atol=0)
        if expected.dtype.kind == "f":
            real = expected == expected
            signs = np.signbit(found.numpy())[real] == np.signbit(expected)[real]
            assert signs.all()
        if found.requires_grad:
            weights = np.arange(1.0, found.size + 1).reshape(found.shape)
            other = leaf(plain)
            (g,) = engine.gradients(found, [own], grads=weights)
            (same_g,) = engine.gradients(f(engine, other), [other], grads=weights)
            np.testing.assert_array_equal(g.numpy(), same_g.numpy())
    np.testing.assert_array_equal(x, before)  # what was given is never written to
