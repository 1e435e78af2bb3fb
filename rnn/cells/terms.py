"""Write ops as terms of LaTeX, with brackets where the reader would need them. Below
`equations.py`, which says what has a name.

A product of numbers is an open circle with a dot, of matrices it is written side by side and binds
closer. What is raised to a power stands in brackets unless it is a symbol.
"""

import re
from fractions import Fraction
from typing import Any, NamedTuple

from engine import Node, Op, Tensor

# Around a part of a text that stands for a node or a use of one: where it begins, what its name is,
# where it ends. Characters of the private use area of Unicode, which no equation has.
BEGIN, NAMED, END = "\ue000", "\ue001", "\ue002"
MARKS = re.compile(f"{BEGIN}[^{NAMED}]*{NAMED}|{END}")

COMPARED, SUM, PRODUCT, MATRIX, FACTOR, ATOM = range(6)  # the closer the higher


class Term(NamedTuple):
    """Hold a text, and how closely it binds; `side` tells products of rows and of columns."""

    text: str
    level: int = ATOM
    side: str = ""

    def within(self, least: int) -> str:
        """Return the text as a part of something that binds as closely as `least`."""
        return self.text if self.level >= least else rf"\left({self.text}\right)"

    @property
    def signed(self) -> bool:
        """Tell whether it begins with a sign, so that it cannot follow another one."""
        return unmarked(self.text).startswith("-")

    def marked(self, name: str) -> "Term":
        """Return the term with marks around its text; without a name as it is."""
        return self._replace(text=f"{BEGIN}{name}{NAMED}{self.text}{END}") if name else self


def unmarked(text: str) -> str:
    """Return a text without the marks in it."""
    return MARKS.sub("", text)


# A template, how closely the result binds, and how closely each part has to.
SYMBOLS = {
    "add": ("{0} + {1}", SUM, (SUM, SUM)), "subtract": ("{0} - {1}", SUM, (SUM, PRODUCT)),
    "negative": ("-{0}", SUM, (PRODUCT,)),
    "multiply": (r"{0} \odot {1}", PRODUCT, (PRODUCT, PRODUCT)),
    "divide": (r"\frac{{{0}}}{{{1}}}", FACTOR, (COMPARED, COMPARED)),
    "reciprocal": (r"\frac{{1}}{{{0}}}", FACTOR, (COMPARED,)),
    "power": ("{0}^{{{1}}}", FACTOR, (ATOM, COMPARED)), "square": ("{0}^2", FACTOR, (ATOM,)),
    "sqrt": (r"\sqrt{{{0}}}", ATOM, (COMPARED,)),
    "abs": (r"\left|{0}\right|", ATOM, (COMPARED,)),
    "less": ("{0} < {1}", COMPARED, (SUM, SUM)), "greater": ("{0} > {1}", COMPARED, (SUM, SUM)),
    "less_equal": (r"{0} \le {1}", COMPARED, (SUM, SUM)),
    "greater_equal": (r"{0} \ge {1}", COMPARED, (SUM, SUM)),
    "equal": ("{0} = {1}", COMPARED, (SUM, SUM)),
    "not_equal": (r"{0} \ne {1}", COMPARED, (SUM, SUM)),
}  # fmt: skip
FUNCTIONS = {"sigmoid": r"\sigma", "tanh": r"\tanh", "exp": r"\exp", "log": r"\log",
             "sin": r"\sin", "cos": r"\cos", "tan": r"\tan", "sinh": r"\sinh",
             "cosh": r"\cosh"}  # fmt: skip
UNSEEN = frozenset({"keepdims", "dtype", "shape", "copy", "correction"})


def number(x: float) -> Term:
    """Write a number exactly: as a decimal of up to 6 digits, else as the fraction p/q with the
    smallest q up to 64 that rounds to it, else with all its digits.
    """
    if x != x:
        return Term(r"\mathrm{nan}")
    if x in (float("inf"), -float("inf")):
        return Term(r"\infty") if x > 0 else Term(r"-\infty", SUM)
    if isinstance(x, bool):
        return Term(rf"\mathrm{{{str(x).lower()}}}")
    digits, _, exponent = repr(x).partition("e")
    text, level = digits.removesuffix(".0"), ATOM
    if len(text.strip("-0.").replace(".", "")) > 6:
        p, q = Fraction(x).limit_denominator(64).as_integer_ratio()
        if q > 1 and p / q == x:
            sign = "-" if p < 0 else ""
            return Term(rf"{sign}\frac{{{abs(p)}}}{{{q}}}", SUM if sign else FACTOR)
    if exponent:
        text, level = rf"{text} \cdot 10^{{{int(exponent)}}}", PRODUCT
    return Term(text, SUM if text.startswith("-") else level)


