"""Pack ragged batches without padding, as PyTorch does, and take them in the call of layers.

Below the layers.
"""

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, cast

import engine
from engine import Tensor
from engine.checks import flag
from engine.pytree import flatten
from engine.scan.padding import read_lengths
from engine.suggestions import advised
from rnn.keywords import ARGUMENTS
from rnn.modules.module import Found, Module


class PackedSequence(NamedTuple):
    """Hold rows of all steps one after another: `data` (sum of lengths, ...), `batch_sizes` (T,).

    The rows are sorted by length; `unsorted_indices` puts them back in their order. PyTorch's
    object of the same name, with arrays in it, is accepted in its place.

    >>> import engine, rnn
    >>> packed = rnn.pack_padded(engine.ones((3, 2, 4)), [3, 1])
    >>> packed.data.shape, packed.batch_sizes.tolist()
    ((4, 4), [2, 1, 1])
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None


@advised(ARGUMENTS)
def pack_padded(x: Any, lengths: Any, *, batch_first: bool = False) -> PackedSequence:
    """Return a padded batch (T, B, ...) packed; lengths (B,) in any order, each at least 1.

    Raises ValueError for lengths that do not fit.

    >>> import engine, rnn
    >>> packed = rnn.pack_padded(engine.ones((3, 2, 4)), [1, 3])
    >>> packed.data.shape, packed.batch_sizes.numpy().tolist()
    ((4, 4), [2, 1, 1])
    """
    x = x if isinstance(x, Tensor) else engine.asarray(x)
    x = engine.swapaxes(x, 0, 1) if flag("batch_first", batch_first) else x
    if x.ndim < 2 or not x.shape[1]:
        raise ValueError(f"pack_padded: expected x (T, B, ...) with rows, got {x.shape}")
    sizes = read_lengths("pack_padded", lengths, x.shape[0], x.shape[1], least=1)
    order = (-sizes).argsort(kind="stable")
    steps = int(sizes.max())
    counts = [int((sizes > t).sum()) for t in range(steps)]
    turned = engine.take(x, order, axis=1)
    data = engine.concat([turned[t, :count] for t, count in enumerate(counts)], axis=0)
    own = [engine.asarray(one) for one in (counts, order, order.argsort())]
    return PackedSequence(data, *own)


@advised(ARGUMENTS)
def pad_packed(
    packed: Any, *, batch_first: bool = False, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return a packed batch as a padded one (T, B, ...) with zeros, and its lengths (B,), in order.

    Raises ValueError for a `total_length` below the longest.

    >>> import engine, rnn
    >>> x, lengths = rnn.pad_packed(rnn.pack_padded(engine.ones((3, 2, 4)), [3, 1]))
    >>> x.shape, lengths.tolist()
    ((3, 2, 4), [3, 1])
    """
    data = packed.data if isinstance(packed.data, Tensor) else engine.asarray(packed.data)
    counts = engine.asarray(packed.batch_sizes).numpy()
    if total_length is not None and total_length < len(counts):
        raise ValueError(f"pad_packed: expected total_length of at least {len(counts)}, the "
                         f"longest row, got {total_length}")  # fmt: skip
    steps, rows = total_length or len(counts), int(counts[0])
    parts, start = [], 0
    for count in map(int, counts):
        part = data[start : start + count]
        parts.append(engine.pad(part, [(0, rows - count), *[(0, 0)] * (part.ndim - 1)]))
        start += count
    x = engine.stack(parts, axis=0)
    if steps > len(parts):
        x = engine.pad(x, [(0, steps - len(parts)), *[(0, 0)] * (x.ndim - 1)])
    lengths = engine.asarray([int((counts > row).sum()) for row in range(rows)])
    if packed.unsorted_indices is not None:
        order = engine.asarray(packed.unsorted_indices).numpy()
        x, lengths = engine.take(x, order, axis=1), lengths[order]
    return (engine.swapaxes(x, 0, 1) if flag("batch_first", batch_first) else x), lengths


class SequenceLayer(Module, Generic[Found]):
    """Serve as base class of layers over time: write `run`, of the same arguments as a call.

    A packed batch gives packed outputs; states are in the order of its rows. Raises ValueError for
    a packed batch with arguments that say which steps there are.
    """

    run: Callable[..., Found]  # (x, state, lengths, ...) -> (y, state)

    def forward(
        self,
        x: Any,
        state: Any = None,
        lengths: Any = None,
        *,
        mask: Any = None,
        resets: Any = None,
        unroll: bool = False,
    ) -> Found:
        if not is_packed(x):
            return self.run(x, state, lengths, mask=mask, resets=resets, unroll=unroll)
        marks = {"lengths": lengths, "mask": mask, "resets": resets}
        if told := [name for name, one in marks.items() if one is not None]:
            raise ValueError(
                f"{self._where()}: a packed batch has its lengths in it; leave {told[0]} "
                "out, or pad it by rnn.pad_packed"
            )
        first = any(getattr(part, "batch_first", False) for part in self.modules())
        x, lengths = pad_packed(x, batch_first=first)
        y, final = cast(tuple[Any, Any], self.run(x, state, lengths, unroll=unroll))
        leaves, rebuild = flatten(y)
        ys = rebuild([pack_padded(one, lengths, batch_first=first) for one in leaves])
        return cast(Found, (ys, final))

    def _where(self) -> str:
        return self._name or type(self).__name__


def is_packed(x: Any) -> bool:
    """Return whether x is a packed batch, ours or PyTorch's."""
    if type(x) is Tensor:  # as it nearly always is
        return False
    return hasattr(x, "batch_sizes") and hasattr(x, "unsorted_indices")
