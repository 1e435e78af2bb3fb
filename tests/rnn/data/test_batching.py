"""Test padding, batches by length, arrays, windows, streams, and resuming within an epoch."""

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest

import engine
import rnn
from rnn.data import (
    ArrayBatches,
    Batches,
    Generated,
    Loader,
    Streams,
    Vocabulary,
    pad_sequences,
    padding_mask,
    unpad,
    windows,
)


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    engine.seed(0)
    yield
    engine.seed(0)


def sequences(count: int, longest: int, seed: int = 0, shortest: int = 1) -> list[list[int]]:
    generator = random.Random(seed)
    return [
        [generator.randrange(1, 50) for _ in range(generator.randint(shortest, longest))]
        for _ in range(count)
    ]


# ---- padding


def test_padding_against_a_loop():
    rows = sequences(20, 9, shortest=0)
    x, lengths = pad_sequences(rows, -7)
    assert x.dtype == lengths.dtype == np.int64
    assert x.shape == (max(map(len, rows)), 20)
    assert lengths.tolist() == [len(row) for row in rows]
    for b, row in enumerate(rows):
        for t in range(len(x)):
            assert x[t, b] == (row[t] if t < len(row) else -7)
    turned, _ = pad_sequences(rows, -7, batch_first=True)
    assert turned.flags.c_contiguous
    assert np.array_equal(turned, x.T)
    longer, _ = pad_sequences(rows, -7, length=12)
    assert longer.shape == (12, 20)
    assert (longer[len(x) :] == -7).all()
    assert [one.tolist() for one in unpad(x, lengths)] == rows
    assert np.array_equal(padding_mask(lengths), x != -7)
    assert padding_mask(lengths, 12).shape == (12, 20)


