"""Test random masks and dropout: reproducible, alike in every executor, fresh at every call."""

import importlib

import numpy as np
import pytest

import engine
import rnn
from engine.backends import HOST
from engine.ops.chance import chance, philox
from tests.draws import covering, first, normal

T, B, H = 7, 3, 5
scan_module = importlib.import_module("engine.scan")


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_the_published_answers(counter, key, expected):
    words = [np.array([one], dtype=np.uint64) for one in counter]
    found = philox(HOST.xp, words, [np.uint64(one) for one in key])
    assert [int(one[0]) for one in found] == expected


def test_all_times_at_once_are_each_time_alone(device):
    key = engine.asarray(np.array([3, 9]), device=device)
    together = chance(key, engine.arange(4, device=device), shape=(2, 3), probability=0.5)
    for t in range(4):
        own = engine.asarray(np.array(t), device=device)
        alone = chance(key, own, shape=(2, 3), probability=0.5)
        np.testing.assert_array_equal(together.numpy()[t], alone.numpy())
    on_host = chance(np.array([3, 9]), np.arange(4), shape=(2, 3), probability=0.5)
    np.testing.assert_array_equal(together.numpy(), on_host.numpy())


def test_dropout_keeps_the_mean_and_scales_what_is_left():
    engine.seed(0)
    x = engine.ones((200, 300), requires_grad=True)
    y = engine.dropout(x, 0.25)
    kept = y.numpy() != 0
    assert abs(kept.mean() - 0.75) < 0.01
    np.testing.assert_allclose(y.numpy()[kept], 1 / 0.75, rtol=1e-6)
    engine.sum(y).backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())
    assert abs(np.corrcoef(kept[:-1].ravel(), kept[1:].ravel())[0, 1]) < 0.02


def test_seed_and_scope_say_what_is_dropped():
    def draw(path):
        with engine.scope(path):
            return engine.dropout(engine.ones(64)).numpy()

    engine.seed(1)
    a, b, other = draw("a"), draw("a"), draw("b")
    assert (a != b).any()
    assert (a != other).any()
    engine.seed(1)
    np.testing.assert_array_equal(draw("b"), other)  # after any other draws
    np.testing.assert_array_equal(draw("a"), a)


def test_extremes_and_mistakes():
    x = engine.asarray([1.0, np.inf, 3.0])
    assert engine.dropout(x, 0) is x
    np.testing.assert_array_equal(engine.dropout(x, 1.0).numpy(), np.zeros(3))
    for wrong in (-0.1, 1.5, "half", True):
        with pytest.raises(ValueError, match="p must lie in"):
            engine.dropout(x, wrong)
    masked = engine.dropout(engine.ones((50, 8)), 0.5, shape=(50, 1)).numpy()
    assert (masked == masked[:, :1]).all()


def dropped(state, x):
    """Return a step with two masks, one on the input's side and one on the state's."""
    h = engine.tanh(engine.dropout(x, 0.3) + 0.7 * engine.dropout(state, 0.5) @ W)
    return h, h


W = normal(H, H, salt=5)


def run(executor, **options):
    engine.seed(4)
    before = scan_module.EXECUTORS[:]
    scan_module.EXECUTORS[:] = [one for one in before if one.name in (executor, "explicit")]
    try:
        x = engine.asarray(normal(T, B, H), requires_grad=True)
        h0 = engine.asarray(normal(B, H, salt=1), requires_grad=True)
        with engine.scope("net"):
            final, y = engine.scan(dropped, h0, x, **options)
        grads = engine.gradients([y, final], [x, h0], [normal(T, B, H, salt=2), normal(B, H)])
        return [y.numpy(), final.numpy(), *(g.numpy() for g in grads)]
    finally:
        scan_module.EXECUTORS[:] = before


OPTIONS = [{}, {"reverse": True}, {"lengths": [7, 0, 3]}, {"checkpoint": 3},
           {"checkpoint": 2, "reverse": True, "lengths": [2, 7, 6]}]  # fmt: skip


@pytest.mark.parametrize(("executor", "options"), covering(["c", "plan"], OPTIONS))
def test_masks_are_the_same_in_every_executor(executor, options):
    plain = {name: value for name, value in options.items() if name != "checkpoint"}
    for one, other in zip(run(executor, **options), run("explicit", **plain), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


def test_every_step_and_every_call_has_its_own_mask():
    engine.seed(0)
    step = lambda h, x: (h, engine.dropout(x, 0.5))  # noqa: E731
    x = engine.ones((6, 4, 32))
    h = engine.zeros((4, 1))
    first, second = engine.scan(step, h, x)[1].numpy(), engine.scan(step, h, x)[1].numpy()
    assert (first != second).any()
    assert all((first[t] != first[t + 1]).any() for t in range(5))


def test_masks_are_drawn_for_all_steps_before_the_recurrence_runs():
    text = engine.explain_scan(dropped, normal(B, H), normal(T, B, H))
    assert text.startswith("c: runs it")
    lines = [line for line in text.splitlines() if "= chance(" in line]
    assert len(lines) == 2
    assert all("[hoisted]" in line for line in lines)


def test_second_order_through_dropped_steps():
    def f(x, h0):
        engine.seed(2)
        return engine.scan(dropped, h0, x)[1]

    assert engine.gradcheck(f, [normal(3, 2, H), normal(2, H, salt=1)], order=2)


def test_layers_drop_between_layers_and_only_while_training():
    engine.seed(0)
    net = rnn.LSTM(3, 8, num_layers=3, dropout=0.5)
    x = engine.asarray(normal(5, 2, 3).astype("float32"))
    first, second = net(x)[0].numpy(), net(x)[0].numpy()
    assert (first != second).any()
    net.eval()
    np.testing.assert_array_equal(net(x)[0].numpy(), net(x)[0].numpy())
    graph = engine.Graph.of(net.train()(x, unroll=True)[0])
    assert sum(node.op.name == "chance" for node in graph.nodes) in (0, 2)


@pytest.mark.parametrize("checkpoint", first(1, [2, False]))
def test_recurrences_in_recurrences_have_masks_of_their_own(checkpoint):
    # An inner scan draws by the key of its step, so a second run of the outer one repeats it.

    def inner(h, x):
        return engine.dropout(h, 0.3) + x, h

    def outer(h, x):
        h, _ = engine.scan(inner, h, engine.stack([x, 0.5 * x]))
        return h, engine.dropout(h, 0.2)

    found = []
    for options in ({"unroll": True}, {"checkpoint": checkpoint}, {}):
        engine.seed(5)
        x = engine.asarray(normal(4, 2, H), requires_grad=True)
        y = engine.scan(outer, normal(2, H, salt=1), x, **options)[1]
        g = engine.gradients(engine.sum(y * y), [x], create_graph=True)[0]
        found.append([y.numpy(), g.numpy()])
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-10, atol=1e-12)
    (g,) = engine.gradients(engine.sum(g * g), [x])
    assert np.isfinite(g.numpy()).all()
