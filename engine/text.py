"""The canonical text form of a graph: a line a node, numbered in topological order.

Holds nothing that differs between runs: no addresses, no global ids, no hash order.
"""

import re
from collections.abc import Mapping
from typing import Any

from engine.graph_base import GraphBase
from engine.node import Node
from engine.tensor import Tensor

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # in what Python prints of functions and objects


def graph_text(graph: GraphBase) -> str:
    """Return the lines of all nodes and one of the outputs.

    >>> x = engine.asarray([1.0, 2.0], requires_grad=True, name="x")
    >>> print(engine.Graph.of((x * 2).sum()).text())
    %0 = leaf 'x' grad -> float32[2]
    %1 = multiply(%0, 2) -> float32[2]
    %2 = sum(%1) -> float32[]
    return %2
    """
    lines = [node_line(graph, node) for node in graph.nodes]
    return "\n".join([*lines, return_line(graph)])


def return_line(graph: GraphBase) -> str:
    """Return the line of the outputs."""
    return f"return {', '.join(f'%{graph.number[out.node]}' for out in graph.outputs)}".rstrip()


def node_line(graph: GraphBase, node: Node) -> str:
    """Return the line of one node: number, op, inputs, attributes, shape, scope, origin."""
    parts = [f"%{graph.number[node]} ="]
    if node.inputs:
        operands = (_input(graph, x) for x in node.inputs)
        parts.append(f"{node.op.name}({', '.join([*operands, *attrs_text(node.attrs)])})")
    else:
        parts.append(node.op.name + (f" {node.name!r}" if node.name else ""))
        parts += ["grad"] if graph.tensor(node).requires_grad else []
    parts.append(f"-> {node.dtype}{list(node.shape)}".replace(" ", "").replace("->", "-> "))
    if node.scope.path or node.scope.labels:
        parts.append(f"@ {node.scope}")
    if node.origin is not None:
        known = graph.number.get(node.origin)
        parts.append(f"d[{node.origin.op.name if known is None else f'%{known}'}]")
    return " ".join(parts)


def _input(graph: GraphBase, x: Any) -> str:
    return f"%{graph.number[x.node]}" if isinstance(x, Tensor) else repr(x)


def attrs_text(attrs: Mapping[str, Any]) -> list[str]:
    """Return ``name=value`` for each attribute, slices and ellipses as in an index."""
    return [f"{name}={value_text(value)}" for name, value in attrs.items()]


def value_text(value: Any, *, exact: bool = False) -> str:
    """Return the value of an attribute; floats in six digits, or all if `exact`."""
    if isinstance(value, slice):
        bounds = (value.start, value.stop, *(() if value.step is None else (value.step,)))
        return ":".join("" if bound is None else str(bound) for bound in bounds)
    if value is Ellipsis:
        return "..."
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        inner = ", ".join(value_text(part, exact=exact) for part in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, float):
        return float.__repr__(value) if exact else format(value, "g")
    return ADDRESS.sub("", repr(value))
