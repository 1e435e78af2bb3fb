"""Test cells with states of any rank, several inputs, and the time; and the memo of steps."""

from typing import Any

import numpy as np
import pytest

import engine
import rnn
import viz
from engine import tanh
from tests.draws import first

T, B, K, V = 5, 3, 2, 4


class Fast(rnn.Cell):
    """Keep fast weights: a matrix as the state, read by the input."""

    input_size, state_size = K + V, {"S": (K, V)}

    def __init__(self) -> None:
        self.w = rnn.parameter((K,), 0.5, dtype="float64")

    def step(self, x, S):
        k, v = x[:, :K], x[:, K:]
        write = engine.expand_dims(k, axis=-1) * engine.expand_dims(v, axis=1)
        S_new = 0.9 * S + write * engine.expand_dims(self.w, axis=-1)
        y = engine.sum(S_new * engine.expand_dims(k, axis=-1), axis=1)
        return y, S_new


class Mixed(rnn.Cell):
    """Keep a matrix, a vector and a number a row as states."""

    input_size, state_size = V, {"S": (K, V), "h": V, "n": None}

    def __init__(self) -> None:
        self.w = rnn.parameter((V, V), 0.5, dtype="float64")

    def step(self, x, state):
        S, h, n = state
        h = tanh(engine.linear(h, self.w) + x + engine.sum(S, axis=1))
        h = h / engine.expand_dims(n + 1, axis=-1)
        S = 0.5 * S + engine.expand_dims(h, axis=1)
        n = n + 1 + 0.1 * engine.sum(h * h, axis=-1)
        return S, (S, h, n)


class Timed(rnn.Cell):
    """Take x and the time since the last event."""

    input_size, state_size = (V, None), {"h": V}

    def __init__(self) -> None:
        self.w = rnn.parameter((V, V), 0.5, dtype="float64")

    def step(self, x, h):
        x, dt = x
        decay = engine.exp(-engine.expand_dims(dt, axis=-1))
        h = tanh(engine.linear(h * decay, self.w) + x)
        return h, h


class Clocked(rnn.Cell):
    """Depend on the time in the step."""

    input_size, state_size = V, {"h": V}

    def step(self, x, h, t):
        h = h + x * engine.astype(t, x.dtype)
        return h, h


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.usefixtures("explicit")
@pytest.mark.parametrize("lengths", [None, [5, 2, 0]])
def test_a_matrix_as_the_state(lengths):
    cell, x = Fast(), normal(T, B, K + V)
    S, ys, finals = np.zeros((B, K, V)), [], np.zeros((B, K, V))
    for t in range(T):
        k, v = x[t, :, :K], x[t, :, K:]
        S = 0.9 * S + k[:, :, None] * v[:, None] * cell.w.numpy()[:, None]
        ys.append((S * k[:, :, None]).sum(1))
        for row in range(B):
            if lengths is None or t < lengths[row]:
                finals[row] = S[row]
    y, final = rnn.Recurrent(cell)(x, lengths=lengths)
    assert (y.shape, final.shape) == ((T, B, V), (B, K, V))
    np.testing.assert_allclose(final.numpy(), finals, rtol=1e-12)
    if lengths is None:
        np.testing.assert_allclose(y.numpy(), np.stack(ys), rtol=1e-12)


def test_states_of_several_ranks_alone_and_over_time():
    cell, x = Mixed(), normal(T, B, V)
    _, (S, h, n) = cell(engine.asarray(x[0]))
    assert (S.shape, h.shape, n.shape) == ((B, K, V), (B, V), (B,))
    with engine.explicit():
        y, (S, h, n) = rnn.Recurrent(cell, batch_first=True)(x.swapaxes(0, 1))
    assert (y.shape, S.shape, h.shape) == ((B, T, K, V), (B, K, V), (B, V))
    assert (n.numpy() > T).all()
    with pytest.raises(ValueError, match=r"states S, h, n of shapes \[\(3, 2, 4\), \(3, 4\), \(3,"):
        cell(engine.asarray(x[0]), (np.zeros((B, K)), np.zeros((B, V)), np.zeros(B)))


