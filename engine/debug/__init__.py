"""Debug by a detector of anomalies and a profiler, both interpreters of ops.

Above `engine/interpreter.py`.
"""
