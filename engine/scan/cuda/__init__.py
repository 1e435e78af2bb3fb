"""Run the core of a program as CUDA C++: generated, compiled by CuPy, run in one of three forms.

In reading order: `model.py` predicts times and chooses tiles, `threads.py` writes nests as turns of
threads, `folds.py` what needs whole rows, `parts.py` divides a step into what blocks can do without
waiting, `bodies.py` writes parts as functions, `independent.py` recurrences with threads that never
wait, `source.py` the kernels; `module.py` compiles and launches, `core.py` lists the forms that a
program has, chooses and runs.
On the device: `runtime.cuh`, `products.cuh`, `sweeps.cuh`, put together by `headers.py`.
"""
