"""Numbers as factors: digits that multiply, as printed, to the product that is printed.

Below `path_numbers.py` and the drawing of paths.
"""

import math
from collections.abc import Sequence
from decimal import Context, Decimal
from functools import reduce

from viz.labels import number

WIDE = Context(prec=60, Emax=10**9, Emin=-(10**9))  # products of many floats, none of them 0
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
FEW, MOST = 3, 17  # digits of a product, and those that tell any two floats apart


def multiplied(groups: Sequence[Sequence[float]], digits: int = FEW) -> tuple[list[str], str]:
    """Return the product of each group and of all, as text: the printed ones multiply.

    The product of all is the exact one, to `digits` digits; those of groups have as many or, where
    it takes more for theirs to multiply to it, more. None is 0 or inf for being beyond what a float
    holds. inf and NaN are words.

    >>> multiplied([[0.33333], [0.66667], [40.0, 0.5]])
    (['0.333', '0.667', '20'], '4.44')
    """
    values = [v for own in groups for v in own]
    if not all(map(math.isfinite, values)):
        return [number(math.prod(own)) for own in groups], number(math.prod(values))
    exact = [_product(list(map(Decimal, own))) for own in groups]
    wanted = _rounded(_product(exact), digits)
    for many in range(digits, MOST + 1):
        rounded = [_rounded(v, many) for v in exact]
        if _rounded(_product(rounded), digits) == wanted:
            break
    return [_text(v) for v in rounded], _text(wanted)


def _product(values: Sequence[Decimal]) -> Decimal:
    return reduce(WIDE.multiply, values, Decimal(1))


def _rounded(value: Decimal, digits: int) -> Decimal:
    return Context(prec=digits, Emax=10**9, Emin=-(10**9)).plus(value)


def _text(value: Decimal) -> str:
    """Return a rounded number as people write it: 0.0312, 20, 1.2×10⁻⁵."""
    exponent = value.adjusted()
    if not value or -3 <= exponent < 3:
        plain = f"{value:f}"
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    head = _text(value.scaleb(-exponent, WIDE))
    return f"{head}×10{str(exponent).translate(RAISED)}"
