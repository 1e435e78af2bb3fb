"""Test cells of linear recurrences and the sLSTM: against the equations of their papers, compiled
against the loop, derivatives against differences, pieces against the whole, and their equations in
print.
"""

from itertools import product
from typing import Any

import numpy as np
import pytest

import engine
import rnn
from engine.scan.c.compiler import CannotCompileError, compiler
from tests.draws import ahead, first, normal
from tests.rnn.cells.linear_cases import (
    CASES,
    KINDS,
    KINDS_FIRST,
    given,
    initial,
    listed,
    made,
)

T, B = 5, 2
EXACT = {"rtol": 1e-11, "atol": 1e-13}

# Channels and a shift as states, a scale beside a sum, heads.
STATES = ["Mamba with a window", "RWKV-4", "sLSTM exp, heads"]


def there_is_a_compiler():
    try:
        return bool(compiler())
    except CannotCompileError:
        return False


def inputs(cell: rnn.Cell, steps: int = T, batch: int = B) -> np.ndarray:
    return normal(steps, batch, cell.input_size)


@pytest.mark.parametrize("name", CASES)
def test_cells_are_the_equations_of_their_papers(name):
    cell, case = made(name), CASES[name]
    x, states = inputs(cell), initial(made(name), B)
    y, final = rnn.Recurrent(cell)(x, given(states))
    weights = {key: one.numpy() for key, one in cell.named_parameters()}
    now, ys = case.meant(*states), []
    for x_t in x:
        out, now = case.step(weights, x_t, *now)
        ys.append(out)
    np.testing.assert_allclose(y.numpy(), np.stack(ys), **EXACT)
    found = case.meant(*(one.numpy() for one in listed(final)))
    for own, other in zip(found, now, strict=True):
        np.testing.assert_allclose(own, other, **EXACT)


@pytest.mark.parametrize("name", CASES)
def test_nothing_of_a_state_that_is_left_out_counts(name):
    cell, case = made(name), CASES[name]
    x = inputs(cell)
    zeros = [np.zeros_like(one) for one in initial(cell, B)]
    y, _ = rnn.Recurrent(cell)(x)
    weights = {key: one.numpy() for key, one in cell.named_parameters()}
    out, _ = case.step(weights, x[0], *case.meant(*zeros))
    np.testing.assert_allclose(y.numpy()[0], out, **EXACT)


@pytest.mark.skipif(not there_is_a_compiler(), reason="there is no compiler")
@pytest.mark.parametrize("name", first(len(STATES), ahead(STATES, CASES)))
def test_both_directions_run_in_c(name):
    cell = made(name)
    text = engine.explain_scan(rnn.Recurrent(cell).step(), given(initial(cell, B)),
                               engine.asarray(inputs(cell), requires_grad=True))  # fmt: skip
    assert text.startswith("c: runs it")
    assert "\nforward (c, " in text
    assert "\nbackward (c, " in text
    assert "loop" not in text


@pytest.mark.parametrize(
    ("name", "reverse"), first(2 * len(KINDS), product(KINDS_FIRST, [False, True]))
)
def test_compiled_is_the_loop(name, reverse):
    cell = made(name)
    run = rnn.Recurrent(cell, reverse=reverse)
    found = []
    for unroll in (False, True):
        x = engine.asarray(inputs(cell, batch=3), requires_grad=True)
        states = [engine.asarray(one, requires_grad=True) for one in initial(cell, 3)]
        y, final = run(x, given(states), [3, 0, T], unroll=unroll)
        loss = sum((engine.sum(one * normal(*one.shape, salt=3)) for one in (y, *listed(final))),
                   start=engine.asarray(0.0))  # fmt: skip
        grads = engine.gradients(loss, [x, *states, *run.parameters()])
        found.append([y, *listed(final), *grads])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-10, atol=1e-12)


# Ratios, roots, complex numbers; of channels, a window and a scale the test below takes slopes.
SLOPES = ["minLSTM", "RG-LRU", "LRU"]


@pytest.mark.parametrize("name", first(len(SLOPES), ahead(SLOPES, CASES)))
def test_gradients_against_differences(name):
    cell = made(name)
    states, names = initial(cell, 1), list(dict(cell.named_parameters()))
    weights = [one.numpy() for one in cell.parameters()]

    def f(x: Any, *given_: Any) -> Any:
        for key, one in zip(names, given_[len(states) :], strict=True):
            setattr(cell, key, one)
        own = given_[: len(states)]
        y, final = rnn.Recurrent(cell)(x, own[0] if len(own) == 1 else own)
        flat = [engine.reshape(one, (-1,)) for one in (y, *listed(final))]
        return engine.concat(flat)

    assert engine.gradcheck(f, [inputs(cell, 3, 1), *states, *weights])


CURVES = ["S4D", "Mamba with a window", "sLSTM exp, heads"]


@pytest.mark.parametrize("name", first(len(CURVES), ahead(CURVES, CASES)))
def test_second_order_against_differences(name):
    cell = made(name)
    run = rnn.Recurrent(cell)
    assert engine.gradcheck(lambda x: run(x)[0], [inputs(cell, 3, 1)], order=2)


