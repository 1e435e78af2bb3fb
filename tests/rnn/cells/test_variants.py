"""Test the cells of the literature: against their equations in NumPy, fused against explicit, to
second order, and as they print.
"""

from typing import Any

import numpy as np
import pytest

import engine
import rnn
from docs.make_cells import public
from rnn.cells.sizes import units
from tests import ROOT
from tests.draws import ahead, crossed, first, normal
from tests.rnn.cells import cell_equations, linear_cases

T, B, I, H, O = 5, 2, 3, 4, 2


def sigma(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def weights(cell: Any) -> dict[str, Any]:
    return {name: x.numpy() for name, x in cell.named_parameters()}


def elman_sigmoid(p: Any, x: Any, h: Any) -> Any:
    h = sigma(x @ p["weight_ih"].T + p["bias_ih"] + h @ p["weight_hh"].T + p["bias_hh"])
    return h, (h,)


def jordan(p: Any, x: Any, y: Any) -> Any:
    h = np.tanh(x @ p["weight_ih"].T + p["bias_h"] + y @ p["weight_yh"].T)
    y = h @ p["weight_ho"].T + p["bias_o"]
    return y, (y,)


def elman_jordan(p: Any, x: Any, h: Any, y: Any) -> Any:
    a = x @ p["weight_ih"].T + p["bias_h"] + h @ p["weight_hh"].T + y @ p["weight_yh"].T
    h = np.tanh(a)
    y = sigma(h @ p["weight_ho"].T + p["bias_o"])
    return y, (h, y)


def gru_take_new(p: Any, x: Any, h: Any) -> Any:
    u_r, u_z, u_n = np.split(x @ p["weight_ih"].T + p["bias_ih"], 3, -1)
    v_r, v_z, v_n = np.split(h @ p["weight_hh"].T + p["bias_hh"], 3, -1)
    z = sigma(u_z + v_z)
    h = z * np.tanh(u_n + sigma(u_r + v_r) * v_n) + (1 - z) * h
    return h, (h,)


def reset_before(p: Any, x: Any, h: Any) -> Any:
    w_r, w_z, w_n = np.split(p["weight_hh"], 3)
    u_r, u_z, u_n = np.split(x @ p["weight_ih"].T + p["bias_ih"], 3, -1)
    r, z = sigma(u_r + h @ w_r.T), sigma(u_z + h @ w_z.T)
    h = (1 - z) * np.tanh(u_n + (r * h) @ w_n.T) + z * h
    return h, (h,)


def one_gate(p: Any, x: Any, c: Any) -> Any:
    n, u = np.split(x @ p["weight_ih"].T + p["bias_ih"] + c @ p["weight_hh"].T, 2, -1)
    c = sigma(u) * np.tanh(n) + (1 - sigma(u)) * c
    return c, (c,)


def minimal(p: Any, x: Any, h: Any) -> Any:
    w_f, w_n = np.split(p["weight_hh"], 2)
    u_f, u_n = np.split(x @ p["weight_ih"].T + p["bias_ih"], 2, -1)
    f = sigma(u_f + h @ w_f.T)
    h = (1 - f) * h + f * np.tanh(u_n + (f * h) @ w_n.T)
    return h, (h,)


def peephole(p: Any, x: Any, h: Any, c: Any) -> Any:
    a = x @ p["weight_ih"].T + p["bias_ih"] + h @ p["weight_hh"].T + p["bias_hh"]
    a_i, a_f, a_g, a_o = np.split(a, 4, -1)
    w = p["weight_ch"]
    see = [(lambda c, k=k: c * w[k]) if w.shape[0] == 3 else
           (lambda c, k=k: c @ np.split(w, 3)[k].T) for k in range(3)]  # fmt: skip
    new = sigma(a_f + see[1](c)) * c + sigma(a_i + see[0](c)) * np.tanh(a_g)
    h = sigma(a_o + see[2](new)) * np.tanh(new)
    return h, (h, new)


def coupled(p: Any, x: Any, h: Any, c: Any) -> Any:
    a = x @ p["weight_ih"].T + p["bias_ih"] + h @ p["weight_hh"].T + p["bias_hh"]
    f, g, o = np.split(a, 3, -1)
    c = sigma(f) * c + (1 - sigma(f)) * np.tanh(g)
    h = sigma(o) * np.tanh(c)
    return h, (h, c)


def normed(x: Any, gain: Any, bias: Any = 0.0) -> Any:
    d = x - x.mean(-1, keepdims=True)
    return d / np.sqrt((d * d).mean(-1, keepdims=True) + 1e-5) * gain + bias


def layer_norm_lstm(p: Any, x: Any, h: Any, c: Any) -> Any:
    a = normed(x @ p["weight_ih"].T, p["gain_ih"], p["bias"])
    i, f, g, o = np.split(a + normed(h @ p["weight_hh"].T, p["gain_hh"]), 4, -1)
    c = sigma(f) * c + sigma(i) * np.tanh(g)
    h = sigma(o) * np.tanh(normed(c, p["gain_c"], p["bias_c"]))
    return h, (h, c)


def independent(p: Any, x: Any, h: Any) -> Any:
    h = np.maximum(x @ p["weight_ih"].T + p["bias"] + p["weight_hh"] * h, 0)
    return h, (h,)


def textbook(p: Any, x: Any, a: Any) -> Any:
    a = np.tanh(a @ p["W_aa"].T + x @ p["W_ax"].T + p["b_a"])
    return a @ p["W_ya"].T + p["b_y"], (a,)


def projected(p: Any, x: Any, h: Any, c: Any) -> Any:
    a = x @ p["weight_ih"].T + p["bias_ih"] + h @ p["weight_hh"].T + p["bias_hh"]
    i, f, g, o = np.split(a, 4, -1)
    c = sigma(f) * c + sigma(i) * np.tanh(g)
    h = (sigma(o) * np.tanh(c)) @ p["weight_hr"].T
    return h, (h, c)


D: dict[str, Any] = {"dtype": "float64"}
GATED: dict[str, Any] = {
    "elman sigmoid": (lambda: rnn.ElmanCell(I, H, nonlinearity="sigmoid", **D), elman_sigmoid),
    "jordan": (lambda: rnn.JordanCell(I, H, O, **D), jordan),
    "elman jordan": (lambda: rnn.ElmanJordanCell(I, H, O, output="sigmoid", **D), elman_jordan),
    "gru take new": (lambda: rnn.GRUCell(I, H, take_new=True, **D), gru_take_new),
    "reset before": (lambda: rnn.ResetBeforeGRUCell(I, H, **D), reset_before),
    "one gate": (lambda: rnn.OneGateGRUCell(I, H, **D), one_gate),
    "minimal": (lambda: rnn.MinimalGatedCell(I, H, **D), minimal),
    "peephole": (lambda: rnn.PeepholeLSTMCell(I, H, **D), peephole),
    "full peephole": (lambda: rnn.PeepholeLSTMCell(I, H, full=True, **D), peephole),
    "coupled": (lambda: rnn.CoupledLSTMCell(I, H, **D), coupled),
    "layer norm": (lambda: rnn.LayerNormLSTMCell(I, H, **D), layer_norm_lstm),
    "independent": (lambda: rnn.IndRNNCell(I, H, **D), independent),
    "textbook": (lambda: rnn.TextbookCell(I, H, O, **D), textbook),
    "projected": (lambda: rnn.LSTMCell(I, H, proj_size=2, **D), projected),
}
CELLS = GATED | cell_equations.CELLS | cell_equations.SPIKING
OPTIONS = {"elman sigmoid", "gru take new", "full peephole"}  # of cells that are held elsewhere
KINDS = [*(name for name in GATED if name not in OPTIONS), *cell_equations.KINDS]
KINDS_FIRST = ahead(KINDS, CELLS)
ROUGH = {"independent", *cell_equations.SPIKING}  # differences are no measure of their slopes


def made(name: str) -> Any:
    engine.seed(7)
    cell = CELLS[name][0]()
    for number, x in enumerate(cell.parameters()):  # biases and gains too
        x.data = x.data + 0.1 * normal(*x.shape, salt=number)
    return cell


def initial(cell: Any) -> list[Any]:
    return [normal(B, *units(n), salt=5 + i) for i, n in enumerate(cell.state_size.values())]


def trained(run: Any) -> list[Any]:
    return [x for x in run.parameters() if x.requires_grad]


def test_every_public_cell_is_held_against_its_equations():
    held = {type(make()) for make, _ in CELLS.values()}
    held |= {type(case.make("float64")) for case in linear_cases.CASES.values()}
    missing = {kind.__name__ for kind in public()} - {kind.__name__ for kind in held}
    assert not missing, (
        "enter them in CELLS here, or in those of cell_equations.py or linear_cases.py, as "
        '"name": (lambda: rnn.NewCell(I, H, **D), a function (p, x, *states) -> (y, states) of the '
        "paper's equations in NumPy)"
    )


@pytest.mark.parametrize("name", CELLS)
def test_cells_are_their_equations(name):
    cell, x = made(name), normal(T, B, I)
    states = initial(cell)
    given = states[0] if len(states) == 1 else tuple(states)
    y, final = rnn.Recurrent(cell)(x, given)
    now, ys = tuple(states), []
    for t in range(T):
        out, now = CELLS[name][1](weights(cell), x[t], *now)
        ys.append(out)
    np.testing.assert_allclose(y.numpy(), np.stack(ys), rtol=1e-10, atol=1e-12)
    finals = final if isinstance(final, tuple) else (final,)
    for own, other in zip(finals, now, strict=True):
        np.testing.assert_allclose(own.numpy(), other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", first(len(KINDS), KINDS_FIRST))
def test_cells_are_compiled_and_agree_with_the_loop(name):
    cell = made(name)
    run = rnn.Recurrent(cell)
    states = [engine.asarray(s) for s in initial(cell)]
    text = engine.explain_scan(run.step(), states[0] if len(states) == 1 else tuple(states),
                               engine.asarray(normal(T, B, I)))  # fmt: skip
    assert text.startswith("c: runs it")
    found = []
    for unroll in (False, True):
        x = engine.asarray(normal(T, B, I), requires_grad=True)
        y, _ = run(x, None, [3, 0], unroll=unroll)
        grads = engine.gradients(engine.sum(y * normal(*y.shape, salt=3)), [x, *trained(run)])
        found.append([y, *grads])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-9, atol=1e-11)


# Of each kind of cell the first derivative is held against the loop above.
SMOOTH = sorted(set(CELLS) - ROUGH)


@pytest.mark.parametrize("name", first(2, ahead(["delta", "layer norm"], SMOOTH)))
def test_second_order_through_cells(name):
    run = rnn.Recurrent(made(name))
    assert engine.gradcheck(lambda x: run(x)[0], [normal(3, 1, I)], order=2)


@pytest.mark.parametrize("name", CELLS)
def test_latex_names_every_state_and_parameter(name):
    cell = made(name)
    text = rnn.latex(cell)
    assert text.startswith(r"\begin{aligned}")
    assert text.count("{") == text.count("}")
    assert "_t_" not in text
    for state in cell.state_size:
        assert f"\n{state}_t &= " in text
        assert f"{state}_{{t-1}}" in text


def test_latex_of_a_users_cell():
    class Leaky(rnn.Cell):
        input_size, state_size = 3, {"h": 3}

        def step(self, x, h):
            n = engine.tanh(x - h)
            h = 0.9 * h + 0.1 * (n * h)
            return h, h

    assert rnn.latex(Leaky()) == "\n".join([
        r"\begin{aligned}",
        r"n_t &= \tanh\left(x_t - h_{t-1}\right) \\",
        r"h_t &= 0.9 \odot h_{t-1} + 0.1 \odot n_t \odot h_{t-1}",
        r"\end{aligned}",
    ])  # fmt: skip


def test_names_of_either_notation():
    cell = rnn.TextbookCell(I, H, O)
    assert cell.W is cell.W_aa
    new = rnn.parameter((O, H))
    cell.V = new
    assert cell.W_ya is new
    assert list(dict(cell.named_parameters())) == ["W_aa", "W_ax", "W_ya", "b_a", "b_y"]
    with pytest.raises(AttributeError, match="no attribute 'Q'"):
        _ = cell.Q
    with pytest.warns(DeprecationWarning, match="TextbookCell"):
        assert rnn.TeachingCell is rnn.TextbookCell


def test_forget_bias_and_other_options():
    cell = rnn.LSTMCell(I, H, forget_bias=1.0)
    assert (cell.bias_ih.numpy()[H : 2 * H] == 1).all()
    assert (cell.bias_hh.numpy()[H : 2 * H] == 0).all()
    assert cell.bias_ih.requires_grad
    with pytest.raises(ValueError, match="bias=False leaves none"):
        rnn.LSTMCell(I, H, forget_bias=1.0, bias=False)
    with pytest.raises(ValueError, match="nonlinearity 'no': expected one of"):
        rnn.IndRNNCell(I, H, nonlinearity="no")


def test_teacher_forcing_computes_all_steps_at_once():
    cell = made("jordan")
    x, target = normal(T, B, I), normal(T, B, O, salt=1)
    together = cell.forced(engine.asarray(x), engine.asarray(target)).numpy()
    before = np.concatenate([np.zeros((1, B, O)), target[:-1]])
    for t in range(T):
        y, _ = cell.step(engine.asarray(x[t]), engine.asarray(before[t]))
        np.testing.assert_allclose(together[t], y.numpy(), rtol=1e-12)
    with pytest.raises(TypeError, match="depends on the h before it"):
        made("elman jordan").forced(x, target)


# ---- around the cell


def test_every_gate_and_state_is_seen():
    cell = rnn.LSTMCell(I, H, **D)
    run = rnn.Recurrent(cell)
    x = engine.asarray(normal(T, B, I), requires_grad=True)
    y, (_, c), found = rnn.observe(run, x, None, [T, 2])
    assert list(found) == ["a", "i", "f", "g", "o", "c", "h"]
    np.testing.assert_array_equal(found["h"].numpy(), y.numpy())
    np.testing.assert_allclose(found["c"].numpy()[-1, 0], c.numpy()[0], rtol=1e-12)
    np.testing.assert_allclose(found["f"].numpy()[:, 0], sigma(found["a"].numpy()[:, 0, H : 2 * H]))
    assert not found["i"].numpy()[2:, 1].any()
    plain = run(x, None, [T, 2])[0]
    np.testing.assert_allclose(plain.numpy(), y.numpy(), rtol=1e-12)
    (g,) = engine.gradients(engine.sum(found["f"] * found["c"]), [x])
    with engine.explicit():
        _, _, again = rnn.observe(run, x, None, [T, 2])
    (other,) = engine.gradients(engine.sum(again["f"] * again["c"]), [x])
    np.testing.assert_allclose(g.numpy(), other.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("name", ["projected", "reset before"])
def test_rows_that_restart(name, batch_first):
    cell, x = made(name), normal(T, B, I)
    resets = np.zeros((T, B), bool)
    resets[2, 0] = resets[4, 1] = True
    run = rnn.Recurrent(cell, batch_first=batch_first)
    given = (x.swapaxes(0, 1), resets.T) if batch_first else (x, resets)
    y, _ = run(given[0], resets=given[1])
    y = y.numpy().swapaxes(0, 1) if batch_first else y.numpy()
    plain = rnn.Recurrent(cell)
    for row, cut in ((0, 2), (1, 4)):
        own = x[:, row : row + 1]
        expected = np.concatenate([plain(own[:cut])[0].numpy(), plain(own[cut:])[0].numpy()])
        np.testing.assert_allclose(y[:, row : row + 1], expected, rtol=1e-10)
    with pytest.raises(ValueError, match="expected resets as booleans"):
        run(given[0], resets=np.zeros((T, B)))


def test_stacks_and_directions_of_any_cells():
    engine.seed(1)
    net = rnn.Stacked([
        rnn.Bidirectional(rnn.GRUCell(I, H, **D), rnn.PeepholeLSTMCell(I, 3, **D)),
        rnn.MinimalGatedCell(H + 3, O, **D),
    ])  # fmt: skip
    x, lengths = normal(T, B, I), [4, 0]
    y, ((first, second), last) = net(x, None, lengths)
    both, top = net.layers
    z = engine.concat([rnn.Recurrent(both.onward.cell)(x, None, lengths)[0],
                       rnn.Recurrent(both.backward.cell, reverse=True)(x, None, lengths)[0]],
                      axis=-1)  # fmt: skip
    expected, final = top(z, None, lengths)
    np.testing.assert_array_equal(y.numpy(), expected.numpy())
    np.testing.assert_array_equal(last.numpy(), final.numpy())
    assert (first.shape, second[1].shape) == ((B, H), (B, 3))
    again, _ = net(x, [(first, second), last])
    assert again.shape == (T, B, O)
    with pytest.raises(ValueError, match="expected 2 states, one a layer, got 1"):
        net(x, [None])
    with pytest.raises(ValueError, match=r"expected cells of one input_size.* got 3 and 4"):
        rnn.Bidirectional(rnn.GRUCell(3, 2), rnn.GRUCell(4, 2))
    with pytest.raises(ValueError, match="Stacked: expected at least one layer"):
        rnn.Stacked([])


# ---- packed batches


@pytest.mark.parametrize("batch_first", [False, True])
def test_packing_is_undone_by_padding(batch_first):
    x, lengths = normal(T, 3, I), [2, 5, 3]
    for row, length in enumerate(lengths):
        x[length:, row] = 0
    given = engine.asarray(x.swapaxes(0, 1) if batch_first else x, requires_grad=True)
    packed = rnn.pack_padded(given, lengths, batch_first=batch_first)
    assert packed.data.shape == (10, I)
    back, own = rnn.pad_packed(packed, batch_first=batch_first)
    np.testing.assert_array_equal(back.numpy(), given.numpy())
    assert own.numpy().tolist() == lengths
    assert rnn.pad_packed(packed, total_length=8)[0].shape == (8, 3, I)
    (g,) = engine.gradients(engine.sum(packed.data), [given])
    assert g.numpy().sum() == 10 * I
    for wrong in ([0, 1, 2], [6, 1, 1], [1, 2], [1.0, 2.0, 3.0]):
        with pytest.raises(ValueError, match="pack_padded"):
            rnn.pack_padded(given, wrong, batch_first=batch_first)


def test_layers_take_packed_batches():
    net = rnn.LSTM(I, H, num_layers=2, bidirectional=True, **D)
    x, lengths = engine.asarray(normal(T, 3, I)), [2, 5, 3]
    packed = rnn.pack_padded(x, lengths)
    y, (h, c) = net(packed)
    expected, (h2, c2) = net(x, None, lengths)
    np.testing.assert_allclose(rnn.pad_packed(y)[0].numpy(), expected.numpy(), rtol=1e-12)
    for one, other in ((h, h2), (c, c2)):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12)


def test_stacks_read_packed_batches_in_the_order_of_axes_of_their_layers():
    pair = (rnn.GRUCell(I, 2, dtype=engine.float64) for _ in range(2))
    net = rnn.Stacked([rnn.Bidirectional(*pair, batch_first=True)])
    x, lengths = engine.asarray(normal(3, 3, I)), [1, 3, 2]  # as many rows as steps
    y, [states] = net(rnn.pack_padded(x, lengths, batch_first=True))
    expected, [finals] = net(x, None, lengths)
    found = rnn.pad_packed(y, batch_first=True)[0]
    for own, other in zip((found, *states), (expected, *finals), strict=True):
        np.testing.assert_allclose(own.numpy(), other.numpy(), rtol=1e-12)


def test_packed_batches_of_torch():
    torch = pytest.importorskip("torch")
    x, lengths = torch.tensor(normal(T, 3, I)), torch.tensor([2, 5, 3])
    theirs = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    ours = rnn.pack_padded(engine.asarray(x.numpy()), [2, 5, 3])
    np.testing.assert_array_equal(ours.data.numpy(), theirs.data.numpy())
    np.testing.assert_array_equal(ours.batch_sizes.numpy(), theirs.batch_sizes.numpy())
    net = rnn.GRU(I, H, **D)
    np.testing.assert_array_equal(net(theirs)[0].data.numpy(), net(ours)[0].data.numpy())


# ---- corners, for every cell


# Sums over units, products of two gates, states of other widths, a scale, thresholds.
SMALLEST = ["layer norm", "reset before", "projected", "legendre", "mlstm of heads", "adapts"]


@pytest.mark.parametrize("name", first(len(SMALLEST), ahead(SMALLEST, CELLS)))
def test_the_smallest_sizes(name):
    # T = 1, B = 1, and rows of length 0.
    cell = made(name)
    run = rnn.Recurrent(cell)
    x = normal(1, 1, I)
    y, final = run(x)
    unrolled, _ = run(x, unroll=True)
    np.testing.assert_allclose(y.numpy(), unrolled.numpy(), rtol=1e-12, atol=1e-14)
    given = [engine.asarray(s[:1]) for s in initial(cell)]
    none, final = run(x, given[0] if len(given) == 1 else tuple(given), [0])
    assert not none.numpy().any()
    for own, other in zip(final if isinstance(final, tuple) else (final,), given, strict=True):
        np.testing.assert_array_equal(own.numpy(), other.numpy())


@pytest.mark.parametrize(("name", "unroll"), first(len(KINDS), crossed(KINDS_FIRST, [False, True])))
def test_nan_in_padding_changes_nothing(name, unroll):
    run = rnn.Recurrent(made(name))
    clean, lengths = normal(T, B, I), [3, 0]
    dirty = clean.copy()
    dirty[3:, 0] = dirty[:, 1] = np.nan
    found = []
    for values in (clean, dirty):
        x = engine.asarray(values, requires_grad=True)
        y, final = run(x, None, lengths, unroll=unroll)
        parts = final if isinstance(final, tuple) else (final,)
        loss = engine.sum(y * y) + sum(engine.sum(part * part) for part in parts)
        found.append([y, *parts, *engine.gradients(loss, [x, *trained(run)])])
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_one_unit():
    for kind in (rnn.ElmanCell, rnn.LSTMCell, rnn.GRUCell, rnn.MinimalGatedCell,
                 rnn.PeepholeLSTMCell, rnn.CoupledLSTMCell, rnn.IndRNNCell):  # fmt: skip
        run = rnn.Recurrent(kind(1, 1, dtype="float64"))
        x = normal(T, 1, 1)
        np.testing.assert_allclose(run(x)[0].numpy(), run(x, unroll=True)[0].numpy(), rtol=1e-12)


def test_the_page_of_cells_is_what_the_cells_say():
    import runpy

    made = runpy.run_path(str(ROOT / "docs" / "make_cells.py"))
    assert made["PAGE"].read_text(encoding="utf-8") == made["page"](), (
        "run: python docs/make_cells.py"
    )


# ---- bad input


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "3", True])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("kind", [rnn.LSTM, rnn.GRUCell, rnn.IndRNNCell, rnn.MinimalGatedCell])
def test_sizes_are_positive_integers(kind, place, wrong):
    sizes: list[Any] = [I, H]
    sizes[place] = wrong
    with pytest.raises(ValueError, match=f"expected positive integers, got .*={wrong!r}"):
        kind(*sizes)


