"""Run one function for many settings, over any executor. Above the other files here."""

import multiprocessing
import os
from collections.abc import Callable, Mapping
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ThreadPoolExecutor,
    as_completed,
)
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

from engine.checks import flag, is_whole
from engine.scan.c.division import cores
from rnn.modules.values import whole
from rnn.sweeps.records import Records
from rnn.sweeps.running import (
    check_picklable,
    interrupts_held,
    processes,
    run_trial,
)
from rnn.sweeps.space import SAMPLERS, Space, key
from rnn.sweeps.trials import Sweep, Trial, check_mode, last_line
from rnn.training.stopping import Interrupted, Interrupts

Results = dict[int, Trial]


def sweep(
    train: Callable[[dict[str, Any]], Mapping[str, Any] | Any],
    space: Mapping[str, Any],
    *,
    samples: int | None = None,
    seed: int = 0,
    monitor: str | None = None,
    mode: str | None = None,
    path: str | Path | None = None,
    resume: bool = False,
    executor: Executor | None = None,
    workers: int | None = None,
    errors: str = "record",
    progress: bool = False,
) -> Sweep:
    """Run ``train(config)`` for settings (hyperparameters) from a space; return all metrics.

    `space` maps names to lists, which make a grid of every combination, to distributions of
    `rnn.sweeps` (`uniform`, `log_uniform`, `integers`, `choice`), and to single values; a mapping
    in it nests settings. Each point of the grid is run `samples` times, once by default; where
    there is a distribution, `samples` must be given and each run draws from it. `config` has one
    value for each name. `train` returns a number, which is called "value", or metrics by name.

    A trial runs with a randomness of its own in the engine, as after ``engine.seed(s)`` with the
    integer that follows from `seed` and the number of the trial; ``engine.random.value()`` is s,
    for generators of others. So metrics depend neither on the executor nor on the order of the
    trials, to the last bit where each computes with the same number of threads. Draws of settings
    follow from `seed`, the number and the name; more `samples` continue the trials that there are.

    `executor` is any of ``concurrent.futures``, or mpi4py's ``MPIPoolExecutor``; by default there
    are `workers` new processes, as many as processors, which share these. `train` and what it holds
    must then be a pickle. `progress` shows a bar.

    Each trial that ends is a line of JSON in the file `path`: settings, metrics, seed, seconds,
    error. With `resume` the sweep does the trials that are not there; without it a file that is
    there is refused. A trial that raises is recorded with its traceback, and others go on; delete
    its line to run it again. With `errors` "raise" the sweep stops and the trial is not recorded.
    Ctrl-C or SIGTERM ends the sweep; trials that had not ended are run by a resumed one. An
    executor that was given goes on with those that it has begun, and their metrics are dropped.
    `monitor` and `mode` say which metric is best, see `Sweep`.

    Raises TypeError or ValueError for arguments that do not fit, before anything is run, and
    RuntimeError where a process died or, with `errors` "raise", a trial raised.

    >>> import rnn
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor() as threads:
    ...     found = rnn.sweep(lambda config: {"loss": config["lr"] ** 2}, {"lr": [0.5, 0.1]},
    ...                       executor=threads)
    >>> found.best.config
    {'lr': 0.1}
    """
    _check_not_imported()
    own = Space(space)
    total = own.size * _samples(samples, own)
    if not callable(train):
        raise TypeError(f"sweep: train must be a function of a config, got {train!r}")
    if not is_whole(seed, 0):
        raise ValueError(f"sweep: seed must be an integer of at least 0, got {seed!r}")
    if mode is not None:
        check_mode(mode)
    if errors not in ("record", "raise"):
        raise ValueError(f"sweep: errors must be 'record' or 'raise', got {errors!r}")
    _check_executor(executor, workers)
    if not isinstance(executor, ThreadPoolExecutor):  # it may run in another process
        check_picklable(train)
    from tqdm import tqdm  # takes a tenth of the time of `import rnn`

    records = Records(path, flag("sweep: resume", resume), seed, own.described())
    done = {number: trial for number, trial in records.done.items() if number < total}
    left = [number for number in range(total) if number not in done]
    interrupts = Interrupts()
    count = min(workers or cores(), len(left))
    made: AbstractContextManager[Any]  # an executor; nothing runs where nothing is left
    made = nullcontext(executor) if executor is not None or not left else processes(count)
    bar = tqdm(total=total, initial=len(done), unit="trial", disable=not progress)
    with interrupts, suppress(Interrupted), bar, made as pool:
        calls = ((number, own.config(seed, number), key(seed, number)) for number in left)
        with interrupts_held():
            futures = [pool.submit(run_trial, train, *call) for call in calls]
        try:
            _collect(futures, done, records, errors, interrupts, bar)
        finally:
            for future in futures:
                future.cancel()
    trials = [done[number] for number in sorted(done)]
    return Sweep(trials, own.described(), monitor, mode, interrupted=len(trials) < total)


