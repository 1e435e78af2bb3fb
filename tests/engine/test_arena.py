"""Test the arena of large arrays: blocks return, keep their contents, and leave others alone."""

import gc
import os
import pickle
import random
import subprocess
import sys
import threading
import tracemalloc
from itertools import pairwise
from queue import SimpleQueue

import numpy as np
import pytest

import engine
import rnn
from engine.backends.arena import OURS, PLAIN, arena, handler
from engine.scan.c.compiler import CannotCompileError
from engine.scan.c.products import products
from tests import ROOT
from tests.draws import first, slow_beside
from tests.engine.scan.sanitize import environment, libraries

pytestmark = pytest.mark.usefixtures("frozen")

KB, MB = 1 << 10, 1 << 20
START = "from engine.scan.c.products import products; products('f')\n"


@pytest.fixture(autouse=True)
def _started():
    """Begin every test with the arena in force, no free blocks, and the bound of the process."""
    try:
        products("f")
    except CannotCompileError as reason:
        pytest.skip(str(reason))
    gc.collect()
    arena.enter()
    if handler() != OURS:
        pytest.skip("another memory handler is in force, or none was wanted")
    engine.release_memory()
    bound = engine.memory().bound
    yield
    engine.set_memory_bound(bound)


def run(code, **environment):
    """Return the output of a separate process, which must end well."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, env=os.environ | environment,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


def place(array):
    return array.ctypes.data


@pytest.mark.parametrize("size", [32 * KB, 100_001, MB, 4 * MB, 9 * MB])
def test_large_arrays_begin_at_whole_cache_lines(size):
    for array in (np.empty(size, "u1"), np.zeros(size, "u1"), np.ones(size, "u1") + 1):
        assert place(array) % 64 == 0
        assert array.flags.owndata


def test_small_arrays_come_from_numpy():
    before = engine.memory()
    kept = [np.empty(size, "u1") for size in (0, 1, 1000, 32 * KB - 1)]
    assert engine.memory() == before
    del kept


def test_a_block_is_taken_again():
    a = np.empty(3 * MB + 5000, "u1")
    where, before = place(a), engine.memory()
    assert before.in_use >= 3 * MB
    del a
    after = engine.memory()
    assert before.in_use - after.in_use == after.kept - before.kept
    b = np.empty(3 * MB, "u1")  # of the same class
    assert place(b) == where
    assert engine.memory() == before


def test_the_last_block_back_is_the_first_taken():
    arrays = [np.empty(MB, "u1") for _ in range(3)]
    places = [place(a) for a in arrays]
    while arrays:
        arrays.pop(0)
    again = [np.empty(MB, "u1") for _ in range(3)]
    assert [place(a) for a in again] == places[::-1]


@pytest.mark.parametrize("size", [*range(32, 1000, 37), 1025, 4097, 8193, 20_000])
def test_a_class_wastes_an_eighth_at_most(size):
    before = engine.memory().in_use
    array = np.empty(size * KB, "u1")
    taken = engine.memory().in_use - before
    lost = 64 + 15 * 192  # for the header and the place where data begins
    assert 0 <= taken - array.nbytes - lost <= (array.nbytes + lost) / 8 + 4096


def test_views_keep_the_block():
    a = np.arange(MB)
    view, where = a[5:100:3], place(a)
    del a
    other = np.empty(MB, np.int64)
    assert place(other) != where
    np.testing.assert_array_equal(view, np.arange(5, 100, 3))
    del view
    assert place(np.empty(MB, np.int64)) == where


STEPS = """
import numpy as np, engine, rnn
class Own(rnn.Cell):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.input_size, self.state_size = input_size, {"h": hidden_size}
        self.W = rnn.Linear(input_size + hidden_size, hidden_size)

    def step(self, x, state):
        h = engine.tanh(self.W(engine.concat([x, state], axis=-1))) + 0.5 * state
        return h, h

layer = LAYER
optimizer = rnn.optim.Adam(layer.parameters(), lr=1e-3)
x = engine.asarray(np.random.default_rng(0).normal(size=(24, 32, 96)).astype("f"))
for _ in range(8):
    optimizer.zero_grad()
    engine.mean(layer(x)[0] ** 2).backward()
    optimizer.step()
    print(engine.memory().mapped, end=" ")
