"""Connect processes of one machine over sockets as NCCL: `cupy.cuda.nccl`. Used by `_driver.py`.

The process that made the id adds what the others send. It refuses what NCCL refuses: two ranks on
one device, memory of the host or of another device, unknown types. A peer that is gone is not
noticed by the call, as on a device: events do not come any more, and `check_async_error` raises.
"""

import ctypes
import os
import uuid
from multiprocessing.connection import Client, Listener

import numpy as np

from cupy import _hardware as hardware
from cupy import _pointers, _recorded, _streams
from cupy import _state as state
from cupy._base import Unsupported

available = os.environ.get("FAKE_CUPY_NCCL", "1") == "1"
NCCL_FLOAT16, NCCL_FLOAT32, NCCL_FLOAT64, NCCL_BFLOAT16, NCCL_SUM = (
    int(_recorded.MODULES["cupy.cuda.nccl"][f"NCCL_{name}"]["value"])
    for name in ("FLOAT16", "FLOAT32", "FLOAT64", "BFLOAT16", "SUM")
)
TYPES = {NCCL_FLOAT16: "e", NCCL_FLOAT32: "f", NCCL_FLOAT64: "d", NCCL_BFLOAT16: "E"}
INVALID_ARGUMENT, INVALID_USAGE, REMOTE_ERROR = 4, 5, 6
ERRORS = {
    INVALID_ARGUMENT: "NCCL_ERROR_INVALID_ARGUMENT: invalid argument",
    INVALID_USAGE: "NCCL_ERROR_INVALID_USAGE: invalid usage",
    REMOTE_ERROR: "NCCL_ERROR_REMOTE_ERROR: remote process exited or there was a network error",
}
GONE = (EOFError, OSError)
PATIENCE = 60.0  # seconds, after which a process that never came ends a test; NCCL waits on
_listeners = {}  # of the ids that this process has made


class NcclError(RuntimeError):
    """Report an error of NCCL by its number."""

    def __init__(self, status):
        self.status = status
        super().__init__(ERRORS[status])


def get_unique_id():
    """Return the id of a communicator, 128 bytes; the others find this process by it."""
    made = uuid.uuid4().hex.encode().ljust(128, b"\0")
    _listeners[made] = Listener(_address(made), "AF_UNIX", backlog=64)
    return made


def _address(made):
    return "\0fake-nccl-" + made.rstrip(b"\0").decode()


class NcclCommunicator:
    """Connect the current devices of `ndev` processes; return when all have called it."""

    def __init__(self, ndev, commId, rank, config=None):
        if type(commId) is not bytes or len(commId) != 128 or config is not None:
            raise TypeError("NcclCommunicator(int ndev, bytes commId, int rank, config=None)")
        self._size, self._rank, self._device = ndev, rank, state.current[-1]
        self._fault, self._peers, self._root = None, {}, None
        own = (rank, hardware.bus_id(self._device))
        if commId in _listeners:
            self._accept(_listeners.pop(commId), own)
        else:
            self._root = Client(_address(commId))
            self._root.send(own)
            self._raise(self._root.recv())

    def _accept(self, listener, own):
        with listener:
            listener._listener._socket.settimeout(PATIENCE)
            there = [own]
            for _ in range(self._size - 1):
                peer = listener.accept()
                there.append(peer.recv())
                self._peers[there[-1][0]] = peer
        ranks, devices = zip(*there, strict=True)
        status = 0 if sorted(ranks) == list(range(self._size)) else INVALID_ARGUMENT
        status = status or (0 if len(set(devices)) == self._size else INVALID_USAGE)
        for peer in self._peers.values():
            peer.send(status)
        self._raise(status)

    def _raise(self, status):
        if status:
            self.abort()
            raise NcclError(status)

    def allReduce(self, sendbuf, recvbuf, count, datatype, op, stream):
        """Put the sum of what all ranks have at `sendbuf` at `recvbuf`."""
        if self._peers is None or datatype not in TYPES or op != NCCL_SUM:
            raise NcclError(INVALID_ARGUMENT)
        if stream != _streams.current_stream(self._device).ptr:
            raise Unsupported("NCCL on a stream that is not the current one")
        dtype = _recorded.dtype_of(TYPES[datatype])
        source, target = (self._at(address, count, dtype) for address in (sendbuf, recvbuf))
        state.launch("ncclAllReduce")
        try:
            target[...] = self._added(source.copy(), (count, datatype))
        except GONE:
            self._fault, state.stuck = REMOTE_ERROR, True
            target.view(np.uint8)[...] = 255  # NaN: nothing may use it

    def _added(self, own, call):
        if self._root is not None:
            self._root.send((call, own))
            return self._root.recv()
        total = own
        for _, peer in sorted(self._peers.items()):
            other, array = peer.recv()
            if other != call:
                raise AssertionError(f"ranks differ, where NCCL hangs: {call} and {other}")
            total = total + array
        for peer in self._peers.values():
            peer.send(total)
        return total

    def _at(self, address, count, dtype):
        """Return the elements at an address of this device."""
        _, high, memory = _pointers.block_of(address) or (0, 0, None)
        if memory is None or memory.device != self._device:
            raise NcclError(INVALID_ARGUMENT)
        if address + count * dtype.itemsize > high:
            raise _streams._runtime_error("cudaErrorIllegalAddress: NCCL leaves the array")
        part = (ctypes.c_uint8 * (count * dtype.itemsize)).from_address(address)
        return np.ctypeslib.as_array(part).view(dtype)

    def check_async_error(self):
        """Raise the error of what was submitted before."""
        if self._fault is not None:
            raise NcclError(self._fault)

    def abort(self):
        """End what hangs, and the connections."""
        for peer in (*self._peers.values(), self._root):
            if peer is not None:
                peer.close()
        self._peers, state.stuck = None, False

    def __getattr__(self, name):
        raise Unsupported(f"cupy.cuda.nccl.NcclCommunicator.{name}")
