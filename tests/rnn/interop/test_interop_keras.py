"""Move Keras weights both ways: against Keras's equations written by hand here, in its own layouts,
and against Keras itself where it is installed.
"""

from typing import Any

import numpy as np
import pytest

import engine
import rnn
from rnn.interop import from_keras, to_keras
from tests.draws import covering, normal
from tests.rnn.interop import keras_peer

T, B, I, H = 6, 3, 4, 5
EXACT = {"rtol": 1e-10, "atol": 1e-12}
Arrays = list[np.ndarray]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


# ---- Keras's equations, one step: keras.layers.SimpleRNNCell, LSTMCell and GRUCell


def simple(weights: Arrays, x: np.ndarray, states: Arrays) -> Arrays:
    kernel, recurrent, bias = weights if len(weights) == 3 else (*weights, 0.0)
    return [np.tanh(x @ kernel + bias + states[0] @ recurrent)]


def lstm(weights: Arrays, x: np.ndarray, states: Arrays) -> Arrays:
    kernel, recurrent, bias = weights if len(weights) == 3 else (*weights, 0.0)
    h, c = states
    z0, z1, z2, z3 = np.split(x @ kernel + h @ recurrent + bias, 4, axis=1)
    i, f, o = sigmoid(z0), sigmoid(z1), sigmoid(z3)
    c = f * c + i * np.tanh(z2)
    return [o * np.tanh(c), c]


def gru_after(weights: Arrays, x: np.ndarray, states: Arrays) -> Arrays:
    kernel, recurrent, bias = weights if len(weights) == 3 else (*weights, np.zeros((2, 1)))
    (h,) = states
    x_z, x_r, x_h = np.split(x @ kernel + bias[0], 3, axis=-1)
    r_z, r_r, r_h = np.split(h @ recurrent + bias[1], 3, axis=-1)
    z, r = sigmoid(x_z + r_z), sigmoid(x_r + r_r)
    return [z * h + (1 - z) * np.tanh(x_h + r * r_h)]


def gru_before(weights: Arrays, x: np.ndarray, states: Arrays) -> Arrays:
    kernel, recurrent, bias = weights if len(weights) == 3 else (*weights, 0.0)
    (h,) = states
    x_z, x_r, x_h = np.split(x @ kernel + bias, 3, axis=-1)
    r_z, r_r = np.split(h @ recurrent[:, : 2 * H], 2, axis=-1)
    z, r = sigmoid(x_z + r_z), sigmoid(x_r + r_r)
    return [z * h + (1 - z) * np.tanh(x_h + (r * h) @ recurrent[:, 2 * H :])]


STEPS = {"RNN": simple, "LSTM": lstm, "GRU": gru_after, "before": gru_before}
BLOCKS = {"RNN": 1, "LSTM": 4, "GRU": 3, "before": 3}


def over_time(name: str, weights: Arrays, x: np.ndarray, backward: bool) -> tuple[Any, Arrays]:
    """Return outputs (T, B, H) and final states of one direction, backward as `Bidirectional`."""
    states, ys = [np.zeros((B, H)) for _ in range(2 if name == "LSTM" else 1)], []
    for step in x[::-1] if backward else x:
        states = STEPS[name](weights, step, states)
        ys.append(states[0])
    return np.stack(ys[::-1] if backward else ys), states


def keras_weights(name: str, width: int, bias: bool, salt: int) -> Arrays:
    """Return arrays as ``get_weights()`` of one Keras layer gives them."""
    G = BLOCKS[name] * H
    arrays = [normal(width, G, salt=salt) * 0.5, normal(H, G, salt=salt + 1) * 0.5]
    shape = (2, G) if name == "GRU" else (G,)
    return [*arrays, normal(*shape, salt=salt + 2)] if bias else arrays


def one_direction(name: str, bias: bool = True, take_new: bool = False, **options: Any) -> Any:
    if name == "before" or take_new:
        kind = rnn.ResetBeforeGRUCell if name == "before" else rnn.GRUCell
        return rnn.Recurrent(kind(I, H, bias=bias, take_new=take_new, dtype="float64"), **options)
    return getattr(rnn, name)(I, H, bias=bias, dtype="float64")