def test_padding_keeps_kinds_and_steps():
    x, _ = pad_sequences([[0.5], [1, 2]])
    assert x.dtype == np.float32
    assert x.tolist() == [[0.5, 1], [0, 2]]
    assert pad_sequences([[True], [False, True]])[0].dtype == np.int64
    assert pad_sequences([np.zeros(2), [1.0]])[0].dtype == np.float64
    assert pad_sequences([np.zeros(2, np.uint8)])[0].dtype == np.int64
    assert pad_sequences([engine.ones(2), []])[0].dtype == np.float32
    frames = [np.arange(6.0).reshape(3, 2), np.ones((1, 2)), np.ones((0, 2)), []]
    x, lengths = pad_sequences(frames)
    assert x.shape == (3, 4, 2)
    assert lengths.tolist() == [3, 1, 0, 0]
    assert np.array_equal(x[:, 0], frames[0])
    assert np.array_equal(x[1:, 1], np.zeros((2, 2)))
    x, lengths = pad_sequences([])
    assert (x.shape, lengths.shape) == ((0, 0), (0,))
    assert pad_sequences([[], []])[0].shape == (0, 2)
    assert unpad(np.zeros((0, 2)), [0, 0])[1].shape == (0,)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: pad_sequences([[1], "ab"]), TypeError, "sequence 1 is the text 'ab'; encode it"),
        (lambda: pad_sequences([["a"]]), TypeError, "sequence 0 holds no numbers .dtype <U1"),
        (lambda: pad_sequences([[1], 2]), ValueError, "sequence 1 is the single number 2"),
        (lambda: pad_sequences([[[1, 2]], [1]]), ValueError, r"sequence 1 has steps of shape \(\)"),
        (lambda: pad_sequences([[1], [1, 2]], length=1), ValueError, "sequence 1 has 2 steps, mo"),
        (lambda: unpad([[1, 2]], [1]), ValueError, r"unpad: lengths \(1,\) for x \(1, 2\)"),
        (lambda: unpad([[1, 2]], [1, 2]), ValueError, r"lie in 0 to 1, got \[1, 2\]"),
        (lambda: unpad([[1, 2]], [-1, 1]), ValueError, r"lie in 0 to 1"),
        (lambda: unpad([[1, 2]], [0.5, 1]), ValueError, "unpad: expected whole numbers as lengths"),
        (
            lambda: pad_sequences([[1]], 0.5),
            ValueError,
            "value=0.5 does not fit sequences of int64",
        ),
        (lambda: pad_sequences([[1]], float("nan")), ValueError, "value=nan does not fit"),
        (lambda: pad_sequences([[1]], 2**63), ValueError, "value=9223372036854775808 does not fit"),
        (lambda: pad_sequences([[1]], 2**64), ValueError, "take a whole number of int64"),
        (
            lambda: pad_sequences([[0.5]], 1e39),
            ValueError,
            r"1e\+39 does not fit .* take a smaller",
        ),
        (lambda: pad_sequences([[1]], "x"), TypeError, "value='x'; expected a number"),
        (lambda: pad_sequences([[1]], None), TypeError, "value=None; expected a number"),
        (
            lambda: pad_sequences([[1], [2**63]]),
            ValueError,
            "sequence 1 holds an integer beyond in",
        ),
        (lambda: pad_sequences([[2**63, -1]]), ValueError, "ends at 2\\*\\*63 - 1; give floats"),
        (
            lambda: pad_sequences([[[2**64]]]),
            ValueError,
            "sequence 0 holds an integer beyond int64",
        ),
        (lambda: pad_sequences([np.full(1, 2**63, np.uint64)]), ValueError, "beyond int64"),
        (lambda: pad_sequences([[1, None]]), TypeError, "sequence 0 holds no numbers"),
        (
            lambda: pad_sequences([], length=-1),
            ValueError,
            "length must be an integer of at least 0",
        ),
        (lambda: padding_mask([1.5]), ValueError, r"padding_mask: expected whole .*, got \[1.5\]"),
        (lambda: padding_mask([[1, 2]]), ValueError, r"whole numbers as lengths \(B,\)"),
        (lambda: padding_mask([True]), ValueError, "expected whole numbers"),
        (lambda: padding_mask([0, 2], 1), ValueError, r"lengths must lie in 0 to 1, got \[0, 2\]"),
        (lambda: padding_mask([-1]), ValueError, "lengths must lie in 0 or more"),
        (lambda: padding_mask([1], 1.5), ValueError, "steps must be an integer of at least 0"),
    ],
)
def test_faults_in_padding(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_numbers_at_the_bounds_are_kept():
    largest = 2**63 - 1
    assert pad_sequences([[largest], [-(2**63), 1]])[0].tolist() == [[largest, -(2**63)], [0, 1]]
    assert pad_sequences([[1], [2, 3]], 4.0)[0].tolist() == [[1, 2], [4, 3]]
    assert pad_sequences([[1], [2, 3]], largest)[0][1, 0] == largest
    assert pad_sequences([np.full(1, 7, np.uint64)])[0].tolist() == [[7]]
    assert pad_sequences([[1e30, 2**63]])[0].tolist() == [[np.float32(1e30)], [2.0**63]]
    for value in (0.1, -np.inf, np.nan):
        x = pad_sequences([[0.5], [1, 2]], value)[0]
        np.testing.assert_array_equal(x[1, 0], np.float32(value))
    assert padding_mask([]).shape == (0, 0)
    assert padding_mask([0, 1], 1).tolist() == [[False, True]]
    assert padding_mask(np.array([1], np.uint8)).tolist() == [[True]]


# ---- batches of sequences


def rows_of(batch: Any) -> list[list[int]]:
    return [one.tolist() for one in unpad(batch.x, batch.lengths)]


@pytest.mark.parametrize("bucket", [1, 4, 100, None])
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_example_is_there_once(bucket, shuffle):
    x = sequences(103, 30)
    y = [[2 * i for i in row[:-1]] for row in x]
    data = Batches(x, y, batch_size=10, bucket=bucket, shuffle=shuffle, pad=-1, y_pad=-2)
    for _ in range(2):
        seen = []
        batches = list(data)
        assert len(batches) == len(data) == 11
        for batch in batches:
            assert rows_of(batch) == [x[row] for row in batch.rows]
            assert [one.tolist() for one in unpad(batch.y, batch.y_lengths)] == [
                y[row] for row in batch.rows
            ]
            assert (batch.x[~padding_mask(batch.lengths)] == -1).all()
            assert (batch.y[~padding_mask(batch.y_lengths)] == -2).all()
            assert batch.x.shape == (batch.lengths.max(), len(batch.rows))
            seen += batch.rows.tolist()
        assert sorted(seen) == list(range(103))
        assert (seen == list(range(103))) == (bucket is None and not shuffle)


def test_batches_hold_similar_lengths():
    x = sequences(400, 64)
    padded = {}
    for bucket in (1, 8, None):
        data = Batches(x, batch_size=8, bucket=bucket)
        padded[bucket] = sum(batch.x.size for batch in data) / sum(map(len, x))
    assert padded[1] < 1.03 < padded[8] < 1.15 < 1.5 < padded[None]
    for batch in Batches(x, batch_size=8, bucket=8):
        steps = -(-batch.lengths // 8)
        assert steps.max() - steps.min() <= 1


def test_orders_follow_from_seed_and_epoch():
    x = sequences(60, 20)

    def orders(seed: int = 0, epochs: int = 2) -> list[list[int]]:
        data = Batches(x, batch_size=7, seed=seed)
        return [[i for batch in data for i in batch.rows.tolist()] for _ in range(epochs)]

    first = orders()
    assert first == orders()
    assert first[0] != first[1]
    assert orders(seed=1)[0] != first[0]
    engine.seed(5)
    assert orders()[0] != first[0]
    still = Batches(x, batch_size=7, shuffle=False)
    assert [b.rows.tolist() for b in still] == [b.rows.tolist() for b in still]


def test_orders_do_not_depend_on_hash_seeds():
    code = (
        "from rnn.data import Batches, Vocabulary\n"
        "v = Vocabulary.of('the quick brown fox jumps'.split())\n"
        "x = [v.encode(['fox'] * n) for n in (3, 1, 2, 5, 4)]\n"
        "print(v.tokens, [b.x.tolist() for b in Batches(x, batch_size=2)])"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": "."},
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert found[0] == found[1] != b""


def test_batches_of_numbers_and_of_nothing():
    x = sequences(9, 5)
    for batch in Batches(x, range(9), batch_size=4):
        assert batch.y.dtype == np.int64
        assert batch.y.tolist() == batch.rows.tolist()
        assert batch.y_lengths is None
    for batch in Batches(iter(x), (i / 2 for i in range(9)), batch_size=4):
        assert batch.y.dtype == np.float32
        assert (batch.y * 2).tolist() == batch.rows.tolist()
    assert all(batch.y is None for batch in Batches(x, batch_size=4))
    tensors = Batches(engine.ones((5, 3, 2)), engine.asarray([1, 2, 3, 4, 5]), batch_size=5)
    (batch,) = tensors
    assert batch.x.shape == (3, 5, 2)
    assert sorted(batch.y.tolist()) == [1, 2, 3, 4, 5]


def test_the_last_batch_is_dropped():
    x = sequences(23, 30)
    data = Batches(x, batch_size=5, drop_last=True)
    dropped = []
    for _ in range(4):
        batches = list(data)
        assert len(batches) == len(data) == 4
        assert all(batch.x.shape[1] == 5 for batch in batches)
        seen = [i for batch in batches for i in batch.rows.tolist()]
        dropped.append(sorted(frozenset(range(23)).difference(seen)))
    assert all(len(one) == 3 for one in dropped)
    different = [[1] * n for n in range(1, 24)]
    data = Batches(different, batch_size=5, bucket=1, drop_last=True)
    kept = [sorted(n for batch in data for n in batch.lengths.tolist()) for _ in range(4)]
    assert any(one[-1] == 23 for one in kept)  # it is not always the longest that are dropped
    assert len(dict.fromkeys(map(tuple, kept))) > 1


@pytest.mark.parametrize("bucket", [1, 8, None])
def test_batches_by_the_number_of_tokens(bucket):
    x = sequences(200, 40)
    y = sequences(200, 60, seed=1, shortest=0)
    data = Batches(x, y, max_tokens=240, bucket=bucket, shuffle=bucket is not None)
    for _ in range(3):
        batches = list(data)
        assert len(batches) == len(data)
        assert sorted(i for b in batches for i in b.rows.tolist()) == list(range(200))
        assert all(max(b.x.size, b.y.size) <= 240 for b in batches)
    if bucket == 1:  # what is put into one batch more would have been too much
        plain = list(Batches(x, max_tokens=240, bucket=1, shuffle=False))
        for one, after in pairwise(plain):
            rows = [*one.lengths, after.lengths[0]]
            assert max(rows) * len(rows) > 240
    (whole,) = Batches([[1, 2], [3]], max_tokens=4)
    assert whole.x.shape == (2, 2)
    assert len(list(Batches([[1] * 9, [2] * 9], max_tokens=9))) == 2


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({}, ValueError, "give either batch_size or max_tokens"),
        ({"batch_size": 2, "max_tokens": 9}, ValueError, "give either batch_size or max_tokens"),
        ({"batch_size": 0}, ValueError, "batch_size must be an integer of at least 1, got 0"),
        ({"max_tokens": 2.5}, ValueError, "max_tokens must be an integer of at least 1, got 2.5"),
        ({"batch_size": 2, "bucket": 0}, ValueError, "bucket must be an integer"),
        ({"max_tokens": 9, "bucket": None}, ValueError, "max_tokens with shuffle needs a bucket"),
        ({"max_tokens": 9, "drop_last": True}, ValueError, "drop_last goes with batch_size"),
        ({"max_tokens": 2}, ValueError, "an example has 3 steps, more than max_tokens=2"),
        ({"batch_size": 4, "drop_last": True}, ValueError, "3 examples make no batch of 4"),
        ({"batch_size": 1, "y": [1, 2]}, ValueError, "3 sequences x and 2 targets y"),
        ({"batch_size": 1, "y": ["a", "b", "c"]}, TypeError, "Batches: y: sequence 0 is the text"),
        ({"batch_size": 1, "y": [None] * 3}, TypeError, "y must be numbers or sequences of them"),
        ({"batch_size": 1, "y": [1, [2], 3]}, ValueError, "y: sequence 0 is the single number 1"),
        ({"batch_size": 1, "x": ["abc"]}, TypeError, "Batches: x: sequence 0 is the text 'abc'"),
        ({"batch_size": 1, "x": []}, ValueError, "0 examples make no batch of 1"),
        ({"max_tokens": 1, "x": []}, ValueError, "0 examples make no batch of 1"),
        (
            {"batch_size": 1, "pad": 0.5},
            ValueError,
            "Batches: pad=0.5 does not fit sequences of in",
        ),
        (
            {"batch_size": 1, "y": [[1]] * 3, "y_pad": 0.5},
            ValueError,
            "Batches: y_pad=0.5 does not",
        ),
        ({"batch_size": 1, "y": [1, 2, 2**63]}, ValueError, "y holds an integer beyond int64"),
        (
            {"batch_size": 1, "y": [[2**63]] * 3},
            ValueError,
            "y: sequence 0 holds an integer beyond",
        ),
    ],
)
def test_faults_in_batches(settings, error, text):
    settings = {"x": [[1], [1, 2, 3], [4]]} | settings
    with pytest.raises(error, match=text):
        Batches(settings.pop("x"), settings.pop("y", None), **settings)


# ---- arrays and windows


def test_arrays_in_batches():
    x = np.arange(11 * 4 * 2.0).reshape(11, 4, 2)
    data = ArrayBatches(x, np.arange(11), np.arange(11) % 4 + 1, batch_size=3)
    assert len(data) == 4
    seen = []
    for batch in data:
        assert batch.x.shape == (4, len(batch.rows), 2)
        assert np.array_equal(batch.x.swapaxes(0, 1), x[batch.rows])
        assert batch.y.tolist() == batch.rows.tolist()
        assert batch.lengths.tolist() == [i % 4 + 1 for i in batch.rows]
        seen += batch.rows.tolist()
    assert sorted(seen) == list(range(11))
    assert seen != list(range(11))
    short = ArrayBatches(x, batch_size=3, shuffle=False, drop_last=True)
    assert [b.rows.tolist() for b in short] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert all(b.lengths.tolist() == [4, 4, 4] and b.y is None for b in short)
    seeds = [next(iter(ArrayBatches(x, batch_size=11, seed=s))).rows.tolist() for s in (0, 0, 1)]
    assert seeds[0] == seeds[1] != seeds[2]


def test_arrays_without_steps():
    x, y = np.ones((6, 5)), np.arange(12).reshape(6, 2)
    (batch,) = ArrayBatches(x, y, batch_size=6, shuffle=False)
    assert (batch.x.shape, batch.y.shape) == ((5, 6), (2, 6))
    assert np.array_equal(batch.y.T, y)
    (batch,) = ArrayBatches(x, y, batch_size=6, shuffle=False, steps=False, y_steps=False)
    assert (batch.x.shape, batch.y.shape, batch.lengths) == ((6, 5), (6, 2), None)
    (batch,) = ArrayBatches(engine.asarray([1, 2]), batch_size=6)
    assert sorted(batch.x.tolist()) == [1, 2]
    assert batch.lengths is None


def test_arrays_under_a_map_stay_on_the_disk(tmp_path):
    held = np.memmap(tmp_path / "x", dtype=np.float32, mode="w+", shape=(50, 3, 2))
    held[:] = np.arange(300).reshape(50, 3, 2)
    data = ArrayBatches(held, batch_size=7)
    assert np.shares_memory(data._x, held)
    for batch in data:
        assert np.array_equal(batch.x.swapaxes(0, 1), held[batch.rows])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: ArrayBatches([[1]], [1, 2], batch_size=1),
            "numbers of examples differ: {'x': 1, ",
        ),
        (
            lambda: ArrayBatches([[1]], batch_size=2, drop_last=True),
            "1 examples make no batch of 2",
        ),
        (
            lambda: ArrayBatches([[1, 2]], lengths=[1.5], batch_size=1),
            r"ArrayBatches: expected whole numbers as lengths \(B,\), got \[1.5\]",
        ),
        (
            lambda: ArrayBatches([[1, 2]], lengths=[3], batch_size=1),
            r"ArrayBatches: lengths must lie in 0 to 2, got \[3\]",
        ),
        (lambda: ArrayBatches([[1]], batch_size=0), "batch_size must be an integer"),
        (lambda: ArrayBatches(3, batch_size=1), "expected arrays with an axis of examples"),
        (lambda: windows([1, 2, 3], 3), r"a series \(3, 1\) for size=3 and horizon=1; .*least 4"),
        (lambda: windows(np.ones((2, 2, 2)), 1), r"expected \(T, I\)"),
        (lambda: windows([1, 2, 3], 0), "size must be an integer of at least 1"),
        (lambda: windows([1, 2, 3], 1, horizon=0), "horizon must be an integer"),
        (lambda: windows([1, 2, 3], 1, stride=0), "stride must be an integer"),
    ],
)
def test_faults_in_arrays(make, text):
    with pytest.raises(ValueError, match=text):
        make()


