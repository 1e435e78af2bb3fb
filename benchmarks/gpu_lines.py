"""List the parts of `make gpu`, and the lines of the benchmark of recurrences by their worth.

A line is a cell, a shape and a precision class; classes are never mixed. Below `gpu_recurrence.py`.
"""

import math
from typing import NamedTuple

Shape = tuple[int, int, int, int]
PARTS = ("environment", "tests", "recurrence_anchors", "sanitizer", "tests_of_ops",
         "recurrence_grid")  # of `make gpu`, the most telling first  # fmt: skip
RUNS = "runs it"  # of the line of `engine.explain_scan` that names the executor
CLASSES = ("float32", "tf32", "bfloat16")
BUILT = ("lstm", "gru", "rnn")
WRITTEN = ("peephole", "layernorm", "reset_before", "invented")
HIDDEN = (128, 256, 512, 1024, 2048)
BATCHES = (1, 16, 64, 128, 256)
STEPS = (64, 512)
ANCHOR = (1024, 16, 768, 768)  # for which there are published times of cuDNN and of FlashRNN
WRITTEN_SHAPES = [(64, B, H, H) for H in (512, 256, 1024) for B in (64, 16)]
MIDDLE = (64, 512)  # B and H from which the grid is measured outwards


class Line(NamedTuple):
    """Name a line of the result. T, B, I and H are its shape."""

    cell: str
    shape: Shape
    precision: str


def anchors() -> list[Line]:
    """Return the lines that tell most: the anchor, a middle and a small shape, and every cell."""
    middle, small = (64, 64, 512, 512), (64, 16, 256, 256)
    order: list[tuple[str, Shape]] = [("lstm", middle), ("lstm", ANCHOR), ("layernorm", middle),
             ("gru", middle), ("rnn", middle), ("lstm", small), ("invented", small),
             ("peephole", middle), ("reset_before", middle)]  # fmt: skip
    return [Line(cell, shape, precision) for cell, shape in order for precision in CLASSES]


def grid() -> list[Line]:
    """Return all other lines, from the middle of the grid to its corners."""
    shapes = [(T, B, H, H) for T in STEPS for B in BATCHES for H in HIDDEN]
    found = [Line(cell, shape, precision) for cell in BUILT for precision in CLASSES
             for shape in shapes]  # fmt: skip
    found += [Line(cell, shape, precision) for cell in WRITTEN for precision in CLASSES
              for shape in WRITTEN_SHAPES]  # fmt: skip
    done = set(anchors())
    return sorted((line for line in found if line not in done), key=_distance)


def _distance(line: Line) -> float:
    """Return how far a shape is from the middle of the grid, in factors of two; long is far."""
    T, B, _, H = line.shape
    batch, hidden = MIDDLE
    return abs(math.log2(B / batch)) + abs(math.log2(H / hidden)) + 2 * (min(STEPS) != T)


def named(executor: list[str]) -> str:
    """Return the line of an account that names the executor."""
    return next((text for text in executor if RUNS in text), "")
