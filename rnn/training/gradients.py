"""Log pictures of the gradient through time while a model trains. Above `boards.py`.

The loss of one batch, always the same, is run with every step on the graph, and differentiated at
every state of every cell.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import engine
from engine.backends import HOST
from engine.random import random_state, set_random_state
from engine.state import using
from rnn.modules.modes import kept_modes
from rnn.modules.values import whole
from rnn.training.boards import TensorBoard
from rnn.training.callbacks import Callback
from rnn.training.history import Step
from rnn.training.losses import loss_of
from rnn.training.settings import Settings
from rnn.wrappers.tap import Tap
from rnn.wrappers.wrapper import wrapped

if TYPE_CHECKING:
    from rnn.training.loop import Run

Norms = dict[str, dict[int, float]]
SIZE = (7, 3.5)  # inches


class GradientPictures(Callback):
    """Draw the norm of dL/ds_t over t, for every state s, every `every` steps: a callback of `fit`.

    `batch` is one that the loss of `fit` takes; its loss L is computed in evaluation mode, without
    a state before it. `to` is a folder, where ``gradients-000100.png`` and so on are written, or a
    `TensorBoard` that comes before this in `callbacks`. The states are those after each step, of
    all rows that have the step; h of several layers and directions is ``h_l0``, ``h_l0_reverse``.
    The first step is drawn, too. The run goes on as it would without. Raises ValueError for
    `every` below 1 and for models without a cell, TypeError for another `to`.
    """

    def __init__(self, batch: Any, to: str | Path | TensorBoard, *, every: int = 100) -> None:
        if not isinstance(to, str | Path | TensorBoard):
            raise TypeError(
                f"GradientPictures: to must be a folder or a TensorBoard, got {type(to).__name__}"
            )
        self.batch, self.every = batch, whole("GradientPictures", "every", every)
        self.to = to if isinstance(to, TensorBoard) else Path(to)

    def step(self, run: "Run", record: Step) -> None:
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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, layout="constrained")
    canvas: Any = FigureCanvasAgg(figure)
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
    canvas.draw()
    return figure
