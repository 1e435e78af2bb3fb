"""Test regularisers around cells: their numbers, alike in every executor, in training only."""

import copy
import importlib
from itertools import pairwise

import numpy as np
import pytest

import engine
import rnn
from tests.draws import ahead, covering, first, normal

T, B, I, H = 6, 3, 4, 5
EXACT = {"rtol": 1e-10, "atol": 1e-12}
scan_module = importlib.import_module("engine.scan")
recorded_module = importlib.import_module("engine.scan.recorded")

CELLS = {
    "elman": lambda: rnn.ElmanCell(I, H, dtype="float64"),
    "lstm": lambda: rnn.LSTMCell(I, H, dtype="float64"),
    "gru": lambda: rnn.GRUCell(I, H, dtype="float64"),
}
MAKES = {
    "variational": lambda c: rnn.VariationalDropout(c, inputs=0.2, states=0.3, outputs=0.4),
    "update": lambda c: rnn.RecurrentDropout(c, 0.3),
    "state": lambda c: rnn.RecurrentDropout(c, {"h": 0.3}, on="state"),
    "zoneout": lambda c: rnn.Zoneout(c, 0.3),
    "weights": lambda c: rnn.WeightDropout(c, 0.4, names=("weight_hh", "weight_ih")),
    "two": lambda c: rnn.Zoneout(rnn.WeightDropout(c, 0.4), {"h": 0.2}),
    "two more": lambda c: rnn.WeightDropout(rnn.VariationalDropout(c, states=0.3), 0.4),
}


def parts(state):
    return state if isinstance(state, tuple) else (state,)


class Echo(rnn.Cell):
    """Output the input; the state counts nothing."""

    input_size, state_size = I, {"h": I}

    def step(self, x, h):
        return x, h


class Shift(rnn.Cell):
    """Keep x as the state and output it: the effect of a wrapper on it shows."""

    input_size, state_size, pure = I, {"s": I, "t": I}, True

    def step(self, x, state):
        s, t = state
        s, t = s + x, 2 * t - x
        return t, (s, t)


def run(net, executor="c", steps=None, checkpoint=False, seed=4):
    """Return outputs, states and all gradients by one executor."""
    engine.seed(seed)
    before = scan_module.EXECUTORS[:]
    scan_module.EXECUTORS[:] = [one for one in before if one.name in (executor, "explicit")]
    try:
        x = engine.asarray(normal(T, B, I), requires_grad=True)
        initial = tuple(engine.asarray(normal(B, size, salt=i), requires_grad=True)
                        for i, size in enumerate(net.cell.state_size.values()))  # fmt: skip
        state = initial[0] if len(initial) == 1 else initial
        if steps:  # as `Recurrent` would, with checkpoints inside of the recurrence
            with engine.scope("l0"):
                final, y = engine.scan(net.step(), state, x, checkpoint=steps)
        else:
            y, final = (engine.checkpoint(net) if checkpoint else net)(x, state)
        outs = [y, *parts(final)]
        seeds = [normal(*out.shape, salt=7) for out in outs]
        found = engine.gradients(outs, [x, *initial, *net.parameters()], seeds)
        return [one.numpy() for one in (*outs, *found)]
    finally:
        scan_module.EXECUTORS[:] = before


@pytest.mark.parametrize(("name", "kind", "training"), covering(MAKES, CELLS, [True, False]))
def test_every_executor_gives_the_same(kind, name, training):
    net = rnn.Recurrent(MAKES[name](CELLS[kind]())).train(training)
    text = engine.explain_scan(net.step(), net.cell.zero_state(B, like=engine.asarray(normal(1))),
                               normal(T, B, I))  # fmt: skip
    assert text.startswith("c: runs it")
    masks = [line for line in text.splitlines() if "= chance(" in line]
    assert all("[hoisted]" in line for line in masks)
    assert training or not masks  # in training some are drawn once, before the recurrence
    expected = run(net, "explicit")
    for options in ({}, {"executor": "plan"}, {"steps": 2}, {"checkpoint": True}):
        for one, other in zip(run(net, **options), expected, strict=True):
            np.testing.assert_allclose(one, other, **EXACT)
    pairs = zip(run(net, seed=5), run(net), strict=True)
    assert any((one != other).any() for one, other in pairs) == training


