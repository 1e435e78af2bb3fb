"""Test the profiler: exact times by clocks that tests turn, exact bytes, nothing left behind."""

import gc
import threading
import time
import weakref
from typing import Any

import numpy as np
import pytest

import engine
from engine import backends
from engine.apply import apply
from engine.debug.anomaly import detect_anomaly
from engine.debug.profiling import Cost, Profile, Spent
from engine.op import Op
from engine.state import current
from tests.draws import leaf, normal, normal_leaf


class Ticks:
    """Go on by one second each time it is read, and when it is told to."""

    def __init__(self, step: float = 1.0) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def slow(clock: Ticks, name: str, forward: float, backward: float) -> Any:
    """Compute x * 2 by an op that takes so many seconds of the clock, and its gradient too."""

    def compute(xp: Any, x: Any) -> Any:
        clock.now += forward
        return x * 2

    def pull(xp: Any, g: Any, out: Any, x: Any) -> Any:
        clock.now += backward
        return g * 2

    op = Op(name, compute, (pull,))
    return lambda x: apply(op, (x,), {})


def costs(spent: dict[str, Spent]) -> dict[str, tuple[Any, ...]]:
    """Return calls, seconds and bytes, forward and then backward."""
    return {
        name: tuple((c.calls, c.seconds, c.bytes) for c in (both.forward, both.backward))
        for name, both in spent.items()
    }


# ---- times and bytes


def test_times_are_those_of_the_ops():
    clock = Ticks(step=0)
    one, other = slow(clock, "one", 5, 7), slow(clock, "other", 1, 2)
    x = leaf(1.0, 2.0)
    with engine.profile(clock=clock) as p:
        clock.now += 100  # outside of ops
        y = engine.sum(one(one(other(x))))
        y.backward()
    assert costs(p.by_op()) == {
        "one": ((2, 10, 32), (2, 14, 32)),
        "other": ((1, 1, 16), (1, 2, 16)),
        "sum": ((1, 0, 8), (1, 0, 16)),
    }
    assert list(p.by_op()) == ["one", "other", "sum"]
    assert p.by_op()["one"].total == Cost(4, 24, 64)
    assert p.total == Cost(8, 27, 120)
    assert p.wall == 127
    assert x.grad.numpy().tolist() == [8, 8]


def test_each_op_reads_the_clock_twice():
    x = leaf(1.0)
    with engine.profile(clock=Ticks()) as p:
        engine.gradients(engine.tanh(x) * x, [x])
    assert p.total.seconds == p.total.calls == 4
    assert p.wall == 2 * 4 + 1


def test_scopes_and_the_gradients_in_them():
    clock = Ticks(step=0)
    f, g = slow(clock, "f", 1, 10), slow(clock, "g", 2, 20)
    x = leaf(1.0)
    with engine.profile(clock=clock) as p:
        with engine.scope("net"):
            y = f(x)
            with engine.scope("l0", t=3):
                y = g(y)
            with engine.scope("l0", t=4):
                y = g(y)
        with engine.scope("elsewhere"):
            engine.gradients(f(y), [x])
    assert costs(p.by_scope()) == {
        "net.l0": ((2, 4, 16), (2, 40, 16)),
        "elsewhere": ((1, 1, 8), (1, 10, 8)),
        "net": ((1, 1, 8), (1, 10, 8)),
    }
    assert list(p.by_scope()) == ["net.l0", "elsewhere", "net"]


def test_the_top_scope_has_an_empty_path():
    with engine.profile() as p:
        engine.tanh(leaf(1.0))
    assert list(p.by_scope()) == [""]


def test_views_count_in_full():
    x = leaf(normal(4, 3))
    with engine.profile() as p:
        engine.broadcast_to(x[:2, None, :], (2, 5, 3))
    assert {name: both.forward.bytes for name, both in p.by_op().items()} == {
        "getitem": 2 * 1 * 3 * 8, "broadcast_to": 2 * 5 * 3 * 8,
    }  # fmt: skip


