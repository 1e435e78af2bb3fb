"""Put carried states together for a checkpoint, of all ranks, and give each rank its rows again.

Above `run.py`, below `snapshot.py`. A state is arrays and plain data of their places. Each rank has
the states of its own rows. The axis of the rows in a leaf is the one that a layer has noted on it
(`rnn/layers/row_axes.py`), else the only one of that size.
"""

from collections.abc import Mapping
from itertools import count
from typing import Any

import engine
from engine import Tensor
from engine.backends import HOST, Array
from engine.pytree import flatten
from engine.state import Rows
from rnn.distributed.sharing import Share
from rnn.layers.row_axes import row_axis, with_row_axis
from rnn.training.run import Run


def taken_apart(pytree: Any) -> tuple[dict[str, Tensor], Any]:
    """Return the tensors of a pytree by name, and plain data of their places. Raises TypeError for
    what is no pytree of tensors, numbers and words in tuples, lists and dicts.
    """
    tensors: dict[str, Tensor] = {}
    return tensors, _described(pytree, tensors)


def put_together(
    plan: Any, arrays: dict[str, Array], device: str, axes: Mapping[str, int | None]
) -> Any:
    """Return the pytree, its tensors on a device, with the axes of the batch that are known. Raises
    ValueError for a plan that is none, and axes that are none.
    """
    if plan is None or isinstance(plan, bool | int | float | str):
        return plan
    if not isinstance(plan, dict) or len(plan) != 1:
        raise ValueError(f"carried state: {plan!r} is no part of one")
    kind, content = next(iter(plan.items()))
    if kind == "tensor" and isinstance(content, str) and content in arrays:
        axis, x = axes.get(content), engine.asarray(arrays[content], device=device)
        if axis is None:
            return x
        if type(axis) is not int or not 0 <= axis < x.ndim:
            raise ValueError(f"carried state: leaf {content} {x.shape} has no axis {axis!r}")
        return with_row_axis(x, axis)
    if kind == "dict" and isinstance(content, dict):
        return {name: put_together(part, arrays, device, axes) for name, part in content.items()}
    if kind in ("tuple", "list") and isinstance(content, list):
        parts = [put_together(part, arrays, device, axes) for part in content]
        return tuple(parts) if kind == "tuple" else parts
    raise ValueError(f"carried state: {plan!r} is no part of one")


def _described(pytree: Any, tensors: dict[str, Tensor]) -> Any:
    """Return the plan of a pytree; its tensors are added to `tensors`."""
    if isinstance(pytree, Tensor):
        name = str(len(tensors))
        tensors[name] = pytree
        return {"tensor": name}
    if pytree is None or isinstance(pytree, bool | int | float | str):
        return pytree
    if type(pytree) in (tuple, list):
        return {type(pytree).__name__: [_described(part, tensors) for part in pytree]}
    if type(pytree) is dict and all(isinstance(name, str) for name in pytree):
        return {"dict": {name: _described(part, tensors) for name, part in pytree.items()}}
    raise TypeError(
        f"fit: a checkpoint cannot hold a {type(pytree).__name__} in the carried state; "
        "carry tensors in tuples, lists or dicts"
    )


# Arrays by name, the plan of their pytree, how they were spread over ranks.
Collected = tuple[dict[str, Array], Any, dict[str, Any] | None]
OTHER = (
    "the axis of the rows is ambiguous, so the run can be resumed with {} ranks only, as it was "
    "written"
)


def collected(run: Run) -> Collected:
    """Return the carried state of all rows as arrays by name, the plan of its pytree, and how it
    was spread over ranks; all ranks have to call this. Of one process the latter has only the axes
    of the rows that are known, None without any.
    """
    own = run.settings.distributed
    tensors, plan = taken_apart(run.carried)
    arrays = {name: x.numpy() for name, x in tensors.items()}
    known = {name: axis for name, x in tensors.items() if (axis := row_axis(x)) is not None}
    if run.uncut is not None:
        return arrays, plan, run.uncut[0]
    if own is None or own.size == 1:
        return arrays, plan, {"axes": known, "rows": None} if known else None
    there = own.gather((arrays, plan, run.rows, known))
    parts = [(rank, *one) for rank, one in enumerate(there) if one[2] is not None]
    if plan is None and there[0][1] is None:
        return arrays, plan, None
    found: dict[str, Array] = {}
    axes: dict[str, int | None] = {}
    for name in there[0][0]:
        leaves = [arrays[name] for _, arrays, _, _, _ in parts]
        shapes, sizes = [one.shape for one in leaves], [one[3].size for one in parts]
        axes[name] = _agreed([one[4].get(name) for one in parts], shapes, sizes)
        if axes[name] is not None:
            found[name] = HOST.xp.concatenate(leaves, axis=axes[name])
        else:
            found |= {f"{name}@{rank}": arrays[name] for rank, arrays, *_ in parts}
    rows = [None if one[2] is None else list(one[2]) for one in there]
    return found, there[0][1], {"axes": axes, "rows": rows}


