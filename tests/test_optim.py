"""Optimisers against their formulas written out, and clipping at any size."""

import math
from typing import Any

import numpy as np
import pytest

import engine
import rnn
from tests.draws import normal


def parameter(values: Any) -> engine.Tensor:
    """A float64 parameter."""
    return engine.asarray(np.array(values, "float64"), requires_grad=True)


def with_grad(values: Any, grad: Any) -> engine.Tensor:
    x = parameter(values)
    x.grad = engine.asarray(np.array(grad, "float64"))
    return x


# ---- optimisers


def trained(optimizer: Any, shape: tuple[int, ...], steps: int, **options: Any) -> np.ndarray:
    """A parameter after some steps, each with a gradient of its own."""
    x = parameter(normal(*shape))
    rule = optimizer([x], **options)
    for t in range(steps):
        x.grad = engine.asarray(np.array(normal(*shape, salt=t + 1)))
        rule.step()
    return x.numpy()


def sgd_by_hand(shape: tuple[int, ...], steps: int, lr: float, momentum: float) -> np.ndarray:
    x, v = normal(*shape), 0.0
    for t in range(steps):
        v = momentum * v + normal(*shape, salt=t + 1)
        x = x - lr * v
    return x


def adam_by_hand(
    shape: tuple[int, ...], steps: int, lr: float, b1: float, b2: float, eps: float
) -> np.ndarray:
    x, m, v = normal(*shape), 0.0, 0.0
    for t in range(1, steps + 1):
        g = normal(*shape, salt=t)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        x = x - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
    return x


SHAPES = pytest.mark.parametrize("shape", [(3, 2), ()], ids=str)


@SHAPES
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd(shape, momentum):
    found = trained(rnn.optim.SGD, shape, 5, lr=0.1, momentum=momentum)
    np.testing.assert_allclose(found, sgd_by_hand(shape, 5, 0.1, momentum), rtol=1e-13)


@SHAPES
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.5)])
def test_adam(shape, betas):
    found = trained(rnn.optim.Adam, shape, 5, lr=0.1, betas=betas, eps=1e-3)
    np.testing.assert_allclose(found, adam_by_hand(shape, 5, 0.1, *betas, 1e-3), rtol=1e-12)


def test_adam_by_default_is_the_papers():
    found = trained(rnn.optim.Adam, (4,), 3)
    np.testing.assert_allclose(found, adam_by_hand((4,), 3, 1e-3, 0.9, 0.999, 1e-8), rtol=1e-13)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_optimisers_agree_with_pytorch(name):
    torch = pytest.importorskip("torch")
    options = {"lr": 0.05} | ({"momentum": 0.8} if name == "SGD" else {"betas": (0.8, 0.95)})
    x = torch.tensor(normal(3, 2), requires_grad=True)
    rule = getattr(torch.optim, name)([x], **options)
    for t in range(6):
        x.grad = torch.tensor(normal(3, 2, salt=t + 1))
        rule.step()
    found = trained(getattr(rnn.optim, name), (3, 2), 6, **options)
    np.testing.assert_allclose(found, x.detach().numpy(), rtol=1e-12)


def test_adam_counts_the_steps_of_each_parameter():
    """A parameter whose first gradient comes late makes a first step: lr in size, as PyTorch's."""
    x, late = parameter([1.0]), parameter([1.0])
    rule = rnn.optim.Adam([x, late], lr=0.1)
    for t in range(3):
        x.grad = engine.asarray(np.array([2.0]))
        late.grad = engine.asarray(np.array([2.0])) if t == 2 else None
        rule.step()
    assert late.item() == pytest.approx(0.9, rel=1e-7)


def test_a_parameter_without_a_gradient_stays():
    x, still = with_grad([1.0], [1.0]), parameter([1.0])
    rnn.optim.SGD([x, still], lr=0.5).step()
    assert (x.item(), still.item()) == (0.5, 1.0)


def test_a_parameter_that_starts_infinite_poisons_no_memory():
    x = with_grad([np.inf, 1.0], [1.0, 1.0])
    rule = rnn.optim.SGD([x], lr=0.5, momentum=0.5)
    rule.step()
    assert x.numpy().tolist() == [np.inf, 0.5]


