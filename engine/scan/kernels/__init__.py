"""Share between kernels in C and in CUDA what is the same: a program as numbers, for any loops.

In reading order: `lowering.py` writes a program in the ops that kernels have, `layout.py` says what
lies in memory and in which order it is computed, `beside.py` what is computed beside the core,
`terms.py` are positions and literals, `nest.py` collects the terms of one nest of loops,
`arrays.py` the places that loops read and write; `functions.h` are the functions of numbers that
both languages have.
"""
