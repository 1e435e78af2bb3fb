"""Test language models, classifiers, taggers, sequences of modules, recurrences from the output."""

import itertools
import math
import re

import numpy as np
import pytest

import engine
import rnn
from rnn.models import (
    CRF,
    CharacterEncoder,
    Classifier,
    Decoder,
    Encoder,
    LanguageModel,
    OutputRecurrent,
    Seq2Seq,
    Sequential,
    Tagger,
    detached,
    forced,
)
from tests.draws import covering, first, normal

T, B, V, E, H = 6, 3, 9, 4, 5
LENGTHS = [6, 1, 4]
X = np.random.default_rng(0).integers(0, V, (T, B))
WITHIN = np.arange(T)[:, None] < np.array(LENGTHS)

# ---- language models

LANGUAGE_MODELS = [
    {},
    {"cell": "gru", "layers": 2},
    {"cell": "rnn", "layers": 3, "embedding": 5, "tie_weights": True},
    {"cell": lambda i, h: rnn.CoupledLSTMCell(i, h), "layers": 2},
]


def language_model(embedding=E, hidden=H, **options):
    engine.seed(1)
    return LanguageModel(V, embedding, hidden, **options)


@pytest.mark.parametrize("options", first(2, LANGUAGE_MODELS[::-1]))
def test_a_sequence_is_its_steps_and_its_chunks(options):
    model = language_model(**options)
    whole, last = model(X)
    state, logits = None, []
    for row in X:
        one, state = model.advance(row, state)
        logits.append(one.numpy())
    np.testing.assert_allclose(whole.numpy(), logits, atol=1e-6)
    first, middle = model(X[:4])
    second, end = model(X[4:], middle)
    chunks = np.concatenate([first.numpy(), second.numpy()])
    np.testing.assert_allclose(chunks, whole.numpy(), atol=1e-6)
    mixed, _ = model.advance(X[4], middle)  # both have states of the same form
    np.testing.assert_allclose(mixed.numpy(), whole.numpy()[4], atol=1e-6)
    for a, b, c in zip(*(leaves(s) for s in (last, end, state)), strict=True):
        assert a.shape == (B, H)
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6)
        np.testing.assert_allclose(a.numpy(), c.numpy(), atol=1e-6)


def leaves(state):
    return [x for one in state for x in (one if isinstance(one, tuple) else (one,))]


def test_the_loss_is_the_mean_over_what_is_no_padding():
    model = language_model(pad=0)
    y = np.where(WITHIN, np.maximum(X, 1), 0)
    loss, state = model.loss(X, y)
    p = engine.log_softmax(model(X)[0], axis=-1).numpy()
    terms = [-p[t, b, y[t, b]] for t, b in itertools.product(range(T), range(B)) if WITHIN[t, b]]
    assert loss.item() == pytest.approx(np.mean(terms), rel=1e-5)
    assert not any(x.requires_grad for x in leaves(state))
    everything, _ = language_model().loss(X, y)
    assert everything.item() != pytest.approx(loss.item(), rel=1e-3)


def test_gradients_end_at_the_border_of_a_chunk():
    model = language_model()
    _, state = model.loss(X[:3], X[:3])
    loss, _ = model.loss(X[3:], X[3:], state)
    nodes = engine.Graph.of(loss).nodes
    assert sum(node.op.name == "scan" for node in nodes) == 1


def test_tied_weights():
    model = language_model(embedding=H, tie_weights=True)
    assert model.head.weight is model.embedding.weight
    loss, _ = model.loss(X, X)
    assert loss.item() < 2 * math.log(V)  # the logits are of the usual size
    both = engine.gradients([loss], [model.head.weight])[0].numpy()
    assert np.count_nonzero(both.any(axis=1)) == V
    with pytest.raises(ValueError, match="tie_weights needs embedding = hidden, got 4 and 5"):
        language_model(tie_weights=True)


def test_dropout_falls_in_training_and_not_on_single_steps():
    model = language_model(layers=2, dropout=0.5)
    assert (model(X)[0].numpy() != model(X)[0].numpy()).any()
    one = model.advance(X[0])[0].numpy()
    np.testing.assert_array_equal(model.advance(X[0])[0].numpy(), one)
    model.eval()
    np.testing.assert_allclose(model(X)[0].numpy()[0], one, atol=1e-6)