# Together they have masks of a step, of a call, and on weights.
FEW = ["update", "zoneout", "two more"]


@pytest.mark.parametrize("name", first(len(FEW), ahead(FEW, MAKES)))
def test_masks_are_the_same_on_every_device(name, device):
    net = rnn.Recurrent(MAKES[name](CELLS["lstm"]()))
    expected = run(net)[0]
    net.to(device)
    engine.seed(4)
    initial = tuple(engine.asarray(normal(B, H, salt=i), device=device) for i in range(2))
    y, _ = net(engine.asarray(normal(T, B, I), device=device), initial)
    assert y.device == device
    np.testing.assert_allclose(y.numpy(), expected, **EXACT)


@pytest.mark.parametrize("name", first(1, ahead(["two"], MAKES)))
def test_second_derivatives(name):
    net = rnn.Recurrent(MAKES[name](CELLS["lstm"]()))

    def f(x, h, c):
        engine.seed(2)
        return net(x, (h, c))[0]

    given = [normal(2, 2, I), normal(2, H, salt=1), normal(2, H, salt=2)]
    assert engine.gradcheck(f, given, order=2)


@pytest.mark.parametrize("name", ["variational", "update", "state", "weights", "two more"])
def test_in_evaluation_the_cell_is_as_it_was(name):
    cell = CELLS["lstm"]()
    net = rnn.Recurrent(MAKES[name](cell)).eval()
    plain = rnn.Recurrent(cell)
    for one, other in zip(run(net), run(plain), strict=True):
        np.testing.assert_array_equal(one, other)


# ---- what falls where


def test_variational_masks_stay_the_same_over_time_and_change_with_the_call():
    engine.seed(0)
    for options in ({"inputs": 0.25}, {"outputs": 0.25}):
        net = rnn.Recurrent(rnn.VariationalDropout(Echo(), **options))
        x = engine.ones((T, 400, I))
        first, second = net(x)[0].numpy(), net(x)[0].numpy()
        assert (first == first[:1]).all()
        assert (first != second).any()
        assert abs((first != 0).mean() - 0.75) < 0.03
        np.testing.assert_allclose(first[first != 0], 1 / 0.75, rtol=1e-6)
        assert (first[0] != first[0][:1]).any()  # every row has its own


def test_variational_masks_on_states_by_name():
    engine.seed(0)
    net = rnn.Recurrent(rnn.VariationalDropout(Shift(), states={"t": 0.5}))
    x = engine.zeros((T, B, 4))
    start = engine.ones((B, 4))
    y, (s, t) = net(x, (start, start))
    np.testing.assert_array_equal(s.numpy(), np.ones((B, 4)))
    kept = t.numpy() != 0
    assert 0 < kept.sum() < kept.size
    np.testing.assert_allclose(t.numpy()[kept], 4.0**T)  # twice by the cell, twice by the mask
    np.testing.assert_array_equal(y.numpy()[0] != 0, kept)
    single = rnn.VariationalDropout(CELLS["lstm"](), states=0.3)
    assert single.states == {"h": 0.3}
    assert rnn.VariationalDropout(Shift(), states=0.3).states == {"s": 0.3}


def walked(net, x, state):
    """Return every state of a recurrence, step after step, and its outputs."""
    found, outputs, step = [parts(state)], [], net.step()

    def noting(state, x):
        state, y = step(state, x)
        found.append(parts(state))
        outputs.append(y)
        return state, y

    with engine.scope("l0"):
        engine.scan(noting, state, x, unroll=True)
    return [[s.numpy() for s in states] for states in found], [y.numpy() for y in outputs]


