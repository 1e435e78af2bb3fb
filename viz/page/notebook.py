"""Shows a picture in a notebook: alive where the notebook is trusted, as an image where it is not.

A notebook that is not trusted loses scripts, frames and styles, and keeps images with their data
inside. So there are a frame, the image, and a style that hides the image behind a frame: one of
the two is seen in every case. Above the page, below `Diagram`.
"""

from base64 import b64encode
from html import escape

import networkx as nx

from viz.page.document import page
from viz.scene import Scene
from viz.writers.primitives import height

LARGEST = 1_500  # boxes and wires of the largest picture that is a page within a notebook
FRAME = 760  # pixels: the greatest height of that page
CONTROLS = 250  # pixels: what the page needs around a small picture
BAR = 18  # pixels: a scroll bar under a plain picture that is too wide
LIVE = "bptt-live"  # the class of the frame


def in_notebook(scene: Scene, picture: str, graph: nx.MultiDiGraph | None) -> str:
    """Return HTML that shows a scene, its SVG being `picture`, in trusted notebooks and others.

    The frame holds the interactive page, or the plain picture where there is no `graph`.
    """
    if graph is None:
        inside, high = _plain(picture), height(scene) + BAR
    else:
        inside, high = page(scene, graph), min(FRAME, scene.height + CONTROLS)
    return (
        f'<div style="overflow:auto"><iframe class="{LIVE}" srcdoc="{escape(inside)}" '
        f'sandbox="allow-scripts allow-downloads" title="{escape(scene.title)}" '
        f'style="display:block;width:100%;height:{round(high)}px;border:0"></iframe>'
        f"{_image(picture, scene.title)}<style>.{LIVE}+img{{display:none}}</style></div>"
    )


def still(scene: Scene, picture: str) -> str:
    """Return HTML that shows the SVG `picture` as an image and holds it only once."""
    return f'<div style="overflow:auto">{_image(picture, scene.title)}</div>'


def _image(picture: str, title: str) -> str:
    data = b64encode(picture.encode()).decode("ascii")
    return f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(title)}"/>'


def _plain(picture: str) -> str:
    """Return a document that holds nothing but a picture, which tells more where one hovers."""
    return f'<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">{picture}</body>'
