"""Pictures with axes: heat maps, gates, contributions, curves, and what they are made of."""
