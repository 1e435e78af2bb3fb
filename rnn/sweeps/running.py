"""Run one trial, where an executor runs it, and the processes of a sweep that is given none.

Above `trials.py`, below `sweep.py`.
"""

import copy
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

import engine
from rnn.sweeps.trials import Trial, numbers
from rnn.training.stopping import Interrupts

Train = Callable[[dict[str, Any]], Any]
GRACE = 5.0  # seconds in which a trial may end by itself after a stop


def run_trial(train: Train, number: int, config: dict[str, Any], seed: int) -> Trial | None:
    """Return a trial with the metrics of ``train(config)`` or its error; None after a signal."""
    start, noted = time.perf_counter(), Interrupts.noted
    metrics: dict[str, float] = {}
    error = None
    try:
        with engine.random.isolated(seed):
            metrics = numbers(train(copy.deepcopy(config)))
    except KeyboardInterrupt:
        return None
    except (Exception, SystemExit) as raised:
        # The first frame is this one, which says nothing to a reader.
        within = raised.__traceback__.tb_next if raised.__traceback__ else None
        error = "".join(traceback.format_exception(type(raised), raised, within))
    if Interrupts.noted != noted:
        return None
    return Trial(number, config, seed, metrics, error, time.perf_counter() - start)


@contextmanager
def processes(workers: int) -> Iterator[Executor]:
    """Make processes for the trials of a sweep; what they still do at the end is stopped.

    They are spawned, share the processors by threads of the engine, and end with this process.
    """
    context = multiprocessing.get_context("spawn")
    ends, alive = context.Pipe(duplex=False)
    threads = max(1, processors() // workers)
    pool = ProcessPoolExecutor(workers, context, _begin, (ends, threads))
    try:
        yield pool
    except BaseException:
        alive.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        alive.close()
        ends.close()


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back inside; processes that are started inside never see it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(ends: Connection, threads: int) -> None:
    """Prepare a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that has the sweep
    engine.set_num_threads(threads)
    threading.Thread(target=_end_with, args=(ends,), daemon=True).start()


def _end_with(ends: Connection) -> None:
    """Wait until the other process is over, or done with the sweep, and end this one."""
    with suppress(EOFError, OSError):
        ends.recv()
    os.kill(os.getpid(), signal.SIGTERM)  # `fit` then writes its checkpoint
    time.sleep(GRACE)
    os._exit(1)


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
