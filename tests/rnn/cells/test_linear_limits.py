"""Test closed forms and limits of the cells of linear recurrences: powers, turns, kernels, shifts
of a scale, gates at their ends, long sequences.
"""

import math
from itertools import product
from typing import Any

import numpy as np
import pytest

import engine
import rnn
from tests.draws import ahead, first, normal
from tests.rnn.cells.linear_cases import (
    CASES,
    given,
    initial,
    listed,
    made,
)

D: dict[str, Any] = {"dtype": "float64"}


def logit(p: Any) -> Any:
    return engine.log(p) - engine.log(1 - p)


def emptied(cell: rnn.Cell) -> rnn.Cell:
    """Return the cell with every parameter at 0."""
    for x in cell.parameters():
        x.data = np.zeros_like(x.data)
    return cell


# ---- powers


def min_gru_of(a: Any) -> rnn.Cell:
    cell = emptied(rnn.MinGRUCell(1, 1, **D))
    cell.bias = engine.stack([logit(1 - a), 0 * a])
    return cell


def sru_of(a: Any) -> rnn.Cell:
    cell = emptied(rnn.SRUCell(1, 1, peephole=False, **D))
    cell.bias = engine.reshape(engine.stack([logit(a), 0 * a]), (2, 1))
    return cell


def qrnn_of(a: Any) -> rnn.Cell:
    cell = emptied(rnn.QRNNCell(1, 1, pooling="f", **D))
    cell.bias = engine.stack([0 * a, logit(a)])
    return cell


def rg_lru_of(a: Any) -> rnn.Cell:
    """Return a cell with r = sigma(40), which is 1."""
    cell = emptied(rnn.RGLRUCell(1, **D))
    cell.bias_a.data = cell.bias_a.data + 40.0
    cell.Lambda = engine.reshape(logit(a**0.125), (1,))
    return cell


def s4d_of(a: Any) -> rnn.Cell:
    """Return a cell with Delta = 1, and A = log a."""
    cell = emptied(rnn.S4DCell(1, 1, initial="real", **D))
    cell.A_log = engine.reshape(engine.log(-engine.log(a)), (1, 1))
    return cell


@pytest.mark.parametrize("make", first(1, [s4d_of, rg_lru_of, min_gru_of, sru_of, qrnn_of]))
def test_derivatives_of_a_power(make):
    # A state of 1 without input is a^n after n steps, with n! / (n - k)! a^(n - k) after it.
    n, a = 7, 0.8

    def run(a: Any) -> Any:
        cell = make(a)
        sizes = [(size,) if isinstance(size, int) else size for size in cell.state_size.values()]
        states = [np.ones((1, *sizes[0])), *(np.zeros((1, *size)) for size in sizes[1:])]
        return engine.sum(listed(rnn.Recurrent(cell)(np.zeros((n, 1, 1)), given(states))[1])[0])

    f: Any = run
    for k in range(5):
        expected = math.factorial(n) / math.factorial(n - k) * a ** (n - k)
        np.testing.assert_allclose(f(engine.asarray(a, **D)).numpy(), expected, rtol=1e-9)
        f = engine.grad(f)


# ---- turns and kernels


def test_a_pair_turns_and_shrinks():
    cell = rnn.LRUCell(1, 3, **D)
    radius, angle, steps = np.array([0.9, 0.99, 1 - 1e-9]), np.array([0.1, 2.0, 1e-3]), 1000
    cell.nu_log.data, cell.theta_log.data = np.log(-np.log(radius)), np.log(angle)
    ones = np.ones((1, 3))
    _, (re, im) = rnn.Recurrent(cell)(np.zeros((steps, 1, 1)), given([ones, 0 * ones]))
    z = re.numpy()[0] + 1j * im.numpy()[0]
    np.testing.assert_allclose(abs(z), radius**steps, rtol=1e-10)
    turned = np.exp(1j * (np.angle(z) - steps * angle))
    np.testing.assert_allclose(turned, 1, atol=1e-10)