def test_rows_that_restart_in_states_of_any_rank():
    cell, x = Mixed(), normal(T, B, V)
    resets = np.zeros((T, B), bool)
    resets[3, 1] = True
    with engine.explicit():
        _, (S, _, n) = rnn.Recurrent(cell)(x, resets=resets)
        _, (alone, _, _) = rnn.Recurrent(cell)(x[3:, 1:2])
    assert [int(one) for one in n.numpy()] == [5, 2, 5]
    np.testing.assert_allclose(S.numpy()[1:2], alone.numpy(), rtol=1e-12)


@pytest.mark.usefixtures("explicit")
def test_a_matrix_is_observed_written_and_probed():
    run, x = rnn.Recurrent(Mixed()), normal(T, B, V)
    _, _, found = rnn.observe(run, x)
    assert {name: one.shape for name, one in found.items()} == {
        "h": (T, B, V), "S": (T, B, K, V), "n": (T, B),
    }  # fmt: skip
    assert r"S_t &= 0.5 \odot S_{t-1} + h_t" in rnn.latex(run.cell)
    probe = rnn.Probe(run, x)
    assert probe.states["S"][0].shape == (B, K, V)
    assert probe.jacobian("S", 3, 1, by="h").shape == (B, K * V, V)
    assert probe.jacobian_norms("S").shape == (T + 1, T + 1)
    assert probe.gradient_norms(engine.sum(probe.outputs[-1]))["S"].shape == (T + 1,)


@pytest.mark.usefixtures("explicit")
def test_a_pytree_of_inputs():
    cell, x, dt = Timed(), normal(T, B, V), np.abs(normal(T, B, seed=1))
    h = np.zeros((B, V))
    for t in range(T):
        h = np.tanh((h * np.exp(-dt[t][:, None])) @ cell.w.numpy().T + x[t])
    run = rnn.Recurrent(cell)
    np.testing.assert_allclose(run((x, dt))[1].numpy(), h, rtol=1e-12)
    turned = rnn.Recurrent(cell, batch_first=True)((x.swapaxes(0, 1), dt.T))
    np.testing.assert_allclose(turned[1].numpy(), h, rtol=1e-12)
    assert cell((x[0], dt[0]))[0].shape == (B, V)
    assert rnn.observe(run, (x, dt))[2]["decay"].shape == (T, B, 1)
    assert r"\exp\left(-x_{1,t}\right)" in rnn.latex(cell)
    assert rnn.Probe(run, (x, dt)).jacobian("h", 2, 1).shape == (B, V, V)
    marks = np.zeros((T, B), bool)
    assert run((x, dt), resets=marks)[0].shape == (T, B, V)


def test_inputs_in_a_dict_and_indices():
    class Words(rnn.Cell):
        input_size, state_size = {"word": None, "x": V}, {"h": V}

        def __init__(self) -> None:
            self.table = rnn.parameter((7, V), dtype="float64")

        def step(self, x, h):
            h = tanh(engine.embedding(self.table, x["word"]) + x["x"] + h)
            return h, h

    cell, x = Words(), normal(T, B, V)
    words = np.random.default_rng(0).integers(0, 7, size=(T, B))
    h = np.zeros((B, V))
    for t in range(T):
        h = np.tanh(cell.table.numpy()[words[t]] + x[t] + h)
    with engine.explicit():
        final = rnn.Recurrent(cell)({"word": words, "x": x})[1]
    np.testing.assert_allclose(final.numpy(), h, rtol=1e-12)
    assert "word_t" in rnn.latex(cell)


def test_widths_are_of_axes_or_of_several_inputs():
    class Two(rnn.Cell):
        input_size, state_size = (K, V), {"h": K}

        def step(self, x, h):
            a, b = x if isinstance(x, tuple) else (x[:, :, 0], x[:, 0])
            h = h + a + engine.sum(b, axis=-1, keepdims=True)
            return h, h

    run, one = rnn.Recurrent(Two()), normal(T, B, K, V)
    with engine.explicit():
        got, want = run(one)[1], run((one[..., 0], one[:, :, 0]))[1]
    np.testing.assert_allclose(got.numpy(), want.numpy())