def finals(state: Any) -> Arrays:
    parts = state if isinstance(state, tuple) else (state,)
    return [x.numpy().reshape(B, H) for x in parts]


def unchanged(weights: Arrays, other: Arrays) -> None:
    assert len(weights) == len(other)
    for one, two in zip(weights, other, strict=True):
        np.testing.assert_array_equal(one, two, strict=True)
        assert two.flags.c_contiguous


@pytest.mark.parametrize(("name", "bias"), covering(STEPS, [True, False]))
def test_one_direction_both_ways(name, bias):
    weights = keras_weights(name, I, bias, salt=1)
    net, x = one_direction(name, bias), normal(T, B, I)
    from_keras(net, weights)
    y, states = over_time(name, weights, x, backward=False)
    found, state = net(x)
    np.testing.assert_allclose(found.numpy(), y, **EXACT)
    for own, other in zip(finals(state), states, strict=True):
        np.testing.assert_allclose(own, other, **EXACT)
    unchanged(weights, to_keras(net))


@pytest.mark.parametrize("name", ["GRU", "before"])
def test_a_z_that_is_the_share_of_the_new(name):
    weights, x = keras_weights(name, I, True, salt=4), normal(T, B, I)
    net = one_direction(name, take_new=True)
    from_keras(net, weights)
    y, _ = over_time(name, weights, x, backward=False)
    np.testing.assert_allclose(net(x)[0].numpy(), y, **EXACT)
    unchanged(weights, to_keras(net))


@pytest.mark.parametrize(
    ("name", "bias", "nested"), covering(["RNN", "LSTM", "GRU"], [True, False], [False, True])
)
def test_both_directions_and_two_layers(name, bias, nested):
    net = getattr(rnn, name)(
        I, H, num_layers=2, bidirectional=True, bias=bias, batch_first=True, dtype="float64"
    )
    x = below = normal(T, B, I)
    lists = []
    for layer, width in enumerate((I, 2 * H)):
        pair = [keras_weights(name, width, bias, salt=10 * layer + 3 * d) for d in range(2)]
        lists.append(pair)
        ys = [over_time(name, w, below, backward=d == 1)[0] for d, w in enumerate(pair)]
        below = np.concatenate(ys, axis=-1)
    flat = [x for pair in lists for weights in pair for x in weights]
    from_keras(net, lists if nested else flat)
    found, _ = net(x.transpose(1, 0, 2))
    np.testing.assert_allclose(found.numpy().transpose(1, 0, 2), below, **EXACT)
    if name == "RNN" or name == "GRU" or not bias:
        unchanged(flat, to_keras(net))
    else:
        for one, other in zip(flat, to_keras(net), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-15)


def test_other_modules_with_both_directions():
    weights = [keras_weights("before", I, True, salt=3 * d) for d in range(2)]
    cells = [rnn.ResetBeforeGRUCell(I, H, dtype="float64") for _ in range(2)]
    net, x = rnn.Bidirectional(*cells), normal(T, B, I)
    from_keras(net, weights)
    ys = [over_time("before", w, x, backward=d == 1)[0] for d, w in enumerate(weights)]
    np.testing.assert_allclose(net(x)[0].numpy(), np.concatenate(ys, axis=-1), **EXACT)
    unchanged([*weights[0], *weights[1]], to_keras(net))
    stack = rnn.Stacked([rnn.LSTMCell(I, 3), rnn.GRUCell(3, 2)])
    assert [x.shape for x in to_keras(stack)] == [
        (I, 12), (3, 12), (12,), (3, 6), (2, 6), (2, 6)
    ]  # fmt: skip
    assert len(to_keras(rnn.GRUCell(I, H))) == 3


def test_two_biases_of_ours_are_one_of_theirs():
    for name in ("LSTM", "RNN"):
        net, x = one_direction(name), normal(T, B, I)
        weights = to_keras(net)
        expected = net.bias_ih_l0.numpy() + net.bias_hh_l0.numpy()
        np.testing.assert_array_equal(weights[2], expected)
        y, _ = over_time(name, weights, x, backward=False)
        np.testing.assert_allclose(net(x)[0].numpy(), y, **EXACT)
        again = one_direction(name)
        from_keras(again, weights)
        assert not again.bias_hh_l0.numpy().any()
        np.testing.assert_allclose(again(x)[0].numpy(), y, **EXACT)


