"""Run trials, where an executor runs them, and the processes of a sweep that is given none.

What other processes are to run is checked first: whether it can be sent to them. Above
`trials.py`, below `sweep.py`.
"""

import copy
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

import engine
from engine.scan.c.division import cores
from rnn.sweeps.trials import Trial, numbers
from rnn.training.stopping import Interrupts

FIX = (
    "write a function at the top level of a module, and give it data as "
    "functools.partial(train, data) or read them inside; or run the trials in threads: "
    "executor=concurrent.futures.ThreadPoolExecutor()"
)


def check_picklable(train: Any) -> None:
    """Raise TypeError that names the object for a function that cannot be sent to processes."""
    try:
        ForkingPickler.dumps(train)
    except Exception as error:
        found, inner = _culprit("train", train, error)
        raise TypeError(
            f"sweep: {found} cannot be sent to other processes ({inner}); {FIX}"
        ) from None
    main = sys.modules.get("__main__")
    own = _function(train)
    if getattr(own, "__module__", None) == "__main__" and not (
        getattr(main, "__file__", None) or getattr(main, "__spec__", None)
    ):
        raise TypeError(
            f"sweep: {own.__qualname__} was written in an interactive session, which other "
            f"processes cannot import; {FIX}"
        )


def _function(train: Any) -> Any:
    """Return the function or class that is called in the end."""
    while isinstance(train, partial):
        train = train.func
    return train if hasattr(train, "__qualname__") else type(train)


def _culprit(name: str, value: Any, error: Exception) -> tuple[str, Exception]:
    """Return the smallest part of an object that is no pickle, in words, and why."""
    for inner, part in _inside(name, value):
        try:
            ForkingPickler.dumps(part)
        except Exception as found:
            return _culprit(inner, part, found)
    return f"{name}, {_told(value)},", error


def _inside(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what an object holds, by names that a reader can follow."""
    if isinstance(value, partial):
        yield f"{name}.func", value.func
        yield from _inside(f"{name}.args", value.args)
        yield from _inside(f"{name}.keywords", value.keywords)
    elif isinstance(value, Mapping):
        yield from ((f"{name}[{key!r}]", one) for key, one in value.items())
    elif isinstance(value, list | tuple):
        yield from ((f"{name}[{key}]", one) for key, one in enumerate(value))
    elif hasattr(value, "__self__"):
        yield f"{name}.__self__", value.__self__
    elif not hasattr(value, "__qualname__"):
        yield from ((f"{name}.{key}", one) for key, one in getattr(value, "__dict__", {}).items())


def _told(value: Any) -> str:
    """Return an object as a few words, with the place of a function."""
    code = getattr(value, "__code__", None)
    if code is not None:
        kind = "a lambda" if value.__name__ == "<lambda>" else f"the function {value.__qualname__}"
        return f"{kind} of {code.co_filename}:{code.co_firstlineno}"
    return f"a {type(value).__name__}"


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
    threads = max(1, cores() // workers)
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
