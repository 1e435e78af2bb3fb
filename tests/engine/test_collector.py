"""Test that full collections of cycles wait only while a large graph grows or is walked."""

import gc
import threading
import weakref

import pytest

import engine
import rnn
from engine.collector import LARGE, NEVER, no_full_collections
from engine.scan.explicit import Explicit


@pytest.fixture
def full():
    """Yield a list that grows by an entry at each full collection of the old generation."""
    seen = []

    def note(phase, info):
        if phase == "start" and info["generation"] == 2:
            seen.append(info)

    before = gc.get_threshold()
    gc.callbacks.append(note)
    gc.freeze()  # a full collection comes once a quarter of what lived at the last one is new
    gc.collect()
    gc.set_threshold(200, 2, 1)  # full collections would come often
    yield seen
    gc.unfreeze()
    gc.callbacks.remove(note)
    gc.set_threshold(*before)


def long(steps):
    """Return a loss over an explicit recurrence."""
    engine.seed(0)
    net = rnn.RNN(3, 4)
    y, _ = net(engine.ones((steps, 2, 3)), unroll=True)
    return engine.sum(y * y)


def test_a_long_loop_and_its_pass_have_no_full_collection(full):
    with no_full_collections:  # between the two
        loss = long(600)
        full.clear()
        long(600)
        loss.backward()
    assert full == []


def test_the_loop_alone_and_the_pass_alone_hold_them_back(full, monkeypatch):
    held = []
    monkeypatch.setattr(Explicit, "_run", lambda self, call: held.append(gc.get_threshold()))
    with pytest.raises(TypeError):
        long(3)
    monkeypatch.undo()
    assert held[0][2] == NEVER
    loss = long(LARGE // 4)
    seen = []
    loss.register_hook(lambda g: seen.append(gc.get_threshold()[2]))
    loss.backward()
    assert seen == [NEVER]


def test_without_it_there_would_be_some(full, monkeypatch):
    monkeypatch.setattr(no_full_collections, "_inside", 1)  # so that entering changes nothing
    long(600).backward()
    assert full


def test_a_small_pass_changes_nothing(full):
    x = engine.ones(3, requires_grad=True)
    y = engine.sum(x * x)
    seen = []
    y.register_hook(lambda g: seen.append(gc.get_threshold()))
    y.backward()
    assert seen == [(200, 2, 1)]


def test_thresholds_are_as_before_after_an_error_and_after_nesting(full):
    def nested():
        with no_full_collections:
            with no_full_collections:
                assert gc.get_threshold()[2] == NEVER
            assert gc.get_threshold()[2] == NEVER
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        nested()
    assert gc.get_threshold() == (200, 2, 1)


def test_what_is_set_inside_stays(full):
    with no_full_collections:
        gc.set_threshold(300, 3, 3)
    assert gc.get_threshold() == (300, 3, 3)


def test_the_last_of_several_threads_gives_them_back(full):
    inside, leave = threading.Event(), threading.Event()

    def other():
        with no_full_collections:
            inside.set()
            leave.wait(5)

    thread = threading.Thread(target=other)
    with no_full_collections:
        thread.start()
        inside.wait(5)
    assert gc.get_threshold()[2] == NEVER
    leave.set()
    thread.join()
    assert gc.get_threshold() == (200, 2, 1)


def test_young_cycles_are_still_collected(full):
    class Ring:
        def __init__(self):
            self.own = self

    with no_full_collections:
        first = weakref.ref(Ring())
        kept = [Ring() for _ in range(2000)]
        assert first() is None
    assert len(kept) == 2000
