"""Pictures of recorded graphs: recurrent networks, unrolled through time, and their gradients."""

from viz.diagram import Diagram
from viz.draw import draw_gradients, draw_rolled, draw_unrolled
from viz.levels import to_networkx

__all__ = ["Diagram", "draw_gradients", "draw_rolled", "draw_unrolled", "to_networkx"]
