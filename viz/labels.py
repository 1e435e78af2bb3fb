"""What boxes say: symbols of ops, numbers, sizes of text. Below everything in `viz`."""

import math
import unicodedata

from engine import Node

SYMBOLS = {
    "add": "+", "subtract": "−", "multiply": "×", "divide": "÷", "power": "xʸ", "negative": "−x",
    "matmul": "@", "sigmoid": "σ", "sum": "Σ", "exp": "eˣ", "sqrt": "√", "getitem": "[ ]",
    "permute_dims": "permute", "broadcast_to": "broadcast",
}  # fmt: skip

LONGEST = 26  # characters; what is longer is shortened in the box and whole in its title


def symbol(node: Node) -> str:
    """The sign that the literature writes for an op, or its name."""
    return SYMBOLS.get(node.op.name, node.op.name)


def number(value: float) -> str:
    """A norm in at most eight characters: 0.031, 1.2e-05, inf."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "inf" if value > 0 else "−inf"
    return f"{value:.2g}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.1e}"


def count(value: int) -> str:
    """A whole number with its thousands apart."""
    return f"{value:,}"


def short(text: str, limit: int = LONGEST) -> str:
    """One line of at most `limit` characters; the middle gives way to an ellipsis."""
    line = " ".join("".join(" " if unicodedata.category(c)[0] == "C" else c for c in text).split())
    if len(line) <= limit:
        return line
    head = (limit - 1 + 1) // 2
    return f"{line[:head]}…{line[len(line) - (limit - 1 - head) :]}"


def width(text: str, size: float) -> float:
    """The width of a line of text in pixels, a little on the wide side."""
    total = 0.0
    for c in text:
        if unicodedata.combining(c):
            continue
        if unicodedata.east_asian_width(c) in "WF":
            total += 1.0
        elif c in "iljtfrI.,:;|!'()[] ":
            total += 0.36
        elif c in "mwMW@—…":
            total += 0.9
        else:
            total += 0.62
    return total * size
