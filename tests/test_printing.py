"""Modules as text: their repr, and the table of `summary`."""

import numpy as np
import pytest

import engine
import rnn
from engine.random import random_state


def test_a_module_is_written_with_its_sizes():
    net = rnn.Sequential(rnn.Embedding(9, 4), rnn.LSTM(4, 5, num_layers=2, bidirectional=True),
                         engine.tanh, rnn.Linear(10, 2, bias=False))  # fmt: skip
    assert (
        repr(net)
        == """Sequential(
  (steps.0): Embedding(9, 4)
  (steps.1): LSTM(4, 5, num_layers=2, bidirectional=True)
  (steps.3): Linear(10, 2, bias=False)
)"""
    )
    assert (
        repr(rnn.Recurrent(rnn.GRUCell(3, 5), reverse=True))
        == """Recurrent(reverse=True
  (cell): GRUCell(3, 5)
)"""
    )


def test_settings_that_are_defaults_or_absent_are_left_out():
    class Own(rnn.Module):
        def __init__(self, size, *, rate=0.5, keep=True):
            self.size, self.rate = np.int64(size), rate
            self.keep = keep

    assert repr(rnn.Linear(3, 2)) == "Linear(3, 2)"
    assert repr(rnn.ElmanCell(3, 2, nonlinearity="relu")) == "ElmanCell(3, 2, nonlinearity='relu')"
    assert repr(Own(3)) == "Own(3)"
    assert repr(Own(3, rate=0.25, keep=False)) == "Own(3, rate=0.25, keep=False)"


def test_a_module_without_settings_shows_its_own_parameters():
    class Bare(rnn.Module):
        def __init__(self):
            self.w = rnn.parameter((2, 3))
            self.more = [rnn.parameter((4,))]

    assert repr(Bare()) == "Bare(w: (2, 3), more.0: (4,))"


def made():
    net = rnn.Sequential(rnn.Embedding(9, 4), rnn.LSTM(4, 5), rnn.Linear(5, 2))
    net.unused = rnn.Linear(1, 1)
    return net


def test_the_summary_has_shapes_and_numbers():
    net = made()
    found = rnn.summary(net, np.zeros((3, 2), int))
    assert [tuple(row) for row in found.rows] == [
        ("", "Sequential", "(3, 2, 2)", 0),
        ("steps.0", "Embedding", "(3, 2, 4)", 36),
        ("steps.1", "LSTM", "[(3, 2, 5), [(1, 2, 5), (1, 2, 5)]]", 4 * 5 * (4 + 5 + 2)),
        ("steps.2", "Linear", "(3, 2, 2)", 12),
        ("unused", "Linear", "-", 2),
    ]
    assert found.total == sum(x.size for x in net.parameters()) == 270
    assert str(found).splitlines() == [
        "path     class       output                               parameters",
        "--------------------------------------------------------------------",
        "(model)  Sequential  (3, 2, 2)                                     0",
        "steps.0  Embedding   (3, 2, 4)                                    36",
        "steps.1  LSTM        [(3, 2, 5), [(1, 2, 5), (1, 2, 5)]]         220",
        "steps.2  Linear      (3, 2, 2)                                    12",
        "unused   Linear      -                                             2",
        "--------------------------------------------------------------------",
        "270 parameters",
    ]
    net.steps[0].weight.requires_grad = False
    last = str(rnn.summary(net, np.zeros((3, 2), int))).splitlines()[-1]
    assert last == "270 parameters, 234 of them trainable"


def test_tied_weights_are_counted_once():
    model = rnn.LanguageModel(5, 2, 2, tie_weights=True)
    found = rnn.summary(model, [[1, 2], [3, 4]])
    assert sum(row.parameters for row in found.rows) == found.total
    assert found.total == sum(x.size for x in model.parameters())
    assert {row.path: row.parameters for row in found.rows}["head"] == 5
    assert {row.path: row.output for row in found.rows}["recurrent.layers.0.cell"] == (
        "[(2, 2), [(2, 2), (2, 2)]]"
    )


@pytest.mark.parametrize("x", [np.zeros((3, 2), int), "no indices"])
def test_a_summary_leaves_nothing_changed(x):
    net = made().train()
    net.steps[1].eval()
    net.unused.weight.grad = engine.ones((1, 1))
    net(np.zeros((3, 2), int))
    state, random = net.state_dict(), random_state()
    before = [dict(vars(module)) for module in net.modules()]
    if isinstance(x, str):
        with pytest.raises((TypeError, ValueError)):
            rnn.summary(net, x)
    else:
        rnn.summary(net, x)
    after = [dict(vars(module)) for module in net.modules()]
    assert [one.keys() for one in after] == [one.keys() for one in before]
    assert [one.training for one in net.modules()] == [True, True, False, True, True]
    assert random_state() == random
    grads = {name: weight.grad for name, weight in net.named_parameters()}
    assert [name for name, grad in grads.items() if grad is not None] == ["unused.weight"]
    np.testing.assert_array_equal(grads["unused.weight"], [[1]])
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, state[name])


def test_only_modules_have_a_summary():
    with pytest.raises(TypeError, match="summary: expected a Module, got dict"):
        rnn.summary({}, 1)


def test_a_summary_takes_inputs_and_no_shape():
    net = rnn.Linear(2, 1)
    for inputs in ((), ((1, 2),)):
        with pytest.raises(TypeError, match=r"write rnn.summary\(model, engine.ones\(shape\)\)"):
            rnn.summary(net, *inputs)
