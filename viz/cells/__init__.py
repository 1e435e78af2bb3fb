"""Draw one cell as in the textbooks, made of a recorded step, beside its equations.

Read `model.py` (boxes and wires of a step), `factors.py` (their numbers), `places.py` (rows and
columns), `lattice.py` and `routing.py` (wires), `formulas.py` (equations), then `drawing.py`.
"""
