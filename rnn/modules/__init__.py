"""Hold parameters, nested by attribute: modules. Below the cells.

Read `values.py` (settings checked, parameters drawn), `tree.py` (what a module holds, by name),
`states.py` (loading), `hooks.py` (of calls and gradients), `printing.py`, `module.py`, which has
them all and modes (training, evaluation), and `feedforward.py`, the layers without a recurrence.
"""
