"""Compare jvp, jacobian and hessian_vector_product with adjoints, differences and torch."""

from typing import Any

import numpy as np
import pytest

import engine
from engine.apply import apply
from tests.draws import leaf, normal, normal_leaf
from tests.engine.ops.test_ops import SMOOTH, drawn

T, B, H = 4, 2, 3


def dot(a: Any, b: Any) -> float:
    return float(np.sum(np.asarray(a) * np.asarray(b)))


def along(f: Any, xs: Any, vs: Any, step: float = 1e-6) -> np.ndarray:
    """Return the derivative of a function of arrays along a direction, by central differences."""
    ends = [f(*(x + sign * step * v for x, v in zip(xs, vs, strict=True))) for sign in (1, -1)]
    return (ends[0].numpy() - ends[1].numpy()) / (2 * step)


def recurrence(w: Any, xs: Any, **options: Any) -> Any:
    """Return all outputs of a small recurrence, fused where it can be."""

    def step(h: Any, x: Any) -> Any:
        h = engine.tanh(h @ w + x)
        return h, h * h

    h, ys = engine.scan(step, engine.zeros((B, H), dtype="float64"), xs, **options)
    return engine.concat([ys, engine.expand_dims(h)])


# ---- jvp


@pytest.mark.parametrize(("op", "example"), SMOOTH)
def test_jvp_is_the_adjoint_of_vjp(op, example, device):
    values = drawn(op, example, "float64")
    places = [i for i, x in enumerate(values) if isinstance(x, np.ndarray) and x.dtype.kind == "f"]
    inputs = [engine.asarray(x, device=device) if isinstance(x, np.ndarray) else x for x in values]

    def f(*own: Any) -> Any:
        given = list(inputs)
        for place, x in zip(places, own, strict=True):
            given[place] = x
        return apply(op, tuple(given), example.attrs)

    xs = tuple(inputs[i] for i in places)
    vs = tuple(engine.asarray(normal(*x.shape, salt=5 + i), device=device)
               for i, x in enumerate(xs))  # fmt: skip
    out, tangent = engine.jvp(f, xs, vs)
    assert (tangent.shape, tangent.dtype, tangent.device) == (out.shape, out.dtype, device)
    np.testing.assert_array_equal(out.numpy(), f(*xs).numpy())
    u = engine.asarray(normal(*out.shape, salt=9), dtype=out.dtype, device=device)
    pulled = engine.vjp(f, *xs)[1](u)
    left = dot(tangent.numpy(), u.numpy())
    right = sum(dot(v.numpy(), g.numpy()) for v, g in zip(vs, pulled, strict=True))
    assert left == pytest.approx(right, rel=1e-12, abs=1e-12)


def test_jvp_by_hand():
    out, tangent = engine.jvp(lambda x, y: x * x * y, (3.0, 4.0), (1.0, 10.0))
    assert (out.item(), tangent.item()) == (36, 24 + 90)
    assert not out.requires_grad
    assert not tangent.requires_grad
    assert out.node.operands == ()  # nothing of the function is kept


@pytest.mark.parametrize("options", [{}, {"unroll": True}, {"reverse": True}, {"checkpoint": 2}])
def test_jvp_of_a_recurrence(options):
    w, xs, v, u = normal(H, H), normal(T, B, H), normal(H, H, salt=1), normal(T, B, H, salt=2)
    _, tangent = engine.jvp(lambda w, xs: recurrence(w, xs, **options), (w, xs), (v, u))
    expected = along(lambda w, xs: recurrence(engine.asarray(w), engine.asarray(xs)),
                     (w, xs), (v, u))  # fmt: skip
    if options.get("reverse"):
        expected = along(lambda w, xs: recurrence(engine.asarray(w), engine.asarray(xs),
                                                  reverse=True), (w, xs), (v, u))  # fmt: skip
    np.testing.assert_allclose(tangent.numpy(), expected, rtol=1e-6, atol=1e-9)


