"""Test errors of the ops: op, scope, shapes, fix, and a class that derives from NumPy's."""

import numpy as np
import pytest

import engine

X = engine.zeros((3, 4))
MISTAKES = [
    (lambda: X + engine.zeros((3, 5)), ["add", "(3, 4)", "(3, 5)", "4 and 5", "axis -1"]),
    (lambda: X @ engine.zeros((5, 4)), ["matmul", "(3, 4)", "(5, 4)", "4 and 5", "transpose"]),
    (lambda: X @ engine.zeros((5, 2)), ["matmul", "(3, 4)", "(5, 2)", "inner sizes 4 and 5"]),
    (lambda: X @ engine.asarray(2.0), ["matmul", "scalar", "multiply with *"]),
    (lambda: engine.linear(X, engine.zeros((4, 7))), ["linear", "4", "7", "transpose"]),
    (
        lambda: engine.linear(X, engine.zeros((2, 4)), engine.zeros(3)),
        ["linear", "bias", "(2,)", "(3,)"],
    ),
    (lambda: engine.reshape(X, (5, 2)), ["reshape", "(3, 4)", "12 elements", "(5, 2)"]),
    (
        lambda: engine.concat([X, engine.zeros((3, 5))]),
        ["concat", "(3, 4)", "(3, 5)", "but that on axis 0"],
    ),
    (
        lambda: engine.concat([X, engine.zeros(4)]),
        ["concat", "(3, 4)", "(4,)", "tensor 1 has 1 dimensions"],
    ),
    (lambda: engine.stack([X, engine.zeros((3, 5))]), ["stack", "(3, 4)", "(3, 5)", "agree"]),
    (lambda: engine.sum(X, axis=2), ["sum", "(3, 4)", "axis 2", "2 dimensions", "-2 to 1"]),
    (lambda: engine.max(X, axis=(0, 5)), ["max", "(3, 4)", "axis 5"]),
    (lambda: engine.softmax(X, axis=-3), ["softmax", "(3, 4)", "axis -3"]),
    (lambda: engine.take(X, [0], axis=2), ["take", "axis 2", "2 dimensions"]),
    (lambda: engine.split(X, 2, axis=2), ["split", "axis 2", "2 dimensions"]),
    (lambda: engine.split(X, 3, axis=1), ["split", "size 4", "no 3 equal parts"]),
    (lambda: engine.expand_dims(X, axis=4), ["expand_dims", "axis 4", "3 dimensions"]),
    (lambda: engine.squeeze(X, 0), ["squeeze", "axis 0", "(3, 4)", "not of size 1"]),
    (lambda: X[5], ["getitem", "(3, 4)", "5", "size 3"]),
    (lambda: X[0, [1, 9]], ["getitem", "(3, 4)", "9", "size 4"]),
    (lambda: X[0, 0, 0], ["getitem", "(3, 4)", "too many"]),
    (lambda: engine.embedding(X, [3]), ["(3, 4)", "3", "size 3"]),
    (lambda: X["a"], ["getitem", "'a'", "integers, slices"]),
    (lambda: engine.broadcast_to(X, (3, 5)), ["broadcast_to", "(3, 4)", "4 and 5"]),
]


@pytest.mark.parametrize(("mistake", "told"), MISTAKES, ids=[m[1][0] for m in MISTAKES])
def test_errors_say_what_is_wrong(mistake, told):
    with pytest.raises((ValueError, IndexError)) as caught:
        mistake()
    assert [part for part in told if part not in str(caught.value)] == []


def test_errors_name_the_scope():
    with (
        engine.scope("lstm"),
        engine.scope("l0", t=3),
        pytest.raises(ValueError, match=r"^matmul at lstm\.l0/t=3: \(3, 4\) @ \(3, 4\): inner"),
    ):
        X @ X


