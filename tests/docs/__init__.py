"""Test the docs: their code, names, numbers, links and pictures."""

from pathlib import Path

from tests import ROOT


def place(page: Path, text: str) -> str:
    """Return where a text first stands on a page, as file:line: text."""
    before = page.read_text(encoding="utf-8").partition(text)[0]
    return f"{page.relative_to(ROOT)}:{before.count(chr(10)) + 1}: {text}"
