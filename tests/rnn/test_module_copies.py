"""Pickle and copy every module: the same network, on weights of its own."""

import copy
import inspect
import pickle

import numpy as np
import pytest

import engine
import rnn
from docs import make_cells
from docs.make_cells import small
from rnn import models
from rnn.interop import (
    KerasEmbedding,
    KerasMasking,
    KerasModel,
    KerasRecurrent,
    OnnxGRUCell,
    OnnxLSTMCell,
    OnnxRNNCell,
)
from rnn.models import (
    CRF,
    Attention,
    Bridge,
    Captioner,
    CharacterEncoder,
    Classifier,
    Decoder,
    Encoder,
    LanguageModel,
    OutputRecurrent,
    Seq2Seq,
    Sequential,
    Tagger,
)
from tests.draws import first, normal

X = normal(4, 2, 3).astype("f")
IDS = np.array([[1, 2], [3, 4], [0, 1]])
BASES = {rnn.Module, rnn.Cell, rnn.Wrapper}


def layer(kind):
    return (lambda: kind(3, 5, num_layers=2, bidirectional=True)), lambda net: net(X)[0]


def cell(make):
    return make, lambda net: net(X[0])[0]


def seq2seq():
    decoder = Decoder(9, 4, 5, attention=Attention(5, 5, "additive"))
    return Seq2Seq(Encoder(9, 4, 5), decoder, start=1, end=1, pad=0)


MODULES = {
    rnn.RNN: layer(rnn.RNN), rnn.LSTM: layer(rnn.LSTM), rnn.GRU: layer(rnn.GRU),
    **{kind: cell(lambda kind=kind: small(kind)) for kind in make_cells.public()},
    models.EchoStateNetwork: (lambda: models.EchoStateNetwork(3, 6, 2), lambda net: net(X)[0]),
    KerasEmbedding: (lambda: KerasEmbedding(9, 4), lambda net: net(IDS)),
    KerasModel: (lambda: KerasModel([KerasMasking(), rnn.Linear(3, 2), engine.tanh]),
                 lambda net: net(X)),
    KerasRecurrent: (lambda: KerasRecurrent(rnn.GRUCell(3, 5)), lambda net: net(X)),
    OnnxRNNCell: cell(lambda: OnnxRNNCell(3, 5, activations=[("LeakyRelu", 0.1)])),
    OnnxLSTMCell: cell(lambda: OnnxLSTMCell(3, 5, peephole=True)),
    OnnxGRUCell: cell(lambda: OnnxGRUCell(3, 5)),
    rnn.Zoneout: cell(lambda: rnn.Zoneout(rnn.LSTMCell(3, 5), {"h": 0.1})),
    rnn.RecurrentDropout: cell(lambda: rnn.RecurrentDropout(rnn.GRUCell(3, 5), 0.1)),
    rnn.VariationalDropout: cell(lambda: rnn.VariationalDropout(rnn.GRUCell(3, 5), inputs=0.1)),
    rnn.WeightDropout: cell(lambda: rnn.WeightDropout(rnn.GRUCell(3, 5), 0.1)),
    rnn.Recurrent: (lambda: rnn.Recurrent(rnn.GRUCell(3, 5)), lambda net: net(X)[0]),
    rnn.Bidirectional: (lambda: rnn.Bidirectional(rnn.GRUCell(3, 5), rnn.LSTMCell(3, 2)),
                        lambda net: net(X)[0]),
    rnn.Stacked: (lambda: rnn.Stacked([rnn.GRUCell(3, 5), rnn.LSTMCell(5, 4)]),
                  lambda net: net(X)[0]),
    rnn.Linear: (lambda: rnn.Linear(3, 2), lambda net: net(X)),
    rnn.Embedding: (lambda: rnn.Embedding(9, 4), lambda net: net(IDS)),
    rnn.LayerNorm: (lambda: rnn.LayerNorm(3), lambda net: net(X)),
    Attention: (lambda: Attention(3, 3, "additive"),
                lambda net: net(engine.asarray(X[0]), net.prepare(X))[0]),
    Bridge: (lambda: Bridge(3, [rnn.GRUCell(2, 4)]), lambda net: net(X[0])[0]),
    Captioner: (lambda: Captioner(3, Decoder(9, 4, 5), start=1, end=1, pad=0),
                lambda net: net(X[0], IDS)),
    CharacterEncoder: (lambda: CharacterEncoder(9, embedding=3, hidden=4),
                       lambda net: net([[[1, 2]], [[3, 0]]], [[2, 1]])),
    Classifier: (lambda: Classifier(9, 3, embedding=4, hidden=5), lambda net: net(IDS)),
    CRF: (lambda: CRF(["O", "B-X", "I-X"], scheme="BIO"), lambda net: net.log_partition(X)),
    Decoder: (lambda: Decoder(9, 4, 5, tie_weights=False),
              lambda net: net(IDS, net.start(batch=2)).logits),
    Encoder: (lambda: Encoder(9, 4, 5, bidirectional=True), lambda net: net(IDS)[0]),
    LanguageModel: (lambda: LanguageModel(9, 4, 4, 2, tie_weights=True), lambda net: net(IDS)[0]),
    OutputRecurrent: (lambda: OutputRecurrent(rnn.JordanCell(3, 5, 2)), lambda net: net(X)),
    Seq2Seq: (seq2seq, lambda net: net(IDS, None, IDS)),
    Sequential: (lambda: Sequential(rnn.Linear(3, 2), engine.tanh), lambda net: net(X)),
    Tagger: (lambda: Tagger(9, 3, embedding=4, hidden=5, crf=CRF(3)), lambda net: net(IDS)),
}  # fmt: skip


