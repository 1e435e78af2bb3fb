"""Test streams, events and graphs of the fake: what a capture records, runs again, and refuses."""

import cupy
import numpy as np
import pytest

if not getattr(cupy, "IS_FAKE", False):
    pytest.skip("these are rules of the fake, stricter than a device", allow_module_level=True)

from cupy._emulator import KernelError
from cupy._state import count
from cupy.cuda.runtime import CUDARuntimeError

ADD = 'extern "C" __global__ void add(float* x, float by) { x[threadIdx.x] += by; }'


@pytest.fixture
def stream():
    """Yield a stream that records; its capture ends with the test."""
    one = cupy.cuda.Stream(non_blocking=True)
    count.clear()
    with one:
        one.begin_capture()
        yield one
        if one.is_capturing():
            one.end_capture()


def test_kernels_run_again_on_the_same_arrays(stream):
    x = cupy.empty(3, "float32")
    x[...] = 1
    cupy.RawKernel(ADD, "add")((1,), (3,), (x, np.float32(2)))
    graph = stream.end_capture()
    assert not count.launches
    assert np.isnan(x.get()).all()  # nothing has run
    for _ in range(2):
        graph.launch(stream)
    assert x.get().tolist() == [3, 3, 3]
    assert count.launches == {"graph": 2}
    assert count.nodes == {"fill": 2, "add": 2}


def test_what_cupy_launches_is_recorded_and_computed_from_new_values(stream):
    x = cupy.empty((2, 3), "float32")
    y = cupy.empty((2, 3), "float32")
    double = x * 2
    total = double.sum(axis=1)
    y[...] = double
    y += x
    joined = cupy.concatenate([x, y])
    best = cupy.argmax(total)
    chosen = joined[:, best]
    graph = stream.end_capture()
    for scale in (1, 10):
        x.data.copy_from_device_async(cupy.arange(6, dtype="float32").__mul__(scale).data, 24)
        count.clear()
        graph.launch()
        assert count.launches == {"graph": 1}
        assert total.get().tolist() == [6 * scale, 24 * scale]
        assert y.get().tolist() == [[0, 3 * scale, 6 * scale], [9 * scale, 12 * scale, 15 * scale]]
        assert chosen.get().tolist() == [1 * scale, 4 * scale, 3 * scale, 12 * scale]


def test_a_capture_changes_nothing(stream):
    with cupy.cuda.Stream():
        x = cupy.ones(3)
    before = x._a.copy()
    x += 1
    x.fill(7)
    x[0] = 5
    x.sort()
    cupy.add(x, x, out=x)
    cupy.add.at(x, cupy.zeros_like(x, dtype="int32"), x)
    np.testing.assert_array_equal(x._a, before)
    assert not count.launches.keys() - {"ones"}


REFUSED = {
    "matmul": lambda x: cupy.matmul(x, x),
    "@": lambda x: x @ x,
    "dot": lambda x: x.dot(x),
    "tensordot": lambda x: cupy.tensordot(x, x),
    "einsum": lambda x: cupy.einsum("ij,jk", x, x),
    "inverse": lambda x: cupy.linalg.inv(x),
}


@pytest.mark.parametrize("name", REFUSED)
def test_libraries_are_refused_as_in_cupy(stream, name):
    with pytest.raises(NotImplementedError, match="during stream capture is currently unsupported"):
        REFUSED[name](cupy.empty((3, 3)))


WAITING = {
    "get": lambda x: x.get(),
    "asnumpy": cupy.asnumpy,
    "item": lambda x: x[0, 0].item(),
    "bool": lambda x: bool(x[0, 0]),
    "print": str,
    "set": lambda x: x.set(np.ones((3, 3))),
    "asarray": lambda x: cupy.asarray(np.ones(3)),
    "mask": lambda x: x[x > 0],
    "list": lambda x: x[[0, 1]],
    "nonzero": lambda x: cupy.nonzero(x),
    "memset": lambda x: x.data.memset(0, 8),
    "device": lambda x: cupy.cuda.Device().synchronize(),
    "runtime": lambda x: cupy.cuda.runtime.deviceSynchronize(),
    "stream": lambda x: cupy.cuda.get_current_stream().synchronize(),
    "event": lambda x: cupy.cuda.Event().synchronize(),
}