def _collect(
    futures: list[Future[Trial | None]],
    done: Results,
    records: Records,
    errors: str,
    interrupts: Interrupts,
    bar: Any,
) -> None:
    """Record trials as they end, until all have or a signal comes."""
    coming = as_completed(futures)
    taken = set()
    try:
        for _ in futures:
            with interrupts.at_once():
                future = next(coming)
            taken.add(future)
            _record(future, done, records, errors, interrupts)
            bar.update()
    except Interrupted:
        for future in futures:
            if future not in taken and future.done():
                _record(future, done, records, errors, interrupts)
        raise


def _record(
    future: Future[Trial | None], done: Results, records: Records, errors: str,
    interrupts: Interrupts,
) -> None:  # fmt: skip
    """Record the trial that a future has. Raises RuntimeError for one that is to stop the sweep."""
    try:
        trial = future.result()
    except BrokenExecutor as error:
        if interrupts.asked:  # a signal for all processes of the job ended the worker between steps
            return
        raise RuntimeError(
            "sweep: a worker process ended in the middle of a trial, killed or for lack of memory, "
            f"or could not start (then its own message is above); {records.told(len(done))}"
        ) from error
    if trial is None:  # a signal reached the worker, and will reach this process or was for it
        return
    if trial.error is not None and errors == "raise":
        settings = ", ".join(f"{name}={value!r}" for name, value in trial.settings.items())
        raise RuntimeError(
            f"sweep: trial {trial.number} ({settings}) raised {last_line(trial)}\n\n{trial.error}"
        )
    records.write(trial)
    done[trial.number] = trial


def _samples(samples: Any, space: Space) -> int:
    """Return how often each point of the grid is run."""
    if samples is None and space.drawn:
        raise ValueError(
            f"sweep: {', '.join(space.drawn)} {'is' if len(space.drawn) == 1 else 'are'} drawn; "
            "say how often: samples=20"
        )
    if (
        samples is None
        and space.size == 1
        and not any(isinstance(part, list) for part in space.parts.values())
    ):
        raise ValueError(f"sweep: nothing varies; give a list, {SAMPLERS}, or samples=")
    return 1 if samples is None else whole("sweep", "samples", samples)


def _check_executor(executor: Any, workers: Any) -> None:
    """Raise for an executor that is none, and for a number of workers that does not fit."""
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise TypeError(
            "sweep: executor must be one of concurrent.futures or mpi4py.futures, such as "
            f"ThreadPoolExecutor(), got {executor!r}"
        )
    if workers is not None:
        whole("sweep", "workers", workers)
        if executor is not None:
            raise ValueError("sweep: workers are of the sweep's own processes; give max_workers "
                             "to the executor")  # fmt: skip


def _check_not_imported() -> None:
    """Raise RuntimeError in a worker process that imports the script that called `sweep`."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError(
            f"sweep: worker process {os.getpid()} imports the script and comes to its call of "
            'rnn.sweep; put what the script does below `if __name__ == "__main__":`'
        )
