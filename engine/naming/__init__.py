"""Name nodes after the variables of a step: `equations.py` labels them.

`bytecode.py` and `dataflow.py` read the compiled function for it.
"""
