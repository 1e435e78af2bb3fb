"""Test derivatives of the functions of the standard and of the extensions."""

import math
from typing import Any

import numpy as np
import pytest

import engine
from tests.draws import covering, leaf, normal
from tests.engine.ops.standard import same

pytestmark = pytest.mark.usefixtures("quiet")


# ---- derivatives

SMOOTH = {
    (0.3, 0.9): """
        abs acos asin atan atanh ceil cos cosh exp expm1 floor log log10 log1p log2 negative
        reciprocal round sign sin sinh sqrt square tan tanh trunc positive real conj asinh""",
    (1.2, 2.5): "acosh",
}
ONES = [(name, domain) for domain, names in SMOOTH.items() for name in names.split()]
TWOS = "add atan2 copysign divide hypot logaddexp maximum minimum multiply pow subtract remainder"


def inside(x: Any, low: float, high: float) -> Any:
    """Bring x between two numbers by a smooth function, so that more than one rule is used."""
    return low + (high - low) * engine.sigmoid(x)


@pytest.mark.parametrize(("name", "domain"), ONES)
def test_derivatives_of_functions_of_one_array(name, domain):
    f = getattr(engine, name)
    assert engine.gradcheck(lambda x: engine.sin(f(inside(x, *domain))) * x, [normal(2, 3)], 2)


@pytest.mark.parametrize("name", TWOS.split())
def test_derivatives_of_functions_of_two_arrays(name):
    f = getattr(engine, name)

    def composed(x: Any, y: Any) -> Any:
        return engine.sin(f(inside(x, 1.1, 1.5), inside(y, 0.8, 0.9))) * x

    assert engine.gradcheck(composed, [normal(2, 3), normal(3, salt=1)], 2)
    assert engine.gradcheck(lambda x: f(inside(x, 1.1, 1.5), 0.7) * x, [normal(3)], 2)
    assert engine.gradcheck(lambda x: f(1.7, inside(x, 1.1, 1.5)) * x, [normal(3)], 2)


