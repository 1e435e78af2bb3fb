"""Imitate streams, events and graphs: submitted work runs at once, or is a node of a capture.

Below `_pointers.py`, `_launch.py`, `_capture.py` and `cuda.py`. A graph computes again on the
arrays that it was captured with, as the real one does, and keeps none of them alive: one that is
gone by the time of a launch is an error here, and memory of other arrays there.
"""

import time
import weakref
from collections.abc import Callable
from typing import NamedTuple

from cupy import _state as state


class Node(NamedTuple):
    """Hold a launch of a graph, and the memory that it uses."""

    name: str
    work: Callable[[], None]
    memories: tuple[weakref.ref, ...] = ()


def submit(name, work, stream=None, memories=()):
    """Run and count a launch, or record it where the stream is capturing."""
    stream = current_stream() if stream is None else stream
    if stream._nodes is not None:
        stream._nodes.append(Node(name, work, tuple(map(weakref.ref, memories))))
        return
    state.launch(name)
    work()


def current_stream(device_id=-1):
    """Return the stream in use on a device."""
    device = state.current[-1] if device_id == -1 else device_id
    return state.streams.get(device, Stream.null)


class _BaseStream:
    """Define the methods that all streams have."""

    _nodes = None  # of a capture

    def __init__(self, ptr, device_id, non_blocking=False):
        self.ptr = ptr
        self.device_id = device_id
        self.is_non_blocking = non_blocking
        self._before = []

    def __eq__(self, other):
        return isinstance(other, _BaseStream) and self.ptr == other.ptr

    def __hash__(self):
        return self.ptr

    def __repr__(self):
        return f"<{type(self).__name__} {self.ptr} (device {self.device_id})>"

    def __enter__(self):
        device = self._checked()
        self._before.append((device, state.streams.get(device)))
        state.streams[device] = self
        return self

    def __exit__(self, *args):
        device, before = self._before.pop()
        if before is None:
            del state.streams[device]
        else:
            state.streams[device] = before

    def use(self):
        """Make this stream current."""
        state.streams[self._checked()] = self
        return self

    def _checked(self):
        here = state.current[-1]
        if self.device_id not in (-1, here):
            raise RuntimeError(
                f"The device that the stream is created on ({self.device_id}) does not match "
                f"with the current device ({here})"
            )
        return here

    done = True
    priority = 0

    def synchronize(self):
        """Wait for all that was submitted; not in a capture."""
        if self._nodes is not None:
            raise captured_error()

    def record(self, event=None):
        """Record an event, a new one if need be."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def wait_event(self, event):
        """Let later work wait for an event; work of the fake is done when it is submitted."""

    def launch_host_func(self, callback, arg):
        """Call a function of the host in the order of the stream."""
        if self._nodes is not None:
            self._nodes.append(Node("host function", lambda: callback(arg)))
        else:
            callback(arg)

    def begin_capture(self, mode=None):
        """Record what is submitted, instead of running it."""
        if self.ptr in (0, 1):
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if self._nodes is not None:
            raise _runtime_error("cudaErrorIllegalState: the stream is capturing already")
        self._nodes = []

    def end_capture(self):
        """Return what was recorded as a graph."""
        if self._nodes is None:
            raise _runtime_error("cudaErrorIllegalState: the stream is not capturing")
        nodes, self._nodes = self._nodes, None
        return Graph._of(nodes, state.current[-1])

    def is_capturing(self):
        """Return whether a capture has begun."""
        return self._nodes is not None


class Stream(_BaseStream):
    """Imitate a stream of the current device."""

    _next = 2  # 0 and 1 are the default stream

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        if null or ptds:
            super().__init__(0 if null else 2, -1)
            return
        Stream._next += 1
        super().__init__(Stream._next, state.current[-1], non_blocking)
        self.priority = priority or 0


Stream.null = Stream(null=True)
Stream.ptds = Stream(ptds=True)


class Graph:
    """Repeat launches on the arrays that they were recorded with."""

    def __init__(self, *args, **kwargs):
        raise NotImplementedError(
            "currently this class cannot be initiated by the user and must be created via stream "
            "capture"
        )

    @classmethod
    def _of(cls, nodes, device):
        graph = object.__new__(cls)
        graph._nodes, graph._device = nodes, device
        return graph

    def launch(self, stream=None):
        """Run the nodes in order; counted as one launch, and each of them in `count.nodes`."""
        for node in self._nodes:
            if any(memory() is None for memory in node.memories):
                raise _runtime_error(
                    f"cudaErrorIllegalAddress: a graph launches {node.name} on an array that is "
                    "gone; a graph keeps no array alive"
                )
        submit("graph", self._run, stream)

    def upload(self, stream=None):
        """Make the device ready for a launch."""

    def _run(self):
        for node in self._nodes:
            state.count.nodes[node.name] += 1
            node.work()


class Event:
    """Mark a time between launches, by the host's clock, as launches run at once."""

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        if interprocess and not disable_timing:
            raise ValueError("Timing must be disabled for interprocess events")
        self._timed = not disable_timing
        self._at = None

    @property
    def done(self):
        """Tell whether it has come; never behind what waits for a process that is gone."""
        return not state.stuck

    def record(self, stream=None):
        """Take the time; a node where the stream is capturing."""
        stream = current_stream() if stream is None else stream
        if stream._nodes is not None:
            stream._nodes.append(Node("event", self._take))
        else:
            self._take()

    def _take(self):
        self._at = time.perf_counter()

    def synchronize(self):
        """Wait until the event has come; not in a capture."""
        state.refuse_capture()


def get_elapsed_time(start_event, end_event):
    """Return the milliseconds between two events."""
    for event in (start_event, end_event):
        if event._at is None or not event._timed:
            raise _runtime_error("cudaErrorInvalidResourceHandle: invalid resource handle")
    return (end_event._at - start_event._at) * 1e3


def _runtime_error(text):
    import cupy

    return cupy.cuda.runtime.CUDARuntimeError(text)


def captured_error():
    """Return what CUDA raises at a synchronisation within a capture."""
    return _runtime_error(
        "cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing"
    )
