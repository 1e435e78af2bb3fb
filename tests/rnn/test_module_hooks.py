"""Compare hooks before calls of modules, and on gradients through them, with PyTorch's."""

import copy
import gc
import weakref

import numpy as np
import pytest

import engine
import rnn
from engine.scan import executors
from tests.docs.two_sides import assert_alike
from tests.draws import normal

X = engine.asarray(normal(4, 3).astype("f"))
W = normal(2, 3, salt=1).astype("f")


def linear():
    net = rnn.Linear(3, 2)
    net.load_state_dict({"weight": W, "bias": np.zeros(2, "f")})
    return net


def of_torch():
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(3, 2)
    net.load_state_dict({"weight": torch.tensor(W), "bias": torch.zeros(2)})
    return torch, net


# ---- before calls


def test_what_a_hook_before_returns_replaces_the_inputs():
    net, seen = linear(), []
    plain = net(X).numpy()
    handle = net.register_forward_pre_hook(lambda module, inputs: seen.append((module, inputs)))
    np.testing.assert_array_equal(net(X).numpy(), plain)
    ((module, inputs),) = seen
    assert module is net
    assert inputs[0] is X
    net.register_forward_pre_hook(lambda module, inputs: inputs[0] * 2)
    net.register_forward_pre_hook(lambda module, inputs: (inputs[0] + 1,))
    twice = (2 * X.numpy() + 1) @ W.T
    np.testing.assert_allclose(net(X).numpy(), twice, rtol=1e-5, atol=1e-6)
    first = net.register_forward_pre_hook(lambda module, inputs: inputs[0] * 0, prepend=True)
    np.testing.assert_allclose(net(X).numpy(), np.ones((4, 3)) @ W.T, rtol=1e-5, atol=1e-6)
    first.remove()
    handle.remove()
    handle.remove()
    np.testing.assert_allclose(net(X).numpy(), twice, rtol=1e-5, atol=1e-6)
    assert len(seen) == 3


class Scaled(rnn.Module):
    def forward(self, x, *, by=1.0):
        return x * by


def test_hooks_with_keywords_as_in_pytorch():
    torch = pytest.importorskip("torch")

    class OfTorch(torch.nn.Module):
        forward = Scaled.forward

    found = []
    for net, x in ((Scaled(), X), (OfTorch(), torch.tensor(X.numpy()))):
        seen = []
        net.register_forward_pre_hook(
            lambda module, inputs, options: (inputs, options | {"by": 3.0}), with_kwargs=True
        )
        net.register_forward_hook(
            lambda module, inputs, options, y, seen=seen: seen.append((len(inputs), options)),
            with_kwargs=True,
        )
        found.append([net(x, by=2.0), *seen[0]])
    assert_alike(*found)


def test_hooks_that_are_none_or_return_something_else_are_refused():
    net = linear()
    for kind in ("forward_pre", "forward", "full_backward"):
        with pytest.raises(TypeError, match=f"register_{kind}_hook: expected a function of \\(mod"):
            getattr(net, f"register_{kind}_hook")("print")
    net.register_forward_pre_hook(lambda module, inputs, options: inputs, with_kwargs=True)
    with pytest.raises(TypeError, match=r"a hook of Linear with_kwargs must return None or \(inpu"):
        net(X)


# ---- gradients


def seen_by(register, x, net, times=1):
    seen = []
    register(net, lambda module, gx, gy: seen.append((type(gx), type(gy), *gx, *gy)))
    for _ in range(times):
        (net(x) ** 2).sum().backward()
    return seen, x.grad, net.weight.grad


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")  # PyTorch's
@pytest.mark.parametrize("asked", [True, False])
def test_a_backward_hook_sees_what_pytorch_hands_to_it(asked):
    torch, net = of_torch()
    x = torch.tensor(X.numpy(), requires_grad=asked)
    theirs = seen_by(lambda m, f: m.register_full_backward_hook(f), x, net, times=2)
    own = engine.asarray(X.numpy(), requires_grad=asked)
    ours = seen_by(lambda m, f: m.register_full_backward_hook(f), own, linear(), times=2)
    assert_alike(ours, theirs)
    assert len(ours[0]) == 2


def test_what_a_backward_hook_returns_replaces_the_gradients():
    torch, net = of_torch()
    found = []
    for own, x in ((linear(), engine.asarray(X.numpy(), requires_grad=True)),
                   (net, torch.tensor(X.numpy(), requires_grad=True))):  # fmt: skip
        own.register_full_backward_hook(lambda module, gx, gy: (gx[0] * 10,))
        own.register_full_backward_hook(lambda module, gx, gy: (gx[0] + 1,), prepend=True)
        (own(x) ** 2).sum().backward()
        found.append([x.grad, own.weight.grad])
    assert_alike(*found)


class Crossed(rnn.Module):
    """Give two outputs, neither of which reads all inputs; one input is used outside as well."""

    def forward(self, a, b, c, scale):
        return a * b * scale, b + 0 * c.detach() if hasattr(c, "detach") else b


