"""Clip gradients. Source: Pascanu, Mikolov and Bengio, On the difficulty of training recurrent
neural networks, 2013. Above `optim/flat.py`, for its flat arrays.
"""

import math
from collections.abc import Iterable
from typing import Any

from engine import Tensor
from engine.backends import HOST, NAMESPACES, Array, on_device_of
from engine.backends.numpy import float64, quiet
from engine.checks import flag, is_real
from rnn.clipping import on_host as host
from rnn.clipping.on_device import arrays, clip_norm, share_a_device
from rnn.clipping.on_device import clip_value as clip_value_on_device
from rnn.clipping.on_device import norm as norm_on_device
from rnn.optim.flat import called, gathered, parts

Flat = tuple[list[Tensor], Array]  # parameters, and their gradients as one array


def grad_norm(parameters: Iterable[Tensor] | Tensor, norm_type: float = 2) -> float:
    """Return the p-norm of all gradients as one vector; right at any size, such as 1e-200.

    `norm_type` is p, at least 1 or inf. Parameters without a gradient are skipped.

    >>> import engine, rnn
    >>> w = engine.asarray([1.5, 2.0], requires_grad=True)
    >>> engine.sum(w**2).backward()
    >>> rnn.grad_norm(w)
    5.0
    """
    _check_type("grad_norm", norm_type)
    with quiet():
        sorts = _sorted(_listed("grad_norm", parameters))
        if sorts and share_a_device(sorts):
            return float(Tensor(norm_on_device(sorts, norm_type)))
        if (norm := _norm_on_host(sorts, norm_type)) is not None:
            return norm
        scale, root = _norm(_flat(sorts), norm_type)
    return scale * root


def clip_grad_norm(
    parameters: Iterable[Tensor] | Tensor,
    max_norm: float,
    norm_type: float = 2,
    *,
    error_if_nonfinite: bool = True,
) -> Any:
    """Scale all gradients so that their common p-norm is at most `max_norm`; returns it as it was.

    It is a float; of gradients on a CUDA device a tensor without axes, so that nothing waits for
    it, and what is raised here is raised when values are next read from the device.

    `norm_type` is p, at least 1 or inf. The norm and the scaled gradients are right at any size,
    such as 1e-200 or 1e200. Scaled gradients are new tensors; parameters without one are skipped.
    Raises FloatingPointError that names the first parameter at fault for a norm that is not
    finite; without `error_if_nonfinite` it is returned. Either way no gradient has changed then.
    Raises ValueError for a `max_norm` that is not positive.

    >>> import engine, rnn
    >>> x = engine.asarray([3.0, 4.0], requires_grad=True)
    >>> engine.sum(x * x / 2).backward()
    >>> rnn.clip_grad_norm([x], 1.0), engine.norm(x.grad).item() < 1.001
    (5.0, True)
    """
    _check_bound("clip_grad_norm", "max_norm", max_norm)
    _check_type("clip_grad_norm", norm_type)
    error_if_nonfinite = flag("error_if_nonfinite", error_if_nonfinite)
    given = _listed("clip_grad_norm", parameters)
    with quiet():
        sorts = _sorted(given)
        if sorts and share_a_device(sorts):
            return Tensor(clip_norm(sorts, max_norm, norm_type, refuse=error_if_nonfinite))
        norm = _norm_on_host(sorts, norm_type)
        if norm is not None and _clipped(sorts[0], norm, max_norm):
            return norm
        flats = _flat(sorts)
        scale, root = _norm(flats, norm_type)
        total = scale * root
        if not math.isfinite(total):
            if error_if_nonfinite:
                raise FloatingPointError(f"clip_grad_norm: {_fault(given, total)}")
        elif total > max_norm:
            for own, flat in flats:
                _replace(own, _scaled(flat, max_norm, scale, root))
    return total


def clip_grad_value(parameters: Iterable[Tensor] | Tensor, clip_value: float) -> None:
    """Bring every element of every gradient into [-clip_value, clip_value].

    Changed gradients are new tensors; parameters without one are skipped. Raises ValueError for a
    `clip_value` that is not positive, FloatingPointError for a NaN, naming the first parameter that
    has one; then no gradient has changed. On a CUDA device it is raised when values are next read.

    >>> import engine, rnn
    >>> w = engine.asarray([1.0, 3.0], requires_grad=True)
    >>> engine.sum(w**2).backward()
    >>> rnn.clip_grad_value(w, 2.5)
    >>> w.grad.tolist()
    [2.0, 2.5]
    """
    _check_bound("clip_grad_value", "clip_value", clip_value)
    given = _listed("clip_grad_value", parameters)
    with quiet():
        sorts = _sorted(given)
        if sorts and share_a_device(sorts):
            clip_value_on_device(sorts, clip_value)
            return
        flats = _flat(sorts)
        tops = [_top(flat) for _, flat in flats]
        if any(math.isnan(top) for top in tops):
            raise FloatingPointError(f"clip_grad_value: {_fault(given, math.nan)}")
        for (own, flat), top in zip(flats, tops, strict=True):
            if top > clip_value:
                with on_device_of(flat):
                    _replace(own, NAMESPACES[type(flat)].clip(flat, -clip_value, clip_value))