def test_jvp_of_a_slice_and_of_what_does_not_depend():
    x, v = normal(4), normal(4, salt=1)
    _, tangent = engine.jvp(lambda x: x[1:3] * x[0], (x,), (v,))
    np.testing.assert_allclose(tangent.numpy(), v[1:3] * x[0] + x[1:3] * v[0], rtol=1e-14)
    out, tangent = engine.jvp(lambda x: engine.ones(2) * 3, (x,), (v,))
    assert (out.numpy().tolist(), tangent.numpy().tolist()) == ([3, 3], [0, 0])
    _, tangent = engine.jvp(lambda x, y: y * 2, (x, x), (v, v))
    np.testing.assert_array_equal(tangent.numpy(), 2 * v)
    _, tangent = engine.jvp(lambda x: x, (x,), (v,))
    np.testing.assert_array_equal(tangent.numpy(), v)


def test_jvp_with_pytrees_in_and_out():
    def f(p: Any, x: Any) -> Any:
        return {"y": x @ p["w"] + p["b"][0], "rest": (p["b"][0] * 2, None)}

    xs = ({"w": normal(3, 2), "b": [normal(2)]}, normal(4, 3))
    vs = ({"w": normal(3, 2, salt=1), "b": [normal(2, salt=1)]}, normal(4, 3, salt=1))
    out, tangent = engine.jvp(f, xs, vs)
    assert out["rest"][1] is None
    assert tangent["rest"][1] is None
    expected = vs[1] @ xs[0]["w"] + xs[1] @ vs[0]["w"] + vs[0]["b"][0]
    np.testing.assert_allclose(tangent["y"].numpy(), expected, rtol=1e-13)
    np.testing.assert_array_equal(tangent["rest"][0].numpy(), 2 * vs[0]["b"][0])


def test_jvp_is_recorded_inside_no_grad():
    with engine.no_grad():
        assert engine.jvp(lambda x: x * x, (3.0,), (1.0,))[1].item() == 6


def test_jvp_can_be_differentiated():
    x, v, a = leaf(2.0), leaf(5.0), leaf(7.0)
    out, tangent = engine.jvp(lambda x: a * x**3, (x,), (v,))  # 3 a x^2 v
    assert engine.gradients(out, [x])[0].item() == 3 * 7 * 4
    found = [g.item() for g in engine.gradients(tangent, [x, v, a])]
    assert found == [6 * 7 * 2 * 5, 3 * 7 * 4, 3 * 4 * 5]


def test_a_direction_can_be_all_that_is_differentiable():
    v = leaf(5.0)
    tangent = engine.jvp(lambda x: x**3, (2.0,), (v,))[1]
    assert engine.gradients(tangent, [v])[0].item() == 12
    product = engine.hessian_vector_product(lambda x: x**4, (2.0,), (v,))[0]
    assert engine.gradients(product, [v])[0].item() == 48


def test_jvp_of_jvp_of_jvp():
    def slope(f: Any) -> Any:
        return lambda x: engine.jvp(f, (x,), (1.0,))[1]

    third = slope(slope(slope(lambda x: x**4 + engine.exp(x))))
    assert third(np.asarray(2.0)).item() == pytest.approx(48 + np.exp(2), rel=1e-13)
    mixed = engine.grad(slope(engine.tanh))(np.asarray(0.3)).item()
    t = np.tanh(0.3)
    assert mixed == pytest.approx(-2 * t * (1 - t * t), rel=1e-13)


@pytest.mark.parametrize("order", [1, 2])
def test_jvp_agrees_with_differences_when_differentiated(order):
    def f(w: Any, v: Any) -> Any:
        return engine.jvp(lambda w: recurrence(w, engine.asarray(normal(2, B, H))), (w,), (v,))[1]

    inputs = [normal(H, H) * 0.5, normal(H, H, salt=1)]
    if order == 1:
        assert engine.gradcheck(f, inputs)
    else:

        def small(x: Any, v: Any) -> Any:
            return engine.jvp(lambda x: engine.tanh(x * x), (x,), (v,))[1]

        assert engine.gradcheck(small, [normal(3), normal(3, salt=1)], 2)


