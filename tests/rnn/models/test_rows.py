"""Test rows: without a batch axis, packed, and starting over in the middle of a sequence."""

from itertools import pairwise

import numpy as np
import pytest

import engine
import rnn
from rnn.cells import Cell
from tests.draws import first, normal

T, B, I, H = 6, 3, 2, 4
CELLS = {
    "elman": lambda: rnn.ElmanCell(I, H),
    "lstm": lambda: rnn.LSTMCell(I, H),
    "projected": lambda: rnn.LSTMCell(I, H, proj_size=2),
    "gru": lambda: rnn.GRUCell(I, H),
    "peephole": lambda: rnn.PeepholeLSTMCell(I, H),
    "coupled": lambda: rnn.CoupledLSTMCell(I, H),
    "normed": lambda: rnn.LayerNormLSTMCell(I, H),
    "reset before": lambda: rnn.ResetBeforeGRUCell(I, H),
    "one gate": lambda: rnn.OneGateGRUCell(I, H),
    "minimal": lambda: rnn.MinimalGatedCell(I, H),
    "independent": lambda: rnn.IndRNNCell(I, H),
    "jordan": lambda: rnn.JordanCell(I, H, 3),
    "both": lambda: rnn.ElmanJordanCell(I, H, 3),
    "textbook": lambda: rnn.TextbookCell(I, H, 3),
    "zoneout": lambda: rnn.Zoneout(rnn.GRUCell(I, H), 0.0),
}


def parts(state):
    return state if isinstance(state, tuple) else (state,)


# ---- one row


@pytest.mark.parametrize("name", CELLS)
def test_one_row_without_a_batch_is_a_batch_of_one(name):
    cell = CELLS[name]()
    x = normal(I).astype("f")
    y, state = cell(x)
    want, wanted = cell(x[None])
    assert y.shape == want.shape[1:]
    np.testing.assert_allclose(y.numpy(), want.numpy()[0], rtol=1e-6)
    again, after = cell(x, state)
    expected, _ = cell(x[None], wanted)
    np.testing.assert_allclose(again.numpy(), expected.numpy()[0], rtol=1e-6)
    for one, size in zip(parts(after), cell.state_size.values(), strict=True):
        assert one.shape == (size,)
    with pytest.raises(ValueError, match="expected states"):
        cell(x, tuple(np.zeros((2, 9), "f") for _ in parts(state)))