def test_generation_is_the_steps_after_the_prompt():
    model = language_model()
    found = list(itertools.islice(model.generate([1, 2, 3], temperature=0), 5))
    prompt = [1, 2, 3]
    for _ in range(5):
        logits, _ = model(np.array(prompt)[:, None])
        prompt.append(int(logits.numpy()[-1, 0].argmax()))
    assert found == prompt[3:]
    engine.seed(2)
    a = list(itertools.islice(model.generate([1], key=("a",), top_k=4, top_p=0.9), 20))
    engine.seed(2)
    assert a == list(itertools.islice(model.generate([1], key=("a",), top_k=4, top_p=0.9), 20))
    ended = list(model.generate([1], end=3, key=("b",)))
    assert ended[-1] == 3
    assert 3 not in ended[:-1]


def test_generation_is_fed_from_a_state():
    model = language_model(layers=2)
    _, state = model(np.array([[1], [2]]))
    found = list(itertools.islice(model.generate([3], state, temperature=0), 4))
    assert found == list(itertools.islice(model.generate([1, 2, 3], temperature=0), 4))


def test_a_language_model_learns_a_rule():
    engine.seed(0)
    model = LanguageModel(5, 8, 16, cell="gru")
    optimizer = rnn.optim.Adam(model.parameters(), 0.02)
    text = np.tile([0, 1, 2, 0, 3, 4], 40)
    streams = text[:236].reshape(4, 59).T
    state = None
    for _ in range(60):
        optimizer.zero_grad()
        loss, state = model.loss(streams[:-1], streams[1:], state)
        loss.backward()
        optimizer.step()
    drawn = list(itertools.islice(model.generate([0, 1, 2], temperature=0), 9))
    assert drawn == [0, 3, 4, 0, 1, 2, 0, 3, 4]


def test_a_beam_over_a_language_model():
    model = language_model(cell="lstm", layers=2)
    found = rnn.decoding.beam_search(model.advance, [1, 2], end=0, limit=4, width=5, n_best=2)
    for start, row in zip([1, 2], found, strict=True):
        for one in row:
            whole = [*one.indices, 0] if one.ended else one.indices
            logits, _ = model(np.array([start, *whole[:-1]])[:, None])
            p = engine.log_softmax(logits, axis=-1).numpy()[:, 0]
            total = sum(p[t, k] for t, k in enumerate(whole))
            assert one.log_probability == pytest.approx(total, rel=1e-5)


def test_detached_keeps_the_form():
    x = engine.ones(2, requires_grad=True) * 2
    one = detached([(x, None), {"a": x, "b": 3}])
    assert not one[0][0].requires_grad
    assert one[0][1] is None
    np.testing.assert_array_equal(one[1]["a"].numpy(), [2, 2])
    assert not one[1]["a"].requires_grad
    assert one[1]["b"] == 3


# ---- classifiers


@pytest.mark.parametrize(
    ("cell", "pooling", "bidirectional"),
    covering(["lstm", "gru", "rnn"], ["last", "mean", "max"], [True, False]),
)
def test_a_padded_row_is_classified_as_it_is_alone(cell, pooling, bidirectional):
    model = Classifier(V, 4, embedding=E, hidden=H, layers=2, cell=cell, pooling=pooling,
                       bidirectional=bidirectional)  # fmt: skip
    found = model(X, LENGTHS).numpy()
    alone = [model(X[:n, b : b + 1]).numpy()[0] for b, n in enumerate(LENGTHS)]
    np.testing.assert_allclose(found, alone, atol=1e-6)
    other = np.where(WITHIN, X, 0)
    np.testing.assert_allclose(model(other, LENGTHS).numpy(), found, atol=1e-6)
    assert model.predict(X, LENGTHS).tolist() == found.argmax(axis=-1).tolist()


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
def test_pooling_is_over_the_outputs_within_the_lengths(pooling):
    model = Classifier(V, H, embedding=E, hidden=H, pooling=pooling)
    model.head.weight = engine.eye(H)
    model.head.bias = engine.zeros(H)
    y = model.recurrent(model.embedding(X))[0].numpy()
    found = model(X, LENGTHS).numpy()
    for b, n in enumerate(LENGTHS):
        part = y[:n, b]
        expected = {"last": part[-1], "mean": part.mean(axis=0), "max": part.max(axis=0)}[pooling]
        np.testing.assert_allclose(found[b], expected, atol=1e-6)


def test_a_classifier_of_features_and_its_loss():
    model = Classifier(None, 3, embedding=E, hidden=H)
    x = normal(T, B, E).astype("f")
    loss = model.loss(x, LENGTHS, [2, 0, 1])
    expected = engine.cross_entropy(model(x, LENGTHS), [2, 0, 1])
    assert loss.item() == expected.item()
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())
    assert model.named_parameters()[0][0] == "recurrent.weight_ih_l0"


