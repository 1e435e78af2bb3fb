"""Observe every gate and every state of cells over time. Above `layers/recurrent.py`."""

from typing import Any

import engine
from engine import Tensor
from engine.pytree import flatten
from engine.state import current
from rnn.cells.declaration import Step
from rnn.cells.equations import named_ends
from rnn.layers.recurrent import Recurrent, watching
from rnn.modules.module import Module


def variables(roots: list[Tensor], begin: int) -> dict[str, Tensor]:
    """Return the value of every variable that the equations of one step assign, by name, in order.

    `roots` is what the step returned, `begin` the id of the last node before it. Where an equation
    takes several ops the last one has its value; parts of a value that was cut up are left out.
    """
    made: dict[int, Tensor] = {}
    stack = list(roots)
    while stack:
        tensor = stack.pop()
        node = tensor.node
        if node.id > begin and node.inputs and node.id not in made:
            made[node.id] = tensor
            stack += [x for x in node.inputs if isinstance(x, Tensor)]
    ends = named_ends(made[number].node for number in sorted(made))
    tensors = {x.node: x for x in made.values()}
    return {name: tensors[node] for node, name in ends.items()}


class _Watch:
    """Collect the variables of every recurrence that runs, by the path of its module."""

    def __init__(self) -> None:
        self.base = len(current().scope.path)
        self.runs: dict[str, dict[str, Tensor]] = {}
        self._order: list[str] = []  # of the run under way, as its step assigns them

    def step(self, inner: Step) -> Any:
        """Return a step that gives its variables beside its output."""

        def step(before: Any, x: Any) -> tuple[Any, Any]:
            given = flatten((x, before))[0]
            begin = max(one.node.id for one in given)
            with engine.tracing():
                new, y = inner(before, x)
            named = variables(flatten((y, new))[0], begin)
            self._order = list(named)
            rows = flatten(before)[0][0].shape[0]
            # A variable that all rows share is given a row of the batch each.
            for name, own in named.items():
                if not own.ndim or own.shape[0] != rows:
                    named[name] = engine.broadcast_to(own, (rows, *own.shape))
            return new, (y, named)

        step.__wrapped__ = inner.__wrapped__  # type: ignore[attr-defined]  # has the equations
        step.state_names = inner.state_names  # type: ignore[attr-defined]
        return step

    def taken(self, outputs: Any, run: Recurrent) -> Any:
        """Keep the variables of a run that is over; return its outputs alone."""
        y, found = outputs
        path = current().scope.path[self.base :].strip(".")
        if run._name:  # it tells apart what the last part, l0 or l0_reverse, does elsewhere
            path = path.rpartition(".")[0]
        name = path
        while name in self.runs:  # a module that is called several times
            name = f"{path}#{len(self.runs)}"
        own = {variable: found[variable] for variable in self._order}
        if run.batch_first:
            own = {variable: engine.swapaxes(x, 0, 1) for variable, x in own.items()}
        self.runs[name] = own
        return y


def observe(
    net: Module, x: Any, state: Any = None, lengths: Any = None, **options: Any
) -> tuple[Any, Any, dict[str, Tensor]]:
    """Run a network and return all that the equations of its cells name: (y, state, found).

    `found` has (T, B, H), or (B, T, H) of a network with `batch_first`, by name: the variables in
    `step`, which are gates, candidates, and each state after its step. Past the end of a row they
    are zero. With several recurrences inside, names begin with their paths: ``l0.f`` and
    ``l0_reverse.f`` of a layer, ``layers.1.h`` of a stack. `options` are those of the call, such as
    `mask`. Compiled as any other recurrence, differentiable. Raises ValueError without one.

    >>> import engine, rnn
    >>> y, state, found = rnn.observe(rnn.Recurrent(rnn.LSTMCell(3, 5)), engine.ones((7, 2, 3)))
    >>> list(found), found["f"].shape
    (['a', 'i', 'f', 'g', 'o', 'c', 'h'], (7, 2, 5))
    """
    watch = _Watch()
    token = watching.set(watch)
    try:
        given = {} if lengths is None else {"lengths": lengths}
        found = net(x, state, **given, **options)
    finally:
        watching.reset(token)
    if not isinstance(found, tuple) or len(found) != 2:
        raise ValueError(
            f"observe: {type(net).__name__} returns no (y, state) as recurrences do; observe the "
            "layer inside of it"
        )
    y, final = found
    if not watch.runs:
        raise ValueError(f"observe: no recurrence has run in {type(net).__name__}")
    if getattr(net, "batch_first", False) and not isinstance(net, Recurrent) and y.ndim == 3:
        watch.runs = {path: {name: engine.swapaxes(one, 0, 1) for name, one in own.items()}
                      for path, own in watch.runs.items()}  # fmt: skip
    if len(watch.runs) == 1:
        return y, final, next(iter(watch.runs.values()))
    return y, final, {f"{path}.{name}": x for path, own in watch.runs.items()
                      for name, x in own.items()}  # fmt: skip
