"""Provide callbacks: event files for TensorBoard, and pictures of the gradient through time.

Above `run.py` and `updating.py`. tensorboardX, which writes event files without TensorFlow, and
matplotlib are imported when they are needed.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import engine
from engine.backends import HOST, Array
from engine.random import random_state, set_random_state
from engine.state import using
from rnn.modules.module import kept_modes
from rnn.modules.values import whole
from rnn.training.history import Step, Validation
from rnn.training.progress import new_figure
from rnn.training.run import Callback, Run, Settings
from rnn.training.updating import loss_of
from rnn.wrappers.tap import Tap
from rnn.wrappers.wrapper import wrapped

Norms = dict[str, dict[int, float]]
SIZE = (7, 3.5)  # inches


class TensorBoard(Callback):
    """Write the metrics of a run into event files: a callback of `fit`.

    `folder` is what ``tensorboard --logdir`` is given, or below it. Every `every` steps: the
    scalars ``train/loss``, ``train/lr`` and ``train/grad_norm``; of every validation
    ``validation/loss`` and the other metrics by name. What is written is on the disk at once, so
    a run that is killed or that raises loses none of it. A run that is resumed goes on in a new
    file of the same folder, and TensorBoard leaves out the steps that it does again. Raises
    ImportError where tensorboardX is missing, ValueError for `every` below 1.

    >>> import rnn
    >>> board = rnn.training.TensorBoard("events/run1")  # doctest: +SKIP
    >>> history = rnn.fit(model, data, loss, epochs=3, callbacks=[board])  # doctest: +SKIP
    """

    def __init__(self, folder: str | Path, *, every: int = 1) -> None:
        self.folder, self.every = Path(folder), whole("TensorBoard", "every", every)
        self._silent = False
        self._library, self._file = _library(), None  # better missed now than after the first step

    def begin(self, run: Run) -> None:
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

    def step(self, run: Run, record: Step) -> None:
        if record.step % self.every == 0:
            self.scalars({"train/loss": record.loss, "train/lr": record.lr,
                          "train/grad_norm": record.grad_norm}, record.step)  # fmt: skip

    def validation(self, run: Run, record: Validation) -> None:
        metrics = {f"validation/{name}": value for name, value in record.metrics.items()}
        self.scalars(metrics, record.step)

    def scalars(self, metrics: Mapping[str, float], step: int) -> None:
        """Write numbers by name. Raises ValueError where no run has begun."""
        summary = self._library.proto.summary_pb2.Summary
        values = [summary.Value(tag=name, simple_value=value) for name, value in metrics.items()]
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


class GradientPictures(Callback):
    """Draw the norm of dL/ds_t over t, for every state s, every `every` steps: a callback of `fit`.

    `batch` is one that the loss of `fit` takes; its loss L is computed in evaluation mode, without
    a state before it. `to` is a folder, where ``gradients-000100.png`` and so on are written, or a
    `TensorBoard` that comes before this in `callbacks`. The batch is run with every step on the
    graph; the states are those after each step, of all rows that have it; h of several layers and
    directions is ``h_l0``, ``h_l0_reverse``. The first step is drawn, too. The run goes on as it
    would without. Raises ValueError for `every` below 1 and for models without a cell, TypeError
    for another `to`.

    >>> import engine, rnn, tempfile
    >>> from pathlib import Path
    >>> net, x = rnn.Recurrent(rnn.ElmanCell(2, 3)), engine.ones((4, 1, 2))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     drawn = rnn.training.GradientPictures(x, folder, every=2)
    ...     history = rnn.fit(net, [x], lambda net, x: net(x)[0].mean(), steps=2, callbacks=[drawn])
    ...     print(sorted(path.name for path in Path(folder).iterdir()))
    ['gradients-000001.png', 'gradients-000002.png']
    """

    def __init__(self, batch: Any, to: str | Path | TensorBoard, *, every: int = 100) -> None:
        if not isinstance(to, str | Path | TensorBoard):
            raise TypeError(
                f"GradientPictures: to must be a folder or a TensorBoard, got {type(to).__name__}"
            )
        self.batch, self.every = batch, whole("GradientPictures", "every", every)
        self.to = to if isinstance(to, TensorBoard) else Path(to)

    def step(self, run: Run, record: Step) -> None:
        if run.rank or (record.step != 1 and record.step % self.every):
            return
        figure = _drawn(gradient_norms(run.settings, self.batch, record.step), record.step)
        if isinstance(self.to, TensorBoard):
            pixels = HOST.xp.asarray(figure.canvas.buffer_rgba())[..., :3]
            self.to.image("gradients/through_time", pixels, record.step)
        else:
            self.to.mkdir(parents=True, exist_ok=True)
            figure.savefig(self.to / f"gradients-{record.step:06d}.png", dpi=120)


def gradient_norms(settings: Settings, batch: Any, step: int) -> Norms:
    """Return the norm of the gradient of a loss at the states after each step, by name and t."""
    taps: list[Tap] = []
    before = random_state()
    try:
        with kept_modes(settings.model), engine.explicit(), using(recording=True):
            settings.model.eval()
            probed = wrapped(settings.model, lambda cell: Tap(cell, taps, None))
            loss, _ = loss_of(replace(settings, model=probed), batch, None, step)
            found = _states(taps)
            flat = [x for states in found.values() for _, x in states]
            if not flat:
                raise ValueError(
                    "GradientPictures: no cell of the model has made a step; the loss has to run "
                    "the model that it is given, loss(model, batch)"
                )
            given = iter(engine.gradients(loss, flat))
    finally:
        set_random_state(before)
    norms: Norms = {}
    for name, states in found.items():
        for t, _ in states:
            g = next(given)
            norms.setdefault(name, {})[t] = 0.0 if g is None else engine.norm(g).item()
    return norms


def _states(taps: list[Tap]) -> dict[str, list[tuple[int, Any]]]:
    """Return the states after each step, with its t, by name."""
    found: dict[str, list[tuple[int, Any]]] = {}
    for tap in taps:
        for number, state in enumerate(tap.state_size):
            name = own = f"{state}{tap.suffix if len(taps) > 1 else ''}"
            again = 2
            while name in found:  # an encoder and a decoder, say
                name, again = f"{own} ({again})", again + 1
            if tap.steps:
                found[name] = [(step.t, step.after[number]) for step in tap.steps]
    return found


def _drawn(norms: Norms, step: int) -> Any:
    """Return a figure of matplotlib: norms over time, on a logarithmic scale."""
    figure = new_figure(SIZE)
    axes = figure.subplots()
    for name, own in norms.items():
        times = sorted(own)
        axes.plot(times, [own[t] or float("nan") for t in times], label=name, marker="o",
                  markersize=2.5, linewidth=1)  # fmt: skip
    if any(x > 0 for own in norms.values() for x in own.values()):
        axes.set_yscale("log")
    axes.set(xlabel="t", ylabel="norm of dL/ds after step t",
             title=f"gradient through time, training step {step:,}")  # fmt: skip
    axes.grid(color="#e6e6e6", linewidth=0.6)
    axes.legend(frameon=False, ncols=4)
    figure.canvas.draw()
    return figure
