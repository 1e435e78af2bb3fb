"""Compare linear algebra with NumPy, finite differences and PyTorch, for singular matrices too.

The ops that have one array to show are tested in `test_ops.py` as all others; here are those that
pack several, what is composed, bad input, and the corners.
"""

import gc
import inspect
import math
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import engine
from engine import linalg
from engine.backends.base import Namespace
from engine.ops.determinants import cofactors
from engine.ops.solving import inv, solve_
from engine.ops.triangular import cholesky_
from tests.draws import covering, first, leaf, normal, normal_leaf

BOTH = pytest.mark.parametrize("dtype", ["float32", "float64"])
ROUNDING = {"float32": 2e-5, "float64": 1e-12}
SHAPES = [(3, 3), (4, 2), (2, 4), (2, 3, 3), (2, 1, 3, 2), (0, 2, 2)]


def positive(*shape: int) -> np.ndarray:
    """Draw symmetric matrices with distinct eigenvalues of at least 1."""
    x = normal(*shape)
    return np.asarray(x @ np.swapaxes(x, -2, -1) + np.diag(1.0 + np.arange(shape[-1])))


def close(given: Any, expected: Any, tolerance: float) -> None:
    """Assert the same shapes and dtypes, and numbers that are close."""
    expected = np.asarray(expected)
    assert (given.shape, given.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(given.numpy(), expected, rtol=tolerance, atol=tolerance)


# ---- what there is

SIGNATURES = """
    cholesky(x, /, *, upper=False)
    cross(x1, x2, /, *, axis=-1)
    det(x, /)
    diagonal(x, /, *, offset=0)
    eigh(x, /)
    eigvalsh(x, /)
    inv(x, /)
    matmul(x, y, /)
    matrix_norm(x, /, *, keepdims=False, ord='fro')
    matrix_power(x, n, /)
    matrix_rank(x, /, *, rtol=None)
    matrix_transpose(x, /)
    outer(x1, x2, /)
    pinv(x, /, *, rtol=None)
    qr(x, /, *, mode='reduced')
    slogdet(x, /)
    solve(x1, x2, /, *, left=True)
    svd(x, /, *, full_matrices=True)
    svdvals(x, /)
    tensordot(x1, x2, /, *, axes=2)
    trace(x, /, *, offset=0, dtype=None)
    vecdot(x1, x2, /, *, axis=-1)
    vector_norm(x, /, *, axis=None, keepdims=False, ord=2)
"""
RESULTS = {
    "EighResult": ("eigenvalues", "eigenvectors"),
    "QRResult": ("Q", "R"),
    "SVDResult": ("U", "S", "Vh"),
    "SlogdetResult": ("sign", "logabsdet"),
}


def plain(function: Callable[..., Any]) -> str:
    """Return a signature without its annotations."""
    signature = inspect.signature(function)
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty))


def test_the_names_and_signatures_are_those_of_the_standard():
    expected = [line.strip() for line in SIGNATURES.strip().splitlines()]
    names = [line.partition("(")[0] for line in expected]
    assert set(linalg.__all__) == {*names, *RESULTS, "LinAlgError", "expm"}  # SciPy's
    assert [name + plain(getattr(linalg, name)) for name in names] == expected
    assert all(getattr(linalg, name).__doc__ for name in linalg.__all__)
    assert {name: getattr(linalg, name)._fields for name in RESULTS} == RESULTS
    assert engine.linalg is linalg
    assert linalg.LinAlgError is np.linalg.LinAlgError


# ---- values

SAME: dict[str, Callable[[Any, Any], Any]] = {
    "cross": lambda xp, x: xp.linalg.cross(x[..., :1] + xp.ones(3, dtype=x.dtype),
                                           x[..., 1:2] * xp.ones(3, dtype=x.dtype)),
    "diagonal": lambda xp, x: xp.linalg.diagonal(x),
    "diagonal offset": lambda xp, x: xp.linalg.diagonal(x, offset=-1),
    "trace": lambda xp, x: xp.linalg.trace(x),
    "trace offset": lambda xp, x: xp.linalg.trace(x, offset=1, dtype=xp.float64),
    "matrix_transpose": lambda xp, x: xp.linalg.matrix_transpose(x),
    "matmul": lambda xp, x: xp.linalg.matmul(x, xp.linalg.matrix_transpose(x)),
    "outer": lambda xp, x: xp.linalg.outer(x[..., 0].reshape(-1), x[..., 1].reshape(-1)),
    "tensordot": lambda xp, x: xp.linalg.tensordot(x, x, axes=((0,), (0,))),
    "vecdot": lambda xp, x: xp.linalg.vecdot(x, x[..., :1, :], axis=-1),
    "svdvals": lambda xp, x: xp.linalg.svdvals(x),
    "svd": lambda xp, x: xp.linalg.svd(x),
    "svd thin": lambda xp, x: xp.linalg.svd(x, full_matrices=False),
    "qr": lambda xp, x: xp.linalg.qr(x),
    "qr complete": lambda xp, x: xp.linalg.qr(x, mode="complete"),
    "vector_norm": lambda xp, x: xp.linalg.vector_norm(x),
    "vector_norm axis": lambda xp, x: xp.linalg.vector_norm(x, axis=-1, keepdims=True, ord=3),
    "vector_norm inf": lambda xp, x: xp.linalg.vector_norm(x, axis=(-1, -2), ord=xp.inf),
    "vector_norm -2.5": lambda xp, x: xp.linalg.vector_norm(x, axis=-2, ord=-2.5),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "shape", "dtype"), covering(SAME, SHAPES, ["float32", "float64"], parts=3)
)
def test_values_are_those_of_numpy(name, shape, dtype):
    x = normal(*shape).astype(dtype)
    given, expected = SAME[name](engine, engine.asarray(x)), SAME[name](np, x)
    if not isinstance(expected, tuple):
        given, expected = [given], [expected]
    for one, other in zip(given, expected, strict=True):
        close(one, other, ROUNDING[dtype])