def test_zoneout_keeps_units_as_they_were_and_takes_the_expectation_after():
    engine.seed(1)
    cell, p = rnn.LSTMCell(I, 60, dtype="float64"), {"h": 0.2, "c": 0.5}
    net = rnn.Recurrent(rnn.Zoneout(cell, p))
    x = engine.asarray(normal(T, B, I))
    state = tuple(engine.asarray(normal(B, 60, salt=i)) for i in range(2))
    states, outputs = walked(net, x, state)
    for t in range(T):
        before = tuple(map(engine.asarray, states[t]))
        new = [s.numpy() for s in cell.step(x[t], before)[1]]  # h from the c that is not zoned out
        for name, old, proposed, after in zip("hc", states[t], new, states[t + 1], strict=True):
            kept = after == old
            assert abs(kept.mean() - p[name]) < 0.12
            np.testing.assert_array_equal(after[~kept], proposed[~kept])
        np.testing.assert_array_equal(outputs[t], states[t + 1][0])
    assert any(((a[0] == b[0]) != (b[0] == c[0])).any()
               for a, b, c in zip(states, states[1:], states[2:], strict=False))  # fmt: skip
    states, outputs = walked(net.eval(), x, state)
    for t in range(T):
        new = [s.numpy() for s in cell.step(x[t], tuple(map(engine.asarray, states[t])))[1]]
        for name, old, proposed, after in zip("hc", states[t], new, states[t + 1], strict=True):
            np.testing.assert_allclose(after, p[name] * old + (1 - p[name]) * proposed, **EXACT)
        np.testing.assert_array_equal(outputs[t], states[t + 1][0])


def test_the_update_is_dropped_and_the_memory_is_not():
    engine.seed(1)
    cell, p = rnn.GRUCell(I, 60, dtype="float64"), 0.25
    net = rnn.Recurrent(rnn.RecurrentDropout(cell, p))
    x, h = engine.asarray(normal(T, B, I)), engine.asarray(normal(B, 60))
    states, outputs = walked(net, x, h)
    share = []
    for t in range(T):
        (old,), (after,) = states[t], states[t + 1]
        new = cell.step(x[t], engine.asarray(old))[1].numpy()
        dropped = after == old
        share.append(dropped.mean())
        expected = old + (new - old) / (1 - p)
        np.testing.assert_allclose(after[~dropped], expected[~dropped], **EXACT)
        np.testing.assert_array_equal(outputs[t], after)
    assert abs(np.mean(share) - p) < 0.05
    assert len(set(share)) > 1
    lstm = CELLS["lstm"]()
    assert rnn.RecurrentDropout(lstm, 0.3).p == {"c": 0.3}
    assert rnn.RecurrentDropout(lstm, 0.3, on="state").p == {"h": 0.3}


def test_the_state_that_is_read_is_dropped_with_a_new_mask_at_every_step():
    engine.seed(1)
    net = rnn.Recurrent(rnn.RecurrentDropout(Shift(), {"s": 0.5, "t": 1.0}, on="state"))
    x = engine.ones((T, 50, 4))
    start = engine.ones((50, 4))
    states, _ = walked(net, x, (start, start))
    masks = [after[0] == 1.0 for after in states[1:]]
    assert all((one != other).any() for one, other in pairwise(masks))
    for (s, _), (after, t) in pairwise(states):
        dropped = after == 1.0  # 0 + x
        np.testing.assert_array_equal(after[~dropped], 2 * s[~dropped] + 1)
        assert 0.3 < dropped.mean() < 0.7
        np.testing.assert_array_equal(t, -np.ones((50, 4)))


class Straight(rnn.Cell):
    """Compute y = W_hh x: with the unit vectors for x, the output is the weight."""

    input_size, state_size = I, {"h": I}
    pure = True

    def __init__(self):
        self.weight_hh = rnn.parameter((I, I), 1.0, dtype="float64")

    def step(self, x, h):
        return engine.linear(x, self.weight_hh), h


def test_weights_are_dropped_once_a_call():
    engine.seed(3)
    cell = Straight()
    net = rnn.Recurrent(rnn.WeightDropout(cell, 0.25))
    x = engine.asarray(np.broadcast_to(np.eye(I), (T, I, I)).copy())
    kept = []
    for _ in range(40):
        y, _ = net(x)
        weight = y.numpy()[0].T
        assert (y.numpy() == y.numpy()[:1]).all()
        kept.append(weight != 0)
        expected = np.where(kept[-1], cell.weight_hh.numpy() / 0.75, 0.0)
        np.testing.assert_allclose(weight, expected, rtol=1e-12)
        (g,) = engine.gradients(engine.sum(y), [cell.weight_hh])
        np.testing.assert_allclose(g.numpy(), kept[-1] * T / 0.75, rtol=1e-12)
    assert abs(np.mean(kept) - 0.75) < 0.06
    assert (kept[0] != kept[1]).any()