"""


@pytest.mark.parametrize("layer", first(1, ["rnn.LSTM(96, 64)", "rnn.Recurrent(Own(96, 64))"]))
def test_a_training_step_maps_nothing_after_two(layer):
    # In a process of its own, in which nothing else comes and goes.
    mapped = [int(n) for n in run(STEPS.replace("LAYER", layer)).split()]
    assert mapped[1] > 0  # the arena is in use at all
    assert mapped[2:] == [mapped[1]] * 6


def test_the_bound_is_kept_by_giving_the_oldest_back():
    engine.set_memory_bound(4 * MB)
    arrays = [np.empty((5 + i) * 100 * KB, "u1") for i in range(10)]
    places = [place(a) for a in arrays]
    while arrays:
        arrays.pop(0)
        assert engine.memory().kept <= 4 * MB
    assert engine.memory().kept > 3 * MB
    mapped = engine.memory().mapped
    assert place(np.empty(14 * 100 * KB, "u1")) == places[9]
    assert engine.memory().mapped == mapped
    np.empty(500 * KB, "u1")  # the first one is gone
    assert engine.memory().mapped == mapped + 1


def test_a_block_above_the_bound_is_never_kept():
    engine.set_memory_bound("1MB")
    small = np.empty(100 * KB, "u1")
    del small
    kept = engine.memory().kept
    np.empty(2 * MB, "u1")
    assert engine.memory().kept == kept > 0
    engine.set_memory_bound(0)
    assert engine.memory().kept == 0


def test_releasing_gives_all_free_blocks_back_and_no_other():
    a = np.arange(MB)
    del_me = np.empty(MB, "u1")
    del del_me
    assert engine.memory().kept > 0
    engine.release_memory()
    assert engine.memory().kept == 0
    np.testing.assert_array_equal(a, np.arange(MB))
    where = place(a)
    del a  # it outlived the release
    assert engine.memory().kept > 8 * MB
    assert place(np.empty(MB, np.int64)) == where


@pytest.mark.parametrize("wrong", [-1, 1.5, "much", "12", None, True])
def test_a_wrong_bound_is_refused(wrong):
    with pytest.raises(ValueError, match="number of bytes, such as '500MB'"):
        engine.set_memory_bound(wrong)


def test_a_bound_is_a_number_of_bytes_or_a_text():
    for given, expected in (("1.5 kB", 1500), ("500MB", 5 * 10**8), (np.int64(7), 7)):
        engine.set_memory_bound(given)
        assert engine.memory().bound == expected


@pytest.mark.parametrize("shape", [(MB,), (300, 500), (33 * KB,)])
def test_zeros_are_zero_in_a_block_full_of_other_numbers(shape):
    where = place(np.full(shape, 7.0))
    a = np.zeros(shape)
    assert place(a) == where
    assert not a.any()
    del a
    assert not np.zeros_like(np.full(shape, np.nan)).any()


@pytest.mark.parametrize("first", [100, 32 * KB, 200 * KB, 3 * MB])
@pytest.mark.parametrize("second", [10, 31 * KB, 32 * KB, 210 * KB, 5 * MB])
def test_an_array_of_another_size_keeps_its_numbers(first, second):
    a = np.random.default_rng(0).integers(0, 255, first, "u1")
    kept = bytes(a[: min(first, second)])
    a.resize(second, refcheck=False)
    assert bytes(a[: len(kept)]) == kept
    assert not a[len(kept) :].any()  # NumPy's promise


# ---- what is not the arena's


def test_memory_of_others_is_left_alone(tmp_path):
    before = engine.memory()
    mapped = np.memmap(tmp_path / "numbers", "f8", "w+", shape=(MB,))
    mapped[:] = 3
    viewed = np.frombuffer(bytearray(MB), "u1")
    assert engine.memory() == before
    kept = np.arange(MB)
    for protocol in (2, 5):
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(kept, protocol)), kept)
    buffers = []
    data = pickle.dumps(kept, 5, buffer_callback=buffers.append)
    np.testing.assert_array_equal(pickle.loads(data, buffers=buffers), kept)
    assert mapped.sum() == 3 * MB
    assert not viewed.any()


def test_an_array_from_before_the_arena_is_freed_by_its_own():
    code = "import engine, numpy as np; a = np.ones(1 << 20); print(engine.memory().in_use)\n"
    code += START + "b = a + 1; del a; print(engine.memory().in_use >= 8 << 20)"
    assert run(code, BPTT_ARENA="1") == "0\nTrue"


def test_tracemalloc_sees_the_arrays():
    tracemalloc.start()
    try:
        a = np.empty(5 * MB, "u1")
        assert tracemalloc.get_traced_memory()[0] >= 5 * MB
        del a
        assert tracemalloc.get_traced_memory()[0] < MB
    finally:
        tracemalloc.stop()


FOREIGN = """
import ctypes, numpy as np, engine
from engine.backends.arena import _function, SET_HANDLER, GET_HANDLER, handler
pointer = _function("PyCapsule_GetPointer", ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
new = _function("PyCapsule_New", ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p,
                ctypes.c_void_p)
table = ctypes.cast(pointer(np._core._multiarray_umath._ARRAY_API, None),
                    ctypes.POINTER(ctypes.c_void_p))
get = ctypes.PYFUNCTYPE(ctypes.py_object)(table[GET_HANDLER])
name = ctypes.create_string_buffer(b"mem_handler")
own = ctypes.create_string_buffer(ctypes.string_at(pointer(get(), b"mem_handler"), 168), 168)
own[:6] = b"users\\0"
capsule = new(ctypes.addressof(own), ctypes.addressof(name), None)
ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(table[SET_HANDLER])(capsule)
"""


def test_the_handler_of_a_user_is_left_alone():
    code = FOREIGN + START + "import rnn; rnn.LSTM(64, 64)(engine.ones((9, 32, 64)))\n"
    assert run(code + "print(handler(), engine.memory())") == (
        "users Memory(in_use=0, kept=0, bound=0, mapped=0)"
    )


def test_the_handler_that_a_user_sets_later_is_left_alone():
    code = START + FOREIGN + "import rnn; rnn.LSTM(64, 64)(engine.ones((9, 32, 64)))\n"
    assert run(code + "print(handler(), engine.memory().in_use)") == "users 0"


def test_the_environment_switches_it_off():
    code = "import engine\nfrom engine.backends.arena import handler\n" + START
    assert run(code + "print(handler(), engine.memory()[:])", BPTT_ARENA="0") == (
        f"{PLAIN} (0, 0, 0, 0)"
    )


def test_poison_fills_new_and_freed_blocks():
    code = START + (
        "import numpy as np\n"
        "a = np.empty(1 << 20); print(np.isnan(a).all(), np.isnan(np.empty(3000)).all())\n"
        "a[:] = 1; del a; print(np.isnan(np.empty(1 << 20)).all(), np.zeros(1 << 20).any())"
    )
    assert run(code, BPTT_ARENA="poison") == "True True\nTrue False"


# ---- processes and threads


def test_arrays_live_until_the_interpreter_is_gone():
    code = START + (
        "import sys, numpy as np\n"
        "class Late:\n"
        "    def __init__(self): self.array = np.ones(1 << 20)\n"
        "    def __del__(self): self.array = self.array + 1\n"
        "late = Late(); sys.kept = [np.ones(1 << 20) for _ in range(9)]; cycle = [late]\n"
        "cycle.append(cycle)"
    )
    run(code)


def test_a_context_and_a_thread_get_it_at_a_recurrence():
    names = []

    def work():
        names.append(handler())
        rnn.LSTM(2, 2)(engine.ones((3, 1, 2)))
        names.append(handler())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert names == [PLAIN, OURS]


def filled(rng):
    size = rng.choice([100, 33 * KB, 100 * KB, MB])
    return np.full(size, size % 251, "u1")


def test_threads_free_each_others_arrays():
    queues = [SimpleQueue() for _ in range(3)]
    wrong = []

    def work(me):
        arena.enter()
        rng = random.Random(me)
        for _ in range(400):
            queues[(me + 1) % 3].put(filled(rng))
            array = queues[me].get(timeout=60)
            if not (array == array.size % 251).all():
                wrong.append(array)

    before = engine.memory().in_use
    threads = [threading.Thread(target=work, args=(me,)) for me in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    gc.collect()
    assert engine.memory().in_use == before


FORKED = """
import ctypes, os, signal, threading
import engine, numpy as np
from engine.backends.arena import OURS, arena, handler
from engine.scan.c.compiler import compiled

arena.enter()
assert handler() == OURS
# Locks the arena again and again without the lock of Python, which `fork` holds.
BUSY = '''
void busy(void (*figures)(unsigned long *), const volatile int *stop) {
    unsigned long into[4];
    while (!*stop) figures(into);
}
'''
stop = ctypes.c_int()

def churn():
    arena.enter()
    while not stop.value:
        np.empty(50 << 10, "u1")

figures = ctypes.cast(arena._library.arena_figures, ctypes.c_void_p)
busy = compiled(BUSY, "float").busy
threads = [threading.Thread(target=busy, args=(figures, ctypes.byref(stop))),
           threading.Thread(target=churn)]
for thread in threads:
    thread.start()
held = np.arange(1 << 20)
try:
    for _ in range(40):
        child = os.fork()
        if not child:
            signal.alarm(20)  # where it waits for ever for the lock
            arrays = [np.full(size * 40 << 10, size, "u1") for size in range(1, 9)]
            right = all((a == i + 1).all() for i, a in enumerate(arrays))
            del arrays
            engine.release_memory()
            os._exit(0 if right and held[5] == 5 else 1)
        assert os.waitpid(child, 0)[1] == 0
finally:
    stop.value = 1
    for thread in threads:
        thread.join()
np.testing.assert_array_equal(held, np.arange(1 << 20))
print("allocated")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_allocates_after_any_work_of_other_threads():
    # In a process of its own, as to fork the process of the tests takes a tenth of a second.
    assert run(START + FORKED) == "allocated"


# ---- at random

BORDERS = [8 << 12, 16 << 12, 17 << 12, 18 << 12, 32 << 12, 36 << 12, 1 << 20]


def random_calls(seed, count=3000):
    """Allocate, free and resize against a model that knows what each array holds."""
    rng = random.Random(seed)
    living = []

    def size():
        return max(1, rng.choice(BORDERS) + rng.choice([-4097, -65, -64, -63, -1, 0, 1, 64, 4096]))

    for number in range(count):
        choice = rng.random()
        if choice < 0.45 or not living:
            wanted = size()
            array = rng.choice([np.empty, np.zeros])(wanted, "u1")
            array[:] = number % 251
            living.append([array, number % 251])
        elif choice < 0.8:
            array, value = living.pop(rng.randrange(len(living)))
            assert (array == value).all(), (seed, number)
            del array
        elif choice < 0.97:
            one = rng.choice(living)
            before, wanted = one[0].size, size()
            one[0].resize(wanted, refcheck=False)
            assert (one[0][:before] == one[1]).all(), (seed, number)
            assert not one[0][before:].any(), (seed, number)
            one[0][:] = one[1]
        else:
            engine.set_memory_bound(rng.choice([0, 100 * KB, 3 * MB, 2 << 30]))
        if len(living) > 40:
            del living[rng.randrange(40)]
        memory = engine.memory()
        assert memory.kept <= memory.bound, (seed, number)
    spans = sorted((place(array), place(array) + array.size) for array, _ in living)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))


@pytest.mark.parametrize("seed", first(1, range(4)))
def test_random_calls_keep_all_contents(seed):
    before = engine.memory().in_use
    random_calls(seed)
    assert engine.memory().in_use == before


@slow_beside("test_random_calls_keep_all_contents")
@pytest.mark.skipif(not libraries(), reason="gcc has no libasan here")
def test_random_calls_under_sanitizers(tmp_path):
    code = START + (
        "import engine; from tests.engine.test_arena import random_calls; random_calls(9, 800)\n"
        "print(engine.memory().mapped > 0)"
    )
    assert run(code, **environment(str(tmp_path)) | {"BPTT_ARENA": "1"}) == "True"
