"""Use cells of linear recurrences: published values, wrong settings, models, pictures, probes."""

import math
from typing import Any

import numpy as np
import pytest

import engine
import rnn
import viz
from rnn.models import Classifier, LanguageModel, Tagger
from tests.draws import ahead, first, normal, slow_beside
from tests.rnn.cells.linear_cases import CASES, KINDS_FIRST, made, sigma, softplus

KINDS = ("LRUCell", "MambaCell", "MinGRUCell", "MinLSTMCell", "QRNNCell", "RGLRUCell", "RWKV4Cell",
         "S4DCell", "SLSTMCell", "SRUCell")  # fmt: skip
# A scale beside sums, a window.
FEW = ["RWKV4Cell", "QRNNCell"]


def values(cell: rnn.Cell) -> dict[str, np.ndarray]:
    return {key: one.numpy().astype("float64") for key, one in cell.named_parameters()}


# ---- first values


def test_an_lru_begins_in_its_ring():
    engine.seed(1)
    p = values(rnn.LRUCell(4, 20_000, r_min=0.6, r_max=0.9, max_phase=1.5))
    square = np.exp(-2 * np.exp(p["nu_log"]))
    assert 0.36 < square.min() < 0.3605
    assert 0.8095 < square.max() < 0.81
    np.testing.assert_allclose(square.mean(), (0.36 + 0.81) / 2, atol=0.004)  # even by area
    angle = np.exp(p["theta_log"])
    assert 0 < angle.min() < 0.001
    assert 1.499 < angle.max() < 1.5
    np.testing.assert_allclose(np.exp(2 * p["gamma_log"]), 1 - square, rtol=1e-5)
    np.testing.assert_allclose((p["B_re"] ** 2 + p["B_im"] ** 2).mean(), 1 / 4, rtol=0.02)
    np.testing.assert_allclose((p["C_re"] ** 2).mean(), 1 / 20_000, rtol=0.02)


@slow_beside("test_an_lru_begins_in_its_ring")
def test_an_lru_keeps_the_size_of_white_noise():
    # This is the purpose of gamma: the variance of each state is that of B x.
    engine.seed(1)
    cell = rnn.LRUCell(4, 500, r_min=0.5, r_max=0.99)
    _, (re, im) = rnn.Recurrent(cell)(normal(1500, 20, 4).astype("float32"))
    size = (re.numpy().astype("float64") ** 2 + im.numpy() ** 2).mean()
    np.testing.assert_allclose(size, 1.0, rtol=0.1)


def test_an_s4d_begins_with_its_poles():
    engine.seed(1)
    n = np.arange(32)
    lin, inv = (values(rnn.S4DCell(3, 64, initial=one)) for one in ("lin", "inv"))
    np.testing.assert_allclose(np.exp(lin["A_log"]), np.full((3, 32), 0.5), rtol=1e-6)
    np.testing.assert_allclose(lin["A_im"], np.tile(math.pi * n, (3, 1)), rtol=1e-6)
    expected = 64 / math.pi * (64 / (2 * n + 1) - 1)
    np.testing.assert_allclose(inv["A_im"], np.tile(expected, (3, 1)), rtol=1e-6)
    real = values(rnn.S4DCell(3, 64, initial="real"))
    np.testing.assert_allclose(np.exp(real["A_log"]), np.tile(np.arange(1, 65), (3, 1)), rtol=1e-6)
    dt = np.exp(values(rnn.S4DCell(20_000, 2))["Delta_log"])
    assert 0.001 < dt.min() < 0.00102
    assert 0.098 < dt.max() < 0.1
    np.testing.assert_allclose(np.log(dt).mean(), math.log(0.01), atol=0.03)


def test_a_mamba_begins_with_its_steps_and_poles():
    engine.seed(1)
    cell = rnn.MambaCell(2000, 4)
    p = values(cell)
    assert cell.rank == 125
    np.testing.assert_allclose(np.exp(p["A_log"][7]), [1, 2, 3, 4], rtol=1e-6)
    assert (p["D"] == 1).all()
    dt = softplus(p["bias_Delta"])
    assert 0.001 < dt.min() < 0.0011
    assert 0.095 < dt.max() < 0.1
    assert abs(p["weight_Delta"]).max() < 125**-0.5


def test_an_rg_lru_begins_in_its_ring():
    engine.seed(1)
    a = sigma(values(rnn.RGLRUCell(4, 2000))["Lambda"]) ** 8
    assert 0.9 < a.min() < 0.901
    assert 0.998 < a.max() < 0.999
    np.testing.assert_allclose(a.mean(), 0.9495, atol=0.003)


