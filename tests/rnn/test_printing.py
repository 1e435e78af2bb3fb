"""Print modules: their repr, and the table of `summary`."""

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
        == """Sequential(  # 1,176 parameters
  (steps.0): Embedding(9, 4)  # 36
  (steps.1): LSTM(4, 5, num_layers=2, bidirectional=True)  # 1,120
  (steps.3): Linear(10, 2, bias=False)  # 20
)"""
    )
    assert (
        repr(rnn.Recurrent(rnn.GRUCell(3, 5), reverse=True))
        == """Recurrent(reverse=True  # 150 parameters
  (cell): GRUCell(3, 5)  # 150
)"""
    )


def test_settings_that_are_defaults_or_absent_are_left_out():
    class Own(rnn.Module):
        def __init__(self, size, *, rate=0.5, keep=True):
            self.size, self.rate = np.int64(size), rate
            self.keep = keep

    assert repr(rnn.Linear(3, 2)) == "Linear(3, 2)  # 8 parameters"
    assert (
        repr(rnn.ElmanCell(3, 2, nonlinearity="relu"))
        == "ElmanCell(3, 2, nonlinearity='relu')  # 14 parameters"
    )
    assert repr(Own(3)) == "Own(3)"
    assert repr(Own(3, rate=0.25, keep=False)) == "Own(3, rate=0.25, keep=False)"


def test_a_module_without_settings_shows_its_own_parameters():
    class Bare(rnn.Module):
        def __init__(self):
            self.w = rnn.parameter((2, 3))
            self.more = [rnn.parameter((4,))]

    assert repr(Bare()) == "Bare(w: (2, 3), more.0: (4,))  # 10 parameters"


def test_parameters_are_counted_once_and_frozen_ones_marked():
    model = rnn.LanguageModel(5, 2, 2, tie_weights=True)
    total = sum(x.size for x in model.parameters())
    assert repr(model).splitlines()[0] == f"LanguageModel(  # {total} parameters"
    model.embedding.weight.requires_grad = False
    assert repr(model).splitlines()[0] == (
        f"LanguageModel(  # {total} parameters, {total - 10} of them trainable"
    )
    assert "  (head): Linear(2, 5)  # 15, 5 of them trainable" in repr(model).splitlines()
    assert repr(rnn.Dropout()) == "Dropout()"


def test_a_module_with_parameters_that_cannot_be_listed_has_a_repr():
    class Held(rnn.Module):
        def __init__(self, size):
            self.size, self.x = size, [rnn.parameter((2,))]

    module = Held(2)
    module.x[0] = np.ones(2, "f")
    with pytest.raises(TypeError, match="expected a tensor, got an array"):
        module.parameters()
    assert repr(module) == "Held(2)"


@pytest.mark.parametrize(
    ("x", "written"),
    [
        (engine.asarray(2.0, requires_grad=True), "tensor(2., dtype=float32, requires_grad=True)"),
        (engine.asarray([1, 2]), "tensor([1, 2], dtype=int64)"),
        (engine.asarray([True]), "tensor([ True], dtype=bool)"),
        (engine.ones((2, 2)), "tensor([[1., 1.],\n        [1., 1.]], dtype=float32)"),
        (engine.zeros((0,)), "tensor([], dtype=float32)"),
        (engine.zeros((0, 3)), "tensor([], shape=(0, 3), dtype=float32)"),
        (engine.zeros((3, 0)), "tensor([], shape=(3, 0), dtype=float32)"),
    ],
    ids=["number", "integers", "booleans", "matrix", "empty", "no rows", "no columns"],
)
def test_a_tensor_is_written_with_what_its_values_do_not_show(x, written):
    assert repr(x) == written


def test_a_large_tensor_says_its_shape_once_under_any_version_of_numpy():
    x = engine.ones((300, 400), requires_grad=True)
    assert repr(x).count("shape") == 1
    assert repr(x).endswith("1., 1., 1.]], shape=(300, 400), dtype=float32, requires_grad=True)")
    assert "shape" not in repr(engine.ones((20, 20)))  # nothing is left out


def test_a_tensor_that_is_not_on_the_host_says_where(monkeypatch):
    x = engine.ones(2)
    assert "device" not in repr(x)
    monkeypatch.setattr(type(x), "device", property(lambda self: "cupy:0"))
    assert repr(x) == "tensor([1., 1.], dtype=float32, device='cupy:0')"


def test_cells_show_their_equations_in_notebooks():
    cell = rnn.LSTMCell(3, 5)
    assert cell._repr_latex_() == f"$$\n{rnn.latex(cell)}\n$$"
    assert repr(cell) == "LSTMCell(3, 5)  # 200 parameters"


def test_a_cell_with_unreadable_equations_shows_its_repr_alone():
    class Branching(rnn.Cell):
        input_size, state_size = 2, {"h": 2}

        def step(self, x, h):
            h = h + x if float(engine.sum(x)) > 0 else h - x
            return h, h

    class Broken(rnn.Cell):
        input_size, state_size = 2, {"h": 2}

        def step(self, x, h):
            raise KeyError("broken")

    for cell in (Branching(), Broken(), rnn.Cell()):
        assert cell._repr_latex_() is None
        assert repr(cell) == f"{type(cell).__name__}()"


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
