"""Wrap cells in cells. Above the cells, beside the layers.

Read `wrapper.py` (what a wrapper is), `regularizers.py` (zoneout and dropout of recurrences) and
`tap.py` (a cell that notes its steps, for the probes).
"""
