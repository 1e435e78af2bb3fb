"""Test that steps that differ at each call are refused by name, and run in the explicit loop."""

import random
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

import engine
import rnn
from engine.errors import ImpureStepError
from tests.draws import normal

T, B, I, H = 5, 2, 3, 4


class Plain(rnn.Cell):
    """Step as an Elman cell without a bias; the subclasses add an effect."""

    def __init__(self):
        self.input_size, self.state_size = I, {"h": H}
        self.W = rnn.parameter((H, I), 0.5, dtype="float64")
        self.U = rnn.parameter((H, H), 0.5, dtype="float64")

    def step(self, x, h):
        h = engine.tanh(engine.linear(x, self.W) + engine.linear(h, self.U)) * self.effect(h)
        return h, h

    def effect(self, h):
        return 1.0


class Counter(Plain):
    calls = 0

    def effect(self, h):
        self.calls += 1
        return self.calls


class PureCounter(Counter):
    pure = True


class WeightOnly(Plain):
    """Multiply a weight, which leaves the recurrence, by a number that grows."""

    calls = 0

    def step(self, x, h):
        self.calls += 1
        h = engine.tanh(engine.linear(x, self.W * self.calls) + engine.linear(h, self.U))
        return h, h


class Grows(Plain):
    def __init__(self):
        super().__init__()
        self.log = []

    def effect(self, h):
        self.log.append(0)
        return len(self.log)


class InPlace(Plain):
    def __init__(self):
        super().__init__()
        self.scale = np.ones(1)

    def effect(self, h):
        self.scale += 1
        return self.scale


class Drawn(Plain):
    def effect(self, h):
        return random.random()


class DrawnArray(Plain):
    def __init__(self):
        super().__init__()
        self.rng = np.random.default_rng(0)

    def effect(self, h):
        return self.rng.normal(size=h.shape)


class DrawnFunction(DrawnArray):
    def effect(self, h):
        return engine.exp(engine.asarray(super().effect(h)))


class Kept(Plain):
    before = None

    def effect(self, h):
        before, self.before = self.before, engine.exp(h)
        return 1.0 if before is None else before


class Rebound(Plain):
    def effect(self, h):
        self.U = self.U * 0.5
        return 1.0


class Branch(Plain):
    calls = 0

    def effect(self, h):
        self.calls += 1
        return engine.exp(h) if self.calls > 1 else engine.sin(h)


IMPURE = [Counter, PureCounter, WeightOnly, Grows, InPlace, Drawn, DrawnArray, DrawnFunction, Kept,
          Rebound, Branch]  # fmt: skip
x = engine.asarray(normal(T, B, I))


@pytest.mark.parametrize("kind", IMPURE)
def test_an_impure_step_is_refused_by_name_each_time(kind):
    for _ in range(2):
        layer = rnn.Recurrent(kind())
        with pytest.raises(
            ImpureStepError, match=rf"scan: {kind.step.__qualname__}, .*explicit\(\)"
        ):
            layer(x)


@pytest.mark.parametrize("kind", IMPURE)
def test_an_impure_step_is_refused_after_a_pure_one_of_the_same_program(kind):
    rnn.Recurrent(Plain())(x)
    with pytest.raises(ImpureStepError):
        rnn.Recurrent(kind())(x)


@pytest.mark.parametrize("kind", IMPURE)
def test_the_explicit_loop_takes_it(kind):
    engine.seed(0)
    cell = kind()
    if kind is not Counter:
        with engine.explicit():
            rnn.Recurrent(cell)(x)
        return
    W, U = cell.W.numpy(), cell.U.numpy()
    h, want = np.zeros((B, H)), []
    for t in range(T):
        h = np.tanh(x.numpy()[t] @ W.T + h @ U.T) * (t + 1)
        want.append(h)
    with engine.explicit():
        y, _ = rnn.Recurrent(cell)(x)
    np.testing.assert_allclose(y.numpy(), want, rtol=1e-12)


def test_what_changes_between_calls_and_not_between_steps_is_pure():
    # A step may read what is another at the next call; chance of the engine is keyed by time.
    scale = 1.0

    def step(h, x):
        h = engine.dropout(engine.tanh(h + x), 0.5) * scale
        return h + engine.random.normal(h.shape, 0.1, "noise", dtype="float64"), h

    h = engine.zeros((B, I), dtype="float64")
    for scale in (1.0, 2.0):  # noqa: B007
        engine.seed(1)
        fused, _ = engine.scan(step, h, x)
        engine.seed(1)
        with engine.explicit():
            loop, _ = engine.scan(step, h, x)
        np.testing.assert_allclose(fused.numpy(), loop.numpy(), rtol=1e-12)


