"""Extend Sphinx: the reference from the packages, links from names, words for pictures, MathML.

`conf.py` loads it. MathML is drawn by browsers themselves, so that no script has to be fetched.
"""

import builtins
import html
import inspect
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx import addnodes
from sphinx.application import Sphinx

from docs import make_reference

NAME = re.compile(r"(?:engine|rnn|viz)(?:\.\w+)+(?=(?:\(.*\))?$)", re.DOTALL)

ONE = re.compile(r"(?<![`\w:])`(\w+)`(?!`)")

TITLE = re.compile("<title>([^<]+)</title>")
LINKS = (nodes.reference, nodes.title, addnodes.pending_xref)
# Text between literals in which a bar or a lone asterisk is meant as it stands.
SIGN = re.compile(r"(?<!\\)\||(?<![\\*\w])\*(?!\w[^*\n]*\w\*|\*)|(?<=\w)\*(?=\w)")


def write_reference(app: Sphinx) -> None:
    """Write the pages of the reference into the folder that they are read from."""
    make_reference.write(Path(app.srcdir) / "reference" / "api")


def keep_parameters(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Keep parameters of a function in its docstring from being links to what has their name."""
    try:
        own = inspect.signature(obj).parameters
    except (TypeError, ValueError):  # no function, or one without a signature
        return
    lines[:] = [ONE.sub(lambda at: f"`{at[0]}`" if at[1] in own else at[0], x) for x in lines]


def escape_signs(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Escape signs in a docstring that are mathematics there, and mark-up in reStructuredText."""
    parts = re.split(r"(`+[^`]*`+|^ *>>>.*$|^ *\.\.\. .*$)", "\n".join(lines), flags=re.MULTILINE)
    parts[::2] = [SIGN.sub(r"\\\g<0>", part) for part in parts[::2]]
    lines[:] = "".join(parts).split("\n")


def link_names(app: Sphinx, tree: nodes.document) -> None:
    """Make each public name in backticks, with or without arguments, a link to its docstring.

    A type of Python in a signature is none of ours: `bool` would lead to the dtype `engine.bool`.
    """
    for link in list(tree.findall(addnodes.pending_xref)):
        if link.get("reftype") == "class" and hasattr(builtins, link["reftarget"]):
            link.replace_self(link.children)
    for node in list(tree.findall(nodes.literal)):
        found = NAME.match(node.astext())
        if found is None or isinstance(node.parent, LINKS):
            continue
        link = addnodes.pending_xref(
            "", refdomain="py", reftype="obj", reftarget=found.group(), refdoc=app.env.docname
        )
        node.replace_self(link)
        link += node


def name_pictures(app: Sphinx, tree: nodes.document, page: str) -> None:
    """Give a picture that code of a page drew the title of its file as its words, for those that
    read aloud; a file's name would stand there. Mark those without colours for dark screens.
    """
    for node in tree.findall(nodes.image):
        path = Path(app.srcdir, node["uri"])
        if path.suffix != ".svg":
            continue
        text = path.read_text(encoding="utf-8")
        if not node.get("alt") and (found := TITLE.search(text)) is not None:
            node["alt"] = html.unescape(found.group(1))
        if "prefers-color-scheme" not in text:
            node["classes"].append("has-no-dark")


def mathml(latex: str, display: str) -> str:
    """Return an equation as MathML."""
    latex = re.sub(r"(begin|end)\{aligned\}", r"\1{align*}", latex)
    made = convert(latex, display=display)
    if "<mi>\\" in made:
        raise ValueError(f"an equation has a command that MathML is not made of: {latex}")
    return made


def visit_math(self: Any, node: nodes.math) -> None:
    """Write an equation within a line."""
    self.body.append(mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_displaymath(self: Any, node: nodes.math_block) -> None:
    """Write an equation on lines of its own; its source is its label for those that read aloud."""
    source = html.escape(node.astext(), quote=True)
    made = mathml(node.astext(), "block")
    self.body.append(f'<div class="math" role="math" aria-label="{source}">{made}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register all of it."""
    app.connect("builder-inited", write_reference)
    app.connect("autodoc-process-docstring", keep_parameters)
    app.connect("autodoc-process-docstring", escape_signs)
    app.connect("doctree-read", link_names)
    app.connect("doctree-resolved", name_pictures)
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_displaymath, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
