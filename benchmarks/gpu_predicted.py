"""Predict the time of a step by the model of the generated kernels. Below `tables.py`.

Predicted, not measured: a floor by the constants of `engine/scan/cuda/model.py`.
"""

from typing import Any

import engine
import rnn
from benchmarks.gpu_lines import CLASSES
from engine.scan.call import prepare
from engine.scan.cuda.core import Choice, choices
from engine.scan.kernels.layout import KernelLayout
from engine.scan.kernels.lowering import lowered
from engine.scan.program import Program
from engine.scan.recorded import program_of
from engine.scan.recurrence import Recurrence

SHAPES = [(B, H) for H in (256, 512, 768, 1024) for B in (1, 16, 64, 128)]


def programs(B: int, H: int) -> list[Program]:
    """Return the programs of an LSTM's step and of its derivative, as kernels have them."""
    cell = rnn.LSTMCell(H, H)
    x = engine.zeros((2, B, H))

    def step(state: Any, x: Any) -> Any:
        y, state = cell.step(x, state)
        return state, y

    call = prepare(step, cell.zero_state(B, like=x), x)
    program = program_of(call)
    job = Recurrence(program, [], steps=2, reverse=False, keep=True, call=call,
                     needs=frozenset((*program.per_step, *program.fixed)))  # fmt: skip
    own = job.derivative(None, saved=True)
    return [lowered(own.forward), lowered(own.program)]


def fastest(program: Program, precision: int) -> Choice:
    """Return the form that the model chooses."""
    return choices(program, KernelLayout(program), precision)[0]


def predicted() -> list[str]:
    """Return the predicted time of a training step of an LSTM for each step in time, in rows."""
    rows = [f"| B, H | {' | '.join(CLASSES)} |", "|---" * (1 + len(CLASSES)) + "|"]
    for B, H in SHAPES:
        both = programs(B, H)
        cells = []
        for precision in range(len(CLASSES)):
            found = [fastest(program, precision) for program in both]
            seconds = sum(one.seconds for one in found)
            forms = " + ".join(dict.fromkeys(one.form for one in found))
            cells.append(f"{seconds * 1e6:.1f} ({forms})")
        rows.append(f"| {B}, {H} | {' | '.join(cells)} |")
    return rows
