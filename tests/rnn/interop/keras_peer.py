"""Import Keras, where it and one of its backends are installed; tests alone ask for it."""

import os
from importlib.util import find_spec

import pytest


def keras():
    """Return the module, on torch, which compiles nothing, or jax. Skips the test without them."""
    found = [name for name in ("torch", "jax") if find_spec(name)]
    if "KERAS_BACKEND" not in os.environ and found:
        os.environ["KERAS_BACKEND"] = found[0]
    return pytest.importorskip("keras")