@pytest.mark.parametrize("stride", [1, 3])
def test_windows_against_a_loop(stride):
    series = np.random.default_rng(0).normal(size=(40, 2))
    x, y = windows(series, 5, horizon=3, stride=stride)
    starts = [t for t in range(0, 40, stride) if t + 8 <= 40]
    assert x.shape == (len(starts), 5, 2)
    for n, t in enumerate(starts):
        assert np.array_equal(x[n], series[t : t + 5])
        assert np.array_equal(y[n], series[t + 5 : t + 8])
    assert np.shares_memory(x, series)
    assert not x.flags.writeable
    (batch,) = ArrayBatches(x, y, batch_size=len(starts), shuffle=False)
    assert batch.x.shape == (5, len(starts), 2)
    assert np.array_equal(batch.y.swapaxes(0, 1), y)
    one, after = windows(series[:, 0], 39)
    assert (one.shape, after.shape) == ((1, 39, 1), (1, 1, 1))


# ---- streams


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("length", "batch", "steps"), [(101, 4, 5), (103, 4, 7), (9, 8, 3)])
def test_streams_read_the_text_in_order(length, batch, steps, drop_last):
    ids = np.random.default_rng(1).integers(0, 90, length)
    if drop_last and (length - 1) // batch < steps:
        with pytest.raises(ValueError, match="8 streams of 3 steps; it needs 25"):
            Streams(ids, batch_size=batch, steps=steps, drop_last=True)
        return
    data = Streams(ids, batch_size=batch, steps=steps, drop_last=drop_last)
    chunks = list(data)
    width = (length - 1) // batch
    whole = width // steps
    assert len(chunks) == len(data) == whole + (width % steps > 0 and not drop_last)
    assert [chunk.carry for chunk in chunks] == [False] + [True] * (len(chunks) - 1)
    x = np.concatenate([chunk.x for chunk in chunks])
    y = np.concatenate([chunk.y for chunk in chunks])
    assert x.dtype == np.int64
    for b in range(batch):
        stretch = ids[b * width : (b + 1) * width + 1]
        assert np.array_equal(x[:, b], stretch[:-1][: len(x)])
        assert np.array_equal(y[:, b], stretch[1:][: len(x)])
    assert all(chunk.resets is None for chunk in chunks)
    assert np.array_equal(x, np.concatenate([chunk.x for chunk in data]))  # and again


