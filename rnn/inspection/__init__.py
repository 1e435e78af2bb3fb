"""Show a network: its table, its gates over time, its gradients through time.

Read `summary.py`, `observe.py` and `probes.py`. Above the layers, the wrappers and the models.
"""
