"""The array API standard around the ops: names, dtypes, conversion, devices, assignment.

`standard.py` has the dtypes and constants and answers what there is, `dtypes.py` promotion
and casts, `conversion.py` makes tensors of anything, `devices.py` moves them and narrows their
products.
"""
