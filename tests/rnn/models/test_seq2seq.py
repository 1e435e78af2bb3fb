"""Test encoders and decoders: teacher forcing at any ratio, attention, decoding; torch by hand."""

import gc
import itertools
import weakref
from typing import ClassVar

import numpy as np
import pytest

import engine
import rnn
from rnn.models import Attention, Bridge, Captioner, Decoder, Encoder, Seq2Seq
from tests.draws import covering, crossed, first

T, B, U, V, W, E, H = 5, 3, 4, 8, 9, 4, 6
LENGTHS = [5, 2, 4]
X = np.random.default_rng(1).integers(2, V, (T, B))
Y = np.array([[2, 3, 4], [5, 1, 6], [7, 0, 8], [1, 0, 1]])


def made(score=None, *, encoder=None, **options):
    """Return a model with target indices 0 for padding and 1 for start and end."""
    engine.seed(5)
    encoder = Encoder(V, E, H, **(encoder or {}))
    attention = None if score is None else Attention(H, encoder.width, score)
    decoder = Decoder(W, E, H, attention=attention, **options)
    return Seq2Seq(encoder, decoder, start=1, end=1, pad=0)


def by_steps(model, inputs, state):
    """Return the logits of the decoder, one `advance` after another."""
    logits = []
    for row in inputs:
        one, state = model.advance(row, state)
        logits.append(one)
    return engine.stack(logits, axis=0).numpy()


VARIANTS = [
    {},
    {"score": "dot"},
    {"score": "general", "encoder": {"bidirectional": True}},
    {"score": "additive", "input_feeding": False},
    {"score": "dot", "input_feeding": False, "cell": "lstm"},
    {"cell": "lstm", "encoder": {"cell": "lstm", "layers": 2}, "layers": 2, "score": "general"},
    {"cell": "rnn", "layers": 2, "encoder": {"bidirectional": True, "cell": "lstm"}},
    {"cell": lambda i, h: rnn.PeepholeLSTMCell(i, h), "score": "additive"},
    {"score": "additive", "attend": "before", "encoder": {"bidirectional": True}},
    {"score": "dot", "attend": "before", "cell": "lstm", "layers": 2},
]
# First two layers of another cell, attention before the cell, and attention that is fed nowhere.
VARIANTS_MIXED = [VARIANTS[n] for n in (5, 8, 3, 6, 0, 1, 2, 4, 7, 9)]

# ---- teacher forcing


@pytest.mark.parametrize("options", first(2, VARIANTS_MIXED))
def test_all_steps_at_once_are_the_steps_one_by_one(options):
    model = made(**options)
    inputs = np.concatenate([np.ones((1, B), dtype=int), Y[:-1]])
    found = model.decoded(X, LENGTHS, Y)
    expected = by_steps(model, inputs, model.encoded(X, LENGTHS))
    np.testing.assert_allclose(found.logits.numpy(), expected, atol=2e-6)
    np.testing.assert_array_equal(found.logits.numpy(), model(X, LENGTHS, Y).numpy())
    if options.get("score"):
        weights = found.weights.numpy()
        np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-5)
        for b, n in enumerate(LENGTHS):
            assert not weights[:, b, n:].any()
            assert (weights[:, b, :n] > 0).all()


@pytest.mark.parametrize("options", first(2, VARIANTS_MIXED))
def test_explicit_and_compiled_are_the_same(options):
    model = made(**options)
    parameters = model.parameters()
    for _ in range(2):
        loss = model.loss(X, LENGTHS, Y)
        found = engine.gradients([loss], parameters)
        with engine.explicit():
            again = model.loss(X, LENGTHS, Y)
            expected = engine.gradients([again], parameters)
        assert loss.item() == pytest.approx(again.item(), rel=1e-6)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), atol=2e-6)


@pytest.mark.parametrize(("options", "ratio"), first(3, crossed(VARIANTS_MIXED, [0.0, 0.5, 1.0])))
def test_gradients_are_those_of_finite_differences(options, ratio):
    model = made(**options)
    for x in model.parameters():
        x.data = x.data.astype("float64")
    engine.seed(3)
    loss = model.loss(X, LENGTHS, Y, ratio=ratio)
    parameters = model.parameters()
    found = engine.gradients([loss], parameters)
    draws = np.random.default_rng(0)
    directions = [draws.normal(size=x.shape) for x in parameters]
    slope = sum((g.numpy() * d).sum() for g, d in zip(found, directions, strict=True))
    values, h = [], 1e-6
    for sign in (1, -1):
        for x, d in zip(parameters, directions, strict=True):
            x.data = x.data + sign * h * d
        engine.seed(3)
        values.append(model.loss(X, LENGTHS, Y, ratio=ratio).item())
        for x, d in zip(parameters, directions, strict=True):
            x.data = x.data - sign * h * d
    assert slope == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-5)