def test_streams_of_every_kind_of_text():
    expected = [c.x.tolist() for c in Streams(range(20), batch_size=3, steps=4)]
    for ids in (list(range(20)), np.arange(20, dtype=np.uint8), engine.asarray(range(20))):
        assert [c.x.tolist() for c in Streams(ids, batch_size=3, steps=4)] == expected


def test_streams_say_where_documents_begin():
    ids = np.random.default_rng(2).integers(0, 4, 200)
    data = Streams(ids, batch_size=3, steps=7, reset_after=3)
    resets = np.concatenate([chunk.resets for chunk in data])
    for b in range(3):
        for t in range(66):
            assert resets[t, b] == (t == 0 or ids[b * 66 + t - 1] == 3)


@pytest.mark.parametrize(
    ("ids", "settings", "text"),
    [
        ([1, 2, 3], {}, "a text of 3 tokens for 4 streams; it needs 5"),
        ([], {}, "expected a text as integers"),
        ([0.5] * 9, {}, r"expected a text as integers \(N,\); encode it first"),
        (np.array(9), {}, "expected a text as integers"),
        (np.zeros((9, 2), dtype=int), {}, "expected a text as integers"),
        (range(9), {"batch_size": 0}, "batch_size must be an integer"),
        (range(9), {"steps": -1}, "steps must be an integer"),
    ],
)
def test_faults_in_streams(ids, settings, text):
    with pytest.raises(ValueError, match=text):
        Streams(ids, **{"batch_size": 4, "steps": 2} | settings)