@pytest.mark.parametrize("recorded", [False, True])
def test_recorded_gradients_count_for_the_op_that_they_differentiate(recorded):
    x = leaf(0.3, 0.4)
    with engine.scope("net"):
        y = engine.tanh(x)
    with engine.profile(clock=Ticks()) as p, engine.scope("elsewhere"):
        engine.gradients(y, [x], grads=[np.ones(2)], create_graph=recorded)
    assert p.by_op()["tanh"].backward.bytes == 16
    assert p.by_op()["tanh"].backward.calls == 1
    assert list(p.by_op()) == ["tanh"]
    assert list(p.by_scope()) == ["net"]
    # However many ops it takes, nothing in it is measured on its own.
    assert (p.total.seconds, p.wall) == (1, 3)


def test_a_second_gradient_counts_for_the_ops_of_the_first():
    x = leaf(0.3)
    with engine.scope("net"):
        y = engine.tanh(x)
    g = engine.gradients(y, [x], create_graph=True)[0]
    with engine.profile() as p:
        engine.gradients(g, [x])
    spent = p.by_op()
    assert {name: both.forward.calls for name, both in spent.items()} == dict.fromkeys(spent, 0)
    assert spent.keys() == {"tanh", "multiply", "subtract"}
    assert spent["multiply"].backward.calls == 2  # 1 - y y, and the product with it
    assert list(p.by_scope()) == ["net"]


@pytest.mark.parametrize("recorded", [False, True])
def test_pieces_are_placed_in_the_scope_of_what_was_sliced(recorded):
    x = leaf(normal(4, 3))
    with engine.scope("made"):
        y = x * 1
    with engine.scope("used"):
        parts = [y[t] for t in range(4)]
        total = parts[0] + parts[1] + parts[3]
    with engine.profile(clock=Ticks()) as p:
        g = engine.gradients(engine.sum(total), [x], create_graph=recorded)[0]
    spent = p.by_op()
    assert g.numpy().sum() == 9
    assert spent["place"] == Spent(backward=Cost(1, 1, 4 * 3 * 8))
    assert spent["getitem"].backward == Cost(3, 3, 0)
    assert p.by_scope()["made"].backward.calls == 2  # the placing and the product
    assert p.wall == 2 * p.total.calls + 1


def test_an_op_that_fails_is_not_counted_and_says_what_it_always_says():
    x = leaf(1.0, 2.0)
    with engine.scope("net"):
        with pytest.raises(ValueError, match=r"add at net: \(2,\) \+ \(3,\)") as plain:
            x + np.ones(3)
        with engine.profile() as p:
            with pytest.raises(ValueError, match="add") as profiled:
                x + np.ones(3)
            assert current().interpreter is p  # still measuring
    assert str(plain.value) == str(profiled.value)
    assert p.total == Cost()


# ---- recurrences


def run_scan(w: engine.Tensor, steps: int = 6, **options: Any) -> engine.Tensor:
    def step(h: Any, x: Any) -> Any:
        new = engine.tanh(h @ w + x)
        return new, new

    init = engine.asarray(np.zeros((2, 3)))
    with engine.scope("rnn"):
        return engine.scan(step, init, engine.asarray(normal(steps, 2, 3)), **options)[1]


