"""Put the states that ranks carry together for a checkpoint, and cut them again.

Above `run.py` and `pytrees.py`, below `snapshot.py`. Each rank has the states of its own rows;
their axis in a leaf is the only one of that size.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from engine import Tensor
from engine.backends import HOST, Array
from engine.pytree import flatten
from engine.state import Rows
from rnn.distributed.sharing import Share
from rnn.training.pytrees import put_together, taken_apart
from rnn.training.run import Run

# Arrays by name, the plan of their pytree, how they were spread over ranks.
Collected = tuple[dict[str, Array], Any, dict[str, Any] | None]
OTHER = (
    "the axis of the rows is ambiguous, so the run can be resumed with {} ranks only, as it was "
    "written"
)


class Uncut(NamedTuple):
    """A carried state of all rows: the axis of the rows in each leaf, None where nothing says."""

    spread: dict[str, Any] | None


def collected(run: Run) -> Collected:
    """Return the carried state of all rows as arrays by name, the plan of its pytree, and how it
    was spread over ranks, None where it was not. All ranks have to call this.
    """
    own = run.settings.distributed
    arrays, plan = taken_apart(run.carried)
    if own is None or run.uncut is not None:
        return arrays, plan, None if run.uncut is None else run.uncut.spread
    if own.size == 1:
        return arrays, plan, None
    there = own.gather((arrays, plan, run.rows))
    parts = [(rank, *one) for rank, one in enumerate(there) if one[2] is not None]
    if plan is None and there[0][1] is None:
        return arrays, plan, None
    found: dict[str, Array] = {}
    axes: dict[str, int | None] = {}
    for name in there[0][0]:
        leaves = [arrays[name] for _, arrays, _, _ in parts]
        axes[name] = _axis([one.shape for one in leaves], [one[3].size for one in parts])
        if axes[name] is not None:
            found[name] = HOST.xp.concatenate(leaves, axis=axes[name])
        else:
            found |= {f"{name}@{rank}": arrays[name] for rank, arrays, _, _ in parts}
    rows = [None if one[2] is None else list(one[2]) for one in there]
    return found, there[0][1], {"axes": axes, "rows": rows}


def taken(run: Run, plan: Any, arrays: dict[str, Array], spread: Any, device: str) -> Any:
    """Return (carried state, how it is yet to be cut) of a checkpoint for this rank. Raises
    ValueError, by the name of the leaf, where the rows cannot be told apart.
    """
    own = run.settings.distributed
    if spread is None:
        alone = own is None or own.size == 1 or plan is None
        return put_together(plan, arrays, device), None if alone else Uncut(None)
    axes, rows = spread["axes"], spread["rows"]
    if own is not None and len(rows) == own.size:
        mine = rows[own.rank]
        if mine is None:
            return None, None
        cut = {
            name: arrays[f"{name}@{own.rank}"] if axis is None
            else _part(arrays[name], axis, mine[0], mine[1])
            for name, axis in axes.items()
        }  # fmt: skip
        run.rows = Rows(*mine)
        return put_together(plan, cut, device), None
    if unknown := [name for name, axis in axes.items() if axis is None]:
        shape = arrays[f"{unknown[0]}@0"].shape
        raise ValueError(f"leaf {unknown[0]} of the carried state, {shape} on rank 0: "
                         f"{OTHER.format(len(rows))}")  # fmt: skip
    alone = own is None or own.size == 1
    return put_together(plan, arrays, device), None if alone else Uncut(spread)


def own_carried(run: Run, share: Share | None) -> Any:
    """Return the carried state of the rows of this rank, cut from that of all rows where need be.
    Raises ValueError, by the name of the leaf, where its axis of the rows is ambiguous.
    """
    run.rows = None if share is None else share.rows
    uncut, run.uncut = run.uncut, None
    if uncut is None:
        return run.carried
    if share is None:
        return None
    leaves, rebuild = flatten(run.carried)
    axes: Mapping[str, Any] = {} if uncut.spread is None else uncut.spread["axes"]
    cut, number = [], 0
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            cut.append(leaf)
            continue
        axis = axes.get(str(number))
        if axis is None:
            axis = _axis([leaf.shape], [share.total])
        if axis is None:
            raise ValueError(f"fit: leaf {number} of the carried state, {leaf.shape}, for "
                             f"{share.total} rows: {OTHER.format('as many')}")  # fmt: skip
        cut.append(leaf[(slice(None),) * axis + (slice(share.first, share.first + share.size),)])
        number += 1
    return rebuild(cut)


def _part(array: Array, axis: int, first: int, size: int) -> Array:
    return array[(slice(None),) * axis + (slice(first, first + size),)]


def _axis(shapes: list[tuple[int, ...]], sizes: list[int]) -> int | None:
    """Return the only axis along which every shape has its number of rows."""
    ranks = {len(shape) for shape in shapes}
    found = [
        axis for axis in range(min(ranks))
        if all(shape[axis] == size for shape, size in zip(shapes, sizes, strict=True))
    ]  # fmt: skip
    return found[0] if len(ranks) == 1 and len(found) == 1 else None
