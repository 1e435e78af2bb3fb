"""Keep by `checkpoint` only inputs and outputs of a function on the graph until the way back.

The backward pass runs it again and goes through the graph that this makes as if it had always been
there. Source: Chen et al., Training deep nets with sublinear memory cost, 2016. Above recurrences.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar

from engine import random
from engine.backends import Array, on_device_of, on_host
from engine.backends.numpy import quiet
from engine.backward import Expansion
from engine.derivatives.multi_output import MultiOutput
from engine.node import Node, new_id
from engine.op import Op
from engine.pytree import Rebuild, flatten
from engine.scan.nodes import OUTPUT
from engine.state import Draws, current, using
from engine.stepping import stepping, while_stepping
from engine.tensor import Tensor
from engine.versions import as_read

NEAR = 1e-3  # how far sums may be apart, of the sum of absolute values: rounding is far below

P = ParamSpec("P")
R = TypeVar("R")


def checkpoint(f: Callable[P, R]) -> Callable[P, R]:
    """Return `f` with only its inputs and outputs on the graph: it runs again in the backward pass.

    Values and gradients are the same to the last bit, also with dropout inside, also those of
    tensors that f uses without being given them; the memory of what is in between is given back
    at once, for one more run. A result that is a slice is copied, as it would keep the whole; what
    is summed over it later may be rounded otherwise. Arguments and results are pytrees, of any
    leaves. f must do the same whenever it is called with the same arguments, must not change
    tensors in place, and its randomness must be the engine's. Raises RuntimeError in the backward
    pass where it did something else the second time, or where the seed was set in between.

    >>> x = engine.asarray(0.5, requires_grad=True)
    >>> y = engine.checkpoint(lambda x: engine.tanh(engine.tanh(x)))(x)
    >>> y.node
    <node checkpoint float32[] at top>
    """

    @wraps(f)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        state = current()
        if not state.recording or state.tracing:  # nothing is kept, or everything is to be seen
            return f(*args, **kwargs)
        return _Run(f).first(args, kwargs)  # type: ignore[no-any-return]

    return run


class _Run:
    """Hold one call of a checkpointed function: what it takes to make the same call again."""

    def __init__(self, f: Callable[..., Any]) -> None:
        state = current()
        self.f = f
        self.scope, self.explicit = state.scope, stepping().explicit
        self.chance = _Chance()
        self.others: list[Any] = []  # the arguments with None where there are tensors
        self.places: list[int] = []
        self.rebuild: Rebuild = list
        self.active: list[int] = []  # which results have a gradient
        self.sums: list[tuple[float, float]] = []  # of the results, to know them again by

    def __repr__(self) -> str:
        return f"<{getattr(self.f, '__qualname__', type(self.f).__name__)}>"

    def first(self, args: Any, kwargs: Any) -> Any:
        """Return the result, its graph cut off and a single node put in its place."""
        flat, self.rebuild = flatten((args, kwargs))
        self.places = [i for i, x in enumerate(flat) if isinstance(x, Tensor)]
        self.others = [None if isinstance(x, Tensor) else x for x in flat]
        given = [flat[i] for i in self.places]
        nodes = [x.node for x in given]  # older than the run
        lowest_id = new_id()
        with self.chance.noted():
            result = self.f(*args, **kwargs)
        if any(x.node is not node for x, node in zip(given, nodes, strict=True)):
            raise ValueError(f"checkpoint: {self!r} changes an argument in place; use a copy")
        results, rebuild = flatten(result)
        self.active = [i for i, x in enumerate(results) if _made_since(x, lowest_id)]
        made = [results[i] for i in self.active]
        if not made:
            return result
        self.sums = list(map(_sums, made))
        inputs = (*given, *_used_besides(made, lowest_id, {node.id for node in nodes}))
        for i, x in zip(self.active, self._cut_off(made, inputs), strict=True):
            results[i] = x
        return rebuild(results)

    def _cut_off(self, made: list[Tensor], inputs: tuple[Tensor, ...]) -> list[Tensor]:
        """Return the results as outputs of one node on all that they depend on."""
        for x in inputs:
            x._used = True  # also by what leaves no node, such as a mask
        arrays = [_alone(x.data) for x in made]
        if len(made) == 1:
            return [_tensor(CHECKPOINT, inputs, {"run": self}, arrays[0])]
        whole = _tensor(CHECKPOINT, inputs, {"run": self}, MultiOutput(arrays))
        return [_tensor(OUTPUT, (whole,), {"number": i}, x) for i, x in enumerate(arrays)]

    def again(self, inputs: Sequence[Any]) -> tuple[list[Tensor], int]:
        """Return the results on a graph of their own, and an id that is older than all of it."""
        flat = list(self.others)
        for place, x in zip(self.places, inputs, strict=False):
            flat[place] = x
        args, kwargs = self.rebuild(flat)
        lowest_id = new_id()
        settings = {"recording": True, "scope": self.scope}
        # What f uses besides its arguments may have changed since, by a step of an optimiser.
        with (
            using(**settings, equations=None, sealed=False),
            while_stepping(explicit=self.explicit),
            self.chance.repeated(),
            as_read(inputs),
        ):
            results = flatten(self.f(*args, **kwargs))[0]
        found = [i for i, x in enumerate(results) if _made_since(x, lowest_id)]
        if found != self.active:
            raise RuntimeError(
                f"checkpoint: {self!r} gave gradients to results {found} the second time and to "
                f"{self.active} the first; it must do the same with the same arguments"
            )
        again = [results[i] for i in found]
        for i, before, x in zip(found, self.sums, again, strict=True):
            if not _are_near(before, _sums(x)):
                raise RuntimeError(
                    f"checkpoint: {self!r} gave other numbers for result {i} the second time; it "
                    "must do the same with the same arguments: no counter, no draw of NumPy"
                )
        return again, lowest_id


def _sums(x: Tensor) -> tuple[float, float]:
    """Return the sums of a result and of its absolute values; nothing on a device: no wait."""
    if not on_host(x.data):
        return (0.0, 0.0)
    with quiet():
        return float(x.data.sum(dtype="float64")), float(abs(x.data).sum(dtype="float64"))


def _are_near(some: tuple[float, float], others: tuple[float, float]) -> bool:
    """Return whether sums agree but for rounding, or are not finite."""
    room = NEAR * max(some[1], others[1])
    pairs = zip(some, others, strict=True)
    return not math.isfinite(room) or all(abs(a - b) <= room for a, b in pairs)


def _alone(array: Array) -> Array:
    """Return an array that keeps no larger one: a view of a part, such as a slice, is copied."""
    # Memory that another program lends has no size, and is not of the function's making.
    whole = getattr(array.base, "nbytes", 0)
    if whole <= array.nbytes:
        return array
    with on_device_of(array):
        return array.copy(order="K")


def _made_since(x: Any, lowest_id: int) -> bool:
    """Return whether x is a tensor with a gradient that was computed after an id."""
    made = isinstance(x, Tensor) and x.requires_grad and bool(x.node.operands)
    return made and x.node.id > lowest_id


def _used_besides(made: list[Tensor], lowest_id: int, given: set[int]) -> list[Tensor]:
    """Return the tensors that a run used and was not given: most often parameters."""
    seen: set[int] = set(given)
    found = {}
    stack = list(made)
    while stack:
        tensor = stack.pop()
        node = tensor.node
        if node.id in seen:
            continue
        seen.add(node.id)
        if node.id < lowest_id or (tensor.requires_grad and not node.operands):
            found[node.id] = tensor
        else:
            stack += [x for x in node.inputs if isinstance(x, Tensor)]
    return [found[number] for number in sorted(found)]


def _tensor(op: Op, inputs: tuple[Tensor, ...], attrs: dict[str, Any], data: Any) -> Tensor:
    """Return a tensor with its node, which `apply` would compute once more."""
    state = current()
    proxy = MappingProxyType(attrs)
    node = Node(op, inputs, proxy, data.shape, data.dtype, state.scope, new_id(), state.origin)
    return Tensor(data, node, True)


def _forward(xp: Any, *values: Any, run: _Run) -> Any:
    """Return the result for other arrays, where a graph is computed again."""
    if len(run.active) > 1:
        raise TypeError(f"checkpoint: {run!r} has several results; compute it again with its loss")
    with using(recording=False):
        flat = list(run.others)
        for place, value in zip(run.places, values, strict=False):
            flat[place] = Tensor(value)
        args, kwargs = run.rebuild(flat)
        with run.chance.repeated():
            return flatten(run.f(*args, **kwargs))[0][run.active[0]].data


def _vjp(xp: Any, g: Any, out: Any, *inputs: Any, run: _Run) -> Expansion:
    return Expansion(run.again, g if len(run.active) > 1 else (g,))


CHECKPOINT = Op("checkpoint", _forward, _vjp)


class _Chance:
    """Note the randomness of one run, so that a second run draws the same."""

    def __init__(self) -> None:
        self.seed = random.value()
        self.outer = current().draws  # inside a step of a recurrence
        self.numbers: list[int] = []  # of the keys that were taken
        self.counts: list[int] = []  # of the draws in the step

    def noted(self) -> using:
        """Return settings for the first run."""
        before = current().keys

        def note(path: str) -> int:
            number = random.taken(path) if before is None else before(path)
            self.numbers.append(number)
            return number

        def count(draws: Draws) -> Iterator[int]:
            for number in draws.count:
                self.counts.append(number)
                yield number

        return using(keys=note, draws=self.outer and _counted(self.outer, count(self.outer)))

    def repeated(self) -> using:
        """Return settings for another run. Setting the seed in between makes it impossible."""
        numbers = iter(self.numbers)

        def repeat(path: str) -> int:
            if random.value() != self.seed:
                raise RuntimeError("checkpoint: the seed was set between the run and its backward "
                                   "pass, so the same numbers cannot be drawn")  # fmt: skip
            number = next(numbers, None)
            if number is None:
                raise RuntimeError("checkpoint: the second run draws more numbers than the first; "
                                   "it must do the same with the same arguments")  # fmt: skip
            return number

        return using(keys=repeat, draws=self.outer and _counted(self.outer, iter(self.counts)))


def _counted(draws: Draws, numbers: Iterator[int]) -> Draws:
    """Return the same draws, numbered by somebody else."""
    own = Draws(draws.key, draws.t)
    own.count = numbers  # type: ignore[assignment]
    return own
