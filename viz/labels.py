"""Write the words of boxes: symbols of ops, numbers, names made safe and short, sizes of text."""

import math
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from engine import Node

SYMBOLS = {
    "add": "+", "subtract": "−", "multiply": "×", "divide": "÷", "power": "xʸ", "negative": "−x",
    "matmul": "@", "sigmoid": "σ", "sum": "Σ", "exp": "eˣ", "sqrt": "√", "getitem": "[ ]",
    "permute_dims": "permute", "broadcast_to": "broadcast",
}  # fmt: skip

# Widths of letters as shares of the size of the font: those of DejaVu Sans, the widest in use.
WIDTHS = {
    0.2: "\u2009", 0.32: "'ijlIJ ,.·", 0.415: "/:;\\|f-()[]tr!¹²", 0.56: "\"*_`‖–∂szc?L⁻",
    0.79: "KVXZBRCAUNHDGOQ&ΔΩ", 0.87: "wM∞#+<>=^~×÷←→−✂", 1.0: "mW@%…—",
}  # fmt: skip
USUAL = 0.64  # the width of all other letters
EMS = {c: share for share, letters in WIDTHS.items() for c in letters}
BOLD = 1.2  # how much wider bold ones are
FONT, SMALL = 12, 10  # pixels: the first line of a box, and all else on boxes and wires
LONGEST = 26  # characters; what is longer is shortened in the box and whole in its title
NARROW = 14  # the same where room is scarce

SUPERSCRIPTS = str.maketrans("+-0123456789", "⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

# What XML cannot hold or no font can draw: control characters, halves of pairs, non-characters.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
JOINERS = "\u200c\u200d"  # not seen, but they shape the letters of Persian or Hindi, and emoji


def symbol(node: Node) -> str:
    """Return the sign that the literature writes for an op, or its name."""
    return SYMBOLS.get(node.op.name, node.op.name)


def number(value: float) -> str:
    """Return a norm as people write it, to two digits: 0.031, 170, 1.2×10⁻⁵, inf.

    >>> [number(v) for v in (0.0, 0.0312, 9.96, 170.4, 1234.0, 0.00001234)]
    ['0', '0.031', '10', '170', '1.2×10³', '1.2×10⁻⁵']
    """
    return _number(value) if value else "0"  # a cache could not tell 0 from −0


@lru_cache(maxsize=4096)
def _number(value: float) -> str:
    return figure(value, 2, plain=1e-3 <= abs(value) < 999.5)


def figure(value: float, digits: int = 3, *, plain: bool | None = None) -> str:
    """Return a number to so many digits as people write it: 0.583, 1,234, 1.23×10⁻⁵.

    It is `plain`, without a power of ten, from 0.0001 up to a million where that is not said.

    >>> [figure(v) for v in (0.58279, 1234.4, -0.0000123456, 3e9)]
    ['0.583', '1,234', '−1.23×10⁻⁵', '3×10⁹']
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "inf" if value > 0 else "−inf"
    head, exponent = f"{value:.{digits - 1}e}".split("e")
    if plain is None:
        plain = value == 0 or -4 <= int(exponent) < 6
    if plain:
        places = max(digits - 1 - int(exponent), 0)
        text = f"{value:,.{places}f}"
        text = text.rstrip("0").rstrip(".") if places else text
    else:
        head = head.rstrip("0").rstrip(".") if "." in head else head
        text = f"{head}×10{superscript(int(exponent))}"
        text = text.replace("1×", "", 1) if head in ("1", "-1") else text
    return text.replace("-", "−")


def superscript(exponent: int) -> str:
    """Return a whole number as it stands over a line: ⁻⁵."""
    return str(exponent).translate(SUPERSCRIPTS)


def count(value: int) -> str:
    """Return a whole number with its thousands apart."""
    return f"{value:,}"


def counted(value: int, what: str, plural: str = "") -> str:
    """Return how many there are of something.

    >>> counted(1, "node"), counted(1200, "node"), counted(2, "box", "boxes")
    ('1 node', '1,200 nodes', '2 boxes')
    """
    return f"{value:,} {what if value == 1 else plural or f'{what}s'}"


def clean(text: str, *, lines: bool = False) -> str:
    """Return text that any file can hold: what XML forbids is a space; `lines` keeps line breaks.

    >>> clean("a\\x00b\\nc"), clean("a\\x00b\\nc", lines=True)
    ('a b c', 'a b\\nc')
    """
    if lines:
        return "\n".join(UNSAFE.sub(" ", line) for line in text.splitlines())
    return UNSAFE.sub(" ", text)


def short(text: str, limit: int = LONGEST) -> str:
    """Return one line of at most `limit` characters; the middle gives way to an ellipsis.

    Marks that turn the direction of text are left out: they would turn what follows too.
    """
    seen = text if text.isprintable() else "".join(map(_plain, text))
    line = " ".join(seen.split())
    if len(line) <= limit:
        return line
    head = limit // 2
    tail = line[len(line) - (limit - 1 - head) :]
    return f"{line[:head].rstrip(JOINERS)}…{_from_a_letter(tail)}"


def shortest(text: str) -> str:
    """Return a name for where room is scarce: of a dotted one how it begins and its last part.

    >>> shortest("θ decoder.embedding"), shortest("softmax_cross_entropy"), shortest("h")
    ('θ dec…embedding', 'softmax…ntropy', 'h')
    """
    sign = "θ " if text.startswith("θ ") else ""
    name = text.removeprefix(sign)
    if len(name) <= NARROW:
        return text
    head, dot, tail = name.rpartition(".")
    if not dot or " " in name or len(tail) > NARROW - 4:
        return sign + short(name, NARROW)
    return f"{sign}{head[: min(NARROW - 1 - len(tail), 3)]}…{tail}"


def fit(text: str, room: float, size: float, *, bold: bool = False) -> str:
    """Return one line that is at most `room` pixels wide; the middle gives way to an ellipsis."""
    room /= BOLD if bold else 1.0
    most = int(5.5 * max(room, 0.0) / size) + 1  # no more, even of marks of no width
    text = short(text, most)
    if width(text, size) <= room:
        return text
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if width(short(text, middle), size) <= room:
            low = middle
        else:
            high = middle - 1
    return short(text, low)


def width(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width of a line of text in pixels, a little on the wide side."""
    # Not `sum`: it rounds otherwise from Python 3.12 on, and files are to be the same everywhere.
    return math.fsum(map(_em, text)) * size * (BOLD if bold else 1.0)


def wrapped(texts: Iterable[str], pixels: float, size: float = 11.0) -> tuple[str, ...]:
    """Return notes cut into lines that are no wider than `pixels`, between words."""
    lines: list[str] = []
    for text in texts:
        line = ""
        for word in text.split(" "):
            longer = f"{line} {word}".strip()
            if line and width(longer, size) > pixels:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(line)
    return tuple(lines)


@lru_cache(maxsize=4096)
def _plain(c: str) -> str:
    """Return a character of a label, or a space for what would not be seen in it."""
    return " " if unicodedata.category(c)[0] == "C" and c not in JOINERS else c


def _from_a_letter(text: str) -> str:
    """Return the text from its first character that stands by itself, which accents do not."""
    return text[next((i for i, c in enumerate(text) if _em(c)), 0) :]


@lru_cache(maxsize=4096)
def _em(c: str) -> float:
    """Return the width of a character as a share of the size of its font."""
    if unicodedata.category(c) in ("Mn", "Me", "Cf"):
        return 0.0
    if unicodedata.east_asian_width(c) in "WF":
        return 1.0
    return EMS.get(c, USUAL)
