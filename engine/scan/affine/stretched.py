"""Long and narrow recurrences, entry by entry, in stretches of time. Above `staged.py`."""

from typing import Any

from engine.ops.creation import full
from engine.scan.affine.lines import lines
from engine.scan.affine.staged import Known, StagedRecurrence
from engine.scan.affine.stages import Split, Stage
from engine.scan.affine.stretches import in_stretches
from engine.tensor import Tensor


class StretchedRecurrence(StagedRecurrence):
    """A recurrence with states that go on entry by entry, in stretches side by side."""

    def stages(self) -> Split:
        """Return the stages of the program."""
        return lines(self.program)

    def special(self, stage: Stage, finals: list[Tensor], known: Known) -> None:
        """Run a state: what it is at the end and before every step."""
        line = stage.line
        assert line is not None
        steps = self.run_stage(stage.program, [], known)
        first = finals[line.state]

        def over_time(x: Any) -> Tensor:
            if type(x) is int:
                return steps[x]
            return full((self.steps, *first.shape), x, dtype=first.dtype, device=first.device)

        finals[line.state], known["state", line.state] = in_stretches(
            first, over_time(line.decay), over_time(line.added), reverse=self.reverse,
            scan=self.scan,
        )  # fmt: skip
