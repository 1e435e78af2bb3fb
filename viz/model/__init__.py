"""Model a picture: the boxes and edges of a recorded graph, and their names.

Read `elements.py` (boxes, edges), `grouping.py` (what shares a box), `leaves.py` and `inputs.py`
(what comes from outside, and its names), `links.py`, `levels.py` (which makes all of it),
`window.py` (steps), `variables.py` and `attention.py` (what cells compute),
`sums.py` (what a loss is the sum of), then `names.py` and `box_names.py` (what people call
things).
"""
