"""Write element-wise ops that ONNX has no operator for. Below `onnx_operators.py`."""

import math
from typing import Any

from rnn.interop.onnx_scopes import Scope
from rnn.interop.onnx_steps import NoEquivalentError, Step


def _floats(w: Scope, s: Step) -> list[str]:
    """Return the inputs as floats."""
    dtype = s.dtype if s.dtype.kind == "f" else w.common(s)
    if dtype.kind != "f":
        raise NoEquivalentError(f"{s.op.name} of {dtype}")
    return w.cast_all(s, dtype)


def _sides(w: Scope, s: Step) -> tuple[str, str, str]:
    """Return both inputs and the remainder with the sign of the second; NumPy's x % 0 is 0."""
    x, y = w.cast_all(s, s.dtype)
    zero, one = w.number(0, s.dtype), w.number(1, s.dtype)
    if s.dtype.kind != "f":
        none = w.op("Equal", y, zero)
        y = w.op("Where", none, one, y)
        return x, y, w.op("Where", none, zero, w.op("Mod", x, y))
    left = w.op("Mod", x, y, fmod=1)
    apart = w.op("Xor", w.op("Less", left, zero), w.op("Less", y, zero))
    moved = w.op("And", apart, w.op("Not", w.op("Equal", left, zero)))
    return x, y, w.op("Where", moved, w.op("Add", left, y), left)


def _floor_divide(w: Scope, s: Step) -> str:
    """Write (x - remainder) / y, which is whole but for rounding."""
    if s.dtype.kind != "f":
        x, y, left = _sides(w, s)
        zero = w.number(0, s.dtype)
        none = w.op("Equal", w.cast_all(s, s.dtype)[1], zero)
        return w.op("Where", none, zero, w.op("Div", w.op("Sub", x, left), y))
    x, y, left = _sides(w, s)
    whole = w.op("Round", w.op("Div", w.op("Sub", x, left), y))
    return w.op("Where", w.op("Equal", y, w.number(0.0, s.dtype)), w.op("Div", x, y), whole)


def _below_zero(w: Scope, x: str, dtype: Any) -> str:
    """Return whether the sign of a float is set, also of -0."""
    zero = w.number(0.0, dtype)
    at_zero = w.op("And", w.op("Equal", x, zero), w.op("Less", w.op("Reciprocal", x), zero))
    return w.op("Or", w.op("Less", x, zero), at_zero)


def _signbit(w: Scope, s: Step) -> str:
    dtype = s.dtypes[0]
    (x,) = w.given(s)
    if dtype is None or dtype.kind != "f":
        raise NoEquivalentError(f"signbit of {dtype}")
    return _below_zero(w, x, dtype)


def _copysign(w: Scope, s: Step) -> str:
    x, y = _floats(w, s)
    size = w.op("Abs", x)
    return w.op("Where", _below_zero(w, y, s.dtype), w.op("Neg", size), size)


def _atan2(w: Scope, s: Step) -> str:
    """Write the angle of (|x|, |y|), turned into the quarter that the signs tell."""
    y, x = _floats(w, s)
    across, up = w.op("Abs", x), w.op("Abs", y)
    zero, pi = w.number(0.0, s.dtype), w.number(math.pi, s.dtype)
    equal = w.op("Equal", up, across)  # also of zeros and of infinities
    ratio = w.op("Where", equal, w.number(1.0, s.dtype), w.op("Div", up, across))
    ratio = w.op("Where", w.op("And", equal, w.op("Equal", up, zero)), zero, ratio)
    angle = w.op("Atan", ratio)
    angle = w.op("Where", _below_zero(w, x, s.dtype), w.op("Sub", pi, angle), angle)
    return w.op("Where", _below_zero(w, y, s.dtype), w.op("Neg", angle), angle)


def _hypot(w: Scope, s: Step) -> str:
    """Write m sqrt(1 + (n / m)^2), m the larger: squares alone may overflow."""
    a, b = (w.op("Abs", x) for x in _floats(w, s))
    most, least = w.op("Max", a, b), w.op("Min", a, b)
    plain = w.op("Or", w.op("Equal", most, w.number(0.0, s.dtype)), w.op("IsInf", most))
    ratio = w.op("Where", plain, w.number(0.0, s.dtype), w.op("Div", least, most))
    root = w.op("Sqrt", w.op("Add", w.number(1.0, s.dtype), w.op("Mul", ratio, ratio)))
    return w.op("Mul", most, root)


def _sinc(w: Scope, s: Step) -> str:
    (x,) = _floats(w, s)
    zero, one = w.number(0.0, s.dtype), w.number(1.0, s.dtype)
    angle = w.op("Mul", x, w.number(math.pi, s.dtype))
    at_zero = w.op("Equal", x, zero)
    safe = w.op("Where", at_zero, one, angle)
    return w.op("Where", at_zero, one, w.op("Div", w.op("Sin", safe), safe))


def _trunc(w: Scope, s: Step) -> str:
    (x,) = w.cast_all(s, s.dtype)
    if s.dtype.kind != "f":
        return w.op("Identity", x)
    return w.op("Mul", w.op("Sign", x), w.op("Floor", w.op("Abs", x)))


ARITHMETIC = {
    "atan2": _atan2, "copysign": _copysign, "floor_divide": _floor_divide, "hypot": _hypot,
    "remainder": lambda w, s: _sides(w, s)[2], "signbit": _signbit, "sinc": _sinc, "trunc": _trunc,
}  # fmt: skip
