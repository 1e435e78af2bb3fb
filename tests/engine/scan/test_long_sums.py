"""Compare sums over many steps in float32 with float64: rounding must not grow with the steps.

Terms are nearly constant, where adding up one after another loses most: 0.06 % of a product and
0.03 % of a sum over 100,000 steps.
"""

import numpy as np
import pytest

import engine
import rnn
from engine.backends import HOST
from engine.scan.c.core import CCore
from engine.scan.c.products import product
from engine.scan.executors import Fused
from engine.scan.plan import PlanCore
from engine.scan.time_batched import BLOCK, summed
from tests.engine.scan.test_fused import only
from tests.engine.test_host_kernels import there_is_a_compiler

COMPILED = Fused(CCore(), PlanCore())
T = 100_000
NEAR = 3e-5  # of a sum of blocks of 256 numbers and then of 391 such sums, at worst

needs_a_compiler = pytest.mark.skipif(not there_is_a_compiler(), reason="no compiler")


def far(found, want):
    """Return the largest difference, as a share of the largest number."""
    return float(np.max(np.abs(found - want)) / np.max(np.abs(want)))


@needs_a_compiler
@pytest.mark.parametrize("width", [3, 64])
def test_a_product_of_many_steps(width):
    a, b = np.full((T, width), 0.3, "f"), np.full((T, width), 0.123, "f")
    assert far(product(a.T, b), a.astype("d").T @ b.astype("d")) < NEAR
    in_turn = np.cumsum(a[:, 0] * b[:, 0], dtype="f")[-1]
    assert far(in_turn, np.sum(a[:, 0].astype("d") * b[:, 0])) > 10 * NEAR  # what it is not


def gradients(net, x, dtype):
    net = net.to(dtype)
    net.zero_grad()
    net(engine.asarray(x.astype(dtype)))[0].mean().backward()
    return {name: w.grad.numpy() for name, w in net.named_parameters()}


@needs_a_compiler
def test_gradients_of_a_long_constant_recurrence():
    net, x = rnn.Recurrent(rnn.ElmanCell(2, 3)), np.full((T, 1, 2), 0.3)
    with only(COMPILED):
        found = gradients(net, x, engine.float32)
        want = gradients(net, x, engine.float64)
    for name in want:
        assert far(found[name], want[name]) < NEAR, name


class Memory(rnn.Cell):
    """Keep a matrix memory with as many parameters as states; the kernel sums their gradients."""

    input_size, state_size = (2, 3), {"S": (2, 3)}

    def __init__(self):
        self.a = engine.asarray(np.full((2, 3), 0.9, "f"), requires_grad=True)
        self.w = engine.asarray(np.full((2, 3), 0.5, "f"), requires_grad=True)

    def step(self, x, S):
        S = self.a * S + self.w * x
        return engine.sum(S, axis=2), S


@needs_a_compiler
def test_sums_over_time_in_the_kernel():
    net, x = rnn.Recurrent(Memory()), np.full((T, 1, 2, 3), 0.3)
    with only(COMPILED):
        found = gradients(net, x, engine.float32)
        told = str(engine.explain_scan(net, engine.asarray(x[:4].astype("f"))))
        want = gradients(net, x, engine.float64)
    assert "its sum over time alone" in told
    for name in want:
        assert far(found[name], want[name]) < 2e-6, name  # added up in float64, and rounded once


@pytest.mark.parametrize("shape", [(T, 1, 3), (5 * BLOCK + 7, 3, 2), (BLOCK, 2, 3), (7, 999, 2),
                                   (3, 0, 2), (0, 2, 3)])  # fmt: skip
def test_a_sum_over_the_first_axis_on_the_host(shape):
    x = np.full(shape, 0.123, "f")
    for axes in ((0,), (0, 1)):
        found, want = summed(HOST.xp, x, axes), x.astype("d").sum(axis=axes)
        assert found.shape == want.shape
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, want, rtol=NEAR)
        strided = np.stack([x, x], axis=-1)[..., 0]
        np.testing.assert_allclose(summed(HOST.xp, strided, axes), want, rtol=3e-4)
    assert summed(HOST.xp, x.astype("i8"), (0,)).dtype == np.int64
