"""Check settings and indices of modules by one rule each; draw parameters. Below `module.py`."""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import engine
from engine import Tensor
from engine.backends import NAMESPACES, Array, on_device_of, on_host
from engine.backends.abstract import AbstractArray
from engine.checks import flag, is_real, is_whole
from engine.checks import probability as probability
from engine.interpreter import recording


def parameter(
    shape: tuple[int, ...],
    bound: float = 1.0,
    *,
    dtype: Any = None,
    normal: bool = False,
    centre: float = 0.0,
) -> Tensor:
    """Draw a trainable tensor around `centre`, uniform in +-bound, or normal with that spread.

    Drawn by the seed and the number of parameters made before. A module's attribute names it.
    Raises TypeError for a dtype that is not floating.

    >>> import rnn
    >>> rnn.parameter((2, 3), 0.1).requires_grad
    True
    """
    if dtype is not None and not engine.isdtype(dtype, "real floating"):
        raise TypeError(f"parameter: expected a floating dtype, got {dtype}")
    key = ("parameter", engine.random.birth())
    if flag("normal", normal):
        values = engine.random.normal(shape, bound, *key, dtype=dtype)
    else:
        values = engine.random.uniform(shape, -bound, bound, *key, dtype=dtype)
    return Tensor(values.data + centre if centre else values.data, None, requires_grad=True)


def drawn(
    shape: tuple[int, ...],
    low: float,
    high: float,
    function: Callable[[Tensor], Tensor] = engine.positive,
    *,
    dtype: Any = None,
) -> Tensor:
    """Draw a trainable tensor: a function of numbers that are uniform between `low` and `high`.
    Neither bound is drawn, so the function may be infinite there. It is computed in float64.
    """
    least = (high - low) * 2.0**-24
    p = parameter(shape, (high - low) / 2, dtype=engine.float64, centre=(high + low) / 2)
    return fixed(function(engine.clip(p.detach(), low + least, high - least)), dtype=dtype)


def fixed(values: Any, *, dtype: Any = None) -> Tensor:
    """Return a trainable tensor that begins with these values; float32 where no dtype is given."""
    if dtype is not None and not engine.isdtype(dtype, "real floating"):
        raise TypeError(f"parameter: expected a floating dtype, got {dtype}")
    x = engine.astype(engine.asarray(values), engine.float32 if dtype is None else dtype)
    return Tensor(x.data, None, requires_grad=True)


def lowest(m: Tensor) -> Tensor:
    """Return a tensor like m of numbers far below all exponents, and far above -infinity."""
    least = float(engine.finfo(m.dtype).min) / 4
    return engine.full(m.shape, least, dtype=m.dtype, device=m.device, name=m.node.name)


def or_zeros(gradients: Iterable[Tensor | None], like: Iterable[Tensor]) -> list[Tensor]:
    """Return gradients, zeros like the tensors in the place of none."""
    return [engine.zeros_like(x) if g is None else g for g, x in zip(gradients, like, strict=True)]


def positive(**sizes: Any) -> None:
    """Raise ValueError, naming all of them, for sizes that are no positive integers."""
    wrong = [f"{name}={value!r}" for name, value in sizes.items() if not is_whole(value, 1)]
    if wrong:
        raise ValueError(f"expected positive integers, got {', '.join(wrong)}")


def whole(where: str, name: str, value: Any, least: int = 1) -> int:
    """Return a whole number, NumPy's too, as an int. Raises ValueError for anything else."""
    if not is_whole(value, least):
        raise ValueError(f"{where}: {name} must be an integer of at least {least}, got {value!r}")
    return int(value)


def nonnegative(where: str, name: str, value: Any) -> float:
    """Return a finite number of at least 0 as a float. Raises ValueError for anything else."""
    if not is_real(value) or not 0 <= float(value) < math.inf:
        raise ValueError(f"{where}: {name} must be a finite number of at least 0, got {value!r}")
    return float(value)


def check_vocabulary(where: str, given: Tensor, vocabulary: int) -> None:
    """Raise IndexError for an index out of range: on a device when values are next read."""
    error = partial(_unknown, where, vocabulary)
    known = known_values(given)
    if known is not None and known.size:
        for index in (int(known.min()), int(known.max())):
            if not 0 <= index < vocabulary:
                raise error(index)
    if known is None and recording() is None and not isinstance(given.data, AbstractArray):
        with on_device_of(given.data):
            NAMESPACES[type(given.data)].check_range(given.data, 0, vocabulary - 1, error)


def _unknown(where: str, vocabulary: int, index: int) -> IndexError:
    return IndexError(
        f"{where}: index {index} is outside of the vocabulary of {vocabulary}; "
        f"expected 0 to {vocabulary - 1}"
    )


def known_values(x: Tensor) -> Array | None:
    """Return the values, None where a step is recorded, which has none, and off the host."""
    return x.numpy() if on_host(x.data) else None
