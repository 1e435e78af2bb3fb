"""Count batches: means over tokens in `fit`, and several batches as one."""

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
import pytest

import engine
import rnn
from rnn.data import ArrayBatches, Batches, Streams
from rnn.training import fit
from rnn.training.run import Settings
from rnn.training.updating import count_of, mean_of
from tests.draws import normal
from tests.rnn.training.small_training import Net, assert_same_state, batches, loss


def counted(batch: Any, count: Any = None) -> float:
    """Return what `fit` takes a batch to count."""
    own = object.__new__(Settings)
    object.__setattr__(own, "count", count)
    return count_of(own, batch)


class Pair(NamedTuple):
    x: Any
    y: Any


WORDS = [[1, 2, 3], [4], [2, 2]]


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (Pair(np.ones((4, 3, 2)), np.ones((4, 3), int)), 12),
        (Pair(np.ones((4, 3, 2)), np.ones(3, int)), 3),
        ((np.ones((4, 3)), np.ones(3), 0.5), 3),
        ({"x": np.ones((4, 3)), "y": engine.ones((5, 3))}, 15),
        (np.ones((0, 3)), 0),
        (engine.ones((4, 3)), 12),
        (np.float32(3.0), 1),
        ((np.ones((4, 3)), [0, 1, 1]), 3),
        ([np.ones((4, 3)), [0, 1, 1]], 3),
        (([[2, 3], [4, 5]], None, [[2, 3], [4, 5], [1, 1]]), 6),
        ((np.ones((4, 3)), [np.ones(2), np.ones((3, 1))]), 5),
        ((np.ones((4, 3)), (engine.ones((5, 3)), None)), 15),
        ((np.ones((4, 3)), ["a", "b"]), 12),
        ((np.ones((4, 3)), []), 12),
        ((), 1),
        ([], 1),
        ("text", 1),
        ({1: 2, "a": 3}, 1),
        (next(iter(Batches(WORDS, [0, 1, 1], batch_size=3))), 3),
        (next(iter(Batches(WORDS, WORDS, batch_size=3))), 6),
        (next(iter(Batches(WORDS, [[1], [2, 3], [4]], batch_size=3))), 4),
        (next(iter(Batches(WORDS, batch_size=3))), 6),
        (next(iter(ArrayBatches(np.ones((4, 3)), batch_size=3, steps=False))), 3),
        (next(iter(Streams(range(9), batch_size=2, steps=3))), 6),
    ],
)
def test_batches_count_their_targets(batch, expected):
    assert counted(batch) == expected


@pytest.mark.parametrize("given", [np.int64(4), np.float32(4), 4, 4.0, engine.asarray(4)])
def test_a_function_says_what_counts(given):
    assert counted([], lambda batch: given) == 4.0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (True, "count must give a number, got bool"),
        ("4", "count must give a number, got str"),
        (None, "count must give a number, got NoneType"),
        (-1, "count must give a finite number of at least 0, got -1"),
        (math.nan, "count must give a finite number of at least 0, got nan"),
    ],
)
def test_counts_that_are_none_are_refused(given, said):
    with pytest.raises((TypeError, ValueError), match=f"^fit: {said}"):
        counted([], lambda batch: given)


def test_what_counts_for_nothing_is_left_out():
    assert mean_of([3.0, math.nan, 1.0], [1.0, 0.0, 3.0]) == 1.5
    assert math.isnan(mean_of([1.0], [0.0]))


# ---- validations and epochs


def uneven() -> list[Any]:
    return [*batches(2, seed=4), *batches(1, seed=5, steps=1, rows=2), *batches(1, seed=6, rows=1)]


def token_mean(net: Net, data: list[Any]) -> float:
    """Compute the mean over all tokens, in NumPy."""
    nats = []
    net.eval()
    for batch in data:
        logits = net(batch.x)[0].numpy().astype("float64")
        odds = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        nats.append(-np.log(np.take_along_axis(odds, batch.y[..., None], -1)).ravel())
    return float(np.concatenate(nats).mean())


def test_the_loss_of_a_validation_is_the_mean_over_tokens():
    engine.seed(1)
    net = Net()
    history = fit(net, batches(2), loss, epochs=1, validation=uneven(), progress=False)
    expected = token_mean(net, uneven())
    assert history.validations[0].metrics["loss"] == pytest.approx(expected, abs=1e-6)
    each = [token_mean(net, [batch]) for batch in uneven()]
    assert np.mean(each) != pytest.approx(expected, abs=1e-3)  # the mean of batches is another


def test_padding_does_not_count_in_a_validation():
    engine.seed(1)
    tagger = rnn.Tagger(9, 3, embedding=3, hidden=4)
    x = [[1, 2, 3, 4, 5], [6], [7, 8], [1]]
    y = [[0, 1, 2, 0, 1], [2], [1, 1], [0]]
    data = Batches(x, y, batch_size=3, bucket=None, shuffle=False)

    def of_tags(model, batch):
        return model.loss(batch.x, batch.lengths, batch.y)

    found = fit(tagger, data, of_tags, epochs=1, validation=data, progress=False)
    tagger.eval()
    nats = [tagger.loss(np.array(a)[:, None], [len(a)], np.array(b)[:, None]).item() * len(a)
            for a, b in zip(x, y, strict=True)]  # fmt: skip
    expected = sum(nats) / sum(map(len, x))
    assert found.validations[0].metrics["loss"] == pytest.approx(expected, abs=1e-6)


