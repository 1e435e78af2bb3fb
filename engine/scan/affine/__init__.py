"""Recurrences that are affine in their states: found in the recorded step, and run in other ways.

In reading order: `forms.py` has a value as coefficients times states plus a rest, `rules.py` what
each op makes of forms, `outer.py` finds outer products in what is added, `degrees.py` knows affine
and max-plus steps by the degrees of their ops, `kinds.py` says what kind each group of states is.
`split.py` cuts a step into stages, `chunks.py` runs a matrix memory over time in chunks of steps,
`chunked.py` a whole recurrence in stages, `methods.py` chooses.
"""
