"""The core of a program as C: generated, compiled once, run by threads of its own.

In reading order: `lowering.py` writes a program in the ops that kernels have, `layout.py` says what
lies in memory and in which order it is computed, `terms.py` and `nest.py` write loops, `arrays.py`
the places that they read and write, `folds.py` sums and products, `source.py` the whole kernel;
`compiler.py` compiles it, `products.py` and `products.c` multiply matrices, `core.py` runs kernels.
"""
