"""Take the rows of a rank of a batch: read them alone from our loaders, else cut them from it.

Above `communicator.py` and the batches of `rnn/data`.

Rank r of N has the rows from ceil(r B / N) to ceil((r + 1) B / N) of B: rank 0 always has one.
"""

from typing import Any, NamedTuple

from engine.backends import HOST, Array
from engine.state import Rows
from rnn.data.arrays import ArrayBatches
from rnn.data.batching import Batch
from rnn.data.loader import Unread
from rnn.data.streams import Chunk
from rnn.distributed.communicator import Communicator


class Share(NamedTuple):
    """Hold the part of a rank in a batch: the rows `first` to `first + size` of `total`.

    >>> import rnn
    >>> share = rnn.distributed.Share(["c", "d"], first=2, size=2, total=4)
    >>> share.rows
    Rows(first=2, size=2, total=4)
    """

    batch: Any
    first: int
    size: int
    total: int

    @property
    def rows(self) -> Rows:
        """Return which rows those are, without the batch."""
        return Rows(self.first, self.size, self.total)


def bounds(total: int, rank: int, ranks: int) -> tuple[int, int]:
    """Return the first row of a rank among `total`, and that behind its last one.

    >>> from rnn.distributed import bounds
    >>> [bounds(5, rank, 3) for rank in range(3)]
    [(0, 2), (2, 4), (4, 5)]
    """
    return -(-rank * total // ranks), -(-(rank + 1) * total // ranks)


def shared(own: Communicator, data: Any, batch: Any, rank: int | None = None) -> Share | None:
    """Return what this rank, or another, has of a batch that `data` gave; None for no rows. Raises
    TypeError for batches with unknown rows, ValueError for a share that is none.
    """
    rank, ranks = own.rank if rank is None else rank, own.size
    if own.share is not None:
        return _checked(own.share(batch, rank, ranks), rank)
    if isinstance(batch, Unread):
        first, stop = bounds(batch.rows, rank, ranks)
        if first == stop:
            return None
        return Share(batch.read(first, stop), first, stop - first, batch.rows)
    if isinstance(batch, Chunk):
        return _cut(batch, batch.x.shape[1], (1, 1, None, 1), rank, ranks)
    if isinstance(batch, Batch):
        total = _rows(batch)
        return _cut(batch, total, _axes(data, batch, total), rank, ranks)
    raise TypeError(
        f"fit: distributed: the rows of a batch that is a {type(batch).__name__} are not known; "
        "give Communicator(share=...), a function (batch, rank, ranks) that returns "
        "rnn.distributed.Share(rows, first, size, total), or None where the rank has none"
    )


def _cut(
    batch: Any, total: int, axes: tuple[int | None, ...], rank: int, ranks: int
) -> Share | None:
    """Return the share of a named tuple with rows along `axes` of its fields."""
    first, stop = bounds(total, rank, ranks)
    if first == stop:
        return None
    if stop - first == total:
        return Share(batch, 0, total, total)
    parts = [
        part if axis is None or part is None
        else HOST.xp.ascontiguousarray(part[(slice(None),) * axis + (slice(first, stop),)])
        for part, axis in zip(batch, axes, strict=True)
    ]  # fmt: skip
    return Share(type(batch)(*parts), first, stop - first, total)


def _rows(batch: Batch) -> int:
    """Return the number of examples of a batch."""
    known = batch.rows if batch.rows is not None else batch.lengths
    return len(batch.x if known is None else known)


def _axes(data: Any, batch: Batch, total: int) -> tuple[int | None, ...]:
    """Return the axis of the examples in each field: as the loader says, else by its size. Raises
    ValueError where there is none of that size, or more than one.
    """
    if isinstance(data, ArrayBatches):
        return data.axes
    y = None if batch.y is None else 0 if batch.y.ndim == 1 else 1
    if batch.y_lengths is None and y == 1:
        y = _axis("y", batch.y, total)
    if batch.x.ndim == 1:
        x = 0
    elif batch.lengths is not None and batch.x.shape[1] == total:
        x = 1  # there are steps, and they come first
    else:
        x = _axis("x", batch.x, total)
    return x, 0, y, 0, 0


def _axis(name: str, array: Array, total: int) -> int:
    """Return which of the first two axes has so many examples."""
    found = [axis for axis in (0, 1) if array.shape[axis] == total]
    if len(found) != 1:
        raise ValueError(
            f"fit: distributed: {name} {array.shape} of a batch of {total} examples has "
            f"{len(found)} axes of that size; give Communicator(share=...) to say which rows a "
            "rank takes"
        )
    return found[0]


def _checked(found: Any, rank: int) -> Share | None:
    if found is None and not rank:
        raise ValueError("fit: share gave rank 0 no rows; it has to have some of every batch")
    if found is None:
        return None
    if not isinstance(found, Share):
        raise TypeError(
            f"fit: share must return an rnn.distributed.Share or None, got {type(found).__name__}"
        )
    if not 0 <= found.first < found.first + found.size <= found.total:
        raise ValueError(
            f"fit: share gave rows {found.first} to {found.first + found.size} of {found.total}; "
            "expected at least one, or None"
        )
    return found
