"""Complete the array API standard around the ops: names, dtypes, conversion, devices, assignment.

`standard.py` has the dtypes and constants and answers what there is, `conversion.py` makes
tensors of anything and casts them, `devices.py` moves them and narrows their products.
"""
