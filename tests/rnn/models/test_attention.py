"""Compare attention with its equations; test masks and derivatives."""

import numpy as np
import pytest

import engine
from rnn.models import Attention, Memory
from tests.draws import first, normal, normal_leaf

T, B, U, Q, M = 5, 3, 4, 6, 4
LENGTHS = [5, 1, 3]
SCORES = ["dot", "general", "additive"]


def made(score, **options):
    memory = Q if score == "dot" else M
    attention = Attention(Q, memory, score, **options)
    for name, x in attention.named_parameters():
        setattr(attention, name, normal_leaf(*x.shape))
    return attention, normal_leaf(T, B, memory, salt=5)


def by_hand(attention, q, outputs, lengths):
    """Compute contexts (B, M) and weights (B, T), one row and one position at a time."""
    p = {name: x.numpy() for name, x in attention.named_parameters()}
    scores = {
        "dot": lambda q, m: q @ m,
        "general": lambda q, m: q @ p["weight"] @ m,
        "additive": lambda q, m: p["v"] @ np.tanh(p["weight_query"] @ q + p["weight_memory"] @ m),
    }[attention.score]
    weights, contexts = np.zeros((B, T)), np.zeros((B, outputs.shape[2]))
    for b, n in enumerate(lengths):
        e = np.exp([scores(q[b], outputs[t, b]) for t in range(n)])
        weights[b, :n] = e / e.sum()
        contexts[b] = sum(weights[b, t] * outputs[t, b] for t in range(n))
    return contexts, weights


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_attention_is_its_equations(score, lengths):
    attention, outputs = made(score)
    q = engine.asarray(normal(B, Q))
    context, weights = attention(q, attention.prepare(outputs, lengths))
    expected = by_hand(attention, q.numpy(), outputs.numpy(), lengths or [T] * B)
    np.testing.assert_allclose(context.numpy(), expected[0], rtol=1e-12)
    np.testing.assert_allclose(weights.numpy(), expected[1], rtol=1e-12)
    assert (weights.numpy() == 0).sum() == (0 if lengths is None else 6)  # exactly


@pytest.mark.parametrize("score", SCORES)
def test_many_queries_at_once_are_as_each_alone(score):
    attention, outputs = made(score)
    memory = attention.prepare(outputs, LENGTHS)
    q = engine.asarray(normal(U, B, Q))
    contexts, weights = attention(q, memory)
    assert contexts.shape == (U, B, attention.memory)
    assert weights.shape == (U, B, T)
    for u in range(U):
        context, w = attention(q[u], memory)
        np.testing.assert_allclose(contexts[u].numpy(), context.numpy(), rtol=1e-12)
        np.testing.assert_allclose(weights[u].numpy(), w.numpy(), rtol=1e-12)


@pytest.mark.parametrize("score", SCORES)
def test_gradients_are_right(score):
    attention, outputs = made(score)
    names = list(dict(attention.named_parameters()))

    def loss(q, outputs, *parameters):
        for name, x in zip(names, parameters, strict=True):
            setattr(attention, name, x)
        context, weights = attention(q, attention.prepare(outputs, LENGTHS))
        return engine.sum(context**2) + engine.sum(weights**2)

    given = [normal_leaf(B, Q), outputs, *attention.parameters()]
    engine.gradcheck(loss, given)


@pytest.mark.parametrize("score", SCORES)
def test_padding_changes_nothing_and_gets_no_gradient(score):
    attention, outputs = made(score)
    q = engine.asarray(normal(B, Q))
    context, _ = attention(q, attention.prepare(outputs, LENGTHS))
    within = np.arange(T)[:, None, None] < np.array(LENGTHS)[:, None]
    other = engine.asarray(np.where(within, outputs.numpy(), 1e6))
    again, _ = attention(q, attention.prepare(other, LENGTHS))
    np.testing.assert_array_equal(again.numpy(), context.numpy())
    (g,) = engine.gradients([engine.sum(context)], [outputs])
    assert not g.numpy()[~np.broadcast_to(within, g.shape)].any()


@pytest.mark.parametrize("score", first(1, SCORES[::-1]))
def test_attention_in_a_recurrence_has_the_same_gradients_explicit_and_compiled(score):
    # Keys and values of one source are both read by the step.
    attention, outputs = made(score)
    xs = engine.asarray(normal(U, B, Q))

    def loss():
        memory = attention.prepare(outputs, LENGTHS)

        def step(h, x):
            context, weights = attention(engine.tanh(h + x), memory)
            h = h + engine.sum(context, axis=-1, keepdims=True) * 0.1
            return h, weights

        final, weights = engine.scan(step, engine.zeros((B, Q), dtype=engine.float64), xs)
        return engine.sum(final**2) + engine.sum(weights**3)

    wanted = [outputs, *attention.parameters()]
    for _ in range(2):  # the second time the compiled step is found again
        fused = loss()
        found = engine.gradients([fused], wanted)
        with engine.explicit():
            expected = engine.gradients([loss()], wanted)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-12)


def test_sizes_and_parameters():
    assert list(Attention(6, 6, "dot").named_parameters()) == []
    assert Attention(6, 4).weight.shape == (6, 4)
    additive = Attention(6, 4, "additive", size=7)
    assert {n: x.shape for n, x in additive.named_parameters()} == {
        "weight_query": (7, 6),
        "weight_memory": (7, 4),
        "v": (7,),
    }
    assert Attention(6, 4, "additive").v.shape == (6,)


def test_memory_has_the_rows_first():
    attention, outputs = made("general")
    memory = attention.prepare(outputs, LENGTHS)
    assert isinstance(memory, Memory)
    assert memory.keys.shape == (B, T, Q)
    assert memory.values.shape == (B, T, M)
    assert memory.mask.numpy().sum(axis=1).tolist() == LENGTHS


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda a: Attention(6, 4, "dot"),
            "dot needs queries and outputs of one size, got 6 and 4",
        ),
        (lambda a: Attention(6, 4, "cosine"), "unknown score 'cosine'; there are dot, general"),
        (lambda a: Attention(0, 4), "query=0"),
        (lambda a: Attention(6, 4, "additive", size=0), "size=0"),
        (lambda a: a.prepare(engine.zeros((5, 3, 6))), r"\(T, B, M\) with M = 4, got \(5, 3, 6\)"),
        (lambda a: a.prepare(engine.zeros((5, 3, 4)), [1, 2]), "2 lengths for a batch of 3"),
        (lambda a: a.prepare(engine.zeros((5, 3, 4)), [1, 0, 2]), "lie in 1 to T = 5, got 0 to 2"),
        (
            lambda a: a(engine.zeros((2, 6)), a.prepare(engine.zeros((5, 3, 4)))),
            r"B = 3 and Q = 6, got \(2, 6\)",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call(Attention(6, 4))


def test_a_size_that_no_score_has_is_refused():
    with pytest.raises(ValueError, match="size is that of 'additive'"):
        Attention(5, 4, "general", size=3)
