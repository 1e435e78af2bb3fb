"""Test the record of every op: batched over time, linear in its inputs, written in C."""

import ctypes
import math
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import engine
from engine import REGISTRY
from engine.backends import HOST
from engine.op import Draw, Example, Op
from engine.operators import BINARY
from engine.ops.keys import Slot
from engine.ops.matrices import LinAlgError
from engine.scan.c.compiler import CannotCompileError, compiled
from tests.draws import first
from tests.engine.ops.test_ops import CASES, _draw

XP = HOST.xp
STEPS = 3
pytestmark = pytest.mark.usefixtures("quiet")

# Examples that no attributes can batch over time: ranks differ, elements of several axes are in one
# row, or an array in the index may be a mask.
STEP_BY_STEP = {
    "argmax-0", "argmin-0", "assign-2", "assign-3", "broadcast_to-0", "broadcast_to-1", "matmul-1",
    "matmul-2", "matmul-3", "matmul-4", "matmul-5", "roll-0", "searchsorted-2", "solve-1",
    "solve-2",
}  # fmt: skip


def samples(op: Op, example: Example, dtype: str = "float64") -> Iterator[list[Any]]:
    """Draw the inputs of an example again and again."""
    rng = np.random.default_rng(zlib.crc32(f"{op.name} {example!r}".encode()))
    while True:
        inputs = [_draw(rng, x, dtype) if isinstance(x, Draw) else x for x in example.inputs]
        try:
            op.forward(XP, *inputs, **example.attrs)
        except LinAlgError:  # these matrices have no result
            continue
        yield inputs


# ---- batched over time


def over_time(op: Op, example: Example, varying: Any) -> tuple[Any, Any]:
    """Return the result of a time-batched op, and a stack of its results step by step."""
    drawn = samples(op, example)
    first = next(drawn)
    steps = [
        [new if isinstance(new, np.ndarray) and i not in op.whole and varying(i) else old
         for i, (old, new) in enumerate(zip(first, next(drawn), strict=True))]
        for _ in range(STEPS)
    ]  # fmt: skip
    apart = [np.asarray(op.forward(XP, *inputs, **example.attrs)) for inputs in steps]
    shapes = [getattr(x, "shape", None) for x in first]
    assert op.time_batch is not None
    attrs = op.time_batch(example.attrs, shapes, apart[0].shape, STEPS)
    inputs = [
        np.stack(column) if isinstance(column[0], np.ndarray) and i not in op.whole else column[0]
        for i, column in enumerate(zip(*steps, strict=True))
    ]
    return np.asarray(op.forward(XP, *inputs, **attrs)), np.stack(apart)


TIME_BATCHED = [
    pytest.param(*case.values, id=case.id) for case in CASES if case.values[0].kind != "elementwise"
]


def check_batched(op: Op, example: Example) -> None:
    """Check that an op is computed for all steps at once, where all or some inputs vary."""
    for varying in (lambda i: True, lambda i: i == 0, lambda i: i > 0):
        together, apart = over_time(op, example, varying)
        assert (together.shape, together.dtype) == (apart.shape, apart.dtype)
        np.testing.assert_allclose(together, apart, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("op", "example"), TIME_BATCHED)
def test_time_batched_is_a_stack_of_the_steps(op, example, request):
    if request.node.callspec.id in STEP_BY_STEP:
        with pytest.raises(ValueError, match=r"axis|axes|row|array"):
            check_batched(op, example)
    else:
        check_batched(op, example)


def test_every_op_can_be_time_batched_or_is_element_wise():
    assert [
        op.name for op in REGISTRY.values() if (op.kind == "elementwise") == bool(op.time_batch)
    ] == []
    assert REGISTRY["sum"].lift is REGISTRY["sum"].time_batch is not None  # its earlier name
    kinds = {"elementwise", "reduction", "product", "layout", "other"}
    assert {op.kind for op in REGISTRY.values()} == kinds