ORDERS = ["fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf]


@pytest.mark.parametrize(
    ("shape", "ord", "keepdims", "dtype"),
    covering(SHAPES, ORDERS, [False, True], ["float32", "float64"], parts=3),
)
def test_matrix_norms_are_those_of_numpy(shape, ord, keepdims, dtype):
    x = normal(*shape).astype(dtype)
    expected = np.linalg.matrix_norm(x, ord=ord, keepdims=keepdims)
    close(linalg.matrix_norm(x, ord=ord, keepdims=keepdims), expected, ROUNDING[dtype])
    if ord == "fro":
        close(linalg.matrix_norm(x, keepdims=keepdims), expected, ROUNDING[dtype])


@BOTH
@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 3), (2, 1, 2, 2), (0, 2, 2), (1, 1)])
def test_values_of_square_matrices_are_those_of_numpy(shape, dtype):
    x, tolerance = positive(*shape).astype(dtype), ROUNDING[dtype]
    for name in ("cholesky", "eigvalsh", "inv", "det", "slogdet", "pinv"):
        given, expected = getattr(linalg, name)(x), getattr(np.linalg, name)(x)
        if name == "slogdet":
            close(given.sign, expected.sign, tolerance)
            given, expected = given.logabsdet, expected.logabsdet
        close(given, expected, tolerance)
    found, expected = linalg.eigh(x), np.linalg.eigh(x)
    close(found.eigenvalues, expected.eigenvalues, tolerance)
    close(found.eigenvectors, expected.eigenvectors, tolerance)
    close(linalg.cholesky(x, upper=True), np.linalg.cholesky(x, upper=True), tolerance)
    for n in (0, 1, 2, 3, 7, -1, -3):
        close(linalg.matrix_power(x, n), np.linalg.matrix_power(x, n), 20 * tolerance)


def test_symmetric_matrices_are_read_as_their_symmetric_part():
    x = positive(3, 3) + np.triu(normal(3, 3, salt=1), 1)
    even = (x + x.T) / 2
    close(linalg.cholesky(x), np.linalg.cholesky(even), 0)
    close(linalg.eigvalsh(x), np.linalg.eigvalsh(even), 0)
    close(linalg.eigh(x).eigenvectors, np.linalg.eigh(even)[1], 0)
    huge = np.array([[1.5e308, 0.0], [0.0, 1.0]])
    assert np.isfinite(linalg.cholesky(huge).numpy()).all()


@BOTH
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3, 3), (3,)), ((3, 3), (3, 2)), ((2, 3, 3), (3,)), ((2, 3, 3), (3, 2)),
        ((3, 3), (2, 3, 1)), ((2, 1, 3, 3), (4, 3, 2)), ((3, 3), (3, 3)), ((2, 2, 2), (2, 2)),
        ((0, 2, 2), (2,)), ((0, 0), (0, 2)),
    ],
)  # fmt: skip
def test_solutions_are_those_of_numpy(left, right, dtype):
    a, b = positive(*left).astype(dtype), normal(*right).astype(dtype)
    close(linalg.solve(engine.asarray(a), b), np.linalg.solve(a, b), ROUNDING[dtype])


def test_solve_promotes_and_takes_lists():
    a, b = engine.asarray([[2.0, 0.0], [0.0, 4.0]], requires_grad=True), leaf([1.0, 1.0])
    out = linalg.solve(a, b)
    close(out, np.array([0.5, 0.25]), 0)
    ga, gb = engine.gradients(engine.sum(out), [a, b])
    assert (ga.dtype, gb.dtype) == ("float32", "float64")
    close(linalg.solve(a, [1.0, 1.0]), np.array([0.5, 0.25], "float32"), 0)


RANKS = [np.eye(3), np.ones((3, 3)), np.zeros((2, 3)), np.diag([1.0, 1e-3, 1e-14]),
         np.stack([np.eye(2), np.ones((2, 2))]), np.zeros((0, 3)), np.zeros((2, 3, 0))]  # fmt: skip


@pytest.mark.parametrize("x", RANKS, ids=lambda x: str(x.shape))
def test_ranks_and_pseudo_inverses_of_what_is_not_of_full_rank(x):
    if x.size:
        close(linalg.matrix_rank(x), np.linalg.matrix_rank(x), 0)
        close(linalg.matrix_rank(x, rtol=1e-2), np.linalg.matrix_rank(x, rtol=1e-2), 0)
    else:
        close(linalg.matrix_rank(x), np.zeros(x.shape[:-2], int), 0)
    for rtol in (None, 1e-2, 0):
        if rtol != 0 or x.shape == (2, 3):
            close(linalg.pinv(x, rtol=rtol), np.linalg.pinv(x, rtol=rtol), 1e-13)


def test_a_tolerance_may_be_one_for_each_matrix():
    x = np.stack([np.diag([1.0, 0.1])] * 2).astype("float32")
    limits = np.array([0.5, 0.01])
    assert linalg.matrix_rank(x, rtol=limits).numpy().tolist() == [1, 2]
    close(linalg.pinv(x, rtol=limits), np.linalg.pinv(x, rtol=limits).astype("float32"), 1e-6)
    assert linalg.matrix_rank(x, rtol=engine.asarray(0.5)).numpy().tolist() == [1, 1]


def test_empty_matrices_have_the_results_of_nothing():
    x = np.zeros((0, 0))
    assert linalg.det(x).item() == 1.0
    assert linalg.inv(x).shape == linalg.cholesky(x).shape == (0, 0)
    assert [part.shape for part in linalg.eigh(x)] == [(0,), (0, 0)]
    for rows, columns in [(0, 2), (2, 0)]:
        wide = np.zeros((rows, columns))
        assert [p.shape for p in linalg.svd(wide)] == [(rows, rows), (0,), (columns, columns)]
        assert linalg.pinv(wide).shape == (columns, rows)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool", "float16"])
def test_what_only_moves_and_multiplies_takes_every_dtype(dtype):
    x = (normal(2, 3, 3) > 0).astype(dtype)
    for name in ("diagonal", "matrix_transpose"):
        close(getattr(linalg, name)(x), getattr(np.linalg, name)(x), 0)
    assert linalg.trace(x).numpy().tolist() == np.trace(x, axis1=-2, axis2=-1).tolist()
    assert linalg.trace(x, dtype="float64").dtype == "float64"


def test_cross_takes_axes_from_both_ends_and_broadcasts():
    a, b = normal(3, 2, 3), normal(3, 2, 3, salt=1)
    for axis in (0, 2, -1, -3):
        close(linalg.cross(a, b, axis=axis), np.cross(a, b, axis=axis), 1e-15)
    close(linalg.cross(a, b[0, 0]), np.cross(a, b[0, 0]), 1e-15)
    whole = np.arange(6).reshape(2, 3)
    close(linalg.cross(whole, whole[::-1]), np.cross(whole, whole[::-1]), 0)