def test_compiled_where_the_recurrence_allows():
    # No step is on the graph, also where the decoder is fed by its own choices.

    def losses(ratio):
        engine.seed(5)
        return model.loss(X, LENGTHS, Y, ratio=ratio)

    model = made("dot")
    own = list(model.parameters())
    for ratio in (1.0, 0.5):
        loss = losses(ratio)
        assert [node.op.name for node in engine.Graph.of(loss).nodes].count("scan") == 2
        with engine.explicit():
            other = losses(ratio)
        assert loss.item() == pytest.approx(other.item(), rel=1e-5)
        for one, two in zip(engine.gradients(loss, own), engine.gradients(other, own), strict=True):
            np.testing.assert_allclose(one.numpy(), two.numpy(), rtol=1e-3, atol=1e-5)


def test_padding_of_the_source_and_of_the_target_changes_nothing():
    model = made("general", encoder={"bidirectional": True})
    loss = model.loss(X, LENGTHS, Y).item()
    x = np.where(np.arange(T)[:, None] < np.array(LENGTHS), X, 7)
    longer = np.concatenate([x, np.full((2, B), 3)])
    padded = np.concatenate([Y, np.zeros((3, B), dtype=int)])
    assert model.loss(longer, LENGTHS, padded).item() == pytest.approx(loss, rel=1e-6)
    alone = [
        model.loss(x[:n, b : b + 1], None, Y[:, b : b + 1]).item() for b, n in enumerate(LENGTHS)
    ]
    counts = (Y != 0).sum(axis=0)
    assert np.dot(alone, counts) / counts.sum() == pytest.approx(loss, rel=1e-6)


# ---- attention before the cell


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def bahdanau(p, inputs, s, outputs, lengths):
    """Compute logits (U, B, V) and weights (U, B, T) of a GRU with PyTorch's gates, row by row."""
    steps, rows = inputs.shape
    logits, weights = np.zeros((steps, rows, W)), np.zeros((steps, rows, len(outputs)))
    attention = [p[f"attention.{name}"] for name in ("v", "weight_query", "weight_memory")]
    for b, n in enumerate(lengths):
        h = s[b]
        for u in range(steps):
            v, Wq, Wm = attention
            a = np.exp([v @ np.tanh(Wq @ h + Wm @ outputs[t, b]) for t in range(n)])
            weights[u, b, :n] = a / a.sum()
            c = sum(weights[u, b, t] * outputs[t, b] for t in range(n))
            x = np.concatenate([p["embedding.weight"][inputs[u, b]], c])
            gi = p["cells.0.weight_ih"] @ x + p["cells.0.bias_ih"]
            gh = p["cells.0.weight_hh"] @ h + p["cells.0.bias_hh"]
            r, z = sigmoid(gi[:H] + gh[:H]), sigmoid(gi[H : 2 * H] + gh[H : 2 * H])
            h = (1 - z) * np.tanh(gi[2 * H :] + r * gh[2 * H :]) + z * h
            o = np.tanh(p["combine.weight"] @ np.concatenate([c, h]))
            logits[u, b] = p["head.weight"] @ o + p["head.bias"]
    return logits, weights


