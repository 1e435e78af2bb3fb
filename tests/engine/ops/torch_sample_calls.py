"""Call ours and torch's where it takes more than other names of arguments.

Below: the engine. Above: `torch_samples.py`, the table that names them.
"""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

import engine
from engine import linalg
from tests.engine.ops.torch_sample_checks import UnfitError


def there(name: str) -> bool:
    """Return whether we have a function of this name."""
    *room, last = name.split(".")
    return hasattr(linalg if room else engine, last)


def own(name: str) -> Callable[..., Any]:
    """Return our function of this name; it is looked up at each call."""
    *room, last = name.split(".")
    return lambda *args, **kwargs: getattr(linalg if room else engine, last)(*args, **kwargs)


def unless(bad: bool) -> None:
    """Raise UnfitError where this is so."""
    if bad:
        raise UnfitError


def known(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options. Raises UnfitError where our function has no keyword of such a name."""
    *room, last = name.split(".")
    function = getattr(linalg if room else engine, last)
    unless(not set(options) <= set(inspect.signature(function).parameters))
    return options


def axes(dim: Any) -> Any:
    """Return torch's `dim` as we take it."""
    return tuple(dim) if isinstance(dim, list | tuple) else dim


def values(result: Any) -> Any:
    """Return the first of values and indices."""
    return result[0] if isinstance(result, list | tuple) else result


def extreme(name: str, x: Any, dim: Any, keepdim: bool) -> Any:
    if dim is None:
        return own(name)(x)
    return [own(f)(x, axis=dim, keepdims=keepdim) for f in (name, f"arg{name}")]


def spread(name: str, x: Any, dim: Any, unbiased: Any, correction: Any, keepdim: bool) -> Any:
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    correction = float(unbiased) if correction is None else correction
    return own(name)(x, axis=axes(dim), correction=correction, keepdims=keepdim)


def searchsorted(x: Any, v: Any, int32: bool, side: str, sorter: Any) -> Any:
    order = x.numpy() if sorter is None else np.take_along_axis(x.numpy(), sorter.numpy(), -1)
    unless(int32 or not bool((np.diff(order) >= 0).all()))  # unsorted: any result will do
    return engine.searchsorted(x, v, side=side, sorter=sorter)


def unique(f: Callable[..., Any], x: Any, asked: bool) -> Any:
    """Return what `f` returns, where that is what the sample asked torch for."""
    unless(not asked)
    found = f(x)
    return list(found) if isinstance(found, tuple) else found


def divide(x: Any, y: Any, mode: Any) -> Any:
    if mode == "trunc":
        return engine.trunc(x / y)
    return engine.floor_divide(x, y) if mode == "floor" else engine.divide(x, y)


def inner(x: Any, y: Any) -> Any:
    if not (x.ndim and y.ndim):
        return x * y
    return engine.tensordot(x, y, axes=([x.ndim - 1], [y.ndim - 1]))


def split(x: Any, sizes: Any, dim: int) -> Any:
    unless(not x.ndim)
    if isinstance(sizes, int):
        return engine.split(x, list(range(sizes, x.shape[dim], sizes)), axis=dim)
    cuts = [sum(sizes[:i]) for i in range(1, len(sizes) + 1)]
    unless(cuts[-1] != x.shape[dim])
    return engine.split(x, cuts[:-1], axis=dim)


def tensor_split(x: Any, at: Any, dim: int) -> Any:
    unless(isinstance(at, engine.Tensor) or not x.ndim)
    unless(isinstance(at, int) and at > 0 and x.shape[dim] % at > 0)
    return engine.split(x, at if isinstance(at, int) else list(at), axis=dim)


def pad(x: Any, width: Any, mode: str, value: Any) -> Any:
    pairs = [tuple(width[i : i + 2]) for i in range(0, len(width), 2)][::-1]
    every = [(0, 0)] * (x.ndim - len(pairs)) + pairs
    mode = {"replicate": "edge", "circular": "wrap"}.get(mode, mode)
    return engine.pad(x, every, mode=mode, constant_values=0.0 if value is None else value)


def expanded(x: Any, shape: Any) -> Any:
    """Return x broadcast; -1 stands for the size that it has."""
    sizes = [1] * (len(shape) - x.ndim) + list(x.shape)
    wanted = [n if s == -1 else s for s, n in zip(shape, sizes, strict=True)]
    return engine.broadcast_to(x, tuple(wanted))


def put(x: Any, key: Any, new: Any, accumulate: bool) -> Any:
    unless(not accumulate)  # torch's assignment is an operation in place with us
    return engine.add_at(x, tuple(key), new)


def take_along(x: Any, index: Any, dim: Any) -> Any:
    if dim is None:
        return engine.take_along_axis(engine.reshape(x, -1), engine.reshape(index, -1), axis=0)
    return engine.take_along_axis(x, index, axis=dim)


def put_along(x: Any, dim: int, index: Any, source: Any) -> Any:
    unless(not x.ndim or source.shape != index.shape)
    other = [i for i in range(x.ndim) if i != dim % x.ndim]
    unless(any(x.shape[i] != index.shape[i] for i in other))  # torch takes a part of x
    return engine.put_along_axis(x, index, source, axis=dim)


def matrix_norm(x: Any, ord: Any, dim: Any, keepdim: bool) -> Any:
    unless(tuple(dim) != (-2, -1))
    return linalg.matrix_norm(x, ord=ord, keepdims=keepdim)


def layer_norm(x: Any, shape: Any, weight: Any, bias: Any, eps: float) -> Any:
    unless(tuple(x.shape[-len(shape) :]) != tuple(shape))
    return engine.layer_norm(x, weight, bias, axis=tuple(range(-len(shape), 0)), eps=eps)


def classes(x: Any, y: Any, ignore: int) -> Any:
    """Return logits and targets with the classes last, and what is ignored of integer targets."""
    axis = 0 if x.ndim == 1 else 1
    unless(not x.ndim)
    if not engine.isdtype(y.dtype, "real floating"):
        return engine.moveaxis(x, axis, -1), y, ignore
    return engine.moveaxis(x, axis, -1), engine.moveaxis(y, axis, -1), None


def cross_entropy(x: Any, y: Any, weight: Any, ignore: int, options: dict[str, Any]) -> Any:
    logits, target, ignored = classes(x, y, ignore)
    return engine.cross_entropy(logits, target, weight=weight, ignore_index=ignored, **options)


def nll_loss(x: Any, y: Any, weight: Any, ignore: int, reduction: str) -> Any:
    logits, target, ignored = classes(x, y, ignore)
    options = {"weight": weight, "ignore_index": ignored, "reduction": reduction}
    return engine.nll_loss(logits, target, **options)


def one(size: Any) -> Any:
    """Return the size of one dimension, which torch also takes as a tuple."""
    return size[0] if isinstance(size, list | tuple) and len(size) == 1 else size


def squares(*parts: Any) -> list[Any]:
    """Return what does not depend on the signs of vectors."""
    return [x * x for x in parts]


def symmetric(x: Any) -> Any:
    """Return the symmetric part, which is what we read of a matrix."""
    return (x + x.mT) / 2


# Torch's side, where its op is not what ours is compared with: torch comes first.
REFERENCES: dict[str, Callable[..., Any]] = {
    "broadcast_shapes": lambda t, *shapes: tuple(t.broadcast_shapes(*shapes)),
    "cummax": lambda t, x, dim: t.cummax(x, dim)[0],
    "roll": lambda t, x, shifts, dims=(): t.roll(x, shifts, dims),
    "sort": lambda t, x, dim=-1, descending=False, stable=True: list(
        t.sort(x, stable=True, dim=dim, descending=descending)
    ),
    "argsort": lambda t, x, dim=-1, descending=False, stable=True: t.argsort(
        x, stable=True, dim=dim, descending=descending
    ),
    "kthvalue": lambda t, *args, **kwargs: t.kthvalue(*args, **kwargs)[0],
    "median": lambda t, x, dim=None, keepdim=False: t.quantile(x, 0.5, dim, keepdim),
    "linalg.cholesky": lambda t, x, upper=False: t.linalg.cholesky(symmetric(x), upper=upper),
    "linalg.eigvalsh": lambda t, x, UPLO="L": t.linalg.eigvalsh(symmetric(x)),
    "linalg.eigh": lambda t, x, UPLO="L": squares(*t.linalg.eigh(symmetric(x))),
    "linalg.svd": lambda t, x, full_matrices=True: squares(*t.linalg.svd(x, False)),
    "linalg.qr": lambda t, x, mode="reduced": squares(*t.linalg.qr(x)),
    # Its gradient is that of a log_softmax in front, which it expects.
    "nn.functional.ctc_loss": lambda t, x, *args, **kwargs: t.nn.functional.ctc_loss(
        t.log_softmax(x, -1), *args, **kwargs
    ),
}
