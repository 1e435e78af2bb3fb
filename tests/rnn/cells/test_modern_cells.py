"""Run every cell of matrix memories, continuous time, spikes and reservoirs: fused, as a stream,
with masks, on devices, in pictures, and to the second derivative.
"""

from itertools import product

import numpy as np
import pytest

import engine
import rnn
import viz
from tests.draws import ahead, first, normal
from tests.rnn.cells.cell_equations import CELLS, KINDS, SPIKING, I, made
from tests.viz.picture_checks import faults

T, B = 7, 2

EVERY = sorted(CELLS | SPIKING)
KINDS_FIRST = ahead(KINDS, EVERY)

# Products of matrices, a scale beside them, neurons, parameters that are fixed.
FEW = ["gated delta", "mlstm", "adapts", "echo"]
FEW_FIRST = ahead(FEW, EVERY)


@pytest.mark.parametrize("name", first(len(FEW), FEW_FIRST))
def test_a_fused_executor_runs_it_forward_and_backward(name):
    run = rnn.Recurrent(made(name))
    text = engine.explain_scan(run, engine.asarray(normal(T, B, I), requires_grad=True))
    head = [one for one in text.splitlines() if one.startswith(("forward", "backward"))]
    assert len(head) == 2
    assert all("(c," in one or "(plan" in one for one in head), head
    assert "loop" not in "".join(one for one in text.splitlines() if one[:1] != "%")


@pytest.mark.parametrize(("name", "steps"), first(2 * len(KINDS), product(KINDS_FIRST, [0, 1])))
def test_no_step_and_one_step(name, steps):
    run = rnn.Recurrent(made(name))
    x = engine.asarray(normal(steps, B, I), requires_grad=True)
    y, final = run(x)
    one, first = run.cell(engine.zeros((B, I), dtype="float64"))
    assert y.shape == (steps, *one.shape)
    finals, firsts = (s if isinstance(s, tuple) else (s,) for s in (final, first))
    assert [s.shape for s in finals] == [s.shape for s in firsts]
    if not steps:
        assert not any(s.numpy().any() for s in finals)
    (g,) = engine.gradients(engine.sum(y) + sum(engine.sum(s) for s in finals), [x])
    assert g is None if not steps else g.shape == x.shape


@pytest.mark.parametrize("name", first(len(KINDS), KINDS_FIRST))
def test_pieces_equal_the_whole_and_so_do_their_gradients(name):
    run = rnn.Recurrent(made(name))
    x = engine.asarray(normal(T, B, I), requires_grad=True)
    whole, final = run(x)
    first, state = run(x[:3])
    second, last = run(x[3:], state)
    pieces = engine.concat([first, second], axis=0)
    np.testing.assert_allclose(pieces.numpy(), whole.numpy(), rtol=1e-13, atol=1e-14)
    for one, other in zip(*(s if isinstance(s, tuple) else (s,) for s in (last, final)),
                          strict=True):  # fmt: skip
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-13, atol=1e-14)
    weights = normal(*whole.shape, salt=4)
    one, other = (engine.gradients(engine.sum(y * weights), [x])[0] for y in (pieces, whole))
    np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-11, atol=1e-13)


def check_on_both_devices(name, gpu):
    found = []
    for place in ("numpy", gpu):
        run = rnn.Recurrent(made(name)).to(place)
        x = engine.asarray(normal(T, B, I), device=place, requires_grad=True)
        y, _ = run(x, None, [T, 2])
        own = [p for p in run.parameters() if p.requires_grad]
        found.append([y, *engine.gradients(engine.sum(y * y), [x, *own])])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(other.numpy(), one.numpy(), rtol=1e-10, atol=1e-13)


@pytest.mark.cupy
@pytest.mark.parametrize("name", first(len(FEW), FEW_FIRST))
def test_devices_agree_step_by_step(name, gpu, explicit):
    check_on_both_devices(name, gpu)


@pytest.mark.cupy
@pytest.mark.parametrize("name", first(1, ahead(["adapts"], EVERY)))
def test_devices_agree(name, gpu):
    check_on_both_devices(name, gpu)


@pytest.mark.parametrize("name", first(len(FEW), FEW_FIRST))
def test_masks_leave_steps_out(name):
    run, x = rnn.Recurrent(made(name)), normal(T, B, I)
    mask = np.ones((T, B), bool)
    mask[2, 0] = mask[4, 1] = False
    dirty = np.where(mask[..., None], x, np.nan)
    y, final = run(dirty, mask=mask)
    for row, gone in ((0, 2), (1, 4)):
        kept = np.delete(x[:, row : row + 1], gone, axis=0)
        alone, last = run(kept)
        np.testing.assert_allclose(np.delete(y.numpy()[:, row], gone, axis=0),
                                   alone.numpy()[:, 0], rtol=1e-12, atol=1e-14)  # fmt: skip
        for s, t in zip(*(s if isinstance(s, tuple) else (s,) for s in (final, last)),
                        strict=True):  # fmt: skip
            np.testing.assert_allclose(s.numpy()[row], t.numpy()[0], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", first(len(FEW), FEW_FIRST))
def test_second_derivatives_are_finite_in_all_parameters(name):
    run = rnn.Recurrent(made(name))
    own = [p for p in run.parameters() if p.requires_grad]
    x = engine.asarray(normal(4, B, I), requires_grad=True)
    y, _ = run(x)
    grads = engine.gradients(engine.sum(y * normal(*y.shape)), [x, *own], create_graph=True)
    total = sum(engine.sum(g * g) for g in grads if g is not None)
    for second in engine.gradients(total, [x, *own]):
        assert second is None or np.isfinite(second.numpy()).all()


@pytest.mark.parametrize("name", first(len(KINDS), KINDS_FIRST))
def test_observing_shows_states_and_gates(name):
    run = rnn.Recurrent(made(name))
    y, _, found = rnn.observe(run, engine.asarray(normal(T, B, I)))
    assert set(run.cell.state_size) <= set(found)
    assert all(one.shape[:2] == (T, B) for one in found.values())
    assert y.shape[:2] == (T, B)


@pytest.mark.parametrize("name", EVERY)
def test_weights_are_saved_and_loaded(name):
    first, second = made(name), made(name)
    for x in second.parameters():
        x.data = x.data * 0.5
    second.load_state_dict(first.state_dict())
    x = normal(B, I)
    np.testing.assert_array_equal(second(x)[0].numpy(), first(x)[0].numpy())


@pytest.mark.parametrize("name", first(len(FEW), FEW_FIRST))
def test_pictures_of_its_gradients_are_drawn(name):
    run = rnn.Recurrent(made(name))
    y, _ = run(engine.asarray(normal(4, 1, I), requires_grad=True))
    loss = engine.sum(y * y)
    for diagram in (viz.draw_rolled(loss), viz.draw_story(loss), viz.draw_gates(y)):
        assert faults(diagram.svg()) == []
    state = next(iter(run.cell.state_size))
    graph = viz.draw_jacobian_heatmap(y, of=state).graph
    norms = [norm for _, _, norm in graph.edges(data="jacobian_norm")]
    assert len(norms) == 4 * 5 / 2
    assert np.isfinite(norms).all()
    assert norms.count(1.0) >= 4  # of each state by itself
