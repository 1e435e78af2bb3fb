"""Test bfloat16: stored as such, computed in float32, the same on every op; and sums of float16."""

import sys

import numpy as np
import pytest

import engine
import rnn
from tests.draws import normal

ml_dtypes = pytest.importorskip("ml_dtypes")


def bf16(*shape, salt=0):
    return engine.asarray(normal(*shape, salt=salt).astype(ml_dtypes.bfloat16), requires_grad=True)


USES = {
    "arithmetic": lambda x: (1.0 - x * 0.5) / (x * x + 2),
    "functions": lambda x: engine.tanh(x) + engine.exp(x) + engine.sigmoid(x) + engine.erf(x),
    "choices": lambda x: engine.where(x > 0, x, 0.0) + engine.clip(x, -1, 1) + engine.relu(x),
    "products": lambda x: x @ engine.matrix_transpose(x),
    "reductions": lambda x: engine.mean(x, axis=0) + engine.logsumexp(x, axis=0),
    "moves": lambda x: engine.concat([x[1:], engine.flip(x)]).T,
    "softmax": lambda x: engine.log_softmax(x, axis=-1),
}


@pytest.mark.parametrize("name", USES)
def test_results_and_gradients_are_those_of_float32_rounded(name):
    x = bf16(3, 4)
    wide = engine.asarray(x.numpy().astype("float32"), requires_grad=True)
    out, exact = USES[name](x), USES[name](wide)
    assert out.dtype == engine.bfloat16
    seed = normal(*out.shape, salt=1)
    (g,) = engine.gradients(out, [x], [seed])
    (right,) = engine.gradients(exact, [wide], [seed])
    assert (g.dtype, g.shape) == (x.dtype, x.shape)
    for one, other in ((out, exact), (g, right)):
        scale = max(1.0, float(np.abs(other.numpy()).max()))
        np.testing.assert_allclose(one.numpy().astype("float32"), other.numpy(), atol=0.05 * scale)


def test_it_widens_beside_float32_and_narrows_alone():
    x = bf16(3)
    assert (x + engine.ones(3)).dtype == engine.float32
    assert (x + engine.ones(3, dtype="float64")).dtype == engine.float64
    assert (x + engine.arange(3)).dtype == engine.bfloat16
    assert (x > 0).dtype == engine.bool
    assert engine.argmax(x).dtype == engine.int64
    assert isinstance(engine.sum(x).item(), float)


def test_casting_both_ways_carries_the_gradient():
    x = engine.asarray(normal(4).astype("float32"), requires_grad=True)
    y = engine.astype(x, engine.bfloat16)
    assert y.dtype == engine.bfloat16
    (g,) = engine.gradients(engine.sum(engine.astype(y, engine.float32) * 3), [x])
    assert g.dtype == engine.float32
    np.testing.assert_array_equal(g.numpy(), 3)


def test_a_layer_trains_in_half():
    engine.seed(0)
    net = rnn.GRU(3, 4, dtype=engine.bfloat16)
    x = engine.asarray(normal(5, 2, 3).astype(ml_dtypes.bfloat16))
    assert "bfloat16" in engine.explain_scan(lambda h, x: (h, h), bf16(2, 3), x)
    optimizer = rnn.optim.SGD(net.parameters(), lr=0.1)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = engine.sum(net(x)[0] ** 2)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert net.weight_ih_l0.dtype == engine.bfloat16


def test_without_the_package_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(ImportError, match="pip install ml_dtypes"):
        _ = engine.bfloat16
    with pytest.raises(AttributeError, match="no attribute 'bfloat17'"):
        _ = engine.bfloat17


SUMMED = {
    "mean": (lambda x: engine.mean(x), 40000.0),
    "mean of rows": (lambda x: engine.mean(x, axis=1), 40000.0),
    "norm of small": (lambda x: engine.norm(x * 2.0**-10), 40000.0 * 2.0**-10 * 2),
    "std": (lambda x: engine.std(x), 0.0),
    "var of far": (lambda x: engine.var(x - 39000.0 + 0 * x), 0.0),
    "logsumexp": (lambda x: engine.logsumexp(x), 40000.0),
    "layer_norm": (lambda x: engine.layer_norm(x), 0.0),
    "softmax": (lambda x: engine.softmax(x), 0.5),
}


@pytest.mark.parametrize("name", SUMMED)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sums_of_16_bits_do_not_overflow(name, dtype):
    f, expected = SUMMED[name]
    x = engine.asarray(np.full((2, 2), 40000.0).astype(dtype), requires_grad=True)
    with np.errstate(all="raise"):
        out = f(x)
    (g,) = engine.gradients(out, [x], [np.ones(out.shape)])
    assert (str(out.dtype), str(g.dtype)) == (dtype, dtype)
    np.testing.assert_allclose(out.numpy().astype(float), expected, rtol=0.01)


def test_float16_keeps_what_is_small_beside_its_total():
    ones = engine.ones((1, 30000), dtype=engine.float16)
    assert engine.sum(ones).item() == 30000  # in float16, 2048 + 1 is 2048
    assert engine.cumulative_sum(ones, axis=1).numpy()[0, -1] == 30000
    flat = engine.zeros(70000, dtype=engine.float16)
    np.testing.assert_allclose(engine.softmax(flat).numpy().astype(float), 1 / 70000, rtol=0.01)
    np.testing.assert_allclose(engine.logsumexp(flat).item(), np.log(70000), rtol=1e-3)
    b = engine.zeros((1, 1), dtype=engine.float16, requires_grad=True)
    (g,) = engine.gradients(engine.sum(b + ones), [b])  # summed where it was broadcast
    assert g.item() == 30000


def test_a_sum_in_a_dtype_that_was_asked_for_is_in_it():
    for dtype in ("float16", "bfloat16"):
        x = engine.ones(3).numpy().astype(dtype)
        assert engine.sum(engine.asarray(x), dtype=engine.float32).dtype == engine.float32


def test_it_is_a_floating_dtype():
    assert engine.isdtype(engine.bfloat16, "real floating")
    assert engine.isdtype(engine.bfloat16, ("integral", "numeric"))
    assert not engine.isdtype(engine.bfloat16, "integral")
    assert not engine.isdtype(engine.bfloat16, engine.float32)
    assert engine.isdtype(engine.bfloat16, engine.bfloat16)


def test_sums_of_float16_are_wide_in_products_gradients_and_norms():
    ones = engine.ones((4096, 2), dtype=engine.float16)
    assert engine.vecdot(ones, ones, axis=-2).numpy().tolist() == [4096, 4096]
    w = engine.asarray(np.float16([1.0, 2.0]), requires_grad=True)
    (g,) = engine.gradients(engine.sum(w[np.zeros(4096, int)]), [w])
    assert g.numpy().tolist() == [4096, 0]
    many = engine.ones(1000, dtype=engine.bfloat16)
    assert abs(engine.vecdot(many, many).item() - 1000) < 4
    assert engine.cumulative_sum(many).dtype == engine.bfloat16


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_gradients_of_16_bits_are_clipped_by_their_norm_in_float32(dtype):
    x = engine.asarray(np.zeros(10001).astype(dtype), requires_grad=True)
    values = np.full(10001, 0.01)
    values[0] = 1.0
    x.grad = engine.asarray(values.astype(dtype))
    exact = np.linalg.norm(x.grad.numpy().astype(float))
    found = float(rnn.clip_grad_norm([x], 0.5))
    np.testing.assert_allclose(found, exact, rtol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(x.grad.numpy().astype(float)), 0.5, rtol=2e-2)
