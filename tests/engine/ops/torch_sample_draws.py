"""Draw the samples of an op: torch's own, and the coincidences that random numbers never show.

Below: `torch_sample_checks.py`, and torch's list of ops with samples, which is private to it.
Above: `test_torch_samples.py`.
"""

import contextlib
import functools
import inspect
import random
import sys
import types
import unittest
import warnings
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tests.engine.ops.torch_sample_checks import Row, Sample, floating, mapped, tensors, torch

DRAWN, VARIED, OTHER_DTYPES = 40, 8, 4
ENDLESS = ("linalg.svd", "linalg.pinv")  # LAPACK does not return from an infinity
SPECIAL = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, np.inf, -np.inf, np.nan]
SPECIAL += [1e308, -1e308, 5e-324, 1e-300, -1e-300, 1e9, 710.0, -750.0]


@functools.cache
def ops() -> dict[str, Any]:
    """Return torch's list of ops by name, with ``/variant`` where there are several.

    Its module wants `expecttest`, which comes with torch's own tests and not with torch, for the
    base class of tests alone; a stand-in serves while it is imported.
    """
    stub = types.ModuleType("expecttest")
    stub.TestCase = unittest.TestCase  # type: ignore[attr-defined]
    absent = sys.modules.setdefault("expecttest", stub) is stub
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torch.testing._internal.common_methods_invocations import op_db
    finally:
        if absent:
            del sys.modules["expecttest"]
    return {f"{op.name}/{op.variant_test_name}".rstrip("/"): op for op in op_db}


def samples(row: Row) -> tuple[Row, int, list[Sample]]:
    """Return the row with torch's call, the seed, and all its samples that have our arguments."""
    op, t = ops()[row.torch], torch()
    seed = zlib.crc32(row.torch.encode()) % 2**31
    call = functools.partial(row.theirs, t) if row.theirs else op.op
    row = row._replace(theirs=call, order=row.order if op.supports_autograd else 0)
    with seeded(seed):
        main = t.float64 if t.float64 in op.dtypes else t.int64
        drawn = evenly(fitting(row, "drawn", given(op, main)), DRAWN)
        varied = [y for x in evenly(drawn, VARIED) for y in coincidences(x)]
        found = drawn + [x for x in varied if x.draw != "infinite" or row.torch not in ENDLESS]
        if row.elementwise and main is t.float64:
            found.append(special(row))
        found += other_dtypes(row, op)
        if op.error_inputs_func is not None:
            refused = (error.sample_input for error in op.error_inputs_func(op, "cpu"))
            found += fitting(row, "refused", refused)
    return row, seed, found


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the generators that torch's samples come from, and put them back afterwards."""
    before = random.getstate(), np.random.get_state()
    with torch().random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch().default_generator.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])


def given(op: Any, dtype: Any) -> Any:
    """Return torch's samples; past its wrapper, which gives all of them the same numbers."""
    return op.sample_inputs_func(op, "cpu", dtype, False)


def fitting(row: Row, draw: str, samples: Any, **options: Any) -> list[Sample]:
    """Return those samples that have arguments of our call."""
    found = []
    for one in samples:
        sample = Sample(draw, (one.input, *one.args), dict(one.kwargs), **options)
        try:
            inspect.signature(row.ours).bind(*sample.args, **sample.kwargs)
        except TypeError:
            continue
        if all(x.ndim <= 64 for x in tensors((sample.args, sample.kwargs))):  # NumPy's limit
            found.append(sample)
    return found


def evenly(things: list[Sample], count: int) -> list[Sample]:
    """Return `count` of them from the first to the last, or all where they are fewer."""
    last = len(things) - 1
    return things if last < count else [things[i * last // (count - 1)] for i in range(count)]


def coincidences(sample: Sample) -> Iterator[Sample]:
    """Yield the sample with its floats made special, and with other sizes."""
    t = torch()
    floats = [x for x in tensors(sample[1:3]) if floating(x)]
    if not floats:
        return

    def again(draw: str, change: Callable[[Any], Any]) -> Sample:
        args, kwargs = mapped(sample[1:3], change)
        return sample._replace(draw=draw, args=args, kwargs=kwargs)

    def of_floats(draw: str, change: Callable[[Any], Any]) -> Sample:
        return again(draw, lambda x: change(x) if floating(x) else x)

    yield of_floats("zeros", t.zeros_like)
    yield of_floats("ties", lambda x: t.full_like(x, 0.5))
    yield of_floats("integers", lambda x: (0.7 * x).round().clamp(-2, 2))
    yield of_floats("normal", lambda x: t.randn(x.shape, dtype=x.dtype))
    if len(floats) > 1:
        same: dict[Any, Any] = {}
        yield of_floats("equal", lambda x: same.setdefault(x.shape, x))
    yield of_floats("nan", lambda x: marked(x, np.nan))._replace(order=0)
    yield of_floats("infinite", lambda x: marked(x, np.inf))._replace(order=0)
    yield of_floats("strided", strided)
    yield again("one", lambda x: x[(slice(1),) * x.ndim])
    yield again("rows 0", lambda x: x[:0] if x.ndim else x)
    yield again("width 0", lambda x: x[..., :0] if x.ndim else x)


def marked(x: Any, number: float) -> Any:
    """Return a copy of x with this number in one place."""
    x = x.clone().contiguous()
    x.view(-1)[x.numel() // 2 : x.numel() // 2 + 1] = number
    return x


def strided(x: Any) -> Any:
    """Return the same numbers in another order in memory, or with gaps."""
    if x.ndim > 1:
        return x.mT.contiguous().mT
    return x.repeat_interleave(2)[::2] if x.ndim else x


def special(row: Row) -> Sample:
    """Return infinities, NaN, zeros of both signs and extremes, for two inputs all pairs."""
    required = [p for p in inspect.signature(row.ours).parameters.values() if p.default is p.empty]
    count = len([p for p in required if p.kind is p.POSITIONAL_OR_KEYWORD])
    grid = np.meshgrid(*[np.asarray(SPECIAL)] * count, indexing="ij")
    numbers = tuple(torch().tensor(x.ravel()) for x in grid)
    return Sample("special", numbers, {}, order=1)


def other_dtypes(row: Row, op: Any) -> list[Sample]:
    """Return samples in float32, where dtypes must be kept, and of values in integers and bool."""
    t, found = torch(), []
    for name in ("float32", "int64", "uint8", "bool"):
        if (dtype := getattr(t, name)) in op.dtypes:
            kept = name == "float32"
            options = {"order": 2 if kept else 0, "tolerance": 5e-3, "exact": kept}
            found += evenly(fitting(row, name, given(op, dtype), **options), OTHER_DTYPES)
    return found
