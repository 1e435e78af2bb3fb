"""Compare `evaluate`, `predict` and `validation_split` with `fit`, and with plain loops."""

import numpy as np
import pytest

import engine
import rnn
from rnn.data import ArrayBatches, Batches, Streams
from rnn.training import Accuracy
from tests.draws import normal
from tests.rnn.training.small_training import Sized, batches, carried, loss, numbers, run


def test_evaluate_gives_what_a_validation_gives():
    held = batches(3, seed=1)
    metrics, outputs = [Accuracy()], lambda net, batch: (net(batch.x)[0], batch.y)
    net, _, history = run(validation=held, metrics=metrics, outputs=outputs)
    assert net.training
    found = rnn.evaluate(net, held, loss, metrics=metrics, outputs=outputs)
    assert found == history.validations[-1].metrics
    assert list(found) == ["loss", "accuracy"]
    with engine.no_grad():
        net.eval()
        expected = np.mean([loss(net, one).item() for one in held])
    np.testing.assert_allclose(found["loss"], expected, rtol=1e-6)
    assert rnn.evaluate(net, held, loss, steps=1)["loss"] == loss(net, held[0]).item()
    assert rnn.evaluate(net, held, carried, carry=True)["loss"] != found["loss"]


def test_evaluate_says_what_is_wrong():
    net = rnn.Linear(2, 2)
    for arguments, options, error, told in (
        ((3, [], loss), {}, TypeError, "evaluate: model must be a Module, got int"),
        ((net, 3, loss), {}, TypeError, "evaluate: data must be batches, got int"),
        ((net, [1], 3), {}, TypeError, "evaluate: loss must be a function, got int"),
        ((net, (np.ones(2), np.ones(2)), loss), {}, TypeError, "data are batches, got a pair"),
        ((net, [1], loss), {"metrics": [Accuracy()]}, ValueError, "give outputs"),
        ((net, [], loss), {}, ValueError, "gave no batch"),
    ):
        with pytest.raises(error, match=told):
            rnn.evaluate(*arguments, **options)


def test_predict_cuts_an_array_and_joins_the_outputs():
    net, x = rnn.Linear(3, 2), normal(70, 3).astype("f")
    np.testing.assert_allclose(rnn.predict(net, x), net(x).numpy(), rtol=1e-6)
    drop = rnn.Sequential(rnn.Dropout(0.5), net)
    np.testing.assert_allclose(rnn.predict(drop, x, batch_size=7), net(x).numpy(), rtol=1e-6)
    assert drop.training
    gru = rnn.GRU(3, 4, batch_first=True)
    x = normal(5, 7, 3).astype("f")
    np.testing.assert_allclose(rnn.predict(gru, x, batch_size=2), gru(x)[0].numpy(), rtol=1e-6)
    gru = rnn.GRU(3, 4)
    parts = [x.swapaxes(0, 1)[:, :2], x.swapaxes(0, 1)[:, 2:]]
    found = rnn.predict(gru, parts, axis=1)
    np.testing.assert_allclose(found, gru(x.swapaxes(0, 1))[0].numpy(), rtol=1e-6)
    assert rnn.predict(gru, parts, axis=-2).tobytes() == found.tobytes()


@pytest.mark.parametrize("bucket", [1, None])
def test_predictions_come_in_the_order_of_the_examples(bucket):
    net = rnn.Classifier(9, 3, embedding=4, hidden=5)
    x = [[1, 2, 3], [4], [5, 6], [7, 8, 1, 2], [3, 3, 3]]
    found = rnn.predict(net, Batches(x, [0, 1, 2, 0, 1], batch_size=2, bucket=bucket))
    for row, one in zip(found, x, strict=True):
        expected = net(np.array(one)[:, None], [len(one)]).numpy()[0]
        np.testing.assert_allclose(row, expected, rtol=1e-5)


def test_an_array_is_not_read_along_the_wrong_axis():
    x, net = normal(5, 7, 3).astype("f"), rnn.Sequential(rnn.GRU(3, 4), rnn.Linear(4, 2))
    with pytest.raises(ValueError, match=r"steps.0, a GRU, is time-major, and an array \(N"):
        rnn.predict(net, x)
    with pytest.raises(ValueError, match="recurrent, a LSTM, is time-major"):
        rnn.predict(rnn.Classifier(9, 2, embedding=3, hidden=4), np.array([[1, 2]] * 3))
    expected = net(x.swapaxes(0, 1)).numpy().swapaxes(0, 1)
    loader = ArrayBatches(x, batch_size=2)
    turned = rnn.predict(net, loader, axis=1)
    np.testing.assert_allclose(turned.swapaxes(0, 1), expected, rtol=1e-5)
    turned = rnn.predict(
        net, x, outputs=lambda net, x: engine.swapaxes(net(x.swapaxes(0, 1)), 0, 1)
    )
    np.testing.assert_allclose(turned, expected, rtol=1e-5)


