"""Errors of the ops: the op, the scope, the shapes, the fix, and a class that NumPy's is too."""

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
}


@pytest.mark.parametrize("name", CLASSES)
def test_errors_are_of_numpys_class(name):
    with pytest.raises(Exception) as theirs:  # noqa: PT011  (whichever it is)
        CLASSES[name](np, N)
    with pytest.raises(Exception) as ours:  # noqa: PT011
        CLASSES[name](engine, X)
    public = (k for k in type(theirs.value).__mro__ if k.__module__ in ("builtins", AXIS_MODULE))
    assert isinstance(ours.value, next(public))


def test_arguments_too_many_are_refused():
    x = engine.ones(2)
    with pytest.raises(TypeError):
        x.reshape(2, 1)
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