KEYS: list[tuple[tuple[int, ...], Any, list[tuple[int, ...]]]] = [
    ((4, 3), (0,), []),
    ((4, 3), (..., None, slice(None, None, -1)), []),
    ((4, 3), (Slot(0),), [()]),
    ((4, 3), (Slot(0), 1), [(5,)]),
    ((4, 3), (1, Slot(0)), [(5,)]),
    ((4, 3), (Slot(0), None, Slot(1)), [(2, 1), (1, 3)]),
    ((4, 3), (..., Slot(0)), [(2, 2)]),
    ((4, 3, 3), (..., Slot(0)), [(2,)]),
    ((4, 3, 3), (..., Slot(0), Slot(1)), [(2,), (2,)]),
    ((4, 3, 3, 2), (slice(1, 3), ..., Slot(0), Slot(1), slice(1)), [(2,), (2,)]),
    ((4, 3, 3), (slice(None, None, 2), slice(1), Slot(0)), [(3, 2)]),
    ((4, 3, 3), (Slot(0), slice(1, 3), Slot(1)), [(2,), (2,)]),
    ((3, 4, 3, 3), (slice(1), Slot(0), slice(1, 3), Slot(1)), [(2,), (2,)]),
]


@pytest.mark.parametrize("case", range(len(KEYS)))
def test_indices_of_all_forms_are_time_batched(case):
    shape, key, arrays = KEYS[case]
    draws = (Draw(shape), *(Draw(one, -3, 3, integer=True) for one in arrays))
    example = Example(draws, {"key": key})
    check_batched(REGISTRY["getitem"], example)
    found = np.asarray(REGISTRY["getitem"].forward(XP, *next(samples(REGISTRY["getitem"], example)),
                                                   key=key))  # fmt: skip
    draws = (Draw(found.shape), *draws[1:])
    check_batched(REGISTRY["place"], Example(draws, {"keys": (key,), "shape": shape}))


@pytest.mark.parametrize(
    ("shape", "key", "arrays"),
    [((4, 3), (None, Slot(0)), [(2,)]), ((4, 3), (Slot(0), Slot(1)), [(2,), (1, 2)]),
     ((4, 3), (True,), []), ((2, 4, 3), (slice(1), Slot(0), ..., Slot(1)), [(2,), (2,)])],
)  # fmt: skip
def test_indices_that_cannot_be_time_batched_are_refused(shape, key, arrays):
    with pytest.raises(ValueError, match=r"index|indices"):
        REGISTRY["getitem"].time_batch({"key": key}, [shape, *arrays], (1,), STEPS)


WRONG_LIFTS = {
    "softmax": {"time_batch": lambda attrs, *_: {"axis": 0}},
    "sum": {"time_batch": lambda attrs, *_: attrs},
    "linear": {"whole": ()},
    "getitem": {"time_batch": lambda attrs, *_: attrs},
}


@pytest.mark.parametrize("name", WRONG_LIFTS)
def test_a_wrong_rule_of_time_batching_is_caught(name):
    op = replace(REGISTRY[name], **WRONG_LIFTS[name])
    with pytest.raises((AssertionError, ValueError, IndexError)):
        check_batched(op, op.examples[0])


# ---- linear in its inputs


def is_linear(op: Op, example: Example, slots: Any) -> bool:
    """Return whether f(a x + b y) = a f(x) + b f(y) for the floats in some slots, others fixed."""
    drawn = samples(op, example)
    x, y = next(drawn), next(drawn)
    moving = [i in slots and (isinstance(one, float) or getattr(one, "dtype", None) == "float64")
              for i, one in enumerate(x)]  # fmt: skip
    y = [two if moves else one for one, two, moves in zip(x, y, moving, strict=True)]
    both = [0.75 * one - 2.0 * two if moves else one
            for one, two, moves in zip(x, y, moving, strict=True)]  # fmt: skip
    try:
        fx, fy, found = (op.forward(XP, *one, **example.attrs) for one in (x, y, both))
    except LinAlgError:
        return False
    if np.asarray(found).dtype.kind != "f":
        return False
    return bool(np.allclose(found, 0.75 * fx - 2.0 * fy, rtol=1e-9, atol=1e-9))


def is_max_plus(op: Op, example: Example) -> bool:
    """Return whether f(max(a + x, b + y)) = max(a + f(x), b + f(y)) for all inputs together."""
    drawn = samples(op, example)
    x, y = next(drawn), next(drawn)
    both = [np.maximum(one + 0.25, two - 0.5) for one, two in zip(x, y, strict=True)]
    fx, fy, found = (op.forward(XP, *one, **example.attrs) for one in (x, y, both))
    return bool(np.array_equal(found, np.maximum(fx + 0.25, fy - 0.5)))