def convolved(kernel: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Compute y_t = sum_k K_k x_(t-k) of a kernel (T, O, I) or (T, I)."""
    y = []
    for t in range(len(x)):
        past = x[t::-1]
        form = "koi,kbi->bo" if kernel.ndim == 3 else "ki,kbi->bi"
        y.append(np.einsum(form, kernel[: t + 1], past))
    return np.stack(y)


def test_an_lru_is_a_convolution():
    cell, x = made("LRU"), normal(40, 2, 3)
    p = {key: one.numpy() for key, one in cell.named_parameters()}
    pole = np.exp(-np.exp(p["nu_log"]) + 1j * np.exp(p["theta_log"]))
    B, C = p["B_re"] + 1j * p["B_im"], p["C_re"] + 1j * p["C_im"]
    powers = pole ** np.arange(40)[:, None] * np.exp(p["gamma_log"])
    kernel = np.einsum("on,kn,ni->koi", C, powers, B).real
    y = rnn.Recurrent(cell)(x)[0].numpy()
    np.testing.assert_allclose(y, convolved(kernel, x) + p["D"] * x, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("initial", ["lin", "real"])
def test_a_held_input_has_all_its_digits(initial):
    # (exp(Delta A) - 1) / A in float32, which as it stands has lost four of seven.
    cell = rnn.S4DCell(1, 2, initial=initial)
    cell.Delta_log.data[:] = math.log(0.001)
    h = listed(rnn.Recurrent(cell)(np.ones((1, 1, 1), "float32"))[1])[0].numpy().ravel()
    pole = -np.exp(cell.A_log.numpy().astype("float64")).ravel()
    np.testing.assert_allclose(h, np.expm1(0.001 * pole) / pole, rtol=5e-7)


@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-11), ("float32", 2e-5)])
@pytest.mark.parametrize("initial", ["lin", "inv", "real"])
def test_an_s4d_is_a_convolution(initial, dtype, rtol):
    engine.seed(4)
    cell, x = rnn.S4DCell(3, 8, initial=initial, dtype=dtype), normal(60, 2, 3).astype(dtype)
    p = {key: one.numpy().astype("float64") for key, one in cell.named_parameters()}
    dt, real = np.exp(p["Delta_log"]), initial == "real"
    pole = -np.exp(p["A_log"]) + 1j * p.get("A_im", 0.0)
    read = (p["C_re"] + 1j * p.get("C_im", 0.0)) * (np.exp(dt * pole) - 1) / pole
    powers = np.exp(np.arange(60)[:, None, None] * dt * pole)
    kernel = (1 if real else 2) * np.einsum("in,kin->ki", read, powers).real
    y = rnn.Recurrent(cell)(x)[0].numpy()
    expected = convolved(kernel, x.astype("float64")) + p["D"] * x
    np.testing.assert_allclose(y, expected, rtol=rtol, atol=rtol)


# ---- the scale beside a sum

SCALED = {"RWKV-4": ("a", "b"), "sLSTM": ("c", "n"), "sLSTM exp, heads": ("c", "n")}


@pytest.mark.parametrize("c", [-300.0, -2.0, 50.0])
@pytest.mark.parametrize("name", SCALED)
def test_a_shift_of_the_scale_changes_no_output(name, c):
    cell = made(name)
    names, states, x = list(cell.state_size), initial(cell, 2), normal(6, 2, 3)
    moved = [one + c if key == "m" else one * np.exp(-c) if key in SCALED[name] else one
             for key, one in zip(names, states, strict=True)]  # fmt: skip
    found = []
    for own in (states, moved):
        leaves = engine.asarray(x, requires_grad=True)
        y, final = rnn.Recurrent(cell)(leaves, given(own))
        grads = engine.gradients(engine.sum(y * y), [leaves, *cell.parameters()])
        meant = CASES[name].meant(*(one.numpy() for one in listed(final)))
        found.append([y.numpy(), *(g.numpy() for g in grads), *meant])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("size", [1.0, 30.0, 3000.0])
def test_the_mean_of_rwkv_against_all_exponents_at_once(size):
    # Weights e^(k_i - (t - 1 - i) w), and e^(u + k_t), by a softmax over the past.
    T, cell = 12, made("RWKV-4")
    cell.weight_k.data *= size
    cell.weight_r.data *= 0
    x = normal(T, 1, 3)
    p = {key: one.numpy() for key, one in cell.named_parameters()}
    s = np.concatenate([np.zeros((1, 1, 3)), x[:-1]])
    k, v = ((x * p[f"mu_{n}"] + s * (1 - p[f"mu_{n}"])) @ p[f"weight_{n}"].T for n in "kv")
    ys = []
    for t in range(T):
        ages = np.arange(t - 1, -1, -1)[:, None, None]
        exponents = np.concatenate([k[:t] - ages * np.exp(p["w_log"]), p["u"] + k[t : t + 1]])
        share = np.exp(exponents - exponents.max(0))
        ys.append((share * v[: t + 1]).sum(0) / share.sum(0) / 2 @ p["weight_o"].T)
    y = rnn.Recurrent(cell)(x)[0].numpy()
    np.testing.assert_allclose(y, np.stack(ys), rtol=1e-10, atol=1e-12)


def test_a_huge_key_that_has_faded_leaves_the_scale():
    # After 100 steps of a decay of 20 nothing is left of a key of 1000, in RWKV-4.
    cell = emptied(rnn.RWKV4Cell(1, 1, **D))
    for x, value in ((cell.weight_k, 1.0), (cell.weight_v, 1.0), (cell.weight_o, 2.0),
                     (cell.mu_k, 1.0), (cell.mu_v, 1.0), (cell.w_log, math.log(20.0))):  # fmt: skip
        x.data = np.full_like(x.data, value)
    x = np.array([1000.0] + [0.0, 1.0] * 50)[:, None, None]
    y = rnn.Recurrent(cell)(x)[0].numpy().ravel()
    np.testing.assert_allclose(y[:40], 1000.0, rtol=1e-12)
    old = math.exp(1 - 20)  # of the third from the end; the second has the value 0 and weight 1
    np.testing.assert_allclose(y[-1], (math.e + old) / (math.e + 1 + old), rtol=1e-12)


def test_an_slstm_of_huge_exponents_is_the_mean_of_the_largest():
    # Input gates of e^(+-5000): what a later, far larger one brought replaces all before it.
    cell = emptied(rnn.SLSTMCell(1, 1, **D))
    cell.weight_ih.data[:] = [[5000.0], [0.0], [1.0], [0.0]]
    cell.bias.data[:] = [0.0, 40.0, 0.0, 40.0]  # nothing forgotten, all shown
    x = np.array([-1.0, 0.5, 1.0, 0.9, 1.0, -1.0])[:, None, None]
    y = rnn.Recurrent(cell)(x)[0].numpy().ravel()
    np.testing.assert_allclose(y, np.tanh([-1.0, 0.5, 1, 1, 1, 1]), rtol=1e-10)


# ---- gates at their ends


def test_gates_of_zero_and_one():
    for bias, kept in ((-1000.0, True), (1000.0, False)):
        cell = rnn.MinGRUCell(2, 3, **D)
        cell.weight_ih.data[:3] = 0
        cell.bias.data[:3] = bias
        h0 = engine.asarray(normal(1, 3), requires_grad=True)
        x = engine.asarray(normal(9, 1, 2), requires_grad=True)
        y, h = rnn.Recurrent(cell)(x, h0)
        n = x.numpy() @ cell.weight_ih.numpy()[3:].T + cell.bias.numpy()[3:]
        expected = np.broadcast_to(h0.numpy(), n.shape) if kept else n
        np.testing.assert_array_equal(y.numpy()[-1], h.numpy())
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-14)
        to_h, to_x = engine.gradients(engine.sum(h), [h0, x])
        np.testing.assert_array_equal(to_h.numpy(), np.full((1, 3), float(kept)))
        assert not to_x.numpy()[:-1].any()
        assert to_x.numpy()[-1].any() != kept


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_minimal_lstm_of_two_gates_that_underflow(dtype):
    # s_f / (s_f + s_i) of s_f = s_i = sigma(-2000), which is 0 / 0 as it stands.
    cell = rnn.MinLSTMCell(1, 1, bias=True, dtype=dtype)
    cell.weight_ih.data[:] = [[0.0], [0.0], [1.0]]
    cell.bias.data[:] = [-2000.0, -2000.0, 0.0]
    x = engine.asarray(np.array([1.0, 2.0, 4.0], dtype)[:, None, None], requires_grad=True)
    y, _ = rnn.Recurrent(cell)(x)
    np.testing.assert_allclose(y.numpy().ravel(), [0.5, 1.25, 2.625], rtol=1e-6)
    for g in engine.gradients(engine.sum(y), [x, *cell.parameters()]):
        assert np.isfinite(g.numpy()).all()


@pytest.mark.parametrize("bias", [-87.5, -2000.0])
def test_an_rg_lru_that_keeps_all(bias):
    # r = 1e-38 and 0: a is 1, and the slope of the root is infinite or next to it.
    cell = rnn.RGLRUCell(2, 3)
    cell.weight_a.data *= 0
    cell.bias_a.data[:] = bias
    h0 = engine.asarray(normal(1, 3).astype("float32"), requires_grad=True)
    x = engine.asarray(normal(50, 1, 2).astype("float32"), requires_grad=True)
    y, h = rnn.Recurrent(cell)(x, h0)
    np.testing.assert_allclose(h.numpy(), h0.numpy(), rtol=1e-6, atol=1e-12)
    for g in engine.gradients(engine.sum(y * y), [x, h0, *cell.parameters()]):
        assert np.isfinite(g.numpy()).all()


def test_gates_of_1e_38():
    # Of z = sigma(-87.5) in float32 n steps add n z; of f nothing is left but the newest.
    n, z = 1000, 1 / (1 + math.exp(87.5))
    cell = emptied(rnn.MinGRUCell(1, 1))
    cell.bias.data[:] = [-87.5, 1.0]
    x = engine.asarray(np.zeros((n, 1, 1), "float32"), requires_grad=True)
    y, h = rnn.Recurrent(cell)(x)
    np.testing.assert_allclose(h.numpy(), n * z, rtol=1e-3)
    (g,) = engine.gradients(engine.sum(h), [cell.bias])
    np.testing.assert_allclose(g.numpy(), [n * z, n * z], rtol=1e-3)
    other = emptied(rnn.QRNNCell(1, 1, pooling="f"))
    other.bias.data[:] = [1.0, -87.5]
    y, (h, _) = rnn.Recurrent(other)(x, given([np.full((1, 1), 1e38, "f"), np.zeros((1, 1), "f")]))
    np.testing.assert_allclose(y.numpy()[0], math.tanh(1) + 1e38 * z, rtol=1e-4)
    np.testing.assert_allclose(h.numpy(), math.tanh(1), rtol=1e-6)


# With exponentials, ratios or roots; gates that are only sigmoids end at 0 and 1.
UNBOUNDED = ["minLSTM", "RG-LRU", "S4D", "Mamba with a window", "RWKV-4", "sLSTM exp, heads"]


@pytest.mark.parametrize(
    ("name", "size"), first(2 * len(UNBOUNDED), product(ahead(UNBOUNDED, CASES), [1e4, -1e4]))
)
def test_inputs_that_saturate_every_gate_stay_finite(name, size):
    cell = made(name, "float32")
    x = engine.asarray((size * normal(7, 2, 3)).astype("float32"), requires_grad=True)
    y, final = rnn.Recurrent(cell)(x)
    for one in (y, *listed(final), *engine.gradients(engine.sum(y), [x, *cell.parameters()])):
        assert np.isfinite(one.numpy()).all()


# Sums beside a scale, a ratio of gates, and turns: there errors grow; means of gates forget them.
LONG = ["RWKV-4", "minLSTM", "LRU"]


@pytest.mark.parametrize("name", first(len(LONG), ahead(LONG, CASES)))
def test_twenty_thousand_steps(name):
    # In float32 nothing overflows, and the last outputs are those of float64.
    T, x = 20_000, normal(20_000, 1, 3)
    found = []
    for dtype in ("float32", "float64"):
        cell = made(name, dtype)
        own = engine.asarray(x.astype(dtype), requires_grad=True)
        y, final = rnn.Recurrent(cell)(own)
        grads = engine.gradients(engine.sum(y[-50:] * y[-50:]), [own, *cell.parameters()])
        assert all(np.isfinite(one.numpy()).all() for one in (y, *listed(final), *grads))
        found.append(y.numpy()[T - 50 :])
    size = abs(found[1]).max()
    np.testing.assert_allclose(found[0] / size, found[1] / size, atol=2e-3)