def test_predict_says_what_is_wrong():
    gru, model = rnn.GRU(3, 4), rnn.LanguageModel(9, 3, 4)
    ragged = [normal(3, 2, 3).astype("f"), normal(4, 2, 3).astype("f")]
    with pytest.raises(ValueError, match=r"\(3, 2, 4\), \(4, 2, 4\) do not fit together along"):
        rnn.predict(gru, ragged, axis=1)
    with pytest.raises(ValueError, match="along axis 3"):
        rnn.predict(gru, ragged, axis=3)
    data = ArrayBatches(normal(2, 3, 3).astype("f"), batch_size=2)
    with pytest.raises(ValueError, match=r"outputs are of shape \(3, 2, 4\); say which axis"):
        rnn.predict(rnn.Sequential(gru), data)
    with pytest.raises(
        ValueError, match=r"outputs of shape \(3, 2, 4\) for 2 examples along axis 0"
    ):
        rnn.predict(rnn.Sequential(gru), data, axis=0)
    with pytest.raises(ValueError, match="gave no batch"):
        rnn.predict(gru, [])
    with pytest.raises(TypeError, match="lengths"):  # a state is no place for lengths
        rnn.predict(model, Batches([[1, 2], [3]], batch_size=2))


def test_the_last_batches_of_a_list_are_the_validation():
    whole = run(validation_split=0.4)
    parted = run(data=lambda: batches()[:3], validation=batches()[3:])
    assert numbers(whole[2]) == numbers(parted[2])
    assert whole[2].validations


def test_the_last_examples_of_loaders_are_the_validation():
    x, y = np.arange(20).reshape(10, 2), np.arange(10)
    first, last = ArrayBatches(x, y, batch_size=3).split(0.3)
    assert sorted(np.concatenate([one.y for one in first])) == list(range(7))
    assert [one.y.tolist() for one in last] == [[7, 8, 9]]
    assert [one.x.T.tolist() for one in last] == [x[7:].tolist()]
    first, last = ArrayBatches(x, y, batch_size=3, drop_last=True).split(0.5)
    assert [len(one.y) for one in first] == [3]
    assert [one.y.tolist() for one in last] == [[5, 6, 7], [8, 9]]
    lists = [[number] * (number % 3 + 1) for number in range(10)]
    for y, kinds in ((None, 0), (range(10), 1), (lists, 2)):
        loader = Batches(lists, y, batch_size=3)
        before = [one.rows.tolist() for one in loader.batches(0, 0)]
        first, last = loader.split(0.3)
        seen = [row for one in first for row in one.x[0].tolist()]
        assert sorted(seen) == list(range(7))
        found = list(last)
        assert sorted(row for one in found for row in one.x[0].tolist()) == [7, 8, 9], kinds
        assert [one.rows.tolist() for one in loader.batches(0, 0)] == before


def test_data_that_cannot_be_cut():
    for data, options, error, told in (
        (batches, {"validation": batches()}, ValueError, "validation or validation_split"),
        (batches, {"validation_split": 1.5}, ValueError, "must lie between 0 and 1, got 1.5"),
        (batches, {"validation_split": 0.99}, ValueError, "0.99 of 5 leaves one part empty"),
        (lambda: Sized(batches()), {}, TypeError, "got Sized; give the validation itself"),
        (lambda: Streams(range(50), batch_size=2, steps=3), {}, TypeError,
         "Streams cannot be cut in two"),
    ):  # fmt: skip
        with pytest.raises(error, match=told):
            run(data=data, **{"validation_split": 0.4} | options)
    with pytest.raises(ValueError, match="make no batch of 3"):
        ArrayBatches(np.ones((4, 2)), batch_size=3, drop_last=True).split(0.5)


def test_sequential_takes_a_list():
    net = rnn.Sequential([rnn.Embedding(9, 4), rnn.GRUCell(4, 5), rnn.Linear(5, 2)])
    assert next(name for name, _ in net.named_parameters()) == "steps.0.weight"
    assert net([[1], [2], [3]]).shape == (3, 1, 2)
    with pytest.raises(ValueError, match="at least one module"):
        rnn.Sequential([])
    with pytest.raises(TypeError, match="cannot be called"):
        rnn.Sequential([rnn.Linear(2, 2)], rnn.Linear(2, 2))
