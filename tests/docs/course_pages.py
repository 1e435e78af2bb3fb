"""Read and run the code of a page: cells of a MyST notebook, or code blocks of plain Markdown."""

import ast
import linecache
import re
from typing import NamedTuple

CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(?::tags: \[([^\]]*)\]\n)?(.*?)^```$", re.M | re.S)


class Cell(NamedTuple):
    """Hold a code cell with its tags and the line on which its code begins."""

    tags: tuple[str, ...]
    code: str
    line: int


def cells_of(page):
    """Return the code cells of a MyST notebook."""
    text = page.read_text(encoding="utf-8")
    return [
        Cell(
            tuple(tag.strip() for tag in (found[1] or "").split(",") if tag.strip()),
            found[2],
            text.count("\n", 0, found.start(2)) + 1,
        )
        for found in CELL.finditer(text)
    ]


def run(code, names, page, line=1):
    """Execute a cell in `names` and return the value of its last expression, as Jupyter shows it.

    Tracebacks name the lines of the page.
    """
    code = "\n" * (line - 1) + code
    linecache.cache[str(page)] = (len(code), None, code.splitlines(keepends=True), str(page))
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, str(page), "exec"), names)
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), str(page), "eval"), names)
