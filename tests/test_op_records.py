"""The record of every op says the truth: lifted over time, linear in its inputs, written in C."""

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
from engine.ops.keys import Slot
from engine.ops.matrices import LinAlgError
from tests.test_ops import CASES, _draw

XP = HOST.xp
STEPS = 3
pytestmark = pytest.mark.usefixtures("quiet")

# Examples that no attributes can lift: ranks differ, elements of several axes are in one row, or
# an array in the index may be a mask.
STEP_BY_STEP = {
    "argmax-0", "argmin-0", "assign-2", "assign-3", "broadcast_to-0", "broadcast_to-1", "matmul-1",
    "matmul-2", "matmul-3", "matmul-4", "matmul-5", "roll-0", "solve-1", "solve-2",
}  # fmt: skip


def samples(op: Op, example: Example, dtype: str = "float64") -> Iterator[list[Any]]:
    """Inputs of an example, drawn again and again."""
    rng = np.random.default_rng(zlib.crc32(f"{op.name} {example!r}".encode()))
    while True:
        inputs = [_draw(rng, x, dtype) if isinstance(x, Draw) else x for x in example.inputs]
        try:
            op.forward(XP, *inputs, **example.attrs)
        except LinAlgError:  # these matrices have no result
            continue
        yield inputs


# ---- lifted


def over_time(op: Op, example: Example, varying: Any) -> tuple[Any, Any]:
    """The result of a lifted op, and a stack of its results step by step."""
    drawn = samples(op, example)
    first = next(drawn)
    steps = [
        [new if isinstance(new, np.ndarray) and i not in op.whole and varying(i) else old
         for i, (old, new) in enumerate(zip(first, next(drawn), strict=True))]
        for _ in range(STEPS)
    ]  # fmt: skip
    apart = [np.asarray(op.forward(XP, *inputs, **example.attrs)) for inputs in steps]
    shapes = [getattr(x, "shape", None) for x in first]
    assert op.lift is not None
    attrs = op.lift(example.attrs, shapes, apart[0].shape, STEPS)
    inputs = [
        np.stack(column) if isinstance(column[0], np.ndarray) and i not in op.whole else column[0]
        for i, column in enumerate(zip(*steps, strict=True))
    ]
    return np.asarray(op.forward(XP, *inputs, **attrs)), np.stack(apart)


LIFTED = [
    pytest.param(*case.values, id=case.id) for case in CASES if case.values[0].kind != "elementwise"
]


def check_lifted(op: Op, example: Example) -> None:
    """The op is computed for all steps at once, all of its inputs varying, or some."""
    for varying in (lambda i: True, lambda i: i == 0, lambda i: i > 0):
        together, apart = over_time(op, example, varying)
        assert (together.shape, together.dtype) == (apart.shape, apart.dtype)
        np.testing.assert_allclose(together, apart, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("op", "example"), LIFTED)
def test_lifted_over_time_is_a_stack_of_the_steps(op, example, request):
    if request.node.callspec.id in STEP_BY_STEP:
        with pytest.raises(ValueError, match=r"axis|axes|row|array"):
            check_lifted(op, example)
    else:
        check_lifted(op, example)


def test_every_op_can_be_lifted_or_is_element_wise():
    assert [
        op.name for op in REGISTRY.values() if (op.kind == "elementwise") == bool(op.lift)
    ] == []
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
def test_indices_of_all_forms_are_lifted(case):
    shape, key, arrays = KEYS[case]
    draws = (Draw(shape), *(Draw(one, -3, 3, integer=True) for one in arrays))
    example = Example(draws, {"key": key})
    check_lifted(REGISTRY["getitem"], example)
    found = np.asarray(REGISTRY["getitem"].forward(XP, *next(samples(REGISTRY["getitem"], example)),
                                                   key=key))  # fmt: skip
    draws = (Draw(found.shape), *draws[1:])
    check_lifted(REGISTRY["place"], Example(draws, {"keys": (key,), "shape": shape}))


@pytest.mark.parametrize(
    ("shape", "key", "arrays"),
    [((4, 3), (None, Slot(0)), [(2,)]), ((4, 3), (Slot(0), Slot(1)), [(2,), (1, 2)]),
     ((4, 3), (True,), []), ((2, 4, 3), (slice(1), Slot(0), ..., Slot(1)), [(2,), (2,)])],
)  # fmt: skip
def test_indices_that_cannot_be_lifted_are_refused(shape, key, arrays):
    with pytest.raises(ValueError, match=r"index|indices"):
        REGISTRY["getitem"].lift({"key": key}, [shape, *arrays], (1,), STEPS)


WRONG_LIFTS = {
    "softmax": {"lift": lambda attrs, *_: {"axis": 0}},
    "sum": {"lift": lambda attrs, *_: attrs},
    "linear": {"whole": ()},
    "getitem": {"lift": lambda attrs, *_: attrs},
}


@pytest.mark.parametrize("name", WRONG_LIFTS)
def test_a_wrong_lift_is_caught(name):
    op = replace(REGISTRY[name], **WRONG_LIFTS[name])
    with pytest.raises((AssertionError, ValueError, IndexError)):
        check_lifted(op, op.examples[0])


# ---- linear in its inputs


def is_linear(op: Op, example: Example, slots: Any) -> bool:
    """Whether f(a x + b y) = a f(x) + b f(y) for the floats in some slots, the others fixed."""
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


def holds(op: Op, example: Example, degree: str) -> bool:
    """Whether what an op claims of its degree is true of one example."""
    every = range(len(example.inputs))
    if degree == "product":
        if len(every) > 2:
            return bias_is_added(op, example)
        return len(every) == 2 and all(is_linear(op, example, [one]) for one in every)
    slots = {"sum": every, "quotient": every[:1], "choice": every[1:]}[degree]
    return is_linear(op, example, slots)


def bias_is_added(op: Op, example: Example) -> bool:
    """Whether a third input is added to a product of the first two."""
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
     ("power", "quotient"), ("astype", "product"), ("divide", "product")],
)  # fmt: skip
def test_a_wrong_claim_is_caught(name, degree):
    op = REGISTRY[name]
    assert not all(holds(op, example, degree) for example in op.examples)


def test_a_mask_as_an_index_in_a_step_is_left_to_the_loop():
    """Its result has as many rows as the mask has trues, which no recorded shape can say."""

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
