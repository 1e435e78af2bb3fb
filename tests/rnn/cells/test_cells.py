"""Compare the three cells and layers with BPTT by hand: outputs, states and every gradient; test
names, layouts, options, cells that users write, and the scopes that pictures are drawn from.
"""

import copy
from typing import Any

import numpy as np
import pytest

import engine
import rnn
from engine import Graph
from tests.draws import covering, first, normal
from tests.rnn import bptt_oracle as oracle

T, B, I, H = 6, 3, 4, 5
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
EXACT = {"rtol": 1e-10, "atol": 1e-12}


def layer(name: str, **options: Any) -> Any:
    """Return a float64 layer of the standard sizes."""
    engine.seed(11)
    return getattr(rnn, name)(I, H, dtype="float64", **options)


def run_oracle(name: str, p: Any, x: Any, state: Any, dy: Any, dstate: Any, g: str) -> Any:
    if name == "RNN":
        return oracle.elman(x, state[0], p, dy, dstate[0], g)
    if name == "GRU":
        return oracle.gru(x, state[0], p, dy, dstate[0])
    return oracle.lstm(x, (state[0], state[1]), p, dy, (dstate[0], dstate[1]))


def states(name: str, salt: int) -> list[np.ndarray]:
    return [normal(B, H, salt=salt + n) for n in range(2 if name == "LSTM" else 1)]


def nested(name: str, leaves: list[Any]) -> Any:
    """Return flat states (B, H) in the form that a layer takes, (1, B, H)."""
    raised = [engine.expand_dims(x, axis=0) for x in leaves]
    return tuple(raised) if name == "LSTM" else raised[0]


def flat(final: Any) -> list[Any]:
    return list(final) if isinstance(final, tuple) else [final]


def check_against_oracle(
    name: str,
    net: Any,
    device: str = "numpy",
    *,
    g: str = "tanh",
    steps: int = T,
    run: Any = run_oracle,
) -> None:
    """Check outputs, final states and gradients of a layer, from a state that is not zero."""
    net.to(device)
    x = engine.asarray(normal(steps, B, I), device=device, requires_grad=True)
    initial = [engine.asarray(s, device=device, requires_grad=True) for s in states(name, 1)]
    dy, dstate = normal(steps, B, H, salt=3), states(name, 4)
    y, final = net(x, nested(name, initial))
    finals = [engine.squeeze(one, 0) for one in flat(final)]
    parameters = {n.removesuffix("_l0"): p for n, p in net.named_parameters()}
    found = engine.gradients([y, *finals], [x, *initial, *parameters.values()], grads=[dy, *dstate])
    arrays = {n: p.numpy() for n, p in parameters.items()}
    ys, last, grads = run(name, arrays, x.numpy(), states(name, 1), dy, dstate, g)
    np.testing.assert_allclose(y.numpy(), ys, **EXACT)
    for one, other in zip(finals, flat(last), strict=True):
        np.testing.assert_allclose(one.numpy(), other, **EXACT)
    wanted = ["x", "h", "c"][: 1 + len(initial)] + list(parameters)
    assert set(wanted) == set(grads)
    for own, key in zip(found, wanted, strict=True):
        np.testing.assert_allclose(own.numpy(), grads[key], err_msg=key, **EXACT)


@pytest.mark.parametrize(("name", "bias"), covering(GATES, [True, False]))
def test_layers_against_bptt_by_hand(name, bias, device):
    check_against_oracle(name, layer(name, bias=bias), device)


@pytest.mark.parametrize("name", GATES)
def test_one_step_against_bptt_by_hand(name):
    check_against_oracle(name, layer(name), steps=1)


def test_a_relu_network_against_bptt_by_hand():
    check_against_oracle("RNN", layer("RNN", nonlinearity="relu"), g="relu")