@pytest.mark.parametrize("used", [(0,), (1,), (0, 1)])
def test_several_inputs_and_outputs_as_in_pytorch(used):
    torch = pytest.importorskip("torch")

    class OfTorch(torch.nn.Module):
        forward = Crossed.forward

    found = []
    for make, net in ((engine.asarray, Crossed()), (torch.tensor, OfTorch())):
        a, b, c = (make(normal(3, salt=i).astype("f"), requires_grad=True) for i in range(3))
        seen = []
        net.register_full_backward_hook(
            lambda module, gx, gy, seen=seen: seen.append([one is None for one in (*gx, *gy)])
        )
        net.register_full_backward_hook(
            lambda module, gx, gy: tuple(None if g is None else 2 * g for g in gx)
        )
        outputs = net(a, b, c, 3.0)
        sum((outputs[i] * (a + i)).sum() for i in used).backward()
        found.append([a.grad is None or a.grad, b.grad, c.grad is None, seen])
    (ours, theirs) = found
    assert_alike(ours[:2], theirs[:2])
    # PyTorch fills the gradients of unused outputs with zeros where one node makes both.
    assert [len(one) for one in ours[3]] == [len(one) for one in theirs[3]] == [6]
    assert ours[3][0][3] is theirs[3][0][3] is True  # the number among the inputs
    assert ours[3][0][4:] == [i not in used for i in range(2)]


def test_passes_do_not_mix_and_a_pass_to_parameters_alone_tells_nothing():
    net, seen = linear(), []
    x = engine.asarray(X.numpy(), requires_grad=True)
    net.register_full_backward_hook(lambda module, gx, gy: seen.append((gx[0], gy[0])))
    y = net(x)
    engine.gradients(y.sum(), [net.weight])
    assert not seen
    for factor in (1.0, 2.0):
        engine.gradients((y * factor).sum(), [x])
    assert [float(gy.numpy().max()) for _, gy in seen] == [1.0, 2.0]
    np.testing.assert_allclose(seen[1][0].numpy(), 2 * seen[0][0].numpy(), rtol=1e-6)


def test_a_gradient_of_a_replaced_gradient():
    net = rnn.Linear(1, 1, bias=False)
    net.load_state_dict({"weight": np.array([[3.0]], "f")})
    net.register_full_backward_hook(lambda module, gx, gy: (gx[0] * gx[0],))
    x = engine.asarray([[2.0]], requires_grad=True)
    (g,) = engine.gradients((net(x) ** 2).sum(), [x], create_graph=True)
    assert g.item() == (2 * 9 * 2.0) ** 2  # the square of the slope of 9 x^2
    (second,) = engine.gradients(g, [net.weight])
    assert np.isfinite(second.item())
    assert second.item() != 0


def test_wrong_results_of_backward_hooks_are_refused():
    net = linear()
    handle = net.register_full_backward_hook(lambda module, gx, gy: (gx[0], gx[0]))
    x = engine.asarray(X.numpy(), requires_grad=True)
    with pytest.raises(ValueError, match="hook of Linear returned 2 gradients for 1 inputs"):
        net(x).sum().backward()
    handle.remove()
    net.register_full_backward_hook(lambda module, gx, gy: gy)
    with pytest.raises(ValueError, match="of Linear must return None, as no input requires a grad"):
        net(X).sum().backward()


def test_nothing_is_watched_where_nothing_is_recorded():
    net = linear()
    net.register_full_backward_hook(lambda module, gx, gy: gx)
    with engine.no_grad():
        assert not net(engine.asarray(X.numpy(), requires_grad=True)).requires_grad
    net.requires_grad_(False)
    assert net(X).node.inputs == () or not net(X).requires_grad


def test_a_graph_with_backward_hooks_is_freed_with_its_loss():
    net = linear()
    x = engine.asarray(X.numpy(), requires_grad=True)
    net.register_full_backward_hook(lambda module, gx, gy: None)
    gc.disable()
    try:
        y = net(x)
        loss = (y**2).sum()
        loss.backward()
        freed = [weakref.ref(one) for one in (y, loss)]
        del y, loss
        assert [one() for one in freed] == [None, None]
    finally:
        gc.enable()


def test_a_copy_keeps_its_hooks_and_layers_take_them():
    net, seen = rnn.LSTM(3, 2), []
    handle = net.register_full_backward_hook(
        lambda module, gx, gy: seen.append([None if g is None else g.shape for g in (*gx, *gy)])
    )
    twin = copy.deepcopy(net)
    handle.remove()
    x = engine.asarray(normal(5, 4, 3).astype("f"), requires_grad=True)
    net(x)[0].sum().backward()
    assert not seen  # the one that was removed
    twin(x)[0].sum().backward()
    assert seen == [[(5, 4, 3), (5, 4, 2), None]]  # the states are a further tuple


def test_the_backward_hook_of_a_cell_is_called_for_each_step(monkeypatch):
    monkeypatch.setattr(executors, "_told", set())  # another test may have been warned
    cell, seen = rnn.GRUCell(3, 2), []
    run = rnn.Recurrent(cell)
    x = engine.asarray(normal(5, 4, 3).astype("f"), requires_grad=True)
    run(x)[0].sum().backward()
    want, x.grad = x.grad.numpy(), None
    cell.register_full_backward_hook(
        lambda module, gx, gy: seen.append([g.shape for g in gx if g is not None])
    )
    with pytest.warns(engine.RecurrenceWarning, match="puts a hook on the gradient"):
        y, _ = run(x)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), want, rtol=1e-5, atol=1e-6)
    assert seen == [[(4, 3), (4, 2)]] * 4 + [[(4, 3)]]
    del seen[:]
    cell.register_forward_pre_hook(lambda module, inputs: (inputs[0] * 0, inputs[1]))
    with engine.explicit():
        run(x)[0].sum().backward()
    assert len(seen) == 5
