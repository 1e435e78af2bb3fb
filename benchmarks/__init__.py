"""Benchmarks: each writes its figures to `results/`, from which the tables in the docs are made."""
