"""Test einsum, activations far out, memory layouts and special values."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from tests.draws import ahead, covering, first, leaf, normal
from tests.engine.ops.standard import FLOATING, same

pytestmark = pytest.mark.usefixtures("quiet")


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


# A diagonal, an ellipsis, an axis of one element, a sum over an axis of one operand, no element.
ODD = ("iij->j", "...ij,...jk->...ik", "ij,ij->ij", "ij,k->", ",ij->ij", "ij,i->j", "...ii->...i",
       "a...b,b...a->...")  # fmt: skip
ODD_FIRST = ahead(ODD, EQUATIONS)


@pytest.mark.parametrize("equation", first(len(ODD), ODD_FIRST))
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


# ---- functions that NumPy or JAX have and the standard has not


@pytest.mark.parametrize("dtype", FLOATING)
def test_derivatives_of_sinc_at_zero_and_where_its_formulas_meet(dtype):
    x = np.array([0.0, -0.0, 1e-3, 0.499999, 0.500001, -0.7, 3.0, 1e6], dtype)
    own, f = engine.asarray(x, requires_grad=True), engine.sinc
    out = f(own)
    (first,) = engine.gradients(engine.sum(out), [own], create_graph=True)
    (second,) = engine.gradients(engine.sum(first), [own], create_graph=True)
    a = np.pi * x.astype(np.longdouble)
    with np.errstate(all="ignore"):
        slope = np.pi * (np.cos(a) / a - np.sin(a) / a**2)
        bend = np.pi**2 * (-np.sin(a) / a - 2 * np.cos(a) / a**2 + 2 * np.sin(a) / a**3)
    slope[:2], bend[:2] = 0, -(np.pi**2) / 3
    tolerance = 1e-5 if dtype == "float32" else 1e-8
    np.testing.assert_allclose(first.numpy()[:-1], slope[:-1], rtol=tolerance, atol=1e-7)
    np.testing.assert_allclose(second.numpy()[:-1], bend[:-1], rtol=tolerance, atol=1e-5)
    assert np.isfinite(second.numpy()).all()
    fourth = engine.grad(engine.grad(engine.grad(engine.grad(f))))(engine.asarray(x[0])).item()
    assert fourth == pytest.approx(np.pi**4 / 5, rel=1e-6)


@pytest.mark.parametrize("shape", [(1,), (7,), (8, 3), (0, 2), (2, 0)])
@pytest.mark.parametrize("dtype", ["int8", "bool", "float32"])
def test_cummax_is_numpys_running_maximum(shape, dtype):
    x = (normal(*shape) * 2).astype(dtype)
    for axis in range(-len(shape), len(shape)):
        same(engine.cummax(engine.asarray(x), axis=axis), np.maximum.accumulate(x, axis))


def test_the_last_of_equal_maxima_has_the_gradient_of_cummax():
    x = leaf(1.0, 3.0, 2.0, 3.0, 0.0, np.nan, 5.0)
    out = engine.cummax(x)
    np.testing.assert_array_equal(out.numpy(), [1, 3, 3, 3, 3, np.nan, np.nan])
    (g,) = engine.gradients(out, [x], grads=2.0 ** np.arange(7))
    assert g.numpy().tolist() == [1, 6, 0, 24, 0, 96, 0]
    with pytest.raises(IndexError, match=r"cummax: .*axis 1 is out of bounds"):
        engine.cummax(x, axis=1)


@pytest.mark.parametrize(
    ("left", "right"),
    covering([(), (3,), (2, 3), (2, 1, 3), (0, 2)], [(), (2,), (2, 2), (3, 2, 1)]),
)
def test_kron_is_numpys(left, right):
    x, y = normal(*left), normal(*right, salt=1)
    same(engine.kron(engine.asarray(x), engine.asarray(y)), np.kron(x, y))
    if x.size:
        assert engine.gradcheck(lambda a, b: engine.sin(engine.kron(a, b)), [x, y], 2)
