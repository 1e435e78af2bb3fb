"""Keep earlier versions of tensors that got other values: what a node has read stays what it reads.

Arrays on the graph are never written to. A tensor that gets another array keeps the one before as
an earlier version, from which the nodes that read it take their inputs. A version of a leaf is held
by the tensors that were put on the graph while it was the current one, and freed with the last of
them; one of a tensor with a history is held by that tensor. Below tensors.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import inf
from threading import Lock
from typing import Any, TypeVar
from weakref import ref

from engine.backends import HOST, NAMESPACES, Array
from engine.errors import NotRecordableError
from engine.node import Value, changes, new_id
from engine.stepping import stepping

V = TypeVar("V", bound=Value)


class Epoch:
    """Mark the time between two changes of leaves.

    Each tensor on the graph holds the epoch of its making, which holds the versions it may read.
    """

    __slots__ = ("__weakref__", "end", "used", "versions")

    def __init__(self) -> None:
        self.used = False  # by a tensor on the graph
        self.end: float = inf  # an id; tensors that hold it are older
        self.versions: list[Value] = []


changes.epoch = Epoch()
_ended: list[ref[Epoch]] = []  # the epochs that are over and may still be held
_changing = Lock()


def set_data(x: Value, array: Array) -> None:
    """Give a leaf another array; nodes that read the one before keep reading that."""
    if type(array) not in NAMESPACES:
        array = _array(array)
    refuse_in_step(x, "x.data = array")
    old, node = x._data, x._node
    if node is not None and node.operands:
        raise ValueError(
            f"x.data = array: x was computed by {node.op.name} at {node.scope}, and its gradient "
            "needs the values that this gave; write x[...] = array, or detach() it first"
        )
    alike = array.shape == old.shape and array.dtype == old.dtype and type(array) is type(old)
    if getattr(x, "_used", False):
        # After `x.data -= g` it is the same array with other values: those before are lost.
        keep(x, copied(x, old if alike and array is not old else None))
    if node is not None and not alike:
        x._node = node._replace(shape=array.shape, dtype=array.dtype)
    x._data, x._used = array, False


def _array(x: Any) -> Array:
    """Return a NumPy scalar, which arithmetic makes of arrays without axes, as an array."""
    if not isinstance(x, HOST.xp.generic):
        raise TypeError(f"x.data = array: expected an array, got {type(x).__name__}")
    return HOST.asarray(x, None, None)


def refuse_in_step(x: Value, what: str) -> None:
    """Raise where a step of a recurrence changes a tensor that is not of its own making."""
    state = stepping()
    if state.arguments and any(x is argument for argument in state.arguments):
        raise ValueError(f"{what}: the arguments of a step cannot be changed; make new tensors")
    start = state.first_recorded
    if start is not None and (x._node is None or x._node.id < start):
        raise NotRecordableError(f"{what} in the step changes a tensor from outside of it")


def copied(x: V, data: Array) -> V:
    """Return a tensor with the place of `x` on the graph, and with these values."""
    version = type(x)(data, None, x.requires_grad)
    version._node = x._node
    version._used = getattr(x, "_used", False)
    if (epoch := getattr(x, "_epoch", None)) is not None:
        version._epoch = epoch
    return version


def keep(x: Value, version: Value) -> None:
    """Keep what `x` was until now for the nodes that have read it."""
    if version._node is None:
        version._node = x.node
    version._current = ref(x)
    known: list[tuple[int, Any]] = getattr(x, "_versions", [])
    since = known[-1][0] if known else version._node.id
    if len(known) > 1:  # the last entry stays in any case, as it says since when
        known = [entry for entry in known[:-1] if entry[1]() is not None] + known[-1:]
    with _changing:
        changes.last = now = new_id()
        if version._node.operands:
            found: Any = lambda: version  # noqa: E731  held by it, where others are by none
        else:
            _hold(version, since)
            found = ref(version)
    x._versions = [*known, (now, found)]


def _hold(version: Value, since: int) -> None:
    """Have a version held by the epochs after an id, the present one among them, which ends.

    A step changes many leaves in a row: nothing was put on the graph between two of them. That is
    asked of the epoch and not of ids, as a node of another thread may have got its id
    before the last change and its epoch after it.
    """
    if changes.epoch.used:
        ended, changes.epoch = changes.epoch, Epoch()
        ended.end = new_id()  # now that no thread takes it any more: all that hold it are older
        _ended[:] = [*(one for one in _ended if one() is not None), ref(ended)]
    for one in _ended:
        epoch = one()
        if epoch is not None and epoch.end > since:
            epoch.versions.append(version)


def version_at(x: V, moment: int) -> V:
    """Return what `x` was for a node that was made at an id, `x` where nothing holds that.

    Only a node without its own value, gone or recorded by its shape alone, asks for a version that
    nothing holds: it says what was computed, and numbers do not matter. Raises RuntimeError where
    the values are lost.
    """
    known = x._versions
    found = bisect_right(known, moment, key=lambda entry: entry[0])
    if found == len(known):
        return x
    version: V | None = known[found][1]()
    if version is None:
        return x
    if version._data is None:
        raise RuntimeError(
            f"backward: the values of {x.node.name or 'a tensor'} {x.dtype}{list(x.shape)} that "
            "the forward pass used are lost: it was moved to another dtype, shape or device since, "
            "or its array was changed in place, as x.data -= g does; write x.data = x.data - g, or "
            "compute the loss again"
        )
    return version


@contextmanager
def as_read(inputs: Iterable[Any]) -> Iterator[None]:
    """Give tensors back the values that they had when they were these inputs of a node.

    For functions that run again in the backward pass and read more than their arguments.
    """
    changed = []
    try:
        for version in inputs:
            if hasattr(version, "_current") and (x := version._current_version()) is not version:
                changed.append((x, _exchange(x, version)))
        yield
    finally:
        for x, before in reversed(changed):
            _exchange(x, before)


def _exchange(x: V, version: V) -> V:
    """Make a tensor what a version of it is; return what it was."""
    before = copied(x, x._data)
    if before._used:
        keep(x, before)
    become(x, version)
    return before


def become(x: Value, like: Value) -> None:
    """Give a tensor the values and the place on the graph of another one, unread so far."""
    x._data, x._node, x.requires_grad = like._data, like._node, like.requires_grad
    x._used, x._epoch = False, getattr(like, "_epoch", None)