@pytest.mark.parametrize("checkpoint", [False, True, 2])
def test_a_fused_recurrence_is_one_entry_each_way(checkpoint):
    w = normal_leaf(3, 3)
    expected = engine.gradients(engine.sum(run_scan(w)), [w])[0].numpy()
    lengths = [6, 4]
    with engine.profile(clock=Ticks()) as p:
        ys = run_scan(w, checkpoint=checkpoint)
        g = engine.gradients(engine.sum(ys), [w])[0]
        run_scan(w, checkpoint=checkpoint, lengths=lengths)
    np.testing.assert_allclose(g.numpy(), expected, rtol=1e-12)
    spent = p.by_op()
    bundle = (2 * 3 + 6 * 2 * 3) * 8
    assert spent["scan"] == Spent(Cost(2, 2, 2 * bundle), Cost(1, 1, 9 * 8))
    assert spent["output"].total.bytes == 0  # an array of the bundle, counted there
    assert spent.keys() == {"scan", "output", "sum"}
    assert p.by_scope()["rnn"].forward.calls == 2 + 4
    assert p.wall == 2 * p.total.calls + 1


def test_a_recurrence_that_needs_no_gradient():
    with engine.profile() as p, engine.no_grad():
        run_scan(normal_leaf(3, 3))
    assert costs(p.by_op()) == {"scan": ((1, pytest.approx(p.total.seconds), 336), (0, 0, 0))}


def test_a_recurrence_that_is_differentiated_twice_is_one_entry_still():
    w = normal_leaf(3, 3)
    with engine.profile() as p:
        g = engine.gradients(engine.sum(run_scan(w)), [w], create_graph=True)[0]
    assert p.by_op()["scan"].backward.calls == 1
    assert p.by_op().keys() == {"scan", "output", "sum"}
    assert g.requires_grad


def test_recorded_gradients_that_run_again_are_gradients_still():
    ys = run_scan(normal_leaf(3, 3))
    with engine.scope("loss"):
        loss = engine.sum(ys * ys)
    g = engine.gradients(loss, [ys], create_graph=True)[0]
    with engine.profile() as p:
        engine.expanded(g)
    assert p.by_op()["multiply"] == Spent(backward=p.by_op()["multiply"].backward)
    assert p.by_scope()["loss"].backward.calls > 2
    assert p.by_scope()["rnn"].forward.calls > 6


def test_an_explicit_recurrence_is_its_steps():
    w = normal_leaf(3, 3)
    with engine.profile() as p, engine.explicit():
        engine.gradients(engine.sum(run_scan(w)), [w])
    spent = p.by_op()
    assert "scan" not in spent
    assert spent["tanh"].forward.calls == spent["tanh"].backward.calls == 6
    assert p.by_scope()["rnn"].forward.calls >= 3 * 6


def test_a_profile_in_a_step_sees_nothing_while_the_step_is_recorded():
    w = normal_leaf(3, 3)
    inside: list[Profile] = []

    def step(h: Any, x: Any) -> Any:
        with engine.profile() as p:
            new = engine.tanh(h @ w + x)
        inside.append(p)
        return new, new

    xs = engine.asarray(normal(4, 2, 3))
    ys = engine.scan(step, engine.asarray(np.zeros((2, 3))), xs)[1]
    np.testing.assert_allclose(ys.numpy(), run_plain(w.numpy(), xs.numpy()), rtol=1e-12)
    assert {p.total for p in inside} == {Cost()}
    assert current().interpreter is None


def run_plain(w: np.ndarray, xs: np.ndarray) -> np.ndarray:
    h, ys = np.zeros((2, 3)), []
    for x in xs:
        h = np.tanh(h @ w + x)
        ys.append(h)
    return np.stack(ys)


# ---- nothing is left behind


def test_after_it_everything_is_as_before():
    with engine.profile() as p:
        assert current().interpreter is p
    assert current().interpreter is None
    engine.tanh(leaf(1.0))
    assert p.total == Cost()
    x = leaf(1.0)
    with pytest.raises(ValueError, match="add"), engine.profile() as p:
        engine.add(engine.tanh(engine.broadcast_to(x, (2,))), np.ones(3))
    assert current().interpreter is None
    assert p.by_op().keys() == {"broadcast_to", "tanh"}
    assert p.wall >= p.total.seconds > 0


