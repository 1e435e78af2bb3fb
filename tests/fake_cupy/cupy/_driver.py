"""Offer modules below `cupy.cuda`: driver, runtime, compiler, stream, graph. Used by `cuda.py`."""

import sys
import types

from cupy import _hardware as hardware
from cupy import _nccl, _raw, _streams
from cupy import _state as state
from cupy._launch import CUDADriverError, function_of
from cupy._pointers import MemoryPointer


def _module(name, **members):
    """Make a module that can be imported by its name."""
    made = types.ModuleType(f"cupy.cuda.{name}")
    vars(made).update(members)
    sys.modules[made.__name__] = made
    return made


class CUDARuntimeError(RuntimeError):
    """Report an error of the runtime, as `cupy.cuda.runtime.CUDARuntimeError`."""


def _occupancy(func, blockSize, dynamicSMemSize):
    """Return how many blocks of a function one multiprocessor holds."""
    return function_of(func).resident(blockSize, dynamicSMemSize)


def _properties(device):
    if not 0 <= device < state.DEVICES:
        raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
    return hardware.properties()


def _device_synchronize():
    state.refuse_capture()


driver = _module(
    "driver",
    CUDADriverError=CUDADriverError,
    occupancyMaxActiveBlocksPerMultiprocessor=_occupancy,
)
runtime = _module(
    "runtime",
    CUDARuntimeError=CUDARuntimeError,
    getDeviceCount=lambda: state.DEVICES,
    getDevice=lambda: state.current[-1],
    getDeviceProperties=_properties,
    deviceSynchronize=_device_synchronize,
    streamCaptureModeGlobal=0,
    streamCaptureModeThreadLocal=1,
    streamCaptureModeRelaxed=2,
    is_hip=False,
)
compiler = _module("compiler", CompileException=_raw.CompileException)
stream = _module(
    "stream",
    Stream=_streams.Stream,
    Event=_streams.Event,
    get_current_stream=_streams.current_stream,
    get_elapsed_time=_streams.get_elapsed_time,
)
graph = _module("graph", Graph=_streams.Graph)
memory = _module("memory", MemoryPointer=MemoryPointer)
nccl = _module("nccl", available=_nccl.available)
if _nccl.available:  # else the real module has no other name, either
    vars(nccl).update({name: getattr(_nccl, name) for name in (
        "NCCL_BFLOAT16", "NCCL_FLOAT16", "NCCL_FLOAT32", "NCCL_FLOAT64", "NCCL_SUM",
        "NcclCommunicator", "NcclError", "get_unique_id",
    )})  # fmt: skip