# ---- derivatives

SMOOTH: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "eigh values": (lambda x: linalg.eigh(x)[0], (positive(3, 3),)),
    "eigh vectors": (lambda x: linalg.eigh(x)[1], (positive(2, 3, 3),)),
    "eigh both": (lambda x: linalg.eigh(x)[1] @ engine.sin(linalg.eigh(x)[0]), (positive(3, 3),)),
    "svd square": (lambda x: joined(linalg.svd(x)), (normal(3, 3),)),
    "svd thin": (lambda x: joined(linalg.svd(x, full_matrices=False)), (normal(2, 4, 2),)),
    "svd wide": (lambda x: joined(linalg.svd(x, full_matrices=False)), (normal(2, 4),)),
    "svd one more row": (lambda x: joined(linalg.svd(x)), (normal(3, 2),)),
    "svd one more column": (lambda x: joined(linalg.svd(x)), (normal(2, 3),)),
    "svd values": (lambda x: linalg.svd(x).S, (normal(2, 2, 3),)),
    "svd no rows": (lambda x: linalg.svd(x).S, (normal(0, 2, 3),)),
    "svd of rank 2": (lambda x: linalg.svd(x).S[:2], (np.diag([2.0, 1.0, 0.0]),)),
    "qr square": (lambda x: joined(linalg.qr(x)), (normal(2, 3, 3),)),
    "qr tall": (lambda x: joined(linalg.qr(x)), (normal(4, 2),)),
    "qr wide": (lambda x: joined(linalg.qr(x)), (normal(2, 2, 4),)),
    "qr one more row": (lambda x: joined(linalg.qr(x, mode="complete")), (normal(3, 2),)),
    "qr wide complete": (lambda x: joined(linalg.qr(x, mode="complete")), (normal(2, 4),)),
    "cholesky upper": (lambda x: linalg.cholesky(x, upper=True), (positive(3, 3),)),
    "slogdet": (lambda x: linalg.slogdet(x)[1] + 2 * linalg.slogdet(x)[0], (normal(2, 3, 3),)),
    "solve vector": (linalg.solve, (positive(2, 3, 3), normal(3))),
    "solve batch": (linalg.solve, (positive(2, 2), normal(3, 2, 1))),
    "power 5": (lambda x: linalg.matrix_power(x, 5), (normal(2, 2, 2) / 2,)),
    "power 1": (lambda x: linalg.matrix_power(x, 1), (normal(2, 2),)),
    "power 0": (lambda x: linalg.matrix_power(x, 0), (normal(2, 2),)),
    "power -2": (lambda x: linalg.matrix_power(x, -2), (positive(2, 2),)),
    "cross": (lambda x, y: linalg.cross(x, y, axis=-2), (normal(2, 3, 2), normal(3, 1))),
    "trace": (lambda x: linalg.trace(x @ x, offset=1), (normal(2, 3, 3),)),
    "vector_norm": (lambda x: linalg.vector_norm(x, axis=0, ord=3), (normal(3, 2),)),
    **{f"matrix_norm {ord}": (lambda x, ord=ord: linalg.matrix_norm(x, ord=ord), (normal(2, 3, 2),))
       for ord in ORDERS},
    "what spans the rest": (lambda x: rest(linalg.svd(x).U), (normal(4, 2),)),
    "what spans the rest of a row": (lambda x: rest(linalg.svd(x).Vh.mT), (normal(2, 4),)),
    "what Q leaves": (lambda x: rest(linalg.qr(x, mode="complete").Q), (normal(4, 2),)),
    "rank 2 of 3": (lambda x, y: linalg.pinv(x @ y), (normal(3, 2), normal(2, 3))),
}  # fmt: skip


def joined(parts: Any) -> engine.Tensor:
    """Return all elements of several tensors in a row."""
    return engine.concat([part.reshape((-1,)) for part in parts])


def rest(q: engine.Tensor) -> engine.Tensor:
    """Return the projector on the last two columns, however their basis was chosen."""
    return q[..., 2:] @ q[..., 2:].mT


# The other shapes of a decomposition, and the other orders of a norm.
REST = {
    "eigh values", "svd square", "svd one more row", "svd wide", "svd values", "qr square",
    "qr tall", "qr wide complete", "solve vector", "power 0", "power 1",
    "what spans the rest of a row", "matrix_norm 1", "matrix_norm -1", "matrix_norm -2",
    "matrix_norm -inf",
}  # fmt: skip
SMOOTH_FIRST = sorted(SMOOTH, key=lambda name: name in REST)


@pytest.mark.parametrize("name", first(len(SMOOTH) - len(REST), SMOOTH_FIRST))
def test_first_and_second_derivatives_agree_with_differences(name):
    f, xs = SMOOTH[name]
    assert engine.gradcheck(f, xs, order=2)


THIRD = ["svd wide", "qr tall", "solve vector", "cholesky upper", "eigh both", "svd thin",
         "qr wide"]  # fmt: skip


@pytest.mark.parametrize("name", first(3, THIRD))
def test_third_derivatives_agree_with_differences(name):
    f, xs = SMOOTH[name]

    def slope(*inputs: Any) -> engine.Tensor:
        def total(x: Any) -> engine.Tensor:
            out = f(x, *inputs[1:])
            return engine.sum(engine.sin(out) * np.linspace(0.5, 1.5, out.size).reshape(out.shape))

        return engine.grad(total)(inputs[0])

    assert engine.gradcheck(slope, xs, order=2)


def test_the_check_of_derivatives_can_fail():
    def wrong(x: Any) -> engine.Tensor:
        return joined(linalg.qr(x).R.detach() @ x[..., None, :, :])

    with pytest.raises(engine.GradientError):
        engine.gradcheck(wrong, [normal(2, 2)])


def test_the_zeroth_power_is_on_the_graph():
    assert of(lambda x: linalg.matrix_power(x, 0), normal(2, 2)).numpy().tolist() == [[0, 0]] * 2