def test_jvp_refuses_what_does_not_fit():
    x = normal(3)
    with pytest.raises(TypeError, match=r"jvp: xs and vs hold one entry .*\(x,\)"):
        engine.jvp(engine.tanh, x, x)
    with pytest.raises(ValueError, match=r"jvp: vs must be nested as xs are: \(\*, \*\)"):
        engine.jvp(engine.add, (x, x), (x,))
    with pytest.raises(ValueError, match=r"jvp: vs must be nested"):
        engine.jvp(engine.tanh, (x,), x)
    with pytest.raises(ValueError, match=r"direction 1 has shape \(2,\), its input has \(3,\)"):
        engine.jvp(engine.add, (x, x), (x, np.ones(2)))
    with pytest.raises(TypeError, match=r"int64 .* has no gradient.*float"):
        engine.jvp(engine.tanh, (np.arange(3),), (np.arange(3),))
    with pytest.raises(TypeError, match="jvp: f must return one tensor, got float"):
        engine.jvp(lambda x: 3.0, (x,), (x,))


def test_vjp_refuses_what_is_no_tensor():
    with pytest.raises(TypeError, match="vjp: f must return one tensor, got tuple"):
        engine.vjp(lambda x: (x, x), 1.0)


# ---- jacobian


def wide(x: Any) -> Any:
    """Compute more outputs than inputs: forward is the short way."""
    return engine.tanh(engine.concat([x, x * x, engine.sin(x)])).reshape((3, -1))


def narrow(x: Any) -> Any:
    """Compute fewer outputs than inputs: backward is the short way."""
    return engine.tanh(x[:2] * engine.sum(x * x))


