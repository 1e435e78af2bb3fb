"""Record the programs of a recurrence as the fused executors see them. Above `engine.scan`."""

from typing import Any

import engine
import rnn
from engine.backends import HOST
from engine.scan.call import prepare
from engine.scan.derivative import Derivative
from engine.scan.executors import Fused
from engine.scan.plan import PlanCore
from engine.scan.program import Literal, Program, Source
from engine.scan.recurrence import Recurrence


def job_of(step: Any, init: Any, xs: Any, **options: Any) -> Recurrence:
    """Return the recurrence of a call of `scan`. Raises NotRecordableError where there is none."""
    return Fused(PlanCore())._recurrence(prepare(step, init, xs, **options))[0]


def derivative_of(
    step: Any, init: Any, xs: Any, *, saved: bool = True, **options: Any
) -> Derivative:
    """Return the forward and backward programs of a call of `scan`."""
    return job_of(step, init, xs, **options).derivative(None, saved=saved)


def of_cell(cell: rnn.Cell, batch: int = 2, *, saved: bool = True) -> Derivative:
    """Return the programs of a cell over four steps, with a gradient for its inputs too."""
    like = cell.parameters()[0]
    state = cell.zero_state(batch, like=like)
    xs = engine.ones((4, batch, cell.input_size), dtype=str(like.dtype), requires_grad=True)
    return derivative_of(rnn.Recurrent(cell).step(), state, xs, saved=saved)


def evaluated(program: Program, given: dict[Source, Any]) -> list[Any]:
    """Compute one step in NumPy: new states, outputs of every step, and sums over steps."""
    arrays: list[Any] = []
    for value in program.values:
        if value.op is not None:
            inputs = [one.value if isinstance(one, Literal) else arrays[one]
                      for one in value.inputs]  # fmt: skip
            arrays.append(value.op.forward(HOST.xp, *inputs, **value.attrs))
        elif value.source in given:
            arrays.append(given[value.source])
        else:
            name, number = value.source or ("", 0)
            assert name == "constant", f"nothing gives {value.source}"
            arrays.append(program.constants[number])
    return [arrays[p] for p in (*program.carry, *program.steps, *program.totals)]
