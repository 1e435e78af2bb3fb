"""Test matrix memories: the closed forms of linear attention and of the delta rule, limits of the
gates, and models made of them.
"""

from typing import Any

import numpy as np
import pytest

import engine
import rnn
from tests.draws import covering, first, normal
from tests.rnn.cells.cell_equations import D, I, K, V, made

T, B = 7, 2


def attention(**options: Any) -> Any:
    engine.seed(3)
    return rnn.LinearAttentionCell(I, K, V, **options, **D)


def projected(cell: Any, x: Any) -> Any:
    """Return queries, keys and values (T, ...) of one row of inputs."""
    q, k, v = (x @ w.numpy().T for w in (cell.weight_q, cell.weight_k, cell.weight_v))
    return q / np.sqrt(K), k, v


# ---- closed forms


def test_linear_attention_is_masked_attention_without_softmax():
    cell, x = attention(), normal(T, I)
    q, k, v = projected(cell, x)
    y, S = rnn.Recurrent(cell)(x[:, None])
    np.testing.assert_allclose(y.numpy()[:, 0], np.tril(q @ k.T) @ v, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(S.numpy()[0], k.T @ v, rtol=1e-12, atol=1e-14)


def test_retention_weights_the_past_by_powers_of_its_decay():
    cell, x = attention(decay="fixed", heads=2), normal(T, I)
    q, k, v = projected(cell, x)
    y, _ = rnn.Recurrent(cell)(x[:, None])
    away = np.arange(T)[:, None] - np.arange(T)[None, :]
    for n, g in enumerate((1 - 1 / 32, 1 - 1 / 64)):
        keys, values = slice(n * K, (n + 1) * K), slice(n * V, (n + 1) * V)
        weights = np.tril(q[:, keys] @ k[:, keys].T) * g ** np.maximum(away, 0)
        np.testing.assert_allclose(y.numpy()[:, 0, values], weights @ v[:, values], rtol=1e-12)


def delta(x: Any, beta: float, **options: Any) -> Any:
    """Return a delta net with inputs (T, N) as keys and queries, and 3 x, shifted, as values."""
    N = x.shape[-1]
    cell = rnn.DeltaNetCell(N, N, feature=None, **options, **D)
    values = {"weight_q": np.eye(N), "weight_k": np.eye(N), "weight_v": 3 * np.eye(N)[::-1],
              "weight_b": np.full((1, N), beta)}  # fmt: skip
    for name, own in values.items():
        getattr(cell, name).data = own
    return cell


def test_a_delta_net_returns_exactly_what_it_stored_at_orthonormal_keys():
    N = 5
    x = np.eye(N)[[3, 0, 4, 1, 2]]
    cell = delta(x, 100.0)  # the sigmoid of which is 1
    y, S = rnn.Recurrent(cell)(x[:, None])
    stored = 3 * x[:, ::-1]
    np.testing.assert_array_equal(y.numpy()[:, 0], stored)
    np.testing.assert_array_equal(x @ S.numpy()[0], stored)
    again, _ = rnn.Recurrent(cell)(x[:, None], S)  # what is known is not stored twice
    np.testing.assert_array_equal(again.numpy()[:, 0], stored)


def test_a_delta_net_replaces_what_it_stored_and_attention_adds_to_it():
    key = np.ones((3, 1, 1))
    cell = delta(key[:, 0], 100.0)
    assert rnn.Recurrent(cell)(key)[1].numpy().item() == 3.0
    plain = rnn.LinearAttentionCell(1, 1, **D)
    plain.weight_k.data, plain.weight_v.data = np.ones((1, 1)), np.full((1, 1), 3.0)
    assert rnn.Recurrent(plain)(key)[1].numpy().item() == 9.0


def test_a_step_of_2_reflects_the_memory_and_keeps_its_products():
    # With no values, S' = (I - 2 k k^T) S, which is a reflection.
    x, S = normal(T, 1, 4), normal(1, 4, 4, salt=1)
    cell = delta(x, 0.0, negative=True)
    cell.weight_v.data = np.zeros((4, 4))
    run = rnn.Recurrent(cell)
    cell.weight_b.data = 1e3 * np.sign(x[0])  # of one step: a sigmoid of 1
    _, one = run(x[:1], S)
    s = one.numpy()[0]
    np.testing.assert_allclose(s.T @ s, S[0].T @ S[0], rtol=1e-12)
    k = x[0, 0] / np.linalg.norm(x[0, 0])
    np.testing.assert_allclose(s, (np.eye(4) - 2 * np.outer(k, k)) @ S[0], rtol=1e-12)


def test_a_gated_delta_net_with_an_open_gate_is_a_delta_net():
    engine.seed(5)
    plain = rnn.DeltaNetCell(I, K, V, **D)
    gated = rnn.DeltaNetCell(I, K, V, gated=True, **D)
    for name, p in plain.named_parameters():
        getattr(gated, name).data = p.data
    gated.A_log.data = np.full(1, -800.0)
    x = normal(T, B, I)
    np.testing.assert_array_equal(rnn.Recurrent(gated)(x)[0].numpy(),
                                  rnn.Recurrent(plain)(x)[0].numpy())  # fmt: skip


@pytest.mark.parametrize("c", [-30.0, -2.0, 3.0, 30.0])
@pytest.mark.parametrize("name", ["mlstm", "mlstm of heads"])
def test_a_shift_of_the_stabiliser_changes_no_output(name, c):
    run = rnn.Recurrent(made(name))
    x = engine.asarray(normal(T, B, I), requires_grad=True)
    N = run.cell.heads
    C, n = normal(B, *run.cell.by_heads(K, V), salt=1), normal(B, *((K,) if N == 1 else (N, K)))
    m = normal(B, *((1,) if N == 1 else (N, 1)), salt=2)
    y, (C1, _, m1) = run(x, (C, n, m))
    shifted, (C2, _, m2) = run(x, (C * np.exp(-c), n * np.exp(-c), m + c))
    np.testing.assert_allclose(shifted.numpy(), y.numpy(), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose((C1 * engine.exp(m1)[..., None]).numpy(),
                               (C2 * engine.exp(m2)[..., None]).numpy(), rtol=1e-10)  # fmt: skip
    one, other = (engine.gradients(engine.sum(out * out), [x])[0] for out in (y, shifted))
    np.testing.assert_allclose(other.numpy(), one.numpy(), rtol=1e-9, atol=1e-12)


# ---- limits


@pytest.mark.parametrize(
    ("shift", "gate", "forget"),
    covering([-1e4, -200.0, -87.5, 87.5, 200.0, 1e4], ["bias_i", "bias_f"], ["sigmoid", "exp"],
             parts=2),
)  # fmt: skip
def test_gates_of_any_size_leave_an_mlstm_finite(forget, gate, shift):
    engine.seed(1)
    cell = rnn.MLSTMCell(I, K, V, forget=forget)
    getattr(cell, gate).data = np.full(1, shift, "float32")
    run = rnn.Recurrent(cell)
    x = engine.asarray(normal(20, B, I).astype("float32"), requires_grad=True)
    y, _ = run(x)
    grads = engine.gradients(engine.sum(y * y), [x, *run.parameters()])
    for one in (y, *grads):
        assert np.isfinite(one.numpy()).all()


@pytest.mark.parametrize(("bias", "options"), covering([-1e4, -88.0, -87.0, 88.0, 1e4], [
    {"decay": "key", "temperature": 1.0}, {"decay": "key", "temperature": 1.0, "tied": True},
    {"decay": "key"}, {"decay": "scalar"},
]))  # fmt: skip
def test_decays_near_0_and_1_leave_all_finite(options, bias):
    # Down to gates of 1e-38, at the end of float32, and below.
    engine.seed(1)
    cell = rnn.LinearAttentionCell(I, K, V, **options)
    own = cell.bias_a if options["decay"] == "key" else cell.bias_dt
    own.data = np.full(own.shape, bias, "float32")
    run = rnn.Recurrent(cell)
    x = engine.asarray(normal(20, B, I).astype("float32"), requires_grad=True)
    y, S = run(x)
    grads = engine.gradients(engine.sum(y * y), [x, *run.parameters()])
    for one in (y, S, *grads):
        assert np.isfinite(one.numpy()).all()


def test_a_gate_of_0_leaves_the_last_outer_product_and_a_gate_of_1_the_sum():
    x = normal(T, I)
    for bias, total in ((-1e4, False), (1e4, True)):
        cell = attention(decay="key")
        cell.bias_a.data = np.full(K, bias)
        _, k, v = projected(cell, x)
        _, S = rnn.Recurrent(cell)(x[:, None])
        want = k.T @ v if total else np.outer(k[-1], v[-1])
        np.testing.assert_allclose(S.numpy()[0], want, rtol=1e-12, atol=1e-14)


def test_an_input_of_zeros_has_finite_slopes_of_both_orders():
    engine.seed(2)
    run = rnn.Recurrent(rnn.DeltaNetCell(I, K, V, gated=True, **D))
    x = engine.asarray(np.zeros((3, B, I)), requires_grad=True)
    y, _ = run(x)
    (g,) = engine.gradients(engine.sum(y), [x], create_graph=True)
    (h,) = engine.gradients(engine.sum(g * g), [x])
    for one in (y, g, h):
        assert np.isfinite(one.numpy()).all()


# ---- models and stacks


@pytest.mark.parametrize("make", first(1, [
    lambda I, H: rnn.MLSTMCell(I, 3, H), lambda I, H: rnn.DeltaNetCell(I, 3, H),
    lambda I, H: rnn.LinearAttentionCell(I, 3, H // 2, heads=2, decay="key"),
]))  # fmt: skip
def test_models_are_made_of_matrix_memories(make):
    sizes = {"embedding": 4, "hidden": 6, "cell": make}
    x, lengths = [[1, 2], [3, 4], [5, 0]], [3, 2]
    assert rnn.LanguageModel(9, layers=2, **sizes)(x)[0].shape == (3, 2, 9)
    assert rnn.Tagger(9, 3, **sizes)(x, lengths).shape == (3, 2, 3)
    assert rnn.Classifier(9, 5, pooling="mean", bidirectional=True, **sizes)(x, lengths).shape == (
        2, 5,
    )  # fmt: skip
    for both in (False, True):
        encoder = rnn.Encoder(9, bidirectional=both, **sizes)
        model = rnn.Seq2Seq(encoder, rnn.Decoder(9, **sizes), start=1, end=2)
        loss = model.loss(x, lengths, x)
        loss.backward()
        assert np.isfinite(loss.item())
    assert rnn.Classifier(9, 5, **sizes)(x, lengths).shape == (2, 5)  # of the last outputs
    with pytest.raises(ValueError, match="is 7 wide, expected hidden = 6"):
        rnn.Tagger(9, 3, embedding=4, hidden=6, cell=lambda I, H: rnn.DeltaNetCell(I, 3, H + 1))


def test_a_stack_in_both_directions():
    engine.seed(0)
    net = rnn.Stacked([
        rnn.Bidirectional(rnn.DeltaNetCell(I, 2, 4), rnn.LinearAttentionCell(I, 2, 3)),
        rnn.MLSTMCell(7, 2, 4, heads=2), rnn.LTCCell(8, 5), rnn.LIFCell(5, 4),
    ])  # fmt: skip
    x = engine.asarray(normal(T, B, I).astype("float32"))
    y, states = net(x, None, [T, 3])
    assert y.shape == (T, B, 4)
    assert not y.numpy()[3:, 1].any()
    again, _ = net(x, states)
    assert again.shape == y.shape


# ---- mistakes


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rnn.LinearAttentionCell(3, 4, decay="none"), "decay 'none': expected one of"),
        (lambda: rnn.LinearAttentionCell(3, 4, tied=True), "tied: keys are 1 - a where decay"),
        (lambda: rnn.LinearAttentionCell(3, 4, feature="no"), "nonlinearity 'no'"),
        (lambda: rnn.LinearAttentionCell(3, 4, decay="key", temperature=0), "temperature"),
        (lambda: rnn.LinearAttentionCell(3, 4, heads=0), "heads=0"),
        (lambda: rnn.DeltaNetCell(3, 4, 0), "value_size=0"),
        (lambda: rnn.DeltaNetCell(3, 4, feature="no"), "nonlinearity 'no'"),
        (lambda: rnn.MLSTMCell(3, 4, forget="no"), "forget 'no': expected one of"),
    ],
)
def test_settings_that_are_none(make, message):
    with pytest.raises(ValueError, match=message):
        make()