def test_an_rwkv_begins_as_a_first_layer():
    engine.seed(1)
    p = values(rnn.RWKV4Cell(4, 8))
    np.testing.assert_allclose(p["mu_k"], [0, 0.25, 0.5, 0.75])
    np.testing.assert_allclose(p["mu_r"], np.sqrt([0, 0.25, 0.5, 0.75]), rtol=1e-6)
    assert (p["w_log"][0], p["w_log"][-1]) == (-5, 3)
    np.testing.assert_allclose(p["u"][:4], math.log(0.3) + np.array([0, 0.5, -0.5, 0]), rtol=1e-6)
    assert not any(p[f"weight_{n}"].any() for n in "rko")
    np.testing.assert_allclose(p["weight_v"].T @ p["weight_v"], 2 * np.eye(4), atol=1e-5)


def test_an_slstm_begins_with_forget_biases_in_each_head():
    engine.seed(1)
    p = values(rnn.SLSTMCell(1000, 8, heads=2))
    own = 5 - 12 * (np.arange(4) / 3) ** 0.3
    np.testing.assert_allclose(p["bias"], [0] * 8 + [*own, *own] + [0] * 16, rtol=1e-6)
    assert not p["weight_hh"].any()
    np.testing.assert_allclose(p["weight_ih"].var(), 2 / 5000, rtol=0.03)
    assert np.isfinite(values(rnn.SLSTMCell(3, 2, heads=2))["bias"]).all()


def test_an_sru_keeps_the_variance():
    engine.seed(1)
    p = values(rnn.SRUCell(100, 200, highway_bias=-2.0))
    np.testing.assert_allclose(p["weight_ih"][:200].var(), 1 / 100, rtol=0.05)
    np.testing.assert_allclose(p["weight_ih"][200:].var(), 0.5 / 100, rtol=0.05)
    np.testing.assert_allclose(p["weight_s"].var(), (1 + 2 * math.exp(-2)) / 100, rtol=0.05)
    np.testing.assert_allclose(p["weight_c"].var(), 0.5, rtol=0.15)
    assert (p["bias"] == [[0.0], [-2.0]]).all()


# ---- wrong settings


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrong", [0, -1, 2.5, "3", True])
def test_sizes_are_positive_integers(kind, wrong):
    for sizes in ((wrong, 4), (3, wrong)):
        with pytest.raises(ValueError, match="expected positive integers, got"):
            getattr(rnn, kind)(*sizes)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: rnn.SRUCell(3, 4, highway_bias=math.inf), "highway_bias must be a finite number"),
        (lambda: rnn.QRNNCell(3, 4, pooling="of"), "pooling 'of': expected one of"),
        (lambda: rnn.LRUCell(3, 4, r_min=0.9, r_max=0.5), "0 <= r_min < r_max <= 1, got 0.9 and"),
        (lambda: rnn.LRUCell(3, 4, r_max=1.1), "0 <= r_min < r_max <= 1"),
        (lambda: rnn.LRUCell(3, 4, max_phase=7.0), "max_phase must lie in"),
        (lambda: rnn.S4DCell(3, 5), "order must be even"),
        (lambda: rnn.S4DCell(3, 4, initial="hippo"), "initial 'hippo': expected one of"),
        (lambda: rnn.MambaCell(3, 4, rank=0), "rank must be an integer of at least 1"),
        (lambda: rnn.MambaCell(3, 4, window=0), "expected positive integers, got window=0"),
        (lambda: rnn.SLSTMCell(3, 4, heads=3), "hidden_size 4 is not a multiple of heads 3"),
        (lambda: rnn.SLSTMCell(3, 4, forget="tanh"), "forget 'tanh': expected one of"),
        (lambda: rnn.MinGRUCell(3, 4, above_zero=1), "above_zero"),
    ],
)
def test_wrong_settings_are_errors(make, told):
    with pytest.raises((ValueError, TypeError), match=told):
        make()


@pytest.mark.parametrize("kind", KINDS)
def test_a_dtype_that_is_not_floating_is_refused(kind):
    with pytest.raises(TypeError, match="expected a floating dtype, got int32"):
        getattr(rnn, kind)(3, 4, dtype="int32")


# ---- models


def of_one_width(kind: str) -> Any:
    return lambda i, h: getattr(rnn, kind)(i, h)


