"""Offer the training loop as one function, `fit`, which checks its arguments and runs the loop."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.suggestions import advised
from rnn.distributed import Communicator
from rnn.keywords import ARGUMENTS
from rnn.metrics import Metric
from rnn.modules.module import Module
from rnn.optim import Optimizer
from rnn.schedules.base import Schedule
from rnn.training.arguments import settings
from rnn.training.averaging import EMA
from rnn.training.history import History
from rnn.training.loop import Loop
from rnn.training.run import Callback


@advised(ARGUMENTS)
def fit(
    model: Module,
    data: Iterable[Any],
    loss: Callable[..., Any],
    *,
    optimizer: Optimizer | None = None,
    count: Callable[[Any], Any] | None = None,
    accumulate: int = 1,
    ema: EMA | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    validation: Iterable[Any] | None = None,
    validation_split: float | None = None,
    evaluate: Callable[[Module], Mapping[str, float]] | None = None,
    metrics: Mapping[str, Callable[[float], float] | Metric] | Sequence[Metric] | None = None,
    outputs: Callable[..., Any] | None = None,
    validate_every: int | None = None,
    validation_steps: int | None = None,
    monitor: str | None = None,
    mode: str | None = None,
    patience: int | None = None,
    min_delta: float = 0.0,
    restore_best: bool | None = None,
    clip_norm: float | None = None,
    schedule: Schedule | Callable[[Optimizer], Schedule] | None = None,
    schedule_every: str | None = None,
    carry: bool = False,
    callbacks: Sequence[Callback | Callable[..., Any]] = (),
    progress: bool = True,
    log: str | Path | None = None,
    plot: str | Path | None = None,
    checkpoint: str | Path | None = None,
    every: int | None = None,
    keep: int = 2,
    resume: bool = False,
    config: Any = None,
    distributed: bool | Communicator | None = None,
) -> History:
    """Train a model: ``loss(model, batch)``, a scalar in a tensor, is made smaller batch by batch.

    `data` is read from its start for every epoch. Give the number of `epochs` or of `steps`, those
    before a resume among them. The optimiser is Adam by default; `schedule` is one, or makes one
    of the optimiser, and steps every "step", "epoch" or "validation" (`schedule_every`): by default
    every step of the optimiser, where PyTorch's loops step every epoch, and a plateau, also one
    after a warm-up, every validation. One that is over before the run is refused. `clip_norm`
    bounds the norm of all gradients. `accumulate` batches make a step together, as one batch of all
    of them would. `ema` is an `EMA` of the weights, which validations measure.

    With `carry` the loss is ``loss(model, batch, state) -> (loss, state)``: the state is None at
    the start of an epoch and handed on, detached, from batch to batch (truncated BPTT). A loss with
    a parameter `step` is told how many steps are done, for what changes as training goes on, such
    as `rnn.models.forcing_ratio`.

    A batch counts as many as its loss is the mean of: ``count(batch)``, by default the targets of a
    `rnn.data.Batch` (steps without padding, rows, or steps of x where there is no y) or `Chunk`,
    and of other batches the elements of the last array or list of numbers. Batches that are put
    together, and means over batches, weigh each by that, so that they are means over tokens.

    With `validation_split`, in (0, 1), the validation is that last share of `data`, which is not
    trained on: of the examples of `Batches` and `ArrayBatches`, before they are shuffled, and of
    the batches of a list.

    After every epoch, or `validate_every` steps, and at the end: the metrics are "loss", the mean
    over `validation`, or over the first `validation_steps` batches of it; `metrics` by name,
    functions of that mean or `Metric` objects (also in a list); and what ``evaluate(model)`` gives.
    Each `Metric` is reset, then its ``update(*outputs(model, batch))`` takes every batch of
    `validation`; with `carry` it is ``outputs(model, batch, state) -> (arguments, state)``. The
    model is in evaluation mode meanwhile. While it trains each part keeps the mode that it was
    given in; a model that evaluates as a whole is switched to training, but for frozen parts.

    Better means a smaller (`mode` "max": larger) metric `monitor`, the first one by default, by
    more than `min_delta`; without a `mode` a `Metric` that is watched says itself what is `better`,
    and so do names that are known, such as "loss" and "accuracy"; another name needs a `mode`.
    After `patience` validations that were no better training stops. The best weights are put back
    at the end where `restore_best` says so, by default with patience; not after an interrupt, which
    leaves the weights of the last step.

    `callbacks` are `Callback` objects or functions ``(run, record)``, called after every step. A
    bar on stderr shows `progress`, or a line now and then where there is no terminal; `log` is a
    JSONL file, or a CSV file where it ends so, `plot` a picture, written at the end.

    `checkpoint` is a folder, written at the start, every `every` steps (by default every epoch), at
    the end, and where a validation, a callback, the data or the loss raises: no step is lost. It
    holds the last `keep`, and in each `config`, any plain data. With `resume` training goes on from
    the newest that is good, to the bit as if it had never stopped, if it is given the same
    arguments and data that is in the same order: a loader with ``state()`` and ``restore()``, or an
    iterable of the same batches. It goes on with the settings of the optimiser that it had, and
    warns of others, and of data that are others. In an empty folder it begins.

    With `distributed`, True or a `rnn.distributed.Communicator`, the processes of ``mpiexec -n N``
    train as one would: each is given the same arguments and the whole `data` and takes its rows of
    every batch; gradients are summed over all, and masks are those of one process. The first one
    writes and shows; callbacks run in all, and `evaluate` in the first. A run can be resumed with
    another N. An error in one ends all.

    Ctrl-C or SIGTERM ends training after the step at hand and the checkpoint, and a validation at
    once, which a resumed run begins with. A loss or a gradient that is no number raises
    `engine.AnomalyError`, which names the first op at fault, its scope and t; the weights are then
    those before that step. Raises TypeError and ValueError for bad arguments before anything is
    run, ValueError for damaged checkpoints, OSError where files cannot be written.

    >>> import engine, rnn
    >>> net, x = rnn.Linear(2, 1), engine.ones((4, 2))
    >>> found = rnn.training.fit(net, [x], lambda net, x: engine.mean(net(x) ** 2), epochs=3)
    >>> len(found.losses), found.stopped
    (3, 'epochs')
    """
    return Loop(settings(**locals())).go()