def test_gradients_of_symmetric_matrices_are_symmetric():
    x = leaf(positive(3, 3))
    for out in (linalg.cholesky(x), linalg.eigvalsh(x), *linalg.eigh(x)):
        (g,) = engine.gradients(engine.sum(out * normal(*out.shape)), [x])
        np.testing.assert_allclose(g.numpy(), g.numpy().T, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: linalg.eigh(x)[1] ** 2,
        lambda x: joined(linalg.svd(x)) ** 2,
        lambda x: linalg.qr(x)[1],
        lambda x: linalg.qr(x, mode="complete")[0],
    ],
)
def test_single_precision_gradients_are_the_double_ones_rounded(f):
    grads = []
    for dtype in ("float32", "float64"):
        x = engine.asarray(positive(3, 3).astype(dtype), requires_grad=True)
        plain = engine.gradients(engine.sum(f(x)), [x])[0]
        recorded = engine.gradients(engine.sum(f(x)), [x], create_graph=True)[0]
        assert plain.dtype == recorded.dtype == dtype
        np.testing.assert_array_equal(plain.numpy(), recorded.numpy())
        grads.append(plain.numpy())
    np.testing.assert_allclose(*grads, rtol=1e-4, atol=1e-5)


TORCH: dict[str, tuple[Callable[[Any, Any], Any], np.ndarray]] = {
    "cholesky": (lambda la, x: la.cholesky(x @ x.mT), normal(2, 3, 3)),
    "eigh": (lambda la, x: la.eigh(x @ x.mT)[1] ** 2 @ la.eigh(x @ x.mT)[0][..., None],
             normal(2, 3, 3)),
    "eigvalsh": (lambda la, x: la.eigvalsh(x), positive(3, 3)),
    "eigh of a symmetric leaf": (lambda la, x: la.eigh(x)[1] ** 2, positive(3, 3)),
    "inv": (lambda la, x: la.inv(x), normal(2, 3, 3)),
    "pinv": (lambda la, x: la.pinv(x), normal(2, 4, 3)),
    "det": (lambda la, x: la.det(x), normal(2, 3, 3)),
    "slogdet": (lambda la, x: la.slogdet(x)[1], normal(2, 3, 3)),
    "solve": (lambda la, x: la.solve(x[..., :3], x[..., 3:]), normal(2, 3, 5)),
    "svdvals": (lambda la, x: la.svdvals(x), normal(2, 3, 4)),
    "svd": (lambda la, x: la.svd(x, full_matrices=False)[0] ** 2, normal(4, 3)),
    "svd right": (lambda la, x: la.svd(x, full_matrices=False)[2] ** 2, normal(4, 3)),
    "qr": (lambda la, x: la.qr(x)[0] @ (la.qr(x)[1] ** 2), normal(2, 4, 3)),
    "qr wide": (lambda la, x: la.qr(x)[0] @ (la.qr(x)[1] ** 2), normal(3, 4)),
    "matrix_power": (lambda la, x: la.matrix_power(x, -3), normal(2, 3, 3)),
    "nuc": (lambda la, x: la.matrix_norm(x, ord="nuc"), normal(2, 3, 4)),
    "det of rank 2": (lambda la, x: la.det(x[:, :2] @ x[:2]), normal(3, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", TORCH)
def test_gradients_are_those_of_torch(name):
    torch = pytest.importorskip("torch")
    f, values = TORCH[name]
    theirs = torch.tensor(values, requires_grad=True)
    ours = leaf(values)
    out = f(torch.linalg, theirs)
    weights = normal(*out.shape, salt=9)
    (expected,) = torch.autograd.grad(
        (out * torch.tensor(weights)).sum(), theirs, create_graph=True
    )
    (second,) = torch.autograd.grad((expected**2).sum(), theirs)
    (g,) = engine.gradients(engine.sum(f(linalg, ours) * weights), [ours], create_graph=True)
    close(g, expected.detach().numpy(), 1e-9)
    if name != "det of rank 2":
        close(engine.gradients(engine.sum(g**2), [ours])[0], second.numpy(), 1e-7)


# ---- singular matrices, equal values


def of(f: Callable[..., Any], x: Any, create_graph: bool = False) -> Any:
    """Return the gradient of the sum of f at x, recorded or not."""
    x = x if isinstance(x, engine.Tensor) else leaf(x)
    return engine.gradients(engine.sum(f(x)), [x], create_graph=create_graph)[0]


SINGULAR = [
    np.array([[1.0, 2.0], [2.0, 4.0]]),
    np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0], [4.0, 5.0, 6.0]]),
    np.diag([1.0, 0.0, 0.0]),
    np.zeros((1, 1)),
    np.zeros((3, 3)),
    np.stack([np.eye(2), np.ones((2, 2)), -np.eye(2)]),
]


@pytest.mark.parametrize("x", SINGULAR, ids=lambda x: str(x.shape))
def test_determinants_of_singular_matrices_have_their_derivative(x):
    assert engine.gradcheck(linalg.det, [x])
    for create_graph in (False, True):
        assert np.isfinite(of(linalg.det, x, create_graph).numpy()).all()


@pytest.mark.parametrize("rank", range(5))
@pytest.mark.parametrize("exact", [True, False])
def test_singular_determinants_have_their_second_derivative(rank, exact):
    if exact:
        x = np.diag([2.0, -3.0, 0.5, 4.0][:rank] + [0.0] * (4 - rank))
    else:  # singular but for rounding, so that an inverse exists and is noise
        x = normal(4, rank, salt=1) @ normal(rank, 4, salt=2)
    along = normal(4, 4, salt=3)
    (found,) = engine.hessian_vector_product(linalg.det, (x,), (along,))
    # Of a polynomial of degree 3 along a line: exact by four values.
    slopes = [cofactors_by_minors(x + step * along) for step in (-2, -1, 1, 2)]
    expected = (slopes[0] - 8 * slopes[1] + 8 * slopes[2] - slopes[3]) / 12
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-11)


def test_the_third_derivative_of_a_determinant_is_right_or_nan():
    def third(x):
        first = engine.grad(lambda x: engine.sum(of(linalg.det, x, True) * normal(3, 3, salt=1)))
        return engine.grad(lambda x: engine.sum(first(x) * normal(3, 3, salt=2)))(x).numpy()

    fixed = third(normal(3, 3))
    np.testing.assert_allclose(third(normal(3, 3, salt=5)), fixed, rtol=1e-9)  # degree 3: constant
    for singular in (np.ones((3, 3)), np.zeros((3, 3)), np.arange(9.0).reshape(3, 3)):
        assert np.isnan(third(singular)).all()


