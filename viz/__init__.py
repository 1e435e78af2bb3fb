"""Draw recorded graphs: recurrent networks, unrolled through time, and their gradients.

Read `scene.py` (a drawing as data), `writers/` (files), `model/` (boxes and edges), `analysis/`
(numbers), `layout/` and `rendering/` (from these to a scene), then what draws: `drawings/` (of
graphs), `story/`, `charts/`, `cells/`, `influence/`; `page/` is the interactive page.
"""

from typing import TYPE_CHECKING

from engine import __version__ as __version__
from engine.suggestions import teller
from viz.analysis.paths import Path, count_paths, k_strongest_paths, longest_path, state_only
from viz.analysis.to_networkx import to_networkx
from viz.cells.drawing import draw_cell
from viz.charts.attention import draw_attention
from viz.charts.contributions import draw_contributions
from viz.charts.curves import draw_curves
from viz.charts.estimators import draw_estimators
from viz.charts.gates import draw_gates
from viz.charts.heatmap import draw_jacobian_heatmap
from viz.diagram import Diagram
from viz.drawings.bptt_path import draw_bptt_path
from viz.drawings.differences import draw_difference
from viz.drawings.double_backward import draw_double_backward
from viz.drawings.forensics import draw_nonfinite
from viz.drawings.plain import draw_gradients, draw_rolled, draw_unrolled
from viz.drawings.truncation import draw_truncation
from viz.influence.drawing import draw_influence
from viz.instead import NAMES
from viz.story.picture import draw_story

__all__ = [
    "Diagram",
    "Path",
    "__version__",
    "count_paths",
    "draw_attention",
    "draw_bptt_path",
    "draw_cell",
    "draw_contributions",
    "draw_curves",
    "draw_difference",
    "draw_double_backward",
    "draw_estimators",
    "draw_gates",
    "draw_gradients",
    "draw_influence",
    "draw_jacobian_heatmap",
    "draw_nonfinite",
    "draw_rolled",
    "draw_story",
    "draw_truncation",
    "draw_unrolled",
    "k_strongest_paths",
    "longest_path",
    "state_only",
    "to_networkx",
]

if not TYPE_CHECKING:  # to which every name would then be one
    __getattr__ = teller(__name__, NAMES)


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
