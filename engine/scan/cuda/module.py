"""Compile generated CUDA C++ and launch it: modules, graphs of all steps, one job a call.

Below `core.py`. Kernels find the arrays of a call in a *job* in device memory, which a small kernel
fills, so that a graph that was captured once serves every call of its length. Each stream has a job
of its own, and threads bind and launch in turn.
"""

from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from threading import Lock
from typing import Any

import cupy as cp
import cupyx

from engine.backends import Array
from engine.scan.cuda.model import CHUNK, Machine, up
from engine.scan.cuda.source import COUNTERS, Kernel, Segment

# Products ask for fma themselves; an expression has the same bits in every kernel. CuPy adds
# -ftz=true: subnormal numbers of float32 are zeros.
OPTIONS = ("-std=c++17", "--fmad=false")
KEPT = 16  # graphs of one program, by length
SMALL = 48 * 1024  # bytes of shared memory that need not be asked for
LONG = 128  # steps from which the lanes of a warp share them, where they can
NARROW = 1 << 13  # rows and units up to which they do: more fill the device by themselves (a guess)
BLOCKS = 1 << 14


def device() -> int:
    """Return the number of the device that is current."""
    return int(cp.cuda.runtime.getDevice())


def machine() -> Machine:
    """Return what the current device has for blocks."""
    attributes = cp.cuda.Device().attributes
    return Machine(attributes["MultiProcessorCount"], attributes["MaxSharedMemoryPerBlockOptin"])


class Module:
    """Hold the kernels of one program on one device."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.cooperative = kernel.barriers > 0
        self.lock = Lock()  # from binding a call to its launch: no other is bound in between
        self._module = cp.RawModule(code=kernel.source, options=OPTIONS)
        self._functions: dict[str, Any] = {}
        self._queues: dict[int, Queue] = {}

    def function(self, name: str, shared: int = 0) -> Any:
        """Return a kernel by name, with leave to use so much shared memory."""
        if name not in self._functions:
            found = self._module.get_function(name)
            if shared > SMALL:
                found.max_dynamic_shared_size_bytes = shared
            self._functions[name] = found
        return self._functions[name]

    def queue(self) -> "Queue":
        """Return where calls on the current stream are launched."""
        stream = cp.cuda.get_current_stream().ptr
        if stream not in self._queues:
            self._queues[stream] = Queue(self)
        return self._queues[stream]

    @property
    def resident(self) -> bool:
        """Return whether all blocks of a sweep are resident at once; else a barrier never fills."""
        kernel = self.kernel
        function = self.function("sweep", kernel.shared)
        most = cp.cuda.driver.occupancyMaxActiveBlocksPerMultiprocessor(
            function.kernel.ptr, kernel.threads, kernel.shared
        )
        return bool(most * machine().processors >= kernel.grid[0] * kernel.grid[1])


class Queue:
    """Launch the calls of a program on one stream, in order: with its job, and its graphs."""

    def __init__(self, module: Module) -> None:
        self.module, self.kernel = module, module.kernel
        kernel = module.kernel
        size = 32 + 8 * (max(len(kernel.slots), 1) + max(len(kernel.weights), 1))
        self._job = cp.zeros(size, "u1")
        self._counters = cp.zeros(COUNTERS * kernel.grid[1], "u4")
        self._fault = cp.zeros(1, "i4")
        self._seen = cupyx.zeros_pinned(1, "i4")  # the fault of the last sweep, once it has run
        self._graphs: OrderedDict[int, Any] = OrderedDict()

    def bind(self, steps: int, *, reverse: bool, arrays: Sequence[Array]) -> None:
        """Put the arrays of a call where the kernels look."""
        given = (self._job, steps, int(reverse), self._counters, self._fault, *arrays)
        self.module.function("bind")((1,), (256,), given)

    def pack(self, weight: Array, *, linear: bool) -> Array:
        """Return a weight (K, N), or (N, K) where `linear`, as rows of k with zeros at the end."""
        rows, columns = weight.shape
        row, column = (step // weight.itemsize for step in weight.strides)
        if linear:
            count, depth, count_step, depth_step = rows, columns, row, column
        else:
            count, depth, count_step, depth_step = columns, rows, column, row
        out = cp.empty((count, up(depth, CHUNK)), "u2" if self.kernel.halved else weight.dtype)
        blocks = min(-(-out.size // 256), 1024)
        given = (weight, count, depth, count_step, depth_step, out)
        self.module.function("pack")((blocks,), (256,), given)
        return out

    # ---- forms

    @cached_property
    def first(self) -> int:
        """Return the step that the segments begin with: -1 if one does a part of the next step."""
        return -1 if any(ahead for one in self.kernel.segments for _, ahead in one.parts) else 0

    def launch(self, segment: Segment, step: int) -> None:
        """Launch one segment of one step."""
        function = self.module.function(segment.name, segment.shared)
        function(segment.grid, (self.kernel.threads,), (self._job, step),
                 shared_mem=segment.shared)  # fmt: skip

    def run_graph(self, steps: int) -> None:
        """Run all segments of all steps, as one graph."""
        length = rounded(steps)
        if length not in self._graphs:
            self._graphs[length] = self._captured(length)
            if len(self._graphs) > KEPT:
                cp.cuda.get_current_stream().synchronize()  # it may be running
                self._graphs.popitem(last=False)
        self._graphs.move_to_end(length)
        self._graphs[length].launch(cp.cuda.get_current_stream())

    def _captured(self, steps: int) -> Any:
        for one in self.kernel.segments:  # what asks for its registers is loaded before
            _ = self.module.function(one.name, one.shared).num_regs
        stream = cp.cuda.Stream(non_blocking=True)
        with stream:
            stream.begin_capture()
            for step in range(self.first, steps):
                for segment in self.kernel.segments:
                    self.launch(segment, step)
            return stream.end_capture()

    def run_sweep(self, steps: int) -> None:
        """Run all steps in one kernel. Raises RuntimeError where the last sweep gave up."""
        self._check()
        kernel, module = self.kernel, self.module
        if kernel.stretches and steps >= LONG and kernel.turns <= NARROW:
            blocks = min(-(-32 * kernel.turns // kernel.threads), BLOCKS)
            module.function("stretches")((blocks,), (kernel.threads,), (self._job,))
            return
        function = module.function("sweep", kernel.shared)
        grid = kernel.grid if module.cooperative else kernel.segments[0].grid
        if kernel.turns:
            grid = (min(-(-kernel.turns // kernel.threads), BLOCKS), 1)
        function.kernel(grid, (kernel.threads,), (self._job,), kernel.shared, None,
                        module.cooperative)  # fmt: skip
        if module.cooperative:
            module.function("poison")((64,), (256,), (self._job,))
            self._fault.get(out=self._seen, blocking=False)

    def _check(self) -> None:
        """Raise RuntimeError if a sweep that has run by now gave up; its results are NaN."""
        if barrier := int(self._seen[0]):
            self._seen[0] = 0
            self._fault.fill(0)
            raise RuntimeError(
                f"a recurrence on the GPU gave up at barrier {barrier}: a block of its kernel was "
                "never there; its results are NaN. BPTT_CUDA=graph runs it without barriers"
            )


def rounded(steps: int) -> int:
    """Return a length of which there are eight between two powers of two, so that graphs are few.

    Kernels of steps that a call does not have return at once.
    """
    if steps <= 16:
        return steps
    unit = 1 << (steps.bit_length() - 4)
    return -(-steps // unit) * unit
