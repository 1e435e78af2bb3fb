"""Define the operators of arrays: which of both sides is asked, and the function that answers.

After CuPy's `_should_use_rop`: what is no device array goes through NumPy's ufunc, which calls
the array back.
"""

import numpy as np

from cupy._base import Base, wrap

_HANDLED = object()


def _use_reflected(x, y):
    """Return CuPy's `_should_use_rop`: whether the other operand is asked first."""
    ufunc = getattr(y, "__array_ufunc__", _HANDLED)
    if ufunc is not _HANDLED:
        return ufunc is None
    return getattr(x, "__array_priority__", 0) < getattr(y, "__array_priority__", 0)


def _binary(name, reflected=False):
    def method(self, other):
        import cupy

        function = getattr(cupy, name)
        if isinstance(other, Base):
            return function(other, self) if reflected else function(self, other)
        if _use_reflected(self, other):
            return NotImplemented
        # As CuPy: NumPy's ufunc, which comes back through __array_ufunc__.
        ufunc = getattr(np, name)
        return ufunc(other, self) if reflected else ufunc(self, other)

    return method


def _inplace(name):
    def method(self, other):
        import cupy

        return getattr(cupy, name)(self, other, self)

    return method


def _compare(name):
    def method(self, other):
        import cupy

        if isinstance(other, Base):
            return getattr(cupy, name)(self, other)
        if _use_reflected(self, other):
            return NotImplemented
        if isinstance(other, np.ndarray) and other.ndim == 0:
            other = other.item()
        if name in ("equal", "not_equal") and (
            other is None or type(other).__eq__ is object.__eq__
        ):
            return wrap(np.full(self.shape, name == "not_equal"))
        return getattr(np, name)(self, other)

    return method


class Operators(Base):
    """Define arithmetic, comparisons and the other operators between arrays."""

    __slots__ = ()
    __hash__ = None

    def __neg__(self):
        import cupy

        return cupy.negative(self)

    def __pos__(self):
        return self.copy()

    def __abs__(self):
        import cupy

        return cupy.absolute(self)

    def __invert__(self):
        import cupy

        return cupy.invert(self)

    def __pow__(self, other):
        import cupy

        if type(other) in (int, float) and other == 2:
            return cupy.square(self)
        if type(other) is float and self.dtype.kind == "f" and other == 0.5:
            return cupy.sqrt(self)
        if type(other) is float and self.dtype.kind == "f" and other == -1:
            return cupy.reciprocal(self)
        return _binary("power")(self, other)

    __rpow__ = _binary("power", reflected=True)
    __matmul__ = _binary("matmul")
    __rmatmul__ = _binary("matmul", reflected=True)


for _sign, _name in {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide",
    "floordiv": "floor_divide", "mod": "remainder", "lshift": "left_shift",
    "rshift": "right_shift", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
}.items():  # fmt: skip
    setattr(Operators, f"__{_sign}__", _binary(_name))
    setattr(Operators, f"__r{_sign}__", _binary(_name, reflected=True))
    setattr(Operators, f"__i{_sign}__", _inplace(_name))
Operators.__ipow__ = _inplace("power")
for _sign, _name in {
    "lt": "less",
    "le": "less_equal",
    "eq": "equal",
    "ne": "not_equal",
    "gt": "greater",
    "ge": "greater_equal",
}.items():
    setattr(Operators, f"__{_sign}__", _compare(_name))