def test_inputs_that_do_not_fit_are_refused():
    run, x, dt = rnn.Recurrent(Timed()), normal(T, B, V), normal(T, B)
    with pytest.raises(ValueError, match=r"expected inputs of the form \(4, None\), got"):
        run((x, dt, dt))
    with pytest.raises(ValueError, match=r"expected input 1 \(T, B\) with T and B the same"):
        run((x, dt[:-1]))
    with pytest.raises(ValueError, match=r"expected input 0 \(T, B, 4\)"):
        run((x[..., 1:], dt))


@pytest.mark.usefixtures("explicit")
@pytest.mark.parametrize("reverse", [False, True])
def test_a_step_that_takes_the_time(reverse):
    x = normal(T, B, V)
    want = (x * np.arange(T)[:, None, None]).sum(0)
    run = rnn.Recurrent(Clocked(), reverse=reverse)
    np.testing.assert_allclose(run(x)[1].numpy(), want, rtol=1e-12)
    np.testing.assert_allclose(run(x, resets=np.zeros((T, B), bool))[1].numpy(), want, rtol=1e-12)
    inside = rnn.Recurrent(rnn.Zoneout(Clocked(), 0.0), reverse=reverse)
    np.testing.assert_allclose(inside(x)[1].numpy(), want, rtol=1e-12)


def test_the_time_of_one_step_and_of_windows():
    x = engine.ones((B, V))
    assert float(Clocked()(x)[0][0, 0]) == 0
    assert float(Clocked()(x, t=3)[0][0, 0]) == 3
    assert r"x_t \odot t" in rnn.latex(Clocked())
    run, xs = rnn.Recurrent(Clocked()), normal(T, B, V)
    with engine.explicit():
        found = rnn.truncated(run, xs, kind="chunk", k=2)
        np.testing.assert_allclose(found.outputs.numpy(), run(xs)[0].numpy(), rtol=1e-6)


# ---- checkpoints


def test_checkpoints_leave_values_and_gradients_as_they_are():
    x = normal(9, B, V)
    layers: list[Any] = [
        lambda **o: rnn.GRU(V, V, 2, bidirectional=True, dtype="float64", **o),
        lambda **o: rnn.LSTM(V, V, dtype="float64", **o),
        lambda **o: rnn.RNN(V, V, dtype="float64", **o),
        lambda **o: rnn.Recurrent(rnn.GRUCell(V, V, dtype="float64"), **o),
        lambda **o: rnn.Bidirectional(*(rnn.GRUCell(V, V, dtype="float64"),) * 2, **o),
        lambda **o: rnn.Stacked([rnn.GRUCell(V, V, dtype="float64")], **o),
    ]
    for make in layers:
        found = []
        for checkpoint in (False, 3):
            net = make(checkpoint=checkpoint)
            for i, p in enumerate(net.parameters()):
                p.data = normal(*p.shape, seed=i) * 0.3
            y = net(x)[0]
            found.append([y, *engine.gradients(engine.sum(y * y), net.parameters())])
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10, atol=1e-12)


def test_models_take_checkpoints():
    models: Any = rnn.models
    made = [
        models.Classifier(9, 3, embedding=4, hidden=5, checkpoint=True),
        models.Tagger(9, 3, embedding=4, hidden=5, checkpoint=True),
        models.LanguageModel(9, 4, 5, checkpoint=True),
        models.Encoder(9, 4, 5, checkpoint=True),
        models.Encoder(9, 4, 5, cell=rnn.GRUCell, checkpoint=True),
    ]
    for model in made:
        runs = [m for m in model.modules() if isinstance(m, rnn.Recurrent)]
        layers = [r for m in model.modules() for own in getattr(m, "_runs", []) for r in own]
        assert {one.checkpoint for one in (*runs, *layers)} == {True}
        model([[1, 2], [3, 4]])
    decoder = models.Decoder(9, 4, 5, checkpoint=True)
    assert decoder([[1, 2], [3, 4]], decoder.start(batch=2)).logits.shape == (2, 2, 9)


# ---- what is remembered


