"""State what an H200 allows: sizes of blocks and grids, shared memory, blocks resident at once.

Below `_launch.py` and `_driver.py`. Numbers of the CUDA C++ Programming Guide, capability 9.0.
"""

import os
from typing import Any

COMPUTE_CAPABILITY = "90"
MULTIPROCESSORS = 132
THREADS_OF_BLOCK = 1024
BLOCK_LIMITS = (1024, 1024, 64)
GRID_LIMITS = (2**31 - 1, 65535, 65535)
SHARED_DEFAULT = 48 * 1024  # bytes of a block that asks for no more
SHARED_OPT_IN = 227 * 1024
SHARED_OF_MULTIPROCESSOR = 228 * 1024
SHARED_RESERVED = 1024  # bytes of every block
THREADS_OF_MULTIPROCESSOR = 2048
BLOCKS_OF_MULTIPROCESSOR = 32
REGISTERS_OF_MULTIPROCESSOR = 65536
REGISTERS_OF_THREAD = 255

ATTRIBUTES = {
    "MaxThreadsPerBlock": THREADS_OF_BLOCK,
    "MaxBlockDimX": BLOCK_LIMITS[0],
    "MaxBlockDimY": BLOCK_LIMITS[1],
    "MaxBlockDimZ": BLOCK_LIMITS[2],
    "MaxGridDimX": GRID_LIMITS[0],
    "MaxGridDimY": GRID_LIMITS[1],
    "MaxGridDimZ": GRID_LIMITS[2],
    "MaxSharedMemoryPerBlock": SHARED_DEFAULT,
    "MaxSharedMemoryPerBlockOptin": SHARED_OPT_IN,
    "MaxSharedMemoryPerMultiprocessor": SHARED_OF_MULTIPROCESSOR,
    "ReservedSharedMemoryPerBlock": SHARED_RESERVED,
    "MaxRegistersPerBlock": REGISTERS_OF_MULTIPROCESSOR,
    "MaxRegistersPerMultiprocessor": REGISTERS_OF_MULTIPROCESSOR,
    "MaxThreadsPerMultiProcessor": THREADS_OF_MULTIPROCESSOR,
    "MaxBlocksPerMultiprocessor": BLOCKS_OF_MULTIPROCESSOR,
    "MultiProcessorCount": MULTIPROCESSORS,
    "WarpSize": 32,
    "CooperativeLaunch": 1,
    "ComputeCapabilityMajor": 9,
    "ComputeCapabilityMinor": 0,
    "L2CacheSize": 50 * 2**20,
    "ClockRate": 1_980_000,
    "TotalConstantMemory": 64 * 1024,
}


def properties() -> dict[str, Any]:
    """Return what runtime.getDeviceProperties gives: the names that a program may read."""
    return {
        "name": b"NVIDIA H200 (fake)",
        "major": 9,
        "minor": 0,
        "totalGlobalMem": 141 * 10**9,
        "multiProcessorCount": MULTIPROCESSORS,
        "sharedMemPerBlock": SHARED_DEFAULT,
        "sharedMemPerBlockOptin": SHARED_OPT_IN,
        "sharedMemPerMultiprocessor": SHARED_OF_MULTIPROCESSOR,
        "reservedSharedMemPerBlock": SHARED_RESERVED,
        "regsPerBlock": REGISTERS_OF_MULTIPROCESSOR,
        "regsPerMultiprocessor": REGISTERS_OF_MULTIPROCESSOR,
        "maxThreadsPerBlock": THREADS_OF_BLOCK,
        "maxThreadsPerMultiProcessor": THREADS_OF_MULTIPROCESSOR,
        "maxBlocksPerMultiProcessor": BLOCKS_OF_MULTIPROCESSOR,
        "maxThreadsDim": BLOCK_LIMITS,
        "maxGridSize": GRID_LIMITS,
        "warpSize": 32,
        "cooperativeLaunch": 1,
        "l2CacheSize": 50 * 2**20,
    }


def bus_id(device: int) -> str:
    """Return the address of a GPU on the machine, the same in every process."""
    return f"0000:{device + int(os.environ.get('FAKE_CUPY_BUS', '1')):02X}:00.0"


def registers(bound: int) -> int:
    """Return the most registers that a compiler may give a thread of a block of `bound` threads."""
    warps = -(-bound // 32)
    return min(REGISTERS_OF_THREAD, REGISTERS_OF_MULTIPROCESSOR // warps // 256 * 256 // 32)


def resident_blocks(threads: int, shared: int, registers: int) -> int:
    """Return how many blocks of these needs one multiprocessor holds; `shared` is in bytes."""
    if threads > THREADS_OF_BLOCK or shared > SHARED_OPT_IN:
        return 0
    warps = -(-threads // 32)
    per_warp = -(-registers * 32 // 256) * 256
    taken = -(-(shared + SHARED_RESERVED) // 128) * 128
    return min(
        BLOCKS_OF_MULTIPROCESSOR,
        THREADS_OF_MULTIPROCESSOR // (32 * warps),
        REGISTERS_OF_MULTIPROCESSOR // (per_warp * warps),
        SHARED_OF_MULTIPROCESSOR // taken,
    )