def holds(op: Op, example: Example, degree: str) -> bool:
    """Return whether the degree that an op claims is true of one example."""
    every = range(len(example.inputs))
    if degree == "maximum":
        return is_max_plus(op, example)
    if degree == "product":
        if len(every) > 2:
            return bias_is_added(op, example)
        return len(every) == 2 and all(is_linear(op, example, [one]) for one in every)
    slots = {"sum": every, "quotient": every[:1], "choice": every[1:]}[degree]
    return is_linear(op, example, slots)


def bias_is_added(op: Op, example: Example) -> bool:
    """Return whether a third input is added to a product of the first two."""
    x, y, bias = next(samples(op, example))
    product = Example(example.inputs[:2], example.attrs)
    apart = op.forward(XP, x, y) + bias
    return holds(op, product, "product") and np.allclose(op.forward(XP, x, y, bias), apart)


CLAIMS = [case for case in CASES if case.values[0].degree]


@pytest.mark.parametrize(("op", "example"), CLAIMS)
def test_claims_of_a_degree_hold(op, example):
    assert holds(op, example, op.degree)


def test_no_claim_is_left_out():
    free = [op for op in REGISTRY.values() if op.vjp is not None and not op.degree]
    found = [
        op.name
        for op in free
        if all(is_linear(op, example, range(len(example.inputs))) for example in op.examples)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("name", "degree"),
    [("square", "sum"), ("multiply", "sum"), ("add", "product"), ("max", "sum"), ("abs", "sum"),
     ("power", "quotient"), ("astype", "product"), ("divide", "product"), ("add", "maximum"),
     ("minimum", "maximum")],
)  # fmt: skip
def test_a_wrong_claim_is_caught(name, degree):
    op = REGISTRY[name]
    assert not all(holds(op, example, degree) for example in op.examples)


def test_a_mask_as_an_index_in_a_step_is_left_to_the_loop():
    # Its result has as many rows as the mask has trues, which no recorded shape can say.

    def step(h: Any, x: Any) -> Any:
        h = h * 0.5 + engine.sum(h[h > x])
        return h, h

    xs, h = engine.asarray(np.linspace(0, 2, 4)), engine.asarray([1.0, 2.0], dtype="float64")
    with engine.explicit():
        expected = engine.scan(step, h, xs)[1]
    np.testing.assert_array_equal(engine.scan(step, h, xs)[1].numpy(), expected.numpy())
    assert "a mask as an index in the step depends on values" in str(
        engine.explain_scan(step, h, xs)
    )


# ---- in C

SPECIAL = np.array([
    np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -1.5, 2.0, -2.0, 2.5, 3.0, -3.0,
    7.0, 1e-40, -1e-40, 1e-310, 1e-20, -1e-20, 1e30, -1e30, 88.7, -103.9, 0.1, -0.3, 20.25, -20.25,
])  # fmt: skip
TIES = {"maximum", "minimum", "relu", "clip"}  # of 0 and -0, either of which is the larger
UNITS = 4  # in the last place, for functions that no standard says how to round
WHOLE = {"bitwise_left_shift", "bitwise_right_shift"}


def grid(count: int, dtype: str) -> list[np.ndarray]:
    """Return special and random numbers for `count` inputs, each with each."""
    own = SPECIAL if count < 3 else SPECIAL[:9]
    numbers = np.concatenate([own, np.random.default_rng(count).normal(0, 3, 8 - 2 * count)])
    if count == 1:
        numbers = np.concatenate([numbers, np.random.default_rng(9).normal(0, 30, 400)])
    return [axis.reshape(-1).astype(dtype) for axis in np.meshgrid(*[numbers] * count)]


def literals(example: Example) -> dict[int, Any]:
    return {i: x for i, x in enumerate(example.inputs) if not isinstance(x, Draw)}