N = np.zeros((3, 4))
AXIS_MODULE = np.exceptions.AxisError.__module__
CLASSES = {
    "add": lambda xp, x: x + xp.zeros((3, 5)),
    "matmul": lambda xp, x: x @ x,
    "reshape": lambda xp, x: xp.reshape(x, (5, 2)),
    "concat": lambda xp, x: xp.concat([x, xp.zeros((3, 5))]),
    "axis": lambda xp, x: xp.sum(x, axis=2),
    "index": lambda xp, x: x[7],
    "list index": lambda xp, x: x[[7]],
    "squeeze": lambda xp, x: xp.squeeze(x, 0),
    "memory": lambda xp, x: xp.broadcast_to(xp.zeros(1), (2**50,)) + 1.0,
    "overflow": lambda xp, x: xp.zeros(2, dtype="int8") + 300,
    "keyword": lambda xp, x: xp.sum(x, axes=0),
    "diff axis": lambda xp, x: xp.diff(x, axis=2),
    "diff n": lambda xp, x: xp.diff(x, n=1.5),
    "diff of a number": lambda xp, x: xp.diff(x[0, 0]),
    "moveaxis twice to one": lambda xp, x: xp.moveaxis(x, (0, 1), (0, 0)),
    "moveaxis twice to one, from the end": lambda xp, x: xp.moveaxis(x, (0, 1), (1, -1)),
    "moveaxis twice from one": lambda xp, x: xp.moveaxis(x, (0, 0), (0, 1)),
    "moveaxis to a fraction": lambda xp, x: xp.moveaxis(x, 0, 1.0),
    "moveaxis too far": lambda xp, x: xp.moveaxis(x, 0, 2),
    "swapaxes of a fraction": lambda xp, x: xp.swapaxes(x, 0, 1.0),
    "swapaxes too far": lambda xp, x: xp.swapaxes(x, 0, -3),
    "squeeze twice": lambda xp, x: xp.squeeze(x[:1], axis=(0, 0)),
    "squeeze twice, from the end": lambda xp, x: xp.squeeze(x[:1], axis=(0, -2)),
    "squeeze of a fraction": lambda xp, x: xp.squeeze(x[:1], axis=0.0),
    "squeeze too far": lambda xp, x: xp.squeeze(x, axis=2),
    "expand_dims twice": lambda xp, x: xp.expand_dims(x, axis=(0, 0)),
    "expand_dims of a fraction": lambda xp, x: xp.expand_dims(x, axis=1.0),
    "expand_dims too far": lambda xp, x: xp.expand_dims(x, axis=3),
    "permute twice": lambda xp, x: xp.permute_dims(x, (1, -1)),
    "permute of a fraction": lambda xp, x: xp.permute_dims(x, (1.0, 0)),
    "permute too few": lambda xp, x: xp.permute_dims(x, (0,)),
    "flip twice": lambda xp, x: xp.flip(x, axis=(0, 0)),
    "flip of a fraction": lambda xp, x: xp.flip(x, axis=1.0),
    "roll too many": lambda xp, x: xp.roll(x, (1, 1, 1), axis=(0, 1)),
    "repeat negative": lambda xp, x: xp.repeat(x, -1),
    "repeat on a fraction": lambda xp, x: xp.repeat(x, 2, axis=1.0),
    "repeat too few": lambda xp, x: xp.repeat(x, [1, 2], axis=0),
    "repeat too far": lambda xp, x: xp.repeat(x, 2, axis=2),
    "tile by a fraction": lambda xp, x: xp.tile(x, (1.5,)),
    "tile negative": lambda xp, x: xp.tile(x, -1),
    "unstack of a fraction": lambda xp, x: xp.unstack(x, axis=1.0),
    "unstack too far": lambda xp, x: xp.unstack(x, axis=2),
    "take too far": lambda xp, x: xp.take(x, [0], axis=2),
    "take of a fraction": lambda xp, x: xp.take(x, [0], axis=1.0),
    "take_along_axis too far": lambda xp, x: xp.take_along_axis(x, xp.asarray([[0]]), axis=2),
    "sum twice": lambda xp, x: xp.sum(x, axis=(0, -2)),
    "sum of a fraction": lambda xp, x: xp.sum(x, axis=1.0),
    "mean twice": lambda xp, x: xp.mean(x, axis=(0, 0)),
    "stack too far": lambda xp, x: xp.stack([x, x], axis=3),
    "concat of a fraction": lambda xp, x: xp.concat([x, x], axis=1.0),
    "concat of nothing": lambda xp, x: xp.concat([]),
    "concat of no sequence": lambda xp, x: xp.concat(None),
    "split at a fraction": lambda xp, x: xp.split(x, [0.5]),
    "diagonal of one axis": lambda xp, x: xp.diagonal(x, axis1=1, axis2=-1),
    "diagonal too far": lambda xp, x: xp.diagonal(x, axis1=0, axis2=2),
    "diagonal off by a fraction": lambda xp, x: xp.diagonal(x, offset=0.5),
    "tensordot twice": lambda xp, x: xp.tensordot(x, x, axes=((0, 0), (0, 0))),
    "none added": lambda xp, x: x + None,
    "none added to": lambda xp, x: None + x,
    "none compared": lambda xp, x: x < None,
}