def test_a_function_of_the_batch_counts_in_a_validation():
    losses, counts = iter([1.0, 5.0]), iter([7, 3, 1])

    def known_loss(net, batch):
        return loss(net, batch) if net.training else engine.asarray(next(losses))

    found = fit(Net(), batches(1), known_loss, epochs=1, validation=batches(2), progress=False,
                count=lambda batch: next(counts))  # fmt: skip
    assert found.validations[0].metrics["loss"] == (3 * 1.0 + 1 * 5.0) / 4


def test_schedules_by_the_epoch_see_the_mean_over_tokens():
    seen = []

    class Watching(rnn.schedules.ReduceLROnPlateau):
        def step(self, *metrics):
            seen.extend(metrics)
            super().step(*metrics)

    history = fit(Net(), uneven(), loss, epochs=1, schedule=Watching, schedule_every="epoch",
                  progress=False)  # fmt: skip
    counts = [12, 12, 2, 4]
    assert seen == [pytest.approx(np.average(history.losses, weights=counts), rel=1e-12)]


# ---- several batches for a step


def square(net: Any, batch: Any) -> Any:
    return engine.mean((net(batch[0]) - batch[1]) ** 2)


def rows(count: int) -> tuple[np.ndarray, np.ndarray]:
    return normal(count, 3, salt=count), normal(count, 2, salt=count + 1)


def trained(data: list[Any], **options: Any) -> tuple[Any, Any]:
    engine.seed(0)
    net = rnn.Linear(3, 2, dtype="float64")
    optimizer = rnn.optim.Adam(net.parameters(), lr=0.1)
    made = options.pop("schedule", None)
    history = fit(net, data, square, optimizer=optimizer, progress=False,
                  schedule=made and made(optimizer), **{"epochs": 3} | options)  # fmt: skip
    return net, history


@pytest.mark.parametrize("clip", [None, 0.05])
def test_batches_together_are_one_big_batch(clip):
    x, y = rows(10)
    cuts = [0, 5, 6, 7, 10]
    small = [(x[a:b], y[a:b]) for a, b in itertools.pairwise(cuts)]
    net, history = trained(small, accumulate=4, clip_norm=clip)
    big, expected = trained([(x, y)], clip_norm=clip)
    assert [record.step for record in history.steps] == [1, 2, 3]
    np.testing.assert_allclose(history.losses, expected.losses, rtol=1e-12)
    norms = [[record.grad_norm for record in one.steps] for one in (history, expected)]
    np.testing.assert_allclose(*norms, rtol=1e-12)
    for name, value in big.state_dict().items():
        np.testing.assert_allclose(net.state_dict()[name], value, rtol=1e-9)


def test_the_last_step_of_an_epoch_takes_what_is_left():
    x, y = rows(7)
    small = [(x[n : n + 1], y[n : n + 1]) for n in range(7)]
    whole = [(x[n : n + 3], y[n : n + 3]) for n in (0, 3, 6)]
    found = []
    for data, k in ((small, 3), (iter(small), 3), (whole, 1)):
        history = trained(data, accumulate=k, epochs=1,
                          schedule=lambda o: rnn.schedules.ExponentialLR(o, 0.5))[1]  # fmt: skip
        assert [record.lr for record in history.steps] == [0.1, 0.05, 0.025]
        assert [record.step for record in history.steps] == [1, 2, 3]
        found.append(history.losses)
    np.testing.assert_allclose(found, [found[-1]] * 3, rtol=1e-12)


def test_validations_and_checkpoints_count_steps(tmp_path):
    x, y = rows(8)
    small = [(x[n : n + 1], y[n : n + 1]) for n in range(8)]
    history = trained(small, accumulate=2, validation=small, validate_every=3, epochs=2,
                      checkpoint=tmp_path, every=3)[1]  # fmt: skip
    assert len(history.steps) == 8
    assert [record.step for record in history.validations] == [3, 6, 8]


def test_one_batch_for_a_step_is_as_without():
    x, y = rows(4)
    data = [(x[:1], y[:1]), (x[1:], y[1:])]
    one, other = trained(data), trained(data, accumulate=np.int64(1))
    assert one[1].losses == other[1].losses
    assert_same_state(one[0].state_dict(), other[0].state_dict())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_batch_among_several_that_is_no_number_is_named():
    x, y = rows(4)
    bad = x.copy()
    bad[0] = math.inf
    net = rnn.Linear(3, 2, dtype="float64")
    with (
        np.errstate(all="ignore"),
        pytest.raises(engine.AnomalyError, match="array 2 of the batch"),
    ):
        fit(net, [(x, y), (bad, y)], square, epochs=1, accumulate=2, progress=False)