class Remembering(rnn.Cell):
    """Depend on an attribute of any kind, in a pure cell."""

    pure = True
    input_size, state_size = V, {"h": V}

    def __init__(self, value: Any) -> None:
        self.value = value

    def step(self, x, h):
        value = self.value
        while not hasattr(value, "__mul__") or isinstance(value, (list, tuple)):
            value = value["a"] if isinstance(value, dict) else value[0]
        h = h + x * value
        return h, h


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (0.0, -0.0), (1, 1.0), (True, 1), (1.0, np.nextafter(1.0, 2)), (0.1, 0.1 + 1e-17 * 4),
        (np.float32(1), np.float64(1)), (np.ones(V), np.ones(V) * 2), ([1.0], [2.0]),
        ((1.0,), [1.0]), ({"a": 1.0}, {"a": 2.0}),
        (np.zeros(3000), np.concatenate([np.zeros(1500), np.ones(1), np.zeros(1499)])),
    ],
)  # fmt: skip
def test_values_that_differ_are_not_taken_for_each_other(first, second):
    same = 0.1 == 0.1 + 1e-17 * 4 and second == first if isinstance(first, float) else False
    cell = Remembering(first)
    memo = cell.memo()
    assert memo is not None
    memo["known"] = True
    assert cell.memo() is memo
    cell.value = second
    found = cell.memo()
    assert found is not None
    assert ("known" in found) == (bool(same) and str(first) == str(second))


def test_nan_is_the_same_as_itself():
    cell = Remembering(float("nan"))
    assert cell.memo() is cell.memo()


def test_tensors_are_distinguished_though_one_has_the_others_address():
    cell = Remembering(engine.ones(V))
    seen = []
    for _ in range(20):
        cell.value = engine.ones(V)
        memo = cell.memo()
        assert memo is not None
        seen.append("known" in memo)
        memo["known"] = True
    assert not any(seen)


def test_an_array_that_is_changed_in_place():
    values = np.ones(V, "float32")
    cell = Remembering(values)
    run, x = rnn.Recurrent(cell), engine.ones((1, 1, V))
    assert run(x)[1].numpy().tolist() == [[1] * V]
    values[:] = 3
    assert run(x)[1].numpy().tolist() == [[3] * V]


GAINS = [(2.0, 3.0), ([2.0], [3.0]), (np.ones(V, "float32"), np.zeros(V, "float32"))]


@pytest.mark.parametrize("values", GAINS)
def test_an_attribute_of_the_class_is_changed(values):
    class Shared:
        gain = values[0]

    class Own(rnn.Cell, Shared):
        pure = True
        input_size, state_size = V, {"h": V}

        def step(self, x, h):
            h = h + x * (self.gain[0] if isinstance(self.gain, list) else self.gain)
            return h, h

    run, x = rnn.Recurrent(Own()), engine.ones((1, 1, V))
    for Shared.gain in values:
        for _ in range(2):
            np.testing.assert_array_equal(run(x)[1].numpy()[0], np.ones(V) * Shared.gain)
    assert run.cell.remembers()


def test_modules_inside_are_named_with_all_that_they_have():
    class Around(rnn.Wrapper):
        pure = True

    cell = rnn.GRUCell(V, V)
    outer = Around(Around(cell))
    memo = outer.memo()
    assert memo is not None
    assert outer.memo() is memo
    cell.bias_hh = rnn.parameter((3 * V,))
    assert outer.memo() is not memo


def test_what_cannot_be_named_is_not_remembered():
    for value in (lambda x: x, object(), [object()], {"a": print}, rnn.Cell()):
        assert Remembering(value).memo() is None
        assert not Remembering(value).remembers()
    assert Remembering(engine.tanh).remembers()
    assert not hasattr(rnn.Recurrent(Remembering(print)).step().memo, "keys")


def test_wrappers_with_equal_values_share_nothing():
    class Scaled(rnn.Wrapper):
        pure = True

        def __init__(self, cell, gain):
            super().__init__(cell)
            self.gain = gain

        def step(self, x, h):
            return self.inner(x * self.gain, h)

    cell, x = rnn.GRUCell(V, V), engine.ones((2, 1, V))
    runs = [rnn.Recurrent(Scaled(cell, engine.asarray(np.float32(1), requires_grad=True)))
            for _ in range(2)]  # fmt: skip
    for run in runs:
        assert engine.gradients(engine.sum(run(x)[0]), [run.cell.gain])[0] is not None


