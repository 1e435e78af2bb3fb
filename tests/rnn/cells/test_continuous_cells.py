"""Test cells of continuous time: a Legendre cell's memory, liquid cells and exact solutions."""

import numpy as np
import pytest
from numpy.polynomial import legendre

import engine
import rnn
from rnn.cells.continuous import held
from tests.draws import normal
from tests.rnn.cells.cell_equations import D, H, I

# ---- Legendre memories


def memory(order, theta):
    """Return a cell of one input, with a memory of the input itself."""
    engine.seed(0)
    cell = rnn.LMUCell(1, 2, order=order, theta=theta, **D)
    for name in ("e_x", "e_h", "e_m"):
        p = getattr(cell, name)
        p.data = np.full(p.shape, float(name == "e_x"))
    return cell


def read(m, r):
    """Return the signal r theta ago, by the coefficients (..., N)."""
    return legendre.legval(2 * r - 1, np.moveaxis(m, -1, 0))


@pytest.mark.parametrize("back", [0.0, 0.25, 0.5, 1.0])
def test_a_legendre_memory_returns_a_delayed_sine(back):
    theta, steps = 100.0, 600
    cell = memory(12, theta)
    wave = np.sin(2 * np.pi * np.arange(steps) / 80)
    _, _, found = rnn.observe(rnn.Recurrent(cell), engine.asarray(wave[:, None, None]))
    signal = read(found["m"].numpy()[:, 0], back)
    later = np.arange(300, steps)
    # A hold of one step is half a step late.
    want = np.sin(2 * np.pi * (later + 0.5 - back * theta) / 80)
    np.testing.assert_allclose(signal[later], want, atol=0.03)


def test_a_memory_of_a_constant_is_its_first_polynomial():
    _, (_, m) = rnn.Recurrent(memory(6, 20.0))(np.full((2000, 1, 1), 0.7))
    np.testing.assert_allclose(m.numpy()[0], [0.7, 0, 0, 0, 0, 0], atol=1e-9)


