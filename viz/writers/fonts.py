"""Find fonts at hand for the letters of a picture: of any script that some font on the system has.

Asks matplotlib's list of fonts, which is imported when first used. Above labels, below `raster.py`.
"""

import logging
import shutil
import subprocess
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from viz.labels import JOINERS, clean, count, width
from viz.scene import Scene, Words
from viz.writers.primitives import picture

# Those of the SVG and the one that comes with matplotlib, then fonts of other scripts.
FAMILIES = (
    "Helvetica", "Arial", "Liberation Sans", "DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP",
    "Hiragino Sans", "PingFang SC", "Microsoft YaHei", "Malgun Gothic", "WenQuanYi Zen Hei",
    "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari", "Noto Sans Thai",
    "Noto Emoji", "Segoe UI Symbol", "Arial Unicode MS", "Unifont",
)  # fmt: skip
PLACEHOLDERS = ("last resort", "lastresort", "adobe blank", "adobeblank")  # a box for any letter
MISSING = "□"  # for what no font at hand can draw
SHOWN = 12  # letters that a warning names
EVERYWHERE = ((0x0, 0x590), (0x1E00, 0x2C00))  # letters and signs that usual fonts have


@lru_cache(maxsize=1)
def families() -> tuple[str, ...]:
    """Return those of `FAMILIES` that are at hand."""
    from matplotlib.font_manager import fontManager

    known = {font.name for font in fontManager.ttflist}
    return tuple(family for family in FAMILIES if family in known)


def families_of(text: str) -> tuple[str, ...]:
    """Return the usual families, and after them those that the letters of a text need besides."""
    more = dict.fromkeys(family_of(c) for c in text if c >= "\x7f")
    return (*families(), *(name for name in more if name and name not in families()))


def drawable(text: str) -> str:
    """Return a text as it is drawn: a sign stands for each letter that no font has.

    Marks that are not seen themselves are left out where no font has them.
    """
    return "".join(c if c < "\x7f" or family_of(c) else "" if unseen(c) else MISSING
                   for c in clean(text))  # fmt: skip


def unseen(c: str) -> bool:
    """Return whether a letter takes no room of its own, such as one that joins others."""
    return c in JOINERS or not width(c, 1.0)


def missing(texts: Iterable[str]) -> list[str]:
    """Return the letters of some texts that no font at hand can draw, each once, in order."""
    letters = dict.fromkeys(c for text in texts for c in clean(text))
    return [c for c in letters if c >= "\x7f" and not unseen(c) and not family_of(c)]


def warn_of_missing(letters: list[str], kind: str, *, stacklevel: int) -> None:
    """Warn of letters that are boxes in a file of some kind, by name; of none do nothing."""
    if not letters:
        return
    named = ", ".join(f"{c} ({f'U+{ord(c):04X} {unicodedata.name(c, str())}'.rstrip()})"
                      for c in letters[:SHOWN])  # fmt: skip
    more = f" and {count(len(letters) - SHOWN)} more" if len(letters) > SHOWN else ""
    warnings.warn(
        f"render: no font at hand can draw {named}{more}; each is a {MISSING} in the .{kind}. "
        "Install a font that has them, such as Noto (fonts-noto-core, fonts-noto-cjk), or write "
        ".svg or .html, which the reader's fonts draw",
        stacklevel=stacklevel + 1,
    )


def unknown_to_graphviz(scene: Scene) -> list[str]:
    """Return the letters of a scene that Graphviz, which says nothing of it, has no font for.

    Those of usual fonts are not looked for; without matplotlib and fontconfig none is known.
    """
    texts = (mark.text for mark in picture(scene) if isinstance(mark, Words))
    rare = "".join(
        c for c in dict.fromkeys("".join(texts)) if not any(a <= ord(c) < b for a, b in EVERYWHERE)
    )
    try:
        return [c for c in missing([rare]) if not _listed(c)] if rare else []
    except ImportError:
        return []


def _listed(c: str) -> bool:
    """Return whether fontconfig, which Graphviz asks, knows a font with a letter, be it bitmaps."""
    program = shutil.which("fc-list")
    if program is None:
        return False
    asked = [program, f":charset={ord(c):x}", "family"]
    return bool(subprocess.run(asked, capture_output=True, check=False).stdout.strip())


@contextmanager
def hushed() -> Iterator[None]:
    """Keep matplotlib from logging which weights of a font it did not find."""
    log = logging.getLogger("matplotlib.font_manager")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


@lru_cache(maxsize=4096)
def family_of(c: str) -> str:
    """Return the first family that has a letter, of the usual ones or of all; empty: none has."""
    return next((name for own in (families, _others) for name in own() if _has(_file(name), c)), "")


@lru_cache(maxsize=1)
def _others() -> tuple[str, ...]:
    """Return all families at hand that are not usual: those without serifs first, by name."""
    from matplotlib.font_manager import fontManager

    names = {font.name for font in fontManager.ttflist}.difference(families())
    return tuple(
        name for name in sorted(names, key=lambda name: ("Sans" not in name, name))
        if not name.lower().startswith(PLACEHOLDERS)
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _file(family: str) -> Any:
    """Return the file of a family's plain face."""
    from matplotlib.font_manager import FontProperties, findfont

    with hushed():
        return findfont(FontProperties(family=family))


def _has(path: Any, c: str) -> bool:
    """Return whether the outlines of a font file have a letter; one of bitmaps has none."""
    font = _opened(path)
    return font is not None and bool(font.get_char_index(ord(c)))


@lru_cache(maxsize=4096)
def _opened(path: Any) -> Any:
    """Return the font of a file, None where it cannot be read or scaled."""
    from matplotlib.font_manager import get_font

    try:
        font = get_font(path)
    except (OSError, RuntimeError):  # a damaged file
        return None
    return font if getattr(font, "scalable", True) else None
