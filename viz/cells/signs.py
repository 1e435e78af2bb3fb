"""What the boxes of a cell say: the sign of an op, with the constants and weights it takes.

Below `model.py`.
"""

import math
from collections.abc import Collection, Mapping
from fractions import Fraction
from typing import Any

from engine import Node, Tensor
from viz.cells.plain import plain
from viz.labels import SYMBOLS, number, short

SIGNS = {"multiply": "⊙", "matmul": "·", "linear": "W", "getitem": "[ ]", "maximum": "max",
         "minimum": "min", "permute_dims": "ᵀ", "concat": "[ , ]", "square": "x²", "abs": "|x|",
         "logaddexp": "softplus", "greater": ">", "less": "<", "greater_equal": "≥",
         "less_equal": "≤", "equal": "=", "not_equal": "≠"}  # fmt: skip
BINARY = frozenset({
    "add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "greater", "less",
    "greater_equal", "less_equal", "equal", "not_equal",
})  # fmt: skip
LONGEST = 9  # characters


def sign(
    node: Node, varying: Collection[Node], symbols: Mapping[Node, str], *, linear: bool
) -> str:
    """Return the sign of an op: σ, tanh, ⊙; with a number or a weight of its own × 0.9, 1 −."""
    name = node.op.name
    if not node.inputs:
        return "const"
    if linear and name in ("add", "subtract", "getitem", "matmul", "multiply"):
        return "W"
    if name == "getitem":
        return short(f"[{_slices(node)}]", LONGEST)
    own = SIGNS.get(name) or SYMBOLS.get(name, name.replace("_", " "))
    if len(node.inputs) == 2 and name in BINARY:
        own = _binary(node, own, varying, symbols)
    return short(own, LONGEST)


def _binary(node: Node, own: str, varying: Collection[Node], symbols: Mapping[Node, str]) -> str:
    """Return the sign of an op of two, with the one that does not vary before or behind it."""
    fixed = [not (isinstance(x, Tensor) and x.node in varying) for x in node.inputs]
    if sum(fixed) != 1:
        return own
    place = fixed.index(True)
    text = _constant(node.inputs[place], symbols)
    name = node.op.name
    if name == "power":
        return f"x^{text}" if place else f"{text}ˣ"
    if name == "multiply":
        return f"×{text}" if not isinstance(node.inputs[place], Tensor) else f"⊙ {text}"
    return f"{text} {own}" if place == 0 else f"{own} {text}"


def _constant(x: Any, symbols: Mapping[Node, str]) -> str:
    """Return a number, or the symbol of a weight; a dot for what is computed of weights."""
    if isinstance(x, Tensor):
        return plain(symbols.get(x.node) or next(_named(x, symbols), "·"))
    return str(x) if isinstance(x, complex) else _plain_number(float(x))


def _plain_number(x: float) -> str:
    """Return a number to two digits: a fraction p/q with q up to 64 that rounds to it, or ≈, where
    these are not exact.
    """
    text = number(x)
    if not math.isfinite(x) or float(f"{x:.2g}") == x or (abs(x) < 999.5 and x == round(x)):
        return text
    p, q = Fraction(x).limit_denominator(64).as_integer_ratio()
    return f"{p}/{q}".replace("-", "−") if q > 1 and p / q == x else f"≈{text}"


def _named(x: Tensor, symbols: Mapping[Node, str]) -> Any:
    """Yield the symbols of the weights that a constant was computed from, the nearest first."""
    waiting = [x.node]
    for node in waiting:
        if node in symbols:
            yield symbols[node]
        waiting += [one.node for one in node.inputs if isinstance(one, Tensor)]


def _slices(node: Node) -> str:
    """Return the index of a slice as it is written, without the rows of the batch."""
    key = list(node.attrs.get("key", ()))
    if len(key) > 1 and key[0] in (slice(None), ...):
        del key[0]
    return ", ".join(map(_slice, key))


def _slice(part: Any) -> str:
    if isinstance(part, slice):
        return (
            f"{'' if part.start is None else part.start}:{'' if part.stop is None else part.stop}"
        )
    return "…" if part is ... else str(part) if isinstance(part, int) else "·"
