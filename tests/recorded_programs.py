"""The programs of a recurrence as the fused executors see them, for tests. Above `engine.scan`."""

from typing import Any

import engine
import rnn
from engine.scan.call import prepare
from engine.scan.derivative import Derivative
from engine.scan.fused import Fused
from engine.scan.plan import NumpyCore
from engine.scan.recurrence import Recurrence


def job_of(step: Any, init: Any, xs: Any, **options: Any) -> Recurrence:
    """The recurrence of a call of `scan`. Raises NotRecordableError where there is none."""
    return Fused(NumpyCore())._job(prepare(step, init, xs, **options))[0]


def derivative_of(
    step: Any, init: Any, xs: Any, *, saved: bool = True, **options: Any
) -> Derivative:
    """The forward and backward programs of a call of `scan`."""
    return job_of(step, init, xs, **options).derivative(None, saved=saved)


def of_cell(cell: rnn.Cell, batch: int = 2, *, saved: bool = True) -> Derivative:
    """The programs of a cell over four steps, with a gradient for its inputs too."""
    like = cell.parameters()[0]
    state = cell.zero_state(batch, like=like)
    xs = engine.ones((4, batch, cell.input_size), dtype=str(like.dtype), requires_grad=True)
    return derivative_of(rnn.Recurrent(cell).step(), state, xs, saved=saved)
