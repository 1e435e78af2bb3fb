"""Model the time of messages by latency and bandwidth; predict more ranks. Below `scaling.py`.

An all-reduce of n bytes over N ranks takes, with latency L and bandwidth W, as a ring
``2 (N - 1) (L + n / (N W))``, as a tree, by recursive doubling, ``log2(N) (L + n / W)``: Thakur,
Rabenseifner and Gropp, Optimization of collective communication operations in MPICH, 2005.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

RANKS = (8, 64, 1024)


class Network(NamedTuple):
    """Hold seconds of latency of a message, and bytes a second."""

    latency: float
    bandwidth: float


# Bandwidth is the rate of the line: IEEE 802.3ae (10 Gb/s), 802.3bj (100 Gb/s), InfiniBand HDR with
# four lanes (200 Gb/s), in one direction. Latencies are assumptions, of the order that is usually
# given for small MPI messages between two machines: tens of microseconds through the TCP of the
# kernel, a few through RDMA over Ethernet, one to two through InfiniBand.
NETWORKS = {
    "10 GbE": Network(30e-6, 1.25e9),
    "100 GbE": Network(5e-6, 12.5e9),
    "InfiniBand HDR": Network(1.5e-6, 25e9),
}
ALGORITHMS = ("ring", "tree")


def factors(algorithm: str, ranks: int) -> tuple[float, float]:
    """Return how many latencies an all-reduce takes, and how many times its bytes are sent."""
    if algorithm == "ring":
        return 2.0 * (ranks - 1), 2 * (ranks - 1) / ranks
    return math.log2(ranks), math.log2(ranks)


def all_reduce(size: float, ranks: int, network: Network, algorithm: str | None = None) -> float:
    """Return the seconds of an all-reduce of `size` bytes, by the faster algorithm if not told."""
    own = ALGORITHMS if algorithm is None else (algorithm,)
    return min(many * network.latency + times * size / network.bandwidth
               for many, times in (factors(one, ranks) for one in own))  # fmt: skip


def fitted(rows: Sequence[dict[str, Any]], ranks: int, algorithm: str) -> dict[str, float]:
    """Return latency and bandwidth by least squares of relative errors, and the median error.

    Neither is below 0: a latency that comes out so is 0, and the bandwidth is fitted alone.
    """
    size = np.array([row["bytes"] for row in rows], float)
    seconds = np.array([row["seconds"] for row in rows])
    many, times = factors(algorithm, ranks)
    matrix = np.stack([many / seconds, times * size / seconds], axis=1)
    latency, inverse = np.linalg.lstsq(matrix, np.ones(len(rows)), rcond=None)[0]
    if latency < 0:
        latency, inverse = 0.0, 1 / (matrix[:, 1] @ matrix[:, 1] / matrix[:, 1].sum())
    error = np.abs(matrix @ np.array([latency, inverse]) - 1)
    return {"latency": float(latency), "bandwidth": float(1 / inverse),
            "median_relative_error": float(np.median(error))}  # fmt: skip


def line(x: Sequence[float], seconds: Sequence[float]) -> tuple[float, float]:
    """Return c and d of seconds = c + d x by least squares of relative errors."""
    y = np.array(seconds)
    matrix = np.stack([1 / y, np.array(x) / y], axis=1)
    c, d = np.linalg.lstsq(matrix, np.ones(len(y)), rcond=None)[0]
    return float(c), float(d)


def training_step(
    rows: float, ranks: int, network: Network, *, fixed: float, each: float, size: float,
    agreements: float,
) -> float:  # fmt: skip
    """Return the seconds of a step with so many rows a rank: compute, sums, small messages."""
    small = agreements * math.log2(ranks) * network.latency
    return fixed + each * rows + all_reduce(size, ranks, network) + small


def scan_pass(
    steps: float, ranks: int, network: Network, *, each: float, size: float, agreements: float
) -> float:
    """Return the seconds of a scan over `steps` steps a rank, forward and backward.

    `size` are the bytes of a state; a map has two such, and goes over ranks once each way.
    """
    messages = 1 + math.ceil(math.log2(max(ranks - 1, 1)))
    maps = 2 * messages * (network.latency + 2 * size / network.bandwidth)
    return each * steps + maps + agreements * math.log2(ranks) * network.latency
