"""Examples, one file each: run them with `python -m examples.NAME`."""
