"""Change values of tensors between passes: a backward pass uses those of its forward pass."""

import gc
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine
import rnn
from engine import Graph, Tensor
from engine.scan import EXECUTORS
from tests.draws import covering, leaf, normal, normal_leaf

pytestmark = pytest.mark.usefixtures("frozen")

OPTIMIZERS: dict[str, Callable[[Any], rnn.optim.Optimizer]] = {
    "SGD": lambda ps: rnn.optim.SGD(ps, lr=0.3),
    "momentum": lambda ps: rnn.optim.SGD(ps, lr=0.3, momentum=0.9, weight_decay=0.1),
    "Adam": lambda ps: rnn.optim.Adam(ps, lr=0.3, weight_decay=0.1),
    "AdamW": lambda ps: rnn.optim.AdamW(ps, lr=0.3),
    "Adagrad": lambda ps: rnn.optim.Adagrad(ps, lr=0.3),
    "Adadelta": lambda ps: rnn.optim.Adadelta(ps, lr=30.0),
    "RMSprop": lambda ps: rnn.optim.RMSprop(ps, lr=0.3, momentum=0.5),
    "maximize": lambda ps: rnn.optim.SGD(ps, lr=0.3, maximize=True),
}


def stepped(name: str) -> Callable[[rnn.Module], None]:
    def update(net: rnn.Module) -> None:
        rule = OPTIMIZERS[name](net.parameters())
        for _ in range(2):
            for x in net.parameters():
                x.grad = engine.asarray(normal(*x.shape), dtype=x.dtype)
            rnn.clip_grad_norm(net.parameters(), 1.0)
            rule.step()
        net.zero_grad()

    return update


def loaded(net: rnn.Module) -> None:
    net.load_state_dict({name: x.numpy() * 2 - 1 for name, x in net.named_parameters()})


def assigned(net: rnn.Module) -> None:
    for x in net.parameters():
        x.data = x.data * 3 + 1


def in_place(net: rnn.Module) -> None:
    with engine.no_grad():
        for x in net.parameters():
            x *= 2.0
            x[...] = x + 1.0


def initialized(net: rnn.Module) -> None:
    rnn.initialize(net, {"*": rnn.initializers.uniform(0.5)})


def replaced(net: rnn.Module) -> None:
    for module in net.modules():
        for name, x in list(vars(module).items()):
            if isinstance(x, Tensor) and x.requires_grad:
                setattr(module, name, engine.asarray(x.data + 1, requires_grad=True))


UPDATES: dict[str, Callable[[rnn.Module], None]] = {
    **{name: stepped(name) for name in OPTIMIZERS},
    "load_state_dict": loaded,
    "data": assigned,
    "in place": in_place,
    "initialize": initialized,
    "replaced": replaced,
}


def many(kind: Any) -> Callable[[rnn.Module], Tensor]:
    """Return a loss of a recurrent layer over a sequence with padding."""

    def loss(net: Any) -> Tensor:
        ys, _ = net(engine.asarray(normal(5, 2, 3)), lengths=[5, 3])
        return engine.sum(ys * engine.asarray(normal(5, 2, 4)))

    loss.make = lambda: kind(3, 4, dtype="float64")  # type: ignore[attr-defined]
    return loss


def stacked(net: Any) -> Tensor:
    return engine.sum(engine.tanh(net[1](engine.tanh(net[0](engine.asarray(normal(2, 3)))))) ** 2)


class Stack(rnn.Module):
    """Multiply twice, one after the other, so that gradients need both weights."""

    def __init__(self) -> None:
        self.parts = [rnn.Linear(3, 4, dtype="float64"), rnn.Linear(4, 2, dtype="float64")]

    def __getitem__(self, k: int) -> rnn.Module:
        return self.parts[k]


stacked.make = Stack  # type: ignore[attr-defined]


def remembered(net: Any) -> Tensor:
    """Compute products once more in the backward pass."""
    inner = engine.checkpoint(lambda x: net[1](engine.tanh(net[0](x))))
    return engine.sum(inner(engine.asarray(normal(2, 3))) ** 2)


remembered.make = Stack  # type: ignore[attr-defined]
LOSSES: dict[str, Any] = {
    "stack": stacked,
    "checkpoint": remembered,
    "RNN": many(rnn.RNN),
    "LSTM": many(rnn.LSTM),
    "GRU": many(rnn.GRU),
}


