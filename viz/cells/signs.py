"""Write the words in the boxes of a cell: the sign of an op, with its constants and weights; and
symbols of LaTeX as plain text with Unicode's small letters: h_{t-1} is hₜ₋₁. Below `model.py`.
"""

import math
import re
from collections.abc import Collection, Mapping
from fractions import Fraction
from typing import Any

from engine import Node, Tensor
from viz.labels import SYMBOLS, number, short

BETWEEN = {"add": "+", "subtract": "−", "multiply": "⊙", "divide": "÷", "power": "xʸ",
           "maximum": "max", "minimum": "min", "greater": ">", "less": "<", "greater_equal": "≥",
           "less_equal": "≤", "equal": "=", "not_equal": "≠"}  # fmt: skip
SIGNS = SYMBOLS | BETWEEN | {
    "matmul": "·", "linear": "W", "permute_dims": "ᵀ", "concat": "[ , ]", "square": "x²",
    "abs": "|x|", "logaddexp": "softplus",
}  # fmt: skip
LONGEST = 9  # characters
BELOW = dict(zip("0123456789+-aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))
GREEK = {
    r"\alpha": "α", r"\beta": "β", r"\gamma": "γ", r"\delta": "δ", r"\epsilon": "ε", r"\eta": "η",
    r"\theta": "θ", r"\kappa": "κ", r"\lambda": "λ", r"\mu": "μ", r"\nu": "ν", r"\rho": "ρ",
    r"\tau": "τ", r"\phi": "φ", r"\psi": "ψ", r"\omega": "ω", r"\Gamma": "Γ", r"\Delta": "Δ",
    r"\Theta": "Θ", r"\Lambda": "Λ", r"\Sigma": "Σ", r"\Phi": "Φ", r"\Psi": "Ψ", r"\Omega": "Ω",
}  # fmt: skip
COMMAND = re.compile(r"\\[a-zA-Z]+")
SYMBOL = re.compile(r"\{?([^_{}]*)\}?_(?:\{([^{}]*)\}|(.))")


def plain(symbol: str) -> str:
    """Return a symbol as plain text: what has no small letter stands behind a line, as W_ih.

    >>> from viz.cells.signs import plain
    >>> plain("h_{t-1}"), plain("a_{f,t}"), plain("W"), plain(r"\\mu_r")
    ('hₜ₋₁', 'a_f,t', 'W', 'μᵣ')
    """
    symbol = COMMAND.sub(lambda found: GREEK.get(found[0], found[0]), symbol)
    found = SYMBOL.fullmatch(symbol)
    if not found:
        return symbol.replace("\\", "").replace("{", "").replace("}", "")
    head, below = found[1], found[2] or found[3]
    if all(c in BELOW for c in below):
        return head + "".join(BELOW[c] for c in below)
    return f"{head}_{below}"


def at_most(value: float) -> str:
    """Return a number of two digits that is no smaller than a norm, but for rounding.

    >>> from viz.cells.signs import at_most
    >>> [at_most(v) for v in (0.651, 0.65, 1.0, 1.01, 170.4)]
    ['0.66', '0.65', '1', '1.1', '171']
    """
    if not 0 < value < math.inf:
        return number(value)
    exponent = math.floor(math.log10(value)) - 1
    unit = 10.0 ** (min(exponent, 0) if value < 999.5 else exponent)
    return number(math.ceil(value / unit - 1e-9) * unit)


def sign(
    node: Node, varying: Collection[Node], symbols: Mapping[Node, str], *, linear: bool
) -> str:
    """Return the sign of an op: σ, tanh, ⊙; with a number or a weight of its own × 0.9, 1 −."""
    op = node.op
    if not node.inputs:
        return "const"
    summed = op.sign in ("+", "-") and op.inputs == 2
    if linear and (summed or op.sign in ("*", "@") or op.role == "slice"):
        return "W"
    if op.role == "slice":
        return short(f"[{_slices(node)}]", LONGEST)
    own = SIGNS.get(op.name, op.name.replace("_", " "))
    if op.name in BETWEEN:
        own = _binary(node, own, varying, symbols)
    return short(own, LONGEST)


def _binary(node: Node, own: str, varying: Collection[Node], symbols: Mapping[Node, str]) -> str:
    """Return the sign of an op of two, with the one that does not vary before or behind it."""
    fixed = [not (isinstance(x, Tensor) and x.node in varying) for x in node.inputs]
    if sum(fixed) != 1:
        return own
    place = fixed.index(True)
    text = _constant(node.inputs[place], symbols)
    if node.op.sign == "**":
        return f"x^{text}" if place else f"{text}ˣ"
    if node.op.sign == "*":
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
