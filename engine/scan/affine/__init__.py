"""Find in the recorded step recurrences affine in their states, and run them in other ways.

In reading order: `forms.py` has a value as coefficients times states plus a rest, `rules.py` what
each op makes of forms, `outer.py` finds outer products in what is added, `kinds.py` says what kind
each group of states is. A step is cut into `stages.py`, which are run one after another:
`chunked.py`, with `split.py`, has a matrix memory, run by the products of `chunks.py`,
`stretched.py` a long and narrow state, or states that are known beforehand.
"""