@pytest.mark.parametrize("f", [wide, narrow])
def test_a_jacobian_is_its_columns(f):
    x = normal(4)
    found = engine.jacobian(f)(x)
    assert found.shape == (*f(engine.asarray(x)).shape, 4)
    for i in range(4):
        expected = along(lambda x: f(engine.asarray(x)), (x,), (np.eye(4)[i],))
        np.testing.assert_allclose(found.numpy()[..., i], expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(("f", "ours"), [(wide, 0), (narrow, 2)])
def test_a_jacobian_takes_the_short_way(f, ours, monkeypatch):
    passes = []
    true = engine.derivatives.forward_mode.gradients

    def counted(outs: Any, inputs: Any, grads: Any = None, create_graph: bool = False) -> Any:
        passes.append(create_graph)
        return true(outs, inputs, grads, create_graph)

    for module in (engine.derivatives.forward_mode, engine.derivatives.transforms):
        monkeypatch.setattr(module, "gradients", counted)
    engine.jacobian(f)(normal(4))
    # One recorded pass and one for each of four inputs, or one for each of two outputs.
    assert passes == ([False] * ours if ours else [True, *[False] * 4])


def test_a_jacobian_by_several_arguments():
    def f(p: Any, x: Any, y: Any) -> Any:
        return p["w"] @ x * y

    args = ({"w": normal(2, 3), "unused": normal(2)}, normal(3), normal(2, salt=1))
    by_y, by_p = engine.jacobian(f, argnums=(-1, 0))(*args)
    wx = args[0]["w"] @ args[1]
    np.testing.assert_allclose(by_y.numpy(), np.diag(wx), rtol=1e-14)
    assert by_p["w"].shape == (2, 2, 3)
    np.testing.assert_allclose(
        by_p["w"].numpy(), np.einsum("ij,k->ijk", np.diag(args[2]), args[1]), rtol=1e-14
    )
    assert by_p["unused"].numpy().tolist() == [[0, 0], [0, 0]]
    single = engine.jacobian(f, argnums=1)(*args)
    np.testing.assert_allclose(single.numpy(), args[2][:, None] * args[0]["w"], rtol=1e-14)


def test_a_jacobian_of_a_number_is_the_gradient():
    x = normal(3)
    found = engine.jacobian(lambda x: engine.sum(x**3))(x)
    np.testing.assert_array_equal(found.numpy(), engine.grad(lambda x: engine.sum(x**3))(x).numpy())
    assert engine.jacobian(lambda x: x * x)(3.0).item() == 6


@pytest.mark.parametrize("shape", [(0,), (2, 0)])
def test_jacobians_of_nothing(shape):
    x = np.zeros(shape)
    assert engine.jacobian(lambda x: x * 2)(x).shape == (*shape, *shape)
    assert engine.jacobian(lambda x: engine.sum(x * 2))(x).shape == shape
    assert engine.jacobian(lambda x: x[:0])(normal(3)).shape == (0, 3)


@pytest.mark.parametrize("f", [wide, narrow, lambda x: engine.ones(5), lambda x: engine.ones(1)])
def test_a_jacobian_has_the_dtype_of_its_input(f):
    assert engine.jacobian(f)(normal(4).astype("float32")).dtype == engine.float32
    mixed = engine.jacobian(lambda x: engine.astype(f(x), "float64"))(normal(4).astype("float32"))
    assert mixed.dtype == engine.float32


def test_a_hessian_is_the_jacobian_of_a_gradient():
    a, x = normal(3, 3), normal(3)
    f = engine.grad(lambda x: engine.sum(engine.tanh(a @ x) ** 2))
    t = np.tanh(a @ x)
    expected = a.T @ np.diag(2 * (1 - t**2) * (1 - 3 * t**2)) @ a
    np.testing.assert_allclose(engine.jacobian(f)(x).numpy(), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("f", [wide, narrow])
def test_a_jacobian_can_be_differentiated(f):
    assert engine.gradcheck(lambda x: engine.jacobian(f)(x), [normal(4)])
    a = normal_leaf(4)
    total = engine.sum(engine.jacobian(lambda x: f(x * a))(normal(4, salt=1)))
    assert engine.gradients(total, [a])[0].shape == (4,)


def test_a_jacobian_through_time():
    w, xs = normal(H, H), normal(T, B, H)
    found = engine.jacobian(lambda w: recurrence(w, engine.asarray(xs))[-1])(w).numpy()
    v = normal(H, H, salt=3)
    expected = engine.jvp(lambda w: recurrence(w, engine.asarray(xs))[-1], (w,), (v,))[1].numpy()
    np.testing.assert_allclose(np.einsum("bhij,ij->bh", found, v), expected, rtol=1e-12)


def test_a_jacobian_refuses_what_has_none():
    with pytest.raises(TypeError, match="int64"):
        engine.jacobian(lambda x: x * 2)(np.arange(3))
    with pytest.raises(TypeError, match="jacobian: f must return one tensor, got tuple"):
        engine.jacobian(lambda x: (x, x))(1.0)


# ---- hessian_vector_product


def test_hessian_vector_product_is_the_hessian_times_a_vector():
    a, x, v = normal(3, 3), normal(3), normal(3, salt=1)

    def f(x: Any) -> Any:
        return engine.sum(engine.tanh(a @ x) ** 2)

    (found,) = engine.hessian_vector_product(f, (x,), (v,))
    hessian = engine.jacobian(engine.grad(f))(x).numpy()
    np.testing.assert_allclose(found.numpy(), hessian @ v, rtol=1e-12, atol=1e-14)
    slopes = along(lambda x: engine.grad(f)(x), (x,), (v,))
    np.testing.assert_allclose(found.numpy(), slopes, rtol=1e-6, atol=1e-8)
    assert not found.requires_grad


def test_hessian_vector_product_of_pytrees_through_time():
    xs = normal(T, B, H)

    def f(p: Any, scale: Any) -> Any:
        return engine.sum(recurrence(p["w"], engine.asarray(xs)) ** 2) * scale

    args, vs = (
        ({"w": normal(H, H)}, np.asarray(2.0)),
        ({"w": normal(H, H, salt=1)}, np.asarray(3.0)),
    )
    by_p, by_scale = engine.hessian_vector_product(f, args, vs)

    def slope(w: Any, scale: Any) -> Any:
        return engine.grad(lambda w: f({"w": w}, engine.asarray(scale)))(w)

    expected = along(slope, (args[0]["w"], args[1]), (vs[0]["w"], vs[1]))
    np.testing.assert_allclose(by_p["w"].numpy(), expected, rtol=1e-6, atol=1e-7)
    inner = engine.grad(lambda w: f({"w": w}, engine.asarray(1.0)))(args[0]["w"]).numpy()
    assert by_scale.item() == pytest.approx(dot(inner, vs[0]["w"]), rel=1e-12)


def test_hessian_vector_product_of_the_linear_is_zero():
    (found,) = engine.hessian_vector_product(
        lambda x: engine.sum(x) * 3, (normal(3),), (normal(3),)
    )
    assert found.numpy().tolist() == [0, 0, 0]
    (found,) = engine.hessian_vector_product(lambda x: engine.ones(()), (normal(2),), (normal(2),))
    assert found.numpy().tolist() == [0, 0]


def test_hessian_vector_product_can_be_differentiated():
    x, v = leaf(2.0), leaf(5.0)
    (found,) = engine.hessian_vector_product(lambda x: x**4, (x,), (v,))  # 12 x^2 v
    assert [g.item() for g in engine.gradients(found, [x, v])] == [24 * 2 * 5, 12 * 4]


def test_hessian_vector_product_refuses_what_has_none():
    x = normal(3)
    name = "hessian_vector_product"
    with pytest.raises(ValueError, match=rf"{name}: f must return one number, got shape \(3,\)"):
        engine.hessian_vector_product(engine.tanh, (x,), (x,))
    with pytest.raises(TypeError, match=f"{name}: xs and vs hold one entry"):
        engine.hessian_vector_product(engine.sum, x, x)
    with pytest.raises(ValueError, match=f"{name}: direction 0"):
        engine.hessian_vector_product(engine.sum, (x,), (x[:2],))


# ---- the same as torch


def torch_pair(salt: int) -> tuple[Any, Any, Any, Any]:
    torch = pytest.importorskip("torch")
    x, v = normal(3, 4, salt=salt), normal(3, 4, salt=salt + 1)

    def ours(x: Any) -> Any:
        return engine.sum(engine.tanh(x) * engine.exp(x[:, ::2] @ x[:2]), axis=1)

    def theirs(x: Any) -> Any:
        return torch.sum(torch.tanh(x) * torch.exp(x[:, ::2] @ x[:2]), dim=1)

    return torch, (x, v), ours, theirs


def test_the_same_as_torch():
    torch, (x, v), ours, theirs = torch_pair(3)
    functional = torch.autograd.functional
    tx, tv = torch.tensor(x), torch.tensor(v)
    close = {"rtol": 1e-10, "atol": 1e-12}
    np.testing.assert_allclose(
        engine.jvp(ours, (x,), (v,))[1].numpy(), functional.jvp(theirs, tx, tv)[1].numpy(), **close
    )
    np.testing.assert_allclose(
        engine.jacobian(ours)(x).numpy(), functional.jacobian(theirs, tx).numpy(), **close
    )
    np.testing.assert_allclose(
        engine.hessian_vector_product(lambda x: engine.sum(ours(x)), (x,), (v,))[0].numpy(),
        functional.hvp(lambda x: theirs(x).sum(), tx, tv)[1].numpy(),
        **close,
    )
    np.testing.assert_allclose(
        engine.jacobian(engine.grad(lambda x: engine.sum(ours(x))))(x).numpy(),
        functional.hessian(lambda x: theirs(x).sum(), tx).numpy(),
        **close,
    )
