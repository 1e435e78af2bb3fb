"""Draw pictures with axes: heat maps, gates, contributions, curves, and their parts."""
