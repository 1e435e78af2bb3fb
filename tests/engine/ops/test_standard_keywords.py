"""Compare every function of the standard, with every keyword that it defines, with NumPy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from tests.draws import first
from tests.engine.ops.standard import KINDS, Source, same
from tests.engine.ops.test_standard_elementwise import BINARY, UNARY, cases, in_turn
from tests.engine.ops.test_standard_names import STANDARD

pytestmark = pytest.mark.usefixtures("quiet")


# ---- everything with keywords

Rows = list[Any]
CALLS: dict[str, tuple[str, Rows]] = {
    **{
        name: (kind, [
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3)),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3, 2), axis=1),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3, 2), axis=-1, keepdims=True),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3), keepdims=True),
            lambda xp, a, n=name: getattr(xp, n)(a()),
            lambda xp, a, n=name: getattr(xp, n)(a(0, 2), axis=1),
        ])
        for kind, names in {
            "any": "all any count_nonzero",
            "real": "argmax argmin max min sum prod",
            "floating": "mean std var",
        }.items()
        for name in names.split()
    },
    **{
        f"{name} of axes": (kind, [
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3, 2), axis=(0, -1)),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3, 2), axis=(2, 1), keepdims=True),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3), axis=()),
        ])
        for kind, names in {
            "any": "all any count_nonzero",
            "real": "max min sum prod",
            "floating": "mean std var",
        }.items()
        for name in names.split()
    },
    **{
        f"{name} of nothing": (kind, [
            lambda xp, a, n=name: getattr(xp, n)(a(0)),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 0), axis=1, keepdims=True),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 0, 3), axis=(0, 1)),
        ])
        for kind, names in {"any": "all any count_nonzero", "real": "sum prod"}.items()
        for name in names.split()
    },
    **{
        f"{name} dtype": ("real", [
            lambda xp, a, n=name, d=d: getattr(xp, n)(a(2, 3), dtype=getattr(xp, d))
            for d in ("float32", "float64", "int64", "int8")
        ])
        for name in ("sum", "prod")
    },
    **{
        f"{name} correction": ("floating", [
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3), correction=1),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 4), axis=1, correction=0.5, keepdims=True),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3, 2), axis=(0, 1), correction=2.0),
        ])
        for name in ("var", "std")
    },
    **{
        name: ("real", [
            lambda xp, a, n=name: getattr(xp, n)(a(4)),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3), axis=0),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3), axis=-1, include_initial=True),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 3), axis=1, dtype=xp.float64),
            lambda xp, a, n=name: getattr(xp, n)(a(0), include_initial=True),
            lambda xp, a, n=name: getattr(xp, n)(a(2, 0), axis=1),
        ])
        for name in ("cumulative_sum", "cumulative_prod")
    },
    "diff": ("any", [
        lambda xp, a: xp.diff(a(4)),
        lambda xp, a: xp.diff(a(3, 4), axis=0),
        lambda xp, a: xp.diff(a(3, 5), n=3),
        lambda xp, a: xp.diff(a(3, 4), axis=1, n=2, prepend=a(3, 1), append=a(3, 2)),
        lambda xp, a: xp.diff(a(3, 4), n=0),
        lambda xp, a: xp.diff(a(2), n=3),
        lambda xp, a: xp.diff(a(0)),
    ]),
    "matmul": ("real", [
        lambda xp, a: xp.matmul(a(2, 3), a(3, 4)),
        lambda xp, a: a(3) @ a(3, salt=1),
        lambda xp, a: a(3) @ a(3, 2),
        lambda xp, a: a(2, 2, 3) @ a(3),
        lambda xp, a: xp.matmul(a(2, 1, 2, 3), a(5, 3, 1)),
        lambda xp, a: xp.matmul(a(2, 0), a(0, 3)),
        lambda xp, a: xp.matrix_transpose(a(2, 3, 4)),
    ]),
    "vecdot": ("real", [
        lambda xp, a: xp.vecdot(a(3), a(3, salt=1)),
        lambda xp, a: xp.vecdot(a(4, 2, 3), a(2, 3)),
        lambda xp, a: xp.vecdot(a(3, 2), a(3, 1), axis=-2),
        lambda xp, a: xp.vecdot(a(2, 0), a(0)),
    ]),
    "tensordot": ("real", [
        lambda xp, a: xp.tensordot(a(2, 3, 4), a(3, 4, 5)),
        lambda xp, a: xp.tensordot(a(2, 3), a(3, 4), axes=1),
        lambda xp, a: xp.tensordot(a(2), a(3), axes=0),
        lambda xp, a: xp.tensordot(a(2, 3, 4), a(4, 5, 2), axes=((0, 2), (2, 0))),
        lambda xp, a: xp.tensordot(a(2, 3), a(3, 2), axes=((-1, 0), (0, -1))),
        lambda xp, a: xp.tensordot(a(2, 0), a(0, 3), axes=1),
    ]),
    "arange": ("real", [
        lambda xp, a: xp.arange(5, dtype=a.dtype),
        lambda xp, a: xp.arange(2, 9, dtype=a.dtype),
        lambda xp, a: xp.arange(1, 9, 3, dtype=a.dtype),
        lambda xp, a: xp.arange(9, 1, -3, dtype=a.dtype),
        lambda xp, a: xp.arange(9, stop=1, step=-3),
        lambda xp, a: xp.arange(0, -2, dtype=a.dtype),
    ]),
    "creation": ("any", [
        lambda xp, a: xp.zeros((2, 3), dtype=a.dtype),
        lambda xp, a: xp.ones(3, dtype=a.dtype),
        lambda xp, a: xp.full((2, 0), 1, dtype=a.dtype),
        lambda xp, a: xp.full((), True, dtype=a.dtype),
        lambda xp, a: xp.full(shape=(2,), fill_value=1),
        lambda xp, a: xp.full((2,), False),
        lambda xp, a: xp.empty((2, 3), dtype=a.dtype).shape,
        lambda xp, a: xp.empty((2, 3), dtype=a.dtype).dtype,
        lambda xp, a: xp.zeros_like(a(2, 3)),
        lambda xp, a: xp.ones_like(a(), dtype=xp.int16),
        lambda xp, a: xp.full_like(a(2, 3), 1),
        lambda xp, a: xp.full_like(a(2, 3), 1, dtype=xp.float64),
        lambda xp, a: xp.empty_like(a(0, 3), dtype=xp.uint8),
        lambda xp, a: xp.empty_like(a(0, 3)),
        lambda xp, a: xp.eye(3, dtype=a.dtype),
        lambda xp, a: xp.eye(2, 4, k=1, dtype=a.dtype),
        lambda xp, a: xp.eye(3, 2, k=-1, dtype=a.dtype),
        lambda xp, a: xp.eye(2, k=5, dtype=a.dtype),
        lambda xp, a: xp.meshgrid(a(2), a(3)),
        lambda xp, a: xp.meshgrid(a(2), a(3), a(4), indexing="ij"),
        lambda xp, a: xp.meshgrid(a(2)),
        lambda xp, a: xp.tril(a(3, 4)),
        lambda xp, a: xp.tril(a(2, 3, 3), k=1),
        lambda xp, a: xp.triu(a(3, 4), k=-1),
        lambda xp, a: xp.triu(a(2, 3, 3), k=5),
        lambda xp, a: xp.triu(a(0, 3)),
    ]),
    "linspace": ("floating", [
        lambda xp, a: xp.linspace(0, 1, 5, dtype=a.dtype),
        lambda xp, a: xp.linspace(1.5, -2, num=4, dtype=a.dtype, endpoint=False),
        lambda xp, a: xp.linspace(1, 2, 1, dtype=a.dtype),
        lambda xp, a: xp.linspace(1, 2, 0, dtype=a.dtype),
    ]),
    "joining": ("any", [
        lambda xp, a: xp.concat([a(2, 3), a(1, 3)]),
        lambda xp, a: xp.concat((a(2, 3), a(2, 0)), axis=-1),
        lambda xp, a: xp.concat([a(2, 3), a()[None]], axis=None),
        lambda xp, a: xp.stack([a(2, 3), a(2, 3, salt=1)]),
        lambda xp, a: xp.stack((a(2), a(2)), axis=-1),
        lambda xp, a: xp.stack([a()]),
        lambda xp, a: xp.unstack(a(3, 2)),
        lambda xp, a: xp.unstack(a(3, 2), axis=-1),
        lambda xp, a: xp.unstack(a(0, 2)),
        lambda xp, a: xp.broadcast_arrays(a(2, 1), a(3), a()),
        lambda xp, a: xp.broadcast_to(a(2, 1), (3, 2, 4)),
        lambda xp, a: xp.broadcast_to(a(), (0,)),
        lambda xp, a: np.broadcast_shapes((2, 1), (3,), ()) == (2, 3),
    ]),
    "shaping": ("any", [
        lambda xp, a: xp.reshape(a(2, 6), (3, 4)),
        lambda xp, a: xp.reshape(a(2, 6), (-1, 3), copy=True),
        lambda xp, a: xp.reshape(a(), (1, 1), copy=False),
        lambda xp, a: xp.reshape(a(2, 3).T, (6,)),
        lambda xp, a: xp.reshape(a(0, 3), (3, 0)),
        lambda xp, a: xp.permute_dims(a(2, 3, 4), (2, 0, 1)),
        lambda xp, a: xp.permute_dims(a(2, 3, 4), axes=(-1, 0, 1)),
        lambda xp, a: xp.permute_dims(a(), ()),
        lambda xp, a: xp.expand_dims(a(2, 3), axis=0),
        lambda xp, a: xp.expand_dims(a(2, 3), axis=-1),
        lambda xp, a: xp.expand_dims(a(), axis=0),
        lambda xp, a: xp.squeeze(a(1, 3, 1), 0),
        lambda xp, a: xp.squeeze(a(1, 3, 1), axis=(0, -1)),
        lambda xp, a: xp.moveaxis(a(2, 3, 4), 0, -1),
        lambda xp, a: xp.moveaxis(a(2, 3, 4), (0, 1), (2, 0)),
        lambda xp, a: xp.flip(a(2, 3)),
        lambda xp, a: xp.flip(a(2, 3, 2), axis=(0, -1)),
        lambda xp, a: xp.flip(a(2, 3), axis=1),
        lambda xp, a: xp.flip(a()),
        lambda xp, a: xp.roll(a(2, 3), 2),
        lambda xp, a: xp.roll(a(2, 3), shift=-1, axis=1),
        lambda xp, a: xp.roll(a(2, 3), (1, 2), axis=(0, 1)),
        lambda xp, a: xp.roll(a(2, 3), 1, axis=(0, 1)),
        lambda xp, a: xp.roll(a(0), 4),
        lambda xp, a: xp.repeat(a(2, 3), 2),
        lambda xp, a: xp.repeat(a(2, 3), 2, axis=1),
        lambda xp, a: xp.repeat(a(2, 3), a.of([1, 0, 2], "int64"), axis=-1),
        lambda xp, a: xp.repeat(a(3), 0),
        lambda xp, a: xp.tile(a(2, 3), (2,)),
        lambda xp, a: xp.tile(a(3), (2, 1, 2)),
        lambda xp, a: xp.tile(a(2, 3), ()),
        lambda xp, a: xp.tile(a(2, 3), (0, 1)),
        lambda xp, a: (a(2, 3).T, a(2, 3, 4).mT),
    ]),
    "taking": ("any", [
        lambda xp, a: xp.take(a(4), a.of([3, 0, 3], "int64")),
        lambda xp, a: xp.take(a(3, 4), a.of([1, 0], "int32"), axis=1),
        lambda xp, a: xp.take(a(3, 4), a.of([-1], "int64"), axis=-2),
        lambda xp, a: xp.take(a(3, 4), a.of([], "int64"), axis=0),
        lambda xp, a: xp.take_along_axis(a(2, 3), a.of([[0, 2], [1, 1]], "int64")),
        lambda xp, a: xp.take_along_axis(a(2, 3), a.of([[1, 0, 1]], "int64"), axis=0),
        lambda xp, a: xp.nonzero(a(2, 3)),
        lambda xp, a: xp.nonzero(a(0)),
    ]),
    "sorting": ("real", [
        lambda xp, a: xp.sort(a(3, 4)),
        lambda xp, a: xp.sort(a(3, 4), axis=0, stable=False),
        lambda xp, a: xp.sort(a(0)),
        lambda xp, a: xp.argsort(a(6), stable=True),
        lambda xp, a: xp.argsort(a(3, 4), axis=0),
        lambda xp, a: xp.searchsorted(xp.sort(a(6)), a(4, salt=1)),
        lambda xp, a: xp.searchsorted(xp.sort(a(6)), a(2, 2), side="right"),
        lambda xp, a: xp.searchsorted(a(6), a(4, salt=1), sorter=xp.argsort(a(6))),
        lambda xp, a: xp.searchsorted(xp.sort(a(0)), a(2)),
    ]),
    "unique": ("any", [
        lambda xp, a: tuple(xp.unique_all(a(3, 4))),
        lambda xp, a: tuple(xp.unique_counts(a(3, 4))),
        lambda xp, a: tuple(xp.unique_inverse(a(3, 4))),
        lambda xp, a: xp.sort(xp.unique_values(a(9))),
        lambda xp, a: tuple(xp.unique_all(a())),
        lambda xp, a: tuple(xp.unique_all(a(0))),
        lambda xp, a: xp.isin(a(3, 2), a(4, salt=1)),
        lambda xp, a: xp.isin(a(3), a(4, salt=1), invert=True),
    ]),
}  # fmt: skip


KEYWORDS = [(name, kind) for name, (kind, _) in CALLS.items()]


@pytest.mark.parametrize(("name", "dtype"), first(2 * len(KEYWORDS), in_turn(KEYWORDS)))
def test_functions_with_their_keywords(name, dtype):
    for number, call in enumerate(CALLS[name][1]):
        expected = call(np, Source(np, dtype))
        try:
            same(call(engine, Source(engine, dtype)), expected)
        except Exception as error:
            error.add_note(f"call {number} of {name!r}")
            raise


def test_every_function_was_called():
    tried = {name.split()[0] for name in CALLS} | {name for name, _ in cases(UNARY) + cases(BINARY)}
    files = Path(__file__).parent.glob("test_standard_*.py")
    source = "".join(file.read_text(encoding="utf-8") for file in files)
    assert [name for name in STANDARD if name not in tried and f"{name}(" not in source] == []


@pytest.mark.parametrize("dtype", KINDS["real"])
def test_descending_order_is_stable(dtype):
    values = np.array([[2, 1, 2, 0, 1], [3, 3, 3, 1, 9]]).astype(dtype)
    x = engine.asarray(values)
    order = np.argsort(-values.astype("float64"), axis=-1, kind="stable")
    same(engine.argsort(x, descending=True), order)
    same(engine.sort(x, descending=True), np.take_along_axis(values, order, -1))
    same(engine.sort(x, axis=0, descending=True), np.sort(values, axis=0)[::-1])


def test_unique_tells_nans_apart_and_names_its_results():
    x = engine.asarray([np.nan, 1.0, np.nan, -0.0, 0.0])
    found = engine.unique_all(x)
    assert found._fields == ("values", "indices", "inverse_indices", "counts")
    assert engine.unique_counts(x)._fields == ("values", "counts")
    assert engine.unique_inverse(x)._fields == ("values", "inverse_indices")
    assert found.values.shape == engine.unique_values(x).shape == (4,)
    assert found.counts.numpy().tolist() == [2, 1, 1, 1]