def test_prediction_is_in_evaluation_mode_and_puts_the_mode_back():
    model = Classifier(V, 3, embedding=E, hidden=H, layers=2, dropout=0.9)
    model.recurrent.eval()
    modes = [one.training for one in model.modules()]
    assert model.predict(X).tolist() == model.predict(X).tolist()
    assert [one.training for one in model.modules()] == modes
    model.train()
    assert (model(X).numpy() != model(X).numpy()).any()


def test_a_classifier_learns():
    engine.seed(0)
    draws = np.random.default_rng(0)
    model = Classifier(5, 2, embedding=6, hidden=8, cell="gru")
    optimizer = rnn.optim.Adam(model.parameters(), 0.02)

    def batch():
        x, lengths = draws.integers(0, 5, (8, 32)), draws.integers(1, 9, 32)
        x = np.where(np.arange(8)[:, None] < lengths, x, 0)
        return x, lengths, (x == 3).any(axis=0).astype(int)

    for _ in range(150):
        x, lengths, y = batch()
        optimizer.zero_grad()
        model.loss(x, lengths, y).backward()
        optimizer.step()
    x, lengths, y = batch()
    assert (model.predict(x, lengths) == y).mean() > 0.95


# ---- taggers


def test_padding_does_not_count_in_a_tagger():
    model = Tagger(V, 4, embedding=E, hidden=H)
    y = np.random.default_rng(1).integers(0, 4, (T, B))
    found = model(X, LENGTHS).numpy()
    for b, n in enumerate(LENGTHS):
        np.testing.assert_allclose(found[:n, b], model(X[:n, b : b + 1]).numpy()[:, 0], atol=1e-6)
    p = engine.log_softmax(engine.asarray(found), axis=-1).numpy()
    cells = [(t, b) for t, b in itertools.product(range(T), range(B)) if WITHIN[t, b]]
    expected = np.mean([-p[t, b, y[t, b]] for t, b in cells])
    assert model.loss(X, LENGTHS, y).item() == pytest.approx(expected, rel=1e-5)
    tags = model.predict(X, LENGTHS)
    np.testing.assert_array_equal(tags, np.where(WITHIN, found.argmax(axis=-1), 0))
    np.testing.assert_array_equal(model.predict(X), model(X).numpy().argmax(axis=-1))


def test_padding_by_index_and_by_length_go_together():
    y = np.random.default_rng(1).integers(1, 4, (T, B))
    y[2, 0] = 0
    engine.seed(0)
    by_length = Tagger(V, 4, embedding=E, hidden=H)
    engine.seed(0)
    both = Tagger(V, 4, embedding=E, hidden=H, pad=0)
    terms = engine.cross_entropy(by_length(X, LENGTHS), y, reduction="none").numpy()
    kept = WITHIN & (y != 0)
    assert both.loss(X, LENGTHS, y).item() == pytest.approx(terms[kept].mean(), rel=1e-5)
    unpadded = engine.cross_entropy(by_length(X), y, reduction="none").numpy()
    assert both.loss(X, None, y).item() == pytest.approx(unpadded[y != 0].mean(), rel=1e-5)


def test_a_tagger_with_a_crf():
    names = ["O", "B-X", "I-X"]
    model = Tagger(V, 3, embedding=E, hidden=H, crf=CRF(names, scheme="BIO"))
    y = np.zeros((T, B), dtype=int)
    y[1, 0], y[2, 0] = 1, 2
    loss = model.loss(X, LENGTHS, y)
    likely = model.crf.log_likelihood(model(X, LENGTHS), y, LENGTHS).numpy()
    assert loss.item() == pytest.approx(-likely.mean(), rel=1e-6)
    tags = model.predict(X, LENGTHS)
    np.testing.assert_array_equal(tags, model.crf.viterbi(model(X, LENGTHS), LENGTHS)[0].numpy())
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())


def crf_tagger(**options):
    engine.seed(2)
    return Tagger(V, 4, embedding=E, hidden=H, crf=CRF(4), **options)


def test_a_crf_counts_no_padding():
    y = np.where(WITHIN, np.random.default_rng(1).integers(1, 4, (T, B)), 0)
    expected = crf_tagger().loss(X, LENGTHS, y).item()
    alone = [crf_tagger().loss(X[:n, b : b + 1], None, y[:n, b : b + 1]).item()
             for b, n in enumerate(LENGTHS)]  # fmt: skip
    assert expected == pytest.approx(np.mean(alone), rel=1e-5)
    model = crf_tagger(pad=0)
    for lengths in (None, LENGTHS, [6, 3, 5], engine.asarray(LENGTHS)):
        assert model.loss(X, lengths, y).item() == pytest.approx(expected, rel=1e-6)
    assert crf_tagger().loss(X, None, y).item() != pytest.approx(expected, rel=1e-2)
    shorter = model.loss(X, [5, 1, 2], y).item()
    assert shorter == pytest.approx(crf_tagger().loss(X, [5, 1, 2], y).item(), rel=1e-6)


