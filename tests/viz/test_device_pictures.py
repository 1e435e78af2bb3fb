"""Draw graphs on a device: the bytes of those on NumPy, from a handful of transfers."""

from functools import partial

import numpy as np
import pytest

import engine
import viz
from engine.backends import fetched
from examples import char_rnn
from examples.installed.bptt.pictures import losses_over_time
from tests.draws import first
from tests.engine.cuda.launches import counted, on_fake

pytestmark = pytest.mark.cupy

STEPS = 6


def recorded(device, kind="lstm", steps=STEPS):
    """Return the model of the example, its losses over time, and their mean."""
    engine.seed(0)
    model = char_rnn.CharRNN(kind, 7, 3).to(device)
    ids = np.random.default_rng(0).integers(0, 7, 5 + steps + 1).tolist()
    losses = losses_over_time(model.step, ids, 5, "abcdefg".__getitem__, device=device,
                              named=partial(char_rnn.named, model))  # fmt: skip
    with engine.scope("total"):
        total = engine.mean(engine.stack(losses))
    return model, losses, total


def graph_text(diagram):
    graph = diagram.graph
    return str([*graph.nodes(data=True), *graph.edges(data=True)])


PICTURES = {
    "rolled": (lambda m, losses, x: viz.draw_rolled(x).svg(), 0),
    "unrolled": (lambda m, losses, x: viz.draw_unrolled(x).svg(), 0),
    "ops": (lambda m, losses, x: viz.draw_unrolled(x, level="op").svg(), 0),
    "gradients": (lambda m, losses, x: viz.draw_gradients(x).svg(), 4),
    "gradients of ops": (lambda m, losses, x: viz.draw_gradients(x, level="op").svg(), 4),
    "story": (lambda m, losses, x: viz.draw_story(losses[-1]).svg(), 4),
    "values": (lambda m, losses, x: graph_text(viz.draw_unrolled(x)), 4),
    "numbers": (lambda m, losses, x: graph_text(viz.draw_gradients(x)), 4 + 4 + 4 * STEPS),
    "truncation": (lambda m, losses, x: viz.draw_truncation(x, 3).svg(), 12),
    "faults": (lambda m, losses, x: viz.draw_nonfinite(x).svg(), 6),
    "gates": (lambda m, losses, x: viz.draw_gates(x).svg(), 2),
}


@pytest.mark.parametrize("name", first(6, reversed(PICTURES)))
def test_a_picture_has_the_bytes_of_that_on_numpy(gpu, name, monkeypatch):
    monkeypatch.setenv("BPTT_EXECUTORS", "plan")  # kernels of the host round in another order
    draw, most = PICTURES[name]
    expected = draw(*recorded("numpy"))
    given = recorded(gpu)
    with counted() as count:
        found = draw(*given)
    if on_fake():  # on a device values differ in their last bits
        assert found == expected
    assert len(count.to_host) <= most if on_fake() else found


def test_a_longer_sequence_takes_as_many_transfers(gpu):
    counts = []
    for steps in (12, 24):
        *_, total = recorded(gpu, "gru", steps)
        with counted() as count:
            viz.draw_gradients(total).svg()
        counts.append(count.to_host)
    assert not on_fake() or len(counts[0]) == len(counts[1])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_fault_of_a_backward_pass_is_found_where_it_is_on_numpy(gpu, bad):
    found = []
    for device in ("numpy", gpu):
        x = engine.asarray([1.0, 0.0, 4.0], device=device, requires_grad=True, name="x")
        if bad == np.inf:
            y = engine.sum(engine.sqrt(x) * 2)
        else:
            y = engine.sum(engine.where(x > 0, x * x, engine.sqrt(x) * 0))
        found.append(viz.draw_nonfinite(y).svg())
    assert found[0] == found[1]


def test_arrays_of_all_dtypes_are_fetched_together(gpu):
    kinds = ["float32", "float64", "float16", "bool", "int8", "uint8", "int16", "int32", "int64",
             "uint64"]  # fmt: skip
    host = [np.arange(n).reshape(shape).astype(kind) for kind in kinds
            for n, shape in ((6, (2, 3)), (1, ()), (0, (0, 2)), (4, (4,)))]  # fmt: skip
    arrays = [engine.asarray(x, device=gpu).data for x in host]
    arrays.append(arrays[0].T)
    host.append(host[0].T)
    arrays.append(host[0])  # one that is on the host
    host.append(host[0])
    with counted() as count:
        found = fetched(arrays)
    for a, b in zip(host, found, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(a, b)
    assert not on_fake() or len(count.to_host) == len(kinds)
    assert count.to_device == []