@pytest.mark.parametrize("lengths", [[-1, 2], [6, 2], [1.0, 2.0], [1, 2, 3], [[1, 2]]])
def test_lengths_that_do_not_fit(lengths):
    with pytest.raises(ValueError, match="lengths"):
        rnn.GRU(I, H)(normal(T, B, I).astype("float32"), None, lengths)


def test_weights_that_do_not_fit_are_listed_and_nothing_changes():
    net = rnn.LSTM(I, H)
    before = net.state_dict()
    given = dict(before)
    given["weight_hh_l0"] = np.zeros((2, 2))
    given["renamed"] = given.pop("bias_ih_l0")
    with pytest.raises(ValueError, match="load_state_dict") as caught:
        net.load_state_dict(given)
    for told in ("missing: bias_ih_l0", "unknown: renamed", r"weight_hh_l0: shape (2, 2)"):
        assert told in str(caught.value)
    for name, values in net.state_dict().items():
        np.testing.assert_array_equal(values, before[name])


# ---- activations of a user, states, and what must not be mixed up


class PReLU(rnn.Module):
    def __init__(self):
        self.slope = rnn.parameter((1,), 0.0, dtype="float64", centre=0.25)

    def forward(self, x):
        return engine.where(x > 0, x, self.slope * x)


OWN = {
    "elman": lambda g: rnn.ElmanCell(I, H, nonlinearity=g, **D),
    "independent": lambda g: rnn.IndRNNCell(I, H, nonlinearity=g, **D),
    "jordan": lambda g: rnn.JordanCell(I, H, O, nonlinearity=g, **D),
    "elman jordan": lambda g: rnn.ElmanJordanCell(I, H, O, output=g, **D),
    "textbook": lambda g: rnn.TextbookCell(I, H, O, g1=g, **D),
}


