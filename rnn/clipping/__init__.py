"""Clip gradients. Above `optim/flat.py`.

Read `on_host.py`, `kernels.py` (CUDA), `on_device.py` and `clip.py`, which has the functions.
"""
