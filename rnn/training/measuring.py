"""Measure a model, or have it predict, without training it: `evaluate` and `predict`.

Above `validating.py`, which has the metrics.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import engine
from engine import Tensor
from engine.backends import HOST, Array
from engine.checks import flag
from engine.suggestions import advised, kind_of
from rnn.data.batching import Batch
from rnn.keywords import ARGUMENTS
from rnn.metrics import Metric
from rnn.modules.module import Module, evaluating
from rnn.modules.values import whole
from rnn.training.arguments import check_loss, refuse_pair, takes_step
from rnn.training.monitoring import check_validation, named_metrics
from rnn.training.progress import Progress
from rnn.training.run import Settings
from rnn.training.validating import measured


@advised(ARGUMENTS)
def evaluate(
    model: Module,
    data: Iterable[Any],
    loss: Callable[..., Any],
    *,
    metrics: Mapping[str, Callable[[float], float] | Metric] | Sequence[Metric] | None = None,
    outputs: Callable[..., Any] | None = None,
    count: Callable[[Any], Any] | None = None,
    carry: bool = False,
    steps: int | None = None,
    progress: bool = False,
) -> dict[str, float]:
    """Return what a validation of `fit` measures: the mean loss, "loss", and `metrics` by name.

    `data` are batches, all or the first `steps`; the other arguments are those of `fit`. The model
    is in evaluation mode meanwhile. Raises TypeError and ValueError as `fit` does.

    >>> import engine, rnn
    >>> net, x = rnn.Linear(2, 1), engine.ones((4, 2))
    >>> list(rnn.evaluate(net, [x], lambda net, x: engine.mean(net(x) ** 2)))
    ['loss']
    """
    _check("evaluate", model, data)
    check_loss("evaluate", loss)
    refuse_pair("evaluate: data", data)
    named = named_metrics(metrics)
    given: dict[str, Any] = dict.fromkeys(Settings.__dataclass_fields__)
    given |= {"validation": data, "outputs": outputs, "min_delta": 0.0}
    given["validation_steps"] = None if steps is None else whole("evaluate", "steps", steps)
    check_validation(given, named)
    given |= {"model": model, "loss": loss, "metrics": named, "count": count,
              "carry": flag("evaluate: carry", carry), "told": takes_step(loss)}  # fmt: skip
    own = Settings(**given)
    shown = Progress(flag("evaluate: progress", progress), None, 0, steps=False)
    with evaluating(model):
        return measured(own, 0, shown)


@advised(ARGUMENTS)
def predict(
    model: Module,
    data: Any,
    *,
    batch_size: int = 32,
    outputs: Callable[[Module, Any], Any] | None = None,
    axis: int | None = None,
) -> Array:
    """Return the outputs of a model for all examples, one after another along the axis `axis`.

    `data` is an array (N, ...) for a model that is batch first, cut into batches of `batch_size`;
    or batches as `fit` takes them. The outputs are ``model(batch)``, of a `rnn.data.Batch`
    ``model(batch.x, lengths=batch.lengths)``, without lengths where it has none, or what
    ``outputs(model, batch)`` gives. Of a pair, as recurrences return, the first counts. `axis` is
    that of the examples in the outputs, the first by default; where a time-major model gives three
    axes or more it has to be said. Outputs of a `Batch` come in the order of the examples, however
    they were shuffled. The model is in evaluation mode meanwhile, and no gradients are recorded.
    Raises ValueError for no batch, for an array where a layer is time-major, for outputs that are
    not one for each example, and for outputs of batches that do not fit together, such as
    sequences of several lengths.

    >>> import engine, rnn
    >>> rnn.predict(rnn.Linear(3, 2), engine.ones((70, 3))).shape
    (70, 2)
    """
    batches = _cut(data, whole("predict", "batch_size", batch_size))
    _check("predict", model, batches)
    timed = _time_major(model) if outputs is None else None
    if batches is not data and timed is not None:
        raise ValueError(
            f"predict: {timed} is time-major, and an array (N, ...) begins with its examples; give "
            "batches, such as rnn.data.ArrayBatches(x, batch_size=32, shuffle=False), or "
            "outputs(model, batch)"
        )
    found, rows = [], []
    with evaluating(model), engine.no_grad():
        for batch in batches:
            y = _called(model, batch) if outputs is None else outputs(model, batch)
            y = y[0] if isinstance(y, tuple) else y
            y = y.numpy() if isinstance(y, Tensor) else HOST.xp.asarray(y)
            own = batch.rows if isinstance(batch, Batch) else None
            if axis is None and y.ndim > 2 and timed is not None:
                raise ValueError(
                    f"predict: {timed} is time-major, and outputs are of shape {y.shape}; say "
                    "which axis has the examples: axis=1 for (T, B, ...), axis=0 for (B, ...)"
                )
            if own is not None:
                _check_examples(y, len(own), axis or 0)
            found.append(y)
            rows.append(own)
    if not found:
        raise ValueError("predict: the data gave no batch; is it empty?")
    return _in_order(found, rows, axis or 0)


def _check(where: str, model: Any, data: Any) -> None:
    if not isinstance(model, Module):
        raise TypeError(f"{where}: model must be a Module, got {kind_of(model)}")
    if not isinstance(data, Iterable):
        raise TypeError(f"{where}: data must be batches, got {kind_of(data)}")


def _time_major(model: Module) -> str | None:
    """Return the first layer of a model that has time before the batch, None without one."""
    for path, module in model.named_modules():
        if getattr(module, "batch_first", True) is False:
            return f"{path or 'the model'}, a {type(module).__name__},"
    return None


def _check_examples(y: Array, count: int, axis: int) -> None:
    """Raise ValueError for outputs that are not one for each example of a batch."""
    if not -y.ndim <= axis < y.ndim or y.shape[axis] != count:
        raise ValueError(
            f"predict: outputs of shape {y.shape} for {count} examples along axis {axis}; give the "
            "axis of the batch"
        )


def _cut(data: Any, size: int) -> Any:
    """Return the batches of an array; other data as they are."""
    if not hasattr(data, "shape"):
        return data
    if not data.shape:
        raise ValueError("predict: expected an array (N, ...), got a number")
    return (data[first : first + size] for first in range(0, data.shape[0], size))


def _called(model: Module, batch: Any) -> Any:
    if not isinstance(batch, Batch):
        return model(batch)
    return model(batch.x) if batch.lengths is None else model(batch.x, lengths=batch.lengths)


def _in_order(found: list[Array], rows: list[Array | None], axis: int) -> Array:
    """Return outputs side by side, in the order of the examples where that is known."""
    xp = HOST.xp
    there = all(-y.ndim <= axis < y.ndim for y in found)
    if there:
        axis %= found[0].ndim
    if not there or len({(*y.shape[:axis], -1, *y.shape[axis + 1 :]) for y in found}) > 1:
        told = ", ".join(str(y.shape) for y in found[:3])
        raise ValueError(
            f"predict: outputs of shapes {told} do not fit together along axis {axis}; give the "
            "axis of the batch, or outputs(model, batch) that returns arrays of one shape"
        )
    joined = xp.concatenate(found, axis=axis)
    known = [one for one in rows if one is not None]
    if len(known) < len(rows):
        return joined
    return xp.take(joined, xp.argsort(xp.concatenate(known), kind="stable"), axis=axis)
