"""Compare conditional random fields with an enumeration of all tag sequences."""

import itertools
import math

import numpy as np
import pytest

import engine
from rnn.models import CRF
from tests.draws import first, normal, normal_leaf

T, B, K = 5, 3, 3
LENGTHS = [5, 1, 3]
BIO = ["O", "B-X", "I-X", "B-Y", "I-Y"]
IOBES = ["O", "B-X", "I-X", "E-X", "S-X", "S-Y"]


def crf(tags=K, **options):
    """Return a CRF in float64 with scores far from zero."""
    made = CRF(tags, **options)
    n = made.tags
    made.transitions = normal_leaf(n, n, salt=1)
    made.start, made.stop = normal_leaf(n, salt=2), normal_leaf(n, salt=3)
    return made


def path_score(model, e, path):
    a, start, stop = (x.numpy() for x in (model.transitions, model.start, model.stop))
    total = start[path[0]] + stop[path[-1]] + sum(e[t, k] for t, k in enumerate(path))
    return total + sum(a[i, j] for i, j in itertools.pairwise(path))


def allowed(names, path):
    """Return whether tags are spans in BIO or IOBES, read from left to right."""
    inside = None
    for name in (names[k] for k in path):
        letter, _, kind = name.partition("-")
        if letter in ("I", "E") and inside != kind:
            return False
        if letter in ("B", "S", "O") and inside is not None and "E-X" in names:
            return False
        inside = kind if letter in "BI" else None
    return inside is None or "E-X" not in names


def every(model, e, names=None):
    """Return all paths over emissions (T, K) and their scores."""
    paths = [
        p
        for p in itertools.product(range(e.shape[1]), repeat=len(e))
        if names is None or allowed(names, p)
    ]
    return paths, np.array([path_score(model, e, p) for p in paths])


def log_sum(scores):
    return scores.max() + math.log(np.exp(scores - scores.max()).sum())


def test_the_partition_is_the_sum_over_all_sequences():
    model, e = crf(), normal(T, B, K)
    found = model.log_partition(engine.asarray(e), LENGTHS).numpy()
    expected = [log_sum(every(model, e[:n, b])[1]) for b, n in enumerate(LENGTHS)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    whole = model.log_partition(engine.asarray(e)).numpy()
    np.testing.assert_allclose(whole[0], expected[0], rtol=1e-12)


def test_the_likelihood_of_all_sequences_sums_to_one():
    model, e = crf(), normal(T, 1, K)
    paths, _ = every(model, e[:, 0])
    tags = np.array(paths).T
    many = np.repeat(e, len(paths), axis=1)
    found = model.log_likelihood(engine.asarray(many), tags).numpy()
    assert np.exp(found).sum() == pytest.approx(1, rel=1e-12)


def test_scores_are_those_of_the_paths_within_their_lengths():
    model, e = crf(), normal(T, B, K)
    tags = np.random.default_rng(0).integers(0, K, (T, B))
    expected = [path_score(model, e[:n, b], tags[:n, b]) for b, n in enumerate(LENGTHS)]
    padded = np.where(np.arange(T)[:, None] < np.array(LENGTHS), tags, -7)
    found = model.score(engine.asarray(e), padded, LENGTHS).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("names", [None, BIO, IOBES])
def test_viterbi_finds_the_best_of_all(names):
    model = crf() if names is None else crf(names, scheme="IOBES" if "E-X" in names else "BIO")
    for salt in range(4):
        e = normal(T, B, model.tags, salt=salt)
        tags, scores = model.viterbi(engine.asarray(e), LENGTHS)
        for b, n in enumerate(LENGTHS):
            paths, all_ = every(model, e[:n, b], names)
            assert tuple(tags.numpy()[:n, b].tolist()) == paths[int(all_.argmax())]
            assert scores.numpy()[b] == pytest.approx(all_.max(), rel=1e-12)
            assert not tags.numpy()[n:, b].any()


@pytest.mark.parametrize("names", first(1, [IOBES, BIO, None]))
def test_marginals_are_the_gradient_of_the_partition_and_those_of_all_sequences(names):
    model = crf() if names is None else crf(names, scheme="IOBES" if "E-X" in names else "BIO")
    e = normal_leaf(T, B, model.tags)
    found = model.marginals(e, LENGTHS).numpy()
    total = engine.sum(model.log_partition(e, LENGTHS))
    np.testing.assert_allclose(engine.gradients([total], [e])[0].numpy(), found, atol=1e-12)
    for b, n in enumerate(LENGTHS):
        paths, scores = every(model, e.numpy()[:n, b], names)
        p = np.exp(scores - log_sum(scores))
        for t, k in itertools.product(range(n), range(model.tags)):
            expected = sum(one for one, path in zip(p, paths, strict=True) if path[t] == k)
            assert found[t, b, k] == pytest.approx(expected, abs=1e-12)
        assert not found[n:, b].any()


def test_gradients_of_the_likelihood_are_right():
    model, e = crf(), normal_leaf(T, B, K)
    tags = np.random.default_rng(0).integers(0, K, (T, B))

    def loss(e, transitions, start, stop):
        model.transitions, model.start, model.stop = transitions, start, stop
        return engine.sum(model.log_likelihood(e, tags, LENGTHS))

    engine.gradcheck(loss, [e, model.transitions, model.start, model.stop])


def test_explicit_and_compiled_are_the_same():
    model, e = crf(), normal_leaf(T, B, K)
    fused = model.log_partition(e, LENGTHS)
    with engine.explicit():
        explicit = model.log_partition(e, LENGTHS)
    np.testing.assert_allclose(fused.numpy(), explicit.numpy(), rtol=1e-14)
    wanted = [e, model.transitions]
    for a, b in zip(
        engine.gradients([engine.sum(fused)], wanted),
        engine.gradients([engine.sum(explicit)], wanted),
        strict=True,
    ):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12)


