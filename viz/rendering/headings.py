"""What stands at the ends of the grid of a picture: names of rows, borders between steps.

Above the layout, below `scene_builder.py`.
"""

from collections.abc import Iterator, Sequence

from viz.labels import width
from viz.layout.geometry import Geometry
from viz.model.elements import Item
from viz.rendering.annotations import Annotations
from viz.scene import Line, Words
from viz.style import CUT

GREY = "#5f6368"
SIZE = 11.0
OVER = 23  # between the middle of a row and the foot of its name: initial states stand there
HEADING = 22  # how far borders reach over the grid


def row_names(items: Sequence[Item], place: Geometry) -> Iterator[Words]:
    """Yield the name of the row of each layer and direction, where there are several, at its left.

    A layer that runs backward in time has an arrow to the left.
    """
    rows: dict[tuple[object, str], int] = {}
    for item in items:
        if item.kind in ("cell", "state") and item.layer is not None and item.gap is None:
            row = place.grid.row[item.key]
            key = (item.layer, str(item.direction or "forward"))
            rows[key] = max(row, rows.get(key, row))
    if len(rows) < 2 or len(set(rows.values())) < len(rows):
        return
    both = len({direction for _, direction in rows}) > 1
    x = place.left[place.grid.columns.first] - 4
    for (layer, direction), row in rows.items():
        arrow = "" if not both else " →" if direction == "forward" else " ←"
        name, y = f"layer {layer}{arrow}", place.heights.middle[row] - OVER
        if not _taken(place, x - width(name, SIZE, bold=True), x, y):
            yield Words(x, y, name, SIZE, GREY, "end", bold=True)


def _taken(place: Geometry, left: float, right: float, foot: float) -> bool:
    """Return whether a box stands where a name would, or the name would leave the sheet."""
    return left < 4 or any(
        x < right and x + w > left and y < foot + 3 and y + h > foot - SIZE
        for x, y, w, h in place.boxes
    )


def borders(annotations: Annotations, place: Geometry) -> Iterator[Line]:
    """Yield a dashed line before each step at which a border stands."""
    columns = place.grid.columns.columns
    for column, x in zip(columns, place.left, strict=False):
        if column.time in annotations.borders:
            ends = (place.top - HEADING, place.bottom)
            yield Line(tuple((float(x), float(y)) for y in ends), CUT, 1.4, "6 4",
                       title=f"a chunk begins at t = {column.time}")  # fmt: skip
