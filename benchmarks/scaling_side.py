"""Run one rank of scaling: `mpiexec -n N python -m mpi4py -m benchmarks.scaling_side JSON`.

Rank 0 prints the result as the last line. What limits a line is measured apart, in a run of its
own: ranks meet before every message, and the time to the meeting is waiting. Below `scaling.py`.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import numpy as np

import engine
import rnn
from rnn.data import Streams
from rnn.distributed import Communicator, affine_scan, layers, run_stretch, sequences
from rnn.distributed import affine as scans

WORLD: Any = None  # the communicator of all ranks, once there is one
VOCABULARY, WIDTH, STEPS = 2000, 128, 35  # of the language model, and its chunks
SIZES = [1 << power for power in range(10, 27, 2)]  # bytes, 1 KiB to 64 MiB
PAIRS = [(1, 64), (8, 256), (32, 1024)]  # B, H of states that ranks exchange


class Apart:
    """Hold seconds and calls by name: of messages, and of waiting for the last rank before each."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}

    def wrapped(self, name: str, f: Callable[..., Any], *, meet: bool = True) -> Callable[..., Any]:
        """Return the function, measured."""

        def timed(*inputs: Any, **options: Any) -> Any:
            began = time.perf_counter()
            if meet:
                WORLD.Barrier()
                self.add("waiting", time.perf_counter() - began)
                began = time.perf_counter()
            found = f(*inputs, **options)
            self.add(name, time.perf_counter() - began)
            return found

        return timed

    def add(self, name: str, seconds: float) -> None:
        """Add a measurement."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.calls[name] = self.calls.get(name, 0) + 1

    def told(self, total: float, count: int) -> dict[str, Any]:
        """Return milliseconds a step, means over the ranks, and calls a step of this rank."""
        own = {**self.seconds, "compute": total - math.fsum(self.seconds.values())}
        ranks = WORLD.allgather(own)
        return {
            "milliseconds": {name: sum(one[name] for one in ranks) / len(ranks) / count * 1e3
                             for name in own},
            "calls": {name: calls / count for name, calls in self.calls.items()},
        }  # fmt: skip


def slowest(job: Callable[[], Any], rounds: int, warm_ups: int = 2) -> float:
    """Return the median over rounds of the seconds of the slowest rank."""
    taken = []
    for _ in range(warm_ups + rounds):
        WORLD.Barrier()
        began = time.perf_counter()
        job()
        taken.append(WORLD.allreduce(time.perf_counter() - began, op=_largest()))
    return float(median(taken[warm_ups:]))


def _largest() -> Any:
    from mpi4py import MPI

    return MPI.MAX


def network() -> Any:
    """Return seconds of all-reduces by bytes, and of the two ways to scan maps over ranks."""
    own = Communicator()
    sums = []
    for size in SIZES:
        x = np.zeros(size // 4, "float32")
        rounds = 5 if size > 1 << 24 else 15
        sums.append({"bytes": size, "seconds": slowest(partial(own.sum, x), rounds)})
    maps = []
    for B, H in PAIRS:
        P, s = np.full((1, 1, B, H), 0.5, "float32"), np.ones((1, B, H), "float32")
        ways = {"doubling": scans.incoming, "all-gather": gathered}
        jobs = {name: partial(f, P, s, s, WORLD, reverse=False) for name, f in ways.items()}
        np.testing.assert_allclose(jobs["all-gather"](), jobs["doubling"]())
        seconds = {name: slowest(job, 31, 5) for name, job in jobs.items()}
        maps.append({"B": B, "H": H, "seconds": seconds})
    return {"sums": sums, "maps": maps}


def gathered(P: Any, s: Any, first: Any, communicator: Any, *, reverse: bool) -> Any:
    """Return what `scans.incoming` does, with the maps of all ranks gathered on each."""
    mine = np.stack([*P, s])
    every = np.empty((communicator.Get_size(), *mine.shape), mine.dtype)
    communicator.Allgather(mine, every)
    order = every[::-1] if reverse else every
    for one in order[: scans.place_of(communicator, reverse=reverse)]:
        first = scans.applied(one[:-1], first) + one[-1]
    return first


def scan(T: int, B: int, H: int) -> Any:
    """Return seconds of a forward and backward pass over T steps of all ranks, and of its parts."""
    own = sequences.stretch(T)
    steps = own.stop - own.start
    rng = np.random.default_rng(WORLD.Get_rank())
    a, b = (engine.asarray(rng.uniform(0, 1, (steps, B, H)).astype("float32"), requires_grad=True)
            for _ in range(2))  # fmt: skip

    def one_process(a: Any, b: Any) -> Any:
        first = engine.zeros((B, H))
        return engine.scan(scans._state_step, first, (a, b))[1]

    def job() -> None:
        states = one_process(a, b) if WORLD.Get_size() == 1 else affine_scan(a, b)[1]
        engine.gradients([engine.sum(states)], [a, b])

    seconds = slowest(job, 5)
    return {"seconds": seconds, **measured(job)}


def measured(job: Callable[[], None], count: int = 5) -> dict[str, Any]:
    """Return the parts of the time of a job; ranks meet before its messages from here on."""
    apart = Apart()
    for module, name, what in ((scans, "is_safe", "agreement"), (scans, "numbered", "agreement"),
                               (scans, "incoming", "maps"), (scans, "copy_of", "agreement"),
                               (scans, "agreed", "agreement"), (layers, "alike", "agreement"),
                               (layers, "copy_of", "agreement")):  # fmt: skip
        own: Any = module
        setattr(own, name, apart.wrapped(what, getattr(own, name)))
    began = time.perf_counter()
    for _ in range(count):
        job()
    return apart.told(time.perf_counter() - began, count)


def layer(T: int, B: int, I: int, H: int) -> Any:
    """Return seconds of a minGRU over T steps of all ranks, with all of its gradients."""
    engine.seed(0)
    net = rnn.Recurrent(rnn.MinGRUCell(I, H))
    own = sequences.stretch(T)
    steps = own.stop - own.start
    drawn = np.random.default_rng(WORLD.Get_rank()).normal(size=(steps, B, I)).astype("float32")
    x = engine.asarray(drawn, requires_grad=True)

    def job() -> None:
        y, _ = net(x) if WORLD.Get_size() == 1 else run_stretch(net, x)
        engine.gradients([engine.sum(y)], [x, *net.parameters()])

    seconds = slowest(job, 5)
    return {"seconds": seconds, **measured(job)}


class Timed(Communicator):
    """Measure what a communicator does."""

    def __init__(self, apart: Apart) -> None:
        super().__init__()
        own: Any = self
        for name in ("most", "broadcast", "gather"):
            setattr(own, name, apart.wrapped("agreement", getattr(own, name)))
        own.sum = apart.wrapped("all-reduce", self.sum)


def fit(B: int) -> Any:
    """Return seconds of a step of `rnn.fit` for B rows over all ranks, and of its parts."""
    count, warm_ups = 12, 6
    ids = np.random.default_rng(0).integers(0, VOCABULARY, B * STEPS * (count + warm_ups) + 1)

    def run(distributed: Any, apart: Apart | None) -> tuple[list[float], int]:
        engine.seed(0)
        model = rnn.models.LanguageModel(VOCABULARY, WIDTH, WIDTH)
        data: Any = Streams(ids, batch_size=B, steps=STEPS)
        times = []

        def stamp(run: Any, record: Any) -> None:
            times.append(time.perf_counter())
            if apart is not None and len(times) == warm_ups:  # from here on it counts
                apart.seconds.clear()
                apart.calls.clear()

        if apart is not None:
            data._made = apart.wrapped("input", data._made, meet=False)
        rnn.fit(model, data, lambda model, chunk, state: model.loss(chunk.x, chunk.y, state),
                carry=True, steps=count + warm_ups, progress=False, callbacks=[stamp],
                clip_norm=0.25, distributed=distributed)  # fmt: skip
        return times, sum(x.size for x in model.parameters())

    alone = WORLD.Get_size() == 1
    times, parameters = run(None if alone else True, None)
    between = np.diff(times)[warm_ups - 1 :]
    seconds = float(WORLD.allreduce(float(np.median(between)), op=_largest()))
    apart = Apart()
    times, _ = run(None if alone else Timed(apart), apart)
    total = times[-1] - times[warm_ups - 1]
    return {"seconds": seconds, "gradient_bytes": 4 * parameters, **apart.told(total, count)}


PARTS: dict[str, Callable[..., Any]] = {
    "network": network,
    "scan": scan,
    "layer": layer,
    "fit": fit,
}


def main(arguments: list[str] | None = None) -> None:
    """Measure a part, and print what it finds on rank 0."""
    global WORLD
    parser = argparse.ArgumentParser("scaling_side", description=__doc__)
    parser.add_argument("job", help='such as \'{"part": "fit", "B": 32}\'')
    given = json.loads(parser.parse_args(arguments).job)
    WORLD = sequences.shared(None)
    engine.set_num_threads(1)
    found = PARTS[given.pop("part")](**given)
    if WORLD.Get_rank() == 0:
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