@pytest.mark.parametrize("name", WAITING)
def test_transfers_and_synchronisations_are_refused(stream, name):
    with pytest.raises(RuntimeError, match="when stream is capturing"):
        WAITING[name](cupy.empty((3, 3)))


def test_arrays_that_are_gone_are_an_error_of_the_launch(stream):
    x = cupy.empty(3)
    x += x * 2  # what is added lives no longer
    graph = stream.end_capture()
    with pytest.raises(CUDARuntimeError, match="launches multiply on an array that is gone"):
        graph.launch()


def test_a_kernel_does_not_keep_its_arrays(stream):
    x = cupy.empty(3, "float32")
    cupy.RawKernel(ADD, "add")((1,), (3,), (x, np.float32(2)))
    graph = stream.end_capture()
    graph.launch()
    del x
    with pytest.raises(CUDARuntimeError, match="launches add on an array that is gone"):
        graph.launch()


def test_arguments_are_checked_at_the_capture_and_kernels_at_the_launch(stream):
    kernel = cupy.RawKernel(ADD, "add")
    x = cupy.empty(3, "float32")
    with pytest.raises(TypeError):
        kernel((1,), (3,), (x, 2.0))
    kernel((1,), (4,), (x, np.float32(2)))
    graph = stream.end_capture()
    with pytest.raises(KernelError, match="past the end of argument 0"):
        graph.launch()


def test_the_default_stream_does_not_capture():
    assert cupy.cuda.get_current_stream() == cupy.cuda.Stream.null
    with pytest.raises(RuntimeError, match=r"cannot capture on the default \(legacy\) stream"):
        cupy.cuda.Stream.null.begin_capture()


def test_a_capture_begins_once_and_ends_once(stream):
    with pytest.raises(CUDARuntimeError):
        stream.begin_capture()
    stream.end_capture()
    with pytest.raises(CUDARuntimeError):
        stream.end_capture()


def test_other_streams_go_on_within_a_capture(stream):
    x = cupy.empty(3)
    with cupy.cuda.Stream():
        x.fill(2)
    assert x._a.tolist() == [2, 2, 2]
    assert count.launches == {"fill": 1}
    assert not stream._nodes


def test_a_graph_is_made_by_a_capture_only():
    with pytest.raises(NotImplementedError, match="must be created via stream capture"):
        cupy.cuda.Graph()


def test_streams_become_current_and_give_way():
    null = cupy.cuda.get_current_stream()
    one, two = cupy.cuda.Stream(non_blocking=True), cupy.cuda.Stream()
    with one:
        assert cupy.cuda.get_current_stream() == one
        with two:
            assert cupy.cuda.get_current_stream() == two
        assert cupy.cuda.get_current_stream() == one != two
    assert cupy.cuda.get_current_stream() == null
    assert (one.is_non_blocking, two.is_non_blocking) == (True, False)
    try:
        assert two.use() is two is cupy.cuda.get_current_stream()
    finally:
        null.use()


def test_a_stream_belongs_to_its_device():
    one = cupy.cuda.Stream()
    with cupy.cuda.Device(1):
        with pytest.raises(RuntimeError, match=r"created on \(0\) does not match"):
            one.use()
        with cupy.cuda.Stream() as other:
            assert other.device_id == 1
    assert cupy.cuda.get_current_stream() == cupy.cuda.Stream.null


def test_events_take_the_time_in_order():
    first, last = cupy.cuda.Event(), cupy.cuda.Event()
    first.record()
    cupy.ones(3)
    cupy.cuda.get_current_stream().record(last)
    last.synchronize()
    assert cupy.cuda.get_elapsed_time(first, last) > 0 > cupy.cuda.get_elapsed_time(last, first)
    with pytest.raises(CUDARuntimeError):
        cupy.cuda.get_elapsed_time(first, cupy.cuda.Event())
    with pytest.raises(ValueError, match="Timing must be disabled"):
        cupy.cuda.Event(interprocess=True)