@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_attention_before_the_cell_is_its_equations(lengths):
    model = made("additive", attend="before", encoder={"bidirectional": True})
    for x in model.parameters():
        x.data = x.data.astype("float64") * 3  # far from linear
    assert not model.decoder.input_feeding
    outputs, states = model.encoder(X, lengths)
    s = np.tanh(model.bridge.linear(states[0]).numpy())
    p = {name: x.numpy() for name, x in model.decoder.named_parameters()}
    inputs = np.concatenate([np.ones((1, B), dtype=int), Y[:-1]])
    expected = bahdanau(p, inputs, s, outputs.numpy(), lengths or [T] * B)
    for _ in range(2):  # recorded, and remembered
        found = model.decoded(X, lengths, Y)
        np.testing.assert_allclose(found.logits.numpy(), expected[0], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(found.weights.numpy(), expected[1], rtol=1e-10)
    free = model.decoded(X, lengths, Y, ratio=0.0)
    inputs = np.concatenate([inputs[:1], free.logits.numpy().argmax(axis=-1)[:-1]])
    expected = bahdanau(p, inputs, s, outputs.numpy(), lengths or [T] * B)
    np.testing.assert_allclose(free.logits.numpy(), expected[0], rtol=1e-10, atol=1e-12)


def test_the_order_of_attention_changes_what_the_cells_read():
    widths = {
        options: made("dot", **dict(options)).decoder.cells[0].input_size
        for options in [(), (("input_feeding", False),), (("attend", "before"),)]
    }
    assert list(widths.values()) == [E + H, E, E + H]
    model = made("additive", attend="before", encoder={"bidirectional": True})
    assert model.decoder.cells[0].input_size == E + 2 * H
    assert model.begin(X).feed is None


# ---- every call reads what is its own


CHANGED = [
    {},
    {"score": "additive"},
    {"score": "dot"},
    {"score": "general", "input_feeding": False},
    {"score": "additive", "attend": "before"},
    {"score": "additive", "layers": 2, "dropout": 0.5},
]


def agree(model, x=X, lengths=LENGTHS, y=Y):
    """Check that loss and all gradients are the same compiled and step by step."""
    found = []
    for mode in (engine.scope(), engine.explicit()):
        model.zero_grad()
        engine.seed(7)
        with mode:
            loss = model.loss(x, lengths, y)
            loss.backward()
        grads = [None if p.grad is None else p.grad.numpy() for p in model.parameters()]
        found.append((loss.item(), grads))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    for a, b in zip(found[0][1], found[1][1], strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, atol=2e-6)
    return found[0]


@pytest.mark.parametrize("options", first(1, [*CHANGED[4:0:-1], CHANGED[5], CHANGED[0]]))
def test_a_change_of_the_model_or_the_call_is_seen(options):
    model = made(**options)
    decoder = model.decoder
    losses = [agree(model)[0]]

    def new(x):
        return rnn.parameter(x.shape, 0.9, dtype=x.dtype)

    def again():
        losses.append(agree(model)[0])

    agree(model, X[:, :2], LENGTHS[:2], Y[:, :2])  # another batch
    agree(model, X[:3], [3, 2, 1], Y[:3])  # another T and U
    agree(model, X, None)  # no mask
    model.eval()
    agree(model)
    model.train()
    agree(model)
    decoder.dropout = 0.25
    again()
    decoder.cells[0].weight_ih = new(decoder.cells[0].weight_ih)
    again()
    decoder.cells[0] = rnn.GRUCell(decoder.cells[0].input_size, H)
    again()
    if decoder.attention is not None:
        decoder.combine.weight = new(decoder.combine.weight)
        again()
        for name, x in decoder.attention.named_parameters():
            setattr(decoder.attention, name, new(x))
            again()
        decoder.attention = Attention(H, H, "general")
        again()
        for module in (decoder.combine, decoder.attention):
            module.weight = new(module.weight)
            for module.weight.requires_grad in (False, True):  # frozen, and not any more
                agree(model)
    model.load_state_dict({n: x * 1.5 for n, x in model.state_dict().items()})
    again()
    assert len(set(losses)) == len(losses)
    decoder.cells[0].weight_hh.requires_grad = False  # frozen
    before = len(model.parameters())
    agree(model)
    assert len(model.parameters()) == before
    for x in model.parameters():
        x.data = x.data.astype("float64")
    decoder.cells[0].weight_hh.data = decoder.cells[0].weight_hh.data.astype("float64")
    agree(model)
    with engine.no_grad():
        assert model.loss(X, LENGTHS, Y).requires_grad is False
    agree(model)


@pytest.mark.parametrize("options", first(1, CHANGED[4:0:-1]))
def test_a_memory_that_needs_no_gradient_and_one_that_does(options):
    decoder = made(**options).decoder
    outputs = np.random.default_rng(3).normal(size=(2, T, B, H)).astype("f")
    for x, needs in itertools.product(outputs, (False, True, False, True)):
        leaves = [engine.asarray(x, requires_grad=needs) for _ in range(2)]
        for one, mode in zip(leaves, (engine.scope(), engine.explicit()), strict=True):
            with mode:
                state = decoder.start([engine.zeros((B, H))], one, LENGTHS)
                engine.sum(decoder(Y, state).logits[..., 2] ** 2).backward()
        if needs:
            np.testing.assert_allclose(leaves[0].grad.numpy(), leaves[1].grad.numpy(), atol=1e-5)
            assert np.abs(leaves[0].grad.numpy()).max() > 1e-4
        else:
            assert leaves[0].grad is None


def test_derivatives_of_derivatives_see_the_memory_of_their_call():
    model = made("additive", attend="before")
    model.loss(X, LENGTHS, Y).backward()
    parameters = model.parameters()
    found = []
    for mode in (engine.scope(), engine.explicit()):
        with mode:
            loss = model.loss(X[::-1].copy(), [5, 5, 1], Y)
            first = engine.gradients([loss], parameters, create_graph=True)
            found.append(engine.gradients([sum(engine.sum(g * g) for g in first)], parameters))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-5)


@pytest.mark.parametrize("options", first(1, CHANGED[4:0:-1]))
def test_nothing_of_a_call_is_kept(options):
    model = made(**options)
    arrays = []
    for _ in range(2):
        state = model.encoded(X, LENGTHS)
        decoded = model.decoder(Y, state)
        arrays += [weakref.ref(x.data) for x in (*state.memory, decoded.logits)]
        engine.sum(decoded.logits).backward()
        del state, decoded
    gc.collect()
    assert [one() for one in arrays] == [None] * len(arrays)


def test_a_call_inside_a_recurrence_reads_its_own_memory():
    decoder = made("general").decoder
    outputs = np.random.default_rng(4).normal(size=(2, T, B, H)).astype("f")

    def step(total, x):
        state = decoder.start([engine.zeros((B, H))], x)
        return total + engine.mean(decoder(Y, state).logits ** 2, axis=(0, 2)), total

    start = engine.zeros((B,))
    decoder(Y, decoder.start([engine.zeros((B, H))], engine.asarray(outputs[0])))
    found, _ = engine.scan(step, start, engine.asarray(outputs))
    expected = sum(
        (decoder(Y, decoder.start([engine.zeros((B, H))], x)).logits.numpy() ** 2).mean(axis=(0, 2))
        for x in outputs
    )
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


