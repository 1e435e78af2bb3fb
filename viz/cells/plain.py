"""Symbols of LaTeX as plain text with Unicode's small letters: h_{t-1} is hₜ₋₁; and bounds.

Below signs.
"""

import math
import re

from viz.labels import number

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

    >>> from viz.cells.plain import plain
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

    >>> from viz.cells.plain import at_most
    >>> [at_most(v) for v in (0.651, 0.65, 1.0, 1.01, 170.4)]
    ['0.66', '0.65', '1', '1.1', '171']
    """
    if not 0 < value < math.inf:
        return number(value)
    exponent = math.floor(math.log10(value)) - 1
    unit = 10.0 ** (min(exponent, 0) if value < 999.5 else exponent)
    return number(math.ceil(value / unit - 1e-9) * unit)
