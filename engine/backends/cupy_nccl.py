"""Add arrays over processes on their devices, by NCCL. Imported by `cupy.py` when first asked.

It has run on the fake of `tests/fake_cupy`, with the names of CuPy 14.2, and not yet on real GPUs.
`cupyx.distributed` is not used: it connects all processes of a job, or opens a port, and does not
end what hangs.
Source: NVIDIA, NCCL user guide, on communicators, errors and ncclAllReduce.
"""

import time
import warnings
from typing import Any

import cupy as cp

from engine.backends.base import Array

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that there is no library says `refusal`
    from cupy.cuda import nccl


def refusal() -> str | None:
    """Return why this process cannot use NCCL, None where it can."""
    if not getattr(nccl, "available", False):
        return "CuPy finds no NCCL library (pip install nvidia-nccl-cu13, or nvidia-nccl-cu12)"
    return None


def identity(device: int) -> str:
    """Return what tells a device from all others of the machine, in every process."""
    return str(cp.cuda.Device(device).pci_bus_id)


def token() -> Any:
    """Return what one process sends to the others so that they find each other."""
    return nccl.get_unique_id()


class Sums:
    """Sum arrays over `size` processes, each with a device; returns when all have called it.

    Raises RuntimeError where they cannot be connected.
    """

    def __init__(self, device: int, size: int, rank: int, token: Any) -> None:
        self.device = device
        with cp.cuda.Device(device):
            self._link = nccl.NcclCommunicator(size, token, rank)
        self._types = {"float32": nccl.NCCL_FLOAT32, "float64": nccl.NCCL_FLOAT64}

    def sum(self, array: Array) -> Array:
        """Add an array of the device over all processes, in place, on the current stream.

        Return it when it is there. Raises TypeError for what is no contiguous array of float32 or
        float64 on the device, RuntimeError where a process is gone.
        """
        kind = self._types.get(str(array.dtype))
        here = isinstance(array, cp.ndarray) and array.device.id == self.device
        if not here or kind is None or not array.flags.c_contiguous:
            raise TypeError(
                f"sum by NCCL: {type(array).__name__} {array.dtype}{list(array.shape)}; expected a "
                f"contiguous float32 or float64 array on cupy:{self.device}"
            )
        if not array.size:
            return array
        with cp.cuda.Device(self.device):
            stream, place = cp.cuda.get_current_stream(), array.data.ptr
            try:
                self._link.allReduce(place, place, array.size, kind, nccl.NCCL_SUM, stream.ptr)
                self._wait(stream)
            except nccl.NcclError as error:
                self._link.abort()  # the kernel would wait for the others forever
                raise RuntimeError(
                    f"sum by NCCL: {error}; is another process gone, or the network?"
                ) from error
        return array

    def _wait(self, stream: Any) -> None:
        """Wait for what was submitted, and look meanwhile whether it can still come."""
        event = cp.cuda.Event(disable_timing=True)
        event.record(stream)
        while not event.done:
            self._link.check_async_error()
            time.sleep(0)
