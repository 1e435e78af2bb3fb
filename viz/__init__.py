"""Pictures of recorded graphs: recurrent networks, unrolled through time, and their gradients."""

from viz.contributions import draw_contributions
from viz.curves import draw_curves
from viz.diagram import Diagram
from viz.differences import draw_difference
from viz.double_backward import draw_double_backward
from viz.draw import draw_gradients, draw_rolled, draw_unrolled
from viz.forensics import draw_nonfinite
from viz.gates import draw_gates
from viz.heatmap import draw_jacobian_heatmap
from viz.levels import to_networkx
from viz.truncation import draw_truncation

__all__ = [
    "Diagram",
    "draw_contributions",
    "draw_curves",
    "draw_difference",
    "draw_double_backward",
    "draw_gates",
    "draw_gradients",
    "draw_jacobian_heatmap",
    "draw_nonfinite",
    "draw_rolled",
    "draw_truncation",
    "draw_unrolled",
    "to_networkx",
]
