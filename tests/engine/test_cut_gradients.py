"""Compare gradients with uses cut off with those of detached graphs; sum over several passes."""

import numpy as np
import pytest

import engine
import rnn
from engine.backward import backward_pass
from engine.derivatives.cut_gradients import Pass, cut_gradients, cut_sums
from engine.derivatives.norms import norm
from engine.derivatives.seeds import seeds
from tests.draws import leaf, normal, normal_leaf

EXACT = {"rtol": 1e-12, "atol": 1e-14}


class Uses:
    """Hand tensors on, detached those of which the turn is in `detached`."""

    def __init__(self, detached=()):
        self.detached, self.seen = set(detached), 0

    def __call__(self, x):
        self.seen += 1
        return x.detach() if self.seen - 1 in self.detached else x


def program(x, w, use):
    """Return a graph with values used several times; `use` is called once for every edge."""
    a = engine.matmul(use(x), use(w))
    b = engine.tanh(use(a))
    c = engine.multiply(use(a), use(b))
    d = use(b)[0]  # its gradient is a piece that is placed only later
    e = engine.add(use(c), use(d))
    f = engine.sum(use(e), axis=-1)
    return engine.matmul(use(f), use(f))


def numbers(found):
    return [None if g is None else g.numpy() for g in found]


def assert_alike(found, expected):
    for one, other in zip(numbers(found), numbers(expected), strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one, other, **EXACT)


def edges_of(loss):
    """Return the uses of a program, in the order in which it makes them."""
    return [(node, slot) for _, node, slot in engine.Graph.of(loss).edges]


@pytest.mark.parametrize("seed", range(12))
def test_cut_uses_are_detached_uses(seed):
    x, w = normal_leaf(3, 4), normal_leaf(4, 4, salt=1)
    whole = Uses()
    edges = edges_of(program(x, w, whole))
    assert len(edges) == whole.seen == 11
    # Each use by itself, then several at once.
    rng = np.random.default_rng(seed)
    chosen = [seed % 11] if seed < 11 else rng.choice(11, 4, replace=False).tolist()
    loss = program(x, w, Uses())
    cut = {edges_of(loss)[i] for i in chosen}
    found = cut_gradients(loss, [x, w], lambda node, slot: (node, slot) in cut)
    assert_alike(found, engine.gradients(program(x, w, Uses(chosen)), [x, w]))


def test_nothing_cut_is_the_gradient_and_all_cut_is_none():
    x, w = normal_leaf(3, 4), normal_leaf(4, 4, salt=1)
    loss = program(x, w, Uses())
    whole = engine.gradients(loss, [x, w, loss])
    assert_alike(cut_gradients(loss, [x, w, loss], lambda node, slot: False), whole)
    *nothing, own = cut_gradients(loss, [x, w, loss], lambda node, slot: True)
    assert nothing == [None, None]
    assert own.item() == 1.0


def test_several_outputs_with_seeds_and_their_errors():
    x = normal_leaf(3)
    y, z = engine.sin(x), engine.exp(x)
    grads = [normal(3), normal(3, salt=1)]
    (found,) = cut_gradients([y, z], [x], lambda node, slot: node is y.node, grads)
    np.testing.assert_allclose(found.numpy(), normal(3, salt=1) * np.exp(x.numpy()), **EXACT)
    with pytest.raises(ValueError, match=r"shape \(3,\) is no single number"):
        cut_gradients(y, [x], lambda node, slot: False)


def test_every_use_is_asked_for_once_and_unused_ones_never():
    x, w = normal_leaf(3, 4), normal_leaf(4, 4, salt=1)
    loss = program(x, w, Uses())
    last = loss.node
    asked = []
    cut_gradients(loss, [x], lambda node, slot: bool(asked.append((node, slot))))
    assert sorted(asked, key=lambda use: (use[0].id, use[1])) == edges_of(loss)
    asked.clear()
    cut_gradients(loss, [x], lambda node, slot: not asked.append((node, slot)))
    assert asked == [(last, 0), (last, 1)]