def test_inputs_nested_in_another_way_are_recorded_again():
    class Either(rnn.Cell):
        pure = True
        input_size, state_size = V, {"h": V}

        def step(self, x, h):
            h = h + (x["a"] * 2 if isinstance(x, dict) else x[0])
            return h, h

    cell, x = Either(), engine.ones((1, 1, V))
    cell.input_size = {"a": V, "b": V}
    first = rnn.Recurrent(cell)({"a": x, "b": x})[1].numpy()
    cell.input_size = (V, V)
    second = rnn.Recurrent(cell)((x, x))[1].numpy()
    assert (first[0, 0], second[0, 0]) == (2, 1)


# ---- masks


def test_masks_are_handed_to_scan(monkeypatch):
    seen, scan = [], engine.scan

    def noted(*args: Any, mask: Any = None, **options: Any) -> Any:
        seen.append(mask)
        return scan(*args, **options)

    monkeypatch.setattr(engine, "scan", noted)
    mask, x = np.random.default_rng(0).random((T, B)) < 0.5, normal(T, B, V)
    rnn.GRU(V, V, 2, bidirectional=True)(x, mask=mask)
    rnn.GRU(V, V, batch_first=True)(x.swapaxes(0, 1), mask=mask.T)
    rnn.GRU(V, V)(x[:, 0], mask=mask[:, 0])
    rnn.Recurrent(rnn.GRUCell(V, V), batch_first=True)(x.swapaxes(0, 1), mask=mask.T)
    rnn.Stacked([rnn.GRUCell(V, V)])(x, mask=mask)
    rnn.Bidirectional(rnn.GRUCell(V, V), rnn.GRUCell(V, V))(x, mask=mask)
    assert len(seen) == 10
    for one in seen:
        assert one.dtype == engine.bool
        np.testing.assert_array_equal(one.numpy(), mask if one.shape[1] == B else mask[:, :1])
    with pytest.raises(
        ValueError, match=r"expected a mask as booleans \(5, 3\), got int64\[5, 3\]"
    ):
        rnn.Recurrent(rnn.GRUCell(V, V))(x, mask=mask.astype(int))
    with pytest.raises(ValueError, match=r"expected a mask \(T, B\), got \(5,\)"):
        rnn.GRU(V, V)(x, mask=mask[:, 0])


# ---- pictures


def recorded(cell: rnn.Cell, x: Any) -> tuple[engine.Tensor, rnn.Probe]:
    """Return a number that depends on every state, and the same run as a probe."""
    run = rnn.Recurrent(cell)
    with engine.explicit():
        y, final = run(x)
    finals = final if isinstance(final, tuple) else (final,)
    return sum((engine.sum(one * one) for one in finals), engine.sum(y)), rnn.Probe(run, x)


@pytest.mark.parametrize("state", ["S", "h", "n"])
def test_heat_maps_of_states_of_any_rank(state):
    loss, probe = recorded(Mixed(), normal(T, B, V))
    want = probe.jacobian_norms(state).numpy()[1:, 1:]
    drawn = viz.draw_jacobian_heatmap(loss, of=state).graph
    found = {(d["t"], d["k"]): d["jacobian_norm"] for _, _, d in drawn.edges(data=True)}
    assert found
    for (later, earlier), value in found.items():
        np.testing.assert_allclose(value, want[later, earlier], rtol=1e-6)


def test_gates_of_states_of_any_rank():
    x = normal(T, B, V)
    loss, _ = recorded(Mixed(), x)
    with engine.explicit():
        found = rnn.observe(rnn.Recurrent(Mixed()), x)[2]
    drawn = viz.draw_gates(loss, row=1).graph
    widths = {d["name"]: len(d["values"]) for _, d in drawn.nodes(data=True)}
    assert widths == {"h": V, "S": K * V, "n": 1}
    assert list(found) == ["h", "S", "n"]
    one = viz.draw_gates(loss, row=1, unit=0, names=["n"]).svg()
    assert "n" in one
    with pytest.raises(IndexError, match=r"unit 1 of 'n', which has 1"):
        viz.draw_gates(loss, unit=1, names=["n"])