def composed(node: Node, parts: list[Term]) -> Term:
    """Write an op of terms."""
    op = node.op
    if _same_numbers(op):
        return parts[0]
    if op.kind == "product":
        return _matrices(parts[0], parts[1], "row") if op.inputs == 2 else _linear(*parts)
    if op.name in SYMBOLS:
        return _symbols(op, parts)
    if op.kind == "layout" and op.attributes == ("axes",):
        return _transposed(node, parts[0])
    if op.role == "slice":
        return Term(f"{{{parts[0].within(ATOM)}}}_{{{_positions(node, parts)}}}", FACTOR)
    given = ", ".join(one.text for one in parts)
    name = FUNCTIONS.get(op.name) or rf"\mathrm{{{op.name.replace('_', ' ')}}}"
    return Term(rf"{name}{_settings(node)}\left({given}\right)", FACTOR)


def _same_numbers(op: Op) -> bool:
    """Return whether an op changes no more than dtype or shape, which equations do not show."""
    if op.kind == "layout":
        return op.attributes == ("shape",)
    linear = (op.kind, op.degree, op.inputs) == ("elementwise", "sum", 1)
    return linear and op.vjp is not None and not op.sign


def _symbols(op: Op, parts: list[Term]) -> Term:
    template, level, least = SYMBOLS[op.name]
    inner = [one.within(needed) for one, needed in zip(parts, least, strict=True)]
    follows = op.sign in ("+", "-", "*")
    for i, one in enumerate(parts):
        if follows and (i or op.inputs == 1) and one.signed and one.level >= least[i]:
            inner[i] = rf"\left({one.text}\right)"
    return Term(template.format(*inner), level)


def _linear(x: Term, weight: Term, bias: Term | None = None) -> Term:
    """Write W x + b, x being a column."""
    product = _matrices(weight, x, "column")
    if bias is None:
        return product
    return Term(f"{product.text} + {bias.within(PRODUCT if bias.signed else SUM)}", SUM)


def _matrices(left: Term, right: Term, side: str) -> Term:
    """Write two factors side by side; one of the other order in brackets."""
    texts = [one.within(ATOM if one.level == MATRIX and one.side != side else MATRIX)
             for one in (left, right)]  # fmt: skip
    return Term(" ".join(texts), MATRIX, side)


def _transposed(node: Node, x: Term) -> Term:
    """Write the last two axes exchanged, or others in the order that is given."""
    (source, *_), axes = node.inputs, node.attrs.get("axes")
    rank = len(source.shape) if isinstance(source, Tensor) else 0
    if axes is None or tuple(axes) == (*range(rank - 2), rank - 1, rank - 2):
        return Term(rf"{x.within(ATOM)}^{{\top}}", FACTOR)
    order = ", ".join(map(str, axes))
    return Term(rf"\mathrm{{permute}}_{{{order}}}\left({x.text}\right)", FACTOR)


def _positions(node: Node, parts: list[Term]) -> str:
    """Write the index of a slice, without the rows of the batch where these are whole."""
    key = list(node.attrs["key"])
    if len(key) > 1 and key[0] in (slice(None), ...):
        del key[0]
    return ",".join(_position(one, parts) for one in key)


def _position(part: Any, parts: list[Term]) -> str:
    if isinstance(part, slice):
        step = f":{part.step}" if part.step is not None else ""
        return f"{part.start or 0}:{part.stop if part.stop is not None else ''}{step}"
    if part is None:
        return r"\ast"
    if part is ...:
        return r"\ldots"
    return parts[part.position + 1].text if hasattr(part, "position") else str(part)


def _settings(node: Node) -> str:
    """Write the numbers among the attributes as a subscript; not an axis that is the last."""
    shown = []
    rank = max((len(x.shape) for x in node.inputs if isinstance(x, Tensor)), default=0)
    for name, value in node.attrs.items():
        last = name == "axis" and value in (-1, rank - 1, (-1,), (rank - 1,))
        plain = isinstance(value, int | float | tuple) and not isinstance(value, bool)
        if plain and not last and name not in UNSEEN and "," not in str(value)[:-2]:
            shown.append(rf"\mathrm{{{name.replace('_', ' ')}}}={value}".replace(",)", ")"))
    return f"_{{{', '.join(shown)}}}" if shown else ""
