"""Test methods of tensors, NumPy's functions of them, and hints for other libraries' names."""

import ast
import copy
import inspect
import math
import pickle
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine import methods
from engine.operators import OWN
from engine.registry import METHODS
from tests.draws import leaf

X = np.array([[3.0, 1.0, 2.0], [1.0, 5.0, 1.0]])


def declared() -> dict[str, list[str]]:
    """Return the methods that type checkers see, each with its parameters."""
    tree = ast.parse(Path(methods.__file__).read_text(encoding="utf-8"))
    own = next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    functions = [(one.name, one.args) for one in own.body if isinstance(one, ast.FunctionDef)]
    found = {name: [a.arg for a in (*its.posonlyargs, *its.args, *its.kwonlyargs)]
             for name, its in functions}  # fmt: skip
    for one in own.body:  # as in `acos = acosh = abs`
        if isinstance(one, ast.Assign):
            found |= dict.fromkeys(map(ast.unparse, one.targets), found[ast.unparse(one.value)])
    return found


def test_type_checkers_see_the_methods_that_there_are():
    found = {name: names for name, names in declared().items() if not name.startswith("_")}
    there = {*METHODS, *OWN, "backward"} - {one for one in OWN if one.startswith("_")}
    there -= {"T", "mT"}
    assert there - set(found) == set(), "enter them in the class Methods of engine/methods.py"
    assert set(found) - there == set(), "methods that are no more, in engine/methods.py"
    for name, function in METHODS.items():
        if name in OWN:
            continue
        own = [p.name for p in inspect.signature(function).parameters.values()]
        assert found[name][1:] == own[1:], name


def test_every_op_of_one_tensor_that_is_elementwise_or_a_reduction_is_a_method():
    for op in engine.REGISTRY.values():
        if op.public and op.inputs == 1 and op.kind in ("elementwise", "reduction"):
            assert hasattr(engine.Tensor, op.name), op.name


# What both NumPy and PyTorch users type, and what NumPy gives.
TYPED: dict[str, Callable[[Any], Any]] = {
    "max": lambda x: x.max(), "max of rows": lambda x: x.max(axis=1), "min": lambda x: x.min(0),
    "mean": lambda x: x.mean(0), "sum": lambda x: x.sum(1), "sum kept": lambda x: x.sum(
        axis=0, keepdims=True),
    "std": lambda x: x.std(0), "var": lambda x: x.var(axis=1), "prod": lambda x: x.prod(),
    "any": lambda x: (x > 4).any(), "all": lambda x: (x > 0).all(axis=0),
    "argmax": lambda x: x.argmax(1), "argmin": lambda x: x.argmin(),
    "argsort": lambda x: x.argsort(), "clip": lambda x: x.clip(1, 2),
    "round": lambda x: (x / 3).round(1), "squeeze": lambda x: x[:1].squeeze(),
    "squeeze one": lambda x: x[:1].squeeze(0), "reshape": lambda x: x.reshape((3, 2)),
    "swapaxes": lambda x: x.swapaxes(0, 1), "astype": lambda x: x.astype("float32"),
    "cumsum": lambda x: x.cumsum(axis=1), "diagonal": lambda x: x.diagonal(),
    "trace": lambda x: x.trace(), "T": lambda x: x.T, "tolist": lambda x: x.tolist(),
    "item": lambda x: x[0, 0].item(), "ndim": lambda x: x.ndim, "size": lambda x: x.size,
}  # fmt: skip


@pytest.mark.parametrize("name", TYPED)
def test_methods_are_numpys(name):
    found, expected = TYPED[name](engine.asarray(X)), TYPED[name](X)
    if isinstance(found, engine.Tensor):
        assert found.shape == np.shape(expected)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-14)
    else:
        assert found == expected


@pytest.mark.parametrize("name", ["exp", "log", "sqrt", "tanh", "sigmoid", "abs", "relu", "softmax",
                                  "log_softmax", "logsumexp", "square", "mean", "std"])  # fmt: skip