def made(loss: Any) -> Any:
    engine.random.seed(7)
    return loss.make()


def expected(loss: Any) -> list[np.ndarray]:
    """Return the gradients where nothing is changed between the passes."""
    net = made(loss)
    loss(net).backward()
    return [x.grad.numpy() for x in net.parameters()]


def agree(found: Any, wanted: Any) -> None:
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(np.asarray(one), other, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("update", "name", "unrolled"), covering(UPDATES, LOSSES, [False, True]))
def test_a_backward_pass_uses_what_its_forward_pass_saw(name, update, unrolled):
    loss = LOSSES[name]
    wanted, net = expected(loss), made(loss)
    own = net.parameters()
    with engine.stepping.while_stepping(explicit=unrolled):
        value = loss(net)
        old = [x.numpy().copy() for x in own]
        UPDATES[update](net)
        assert update == "replaced" or all(
            (x.numpy() != y).any() for x, y in zip(own, old, strict=True)
        )
        if (name, update) == ("checkpoint", "replaced"):  # the second run meets other tensors
            with pytest.raises(RuntimeError, match="gave other numbers for result 0"):
                value.backward()
            return
        agree([g.numpy() for g in engine.gradients(value, own)], wanted)
        value.backward()
        agree([x.grad.numpy() for x in own], wanted)
        assert all(type(x.grad) is Tensor and x.grad.dtype == x.dtype for x in own)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_of_several_updates_add_up(name):
    # A loss before each of three updates, all pulled back at the end.
    loss = LOSSES[name]
    net, twin = made(loss), made(loss)
    values, totals = [], [0.0] * len(net.parameters())
    for _ in range(3):
        values.append(loss(net))
        twin.zero_grad()
        loss(twin).backward()
        totals = [t + x.grad.numpy() for t, x in zip(totals, twin.parameters(), strict=True)]
        assigned(net)
        assigned(twin)
    agree([g.numpy() for g in engine.gradients(values, net.parameters())], totals)
    for value in reversed(values):
        value.backward()
    agree([x.grad.numpy() for x in net.parameters()], totals)
    for x, y in zip(net.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(x.numpy(), y.numpy())


@pytest.mark.parametrize(
    ("name", "update", "unrolled"),
    covering(LOSSES, ["SGD", "load_state_dict", "data", "in place"], [False, True]),
)
def test_second_derivatives_are_of_the_old_values(name, unrolled, update):
    # Between the forward pass and the first gradient, and between the first and the second.
    loss = LOSSES[name]
    found = []
    for early, late in ((False, False), (True, True)):
        net = made(loss)
        own = net.parameters()
        with engine.stepping.while_stepping(explicit=unrolled):
            value = loss(net)
            if early:
                UPDATES[update](net)
            grads = engine.gradients(value, own, create_graph=True)
            if late:
                UPDATES[update](net)
            total = engine.sum(engine.stack([engine.sum(g * g) for g in grads]))
            found.append([g.numpy() for g in engine.gradients(total, own)])
    agree(*found)


def test_values_computed_before_do_not_change():
    w = leaf(1.0, 2.0)
    y = w * w
    graph = Graph.of(y)
    text = graph.text()
    w.data = np.array([5.0, 6.0])
    assert graph.text() == Graph.of(y).text() == text
    graph = Graph.of(y)
    assert [graph.tensor(node).numpy().tolist() for node in graph.nodes] == [[1, 2], [1, 4]]
    assert engine.gradients(engine.sum(y + w * w), [w])[0].numpy().tolist() == [12, 16]


def test_hooks_of_a_parameter_see_old_gradients_too():
    w, seen = leaf(1.0, 2.0), []
    handle = w.register_hook(lambda g: seen.append(g.numpy().tolist()))
    old = engine.sum(w**3)
    w.grad = engine.asarray(np.ones(2))
    rnn.optim.SGD([w], lr=1.0).step()
    w.grad = None
    new = engine.sum(w**3)
    old.backward()
    new.backward()
    assert seen == [[3, 12], [0, 3]]
    (old + new).backward()
    assert seen[2:] == [[3, 15]]
    handle.remove()
    old.backward()
    assert len(seen) == 3


def test_hooks_stay_with_a_parameter_that_is_moved():
    w, seen = leaf(1.0, 2.0), []
    w.register_hook(lambda g: seen.append(g.dtype.name))
    w.data = np.ones(3, "float32")
    engine.sum(w * 2).backward()
    assert seen == ["float32"]
    assert (w.node.dtype, w.node.shape, w.grad.shape) == (engine.float32, (3,), (3,))


def test_truncated_training_with_updates_between_chunks():
    # Pulling back the losses of all chunks at the end gives the gradients of each at its time.
    found = []
    for late in (False, True):
        engine.random.seed(3)
        net = rnn.LSTM(3, 4, dtype="float64")
        x, state, losses = engine.asarray(normal(9, 2, 3)), None, []
        for t in range(0, 9, 3):
            cut = rnn.truncated(net, x[t : t + 3], state, engine.sum, kind="chunk", k=2)
            losses.append(cut.loss)
            state = tuple(one.detach() for one in cut.state)
            if not late:
                losses[-1].backward()
            assigned_less(net)
        for loss in losses if late else []:
            loss.backward()
        found.append([x.grad.numpy() for x in net.parameters()])
    agree(*found)


def assigned_less(net: rnn.Module) -> None:
    for x in net.parameters():
        x.data = x.data * 0.9


def test_a_probe_measures_the_network_that_it_ran():
    found = []
    for late in (False, True):
        engine.random.seed(3)
        net = rnn.Recurrent(rnn.GRUCell(3, 4))
        probe = rnn.Probe(net, engine.asarray(normal(5, 2, 3).astype("float32")))
        if late:
            assigned(net)
        norms = probe.gradient_norms(engine.sum(probe.outputs[-1]))["h"].numpy()
        parts = probe.contributions(lambda y: engine.sum(y))
        found.append([norms, *(part.numpy() for part in parts.values())])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


# ---- values that are lost


LOST: dict[str, Callable[[Tensor], Any]] = {
    "-=": lambda w: setattr(w, "data", w.data.__isub__(1.0)),
    "*=": lambda w: setattr(w, "data", w.data.__imul__(2.0)),
    "dtype": lambda w: setattr(w, "data", w.data.astype("float32")),
    "shape": lambda w: setattr(w, "data", w.data.reshape(-1)),
}


@pytest.mark.parametrize("how", LOST)
def test_a_backward_pass_through_lost_values_is_refused(how):
    w = leaf([[1.0, 2.0]], name="w")
    old = engine.sum(w * w)
    LOST[how](w)
    for pull in (lambda: engine.gradients(old, [w]), old.backward):
        with pytest.raises(RuntimeError, match=r"'?w.*float.*lost.*-= g"):
            pull()
    assert w.grad is None
    new = engine.sum(w * w)
    new.backward()
    np.testing.assert_array_equal(w.grad.numpy(), 2 * w.numpy())
    w.data = w.data + 1  # what was lost stays lost, what was not does not
    with pytest.raises(RuntimeError, match="lost"):
        old.backward()
    (g,) = engine.gradients(new, [w])
    np.testing.assert_array_equal(g.numpy(), 2 * (w.numpy() - 1))


def test_the_augmented_assignment_itself():
    w = leaf(1.0, 2.0)
    for _ in range(3):
        w.grad = None
        engine.sum(w * w).backward()
        w.data -= 0.25 * w.grad.numpy()
    np.testing.assert_allclose(w.numpy(), np.array([1.0, 2.0]) / 8)


def test_moving_a_module_between_the_passes_is_refused():
    net = rnn.LSTM(3, 4)
    loss = engine.sum(net(engine.ones((5, 2, 3)))[0])
    net.to(engine.float64)
    with pytest.raises(RuntimeError, match=r"weight_ih .*moved to another dtype"):
        loss.backward()
    assert all(x.grad is None for x in net.parameters())
    engine.sum(net(engine.ones((5, 2, 3), dtype="float64"))[0]).backward()
    assert all(x.grad.dtype == x.node.dtype == engine.float64 for x in net.parameters())


def test_moving_a_module_to_where_it_is_changes_nothing():
    net = rnn.LSTM(3, 4)
    loss = engine.sum(net(engine.ones((5, 2, 3)))[0])
    net.to("numpy", dtype=engine.float32)
    loss.backward()
    assert all(x.grad is not None for x in net.parameters())


def test_what_cannot_be_assigned():
    w = leaf(1.0, 2.0)
    y = w * w
    with pytest.raises(ValueError, match=r"computed by multiply.*x\[\.\.\.\] = array"):
        y.data = np.ones(2)
    for wrong in (w, [1.0, 2.0], None, 3.0):
        with pytest.raises(TypeError, match=f"expected an array, got {type(wrong).__name__}"):
            w.data = wrong
    assert w.numpy().tolist() == [1, 2]
    scalar = leaf(3.0)
    scalar.data = scalar.data - np.float64(1)  # NumPy makes a scalar of this
    assert (scalar.shape, scalar.item()) == ((), 2)
    assert type(scalar.data) is np.ndarray


@pytest.mark.parametrize("what", ["argument", "outside"])
def test_a_step_that_assigns_to_data_is_the_same_in_every_executor(what):
    found: list[Any] = []
    for unrolled in (True, False):
        outside = engine.zeros(3, dtype="float64")

        def step(h: Tensor, x: Tensor, b: Tensor = outside) -> Any:
            changed = x if what == "argument" else b
            changed.data = changed.data + 1
            n = engine.tanh(h + x * b)
            return n, n

        with engine.stepping.while_stepping(explicit=unrolled):
            try:
                ys = engine.scan(step, engine.asarray(normal(2, 3)), engine.asarray(normal(4, 3)))
                found.append([ys[1].numpy().tolist(), outside.numpy().tolist()])
            except ValueError as error:
                found.append([str(error), outside.numpy().tolist()])
    assert found[0] == found[1]


def test_an_initializer_that_fails_loses_nothing():
    net = rnn.Linear(3, 2)
    loss = engine.sum(net(engine.ones((1, 3))) ** 2)
    wanted = [g.numpy() for g in engine.gradients(loss, net.parameters())]
    with pytest.raises(ValueError, match="bias"):
        rnn.initialize(net, {"weight": rnn.initializers.zeros, "bias": rnn.initializers.orthogonal})
    for g, other in zip(engine.gradients(loss, net.parameters()), wanted, strict=True):
        np.testing.assert_array_equal(g.numpy(), other)


def test_frozen_values_are_those_of_the_forward_pass_too():
    for again in (lambda f: f, engine.checkpoint):
        frozen, x = engine.asarray([2.0, 3.0]), engine.ones(2, requires_grad=True)
        loss = engine.sum(again(lambda x, f=frozen: engine.sin(x) * f)(x))
        frozen.data = np.zeros(2, "float32")
        loss.backward()
        np.testing.assert_allclose(x.grad.numpy(), np.cos(1) * np.array([2, 3]), rtol=1e-6)


def test_a_graph_that_was_released_is_refused_and_holds_no_version():
    w = leaf(1.0, 2.0)
    loss = engine.sum(w * w)
    loss.backward(retain_graph=False)
    array = weakref.ref(w.data)
    w.data = w.data + 1
    assert array() is None
    with pytest.raises(RuntimeError, match="released"):
        loss.backward()


# ---- memory


def epochs(net: rnn.Module, loss: Any, update: Callable[[], Any]) -> Any:
    """Yield the count of live arrays of the first parameter after each of many training steps."""
    arrays: list[weakref.ref[Any]] = []
    w = net.parameters()[0]
    for _ in range(200):
        net.zero_grad()
        value = loss(net)
        value.backward()
        arrays.append(weakref.ref(w.data if w.data.base is None else w.data.base))
        update()
        yield len({id(array()) for array in arrays if array() is not None})


def manual(net: rnn.Module) -> None:
    with engine.no_grad():
        for x in net.parameters():
            x -= 0.01 * x.grad


def by_data(net: rnn.Module) -> None:
    for x in net.parameters():
        x.data = x.data - 0.01 * x.grad.data


def augmented(net: rnn.Module) -> None:
    for x in net.parameters():
        x.data -= 0.01 * x.grad.data


TRAINED: dict[str, Callable[[rnn.Module], Callable[[], Any]]] = {
    "SGD": lambda net: rnn.optim.SGD(net.parameters(), lr=0.01).step,
    "Adam": lambda net: rnn.optim.Adam(net.parameters(), lr=0.01).step,
    "manual": lambda net: lambda: manual(net),
    "data": lambda net: lambda: by_data(net),
    "augmented": lambda net: lambda: augmented(net),
}


@pytest.mark.parametrize(("how", "name"), covering(TRAINED, ["stack", "checkpoint", "LSTM"]))
def test_training_keeps_no_versions_that_no_graph_needs(name, how):
    # Also where something else that was recorded lives on, such as the step of a recurrence.
    loss = LOSSES[name]
    net = made(loss)
    kept = engine.sum(engine.ones(2, requires_grad=True) * 2)
    gc.collect()
    gc.disable()
    try:
        alive = list(epochs(net, loss, TRAINED[how](net)))
    finally:
        gc.enable()
    assert max(alive) <= 4
    assert all(len(getattr(x, "_versions", ())) <= 4 for x in net.parameters())
    assert kept.item() == 4


def test_remembered_steps_hold_no_versions():
    # A recurrence remembers its step for every size of a batch, and the graph of each.
    net = rnn.LSTM(3, 4)
    w, rule, arrays = net.parameters()[0], rnn.optim.SGD(net.parameters(), lr=0.01), []
    for rows in range(1, 9):
        rule.zero_grad()
        engine.sum(net(engine.ones((5, rows, 3)))[0]).backward()
        arrays.append(weakref.ref(w.data if w.data.base is None else w.data.base))
        rule.step()
    assert sum(array() is not None for array in arrays) <= 2


def test_a_remembered_step_that_another_executor_runs_after_an_update():
    net = made(LOSSES["LSTM"])
    LOSSES["LSTM"](net)
    assigned(net)
    found = []
    before = list(EXECUTORS)
    for name in ("plan", "explicit"):
        executors = [one for one in before if one.name == name]
        EXECUTORS[:] = executors
        try:
            found.append(engine.gradients(LOSSES["LSTM"](net), net.parameters()))
        finally:
            EXECUTORS[:] = before
    agree(*([g.numpy() for g in grads] for grads in found))


def test_a_version_lives_as_long_as_a_graph_that_read_it():
    w, other = leaf(1.0, 2.0), leaf(1.0)
    first, kept, arrays = w * w, None, [weakref.ref(w.data)]
    for k in range(5):
        w.data = np.full(2, float(k))
        arrays.append(weakref.ref(w.data))
        unrelated = other * w.data
        if k == 2:
            kept = w * w
    assert [a() is not None for a in arrays] == [True, False, False, True, False, True]
    assert engine.gradients(engine.sum(first), [w])[0].numpy().tolist() == [2, 4]
    del first
    assert [a() is not None for a in arrays] == [False, False, False, True, False, True]
    assert engine.gradients(kept, [w], np.ones(2))[0].numpy().tolist() == [4, 4]
    del kept
    assert [a() is not None for a in arrays] == [False] * 5 + [True]
    assert unrelated.numpy().tolist() == [4, 4]


def test_values_that_no_node_has_read_are_not_kept():
    w = leaf(1.0, 2.0)
    assert w.node.name == ""
    with engine.no_grad():
        w * w
    array = weakref.ref(w.data)
    w.data = np.ones(2)
    assert array() is None
    assert not hasattr(w, "_versions")


def test_threads_that_train_networks_of_their_own():
    found: list[Any] = []

    def train() -> None:
        for _ in range(40):  # the first change of a new leaf is the rarest order of all
            w = leaf(1.0, 2.0)
            for k in range(5):
                loss = engine.sum(w**3)
                w.data = w.data * 0.99
                (g,) = engine.gradients(loss, [w])
                found.append(g.numpy() / (3 * 0.99 ** (2 * k)))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=train) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    np.testing.assert_allclose(found, [[1, 4]] * 800, rtol=1e-9)


def test_a_change_in_another_thread_between_a_node_and_its_tensor(monkeypatch):
    """Replay the order in which a value was lost: node, change elsewhere, tensor, change here."""
    w, other = leaf(1.0, 2.0), leaf(3.0)
    engine.sum(other)  # read, so that its change is one
    new_id, made = engine.apply.new_id, []

    def interrupted() -> int:
        number = new_id()
        if not made:
            made.append(number)
            other.data = other.data * 2
        return number

    monkeypatch.setattr(engine.apply, "new_id", interrupted)
    cube = w**3
    monkeypatch.undo()
    w.data = w.data * 10
    (g,) = engine.gradients(engine.sum(cube), [w])
    assert g.numpy().tolist() == [3, 12]


def test_leaves_of_normal_numbers_have_no_versions_before_a_change():
    w = normal_leaf(2, 3)
    engine.sum(w * w).backward()
    assert not hasattr(w, "_versions")