# ---- its own choices


def test_a_ratio_of_0_feeds_back_the_most_probable():
    model = made("dot")
    found = model(X, LENGTHS, Y, ratio=0.0).numpy()
    own = found.argmax(axis=-1)
    inputs = np.concatenate([np.ones((1, B), dtype=int), own[:-1]])
    expected = by_steps(model, inputs, model.encoded(X, LENGTHS))
    np.testing.assert_allclose(found, expected, atol=2e-6)
    other = np.where(Y == 0, 0, 3)  # the targets are not looked at
    np.testing.assert_array_equal(model(X, LENGTHS, other, ratio=0.0).numpy(), found)


def fed(model, inputs, **options):
    """Return the logits of a decoder over inputs, from zeros."""
    return model(inputs, model.start(batch=inputs.shape[1]), **options).logits.numpy()


def test_scheduled_sampling_draws_for_every_step_and_row():
    # An embedding of indices as numbers and a cell that hands them on show what was fed.

    class Echo(rnn.Cell):
        input_size, state_size = 1, {"h": 1}

        def step(self, x, h):
            return x, x

    class EchoDecoder(Decoder):
        settings: ClassVar = {"cell": lambda i, h: Echo()}

        def __init__(self):
            super().__init__(10, 1, 1, **self.settings)
            self.embedding.weight = engine.asarray(np.arange(10.0, dtype="f")[:, None])
            self.head.weight = engine.asarray(np.eye(10, 1, -9, dtype="f"))  # the choice is 9
            self.head.bias = engine.asarray(np.eye(10, dtype="f")[9])

    steps, rows = 40, 50
    decoder = EchoDecoder()
    inputs = np.full((steps, rows), 5)
    was_fed = lambda **o: fed(decoder, inputs, **o)[:, :, 9] - 1  # noqa: E731
    engine.seed(7)
    first = was_fed(ratio=0.3)
    assert set(np.unique(first)) == {5, 9}
    assert (first[0] == 5).all()
    assert (first[1:] == 5).mean() == pytest.approx(0.3, abs=0.04)
    shares = (first[1:] == 5).mean(axis=0)
    assert shares.min() < 0.25 < 0.35 < shares.max()  # rows differ
    assert (was_fed(ratio=0.3) != first).any()  # the next update draws again
    engine.seed(7)
    np.testing.assert_array_equal(was_fed(ratio=0.3), first)
    engine.seed(7)  # neither the other rows nor later steps matter
    fewer = fed(decoder, inputs[:9, :4], ratio=0.3)[:, :, 9] - 1
    np.testing.assert_array_equal(fewer, first[:9, :4])
    assert (was_fed(ratio=0.0)[1:] == 9).all()
    assert (was_fed(ratio=1.0) == 5).all()


def test_a_sampled_choice_has_the_frequencies_of_the_prediction():
    engine.seed(2)
    decoder = Decoder(4, 2, 3)
    decoder.head.weight = engine.zeros_like(decoder.head.weight)
    odds = np.array([0.1, 0.0, 0.6, 0.3], dtype="f")
    with np.errstate(divide="ignore"):
        decoder.head.bias = engine.asarray(np.log(odds))
    decoder.embedding.weight = engine.asarray(np.eye(4, 2, dtype="f"), requires_grad=True)
    rows = 4000
    inputs = np.ones((2, rows), dtype=int)
    state = decoder.start(batch=rows)
    found = decoder(inputs, state, ratio=0.0, feedback="sample")
    # The second state tells which index was fed: compare with the state that each would give.
    _, one = decoder.advance(np.ones(rows, dtype=int), state)
    each = [decoder.advance(np.full(rows, i), one)[1].cells[0].numpy() for i in range(4)]
    final = found.state.cells[0].numpy()
    shares = [np.isclose(final, h, atol=1e-6).all(axis=1).mean() for h in each]
    assert shares[0] == pytest.approx(0.1, abs=0.03)
    assert shares[1] == 0
    # Indices 2 and 3 have the same embedding, nothing.
    assert shares[2] == shares[3] == pytest.approx(0.9, abs=0.03)


def test_no_gradient_goes_through_the_choice():
    # Of two steps without feeding the truth, the first loss alone reaches the first logits.
    model = made()
    state = model.encoded(X, LENGTHS)
    logits = model.decoder(np.ones((2, B), dtype=int), state, ratio=0.0).logits
    (g,) = engine.gradients([engine.sum(logits[1])], [model.decoder.head.bias])
    np.testing.assert_allclose(g.numpy(), B)  # of the second step only


