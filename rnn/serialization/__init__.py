"""Write and read files of weights and settings, without pickle. Below all that saves.

Read `documents.py` (JSON, strictly), `files.py` (whole or not at all, with a digest) and
`saving.py` (arrays and a configuration in one safetensors file).
"""
