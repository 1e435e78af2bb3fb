"""Test parameters that are not trained any more, or never were: kept, saved, moved, unchanged."""

import copy

import numpy as np
import pytest

import engine
import rnn
from rnn.data import Batches
from rnn.models import Classifier

VECTORS = np.random.default_rng(0).normal(size=(9, 3)).astype("f")
X = [[1, 2, 3], [4, 5], [6, 7, 8], [2, 2]]
Y = [0, 1, 0, 1]


def made(seed=0, *, assigned=False):
    """Return a classifier with word vectors that are frozen."""
    engine.seed(seed)
    model = Classifier(9, 2, embedding=3, hidden=4)
    if assigned:
        model.embedding.weight = engine.asarray(VECTORS)
    else:
        model.embedding.load_state_dict({"weight": VECTORS})
        model.embedding.weight.requires_grad = False
    return model


@pytest.mark.parametrize("assigned", [False, True])
def test_what_is_frozen_is_a_parameter(assigned, tmp_path):
    model, whole = made(assigned=assigned), Classifier(9, 2, embedding=3, hidden=4)
    assert list(dict(model.named_parameters())) == list(dict(whole.named_parameters()))
    np.testing.assert_array_equal(model.state_dict()["embedding.weight"], VECTORS)
    rnn.save(tmp_path / "m.safetensors", model)
    whole.load_state_dict(rnn.load(tmp_path / "m.safetensors")[0])
    np.testing.assert_array_equal(whole([[3], [4]]).numpy(), model([[3], [4]]).numpy())
    model.to(engine.float64)
    assert {x.dtype for x in model.parameters()} == {np.dtype("float64")}
    assert not copy.deepcopy(model).embedding.weight.requires_grad


@pytest.mark.parametrize("assigned", [False, True])
def test_training_leaves_it_as_it_is(assigned):
    model = made(assigned=assigned)
    before = model.state_dict()
    optimizer = rnn.optim.AdamW(model.parameters(), 0.1, weight_decay=0.1)
    for batch in Batches(X, Y, batch_size=2):
        optimizer.zero_grad()
        model.loss(batch.x, batch.lengths, batch.y).backward()
        rnn.clip_grad_norm(optimizer.parameters, 0.1)
        optimizer.step()
    after = model.state_dict()
    same = {name for name in before if np.array_equal(before[name], after[name])}
    assert same == {"embedding.weight"}
    assert model.embedding.weight.grad is None


def test_a_resumed_run_has_the_vectors_of_the_first(tmp_path):
    def fitted(model, steps, *, resume=False, folder="a"):
        rnn.fit(
            model,
            Batches(X, Y, batch_size=2),
            lambda net, batch: net.loss(batch.x, batch.lengths, batch.y),
            steps=steps,
            checkpoint=tmp_path / folder,
            resume=resume,
            progress=False,
        )
        return model.state_dict()

    whole = fitted(made(), 6, folder="whole")
    fitted(made(), 3)
    other = made(1)
    other.embedding.weight.data = other.embedding.weight.data * 2
    found = fitted(other, 6, resume=True)
    assert list(found) == list(whole)
    for name, x in whole.items():
        np.testing.assert_array_equal(found[name], x, err_msg=name)


def test_nothing_to_train_is_refused():
    model = made()
    for x in model.parameters():
        x.requires_grad = False
    with pytest.raises(ValueError, match="fit: Classifier has no parameters to train"):
        rnn.fit(model, [1], lambda net, batch: net([[1]]), steps=1, progress=False)


def test_a_cell_with_a_frozen_weight_is_probed_and_unfrozen():
    engine.seed(0)
    net = rnn.Recurrent(rnn.LSTMCell(2, 3))
    net.cell.weight_ih.requires_grad = False
    assert "cell.weight_ih" in dict(net.named_parameters())
    x = engine.ones((4, 1, 2))
    probe = rnn.Probe(net, x)
    loss = engine.sum(probe.states["h"][-1] ** 2)
    assert probe.gradient_norms(loss)["h"].shape[0] in (4, 5)
    assert "cell.weight_hh" in probe.contributions(loss)
    net.cell.weight_ih.requires_grad = True
    engine.seed(0)
    never = rnn.Recurrent(rnn.LSTMCell(2, 3))  # frozen
    for one in (net, never):
        engine.sum(one(x)[0]).backward()
    expected = never.cell.weight_ih.grad.numpy()
    np.testing.assert_array_equal(net.cell.weight_ih.grad.numpy(), expected)
    assert np.abs(expected).min() > 0