def test_a_crf_takes_padding_at_the_ends_of_rows_only():
    model, y = crf_tagger(pad=0), np.ones((T, B), dtype=int)
    y[2, 1] = 0
    with pytest.raises(ValueError, match="Tagger: pad = 0 stands between the tags of row 1; with"):
        model.loss(X, None, y)
    assert math.isfinite(model.loss(X, [6, 2, 6], y).item())
    y[:, 1] = 0
    for lengths in (None, LENGTHS):
        with pytest.raises(ValueError, match=r"no tag is left in row 1: all are padding \(pad = 0"):
            model.loss(X, lengths, y)


@pytest.mark.parametrize("wrong", [-1, -2, 4, -(2**62)])
def test_targets_that_are_none_are_refused_with_and_without_lengths(wrong):
    y = np.ones((T, B), dtype=int)
    y[3, 0] = wrong
    for pad in (None, 0):
        model = Tagger(V, 4, embedding=E, hidden=H, pad=pad)
        for lengths in (None, LENGTHS):
            with pytest.raises(IndexError, match=f"target {wrong} for 4 classes"):
                model.loss(X, lengths, y)
        kept = model.loss(X, [3, 1, 4], y)  # past the lengths anything may stand
        assert math.isfinite(kept.item())
    padded = Tagger(V, 4, embedding=E, hidden=H, pad=wrong)
    for lengths in (None, LENGTHS):
        assert math.isfinite(padded.loss(X, lengths, y).item())


def test_targets_of_another_shape_are_not_stretched():
    model = Tagger(V, 4, embedding=E, hidden=H)
    for lengths in (None, LENGTHS):
        with pytest.raises(ValueError, match=r"expected y \(T, B\) = \(6, 3\), got \(6, 1\)"):
            model.loss(X, lengths, np.ones((T, 1), dtype=int))


def test_small_targets_count_like_others():
    model, y = Tagger(V, 4, embedding=E, hidden=H), np.random.default_rng(1).integers(0, 4, (T, B))
    losses = {model.loss(X, LENGTHS, y.astype(kind)).item() for kind in ("u1", "i2", "i4", "i8")}
    assert len(losses) == 1


def test_characters_are_read_within_each_word():
    engine.seed(0)
    encoder = CharacterEncoder(7, embedding=3, hidden=4)
    characters = np.random.default_rng(2).integers(0, 7, (5, T, B))
    lengths = np.where(WITHIN, np.random.default_rng(3).integers(1, 6, (T, B)), 0)
    found = encoder(characters, lengths).numpy()
    assert found.shape == (T, B, 8)
    for t, b in [(0, 0), (3, 2), (5, 0)]:
        word = characters[: lengths[t, b], t : t + 1, b : b + 1]
        alone = encoder(word, [[lengths[t, b]]]).numpy()[0, 0]
        np.testing.assert_allclose(found[t, b], alone, atol=1e-6)
    assert not found[~WITHIN].any()
    model = Tagger(V, 4, embedding=E, hidden=H, characters=encoder, dropout=0.3)
    assert model.recurrent.input_size == E + 8
    loss = model.loss(X, LENGTHS, np.zeros((T, B), dtype=int), (characters, lengths))
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())
    assert model.predict(X, LENGTHS, (characters, lengths)).shape == (T, B)
    with pytest.raises(ValueError, match="has a character encoder; give spelling"):
        model(X, LENGTHS)


def test_a_tagger_learns_spans():
    engine.seed(0)
    draws = np.random.default_rng(0)
    model = Tagger(6, 3, embedding=8, hidden=8, crf=CRF(["O", "B-X", "I-X"], scheme="BIO"))
    optimizer = rnn.optim.Adam(model.parameters(), 0.03)

    def batch():
        x, lengths = draws.integers(0, 6, (7, 16)), draws.integers(1, 8, 16)
        is_span = x >= 4
        before = np.concatenate([np.zeros((1, 16), dtype=bool), is_span[:-1]])
        return x, lengths, np.where(is_span, np.where(before, 2, 1), 0)

    for _ in range(60):
        x, lengths, y = batch()
        optimizer.zero_grad()
        model.loss(x, lengths, y).backward()
        optimizer.step()
    x, lengths, y = batch()
    kept = np.arange(7)[:, None] < lengths
    assert (model.predict(x, lengths) == y)[kept].mean() > 0.95


