"""Clip gradients. Above `optim/flat.py`.

Read `on_host.py`, `on_device.py` (CUDA) and `clip.py`, which has the functions.
"""