def makes_an_op(h, x):
    tanh = engine.custom_vjp(lambda v: engine.tanh(v), lambda g, out, v: g * (1 - out * out))
    return tanh(h + x), h


def runs_again(h, x):
    return engine.checkpoint(lambda v: engine.tanh(v) * 0.5)(h + x), h


def has_an_empty_variable():
    def step(h, x):
        if h is None:
            return never
        return engine.tanh(h + x), h

    return step
    never = 1


@dataclass
class Unhashable:
    scale: float

    def step(self, h, x):
        return engine.tanh(h * self.scale + x), h


class Slots:
    __slots__ = ()

    def __call__(self, h, x):
        return engine.tanh(h + x), h


PURE = [makes_an_op, runs_again, has_an_empty_variable(), Unhashable(0.5).step, Slots(),
        partial(lambda scale, h, x: (engine.tanh(h * scale + x), h), 0.5)]  # fmt: skip


@pytest.mark.filterwarnings("error::engine.RecurrenceWarning")
@pytest.mark.parametrize("step", PURE)
def test_pure_steps_of_every_kind_run_fused(step):
    for _ in range(2):
        h = engine.zeros((B, I), dtype="float64")
        fused, _ = engine.scan(step, h, x)
        with engine.explicit():
            loop, _ = engine.scan(step, h, x)
        np.testing.assert_allclose(fused.numpy(), loop.numpy(), rtol=1e-12)


def test_a_tensor_that_was_not_used_before_is_pure():
    # It gets its node while the step is recorded, as a constant of the step does.
    scale = engine.asarray(np.full((B, I), 2.0))
    h, _ = engine.scan(lambda h, x: (h * scale + x, h), engine.zeros((B, I), dtype="float64"), x)
    want = sum(x.numpy()[t] * 2.0 ** (T - 1 - t) for t in range(T))
    np.testing.assert_allclose(h.numpy(), want, rtol=1e-12)


def test_a_step_is_recorded_a_second_time_for_the_first_of_its_calls_alone():
    calls = []

    def step(h, x):
        calls.append(1)
        return 0.25 * h - x, h

    for _ in range(3):
        engine.scan(step, engine.zeros((B, I), dtype="float64"), x)
    assert len(calls) == 4


class CountsAndReads(Counter):
    def __init__(self):
        super().__init__()
        self.turns = 0

    def effect(self, h):
        self.turns += 2
        found = super().effect(h) + self.turns
        return found if float(engine.sum(h)) < 1e9 else 0.0


@pytest.mark.filterwarnings("ignore::engine.RecurrenceWarning")
def test_a_loop_after_a_record_that_failed_counts_from_where_it_was():
    results = []
    for explicit in (True, False):
        engine.seed(0)
        layer = rnn.Recurrent(CountsAndReads())
        y, _ = layer(x, unroll=explicit)
        assert (layer.cell.turns, layer.cell.calls) == (2 * T, T)
        results.append(y.numpy())
    np.testing.assert_array_equal(*results)


@pytest.mark.filterwarnings("ignore::engine.RecurrenceWarning")
def test_a_variable_of_a_closure_counts_from_where_it_was():
    count = 0

    def step(h, x):
        nonlocal count
        count += 1
        return h * 0.5 + x, h * count if float(engine.sum(h)) < 1e9 else h

    _, y = engine.scan(step, engine.ones((B, I), dtype="float64"), engine.zeros((3, B, I)))
    assert y.numpy()[:, 0, 0].tolist() == [1.0, 1.0, 0.75]
    assert count == 3


@pytest.mark.parametrize("before", range(12))
def test_a_step_that_the_interpreter_specialises_between_two_records_is_pure(before):
    # Python 3.11 rewrites a function that has run a few times; builtins are then called from
    # another place, by which the values of an equation have their names.
    code = "def step(self, x, m):\n    m = 0.5 * m + engine.exp(-abs(m)) * x\n    return m, m\n"
    own = {"engine": engine}
    exec(code, own)
    cell = type("Named", (rnn.Cell,), {"input_size": H, "state_size": {"m": H}, **own})()
    for _ in range(before):
        cell.step(engine.ones((B, H)), engine.ones((B, H)))
    assert rnn.Recurrent(cell)(engine.ones((T, B, H)))[0].shape == (T, B, H)