@pytest.mark.parametrize("ids", ["abc", b"abc", ["a", "b"], 5, None, (i for i in range(9))])
def test_what_is_no_text_of_indices(ids):
    with pytest.raises(
        TypeError, match=r"Streams: expected a text as integers \(N,\), got .*; enco"
    ):
        Streams(ids, batch_size=1, steps=1)


# ---- epochs, and going on


def fill(x: Any) -> Any:
    """Return a batch as plain data."""
    if isinstance(x, tuple):
        return [fill(part) for part in x]
    return x.tolist() if hasattr(x, "tolist") else x


LOADERS: dict[str, Callable[[], Loader[Any]]] = {
    "batches": lambda: Batches(sequences(31, 12), batch_size=4),
    "tokens": lambda: Batches(sequences(31, 12), max_tokens=40),
    "arrays": lambda: ArrayBatches(np.arange(62).reshape(31, 2), range(31), batch_size=5),
    "streams": lambda: Streams(range(100), batch_size=3, steps=5, reset_after=7),
    "generated": lambda: Generated(lambda epoch: ((epoch, i) for i in range(99)), 7),
}


@pytest.mark.parametrize("name", LOADERS)
def test_going_on_anywhere_gives_the_same_batches(name):
    data = LOADERS[name]()
    size = len(data)
    whole, states = [], [data.state()]
    for _ in range(2):
        for batch in data:
            whole.append(fill(batch))
            states.append(data.state())
    assert len(whole) == 2 * size
    assert [(s["epoch"], s["position"]) for s in states[1:]] == [
        (epoch, position) for epoch in (0, 1) for position in range(1, size + 1)
    ]
    for handed_out, state in enumerate(states):
        resumed = LOADERS[name]()
        resumed.restore(json.loads(json.dumps(state)))
        assert resumed.state() == state
        rest = []
        for _ in range(2):  # the rest of an epoch and the next, or the next two
            rest += [fill(batch) for batch in resumed]
        assert rest[: len(whole) - handed_out] == whole[handed_out:][: len(rest)]
        assert len(rest) == 2 * size - (state["position"])


