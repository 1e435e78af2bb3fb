"""Answer questions to graphs, whole ones and those of a recurrence.

Of whole ones `differences.py` and `statistics.py`, of a recurrence the `variables.py` of its steps
and the `jacobians.py` between them.
"""
