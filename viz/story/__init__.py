"""Draw the picture that tells how a gradient travels back through time, and how it vanishes.

Read `given.py` (its losses and words), `weights.py` (where a gradient enters a cell, and what each
step adds to the recurrent weight), `measuring.py` (the norms), `sentence.py` (the finding),
`layout.py` (a column a step), `marks.py` (dots, ribbons, labels), the panels `chain.py`, `lines.py`
and `bars.py`, `to_networkx.py` (the graph to ask), and `picture.py`, which has them all.
"""
