"""What the standard asks of complex numbers, for tensors, which are real. Above tensors."""

from engine.arguments import public
from engine.backends import NAMESPACES, on_device_of
from engine.tensor import Tensor

__all__ = ["conj", "imag", "positive", "real"]


@public
def positive(x: Tensor, /) -> Tensor:
    """Return x as it is.

    >>> engine.positive([1.0, -2.0]).tolist()
    [1.0, -2.0]
    """
    return x


@public
def conj(x: Tensor, /) -> Tensor:
    """Return x as it is: there are no complex tensors.

    >>> engine.conj([1.0, 2.0]).tolist()
    [1.0, 2.0]
    """
    return x


@public
def real(x: Tensor, /) -> Tensor:
    """Return x as it is: there are no complex tensors.

    >>> engine.real([1.0, 2.0]).tolist()
    [1.0, 2.0]
    """
    return x


@public
def imag(x: Tensor, /) -> Tensor:
    """Return zeros: there are no complex tensors.

    >>> engine.imag([1.0, 2.0]).tolist()
    [0.0, 0.0]
    """
    with on_device_of(x.data):
        return Tensor(NAMESPACES[type(x.data)].zeros_like(x.data))
