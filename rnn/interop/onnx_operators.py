"""Write ops as ONNX operators: one table from the names of ops. Below `onnx_models.py`.

Operators are those of opset 17. What is not in the table has no equivalent there.
"""

import math
from collections.abc import Callable

import engine
from rnn.interop.onnx_arithmetic import ARITHMETIC
from rnn.interop.onnx_arranging import ARRANGING, FIRST, LAST, got
from rnn.interop.onnx_scopes import Scope
from rnn.interop.onnx_steps import NoEquivalentError, Step

# One operator on inputs of the dtype of the result.
PLAIN = {
    "abs": "Abs", "acos": "Acos", "acosh": "Acosh", "add": "Add", "asin": "Asin",
    "asinh": "Asinh", "atan": "Atan", "atanh": "Atanh", "ceil": "Ceil", "copy": "Identity",
    "cos": "Cos", "cosh": "Cosh", "divide": "Div", "erf": "Erf", "exp": "Exp", "floor": "Floor",
    "identity": "Identity", "log": "Log", "matmul": "MatMul", "maximum": "Max", "minimum": "Min",
    "multiply": "Mul", "negative": "Neg", "power": "Pow", "reciprocal": "Reciprocal",
    "relu": "Relu", "sigmoid": "Sigmoid", "sign": "Sign", "sin": "Sin", "sinh": "Sinh",
    "sqrt": "Sqrt", "stop_gradient": "Identity", "subtract": "Sub", "tan": "Tan", "tanh": "Tanh",
    "root": "Sqrt",
}  # fmt: skip
# On inputs of one dtype, with booleans as the result.
COMPARING = {"equal": "Equal", "greater": "Greater", "greater_equal": "GreaterOrEqual",
             "less": "Less", "less_equal": "LessOrEqual", "isnan": "IsNaN",
             "isinf": "IsInf"}  # fmt: skip
