"""Test engine.deterministic(): gradients of embeddings and indexing without order of threads."""

import numpy as np
import pytest

import engine

RNG = np.random.default_rng(3)
IDS = RNG.integers(-6, 6, (5, 40))  # each of six places many times, from both ends
WILD = (RNG.normal(size=(5, 40, 3)) * 10.0 ** RNG.integers(-6, 7, (5, 40, 3))).astype("float32")


def embedded(device):
    w = engine.zeros((6, 3), device=device, requires_grad=True)
    out = engine.embedding(w, engine.asarray(IDS, device=device))
    return engine.gradients(out, [w], [engine.asarray(WILD, device=device)])[0].numpy()


def indexed(device):
    w = engine.zeros((3, 6), device=device, requires_grad=True)
    columns = engine.asarray(np.tile([0, 1, 2], (5, 40, 1)), device=device)
    out = w[columns, engine.asarray(IDS[..., None], device=device)]
    return engine.gradients(out, [w], [engine.asarray(WILD, device=device)])[0].numpy().T


def scattered(device):
    x = engine.zeros((6, 3), device=device)
    ids = engine.asarray(IDS.reshape(-1), device=device)
    return engine.scatter_add(x, ids, engine.asarray(WILD.reshape(-1, 3), device=device)).numpy()


WAYS = pytest.mark.parametrize("way", [embedded, indexed, scattered])


def exact():
    """Compute the sums in float64, rounded once."""
    out = np.zeros((6, 3))
    np.add.at(out, IDS.reshape(-1) % 6, WILD.reshape(-1, 3).astype("float64"))
    return out


@WAYS
def test_every_run_gives_the_same_bits(way, device):
    with engine.deterministic():
        runs = [way(device) for _ in range(6)]
    assert all(run.tobytes() == runs[0].tobytes() for run in runs)
    np.testing.assert_allclose(runs[0], exact(), rtol=0, atol=1e-5 * np.abs(WILD).max())


@WAYS
@pytest.mark.cupy
def test_without_it_the_order_of_threads_shows(way):
    cupy = pytest.importorskip("cupy")
    if not getattr(cupy, "IS_FAKE", False):
        pytest.skip("a GPU may happen to add in one order")
    assert len({way("cuda").tobytes() for _ in range(10)}) > 1


def test_small_numbers_of_places_and_none(device):
    for shape, ids in (((1, 2), [0]), ((4, 2), [3, 3, 3]), ((3, 2), []), ((5,), [1, 4, 1])):
        w = engine.zeros(shape, device=device, requires_grad=True)
        places = engine.asarray(np.array(ids, "int64"), device=device)
        with engine.deterministic():
            (g,) = engine.gradients(engine.sum(engine.take(w, places)), [w])
        expected = np.zeros(shape)
        np.add.at(expected, np.array(ids, "int64"), 1)
        np.testing.assert_array_equal(g.numpy(), expected)


def test_masks_among_the_indices(device):
    x = engine.asarray(np.zeros((2, 3), "float32"), device=device, requires_grad=True)
    mask = engine.asarray(np.array([True, True]), device=device)
    with engine.deterministic():
        (g,) = engine.gradients(engine.sum(x[mask, engine.asarray([1, 1], device=device)]), [x])
    assert g.tolist() == [[0, 1, 0], [0, 1, 0]]


def test_half_precision_is_summed_in_single(device):
    w = engine.zeros((2, 1), dtype=engine.float16, device=device, requires_grad=True)
    ids = engine.asarray(np.zeros(4096, "int64"), device=device)
    with engine.deterministic():
        (g,) = engine.gradients(engine.sum(engine.embedding(w, ids)), [w])
    assert (g.dtype, g.tolist()) == (engine.float16, [[4096], [0]])


def test_it_is_a_setting_like_the_others():
    from engine.state import current

    @engine.deterministic()
    def inside():
        return current().deterministic

    assert (current().deterministic, inside(), current().deterministic) == (False, True, False)
    with pytest.raises(ZeroDivisionError), engine.deterministic():
        1 / 0  # noqa: B018
    assert current().deterministic is False