def cofactors_by_minors(x: np.ndarray) -> np.ndarray:
    out = np.empty_like(x)
    for i, j in np.ndindex(*x.shape):
        rest = np.delete(np.delete(x, i, 0), j, 1)
        out[i, j] = (-1) ** (i + j) * np.linalg.det(rest)
    return out


def test_what_is_not_finite_has_no_cofactors_and_no_exception():
    x = leaf([[0.0, np.inf], [0.0, 1.0]])
    with np.errstate(all="ignore"):
        assert of(linalg.det, x).shape == (2, 2)
        assert np.isnan(of(linalg.det, [[np.nan, 1.0], [0.0, 1.0]]).numpy()).any()
        assert np.isnan(of(linalg.det, [[np.nan, 0.0], [0.0, 0.0]]).numpy()).any()


def test_the_logarithm_of_a_singular_determinant():
    x = leaf([[[2.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]]])
    found = linalg.slogdet(x)
    assert found.sign.numpy().tolist() == [1.0, 0.0]
    assert found.logabsdet.numpy()[1] == -np.inf
    for create_graph in (False, True):
        g = of(lambda x: linalg.slogdet(x)[1], x, create_graph).numpy()
        assert g[0].tolist() == [[0.5, 0.0], [0.0, 1.0]]
        assert np.isnan(g[1]).all()


EQUAL = {
    "exactly": np.eye(3),
    "to rounding": np.array([[2.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 2.0]]),
    "two zeros": np.outer([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]),
}
VECTORS: dict[str, Callable[[Any], Any]] = {
    "vectors": lambda x: linalg.eigh(x)[1] * normal(3, 3),
    "squares of vectors": lambda x: linalg.eigh(x)[1] ** 2,
    "their sum": lambda x: linalg.eigh(x)[1],
    "A A by its vectors": lambda x: by_vectors(x) * normal(3, 3),
    "left vectors": lambda x: linalg.svd(x).U * normal(3, 3),
    "squares of left vectors": lambda x: linalg.svd(x).U ** 2,
    "right vectors": lambda x: linalg.svd(x).Vh * normal(3, 3),
}


def by_vectors(x: Any) -> Any:
    values, vectors = linalg.eigh(x)
    return (vectors * values**2) @ vectors.mT


@pytest.mark.parametrize("equal", EQUAL)
@pytest.mark.parametrize("name", VECTORS)
def test_equal_values_have_no_vectors_to_differentiate(name, equal):
    for create_graph in (False, True):
        g = of(VECTORS[name], EQUAL[equal], create_graph).numpy()
        assert np.isnan(g).all(), "a finite number would be noise, or right by luck"


def test_a_function_of_a_matrix_by_its_vectors_is_right_where_values_differ():
    x = np.diag([1.0, 2.0, 3.0]) + 0.1 * (normal(3, 3) + normal(3, 3).T)
    found = of(VECTORS["A A by its vectors"], x).numpy()
    expected = of(lambda x: x @ x * normal(3, 3), x).numpy()
    np.testing.assert_allclose(found, (expected + expected.T) / 2, rtol=1e-12)


@pytest.mark.parametrize(
    "pick", [lambda values: values[0], lambda values: values * engine.asarray([1.0, 2.0, 3.0])]
)
def test_equal_values_are_distinguished_by_nothing(pick):
    for f in (linalg.eigvalsh, lambda x: linalg.eigh(x)[0], linalg.svdvals):
        for create_graph in (False, True):
            assert np.isnan(of(lambda x, f=f: pick(f(x)), np.eye(3), create_graph).numpy()).all()


@pytest.mark.parametrize("name", ["vectors", "left vectors", "right vectors"])
def test_along_a_direction_equal_values_have_no_derivative_either(name):
    _, tangent = engine.jvp(VECTORS[name], (np.eye(3),), (normal(3, 3),))
    assert np.isnan(tangent.numpy()).any()
    for f in (linalg.eigvalsh, linalg.svdvals):
        _, tangent = engine.jvp(f, (np.eye(3),), (normal(3, 3),))
        assert np.isnan(tangent.numpy()).all()
        along = engine.jvp(f, (np.diag([1.0, 2.0, 3.0]),), (np.diag([1.0, 10.0, 100.0]),))[1]
        assert sorted(along.numpy().tolist()) == [1, 10, 100]


@pytest.mark.parametrize("function", ["svd", "pinv"])
@pytest.mark.parametrize("wrong", [np.inf, np.nan])
def test_singular_values_of_what_is_not_finite_are_refused(function, wrong):
    x = normal(3, 3)
    x[0, 0] = wrong  # LAPACK never returns from some of these
    with pytest.raises(linalg.LinAlgError, match="needs finite numbers"):
        getattr(linalg, function)(x)


def test_the_largest_of_equal_values_shares_its_gradient():
    for f in (linalg.eigvalsh, linalg.svdvals):
        found = of(lambda x, f=f: engine.max(f(x)), np.eye(3)).numpy()
        np.testing.assert_allclose(found, np.eye(3) / 3, atol=1e-15)
    found = of(lambda x: linalg.matrix_norm(x, ord=2), 2 * np.eye(2)).numpy()
    np.testing.assert_allclose(found, np.eye(2) / 2, atol=1e-15)


def test_a_singular_value_of_0_has_a_derivative_along_its_vectors():
    def again(x):
        u, s, vh = linalg.svd(x, full_matrices=False)
        return (u * s) @ vh * normal(3, 3)

    for x in (
        np.diag([2.0, 1.0, 0.0]),
        np.outer([1.0, 2.0, 3.0], [1.0, 0.0, 1.0]) + np.eye(3, k=1),
    ):
        for create_graph in (False, True):
            np.testing.assert_allclose(of(again, x, create_graph).numpy(), normal(3, 3), atol=1e-13)
    x = np.diag([2.0, 1.0, 0.0])
    for i, along in enumerate(np.eye(9).reshape(9, 3, 3)):
        (found,) = engine.hessian_vector_product(
            lambda x: engine.sum(linalg.svdvals(x) ** 2), (x,), (along,)
        )
        np.testing.assert_allclose(found.numpy(), 2 * along, atol=1e-13, err_msg=str(i))


