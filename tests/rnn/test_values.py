"""Test settings of modules: flags, probabilities, sizes; NumPy's numbers are numbers."""

import numpy as np
import pytest

import engine
import rnn
from engine.checks import flag
from rnn.decoding import ctc_beam_search, top_k
from rnn.models import Captioner, Classifier, Decoder, Encoder, Tagger
from rnn.modules.module import positive, probability

X = engine.ones((3, 2, 4))


def squared(net, **options):
    net.weight.grad = engine.ones((2, 2))
    return rnn.clip_grad_norm([net.weight], 1.0, **options)


FLAGS = {
    "LSTM batch_first": lambda on: rnn.LSTM(3, 5, batch_first=on),
    "GRU bidirectional": lambda on: rnn.GRU(3, 5, bidirectional=on),
    "RNN bias": lambda on: rnn.RNN(3, 5, bias=on),
    "Linear bias": lambda on: rnn.Linear(3, 5, bias=on),
    "JordanCell bias": lambda on: rnn.JordanCell(3, 5, 2, bias=on),
    "IndRNNCell bias": lambda on: rnn.IndRNNCell(3, 5, bias=on),
    "GRUCell take_new": lambda on: rnn.GRUCell(3, 5, take_new=on),
    "ResetBeforeGRUCell take_new": lambda on: rnn.ResetBeforeGRUCell(3, 5, take_new=on),
    "PeepholeLSTMCell full": lambda on: rnn.PeepholeLSTMCell(3, 5, full=on),
    "MinimalGatedCell bias": lambda on: rnn.MinimalGatedCell(3, 5, bias=on),
    "OnnxLSTMCell coupled": lambda on: rnn.interop.OnnxLSTMCell(3, 5, coupled=on),
    "OnnxLSTMCell peephole": lambda on: rnn.interop.OnnxLSTMCell(3, 5, peephole=on),
    "OnnxGRUCell reset_after": lambda on: rnn.interop.OnnxGRUCell(3, 5, reset_after=on),
    "Recurrent reverse": lambda on: rnn.Recurrent(rnn.GRUCell(3, 5), reverse=on),
    "Recurrent batch_first": lambda on: rnn.Recurrent(rnn.GRUCell(3, 5), batch_first=on),
    "Bidirectional batch_first": lambda on: rnn.Bidirectional(
        rnn.GRUCell(3, 5), rnn.GRUCell(3, 5), batch_first=on
    ),
    "pack_padded batch_first": lambda on: rnn.pack_padded(X, [2, 2, 2][: 3 if on else 2],
                                                          batch_first=on),
    "pad_packed batch_first": lambda on: rnn.pad_packed(rnn.pack_padded(X, [2, 2]), batch_first=on),
    "Tagger bidirectional": lambda on: Tagger(9, 3, embedding=4, hidden=5, bidirectional=on),
    "Classifier bidirectional": lambda on: Classifier(9, 3, embedding=4, hidden=5,
                                                      cell=rnn.GRUCell, bidirectional=on),
    "Encoder bidirectional": lambda on: Encoder(9, 4, 5, bidirectional=on),
    "Decoder input_feeding": lambda on: Decoder(9, 4, 5, input_feeding=on),
    "Decoder tie_weights": lambda on: Decoder(9, 5, 5, tie_weights=on),
    "LanguageModel tie_weights": lambda on: rnn.LanguageModel(9, 5, 5, tie_weights=on),
    "train mode": lambda on: rnn.Linear(2, 2).train(on),
    "clip_grad_norm error_if_nonfinite": lambda on: squared(rnn.Linear(2, 2),
                                                            error_if_nonfinite=on),
    "parameter normal": lambda on: rnn.parameter((2, 2), normal=on),
}  # fmt: skip


@pytest.mark.parametrize("which", FLAGS)
def test_flags_are_true_or_false_and_nothing_else(which):
    make, name = FLAGS[which], which.split()[-1]
    for on in (True, False, np.True_, np.False_):
        make(on)
    for wrong in ("False", "", 0, 1, 1.0, np.int64(1), engine.asarray(True), [True]):
        with pytest.raises(TypeError, match=f"{name} must be True or False, got"):
            make(wrong)


def test_a_numpy_flag_becomes_pythons():
    assert flag("f", np.False_) is False
    assert flag("f", np.True_) is True
    assert rnn.LSTM(3, 5, batch_first=np.True_).batch_first is True


INTEGERS = [np.int64, np.int32, np.uint8]


