"""Turn boxes and edges into a scene. Above the model, its numbers and the layout.

Read `annotations.py` (how one picture differs from the plain one), `boxes.py`, `wire_words.py`,
`placing.py`, `edges.py`, `trunks.py`, `scene_builder.py` (a whole scene),
`drawing.py` (from the recorded graph to the picture) and `fitting.py` (how much of it fits).
"""