def test_every_device_gives_the_same(device):
    y = np.zeros((T, B), dtype=int)
    for make in (
        lambda: Tagger(V, 3, embedding=E, hidden=H, crf=CRF(["O", "B-X", "I-X"], scheme="BIO")),
        lambda: Tagger(V, 3, embedding=E, hidden=H),
        lambda: Classifier(V, 3, embedding=E, hidden=H, pooling="mean"),
    ):
        losses, found = [], []
        for where in ("numpy", device):
            engine.seed(1)
            model = make().to(where)
            losses.append(model.loss(X, LENGTHS, y if isinstance(model, Tagger) else y[0]))
            losses[-1].backward()
            found.append(model.predict(X, LENGTHS).tolist())
        assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-5)
        assert found[0] == found[1]


# ---- modules one after another


def test_a_sequence_of_modules():
    engine.seed(0)
    model = Sequential(
        rnn.Embedding(V, E), rnn.GRU(E, H, bidirectional=True), rnn.ElmanCell(2 * H, 3),
        engine.tanh, rnn.Linear(3, 2),
    )  # fmt: skip
    embedding, gru, elman, _, linear = model.steps
    y = gru(embedding(X), lengths=LENGTHS)[0]
    expected = linear(engine.tanh(elman(y, lengths=LENGTHS)[0]))
    np.testing.assert_array_equal(model(X, LENGTHS).numpy(), expected.numpy())
    np.testing.assert_array_equal(model(X).numpy(), model(X, [T] * B).numpy())
    assert model.named_parameters()[0][0] == "steps.0.weight"
    assert "steps.2.cell.weight_ih" in dict(model.named_parameters())
    with pytest.raises(ValueError, match="Sequential: expected at least one module"):
        Sequential()
    with pytest.raises(TypeError, match="3 cannot be called; give modules or functions"):
        Sequential(rnn.Linear(2, 2), 3)


def test_a_sequence_that_was_appended_to_runs_what_it_holds():
    model = Sequential(rnn.GRU(2, 3))
    model.steps.append(rnn.Linear(3, 1))
    assert model.named_parameters()[-1][0] == "steps.1.bias"
    y = model(engine.ones((4, 2, 2)), [4, 1])
    np.testing.assert_allclose(y.numpy()[3, 1], model.steps[1].bias.numpy())
    model.steps.append(rnn.GRUCell(1, 2))
    with pytest.raises(ValueError, match="Recurrent runs a cell over time"):
        model(engine.ones((4, 2, 2)))


# ---- recurrences from the output


class Ramp(rnn.Cell):
    """Compute y' = tanh(x + 2 y): the output is the state."""

    input_size, state_size = 2, {"y": 2}

    def step(self, x, y):
        y = engine.tanh(x + 2 * y)
        return y, y


@pytest.mark.parametrize("make", [lambda: rnn.JordanCell(2, 5, 2, output="tanh"), Ramp])
def test_teacher_forcing_is_one_step_after_another_fed_with_the_targets(make):
    engine.seed(0)
    cell = make()
    x, target = normal(T, B, 2).astype("f"), normal(T, B, 2, salt=1).astype("f")
    first = normal(B, 2, salt=2).astype("f")
    for start in (None, first):
        before = np.zeros((B, 2), "f") if start is None else start
        expected = []
        for t in range(T):
            y, _ = cell(engine.asarray(x[t]), engine.asarray(before))
            expected.append(y.numpy())
            before = target[t]
        found = forced(cell, x, target, start)
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
    nodes = engine.Graph.of(forced(rnn.JordanCell(2, 5, 2), x, target)).nodes
    assert not any(node.op.name == "scan" for node in nodes)


def test_the_number_of_ops_does_not_grow_with_time():
    cell = rnn.JordanCell(2, 5, 2)
    counts = [
        len(engine.Graph.of(forced(cell, engine.ones((n, 1, 2)), engine.ones((n, 1, 2)))).nodes)
        for n in (2, 200)
    ]
    assert counts[0] == counts[1]


