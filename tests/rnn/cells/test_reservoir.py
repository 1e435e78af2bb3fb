"""Test reservoirs: the radius and the sparsity of their weights, and read-outs in closed form."""

import numpy as np
import pytest

import engine
import rnn
from tests.draws import normal
from tests.rnn.cells.cell_equations import D


def radius(cell):
    return abs(np.linalg.eigvals(cell.weight_hh.numpy())).max()


# ---- the reservoir


@pytest.mark.parametrize("wanted", [0.0, 0.5, 0.95, 1.3])
@pytest.mark.parametrize("density", [0.05, 0.3, 1.0])
def test_a_reservoir_has_the_radius_and_the_density_that_were_asked_for(wanted, density):
    engine.seed(1)
    cell = rnn.EchoStateCell(2, 40, spectral_radius=wanted, density=density, input_scale=0.3, **D)
    assert radius(cell) == pytest.approx(wanted, rel=1e-12)
    if wanted:
        assert (np.count_nonzero(cell.weight_hh.numpy(), axis=1) == round(density * 40)).all()
    assert 0.2 < abs(cell.weight_ih.numpy()).max() <= 0.3
    assert not cell.bias.numpy().any()


def test_a_reservoir_forgets_how_it_began():
    engine.seed(2)
    run = rnn.Recurrent(rnn.EchoStateCell(1, 60, spectral_radius=0.8, **D))
    x = normal(300, 1, 1)
    one, other = (run(x, normal(1, 60, salt=salt))[1].numpy() for salt in (1, 2))
    np.testing.assert_allclose(one, other, atol=1e-12)


def test_its_weights_are_saved_and_not_trained():
    net = rnn.EchoStateNetwork(2, 10, 3, bias_scale=0.1)
    names = [name for name, p in net.named_parameters() if p.requires_grad]
    assert names == ["head.weight", "head.bias"]
    assert {"reservoir.cell.weight_hh", "reservoir.cell.bias"} <= set(net.state_dict())
    before = net.state_dict()
    y, _ = net(engine.asarray(normal(5, 2, 2).astype("float32")))
    engine.sum(y * y).backward()
    rnn.optim.SGD(net.parameters(), lr=0.1).step()
    moved = {name for name, x in net.state_dict().items() if (x != before[name]).any()}
    assert moved == {"head.weight", "head.bias"}


def test_what_reaches_the_input_passes_through_the_reservoir():
    engine.seed(3)
    net = rnn.EchoStateNetwork(2, 6, 1, leak=0.4, **D)
    assert engine.gradcheck(lambda x: net(x)[0], [normal(4, 2, 2)], order=2)


# ---- ridge regression


@pytest.mark.parametrize("penalty", [0.0, 1e-8, 0.3, 50.0])
@pytest.mark.parametrize("count", [1, 7, 10_000])
def test_ridge_is_the_solution_of_its_normal_equations(count, penalty):
    x, y = normal(count, 5) + 3, normal(count, 2, salt=1) - 1
    W, b = rnn.ridge(x, y, penalty)
    assert (W.shape, b.shape, W.dtype) == ((2, 5), (2,), np.float64)
    rest = y - x @ W.T - b
    np.testing.assert_allclose(rest.sum(axis=0), 0, atol=1e-9 * count)  # by the bias
    np.testing.assert_allclose(rest.T @ x, penalty * W, atol=2e-9 * count)  # by the weight


def test_ridge_without_a_penalty_is_the_shortest_of_the_best():
    x, y = normal(3, 8), normal(3, 2, salt=1)
    W, b = rnn.ridge(x, y, 0.0)
    np.testing.assert_allclose(x @ W.T + b, y, atol=1e-12)
    centred = x - x.mean(axis=0)
    np.testing.assert_allclose(W, np.linalg.lstsq(centred, y - y.mean(axis=0))[0].T, atol=1e-12)
    twice = np.concatenate([x, x, 0 * x], axis=1)  # columns that say the same, or nothing
    W2, _ = rnn.ridge(twice, y, 0.0)
    np.testing.assert_allclose(W2, np.concatenate([W / 2, W / 2, 0 * W], axis=1), atol=1e-12)


def test_a_small_penalty_counts_where_products_of_x_would_lose_it():
    # Columns that differ by 1e-9: the square of that is beyond the digits of a number.
    x = normal(50, 1)
    both = np.concatenate([x, x + 1e-9 * normal(50, 1, salt=1)], axis=1)
    W, b = rnn.ridge(both, both[:, 1:] * 1e9 - both[:, :1] * 1e9, 0.0)
    np.testing.assert_allclose(both @ W.T + b, (both[:, 1:] - both[:, :1]) * 1e9, atol=1e-5)
    np.testing.assert_allclose(W, [[-1e9, 1e9]], rtol=1e-5)