FOLLOWED: dict[str, Any] = {
    "astype": lambda x: engine.astype(engine.astype(x, engine.float64), engine.float64),
    "clip": lambda x: engine.clip(x, -0.4, 0.6),
    "clip arrays": lambda x: engine.clip(x, x[:, :1] - 0.31, engine.asarray([0.33, 5, 0.1])),
    "where": lambda x: engine.where(x > 0, x * x, engine.exp(x)),
    "sum": lambda x: engine.sum(x, axis=(0,), keepdims=True),
    "sum dtype": lambda x: engine.sum(x, axis=1, dtype=engine.float64),
    "mean": lambda x: engine.mean(x, axis=-1),
    "max of no axis": lambda x: engine.max(x, axis=()) * engine.prod(x, axis=()),
    "prod": lambda x: engine.prod(x, axis=1),
    "max": lambda x: engine.max(x, axis=0),
    "min": lambda x: engine.min(x, axis=(0, 1)),
    "var": lambda x: engine.var(x, axis=1, correction=1.5, keepdims=True),
    "std": lambda x: engine.std(x, axis=0, correction=1),
    "cumulative_sum": lambda x: engine.cumulative_sum(x, axis=0, include_initial=True),
    "cumulative_prod": lambda x: engine.cumulative_prod(x, axis=1, include_initial=True),
    "diff": lambda x: engine.diff(x, n=2, prepend=x[:, :1] * 2, append=x[:, 1:]),
    "concat": lambda x: engine.concat([x, x * x, x], axis=1),
    "stack": lambda x: engine.stack([x, engine.exp(x)], axis=-1),
    "unstack": lambda x: engine.unstack(x, axis=1)[2] * engine.unstack(x)[1][0],
    "flip": lambda x: engine.flip(x, axis=-1) * x,
    "roll": lambda x: engine.roll(x, (1, -1), axis=(0, 1)) * x,
    "repeat": lambda x: engine.repeat(x, np.array([2, 0, 1]), axis=1),
    "tile": lambda x: engine.tile(x, (2, 1, 2)),
    "moveaxis": lambda x: engine.moveaxis(x, 0, 1) @ x,
    "meshgrid": lambda x: engine.meshgrid(x[0], x[1])[0] * engine.meshgrid(x[0], x[1])[1],
    "broadcast": lambda x: engine.broadcast_arrays(x[:, None], x)[0] * x,
    "sort": lambda x: engine.sort(x, axis=0, descending=True) * x,
    "topk": lambda x: engine.topk(x, 2)[0] * x[:, :2],
    "take": lambda x: engine.take(x, np.array([2, 0, 2]), axis=1) * x,
    "take_along_axis": lambda x: engine.take_along_axis(x, np.array([[1, 0, 1]]), axis=0) * x,
    "vecdot": lambda x: engine.vecdot(x, x[:1]),
    "tensordot": lambda x: engine.tensordot(x, x, axes=((1,), (1,))),
    "matmul": lambda x: x @ engine.matrix_transpose(x),
    "outer": lambda x: engine.outer(x[0], x[1]),
    "norm": lambda x: engine.norm(x, axis=1),
    "norm 3": lambda x: engine.norm(x, ord=3),
    "logsumexp": lambda x: engine.logsumexp(x, axis=1),
    "squeeze": lambda x: engine.squeeze(engine.expand_dims(x, axis=1), 1),
    **{f"tril {k}": lambda x, k=k: engine.tril(x, k=k) for k in (-1, 0, 1, 3)},
    **{f"triu {k}": lambda x, k=k: engine.triu(x, k=k) for k in (-2, 0, 2)},
    **{f"diagonal {k}": lambda x, k=k: engine.diagonal(x, offset=k) for k in (-1, 0, 2)},
    **{f"trace {k}": lambda x, k=k: engine.trace(x, offset=k) for k in (-1, 0, 1)},
    **{f"diag {k}": lambda x, k=k: engine.diag(x[0], k=k) for k in (-1, 0, 2)},
    **{
        f"pad {mode}": lambda x, mode=mode: engine.pad(x, ((1, 0), (1, 2)), mode=mode)
        for mode in ("constant", "edge", "reflect", "symmetric", "wrap")
    },
    "pad 2.5": lambda x: engine.pad(x, 1, constant_values=2.5),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_derivatives_of_all_else(name):
    f = FOLLOWED[name]
    x = normal(2, 3, salt=4)
    assert engine.gradcheck(lambda x: engine.sin(f(engine.tanh(x) + 0.1 * x)), [x], 2)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric", "wrap"])
@pytest.mark.parametrize("widths", [1, (1, 2), ((0, 3), (5, 0)), ((2, 2), (0, 0)), 0])
def test_pad_is_numpys(mode, widths):
    x = normal(3, 4)
    same(engine.pad(engine.asarray(x), widths, mode=mode), np.pad(x, widths, mode=mode))
    if mode == "constant":
        for values in (x, x > 0, (x * 10).astype("int8")):
            expected = np.pad(values, widths, constant_values=1)
            same(engine.pad(engine.asarray(values), widths, constant_values=1), expected)


@pytest.mark.parametrize("offset", [-3, -1, 0, 1, 2, 9])
def test_triangles_and_diagonals_are_numpys(offset):
    x, vector = normal(3, 4, 5), normal(4)
    own = engine.asarray(x)
    same(engine.tril(own, k=offset), np.tril(x, offset))
    same(engine.triu(own, k=offset), np.triu(x, offset))
    same(engine.diag(engine.asarray(vector), k=offset), np.diag(vector, offset))
    same(engine.diag(own[0], k=offset), np.diag(x[0], offset))
    for axes in ((0, 1), (2, 0), (-1, -2)):
        named = dict(zip(("axis1", "axis2"), axes, strict=True))
        same(engine.diagonal(own, offset=offset, **named), np.diagonal(x, offset, *axes))
        same(engine.trace(own, offset=offset, **named), np.trace(x, offset, *axes))


def test_triangles_do_not_spread_what_they_cut_off():
    x = np.array([[np.nan, np.inf], [1.0, 2.0]])
    same(engine.triu(engine.asarray(x), k=1), np.triu(x, 1))
    same(engine.tril(engine.asarray(x), k=-1), np.tril(x, -1))


def test_gradients_of_ties_go_where_the_elements_came_from():
    x, weights = leaf(2.0, 1.0, 2.0, 1.0), np.array([1.0, 10, 100, 1000])
    for f, expected in (
        (engine.sort, [100, 1, 1000, 10]),
        (lambda x: engine.sort(x, descending=True), [1, 100, 10, 1000]),
    ):
        (g,) = engine.gradients(f(x), [x], grads=weights)
        assert g.numpy().tolist() == expected
    values, places = engine.topk(x, 3)
    assert (values.numpy().tolist(), places.numpy().tolist()) == ([2, 2, 1], [0, 2, 1])
    (g,) = engine.gradients(values, [x], grads=weights[:3])
    assert g.numpy().tolist() == [1, 100, 10, 0]
    values, places = engine.topk(x, 2, largest=False)
    assert (values.numpy().tolist(), places.numpy().tolist()) == ([1, 1], [1, 3])
    for plain in (engine.argsort(x), *engine.unique_all(x), engine.unique_values(x)):
        assert not plain.requires_grad
    (g,) = engine.gradients(engine.max(x), [x])
    assert g.numpy().tolist() == [0.5, 0, 0.5, 0]


PRODUCTS = [
    engine.prod, engine.cumulative_prod, lambda x: engine.cumulative_prod(x, include_initial=True),
]  # fmt: skip


ZEROS = [(), (0,), (2,), (4,), (1, 3), (0, 4), (0, 1, 2), range(5)]


@pytest.mark.parametrize(("f", "zeros"), covering(PRODUCTS, ZEROS))
def test_products_with_zeros(f, zeros):
    x = np.array([1.5, -0.7, 2.0, 0.4, -1.2])
    x[list(zeros)] = 0
    assert engine.gradcheck(f, [x], 2)


def test_products_of_nothing_and_of_several_axes():
    x = normal(2, 3, 2)
    x[0, 1, 1] = x[1, 0, 0] = x[1, 2, 1] = 0
    for axis in (None, 0, (0, 2), (2, 1)):
        assert engine.gradcheck(lambda x, axis=axis: engine.prod(x, axis=axis), [x], 2)
    y = leaf(np.zeros((0, 3)))
    (g,) = engine.gradients(engine.sum(engine.prod(y, axis=0)), [y])
    assert g.shape == (0, 3)


FLAT: dict[str, Any] = {
    "std": lambda x: engine.std(x),
    "std of rows": lambda x: engine.sum(engine.std(x, axis=1, correction=1)),
    "var": lambda x: engine.var(x),
    "norm": lambda x: engine.norm(x - x.numpy()),
    "norm of rows": lambda x: engine.sum(engine.norm(x * 0, axis=0)),
    "norm 1": lambda x: engine.norm(x * 0, ord=1),
    "norm 3": lambda x: engine.norm(x * 0, ord=3),
    "norm inf": lambda x: engine.norm(x * 0, ord=math.inf),
}


@pytest.mark.parametrize("name", FLAT)
def test_no_nan_where_all_is_alike(name):
    x = leaf(np.full((2, 3), 0.1))
    out = FLAT[name](x)
    (g,) = engine.gradients(out, [x], create_graph=True)
    assert np.isfinite(out.numpy())
    assert np.isfinite(g.numpy()).all()
    np.testing.assert_allclose(g.numpy(), 0 * x.numpy(), atol=1e-12)
    (second,) = engine.gradients(engine.sum(g * normal(2, 3)), [x])
    if name in ("norm", "norm of rows"):  # a cone has no second derivative at its tip
        assert np.isnan(second.numpy()).all()
    else:
        assert second is None or np.isfinite(second.numpy()).all()


WHOLE: dict[str, Any] = {
    "sum": lambda w: engine.sum(w, dtype=engine.int64),
    "prod": lambda w: engine.prod(w, dtype=engine.int64),
    "cumulative_sum": lambda w: engine.cumulative_sum(w, dtype=engine.int32),
    "cumulative_prod": lambda w: engine.cumulative_prod(w, dtype=engine.int32),
    "astype": lambda w: engine.astype(w, engine.int8),
    "asarray": lambda w: engine.asarray(w, dtype=engine.int8),
    "argmax": engine.argmax,
    "argsort": engine.argsort,
    "count_nonzero": engine.count_nonzero,
    "comparison": lambda w: w > 1,
    "isnan": engine.isnan,
    "zeros_like": engine.zeros_like,
}


@pytest.mark.parametrize("name", WHOLE)
def test_gradients_end_at_whole_numbers(name):
    out = WHOLE[name](leaf(1.5, 2.5))
    assert not out.requires_grad


def test_a_sequence_of_tensors_keeps_their_gradients_or_is_refused():
    w = leaf(2.0)
    try:
        x = engine.asarray([w * w, w])
    except (TypeError, ValueError):
        return
    assert engine.gradients(engine.sum(x), [w])[0].item() == 5


def test_sequences_of_arrays_keep_their_dtype():
    for values in ([np.ones(2), np.zeros(2)], [np.float64(1), np.float64(2)]):
        assert engine.asarray(values).dtype == engine.float64
    assert engine.asarray([engine.ones(2), engine.zeros(2)]).dtype == engine.float32
    assert engine.asarray([np.float32(1)]).dtype == engine.float32