def test_values_are_copied_in_the_dtype_of_the_parameters():
    net = rnn.LSTM(I, H)
    tensors, weights = net.parameters(), keras_weights("LSTM", I, True, salt=1)
    from_keras(net, tuple(engine.asarray(x) for x in weights))
    assert all(a is b for a, b in zip(net.parameters(), tensors, strict=True))
    assert {x.dtype.name for x in net.parameters()} == {"float32"}
    before = net.bias_ih_l0.numpy().copy()
    weights[2][:] = 0
    to_keras(net)[2][:] = 0
    np.testing.assert_array_equal(net.bias_ih_l0.numpy(), before)


def test_faults_are_listed_and_nothing_changes():
    net = rnn.LSTM(I, H, bidirectional=True)
    before, weights = net.state_dict(), to_keras(net)
    weights[0] = weights[0].T
    weights[4] = "words"  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="from_keras") as caught:
        from_keras(net, weights)
    for part in (
        "layer 0 forward kernel: shape (20, 4), expected (4, 20)",
        "layer 0 reverse recurrent_kernel: expected an array of real numbers, got 'words'",
    ):
        assert part in str(caught.value)
    assert "bias" not in str(caught.value)
    with pytest.raises(ValueError, match=r"expected 6 arrays \(layer 0 forward kernel \(4, 20\)"):
        from_keras(net, weights[:3])
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_the_other_form_of_the_gru_is_named():
    after, before = (keras_weights(name, I, True, salt=1) for name in ("GRU", "before"))
    with pytest.raises(ValueError, match=r"reset_after=False is rnn.Recurrent\(rnn.ResetBefore"):
        from_keras(one_direction("GRU"), before)
    with pytest.raises(ValueError, match=r"reset_after=True is rnn.GRU here"):
        from_keras(one_direction("before"), after)
    with pytest.raises(ValueError, match=r"expected \(15,\)$"):
        from_keras(one_direction("before"), [*before[:2], normal(4)])


def test_what_keras_does_not_have_is_refused_by_name():
    for module, error, text in (
        (rnn.LSTM(I, H, proj_size=2), ValueError, "no proj_size"),
        (rnn.Recurrent(rnn.PeepholeLSTMCell(I, H)), TypeError, "Keras has no PeepholeLSTMCell"),
        (rnn.CoupledLSTMCell(I, H), TypeError, "Keras has no CoupledLSTMCell"),
        (rnn.CRF(I), TypeError, "the model is a CRF, which is no layer of Keras here"),
    ):
        with pytest.raises(error, match=text):
            to_keras(module)
        with pytest.raises(error, match=text):
            from_keras(module, [])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", STEPS)
def test_against_keras(name, bias):
    keras = keras_peer.keras()
    kind = {"RNN": "SimpleRNN", "before": "GRU"}.get(name, name)
    more = {"reset_after": name == "GRU"} if kind == "GRU" else {}
    make = getattr(keras.layers, kind)
    theirs = keras.layers.Bidirectional(
        make(H, use_bias=bias, return_sequences=True, dtype="float32", **more)
    )
    x = normal(B, T, I).astype("float32")
    theirs(x)
    flat = [w for d in range(2) for w in keras_weights(name, I, bias, salt=3 * d)]
    theirs.set_weights(flat)
    cell = {"RNN": rnn.ElmanCell, "LSTM": rnn.LSTMCell, "GRU": rnn.GRUCell}.get(
        name, rnn.ResetBeforeGRUCell
    )
    net = rnn.Bidirectional(cell(I, H, bias=bias), cell(I, H, bias=bias), batch_first=True)
    from_keras(net, theirs.get_weights())
    y = keras.ops.convert_to_numpy(theirs(x))
    np.testing.assert_allclose(net(x)[0].numpy(), y, rtol=1e-5, atol=1e-6)
    theirs.set_weights(to_keras(net))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(theirs(x)), y, rtol=1e-5, atol=1e-6)
