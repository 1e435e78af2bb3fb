"""Compare a call of ours with a call of torch on one sample: values, derivatives, refusals.

A sample is torch's arguments. Both sides get the same numbers, and their derivatives the same
random directions. Below: the engine, and torch where it is installed. Above:
`test_torch_samples.py`; the samples come from `torch_sample_draws.py`.
"""

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import engine

REFUSALS = (ValueError, TypeError, IndexError, RuntimeError, OverflowError)
Arrays = list[Any]


class UnfitError(Exception):
    """Mark a sample that our function has no way to express: it is left out."""


class Row(NamedTuple):
    """Pair one op of ours with torch's: the calls with torch's arguments, and the checks to make.

    `order` 0 compares values, 1 gradients too, 2 jvp and second derivatives too. Tensors that
    torch gets as the keywords `fixed` have no gradient there.
    """

    name: str
    torch: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any] | None = None
    elementwise: bool = False
    order: int = 2
    fixed: tuple[str, ...] = ()


class Sample(NamedTuple):
    """Hold the arguments of one call, with torch tensors in them, and how they were drawn.

    `exact`: dtypes of results must be the same, too; integers promote otherwise in torch.
    """

    draw: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    order: int = 2
    tolerance: float = 1e-7
    exact: bool = True


class Fault(NamedTuple):
    """Hold a difference: the check that found it, the kind of draw, the details."""

    check: str
    draw: str
    seen: str


class Results(NamedTuple):
    """Hold arrays of one side; None where a derivative was not asked for or torch has none."""

    value: Arrays
    vjp: Arrays | None = None
    second: Arrays | None = None
    jvp: Arrays | None = None


def torch() -> Any:
    """Return torch; imported late, for it is not installed everywhere."""
    import torch

    return torch


def mapped(tree: Any, change: Callable[[Any], Any]) -> Any:
    """Return the arguments with every torch tensor changed; the same tensor only once."""
    done: dict[int, Any] = {}

    def walk(x: Any) -> Any:
        if isinstance(x, torch().Tensor):
            if id(x) not in done:
                done[id(x)] = change(x)
            return done[id(x)]
        if isinstance(x, dict):
            return {name: walk(y) for name, y in x.items()}
        return type(x)(map(walk, x)) if type(x) in (list, tuple) else x

    return walk(tree)


def tensors(tree: Any) -> list[Any]:
    """Return the different torch tensors of the arguments, in order."""
    found: list[Any] = []
    mapped(tree, found.append)
    return found


def floating(x: Any) -> bool:
    """Return whether this result, of either side, is a tensor of floats."""
    if isinstance(x, engine.Tensor):
        return bool(engine.isdtype(x.dtype, "real floating"))
    return isinstance(x, torch().Tensor) and bool(x.is_floating_point())


def flat(tree: Any) -> list[Any]:
    """Return the parts of nested results in order."""
    return [y for x in tree for y in flat(x)] if isinstance(tree, list | tuple) else [tree]


def array(x: Any) -> Any:
    """Return the numbers of a result of either side."""
    if isinstance(x, engine.Tensor):
        return x.numpy()
    return x.numpy(force=True) if isinstance(x, torch().Tensor) else np.asarray(x)


def filled(gradients: Any, inputs: list[Any]) -> Arrays:
    """Return gradients as arrays, zeros where no path leads."""
    pairs = zip(gradients, inputs, strict=True)
    return [np.zeros_like(array(x)) if g is None else array(g) for g, x in pairs]


def directions(like: list[Any], rng: Any) -> Arrays:
    """Draw an array for each of these results that holds floats, None for the others."""
    drawn = [rng.normal(size=tuple(x.shape)) if floating(x) else None for x in like]
    pairs = zip(drawn, like, strict=True)
    return [None if v is None else np.asarray(v, array(x).dtype) for v, x in pairs]


def theirs(row: Row, sample: Sample, rng: Any) -> Results:
    """Run torch, and its derivatives up to the order of the row and of the sample."""
    t, order = torch(), min(row.order, sample.order)
    fixed = {id(x) for x in tensors([sample.kwargs.get(name) for name in row.fixed])}

    def leaf(x: Any) -> Any:
        return x.detach().requires_grad_(order > 0 and floating(x) and id(x) not in fixed)

    args, kwargs = mapped((sample.args, sample.kwargs), leaf)
    leaves = [x for x in tensors((args, kwargs)) if x.requires_grad]
    call = row.theirs
    assert call is not None
    out = flat(call(*args, **kwargs))
    value = [array(x) for x in out]
    vs, us = directions(leaves, rng), directions(out, rng)
    kept = [u is not None and x.requires_grad for x, u in zip(out, us, strict=True)]
    if not any(kept):
        return Results(value)
    ys = [x for x, keep in zip(out, kept, strict=True) if keep]
    seeds = [t.tensor(u, requires_grad=True) for u, k in zip(us, kept, strict=True) if k]
    first = t.autograd.grad(ys, leaves, seeds, create_graph=order > 1, allow_unused=True)
    result = Results(value, filled(first, leaves))
    if order < 2:
        return result
    # The gradient of v.g by the input is the second derivative, by the seed it is the jvp.
    terms = [
        (g * t.tensor(v)).sum()
        for g, v in zip(first, vs, strict=True)
        if g is not None and g.requires_grad
    ]
    wanted: list[Any] = leaves + seeds
    twice: Any = [None] * len(wanted)
    try:
        if terms:
            twice = t.autograd.grad(sum(terms), wanted, allow_unused=True)
    except RuntimeError:  # torch has no second derivative of this op
        return result
    numbers = filled(twice, wanted)
    jvp = iter(numbers[len(leaves) :])
    return result._replace(
        second=numbers[: len(leaves)], jvp=[next(jvp) if keep else None for keep in kept]
    )


