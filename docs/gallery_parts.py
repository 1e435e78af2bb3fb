"""Hold one section of the gallery, and the tools with which its text reads its picture.

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
from viz.labels import number
from viz.writers import animation

__all__ = ["Section", "box", "claim", "edges", "number"]


class Section(NamedTuple):
    """Hold a picture with its text.

    `lesson` is a sentence on what the picture teaches, `draw` makes the picture of the networks
    that its parameters name, `read` tells the numbers in it. The page shows the body of `draw` as
    its code. Of an `animated` picture the file moves.
    """

    title: str
    lesson: str
    draw: Callable[..., Diagram]
    read: Callable[[Diagram, Networks], str]
    animated: bool = False

    @property
    def name(self) -> str:
        """Return the name of the file of the picture, without its suffix."""
        return self.draw.__name__

    def drawn(self, networks: Networks) -> Diagram:
        """Return the picture; tensors that `draw` makes have the same values in any order."""
        given = [getattr(networks, name) for name in inspect.signature(self.draw).parameters]
        engine.seed(0)
        with np.errstate(all="ignore"):  # NaN are what one of them looks for
            return self.draw(*given)

    def written(self, diagram: Diagram) -> str:
        """Return the text of the file of the picture."""
        return animation.write(diagram.scene) if self.animated else diagram.svg()

    def code(self) -> str:
        """Return the body of `draw` without its return, as a reader would write it."""
        lines = inspect.getsource(self.draw).rstrip().split(":\n", 1)[1]
        code = textwrap.dedent(lines).replace("return ", "", 1)
        return f'diagram = {code}\ndiagram.animate("{self.name}.svg")' if self.animated else code


def box(d: Diagram, **wanted: Any) -> dict[str, Any]:
    """Return the only box with these attributes. Raises ValueError for none and for several."""
    found: list[dict[str, Any]] = [
        own for _, own in d.graph.nodes(data=True)
        if all(own.get(key) == value for key, value in wanted.items())
    ]  # fmt: skip
    if len(found) != 1:
        raise ValueError(f"gallery: expected one box with {wanted}, got {len(found)}")
    return found[0]


def edges(d: Diagram, kind: str) -> list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Return the edges of a kind, each as the attributes of both boxes and of the edge."""
    nodes = d.graph.nodes
    return [(nodes[a], nodes[b], own) for a, b, own in d.graph.edges(data=True)
            if own.get("kind") == kind]  # fmt: skip


def claim(section: str, *what: bool) -> None:
    """Raise RuntimeError where the picture no longer shows what the text of a section says."""
    if not all(what):
        raise RuntimeError(
            f"gallery: the run no longer shows what the text of {section!r} says, by its "
            f"conditions {[i for i, one in enumerate(what) if not one]}; look at it and rewrite"
        )
