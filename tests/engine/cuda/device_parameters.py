"""Make parameters with gradients on any device, for the tests of optimisers and clipping there."""

import numpy as np
import pytest

import engine
from tests.draws import normal

SHAPES = [(3, 4), (), (5,), (0,), (2, 3, 2), (7,), (1,), (40, 30), (2, 2), (4,), (3,)]
DTYPES = ["float32", "float64", "float16", "bfloat16"]


def on_gpu():
    """Return the name of the GPU; the test is skipped, with the reason, where there is none."""
    try:
        found = engine.device("cupy")
    except RuntimeError as reason:
        pytest.skip(str(reason))
    one = engine.zeros(1, device=found)
    engine.take(one, engine.asarray([0], device=found)).numpy()  # makes the slots of checks, once
    return found


def dtype_of(name):
    return getattr(engine, name)


def parameters(device, dtype="float32", shapes=SHAPES):
    return [
        engine.asarray(normal(*shape, salt=i), dtype=dtype_of(dtype), device=device,
                       requires_grad=True)
        for i, shape in enumerate(shapes)
    ]  # fmt: skip


def give_gradients(own, step=0, size=1.0):
    for i, x in enumerate(own):
        g = size * normal(*x.shape, salt=100 * step + i)
        x.grad = engine.asarray(g, dtype=x.dtype, device=x.device)


def values(own):
    return [np.asarray(x.numpy(), "float64") for x in own]
