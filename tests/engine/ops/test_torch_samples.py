"""Compare ops with torch's on the samples that torch tests its own with, and on coincidences."""

from typing import Any

import numpy as np
import pytest

import engine
from engine import linalg
from engine.apply import apply
from engine.op import Op
from tests.engine.ops.torch_sample_checks import Row, Sample, UnfitError, faults, mapped, tensors
from tests.engine.ops.torch_sample_draws import ops, samples
from tests.engine.ops.torch_sample_exceptions import EXCEPTIONS, EXCUSED, KNOWN, MADE_WITH
from tests.engine.ops.torch_samples import EVERY, ROWS

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module", autouse=True)
def _listed() -> None:
    """Skip where this version of torch keeps its list of ops elsewhere."""
    try:
        ops()
    except ImportError as error:
        pytest.skip(f"torch's list of ops with samples: {error}")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name} {row.torch}")
def test_an_op_is_torchs_on_its_samples(row: Row) -> None:
    # Values, vjp, jvp, second derivatives and refusals; each exception must be needed.
    if row.torch not in ops():
        pytest.skip(f"torch {torch.__version__} has no samples of {row.torch}")
    row, seed, drawn = samples(row)
    allowed = [x for x in EXCEPTIONS + KNOWN if row.torch in x.ops.split()]
    wrong: dict[tuple[str, str], tuple[int, str]] = {}  # the smallest of each kind
    needed, ran = set(), 0
    for sample in drawn:
        try:
            found = faults(row, sample, seed)
        except UnfitError:
            continue
        ran += 1
        for fault in found:
            reasons = [x for x in allowed if x.covers(row.torch, fault)]
            needed.update(reasons)
            if not reasons:
                size, kind = sum(x.numel() for x in tensors(sample[1:3])), fault[:2]
                one = size, f"{' on '.join(kind)}: {fault.seen}; arguments {arguments(sample)}"
                wrong[kind] = min(wrong.get(kind, one), one)
    assert not wrong, f"seed {seed}:\n" + "\n".join(text for _, text in wrong.values())
    assert ran
    if torch.__version__.startswith(MADE_WITH):
        assert not [x.why for x in allowed if x not in needed], "exceptions that are not needed"


def arguments(sample: Sample) -> str:
    """Return the arguments, large tensors as their shapes."""
    small = mapped(sample[1:3], lambda x: x.tolist() if x.numel() < 7 else tuple(x.shape))
    return f"{small[0]} {small[1]}"


def test_every_public_function_is_compared_or_excused() -> None:
    compared = {row.name for row in ROWS}
    excused = {name for names in EXCUSED.values() for name in names.split()}
    public = {name for name in engine.__all__ if function(getattr(engine, name))}
    public |= {f"linalg.{x}" for x in linalg.__all__ if function(getattr(linalg, x))}
    assert not compared & excused
    assert public - compared - excused == set(), (
        'enter them in torch_samples.py, as "name | = | x, y: f(x, y)" where torch has the name, '
        "or in EXCUSED of torch_sample_exceptions.py, with the reason"
    )
    assert (compared | excused) - public == set(), "functions that are no more"


def function(x: Any) -> bool:
    return callable(x) and not isinstance(x, type)


def test_every_exception_is_of_an_op_in_the_table() -> None:
    # Another one would never be missed.
    ops = {row.torch for row in EVERY}
    assert [x for x in EXCEPTIONS + KNOWN if not set(x.ops.split()) <= ops] == []


def found(forward: Any, *vjp: Any, op: str = "square") -> set[str]:
    """Return the checks that find a fault in an op that is made here, beside one of torch."""
    planted = Op("planted", forward, vjp)
    row, seed, drawn = samples(Row("planted", op, lambda x: apply(planted, (x,), {})))
    return {fault.check for sample in drawn for fault in faults(row, sample, seed)}


def twice(xp: Any, g: Any, out: Any, x: Any) -> Any:
    return 2 * g * x


def first_only(xp: Any, g: Any, out: Any, x: Any) -> Any:
    return 2 * g * (x.detach() if isinstance(x, engine.Tensor) else x)


def written(xp: Any, x: Any) -> Any:
    if isinstance(x, np.ndarray) and x.size:
        x.flat[0] += 1
    return x * x


def refusing(xp: Any, x: Any) -> Any:
    if x.shape[:1] == (0,):
        raise ValueError("nothing")
    return x * x


def test_a_right_op_has_no_faults() -> None:
    assert not found(lambda xp, x: x * x, twice) - {"value"}


PLANTED = {
    "value": (lambda xp, x: x * x * (1 + 1e-5), lambda *a: twice(*a) * (1 + 1e-5), {"value"}),
    "factor": (lambda xp, x: x * x, lambda *a: twice(*a) * 1.001, {"vjp", "second", "jvp"}),
    "second order": (lambda xp, x: x * x, first_only, {"second"}),
    "at 0": (lambda xp, x: x * x, lambda xp, g, out, x: xp.where(x == 0, g, 2 * g * x), {"vjp"}),
    "dtype": (lambda xp, x: xp.astype(x * x, xp.float64), twice, {"value"}),
    "input": (written, twice, {"changed"}),
    "no rows": (refusing, twice, {"refused"}),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str) -> None:
    forward, vjp, checks = PLANTED[name]
    assert checks <= found(forward, vjp)


def test_what_torch_refuses_must_be_refused() -> None:
    # `det` of a matrix that is not square; an error that is no refusal is a fault, too.

    def lost(xp: Any, x: Any) -> Any:
        raise KeyError("det")

    assert "accepted" in found(lambda xp, x: xp.sum(x, axis=(-2, -1)), None, op="linalg.det")
    assert "broke" in found(lost, None, op="linalg.det")
