"""Make one drawing: the graph of the picture, its layout, and the scene it becomes.

Every picture of a graph is made here; `Annotations` say how it differs from the plain one. Above
the layout, below the draw functions.
"""

from collections.abc import Collection, Sequence
from typing import Any

from engine import Graph, Node, Tensor
from engine.suggestions import kind_of
from viz import style
from viz.analysis.details import Details
from viz.analysis.measures import measure_gradients
from viz.diagram import Diagram
from viz.gc_pause import gc_paused
from viz.model.attention import add_attention
from viz.model.elements import Model
from viz.model.levels import build, recorded
from viz.model.window import Window
from viz.rendering.annotations import Annotations
from viz.rendering.scene_builder import SceneBuilder


class Drawing:
    """Prepare the graph of a picture to be measured and drawn.

    `recorded` is the graph with the steps of fused recurrences put back, `model` its boxes and
    edges, `member` the box of each node; of `weights` all are drawn, none, or one,
    and of `attention` that of one step that looks, of the ``"last"`` or of ``"all"``. A graph that
    is `ready` has its steps put back. Raises ValueError for an unknown level, for windows with
    nothing in them and for a step that does not look.
    """

    def __init__(
        self,
        x: Tensor | Graph | Sequence[Tensor],
        level: str = "cell",
        *,
        max_steps: int | None = None,
        steps: Collection[int] | None = None,
        weights: bool | Node = True,
        attention: int | str = "all",
        ready: bool = False,
        joined: bool = False,
    ) -> None:
        with gc_paused():
            self.recorded = x if ready and isinstance(x, Graph) else recorded(x, level)
            self.window = Window.of(self.recorded, level, max_steps, steps, joined=joined)
            self.model: Model = build(self.recorded, level, self.window.gap_of, weights=weights)
        self.member: dict[Node, int] = self.model.member
        if level in ("gate", "cell"):
            add_attention(self.model, self.recorded, step=attention)
        looking = {self.model.items[link.target].t for link in self.model.links
                   if link.kind == "attention"}  # fmt: skip
        self.looking = looking.pop() if len(looking) == 1 else None
        self.not_looking = self._not_looking()
        self.scale: style.Scale | None = None
        self.gradients: dict[Node, Any] = {}

    def _not_looking(self) -> frozenset[int]:
        """Return what brings to other steps than the one that looks what they look at."""
        items, links = self.model.items, self.model.links
        paths = {items[link.target].path for link in links if link.kind == "attention"}
        if self.looking is None:
            return frozenset()
        return frozenset(
            i for i, link in enumerate(links)
            if link.kind == "context" and items[link.target].path in paths
            and items[link.target].t != self.looking
        )  # fmt: skip

    def measure(self, loss: Tensor | None = None) -> None:
        """Write the norms of the gradients of `loss`, the first output by default."""
        loss = self.recorded.outputs[0] if loss is None else loss
        measure_gradients(self.model, loss, self.gradients)
        self.scale = scale_of(self.model)

    def diagram(self, title: str, annotations: Annotations | None = None) -> Diagram:
        """Lay the graph out and annotate it."""
        with gc_paused():
            own = annotations or Annotations()
            scene = SceneBuilder(self.model, own, self.scale, self.window.notes).scene(title)
            return Diagram(scene, Details(self.model, self.recorded, self.gradients))


def scale_of(model: Model) -> style.Scale:
    """Return the scale of the gradients on edges; rails to weights are thin and do not count."""
    return style.Scale.of(
        link.grad_norm for link in model.links
        if link.grad_norm is not None and link.kind != "parameter"
    )  # fmt: skip


def single(where: str, loss: Tensor | Sequence[Tensor]) -> Tensor:
    """Return the loss, also of a list of one. Raises TypeError for what is none, or several."""
    found = list(loss) if isinstance(loss, list | tuple) else [loss]
    if len(found) == 1 and isinstance(found[0], Tensor):
        return found[0]
    many = f"{len(found)} of them; add them up first"
    what = many if len(found) != 1 else kind_of(found[0])
    raise TypeError(f"{where}: expected one loss, a tensor, got {what}")