def test_no_random_numbers_where_every_probability_is_zero_and_nothing_left_where_it_is_one():
    cell = CELLS["lstm"]()
    idle = [rnn.VariationalDropout(cell), rnn.RecurrentDropout(cell, 0.0),
            rnn.Zoneout(cell, {"h": 0.0}), rnn.WeightDropout(cell, 0)]  # fmt: skip
    for wrapper in idle:
        for one, other in zip(run(rnn.Recurrent(wrapper)), run(rnn.Recurrent(cell)), strict=True):
            np.testing.assert_allclose(one, other, **EXACT)
    silent = rnn.Recurrent(rnn.VariationalDropout(Echo(), outputs=1.0))
    assert not silent(engine.ones((T, B, I)))[0].numpy().any()


# ---- around cells and layers


def test_the_mode_reaches_the_cells_of_layers():
    engine.seed(0)
    plain = rnn.LSTM(I, H, num_layers=2, bidirectional=True, dtype="float64")
    layer = rnn.wrapped(plain, lambda cell: rnn.VariationalDropout(cell, states=0.5))

    class Model(rnn.Module):
        def __init__(self):
            self.inside = layer

        def forward(self, x):
            return self.inside(x)[0].numpy()

    model, x = Model(), normal(T, B, I)
    assert (model(x) != model(x)).any()
    model.eval()
    np.testing.assert_array_equal(model(x), model(x))
    np.testing.assert_array_equal(model(x), plain(x)[0].numpy())
    model.train()
    assert (model(x) != model(x)).any()
    assert not rnn.VariationalDropout(plain.eval().cell).training


def test_wrapped_layers_keep_names_and_share_weights():
    plain = rnn.LSTM(I, H, num_layers=2, dtype="float64")
    layer = rnn.wrapped(plain, lambda cell: rnn.Zoneout(cell, 0.3)).eval()
    assert list(layer.state_dict()) == list(plain.state_dict())
    assert all(a is b for a, b in zip(layer.parameters(), plain.parameters(), strict=True))
    x = normal(T, B, I)
    before = layer(x)[0].numpy()
    layer.weight_hh_l1 = engine.zeros((4 * H, H), dtype="float64", requires_grad=True)
    assert layer.cell.weight_hh is layer.weight_hh_l0
    assert layer.cell.hidden_size == H
    assert (layer(x)[0].numpy() != before).any()
    state = {name: np.full_like(x, 0.1) for name, x in layer.state_dict().items()}
    layer.load_state_dict(state)
    expected = rnn.wrapped(rnn.LSTM(I, H, num_layers=2, dtype="float64"),
                           lambda cell: rnn.Zoneout(cell, 0.3)).eval()  # fmt: skip
    expected.load_state_dict(state)
    np.testing.assert_array_equal(layer(x)[0].numpy(), expected(x)[0].numpy())


def test_every_cell_of_a_stack_is_wrapped_and_the_stack_stays_as_it_was():
    stack = rnn.Stacked(
        [rnn.GRUCell(I, H), rnn.Bidirectional(rnn.GRUCell(H, 2), rnn.GRUCell(H, 2))]
    )
    found = rnn.wrapped(stack, lambda cell: rnn.Zoneout(cell, 0.5))
    kinds = [type(part).__name__ for part in found.modules() if isinstance(part, rnn.Cell)]
    assert kinds == ["Zoneout", "GRUCell"] * 3
    assert not any(isinstance(part, rnn.Wrapper) for part in stack.modules())
    assert found(normal(T, B, I).astype("float32"))[0].shape == (T, B, 4)


def test_steps_are_recorded_once_until_something_changes(monkeypatch):
    recorded = []
    record = recorded_module.record
    monkeypatch.setattr(recorded_module, "record", lambda call: recorded.append(1) or record(call))
    cell = CELLS["lstm"]()
    net = rnn.Recurrent(rnn.Zoneout(rnn.WeightDropout(cell, 0.3), 0.2))
    x = normal(T, B, I)
    changes = [lambda: None, net.eval, net.train,
               lambda: setattr(cell, "weight_hh", rnn.parameter((4 * H, H), dtype="float64")),
               lambda: setattr(net.cell, "p", {"h": 0.5})]  # fmt: skip
    for change, new in zip(changes, (1, 1, 1, 1, 1), strict=True):
        change()
        del recorded[:]
        for _ in range(3):
            net(x)
        assert len(recorded) == new, change
    impure = rnn.Zoneout(Echo(), 0.2)
    assert not impure.pure
    del recorded[:]
    rnn.Recurrent(impure)(x)
    rnn.Recurrent(impure)(x)
    assert len(recorded) == 2