def test_methods_are_the_functions_and_differentiate(name):
    x = leaf(X)
    found, expected = getattr(x, name)(), getattr(engine, name)(x)
    np.testing.assert_array_equal(found.numpy(), expected.numpy())
    assert engine.gradcheck(lambda x: getattr(x, name)(), [X + 0.25], 2)


@pytest.mark.parametrize(("name", "instead"), [
    ("permute", "engine.permute_dims(x, axes)"), ("unsqueeze", "engine.expand_dims(x, axis=axis)"),
    ("view", "x.reshape(shape)"), ("flatten", "x.reshape((-1,))"), ("cpu", 'x.to_device("numpy")'),
    ("clone", "engine.asarray(x, copy=True)"), ("float", "x.astype(engine.float32)"),
    ("double", "x.astype(engine.float64)"), ("t", "x.T"), ("dim", "x.ndim"), ("mm", "x @ y"),
    ("gather", "engine.take_along_axis"), ("masked_fill", "engine.where(mask, value, x)"),
    ("topk", "engine.topk(x, ...)"), ("inv", "engine.linalg.inv(x, ...)"), ("add_", "x += y"),
    ("split", "engine.split(x, parts"), ("repeat", "engine.tile(x, counts)"),
    ("sort", "engine.sort(x, axis=axis)"), ("view_as", "x.reshape(y.shape)"),
    ("transpose", "x.T"), ("type_as", "x.astype(y.dtype)"),
])  # fmt: skip
def test_names_of_other_libraries_say_what_to_write(name, instead):
    with pytest.raises(AttributeError) as caught:
        getattr(engine.ones(2), name)
    message = str(caught.value)
    assert message.startswith(f"a tensor has no {name!r}; write ")
    assert instead in message
    assert "\n" not in message


def test_what_is_advised_exists():
    for advice in methods.INSTEAD.values():
        for part in re.sub("[(),;]", " ", advice).split():
            if part.startswith("engine."):
                assert hasattr(engine, part.removeprefix("engine.")), advice
            elif part.startswith("x.") and part != "x.node.inputs":
                assert hasattr(engine.ones((2, 2)), part.removeprefix("x.")), advice


def test_no_advice_is_about_a_method_that_there_is():
    assert [name for name in methods.INSTEAD if hasattr(engine.ones((1, 1)), name)] == []


def test_unknown_names_are_unknown():
    x = engine.ones(2)
    for name in ("foo", "_private", "__array_interface__"):
        with pytest.raises(AttributeError, match=f"has no attribute '{name}'"):
            getattr(x, name)
    assert getattr(x, "view", None) is None


# ---- operators and functions of Python and NumPy


def test_round_and_divmod():
    x = leaf([1.26, -2.5, 3.5])
    np.testing.assert_array_equal(round(x).numpy(), [1.0, -2.0, 4.0])
    np.testing.assert_array_equal(round(x, 1).numpy(), np.round(x.numpy(), 1))
    for left, right in ((x, 2), (7, x), (x, x), (x.numpy(), x), (x, x.numpy())):
        found = divmod(left, right)
        plain = [one.numpy() if isinstance(one, engine.Tensor) else one for one in (left, right)]
        for ours, theirs in zip(found, divmod(*plain), strict=True):
            np.testing.assert_array_equal(ours.numpy(), theirs)
    assert engine.gradients(engine.sum(divmod(x, 2.0)[1]), [x])[0].numpy().tolist() == [1, 1, 1]


