"""Record small networks to draw, and read their pictures, for the tests of `viz`."""

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass

import numpy as np

import engine
import rnn
from engine import Tensor

SVG = "{http://www.w3.org/2000/svg}"


def per_step(cell: rnn.Cell, steps: int, vocabulary: int = 5) -> list[Tensor]:
    """Return the losses of a small model that is fed and judged step by step."""
    embedding = rnn.Embedding(vocabulary, cell.input_size)
    head = rnn.Linear(next(iter(cell.state_size.values())), vocabulary)
    embedding._name, head._name, cell._name = "embedding", "head", "cell"
    state, losses = cell.zero_state(1, like=embedding.weight), []
    for t in range(steps):
        with engine.scope(t=t):
            x = engine.asarray(np.array([t % vocabulary]), name=f"x{t}")
            h, state = cell(embedding(x), state)
            y = engine.asarray(np.array([(t + 1) % vocabulary]), name=f"y{t}")
            with engine.scope("loss"):
                losses.append(engine.cross_entropy(head(h), y))
    return losses


def total(losses: list[Tensor]) -> Tensor:
    with engine.scope("total"):
        return engine.sum(engine.stack(losses))


CELLS = {"elman": rnn.ElmanCell, "lstm": rnn.LSTMCell, "gru": rnn.GRUCell}


def network(kind: str, steps: int) -> Tensor:
    """Return the sum of the losses of a small seeded network."""
    engine.seed(3)
    return total(per_step(CELLS[kind](3, 4), steps))


@dataclass(frozen=True)
class Rect:
    """Hold a rectangle of the picture."""

    key: int
    kind: str
    x: float
    y: float
    w: float
    h: float
    words: tuple[str, ...]

    def holds(self, x: float, y: float, slack: float = 0.5) -> bool:
        inside = self.x + slack < x < self.x + self.w - slack
        return inside and self.y + slack < y < self.y + self.h - slack


@dataclass(frozen=True)
class Line:
    """Hold a wire of the picture as the points it goes through."""

    kind: str
    source: int
    target: int
    points: tuple[tuple[float, float], ...]
    width: float
    dashed: bool


def boxes(svg: str) -> list[Rect]:
    """Return the boxes in an SVG, from the document alone."""
    found = []
    for g in ET.fromstring(svg).iter(f"{SVG}g"):
        classes = (g.get("class") or "").split()
        if "node" in classes:
            inner = g.find(f"{SVG}g")
            x, y = map(float, re.findall(r"-?[\d.]+", inner.get("transform")))
            r = inner.find(f"{SVG}rect")
            w, h = (float(r.get(key)) for key in ("width", "height"))
            words = tuple(text.text or "" for text in g.iter(f"{SVG}text"))
            found.append(Rect(int(g.get("data-id")), classes[1], x, y, w, h, words))
    return found


def way(d: str) -> tuple[tuple[float, float], ...]:
    """Return the points that a path goes through or bends at, from its commands M, m, l and q."""
    x = y = 0.0
    points = []
    for command, numbers in re.findall(r"([Mmlqz])([^Mmlqz]*)", d):
        values = [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?", numbers)]
        steps = list(zip(values[::2], values[1::2], strict=True))
        for dx, dy in steps[:-1]:  # the corner of a bend
            points.append((x + dx, y + dy))
        if steps:
            dx, dy = steps[-1]
            x, y = (dx, dy) if command == "M" else (x + dx, y + dy)
            points.append((x, y))
    return tuple(points)


def lines(svg: str) -> list[Line]:
    """Return the wires in an SVG, from the document alone."""
    found = []
    for g in ET.fromstring(svg).iter(f"{SVG}g"):
        classes = (g.get("class") or "").split()
        if "edge" in classes:
            path = g.find(f"{SVG}path")
            found.append(
                Line(
                    kind=classes[1],
                    source=int(g.get("data-source")),
                    target=int(g.get("data-target")),
                    points=way(path.get("d")),
                    width=float(path.get("stroke-width")),
                    dashed=path.get("stroke-dasharray") is not None,
                )
            )
    return found