def test_the_state_after_the_steps_goes_on():
    for ratio in (1.0, 0.0):
        model = made("dot")
        state = model.encoded(X, LENGTHS)
        inputs = np.ones((1, B), dtype=int)
        after = model.decoder(inputs, state, ratio=ratio).state
        _, expected = model.advance(inputs[0], state)
        np.testing.assert_allclose(after.cells[0].numpy(), expected.cells[0].numpy(), atol=1e-6)
        np.testing.assert_allclose(after.feed.numpy(), expected.feed.numpy(), atol=1e-6)


def test_dropout_falls_while_training_only():
    model = made("general", dropout=0.5, layers=2, encoder={"dropout": 0.5, "layers": 2})
    for ratio in (1.0, 0.5):
        assert (
            model.loss(X, LENGTHS, Y, ratio=ratio).item()
            != model.loss(X, LENGTHS, Y, ratio=ratio).item()
        )
    model.eval()
    assert model.loss(X, LENGTHS, Y).item() == model.loss(X, LENGTHS, Y).item()
    model.train()
    model.decode(X, LENGTHS, limit=2)
    assert all(one.training for one in model.modules())
    engine.seed(1)
    a = model.loss(X, LENGTHS, Y).item()
    engine.seed(1)
    with engine.explicit():
        assert model.loss(X, LENGTHS, Y).item() == pytest.approx(a, rel=1e-6)


# ---- decoding


@pytest.mark.parametrize("options", first(2, VARIANTS_MIXED))
def test_greedy_decoding_is_free_running(options):
    model = made(**options)
    found = model.decode(X, LENGTHS, limit=6)
    y = np.full((6, B), 2)
    own = model(X, LENGTHS, y, ratio=0.0).numpy().argmax(axis=-1).T.tolist()
    assert found == [row[: row.index(1)] if 1 in row else row for row in own]


@pytest.mark.parametrize("options", first(1, [VARIANTS[-2], *VARIANTS[:3]]))
def test_a_wide_beam_is_exact(options):
    model = made(**options)
    limit, rest = 2, [i for i in range(W) if i != 1]
    found = model.beam_search(X, LENGTHS, limit=limit, width=80, n_best=5, alpha=0.6)
    state = model.begin(X, LENGTHS)
    for b, row in enumerate(found):
        scored = []
        for n in range(limit + 1):
            for one in itertools.product(rest, repeat=n):
                whole = [*one, 1] if n < limit else list(one)
                inputs = np.array([1, *whole[:-1]])[:, None].repeat(B, axis=1)
                p = engine.log_softmax(by_steps_tensor(model, inputs, state), axis=-1).numpy()
                total = sum(float(p[t, b, k]) for t, k in enumerate(whole))
                scored.append((total / ((5 + len(whole)) / 6) ** 0.6, list(one)))
        best = sorted(scored, key=lambda s: -s[0])[:5]
        assert [one.indices for one in row] == [s[1] for s in best]
        np.testing.assert_allclose([one.score for one in row], [s[0] for s in best], rtol=1e-5)


def by_steps_tensor(model, inputs, state):
    return engine.asarray(by_steps(model, inputs, state))


def test_streams_and_samples_of_a_model():
    model = made("dot")
    stream = model.stream(X, LENGTHS, temperature=0)
    greedy = model.decode(X, LENGTHS, limit=4)
    drawn = np.stack(list(itertools.islice(stream, 4))).T.tolist()
    assert [row[: row.index(1)] if 1 in row else row for row in drawn] == greedy
    a = model.decode(X, LENGTHS, limit=9, temperature=1.0, key=("a",))
    assert a == model.decode(X, LENGTHS, limit=9, temperature=1.0, key=("a",))
    assert a != model.decode(X, LENGTHS, limit=9, temperature=1.0, key=("b",))


def test_every_device_gives_the_same(device):
    # Losses and gradients at any ratio, greedy search and beams.
    expected = made("general", encoder={"bidirectional": True})
    model = made("general", encoder={"bidirectional": True}).to(device)
    for ratio, feedback in [(1.0, "argmax"), (0.5, "argmax"), (0.5, "sample")]:
        losses = []
        for one in (expected, model):
            engine.seed(1)
            one.zero_grad()
            losses.append(one.loss(X, LENGTHS, Y, ratio=ratio, feedback=feedback))
            losses[-1].backward()
        assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-5)
        for a, b in zip(expected.parameters(), model.parameters(), strict=True):
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), atol=1e-5)
    assert model.decode(X, LENGTHS, limit=5) == expected.decode(X, LENGTHS, limit=5)
    beams = [one.beam_search(X, LENGTHS, limit=5, n_best=3) for one in (expected, model)]
    assert [[h.indices for h in row] for row in beams[0]] == [
        [h.indices for h in row] for row in beams[1]
    ]


