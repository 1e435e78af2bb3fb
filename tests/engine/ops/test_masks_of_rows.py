"""Test that masks of some rows of a batch are those rows of the mask of the whole batch."""

import numpy as np
import pytest

import engine
import rnn
from engine.ops.chance import chance
from tests.draws import normal

KEY, TIMES = engine.asarray(np.array([5, 9])), engine.asarray(np.arange(3))
PARTS = [(0, 3), (3, 2), (5, 2), (4, 3), (1, 3), (0, 3)]  # of 7 rows, one twice


@pytest.mark.parametrize("shape", [(7,), (7, 3), (2, 7, 5), (3, 7, 1), (2, 7, 4)])
def test_a_window_has_the_elements_of_the_whole_mask(shape):
    whole = chance(KEY, TIMES, shape=shape, probability=0.5, number=2).numpy()
    for axis, size in enumerate(shape):
        for first in range(size):
            for count in range(1, size - first + 1):
                own = (*shape[:axis], count, *shape[axis + 1 :])
                part = chance(KEY, TIMES, shape=own, probability=0.5, number=2,
                              window=(axis, first, size)).numpy()  # fmt: skip
                expected = np.take(whole, range(first, first + count), axis=axis + 1)
                np.testing.assert_array_equal(part, expected)


def wrapped():
    cell = rnn.WeightDropout(rnn.Zoneout(rnn.LSTMCell(3, 5), 0.3), 0.4)
    return rnn.Recurrent(rnn.VariationalDropout(cell, inputs=0.2, states=0.3, outputs=0.1))


@pytest.mark.parametrize("explicit", [False, True])
def test_a_recurrence_drops_for_its_rows_what_it_drops_for_all(explicit):
    net, x = wrapped(), normal(6, 7, 3).astype("f")
    engine.seed(3)
    whole = net(x)[0].numpy()
    for first, count in PARTS:  # a program that was recorded for other rows must not be found
        engine.seed(3)
        with engine.random.rows(first, count, 7):
            if explicit:
                with engine.explicit():
                    part = net(x[:, first : first + count])[0].numpy()
            else:
                part = net(x[:, first : first + count])[0].numpy()
        np.testing.assert_allclose(part, whole[:, first : first + count], atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 7, 5), (7, 5), (7, 4, 5)])
def test_dropout_outside_of_a_step_finds_the_rows_by_their_number(shape):
    axis = shape.index(7)
    engine.seed(1)
    whole = engine.dropout(engine.ones(shape)).numpy()
    for first, count in PARTS:
        own = (*shape[:axis], count, *shape[axis + 1 :])
        engine.seed(1)
        with engine.random.rows(first, count, 7):
            part = engine.dropout(engine.ones(own)).numpy()
        np.testing.assert_array_equal(part, np.take(whole, range(first, first + count), axis=axis))


def test_a_mask_without_an_axis_of_the_rows_is_drawn_as_it_is():
    engine.seed(1)
    whole = engine.dropout(engine.ones((4, 6))).numpy()
    engine.seed(1)
    with engine.random.rows(3, 2, 7):
        np.testing.assert_array_equal(engine.dropout(engine.ones((4, 6))).numpy(), whole)


def test_rows_outside_of_the_batch_are_refused():
    with pytest.raises(ValueError, match="3 rows from 5 on of a batch of 7"):
        engine.random.rows(5, 3, 7)
