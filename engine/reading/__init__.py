"""Questions to graphs: `differences.py` and `statistics.py` of whole ones, and of a recurrence the
`variables.py` of its steps and the `jacobians.py` between them.
"""
