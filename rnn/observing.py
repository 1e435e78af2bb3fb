"""Every gate and every state of a cell over time. Above `recurrent.py`."""

from typing import Any

import engine
from engine import Tensor
from engine.pytree import flatten
from rnn.cells.equations import named_ends
from rnn.recurrent import Recurrent


def variables(roots: list[Tensor], begin: int) -> dict[str, Tensor]:
    """The value of every variable that the equations of one step assign, by name, in order.

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


def observe(
    run: Recurrent, x: Any, state: Any = None, lengths: Any = None, *, unroll: bool = False
) -> tuple[Tensor, Any, dict[str, Tensor]]:
    """A cell over a sequence with all that its equations name: (y, final state, {name: (T, B, H)}).

    Names are those of the variables in `step`: gates, candidates, and each state after its step.
    Past the end of a row they are zero. Compiled as any other recurrence, and differentiable.

    >>> import engine, rnn
    >>> y, state, found = rnn.observe(rnn.Recurrent(rnn.LSTMCell(3, 5)), engine.ones((7, 2, 3)))
    >>> list(found), found["f"].shape
    (['a', 'i', 'f', 'g', 'o', 'c', 'h'], (7, 2, 5))
    """
    inner = run.step()
    order: list[str] = []  # as the step assigns them

    def step(before: Any, x: Any) -> tuple[Any, Any]:
        given = flatten((x, before))[0]
        begin = max(one.node.id for one in given)
        with engine.tracing():
            new, y = inner(before, x)
        named = variables(flatten((y, new))[0], begin)
        order[:] = named
        rows = flatten(before)[0][0].shape[0]
        return new, (y, {name: _of_rows(one, rows) for name, one in named.items()})

    step.__wrapped__ = run.cell.step  # type: ignore[attr-defined]  # where the equations are
    step.state_names = tuple(run.cell.state_size)  # type: ignore[attr-defined]
    final, (y, found) = run.run(x, state, lengths, step, unroll=unroll)
    return y, final, {name: found[name] for name in order}


def _of_rows(x: Tensor, rows: int) -> Tensor:
    """A variable with a row of the batch each, also where all rows share it."""
    return x if x.ndim and x.shape[0] == rows else engine.broadcast_to(x, (rows, *x.shape))