@pytest.mark.parametrize("state", first(1, ["S", "n", "h"]))
def test_paths_between_states_of_any_rank(state):
    loss, _ = recorded(Mixed(), normal(T, B, V))
    path = viz.draw_bptt_path(loss, f"{state}3", f"{state}1")
    assert path.svg().startswith("<svg")
    assert viz.draw_bptt_path(loss, "L", f"{state}1", which="strongest").svg()
    assert viz.draw_bptt_path(loss, "L", "w", which="strongest").svg()


@pytest.mark.parametrize(
    ("make", "x"),
    [(Fast, normal(T, B, K + V)), (Mixed, normal(T, B, V)),
     (Timed, (normal(T, B, V), np.abs(normal(T, B))))],
)  # fmt: skip
def test_pictures_of_any_cell(make, x):
    cell = make()
    loss, _ = recorded(cell, x)
    for drawn in (viz.draw_gradients(loss), viz.draw_contributions([loss], cell.w)):
        assert drawn.svg().startswith("<svg")
    cuts = rnn.cut_edges(rnn.Recurrent(cell), T, kind="chunk", k=2)
    for level in ("op", "gate", "cell"):
        assert viz.draw_unrolled(loss, level=level).svg().startswith("<svg")
    for drawn in (viz.draw_rolled(loss), viz.draw_gates(loss)):
        assert drawn.svg().startswith("<svg")
    assert viz.draw_truncation(loss, cuts).svg().startswith("<svg")


def test_windows_of_a_pytree_and_projections_to_a_matrix():
    x, dt = normal(T, B, V), np.abs(normal(T, B))
    turned = rnn.Recurrent(Timed(), batch_first=True)
    for net, inputs in ((rnn.Recurrent(Timed()), (x, dt)), (turned, (x.swapaxes(0, 1), dt.T))):
        with engine.explicit():
            found = rnn.truncated(net, inputs, kind="chunk", k=2)
            np.testing.assert_allclose(found.outputs.numpy(), net(inputs)[0].numpy(), rtol=1e-12)
    bridge: Any = rnn.models.Bridge(3, [Mixed(), rnn.GRUCell(2, 4)])
    (S, h, n), last = bridge(np.ones((B, 3)))
    assert [one.shape for one in (S, h, n, last)] == [(B, K, V), (B, V), (B,), (B, 4)]


@pytest.mark.parametrize(
    ("sizes", "returned", "told"),
    [
        ({"state_size": 4, "input_size": 3}, None, 'state_size must be a dict.* such as {"h": 4}'),
        ({"state_size": {"h": 4}}, None, "has no input_size; set self.input_size"),
        ({"input_size": 3}, None, "state_size must be a dict"),
        (
            {"state_size": {"h": 3}, "input_size": 3},
            lambda x, h: h,
            "must return .y, state.*Tensor",
        ),
        ({"state_size": {"h": 3}, "input_size": 3}, lambda x, h: (h, h, h), "got 3 values"),
        ({"state_size": {"h": 3}, "input_size": 3}, lambda x, h: None, "got NoneType"),
    ],
)
def test_mistakes_of_a_users_cell_are_reported_in_a_sentence(sizes, returned, told):
    own = {"step": lambda self, x, h: returned(x, h)}
    cell = type("Mine", (rnn.Cell,), own | sizes)()
    with pytest.raises(TypeError, match=told):
        rnn.Recurrent(cell)(engine.ones((5, 2, 3)))


class Misshapen(rnn.Cell):
    def __init__(self, mistake):
        self.input_size, self.state_size, self.mistake = 3, {"h": 4}, mistake

    def step(self, x, h):
        return h, self.mistake(h)


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (lambda h: (h, h), r"form \(\*, \*\), expected \*, as state_size has h; .* \(y, state\)"),
        (lambda h: h[:, :1], r"state 0, h, changed from float32\[2, 4\] to float32\[2, 1\]"),
        (lambda h: engine.astype(h, engine.float64), r"engine\.astype\(\.\.\., float32\)"),
    ],
)
def test_a_state_that_a_cell_returns_in_another_form_is_named(mistake, told):
    with pytest.raises(ValueError, match=told):
        rnn.Recurrent(Misshapen(mistake))(engine.ones((5, 2, 3)))
