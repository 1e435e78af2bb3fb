"""Data and settings as a checkpoint remembers them, and warnings where a resumed run has others.

Above `settings.py`, below `reading.py` and `resuming.py`.
"""

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine import Tensor
from engine.backends import HOST
from engine.pytree import flatten
from rnn import documents
from rnn.schedules.base import Schedule
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
        array: Any = leaf.data if isinstance(leaf, Tensor) else leaf
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
    """Return the settings that a resumed run should share, as plain data."""
    groups = [
        {name: value for name, value in group.items() if name != "params" and _plain(value)}
        for group in own.optimizer.param_groups
    ]
    return {
        "optimizer": {str(number): group for number, group in enumerate(groups)},
        "schedule": None if own.schedule is None else _described(own.schedule),
        "schedule_every": own.schedule_every,
        "clip_norm": own.clip_norm,
        "accumulate": own.accumulate,
        "watched": _watched(own),
    }


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
    """Warn of settings that are others than those that the checkpoint's run began with."""
    then, now = (documents.read(documents.written(one)) for one in (before, own))
    then["watched"] = now["watched"] = None  # another one is refused, where it matters
    kept = list(_differences(then.pop("optimizer", None), now.pop("optimizer"), ""))
    if kept:
        warnings.warn(
            f"fit: the optimizer has {_listed(kept, 2)}, and the checkpoint's began with "
            f"{_listed(kept, 1)}, which is gone on with; change it in the begin(run) of a callback",
            stacklevel=2,
        )
    others = list(_differences(then, now, ""))
    if others:
        warnings.warn(
            f"fit: the checkpoint was written with {_listed(others, 1)}; training goes on with "
            f"{_listed(others, 2)}",
            stacklevel=2,
        )


def _described(schedule: Schedule) -> dict[str, Any]:
    """Return the kind of a schedule and its plain settings, those of what it wraps within."""
    found: dict[str, Any] = {"kind": type(schedule).__name__}
    changing = {*schedule.state_dict(), "length"}
    for name, value in vars(schedule).items():
        if isinstance(value, Schedule):
            found[name] = _described(value)
        elif _plain(value) and name not in changing and not name.startswith("_"):
            found[name] = value
    return found


def _plain(value: Any) -> bool:
    """Return whether a value is a number, a word or a list of such."""
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _differences(then: Any, now: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield the path and both values of each setting that is another."""
    if isinstance(then, dict) and isinstance(now, dict):
        for name in [*then, *(name for name in now if name not in then)]:
            deeper = f"{path}.{name}" if path else name
            yield from _differences(then.get(name), now.get(name), deeper)
    elif then != now:
        yield path, then, now


def _listed(found: Sequence[tuple[str, Any, Any]], which: int) -> str:
    return ", ".join(f"{one[0].removeprefix('0.')}={one[which]!r:.60}" for one in found)
