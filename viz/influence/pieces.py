"""Characters and tokens as a reader sees them: no space, line break or accent goes unseen.

Below the picture and the page of an influence.
"""

import unicodedata

SIGNS = {"\n": "⏎", "\r": "␍", "\t": "⇥"}
NAMES = {" ": "space", "\n": "newline", "\r": "carriage return", "\t": "tab", "": "nothing"}
LONGEST = 24  # characters of a token
CARRIER = "◌"  # what an accent that stands by itself is put on


def visible(piece: str) -> str:
    """Return a token as it is drawn; empty for a space, which is a box.

    >>> from viz.influence.pieces import visible
    >>> visible("a"), visible(" "), visible("\\n"), visible("\\x00"), visible("a b")
    ('a', '', '⏎', 'U+0000', 'a␣b')
    """
    if len(piece) == 1 and unicodedata.category(piece) == "Zs":
        return ""
    shown = "".join(_sign(c) for c in piece)
    if len(shown) > LONGEST:
        shown = f"{shown[: LONGEST - 1]}…"
    return CARRIER + shown if unicodedata.category(shown[:1] or " ")[0] == "M" else shown


def spoken(piece: str) -> str:
    """Return a token within a sentence: “e”, space, newline."""
    if piece in NAMES:
        return NAMES[piece]
    if not visible(piece):
        return unicodedata.name(piece, f"U+{ord(piece):04X}").lower()
    return f"“{visible(piece)}”"


def _sign(c: str) -> str:
    """Return a character, or what stands for one that cannot be seen."""
    kind = unicodedata.category(c)
    if c in SIGNS:
        return SIGNS[c]
    if kind == "Zs":
        return "␣"
    return f"U+{ord(c):04X}" if kind[0] in "CZ" else c
