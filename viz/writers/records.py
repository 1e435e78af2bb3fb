"""Write the graph of a picture for other programs: JSON, and GraphML. Above labels; no pixels
but the positions that the graph itself has.

Both hold numbers, truth values and text as such. A tuple is a list in JSON and the JSON of that
list in GraphML; anything else is its text. Halves of surrogate pairs, which no file holds, become
U+FFFD; control characters, which XML cannot hold, become spaces in GraphML.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from numbers import Integral, Real
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import networkx as nx

from viz.labels import clean

HALVES = re.compile("[\ud800-\udfff]")
HEADER = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<graphml xmlns="http://graphml.graphdrawing.org/xmlns" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="http://graphml.graphdrawing.org/xmlns '
    'http://graphml.graphdrawing.org/xmlns/1.0/graphml.xsd">'
)
LONGEST_INT = 2**63  # what the type `long` of XML holds

Attributes = Mapping[str, Any]


def to_json(graph: nx.MultiDiGraph, title: str) -> str:
    """Return the graph as ``networkx.node_link_graph(data, edges="edges")`` reads it, titled.

    Strict JSON: infinite and undefined numbers are the texts "Infinity", "-Infinity" and "NaN".
    Keys of edges that are neither numbers nor text are the JSON of what they are.

    >>> import json, networkx as nx
    >>> list(json.loads(to_json(nx.MultiDiGraph(), "Empty")))
    ['title', 'directed', 'multigraph', 'graph', 'nodes', 'edges']
    """
    nodes = ({**_held(data), "id": _held(n)} for n, data in graph.nodes(data=True))
    edges = (
        {**_held(data), "source": _held(a), "target": _held(b), "key": _key(key)}
        for a, b, key, data in graph.edges(keys=True, data=True)
    )
    head = _dump({"title": _held(title), "directed": True, "multigraph": True,
                  "graph": _held(graph.graph)})  # fmt: skip
    return f'{head[:-1]}, "nodes": [{_rows(nodes)}], "edges": [{_rows(edges)}]}}\n'


def to_graphml(graph: nx.MultiDiGraph, title: str) -> str:
    """Return the graph as GraphML, every attribute with its type; what is None is left out.

    ``networkx.read_graphml(path, node_type=int, force_multigraph=True)`` reads it; the keys of
    edges are their attribute "key".
    """
    nodes = {str(n): data for n, data in graph.nodes(data=True)}
    edges = [
        (str(a), str(b), {**data, "key": _key(key)})
        for a, b, key, data in graph.edges(keys=True, data=True)
    ]
    whole = {**graph.graph, "title": title}
    own, on_nodes = _Columns("graph", [whole]), _Columns("node", nodes.values())
    on_edges = _Columns("edge", (data for *_, data in edges))
    lines = [HEADER, *own.declared(), *on_nodes.declared(), *on_edges.declared()]
    lines += ['  <graph edgedefault="directed">', *own.values(whole)]
    for n, data in nodes.items():
        lines += [f"    <node id={_quoted(n)}>", *on_nodes.values(data), "    </node>"]
    for i, (a, b, data) in enumerate(edges):
        lines.append(f'    <edge id="e{i}" source={_quoted(a)} target={_quoted(b)}>')
        lines += [*on_edges.values(data), "    </edge>"]
    return "\n".join([*lines, "  </graph>", "</graphml>", ""])


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _rows(records: Iterable[Attributes]) -> str:
    """Return records of JSON, one a line."""
    return ",".join(f"\n{_dump(record)}" for record in records)


def _key(key: Any) -> int | str:
    """Return the key of an edge: it must be hashable when it is read, and a list would not be."""
    held = _held(key)
    return held if isinstance(held, int | str) else _dump(held)


def _held(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return HALVES.sub("\ufffd", value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return _finite(float(value))
    if isinstance(value, Mapping):
        return {_held(str(name)): _held(part) for name, part in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(map(_held, value), key=_dump)
    if isinstance(value, tuple | list):
        return [_held(part) for part in value]
    return _held(str(value))


def _finite(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


class _Columns:
    """List the attributes of all nodes, of all edges or of the graph: their keys and types."""

    def __init__(self, where: str, records: Iterable[Attributes]) -> None:
        self.where = where
        self.types: dict[str, str] = {}
        for record in records:
            for name, value in record.items():
                if value is not None:
                    kind = _type(value)
                    self.types[name] = _joined(self.types.get(name, kind), kind)
        self.ids = {name: f"{where}{i}" for i, name in enumerate(self.types)}

    def declared(self) -> Iterator[str]:
        for name, kind in self.types.items():
            yield (
                f'  <key id="{self.ids[name]}" for="{self.where}" '
                f'attr.name={_quoted(name)} attr.type="{kind}"/>'
            )

    def values(self, record: Attributes) -> Iterator[str]:
        for name, value in record.items():
            if value is not None:
                text = _words(value, self.types[name])
                yield f'      <data key="{self.ids[name]}">{escape(text)}</data>'


def _type(value: Any) -> str:
    """Return the type in GraphML that holds a value."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, Integral):
        return "long" if -LONGEST_INT <= int(value) < LONGEST_INT else "string"
    return "double" if isinstance(value, Real) else "string"


def _joined(a: str, b: str) -> str:
    """Return the type that holds the values of two types."""
    return a if a == b else "double" if {a, b} == {"long", "double"} else "string"


def _words(value: Any, kind: str) -> str:
    """Return a value as text, in the notation of XML Schema for numbers and truth values."""
    if kind == "double":
        number = float(value)
        special = "NaN" if math.isnan(number) else "INF" if number > 0 else "-INF"
        return repr(number) if math.isfinite(number) else special
    held = _held(value)
    text = held if isinstance(held, str) else _dump(held)
    return clean(text, lines=True)


def _quoted(text: str) -> str:
    return quoteattr(clean(text))