@pytest.mark.parametrize("kind", first(len(FEW), ahead(FEW, KINDS)))
def test_a_language_model_learns_and_streams(kind):
    engine.seed(2)
    model = LanguageModel(6, 8, 8, cell=of_one_width(kind))
    x = np.arange(24)[:, None] % 6 + np.zeros((1, 3), int)
    optimizer = rnn.optim.Adam(model.parameters(), lr=0.05)
    losses = []
    for _ in range(40):
        loss, _ = model.loss(x[:-1], x[1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    whole, _ = model(x)
    state, steps = None, []
    for row in x:
        logits, state = model.advance(row, state)
        steps.append(logits.numpy())
    np.testing.assert_allclose(np.stack(steps), whole.numpy(), rtol=1e-4, atol=1e-4)
    assert [next(model.generate([0, 1, 2, 3])) for _ in range(3)] == [4] * 3


@pytest.mark.parametrize("kind", first(len(FEW), ahead(FEW, KINDS)))
def test_models_of_whole_sequences(kind):
    # A classifier reads the outputs at the ends of the rows, not the first state.
    engine.seed(2)
    x, lengths = np.array([[1, 2, 3], [2, 0, 1], [3, 3, 2], [1, 1, 0], [0, 2, 1]]), [5, 2, 0]
    sizes: Any = {"embedding": 4, "hidden": 4, "cell": of_one_width(kind)}
    tagger = Tagger(4, 3, bidirectional=True, **sizes)
    assert tagger(x, lengths).shape == (5, 3, 3)
    for both in (False, True):
        model = Classifier(4, 3, bidirectional=both, **sizes)
        for p in model.recurrent.parameters():
            p.data = p.data + (0.3 * normal(*p.shape)).astype("float32")
        logits = model(x, lengths)
        y, _ = model.recurrent(model.embedding(engine.asarray(x)), lengths=lengths)
        ends = np.stack([y.numpy()[4, 0], y.numpy()[1, 1], 0 * y.numpy()[0, 2]])
        if both:
            ends[:, 4:] = y.numpy()[0, :, 4:]
        expected = ends @ model.head.weight.numpy().T + model.head.bias.numpy()
        np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-5, atol=1e-6)
        engine.sum(logits * logits).backward()
        assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("kind", ["LRUCell", "S4DCell", "MambaCell", "RWKV4Cell"])
def test_a_wrong_width_of_a_cell_with_equal_input_and_output_is_an_error(kind):
    with pytest.raises(ValueError, match="the output of the cell is 6 wide, expected hidden = 4"):
        Classifier(4, 3, embedding=6, hidden=4, cell=of_one_width(kind))


# ---- pictures and probes


@pytest.mark.parametrize(
    "name", first(4, ahead(["LRU", "S4D", "Mamba with a window", "sLSTM exp, heads"], CASES))
)
def test_pictures_over_time(name):
    cell = made(name)
    y, _ = rnn.Recurrent(cell)(normal(4, 1, cell.input_size))
    loss = engine.sum(y[-1] * y[-1])
    rolled = viz.draw_rolled(loss).svg()
    assert type(cell).__name__ in rolled
    for draw in (viz.draw_unrolled, viz.draw_gradients, viz.draw_story):
        assert "<svg" in draw(loss).svg()


@pytest.mark.parametrize("name", first(10, KINDS_FIRST))
def test_the_jacobian_of_a_probe_is_the_derivative_of_the_states(name):
    # dh_T/dh_1 of the first state by itself, from differences of the run from that state on.
    cell = made(name)
    run, x = rnn.Recurrent(cell), normal(4, 1, cell.input_size)
    probe = rnn.Probe(run, x)
    state = next(iter(cell.state_size))
    before = [probe.states[one][1].numpy() for one in cell.state_size]
    found = probe.jacobian(state, 4, 1, state).numpy()

    def last(h: np.ndarray) -> np.ndarray:
        own = tuple(engine.asarray(one) for one in (h, *before[1:]))
        final = run(x[1:], own[0] if len(own) == 1 else own)[1]
        return np.asarray((final if isinstance(final, tuple) else (final,))[0].numpy()).ravel()

    columns = []
    for place in range(before[0].size):
        step = np.zeros(before[0].size)
        step[place] = 1e-6
        step = step.reshape(before[0].shape)
        columns.append((last(before[0] + step) - last(before[0] - step)) / 2e-6)
    expected = np.stack(columns, axis=-1)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-6, atol=1e-8)