@pytest.mark.parametrize("name", CLASSES)
def test_errors_are_of_numpys_class(name):
    with pytest.raises(Exception) as theirs:  # noqa: PT011  (of any class)
        CLASSES[name](np, N)
    with pytest.raises(Exception) as ours:  # noqa: PT011
        CLASSES[name](engine, X)
    public = (k for k in type(theirs.value).__mro__ if k.__module__ in ("builtins", AXIS_MODULE))
    assert isinstance(ours.value, next(public))


@pytest.mark.parametrize("call", [
    lambda x: engine.roll(x, 1.5), lambda x: engine.roll(x, (1, 0.5), axis=(0, 1)),
    lambda x: engine.repeat(x, 1.5), lambda x: engine.repeat(x, [1.0, 2.0, 1.0], axis=0),
    lambda x: engine.repeat(x, True), lambda x: engine.tril(x, k=0.5),
    lambda x: engine.split(x, True), lambda x: engine.unstack(x, axis=True),
    lambda x: engine.permute_dims(x, None), lambda x: engine.topk(x, 1.0),
    lambda x: engine.split(x, 1.5), lambda x: engine.full((2,), None), lambda x: x @ None,
])  # fmt: skip
def test_numpy_rounds_these_and_the_engine_refuses_them(call):
    with pytest.raises(TypeError):
        call(X)


def test_integers_of_numpy_are_integers():
    one, x = np.int64(1), engine.asarray(np.arange(12.0).reshape(3, 4), requires_grad=True)
    for found, expected in [
        (engine.roll(x, one, axis=one), np.roll(x.data, 1, 1)),
        (engine.repeat(x, one, axis=one), x.data), (engine.tile(x, one), x.data),
        (engine.squeeze(x[:1], np.int32(0)), x.data[0]), (engine.swapaxes(x, one, 0), x.data.T),
        (engine.expand_dims(x, axis=one), x.data[:, None]),
        (engine.diff(x, n=one), np.ones((3, 3))),
        (engine.split(x, one)[0], x.data), (engine.sum(x, axis=one), x.data.sum(1)),
        (engine.expand_dims(x, axis=(0, -1)), x.data[None, ..., None]),
        (engine.topk(x, one)[0], x.data[:, 3:]), (engine.moveaxis(x, [0], [one]), x.data.T),
    ]:  # fmt: skip
        np.testing.assert_array_equal(found.numpy(), expected)
        assert engine.gradients(engine.sum(found), [x])[0].shape == x.shape