def test_two_half_steps_of_a_hold_are_one():
    A, B = rnn.hippo(6)
    whole, into = held(A, B, 0.1)
    half, part = held(A, B, 0.05)
    np.testing.assert_allclose(half @ half, whole, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(half @ part + part, into, rtol=1e-12)
    np.testing.assert_allclose(A @ into, (whole - np.eye(6)) @ B, rtol=1e-11, atol=1e-14)


def legs_of(f, order):
    """Return the coefficients of u(r) = f(r) for r in [0, 1], by quadrature."""
    x, w = legendre.leggauss(40)
    values = [legendre.legval(x, np.eye(order)[n]) * np.sqrt(2 * n + 1) for n in range(order)]
    return np.array([(w * f((x + 1) / 2) * own).sum() / 2 for own in values])


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_legs_holds_powers_of_the_time_exactly(degree):
    # With u = t^d the coefficients are c t^d: then t dm/dt = d m = A m + B t^d.
    A, B = rnn.hippo(5, "legs")
    c = legs_of(lambda r: r**degree, 5)
    np.testing.assert_allclose(A @ c + B, degree * c, atol=1e-12)
    assert (abs(c[degree + 1 :]) < 1e-13).all()


def test_coefficients_of_1_and_t_are_known():
    np.testing.assert_allclose(legs_of(lambda r: 1 + 0 * r, 4), [1, 0, 0, 0], atol=1e-14)
    np.testing.assert_allclose(legs_of(lambda r: r, 3), [1 / 2, 1 / np.sqrt(12), 0], atol=1e-14)


# ---- liquid cells


def test_a_liquid_cell_reaches_the_state_at_rest():
    # Where f does not depend on h, the state at rest is f A / (1 / tau + f).
    engine.seed(1)
    cell = rnn.LTCCell(I, H, **D)
    cell.weight_hh.data = np.zeros((H, H))
    cell.log_tau.data = normal(H)
    x = np.ones((400, 1, I))
    f = 1 / (1 + np.exp(-(x[0] @ cell.weight_ih.numpy().T + cell.bias.numpy())))
    rest = f * cell.A.numpy() / (np.exp(-cell.log_tau.numpy()) + f)
    np.testing.assert_allclose(rnn.Recurrent(cell)(x)[1].numpy(), rest, rtol=1e-12)


def test_more_sub_steps_approach_the_differential_equation():
    # Of first order: half the step, half the error.
    errors = []
    for unfolds in (16, 32, 64):
        engine.seed(1)
        cell = rnn.LTCCell(I, H, unfolds=unfolds, **D)
        cell.weight_hh.data = np.zeros((H, H))
        x, h = normal(2, I), normal(2, H, salt=1)
        f = 1 / (1 + np.exp(-(x @ cell.weight_ih.numpy().T + cell.bias.numpy())))
        rate, rest = 1 + f, f * cell.A.numpy() / (1 + f)
        exact = rest + (h - rest) * np.exp(-rate)
        errors.append(abs(cell(engine.asarray(x), engine.asarray(h))[1].numpy() - exact).max())
    assert 1.9 < errors[0] / errors[1] < 2.1
    assert 1.9 < errors[1] / errors[2] < 2.1


def test_no_length_of_a_step_makes_a_liquid_cell_leave_its_bounds():
    engine.seed(2)
    cell = rnn.LTCCell(I, H, unfolds=1, dt=1e6, **D)
    h = rnn.Recurrent(cell)(100 * normal(50, 2, I))[0].numpy()
    assert (abs(h) <= abs(cell.A.numpy()) + 1e-12).all()


@pytest.mark.parametrize("kind", [rnn.LTCCell, rnn.CfCCell])
def test_irregular_times_are_steps_of_their_lengths(kind):
    engine.seed(3)
    irregular = kind(I, H, irregular=True, **D)
    times = np.array([[0.5, 2.0, 0.1], [1.0, 0.3, 4.0]]).T
    x = normal(3, 2, I)
    y, _ = rnn.Recurrent(irregular)((engine.asarray(x), engine.asarray(times)))
    for row in range(2):
        h = engine.zeros((1, H), dtype="float64")
        for t in range(3):
            one = kind(I, H, dt=times[t, row], **D)
            one.load_state_dict(irregular.state_dict())
            _, h = one(engine.asarray(x[t, row : row + 1]), h)
            np.testing.assert_allclose(y.numpy()[t, row], h.numpy()[0], rtol=1e-13)
    found = engine.explain_scan(
        rnn.Recurrent(irregular), (engine.asarray(x), engine.asarray(times))
    )
    assert "c: runs it" in found or "plan: runs it" in found
    assert r"\sigma" in rnn.latex(irregular)


def test_gradients_by_the_time_that_passes():
    engine.seed(3)
    for kind in (rnn.LTCCell, rnn.CfCCell):
        run = rnn.Recurrent(kind(2, 3, irregular=True, **D))
        assert engine.gradcheck(lambda x, dt, run=run: run((x, dt))[0],
                                [normal(3, 2, 2), 0.5 + normal(3, 2) ** 2], order=2)  # fmt: skip


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rnn.LMUCell(3, 4, theta=0.0), "theta: expected a number of steps above 0"),
        (lambda: rnn.LMUCell(3, 4, order=0), "order=0"),
        (lambda: rnn.hippo(4, "lagt"), "measure 'lagt': expected 'legt' or 'legs'"),
        (lambda: rnn.LTCCell(3, 4, unfolds=0), "unfolds=0"),
        (lambda: rnn.LTCCell(3, 4, dt=-1.0), "dt: expected a number above 0"),
        (lambda: rnn.CfCCell(3, 4, backbone_size=0), "backbone_size=0"),
    ],
)
def test_settings_that_are_none(make, message):
    with pytest.raises(ValueError, match=message):
        make()