def in_c(op: Op, example: Example, number: int, kinds: list[str]) -> str:
    """Return a function in C that computes an op for many numbers."""
    own = literals(example)
    names = [f"(real){own[i]!r}" if i in own else f"x{i}" for i in range(len(example.inputs))]
    given = "".join(f", const {kind} *a{i}" for i, kind in enumerate(kinds) if i not in own)
    loads = "".join(f"const {kind} x{i} = a{i}[n]; " for i, kind in enumerate(kinds)
                    if i not in own)  # fmt: skip
    value = op.expression(example.attrs).format(*names)
    return (f"void f{number}(long count{given}, real *out) {{ for (long n = 0; n < count; n++) "
            f"{{ {loads}out[n] = (real){value}; }} }}\n")  # fmt: skip


def kinds_of(example: Example) -> list[str]:
    """Return the types in C of the inputs of an example; integers become conditions."""
    return ["int" if isinstance(x, Draw) and x.integer else "real" for x in example.inputs]


def library(cases: list[tuple[Op, Example]], dtype: str) -> ctypes.CDLL:
    """Compile functions ``f0``, ``f1``, ... for ops."""
    parts = [in_c(op, example, i, kinds_of(example)) for i, (op, example) in enumerate(cases)]
    return compile_c("".join(parts), dtype)


def compile_c(source: str, dtype: str) -> ctypes.CDLL:
    """Return the library of a source; skip the test, with the reason, without a compiler."""
    try:
        return compiled('#include "runtime.h"\n' + source,
                        "float" if dtype == "float32" else "double")  # fmt: skip
    except CannotCompileError as reason:
        pytest.skip(str(reason))


def values_in_c(function: Any, inputs: list[Any], dtype: str) -> np.ndarray:
    """Return the values of a function in C for arrays; literals are in its source."""
    arrays = [np.ascontiguousarray(x) for x in inputs if isinstance(x, np.ndarray)]
    out = np.empty(arrays[0].shape, dtype)
    pointers = [ctypes.c_void_p(one.ctypes.data) for one in (*arrays, out)]
    function(ctypes.c_long(out.size), *pointers)
    return out


def gridded(op: Op, example: Example, dtype: str) -> list[Any]:
    """Return the grid in place of the draws of an example; booleans where integers are drawn."""
    own = literals(example)
    axes = iter(grid(len(example.inputs) - len(own), dtype))
    found = [own[i] if i in own else next(axes) for i in range(len(example.inputs))]
    return [(x > 0).astype("int32") if isinstance(draw, Draw) and draw.integer else x
            for x, draw in zip(found, example.inputs, strict=True)]  # fmt: skip


def check_c(op: Op, example: Example, function: Any, dtype: str) -> None:
    """Check that the C of an op gives NumPy's values, special ones too, to a few units."""
    inputs = gridded(op, example, dtype)
    found = values_in_c(function, inputs, dtype)
    as_numpy = [x.astype(bool) if getattr(x, "dtype", None) == "int32" else x for x in inputs]
    out = op.forward(XP, *as_numpy, **example.attrs)
    expected = np.broadcast_to(np.asarray(out), found.shape).astype(dtype)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    real = ~np.isnan(expected)
    if op.name not in TIES:
        np.testing.assert_array_equal(np.signbit(found)[real], np.signbit(expected)[real])
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(found[real & ~finite], expected[real & ~finite])
    gap = np.abs(found[finite] - expected[finite]) / np.spacing(np.abs(expected[finite]))
    assert gap.max(initial=0) <= UNITS, [x[finite][gap.argmax()] for x in inputs if np.ndim(x)]


EXTREMES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    *(("power", (Draw(()), number), {}) for number in (2, 2.0, 0.5, -1, 1.0, 0, 3, -2.0, 0.1)),
    *(("power", (number, Draw(())), {}) for number in (2.0, 0.0, -1.5)),
    ("logaddexp", (Draw(()), 0.0), {}),
    *(("clip", (Draw(()),), bounds) for bounds in (
        {}, {"min": 0.0}, {"max": -1}, {"min": -math.inf, "max": math.inf}, {"min": math.nan},
        {"min": 1.0, "max": -1.0}, {"min": -0.1, "max": 1e-8})),
    ("astype", (Draw(()),), {"dtype": "float64"}),
    ("astype", (Draw((), integer=True),), {"dtype": "float64"}),
    ("discretize", (Draw(()),), {"dtype": "bool"}),
]  # fmt: skip
IN_C = [case.values for case in CASES if case.values[0].kind == "elementwise"
        and case.values[0].expression(case.values[1].attrs)]  # fmt: skip