@pytest.mark.parametrize("name", GATES)
def test_no_state_is_a_state_of_zeros(name):
    net, x = layer(name), normal(T, B, I)
    zeros = [engine.zeros((1, B, H), dtype="float64")] * 2
    given = tuple(zeros) if name == "LSTM" else zeros[0]
    for one, other in zip(net(x), net(x, given), strict=True):
        for a, b in zip(flat(one), flat(other), strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("name", GATES)
def test_state_carries_a_sequence_on(name):
    net, x = layer(name), normal(T, B, I)
    whole, final = net(x)
    first, middle = net(x[:2])
    second, last = net(x[2:], middle)
    np.testing.assert_allclose(
        np.concatenate([first.numpy(), second.numpy()]), whole.numpy(), rtol=1e-13, atol=1e-15
    )
    for one, other in zip(flat(last), flat(final), strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", GATES)
def test_batch_first(name):
    net, x = layer(name), normal(T, B, I)
    turned = layer(name, batch_first=True)
    y, final = net(x)
    y_turned, final_turned = turned(x.transpose(1, 0, 2))
    assert y_turned.shape == (B, T, H)
    np.testing.assert_allclose(y_turned.numpy().transpose(1, 0, 2), y.numpy(), rtol=1e-14)
    for one, other in zip(flat(final), flat(final_turned), strict=True):
        assert one.shape == (1, B, H)
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-14)


@pytest.mark.parametrize("name", GATES)
def test_lengths_are_sequences_run_one_by_one(name):
    net, x, lengths = layer(name), normal(T, B, I), [2, 0, 6]
    y, final = net(x, None, lengths)
    for b, length in enumerate(lengths):
        assert not y.numpy()[length:, b].any()
        alone, state = net(x[:length, b : b + 1])
        np.testing.assert_allclose(y.numpy()[:length, b : b + 1], alone.numpy(), rtol=1e-12)
        for one, other in zip(flat(final), flat(state), strict=True):
            np.testing.assert_allclose(one.numpy()[:, b], other.numpy()[:, 0], rtol=1e-12)


@pytest.mark.parametrize("name", GATES)
def test_unroll_changes_no_number(name):
    net, x = layer(name), normal(T, B, I)
    np.testing.assert_allclose(
        net(x)[0].numpy(), net(x, unroll=True)[0].numpy(), rtol=1e-13, atol=1e-15
    )


# ---- parameters


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", GATES)
def test_parameters_are_named_and_shaped_as_pytorchs(name, bias):
    k = GATES[name]
    expected = {"weight_ih_l0": (k * H, I), "weight_hh_l0": (k * H, H)}
    if bias:
        expected |= {"bias_ih_l0": (k * H,), "bias_hh_l0": (k * H,)}
    net = layer(name, bias=bias)
    found = {n: p.shape for n, p in net.named_parameters()}
    assert list(found.items()) == list(expected.items())
    values = np.concatenate([p.numpy().ravel() for p in net.parameters()])
    assert 0.8 * H**-0.5 < abs(values).max() <= H**-0.5


@pytest.mark.parametrize("name", ["Elman", "LSTM", "GRU"])
def test_cells_have_the_names_of_pytorchs_cells(name):
    cell = getattr(rnn, f"{name}Cell")(I, H)
    assert list(dict(cell.named_parameters())) == ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
    for key, p in cell.named_parameters():
        assert p.node.name == key


@pytest.mark.parametrize("name", GATES)
def test_layers_agree_with_pytorch(name):
    torch = pytest.importorskip("torch")
    net = layer(name)
    peer = getattr(torch.nn, name)(I, H, dtype=torch.float64)
    peer.load_state_dict({k: torch.tensor(v) for k, v in net.state_dict().items()})
    x = normal(T, B, I)
    y, final = net(x)
    theirs, last = peer(torch.tensor(x))
    np.testing.assert_allclose(y.numpy(), theirs.detach().numpy(), rtol=1e-12)
    for one, other in zip(flat(final), flat(last), strict=True):
        np.testing.assert_allclose(one.numpy(), other.detach().numpy(), rtol=1e-12)
    engine.sum(y * y).backward()
    (theirs * theirs).sum().backward()
    for key, p in peer.named_parameters():
        own = dict(net.named_parameters())[key].grad
        np.testing.assert_allclose(own.numpy(), p.grad.numpy(), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", ["Elman", "LSTM", "GRU"])
def test_a_cell_alone_is_one_step_of_its_layer(name):
    engine.seed(11)
    cell = getattr(rnn, f"{name}Cell")(I, H, dtype="float64")
    net = layer({"Elman": "RNN"}.get(name, name))
    x = normal(1, B, I)
    y, final = cell(engine.asarray(x[0]))
    ys, finals = net(x)
    np.testing.assert_allclose(y.numpy(), ys.numpy()[0], rtol=1e-13, atol=1e-15)
    for one, other in zip(flat(final), flat(finals), strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy()[0], rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", GATES)
def test_layers_compute_with_the_parameters_that_they_list(name):
    net, other = layer(name), layer(name)
    for key, p in other.named_parameters():
        setattr(net, key, engine.asarray(p.numpy() * 2, requires_grad=True))
        p.data *= 2
    x = normal(T, B, I)
    y, _ = net(x)
    np.testing.assert_array_equal(y.numpy(), other(x)[0].numpy())
    grads = engine.gradients(engine.sum(y * y), net.parameters())
    assert [g is not None for g in grads] == [True] * len(grads)


# ---- cells that users write


class Leaky(rnn.Cell):
    """Keep two states: a leaky average and the count of steps."""

    def __init__(self) -> None:
        self.input_size, self.state_size = I, {"h": I, "n": 1}
        self.rate = rnn.parameter((I,), 0.5, dtype="float64")

    def step(self, x: Any, state: Any) -> Any:
        h, n = state
        k = engine.sigmoid(self.rate)
        h = (1 - k) * h + k * engine.tanh(x)
        n = n + 1
        return h * 2, (h, n)


def leaky_by_hand(rate: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    k, h, ys = 1 / (1 + np.exp(-rate)), np.zeros_like(x[0]), []
    for x_t in x:
        h = (1 - k) * h + k * np.tanh(x_t)
        ys.append(2 * h)
    return np.array(ys), h


@pytest.mark.parametrize("reverse", [False, True])
def test_a_users_cell(reverse):
    cell, x = Leaky(), normal(T, B, I)
    net = rnn.Recurrent(cell, reverse=reverse)
    y, (h, n) = net(engine.asarray(x))
    ys, last = leaky_by_hand(cell.rate.numpy(), x[::-1] if reverse else x)
    np.testing.assert_allclose(y.numpy(), ys[::-1] if reverse else ys, rtol=1e-13)
    np.testing.assert_allclose(h.numpy(), last, rtol=1e-13)
    assert n.numpy().ravel().tolist() == [T] * B
    assert list(dict(net.named_parameters())) == ["cell.rate"]


@pytest.mark.parametrize("reverse", first(1, [True, False]))
def test_a_users_cell_differentiates_twice(reverse):
    net = rnn.Recurrent(Leaky(), reverse=reverse)

    def f(rate: Any, x: Any) -> Any:
        net.cell.rate = rate
        return net(x, lengths=[3, 1])[0]

    assert engine.gradcheck(f, [normal(I), normal(3, 2, I)], 2)


def test_a_users_cell_reversed_with_lengths():
    cell, x, lengths = Leaky(), normal(T, B, I), [4, 0, 6]
    y, (h, n) = rnn.Recurrent(cell, reverse=True, batch_first=True)(
        engine.asarray(x.transpose(1, 0, 2)), lengths=lengths
    )
    assert n.numpy().ravel().tolist() == lengths
    for b, length in enumerate(lengths):
        ys, last = leaky_by_hand(cell.rate.numpy(), x[:length, b][::-1]) if length else ([], 0.0)
        np.testing.assert_allclose(h.numpy()[b], np.zeros(I) + last, rtol=1e-13)
        np.testing.assert_allclose(y.numpy()[b, :length], np.array(ys).reshape(-1, I)[::-1], 1e-13)
        assert not y.numpy()[b, length:].any()


# ---- scopes


class Model(rnn.Module):
    """Put a layer below a head, as a user nests them."""

    def __init__(self, name: str) -> None:
        self.core = layer(name)
        self.head = rnn.Linear(H, 2, dtype="float64")

    def forward(self, x: Any) -> Any:
        y, final = self.core(x)
        return self.head(y), final


class Outer(rnn.Module):
    def __init__(self, name: str) -> None:
        self.net = Model(name)

    def forward(self, x: Any) -> Any:
        return self.net(x)


EQUATIONS = {
    "RNN": ["gate=a", "state=h"],
    "GRU": ["gate=u", "gate=v", "gate=u_r, u_z, u_n", "gate=v_r, v_z, v_n",
            "gate=r", "gate=z", "gate=n", "state=h"],
    "LSTM": ["gate=a", "gate=a_i, a_f, a_g, a_o",
             "gate=i", "gate=f", "gate=g", "gate=o", "state=c", "state=h"],
}  # fmt: skip
CELLS = {"RNN": "ElmanCell", "LSTM": "LSTMCell", "GRU": "GRUCell"}


def equation(node: engine.Node) -> str:
    found = [f"{k}={v}" for k, v in node.scope.labels.items() if k in ("gate", "state")]
    return " ".join(found)


@pytest.mark.usefixtures("explicit")
@pytest.mark.parametrize("name", GATES)
def test_every_node_of_a_cell_knows_where_it_is(name):
    y, _ = Outer(name)(normal(3, B, I))
    nodes = [n for n in Graph.of(y).nodes if n.inputs]
    inside = [n for n in nodes if equation(n)]
    assert {n.scope.path for n in inside} == {"net.core.l0"}
    for n in inside:
        labels = n.scope.labels
        assert (labels["layer"], labels["direction"]) == (0, "forward")
        assert labels["cell"] == CELLS[name]
    for t in range(3):
        found = [equation(n) for n in inside if n.scope.labels["t"] == t]
        assert list(dict.fromkeys(found)) == EQUATIONS[name]
    rest = {(n.op.name, n.scope.path) for n in nodes if not equation(n)}
    assert rest <= {("stack", "net.core.l0"), ("getitem", "net.core.l0"), ("linear", "net.head")}


@pytest.mark.usefixtures("explicit")
@pytest.mark.parametrize("name", GATES)
def test_gradient_nodes_of_a_cell_know_too(name):
    model = Outer(name)
    y, _ = model(normal(3, B, I))
    grads = engine.gradients(engine.sum(y * y), model.parameters(), create_graph=True)
    made = [n for n in Graph.of(*grads).nodes if n.origin is not None]
    for t in range(3):
        found = {equation(n) for n in made if n.scope.labels.get("t") == t}
        # The pieces that a split cuts out are put together in the equation that is split.
        assert found - {""} == {one for one in EQUATIONS[name] if "," not in one}
    for n in made:
        assert n.scope == n.origin.scope


@pytest.mark.usefixtures("explicit")
def test_layer_and_direction_are_in_the_scope():
    net = rnn.Recurrent(rnn.GRUCell(I, H), reverse=True, layer=2)
    y, _ = net(engine.zeros((2, B, I)))
    inside = [n for n in Graph.of(y).nodes if equation(n)]
    assert {
        (n.scope.path, n.scope.labels["layer"], n.scope.labels["direction"]) for n in inside
    } == {("l2_reverse", 2, "reverse")}
    assert next(n.scope.labels["t"] for n in inside if equation(n) == "gate=n") == 1


@pytest.mark.parametrize("name", ["Elman", "LSTM", "GRU"])
def test_a_cell_alone_names_its_nodes(name):
    cell = getattr(rnn, f"{name}Cell")(I, H)
    y, _ = cell(engine.zeros((B, I)))
    inside = [n for n in Graph.of(y).nodes if n.inputs]
    assert list(dict.fromkeys(map(equation, inside))) == EQUATIONS[{"Elman": "RNN"}.get(name, name)]
    assert {n.scope.labels["cell"] for n in inside} == {f"{name}Cell"}


def test_modules_in_lists_are_in_the_path():
    class Stack(rnn.Module):
        def __init__(self) -> None:
            self.parts = [rnn.Linear(I, I), rnn.Linear(I, I)]

        def forward(self, x: Any) -> Any:
            return self.parts[1](self.parts[0](x))

    net = Stack()
    assert net.named_parameters()[0][0] == "parts.0.weight"
    inside = [n for n in Graph.of(net(engine.zeros((B, I)))).nodes if n.inputs]
    assert [n.scope.path for n in inside] == ["parts.0", "parts.1"]


# ---- errors


def test_shapes_that_do_not_fit_are_refused():
    net = layer("LSTM")
    with pytest.raises(
        ValueError, match=r"LSTM: expected x \(T, B, I\) or \(T, I\) with I = 4.*\(6, 3, 7\)"
    ):
        net(np.zeros((T, B, 7)))
    with pytest.raises(ValueError, match=r"expected x \(B, T, I\) or"):
        layer("GRU", batch_first=True)(np.zeros((B, I, 1, 1)))
    wrong = engine.zeros((1, B, H + 1), dtype="float64")
    with pytest.raises(ValueError, match=r"states h, c of shapes .*\(1, 3, 5\).*\(1, 3, 6\)"):
        net(np.zeros((T, B, I)), (wrong, wrong))
    with pytest.raises(ValueError, match="states h"):
        layer("GRU")(np.zeros((T, B, I)), wrong)


@pytest.mark.parametrize("sizes", [(0, 5), (4, -1), (4, 2.5), (True, 5)])
@pytest.mark.parametrize("name", GATES)
def test_sizes_that_are_none_are_refused(name, sizes):
    with pytest.raises(ValueError, match="expected positive integers, got"):
        getattr(rnn, name)(*sizes)


def test_other_mistakes_are_refused():
    with pytest.raises(ValueError, match=r"nonlinearity 'sin'.*tanh.*relu"):
        rnn.RNN(I, H, nonlinearity="sin")
    with pytest.raises(TypeError, match="expected a Cell, got Linear"):
        rnn.Recurrent(rnn.Linear(2, 2))
    with pytest.raises(NotImplementedError, match="no step"):
        rnn.Cell().step(engine.zeros((1, 1)), None)
    with pytest.raises(NotImplementedError, match="Module has no forward"):
        rnn.Module()(1)


@pytest.mark.parametrize("name", ["call", "forward"])
def test_a_step_under_the_name_that_others_have_is_an_error(name):
    sizes = {"input_size": 2, "state_size": {"h": 2}}
    own = type("Own", (rnn.Cell,), {**sizes, name: lambda self, x, h: (x, h)})
    with pytest.raises(NotImplementedError, match=f"Own has no step.*; rename {name} to step"):
        rnn.Recurrent(own())(engine.ones((3, 1, 2)))
    with pytest.raises(NotImplementedError, match=r"has no forward\(\); rename call$"):
        type("Layer", (rnn.Module,), {"call": lambda self, x: x})()(1)


def test_a_users_step_is_not_taken_for_pure():
    class Own(rnn.LSTMCell):
        def step(self, x, state):
            return super().step(x, state)

    class Renamed(rnn.LSTMCell):
        pass

    assert rnn.LSTMCell.pure
    assert Renamed.pure
    assert not Own.pure
    assert not rnn.Cell.pure


def test_what_is_remembered_of_a_pure_cell_is_forgotten_when_it_changes():
    engine.seed(3)
    cell = rnn.ElmanCell(I, H, dtype="float64")
    layer = rnn.Recurrent(cell)
    x = normal(T, B, I)
    first = layer(x)[0].numpy()
    cell.weight_hh = rnn.parameter((H, H), 0.5, dtype="float64")
    second = layer(x)[0].numpy()
    cell.nonlinearity = "relu"
    third = layer(x)[0].numpy()
    for found in (first, second, third):
        assert np.isfinite(found).all()
    np.testing.assert_allclose(third, layer(x, unroll=True)[0].numpy(), rtol=1e-12, atol=1e-14)
    assert np.abs(first - second).max() > 1e-3
    assert np.abs(second - third).max() > 1e-3


def test_a_model_that_has_run_can_be_copied():
    net = layer("LSTM")
    x = normal(T, B, I)
    before = net(x)[0].numpy()
    twin = copy.deepcopy(net)
    np.testing.assert_array_equal(twin(x)[0].numpy(), before)
    twin.weight_hh_l0.data[...] = 0
    np.testing.assert_array_equal(net(x)[0].numpy(), before)
    assert np.abs(twin(x)[0].numpy() - before).max() > 1e-3