def test_a_model_learns_to_copy():
    engine.seed(0)
    draws = np.random.default_rng(0)
    model = Seq2Seq(
        Encoder(6, 12, 16, bidirectional=True),
        Decoder(6, 12, 16, attention=Attention(16, 32)),
        start=1,
        end=1,
        pad=0,
    )
    optimizer = rnn.optim.Adam(model.parameters(), 0.02)
    for _ in range(150):
        x = draws.integers(2, 6, (4, 16))
        y = np.concatenate([x, np.ones((1, 16), dtype=int)])
        optimizer.zero_grad()
        model.loss(x, None, y, ratio=0.9).backward()
        rnn.clip_grad_norm(model.parameters(), 1.0)
        optimizer.step()
    x = draws.integers(2, 6, (4, 30))
    assert (
        np.mean([a == b for a, b in zip(model.decode(x, limit=6), x.T.tolist(), strict=True)]) > 0.9
    )


# ---- captions


def test_captions_begin_with_the_features():
    engine.seed(4)
    model = Captioner(5, Decoder(W, E, H, 2, cell="lstm"), start=1, end=1, pad=0)
    features = np.random.default_rng(2).normal(size=(B, 5)).astype("f")
    v = np.tanh(features @ model.bridge.linear.weight.numpy().T + model.bridge.linear.bias.numpy())
    state = model.begin(features)
    parts = [x.numpy() for one in state.cells for x in one]
    np.testing.assert_allclose(np.concatenate(parts, axis=1), v, atol=1e-6)
    inputs = np.concatenate([np.ones((1, B), dtype=int), Y[:-1]])
    expected = by_steps(model, inputs, state)
    np.testing.assert_allclose(model(features, Y).numpy(), expected, atol=1e-6)
    loss = model.loss(features, Y)
    loss.backward()
    assert all(x.grad is not None for x in model.parameters())
    assert loss.item() == pytest.approx(
        engine.cross_entropy(engine.asarray(expected), Y, ignore_index=0).item(), rel=1e-5
    )
    greedy = model.decode(features, limit=5)
    assert len(greedy) == B
    assert len(model.beam_search(features, limit=5, width=3)) == B
    free = model(features, np.full((5, B), 2), ratio=0.0).numpy().argmax(axis=-1).T.tolist()
    assert greedy == [row[: row.index(1)] if 1 in row else row for row in free]


def test_the_loss_of_captions_feeds_back_as_its_forward_does():
    engine.seed(4)
    model = Captioner(5, Decoder(W, E, H), start=1, end=1, pad=0)
    features = np.random.default_rng(2).normal(size=(B, 5)).astype("f")
    losses = []
    for feedback in ("argmax", "sample"):
        engine.seed(7)
        logits = model(features, Y, ratio=0.0, feedback=feedback)
        engine.seed(7)
        losses.append(model.loss(features, Y, ratio=0.0, feedback=feedback).item())
        expected = engine.cross_entropy(logits, Y, ignore_index=0).item()
        assert losses[-1] == pytest.approx(expected, rel=1e-6)
    assert losses[0] != losses[1]
    with pytest.raises(ValueError, match="unknown feedback 'best'"):
        model.loss(features, Y, feedback="best")


# ---- against torch


def copied(torch_module, state):
    torch = pytest.importorskip("torch")
    torch_module.load_state_dict({k: torch.from_numpy(np.asarray(v)) for k, v in state.items()})
    return torch_module


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("ratio", [1.0, 0.0])
def test_the_same_as_a_torch_encoder_and_decoder(layers, ratio):
    torch = pytest.importorskip("torch")
    model = made(layers=layers, encoder={"layers": layers})
    state = model.state_dict()
    encoder_embedding = torch.from_numpy(state["encoder.embedding.weight"]).requires_grad_()
    embedding = torch.from_numpy(state["decoder.embedding.weight"]).requires_grad_()
    encoder = copied(
        torch.nn.GRU(E, H, layers),
        {k.split(".")[-1]: v for k, v in state.items() if k.startswith("encoder.recurrent")},
    )
    decoder = copied(
        torch.nn.GRU(E, H, layers),
        {
            f"{name}_l{n}": state[f"decoder.cells.{n}.{name}"]
            for n in range(layers)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        },
    )
    head = copied(
        torch.nn.Linear(H, W), {n: state[f"decoder.head.{n}"] for n in ("weight", "bias")}
    )
    x = torch.from_numpy(X)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        encoder_embedding[x], torch.tensor(LENGTHS), enforce_sorted=False
    )
    _, h = encoder(packed)
    token, logits = torch.ones(1, B, dtype=torch.int64), []
    for t in range(U):
        y, h = decoder(embedding[token], h)
        logits.append(head(y))
        token = torch.from_numpy(Y[t : t + 1]) if ratio else logits[-1].argmax(-1)
    expected = torch.cat(logits)
    found = model(X, LENGTHS, Y, ratio=ratio)
    np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), atol=2e-6)
    target = torch.from_numpy(Y)
    loss = torch.nn.functional.cross_entropy(
        expected.flatten(0, 1), target.flatten(), ignore_index=0
    )
    loss.backward()
    model.loss(X, LENGTHS, Y, ratio=ratio).backward()
    pairs = [
        (model.encoder.embedding.weight, encoder_embedding),
        (model.encoder.recurrent.weight_hh_l0, encoder.weight_hh_l0),
        (model.decoder.embedding.weight, embedding),
        (model.decoder.cells[-1].weight_ih, getattr(decoder, f"weight_ih_l{layers - 1}")),
        (model.decoder.head.weight, head.weight),
    ]
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), atol=2e-6)