@pytest.mark.parametrize("name", LOADERS)
def test_a_loop_that_is_broken_off_is_begun_again(name):
    data = LOADERS[name]()
    first = fill(next(iter(data)))
    assert data.state()["position"] == 1
    epoch = [fill(batch) for batch in data]
    assert epoch[0] == first
    assert len(epoch) == len(data)
    assert data.state() == {"epoch": 1, "position": 0, "batches": len(data)}
    head = [fill(batch) for batch in islice(data, 3)]
    data.restore(data.state())  # unless it is told to go on
    tail = [fill(batch) for batch in data]
    data.restore({"epoch": 1, "position": 0})
    assert head + tail == [fill(batch) for batch in data]


def test_two_loops_at_once_do_not_disturb_each_other():
    data = LOADERS["batches"]()
    pairs = [(fill(a), fill(b)) for a, b in zip(data, data, strict=True)]
    assert all(a == b for a, b in pairs)
    assert data.epoch == 1


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({"epoch": 0}, "a state with position from 0"),
        ({"epoch": -1, "position": 0}, "a state with epoch from 0"),
        ({"epoch": 0, "position": True}, "a state with position"),
        ({"epoch": 0, "position": 1.0}, "a state with position"),
        ({"epoch": 0, "position": 9}, "position 9 of 8 batches"),
        ({"epoch": 0, "position": 1, "batches": 9}, "the state is of 9 batches an epoch, here are"),
        ([0, 1], "a state with epoch"),
    ],
)
def test_states_that_do_not_fit_change_nothing(state, text):
    data = LOADERS["batches"]()
    assert len(data) == 8
    next(iter(data))
    with pytest.raises(ValueError, match=rf"Batches.restore: .*{text}"):
        data.restore(state)
    assert data.state() == {"epoch": 0, "position": 1, "batches": 8}
    assert len(list(data)) == 8