@pytest.mark.parametrize("name", first(2, ahead(["elman jordan", "textbook"], OWN)))
def test_a_users_activations_are_never_out_of_date(name):
    strength = [1.0]
    run = rnn.Recurrent(OWN[name](lambda a: engine.tanh(strength[0] * a)))
    x = normal(T, B, I)
    for strength[0] in (1.0, 3.0):
        np.testing.assert_allclose(run(x)[0].numpy(), run(x, unroll=True)[0].numpy(), rtol=1e-10)


@pytest.mark.parametrize("name", first(2, ahead(["elman jordan", "textbook"], OWN)))
def test_parameters_of_activations_are_trained(name):
    run = rnn.Recurrent(OWN[name](PReLU()))
    (slope,) = [x for path, x in run.named_parameters() if path.endswith("slope")]
    engine.sum(run(normal(T, B, I))[0]).backward()
    assert slope.grad is not None
    assert run.eval().cell.training is False


def test_states_in_the_wrong_form_are_refused():
    with pytest.raises(ValueError, match=r"LSTMCell: expected states h, c .*; a cell returns"):
        rnn.LSTMCell(I, H)(engine.ones((2, I)), engine.ones((2, H)))
    with pytest.raises(ValueError, match="GRUCell: expected states h as tensors, got 5"):
        rnn.GRUCell(I, H)(engine.ones((2, I)), 5)
    gru = rnn.GRUCell(I, I)
    with pytest.raises(ValueError, match="Stacked: expected a list of states"):
        rnn.Stacked([gru, rnn.GRUCell(I, H)])(engine.ones((T, 2, I)), engine.ones((2, 2, I)))
    with pytest.raises(ValueError, match="Bidirectional: expected a pair of states"):
        rnn.Bidirectional(gru, gru)(engine.ones((T, 2, I)), engine.ones((2, 2, I)))