ONE_VALUE: dict[str, Callable[[Any], Any]] = {
    "x by its eigenvectors": lambda x: (lambda w, v: (v * w) @ engine.matrix_transpose(v))(
        *linalg.eigh(x)
    ),
    "log by eigenvectors": lambda x: (
        lambda w, v: (v * engine.log(1 + w)) @ engine.matrix_transpose(v)
    )(*linalg.eigh(x)),
    "x by singular vectors": lambda x: (lambda u, s, vh: (u * s) @ vh)(*linalg.svd(x)),
}


@pytest.mark.parametrize("name", ONE_VALUE)
def test_vectors_are_used_though_their_gradient_is_0(name):
    for create_graph in (False, True):
        g = of(lambda x: ONE_VALUE[name](x) * normal(3, 3), np.zeros((3, 3)), create_graph)
        assert np.isnan(g.numpy()).all(), "at 0 the values take the gradient of the vectors away"


def test_equal_values_have_a_derivative_where_nothing_depends_on_their_vectors():
    x = np.diag([2.0, 2.0, 3.0])
    once = [
        lambda x: linalg.eigvalsh(x) ** 2, lambda x: linalg.eigh(x)[0] ** 2,
        lambda x: linalg.svdvals(x) ** 2, lambda x: linalg.svd(x).S ** 2,
    ]  # fmt: skip
    for f in once:  # the sum of squares of all elements
        for create_graph in (False, True):
            np.testing.assert_allclose(of(f, x, create_graph).numpy(), 2 * x, atol=1e-14)
    for f in once:
        one = leaf(x)
        (second,) = engine.gradients(engine.sum(of(f, one, True) ** 3), [one])
        assert np.isnan(second.numpy()).all()


def test_singular_values_of_zero_have_no_vectors_to_differentiate():
    x = np.zeros((3, 2))
    assert of(linalg.svdvals, x).shape == (3, 2)
    assert not np.isfinite(of(lambda x: linalg.svd(x).U * normal(3, 3), x).numpy()).all()


def test_dependent_columns_have_no_q_to_differentiate():
    x = leaf(np.stack([np.eye(2), np.array([[0.0, 1.0], [0.0, 1.0]])]))
    for create_graph in (False, True):
        g = of(lambda x: linalg.qr(x).Q * normal(2, 2), x, create_graph).numpy()
        assert np.isfinite(g[0]).all()
        assert np.isnan(g[1]).any()


def test_the_norm_of_nothing_is_a_point_of_least_length():
    for f in (linalg.vector_norm, linalg.matrix_norm):
        assert of(f, np.zeros((2, 2))).numpy().tolist() == [[0.0, 0.0], [0.0, 0.0]]


# ---- errors

SQUARE = ["cholesky", "det", "eigh", "eigvalsh", "inv", "slogdet"]
ANY = ["matrix_norm", "matrix_rank", "pinv", "qr", "svd", "svdvals"]
ONE = {
    **{name: getattr(linalg, name) for name in SQUARE + ANY},
    "matrix_power": lambda x: linalg.matrix_power(x, 2),
    "solve": lambda x: linalg.solve(x, engine.ones((3, 1))),
}


@pytest.mark.parametrize("name", ONE)
def test_other_dtypes_are_refused(name):
    for dtype in ("int64", "bool", "float16"):
        x = engine.ones((3, 3), dtype=dtype)
        told = rf"needs float32 or float64, got {dtype}; convert it with engine.astype$"
        with pytest.raises(TypeError, match=rf"^{name}: \(3, 3\).*{told}"):
            ONE[name](x)


@pytest.mark.parametrize("name", ONE)
def test_what_is_no_matrix_is_refused(name):
    for shape in [(), (3,)]:
        with pytest.raises(
            np.linalg.LinAlgError, match=rf"^{name}: .*needs matrices \(\.\.\., M, "
        ):
            ONE[name](engine.ones(shape))


@pytest.mark.parametrize("name", [*SQUARE, "matrix_power", "solve"])
def test_matrices_that_are_not_square_are_refused(name):
    with pytest.raises(
        np.linalg.LinAlgError,
        match=rf"^{name}: \(2, 3, 4\).*needs square matrices \(\.\.\., M, M\), got 3 rows and 4 "
        "columns; pinv, qr and svd take any shape$",
    ):
        ONE[name](engine.ones((2, 3, 4)))


ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: linalg.inv(engine.zeros((2, 2))), np.linalg.LinAlgError,
     r"^inv: \(2, 2\): the matrix is singular; pinv has a value for every matrix$"),
    (lambda: linalg.inv(np.stack([np.eye(2), np.ones((2, 2))])), np.linalg.LinAlgError,
     r"^inv: \(2, 2, 2\): matrix 1 of the batch is singular"),
    (lambda: linalg.inv(np.stack([np.eye(2), np.zeros((2, 2)), np.ones((2, 2))])),
     np.linalg.LinAlgError, "matrix 1 of the batch"),
    (lambda: linalg.solve(np.ones((2, 2)), np.ones(2)), np.linalg.LinAlgError,
     r"^solve: \(2, 2\), \(2, 1\): the matrix is singular"),
    (lambda: linalg.matrix_power(np.ones((2, 2)), -2), np.linalg.LinAlgError, "inv.* is singular"),
    (lambda: linalg.matrix_power(np.ones((2, 2)), 1.5), TypeError,
     r"^matrix_power: \(2, 2\), 1\.5: .*float.* as an integer$"),
    (lambda: linalg.cholesky(-np.eye(2)), np.linalg.LinAlgError,
     r"^cholesky: \(2, 2\): a matrix is not positive definite; add a small multiple"),
    (lambda: linalg.solve(np.eye(3), np.ones((2, 1))), ValueError,
     r"^solve: \(3, 3\), \(2, 1\): 3 equations for 2 rows on the right-hand side$"),
    (lambda: linalg.solve(np.ones((2, 3, 3)), np.ones((4, 3, 1))), ValueError, "broadcast"),
    (lambda: linalg.solve(np.eye(3), 2.0), np.linalg.LinAlgError, "needs matrices"),
    (lambda: linalg.solve(np.eye(3), [1, 2, 3]), TypeError, "needs float32 or float64, got int64"),
    (lambda: linalg.qr(np.eye(2), mode="raw"), ValueError,
     "^qr: mode must be 'reduced' or 'complete', got 'raw'$"),
    (lambda: linalg.matrix_norm(np.eye(2), ord=3), ValueError, "^matrix_norm: ord must .*got 3$"),
    (lambda: linalg.matrix_norm(np.eye(2), ord=True), ValueError, "got True$"),
    (lambda: linalg.matrix_norm(np.eye(2), ord="max"), ValueError, "got 'max'$"),
    (lambda: linalg.vector_norm([1, 2]), TypeError, r"^vector_norm: \(2,\): needs floats, got int"),
    (lambda: linalg.vector_norm(np.ones(2), axis=1), IndexError, "^vector_norm: .*axis 1 is out"),
    (lambda: linalg.vector_norm(np.ones(2), ord="fro"), ValueError, "ord must be a number"),
    (lambda: linalg.cross(np.ones(2), np.ones(3)), ValueError,
     r"^cross: \(2,\), \(3,\): axis -1 must be of size 3 in both$"),
    (lambda: linalg.cross(np.ones(3), np.ones(3), axis=1), IndexError, "axis 1 is not there in"),
    (lambda: linalg.cross(np.ones((3, 3)), np.ones(3), axis=0), IndexError, "axis 0 is not there"),
    (lambda: linalg.cross(np.ones(3), 1.0), IndexError, r"cross: \(3,\), \(\): axis -1 is not"),
    (lambda: linalg.diagonal(np.ones(3)), ValueError, r"diagonal: needs two dimensions, got"),
    (lambda: linalg.trace(np.ones(3)), ValueError, r"needs two dimensions, got \(3,\)"),
]  # fmt: skip


