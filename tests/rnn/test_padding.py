"""Pad models: no padding reaches a value or a gradient, and rows may be empty."""

import itertools

import numpy as np
import pytest

import engine
import rnn
from rnn.models import (
    CRF,
    Attention,
    Classifier,
    Decoder,
    Encoder,
    OutputRecurrent,
    Seq2Seq,
    Tagger,
)
from tests.draws import first

T, B, L = 4, 3, [4, 2, 1]
DRAWN = np.random.default_rng(0)
X = DRAWN.normal(size=(T, B, 5)).astype("f")
Y = DRAWN.integers(0, 5, (T, B))
TARGETS = DRAWN.normal(size=(T, B, 3)).astype("f")
QUERIES = DRAWN.normal(size=(2, B, 5)).astype("f")


def padded(x, fill, ends=L):
    x = x.copy()
    for row, end in enumerate(ends):
        x[end:, row] = fill
    return x


def squares(x):
    return sum(engine.sum(one * one) for one in (x if isinstance(x, list | tuple) else [x]))


def seq2seq():
    decoder = Decoder(9, 4, 4, attention=Attention(4, 4))
    return Seq2Seq(Encoder(None, 5, 4), decoder, start=1, end=1, pad=0)


MODELS = {
    **{f"attention {score}": (lambda score=score: Attention(5, 5, score),
       lambda net, x, fill: squares(net(engine.asarray(QUERIES), net.prepare(x, L))))
       for score in ("dot", "general", "additive")},
    "log partition": (lambda: CRF(5), lambda net, x, fill: squares(net.log_partition(x, L))),
    "marginals": (lambda: CRF(5), lambda net, x, fill: squares(net.marginals(x, L))),
    "likelihood": (lambda: CRF(5), lambda net, x, fill: squares(net.log_likelihood(x, Y, L))),
    **{f"classifier {pooling} {both}": (
       lambda pooling=pooling, both=both: Classifier(
           None, 2, embedding=5, hidden=4, pooling=pooling, bidirectional=both),
       lambda net, x, fill: squares(net(x, L)))
       for pooling, both in itertools.product(("last", "mean", "max"), (True, False))},
    "encoder": (lambda: Encoder(None, 5, 4, bidirectional=True, layers=2),
                lambda net, x, fill: squares([net(x, L)[0], *net(x, L)[1]])),
    "seq2seq": (seq2seq, lambda net, x, fill: squares(net(x, L, [[2, 3, 1], [4, 1, 0]]))),
    "packed": (lambda: rnn.LSTM(5, 4),
               lambda net, x, fill: squares(net(rnn.pack_padded(x, L))[0].data)),
    "teacher": (lambda: OutputRecurrent(rnn.JordanCell(5, 4, 3)),
                lambda net, x, fill: squares(net(x, padded(TARGETS, fill), L))),
    "free": (lambda: OutputRecurrent(rnn.JordanCell(5, 4, 3)),
             lambda net, x, fill: squares(net(x, None, L))),
    "truncated": (lambda: rnn.GRU(5, 4), lambda net, x, fill: squares(
        rnn.truncated(net, x, kind="per-loss", k=2, lengths=L).outputs)),
    "ignored": (lambda: rnn.Linear(1, 1), lambda net, x, fill: engine.cross_entropy(
        x, padded(Y, 9), ignore_index=9, label_smoothing=0.1)),
}  # fmt: skip


# The partition is part of the likelihood, both directions and the free run of other models.
PARTS = ("encoder", "log partition", "free", "classifier last True")
PARTS_LAST = [*(name for name in MODELS if name not in PARTS), *PARTS]


@pytest.mark.parametrize("which", first(len(MODELS) - len(PARTS), PARTS_LAST))
def test_nan_in_padding_reaches_nothing(which):
    make, run = MODELS[which]
    net, found = make(), []
    for fill in (0.0, np.nan):
        x = engine.asarray(padded(X, fill), requires_grad=True)
        loss = run(net, x, fill)
        grads = engine.gradients(loss, [x, *net.parameters()])
        found.append([loss.numpy(), *(0 if g is None else g.numpy() for g in grads)])
        assert (padded(found[-1][1], 0) == found[-1][1]).all()
    for one, other in zip(*found, strict=True):
        assert np.isfinite(other).all()
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