def test_a_changed_weight_is_computed_with():
    cell = CELLS["gru"]()
    net = rnn.Recurrent(rnn.Zoneout(cell, 0.3)).eval()
    x = normal(T, B, I)
    net(x)
    net.cell.weight_hh = engine.asarray(normal(3 * H, H), requires_grad=True)
    assert cell.weight_hh is net.cell.weight_hh
    fresh = rnn.Recurrent(rnn.Zoneout(copy.copy(cell), 0.3)).eval()
    np.testing.assert_array_equal(net(x)[0].numpy(), fresh(x)[0].numpy())


def test_gates_keep_their_names_in_pictures():
    def gates(cell):
        y = rnn.Recurrent(cell)(normal(2, B, I), unroll=True)[0]
        labels = [
            node.scope.labels for node in engine.Graph.of(y).nodes if "t" in node.scope.labels
        ]
        return {x["gate"] for x in labels if "gate" in x}, {x["state"] for x in labels
                                                            if "state" in x}  # fmt: skip

    inside, states = gates(CELLS["lstm"]())
    for make in MAKES.values():
        found, marked = gates(make(CELLS["lstm"]()))
        assert inside <= found
        assert states == marked == {"h", "c"}


def test_one_step_alone_and_copies():
    engine.seed(0)
    cell = rnn.Zoneout(rnn.WeightDropout(CELLS["lstm"](), 0.5), 0.5)
    x = engine.asarray(normal(B, I))
    first, second = cell(x)[0], cell(x)[0]
    assert first.shape == (B, H)
    assert (first.numpy() != second.numpy()).any()
    twin = copy.deepcopy(cell).eval()
    np.testing.assert_array_equal(twin(x)[0].numpy(), cell.eval()(x)[0].numpy())
    assert not hasattr(cell, "_nothing")
    with pytest.raises(AttributeError, match="nothing"):
        _ = cell.nothing


def test_the_base_class_changes_nothing():
    cell = CELLS["lstm"]()
    for one, other in zip(run(rnn.Recurrent(rnn.Wrapper(cell))), run(rnn.Recurrent(cell)),
                          strict=True):  # fmt: skip
        np.testing.assert_array_equal(one, other)


def test_mistakes():
    cell = CELLS["lstm"]()
    with pytest.raises(TypeError, match="Zoneout: expected a Cell, got LSTM"):
        rnn.Zoneout(rnn.LSTM(I, H), 0.1)
    for wrong in (-0.1, 1.1, "x", True, None):
        for make in (lambda p: rnn.Zoneout(cell, p), lambda p: rnn.WeightDropout(cell, p),
                     lambda p: rnn.VariationalDropout(cell, inputs=p),
                     lambda p: rnn.VariationalDropout(cell, outputs=p),
                     lambda p: rnn.VariationalDropout(cell, states={"c": p}),
                     lambda p: rnn.RecurrentDropout(cell, p)):  # fmt: skip
            with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got"):
                make(wrong)
    with pytest.raises(ValueError, match="Zoneout: p: no state 'z'; the cell has h, c"):
        rnn.Zoneout(cell, {"z": 0.1})
    with pytest.raises(ValueError, match="on must be 'update' or 'state', got 'candidate'"):
        rnn.RecurrentDropout(cell, 0.1, on="candidate")
    with pytest.raises(ValueError, match="no parameter 'weight_xx'; the cell has bias_hh, bias_ih"):
        rnn.WeightDropout(cell, 0.1, names=("weight_xx",))
    with pytest.raises(TypeError, match="make must return a Cell, got int"):
        rnn.wrapped(rnn.LSTM(I, H), lambda cell: 3)
    with pytest.raises(ValueError, match="there is no cell in Linear"):
        rnn.wrapped(rnn.Linear(I, H), lambda cell: rnn.Zoneout(cell, 0.1))