@pytest.mark.parametrize(("mistake", "kind", "told"), ERRORS, ids=[told for *_, told in ERRORS])
def test_errors_say_what_is_wrong(mistake, kind, told):
    with pytest.raises(kind, match=told) as caught:
        mistake()
    assert "\n" not in str(caught.value)


def test_errors_name_the_scope():
    with (
        engine.scope("filter", t=3),
        pytest.raises(np.linalg.LinAlgError, match=r"^inv at filter/t=3: \(2, 2\): the matrix"),
    ):
        linalg.inv(np.zeros((2, 2)))


def silent(**functions: Any) -> Any:
    """Return NumPy as a namespace with linear algebra that does not raise for singular matrices."""
    linear = SimpleNamespace(det=np.linalg.det, **functions)
    return Namespace("silent", np, linalg=linear)


def test_singular_matrices_are_found_where_the_device_says_nothing():
    singular, regular = np.stack([np.eye(2), np.ones((2, 2))]), np.eye(2)
    wrong = silent(
        inv=lambda x: np.full_like(x, np.inf), solve=lambda a, b: np.full_like(b, np.nan)
    )
    with pytest.raises(np.linalg.LinAlgError, match="matrix 1 of the batch is singular"):
        inv.op.forward(wrong, singular)
    with pytest.raises(np.linalg.LinAlgError, match="the matrix is singular"):
        solve_.op.forward(wrong, singular[1], regular)
    assert np.isinf(inv.op.forward(wrong, regular)).all()  # an overflow is no singular matrix
    assert np.isnan(solve_.op.forward(wrong, singular, singular, strict=False)).all()
    right = silent(inv=np.linalg.inv, cholesky=np.linalg.cholesky)
    assert (inv.op.forward(right, regular) == regular).all()
    assert (cholesky_.op.forward(right, regular) == regular).all()
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        cholesky_.op.forward(silent(cholesky=lambda x: x), -regular)


# ---- on the graph


def test_a_decomposition_is_one_node():
    x = normal_leaf(3, 3)
    for name, parts in (("eigh", linalg.eigh(x)), ("svd", linalg.svd(x)), ("qr", linalg.qr(x))):
        ops = [node.op.name for node in engine.Graph.of(*parts).nodes]
        assert ops.count(name) == 1
        marked = {"vectors"} if name != "qr" else set()
        assert set(ops) == {"leaf", name, "getitem", "reshape"} | marked


def test_a_dropped_result_frees_its_graph_at_once():
    gc.disable()
    try:
        x = leaf(positive(3, 3))
        out = engine.sum(linalg.eigh(x)[1]) + engine.sum(linalg.svd(x).U) + linalg.det(x)
        (g,) = engine.gradients(out, [x], create_graph=True)
        watched = [weakref.ref(out), weakref.ref(g)]
        del out, g
        assert [ref() for ref in watched] == [None, None]
    finally:
        gc.enable()


def step(state: Any, x: Any) -> tuple[Any, Any]:
    """Take one step of a Kalman filter, with functions that refuse zeros."""
    gain = state @ linalg.inv(state + x @ x.mT + engine.eye(2, dtype=state.dtype))
    new = state - gain @ state + engine.eye(2, dtype=state.dtype)
    lower = linalg.cholesky(0.5 * (new + new.mT))
    return new, linalg.solve(new, lower) * linalg.eigvalsh(new)


def test_recurrences_run_the_same_in_both_ways():
    results = []
    for unroll in (True, None):
        p, xs = leaf(np.eye(2)), leaf(normal(4, 2, 2))
        final, ys = engine.scan(step, p, xs, unroll=unroll)
        grads = engine.gradients(engine.sum(final) + engine.sum(ys**2), [p, xs])
        results.append([final, ys, *grads])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12)


def test_transforms_go_through(device):
    x = engine.asarray(positive(3, 3), device=device)
    v = engine.asarray(normal(3, 3), device=device)
    _, tangent = engine.jvp(linalg.det, (x,), (v,))
    expected = linalg.det(x) * linalg.trace(linalg.inv(x) @ v)
    np.testing.assert_allclose(tangent.numpy(), expected.numpy(), rtol=1e-12)
    assert engine.jacobian(linalg.inv)(x).shape == (3, 3, 3, 3)


