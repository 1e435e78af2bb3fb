"""Test products of matrices that are kept times a power of two."""

import numpy as np
import pytest

import engine
from engine.reading.scaled import Scaled

DRAWN = np.random.default_rng(0).normal(size=(6, 3, 4, 4))


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e150, 1e-310])
def test_products_are_those_of_numpy(scale):
    product, expected = Scaled.identity(3, 4), np.stack([np.eye(4)] * 3)
    for one in DRAWN:
        product, expected = Scaled.of(engine.asarray(one)) @ product, one @ expected
    small = Scaled(product.matrices * scale, product.exponents)
    back = Scaled.of(engine.asarray(np.stack([np.eye(4)] * 3) / scale)) if scale > 1e-300 else None
    np.testing.assert_allclose(product.numpy(), expected, rtol=1e-12)
    if back is not None:
        np.testing.assert_allclose((back @ small).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("kind", ["spectral", "frobenius"])
def test_norms_are_those_of_the_blocks_on_one_diagonal(kind):
    matrices = DRAWN[0] * np.array([1.0, 1e-3, 10])[:, None, None]
    found = Scaled.of(engine.asarray(matrices)).block(slice(1, 3), slice(0, 4)).norm(kind)
    blocks = matrices[:, 1:3]
    each = [np.linalg.norm(one, 2 if kind == "spectral" else None) for one in blocks]
    expected = max(each) if kind == "spectral" else np.linalg.norm(each)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", ["spectral", "frobenius"])
@pytest.mark.parametrize(
    ("values", "expected"),
    [(np.zeros((2, 3, 3)), 0.0), (np.zeros((0, 3, 3)), 0.0), (np.zeros((2, 0, 3)), 0.0),
     (np.full((1, 2, 2), np.inf), np.inf), (np.full((1, 2, 2), np.nan), np.nan),
     (np.full((1, 1, 1), 1e-320), 1e-320), (np.full((1, 1, 1), 1.7e308), 1.7e308)],
)  # fmt: skip
def test_corners(kind, values, expected):
    np.testing.assert_equal(Scaled.of(engine.asarray(values)).norm(kind), expected)


def test_what_a_float_does_not_hold_is_zero_or_inf():
    large = Scaled.of(engine.asarray(np.array([[[1e300]]])))
    small = Scaled.of(engine.asarray(np.array([[[1e-300]]])))
    assert (large @ large).norm("spectral") == np.inf
    assert (large @ large).numpy().item() == np.inf
    assert (small @ small).norm("frobenius") == 0
    np.testing.assert_allclose((large @ large @ small @ small).numpy(), [[[1.0]]], rtol=1e-12)