@pytest.mark.parametrize("kind", INTEGERS)
def test_numpy_integers_are_integers(kind):
    two = kind(2)
    net = rnn.LSTM(kind(4), kind(3), num_layers=two, proj_size=two)
    assert net(X, lengths=[two, kind(3)])[0].shape == (3, 2, 2)
    assert rnn.Linear(kind(4), two)(X).shape == (3, 2, 2)
    assert top_k([1.0, 3.0, 2.0], two).numpy().tolist()[0] == -np.inf
    assert ctc_beam_search(X, blank=two)
    Captioner(3, Decoder(9, 4, 5), start=two, end=two, pad=kind(0))
    weight = rnn.parameter((4, 4))
    rnn.initializers.orthogonal_per_gate(two)(weight)
    rnn.initializers.constant(np.float32(0.5))(weight)
    assert (weight.numpy() == 0.5).all()
    engine.seed(kind(7))
    own = rnn.parameter((2,)).numpy()
    engine.seed(7)
    np.testing.assert_array_equal(own, rnn.parameter((2,)).numpy())


@pytest.mark.parametrize("wrong", [0, -1, 2.0, True, np.True_, "2", None, np.float64(2)])
def test_sizes_that_are_no_positive_integers(wrong):
    with pytest.raises(ValueError, match="expected positive integers, got size="):
        positive(size=wrong)


RATES = {
    "LSTM": lambda p: rnn.LSTM(3, 5, 2, dropout=p),
    "Stacked": lambda p: rnn.Stacked([rnn.GRUCell(3, 5)], dropout=p),
    "LanguageModel": lambda p: rnn.LanguageModel(9, 4, 5, dropout=p),
    "Decoder": lambda p: Decoder(9, 4, 5, dropout=p),
    "Encoder": lambda p: Encoder(9, 4, 5, dropout=p),
    "Tagger": lambda p: Tagger(9, 3, embedding=4, hidden=5, dropout=p),
    "Zoneout": lambda p: rnn.Zoneout(rnn.GRUCell(3, 5), p),
    "WeightDropout": lambda p: rnn.WeightDropout(rnn.GRUCell(3, 5), p),
}


@pytest.mark.parametrize("which", RATES)
def test_probabilities_lie_in_0_to_1(which):
    for p in (0, 1, 0.5, np.float32(0.5), np.int64(1)):
        RATES[which](p)
    for wrong in (-0.1, 1.5, np.float32(2), np.nan, "0.5", True, None, [0.5]):
        with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
            RATES[which](wrong)
    assert type(probability("p", np.float32(0.25))) is float


@pytest.mark.parametrize("kind", INTEGERS)
def test_numpy_integers_are_integers_of_the_engine(kind):
    x = engine.reshape(engine.arange(12, dtype=engine.float32), (4, 3))
    one, two = kind(1), kind(2)
    log_probs = engine.log_softmax(engine.ones((5, 1, 4)), axis=-1)
    for f in (
        lambda n: engine.split(x, n(2))[1],
        lambda n: engine.squeeze(x[:1], axis=n(0)),
        lambda n: engine.roll(x, n(1), axis=n(0)),
        lambda n: engine.repeat(x, n(2), axis=0),
        lambda n: engine.tile(x, n(2)),
        lambda n: engine.pad(x, n(1)),
        lambda n: engine.pad(x, (n(1), n(2))),
        lambda n: engine.tensordot(x, x.T, axes=n(1)),
        lambda n: engine.topk(x, n(2))[0],
        lambda n: engine.norm(x, ord=n(1)),
        lambda n: engine.cross_entropy(x, [0, 1, 2, 0], ignore_index=n(1)),
        lambda n: engine.conv1d(engine.ones((1, 2, 5)), engine.ones((3, 2, 2)),
                                stride=n(1), padding=n(1)),
        lambda n: engine.ctc_loss(log_probs, [[1, 2]], [5], [2], blank=n(0)),
    ):  # fmt: skip
        np.testing.assert_array_equal(f(kind).numpy(), f(int).numpy(), strict=True)
    threads = engine.get_num_threads()
    engine.set_num_threads(two)
    assert type(engine.get_num_threads()) is int
    engine.set_num_threads(threads)
    assert one


def test_numpy_floats_are_numbers_of_the_engine():
    x = engine.asarray([3.0, 4.0])
    half = np.float32(0.5)
    assert engine.norm(x, ord=np.float32(2)).item() == 5
    engine.seed(0)
    kept = engine.dropout(x, half)
    engine.seed(0)
    np.testing.assert_array_equal(kept.numpy(), engine.dropout(x, 0.5).numpy(), strict=True)
    assert engine.linalg.matrix_rank(engine.eye(2), rtol=half).item() == 2
