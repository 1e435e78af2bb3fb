"""The core of a program as C: generated, compiled once, run by threads of its own.

In reading order: `loops.py` writes nests as loops, `folds.py` sums and products, `source.py` the
whole kernel; `compiler.py` compiles it, `products.py` and `products.c` multiply matrices, `core.py`
runs kernels. What C and CUDA have in common is in `../kernels/`.
"""
