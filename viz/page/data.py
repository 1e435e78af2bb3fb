"""Pack a drawing and its graph into the compact JSON that the interactive page reads.

Numbers of geometry are packed (little-endian, base64), words stand in one table and are named by
their position in it, -1 for none. Above scenes; `document.py` puts it into the document.
"""

import json
import math
import sys
from array import array
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import networkx as nx

from viz.dark import dark
from viz.scene import Box, Line, Rect, Scene, Shape, Wire
from viz.style import FILLS

WORDS = ("label", "full", "op", "direction", "cell", "role", "dtype", "path")  # of nodes
NORMS = ("value_norm", "grad_norm")
HISTOGRAMS = ("histogram", "grad_histogram")


class Series(NamedTuple):
    """Hold a state by name, the steps at which its gradient is known, and its norms there."""

    name: str
    times: tuple[int, ...]
    norms: tuple[float, ...]


Key = tuple[str, str, str]  # name of the state, path of its cell, direction


def by_step(graph: nx.MultiDiGraph) -> list[Series]:
    """Return the norm of dL/d state by step for each state, in order of time.

    >>> import networkx as nx
    >>> by_step(nx.MultiDiGraph(norms={"h": [(1, 0.5), (0, 0.25)]}))
    [Series(name='h', times=(0, 1), norms=(0.25, 0.5))]
    """
    given = graph.graph.get("norms")
    if given:
        return [_series(str(name), dict(pairs)) for name, pairs in given.items()]
    found: dict[Key, dict[int, float]] = {}
    for _, node in graph.nodes(data=True):
        if isinstance(node.get("t"), int):
            for name, norm in _states(node):
                key = (name, str(node.get("path") or ""), str(node.get("direction") or ""))
                found.setdefault(key, {})[node["t"]] = norm  # the last box of a step has the state
    order = sorted(found, key=lambda key: key[0] != "h")  # as on the boxes, else as recorded
    return [_series(_name(key, found), found[key]) for key in order]


def _series(name: str, norms: Mapping[int, float]) -> Series:
    times = tuple(sorted(norms))
    return Series(name, times, tuple(float(norms[t]) for t in times))