@pytest.mark.parametrize("name", ["LSTMCell", "GRUCell"])
def test_one_row_as_torch_computes_it(name):
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(rnn, name)(I, H), getattr(torch.nn, name)(I, H)
    theirs.load_state_dict({n: torch.tensor(x) for n, x in ours.state_dict().items()})
    x = normal(I).astype("f")
    found, expected = ours(x)[1], theirs(torch.tensor(x))
    for one, other in zip(parts(found), parts(expected), strict=True):
        np.testing.assert_allclose(one.numpy(), other.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_one_row_of_a_pytree_of_inputs():
    class Two(Cell):
        input_size, state_size = (I, None), {"h": I}

        def step(self, x, h):
            a, b = x
            h = h + a * engine.expand_dims(b, axis=-1)
            return h, h

    y, h = Two()((np.array([1.0, 2.0]), np.array(3.0)))
    assert y.numpy().tolist() == h.numpy().tolist() == [3, 6]


# ---- packed batches


LENGTHS = [2, 6, 3]
NETS = {
    "recurrent": lambda: rnn.Recurrent(rnn.LSTMCell(I, H)),
    "batch first": lambda: rnn.Recurrent(rnn.GRUCell(I, H), batch_first=True),
    "reverse": lambda: rnn.Recurrent(rnn.GRUCell(I, H), reverse=True),
    "bidirectional": lambda: rnn.Bidirectional(rnn.GRUCell(I, H), rnn.GRUCell(I, 3)),
    "stacked": lambda: rnn.Stacked([rnn.GRUCell(I, H), rnn.LSTMCell(H, 3)]),
    "layer": lambda: rnn.LSTM(I, H, 2, bidirectional=True),
}


@pytest.mark.parametrize("name", first(3, list(NETS)[::-1]))
def test_a_packed_batch_gives_what_lengths_give(name):
    net, first = NETS[name](), name == "batch first"
    x = normal(T, B, I).astype("f")
    x = x.swapaxes(0, 1) if first else x
    y, state = net(rnn.pack_padded(x, LENGTHS, batch_first=first))
    want, wanted = net(x, None, LENGTHS)
    found, lengths = rnn.pad_packed(y, batch_first=first)
    assert lengths.numpy().tolist() == LENGTHS
    np.testing.assert_allclose(found.numpy(), want.numpy(), rtol=1e-6)
    for one, other in zip(leaves(state), leaves(wanted), strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-6)
    for option in ({"lengths": LENGTHS}, {"resets": np.ones((T, B), bool)},
                   {"mask": np.ones((T, B), bool)}):  # fmt: skip
        with pytest.raises(ValueError, match="a packed batch has its lengths in it; leave"):
            net(rnn.pack_padded(x, LENGTHS, batch_first=first), **option)


def leaves(state):
    if isinstance(state, tuple | list):
        return [one for part in state for one in leaves(part)]
    return [state]


def test_torch_packs_are_taken_by_recurrent():
    torch = pytest.importorskip("torch")
    net = rnn.Recurrent(rnn.GRUCell(I, H))
    x = normal(T, B, I).astype("f")
    pack = torch.nn.utils.rnn.pack_padded_sequence(torch.tensor(x), LENGTHS, enforce_sorted=False)
    y, _ = net(pack)
    np.testing.assert_allclose(rnn.pad_packed(y)[0].numpy(), net(x, None, LENGTHS)[0].numpy())


def test_bidirectional_asks_for_two_cells():
    cell = rnn.GRUCell(I, H)
    for given in ((cell,), (rnn.Recurrent(cell),), (rnn.Recurrent(cell), cell), (cell, 3)):
        with pytest.raises(TypeError, match=r"Bidirectional: expected two cells .* one for each"):
            rnn.Bidirectional(*given)


# ---- rows that start over


RESET = {
    "recurrent": (lambda: rnn.Recurrent(rnn.LSTMCell(I, H, dtype="float64")), False),
    "rnn": (lambda: rnn.RNN(I, H, dtype="float64"), False),
    "lstm": (lambda: rnn.LSTM(I, H, 2, dtype="float64"), False),
    "gru": (lambda: rnn.GRU(I, H, 2, bidirectional=True, dtype="float64"), False),
    "lstm batch first": (lambda: rnn.LSTM(I, H, 2, True, True, dtype="float64"), True),
    "reverse": (lambda: rnn.Recurrent(rnn.GRUCell(I, H, dtype="float64"), reverse=True), False),
    "both": (lambda: rnn.Bidirectional(rnn.GRUCell(I, H, dtype="float64"),
                                       rnn.GRUCell(I, H, dtype="float64")), False),
    "stacked": (lambda: rnn.Stacked([rnn.GRUCell(I, H, dtype="float64"),
                                     rnn.LSTMCell(H, 3, dtype="float64")]), False),
}  # fmt: skip


# Two layers both ways with the batch first, time reversed, then two kinds of cells.
RESET_MIXED = ["lstm batch first", "reverse", "stacked", "both", "recurrent", "rnn", "lstm", "gru"]


@pytest.mark.parametrize("name", first(2, RESET_MIXED))
def test_what_is_before_a_border_and_behind_it_are_runs_of_their_own(name):
    make, first = RESET[name]
    net, x = make(), normal(T, B, I)
    resets = np.zeros((T, B), bool)
    resets[2, 0] = resets[0, 1] = resets[4, 1] = resets[5, 1] = True
    turn = (lambda a: a.swapaxes(0, 1)) if first else (lambda a: a)
    y = turn(net(turn(x), resets=turn(resets))[0].numpy())
    for row, cuts in enumerate(([0, 2, 6], [0, 4, 5, 6], [0, 6])):
        pieces = [net(turn(x[a:b, row : row + 1]))[0].numpy()
                  for a, b in pairwise(cuts)]  # fmt: skip
        expected = np.concatenate([turn(one) for one in pieces])
        np.testing.assert_allclose(y[:, row : row + 1], expected, rtol=1e-10)


@pytest.mark.parametrize("name", first(2, RESET_MIXED[2:] + RESET_MIXED[:2]))
def test_fused_and_explicit_start_rows_over_alike(name):
    make, first = RESET[name]
    net = make()
    x = engine.asarray(normal(B, T, I) if first else normal(T, B, I), requires_grad=True)
    resets = np.random.default_rng(1).random(x.shape[:2]) < 0.4
    found = []
    for explicit in (False, True):

        def run():
            y, state = net(x, resets=resets, lengths=[6, 2, 4])
            loss = engine.sum(y**2) + sum(engine.sum(one) for one in leaves(state))
            return [loss, *engine.gradients(loss, [x, *net.parameters()])]

        if explicit:
            with engine.explicit():
                found.append(run())
        else:
            found.append(run())
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize(
    "name", first(2, ["lstm batch first", "reverse", "recurrent", "lstm", "gru"])
)
def test_rows_that_start_over_with_any_state(name):
    make, first = RESET[name]
    net = make()
    x = normal(B, T, I) if first else normal(T, B, I)
    _, state = net(x)
    rows = np.array([True, False, True])
    y, _ = net(x, state, resets=rows)
    fresh, kept = net(x)[0].numpy(), net(x, state)[0].numpy()
    mask = rows[:, None, None] if first else rows[:, None]
    np.testing.assert_allclose(y.numpy(), np.where(mask, fresh, kept), rtol=1e-10)
    for wrong in (rows[:2], rows.astype(int), np.ones((2, 2), bool)):
        with pytest.raises(ValueError, match="expected resets as booleans"):
            net(x, resets=wrong)


def test_one_sequence_starts_over():
    net, x = rnn.LSTM(I, H, dtype="float64"), normal(T, I)
    resets = np.arange(T) == 3
    y, _ = net(x, resets=resets)
    expected = np.concatenate([net(x[:3])[0].numpy(), net(x[3:])[0].numpy()])
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("wrap", [lambda cell: cell, lambda cell: rnn.Zoneout(cell, 0.0)])
def test_rows_begin_with_the_initial_state_of_their_cell(wrap):
    class Own(rnn.Cell):
        input_size, state_size = 2, {"h": 2}

        def __init__(self):
            self.h0 = rnn.parameter((2,))

        def zero_state(self, batch, *, like):
            return engine.broadcast_to(engine.astype(self.h0, like.dtype), (batch, 2))

        def step(self, x, h):
            h = h + x
            return h, h

    run = rnn.Recurrent(wrap(Own()))
    run.to(engine.float64)
    x = np.ones((4, 2, 2))
    resets = np.zeros((4, 2), bool)
    resets[2, 1] = True
    h0 = run.cell.h0.numpy()
    for explicit in (False, True):
        with engine.explicit() if explicit else engine.scope(""):
            y, h = run(x, resets=resets)
            np.testing.assert_allclose(h.numpy(), [h0 + 4, h0 + 2])
            (g,) = engine.gradients(engine.sum(y[2:]), [run.cell.h0])
            np.testing.assert_allclose(g.numpy(), [4, 4])
            _, h = run(x, np.zeros((2, 2)), resets=np.array([True, False]))
            np.testing.assert_allclose(h.numpy(), [h0 + 4, [4, 4]])


def test_language_models_start_over_at_a_document():
    model = rnn.LanguageModel(9, 3, 4, 2)
    x = np.random.default_rng(0).integers(1, 9, (6, 2))
    x[2, 0] = 0
    data = rnn.data.Streams(x.T.reshape(-1), batch_size=2, steps=5, reset_after=0)
    chunk = next(iter(data))
    logits, _ = model(chunk.x, resets=chunk.resets)
    begin = 1 + int(np.flatnonzero(chunk.x[:, 0] == 0)[0])
    alone, _ = model(chunk.x[begin:, :1])
    np.testing.assert_allclose(logits.numpy()[begin:, :1], alone.numpy(), rtol=1e-5, atol=1e-6)
    loss, state = model.loss(chunk.x, chunk.y, resets=chunk.resets)
    plain, _ = model.loss(chunk.x, chunk.y)
    assert float(loss) != float(plain)
    _, again = model(chunk.x, state, resets=np.array([True, True]))
    _, fresh = model(chunk.x)
    np.testing.assert_allclose(again[1][0].numpy(), fresh[1][0].numpy(), rtol=1e-6)


@pytest.mark.parametrize("shape", [(3, 3, I), (), (1, 1, 1, I)])
def test_a_cell_is_given_rows_and_no_sequence(shape):
    with pytest.raises(ValueError, match=r"GRUCell: expected x \(B, I\).*Recurrent runs a cell"):
        rnn.GRUCell(I, H)(np.ones(shape, "f"))


def test_a_reset_beyond_the_end_of_a_row_reaches_nothing():
    engine.seed(0)
    x = engine.asarray(normal(5, 2, 3))
    marks = np.zeros((5, 2), bool)
    marks[2, 0] = True  # the row ends before
    for reverse in (False, True):
        run = rnn.Recurrent(rnn.GRUCell(3, 4, dtype="float64"), reverse=reverse)
        state = engine.ones((2, 4), dtype="float64")
        plain, marked = (run(x, state, [2, 5], resets=one) for one in (None, marks))
        for one, other in zip(plain, marked, strict=True):
            np.testing.assert_array_equal(one.numpy(), other.numpy())


@pytest.mark.parametrize("reverse", [False, True])
def test_no_gradient_crosses_a_border_at_a_step_that_a_row_lacks(reverse):
    mask, marks = np.ones((5, 1), bool), np.zeros((5, 1), bool)
    mask[2], marks[2] = False, True
    run = rnn.Recurrent(rnn.GRUCell(3, 4), reverse=reverse)
    for unroll in (False, True):
        x = engine.asarray(normal(5, 1, 3), dtype="float32", requires_grad=True)
        y, _ = run(x, mask=mask, resets=marks, unroll=unroll)
        before, after = slice(0, 2), slice(3, 5)
        read, other = (before, after) if reverse else (after, before)
        (g,) = engine.gradients(engine.sum(y[read] ** 2), [x])
        assert not g.numpy()[other].any()
        assert g.numpy()[read].any()