def test_without_targets_it_runs_free():
    engine.seed(0)
    model = OutputRecurrent(rnn.JordanCell(2, 5, 2, output="tanh"))
    x = normal(T, B, 2).astype("f")
    free = model(x)
    np.testing.assert_array_equal(free.numpy(), model.recurrent(x)[0].numpy())
    # Fed with what it puts out itself, both are the same.
    np.testing.assert_allclose(model(x, free).numpy(), free.numpy(), atol=1e-6)
    ragged = model(x, free, LENGTHS).numpy()
    np.testing.assert_allclose(ragged, model(x, lengths=LENGTHS).numpy(), atol=1e-6)
    assert not ragged[~WITHIN].any()
    first = normal(B, 2, salt=3).astype("f")
    own = model(x, first=first)
    np.testing.assert_allclose(model(x, own, first=first).numpy(), own.numpy(), atol=1e-6)


def test_a_network_from_its_output_learns_in_parallel():
    # y_t = 0.8 y_{t-1} + x_t, learned with all steps at once and then run free.
    engine.seed(0)
    x = normal(20, 8, 1) * 0.3
    y = np.zeros_like(x)
    for t in range(20):
        y[t] = x[t] + (0.8 * y[t - 1] if t else 0)
    model = OutputRecurrent(rnn.JordanCell(1, 8, 1))
    optimizer = rnn.optim.Adam(model.parameters(), 0.02)
    for _ in range(200):
        optimizer.zero_grad()
        engine.mse_loss(model(x.astype("f"), y.astype("f")), y.astype("f")).backward()
        optimizer.step()
    assert np.abs(model(x.astype("f")).numpy() - y).max() < 0.25