def ours(row: Row, sample: Sample, rng: Any, wanted: Results) -> Results:
    """Run the engine: all that torch had, along the same random directions."""
    fixed = {id(x) for x in tensors([sample.kwargs.get(name) for name in row.fixed])}
    free = [x for x in tensors((sample.args, sample.kwargs)) if floating(x) and id(x) not in fixed]
    leaves = [engine.asarray(x.numpy(), requires_grad=wanted.vjp is not None) for x in free]
    place = {id(x): leaf for x, leaf in zip(free, leaves, strict=True)}

    def call(*xs: engine.Tensor) -> list[Any]:
        by_id = dict(zip(place, xs, strict=True))
        args, kwargs = mapped(
            (sample.args, sample.kwargs),
            lambda x: by_id[id(x)] if id(x) in by_id else engine.asarray(x.numpy()),
        )
        return flat(row.ours(*args, **kwargs))

    out = call(*leaves)
    value = [array(x) for x in out]
    if wanted.vjp is None:
        return Results(value)
    vs, us = directions(leaves, rng), directions(out, rng)
    pairs = [(y, u) for y, u in zip(out, us, strict=True) if u is not None and y.requires_grad]
    higher = wanted.second is not None
    first: list[Any] = [None] * len(leaves)
    if pairs:
        ys, seeds = zip(*pairs, strict=True)
        first = engine.gradients(ys, leaves, [engine.asarray(u) for u in seeds], higher)
    result = Results(value, filled(first, leaves))
    if not higher:
        return result
    products = [engine.sum(g * v) for g, v in zip(first, vs, strict=True) if g is not None]
    total = sum(products[1:], products[0]) if products else None
    second: list[Any] = [None] * len(leaves)
    if total is not None and total.requires_grad:
        second = engine.gradients(total, leaves)
    directed = [engine.asarray(v) for v in vs]
    moved = engine.jvp(
        lambda *xs: list(filter(floating, call(*xs))), tuple(leaves), tuple(directed)
    )
    jvp = map(array, moved[1])
    return result._replace(
        second=filled(second, leaves), jvp=[next(jvp) if floating(x) else None for x in out]
    )


def differences(given: Arrays, wanted: Arrays, sample: Sample) -> Iterator[str]:
    """Yield what differs: the number of results, shapes, dtypes, NaN of one side, numbers."""
    if len(given) != len(wanted):
        yield f"{len(given)} results, torch {len(wanted)}"
        return
    for mine, right in zip(given, wanted, strict=True):
        if right is None:
            continue
        if mine is None or mine.shape != right.shape:
            yield f"shape {getattr(mine, 'shape', None)}, torch {right.shape}"
            continue
        if sample.exact and mine.dtype != right.dtype:
            yield f"dtype {mine.dtype}, torch {right.dtype}"
        real = right[np.isfinite(right)] if right.dtype.kind == "f" else np.zeros(0)
        scale = sample.tolerance * max(1.0, float(np.abs(real).max(initial=0)))
        close = np.isclose(mine, right, rtol=sample.tolerance, atol=scale, equal_nan=True)
        absent = np.isnan(right) if right.dtype.kind == "f" else close & False
        lost = np.isnan(mine) if mine.dtype.kind == "f" else absent
        for kind in (absent, lost, ~absent & ~lost):  # each can have another reason
            if (bad := ~close & kind).any():
                at = tuple(map(int, np.argwhere(bad)[0]))
                yield f"{bad.sum()} of {bad.size}, at {list(at)}: {mine[at]}, torch {right[at]}"


def faults(row: Row, sample: Sample, seed: int) -> list[Fault]:
    """Return all differences on one sample. Raises UnfitError where ours cannot express it."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return list(_faults(row, sample, seed))


def _faults(row: Row, sample: Sample, seed: int) -> Iterator[Fault]:
    try:
        wanted = theirs(row, sample, np.random.default_rng(seed))
    except (*REFUSALS, AssertionError) as error:  # torch asserts, too
        yield from _refused(row, sample, error)
        return
    given = tensors((sample.args, sample.kwargs))
    before = [array(x).copy() for x in given]
    try:
        results = ours(row, sample, np.random.default_rng(seed), wanted)
    except UnfitError:
        raise
    except Exception as error:
        yield Fault("refused", sample.draw, f"{type(error).__name__}: {error}")
        return
    for check in Results._fields:
        if (right := getattr(wanted, check)) is not None:
            for seen in differences(getattr(results, check), right, sample):
                yield Fault(check, sample.draw, seen)
    for x, y in zip(before, given, strict=True):
        if not np.array_equal(x, array(y), equal_nan=x.dtype.kind == "f"):
            yield Fault("changed", sample.draw, "an input was written to")


def _refused(row: Row, sample: Sample, error: Exception) -> Iterator[Fault]:
    """Yield a fault where ours computes what torch refuses, or raises what no caller expects."""
    if isinstance(error, TypeError) and ("must be Tensor" in str(error) or "(int," in str(error)):
        return  # numbers serve as tensors with us
    try:
        args, kwargs = mapped((sample.args, sample.kwargs), lambda x: engine.asarray(x.numpy()))
        out = flat(row.ours(*args, **kwargs))
    except (*REFUSALS, UnfitError):
        return
    except Exception as other:
        yield Fault("broke", sample.draw, f"{type(other).__name__}: {other}")
        return
    shapes = [getattr(x, "shape", x) for x in out]
    yield Fault("accepted", sample.draw, f"result {shapes}, torch: {str(error).splitlines()[0]}")
