"""The picture that tells how a gradient travels back through time, and how it vanishes.

Read `reach.py` (where a gradient enters a cell), `weights.py` (what each step adds to the recurrent
weight), `measuring.py` (the norms), `sentence.py` (the finding), `tokens.py` (the words of the time
axis), `layout.py` (a column a step), `marks.py` (dots, ribbons, labels), the panels `chain.py`,
`lines.py` and `bars.py`, `to_networkx.py` (the graph to ask), `losses.py` (those asked for), and
`picture.py`, which has them all.
"""