@pytest.mark.parametrize(
    ("name", "unroll"), first(2 * len(KINDS), product(KINDS_FIRST, [False, True]))
)
def test_nan_in_padding_reaches_nothing(name, unroll):
    cell = made(name)
    run = rnn.Recurrent(cell)
    clean, lengths = inputs(cell, batch=3), [3, 0, T]
    dirty = clean.copy()
    dirty[3:, 0] = dirty[:, 1] = np.nan
    found = []
    for values in (clean, dirty):
        x = engine.asarray(values, requires_grad=True)
        y, final = run(x, None, lengths, unroll=unroll)
        loss = engine.sum(y * y) + sum(engine.sum(engine.tanh(one)) for one in listed(final))
        found.append([y, *listed(final), *engine.gradients(loss, [x, *run.parameters()])])
    for one, other in zip(*found, strict=True):
        assert np.isfinite(one.numpy()).all()
        np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize("name", CASES)
def test_pieces_are_the_whole(name):
    cell = made(name)
    run, x = rnn.Recurrent(cell), inputs(cell)
    whole, final = run(x)
    state, ys = None, []
    for piece in (x[:0], x[:2], x[2:2], x[2:3], x[3:]):
        y, state = run(piece, state)
        assert y.shape == (len(piece), B, whole.shape[-1])
        ys.append(y.numpy())
    np.testing.assert_allclose(np.concatenate(ys), whole.numpy(), rtol=1e-13, atol=1e-14)
    for own, other in zip(listed(state), listed(final), strict=True):
        np.testing.assert_allclose(own.numpy(), other.numpy(), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("name", first(len(STATES), ahead(STATES, CASES)))
def test_rows_that_start_over_and_masks(name):
    cell = made(name)
    run, x = rnn.Recurrent(cell), inputs(cell)
    resets = np.zeros((T, B), bool)
    resets[2, 0] = True
    y = run(x, resets=resets)[0].numpy()
    np.testing.assert_allclose(y[2:, 0], run(x[2:, :1])[0].numpy()[:, 0], rtol=1e-12, atol=1e-14)
    mask = np.array([1, 0, 1, 1, 0], bool)[:, None] & np.ones((1, B), bool)
    kept = run(x, mask=mask)[0].numpy()[[0, 2, 3]]
    np.testing.assert_allclose(kept, run(x[[0, 2, 3]])[0].numpy(), rtol=1e-12, atol=1e-14)


def check_on_both_devices(name, gpu):
    found = []
    for place in ("numpy", gpu):
        net = rnn.Recurrent(made(name)).to(place)
        x = engine.asarray(inputs(net.cell), device=place, requires_grad=True)
        y, final = net(x, None, [T, 3])
        assert {y.device, *(one.device for one in listed(final))} == {place}
        grads = engine.gradients(engine.sum(y * y), [x, *net.parameters()])
        found.append([y, *listed(final), *(g for g in grads if g is not None)])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.cupy
@pytest.mark.parametrize("name", first(len(STATES), ahead(STATES, CASES)))
def test_on_both_devices_step_by_step(name, gpu, explicit):
    check_on_both_devices(name, gpu)


@pytest.mark.cupy
@pytest.mark.parametrize("name", first(1, ahead(["Mamba with a window"], CASES)))
def test_on_both_devices(name, gpu):
    check_on_both_devices(name, gpu)


@pytest.mark.parametrize("name", first(len(STATES), ahead(STATES, CASES)))
def test_stacks_directions_and_what_is_observed(name):
    both = rnn.Bidirectional(made(name), made(name))
    width = rnn.Recurrent(made(name))(inputs(made(name)))[0].shape[-1]
    net = rnn.Stacked([both, rnn.MinGRUCell(2 * width, 3, dtype="float64")])
    x = inputs(made(name))
    y, _ = net(x, None, [T, 2])
    assert y.shape == (T, B, 3)
    assert not y.numpy()[2:, 1].any()
    run = rnn.Recurrent(made(name))
    plain, final = run(x)
    seen, _, found = rnn.observe(run, x)
    np.testing.assert_allclose(seen.numpy(), plain.numpy(), rtol=1e-12, atol=1e-14)
    for state, last in zip(run.cell.state_size, listed(final), strict=True):
        if state in found:  # a shift is an input, which is no variable of the step
            np.testing.assert_allclose(found[state].numpy()[-1], last.numpy(), **EXACT)
        else:
            assert state.startswith("s")


@pytest.mark.parametrize("name", CASES)
def test_latex_names_every_state_and_parameter(name):
    cell = made(name)
    text = rnn.latex(cell)
    assert text.count("{") == text.count("}")
    assert len(text.splitlines()) <= 27  # 25 lines of equations
    for key, _ in cell.named_parameters():
        assert rnn.cells.equations.symbol(key) in text
    for state in cell.state_size:
        assert f"\n{rnn.cells.equations.symbol(state, 't')} &= " in text
        assert rnn.cells.equations.symbol(state, "t-1") in text


@pytest.mark.parametrize("name", first(len(KINDS), KINDS_FIRST))
def test_a_copy_and_a_checkpoint_of_a_file_are_the_cell(name, tmp_path):
    cell = made(name)
    rnn.save(tmp_path / "cell.safetensors", cell.state_dict())
    other = CASES[name].make("float64")
    other.load_state_dict(rnn.load(tmp_path / "cell.safetensors")[0])
    x = inputs(cell)
    np.testing.assert_array_equal(
        rnn.Recurrent(other)(x)[0].numpy(), rnn.Recurrent(cell)(x)[0].numpy()
    )