# ---- pictures


@pytest.mark.parametrize(
    ("feeding", "score", "ratio"),
    covering([True, False, None], ["dot", "general", "additive"], [1.0, 0.0]),
)
def test_a_picture_shows_two_blocks_and_the_fan_of_attention(score, feeding, ratio):
    import viz

    model = made(score, input_feeding=feeding, attend="after" if feeding is not None else "before")
    with engine.explicit():
        decoded = model.decoded(X, None, Y, ratio=ratio)
        loss = engine.sum(decoded.logits)
    graph = viz.draw_unrolled(loss, max_steps=9, attention="all").graph
    blocks = {d["block"] for _, d in graph.nodes(data=True)}
    assert {"encoder", "decoder"} <= blocks
    fan = [(a, b, d) for a, b, d in graph.edges(data=True) if d["kind"] == "attention"]
    assert len(fan) == T * U
    weights = decoded.weights.numpy().mean(axis=1)  # over the rows
    for a, b, edge in fan:
        source, target = graph.nodes[a], graph.nodes[b]
        assert (source["block"], target["block"]) == ("encoder", "decoder")
        assert source["cell"] == "GRUCell"
        assert target["path"] == "decoder.attention"
        assert edge["weight"] == pytest.approx(weights[target["t"], source["t"]], rel=1e-5)
    cells = [d["label"] for _, d in graph.nodes(data=True) if d["kind"] == "cell"]
    assert cells == ["GRUCell"] * (T + U)


# ---- the bridge, and what is refused


def test_states_go_over_as_they_are_where_they_fit():
    assert made().bridge is None
    assert made(layers=2).bridge is not None
    assert made(cell="lstm").bridge is not None
    wide = made(encoder={"bidirectional": True, "layers": 2})
    assert wide.bridge.linear.weight.shape == (H, 2 * 2 * H)
    both = made(cell="lstm", encoder={"cell": "lstm", "layers": 2}, layers=2)
    assert both.bridge is None
    _, states = both.encoder(X, LENGTHS)
    _, (h, c) = both.encoder.recurrent(both.encoder.embedding(X), lengths=LENGTHS)
    np.testing.assert_array_equal(states[1][0].numpy(), h[1].numpy())
    np.testing.assert_array_equal(states[0][1].numpy(), c[0].numpy())


def test_an_encoder_of_features():
    encoder = Encoder(None, E, H, bidirectional=True)
    x = np.random.default_rng(0).normal(size=(T, B, E)).astype("f")
    outputs, states = encoder(x, LENGTHS)
    assert outputs.shape == (T, B, 2 * H)
    np.testing.assert_array_equal(states[0].numpy()[0, :H], outputs.numpy()[4, 0, :H])
    np.testing.assert_array_equal(states[0].numpy()[:, H:], outputs.numpy()[0, :, H:])


