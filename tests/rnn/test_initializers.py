"""Test initialisers: orthogonality, variance, the same values for the same seed, and by name."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine
import rnn
from rnn import initializers as init
from rnn.initialization import forget_bias, initialize


def parameter(*shape: int, dtype: str = "float64") -> engine.Tensor:
    return engine.zeros(shape, dtype=dtype, requires_grad=True)


def filled(fill: Callable[..., Any], *shape: int, seed: int = 1, **settings: Any) -> np.ndarray:
    """Return a parameter of this shape after an initialiser."""
    engine.seed(seed)
    x = parameter(*shape)
    assert fill(x, **settings) is x
    assert x.shape == shape
    return x.numpy()


# ---- distributions


def check_spread(values: np.ndarray, mean: float, std: float) -> None:
    """Check mean and standard deviation within five standard errors."""
    n = values.size
    assert n >= 10**4
    assert values.mean() == pytest.approx(mean, abs=5 * std / math.sqrt(n))
    assert values.std() == pytest.approx(std, rel=5 / math.sqrt(n))


def check_uniform(values: np.ndarray, low: float, high: float) -> None:
    check_spread(values, (low + high) / 2, (high - low) / math.sqrt(12))
    assert low <= values.min() < low + (high - low) / 1000
    assert high - (high - low) / 1000 < values.max() < high


def check_normal(values: np.ndarray, mean: float, std: float) -> None:
    check_spread(values, mean, std)
    assert np.mean(abs(values - mean) < std) == pytest.approx(math.erf(0.5**0.5), abs=0.02)
    assert abs(values - mean).max() > 3 * std


def test_uniform_and_normal():
    check_uniform(filled(init.uniform, 200, 100), 0, 1)
    check_uniform(filled(init.uniform, 200, 100, low=-2.0, high=0.5), -2, 0.5)
    check_normal(filled(init.normal, 200, 100), 0, 1)
    check_normal(filled(init.normal, 200, 100, mean=3.0, std=0.1), 3, 0.1)
    assert (filled(init.normal, 3, mean=3.0, std=0.0) == 3).all()


def test_zeros_and_constants():
    x = engine.ones((3, 2), requires_grad=True)
    assert init.zeros(x).numpy().tolist() == [[0, 0]] * 3
    assert init.constant(x, 2.5).numpy().tolist() == [[2.5, 2.5]] * 3
    assert init.constant(0.5)(x).numpy().tolist() == [[0.5, 0.5]] * 3
    assert x.dtype == engine.float32


@pytest.mark.parametrize("gain", [1.0, 2.5])
def test_xavier_keeps_the_variance_of_both_directions(gain):
    std = gain * math.sqrt(2 / (100 + 200))
    check_uniform(filled(init.xavier_uniform, 200, 100, gain=gain), -std * 3**0.5, std * 3**0.5)
    check_normal(filled(init.xavier_normal, 200, 100, gain=gain), 0, std)
    assert init.glorot_uniform is init.xavier_uniform
    assert init.glorot_normal is init.xavier_normal


KAIMING: list[tuple[dict[str, Any], float]] = [
    ({}, math.sqrt(2 / 100)),
    ({"mode": "fan_out"}, math.sqrt(2 / 200)),
    ({"nonlinearity": "tanh"}, 5 / 3 / 10),
    ({"nonlinearity": "linear"}, 0.1),
    ({"nonlinearity": "sigmoid"}, 0.1),
    ({"nonlinearity": "selu"}, 0.075),
    ({"nonlinearity": "leaky_relu", "a": 0.5}, math.sqrt(2 / 1.25 / 100)),
]


@pytest.mark.parametrize(("settings", "std"), KAIMING)
def test_kaiming_keeps_the_variance_through_what_follows(settings, std):
    bound = std * math.sqrt(3)
    check_uniform(filled(init.kaiming_uniform, 200, 100, **settings), -bound, bound)
    check_normal(filled(init.kaiming_normal, 200, 100, **settings), 0, std)
    assert init.kaiming is init.kaiming_normal


def test_further_dimensions_count_as_inputs_and_outputs():
    check_normal(filled(init.kaiming, 20, 10, 5, 20), 0, math.sqrt(2 / 1000))
    check_normal(filled(init.xavier_normal, 20, 10, 100), 0, math.sqrt(2 / 3000))


@pytest.mark.parametrize("name", ["xavier_uniform", "xavier_normal", "kaiming_uniform"])
@pytest.mark.parametrize("shape", [(200, 100), (20, 30, 40)])
def test_variances_agree_with_pytorch(name, shape):
    torch = pytest.importorskip("torch")
    theirs = torch.zeros(shape)
    torch.manual_seed(0)
    getattr(torch.nn.init, f"{name}_")(theirs)
    found = filled(getattr(init, name), *shape)
    assert found.std() == pytest.approx(theirs.numpy().std(), rel=0.03)
    assert abs(found).max() == pytest.approx(abs(theirs.numpy()).max(), rel=0.2)


# ---- orthogonal and identity


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (1, 4), (4, 1), (4, 3, 2)])
def test_orthogonal_rows_or_columns(shape):
    w = filled(init.orthogonal, *shape, gain=2.0).reshape(shape[0], -1) / 2
    small = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-14)


@pytest.mark.parametrize("shape", [(5, 5), (5, 3), (3, 5)])
def test_each_gate_is_orthogonal_of_its_own(shape):
    rows, columns = shape
    gates = filled(init.orthogonal_per_gate, 4 * rows, columns, gates=4).reshape(4, rows, columns)
    for w in gates:
        small = w @ w.T if rows <= columns else w.T @ w
        np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-14)
    for one in range(4):
        for other in range(one):
            assert abs(gates[one] - gates[other]).max() > 0.1
    whole = gates.reshape(4 * rows, columns)
    assert abs(whole.T @ whole - np.eye(columns)).max() > 0.1


def test_one_gate_is_the_whole():
    np.testing.assert_array_equal(
        filled(init.orthogonal_per_gate, 4, 3, gates=1), filled(init.orthogonal, 4, 3)
    )


def test_all_orthogonal_matrices_are_equally_likely():
    # The mean trace of Haar's rotations is 0, of its square 1; without signs it is far from it.
    engine.seed(3)
    x = parameter(3, 3)
    traces = np.array([np.trace(init.orthogonal(x).numpy()) for _ in range(2000)])
    assert abs(traces.mean()) < 5 / math.sqrt(2000)
    assert (traces**2).mean() == pytest.approx(1, abs=0.15)
    columns = np.array([init.orthogonal(x).numpy()[:, 0] for _ in range(500)])
    assert (abs(columns.mean(0)) < 5 * math.sqrt(1 / 3 / 500)).all()


def test_identity():
    assert filled(init.identity, 3, 3).tolist() == np.eye(3).tolist()
    assert filled(init.identity, 2, 2, scale=0.5).tolist() == [[0.5, 0], [0, 0.5]]


def test_an_irnn_hands_its_state_on():
    net = rnn.RNN(1, 3, nonlinearity="relu")
    initialize(net, {"weight_hh*": init.identity, "weight_ih*": init.zeros, "bias*": init.zeros})
    h = np.array([[[1.0, 2.0, 3.0]]], "float32")
    np.testing.assert_array_equal(net(np.ones((50, 1, 1), "float32"), h)[1].numpy(), h)


# ---- the same seed, the same values

RANDOM = [
    init.uniform,
    init.normal,
    init.xavier_uniform,
    init.xavier_normal,
    init.kaiming_uniform,
    init.kaiming_normal,
    init.orthogonal,
    init.orthogonal_per_gate(2),
]


@pytest.mark.parametrize("fill", RANDOM)
def test_values_follow_from_the_seed(fill):
    one, same, other = (filled(fill, 4, 3, seed=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one, same)
    assert (one != other).all()
    engine.seed(5)
    first, second = fill(parameter(4, 3)).numpy(), fill(parameter(4, 3)).numpy()
    np.testing.assert_array_equal(first, one)
    assert (first != second).all()


@pytest.mark.parametrize("fill", [*RANDOM, init.zeros, init.constant(1.0)])
def test_a_parameter_is_given_a_new_array(fill, device):
    x = engine.ones((4, 3), device=device, requires_grad=True)
    before, graph = x.data, x * 2
    fill(x)
    assert x.data is not before
    assert engine.to(graph, "numpy").numpy().tolist() == [[2.0] * 3] * 4
    assert (x.dtype, x.device, x.requires_grad) == (engine.float32, device, True)
    engine.seed(1)
    fill(x)
    found = engine.to(x, "numpy").numpy()
    np.testing.assert_array_equal(found, filled(fill, 4, 3).astype("float32"))


# ---- by name


class Net(rnn.Module):
    def __init__(self) -> None:
        self.core = rnn.LSTM(3, 4, num_layers=2, bidirectional=True)
        self.head = rnn.Linear(8, 2)


def test_patterns_meet_paths_and_last_parts():
    net = Net()
    before = net.state_dict()
    initialize(
        net,
        {
            "weight_hh*": init.orthogonal_per_gate(4),
            "bias*": init.constant(2.0),
            "core.weight_ih_l[01]": init.zeros,
            "head.bias": init.constant(3.0),
        },
    )
    after = net.state_dict()
    for name, values in after.items():
        if "weight_hh" in name:
            for w in values.reshape(4, 4, 4):
                np.testing.assert_allclose(w @ w.T, np.eye(4), atol=1e-6)
        elif name == "head.bias":
            assert (values == 3).all()
        elif "bias" in name:
            assert (values == 2).all()
        elif name in ("core.weight_ih_l0", "core.weight_ih_l1"):
            assert (values == 0).all()
        else:
            np.testing.assert_array_equal(values, before[name])
    assert (net.core.cell.bias_ih.numpy() == 2).all()


def test_the_last_pattern_counts_and_each_parameter_is_filled_once():
    net, seen = rnn.Linear(3, 2), []

    def watched(x: engine.Tensor) -> None:
        seen.append(x.shape)
        init.constant(x, 1.0)

    initialize(net, {"*": watched, "bias": init.zeros})
    assert seen == [(2, 3)]
    assert net.bias.numpy().tolist() == [0, 0]
    initialize(net, {"bias": init.zeros, "*": watched})
    assert seen == [(2, 3), (2, 3), (2,)]


def test_order_of_patterns_does_not_change_the_draws():
    def values(*patterns: str) -> dict[str, np.ndarray]:
        net = rnn.GRU(2, 3)
        engine.seed(4)
        initialize(net, dict.fromkeys(patterns, init.normal))
        return net.state_dict()

    one, other = values("weight*", "bias*"), values("bias*", "weight*")
    for name, found in one.items():
        np.testing.assert_array_equal(found, other[name])


def test_unknown_patterns_are_refused_and_nothing_changes():
    net = rnn.Linear(3, 2)
    before = net.weight.data
    text = r"initialize: 'weights\*' meets no parameter; there are \['weight', 'bias'\]"
    with pytest.raises(ValueError, match=text):
        initialize(net, {"weight": init.zeros, "weights*": init.zeros})
    with pytest.raises(TypeError, match=r"initialize: 'bias': expected an initializer .* got 0.0"):
        initialize(net, {"weight": init.zeros, "bias": 0.0})
    with pytest.raises(ValueError, match=r"initialize: bias: orthogonal: a weight .* shape \(2,\)"):
        initialize(net, {"*": init.orthogonal})
    assert net.weight.data is before
    with pytest.raises(ZeroDivisionError):
        initialize(net, {"weight": init.zeros, "bias": lambda x: 1 / 0})
    assert net.weight.data is before


# ---- forget gates

FORGETFUL: dict[str, tuple[Callable[[], rnn.Module], int, int]] = {
    "cell": (lambda: rnn.LSTMCell(2, 3), 1, 4),
    "projected": (lambda: rnn.LSTMCell(2, 3, proj_size=2), 1, 4),
    "peephole": (lambda: rnn.PeepholeLSTMCell(2, 3), 1, 4),
    "coupled": (lambda: rnn.CoupledLSTMCell(2, 3), 0, 3),
    "layer norm": (lambda: rnn.LayerNormLSTMCell(2, 3), 1, 4),
    "layers": (lambda: rnn.LSTM(2, 3, num_layers=2, bidirectional=True), 1, 4),
    "run": (lambda: rnn.Recurrent(rnn.LSTMCell(2, 3)), 1, 4),
    "net": (Net, 1, 4),
}


@pytest.mark.parametrize("name", FORGETFUL)
def test_forget_biases(name):
    make, gate, gates = FORGETFUL[name]
    module = make()
    before = module.state_dict()
    assert forget_bias(module, 1.5) is None
    changed = 0
    for path, values in module.state_dict().items():
        last = path.rpartition(".")[2]
        if last.startswith("bias") and not path.startswith("head") and last != "bias_c":
            rows = len(values) // gates
            part = slice(gate * rows, (gate + 1) * rows)
            assert (values[part] == (0 if "hh" in last else 1.5)).all()
            values[part] = before[path][part]
            changed += 1
        np.testing.assert_array_equal(values, before[path])
    assert changed == {"layers": 8, "net": 8, "layer norm": 1}.get(name, 2)


def test_forget_biases_open_the_gate():
    # With a large bias the cell keeps what it holds.
    cell = rnn.LSTMCell(1, 2)
    initialize(cell, {"*": init.zeros})
    forget_bias(cell, 30.0)
    _, (_, c) = cell(engine.zeros((1, 1)), (engine.zeros((1, 2)), engine.ones((1, 2))))
    np.testing.assert_allclose(c.numpy(), 1, rtol=1e-6)


def test_forget_biases_leave_old_graphs_alone():
    cell = rnn.LSTMCell(1, 2)
    data = cell.bias_ih.data
    copy = data.copy()
    forget_bias(cell, 5.0)
    np.testing.assert_array_equal(data, copy)


def test_where_nothing_forgets():
    for module in (rnn.GRU(2, 3), rnn.LSTM(2, 3, bias=False), rnn.Linear(2, 2)):
        kind = type(module).__name__
        with pytest.raises(ValueError, match=f"{kind} holds no LSTM cell or layer with biases"):
            forget_bias(module, 1.0)
    with pytest.raises(ValueError, match="forget_bias: value must be a finite number, got nan"):
        forget_bias(rnn.LSTM(2, 3), math.nan)


# ---- errors

BAD: list[tuple[str, tuple[int, ...], dict[str, Any], str]] = [
    ("constant", (2,), {"value": math.inf}, "constant: value must be a finite number, got inf"),
    ("constant", (2,), {"value": "1"}, "constant: value must be a finite number, got '1'"),
    ("uniform", (2,), {"low": 1.0, "high": 0.0}, "uniform: low 1.0 is above high 0.0"),
    ("uniform", (2,), {"low": math.nan}, "uniform: low must be"),
    ("normal", (2,), {"std": -1.0}, "normal: std must be a finite number of at least 0, got -1.0"),
    ("normal", (2,), {"mean": True}, "normal: mean must be"),
    ("xavier_uniform", (2,), {}, r"xavier_uniform: a weight \(out, in\) is needed, got shape \(2,"),
    ("xavier_normal", (0, 2), {}, "xavier_normal: a weight"),
    ("xavier_normal", (2, 2), {"gain": -1.0}, "xavier_normal: gain must be"),
    ("kaiming_normal", (), {}, "kaiming_normal: a weight"),
    ("kaiming_uniform", (2, 2), {"nonlinearity": "elu"}, "nonlinearity must be one of .* 'elu'"),
    ("kaiming_uniform", (2, 2), {"mode": "fan"}, "mode must be 'fan_in' or 'fan_out', got 'fan'"),
    ("kaiming_uniform", (2, 2), {"a": None}, "kaiming_uniform: a must be"),
    ("orthogonal", (3,), {}, r"orthogonal: a weight \(rows, columns\) is needed, got shape \(3,\)"),
    ("orthogonal", (3, 3), {"gain": math.nan}, "orthogonal: gain must be"),
    ("orthogonal_per_gate", (9, 3), {"gates": 4}, r"a weight \(4 \* rows, columns\) is needed"),
    ("orthogonal_per_gate", (9, 3), {"gates": 0}, "gates must be a positive integer, got 0"),
    ("identity", (4, 3), {}, r"identity: a square matrix is needed, got shape \(4, 3\)"),
    ("identity", (4, 4), {"scale": math.inf}, "identity: scale must be"),
]


@pytest.mark.parametrize(("name", "shape", "settings", "text"), BAD)
def test_what_cannot_be_is_refused(name, shape, settings, text):
    fill, x = getattr(init, name), parameter(*shape)
    before = x.data
    with pytest.raises(ValueError, match=text):
        fill(x, **settings)
    later = fill(**settings)
    with pytest.raises(ValueError, match=text):
        later(x)
    assert x.data is before


def test_what_is_no_parameter_is_refused():
    with pytest.raises(TypeError, match="zeros: a parameter of floats is needed, got int64"):
        init.zeros(engine.asarray(np.array([1])))
    with pytest.raises(TypeError, match="zeros: expected a Tensor, got ndarray"):
        init.zeros()(np.ones(3))
