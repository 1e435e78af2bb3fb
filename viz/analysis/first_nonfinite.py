"""Find the first number that is not finite in a recorded graph, and what it was made of.

Forward it is the first value that is not finite while all that it was computed from is; else, on
the way back, the first contribution to a gradient. Above the engine; `forensics.py` draws it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine import Graph, Node, Tensor
from engine.backends import on_host
from engine.backends.half import FLOATING
from engine.backward import backward_pass
from engine.derivatives.seeds import seeds
from viz.analysis.fetching import bring
from viz.labels import count, number


@dataclass(frozen=True)
class Fault:
    """Describe the op that made the first bad number, and the nodes that it spoiled.

    `backward` says that its derivative made it, that by its input `slot` where it was not the sum
    of several contributions. `headline` tells it in one line, `facts` in the lines below.
    """

    node: Node
    backward: bool
    slot: int | None
    index: tuple[int, ...]
    headline: str
    facts: tuple[str, ...]
    spoiled: frozenset[Node]


@dataclass(frozen=True)
class Census:
    """Count all values looked at, and as many gradients as there are nodes that have one."""

    values: int
    nodes: int
    gradients: int


def find_fault(graph: Graph, *, grad: bool, infinite: bool) -> tuple[Fault | None, Census]:
    """Return the first fault of a graph of single steps, and what was looked at.

    With `grad` the backward pass of its outputs is looked at where all values are fine; they must
    be single numbers then. `infinite` False passes over infinities: only NaN is a fault.
    """
    held = {n: graph.tensor(n).data for n in graph.nodes}
    bring(held)
    broken = [n for n, data in held.items() if bad(data, infinite=infinite)]
    values = sum(graph.tensor(node).data.size for node in graph.nodes)
    if broken:
        return _forward(graph, broken, infinite=infinite), Census(values, len(graph), 0)
    starts = [out for out in graph.outputs if out.requires_grad and out.size == 1]
    if not grad or not starts:
        return None, Census(values, len(graph), 0)
    back = _Back(infinite=infinite)
    if not all(on_host(out.data) for out in starts):
        flags = _Flags(infinite=infinite)
        backward_pass(starts, seeds(starts, None), [], observe=flags.add, finished=flags.add_whole)
        back.known = flags.read()
    backward_pass(starts, seeds(starts, None), [], observe=back.observe, finished=back.finished)
    return back.fault(graph), Census(values, len(graph), back.seen)


class _Flags:
    """Record whether each array that a backward pass meets is fine, in its order, read together.

    One by one each would wait for the device.
    """

    def __init__(self, *, infinite: bool) -> None:
        self.infinite = infinite
        self.found: dict[int, Any] = {}

    def add(self, tensor: Tensor, slot: int, part: Any) -> None:
        """Look at what a use adds."""
        self.add_whole(tensor, part)

    def add_whole(self, tensor: Tensor, g: Any) -> None:
        """Look at a whole gradient."""
        parts = [one for one in (g if isinstance(g, tuple) else (g,)) if one is not None]
        self.found[len(self.found)] = tuple(
            _fine(one, infinite=self.infinite).all()
            for one in parts if one.dtype.kind in FLOATING + "c"
        )  # fmt: skip

    def read(self) -> Iterator[bool]:
        """Return for each whether it is bad."""
        bring(self.found)
        return iter([not all(map(bool, own)) for own in self.found.values()])


def bad(data: Any, *, infinite: bool) -> bool:
    """Return whether an array, or one of several, holds a NaN or, if that counts, an infinity."""
    if isinstance(data, tuple):
        return any(bad(part, infinite=infinite) for part in data if part is not None)
    if data.dtype.kind not in FLOATING + "c":
        return False
    return not bool(_fine(data, infinite=infinite).all())


def _fine(data: Any, *, infinite: bool) -> Any:
    """Return which elements are not at fault."""
    return abs(data) < math.inf if infinite else data == data


def _forward(graph: Graph, broken: list[Node], *, infinite: bool) -> Fault:
    """Return the first broken node is the first in topological order: all that is older is fine."""
    node = broken[0]
    data = graph.tensor(node).data
    if isinstance(data, tuple):  # one op with several results
        data = next(part for part in data if bad(part, infinite=infinite))
    index, value = _first(data, infinite=infinite)
    made = _made(node, index, value)
    facts = [_tally(data, "results"), *_inputs(node)] if node.inputs else [_tally(data, "values")]
    spoiled = frozenset(broken) & frozenset(graph.descendants(node))
    return Fault(node, False, None, index, made, tuple(facts), spoiled)


def _made(node: Node, index: tuple[int, ...], value: float) -> str:
    """Return what made the element at an index: ``log of 0 at [3, 1] gives −inf``."""
    if not node.inputs:
        return f"{node.name or 'a leaf'} holds {number(value)}{_at(index)}"
    if node.op.kind != "elementwise":
        return f"{node.op.name} gives {number(value)}{_at(index)}"
    given = " and ".join(number(_element(x, index, node.shape)) for x in node.inputs)
    return f"{node.op.name} of {given}{_at(index)} gives {number(value)}"


def _element(x: Any, index: tuple[int, ...], shape: tuple[int, ...]) -> float:
    """Return the number of an input that went into one element of a result, broadcast."""
    if not isinstance(x, Tensor):
        return float(x.real)
    place = index[len(shape) - x.ndim :]
    own = tuple(0 if size == 1 else i for i, size in zip(place, x.shape, strict=True))
    return float(x.data[own])


def _inputs(node: Node) -> Iterator[str]:
    """Yield the range of every input."""
    for slot, x in enumerate(node.inputs):
        if isinstance(x, int | float | complex):
            yield f"input {slot}: {number(float(x.real))}"
        elif isinstance(x, Tensor) and not isinstance(x.data, tuple):
            yield f"input {slot}, {x.node.name or x.node.op.name}: {span(x.data)}"


def span(data: Any) -> str:
    """Return the smallest and the largest number of an array; what is not finite is left out."""
    if data.dtype.kind not in FLOATING + "iu" or not data.size:
        return f"{data.dtype}, {count(data.size)} elements"
    wide = data.astype("float64").reshape(-1)
    wide = wide[abs(wide) < math.inf]
    if not wide.size:
        return "nothing finite"
    low, high = float(wide.min()), float(wide.max())
    return f"all {number(low)}" if low == high else f"min {number(low)}, max {number(high)}"


def _tally(data: Any, what: str) -> str:
    """Return how many elements are not finite, and of which kind."""
    flat = data.reshape(-1)
    nans = int((flat != flat).sum())
    infinite = flat.size - int((abs(flat) < math.inf).sum()) - nans
    kinds = [f"{count(n)} {kind}" for n, kind in ((nans, "NaN"), (infinite, "infinite")) if n]
    return f"{' and '.join(kinds)} of {count(flat.size)} {what}"


def _first(data: Any, *, infinite: bool) -> tuple[tuple[int, ...], float]:
    """Return the index of the first element at fault in an array, and the element."""
    flat = data.reshape(-1)
    position = int(_fine(flat, infinite=infinite).argmin())
    value, index = flat[position], []
    for size in reversed(data.shape):
        position, rest = divmod(position, size)
        index.append(rest)
    return tuple(reversed(index)), float(value.real)


def _at(index: tuple[int, ...]) -> str:
    return f" at {list(index)}" if index else ""


class _Back:
    """Watch a backward pass for the first fault in it, and for nodes with a bad gradient."""

    def __init__(self, *, infinite: bool) -> None:
        self.infinite = infinite
        self.known: Iterator[bool] | None = None  # of a pass before, by the order of looks
        self.seen = 0
        self.spoiled: list[Node] = []
        self.made: tuple[Tensor, int | None, Any, Any] | None = None
        self.g: Any = None  # the gradient that is being pulled back

    def finished(self, tensor: Tensor, g: Any) -> None:
        """See a whole gradient: contributions may be finite and their sum not."""
        self.seen += 1
        self.g = g
        if self._bad(g):
            self.spoiled.append(tensor.node)
            if self.made is None and not isinstance(g, tuple):
                self.made = tensor, None, g, g

    def observe(self, tensor: Tensor, slot: int, part: Any) -> None:
        """See what a use adds to a gradient."""
        if self.made is not None and self.known is None:
            return
        if self._bad(part) and self.made is None and not isinstance(part, tuple):
            self.made = tensor, slot, part, self.g

    def _bad(self, data: Any) -> bool:
        return bad(data, infinite=self.infinite) if self.known is None else next(self.known)

    def fault(self, graph: Graph) -> Fault | None:
        """Return what was found."""
        if self.made is None:
            return None
        tensor, slot, part, g = self.made
        node = tensor.node
        index, value = _first(part, infinite=self.infinite)
        if slot is None:
            line = f"the contributions to the gradient of {node.name or node.op.name} sum up to "
            headline = f"{line}{number(value)}{_at(index)}"
            facts = [_tally(part, "numbers"), f"value: {span(tensor.data)}"]
        else:
            headline = f"{_derivative(node, slot, index)} gives {number(value)}"
            incoming = [] if isinstance(g, tuple) else [f"gradient that came: {span(g)}"]
            facts = [_tally(part, "numbers"), *incoming, *_inputs(node)]
        spoiled = frozenset(self.spoiled) & frozenset(graph.ancestors(node))
        return Fault(node, True, slot, index, headline, tuple(facts), spoiled)


def _derivative(node: Node, slot: int, index: tuple[int, ...]) -> str:
    """Return which derivative it was, and its inputs where these are single."""
    by = f" by input {slot}" if len(node.inputs) > 1 else ""
    same = all(not isinstance(x, Tensor) or x.shape == node.shape for x in node.inputs)
    if not (node.op.kind == "elementwise" and same):
        return f"the derivative of {node.op.name}{by}{_at(index)}"
    given = " and ".join(number(_element(x, index, node.shape)) for x in node.inputs)
    return f"the derivative of {node.op.name}{by} at {given}{_at(index)}"