def test_tied_weights_are_one_parameter():
    decoder = Decoder(W, H, H, tie_weights=True)
    assert decoder.head.weight is decoder.embedding.weight
    assert len(decoder.parameters()) == len(decoder.named_parameters()) - 1
    bound = H**-0.5
    assert np.abs(decoder.head.weight.numpy()).max() <= bound


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m(X, LENGTHS, Y, ratio=1.5), ValueError, r"ratio must lie in \[0, 1\], got 1.5"),
        (lambda m: m(X, LENGTHS, Y, ratio=True), ValueError, "ratio must lie"),
        (lambda m: m(X, LENGTHS, Y, feedback="best"), ValueError, "unknown feedback 'best'"),
        (lambda m: m(X, LENGTHS, Y[:, :2]), ValueError, r"expected y \(U, B\) with B = 3"),
        (lambda m: m(X, LENGTHS, Y[:0]), ValueError, r"expected y \(U, B\)"),
        (lambda m: m(X, LENGTHS, Y * 1.0), TypeError, "expected y as integers"),
        (lambda m: m(X * 1.0, LENGTHS, Y), TypeError, r"expected x as integers \(T, B\)"),
        (lambda m: m(X[0], None, Y), ValueError, r"expected x \(T, B\), got \(3,\)"),
        (lambda m: m(X, [5, 6, 2], Y), ValueError, "Encoder: lengths must lie in 0 to T = 5"),
        (lambda m: m.advance([[1]], m.encoded(X)), ValueError, r"expected indices \(B,\)"),
        (lambda m: m.decode(X, limit=0), ValueError, "limit=0"),
        (lambda m: Encoder(V, E, H, cell="tcn"), ValueError, "unknown cell 'tcn'; there are rnn"),
        (lambda m: Decoder(W, E, H, cell="tcn"), ValueError, "Decoder: unknown cell 'tcn'"),
        (lambda m: Decoder(W, E, H, cell=lambda i, h: 3), TypeError, "cell made a int"),
        (lambda m: Decoder(W, E, H, 0), ValueError, "layers=0"),
        (lambda m: Decoder(W, E, H, dropout=2), ValueError, r"dropout must lie in \[0, 1\]"),
        (lambda m: Encoder(V, E, H, dropout="a"), ValueError, "Encoder: dropout must lie"),
        (lambda m: Decoder(W, E, H, tie_weights=True), ValueError, "embedding = hidden, got 4 and"),
        (
            lambda m: Decoder(W, E, H, attention=Attention(5, 5)),
            ValueError,
            "attention takes queries of 5, hidden is 6",
        ),
        (
            lambda m: Decoder(W, E, H, attention=Attention(H, H), attend="between"),
            ValueError,
            "unknown attend 'between'; there are after, before",
        ),
        (
            lambda m: Decoder(W, E, H, attend="before"),
            ValueError,
            "attend='before' has no attention to ask; give one",
        ),
        (
            lambda m: Decoder(
                W, E, H, attention=Attention(H, H), attend="before", input_feeding=True
            ),
            ValueError,
            "no output besides; leave input_feeding out, or take attend='after'",
        ),
        (
            lambda m: Decoder(
                W,
                E,
                H,
                attention=Attention(H, H),
                attend="before",
                cell=lambda i, h: rnn.LSTMCell(i, h, proj_size=2),
            ),
            ValueError,
            "asks with the cell's first state, which is 2 wide, hidden is 6; take another",
        ),
        (lambda m: m.decoder.start(), ValueError, "or a batch size"),
        (lambda m: m.decoder.start(batch=2), ValueError, "attention needs the outputs"),
        (lambda m: m.decoder.start([]), ValueError, "0 states for 1 layers"),
        (lambda m: m.decoder.start([engine.zeros((2, 5))]), ValueError, "expected states h"),
        (
            lambda m: m.advance([1], m.encoded(X)),
            ValueError,
            "Decoder.advance: 1 rows of indices for states of 3 rows; give an index for each",
        ),
        (lambda m: m.advance([1] * 4, m.encoded(X)), ValueError, "4 rows of indices for states"),
        (lambda m: m.decoder(Y[:, :1], m.encoded(X)), ValueError, "Decoder: 1 rows of indices for"),
        (
            lambda m: m.advance([1] * 3, m.encoded(X)._replace(cells=[])),
            ValueError,
            "Decoder.advance: 0 states for 1 layers",
        ),
        (
            lambda m: m.decoder(Y[:0], m.encoded(X), ratio=0.5),
            ValueError,
            r"Decoder: ratio = 0.5 needs a first step .* inputs are \(0, 3\); expected \(U, B\)",
        ),
        (
            lambda m: Seq2Seq(Encoder(V, E, 5), m.decoder, start=1, end=1),
            ValueError,
            "attention is over outputs of 6, the encoder's are of 5",
        ),
        (
            lambda m: Seq2Seq(m.encoder, m.decoder, start=9, end=1),
            ValueError,
            "start in 0 to 8, got 9",
        ),
        (
            lambda m: Seq2Seq(m.encoder, m.decoder, start=1, end=-1),
            ValueError,
            "end in 0 to 8, got -1",
        ),
        (
            lambda m: Seq2Seq(m.encoder, m.decoder, start=1, end=1, pad=9),
            ValueError,
            "pad in 0 to 8, got 9",
        ),
        (lambda m: Captioner(3, m.decoder, start=1, end=1), ValueError, "one vector is nothing"),
        (lambda m: Bridge(3, m.decoder.cells)(engine.zeros((2, 4))), ValueError, "F = 3, got"),
        (
            lambda m: rnn.models.seq2seq.Writer(m.decoder, 1, 1, None).decode(limit=1),
            NotImplementedError,
            "Writer has no begin",
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(made("dot"))


def test_the_ratio_falls_as_bengio_has_it():
    ratio = rnn.models.forcing_ratio
    for step in (0, 1, 7, 1000, 30_000):
        assert ratio(step, "linear", 50) == max(0, 1 - step / 50)
        assert ratio(step, "exponential", 0.9) == 0.9**step
        exact = 50 / (50 + np.exp(np.longdouble(step) / 50))
        assert ratio(step, "inverse sigmoid", 50) == pytest.approx(float(exact), abs=1e-12)
        assert ratio(step, "inverse sigmoid", 1, least=0.3) >= 0.3
    for step, decay, k, told in (
        (0, "cosine", 1, "unknown decay 'cosine'; there are linear, exponential, inverse sigmoid"),
        (0, "exponential", 1.5, "0 < k < 1.0, got step = 0, k = 1.5"),
        (0, "inverse sigmoid", 0.5, "1 <= k < inf, got step = 0, k = 0.5"),
        (-1, "linear", 5, "expected step >= 0"),
    ):
        with pytest.raises(ValueError, match=f"forcing_ratio: .*{told}"):
            ratio(step, decay, k)
    with pytest.raises(ValueError, match="least must lie in"):
        ratio(0, "linear", 5, least=2)
