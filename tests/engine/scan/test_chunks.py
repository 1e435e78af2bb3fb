"""Compare matrix memories in chunks of steps with the steps and closed forms; test refusals."""

import numpy as np
import pytest

import engine
from engine.ops.solving import unit_lower_inverse
from tests.draws import covering, crossed, first

B = 2


def numbers(*shape, seed=0, scale=1.0):
    return scale * np.random.default_rng([seed, *shape]).normal(size=shape)


def memory(decay, delta, turned=False, before=True):
    """Take a step of a memory: (k, q, v, b, g) to what is read before and after it."""

    def step(S, x):
        k, q, v, b, g = x
        keys, values, axis = (1, 2, -2) if not turned else (2, 1, -1)

        def on(x, place):
            return engine.expand_dims(x, axis=x.ndim if place == 1 else x.ndim - 1)

        if decay == "scalar":
            S = engine.sigmoid(b + 2.0)[..., None, None] * S
        elif decay == "key":
            S = on(engine.sigmoid(g + 2.0), keys) * S
        elif decay == "number":
            S = 0.9 * S
        old = engine.sum(S * on(q, keys), axis=axis)
        if delta:
            v = engine.sigmoid(b)[..., None] * (v - engine.sum(S * on(k, keys), axis=axis))
        S = S + on(k, keys) * on(v, values)
        read = engine.tanh(engine.sum(S * on(q, keys), axis=axis)) + q[..., :1]
        return S, (read, old) if before else read

    return step


def inputs(T, *batch, K=4, V=5, dtype="float64", device=None):
    shapes = [(K,), (K,), (V,), (), (K,)]
    return [
        engine.asarray(numbers(T, *batch, *shape, seed=n, scale=K**-0.5), dtype=dtype,
                       device=device, requires_grad=True)
        for n, shape in enumerate(shapes)
    ]  # fmt: skip


def results(step, S0, xs, method, *, reverse=False):
    """Return values, and the gradients of a loss that depends on everything, as arrays."""
    S, (y, z) = engine.scan(step, S0, tuple(xs), reverse=reverse, method=method)
    loss = engine.sum(y**2) + engine.sum(engine.sin(z)) + engine.sum(S * S * S)
    gradients = engine.gradients(loss, [S0, *xs])
    return [x.numpy() for x in (S, y, z, *gradients) if x is not None]


def close(a, b, tolerance):
    for one, other in zip(a, b, strict=True):
        scale = np.abs(one).max(initial=1e-300)
        np.testing.assert_allclose(other / scale, one / scale, rtol=0, atol=tolerance)


KINDS = [(decay, delta) for delta in (True, False) for decay in ("key", "scalar", "number", "none")]
LENGTHS = [200, 65, 16, 1, 64, 63, 17, 15, 2]


@pytest.mark.parametrize(("T", "kind"), first(4, crossed(LENGTHS, KINDS)), ids=str)
def test_chunks_equal_steps(T, kind):
    decay, delta = kind
    step, xs = memory(decay, delta), inputs(T, B)
    S0 = engine.asarray(numbers(B, 4, 5), requires_grad=True)
    close(results(step, S0, xs, "steps"), results(step, S0, xs, "chunks"), 1e-13)


def test_long_chunks_of_the_delta_rule_equal_steps():
    # With 64 keys a chunk has 32 steps: the inverse of a chunk is joined of more blocks.
    step, xs = memory("none", True), inputs(70, 1, K=64, V=2)
    S0 = engine.asarray(numbers(1, 64, 2), requires_grad=True)
    close(results(step, S0, xs, "steps"), results(step, S0, xs, "chunks"), 1e-12)


@pytest.mark.parametrize(
    ("turned", "reverse", "decay"), covering([False, True], [True, False], ["scalar", "key"])
)
def test_in_both_directions_with_either_axis_first(turned, reverse, decay):
    step, xs = memory(decay, True, turned), inputs(70, B, 3)
    shape = (B, 3, 5, 4) if turned else (B, 3, 4, 5)
    S0 = engine.asarray(numbers(*shape), requires_grad=True)
    close(results(step, S0, xs, "steps", reverse=reverse),
          results(step, S0, xs, "chunks", reverse=reverse), 1e-13)  # fmt: skip


