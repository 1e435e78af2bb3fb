"""The array API standard around the ops: names, dtypes, conversion, devices, assignment.

`standard.py` has the dtypes and constants, `dtypes.py` promotion and casts, `conversion.py` makes
tensors of anything, `devices.py` moves them, `autocast.py` narrows their products, `inspection.py`
answers what there is, `mutation.py` is assignment.
"""