def _states(node: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    """Yield the states that a box shows the gradients of: a cell by name, an op by its role."""
    for name, norm in node.get("grads") or ():
        if node.get("kind") == "cell" and name:
            yield name, norm
        elif node.get("is_state") and node.get("role"):
            yield node["role"], norm


def _name(key: Key, among: Iterable[Key]) -> str:
    """Return the name of a state, with its path and direction where the name alone is not one."""
    same = [other for other in among if other[0] == key[0]]
    several = [part for i, part in enumerate(key) if i and len({own[i] for own in same}) > 1]
    return " ".join([key[0], *several]).strip()


def encode(scene: Scene, graph: nx.MultiDiGraph, mode: str) -> str:
    """Return the JSON text, safe in a `script` element. Same scene and graph, same bytes."""
    words, colors = _Table(), _Table()
    box_of = {box.key: i for i, box in enumerate(scene.boxes)}
    edges = [(a, b, d) for a, b, d in graph.edges(data=True) if a in box_of and b in box_of]
    data = {
        "mode": mode,
        "title": scene.title,
        "width": scene.width,
        "height": scene.height,
        "boxes": _boxes(scene, words, colors),
        "nodes": _nodes(scene, graph, words),
        "edges": _edges(edges, box_of, words),
        "wires": _wires(scene.wires, edges, box_of, words, colors),
        "bands": [[b.x, b.y, b.w, b.h, words[b.heading], int(b.shaded)] for b in scene.bands],
        "shapes": [_shape(shape, words, colors) for shape in scene.shapes],
        "norms": [
            [words[own.name], _packed("i", own.times), _packed("d", own.norms)]
            for own in by_step(graph)
        ],
    }
    data["words"] = list(words)
    data["colors"] = [[color, dark(color)] for color in colors]
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


class _Table:
    """Give each word a position, the same for the same word; empty ones are -1."""

    def __init__(self) -> None:
        self.position: dict[str, int] = {}

    def __getitem__(self, word: object) -> int:
        text = "" if word is None else str(word)
        return self.position.setdefault(text, len(self.position)) if text else -1

    def __iter__(self) -> Any:
        return iter(self.position)


def _packed(kind: str, values: Iterable[float]) -> str:
    """Return numbers as base64: "f" and "d" are floats, "i" integers of 4 bytes, little-endian."""
    numbers = array(kind, values)
    if sys.byteorder == "big":
        numbers.byteswap()
    return b64encode(numbers.tobytes()).decode("ascii")


def _number(value: Any) -> float | str | None:
    """Return a float of nine digits for JSON, which has no infinities: those are words."""
    if value is None:
        return None
    number = float(value)
    if math.isfinite(number):
        return float(f"{number:.9g}")
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _boxes(scene: Scene, words: _Table, colors: _Table) -> dict[str, Any]:
    boxes = scene.boxes
    return {
        "key": [box.key for box in boxes],
        "rect": _packed("f", (v for box in boxes for v in (box.x, box.y, box.w, box.h))),
        "kind": _packed("i", (words[box.kind] for box in boxes)),
        "fill": _packed("i", (colors[_dress(box, 0)] for box in boxes)),
        "stroke": _packed("i", (colors[_dress(box, 1)] for box in boxes)),
        "lines": [[words[line] for line in box.lines] for box in boxes],
        "mark": _packed("i", (words[box.mark] for box in boxes)),
        "dim": [i for i, box in enumerate(boxes) if box.dim],
    }


def _dress(box: Box, part: int) -> str:
    """Return the fill or stroke of a box: its own where it has one, else that of its kind."""
    return (box.fill or FILLS[box.kind])[part]


def _nodes(scene: Scene, graph: nx.MultiDiGraph, words: _Table) -> dict[str, Any]:
    """Return what is known of each box, in their order; columns without any entry are left out."""
    known = [graph.nodes[box.key] if box.key in graph else {} for box in scene.boxes]
    found: dict[str, Any] = {}
    for name in WORDS:
        found[name] = _packed("i", (words[node.get(name)] for node in known))
    found["kind"] = _packed(
        "i", (words[n.get("kind") or b.kind] for n, b in zip(known, scene.boxes, strict=True))
    )
    found["shape"] = _packed("i", (words[_size(node.get("shape"))] for node in known))
    found["layer"] = _packed("i", (words[node.get("layer")] for node in known))
    for name in ("t", "members"):
        found[name] = [node.get(name) for node in known]
    for name in NORMS:
        if any(node.get(name) is not None for node in known):
            found[name] = [_number(node.get(name)) for node in known]
    found["grads"] = {
        i: [[words[name], _number(g)] for name, g in node["grads"]]
        for i, node in enumerate(known) if node.get("grads")
    }  # fmt: skip
    for name in HISTOGRAMS:
        drawn = {i: _histogram(node, name) for i, node in enumerate(known) if name in node}
        found[name] = {i: own for i, own in drawn.items() if own}
    titles = {i: box.title for i, box in enumerate(scene.boxes) if not known[i] and box.title}
    found["title"] = {i: words[title] for i, title in titles.items()}
    return found


def _size(shape: Any) -> str:
    """Return a shape as people write it: 4×8, and "scalar" for that of a single number."""
    if shape is None:
        return ""
    return "×".join(map(str, shape)) or "scalar"


def _histogram(node: Mapping[str, Any], name: str) -> list[Any] | None:
    """Return low, high, how many are NaN and infinite, and the counts."""
    counts = node[name]
    if counts is None:
        return None
    low, high = node.get(f"{name}_range") or (0.0, 0.0)
    nan, inf = node.get(f"{name}_nonfinite") or (0, 0)
    return [_number(low), _number(high), int(nan), int(inf), [int(n) for n in counts]]


Edges = list[tuple[int, int, dict[str, Any]]]


def _edges(edges: Edges, box_of: dict[int, int], words: _Table) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ends": _packed("i", (box_of[n] for a, b, _ in edges for n in (a, b))),
        "kind": _packed("i", (words[d.get("kind")] for *_, d in edges)),
        "label": _packed("i", (words[d.get("label")] for *_, d in edges)),
        "dt": [d.get("dt") or 0 for *_, d in edges],
        "cut": [i for i, (*_, d) in enumerate(edges) if d.get("cut")],
    }
    for name in ("grad_norm", "jacobian_norm"):
        if any(d.get(name) is not None for *_, d in edges):
            found[name] = [_number(d.get(name)) for *_, d in edges]
    return found