def test_attention_weights_are_those_of_the_rows_alone():
    net = Attention(5, 5, "additive")
    context, weights = net(engine.asarray(QUERIES), net.prepare(padded(X, np.inf), L))
    for row, end in enumerate(L):
        memory = net.prepare(X[:end, row : row + 1])
        one, own = net(engine.asarray(QUERIES[:, row : row + 1]), memory)
        np.testing.assert_allclose(context.numpy()[:, row], one.numpy()[:, 0], rtol=1e-5)
        np.testing.assert_allclose(weights.numpy()[:, row, :end], own.numpy()[:, 0], rtol=1e-5)
        assert (weights.numpy()[:, row, end:] == 0).all()


# ---- lengths


@pytest.mark.parametrize("lengths", [[6, 1, 3], [5, -1, 3], [5.0, 1, 3], [5, 1], [[5, 1, 3]]])
def test_truncation_takes_the_lengths_that_layers_take(lengths):
    net, x = rnn.GRU(2, 3), engine.ones((5, 3, 2))
    for kind in ("chunk", "tail"):
        with pytest.raises(ValueError, match="lengths"):
            rnn.truncated(net, x, kind=kind, k=2, lengths=lengths)
    with pytest.raises(ValueError, match="lengths"):
        net(x, lengths=lengths)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint64"])
def test_lengths_of_any_integers_are_truncated_alike(dtype):
    net, x = rnn.GRU(2, 3), engine.asarray(DRAWN.normal(size=(5, 3, 2)))
    net.to(engine.float64)
    lengths = np.array([1, 5, 3], dtype)
    found = rnn.truncated(net, x, kind="chunk", k=2, lengths=lengths)
    y, state = net(x, lengths=[1, 5, 3])
    np.testing.assert_allclose(found.outputs.numpy(), y.numpy(), rtol=1e-12)
    np.testing.assert_allclose(found.state.numpy(), state.numpy(), rtol=1e-12)


@pytest.mark.parametrize("both", [False, True])
def test_a_row_without_steps_has_the_initial_state(both):
    net = Classifier(None, 2, embedding=5, hidden=4, bidirectional=both)
    y = net(X, [2, 0, 4])
    np.testing.assert_allclose(y.numpy()[1], net.head.bias.numpy(), rtol=1e-6)
    np.testing.assert_allclose(y.numpy()[0], net(X[:, :1], [2]).numpy()[0], rtol=1e-5)
    tagger = Tagger(9, 3, embedding=4, hidden=5, bidirectional=both)
    emissions = tagger(Y, [2, 0, 4])
    np.testing.assert_allclose(emissions.numpy()[:, 1], np.tile(tagger.head.bias.numpy(), (4, 1)))
    assert (tagger.predict(Y, [2, 0, 4])[:, 1] == 0).all()
    alone = tagger.loss(Y[:, [0, 2]], [2, 4], Y[:, [0, 2]] % 3)
    assert abs(float(tagger.loss(Y, [2, 0, 4], Y % 3)) - float(alone)) < 1e-5
    _, states = Encoder(None, 5, 4, bidirectional=both)(X, [2, 0, 4])
    assert (states[0].numpy()[1] == 0).all()


def test_where_nothing_is_defined_of_no_steps_one_error_says_so():
    for pooling in ("mean", "max"):
        net = Classifier(None, 2, embedding=5, hidden=4, pooling=pooling)
        with pytest.raises(
            ValueError, match=f"row 1 has length 0, and the {pooling} of no outputs"
        ):
            net(X, [2, 0, 4])
    tagger = Tagger(9, 3, embedding=4, hidden=5)
    with pytest.raises(ValueError, match="no target is left"):
        tagger.loss(Y, [0, 0, 0], Y % 3)
    with pytest.raises(ValueError, match="CRF: lengths must lie in 1 to T = 4"):
        CRF(5).log_partition(X, [2, 0, 4])
    with pytest.raises(ValueError, match="Attention: lengths must lie in 1 to T = 4"):
        Attention(5, 5).prepare(X, [2, 0, 4])
    with pytest.raises(ValueError, match="pack_padded: lengths must lie in 1 to T = 4"):
        rnn.pack_padded(X, [2, 0, 4])