def test_generated_batches():
    calls = []

    def make(epoch: int) -> list[str]:
        calls.append(epoch)
        return [f"{epoch}.{i}" for i in range(3)]

    data = Generated(make, 3)
    assert [list(data), list(data)] == [["0.0", "0.1", "0.2"], ["1.0", "1.1", "1.2"]]
    assert calls == [0, 1]
    with pytest.raises(RuntimeError, match="epoch 0 ended before batch 3 of 4"):
        list(Generated(make, 4))
    with pytest.raises(
        TypeError, match=r"expected a function of the epoch .* got generator; write"
    ):
        Generated((i for i in range(3)), 3)
    with pytest.raises(ValueError, match="batches must be an integer of at least 1, got 0"):
        Generated(make, 0)


def test_a_loader_has_to_be_written():
    class Empty(Loader[int]):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no __len__; write one"):
        len(Empty())
    with pytest.raises(NotImplementedError, match="Empty has no batches"):
        next(iter(Empty()))


# ---- integers of NumPy


SIZED = {
    "Streams": lambda n: Streams(range(700), batch_size=n(200), steps=n(2), drop_last=True),
    "Batches": lambda n: Batches([[1, 2], [3]] * 200, batch_size=n(200), bucket=n(100)),
    "max_tokens": lambda n: Batches([[1, 2], [3]] * 200, max_tokens=n(200), bucket=n(1)),
    "ArrayBatches": lambda n: ArrayBatches(np.ones((450, 3)), batch_size=n(200), drop_last=True),
    "Generated": lambda n: Generated(lambda epoch: iter(range(300)), n(200)),
}


