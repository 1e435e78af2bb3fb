"""Symbols of LaTeX as plain text with Unicode's small letters: h_{t-1} is hₜ₋₁. Below signs."""

import re

BELOW = dict(zip("0123456789+-aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))
SYMBOL = re.compile(r"\{?([^_{}]*)\}?_(?:\{([^{}]*)\}|(.))")


def plain(symbol: str) -> str:
    """Return a symbol as plain text: what has no small letter stands behind a line, as W_ih.

    >>> from viz.cells.plain import plain
    >>> plain("h_{t-1}"), plain("a_{f,t}"), plain("W")
    ('hₜ₋₁', 'a_f,t', 'W')
    """
    found = SYMBOL.fullmatch(symbol)
    if not found:
        return symbol.replace("\\", "").replace("{", "").replace("}", "")
    head, below = found[1], found[2] or found[3]
    if all(c in BELOW for c in below):
        return head + "".join(BELOW[c] for c in below)
    return f"{head}_{below}"
