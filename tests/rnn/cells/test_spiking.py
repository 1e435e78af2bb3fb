"""Test spikes: exact steps with derivatives of their surrogates, neurons that fire on time."""

import math

import numpy as np
import pytest

import engine
import rnn
from tests.draws import normal
from tests.rnn.cells.cell_equations import D

SLOPES = {
    "fast_sigmoid": (10.0, lambda v, s: 1 / (1 + s * abs(v)) ** 2),
    "triangular": (0.3, lambda v, s: s * np.maximum(0, 1 - abs(v))),
    "arctan": (2.0, lambda v, s: s / 2 / (1 + (np.pi / 2 * s * v) ** 2)),
}
V = np.array([-np.inf, -1e30, -2.0, -0.5, -1e-300, -0.0, 0.0, 1e-300, 0.3, 0.99, 1.0, 7.0, np.inf])


@pytest.mark.parametrize("slope", [None, 0.7, 5.0])
@pytest.mark.parametrize("name", SLOPES)
def test_a_spike_is_a_step_with_the_slope_of_its_surrogate(name, slope, device):
    v = engine.asarray(V, device=device, requires_grad=True)
    z = rnn.spike(v, name, slope)
    np.testing.assert_array_equal(z.numpy(), (V >= 0).astype(float))
    (g,) = engine.gradients(engine.sum(z * 3.0), [v])
    default, slopes = SLOPES[name]
    want = 3 * slopes(V, default if slope is None else slope)
    np.testing.assert_allclose(g.numpy(), want, rtol=1e-14)


@pytest.mark.parametrize("name", SLOPES)
def test_further_derivatives_are_those_of_the_surrogate(name):
    v = engine.asarray([-0.8, -0.2, 0.1, 0.6], dtype="float64", requires_grad=True)
    (g,) = engine.gradients(engine.sum(rnn.spike(v, name)), [v], create_graph=True)
    (h,) = engine.gradients(engine.sum(g), [v])
    slope, slopes = SLOPES[name]
    e = 1e-6
    want = (slopes(v.numpy() + e, slope) - slopes(v.numpy() - e, slope)) / (2 * e)
    np.testing.assert_allclose(h.numpy(), want, rtol=1e-6)


def test_nothing_that_is_no_number_fires():
    assert rnn.spike(np.array([np.nan, 1.0])).numpy().tolist() == [0.0, 1.0]
    assert rnn.spike(0.0).item() == 1.0


def backward_by_hand(W, U, x, alpha, threshold, g):
    """Compute gradients of sum(z g) by W and U: BPTT with the slope of the surrogate."""
    T, B, _ = x.shape
    H = len(W)
    vs, zs = np.zeros((T + 1, B, H)), np.zeros((T + 1, B, H))
    for t in range(T):
        vs[t + 1] = alpha * vs[t] + x[t] @ W.T + zs[t] @ U.T - threshold * zs[t]
        zs[t + 1] = vs[t + 1] >= threshold
    slope = 1 / (1 + 10 * abs((vs - threshold) / threshold)) ** 2 / threshold
    dW, dU = np.zeros_like(W), np.zeros_like(U)
    dv, dz = np.zeros((B, H)), np.zeros((B, H))
    for t in reversed(range(T)):
        dv = dv + (dz + g[t]) * slope[t + 1]
        dW, dU = dW + dv.T @ x[t], dU + dv.T @ zs[t]
        dz = dv @ U - threshold * dv
        dv = alpha * dv
    return zs[1:], dW, dU