def _norm_on_host(sorts: list[list[Tensor]], p: float) -> float | None:
    """Return the norm of many gradients by the host's kernels; None where they have none."""
    if p != 2 or len(sorts) != 1 or not host.suited(grads := arrays(sorts[0])):
        return None
    found = host.norm(grads)
    return found if found is not None and math.isfinite(found) else None


def _clipped(own: list[Tensor], norm: float, bound: float) -> bool:
    """Clip gradients by their known norm; return False where nothing here can do it exactly."""
    if norm <= bound:
        return True
    share = bound / norm
    if share < float(HOST.xp.finfo(own[0].dtype).tiny):
        return False
    flat = host.scaled(arrays(own), share)
    if flat is None:
        return False
    _replace(own, flat)
    return True


def _norm(flats: list[Flat], p: float) -> tuple[float, float]:
    """Return the largest size of an element, and the norm over it: no power overflows."""
    tops = [_top(flat) for _, flat in flats if flat.size]
    scale = math.nan if any(map(math.isnan, tops)) else max(tops, default=0.0)
    if p == math.inf or not scale or not math.isfinite(scale):
        return scale, 1.0
    total = 0.0
    for _, flat in flats:
        with on_device_of(flat):
            xp = NAMESPACES[type(flat)]
            ratio = xp.abs(flat) if flat.dtype.itemsize > 2 else xp.abs(flat).astype("float32")
            ratio /= scale
            if p == 2:
                ratio *= ratio
            elif p != 1:
                ratio **= p
            total += float(xp.sum(ratio, dtype=float64))
    return scale, total ** (1 / p)


def _scaled(flat: Array, max_norm: float, scale: float, root: float) -> Array:
    """Return `flat` times max_norm / (scale root), in two steps where digits would be lost."""
    share = max_norm / (scale * root)
    with on_device_of(flat):
        if flat.dtype.itemsize == 2:
            return (flat.astype("float32") * share).astype(flat.dtype)
        if share >= float(HOST.xp.finfo(flat.dtype).tiny):
            return flat * share
        return flat / scale * (max_norm / root)


def _top(flat: Array) -> float:
    """Return the largest size of an element; NaN where there is one."""
    with on_device_of(flat):
        xp = NAMESPACES[type(flat)]
        return float(xp.max(xp.abs(flat))) if flat.size else 0.0


def _sorted(parameters: list[tuple[int, Tensor]]) -> list[list[Tensor]]:
    """Return parameters by the dtype and device of their gradients."""
    sorts: dict[tuple[str, str], list[Tensor]] = {}
    for _, x in parameters:
        assert x.grad is not None
        sorts.setdefault((x.grad.dtype.str, x.grad.device), []).append(x)
    return list(sorts.values())


def _flat(sorts: list[list[Tensor]]) -> list[Flat]:
    """Return the gradients of each dtype and device in one array."""
    found = []
    for own in sorts:
        grads = arrays(own)
        with on_device_of(grads[0]):
            found.append((own, gathered(grads)))
    return found


def _replace(parameters: list[Tensor], flat: Array) -> None:
    """Give parameters their parts of a flat array as gradients."""
    grads = arrays(parameters)
    for x, part in zip(parameters, parts(flat, grads), strict=True):
        x.grad = Tensor(part)


def _fault(parameters: list[tuple[int, Tensor]], total: float) -> str:
    """Return what is wrong with a norm that is not finite, and where that begins."""
    for number, x in parameters:
        assert x.grad is not None
        top = _top(x.grad.data.reshape(-1))
        if not math.isfinite(top):
            bad = "NaN" if math.isnan(top) else "inf"
            return (
                f"the gradient of {called(x, number)} has {bad}; nothing was clipped: lower the "
                "learning rate, or find its origin under engine.detect_anomaly()"
            )
    return f"the norm of the gradients, which are all finite, overflows to {total}"


def _listed(name: str, parameters: Any) -> list[tuple[int, Tensor]]:
    """Return the parameters that have a gradient, with their numbers."""
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for number, x in enumerate(given):
        if not isinstance(x, Tensor):
            raise TypeError(
                f"{name}: parameter {number} is {type(x).__name__}, expected a Tensor; "
                "give module.parameters()"
            )
        if x.grad is not None and not isinstance(x.grad, Tensor):
            told = type(x.grad).__name__
            raise TypeError(f"{name}: the .grad of {called(x, number)} is {told}, not a Tensor")
    return [(number, x) for number, x in enumerate(given) if x.grad is not None]


def _check_bound(name: str, what: str, bound: Any) -> None:
    if not is_real(bound) or not float(bound) > 0:
        raise ValueError(f"{name}: {what} must be positive, got {bound!r}")


def _check_type(name: str, norm_type: Any) -> None:
    if not is_real(norm_type) or not float(norm_type) >= 1:
        raise ValueError(f"{name}: norm_type must be a number of at least 1 or inf, "
                         f"got {norm_type!r}")  # fmt: skip