def test_an_error_on_the_way_back_leaves_it_measuring():
    def fail(xp: Any, g: Any, out: Any, x: Any) -> Any:
        raise ArithmeticError("planted")

    x = leaf(1.0)
    broken = apply(Op("broken", lambda xp, x: x * 1, (fail,)), (x,), {})
    with engine.profile() as p:
        with pytest.raises(ArithmeticError, match="planted"):
            engine.gradients(broken, [x])
        engine.tanh(x)
    assert p.by_op().keys() == {"tanh"}
    assert current().interpreter is None


def test_nested_profiles_measure_both():
    clock, own = Ticks(step=0), Ticks(step=0)
    f = slow(clock, "f", 1, 10)
    x = leaf(normal(3))
    with engine.profile(clock=clock) as outer:
        y = f(x)
        with engine.profile(clock=own) as inner:
            y = f(y)
            engine.gradients(engine.sum(y[1:]), [x])
            own.now += 3
        f(x)
    assert costs(outer.by_op())["f"] == ((3, 3, 72), (2, 20, 48))
    assert costs(inner.by_op())["f"] == ((1, 0, 24), (2, 0, 48))
    assert costs(inner.by_op())["place"] == costs(outer.by_op())["place"] == ((0, 0, 0), (1, 0, 24))
    assert (outer.wall, inner.wall) == (23, 3)
    assert current().interpreter is None


def test_nested_profiles_see_one_recurrence():
    w = normal_leaf(3, 3)
    with engine.profile() as outer, engine.profile() as inner:
        engine.gradients(engine.sum(run_scan(w)), [w])
    for p in (outer, inner):
        assert (p.by_op()["scan"].forward.calls, p.by_op()["scan"].backward.calls) == (1, 1)
    assert inner.total.bytes == outer.total.bytes
    assert inner.total.seconds >= outer.total.seconds


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("recorded", [False, True])
def test_it_measures_where_anomalies_are_looked_for(inside, recorded):
    p, watch = engine.profile(), detect_anomaly()
    x = leaf(0.5, 2.0)
    with watch if inside else p, p if inside else watch:
        y = engine.sum(engine.tanh(x)[1:])
        engine.gradients(y, [x], create_graph=recorded)
        with pytest.raises(FloatingPointError, match="log"):
            engine.log(x - x)
    spent = p.by_op()
    assert spent["tanh"].forward.calls == spent["tanh"].backward.calls == 1
    assert spent["place"].backward.calls == 1
    assert current().interpreter is None


def test_it_can_be_entered_again_and_adds_up():
    p = engine.profile(clock=Ticks())
    for _ in range(3):
        with p:
            engine.tanh(leaf(1.0))
    assert p.total == Cost(3, 3, 24)
    assert p.wall == 9


def test_threads_are_measured_apart():
    x = leaf(normal(3))
    ready, done = threading.Event(), threading.Event()
    found: dict[str, Any] = {}

    def other() -> None:
        ready.wait(10)
        engine.sin(x)
        with engine.profile() as p:
            engine.exp(x)
        found["p"], found["after"] = p, current().interpreter
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with engine.profile() as p:
        engine.tanh(x)
        ready.set()
        assert done.wait(10)
        engine.cos(x)
    thread.join()
    assert p.by_op().keys() == {"tanh", "cos"}
    assert found["p"].by_op().keys() == {"exp"}
    assert found["after"] is None


def test_it_holds_no_tensors_and_no_cycles():
    gc.collect()
    gc.disable()
    try:
        w = normal_leaf(3, 3)
        with engine.profile() as p:
            y = engine.sum(run_scan(w)[1:])
            y.backward()
        freed = weakref.ref(y)
        del y
        assert freed() is None
        assert p.total.calls > 4
    finally:
        gc.enable()


# ---- devices, clocks and words


