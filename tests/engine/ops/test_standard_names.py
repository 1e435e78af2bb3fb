"""Test names, constants and signatures of the standard."""

import inspect
import math
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.registry import RECORDING
from tests.draws import slow_beside
from tests.engine.ops.standard import DTYPES, FLOATING, UNSIGNED

pytestmark = pytest.mark.usefixtures("quiet")


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


# ---- names of the engine besides the standard's

OPS = sorted((Path(engine.__file__).parent / "ops").glob("*.py"))
SHADOWING = {"abs", "all", "any", "max", "min", "pow", "round", "sum"}  # names of Python itself


def public_names() -> set[str]:
    return set(engine.__all__) | set(engine.linalg.__all__)


def unlisted(records: Any) -> list[str]:
    """Return the ops with a contradiction between record and list of names."""
    return [op.name for op in records if op.public != (op.name in public_names())]


def test_ops_are_offered_as_their_records_say():
    assert unlisted(engine.REGISTRY.values()) == [], (
        "enter them in __all__ of their file in engine/ops, or give the record public=False"
    )
    forgotten = replace(engine.REGISTRY["add"], name="planted")
    assert unlisted([forgotten]) == ["planted"]
    assert unlisted([replace(forgotten, public=False)]) == []


@pytest.mark.parametrize("path", OPS, ids=[path.stem for path in OPS])
def test_every_file_lists_what_it_makes(path):
    file = import_module(f"engine.ops.{path.stem}") if path.stem != "__init__" else engine.ops
    for name in getattr(file, "__all__", ()):
        assert name in public_names()
        assert any(getattr(space, name, None) is vars(file)[name]
                   for space in (engine, engine.linalg)), name  # fmt: skip
    composed = {name for name, function in vars(RECORDING).items()
                if getattr(function, "__module__", "") == f"engine.ops.{path.stem}"
                and not (hasattr(function, "op") and not function.op.public)}  # fmt: skip
    offered = {*getattr(file, "__all__", ()), *SHADOWING, "astype"}
    assert composed - offered == set(), f"enter them in __all__ of engine/ops/{path.name}"


def test_no_name_is_listed_twice():
    assert len(set(engine.__all__)) == len(engine.__all__)
    assert len(set(engine.linalg.__all__)) == len(engine.linalg.__all__)


@slow_beside("project/test_types.py::test_mypy_knows_every_name_and_what_calls_return")
def test_type_checkers_see_the_names(tmp_path):
    # Names that a checker does not know have the type Any, by the module's own __getattr__.
    code = ["import engine", *(f"reveal_type(engine.{name})" for name in engine.ops.__all__)]
    (tmp_path / "names.py").write_text("\n".join(code))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", tmp_path / "names.py"],
        capture_output=True, text=True, check=False, cwd=Path(engine.__file__).parent.parent,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if "Revealed type" in line]
    assert len(lines) == len(engine.ops.__all__)
    assert [line for line in lines if '"Any"' in line] == []