def test_decompositions_give_their_matrix_back(device):
    x = engine.asarray(normal(2, 4, 3), device=device, requires_grad=True)
    square = x.mT @ x
    w, v = linalg.eigh(square)
    u, s, vh = linalg.svd(x, full_matrices=False)
    q, r = linalg.qr(x)
    lower = linalg.cholesky(square)
    pairs = [((v * w[..., None, :]) @ v.mT, square), ((u * s[..., None, :]) @ vh, x), (q @ r, x),
             (lower @ lower.mT, square), (square @ linalg.solve(square, x.mT), x.mT),
             (x @ linalg.pinv(x) @ x, x)]  # fmt: skip
    for made, like in pairs:
        weights = engine.asarray(normal(*like.shape), device=device)
        np.testing.assert_allclose(made.numpy(), like.numpy(), atol=1e-12)
        one, other = (engine.gradients(engine.sum(y * weights), [x])[0] for y in (made, like))
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-10)


def test_cofactors_of_a_mixed_batch_are_the_same_alone():
    x = np.stack([np.diag([1.0, 0.0, 0.0]), normal(3, 3), np.diag([2.0, 3.0, 0.0])])
    rule = cofactors.op.forward  # type: ignore[attr-defined]
    for one, alone in zip(rule(engine.backends.HOST.xp, x), x, strict=True):
        np.testing.assert_allclose(one, rule(engine.backends.HOST.xp, alone), atol=1e-14)
    assert rule(engine.backends.HOST.xp, x)[2].tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 6.0]]


# ---- the exponential, and equations with the unknown on the left

ROTATION = np.array([[0.0, -1.0], [1.0, 0.0]])
EXPONENTIALS: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "rotation": (0.7 * ROTATION, math.cos(0.7) * np.eye(2) + math.sin(0.7) * ROTATION),
    "far rotation": (50.0 * ROTATION, math.cos(50.0) * np.eye(2) + math.sin(50.0) * ROTATION),
    "nilpotent": (np.array([[0.0, 3.0, 1.0], [0, 0, 2.0], [0, 0, 0]]),
                  np.array([[1.0, 3.0, 4.0], [0, 1.0, 2.0], [0, 0, 1.0]])),
    "diagonal": (np.diag([-700.0, 0.0, 3.0]), np.diag(np.exp([-700.0, 0.0, 3.0]))),
    "zero": (np.zeros((3, 3)), np.eye(3)),
    "one": (np.array([[2.5]]), np.exp([[2.5]])),
    "batch": (np.stack([0.2 * ROTATION, 70 * np.eye(2)]),
              np.stack([math.cos(0.2) * np.eye(2) + math.sin(0.2) * ROTATION,
                        math.exp(70) * np.eye(2)])),
    "empty": (np.zeros((2, 0, 0)), np.zeros((2, 0, 0))),
    "no batch": (np.zeros((0, 2, 2)), np.zeros((0, 2, 2))),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", EXPONENTIALS)
def test_exponentials_of_closed_form(name, dtype):
    x, expected = (a.astype(dtype) for a in EXPONENTIALS[name])
    out = linalg.expm(engine.asarray(x))
    assert (out.dtype, out.shape) == (dtype, x.shape)
    tolerance = 1e-12 if dtype == "float64" else 1e-5  # of which the argument has its share
    np.testing.assert_allclose(out.numpy(), expected, tolerance, tolerance)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 20.0])
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (2, 4, 4)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exponentials_are_pytorchs(shape, scale, dtype):
    torch = pytest.importorskip("torch")
    x = (scale * normal(*shape) / shape[-1]).astype(dtype)
    ours, theirs = engine.asarray(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    out, expected = linalg.expm(ours), torch.linalg.matrix_exp(theirs)
    seed = normal(*shape, salt=2).astype(dtype)
    expected.backward(torch.tensor(seed))
    (g,) = engine.gradients(out, [ours], grads=seed)
    for one, other in ((out, expected.detach()), (g, theirs.grad)):
        size = float(np.abs(other.numpy()).max())
        tolerance = 1e-11 if dtype == "float64" else 1e-4
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=tolerance * size, rtol=0)


def test_derivatives_of_exponentials():
    for x in (0.4 * normal(3, 3), 3.0 * normal(2, 2, 2), np.zeros((2, 2)), np.ones((2, 2))):
        assert engine.gradcheck(linalg.expm, [x], 2)
    assert engine.gradcheck(lambda x: engine.sum(linalg.expm(x)) ** 2 * 1e3, [normal(2, 2)])
    t = engine.asarray(0.3, dtype="float64")
    slope = engine.grad(lambda t: linalg.expm(t * ROTATION)[0, 0])(t)
    assert slope.item() == pytest.approx(-math.sin(0.3), rel=1e-13)


def test_the_exponential_of_what_is_not_finite_is_nan():
    x = np.stack([ROTATION, np.full((2, 2), np.inf), np.full((2, 2), np.nan)])
    found = linalg.expm(engine.asarray(x)).numpy()
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1:]).all()


def test_exponentials_of_other_shapes_and_dtypes_are_refused():
    with pytest.raises(linalg.LinAlgError, match=r"expm: \(2, 3\): needs square matrices"):
        linalg.expm(engine.ones((2, 3)))
    with pytest.raises(TypeError, match="needs float32 or float64, got int64"):
        linalg.expm(engine.asarray([[1, 2], [3, 4]]))


@pytest.mark.parametrize(
    ("left", "right"), [((3, 3), (2, 3)), ((3, 3), (3,)), ((2, 3, 3), (2, 4, 3)), ((1, 1), (1, 1)),
                        ((3, 3), (5, 1, 3))]
)  # fmt: skip
def test_equations_with_the_unknown_on_the_left(left, right):
    a, b = normal(*left), normal(*right, salt=1)
    found = linalg.solve(a, b, left=False)
    np.testing.assert_allclose(found.numpy() @ a, np.broadcast_to(b, found.shape), atol=1e-12)
    assert engine.gradcheck(lambda a, b: linalg.solve(a, b, left=False), [a, b], 2)
    torch = pytest.importorskip("torch")
    if len(right) > 1:
        theirs = torch.linalg.solve(torch.tensor(a), torch.tensor(b), left=False)
        np.testing.assert_allclose(found.numpy(), theirs.numpy(), atol=1e-11)
    with pytest.raises(ValueError, match="rows on the right-hand side"):
        linalg.solve(np.eye(3), np.ones((3, 2)), left=False)


def test_large_random_matrices_have_no_equal_eigenvalues():
    x = np.random.default_rng(0).normal(size=(400, 400)).astype("float32")
    found = of(lambda x: linalg.eigh(x)[1] ** 2 * normal(400, 400), (x + x.T) / 2)
    assert np.isfinite(found.numpy()).all()