def test_in_single_precision():
    step, xs = memory("scalar", True), inputs(200, B, K=16, V=16, dtype="float32")
    S0 = engine.asarray(numbers(B, 16, 16), dtype="float32", requires_grad=True)
    close(results(step, S0, xs, "steps"), results(step, S0, xs, "chunks"), 2e-6)


def test_without_a_batch():
    step, xs = memory("scalar", True), inputs(70)
    S0 = engine.asarray(numbers(4, 5), requires_grad=True)
    close(results(step, S0, xs, "steps"), results(step, S0, xs, "chunks"), 1e-13)


@pytest.mark.parametrize(
    ("numbers_of", "delta"),
    covering(["zero", "negative", "above one", "tiny", "equal"], [False, True]),
)
def test_decays_of_any_number(numbers_of, delta):
    T = 40
    decay = {
        "zero": np.where(np.arange(T) % 7 == 3, 0.0, 0.9), "negative": -0.9 * np.ones(T),
        "above one": 1.1 * np.ones(T), "tiny": np.where(np.arange(T) % 5, 0.9, 1e-38),
        "equal": np.ones(T),
    }[numbers_of]  # fmt: skip
    a = engine.asarray(np.repeat(decay[:, None], B, 1), requires_grad=True)
    k, q, v = inputs(T, B)[:3]

    def step(S, x):
        a, k, q, v = x
        S = a[:, None, None] * S
        if delta:
            v = v - engine.sum(S * k[:, :, None], axis=1)
        S = S + k[:, :, None] * v[:, None, :]
        return S, (engine.sum(S * q[:, :, None], axis=1), v)

    S0 = engine.asarray(numbers(B, 4, 5), requires_grad=True)
    xs = (a, k, q, v)
    close(results(step, S0, xs, "steps"), results(step, S0, xs, "chunks"), 1e-12)


def test_pieces_equal_the_whole():
    step, xs = memory("scalar", True, before=False), inputs(150, B)
    S0 = engine.zeros((B, 4, 5), dtype="float64")
    whole, y = engine.scan(step, S0, tuple(xs), method="chunks")
    S, parts = S0, []
    for start in (0, 40, 100):
        stop = {0: 40, 40: 100, 100: 150}[start]
        S, part = engine.scan(step, S, tuple(x[start:stop] for x in xs), method="chunks")
        parts.append(part.numpy())
    close([whole.numpy(), y.numpy()], [S.numpy(), np.concatenate(parts)], 1e-13)


def test_linear_attention_is_a_product_with_a_triangle():
    k, q, v = inputs(100, 1)[:3]

    def step(S, x):
        k, q, v = x
        S = S + k[:, :, None] * v[:, None, :]
        return S, engine.sum(S * q[:, :, None], axis=1)

    y = engine.scan(step, engine.zeros((1, 4, 5), dtype="float64"), (k, q, v), method="chunks")[1]
    expected = np.tril(q.numpy()[:, 0] @ k.numpy()[:, 0].T) @ v.numpy()[:, 0]
    np.testing.assert_allclose(y.numpy()[:, 0], expected, atol=1e-12)


def test_retention_decays_with_the_distance():
    k, q, v = inputs(100, 1)[:3]

    def step(S, x):
        k, q, v = x
        S = 0.95 * S + k[:, :, None] * v[:, None, :]
        return S, engine.sum(S * q[:, :, None], axis=1)

    y = engine.scan(step, engine.zeros((1, 4, 5), dtype="float64"), (k, q, v), method="chunks")[1]
    i = np.arange(100)
    decays = np.tril(0.95 ** np.abs(i[:, None] - i[None, :]))
    expected = (decays * (q.numpy()[:, 0] @ k.numpy()[:, 0].T)) @ v.numpy()[:, 0]
    np.testing.assert_allclose(y.numpy()[:, 0], expected, atol=1e-12)


def test_the_delta_rule_keeps_what_orthonormal_keys_were_given():
    K = 8
    keys = np.linalg.qr(numbers(K, K))[0][:, None]
    values = numbers(K, 1, 5)

    def step(S, x):
        k, v = x
        S = S + k[:, :, None] * (v - engine.sum(S * k[:, :, None], axis=1))[:, None, :]
        return S, engine.sum(S * k[:, :, None], axis=1)

    S0 = engine.asarray(numbers(1, K, 5))
    S, y = engine.scan(step, S0, (engine.asarray(keys), engine.asarray(values)), method="chunks")
    np.testing.assert_allclose(y.numpy(), values, atol=1e-13)
    np.testing.assert_allclose(keys[:, 0] @ S.numpy()[0], values[:, 0], atol=1e-13)


