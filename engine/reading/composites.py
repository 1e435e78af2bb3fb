"""Find the calls of functions that are composed of several ops, such as `layer_norm`, in a graph.

A function is recorded once on a stand-in, and its record is looked for node by node. Equations and
pictures of cells show the call in the place of its ops. Above the ops and graphs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import engine.ops.activations as activations
from engine.apply import asarray
from engine.backends import HOST
from engine.graph import Graph
from engine.node import Node
from engine.ops.normalization import layer_norm
from engine.state import using
from engine.tensor import Tensor

SIZE, SETTING = 3, 0.123  # of the stand-in's last axis; stands for any number of the caller's

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "LN": lambda x: layer_norm(x, eps=SETTING), "GELU": activations.gelu,
    "SiLU": activations.silu, "ELU": activations.elu, "LeakyReLU": activations.leaky_relu,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Composite:
    """Describe one call: its name, the node of its argument, and the nodes before its last one."""

    name: str
    source: Node
    inner: frozenset[Node]


def composites(graph: Graph) -> dict[Node, Composite]:
    """Return the calls of composed functions in a graph by the node that each ends with.

    One with inner nodes that others use too, or that are results, is left out.

    >>> from engine.reading.composites import composites
    >>> y = engine.layer_norm(engine.ones((2, 4), requires_grad=True))
    >>> [one.name for one in composites(engine.Graph.of(y)).values()]
    ['LN']
    """
    users: dict[Node, set[Node]] = {}
    for source, target, _ in graph.edges:
        users.setdefault(source, set()).add(target)
    results = {x.node for x in graph.outputs}
    found = {}
    for node in graph.nodes:
        one = _called(node)
        inside = frozenset() if one is None else one.inner | {node}
        if one and not any(n in results or users[n] - inside for n in one.inner):
            found[node] = one
    return found


def _called(node: Node) -> Composite | None:
    """Return the call that a node ends, None where it ends none."""
    for name in FUNCTIONS:
        argument, end = _template(name)
        bound: dict[Node, Any] = {}
        if end.op is node.op and _same(end, node, argument, bound) and argument in bound:
            inner = frozenset(n for n in bound.values() if isinstance(n, Node))
            return Composite(name, bound[argument], inner - {node, bound[argument]})
    return None


@lru_cache(maxsize=16)
def _template(name: str) -> tuple[Node, Node]:
    """Record a function on a stand-in: the node of its argument, and that of its result."""
    x = asarray(HOST.xp.ones((2, SIZE), dtype="float32"), requires_grad=True)
    with using(tracing=True, recording=True, equations=None, interpreter=None):
        return x.node, FUNCTIONS[name](x).node


def _same(ours: Any, theirs: Any, argument: Node, bound: dict[Node, Any]) -> bool:
    """Tell whether a node was made as the template's was, and note which is which."""
    ours, theirs = (x.node if isinstance(x, Tensor) else x for x in (ours, theirs))
    if not isinstance(ours, Node):
        return not isinstance(theirs, Node) and _same_number(ours, theirs, argument, bound)
    if not isinstance(theirs, Node):
        return False
    if ours in bound:
        return bound[ours] is theirs
    if ours is not argument:
        alike = ours.op is theirs.op and dict(ours.attrs) == dict(theirs.attrs)
        if not alike or len(ours.inputs) != len(theirs.inputs):
            return False
        pairs = zip(ours.inputs, theirs.inputs, strict=True)
        if not all(_same(a, b, argument, bound) for a, b in pairs):
            return False
    return bound.setdefault(ours, theirs) is theirs


def _same_number(ours: Any, theirs: Any, argument: Node, bound: dict[Node, Any]) -> bool:
    if ours == SETTING:
        return True
    if ours == SIZE and argument in bound:  # the mean's divisor, read after what it divides
        return bool(theirs == bound[argument].shape[-1])
    return bool(ours == theirs)
