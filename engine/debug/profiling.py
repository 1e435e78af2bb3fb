"""Measure a block: wall time and bytes by op and by scope, forward and backward apart.

While a profile is active in a thread it stands where `apply` and the backward pass look for an
interpreter, so nothing is paid for it at other times. Above devices and executors of recurrences.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from engine.derivatives.multi_output import MultiOutput
from engine.interpreter import Recording
from engine.namespace.devices import synchronize
from engine.node import Node
from engine.op import Op
from engine.ops.indexing import Piece
from engine.reading.statistics import table
from engine.scan.nodes import OUTPUT
from engine.state import Pull, current
from engine.tensor import Tensor


@dataclass(frozen=True, slots=True)
class Cost:
    """Hold how often something ran, the seconds that it took, and the bytes of its results."""

    calls: int = 0
    seconds: float = 0.0
    bytes: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.calls + other.calls, self.seconds + other.seconds, self.bytes + other.bytes
        )


@dataclass(frozen=True, slots=True)
class Spent:
    """Hold the cost of the forward rules and of the gradients of one op, or in one scope."""

    forward: Cost = Cost()
    backward: Cost = Cost()

    @property
    def total(self) -> Cost:
        """Return both together."""
        return self.forward + self.backward


class Profile:
    """Record the costs of what ran inside ``with``; make one with `engine.profile`.

    >>> with engine.profile() as costs:
    ...     y = engine.exp(engine.ones(2)) * 3
    >>> sorted(costs.by_op())
    ['exp', 'multiply']
    """

    __slots__ = ("_before", "_clock", "_costs", "_started", "wall")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.wall = 0.0  # seconds inside, all told
        self._clock = clock
        self._costs: dict[tuple[str, str, bool], Cost] = {}  # by op, scope path, gradient or not
        self._started: float | None = None
        self._before: Any = None

    def __enter__(self) -> "Profile":
        if self._started is not None:
            raise RuntimeError(
                "profile: this profile is running; make another with engine.profile()"
            )
        synchronize()
        self._started = self._clock()
        state = current()
        self._before = state.interpreter
        if not isinstance(self._before, Recording):  # which computes nothing to be measured
            state.interpreter = self
        return self

    def __exit__(self, *error: object) -> None:
        assert self._started is not None, "a profile is left after it was entered"
        current().interpreter, self._before = self._before, None
        started, self._started = self._started, None
        synchronize()
        self.wall += self._clock() - started

    @property
    def total(self) -> Cost:
        """Return all ops together; the seconds are at most `wall`."""
        return sum(self._costs.values(), Cost())

    def by_op(self) -> dict[str, Spent]:
        """Return the costs of each op by its name, the most seconds first."""
        return _grouped((op, gradient, cost) for (op, _, gradient), cost in self._costs.items())

    def by_scope(self) -> dict[str, Spent]:
        """Return the costs in each scope by its path, ``""`` at the top, the most seconds first.

        What ran in scopes below is left out, so that the sum is the total.
        """
        return _grouped((path, gradient, cost) for (_, path, gradient), cost in self._costs.items())

    def __str__(self) -> str:
        """Return the whole in a line, and a table each by op and by scope, slowest first."""
        total = self.total
        whole = (
            f"profile of {self.wall:.6f} s: {total.seconds:.6f} s in {total.calls:,} calls, "
            f"{total.bytes:,} bytes of results"
        )
        parts = [whole, self._table("op", self.by_op()), self._table("scope", self.by_scope())]
        return "\n\n".join(part for part in parts if part)

    def _table(self, title: str, spent: dict[str, Spent]) -> str:
        """Return the rows of a table, those of forward and of gradients each on its own."""
        rows = [(name or "top", kind, cost) for name, both in spent.items()
                for kind, cost in (("forward", both.forward), ("gradient", both.backward))
                if cost.calls]  # fmt: skip
        rows.sort(key=lambda row: -row[2].seconds)
        titles = (title, "pass", "calls", "seconds", "share", "bytes")
        printed = [
            (name, kind, f"{cost.calls:,}", f"{cost.seconds:.6f}",
             f"{cost.seconds / self.wall if self.wall else 0:.1%}", f"{cost.bytes:,}")
            for name, kind, cost in rows
        ]  # fmt: skip
        return table([titles, *printed], left=2) if printed else ""

    # ---- what is called while it is active

    def compute(self, op: Op, run: Callable[[], Any]) -> Any:
        """Return the result of ``run()``, which computes an op, and measure it."""
        state = current()
        if self._before is not None:
            run = partial(self._before.compute, op, run)  # a profile around this one measures too
        key = (op.name, state.scope.path, state.origin is not None)
        return self._measured(key, run, lambda out: 0 if op is OUTPUT else _size(out))

    def watched(self, collected: Any, pull: Pull) -> tuple[Any, Pull]:
        """Return the gradients of a backward pass and how it pulls them, both measured."""
        if self._before is not None:
            collected, pull = self._before.watched(collected, pull)
        counted = _Counted(self, collected)

        def measured(tensor: Tensor, node: Node, g: Any, gradients: Any, observe: Any) -> None:
            run = partial(pull, tensor, node, g, gradients, observe)
            before = counted.bytes
            key = (node.op.name, node.scope.path, True)
            self._measured(key, run, lambda _: counted.bytes - before)

        return counted, measured

    def _measured(
        self, key: tuple[str, str, bool], run: Callable[[], Any], size: Callable[[Any], int]
    ) -> Any:
        """Return the result of ``run()``; all computed inside counts for the entry of `key`."""
        state = current()
        before, state.interpreter = state.interpreter, None
        try:
            synchronize()
            start = self._clock()
            out = run()
            synchronize()
            cost = Cost(1, self._clock() - start, size(out))
        finally:
            state.interpreter = before
        self._costs[key] = self._costs.get(key, Cost()) + cost
        return out


def _grouped(costs: Iterable[tuple[str, bool, Cost]]) -> dict[str, Spent]:
    """Return costs by name, whether of gradients or not, added up; the most seconds first."""
    found: dict[str, Spent] = {}
    for name, gradient, cost in costs:
        old = found.get(name, Spent())
        if gradient:
            found[name] = Spent(old.forward, old.backward + cost)
        else:
            found[name] = Spent(old.forward + cost, old.backward)
    order = sorted(found, key=lambda name: (-found[name].total.seconds, name))
    return {name: found[name] for name in order}


class _Counted:
    """Collect the gradients of a backward pass, with the bytes of all that is added to them."""

    __slots__ = ("_collected", "_pieces", "_profile", "bytes", "needed", "recorded")

    def __init__(self, profile: Profile, collected: Any) -> None:
        self.needed, self.recorded = collected.needed, collected.recorded
        self.bytes = 0
        self._profile = profile
        self._collected = collected
        self._pieces: set[int] = set()

    def add(self, number: int, part: Any) -> None:
        """Add one contribution to the gradient of node `number`."""
        self.bytes += _size(part)
        if type(part) is Piece:
            self._pieces.add(number)
        self._collected.add(number, part)

    def take(self, tensor: Tensor, node: Node) -> Any:
        """Return the whole gradient of a tensor; pieces of it are placed here, which takes time."""
        take = partial(self._collected.take, tensor, node)
        if node.id not in self._pieces or type(tensor.data) is MultiOutput:
            return take()
        return self._profile._measured(("place", node.scope.path, True), take, _size)


def _size(x: Any) -> int:
    """Return the bytes of an array, or of several; a piece that waits to be placed has none."""
    if x is None or type(x) is Piece:
        return 0
    if isinstance(x, tuple):
        return sum(map(_size, x))
    return int(getattr(x.data if type(x) is Tensor else x, "nbytes", 0))


def profile(*, clock: Callable[[], float] = time.perf_counter) -> Profile:
    """Return a context manager that measures every op inside, in this thread.

    Times are by `clock`, in seconds; on a GPU it waits for each op, so a profiled block runs
    slower. Gradients count for the op that they differentiate and in its scope, recorded ones
    too; a fused recurrence is one call of ``scan`` forward and one backward. ``place`` puts the
    gradients of slices together, in the scope of what was sliced. Time that is in no op (Python,
    compiling, the making of leaves) is in `wall` only. Bytes are the nbytes of results, views in
    full, and on the way back of what is added to each gradient. May be entered again, and adds up.
    Raises TypeError for a clock that cannot be called.

    >>> with engine.profile() as p:
    ...     y = engine.tanh(engine.ones((2, 3)))
    >>> p.by_op()["tanh"].forward.bytes
    24
    """
    if not callable(clock):
        raise TypeError(
            f"profile: clock must be a function that returns seconds, got {type(clock).__name__}"
        )
    return Profile(clock)
