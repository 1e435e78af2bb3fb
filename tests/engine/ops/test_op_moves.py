"""Test `Op.moves`: each op of layout moves elements as its record says."""

import itertools

import numpy as np
import pytest

from engine.backends import HOST
from engine.op import Draw, Example
from engine.registry import REGISTRY

MOVING = [op for op in REGISTRY.values() if op.moves is not None]
MORE = {
    "reshape": [((2, 3, 4), {"shape": (2, 12)}), ((2, 1, 4), {"shape": (1, 2, 4, 1)}),
                ((2, 6), {"shape": (2, 2, 3)}), ((6,), {"shape": (2, 3)})],
    "getitem": [((4, 5), {"key": (slice(1, 4, 2), slice(None, None, -1))}),
                ((4, 5), {"key": (..., -2)}), ((3, 4), {"key": (None, slice(None), None, 1)}),
                ((5,), {"key": (slice(4, 0, -2),)})],
    "roll": [((5,), {"shift": -7}), ((2, 3), {"shift": (1, 1), "axis": (1, 1)}),
             ((2, 3), {"shift": 4, "axis": -1})],
    "place": [((2,), {"keys": ((slice(1, 3), 0),), "shape": (4, 2)}),
              ((1, 3), {"keys": ((slice(0, 2), slice(2, None, -1)),), "shape": (2, 3)}),
              ((), {"keys": ((slice(0, 2), None, 1),), "shape": (2, 3)})],
    "flip": [((2, 3, 2), {"axis": (0, 2)})],
    "stack": [((2, 3), {"axis": -2})],
}  # fmt: skip


def cases():
    for op in MOVING:
        for example in op.examples:
            yield pytest.param(op, example, id=f"{op.name}-{example.attrs}")
        for shape, attrs in MORE.get(op.name, ()):
            yield pytest.param(op, Example((Draw(shape),), attrs), id=f"{op.name}-{shape}-{attrs}")


def moved(op, attrs, arrays, out):
    """Return the result of an op, put together number by number from what its record says."""
    shapes = tuple(x.shape for x in arrays)
    moves = op.moves(attrs, shapes, out.shape)
    if moves is None:
        return None
    found = np.zeros(out.shape)
    for move in moves:
        x = arrays[move.slot]
        box = [range(low, high) for low, high in zip(move.low, move.high, strict=True)]
        for at in itertools.product(*box):
            own = tuple(one.offset if one.axis is None else at[one.axis] * one.step + one.offset
                        for one in move.where)  # fmt: skip
            assert all(0 <= i < n for i, n in zip(own, x.shape, strict=False)), (own, x.shape)
            if move.flat:
                rest = at[len(own) :]
                flat = int(np.ravel_multi_index(rest, out.shape[len(own) :])) if rest else 0
                found[at] += x[own].reshape(-1)[flat]
            else:
                found[at] += x[own]
    return found


@pytest.mark.parametrize(("op", "example"), list(cases()))
def test_moves_say_what_the_rule_does(op, example):
    rng = np.random.default_rng(0)
    arrays = [
        rng.integers(0, max(1, int(d.high)), d.shape) if d.integer else rng.normal(size=d.shape)
        for d in example.inputs
    ]
    out = np.asarray(op.forward(HOST.xp, *arrays, **example.attrs))
    found = moved(op, example.attrs, arrays, out)
    if found is None:
        assert any(d.integer for d in example.inputs) or "axis" not in example.attrs
        return
    np.testing.assert_array_equal(found, out)


def test_a_wrong_move_is_caught():
    op, x = REGISTRY["flip"], np.arange(6.0).reshape(2, 3)
    (right,) = op.moves({"axis": 1}, (x.shape,), x.shape)
    wrong = right._replace(where=tuple(one._replace(offset=0, step=1) for one in right.where))
    out = x[:, ::-1]
    planted = type("Op", (), {"moves": staticmethod(lambda attrs, shapes, shape: (wrong,))})
    assert not np.array_equal(moved(planted, {}, [x], out), out)


def test_every_op_of_layout_without_arrays_in_its_key_says_where_it_moves():
    silent = {op.name for op in REGISTRY.values() if op.kind == "layout" and op.moves is None}
    assert silent == {"assign"}