def test_it_waits_for_the_devices_around_each_op(monkeypatch):
    events: list[str] = []

    class Device:
        name = "planted"

        def synchronize(self) -> None:
            events.append("wait")

    def clock() -> float:
        events.append("clock")
        return 0.0

    monkeypatch.setitem(backends._BACKENDS, "planted", Device())
    x = leaf(1.0)
    with engine.profile(clock=clock):
        events.clear()
        apply(Op("loud", lambda xp, x: (events.append("run"), x * 1)[1], None), (x,), {})
        assert events == ["wait", "clock", "run", "wait", "clock"]


def test_the_real_clock_adds_up():
    x = normal_leaf(60, 60)
    start = time.perf_counter()
    with engine.profile() as p:
        y = x
        for _ in range(20):
            y = engine.tanh(y @ x)
        engine.sum(y).backward()
    elapsed = time.perf_counter() - start
    assert 0 < p.total.seconds <= p.wall <= elapsed
    for spent in (p.by_op(), p.by_scope()):
        assert sum(s.total.seconds for s in spent.values()) == pytest.approx(p.total.seconds)
        assert sum(s.total.bytes for s in spent.values()) == p.total.bytes
    assert p.by_op()["matmul"].forward.calls == p.by_op()["matmul"].backward.calls == 20


def test_what_it_prints():
    clock = Ticks(step=0)
    f, g = slow(clock, "f", 1, 10), slow(clock, "g", 4, 1)
    x = leaf(normal(500))
    with engine.profile(clock=clock) as p:
        with engine.scope("net"):
            y = f(x)
        engine.gradients(g(y), [x], grads=[np.ones(500)])
        clock.now += 4
    assert str(p).split("\n") == [
        "profile of 20.000000 s: 16.000000 s in 4 calls, 16,000 bytes of results",
        "",
        "op  pass      calls    seconds  share  bytes",
        "f   gradient      1  10.000000  50.0%  4,000",
        "g   forward       1   4.000000  20.0%  4,000",
        "f   forward       1   1.000000   5.0%  4,000",
        "g   gradient      1   1.000000   5.0%  4,000",
        "",
        "scope  pass      calls    seconds  share  bytes",
        "net    gradient      1  10.000000  50.0%  4,000",
        "top    forward       1   4.000000  20.0%  4,000",
        "net    forward       1   1.000000   5.0%  4,000",
        "top    gradient      1   1.000000   5.0%  4,000",
    ]


def test_only_passes_that_ran_are_printed():
    with engine.profile(clock=Ticks()) as p:
        engine.tanh(leaf(1.0))
    assert "forward" in str(p)
    assert "gradient" not in str(p)


def test_what_an_empty_one_prints():
    with engine.profile(clock=Ticks()) as p:
        pass
    assert str(p) == "profile of 1.000000 s: 0.000000 s in 0 calls, 0 bytes of results"
    assert p.by_op() == p.by_scope() == {}


def test_no_wall_time_is_no_share():
    with engine.profile(clock=lambda: 0.0) as p:
        engine.tanh(leaf(1.0))
    assert "0.0%" in str(p)


def test_a_clock_must_be_callable():
    with pytest.raises(TypeError, match=r"profile: clock must be a function .* got int"):
        engine.profile(clock=3)


def test_a_running_profile_cannot_be_entered():
    with engine.profile() as p:
        with pytest.raises(RuntimeError, match="this profile is running; make another"), p:
            pass
        engine.tanh(leaf(1.0))
    assert p.total.calls == 1
    assert current().interpreter is None


def test_a_broken_clock_leaves_nothing_behind():
    def broken() -> float:
        raise OSError("no time")

    with pytest.raises(OSError, match="no time"), engine.profile(clock=broken):
        pass
    assert current().interpreter is None


def test_a_recorded_chain_of_many_ops():
    x = y = leaf(1.0)
    with engine.profile() as p:
        for _ in range(20_000):
            y = engine.negative(y)
        engine.gradients(y, [x])
    assert p.by_op()["negative"].forward.calls == 20_000
    assert p.by_op()["negative"].backward.calls == 20_000
