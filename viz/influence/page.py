"""Write the page of an influence: a text in one file that fetches nothing; its reader chooses t.

Above `looks.py` and the sentences of `scene.py`; style sheet and script are in `assets/`.
"""

import base64
import hashlib
import json
import sys
from array import array
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from string import Template

from viz.dark import dark
from viz.influence.looks import DECADES, SHADES, STEPS, ink, shade, spoken, visible
from viz.influence.norms import Influence
from viz.influence.scene import exact, headline, named
from viz.labels import clean, count, figure, number


def page(found: Influence, t: int, *, title: str = "") -> str:
    """Return the page as text; it opens at `t`, and stays there where scripts are off.

    >>> from viz.influence.norms import Influence, Output
    >>> one = Output(0, "b", True, 1.0, 0.5)
    >>> page(Influence(("a",), "character", (0,), (one,), ((2.0,),), 1e-45, True), 0)[:15]
    '<!DOCTYPE html>'
    """
    script = _asset("page.js")
    return Template(_asset("page.html")).substitute(
        policy=_policy(script),
        title=_words(title or headline(found, t)),
        over=f'<p class="over">{_words(title)}</p>' if title else "",
        finding=_words(headline(found, t)),
        which=_words(named(found, t)),
        style=_asset("page.css") + "\n".join(_rules()),
        most=len(found.times) - 1,
        now=found.times.index(t),
        where=_words(_where(found, t)),
        choice=_words(_choice(found)),
        some="" if len(found.times) == len(found.pieces) else " some",
        text="".join(_tokens(found, t)),
        scale="".join(_scale(found)),
        smallest=figure(found.smallest, 4),
        unit=found.unit,
        data=_data(found),
        script=script,
    )


def _asset(name: str) -> str:
    return files("viz").joinpath("influence", "assets", name).read_text(encoding="utf-8")


def _words(text: str) -> str:
    return escape(clean(text))


def _policy(script: str) -> str:
    """Return the rule for browsers: fetch nothing, and run this script and no other."""
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{allowed}'; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'"
    )


def _rules() -> Iterator[str]:
    """Yield the colours of each shade, on white paper and on dark."""
    for i, fill in enumerate(SHADES):
        night = dark(fill)
        yield (
            f".s{i}{{background:light-dark({fill},{night});"
            f"color:light-dark({ink(fill)},{ink(night)})}}"
        )


def _where(found: Influence, t: int) -> str:
    """Return t in words, for the slider."""
    return f"t = {count(t)}, after {spoken(found.pieces[t])}"


def _choice(found: Influence) -> str:
    """Return which t can be chosen."""
    if len(found.times) == len(found.pieces):
        return f"Every {found.unit} can be chosen as t."
    return (
        f"{count(len(found.times))} of {count(len(found.pieces))} {found.unit}s can be chosen as "
        "t, evenly apart: those with a line above them."
    )


def _tokens(found: Influence, t: int) -> Iterator[str]:
    """Yield the text, each token in the shade that it has for t."""
    times = frozenset(found.times)
    for k, norm in enumerate(found.norms[found.times.index(t)]):
        piece = found.pieces[k]
        tone = shade(norm, found.largest, later=k > t)
        fixed = ["sp" if not visible(piece) else "", "t" if k in times else "",
                 "tok" if found.unit == "token" else ""]  # fmt: skip
        marks = ["at" if k == t else "", "next" if found.predicts and k == t + 1 else ""]
        names = " ".join(filter(None, [*fixed, f"s{tone}" if isinstance(tone, int) else tone,
                                       *marks]))  # fmt: skip
        title = _words(f"k = {k}, {spoken(piece)}: {exact(norm, tone, found)}")
        yield f'<b class="{names}" title="{title}">{_words(visible(piece) or " ")}</b>'
        if piece == "\n":
            yield "<br>"


def _scale(found: Influence) -> Iterator[str]:
    """Yield the scale of shades, a number at each decade."""
    for i in range(STEPS + 1):
        decade, part = divmod(i, STEPS // DECADES)
        norm = found.largest * 10.0 ** (decade - DECADES)
        yield f'<i class="s{i}"></i>' if part else f'<i class="s{i}"><u>{number(norm)}</u></i>'


def _data(found: Influence) -> str:
    """Return the numbers and sentences of every t as JSON, norms up to the last that is not 0."""
    rows = [_trimmed(row) for row in found.norms]
    data = {
        "times": found.times,
        "finding": [clean(headline(found, t)) for t in found.times],
        "which": [clean(named(found, t)) for t in found.times],
        "where": [clean(_where(found, t)) for t in found.times],
        "names": [clean(spoken(piece)) for piece in found.pieces],
        "predicts": found.predicts,
        "largest": found.largest,
        "smallest": figure(found.smallest, 4),
        "decades": DECADES,
        "steps": STEPS,
        "lengths": [len(row) for row in rows],
        "norms": base64.b64encode(_little(rows)).decode(),
    }
    return json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")


def _trimmed(row: Sequence[float]) -> Sequence[float]:
    """Return a row without the zeros at its end."""
    end = len(row)
    while end and row[end - 1] == 0:
        end -= 1
    return row[:end]


def _little(rows: Sequence[Sequence[float]]) -> bytes:
    """Return all rows as float64, the low byte first on every machine."""
    numbers = array("d", (value for row in rows for value in row))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()
