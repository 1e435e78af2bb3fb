"""What a section of the gallery is, and how its text takes numbers from its picture.

Below the sections, which `make_gallery.py` puts together.
"""

import inspect
import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import engine
from docs.gallery_networks import Networks
from viz import Diagram


class Section(NamedTuple):
    """A picture: `draw` makes it of the networks that its parameters name, `read` explains it.

    The body of `draw` is the code that the page shows.
    """

    title: str
    draw: Callable[..., Diagram]
    read: Callable[[Diagram, Networks], str]

    @property
    def name(self) -> str:
        """What the file of the picture is called."""
        return self.draw.__name__

    def drawn(self, networks: Networks) -> Diagram:
        """The picture; what it makes itself has the same values in any order."""
        given = [getattr(networks, name) for name in inspect.signature(self.draw).parameters]
        engine.seed(0)
        with np.errstate(all="ignore"):  # NaN are what one of them looks for
            return self.draw(*given)

    def code(self) -> str:
        """What draws it: the body of `draw` without its return, as a reader would write it."""
        lines = inspect.getsource(self.draw).rstrip().split(":\n", 1)[1]
        return textwrap.dedent(lines).replace("return ", "", 1)


def box(d: Diagram, **wanted: Any) -> dict[str, Any]:
    """The only box with these attributes. Raises ValueError where there is not exactly one."""
    found: list[dict[str, Any]] = [
        own for _, own in d.graph.nodes(data=True)
        if all(own.get(key) == value for key, value in wanted.items())
    ]  # fmt: skip
    if len(found) != 1:
        raise ValueError(f"gallery: expected one box with {wanted}, got {len(found)}")
    return found[0]


def edges(d: Diagram, kind: str) -> list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """The edges of a kind: both boxes, and the edge itself."""
    nodes = d.graph.nodes
    return [(nodes[a], nodes[b], own) for a, b, own in d.graph.edges(data=True)
            if own.get("kind") == kind]  # fmt: skip


def signed(value: float) -> str:
    """A number in two digits, with a minus that is as wide as it should be."""
    return f"{value:.2g}".replace("-", "−")


def claim(section: str, *what: bool) -> None:
    """Stop where what the text of a section says in words is no longer so."""
    if not all(what):
        raise RuntimeError(
            f"gallery: the run no longer shows what the text of {section!r} says, by its "
            f"conditions {[i for i, one in enumerate(what) if not one]}; look at it and write anew"
        )
