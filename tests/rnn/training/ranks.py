"""Serve the jobs of several processes that tests start: what each of them can do without pytest.

To import pytest takes each process a quarter of its start.
"""

import time
from collections.abc import Callable
from typing import Any

from mpi4py import MPI


def raised(kind: type[BaseException], call: Callable[[], Any]) -> BaseException:
    """Return the error of a kind that a call raises. Raises AssertionError where it raises none."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


def sleep_until_all_are_here() -> None:
    """Wait as a barrier does, but without taking a core from the tests that run beside."""
    waiting = MPI.COMM_WORLD.Ibarrier()
    while not waiting.Test():
        time.sleep(0.005)


def of_one_process(compute: Callable[[], Any]) -> Any:
    """Return what rank 0 computes alone; the others sleep so long."""
    found = None if MPI.COMM_WORLD.Get_rank() else compute()
    sleep_until_all_are_here()
    return MPI.COMM_WORLD.bcast(found)