def test_diff_with_ends_is_numpys():
    x = np.array([[3.0, 1.0, 4.0], [1.0, 5.0, 9.0]], "f")
    for given in ({"prepend": 0.0}, {"append": x[:, :2]}, {"prepend": 0.0, "append": 7, "n": 2},
                  {"prepend": x, "n": 0}, {"axis": 0, "prepend": x[:1] * 2}):  # fmt: skip
        expected = np.diff(x, **given)
        np.testing.assert_array_equal(engine.diff(engine.asarray(x), **given).numpy(), expected)


@pytest.mark.parametrize("call", [
    lambda x: engine.concat([x, None]), lambda x: engine.concat([None, x]),
    lambda x: engine.stack([x, None]), lambda x: engine.stack([None]),
    lambda x: engine.linear(None, x, x[:, 0]), lambda x: engine.linear(x, None, x[:, 0]),
    lambda x: engine.where(None, x, x), lambda x: engine.where(x > 0, x, None),
    lambda x: engine.einsum("ij->i", None), lambda x: engine.linalg.solve(None, x),
    lambda x: engine.searchsorted(None, x), lambda x: engine.add_at(x, 0, None),
    lambda x: engine.asarray(None), lambda x: engine.custom_op("two", lambda xp, x, y: x, None)(
        None, x),
])  # fmt: skip
def test_nothing_is_no_tensor(call):
    # A None among the inputs is a forgotten argument, not one to be left out.
    with pytest.raises(TypeError, match=r"None|object"):
        call(X)


def test_what_may_be_left_out_may_be_none():
    x, weight = engine.ones((2, 3)), engine.ones((4, 3))
    assert engine.linear(x, weight, None).shape == (2, 4)
    scaled = engine.custom_op("scaled", lambda xp, x, by=None: x if by is None else x * by, None)
    assert scaled(x, None).numpy().tolist() == x.numpy().tolist()
    assert scaled(x, 2.0).numpy().tolist() == (x * 2).numpy().tolist()


def test_ops_of_nothing_are_refused():
    with pytest.raises(TypeError, match=r"^add: needs at least one tensor"):
        engine.add()
    with pytest.raises(TypeError, match=r"^matmul: \(3, 4\): matmul\(\) missing 1 required"):
        engine.matmul(X)


def test_arguments_too_many_are_refused():
    x = engine.ones(2)
    with pytest.raises(TypeError):
        engine.reshape(x, 2, 1)
    with pytest.raises(TypeError):
        engine.relu(x, 5)


def test_a_bias_that_is_no_row_is_refused_or_right():
    x, weight = np.ones((3, 4)), np.ones((2, 4))
    bias = np.arange(6.0).reshape(3, 2)
    try:
        engine.linear(engine.asarray(x), engine.asarray(weight), engine.asarray(bias))
    except ValueError:
        return
    assert engine.gradcheck(engine.linear, [x, weight, bias])


@pytest.mark.parametrize("make", [lambda: 1j, lambda: [1 + 2j], lambda: "text", object])
def test_data_of_no_use_is_refused(make):
    with pytest.raises(TypeError):
        engine.asarray(make())


def test_ragged_data_and_unknown_devices_are_refused():
    with pytest.raises(ValueError, match="inhomogeneous"):
        engine.asarray([[1.0], [1.0, 2.0]])
    with pytest.raises(ValueError, match="unknown device 'tpu'"):
        engine.asarray(1.0, device="tpu")
    with pytest.raises(TypeError, match="int64 tensor has no gradient"):
        engine.asarray([1, 2], requires_grad=True)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["1", "2"], r"dtype <U1 is not supported; .*make numbers of text first"),
        (len, "asarray: expected numbers, got builtin_function_or_method"),
        ([1.0, None], r"dtype object is not supported; .*Fill, convert or pad"),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), r"days since the first one"),
    ],
)
def test_what_holds_no_numbers_is_refused_with_what_to_do(given, told):
    with pytest.raises(TypeError, match=told):
        engine.asarray(given)
