"""Run the core of a program as C: generated, compiled once, run by threads of its own.

In reading order: `folds.py` writes nests as loops, sums and products, `source.py` the whole kernel;
`compiler.py` compiles it, `products.py` and `products.c` multiply matrices (`tiles.h`) in threads
(`pool.c`), `division.py` says what threads share, `passes.py` has all products of a pass over time
in the call that runs the kernel, `core.py` runs kernels and `single.py` one step alone. `losses.py`
has the cross entropy of many classes, `arena.c` keeps the memory of arrays. What C and CUDA have in
common is in `../kernels/`.
"""