def test_any_order_of_derivative():
    step, xs = memory("scalar", True), inputs(20, B)
    S0 = engine.asarray(numbers(B, 4, 5), requires_grad=True)

    def loss(method, k):
        S, (y, _) = engine.scan(step, S0, (k, *xs[1:]), method=method)
        return engine.sum(y**3) + engine.sum(S**2)

    found = {}
    for method in ("steps", "chunks"):
        f = engine.grad(lambda k, method=method: loss(method, k))
        second = engine.grad(lambda k, f=f: engine.sum(engine.sin(f(k))))
        third = engine.grad(lambda k, g=second: engine.sum(g(k) ** 2))
        found[method] = [second(xs[0]).numpy(), third(xs[0]).numpy()]
    close(found["steps"], found["chunks"], 1e-11)


def test_two_memories_and_a_state_beside_them():
    # mLSTM: a stabiliser first, then a matrix and a vector that it scales.

    def step(state, x):
        C, n, m = state
        k, q, v, i, f = x
        new = engine.maximum(f[:, 0] + m, i)
        keep, take = engine.exp(f[:, 0] + m - new), engine.exp(i - new)
        C = keep[:, None, None] * C + (take[:, None] * k)[:, :, None] * v[:, None, :]
        n = keep[:, None] * n + take[:, None] * k
        norm = engine.maximum(engine.abs(engine.sum(n * q, axis=-1)), 1.0)
        y = engine.sum(C * q[:, :, None], axis=1) / norm[:, None]
        return (C, n, new), (y, n)

    xs = inputs(70, B)
    init = tuple(engine.asarray(numbers(*shape), requires_grad=True)
                 for shape in ((B, 4, 5), (B, 4), (B,)))  # fmt: skip
    found = []
    for method in ("steps", "chunks"):
        states, ys = engine.scan(step, init, tuple(xs), method=method)
        loss = sum(engine.sum(x**2) for x in (*states, *ys))
        found.append([x.numpy() for x in (*states, *ys, *engine.gradients(loss, [*init, *xs]))])
    close(*found, 1e-12)


def test_a_nan_reaches_no_earlier_step():
    step, xs = memory("scalar", True, before=False), inputs(100, B)
    bad = xs[2].numpy().copy()
    bad[50, 0] = np.nan
    xs[2] = engine.asarray(bad, requires_grad=True)
    S0 = engine.zeros((B, 4, 5), dtype="float64")
    y = engine.scan(step, S0, tuple(xs), method="chunks")[1]
    assert np.isfinite(y.numpy()[:50]).all()
    assert np.isfinite(y.numpy()[:, 1]).all()
    assert np.isnan(y.numpy()[50:, 0]).all()


def test_a_gradient_that_is_not_finite_is_that_of_the_steps():
    step, xs = memory("scalar", True, before=False), inputs(100, B)
    S0 = engine.zeros((B, 4, 5), dtype="float64")
    found = []
    for method in ("steps", "chunks"):
        y = engine.scan(step, S0, tuple(xs), method=method)[1]
        weight = np.ones(y.shape)
        weight[30, 0] = np.inf
        g = engine.gradients(engine.sum(y * engine.asarray(weight)), xs[:3])
        found.append([np.isfinite(one.numpy()) for one in g])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
        assert a.any()
        assert not a.all()


def test_a_gradient_that_ends_in_the_step_ends_in_chunks_too():
    def step(S, x):
        k, q, v, _, _ = x
        S = 0.9 * S + engine.stop_gradient(k[:, :, None] * v[:, None, :])
        read = engine.sum(S * q[:, :, None], axis=1)
        return S, (read, read)

    xs = inputs(40, B)
    S0 = engine.asarray(numbers(B, 4, 5), requires_grad=True)
    with pytest.raises(ValueError, match="does not apply"):
        engine.scan(step, S0, tuple(xs), method="chunks")


