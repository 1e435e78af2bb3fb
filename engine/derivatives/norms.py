"""Compute norms of gradients, exact: of every node, and of every use of a node.

Pictures of gradients show them, and clipping measures them. Above the backward pass.
"""

import math
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Generic, TypeVar

from engine.backends import Array, fetched, on_host
from engine.backward import backward_pass
from engine.derivatives.seeds import seeds
from engine.node import Node
from engine.tensor import Tensor

Group = Callable[[Node, int], Hashable]
Key = TypeVar("Key", bound=Hashable)

TOGETHER = 1 << 26  # bytes on a device that wait to be brought to the host, at most


def norm(values: Array | Tensor) -> float:
    """Return the Euclidean norm of all elements, in float64 and scaled: no square overflows.

    >>> from engine.derivatives.norms import norm
    >>> norm(engine.asarray([3.0, 4.0]))
    5.0
    """
    data = values.data if isinstance(values, Tensor) else values
    if not data.size:
        return 0.0
    (data,) = fetched([data])
    flat = data.reshape(-1).astype("float64")
    largest = float(abs(flat).max())
    if largest == 0 or not math.isfinite(largest):
        return largest
    flat = flat / largest
    return largest * math.sqrt(float(flat @ flat))


def norms(values: Iterable[Array | Tensor]) -> list[float]:
    """Return the norm of each: those on a device are brought to the host together.

    >>> from engine.derivatives.norms import norms
    >>> norms([engine.asarray([3.0, 4.0]), engine.asarray(2.0)])
    [5.0, 2.0]
    """
    found: Norms[int] = Norms()
    keys = [found.add(number, [x]) for number, x in enumerate(values)]
    known = found.known()
    return [known[key] for key in keys]


class Norms(Generic[Key]):
    """Collect norms asked for one by one: arrays on a device wait and are read together."""

    def __init__(self) -> None:
        self._known: dict[Key, float] = {}
        self._waiting: list[tuple[Key, list[Array]]] = []
        self._bytes = 0

    def add(self, key: Key, values: Iterable[Array | Tensor]) -> Key:
        """Ask for the norm of some arrays taken as one vector; returns the key."""
        parts = [x.data if isinstance(x, Tensor) else x for x in values]
        if all(map(on_host, parts)):
            self._known[key] = math.hypot(*map(norm, parts))
        else:
            self._known.setdefault(key, 0.0)  # its place in the order
            self._waiting.append((key, parts))
            self._bytes += sum(part.nbytes for part in parts)
            if self._bytes > TOGETHER:
                self.known()
        return key

    def known(self) -> dict[Key, float]:
        """Return all norms by their keys, in the order in which they were asked for."""
        read = iter(fetched([part for _, parts in self._waiting for part in parts]))
        for key, parts in self._waiting:
            self._known[key] = math.hypot(*(norm(next(read)) for _ in parts))
        self._waiting, self._bytes = [], 0
        return self._known


def gradient_norms(
    output: Tensor, grad: Any = None, *, group: Group | None = None,
    keep: dict[Node, Any] | None = None,
) -> tuple[dict[Node, float], dict[tuple[Node, Hashable], float]]:  # fmt: skip
    """Return the norm of the gradient of every node, and of what each of its uses adds to it.

    A use is a node and the slot of the input; ``group(node, slot)`` joins uses: what
    they contribute is added as vectors before the norm is taken, so the norm is that of the joint
    use. None leaves a use out. Without `group` each use is keyed by ``(node, slot)``.
    The gradients themselves are put into `keep` where that is given.

    >>> x = engine.asarray(2.0, requires_grad=True)
    >>> engine.gradient_norms(x * x)[0][x.node]
    4.0
    """
    nodes: Norms[Node] = Norms()
    sums: dict[tuple[Node, Hashable], Any] = {}

    def observe(tensor: Tensor, slot: int, part: Any) -> None:
        source, user = tensor.node.input(slot), tensor.node
        key = (user, slot) if group is None else group(user, slot)
        if key is not None:
            assert isinstance(source, Tensor)
            place = (source.node, key)
            if not isinstance(part, tuple):  # a part of a bundle has its norm on the output node
                sums[place] = sums[place] + part if place in sums else part

    def finished(tensor: Tensor, g: Any) -> None:
        parts = g if isinstance(g, tuple) else (g,)
        nodes.add(tensor.node, (part for part in parts if part is not None))
        if keep is not None:
            keep[tensor.node] = g

    backward_pass([output], seeds([output], grad), [], observe=observe, finished=finished)
    return nodes.known(), dict(zip(sums, norms(sums.values()), strict=True))