def taken(run: Run, plan: Any, arrays: dict[str, Array], spread: Any, device: str) -> Any:
    """Return (carried state, how it is yet to be cut) of a checkpoint for this rank. Raises
    ValueError, by the name of the leaf, where the rows cannot be told apart.
    """
    own = run.settings.distributed
    alone = own is None or own.size == 1
    axes: dict[str, int | None] = {} if spread is None else spread["axes"]
    rows: list[Any] | None = None if spread is None else spread["rows"]
    if rows is not None and own is not None and len(rows) == own.size:
        mine = rows[own.rank]
        if mine is None:
            return None, None
        cut = {
            name: arrays[f"{name}@{own.rank}"] if axis is None
            else _part(arrays[name], axis, mine[0], mine[1])
            for name, axis in axes.items()
        }  # fmt: skip
        run.rows = Rows(*mine)
        return put_together(plan, cut, device, axes), None
    unknown = [name for name, axis in axes.items() if axis is None]
    if rows is not None and unknown:
        shape = arrays[f"{unknown[0]}@0"].shape
        raise ValueError(f"leaf {unknown[0]} of the carried state, {shape} on rank 0: "
                         f"{OTHER.format(len(rows))}")  # fmt: skip
    uncut = None if alone or plan is None else (spread,)
    return put_together(plan, arrays, device, axes), uncut


def own_carried(run: Run, share: Share | None) -> Any:
    """Return the carried state of the rows of this rank, cut from that of all rows where need be.
    Raises ValueError, by the name of the leaf, where its axis of the rows is ambiguous or has
    another size.
    """
    run.rows = None if share is None else share.rows
    uncut, run.uncut = run.uncut, None
    if uncut is None:
        return run.carried
    if share is None:
        return None
    numbers, (leaves, rebuild) = count(), flatten(run.carried)
    return rebuild([_own_rows(leaf, next(numbers), share) if isinstance(leaf, Tensor) else leaf
                 for leaf in leaves])  # fmt: skip


def _own_rows(leaf: Tensor, number: int, share: Share) -> Tensor:
    """Return the rows of a share in a carried tensor that has those of all."""
    what = f"fit: leaf {number} of the carried state, {leaf.shape}, for {share.total} rows"
    axis = row_axis(leaf)
    if axis is None:
        axis = _axis([leaf.shape], [share.total])
    if axis is None:
        raise ValueError(f"{what}: {OTHER.format('as many')}")
    if leaf.shape[axis] != share.total:
        raise ValueError(f"{what}: it has {leaf.shape[axis]} of them, along axis {axis}; resume "
                         "with batches of as many rows")  # fmt: skip
    found: Tensor = with_row_axis(_part(leaf, axis, share.first, share.size), axis)
    return found


def _agreed(known: list[int | None], shapes: list[tuple[int, ...]], sizes: list[int]) -> int | None:
    """Return the axis of the rows of a leaf: the one noted on it, else the one of their number.

    None where that is not one axis, or has not the rows of each rank.
    """
    if known == [None] * len(known):
        return _axis(shapes, sizes)
    axis = known[0]
    if axis is None or known != [axis] * len(known):
        return None
    fits = all(shape[axis] == size for shape, size in zip(shapes, sizes, strict=True))
    return axis if fits else None


def _part(array: Any, axis: int, first: int, size: int) -> Any:
    return array[(slice(None),) * axis + (slice(first, first + size),)]


def _axis(shapes: list[tuple[int, ...]], sizes: list[int]) -> int | None:
    """Return the only axis along which every shape has its number of rows."""
    ranks = {len(shape) for shape in shapes}
    found = [
        axis for axis in range(min(ranks))
        if all(shape[axis] == size for shape, size in zip(shapes, sizes, strict=True))
    ]  # fmt: skip
    return found[0] if len(ranks) == 1 and len(found) == 1 else None
