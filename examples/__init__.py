"""Show what the packages can do, a file each: run them with `python -m examples.NAME`."""