def test_results_of_one_op_and_checkpoints_are_cut_too():
    x = normal_leaf(4, 3)
    q, r = engine.linalg.qr(x)
    loss = engine.sum(q[0]) + engine.sum(r * r)
    found = cut_gradients(loss, [x], lambda node, slot: node is q.node)
    assert_alike(found, engine.gradients(engine.sum(engine.linalg.qr(x)[1] ** 2), [x]))
    w, v = normal_leaf(3), normal_leaf(3, salt=2)
    y = engine.checkpoint(lambda a, b: engine.sin(a) * engine.exp(b))(w, v)
    found = cut_gradients(engine.sum(y), [w, v], lambda node, slot: node is y.node and slot == 1)
    np.testing.assert_allclose(found[0].numpy(), np.cos(w.numpy()) * np.exp(v.numpy()), **EXACT)
    assert found[1] is None


def test_a_recorded_pass_may_be_cut_as_well():
    x = leaf(0.5)
    y = engine.sin(x) * engine.exp(x)

    def observe(tensor, slot, part):
        return tensor.node.op.name != "sin"

    ((_, g),) = backward_pass([y], seeds([y], None), [x], create_graph=True, observe=observe)
    assert g.item() == pytest.approx(np.sin(0.5) * np.exp(0.5))
    (second,) = engine.gradients(g, [x])
    assert second.item() == pytest.approx((np.cos(0.5) + np.sin(0.5)) * np.exp(0.5))


@pytest.mark.parametrize("k", [1, 2, 3, 7])
def test_chunks_of_a_recurrence_are_those_of_truncated(k):
    engine.seed(2)
    net = rnn.LSTM(3, 4, num_layers=2, dtype="float64")
    x = engine.asarray(normal(7, 2, 3), requires_grad=True)
    inputs = [x, *net.parameters()]
    (loss,) = engine.expanded(engine.sum(net(x)[0] ** 2))

    def border(node, slot):
        a = node.inputs[slot].node.scope.labels.get("t")
        b = node.scope.labels.get("t")
        return a is not None and b is not None and a // k != b // k

    cut = rnn.truncated(net, x, kind="chunk", k=k).outputs
    found = cut_gradients(loss, inputs, border)
    for one, other in zip(found, engine.gradients(engine.sum(cut**2), inputs), strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-9, atol=1e-12)


def test_a_long_chain_is_cut_without_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(20_000):
        y = y + x  # every use of x adds 1
    middle = engine.Graph.of(y).nodes[10_000]
    (g,) = cut_gradients(y, [x], lambda node, slot: node is middle and slot == 0)
    assert g.item() == 10_002.0 - 1


# ---- sums over several passes


def test_sums_of_one_pass_are_the_gradients_and_their_parts():
    x, w = normal_leaf(3, 4), normal_leaf(4, 4, salt=1)
    loss = program(x, w, Uses())
    nodes, uses = engine.gradient_norms(loss)
    found = cut_sums([Pass([loss], lambda node, slot: False)])
    assert {node: norm(g) for node, g in found.nodes.items()} == nodes
    assert {use: norm(g) for use, g in found.uses.items()} == uses
    assert found.refused == {}
    joined = engine.gradient_norms(loss, group=lambda node, slot: node.op.name)[1]
    found = cut_sums([Pass([loss], lambda node, slot: False)], lambda node, slot: node.op.name)
    assert {use: norm(g) for use, g in found.uses.items()} == joined
    assert not cut_sums([Pass([loss], lambda node, slot: False)], lambda node, slot: None).uses


def test_sums_of_several_passes_add_and_what_is_refused_is_kept():
    x = leaf(2.0)
    y = x * 3.0
    first, second = y * y, y + 1.0
    cut = {first.node}
    found = cut_sums([Pass([first], lambda node, slot: node in cut),
                      Pass([second], lambda node, slot: False)])  # fmt: skip
    assert found.nodes[x.node].item() == 3.0
    assert found.nodes[y.node].item() == 1.0
    refused = {slot: float(g) for (_, (_, slot)), g in found.refused.items()}
    assert refused == {0: 6.0, 1: 6.0}
    assert found.uses[y.node, (second.node, 0)].item() == 1.0


def test_values_with_several_results_are_left_out_of_sums():
    x = normal_leaf(4, 3)
    a, b = engine.checkpoint(lambda x: (engine.sin(x), engine.cos(x)))(x)
    loss = engine.sum(a * a) + engine.sum(b)
    found = cut_sums([Pass([loss], lambda node, slot: False)])
    whole = a.node.inputs[0].node
    assert whole is b.node.inputs[0].node
    assert whole not in found.nodes
    assert {a.node, b.node, x.node} <= found.nodes.keys()
    assert (x.node, (whole, 0)) in found.uses
