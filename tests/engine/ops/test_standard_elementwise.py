"""Compare functions of elements, operators and indexing with NumPy."""

from typing import Any

import numpy as np
import pytest

import engine
from tests.draws import first, leaf
from tests.engine.ops.standard import DTYPES, FLOATING, KINDS, Source, same

pytestmark = pytest.mark.usefixtures("quiet")


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


def named(table: dict[str, str]) -> list[tuple[str, str]]:
    return [(name, kind) for kind, names in table.items() for name in names.split()]


def in_turn(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return each name with all dtypes of its kind: a dtype of every name, then another."""
    return [(name, KINDS[kind][(place + turn) % len(KINDS[kind])]) for turn in range(len(DTYPES))
            for place, (name, kind) in enumerate(rows) if turn < len(KINDS[kind])]  # fmt: skip


def cases(table: dict[str, str]) -> list[tuple[str, str]]:
    return in_turn(named(table))


ONES, TWOS = named(UNARY), named(BINARY)


@pytest.mark.parametrize(("name", "dtype"), first(2 * len(ONES), cases(UNARY)))
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


@pytest.mark.parametrize(("name", "dtype"), first(2 * len(TWOS), cases(BINARY)))
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


SIGNS = [(sign, kind) for sign, (kind, _) in OPERATORS.items()]


@pytest.mark.parametrize(("sign", "dtype"), first(2 * len(SIGNS), in_turn(SIGNS)))
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
    with pytest.raises(Exception) as theirs:  # noqa: PT011  (of any class)
        BLOCK[key]
    with pytest.raises(type(theirs.value)) as ours:
        engine.asarray(BLOCK)[key]
    assert "getitem" in str(ours.value)
    assert "(3, 4, 5)" in str(ours.value) or any(key is one for one in NO_KEYS)