def test_constraints_leave_only_sequences_of_spans():
    model = crf(BIO, scheme="BIO")
    e = normal(4, 1, 5)
    paths, scores = every(model, e[:, 0], BIO)
    assert 0 < len(paths) < 5**4
    assert model.log_partition(engine.asarray(e)).item() == pytest.approx(log_sum(scores))
    gradient = engine.gradients(
        [model.log_partition(engine.asarray(e))[0]], [model.transitions, model.start]
    )
    assert gradient[0].numpy()[0, 2] == 0  # O -> I-X
    assert gradient[1].numpy()[2] == 0
    # However loudly the emissions ask for it, what is no span does not come.
    loud = np.zeros((4, 1, 5))
    loud[:, :, 2] = 50
    assert allowed(BIO, model.viterbi(engine.asarray(loud))[0].numpy()[:, 0])


@pytest.mark.parametrize("names", [BIO, IOBES])
def test_constraints_are_those_of_the_scheme(names):
    model = CRF(names, scheme="IOBES" if "E-X" in names else "BIO")
    e = engine.zeros((3, 1, len(names)))
    for path in itertools.product(range(len(names)), repeat=3):
        tags = np.array(path)[:, None]
        if allowed(names, path):
            model.score(e, tags)
        else:
            with pytest.raises(ValueError, match="is no sequence of spans"):
                model.score(e, tags)


def test_long_sequences_of_large_scores_are_stable():
    model = CRF(4)
    e = engine.asarray((normal(2000, 2, 4) * 100).astype("float32"), requires_grad=True)
    total = model.log_partition(e, [2000, 1500])
    assert np.isfinite(total.numpy()).all()
    best = model.viterbi(e, [2000, 1500])[1].numpy()
    assert (total.numpy() >= best * (1 - 1e-5)).all()
    engine.sum(total).backward()
    sums = e.grad.numpy().sum(axis=2)
    np.testing.assert_allclose(sums[:1500], 1, atol=1e-5)
    np.testing.assert_allclose(sums[1500:, 1], 0)
    np.testing.assert_allclose(model.marginals(e, [2000, 1500]).numpy(), e.grad.numpy(), atol=1e-5)
    likely = model.log_likelihood(e, model.viterbi(e)[0])
    assert likely.dtype == np.float32
    assert (likely.numpy() <= 0).all()
    assert (likely.numpy() > -300).all()  # of 200,000: the digits are kept