def test_a_wrapped_copy_has_a_mode_of_its_own():
    net = rnn.Recurrent(rnn.Zoneout(rnn.GRUCell(I, H), 0.5))
    copied = rnn.wrapped(net, lambda cell: rnn.WeightDropout(cell, 0.2))
    copied.eval()
    assert net.cell.training
    assert not copied.cell.training
    ours, theirs = (one.parameters() for one in (net, copied))
    assert {id(x) for x in ours} == {id(x) for x in theirs}


def test_mistakes_of_a_new_user():
    net = rnn.LSTM(I, H)
    with pytest.raises(
        ValueError, match=r"LSTM\.weight_hh_l0: expected shape \(16, 4\), got \(2, 2\)"
    ):
        net.weight_hh_l0 = engine.ones((2, 2))
    x = normal(T, 2, I).astype("float32")
    packed = rnn.pack_padded(x, [3, 2])
    with pytest.raises(ValueError, match="a packed batch has its lengths in it"):
        net(packed, None, [1, 1])
    with pytest.raises(ValueError, match=r"total_length of at least 3, .* got 2"):
        rnn.pad_packed(packed, total_length=2)
    with pytest.raises(TypeError, match="expected a floating dtype, got int32"):
        rnn.LSTM(I, H, dtype="int32")
    assert rnn.LSTM(np.int64(I), np.int64(H))(x)[0].shape == (T, 2, H)


