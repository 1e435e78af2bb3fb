"""Decode: sampling, greedy search, streams, beams and CTC, against enumeration by hand."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

import engine
from rnn.decoding import (
    Stream,
    beam_search,
    ctc_beam_search,
    ctc_decode,
    decode,
    generate,
    length_penalty,
    nucleus,
    sample,
    sample_rows,
    top_k,
)
from tests.draws import normal

NEVER = -math.inf

# ---- what is left to draw from


def logs(*odds):
    with np.errstate(divide="ignore"):
        return engine.asarray(np.log(np.asarray(odds, dtype=np.float64)))


def kept(logits):
    return np.isfinite(logits.numpy()).tolist()


def test_draws_without_a_key_differ_and_follow_from_the_seed():
    logits = engine.log(engine.asarray([0.5, 0.25, 0.15, 0.1]))

    def drawn():
        engine.seed(3)
        ones = [sample(logits) for _ in range(400)]
        row = engine.expand_dims(logits, axis=0)
        streams = [Stream(lambda i, state: (row, state)).feed([0]) for _ in range(2)]
        texts = [[int(one.draw()[0]) for _ in range(20)] for one in streams]
        texts += [list(itertools.islice(generate(lambda i, state: (logits, state), [0]), 20))
                  for _ in range(2)]  # fmt: skip
        return ones, texts

    ones, texts = drawn()
    np.testing.assert_allclose(np.bincount(ones) / 400, [0.5, 0.25, 0.15, 0.1], atol=0.08)
    assert len({tuple(text) for text in texts}) == 4
    assert drawn() == (ones, texts)
    assert len({sample(logits, key=(1,)) for _ in range(20)}) == 1


def test_top_k_keeps_the_largest_and_of_equals_the_first():
    assert kept(top_k(logs(0.1, 0.4, 0.3, 0.2), 2)) == [False, True, True, False]
    assert kept(top_k(logs(0.25, 0.25, 0.25, 0.25), 3)) == [True, True, True, False]
    assert kept(top_k(logs(0.5, 0.5), 7)) == [True, True]
    rows = engine.asarray([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    assert kept(top_k(rows, 1)) == [[False, False, True], [True, False, False]]
    assert top_k(rows, 1).numpy()[0, 2] == 3


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (0.01, [False, True, False, False]),
        (0.5, [False, True, False, False]),
        (0.51, [False, True, True, False]),
        (0.75, [False, True, True, False]),
        (0.8, [True, True, True, False]),
        (0.99, [True, True, True, True]),
        (1.0, [True, True, True, True]),
    ],
)
def test_the_nucleus_is_the_smallest_set_of_that_probability(p, expected):
    assert kept(nucleus(logs(0.125, 0.5, 0.25, 0.125), p)) == expected


def test_probabilities_are_compared_to_within_rounding():
    # Five sixths are five of six equals, though the floats of five sixths are more than that.
    for n in range(2, 40):
        for k in range(1, n):
            assert kept(nucleus(engine.zeros(n), k / n)) == [True] * k + [False] * (n - k)
    assert kept(nucleus(engine.zeros(6), 5 / 6 + 1e-8)) == [True] * 6


def test_the_nucleus_works_on_rows_and_leaves_the_impossible_out():
    rows = engine.stack([logs(0.9, 0.1, 0.0), logs(0.0, 0.5, 0.5)])
    assert kept(nucleus(rows, 0.6)) == [[True, False, False], [False, True, True]]
    assert kept(nucleus(rows, 1.0)) == [[True, True, False], [False, True, True]]


@pytest.mark.parametrize("p", [1e-9, 1e-12, 5e-324])
def test_the_most_probable_stays_however_small_the_nucleus_is(p):
    assert kept(nucleus([0.0, 9.0, 1.0], p)) == [False, True, False]
    assert kept(nucleus([2.0, 2.0], p)) == [True, False]
    assert sample([0.0, 9.0, 1.0], top_p=p) == 1


@pytest.mark.parametrize(
    "p", [np.float32(0.5), np.float64(0.5), Fraction(1, 2), engine.asarray(0.5)]
)
def test_settings_are_real_numbers_of_any_kind(p):
    assert kept(nucleus(logs(0.2, 0.5, 0.3), p)) == [False, True, False]
    assert sample(logs(0.2, 0.5, 0.3), p, top_p=p) == 1
    found = beam_search(Table(4), [0], end=0, limit=3, alpha=p)
    assert found == beam_search(Table(4), [0], end=0, limit=3, alpha=0.5)


@pytest.mark.parametrize("k", [0, -1, 1.5, True])
def test_top_k_refuses(k):
    with pytest.raises(ValueError, match="top_k: expected a positive integer"):
        top_k(logs(0.5, 0.5), k)


@pytest.mark.parametrize("p", [0, -0.1, 1.1, math.nan, True, "a", np.array([0.5, 0.6]), None])
def test_nucleus_refuses(p):
    with pytest.raises(ValueError, match=r"nucleus: p must lie in \(0, 1\]"):
        nucleus(logs(0.5, 0.5), p)
    with pytest.raises(ValueError, match=r"nucleus: expected logits \(..., V\), got \(\)"):
        nucleus(engine.asarray(1.0), 0.5)


# ---- sampling


def test_sampling_has_the_frequencies_of_the_distribution():
    odds = np.array([0.5, 0.0, 0.3, 0.2])
    rows = engine.broadcast_to(logs(*odds), (20_000, 4))
    counts = np.bincount(sample_rows(rows, key=("a",)), minlength=4) / 20_000
    assert counts[1] == 0
    assert np.abs(counts - odds).max() < 0.015
    cold = np.bincount(sample_rows(rows, 0.5), minlength=4) / 20_000
    assert np.abs(cold - odds**2 / (odds**2).sum()).max() < 0.015
    few = np.bincount(sample_rows(rows, top_k=2), minlength=4) / 20_000
    assert np.abs(few - [0.625, 0, 0.375, 0]).max() < 0.015
    core = np.bincount(sample_rows(rows, top_p=0.5), minlength=4)
    assert core.tolist() == [20_000, 0, 0, 0]
    # Top-k first, then the nucleus of what it left: 0.625 alone reaches 0.6.
    both = np.bincount(sample_rows(rows, top_k=2, top_p=0.6), minlength=4)
    assert both.tolist() == [20_000, 0, 0, 0]


def test_a_draw_follows_from_seed_and_key_and_not_from_the_other_rows():
    rows = engine.asarray(normal(6, 50))
    engine.seed(3)
    first = sample_rows(rows, key=("k", 1))
    assert sample_rows(rows[:2], key=("k", 1)).tolist() == first[:2].tolist()
    assert sample(rows[0], key=("k", 1)) == first[0]
    assert sample_rows(rows, key=("k", 2)).tolist() != first.tolist()
    engine.seed(4)
    assert sample_rows(rows, key=("k", 1)).tolist() != first.tolist()


@pytest.mark.parametrize("mark", [0.0, 0.5, math.nextafter(1.0, 0.0)])
def test_a_draw_at_the_very_end_is_of_an_index_that_is_possible(mark, monkeypatch):
    # Rows with sums that round to more and to less than 1, and nothing at their ends.

    class Marks:
        def random(self, count):
            return np.full(count, mark)

    monkeypatch.setattr("engine.random.generator", lambda *key: Marks())
    sums = []
    for possible in range(1, 60):
        for scale in (0.0, 1.0, 30.0):
            row = np.full(possible + 2, NEVER)
            row[1:-1] = normal(possible, salt=possible).astype(float) * scale
            odds = engine.softmax(engine.asarray(row), axis=-1).numpy()
            sums.append(odds.cumsum()[-1])
            found = sample_rows(row[None])[0]
            assert odds[found] > 0
            # Within the step of the index, for any sum: exactly, by fractions.
            steps = list(itertools.accumulate(map(Fraction, odds.tolist())))
            near = Fraction(mark) * steps[-1]
            assert steps[found] - Fraction(odds[found]) - near <= Fraction(1, 10**14)
            assert near - steps[found] <= Fraction(1, 10**14)
    assert min(sums) < 1 < max(sums)


def counts(logits, *settings, **options):
    rows = engine.broadcast_to(engine.asarray(logits), (3000, len(logits)))
    return np.bincount(sample_rows(rows, *settings, **options), minlength=len(logits))


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({}, [1, 2, 4]),
        ({"top_k": 2}, [1, 2]),
        ({"top_k": 4}, [1, 2, 4]),
        ({"top_p": 0.6}, [1, 2]),  # of equals the first
        ({"top_p": 1.0}, [1, 2, 4]),
        ({"top_k": 2, "top_p": 0.4}, [1]),
    ],
)
def test_an_endless_temperature_is_uniform_over_what_is_possible(options, left):
    found = counts(np.array([NEVER, 4.0, 5.0, NEVER, -1e308]), math.inf, **options)
    assert np.flatnonzero(found).tolist() == left
    assert np.abs(found[left] - 3000 / len(left)).max() < 120


def test_extreme_temperatures_and_logits_do_not_overflow():
    assert sample([0.0, 1e5, 2e5], 1e-305) == 2
    assert sample([0.0, 9.0, 12.0], 1e-310) == 2
    assert sample([0.0, 9.0, 12.0], 5e-324, top_k=2, top_p=0.9) == 2
    assert sample(np.array([-1e308, 3.0, NEVER]), 1e-300) == 1
    assert counts(np.array([-1e308, 3.0, NEVER]), 0.5).tolist() == [0, 3000, 0]
    assert (counts(np.array([-1e5, 1e5, NEVER]), 1e308)[:2] > 1300).all()
    assert counts([7.0, 7.0, 6.0], 1e-310)[2] == 0
    assert (counts([7.0, 7.0, 6.0], 1e-310)[:2] > 1300).all()


@pytest.mark.parametrize("temperature", [0, 1e-310, 1.0, math.inf])
@pytest.mark.parametrize(
    ("logits", "message"),
    [
        ([0.0, math.inf, 1.0], "the logits have inf; has the training diverged"),
        ([0.0, math.nan, math.inf], "the logits have NaN; has the training diverged"),
        ([NEVER, NEVER], "all logits of a row are -inf; leave at least one"),
    ],
)
def test_nothing_is_drawn_from_what_is_no_distribution(temperature, logits, message):
    for options in ({}, {"top_k": 1}, {"top_p": 0.5}):
        with pytest.raises(ValueError, match=f"sample: {message}"):
            sample(logits, temperature, **options)
    good = np.zeros(len(logits))
    with pytest.raises(ValueError, match=f"sample: {message}"):
        sample_rows(np.stack([good, logits]), temperature)
    with pytest.raises(ValueError, match=f"nucleus: {message}"):
        nucleus(logits, 0.5)
    table = engine.asarray(np.stack([good, logits]))
    with pytest.raises(ValueError, match=f"beam_search: {message}"):
        beam_search(lambda i, state: (table, state), [0, 1], end=0, limit=3)


def test_lists_are_logits_too():
    assert sample([1, 7, 2], 0) == 1
    assert sample_rows([[1.0, 900.0], [900.0, 1.0]]).tolist() == [1, 0]
    assert sample_rows(np.zeros((0, 3))).tolist() == []


def test_sampling_refuses():
    for wrong in (None, math.nan, "1", True):
        with pytest.raises(ValueError, match=f"temperature must be at least 0, got {wrong!r}"):
            sample(logs(0.5, 0.5), wrong)
    for shape in ((0,), ()):
        with pytest.raises(ValueError, match=r"sample: expected logits \(..., V\), got \("):
            sample(engine.zeros(shape))
    with pytest.raises(ValueError, match=r"sample: expected logits \(V,\), got \(1, 2\)"):
        sample([[1.0, 2.0]])
    with pytest.raises(ValueError, match=r"sample_rows: expected logits \(..., V\), got \(2, 0\)"):
        sample_rows(np.zeros((2, 0)))
    with pytest.raises(ValueError, match="temperature must be at least 0, got -1"):
        sample(logs(0.5, 0.5), -1)
    with pytest.raises(ValueError, match="has the training diverged"):
        sample(engine.asarray([0.0, math.nan]))
    with pytest.raises(ValueError, match=r"expected logits \(B, V\), got \(2,\)"):
        sample_rows(logs(0.5, 0.5))


def test_generate_carries_the_state_and_takes_the_settings():
    def advance(index, state):
        state = (state or ()) + (index,)
        return engine.asarray(np.eye(5)[(index + 1) % 5] * 9), state

    assert list(itertools.islice(generate(advance, [3], temperature=0), 4)) == [4, 0, 1, 2]
    assert list(itertools.islice(generate(advance, [3], top_k=1), 4)) == [4, 0, 1, 2]
    assert list(itertools.islice(generate(advance, [3], top_p=0.5), 4)) == [4, 0, 1, 2]
    with pytest.raises(ValueError, match="the prompt needs at least one index"):
        next(generate(advance, []))


# ---- a model by a table: the logits depend on the last two indices


class Table:
    """Tabulate log probabilities by the two indices before; the state carries the older one."""

    def __init__(self, V, number=0, scale=1.5):
        self.logits = engine.log_softmax(
            engine.asarray(normal(V, V, V, salt=number) * scale), axis=-1
        )
        self.steps = 0

    def __call__(self, indices, state):
        self.steps += 1
        given = engine.asarray(indices)
        before = engine.zeros(given.shape, dtype=engine.int64) if state is None else state["last"]
        flat = self.logits.reshape((-1, self.logits.shape[-1]))
        logits = engine.take(flat, before * self.logits.shape[0] + given, axis=0)
        return logits, {"last": given, "other": (None, engine.astype(given, engine.float32))}

    def log_p(self, start, indices):
        a, b, total = 0, start, 0.0
        for i in indices:
            total += float(self.logits.numpy()[a, b, i])
            a, b = b, i
        return total


def every(table, start, end, limit, alpha=0.0):
    """Return all sequences, whole or cut at the limit, with their scores, best first."""
    V = table.logits.shape[0]
    others = [i for i in range(V) if i != end]
    found = []
    for n in range(limit + 1):
        for one in itertools.product(others, repeat=n):
            if n < limit:
                p = table.log_p(start, [*one, end])
                found.append((p / ((5 + n + 1) / 6) ** alpha, list(one), p, True))
            else:
                p = table.log_p(start, one)
                found.append((p / ((5 + n) / 6) ** alpha, list(one), p, False))
    return sorted(found, key=lambda x: (-x[0], x[1]))


def test_greedy_search_takes_the_best_at_every_step():
    table = Table(5)
    expected = []
    for start in (1, 2, 3):
        a, b, row = 0, start, []
        for _ in range(6):
            a, b = b, int(table.logits.numpy()[a, b].argmax())
            if b == 0:
                break
            row.append(b)
        expected.append(row)
    assert decode(table, [1, 2, 3], end=0, limit=6) == expected


def test_decode_samples_and_stops_when_all_rows_are_over():
    table = Table(4)
    engine.seed(1)
    drawn = decode(table, [1] * 50, end=0, limit=400, temperature=1.0, key=("x",))
    assert all(0 not in row for row in drawn)
    assert max(map(len, drawn)) + 1 == table.steps < 400
    assert decode(table, [1] * 7, end=0, limit=400, temperature=1.0, key=("x",)) == drawn[:7]


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 2.0])
@pytest.mark.parametrize("end", [0, 3])
def test_a_wide_beam_is_exact(alpha, end):
    table = Table(4, 7)
    starts = np.array([0, 1, 2])
    found = beam_search(table, starts, end=end, limit=4, width=81, alpha=alpha, n_best=9)
    for start, row in zip(starts, found, strict=True):
        best = every(table, start, end, 4, alpha)[:9]
        assert [one.indices for one in row] == [b[1] for b in best]
        assert [one.ended for one in row] == [b[3] for b in best]
        np.testing.assert_allclose([one.score for one in row], [b[0] for b in best], rtol=1e-5)
        np.testing.assert_allclose(
            [one.log_probability for one in row], [b[2] for b in best], rtol=1e-5
        )


def test_a_batch_is_searched_as_each_row_alone():
    table = Table(6, 3)
    starts = [0, 1, 2, 3, 4, 5]
    together = beam_search(table, starts, end=2, limit=7, width=3, alpha=0.7, n_best=2)
    alone = [
        beam_search(table, [s], end=2, limit=7, width=3, alpha=0.7, n_best=2)[0] for s in starts
    ]
    assert [[one.indices for one in row] for row in together] == [
        [one.indices for one in row] for row in alone
    ]
    wide = beam_search(table, starts, end=2, limit=7, width=200, alpha=0.7)
    for row, best in zip(together, wide, strict=True):
        assert row[0].score <= best[0].score + 1e-9


def test_a_beam_of_one_is_greedy_where_greedy_ends():
    table = Table(5, 11)
    greedy = decode(table, [1, 2], end=0, limit=5)
    beam = [row[0] for row in beam_search(table, [1, 2], end=0, limit=5, width=1)]
    for one, row in zip(beam, greedy, strict=True):
        assert one.indices == row[: len(one.indices)]


def test_the_length_penalty_prefers_longer_sequences():
    p = [[0.4, 0.6], [0.55, 0.45]]  # index 0 ends; 1 goes on
    flat = engine.log(engine.asarray(p))

    def advance(indices, state):
        return engine.take(flat, engine.asarray(indices), axis=0), state

    short = beam_search(advance, [0], end=0, limit=9, width=4)[0][0]
    long = beam_search(advance, [0], end=0, limit=9, width=4, alpha=3.0)[0][0]
    assert (short.indices, short.ended) == ([], True)
    assert len(long.indices) > 1
    assert length_penalty(1, 0.6) == 1
    assert length_penalty(7, 2) == 4


def test_ties_are_broken_by_the_smaller_indices():
    def advance(indices, state):
        return engine.zeros((len(indices), 3)), state

    found = beam_search(advance, [0, 0], end=2, limit=2, width=4, n_best=4)
    assert [one.indices for one in found[0]] == [[], [0], [0, 0], [0, 1]]
    assert found[0] == found[1]


def test_what_no_step_changes_is_not_copied_and_goes_with_its_row():
    # A table for each row, carried in the state; rows end at different times.
    tables = normal(3, 5, 5) * 3
    tables[:, :, 0] += np.array([0, 9, -9])[:, None]  # the second row ends first, the third last
    tables = engine.asarray(tables)
    seen = []

    def advance(indices, state):
        own, fresh = state
        seen.append(own)
        rows = engine.arange(len(indices))
        return own[rows, engine.asarray(indices)], (own, fresh + 1)

    state = (tables, engine.zeros((3, 1)))
    found = beam_search(advance, [1, 2, 3], state, end=0, limit=6, width=3)
    assert [len(own) for own in seen][:3] == [3, 6, 3]  # a row ends at each step
    assert any(a is b for a, b in itertools.pairwise(seen[2:]))
    for b, row in enumerate(found):
        one = (tables[b : b + 1], engine.zeros((1, 1)))
        assert row == beam_search(advance, [b + 1], one, end=0, limit=6, width=3)[0]


def test_a_state_that_a_step_makes_and_changes_at_times():
    # A leaf that is kept, then changed, then kept again is carried with its beam.
    table = engine.asarray(normal(6, 6, salt=8))

    def advance(indices, state):
        t, path = state
        given = engine.expand_dims(engine.asarray(indices), axis=1)
        path = path if t in (0, 3) else engine.concat([path[:, 1:], given], axis=1)
        logits = engine.take(table, engine.asarray(indices), axis=0)
        return logits + engine.astype(engine.sum(path, axis=1, keepdims=True) % 5, logits.dtype) * (
            engine.arange(6) == 2
        ), (t + 1, path)

    start = (0, engine.zeros((1, 3), dtype=engine.int64))
    found = beam_search(advance, [1], start, end=0, limit=5, width=30, n_best=20)[0]
    for one in found:
        state, total = start, 0.0
        whole = [*one.indices, 0] if one.ended else one.indices
        for i, k in zip([1, *whole], whole, strict=False):
            logits, state = advance([i], state)
            total += float(engine.log_softmax(logits, axis=-1).numpy()[0, k])
        assert one.log_probability == pytest.approx(total)


def test_a_beam_stops_when_nothing_open_can_win():
    def advance(indices, state):
        steps.append(len(indices))
        return engine.asarray(np.tile([9.0, 0.0], (len(indices), 1))), state

    steps: list[int] = []
    assert beam_search(advance, [1], end=0, limit=50, width=2)[0][0].indices == []
    assert len(steps) == 1


def test_impossible_indices_are_never_in_a_beam():
    def advance(indices, state):
        return engine.asarray(np.tile([0.0, NEVER, NEVER], (len(indices), 1))), state

    found = beam_search(advance, [1], end=2, limit=3, width=5, n_best=5)[0]
    assert [(one.indices, one.ended) for one in found] == [([0, 0, 0], False)]
    assert beam_search(advance, np.zeros(0, dtype=int), end=2, limit=3) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"limit": 0}, "limit=0"),
        ({"width": 0}, "width=0"),
        ({"n_best": 9}, "n_best = 9 of a beam of 4; widen it"),
        ({"alpha": -1}, "alpha must be a finite number of at least 0, got -1"),
        ({"alpha": math.inf}, "alpha must be"),
        ({"end": 4}, "end = 4 for 4 classes; expected 0 to 3"),
    ],
)
def test_beam_search_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        beam_search(Table(4), [0], **{"end": 0, "limit": 3, **settings})


def test_beam_search_refuses_what_a_model_should_not_return():
    with pytest.raises(ValueError, match=r"start as integers \(B,\), got int64 of shape \(1, 1\)"):
        beam_search(Table(4), [[0]], end=0, limit=3)
    with pytest.raises(ValueError, match=r"start as integers \(B,\), got float64 of shape \(2,\)"):
        beam_search(Table(4), [0.0, 1.0], end=0, limit=3)
    with pytest.raises(ValueError, match=r"advance returned logits \(3,\) for 1 rows"):
        beam_search(lambda i, s: (engine.zeros(3), s), [0], end=0, limit=3)
    with pytest.raises(ValueError, match="beam_search: the logits have NaN"):
        beam_search(lambda i, s: (engine.full((1, 3), math.nan), s), [0], end=0, limit=3)


@pytest.mark.parametrize("end", [None, 1.0, True, "a", [0]])
def test_beam_search_needs_an_end(end):
    with pytest.raises(TypeError, match=r"beam_search: end must be an integer, .* got ") as error:
        beam_search(Table(4), [0], end=end, limit=3)
    assert str(error.value).endswith(f"got {end!r}")
    assert beam_search(Table(4), [0], end=np.int32(1), limit=3) == beam_search(
        Table(4), [0], end=1, limit=3
    )


@pytest.mark.parametrize("end", [-1, 2, 5])
def test_an_end_that_is_no_index_is_refused_alike(end):
    def flat(indices, state):
        return engine.zeros((len(indices), 2)), state

    said = f"end = {end} for 2 classes"
    with pytest.raises(ValueError, match=f"beam_search: {said}"):
        beam_search(flat, [0], end=end, limit=3)
    for temperature in (0, 1.0):
        with pytest.raises(ValueError, match=f"Stream: {said}; expected 0 to 1"):
            decode(flat, [0], end=end, limit=3, temperature=temperature)
    with pytest.raises(ValueError, match=f"Stream: {said}"):
        Stream(flat, end=end).feed([0]).draw()


# ---- streams


def test_a_stream_is_fed_and_draws_in_turn():
    table = Table(5, 2)
    stream = Stream(table, temperature=0).feed(np.array([[1, 2], [3, 4]]))
    p = table.logits.numpy()
    first = stream.draw()
    assert first.tolist() == [p[1, 3].argmax(), p[2, 4].argmax()]
    second = stream.draw()
    assert second.tolist() == [p[3, first[0]].argmax(), p[4, first[1]].argmax()]
    stream.feed(engine.asarray([1, 1]))
    assert stream.draw().tolist() == [p[i, 1].argmax() for i in second]


def test_a_stream_goes_on_from_its_state_as_if_it_had_never_stopped():
    table = Table(6, 5)
    engine.seed(2)
    whole = [row.tolist() for row in itertools.islice(Stream(table, key=("s",)).feed([1]), 12)]
    engine.seed(2)
    first = Stream(table, key=("s",)).feed([1])
    start = [first.draw().tolist() for _ in range(5)]
    second = Stream(table, first.state, key=("s",))
    second.logits, second.drawn = first.logits, first.drawn
    assert start + [second.draw().tolist() for _ in range(7)] == whole


def test_rows_that_are_over_stay_over():
    table = Table(3, 1)
    drawn = np.stack(list(Stream(table, end=0, key=(1,)).feed([1] * 20)))
    for column in drawn.T:
        ends = np.flatnonzero(column == 0)
        assert len(ends) == len(column) - ends[0]
    assert (drawn[-2] != 0).any()


def test_streams_record_nothing_and_refuse():
    w = engine.ones((1, 3), requires_grad=True)
    stream = Stream(lambda i, state: (w * 2, state)).feed([0])
    assert not stream.logits.requires_grad
    with pytest.raises(ValueError, match="nothing was fed; feed the prompt"):
        Stream(Table(3)).draw()
    for wrong in ([[[1]]], [0.5], []):
        with pytest.raises(ValueError, match=r"Stream.feed: expected integers"):
            Stream(Table(3)).feed(wrong)


# ---- CTC


def collapsed(path, blank):
    return tuple(label for label, _ in itertools.groupby(path) if label != blank)


def labellings(frames, blank):
    """Return the log probability of every labelling, over all of its paths."""
    totals: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(frames.shape[1]), repeat=len(frames)):
        p = math.exp(sum(frames[t, k] for t, k in enumerate(path)))
        key = collapsed(path, blank)
        totals[key] = totals.get(key, 0.0) + p
    return totals


@pytest.mark.parametrize("blank", [0, 2])
def test_a_wide_search_over_prefixes_is_exact(blank):
    frames = engine.log_softmax(engine.asarray(normal(5, 3, 3, salt=4)), axis=-1)
    lengths = [5, 4, 0]
    found = ctc_beam_search(frames, lengths, blank=blank, width=1000, n_best=1000)
    for b, n in enumerate(lengths):
        all_ = labellings(frames.numpy()[:n, b].astype(float), blank)
        best = sorted(all_, key=lambda one: (-all_[one], one))
        assert [tuple(one.indices) for one in found[b]] == best
        np.testing.assert_allclose(
            [math.exp(one.score) for one in found[b]], [all_[k] for k in best], rtol=1e-6
        )
    assert ctc_decode(frames, lengths, blank=blank, width=500) == [row[0].indices for row in found]


def test_the_probability_of_labels_is_that_of_the_loss():
    frames = engine.log_softmax(engine.asarray(normal(6, 1, 4, salt=9)), axis=-1)
    for one in ctc_beam_search(frames, width=2000, n_best=5)[0]:
        n = len(one.indices)
        loss = engine.ctc_loss(frames, [[*one.indices, 1]], [6], [n], reduction="sum")
        assert loss.item() == pytest.approx(-one.log_probability, rel=1e-5)


def test_greedy_ctc_collapses_the_best_path():
    frames = engine.asarray(normal(9, 4, 3, salt=6))
    lengths = [9, 5, 1, 0]
    best = frames.numpy().argmax(-1)
    expected = [list(collapsed(best[:n, b].tolist(), 1)) for b, n in enumerate(lengths)]
    assert ctc_decode(frames, lengths, blank=1) == expected


def test_the_best_path_is_not_always_the_best_labelling():
    frames = engine.log(engine.asarray([[[0.6, 0.4]], [[0.6, 0.4]]]))
    assert ctc_decode(frames) == [[]]
    assert ctc_decode(frames, width=4) == [[1]]


def test_frames_without_any_probability_have_no_labels():
    frames = engine.full((2, 1, 3), NEVER)
    assert ctc_beam_search(frames) == [[]]
    assert ctc_decode(frames, width=3) == [[]]


@pytest.mark.parametrize(("odd", "said"), [(math.nan, "NaN"), (math.inf, "inf")])
@pytest.mark.parametrize("search", [ctc_decode, ctc_beam_search])
def test_frames_that_are_no_probabilities_are_refused_where_they_count(search, odd, said):
    with pytest.raises(ValueError, match=f"{search.__name__}: log_probs have {said} in row 0"):
        search(engine.full((2, 1, 2), odd))
    frames = np.log(np.full((3, 2, 2), 0.5))
    frames[2, 1, 0] = odd
    with pytest.raises(ValueError, match=f"{said} in row 1; has the training diverged"):
        search(frames)
    frames[:2, :, 1] = 0.0
    found = search(frames, [2, 2])  # what is after the lengths does not count
    assert [getattr(row[0], "indices", row) for row in found] == [[1], [1]]


def test_a_beam_of_prefixes_gives_no_more_than_it_holds():
    with pytest.raises(ValueError, match="ctc_beam_search: n_best = 4 of a beam of 1; widen it"):
        ctc_beam_search(engine.zeros((2, 1, 3)), width=1, n_best=4)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (((2, 3), None, {}), r"expected log_probs \(T, B, V\), got \(2, 3\)"),
        (((2, 1, 3), [1, 2], {}), "expected 1 lengths"),
        (((2, 1, 3), [3], {}), "lengths have 3 for 2 frames; expected 0 to 2"),
        (((2, 1, 3), [0.5], {}), "lengths have 0.5"),
        (((2, 1, 3), 1, {}), "expected 1 lengths"),
        (((2, 1, 3), None, {"blank": 3}), "blank 3 for 3 classes"),
        (((2, 1, 3), None, {"width": 0}), "width=0"),
    ],
)
def test_ctc_refuses(given, message):
    shape, lengths, settings = given
    with pytest.raises(ValueError, match=message):
        ctc_decode(engine.zeros(shape), lengths, **settings)
