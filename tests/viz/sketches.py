"""Make a scene with everything that a scene can have, and read its drawings, for writers."""

import io
import shutil

import networkx as nx
import numpy as np
import pytest
from matplotlib.image import imread

from viz.scene import Band, Box, Line, Rect, Scene, Swatch, Wire, Words
from viz.writers.raster import SHARPNESS

needs_graphviz = pytest.mark.skipif(
    shutil.which("neato") is None, reason="the Graphviz programs are not installed"
)


def sketch(name: str = "name", title: str = "A sketch", *, turned: bool = True) -> Scene:
    """Draw six boxes, wires of all kinds, a chart, a legend and notes; `name` is in all words."""
    boxes = (
        Box(0, 40, 80, 130, 56, "cell", ("LSTMCell", "∂h 0.012", name), f"cell\n{name}", "!"),
        Box(1, 280, 80, 130, 56, "op", (name,), name),
        Box(2, 40, 180, 130, 56, "parameter", ("θ", name), name),
        Box(3, 280, 180, 130, 56, "gap", ("… 34 steps",)),
        Box(4, 460, 80, 90, 56, "gradient", ("dim",), "dim", "!", dim=True),
        Box(5, 460, 180, 90, 56, "state", ("c = +",), fill=("#c0ffee", "#00aa88")),
    )
    wires = (
        Wire(0, 1, ((170, 95), (280, 95)), "time", "#134e8a", 2.2, "", name, (225, 87), name),
        Wire(1, 0, ((280, 115), (170, 115)), "backward", "#8e1212", 6.0, "", "0.5", (225, 134),
             name, "!", (230, 115)),
        Wire(2, 1, ((105, 180), (105, 160), (240, 160), (240, 126), (280, 126)), "forward",
             "#2b6cb0"),
        Wire(2, 3, ((170, 208), (280, 208)), "backward", "#9aa0a6", 1.2, "1 4", mark="×",
             mark_at=(220, 208)),
        Wire(3, 5, ((410, 208), (460, 208)), "backward", "#111111", 6.0, "2 3", mark="✂",
             mark_at=(432, 208)),
        Wire(1, 4, ((410, 108), (460, 108)), "forward", "#2b6cb0", 3.0, "5 3", "dim", (432, 100),
             dim=True),
    )  # fmt: skip
    chart = (
        Rect(60, 280, 50, 100, "#2b6cb0", "#134e8a", name),
        Rect(110, 320, 50, 60, "#f7b095"),
        Line(((50, 380), (540, 380)), "#202124"),
        Line(((220, 380), (240, 310), (280, 330), (320, 270), (320, 380)), "#8e1212", 1.5,
             fill="#fde8e2", title=name),
        Line(((350, 370), (370, 310), (390, 330), (420, 270)), "#1f5fa8", 1.5, "4 3"),
        Words(300, 256, name, 12, bold=True),
        Words(450, 300, "start", anchor="start"),
        Words(540, 320, "end", anchor="end", halo=True),
    )  # fmt: skip
    angles = (Words(34, 330, "upright", angle=-90), Words(470, 400, "down", 14, angle=45))
    return Scene(
        title=title,
        width=590,
        height=440,
        boxes=boxes,
        wires=wires,
        bands=(Band(30, 45, 220, 205, "t = 0", True), Band(255, 45, 310, 205, name, False)),
        legend=(
            Swatch("a cell", "#1f5fa8", box="#dbe9f8"),
            Swatch(name, "#8e1212", 6.0),
            Swatch("zero (dead)", "#9aa0a6", 1.2, "1 4", mark="×"),
            Swatch("what goes into another line of the legend", "#134e8a", 2.4),
        ),
        notes=("t = 3 … 36 left out: 34 of 40 steps", name),
        shapes=chart + (angles if turned else ()),
    )


def graph() -> nx.MultiDiGraph:
    """Return a graph for the sketch, with attributes of all kinds."""
    made = nx.MultiDiGraph(level="op")
    for n in range(6):
        made.add_node(n, label=f"n{n}", t=n if n % 2 else None, shape=(n, 4), is_state=n > 4,
                      grad_norm=[0.1, 2.0, 1e-300][n % 3], position=(n * 10.0, 5))  # fmt: skip
    made.nodes[5]["grad_norm"] = float("inf")
    for n, (a, b) in enumerate([(0, 1), (0, 1), (2, 1), (2, 3), (3, 5), (1, 4)]):
        made.add_edge(a, b, key=(n, (n, 0)), kind="data", dt=n, grads=(("h", 0.5), ("c", n)))
    made.add_edge(4, 5, key=7, kind="time", dt=-1.5, norm=float("nan"))
    return made


def pixels(png: bytes) -> np.ndarray:
    """Return the picture as (height, width, 3) with values from 0 to 255."""
    return np.round(imread(io.BytesIO(png))[..., :3] * 255)


def color_at(image: np.ndarray, x: float, y: float, dots: float = SHARPNESS) -> str:
    r, g, b = image[int(y * dots), int(x * dots)].astype(int)
    return f"#{r:02x}{g:02x}{b:02x}"