REFUSED = {
    "a state that is an output": (lambda S, x: (0.9 * S + x[0][:, :, None] * x[2][:, None], S),
                                  "entry by entry|itself"),
    "a state in a sigmoid": (
        lambda S, x: (0.9 * S + x[0][:, :, None] * x[2][:, None],
                      engine.sum(engine.sigmoid(S), axis=1)), "entry by entry"),
    "a sum over values": (
        lambda S, x: (engine.sigmoid(x[4])[:, :, None] * S + x[0][:, :, None] * x[2][:, None],
                      engine.sum(S, axis=2)), "another axis"),
    "no memory": (lambda S, x: (engine.tanh(S) + x[0][:, :, None] * x[2][:, None], x[0]),
                  "no state is"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_chunks_cannot_do_is_refused_with_the_reason(name):
    step, reason = REFUSED[name]
    S0 = engine.zeros((B, 4, 5), dtype="float64")
    with pytest.raises(ValueError, match=f"method='chunks' does not apply: .*({reason})"):
        engine.scan(step, S0, tuple(inputs(10, B)), method="chunks")


@pytest.mark.parametrize("method", ["chunks", "stretches"])
def test_a_step_that_only_the_loop_can_run_has_no_method(method):
    def step(h, x):
        return h + float(x.item()), h

    with pytest.raises(ValueError, match=f"method='{method}' does not apply: "):
        engine.scan(step, engine.zeros(()), engine.ones(3), method=method)
    assert engine.scan(step, engine.zeros(()), engine.ones(3), method="steps")[0].item() == 3


def test_an_explicit_graph_is_that_of_the_steps_for_every_method():
    step, xs = memory("scalar", True, before=False), inputs(20, B)
    S0 = engine.zeros((B, 4, 5), dtype="float64")
    with engine.explicit():
        y = engine.scan(step, S0, tuple(xs), method="chunks")[1]
    expected = engine.scan(step, S0, tuple(xs), method="chunks")[1]
    np.testing.assert_allclose(y.numpy(), expected.numpy(), atol=1e-13)


def test_a_method_that_there_is_not():
    with pytest.raises(ValueError, match="method must be None or one of 'steps'"):
        engine.scan(memory("none", False), engine.zeros((B, 4, 5)), tuple(inputs(3, B)), method="x")


def test_large_memories_run_in_chunks_by_themselves():
    def explained(T, K, **options):
        xs = inputs(T, B, K=K, V=K)
        return engine.explain_scan(
            memory("scalar", True), engine.zeros((B, K, K), dtype="float64"), tuple(xs), **options
        )

    assert "method chunks" in explained(200, 128)
    assert "method chunks" not in explained(100, 128)  # too short
    assert "method chunks" not in explained(200, 127)  # too small
    assert "method chunks" not in explained(200, 128, method="steps")
    assert "method chunks" not in explained(200, 128, lengths=[200, 7])


def test_lengths_keep_padding_away_from_everything():
    step, xs = memory("scalar", True, before=False), inputs(200, B, K=16, V=16)
    lengths = [200, 150]
    bad = []
    for x in xs:
        x = x.numpy().copy()
        x[150:, 1] = np.nan
        bad.append(engine.asarray(x, requires_grad=True))
    S0 = engine.zeros((B, 16, 16), dtype="float64")
    y = engine.scan(step, S0, tuple(bad), lengths=lengths)[1]
    g = engine.gradients(engine.sum(y**2), bad[:4])
    assert all(np.isfinite(one.numpy()).all() for one in (y, *g))


def test_on_a_device():
    device = "cupy"
    step = memory("scalar", True)
    host, there = inputs(40, B), inputs(40, B, device=device)
    S0 = engine.asarray(numbers(B, 4, 5), requires_grad=True)
    S1 = engine.asarray(numbers(B, 4, 5), device=device, requires_grad=True)
    found = [results(step, S0, host, "steps")]
    found.append(results(step, S1, there, "chunks"))
    close(*found, 1e-12)


def test_the_inverse_of_a_unit_triangle():
    for count in (1, 2, 3, 5, 8, 64):
        x = np.tril(numbers(3, count, count, scale=0.5), -1)
        found = unit_lower_inverse(engine.asarray(x)).numpy()
        expected = np.linalg.inv(np.eye(count) + x)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found / scale, expected / scale, atol=1e-10)


def test_bits_do_not_depend_on_threads():
    step, xs = memory("scalar", True), inputs(300, B, K=32, V=32, dtype="float32")
    S0 = engine.asarray(numbers(B, 32, 32), dtype="float32", requires_grad=True)
    before, found = engine.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 4):
            engine.set_num_threads(threads)
            found.append(results(step, S0, xs, "chunks"))
    finally:
        engine.set_num_threads(before)
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)