def public(place):
    return {x for name in place.__all__ if inspect.isclass(x := getattr(place, name))
            and issubclass(x, rnn.Module)}  # fmt: skip


def test_no_public_module_is_left_out():
    without_weights = {rnn.Dropout, KerasMasking}
    named = public(rnn) | public(models) | public(rnn.interop)
    missing = {kind.__name__ for kind in named - set(MODULES) - BASES - without_weights}
    assert not missing, "enter them in MODULES here: how each is made, and how it is called"


def pickled(module):
    return pickle.loads(pickle.dumps(module))


COPIES = [(kind, copied) for copied in (pickled, copy.deepcopy) for kind in MODULES]


@pytest.mark.parametrize(
    ("kind", "copied"), first(len(MODULES), COPIES), ids=lambda one: one.__name__
)
def test_a_copy_is_the_same_network_on_weights_of_its_own(kind, copied):
    make, run = MODULES[kind]
    net = make().eval()
    some = next(net.modules())
    some.training = True  # modes are kept one by one
    frozen = net.parameters()[-1]
    frozen.requires_grad = False
    run(net)  # has remembered what it does
    twin = copied(net)
    assert type(twin) is kind
    assert repr(twin) == repr(net)
    assert [m.training for m in twin.modules()] == [m.training for m in net.modules()]
    assert [m._name for m in twin.modules()] == [m._name for m in net.modules()]
    for (name, x), (other, y) in zip(twin.named_parameters(), net.named_parameters(), strict=True):
        assert name == other
        assert x is not y
        assert x.node.name == y.node.name
        assert x.requires_grad == y.requires_grad
        np.testing.assert_array_equal(x.numpy(), y.numpy(), strict=True)
    places = {id(x): i for i, x in enumerate(net.parameters())}
    others = {id(x): i for i, x in enumerate(twin.parameters())}
    assert ([places[id(x)] for _, x in net.named_parameters()]
            == [others[id(x)] for _, x in twin.named_parameters()])  # fmt: skip
    net.eval()
    twin.eval()
    want = run(net).numpy()
    np.testing.assert_allclose(run(twin).numpy(), want, rtol=1e-4, atol=1e-6)
    for x in twin.parameters():
        x.data = x.data * 0
    np.testing.assert_allclose(run(net).numpy(), want, rtol=1e-4, atol=1e-6)


def test_a_copy_of_a_layer_computes_with_the_weights_that_it_lists():
    for copied in (copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))):
        twin = copied(rnn.LSTM(3, 5))
        twin.load_state_dict({name: x * 0 for name, x in twin.state_dict().items()})
        assert not twin(X)[0].numpy().any()
        twin.weight_hh_l0 = rnn.parameter((20, 5))
        assert twin.cell.weight_hh is twin.weight_hh_l0


def test_a_tensor_with_a_history_in_a_module_is_no_pickle():
    net = rnn.Linear(3, 2)
    net.seen = net(X)
    with pytest.raises(TypeError, match=r"detach\(\) the tensor first"):
        pickle.dumps(net)
