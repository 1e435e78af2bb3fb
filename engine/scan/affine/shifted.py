"""Recurrences in which states are shifts of what is known before: these are not run step by step.

What is computed of them, such as a product with the input before, is hoisted. Above `staged.py`.
"""

from engine.ops.shaping import concat, expand_dims
from engine.scan.affine.lines import shifts
from engine.scan.affine.staged import Known, StagedRecurrence
from engine.scan.affine.stages import Split, Stage
from engine.tensor import Tensor


class ShiftedRecurrence(StagedRecurrence):
    """A recurrence with shifts that are there before its steps."""

    def stages(self) -> Split:
        """Return the stages of the program."""
        return shifts(self.program)

    def special(self, stage: Stage, finals: list[Tensor], known: Known) -> None:
        """Shift what a state is at every step by one."""
        i = stage.shift
        assert i is not None
        (new,) = self.run_stage(stage.program, [], known)
        first = expand_dims(finals[i], axis=0)
        known["state", i] = (
            concat([new[1:], first], axis=0) if self.reverse else concat([first, new[:-1]], axis=0)
        )
        finals[i] = new[0] if self.reverse else new[-1]
