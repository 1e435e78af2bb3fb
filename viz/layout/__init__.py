"""Lay everything out: columns of time, rows, wires, in pixels."""
