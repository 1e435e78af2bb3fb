"""Define cells with a state that is linear in the one before: gates see the input, not the state.

Read `gated.py` first, gates on a diagonal; then `spaces.py`, with a complex, fixed diagonal or one
that is made of the input, and RWKV-4, which keeps the logarithm of a scale beside a sum. What all
steps have in common, and products with the inputs, leave the scan: they are computed at once.
"""