def test_a_single_step_and_a_single_tag():
    model = crf()
    e = normal(1, 2, K)
    expected = [log_sum(every(model, e[:, b])[1]) for b in range(2)]
    np.testing.assert_allclose(model.log_partition(engine.asarray(e)).numpy(), expected)
    one = CRF(1)
    e = engine.zeros((3, 2, 1))
    found = one.log_likelihood(e, np.zeros((3, 2), dtype=int))
    np.testing.assert_allclose(found.numpy(), 0, atol=1e-6)
    assert one.marginals(e).numpy().tolist() == [[[1.0], [1.0]]] * 3


def test_ties_of_viterbi_take_the_smaller_tag_from_the_end():
    model = CRF(3)
    for name in ("transitions", "start", "stop"):
        setattr(model, name, engine.zeros_like(getattr(model, name)))
    assert not model.viterbi(engine.zeros((4, 2, 3)))[0].numpy().any()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.log_partition(engine.zeros((2, 3))), ValueError, r"emissions \(T, B, K\)"),
        (lambda m: m.log_partition(engine.zeros((2, 1, 4))), ValueError, "K = 3"),
        (lambda m: m.log_partition(engine.zeros((0, 1, 3))), ValueError, "emissions"),
        (lambda m: m.viterbi(engine.zeros((2, 1, 3)), [0]), ValueError, "lie in 1 to T = 2"),
        (lambda m: m.viterbi(engine.zeros((2, 1, 3)), [3]), ValueError, "got 3 to 3"),
        (
            lambda m: m.marginals(engine.zeros((2, 1, 3)), [1, 1]),
            ValueError,
            "2 lengths for a batch of 1",
        ),
        (
            lambda m: m.score(engine.zeros((2, 1, 3)), [[0]]),
            ValueError,
            r"expected tags \(T, B\) = \(2, 1\), got \(1, 1\)",
        ),
        (lambda m: m.score(engine.zeros((2, 1, 3)), [[0], [3]]), IndexError, "tag 3 of 3"),
        (lambda m: m.score(engine.zeros((2, 1, 3)), [[0], [-1]]), IndexError, "tag -1 of 3"),
        (lambda m: m.score(engine.zeros((1, 1, 3)), [[0.0]]), TypeError, "tags as integers"),
        (lambda m: m.score(engine.zeros((1, 1, 3)), [0]), ValueError, "expected tags"),
        (lambda m: CRF(0), ValueError, "tags=0"),
        (lambda m: CRF(2.5), ValueError, "expected positive integers, got tags=2.5"),
        (lambda m: CRF("BIO"), ValueError, "expected positive integers, got tags='BIO'"),
        (lambda m: CRF([]), ValueError, "tags=0"),
        (lambda m: CRF(["O", "O"], scheme="BIO"), ValueError, "tag 'O' is there twice; give each"),
        (lambda m: CRF(3, scheme="BIO"), ValueError, "goes with the names"),
        (lambda m: CRF(["O"], scheme="IOB1"), ValueError, "unknown scheme 'IOB1'; there are BIO"),
        (lambda m: CRF(["O", "E-X"], scheme="BIO"), ValueError, "'E-X' is no tag of BIO"),
        (lambda m: CRF(["O", "B-"], scheme="BIO"), ValueError, "'B-' is no tag of BIO"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(CRF(3))


def test_tags_are_any_integer_or_any_names():
    for tags in (np.int64(3), ("O", "B-X", "I-X"), iter(["O", "B-X", "I-X"])):
        model = CRF(tags)
        assert type(model.tags) is int
        assert model.transitions.shape == (3, 3)


def test_an_error_says_where_the_tags_are_no_spans():
    model = CRF(BIO, scheme="BIO")
    with pytest.raises(ValueError, match="I-Y after B-X in row 1 at t = 2 is no sequence of spans"):
        model.score(engine.zeros((3, 2, 5)), [[0, 0], [1, 1], [2, 4]])
    with pytest.raises(ValueError, match="I-X after the start in row 0 at t = 0"):
        model.score(engine.zeros((1, 1, 5)), [[2]])
    closed = CRF(IOBES, scheme="IOBES")
    with pytest.raises(ValueError, match="the end after B-X in row 0 at t = 1"):
        closed.score(engine.zeros((1, 1, 6)), [[1]])


def test_no_tags_are_best_of_nan():
    with pytest.raises(ValueError, match="no tags are best"):
        CRF(3).viterbi(np.full((4, 1, 3), np.nan))
