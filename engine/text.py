"""The canonical text form of a graph: a line a node, numbered in topological order.

Holds nothing that differs between runs: no addresses, no global ids, no hash order.
"""

from collections.abc import Mapping
from typing import Any

from engine.graph import Graph
from engine.node import Node
from engine.tensor import Tensor


def graph_text(graph: Graph) -> str:
    """The lines of all nodes and one of the outputs.

    >>> import engine
    >>> x = engine.asarray([1.0, 2.0], requires_grad=True, name="x")
    >>> print(engine.Graph.of((x * 2).sum()).text())
    %0 = leaf 'x' grad -> float32[2]
    %1 = multiply(%0, 2) -> float32[2]
    %2 = sum(%1) -> float32[]
    return %2
    """
    lines = [_line(graph, node, number) for node, number in graph.number.items()]
    results = ", ".join(f"%{graph.number[out.node]}" for out in graph.outputs)
    return "\n".join([*lines, f"return {results}"])


def _line(graph: Graph, node: Node, number: int) -> str:
    parts = [f"%{number} ="]
    if node.inputs:
        given = (_input(graph, x) for x in node.inputs)
        parts.append(f"{node.op.name}({', '.join([*given, *attrs_text(node.attrs)])})")
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


def _input(graph: Graph, x: Any) -> str:
    return f"%{graph.number[x.node]}" if isinstance(x, Tensor) else repr(x)


def attrs_text(attrs: Mapping[str, Any]) -> list[str]:
    """``name=value`` for each attribute, slices and ellipses as they are written in an index."""
    return [f"{name}={_value(value)}" for name, value in attrs.items()]


def _value(value: Any) -> str:
    if isinstance(value, slice):
        bounds = (value.start, value.stop, *(() if value.step is None else (value.step,)))
        return ":".join("" if bound is None else str(bound) for bound in bounds)
    if value is Ellipsis:
        return "..."
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        inner = ", ".join(map(_value, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(value) if not isinstance(value, float) else format(value, "g")
