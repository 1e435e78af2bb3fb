"""Hold the part of CuPy's core that has no other name: how products are computed."""