def _wires(
    wires: tuple[Wire, ...], edges: Edges, box_of: dict[int, int], words: _Table, colors: _Table
) -> dict[str, Any]:
    edge_of = _edges_of_wires(wires, edges)
    styles: dict[tuple[int, float, str], int] = {}
    style = [
        styles.setdefault((colors[w.color], round(w.width, 2), w.dash), len(styles)) for w in wires
    ]
    starts = [0]
    for wire in wires:
        starts.append(starts[-1] + len(wire.points))
    nowhere = (0.0, 0.0)
    titles = (words[w.title] if e < 0 else -1 for w, e in zip(wires, edge_of, strict=True))
    return {
        "ends": _packed("i", (box_of.get(n, -1) for w in wires for n in (w.source, w.target))),
        "starts": _packed("i", starts),
        "points": _packed("f", (v for w in wires for point in w.points for v in point)),
        "style": _packed("i", style),
        "kind": _packed("i", (words[w.kind] for w in wires)),
        "edge": _packed("i", edge_of),
        "label": _packed("i", (words[w.label] if w.label_at else -1 for w in wires)),
        "at": _packed("f", (v for w in wires for v in w.label_at or nowhere)),
        "mark": _packed("i", (words[w.mark] if w.mark_at else -1 for w in wires)),
        "mark_at": _packed("f", (v for w in wires for v in w.mark_at or nowhere)),
        "title": _packed("i", titles),
        "dim": [i for i, w in enumerate(wires) if w.dim],
        "styles": [list(one) for one in styles],
    }


def _edges_of_wires(wires: tuple[Wire, ...], edges: Edges) -> list[int]:
    """Return for each wire the edge that it shows, -1 for none.

    Of several between the same boxes, forward wires stand in the order of the edges, backward ones
    in that of their norms; a dead or broken one is known by its mark.
    """
    waiting: dict[tuple[str, int, int], list[int]] = defaultdict(list)
    for i, (a, b, d) in enumerate(edges):
        waiting["", a, b].append(i)
        norm = d.get("grad_norm")
        if norm is not None:
            broken = not math.isfinite(norm)
            waiting["!" if broken else "×" if norm == 0 else "red", a, b].append(i)
    for (group, _, _), own in waiting.items():
        own.sort(key=lambda i: edges[i][2]["grad_norm"] if group == "red" else i)
        own.reverse()  # they are taken from the end
    found = []
    for wire in wires:
        backward = wire.kind == "backward"
        a, b = (wire.target, wire.source) if backward else (wire.source, wire.target)
        group = "" if not backward else wire.mark if wire.mark in ("!", "×") else "red"
        left = waiting.get((group, a, b))
        found.append(left.pop() if left else -1)
    return found


def _shape(shape: Shape, words: _Table, colors: _Table) -> list[Any]:
    if isinstance(shape, Rect):
        return ["rect", shape.x, shape.y, shape.w, shape.h, colors[shape.fill],
                colors[shape.stroke], words[shape.title]]  # fmt: skip
    if isinstance(shape, Line):
        points = [round(v, 2) for point in shape.points for v in point]
        return ["line", points, colors[shape.color], shape.width, shape.dash,
                colors[shape.fill], words[shape.title]]  # fmt: skip
    return ["words", shape.x, shape.y, words[shape.text], shape.size, colors[shape.color],
            shape.anchor, int(shape.bold), shape.angle, int(shape.halo)]  # fmt: skip
