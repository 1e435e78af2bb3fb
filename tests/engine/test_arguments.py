"""Test arguments of public functions: flags, arrays for tensors, keywords of other libraries."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine
from engine import Tensor
from engine.arguments import FLAGS
from engine.checks import flag

X = np.array([[3.0, 1.0, 2.0], [1.0, 5.0, 1.0]])
SPACES = (engine, engine.linalg)
FUNCTIONS = {
    f"{space.__name__}.{name}": getattr(space, name)
    for space in SPACES
    for name in space.__all__
    if inspect.isfunction(getattr(space, name))
}


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    return list(inspect.signature(function).parameters.values())


# ---- flags

WITH_FLAGS = [
    (name, p.name) for name, f in FUNCTIONS.items() for p in parameters(f) if p.annotation in FLAGS
]


def arguments(f: Callable[..., Any], own: str, value: Any) -> tuple[list[Any], dict[str, Any]]:
    """Return a value for every required parameter, with `value` in the place of one."""
    stand_ins = {"step": lambda h, x: (h, x), "init": 0.0, "xs": X, "shape": (2,), "x1": X,
                 "inputs": [], "name": "a", "forward": lambda xp, x: x, "vjp": None,
                 "values": X, "start": 0.0, "stop": 1.0, "num": 3, "fill_value": 1.0, "k": 1,
                 "dtype": engine.float32, "axis": 0}  # fmt: skip
    given = []
    for p in parameters(f):
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
            given.append(stand_ins.get(p.name, X))
    return given, {own: value}


@pytest.mark.parametrize(("name", "own"), WITH_FLAGS)
@pytest.mark.parametrize("value", ["False", "", 0, 1, 2.0, np.array([True])], ids=repr)
def test_flags_are_true_or_false(name, own, value):
    args, keywords = arguments(FUNCTIONS[name], own, value)
    with pytest.raises(TypeError, match=rf"{own} must be True or False, got "):
        FUNCTIONS[name](*args, **keywords)


def test_the_flags_are_found():
    assert len(WITH_FLAGS) > 30
    assert {"keepdims", "create_graph", "requires_grad", "copy", "descending", "reverse",
            "full_matrices", "largest"} <= {own for _, own in WITH_FLAGS}  # fmt: skip


@pytest.mark.parametrize("value", [True, False, np.True_, np.False_])
def test_flags_of_numpy_are_flags(value):
    assert flag("x", value) is bool(value)
    assert engine.sum(X, keepdims=value).shape == ((1, 1) if value else ())
    assert engine.mean(X, keepdims=value).shape == ((1, 1) if value else ())
    assert engine.asarray(1.0, requires_grad=value).requires_grad is bool(value)


def test_flags_that_may_be_left_open_may_be_none():
    assert engine.reshape(X, (6,), copy=None).shape == (6,)
    with pytest.raises(TypeError, match="keepdims must be True or False, got None"):
        engine.sum(X, keepdims=None)


def test_flags_by_position_are_read_too():
    w = engine.asarray(X, requires_grad=True)
    loss = engine.sum(w * w)
    with pytest.raises(TypeError, match="create_graph must be True or False"):
        engine.gradients(loss, [w], None, "False")
    with pytest.raises(TypeError, match="create_graph must be True or False"):
        loss.backward(None, "False")
    with pytest.raises(TypeError, match="retain_graph must be True or False"):
        loss.backward(retain_graph="False")
    assert w.grad is None


# ---- the names of other libraries

ELSEWHERE: dict[str, tuple[Callable[[], Any], str]] = {
    "an op": (lambda: engine.sum(X, dim=1), r"^sum: dim is called axis here; write axis="),
    "a method": (lambda: engine.asarray(X).sum(dim=1), "^sum: dim is called axis here"),
    "a composition": (lambda: engine.mean(X, dim=1), "^mean: dim is called axis here"),
    "keepdim": (lambda: engine.std(X, keepdim=True), "^std: keepdim is called keepdims here"),
    "several": (lambda: engine.topk(X, 1, dim=0), "^topk: dim is called axis here"),
    "concat": (lambda: engine.concat([X, X], dim=1), "^concat: dim is called axis here"),
    "losses": (lambda: engine.cross_entropy(X, [0, 1], dim=1), "^cross_entropy: dim is called"),
    "permute": (lambda: engine.permute_dims(X, dims=(1, 0)), "^permute_dims: dims is called axes"),
    "linalg": (lambda: engine.linalg.vector_norm(X, dim=1), "^vector_norm: dim is called axis"),
    "ddof": (lambda: engine.var(X, ddof=1), "^var: ddof is called correction here"),
    "unknown": (lambda: engine.max(X, axes_=0), r"^max: no keyword 'axes_' .* axis, keepdims$"),
    "no keywords": (lambda: engine.exp(X, dim=0), r"^exp: no keyword 'dim' .*its keywords: none"),
    "an output": (lambda: engine.sum(X, out=X), r"^sum: no keyword 'out'"),
}  # fmt: skip


@pytest.mark.parametrize("name", ELSEWHERE)
def test_keywords_of_other_libraries_are_named(name):
    call, message = ELSEWHERE[name]
    with pytest.raises(TypeError, match=message):
        call()


ALONG = [name for name, f in FUNCTIONS.items() if "axis" in (p.name for p in parameters(f))]


@pytest.mark.parametrize("name", ALONG)
def test_every_function_along_an_axis_knows_what_dim_means(name):
    args, keywords = arguments(FUNCTIONS[name], "dim", 0)
    with pytest.raises(TypeError, match=r"dim is called (axis|axes) here"):
        FUNCTIONS[name](*args, **keywords)


# ---- arrays and numbers in the place of tensors


def of_values(function: Callable[..., Any]) -> bool:
    return ".ops." in function.__module__ and not function.__module__.endswith("chance")


def one_tensor(function: Callable[..., Any]) -> bool:
    """Tell whether a function needs one tensor and nothing else, no graph and no chance."""
    if not of_values(function):
        return False
    needed = [p for p in parameters(function) if p.default is p.empty]
    return len(needed) == 1 and needed[0].annotation in (Tensor, "Tensor")


ALONE = [name for name, f in FUNCTIONS.items() if one_tensor(f)]


@pytest.mark.parametrize("name", ALONE)
def test_functions_of_a_tensor_take_arrays(name):
    function = FUNCTIONS[name]
    kept = np.arange(4.0) if "cum" in name else np.eye(2) * 3 + 1
    for given in (kept, kept.tolist()):
        expected = function(engine.asarray(given))
        for one, other in zip(_parts(function(given)), _parts(expected), strict=True):
            if name != "engine.empty_like":
                np.testing.assert_array_equal(one, other)


def _parts(result: Any) -> list[Any]:
    several = result if isinstance(result, tuple | list) else [result]
    return [x.numpy() if isinstance(x, Tensor) else x for x in several]


def test_the_functions_of_a_tensor_are_found():
    assert len(ALONE) > 30
    for name in ("mean", "squeeze", "reshape", "moveaxis", "topk", "where", "concat", "stack"):
        assert f"engine.{name}" in FUNCTIONS


@pytest.mark.parametrize("call", [
    lambda xp, x: xp.mean(x, axis=0), lambda xp, x: xp.squeeze(x[:1], 0),
    lambda xp, x: xp.moveaxis(x, 0, 1), lambda xp, x: xp.reshape(x, (3, 2)),
    lambda xp, x: xp.where(x > 1, x, 0.0), lambda xp, x: xp.concat([x, x]),
    lambda xp, x: xp.clip(x, 2, 4), lambda xp, x: xp.tril(x), lambda xp, x: xp.tile(x, (2, 1)),
    lambda xp, x: xp.take_along_axis(x, xp.argsort(x, axis=-1), axis=-1),
    lambda xp, x: xp.tensordot(x, x, axes=2), lambda xp, x: xp.diff(x),
    lambda xp, x: xp.split(x, 3, axis=1)[1], lambda xp, x: xp.cumulative_sum(x, axis=1),
])  # fmt: skip
def test_arrays_give_numpys_values(call):
    np.testing.assert_allclose(call(engine, X).numpy(), call(np, X))