def test_slices_of_weights_are_no_gates_in_latex():
    text = rnn.latex(rnn.ResetBeforeGRUCell(I, H))
    assert r"\left[v_{r,t}, v_{z,t}\right] &= {W_{hh}}_{0:8} h_{t-1}" in text
    assert text.count("v_{r,t}, v_{z,t}") == 1


def test_tensors_can_be_saved(tmp_path):
    rnn.save(tmp_path / "x.safetensors", {"a": engine.ones(3, requires_grad=True), "b": np.ones(2)})
    arrays, _ = rnn.load(tmp_path / "x.safetensors")
    assert (arrays["a"].tolist(), arrays["b"].tolist()) == ([1, 1, 1], [1, 1])


def test_dtypes_meet_as_they_do_in_arithmetic():
    x = engine.asarray(normal(T, 2, I).astype("float32"))
    assert rnn.GRU(I, H, dtype="float64")(x)[0].dtype == engine.float64
    assert rnn.LSTM(I, H)(engine.astype(x, engine.float16))[0].dtype == engine.float32
    assert rnn.GRU(I, H)(np.ones((T, 2, I)))[0].dtype == engine.float64
    assert rnn.GRU(I, H)(np.ones((T, 2, I), int))[1].dtype == engine.float64
    with pytest.raises(ValueError, match=r"a state is float64, and x \(float32\).*engine.astype"):
        rnn.GRU(I, H)(x, np.zeros((1, 2, H)))


def test_dtypes_by_any_name():
    for name in ("f4", "float32", np.float32, engine.float32):
        assert rnn.GRUCell(I, H, dtype=name).weight_ih.dtype == engine.float32
