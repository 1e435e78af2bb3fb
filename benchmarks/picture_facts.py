"""Read a picture from its file alone: boxes, edges, norms of gradients, a time axis.

The same reader for the files of all libraries, SVG or DOT. Below `pictures.py`.
"""

import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any

SVG = "{http://www.w3.org/2000/svg}"
MOVED = re.compile(r"translate\(\s*([-\d.e]+)[\s,]+([-\d.e]+)\s*\)")
DECIMAL = re.compile(r"\d+\.\d+(?:e[-+]?\d+)?|\d+e[-+]?\d+")
COUNTED = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)
NAME = r'("[^"]*"|[\w.:]+)'
NODE = re.compile(rf"^\s*{NAME}\s*\[", re.MULTILINE)
EDGE = re.compile(rf'^\s*{NAME} -> {NAME}(?:.*?\bcolor="?([#\w]+))?', re.MULTILINE)
NOT_NODES = ("graph", "node", "edge")
GRADIENT = "#9197f6"  # the colour of torchlens for edges that gradients pass
EXACT = 0.01  # a norm that is written with two figures less than 1 % off counts as written

Word = tuple[str, float, float]


def facts(path: Path, steps: int, norms: Sequence[float] | None) -> dict[str, Any]:
    """Count boxes, edges and backward edges, bytes, and what the file says of `norms`.

    `norms` are those of the gradients at the states of all steps, worked out elsewhere: `norms`
    of the result is how many of them stand in the words or titles of the file. `in_order` is how
    many of the `steps` are named and stand in their order along the page. Both are None where there
    is nothing to look for: no norms, and places in DOT.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".svg":
        root = ET.fromstring(text)
        counts, words = _counted_svg(root), list(_words(root))
        said = [word for word, *_ in words]
        said += [title.text or "" for title in root.iter(f"{SVG}title")]
    else:
        counts, said, words = _counted_dot(text), _labels(text), []
    return {
        **counts,
        "bytes": path.stat().st_size,
        "norms": None if norms is None else written(said, norms),
        "in_order": in_order(words, steps) if path.suffix == ".svg" else None,
    }


def _counted_svg(root: ET.Element) -> dict[str, int]:
    """Count nodes and edges by the classes of groups that our writer and Graphviz share."""
    nodes = edges = backward = 0
    colors: dict[frozenset[str], str] = {}
    for group in root.iter(f"{SVG}g"):
        classes = (group.get("class") or "").split()
        nodes += "node" in classes
        if "edge" in classes:
            back = "backward" in classes or _backward(group, colors)
            backward += back
            edges += not back
    return {"nodes": nodes, "edges": edges, "backward_edges": backward}


def _backward(edge: ET.Element, colors: dict[frozenset[str], str]) -> bool:
    """Return whether an edge of Graphviz is drawn as a backward one."""
    source, arrow, target = (edge.findtext(f"{SVG}title") or "").partition("->")
    path = edge.find(f"{SVG}path")
    color = "" if path is None else path.get("stroke") or ""
    return bool(arrow) and _is_back(source, target, color, colors)


def _is_back(source: str, target: str, color: str, colors: dict[frozenset[str], str]) -> bool:
    return color == GRADIENT or colors.setdefault(frozenset((source, target)), color) != color


def _counted_dot(text: str) -> dict[str, int]:
    """Return nodes and edges of DOT, a statement a line; edges may lack attributes."""
    nodes = {name for name in NODE.findall(text) if name not in NOT_NODES}
    colors: dict[frozenset[str], str] = {}
    edges = EDGE.findall(text)
    backward = sum(_is_back(a, b, color, colors) for a, b, color in edges)
    return {"nodes": len(nodes), "edges": len(edges) - backward, "backward_edges": backward}


def _labels(text: str) -> list[str]:
    """Return the labels and tooltips of DOT, without the marks of its HTML."""
    plain = re.findall(r'\b(?:label|tooltip|xlabel)="((?:[^"\\]|\\.)*)"', text)
    rich = re.findall(r"\blabel=<(.*?)>(?=\s+\w+=|\])", text, re.DOTALL)
    return [*plain, *(unescape(re.sub(r"<[^>]*>", " ", label)) for label in rich)]


def _words(root: ET.Element) -> Iterator[Word]:
    """Yield every text and its place; turns and scales, which keep the order, are left out."""
    waiting = [(root, 0.0, 0.0)]
    while waiting:
        element, x, y = waiting.pop()
        if moved := MOVED.search(element.get("transform") or ""):
            x, y = x + float(moved[1]), y + float(moved[2])
        if element.tag == f"{SVG}text":
            own = float(element.get("x") or 0), float(element.get("y") or 0)
            yield "".join(element.itertext()), x + own[0], y + own[1]
        waiting.extend((child, x, y) for child in element)


def written(said: Iterable[str], norms: Sequence[float]) -> int:
    """Count the norms that are written, to 1 %, as numbers with a point or an exponent."""
    numbers = [float(n) for text in said for n in DECIMAL.findall(text)]
    return sum(any(abs(n - norm) <= EXACT * norm for n in numbers) for norm in norms)


def in_order(words: Iterable[Word], steps: int) -> int:
    """Count the steps that are named by one word each, alike but for their number, and in order.

    Steps are numbered from 0 or from 1. A step is in order where it stands further along than the
    one before it: to the right, or up, or down the page. 0 where steps are not named.
    """
    found: dict[tuple[str, str], dict[int, list[tuple[float, float]]]]
    found = defaultdict(lambda: defaultdict(list))
    for text, x, y in words:
        if counted := COUNTED.fullmatch(text):
            found[counted[1], counted[3]][int(counted[2])].append((x, y))
    return max((_ordered(places, steps) for places in found.values()), default=0)


def _ordered(places: dict[int, list[tuple[float, float]]], steps: int) -> int:
    numbers = sorted(places)
    named = numbers in (list(range(steps)), list(range(1, steps + 1)))
    if not named or any(len(places[t]) > 1 for t in numbers):
        return 0
    across, down = zip(*(places[t][0] for t in numbers), strict=True)
    return 1 + max(_grows(across), _grows(down), _grows(down[::-1]))


def _grows(values: Sequence[float]) -> int:
    return sum(a < b for a, b in pairwise(values))
