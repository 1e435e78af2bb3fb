"""Write event files, which TensorBoard shows, as training goes on. Above `callbacks.py`.

tensorboardX, which writes them without TensorFlow, is imported when a writer is made.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.backends import Array
from rnn.modules.values import whole
from rnn.training.callbacks import Callback
from rnn.training.history import Step, Validation

if TYPE_CHECKING:
    from rnn.training.loop import Run


class TensorBoard(Callback):
    """Write the figures of a run into event files: a callback of `fit`.

    `folder` is what ``tensorboard --logdir`` is given, or below it. Every `every` steps: the
    scalars ``train/loss``, ``train/lr`` and ``train/grad_norm``; of every validation
    ``validation/loss`` and the other figures by name. What is written is on the disk at once, so
    a run that is killed or that raises loses none of it. A run that is resumed goes on in a new
    file of the same folder, and TensorBoard leaves out the steps that it does again. Raises
    ImportError where tensorboardX is missing, ValueError for `every` below 1.
    """

    def __init__(self, folder: str | Path, *, every: int = 1) -> None:
        self.folder, self.every = Path(folder), whole("TensorBoard", "every", every)
        self._silent = False
        self._library, self._file = _library(), None  # better missed now than after the first step

    def begin(self, run: "Run") -> None:
        self._silent = bool(run.rank)  # the first of several processes writes
        if self._silent:
            return
        library = self._library
        self.folder.mkdir(parents=True, exist_ok=True)
        # The name has the second in it; a run that goes on within that begins another file.
        suffix = f".{os.getpid()}.{run.step}"
        self._file = library.event_file_writer.EventsWriter(str(self.folder / "events"), suffix)
        if run.step:
            session = library.proto.event_pb2.SessionLog
            self._write(run.step + 1, session_log=session(status=session.START))

    def step(self, run: "Run", record: Step) -> None:
        if record.step % self.every == 0:
            self.scalars({"train/loss": record.loss, "train/lr": record.lr,
                          "train/grad_norm": record.grad_norm}, record.step)  # fmt: skip

    def validation(self, run: "Run", record: Validation) -> None:
        figures = {f"validation/{name}": value for name, value in record.metrics.items()}
        self.scalars(figures, record.step)

    def scalars(self, figures: Mapping[str, float], step: int) -> None:
        """Write numbers by name. Raises ValueError where no run has begun."""
        summary = self._library.proto.summary_pb2.Summary
        values = [summary.Value(tag=name, simple_value=value) for name, value in figures.items()]
        self._write(step, summary=summary(value=values))

    def image(self, name: str, pixels: Array, step: int) -> None:
        """Write a picture (height, width, 3) of bytes. Raises ValueError where no run has begun."""
        self._write(step, summary=self._library.summary.image(name, pixels, dataformats="HWC"))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, step: int, **content: Any) -> None:
        """Write one event, which is on the disk when this returns.

        That is why this is not tensorboardX's `SummaryWriter`: what waits in its queue is lost
        with the process, also after its `flush`.
        """
        if self._silent:
            return
        if self._file is None:
            raise ValueError(
                "TensorBoard: no run has begun; give it to fit: callbacks=[board, ...], before the "
                "callbacks that write into it"
            )
        event = self._library.proto.event_pb2.Event(wall_time=time.time(), step=step, **content)
        self._file.write_event(event)
        self._file.flush()


def _library() -> Any:
    """Return tensorboardX. Raises ImportError that says how to install it."""
    try:
        import tensorboardX.event_file_writer
        import tensorboardX.proto.event_pb2
        import tensorboardX.summary
    except ImportError as error:
        raise ImportError(
            "TensorBoard: event files are written by tensorboardX; "
            "pip install '.[logs]' in a clone of bptt, or pip install tensorboardX"
        ) from error
    return tensorboardX
