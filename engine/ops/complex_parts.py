"""What the standard asks of complex numbers, for tensors, which are real. Above tensors."""

from engine.backends import NAMESPACES
from engine.tensor import Tensor

__all__ = ["conj", "imag", "positive", "real"]


def positive(x: Tensor, /) -> Tensor:
    """x as it is."""
    return x


def conj(x: Tensor, /) -> Tensor:
    """x as it is: there are no complex tensors."""
    return x


def real(x: Tensor, /) -> Tensor:
    """x as it is: there are no complex tensors."""
    return x


def imag(x: Tensor, /) -> Tensor:
    """Zeros: there are no complex tensors."""
    return Tensor(NAMESPACES[type(x.data)].zeros_like(x.data))
