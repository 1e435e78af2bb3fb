"""Connect the processes of an MPI job, through mpi4py, and end all where one has failed.

An error that all ranks know of bears the number of the rank that it came from, which prints it.
"""

import os
import sys
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

import engine
from engine.backends import Array, by_device
from engine.checks import flag
from engine.scan.c.products import get_num_threads

# What launchers tell each process: how many there are.
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
RANK = "rank_of_bptt"  # the attribute of an error that all ranks raise
PATIENCE = 5.0  # seconds in which the rank of the error can print it
_watched: "list[Communicator]" = []


class Communicator:
    """Join the processes of an MPI job that train one model: this is number `rank` of `size`.

    `comm` is a communicator of mpi4py, by default `COMM_WORLD`, of which a copy is used.
    ``share(batch, rank, ranks)`` returns the `Share` of a rank in a batch, None where it has no
    rows; batches of `rnn.data` need none. Gradients that lie on devices are added there, by NCCL,
    where each rank has a device of its own, and through the host with ``on_device=False`` or where
    `why_on_host` says, after `rnn.fit` has begun; NCCL has not been run on real GPUs yet.
    `local_rank` is the number of the process among those of its machine. From here on an exception
    that is not caught ends the processes of all ranks, and those of one machine share its
    processors, unless `engine.set_num_threads` has said otherwise. Raises ImportError without
    mpi4py, TypeError for another `comm`.

    >>> import rnn
    >>> ranks = rnn.distributed.Communicator()  # doctest: +SKIP
    >>> history = rnn.fit(model, data, loss, epochs=3, distributed=ranks)  # doctest: +SKIP
    """

    def __init__(
        self,
        comm: Any = None,
        *,
        share: Callable[[Any, int, int], Any] | None = None,
        on_device: bool = True,
    ) -> None:
        self._mpi = _library()
        if comm is not None and not isinstance(comm, self._mpi.Comm):
            raise TypeError(
                f"Communicator: comm must be one of mpi4py, got {type(comm).__name__}; "
                "leave it out for all processes of the job"
            )
        if share is not None and not callable(share):
            raise TypeError(
                "Communicator: share must be a function (batch, rank, ranks), got "
                f"{type(share).__name__}"
            )
        self._comm = (self._mpi.COMM_WORLD if comm is None else comm).Dup()
        self.rank: int = self._comm.Get_rank()
        self.size: int = self._comm.Get_size()
        self.share = share
        self.on_device = flag("Communicator: on_device", on_device)
        self.machine: str = self._mpi.Get_processor_name()
        self.link: Any = None  # what adds arrays of devices, once a run has asked for it
        self.why_on_host: str | None = "no run has begun"
        self.local_rank = self._divide_processors()
        watch(self)

    def _divide_processors(self) -> int:
        """Give each rank of this machine its part of the threads, unless they have been set.

        Return the number of this one among them.
        """
        here = self._comm.Split_type(self._mpi.COMM_TYPE_SHARED)
        processors = os.cpu_count() or 1
        if get_num_threads() == processors:
            engine.set_num_threads(max(1, processors // here.Get_size()))
        number: int = here.Get_rank()
        here.Free()
        return number

    def device(self, name: str) -> str:
        """Return the full name of a device for this process, such as ``"cupy:1"`` for ``"cuda"``.

        Of a name without a number it is one of the GPUs that the process sees, which those of a
        machine take in turn. Raises as `engine.device`.
        """
        full = engine.device(name)
        there = by_device(name).devices()
        return full if ":" in name else there[self.local_rank % len(there)]

    def sum(self, array: Array) -> Array:
        """Add an array of the host over all ranks, in place; returns it."""
        self._comm.Allreduce(self._mpi.IN_PLACE, array, op=self._mpi.SUM)
        return array

    def most(self, array: Array) -> Array:
        """Take the largest over all ranks of each number of an array, in place; returns it."""
        self._comm.Allreduce(self._mpi.IN_PLACE, array, op=self._mpi.MAX)
        return array

    def broadcast(self, what: Any, root: int = 0) -> Any:
        """Return what rank `root` gives, on every rank. It is pickled."""
        return self._comm.bcast(what, root=root)

    def gather(self, what: Any) -> list[Any]:
        """Return what every rank gives, by rank, on every rank. It is pickled."""
        found: list[Any] = self._comm.allgather(what)
        return found

    def can_send(self, what: Any) -> bool:
        """Return whether a thing arrives as what it is: some exceptions cannot be made again."""
        try:
            return type(self._mpi.pickle.loads(self._mpi.pickle.dumps(what))) is type(what)
        except Exception:  # a class of the user's may do anything there
            return False

    def abort(self, status: int = 1) -> None:
        """End the processes of all ranks, at once."""
        self._comm.Abort(status)


def found() -> Communicator | None:
    """Return the communicator of a job of several processes; None where this is the only one.

    A job is known by mpi4py, if it has been imported, or by what its launcher tells it.

    >>> import rnn
    >>> ranks = rnn.distributed.found()  # None in a single process
    """
    launched = any(os.environ.get(name, "1") not in ("", "1") for name in SIZES)
    if not launched and "mpi4py" not in sys.modules:
        return None
    own = Communicator()
    return own if own.size > 1 else None


def _library() -> Any:
    """Return mpi4py's MPI. Raises ImportError that says how to install it."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError: there is no library of MPI
        raise ImportError(
            "rnn.distributed: training on several processes needs mpi4py and an MPI library: "
            "pip install '.[mpi]' in a clone of bptt, or pip install mpi4py mpich"
        ) from error
    return MPI


# ---- errors


def watch(own: Communicator) -> None:
    """Have exceptions that nothing catches end all ranks of the newest communicator."""
    if not _watched:
        sys.excepthook = _ended
    _watched[:] = [own]


def marked(error: BaseException, rank: int = 0) -> BaseException:
    """Return an error that all ranks raise, and `rank` prints."""
    if not hasattr(error, RANK):
        setattr(error, RANK, rank)
    return error


def is_shared(error: BaseException) -> bool:
    """Return whether all ranks raise this error."""
    return hasattr(error, RANK)


def is_told(error: BaseException) -> bool:
    """Return whether an error is to be printed on this rank, if there are several."""
    return not _watched or getattr(error, RANK, _watched[0].rank) == _watched[0].rank


def _ended(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an exception that nothing has caught, and end all ranks."""
    if _watched[0].size > 1:
        end(_watched[0], error)
    else:
        sys.__excepthook__(kind, error, trace)


def end(own: Communicator, error: BaseException) -> None:
    """Print an exception on the rank that it came from, and end all ranks."""
    if is_told(error):
        text = "".join(traceback.format_exception(error))
        print(f"rank {own.rank} of {own.size}:\n{text}", end="", file=sys.stderr, flush=True)
        sys.stdout.flush()
    end_others(130 if isinstance(error, KeyboardInterrupt) else 1, wait=not is_told(error))


def end_others(status: int, *, wait: bool = False) -> None:
    """End all other ranks; `wait` until the rank of the error has printed it."""
    if _watched and _watched[0].size > 1:
        if wait:
            time.sleep(PATIENCE)
        _watched[0].abort(status)