# On booleans.
LOGICAL = {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor", "logical_not": "Not"}
BITWISE = {"bitwise_and": "And", "bitwise_or": "Or", "bitwise_xor": "Xor",
           "bitwise_invert": "Not"}  # fmt: skip
REDUCING = {"max": "ReduceMax", "min": "ReduceMin", "prod": "ReduceProd", "sum": "ReduceSum"}

Rule = Callable[[Scope, Step], str]


def rule_of(name: str) -> Rule | None:
    """Return the function (writer, `Step`) -> name of the result that writes an op, or None."""
    if name in PLAIN:
        return lambda w, s: w.op(PLAIN[name], *w.cast_all(s, s.dtype))
    if name in COMPARING:
        return lambda w, s: w.op(COMPARING[name], *w.cast_all(s, w.common(s)))
    if name in LOGICAL:
        return lambda w, s: w.op(LOGICAL[name], *w.cast_all(s, engine.bool))
    if name in BITWISE:
        return lambda w, s: _bitwise(w, s, BITWISE[name])
    if name in REDUCING:
        return lambda w, s: _reduced(w, s, REDUCING[name])
    return COMPOSED.get(name)


def write(w: Scope, s: Step) -> None:
    """Write one step. Raises NoEquivalentError that names what ONNX does not have."""
    node = s.node
    if not node.operands:
        w.names[node] = w.constant(s)
    elif node.op.role == "part":
        w.names[node] = w.shared.parts[s.inputs[0].node][s.attrs["number"]]
    elif rule := rule_of(node.op.name):
        w.names[node] = rule(w, s)
    else:
        raise NoEquivalentError(node.op.name)


def _bitwise(w: Scope, s: Step, op: str) -> str:
    if s.dtype != engine.bool:
        raise NoEquivalentError(f"{s.op.name} of {s.dtype}")
    return w.op(op, *w.cast_all(s, engine.bool))


def _axes(s: Step) -> list[int]:
    """Return the axes that a reduction goes over."""
    rank, axis = len(s.shapes[0]), s.attrs.get("axis")
    given = range(rank) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return [one % rank for one in given]


def _reduced(w: Scope, s: Step, op: str) -> str:
    axes, kept = _axes(s), int(bool(s.attrs.get("keepdims")))
    (x,) = w.cast_all(s, s.dtype)
    if s.dtype == engine.bool:
        raise NoEquivalentError(f"{s.op.name} of booleans")
    if not axes:
        return w.op("Identity", x)
    if op == "ReduceSum":
        return w.op(op, x, w.integers(axes), keepdims=kept)
    return w.op(op, x, axes=axes, keepdims=kept)


def _truth(op: str) -> Rule:
    """Return the rule of `all` or `any`: the least or the largest of zeros and ones."""

    def rule(w: Scope, s: Step) -> str:
        (x,) = w.cast_all(s, engine.bool)
        axes, kept = _axes(s), int(bool(s.attrs.get("keepdims")))
        if not axes:
            return x
        found = w.op(op, w.cast(x, engine.int32), axes=axes, keepdims=kept)
        return w.cast(found, engine.bool)

    return rule


def _logsumexp(w: Scope, s: Step) -> str:
    """Write m + log sum exp(x - m), m the largest, or a finite number where that is infinite."""
    axes = _axes(s)
    (x,) = w.cast_all(s, s.dtype)
    if not axes:
        return x
    top = w.op("ReduceMax", x, axes=axes, keepdims=1)
    bound = w.number(float(engine.finfo(s.dtype).max), s.dtype)
    least = w.number(-float(engine.finfo(s.dtype).max), s.dtype)
    top = w.op("Min", w.op("Max", top, least), bound)
    total = w.op("ReduceSum", w.op("Exp", w.op("Sub", x, top)), w.integers(axes), keepdims=1)
    found = w.op("Add", top, w.op("Log", total))
    return found if s.attrs.get("keepdims") else w.op("Squeeze", found, w.integers(axes))


def _arg(op: str) -> Rule:
    def rule(w: Scope, s: Step) -> str:
        axis, kept, (x,) = s.attrs.get("axis"), bool(s.attrs.get("keepdims")), w.given(s)
        if axis is None:
            if kept:
                raise NoEquivalentError(f"{s.op.name} over all axes with keepdims")
            x, axis = w.op("Reshape", x, w.integers([-1])), 0
        return w.op(op, x, axis=axis, keepdims=int(kept))

    return rule


def _linear(w: Scope, s: Step) -> str:
    x, weight, *bias = w.cast_all(s, s.dtype)
    y = w.op("MatMul", x, w.op("Transpose", weight, perm=[1, 0]))
    return w.op("Add", y, bias[0]) if bias else y


def _softmax(op: str) -> Rule:
    return lambda w, s: w.op(op, *w.cast_all(s, s.dtype), axis=s.attrs.get("axis", -1))


def _where(w: Scope, s: Step) -> str:
    condition, x, y = s.inputs
    return w.op("Where", w.cast(w.name(condition, engine.bool), engine.bool),
                w.as_dtype(x, s.dtype), w.as_dtype(y, s.dtype))  # fmt: skip


def _logaddexp(w: Scope, s: Step) -> str:
    """Write max(a, b) + log(1 + exp(-|a - b|))."""
    a, b = w.cast_all(s, s.dtype)
    apart = w.op("Neg", w.op("Abs", w.op("Sub", a, b)))
    return w.op("Add", w.op("Max", a, b), w.op("Softplus", apart))


def _expm1(w: Scope, s: Step) -> str:
    """Write tanh(x / 2) (exp(x) + 1), exact near 0."""
    (x,) = w.cast_all(s, s.dtype)
    half = w.op("Tanh", w.op("Mul", x, w.number(0.5, s.dtype)))
    return w.op("Mul", half, w.op("Add", w.op("Exp", x), w.number(1.0, s.dtype)))


def _log1p(w: Scope, s: Step) -> str:
    """Write 2 atanh(x / (2 + x)) near 0, log(1 + x) elsewhere."""
    (x,) = w.cast_all(s, s.dtype)
    one, two, half = (w.number(value, s.dtype) for value in (1.0, 2.0, 0.5))
    near = w.op("Less", w.op("Abs", x), half)
    inner = w.op("Where", near, x, w.number(0.0, s.dtype))
    exact = w.op("Mul", two, w.op("Atanh", w.op("Div", inner, w.op("Add", two, inner))))
    return w.op("Where", near, exact, w.op("Log", w.op("Add", one, x)))


def _scaled(op: str, before: float = 1.0, after: float = 1.0) -> Rule:
    def rule(w: Scope, s: Step) -> str:
        (x,) = w.cast_all(s, s.dtype)
        x = x if before == 1 else w.op("Mul", x, w.number(before, s.dtype))
        y = w.op(op, x)
        return y if after == 1 else w.op("Mul", y, w.number(after, s.dtype))

    return rule


def _isfinite(w: Scope, s: Step) -> str:
    (x,) = w.given(s)
    if s.dtypes[0].kind != "f":
        raise NoEquivalentError(f"isfinite of {s.dtypes[0]}")
    return w.op("Not", w.op("Or", w.op("IsNaN", x), w.op("IsInf", x)))


def _square(w: Scope, s: Step) -> str:
    (x,) = w.cast_all(s, s.dtype)
    return w.op("Mul", x, x)


def _clip(w: Scope, s: Step) -> str:
    (x,) = w.cast_all(s, s.dtype)
    low, high = s.attrs.get("min"), s.attrs.get("max")
    x = x if low is None else w.op("Max", x, w.number(low, s.dtype))
    return x if high is None else w.op("Min", x, w.number(high, s.dtype))


def _rounded(w: Scope, s: Step) -> str:
    if s.attrs.get("decimals"):
        raise NoEquivalentError(f"round to {s.attrs['decimals']} decimals")
    return w.op("Round", *w.cast_all(s, s.dtype))


def _stacked(w: Scope, s: Step) -> str:
    axis = s.attrs.get("axis", 0) % len(s.node.shape)
    parts = [w.op("Unsqueeze", x, w.integers([axis])) for x in w.cast_all(s, s.dtype)]
    return w.op("Concat", *parts, axis=axis)


def _flipped(w: Scope, s: Step) -> str:
    axes, count = _axes(s), len(_axes(s))
    return w.op("Slice", *w.given(s), w.integers([LAST] * count), w.integers([FIRST] * count),
                w.integers(axes), w.integers([-1] * count))  # fmt: skip


def _summed_up(w: Scope, s: Step) -> str:
    axis = s.attrs.get("axis")
    if s.attrs.get("include_initial") or (axis is None and len(s.shapes[0]) != 1):
        raise NoEquivalentError("cumulative_sum with include_initial, or without an axis")
    (x,) = w.cast_all(s, s.dtype)
    return w.op("CumSum", x, w.number(axis or 0, engine.int64))


COMPOSED: dict[str, Rule] = {
    **ARITHMETIC, **ARRANGING,
    "discretize": lambda w, s: w.cast(w.given(s)[0], s.dtype),
    "all": _truth("ReduceMin"), "any": _truth("ReduceMax"), "argmax": _arg("ArgMax"),
    "argmin": _arg("ArgMin"), "astype": lambda w, s: w.cast(w.given(s)[0], s.dtype),
    "broadcast_to": lambda w, s: w.op("Expand", *w.given(s), w.integers(s.attrs["shape"])),
    "clip": _clip, "concat": lambda w, s: w.op("Concat", *w.cast_all(s, s.dtype),
                                               axis=s.attrs.get("axis", 0)),
    "cumulative_sum": _summed_up, "exp2": _scaled("Exp", before=math.log(2)), "expm1": _expm1,
    "isfinite": _isfinite,
    "flip": _flipped, "getitem": got, "linear": _linear, "log10": _scaled("Log",
                                                                         after=1 / math.log(10)),
    "log1p": _log1p, "log2": _scaled("Log", after=1 / math.log(2)),
    "log_softmax": _softmax("LogSoftmax"), "logaddexp": _logaddexp, "logsumexp": _logsumexp,
    "not_equal": lambda w, s: w.op("Not", w.op("Equal", *w.cast_all(s, w.common(s)))),
    "permute_dims": lambda w, s: w.op("Transpose", *w.given(s), perm=list(s.attrs["axes"])),
    "reshape": lambda w, s: w.op("Reshape", *w.given(s), w.integers(s.shape), allowzero=1),
    "round": _rounded, "softmax": _softmax("Softmax"), "square": _square, "stack": _stacked,
    "where": _where,
}  # fmt: skip
