"""Truncate back-propagation through time, by name. Above `recurrent.py` and the layers.

Every kind is a list of windows: losses of the steps in ``[first, stop)`` reach back to the step
`start` and no further. The outputs of a window come from a run that begins at `start` with a
detached state, so that the ordinary backward pass of any loss is the truncated one.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, cast

import engine
from engine import Tensor
from engine.pytree import flatten
from engine.scan.padding import read_lengths
from engine.stepping import while_stepping
from rnn.layers.pytorch import _Layer
from rnn.layers.recurrent import Recurrent
from rnn.modules.module import Module, positive

KINDS = {"chunk": ("k",), "window": ("k1", "k2"), "per-loss": ("k",), "tail": ("k",)}


class Window(NamedTuple):
    """Give losses of the steps in [first, stop) gradients from the steps in [start, stop)."""

    start: int
    first: int
    stop: int


class Cut(NamedTuple):
    """Mark the edge of a state, from a step to the next, that gradients of some losses do not pass.

    >>> import rnn
    >>> rnn.Cut("h", 1, 2, range(3, 5))  # losses 3 and 4 do not reach h of step 1 by step 2
    Cut(state='h', source=1, target=2, losses=range(3, 5))
    """

    state: str
    source: int
    target: int
    losses: range


@dataclass(frozen=True)
class Truncated:
    """Hold outputs and the final state on a graph that is cut, and the loss where one was given.

    >>> import engine, rnn
    >>> x, net = engine.ones((7, 2, 3)), rnn.Recurrent(rnn.GRUCell(3, 5))
    >>> found = rnn.truncated(net, x, kind="chunk", k=3)
    >>> found.outputs.shape, found.state.shape
    ((7, 2, 5), (2, 5))
    """

    outputs: Tensor
    state: Any
    loss: Any = None


def truncated(
    net: Module,
    x: Any,
    state: Any = None,
    loss: Any = None,
    *,
    kind: str,
    k: int | None = None,
    k1: int | None = None,
    k2: int | None = None,
    lengths: Any = None,
) -> Truncated:
    """Return ``net(x, state, lengths)`` with gradients that reach back through time only so far.

    The values are those of the whole run; what differs is ``backward()``, by the `kind`:

    ``"chunk"``, k: the state is detached every k steps.
    ``"window"``, k1 and k2: every k1 steps, and after the last, the losses since the time before
    reach back k2 steps, counted from the newest. Those that are older than that have no gradient.
    ``"per-loss"``, k: the loss of every step reaches back k steps, its own among them.
    ``"tail"``, k: only the last k steps have gradients.

    `net` is a recurrence forward in time: a `Recurrent`, a layer, a stack. ``loss(outputs)`` may be
    a loss for each step (T, B) or any function; an output counts as the loss of its step, the final
    state as one of the last. Windows that begin at the first step reach into `state`: detach what
    is carried from one call to the next. Chunk and tail run every step once, window k2 / k1 times
    and per-loss k times; what is dropped at random is drawn in every window. Raises ValueError
    for another kind, numbers that it does not take, and networks that run backward in time.

    >>> import engine, rnn
    >>> net = rnn.GRU(3, 5)
    >>> found = rnn.truncated(net, engine.ones((7, 2, 3)), kind="chunk", k=3, loss=engine.sum)
    >>> found.loss.backward()
    >>> found.outputs.shape
    (7, 2, 5)
    """
    if not isinstance(x, tuple | dict):  # a pytree of several inputs
        x = x if isinstance(x, Tensor) else engine.asarray(x)
    _refuse_backward(net)
    first, axis = engine.asarray(flatten(x)[0][0]), time_axis(net, x)
    if lengths is not None:
        lengths = read_lengths("truncated", lengths, first.shape[axis], None)
    windows = _windows(first.shape[axis], kind, k=k, k1=k1, k2=k2)
    run = _Run(net, x, axis, state, lengths)
    outputs = [y for window in windows for y in run.outputs(window)]
    y = outputs[0] if len(outputs) == 1 else engine.concat(outputs, axis=axis)
    return Truncated(y, run.last, None if loss is None else loss(y))


def time_axis(net: Module, x: Any) -> int:
    """Return the axis of time in x, a tensor or a pytree: 1 for a network with `batch_first`."""
    turned = any(getattr(part, "batch_first", False) for part in net.modules())
    return 1 if turned and (not isinstance(x, Tensor) or x.ndim == 3) else 0


def cut_edges(
    net: Module,
    steps: int,
    *,
    kind: str,
    k: int | None = None,
    k1: int | None = None,
    k2: int | None = None,
) -> list[Cut]:
    """Return the edges that `truncated` cuts in a sequence of so many steps, of every state.

    `losses` are the steps with losses that come to the edge first, and do not pass it. With tail,
    and with k2 below k1, other losses have no gradient at all. Raises as `truncated`.

    >>> import rnn
    >>> rnn.cut_edges(rnn.GRU(3, 5), 6, kind="tail", k=2)
    [Cut(state='h', source=3, target=4, losses=range(4, 6))]
    """
    _refuse_backward(net)
    names = dict.fromkeys(name for run in _cells(net) for name in run.state_size)
    return [
        Cut(name, start - 1, start, range(max(first, start), stop))
        for start, first, stop in _windows(steps, kind, k=k, k1=k1, k2=k2)
        if start
        for name in names
    ]


def _windows(steps: int, kind: str, **numbers: int | None) -> list[Window]:
    """Return the windows of a kind, the first first."""
    if kind not in KINDS:
        raise ValueError(f"truncation: unknown kind {kind!r}; expected one of {', '.join(KINDS)}")
    given = {name: value for name, value in numbers.items() if value is not None}
    if tuple(given) != KINDS[kind]:
        raise ValueError(
            f"truncation: kind {kind!r} takes {' and '.join(KINDS[kind])}, "
            f"got {' and '.join(given) or 'none of them'}"
        )
    positive(**given)
    every, back = {
        "chunk": (given.get("k"), given.get("k")),
        "window": (given.get("k1"), given.get("k2")),
        "per-loss": (1, given.get("k")),
        "tail": (max(steps, 1), given.get("k")),
    }[kind]
    assert every is not None
    assert back is not None
    borders = [*range(0, max(steps, 1), every), steps]
    chunk = kind == "chunk"  # its last part may be shorter, and reaches back no further
    return [Window(first if chunk else max(0, stop - back), first, stop)
            for first, stop in pairwise(borders)]  # fmt: skip


def _refuse_backward(net: Module) -> None:
    """Raise ValueError for a network with steps that depend on later ones."""
    for part in net.modules():
        if getattr(part, "bidirectional", False) or getattr(part, "reverse", False):
            raise ValueError(
                f"truncation: {type(part).__name__} runs backward in time, where a window has no "
                "state to begin with; turn x round, or truncate the directions by themselves"
            )


def _cells(net: Module) -> list[Any]:
    """Return the cells of a network, of a layer the first."""
    return [part.cell for part in net.modules() if isinstance(part, Recurrent | _Layer)]


class _Run:
    """Run one network over one sequence, window by window; keep the state at every border."""

    def __init__(self, net: Module, x: Any, axis: int, state: Any, lengths: Any) -> None:
        self.net, self.axis = net, axis
        leaves, self.rebuild = flatten(x)
        self.xs = [engine.asarray(one) for one in leaves]
        self.lengths = None if lengths is None else engine.asarray(lengths)
        self.known: dict[int, Any] = {0: state}  # before these steps; detached but for the first
        self.last = state

    def outputs(self, window: Window) -> list[Tensor]:
        """Return the outputs of the steps in [first, stop), in one or two parts."""
        start, first, stop = window
        constant = []
        if start not in self.known:
            latest = max(t for t in self.known if t < start)
            with engine.no_grad():
                y = self._steps(latest, start)
            if first < start:  # too old for a gradient; the window before has ended at `first`
                constant = [y]
        y = self._steps(start, stop)
        if first > start:
            y = _between(y, first - start, stop - start, self.axis)
        return [*constant, y]

    def _steps(self, start: int, stop: int) -> Tensor:
        """Return the outputs of the steps in [start, stop)."""
        x = self.rebuild([_between(one, start, stop, self.axis) for one in self.xs])
        lengths = self.lengths
        if lengths is not None:
            lengths = engine.clip(lengths - start, 0, stop - start)
        with while_stepping(since=start):
            y, self.last = self.net(x, self.known[start], lengths)
        leaves, rebuild = flatten(self.last)
        if stop:
            self.known[stop] = rebuild([one.detach() for one in leaves])
        return cast(Tensor, y)


def _between(x: Tensor, start: int, stop: int, axis: int) -> Tensor:
    """Return some steps of a sequence."""
    return x[(slice(None),) * axis + (slice(start, stop),)]