@pytest.mark.parametrize("name", SIZED)
def test_integers_of_numpy_are_integers(name):
    # An 8-bit one too, which is not counted with: 200 + 200 would be 144.
    expected = list(SIZED[name](int))
    for kind in (np.int64, np.uint8, np.asarray):
        loader = SIZED[name](kind)
        found = list(loader)
        assert len(loader) == len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(*(x[0] if isinstance(x, tuple) else x
                                            for x in (one, other)))  # fmt: skip
        state = {key: np.int64(number) for key, number in loader.state().items()}
        loader.restore(state)
    for wrong in (np.True_, True, np.float64(200), 200.0, "200", np.array([200])):
        with pytest.raises((ValueError, TypeError)):
            SIZED[name](lambda n, wrong=wrong: wrong)


def test_functions_take_integers_of_numpy():
    one, two = np.uint8(200), np.int64(2)
    series = np.arange(500.0)
    found = windows(series, one, horizon=one, stride=two)
    for x, y in zip(found, windows(series, 200, horizon=200, stride=2), strict=True):
        np.testing.assert_array_equal(x, y)
    assert pad_sequences([[1], [2, 3]], length=one)[0].shape == (200, 2)
    assert padding_mask([1, 2], one).shape == (200, 2)
    assert len(Vocabulary.of("abc", min_count=np.int64(1), max_size=two, specials=[])) == 2
    assert Vocabulary.of("abc").decode([np.int64(4), np.uint8(5)]) == ["a", "b"]
    engine.seed(np.int64(3))
    first = list(Batches([[1], [2], [3]], batch_size=two, seed=np.int64(1)))
    engine.seed(3)
    for x, y in zip(first, Batches([[1], [2], [3]], batch_size=2, seed=1), strict=True):
        np.testing.assert_array_equal(x.rows, y.rows)
    for wrong in (np.True_, True, -1, np.int64(-1), 1.0, "1"):
        with pytest.raises(ValueError, match="seed: expected an integer of at least 0"):
            engine.seed(wrong)


@pytest.mark.parametrize(
    "make",
    [
        lambda wrong: rnn.data.ArrayBatches(np.ones((4, 2)), batch_size=2, shuffle=wrong),
        lambda wrong: rnn.data.ArrayBatches(np.ones((4, 2)), batch_size=2, drop_last=wrong),
        lambda wrong: rnn.data.Batches([[1], [2]], batch_size=1, shuffle=wrong),
        lambda wrong: rnn.data.Batches([[1], [2]], batch_size=1, drop_last=wrong),
        lambda wrong: rnn.data.Streams(range(9), batch_size=1, steps=2, drop_last=wrong),
        lambda wrong: rnn.data.words("A b", lower=wrong),
        lambda wrong: rnn.data.Streams(range(9), batch_size=1, steps=2, reset_after=wrong),
    ],
)
def test_words_for_flags_are_refused(make):
    for wrong in ("no", 1.0, []):
        with pytest.raises(TypeError, match=r"must be True or False|index of a token"):
            make(wrong)
