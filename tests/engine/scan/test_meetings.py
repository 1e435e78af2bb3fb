"""Test where threads that share the units of the same rows meet: only before a read of another's
writes. The bits are the same for each division.
"""

from collections import OrderedDict
from functools import partial

import numpy as np
import pytest

import engine
from engine.scan import recorded
from engine.scan.c import core
from engine.scan.c.division import Division
from tests.draws import first

DIVISIONS = [(1, 1), (2, 1), (2, 2), (3, 3), (4, 2), (4, 4)]


def forced(monkeypatch, threads, lanes):
    """Set the division of all recurrences."""
    monkeypatch.setattr(core, "divided", lambda step, rows, *_: Division(
        threads if lanes > 1 else min(threads, rows), lanes))  # fmt: skip


def decay(h, x):
    h = h * engine.exp(-x) + x
    return h, h


def reversed_decay(h, x):
    h = engine.flip(h, axis=1) * 0.5 + x
    return h, h


def narrow_sums(h, x):
    h = h * 0.5 + x
    return h, (engine.sum(h * x, axis=2), engine.sum(h * h, axis=1))


@pytest.mark.parametrize(("step", "shape", "meets"), first(3, [
    (decay, (1, 256), [False, False]), (reversed_decay, (1, 256), [True, True]),
    (narrow_sums, (3, 40, 6), [True, False]), (narrow_sums, (1, 64, 16), [True, False]),
    (decay, (3, 256), [False, False]), (decay, (1, 64, 16), [False, False]),
]))  # fmt: skip
def test_threads_meet_where_one_reads_what_another_wrote(step, shape, meets, monkeypatch):
    kernels = []

    def written(program):
        kernels.append(found := original(program))
        return found

    original = core._written
    monkeypatch.setattr(core, "_written", written)
    monkeypatch.setattr(recorded, "_programs", OrderedDict())  # so that kernels are written
    x = engine.asarray(np.random.default_rng(3).random((9, *shape)), requires_grad=True)

    def numbers():
        final, ys = engine.scan(step, engine.zeros(shape, dtype="float64"), x)
        ys = ys if isinstance(ys, tuple) else (ys,)
        loss = engine.sum(final * final) + sum(engine.sum(y * y * y) for y in ys)
        return [*(y.numpy() for y in ys), engine.gradients(loss, [x])[0].numpy()]

    division = partial(forced, monkeypatch)
    division(1, 1)
    alone = numbers()
    assert [kernel.meetings > 0 for _, _, kernel in kernels] == meets
    for threads, lanes in DIVISIONS[1:]:
        division(threads, lanes)
        for one, other in zip(alone, numbers(), strict=True):
            np.testing.assert_array_equal(one, other, err_msg=f"{threads}, {lanes}")