def test_parameters_change_in_place_and_keep_their_dtype():
    layer = rnn.Linear(2, 2)
    before = [x.data for x in layer.parameters()]
    engine.sum(layer(engine.ones((1, 2)))).backward()
    rnn.optim.Adam(layer.parameters()).step()
    for x, data in zip(layer.parameters(), before, strict=True):
        assert x.data is data
        assert x.dtype == engine.float32


def test_zero_grad():
    x = with_grad([1.0], [1.0])
    rnn.optim.SGD([x]).zero_grad()
    assert x.grad is None


def test_optimisers_refuse_nonsense():
    with pytest.raises(ValueError, match="SGD: no parameters"):
        rnn.optim.SGD([])
    for lr in (-0.1, math.nan):
        with pytest.raises(ValueError, match="Adam: learning rate"):
            rnn.optim.Adam([parameter([1.0])], lr=lr)
    with pytest.raises(ValueError, match=r"betas \(0.9, 1.0\)"):
        rnn.optim.Adam([parameter([1.0])], betas=(0.9, 1.0))


def test_a_network_learns():
    engine.seed(1)
    net, head = rnn.GRU(2, 8), rnn.Linear(8, 2)
    x = normal(6, 16, 2).astype("float32")
    targets = (x[..., 0].sum(0) > 0).astype(int)
    parameters = [*net.parameters(), *head.parameters()]
    rule, losses = rnn.optim.Adam(parameters, lr=0.02), []
    for _ in range(60):
        loss = engine.cross_entropy(head(net(x)[0][-1]), targets)
        rule.zero_grad()
        loss.backward()
        rnn.clip_grad_norm(parameters, 1.0)
        rule.step()
        losses.append(loss.item())
    assert losses[0] > 0.5
    assert losses[-1] < 0.02


# ---- clipping


def clipped(grads: Any, max_norm: float) -> tuple[float, list[Any]]:
    parameters = [with_grad(np.zeros_like(g), g) for g in grads]
    norm = rnn.clip_grad_norm(parameters, max_norm)
    return norm, [x.grad.numpy() for x in parameters]


def test_clipping_scales_all_gradients_alike():
    norm, found = clipped([[3.0, 0.0], [[4.0]]], 1.0)
    assert norm == pytest.approx(5, rel=1e-15)
    np.testing.assert_allclose(found[0], [0.6, 0], rtol=1e-15)
    np.testing.assert_allclose(found[1], [[0.8]], rtol=1e-15)


def test_clipping_leaves_small_gradients_alone():
    norm, found = clipped([[3.0, 4.0]], 5.0)
    assert (norm, found[0].tolist()) == (5, [3, 4])


@pytest.mark.parametrize("size", [1e200, 1e-200, 1e-320, 1e308])
def test_clipping_at_any_size(size):
    norm, found = clipped([[3 * (size / 4)], [size]], 1.0)
    assert norm == pytest.approx(1.25 * size, rel=1e-3 if size == 1e-320 else 1e-14)
    if size > 1:
        np.testing.assert_allclose([found[0][0], found[1][0]], [0.6, 0.8], rtol=1e-14)
    else:
        assert found[1].tolist() == [size]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_clipping_does_not_touch_what_is_not_finite(bad):
    norm, found = clipped([[3.0, 4.0], [bad]], 1.0)
    assert not math.isfinite(norm)
    assert found[0].tolist() == [3, 4]


def test_clipping_a_single_number():
    x = with_grad(1.0, 8.0)
    assert rnn.clip_grad_norm([x], 2.0) == 8
    assert x.grad.numpy().tolist() == 2


def test_clipping_takes_iterators_and_ignores_what_has_no_gradient():
    x = with_grad([1.0], [8.0])
    assert rnn.clip_grad_norm(iter([x, parameter([1.0])]), 4.0) == 8
    assert x.grad.numpy().tolist() == [4]
    assert rnn.clip_grad_norm([], 4.0) == 0


def test_clipping_replaces_and_does_not_overwrite():
    x = with_grad([1.0], [8.0])
    kept = x.grad
    rnn.clip_grad_norm([x], 4.0)
    assert kept.numpy().tolist() == [8]


@pytest.mark.parametrize("max_norm", [0, -1.0, math.nan])
def test_clipping_refuses_nonsense(max_norm):
    with pytest.raises(ValueError, match="max_norm must be positive"):
        rnn.clip_grad_norm([], max_norm)