@pytest.mark.parametrize("decimals", [-1, 0, 1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_round_to_decimals_is_numpys(decimals, dtype):
    x = (np.array([[123.4567, -5.5, 15.0], [25.0, 0.05, 0.15]]) * 1).astype(dtype)
    np.testing.assert_array_equal(
        engine.round(engine.asarray(x), decimals=decimals).numpy(), np.round(x, decimals),
        strict=True)  # fmt: skip
    with pytest.raises(TypeError, match=r"decimals must be an integer, got 1\.5"):
        engine.round(engine.asarray(x), decimals=1.5)


@pytest.mark.parametrize("key", [np.True_, np.False_, (np.True_, 0), (0, np.False_), True])
def test_booleans_of_numpy_are_indices(key):
    x = engine.asarray(X, requires_grad=True)
    np.testing.assert_array_equal(x[key].numpy(), X[key], strict=True)
    assert engine.gradients(engine.sum(x[key]), [x])[0].shape == X.shape


NUMPYS: dict[str, Callable[[Any], Any]] = {
    "exp": np.exp, "sum": np.sum, "sum of rows": lambda x: np.sum(x, axis=1), "mean": np.mean,
    "std": lambda x: np.std(x, axis=0), "var": np.var, "max": lambda x: np.max(x, axis=0),
    "prod": np.prod, "add": lambda x: np.add(1.0, x), "power": lambda x: np.power(x, 2.0),
    "absolute": lambda x: np.abs(-x), "maximum": lambda x: np.maximum(x, X[::-1]),
    "matmul": lambda x: np.matmul(X.T, x), "clip": lambda x: np.clip(x, 1.5, 2.5),
    "cumsum": lambda x: np.cumsum(x, axis=1), "kept": lambda x: np.mean(x, axis=1, keepdims=True),
    "round": lambda x: np.round(x, 1), "arctan2": lambda x: np.arctan2(x, 2.0),
    "isnan": np.isnan, "array + tensor": lambda x: X + x, "array / tensor": lambda x: X / x,
    "array @ tensor": lambda x: X.T @ x, "array < tensor": lambda x: x.shape and X[:1] < x,
    "scalar ** tensor": lambda x: np.float64(2.0) ** x, "array == tensor": lambda x: x == X,
}  # fmt: skip


@pytest.mark.parametrize("name", NUMPYS)
def test_numpys_functions_of_tensors_are_the_engines(name):
    x = leaf(X)
    found = NUMPYS[name](x)
    assert isinstance(found, engine.Tensor)
    np.testing.assert_allclose(found.numpy(), NUMPYS[name](X), rtol=1e-14)
    assert found.requires_grad == (found.dtype.kind == "f")


@pytest.mark.parametrize(("call", "message"), [
    (lambda x: np.cbrt(x), r"^np\.cbrt: tensors have no such function; write np\.cbrt\(x\.numpy"),
    (lambda x: np.add.reduce(x), r"^np\.add\.reduce: tensors have no such function"),
    (lambda x: np.exp(x, out=np.ones((2, 3))), r"^np\.exp: an array cannot be the output"),
    (lambda x: np.ones((2, 3)).__iadd__(x), r"^np\.add: an array cannot be the output"),
    (lambda x: np.std(x, ddof=1), r"^std: ddof is called correction here"),
    (lambda x: np.sum(x, out=np.ones(())), r"^sum: no keyword 'out'"),
])  # fmt: skip
def test_what_numpy_cannot_do_with_tensors_is_an_error_with_a_remedy(call, message):
    with pytest.raises(TypeError, match=message):
        call(leaf(X))


# ---- no_grad before a function


def test_no_grad_decorates():
    w = leaf([1.0, 2.0])

    @engine.no_grad()
    def doubled(x: Any, *, by: float = 2.0) -> Any:
        """Return x times a number."""
        return x * by

    assert not doubled(w).requires_grad
    assert doubled(w, by=3.0).numpy().tolist() == [3.0, 6.0]
    assert (doubled.__name__, doubled.__doc__) == ("doubled", "Return x times a number.")
    assert (w * 2).requires_grad

    @engine.no_grad()
    def failing(x: Any) -> Any:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        failing(w)
    assert (w * 2).requires_grad


def test_a_decorated_function_may_call_itself_and_run_in_threads():
    w, seen = leaf(1.0), []

    @engine.no_grad()
    def deep(n: int) -> bool:
        return deep(n - 1) if n else (w * 2).requires_grad

    assert deep(3) is False
    inside, leave = threading.Event(), threading.Event()

    @engine.no_grad()
    def waits() -> None:
        inside.set()
        leave.wait(5)

    thread = threading.Thread(target=waits)
    thread.start()
    inside.wait(5)
    seen.append((w * 2).requires_grad)
    leave.set()
    thread.join()
    assert seen == [True]
    assert (w * 2).requires_grad


def test_other_settings_decorate_too():
    @engine.explicit()
    def nodes(x: Any) -> int:
        ys = engine.scan(lambda h, x: (h + x, h), engine.zeros(2), x)[1]
        return len(engine.Graph.of(ys).nodes)

    @engine.tracing()
    def traced(x: Any) -> Any:
        return x * 2

    assert nodes(engine.asarray(np.ones((4, 2), "f"), requires_grad=True)) > 4
    assert traced(engine.ones(2)).node.inputs


def test_what_runs_in_pieces_is_not_decorated():
    def pieces() -> Any:
        yield 1

    with pytest.raises(TypeError, match="pieces is run in pieces; write the `with` inside"):
        engine.no_grad()(pieces)


# ---- copies and pickles

LEAVES: dict[str, Callable[[], engine.Tensor]] = {
    "parameter": lambda: leaf(X, name="weight"),
    "frozen": lambda: engine.asarray(X.astype("f"), name="frozen"),
    "nameless": lambda: engine.ones((2, 3), requires_grad=True),
    "number": lambda: engine.asarray(2.5),
    "integers": lambda: engine.asarray(np.arange(6, dtype="int8").reshape(2, 3)),
    "booleans": lambda: engine.asarray(X > 1),
    "empty": lambda: engine.zeros((0, 3)),
    "half": lambda: engine.asarray(X.astype("float16"), requires_grad=True),
    "view": lambda: engine.asarray(X.T[::2]),
    "detached": lambda: (leaf(X) * 2).detach(),
    "without a graph": lambda: engine.ones(2) * 3,
}
COPIES: dict[str, Callable[[Any], Any]] = {
    **{f"pickle {n}": lambda x, n=n: pickle.loads(pickle.dumps(x, n)) for n in (2, 4, 5)},
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", LEAVES)
def test_leaves_are_copied_with_all_that_they_are(name, how):
    x = LEAVES[name]()
    found = COPIES[how](x)
    np.testing.assert_array_equal(found.numpy(), x.numpy(), strict=True)
    assert (found.requires_grad, found.device, found.node.name) == (
        x.requires_grad, x.device, x.node.name)  # fmt: skip
    assert found.node is not x.node
    assert not np.shares_memory(found.numpy(), x.numpy())
    if found.requires_grad:
        engine.sum(found * found).backward()
        np.testing.assert_array_equal(found.grad.numpy(), 2 * x.numpy())
        assert x.grad is None


def test_bfloat16_is_pickled():
    pytest.importorskip("ml_dtypes")
    x = engine.asarray(X, engine.bfloat16)
    found = pickle.loads(pickle.dumps(x))
    assert found.dtype == x.dtype
    assert (found + 1).tolist() == (X + 1).tolist()


def test_tensors_that_are_one_stay_one():
    w = leaf(X)
    first, second = pickle.loads(pickle.dumps([w, w]))
    assert first is second


def test_gradients_and_hooks_stay_behind_in_a_pickle():
    w = leaf(X)
    engine.sum(w * w).backward()
    w.register_hook(lambda g: g * 10)
    found = pickle.loads(pickle.dumps(w))
    assert found.grad is None
    engine.sum(found).backward()
    assert found.grad.numpy().tolist() == np.ones((2, 3)).tolist()
    np.testing.assert_array_equal(copy.deepcopy(w).grad.numpy(), w.grad.numpy())


@pytest.mark.parametrize("how", COPIES)
def test_what_was_computed_says_to_detach(how):
    with pytest.raises(TypeError, match=r"only leaves can be .*detach\(\) the tensor first"):
        COPIES[how](leaf(X) * 2)


def test_a_shallow_copy_has_the_same_place():
    w = leaf(X)
    for x in (w, w * 2):
        found = copy.copy(x)
        assert found is not x
        assert found.node is x.node
        assert found.data is x.data
        assert math.isclose(engine.gradients(engine.sum(found), [w])[0].numpy()[0, 0],
                            1.0 if x is w else 2.0)  # fmt: skip


def test_the_text_of_a_tensor_says_its_dtype_once():
    x = engine.asarray(np.float32([1.3980173, -1.6478038, 0.44516522, 1.11, 1.3980173]))
    assert repr(x).count("dtype") == 1
    assert repr(engine.zeros((2, 2))).count("dtype") == 1


@pytest.mark.parametrize(("name", "told"), [("cat", "engine.concat"), ("randn", "engine.random."),
                                            ("manual_seed", "engine.seed")])  # fmt: skip
def test_functions_of_pytorch_say_what_to_write(name, told):
    with pytest.raises(AttributeError, match=f"no attribute '{name}'; write {told}"):
        getattr(engine, name)


def test_devices_of_pytorch_say_what_they_are_here():
    assert engine.device("cpu") == engine.zeros(2, device="cpu").device == "numpy"
    for name in ("gpu", "cuda:x", "cpu:0", "numpy:0", "mps", ""):
        with pytest.raises(ValueError, match=f"unknown device '{name}'; there are 'numpy', 'cupy'"):
            engine.zeros(2, device=name)


def test_gradients_takes_one_tensor_and_no_dict():
    x = engine.asarray([[1.0, 2.0]], requires_grad=True)
    (g,) = engine.gradients(engine.sum(x * x), x)
    assert g.numpy().tolist() == [[2, 4]]
    with pytest.raises(TypeError, match="of a dict give the values"):
        engine.gradients(engine.sum(x), {"x": x})


def test_transforms_return_functions():
    x = engine.ones(2)
    for transform in (engine.grad, engine.jacobian, engine.value_and_grad):
        for wrong in (x, 3, "x"):
            with pytest.raises(TypeError, match=r"write engine.grad\(f\)\(x\)"):
                transform(engine.sum, wrong)(x)
    for xs, order in ((x, 1), ((x,), 3)):
        with pytest.raises(TypeError, match="in a tuple, such as"):
            engine.gradcheck(engine.sum, xs, order)


def test_random_numbers_without_a_key_differ_and_follow_the_seed():
    for draw in (
        lambda: engine.random.normal((4,), 1.0),
        lambda: engine.random.uniform((4,), 0, 1),
    ):
        engine.seed(5)
        one, other = draw().numpy(), draw().numpy()
        assert (one != other).all()
        engine.seed(5)
        np.testing.assert_array_equal(draw().numpy(), one)
    with pytest.raises(TypeError, match="shape comes first"):
        engine.random.normal(0, 1, (3,))


def test_shapes_are_given_as_tuples_or_one_by_one():
    x = engine.asarray(np.arange(6.0), requires_grad=True)
    for y in (x.reshape(2, 3), x.reshape((2, 3)), x.reshape([2, -1]), x.reshape(2, -1)):
        assert y.shape == (2, 3)
    assert x.reshape(2, 3).reshape(-1).shape == (6,)
    with pytest.raises(TypeError, match=r"zeros: a shape is one argument; write zeros\(\(2, 3\)\)"):
        engine.zeros(2, 3)
    with pytest.raises(TypeError, match=r"triu: 2 arguments by position, at most 1; .* k="):
        engine.triu(engine.ones((2, 2)), 1)
