"""Write and read files of weights and settings, without pickle. Below all that saves.

Read `documents.py` (JSON, strictly), `files.py` (with a digest) and `saving.py` (safetensors).
"""