@pytest.mark.parametrize("unroll", [False, True])
def test_gradients_through_time_are_those_of_the_definition(unroll):
    engine.seed(4)
    cell = rnn.LIFCell(3, 5, tau=6.0, threshold=0.4, **D)
    x, g = normal(30, 2, 3), normal(30, 2, 5, salt=1)
    y, _ = rnn.Recurrent(cell)(x, unroll=unroll)
    found = engine.gradients(engine.sum(y * g), [cell.weight_ih, cell.weight_hh])
    W, U = cell.weight_ih.numpy(), cell.weight_hh.numpy()
    zs, dW, dU = backward_by_hand(W, U, x, math.exp(-1 / 6), 0.4, g)
    assert 0.05 < zs.mean() < 0.9
    np.testing.assert_array_equal(y.numpy(), zs)
    np.testing.assert_allclose(found[0].numpy(), dW, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found[1].numpy(), dU, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("current", [0.11, 0.2, 0.5, 0.99, 1.0, 3.0])
@pytest.mark.parametrize("tau", [9.5, 20.0])
def test_a_constant_current_fires_at_its_period(tau, current):
    cell = rnn.LIFCell(1, 1, tau=tau, reset="zero", recurrent=False, **D)
    cell.weight_ih.data = np.ones((1, 1))
    b = math.exp(-1 / tau)
    y, _ = rnn.Recurrent(cell)(np.full((400, 1, 1), current))
    times = 1 + np.flatnonzero(y.numpy())
    period = math.ceil(math.log(1 - (1 - b) / current) / math.log(b))
    np.testing.assert_array_equal(times, np.arange(period, 401, period))


def test_a_current_that_is_too_weak_never_fires():
    cell = rnn.LIFCell(1, 1, recurrent=False, **D)
    cell.weight_ih.data = np.ones((1, 1))
    weakest = 1 - math.exp(-1 / 20)
    for current, fires in ((0.99 * weakest, False), (1.01 * weakest, True)):
        y, _ = rnn.Recurrent(cell)(np.full((2000, 1, 1), current))
        assert y.numpy().any() == fires


def test_an_adaptive_neuron_tires_and_recovers():
    cell = rnn.ALIFCell(1, 1, recurrent=False, tau_adaptation=50.0, beta=0.3, **D)
    plain = rnn.LIFCell(1, 1, recurrent=False, **D)
    for one in (cell, plain):
        one.weight_ih.data = np.ones((1, 1))
    x = np.full((200, 1, 1), 0.5)
    y, (_, _, b) = rnn.Recurrent(cell)(x)
    gaps = np.diff(np.flatnonzero(y.numpy()))
    assert gaps[-1] > gaps[0]
    assert (np.diff(gaps) >= -1).all()
    assert y.numpy().sum() < rnn.Recurrent(plain)(x)[0].numpy().sum()
    rest = engine.zeros((1, 1), dtype="float64")
    _, (_, _, later) = rnn.Recurrent(cell)(np.full((500, 1, 1), -1.0), (rest, rest, b))
    assert later.numpy().item() == pytest.approx(b.numpy().item() * math.exp(-500 / 50))


def test_a_threshold_scales_the_neuron():
    # Twice the threshold and twice the currents give the same spikes.
    engine.seed(5)
    one, other = (rnn.LIFCell(3, 4, threshold=th, **D) for th in (1.0, 2.0))
    for name, p in one.named_parameters():
        getattr(other, name).data = 2 * p.numpy()
    x = 3 * normal(50, 2, 3)
    y = rnn.Recurrent(one)(x)[0].numpy()
    assert 0 < y.mean() < 1
    np.testing.assert_array_equal(rnn.Recurrent(other)(x)[0].numpy(), y)


def test_a_spiking_network_learns_by_its_surrogate():
    # Which of two inputs came first, of which the spikes are read out at the end.
    engine.seed(0)
    rng = np.random.default_rng(0)
    first = rng.integers(0, 2, 64)
    x = np.zeros((10, 64, 2), "float32")
    x[1, np.arange(64), first] = x[6, np.arange(64), 1 - first] = 3.0
    net = rnn.Recurrent(rnn.ALIFCell(2, 16))
    head = rnn.Linear(16, 2)
    optimizer = rnn.optim.Adam([*net.parameters(), *head.parameters()], lr=0.02)
    losses = []
    for _ in range(60):
        loss = engine.cross_entropy(head(engine.sum(net(x)[0], axis=0)), first)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 < losses[0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rnn.spike(0.0, "sharp"), "surrogate 'sharp': expected one of"),
        (lambda: rnn.spike(0.0, "arctan", 0.0), "slope: expected a number above 0"),
        (lambda: rnn.LIFCell(3, 4, surrogate="sharp"), "surrogate 'sharp'"),
        (lambda: rnn.LIFCell(3, 4, reset="none"), "reset 'none': expected one of"),
        (lambda: rnn.LIFCell(3, 4, tau=0), "tau: expected a number of steps above 0"),
        (lambda: rnn.LIFCell(3, 4, threshold=-1.0), "threshold: expected a number above 0"),
        (lambda: rnn.ALIFCell(3, 4, beta=0), "beta: expected a number above 0"),
        (lambda: rnn.ALIFCell(3, 4, tau_adaptation=-2), "tau_adaptation: expected"),
    ],
)
def test_settings_that_are_none(make, message):
    with pytest.raises(ValueError, match=message):
        make()
