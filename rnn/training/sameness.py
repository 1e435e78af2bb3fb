"""Data and settings as a checkpoint remembers them, and warnings where a resumed run has others.

Above `settings.py`, below `reading.py` and `resuming.py`.
"""

import hashlib
import warnings
from collections.abc import Mapping
from typing import Any

from engine import Tensor
from engine.backends import HOST
from engine.pytree import flatten
from rnn.serialization import documents
from rnn.training.settings import Settings


def digest(batch: Any) -> str:
    """Return what tells a batch from others: of arrays on the host by their numbers, of arrays on a
    device by their shapes, of other things by what they print.
    """
    found = hashlib.sha256()
    try:
        leaves = flatten(batch)[0]
    except TypeError:  # no nest of tuples, lists and dicts
        leaves = []
    for leaf in leaves:
        array: Any = leaf.data if isinstance(leaf, Tensor) else _on_host(leaf)
        if hasattr(array, "shape"):
            found.update(f"{array.dtype} {tuple(array.shape)}".encode())
        on_host = type(array) is HOST.array_type
        if on_host and array.dtype != object:
            found.update(array.tobytes())
        elif isinstance(array, bool | int | float | str):
            found.update(repr(array).encode())
    return found.hexdigest()


def say_where_data_differ(batch: Any, remembered: Mapping[str, Any] | None) -> None:
    """Warn where the last batch that was trained on is another one than the checkpoint saw."""
    if remembered is not None and digest(batch) != remembered["digest"]:
        warnings.warn(
            "fit: the last batch before the checkpoint is another one in these data, so they are "
            "others or come in another order, and batches may be trained on twice or never; resume "
            "with the same data",
            stacklevel=2,
        )


def made(own: Settings) -> dict[str, Any]:
    """Return the settings that a resumed run does not take from its arguments, as plain data."""
    groups = [
        {name: value for name, value in group.items()
         if name not in ("params", "initial_lr") and _plain(value)}
        for group in own.optimizer.param_groups
    ]  # fmt: skip
    return {"optimizer": groups, "watched": _watched(own)}


def check_watched(before: Mapping[str, Any], own: Settings) -> None:
    """Raise ValueError where the best validation so far is the best of another figure."""
    then, now = before["watched"], _watched(own)
    if then != now:
        raise ValueError(
            f"its best is of monitor {then[0]!r}, mode {then[1]!r}; this run has monitor "
            f"{now[0]!r}, mode {now[1]!r}"
        )


def _watched(own: Settings) -> list[str | None]:
    """Return the name of the figure that says what is best, and its mode."""
    name = "loss" if own.monitor is None and own.validation is not None else own.monitor
    return [name, own.mode]


def say_where_settings_differ(before: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Warn of settings of the optimiser that are not those which the checkpoint's run began with.

    A resumed run goes on with the latter, as they may have changed since, by a schedule.
    """
    then, now = (documents.read(documents.written(one["optimizer"])) for one in (before, own))
    found = [
        (name if not number else f"{name} of group {number}", theirs[name], value)
        for number, (theirs, ours) in enumerate(zip(then, now, strict=False))
        for name, value in ours.items()
        if name in theirs and theirs[name] != value
    ]
    if found:
        warnings.warn(
            f"fit: the optimizer has {', '.join(f'{name}={x!r}' for name, _, x in found)}, and the "
            f"checkpoint's began with {', '.join(f'{name}={x!r}' for name, x, _ in found)}, which "
            "is gone on with; change it in the begin(run) of a callback",
            stacklevel=2,
        )


def _plain(value: Any) -> bool:
    """Return whether a value is a number, a word or a list of such."""
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _on_host(leaf: Any) -> Any:
    """Return an array of another library that lies on the host as one of ours, such as PyTorch's;
    anything else as it is.
    """
    if type(leaf) is HOST.array_type or str(getattr(leaf, "device", "")) != "cpu":
        return leaf
    try:
        return HOST.asarray(leaf, None, None)
    except (TypeError, RuntimeError):  # a dtype that NumPy lacks, or one that requires a gradient
        return leaf