IN_C += [(REGISTRY[name], Example(inputs, attrs)) for name, inputs, attrs in EXTREMES]


# In single precision C has functions of its own, in double precision those of its library.
IN_TURN = [(case, dtype) for dtype in ("float32", "float64") for case in range(len(IN_C))]


@pytest.mark.parametrize(
    ("case", "dtype"), first(len(IN_C), IN_TURN),
    ids=[f"{IN_C[case][0].name}-{dtype}" for case, dtype in IN_TURN],
)  # fmt: skip
def test_c_gives_numpys_values(case, dtype):
    check_c(*IN_C[case], getattr(library(IN_C, dtype), f"f{case}"), dtype)


def test_every_element_wise_op_of_floats_is_there_in_c():
    without = {case.values[0].name for case in CASES if case.values[0].kind == "elementwise"
               and not case.values[0].expression(case.values[1].attrs)}  # fmt: skip
    assert without == {"discretize", *WHOLE}  # to integers, of integers
    assert not REGISTRY["discretize"].expression({"dtype": "int64"})
    assert not REGISTRY["astype"].expression({"dtype": "float16"})


def check_folded(op: Op, dtype: str) -> None:
    """Check that the C of a reduction gives NumPy's values, with special numbers in any place."""
    x = np.stack(np.meshgrid(*[SPECIAL[:12]] * 3), -1).reshape(-1, 3).astype(dtype)
    out = np.empty(len(x), dtype)
    fold = op.expression({}).format("total", "x[i][j]")
    function = compile_c(f"""void f(long rows, const real x[][3], real *out) {{
        for (long i = 0; i < rows; i++) {{
            real total = {op.start};
            for (long j = 0; j < 3; j++) total = {fold};
            out[i] = total;
        }}
    }}""", dtype).f  # fmt: skip
    function(ctypes.c_long(len(x)), *(ctypes.c_void_p(one.ctypes.data) for one in (x, out)))
    np.testing.assert_allclose(out, op.forward(XP, x, axis=-1), rtol=1e-6, atol=0)


FOLDED = [op for op in REGISTRY.values() if op.kind == "reduction" and op.c]


FOLDED_IN_TURN = [(op, dtype) for dtype in ("float32", "float64") for op in FOLDED]


@pytest.mark.parametrize(
    ("op", "dtype"), first(len(FOLDED), FOLDED_IN_TURN),
    ids=[f"{op.name}-{dtype}" for op, dtype in FOLDED_IN_TURN],
)  # fmt: skip
def test_reductions_in_c_give_numpys_values(op, dtype):
    check_folded(op, dtype)


def test_a_wrong_reduction_in_c_is_caught():
    assert {op.name for op in FOLDED} == {"sum", "max", "min", "prod"}
    for wrong in ({"start": "(real)0"}, {"c": "({0} > {1} ? {0} : {1})"}):
        with pytest.raises(AssertionError):
            check_folded(replace(REGISTRY["max"], **wrong), "float64")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("maximum", "({0} > {1} ? {0} : {1})"), ("sign", "(({0} > 0) - ({0} < 0))"),
     ("remainder", "OF(fmod)({0}, {1})"), ("round", "OF(round)({0})"), ("square", "{0}"),
     ("logaddexp", "logarithm(exponential({0}) + exponential({1}))")],
)  # fmt: skip
def test_wrong_c_is_caught(name, wrong):
    op = replace(REGISTRY[name], c=wrong)
    function = library([(op, op.examples[0])], "float64").f0
    with pytest.raises(AssertionError):
        check_c(op, op.examples[0], function, "float64")


def test_signs_are_those_of_the_operators():
    told = {function.op.sign: symbol for symbol, function in BINARY.values() if function.op.sign}
    assert told == {sign: sign for sign in ("+", "-", "*", "/", "**", "@")}
    signed = {name for name, op in REGISTRY.items() if op.sign}
    assert signed == {"add", "subtract", "multiply", "divide", "power", "matmul", "negative"}


def test_every_role_is_one_that_the_record_explains():
    roles = {op.role for op in REGISTRY.values()} - {""}
    assert roles == {"arithmetic", "slice", "join", "stack", "cast", "distribution", "random"}
    for role in (*roles, "recurrence", "part"):
        assert f'``"{role}"``' in engine.Op.__doc__