class Delay(rnn.Cell):
    """Give an output that is not the state."""

    input_size, state_size = 2, {"y": 2}

    def step(self, x, y):
        return y, x + y


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: forced(rnn.ElmanJordanCell(2, 3, 2), x, x), TypeError, "carries h, y; run it"),
        (lambda x: forced(Delay(), x, x), TypeError, "the state of Delay is not its output"),
        (lambda x: forced(Ramp(), x[0], x), ValueError, r"expected x \(T, B, I\) with I = 2"),
        (lambda x: forced(Ramp(), x, x[1:]), ValueError, r"expected targets \(6, 3, 2\), got"),
        (lambda x: forced(Ramp(), x, x, x[0, :1]), ValueError, "forced: expected states y"),
        (
            lambda x: OutputRecurrent(Ramp())(x, x, [1, 2, 9]),
            ValueError,
            "OutputRecurrent: lengths must lie in 0 to T = 6",
        ),
        (lambda x: LanguageModel(0, 4, 5), ValueError, "vocabulary_size=0"),
        (lambda x: LanguageModel(9, 4, 5, cell="tcn"), ValueError, "unknown cell 'tcn'"),
        (lambda x: LanguageModel(9, 4, 5)(x), TypeError, r"LanguageModel: expected x as integers"),
        (lambda x: LanguageModel(9, 4, 5).loss(X, X[0]), ValueError, r"expected y \(T, B\)"),
        (lambda x: LanguageModel(9, 4, 5).advance(X), ValueError, r"expected indices \(B,\)"),
        (
            lambda x: LanguageModel(9, 4, 5).generate([[1]]),
            ValueError,
            r"LanguageModel.generate: expected prompt \(T,\)",
        ),
        (
            lambda x: next(LanguageModel(9, 4, 5).generate([])),
            ValueError,
            "LanguageModel.generate: the prompt needs at least one index",
        ),
        (
            lambda x: next(LanguageModel(9, 4, 5).generate([1], end=9)),
            ValueError,
            "Stream: end = 9 for 9 classes",
        ),
        (lambda x: Classifier(9, 2, embedding=4, hidden=5, pooling="sum"), ValueError, "'sum'"),
        (lambda x: Classifier(9, 0, embedding=4, hidden=5), ValueError, "classes=0"),
        (lambda x: Classifier(9, 2, embedding=4, hidden=5, cell=3), ValueError, "unknown cell 3"),
        (lambda x: Classifier(9, 2, embedding=4, hidden=5)(X, [7, 1, 2]), ValueError, "0 to T = 6"),
        (
            lambda x: Tagger(9, 2, embedding=4, hidden=5)(X, [1, 2]),
            ValueError,
            "2 lengths for a batch of 3",
        ),
        (
            lambda x: Tagger(9, 2, embedding=4, hidden=5, crf=CRF(3)),
            ValueError,
            "CRF of 2 tags, got",
        ),
        (lambda x: Tagger(9, 2, embedding=4, hidden=0), ValueError, "hidden=0"),
        (
            lambda x: Tagger(9, 2, embedding=4, hidden=5)(X, LENGTHS, (X[None], X)),
            ValueError,
            "Tagger: spelling is given, and no character encoder to read it; make the model with",
        ),
        (lambda x: Classifier(0, 2, embedding=4, hidden=5), ValueError, "vocabulary_size=0"),
        (lambda x: Classifier(False, 2, embedding=4, hidden=5), ValueError, "vocabulary_size=Fals"),
        (lambda x: Encoder(0, 4, 5), ValueError, "vocabulary_size=0"),
        (
            lambda x: LanguageModel(9, 4, 5, 2).advance([1], [(x[0, :1], x[0, :1])]),
            ValueError,
            "LanguageModel.advance: 1 states for 2 layers; give a list of one for each",
        ),
        (
            lambda x: LanguageModel(9, 4, 2, cell="gru").advance([1], x[0]),
            ValueError,
            "LanguageModel.advance: Tensor states for 1 layers",
        ),
        (
            lambda x: LanguageModel(9, 4, 2, cell="gru").advance([1], [x[0]]),
            ValueError,
            "LanguageModel.advance: 1 rows of indices for states of 3 rows; give an index for each",
        ),
        (
            lambda x: LanguageModel(9, 4, 5, cell="gru").advance([1, 2, 3], [x[0]]),
            ValueError,
            r"LanguageModel.advance: expected states h of shapes \[\(3, 5\)\], got \[\(3, 2\)\]",
        ),
        (
            lambda x: CharacterEncoder(9, embedding=4, hidden=5)(X[None], [[1]]),
            ValueError,
            r"lengths \(1, 1\) for characters \(1, 6, 3\); expected \(6, 3\)",
        ),
        (
            lambda x: CharacterEncoder(9, embedding=4, hidden=5)(X, X),
            ValueError,
            r"expected characters \(L, T, B\), got \(6, 3\)",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(engine.ones((T, B, 2)))


@pytest.mark.parametrize("index", [-1, 9, 2**40])
def test_indices_that_are_none_are_refused(index):
    model = language_model()
    outside = rf"index {index} is outside of the vocabulary of 9; expected 0 to 8"
    for call in (
        lambda: model([[0, index]]),
        lambda: model(np.array([[0, index]])),
        lambda: model(engine.asarray([[0, index]])),
        lambda: model.loss([[0, index]], [[1, 1]]),
        lambda: model.advance([index]),
        lambda: next(model.generate([index])),
        lambda: next(model.generate([0, index, 0])),
    ):
        with pytest.raises(IndexError, match=f"LanguageModel: {outside}"):
            call()
    assert model([[0, 8]])[0].shape == (1, 2, 9)
    assert model(np.zeros((2, 0), dtype=int))[0].shape == (2, 0, 9)


@pytest.mark.parametrize("index", [-1, 9])
def test_indices_that_are_none_are_refused_by_all_that_read(index):
    x, outside = [[0, index]], f"index {index} is outside of the vocabulary of 9; expected 0 to 8"
    encoder = CharacterEncoder(9, embedding=E, hidden=H)
    for name, call in (
        ("Classifier", lambda: Classifier(9, 2, embedding=E, hidden=H)(x)),
        ("Tagger", lambda: Tagger(9, 2, embedding=E, hidden=H)(x)),
        ("CharacterEncoder", lambda: encoder([x], [[1, 1]])),
        ("Encoder", lambda: Encoder(9, E, H)(x)),
    ):
        with pytest.raises(IndexError, match=f"{name}: {outside}"):
            call()


def test_steps_that_read_indices_are_recorded():
    model = language_model(cell="gru")
    xs = np.array(X)

    def step(h, x):
        logits, (after,) = model.advance(x, [h])
        return after, logits

    start = engine.zeros((B, H))
    _, logits = engine.scan(step, start, engine.asarray(xs))
    np.testing.assert_allclose(logits.numpy(), model(xs)[0].numpy(), atol=1e-6)
    with engine.explicit(), pytest.raises(IndexError, match="index -1 is outside"):
        engine.scan(step, start, engine.asarray(xs - 1 - xs.min()))


def test_a_batch_of_padding_alone_has_no_loss():
    model, tagger = language_model(pad=0), Tagger(V, 4, embedding=E, hidden=H, pad=0)
    zeros = np.zeros((T, B), dtype=int)
    left = r": no target is left: all are padding \(pad = 0\); leave such a batch out"
    with pytest.raises(ValueError, match="LanguageModel" + left):
        model.loss(X, zeros)
    for lengths in (None, LENGTHS, engine.asarray(LENGTHS)):
        with pytest.raises(ValueError, match="Tagger" + left):
            tagger.loss(X, lengths, zeros)
    behind = zeros.copy()
    behind[5, 1] = 3  # past the end of its row
    with pytest.raises(ValueError, match="Tagger" + left):
        tagger.loss(X, LENGTHS, behind)
    assert math.isfinite(tagger.loss(X, None, behind).item())
    assert math.isfinite(model.loss(X, behind)[0].item())


def test_teacher_forcing_without_steps_is_the_free_run_without_steps():
    for cell in (rnn.JordanCell(2, 5, 2), Ramp()):
        model, x = OutputRecurrent(cell), np.zeros((0, B, 2), "f")
        assert forced(cell, x, x).shape == model(x, x).shape == model(x).shape == (0, B, 2)
        assert forced(cell, x, x, np.ones((B, 2), "f")).shape == (0, B, 2)


def test_models_change_their_dtype():
    model = LanguageModel(5, 3, 4).to(engine.float64)
    assert {x.dtype for x in model.parameters()} == {np.dtype("float64")}
    loss, _ = model.loss([[1], [2]], [[2], [3]])
    loss.backward()
    assert model.head.weight.grad.dtype == "float64"
    model.to("numpy", dtype=engine.float32)
    assert {x.dtype for x in model.parameters()} == {np.dtype("float32")}
    assert all(x.grad is None for x in model.parameters())
    for wrong in (engine.int64, 3):
        with pytest.raises(TypeError, match=r"to: expected a device or a floating dtype, .*; dev"):
            model.to(wrong)


# ---- cells of a user


def peephole(I, H):
    return rnn.PeepholeLSTMCell(I, H)


@pytest.mark.parametrize(
    ("name", "layers", "bidirectional"),
    covering(["lstm", "gru", "rnn"], [2, 1], [True, False]),
)
def test_layers_of_cells_are_the_layers_of_that_name(name, layers, bidirectional):
    # The same cells given as a function: other names, the same numbers.
    cell = {"lstm": rnn.LSTMCell, "gru": rnn.GRUCell, "rnn": rnn.ElmanCell}[name]
    x, lengths = np.array([[1, 2], [3, 4], [5, 0]]), [3, 2]

    def made(kind):
        options = {"cell": kind, "bidirectional": bidirectional}
        sizes = {"embedding": 4, "hidden": 5, "layers": layers}
        return (Encoder(9, 4, 5, layers, **options), Classifier(9, 3, **sizes, **options),
                Tagger(9, 3, **sizes, **options))  # fmt: skip

    def place(path):
        found = re.fullmatch(r"recurrent\.(\w+)_l(\d)(_reverse)?", path)
        if not found:
            return path
        way = ("backward." if found[3] else "onward.") if bidirectional else ""
        return f"recurrent.stack.layers.{found[2]}.{way}cell.{found[1]}"

    def read(models):
        (outputs, states), *others = (model(x, lengths) for model in models)
        parts = [part for one in states for part in (one if isinstance(one, tuple) else (one,))]
        return [outputs, *parts, *others]

    named, own = made(name), made(lambda I, H: cell(I, H))
    for one, other in zip(named, own, strict=True):
        other.load_state_dict({place(path): w for path, w in one.state_dict().items()})
    for ours, theirs in zip(read(own), read(named), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-6)


def test_any_cell_reads():
    x, lengths = [[1, 2], [3, 4], [5, 0]], [3, 2]
    Classifier(9, 3, embedding=4, hidden=5, cell=peephole).loss(x, lengths, [0, 2]).backward()
    Tagger(9, 3, embedding=4, hidden=5, cell=peephole).loss(x, lengths, [[0, 1]] * 3).backward()
    decoder = Decoder(9, 4, 5, 2, cell=peephole)
    model = Seq2Seq(Encoder(9, 4, 5, 2, cell=peephole), decoder, start=1, end=1, pad=0)
    assert model.bridge is None  # the states go over as they are
    model.loss(x, lengths, [[2, 3], [1, 1]]).backward()
    assert all(p.grad is not None for p in model.parameters())
    with pytest.raises(ValueError, match="Classifier: the output of the cell is 6 wide"):
        Classifier(9, 3, embedding=4, hidden=5, cell=lambda I, H: rnn.GRUCell(I, H + 1))
    with pytest.raises(TypeError, match="Encoder: cell made a Linear, expected a Cell"):
        Encoder(9, 4, 5, cell=lambda I, H: rnn.Linear(I, H))
    with pytest.raises(ValueError, match="Tagger: unknown cell 3; there are rnn, lstm, gru"):
        Tagger(9, 3, embedding=4, hidden=5, cell=3)
