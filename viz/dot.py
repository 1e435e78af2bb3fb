"""Writes a scene as DOT with every position pinned, through the `graphviz` package.

``neato -n2`` draws it exactly as laid out here; the DOT program itself is not needed to write it.
"""

from itertools import pairwise

import graphviz

from viz.scene import Point, Scene
from viz.style import FILLS

INCH = 72.0  # Graphviz counts positions in points and sizes in inches


def digraph(scene: Scene) -> graphviz.Digraph:
    """The scene as a `graphviz.Digraph`; y grows upward there."""
    graph = graphviz.Digraph(
        engine="neato",
        graph_attr={"label": graphviz.escape(scene.title), "labelloc": "t",
                    "fontname": "Helvetica"},
        node_attr={"shape": "box", "style": "filled,rounded", "fixedsize": "true",
                   "fontname": "Helvetica", "fontsize": "11"},
        edge_attr={"fontname": "Helvetica", "fontsize": "9", "arrowsize": "0.6"},
    )  # fmt: skip
    for box in scene.boxes:
        fill, stroke = FILLS[box.kind]
        x, y = box.x + box.w / 2, scene.height - (box.y + box.h / 2)
        graph.node(
            f"n{box.key}",
            label="\\n".join(graphviz.escape(line) for line in box.lines),
            pos=f"{x:.2f},{y:.2f}!",
            width=f"{box.w / INCH:.3f}",
            height=f"{box.h / INCH:.3f}",
            fillcolor=fill,
            color=stroke,
            tooltip=graphviz.escape(box.title),
        )
    for wire in scene.wires:
        label = {}
        if wire.label and wire.label_at:
            x, y = wire.label_at
            label = {"label": graphviz.escape(wire.label), "lp": f"{x:.2f},{scene.height - y:.2f}"}
        graph.edge(
            f"n{wire.source}",
            f"n{wire.target}",
            pos=_spline(wire.points, scene.height),
            color=wire.color,
            penwidth=f"{wire.width:.2f}",
            style="dotted" if wire.dash else "solid",
            tooltip=graphviz.escape(wire.title),
            **label,
        )
    return graph


def _spline(points: tuple[Point, ...], height: float) -> str:
    """The straight stretches of a wire as the Bezier curves that Graphviz asks for."""
    flipped = [(x, height - y) for x, y in points]
    controls = [flipped[0]]
    for before, after in pairwise(flipped):
        controls += [before, after, after]
    end = flipped[-1]
    return f"e,{end[0]:.2f},{end[1]:.2f} " + " ".join(f"{x:.2f},{y:.2f}" for x, y in controls)
