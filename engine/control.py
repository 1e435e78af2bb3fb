"""Give control flow by functions, as `jax.lax` has it: Python's own `if`, `while` and `for`.

What was run is on the graph, so it can be differentiated any number of times. Above `asarray`.
"""

from collections.abc import Callable
from typing import Any

from engine.apply import asarray
from engine.checks import is_whole
from engine.errors import NotRecordableError
from engine.pytree import flatten, structure
from engine.tensor import Tensor


def cond(
    pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any
) -> Any:
    """Return ``true_fun(*operands)`` where `pred` is true, else ``false_fun(*operands)``.

    As `jax.lax.cond`, but only the function that is chosen runs. `pred` is a number, or a tensor
    of shape (); operands and results are pytrees of tensors. A step of `scan` that decides by a
    number of its own runs in a loop, of which a RecurrenceWarning tells; `where` keeps it compiled.
    Raises ValueError for a `pred` of another shape, TypeError for what is no function.

    >>> engine.grad(lambda x: engine.cond(x > 0, engine.exp, engine.negative, x))(-3.0).item()
    -1.0
    """
    for name, f in (("true_fun", true_fun), ("false_fun", false_fun)):
        _check_function("cond", name, f)
    chosen = true_fun if _decided("cond", "pred", pred) else false_fun
    return _tensors(chosen(*map(_tensors, operands)))


def while_loop(
    cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init_val: Any
) -> Any:
    """Return the first of `init_val`, ``body_fun(init_val)``, ... for which `cond_fun` is false.

    As `jax.lax.while_loop`, and differentiable through the steps that ran, which are on the graph
    one by one; `engine.no_grad` keeps none. `init_val` is a pytree of tensors, to which `body_fun`
    returns one alike; `cond_fun` returns a number, or a tensor of shape (). In a step of `scan`
    see `cond`. Raises ValueError where the form, a shape or a dtype changes, and for a condition
    of another shape, TypeError for what is no function.

    >>> engine.while_loop(lambda x: x < 100, lambda x: x * x, 3.0).item()
    6561.0
    """
    for name, f in (("cond_fun", cond_fun), ("body_fun", body_fun)):
        _check_function("while_loop", name, f)
    value = _tensors(init_val)
    while _decided("while_loop", "what cond_fun returns", cond_fun(value)):
        value = _alike("while_loop", body_fun(value), value)
    return value


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[int, Any], Any], init_val: Any) -> Any:
    """Return ``body_fun(upper - 1, ... body_fun(lower, init_val))``, as `jax.lax.fori_loop`.

    The index is an integer of Python. A loop of many steps is faster as ``engine.scan(step, init,
    None, length=n)``, which compiles its step. Raises ValueError where the form, a shape or a dtype
    changes, and for bounds that are no whole numbers; TypeError for what is no function.

    >>> engine.fori_loop(0, 5, lambda i, x: x + i, 0).item()
    10
    """
    _check_function("fori_loop", "body_fun", body_fun)
    value = _tensors(init_val)
    for i in range(_bound("lower", lower), _bound("upper", upper)):
        value = _alike("fori_loop", body_fun(i, value), value)
    return value


def _check_function(op: str, name: str, f: Any) -> None:
    if not callable(f):
        raise TypeError(f"{op}: {name} must be a function, got {type(f).__name__}")


def _tensors(tree: Any) -> Any:
    """Return a pytree with tensors for its arrays and numbers."""
    leaves, rebuild = flatten(tree)
    return rebuild([x if isinstance(x, Tensor) else asarray(x) for x in leaves])


def _decided(op: str, name: str, value: Any) -> bool:
    """Return the truth of one number."""
    x = value if isinstance(value, Tensor) else asarray(value)
    if x.shape != ():
        raise ValueError(
            f"{op}: {name} must be one number, of shape (), got shape {x.shape}; to choose number "
            "by number write engine.where(condition, x, y)"
        )
    try:
        return bool(x)
    except NotRecordableError as reason:
        raise NotRecordableError(
            f"engine.{op} in the step decides by a number, and a recorded step has none; "
            "engine.where computes both sides and keeps the step compiled"
        ) from reason


def _bound(name: str, value: Any) -> int:
    if isinstance(value, Tensor) and value.shape == ():
        try:
            value = value.item()
        except NotRecordableError as reason:
            raise NotRecordableError(
                f"engine.fori_loop in the step has a bound `{name}` that is computed, and a "
                "recorded step has no numbers; give whole numbers"
            ) from reason
    if not is_whole(value):
        raise ValueError(f"fori_loop: {name} must be a whole number, got {value!r}")
    return int(value)


def _alike(op: str, found: Any, before: Any) -> Any:
    """Return what a step has made of a value. Raises ValueError where it is of another kind."""
    new = _tensors(found)
    if structure(new) != structure(before):
        raise ValueError(
            f"{op}: body_fun was given {structure(before)} and returned {structure(new)}; it must "
            "return the same form (* is a tensor)"
        )
    for x, old in zip(flatten(new)[0], flatten(before)[0], strict=True):
        if (x.shape, x.dtype) != (old.shape, old.dtype):
            raise ValueError(
                f"{op}: body_fun was given {old.dtype}{list(old.shape)} and returned "
                f"{x.dtype}{list(x.shape)}; shapes and dtypes must stay, so start with one of "
                "that kind, or astype() the result"
            )
    return new
