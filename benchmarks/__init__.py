"""Measure: each benchmark writes its numbers to `results/`, of which the tables in the docs are
made.
"""