def test_ridge_takes_tensors_of_any_leading_axes(device):
    x, y = normal(4, 3, 5), normal(4, 3, 2, salt=1)
    given = (engine.asarray(one, device=device) for one in (x, y))
    flat = rnn.ridge(x.reshape(12, 5), y.reshape(12, 2), 0.1)
    for one, other in zip(rnn.ridge(*given, 0.1), flat, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("x", "y", "penalty", "message"),
    [
        (np.ones((3, 2)), np.ones((4, 1)), 0.0, r"same leading axes, got \(3, 2\) and \(4, 1\)"),
        (np.ones((0, 2)), np.ones((0, 1)), 0.0, "at least one example"),
        (np.full((3, 2), np.nan), np.ones((3, 1)), 0.0, "not finite"),
        (np.ones((3, 2)), np.full((3, 1), np.inf), 0.0, "not finite"),
        (np.ones((3, 2)), np.ones((3, 1)), -1.0, "penalty must be a number of at least 0"),
        (np.ones((3, 2)), np.ones((3, 1)), None, "penalty must be a number of at least 0"),
    ],
)
def test_what_ridge_refuses(x, y, penalty, message):
    with pytest.raises(ValueError, match=message):
        rnn.ridge(x, y, penalty)


# ---- the network


def test_a_network_recalls_its_inputs_of_some_steps_ago():
    engine.seed(4)
    u = np.random.default_rng(0).uniform(-0.8, 0.8, (1200, 1, 1))
    net = rnn.EchoStateNetwork(1, 100, 1, spectral_radius=0.95, input_scale=0.1, **D)
    y = np.concatenate([np.zeros((5, 1, 1)), u[:-5]])
    error = net.fit_ridge(u[:1000], y[:1000], penalty=1e-10, washout=100)
    found = net(u)[0].numpy()
    assert error == pytest.approx(((found[100:1000] - y[100:1000]) ** 2).mean(), rel=1e-3)
    fresh = ((found[1000:] - y[1000:]) ** 2).mean() / y.var()
    assert fresh < 1e-3  # of what was not fitted, against 1 of a constant


def test_steps_beyond_a_row_and_of_the_washout_do_not_count():
    engine.seed(5)
    x, y = normal(20, 3, 2), normal(20, 3, 1, salt=1)
    lengths = [20, 9, 0]
    for row, length in enumerate(lengths):
        x[length:, row], y[length:, row] = np.nan, np.nan
    y[:4] = np.nan
    net = rnn.EchoStateNetwork(2, 8, 1, **D)
    net.fit_ridge(x, y, lengths=lengths, penalty=0.1, washout=4)
    h = net.reservoir(x, None, lengths)[0].numpy()
    W, b = rnn.ridge(np.concatenate([h[4:20, 0], h[4:9, 1]]),
                     np.concatenate([y[4:20, 0], y[4:9, 1]]), 0.1)  # fmt: skip
    np.testing.assert_allclose(net.head.weight.numpy(), W, rtol=1e-10)
    np.testing.assert_allclose(net.head.bias.numpy(), b, rtol=1e-10)


def test_a_network_is_fitted_on_a_device(device):
    found = []
    for place in ("numpy", device):
        engine.seed(6)
        net = rnn.EchoStateNetwork(1, 20, 1, **D).to(place)
        x = engine.asarray(normal(50, 1, 1), device=place)
        net.fit_ridge(x[:-1], x[1:], penalty=1e-3)
        assert net.head.weight.device == engine.device(place)
        found.append(net(x)[0].numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda n: n.fit_ridge(np.ones((5, 1, 2)), np.ones((5, 1, 2))), "expected y"),
        (lambda n: n.fit_ridge(np.ones((5, 1, 2)), np.ones((5, 1, 1)), washout=5), "leaves no"),
        (lambda n: n.fit_ridge(np.ones((5, 1, 2)), np.ones((5, 1, 1)), washout=-1), "washout must"),
        (lambda n: rnn.EchoStateCell(2, 3, density=0.0), "density: expected a number above 0"),
        (lambda n: rnn.EchoStateCell(2, 3, leak=1.5), "leak: expected a number above 0"),
        (lambda n: rnn.EchoStateCell(2, 3, spectral_radius=-1), "spectral_radius: expected"),
    ],
)
def test_settings_that_are_none(call, message):
    with pytest.raises(ValueError, match=message):
        call(rnn.EchoStateNetwork(2, 3, 1))
