"""Check a recurrence: the default run of `scan` against the explicit loop, in every respect.

`check_source` takes the source of a program of `step_programs` and returns a Verdict: equal,
refused (by both), wrong (with its kind), wild (numbers that rounding alone changes), or skipped.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import engine
from tests.engine.scan.step_programs import Array, namespace

REFUSALS = (TypeError, ValueError, IndexError)
TOLERANCES = {"float64": (1e-9, 1e-9, 1e-7), "float32": (2e-4, 1e-3, 1e-2)}
RESPECTS = ("values", "gradients", "hvp")


@dataclass
class Verdict:
    """Hold the outcome of one program: a status, the kind of what is wrong, and the executor."""

    status: str
    kind: str = ""
    detail: str = ""
    executor: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, [self.status, self.kind, self.detail, f"[{self.executor}]"]))


@dataclass
class Run:
    """Hold the numbers of one run, or the error it raised."""

    values: list[Array] = field(default_factory=list)
    gradients: list[Array] = field(default_factory=list)
    recorded: list[Array] = field(default_factory=list)
    hvp: list[Array] = field(default_factory=list)
    error: Exception | None = None


def executor_of(text: str) -> str:
    """Return the name of the executor that a text of `explain_scan` says runs the step."""
    found = re.findall(r"^\W*(\w+): runs\b", text, re.MULTILINE)
    return found[0] if found else "unknown"


def explained(names: dict[str, Any]) -> str:
    """Return the executor that the default run of this program gets."""
    options = {k: v for k, v in names["options"].items() if k != "length" or names["xs"] is None}
    try:
        return executor_of(
            str(engine.explain_scan(names["step"], names["init"], names["xs"], **options))
        )
    except REFUSALS:
        return "refused"


def flat(tree: Any) -> Iterator[Any]:
    """Yield the leaves of a pytree in order."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, (tuple, list)):
        for part in tree:
            yield from flat(part)
    elif tree is not None:
        yield tree


def leaves_of(names: dict[str, Any]) -> list[engine.Tensor]:
    """Return the tensors of a program that ask for gradients, in the order of the source."""
    tensors = [
        v for k, v in names.items() if isinstance(v, engine.Tensor) and k not in ("init", "xs")
    ]
    return [t for t in tensors if t.requires_grad and not t.node.inputs]


def weighted(tensors: list[Any], use: str, finals: int) -> Any:
    """Return a linear functional of all float results without symmetries, or None without any."""
    total: Any = None
    for i, t in enumerate(tensors):
        left_out = (use == "final" and i >= finals) or (use == "outputs" and i < finals)
        if left_out or "float" not in str(getattr(t, "dtype", "")) or not t.requires_grad:
            continue
        w = np.random.default_rng(100 + i).normal(size=t.shape).astype(str(t.dtype))
        part = engine.sum(t * engine.asarray(w))
        total = part if total is None else total + part
    return total


def arrays(gradients: list[Any], like: list[engine.Tensor]) -> list[Array]:
    """Return gradients as arrays; no path is a gradient of zeros."""
    pairs = zip(gradients, like, strict=True)
    return [np.zeros(x.shape) if g is None else np.asarray(g.numpy()) for g, x in pairs]


def run(source: str, unroll: bool = False, quiet: bool = False, **changes: Any) -> Run:
    """Run a program and return its values, gradients and Hessian-vector products."""
    names = namespace(source, **changes)
    options = dict(names["options"])
    if unroll:
        options.pop("checkpoint", None)
        options["unroll"] = True
    result = Run()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            measure(result, names, options, quiet)
    except Exception as error:
        result.error = error
    return result


def measure(result: Run, names: dict[str, Any], options: dict[str, Any], quiet: bool) -> None:
    """Fill in what one run gives."""
    with engine.no_grad() if quiet else nullcontext():
        final, ys = engine.scan(names["step"], names["init"], names["xs"], **options)
    parts = [*flat(final), *flat(ys)]
    result.values = [np.asarray(t.numpy() if hasattr(t, "numpy") else t) for t in parts]
    leaves = leaves_of(names)
    loss = weighted(parts, names["extra"]["use"], len(list(flat(final))))
    nothing: list[Any] = [None] * len(leaves)
    if quiet or loss is None:
        result.gradients = result.recorded = result.hvp = arrays(nothing, leaves)
        return
    result.gradients = arrays(engine.gradients(loss, leaves), leaves)
    recorded = engine.gradients(loss, leaves, create_graph=True)
    result.recorded = arrays(recorded, leaves)
    # No path is a gradient of zeros: the weights of the others must not depend on it.
    curved = [engine.zeros_like(x) if g is None else g
              for g, x in zip(recorded, leaves, strict=True)]  # fmt: skip
    again = weighted(curved, "all", 0)
    result.hvp = arrays(nothing if again is None else engine.gradients(again, leaves), leaves)


# ---- comparing


def gap(ours: list[Array], theirs: list[Array], tolerance: float) -> str:
    """Return where two lists of arrays differ, or nothing."""
    if len(ours) != len(theirs):
        return f"{len(ours)} arrays, expected {len(theirs)}"
    floats = [np.abs(y[np.isfinite(y)]) for y in theirs if y.dtype.kind == "f"]
    scale = 1.0 + max((y.max(initial=0) for y in floats), default=0.0)
    for i, (x, y) in enumerate(zip(ours, theirs, strict=True)):
        if x.shape != y.shape:
            return f"[{i}] has shape {x.shape}, expected {y.shape}"
        close = np.isclose(x, y, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
        if not close.all():
            at = tuple(int(k) for k in np.argwhere(~close)[0])
            return f"[{i}]{list(at)} is {x[at]!r}, expected {y[at]!r}"
    return ""


def difference(ours: Run, theirs: Run, dtype: str) -> tuple[str, str]:
    """Return in what respect two runs differ, and where."""
    if ours.error or theirs.error:
        if ours.error and theirs.error:
            return (
                ("", "")
                if alike(ours.error, theirs.error)
                else ("errors differ", f"{ours.error!r}, {theirs.error!r}")
            )
        if ours.error:
            return "raised", repr(ours.error)
        return "ran", f"the loop raised {theirs.error!r}"
    first, second, third = TOLERANCES[dtype]
    pairs = [("values", ours.values, theirs.values, first)]
    if theirs.gradients and ours.gradients:
        pairs += [("gradients", ours.gradients, theirs.gradients, second)]
        pairs += [("recorded gradients", ours.recorded, theirs.gradients, second)]
        pairs += [("hvp", ours.hvp, theirs.hvp, third)]
    for respect, x, y, tolerance in pairs:
        where = gap(x, y, tolerance)
        if where:
            return respect, where
    return "", ""


def alike(one: Exception, other: Exception) -> bool:
    return isinstance(one, REFUSALS) == isinstance(other, REFUSALS)


def finite(result: Run) -> bool:
    """Tell whether all numbers of a run are finite and moderate."""
    groups = (result.values, result.gradients, result.hvp)
    return all((np.abs(x) < 1e9).all() for group in groups for x in group if x.dtype.kind == "f")


def jittered(strength: float) -> Callable[..., Array]:
    """Return a change of leaves by rounding; equal numbers stay equal, whole ones exact."""

    def change(name: str, array: Array, rowed: bool) -> Array:
        if array.dtype.kind != "f":
            return array
        wide = array.astype("float64")
        moved = wide * (1 + strength * np.sin(1e6 * wide))
        return np.where(wide * 4 == np.round(wide * 4), wide, moved).astype(array.dtype)

    return change


def unstable(source: str, expected: Run, dtype: str) -> bool:
    """Tell whether rounding alone changes the result of the loop: a tie or a threshold is near."""
    unit = 2e-16 if dtype == "float64" else 1e-7
    for strength in (2, 3, 5, 11, 23):
        moved = run(source, unroll=True, change=jittered(strength * unit))
        if difference(moved, expected, dtype)[0]:
            return True
    return False


# ---- the whole check

Perturbation = Callable[[Run], None]


def check_source(source: str, spoil: Perturbation | None = None, explain: bool = True) -> Verdict:
    """Check one program; `spoil` changes the default run's numbers, to test this checker."""
    names = namespace(source)
    dtype = names["extra"]["dtype"]
    if "mask" in names["options"] and "mask" not in inspect.signature(engine.scan).parameters:
        return Verdict("skipped", "no mask here")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        executor = explained(names) if explain else ""
    ours, theirs = run(source), run(source, unroll=True)
    if spoil:
        spoil(ours)
    kind, detail = difference(ours, theirs, dtype)
    if not theirs.error and not finite(theirs) and (not kind or kind in RESPECTS):
        return Verdict("wild", "not finite", executor=executor)
    if not kind and theirs.error:
        return Verdict("refused", type(theirs.error).__name__, executor=executor)
    kind, detail = (kind, detail) if kind else more(source, names, theirs, dtype)
    if not kind:
        return Verdict("equal", executor=executor)
    if kind not in ("raised", "ran", "errors differ") and unstable(source, theirs, dtype):
        return Verdict("wild", "unstable", detail, executor)
    return Verdict("wrong", kind, detail, executor)


def more(source: str, names: dict[str, Any], theirs: Run, dtype: str) -> tuple[str, str]:
    """Return what is wrong without gradients, with other numbers, in the loop, or on padding."""
    if names["extra"]["quiet"]:
        loop = run(source, unroll=True, quiet=True)
        kind, detail = difference(run(source, quiet=True), loop, dtype)
        if kind:
            return f"no_grad {kind}", detail
    if names["extra"]["again"]:
        other = {"version": 1}
        one, two = run(source, **other), run(source, unroll=True, **other)
        kind, detail = difference(one, two, dtype) if two.error or finite(two) else ("", "")
        if kind:
            return f"other numbers {kind}", detail
    plain = separate(source, names)
    where = "" if plain is None else gap(theirs.values, plain, TOLERANCES[dtype][0])
    if where:
        return "loop", where
    return padding(source, names, theirs, dtype)


def alive(names: dict[str, Any]) -> Array | None:
    """Return which steps each row has (T, B), or None where all have all."""
    options = names["options"]
    if "mask" in options:
        return np.asarray(options["mask"], bool)
    if "lengths" not in options:
        return None
    steps = steps_of(names)
    return np.arange(steps)[:, None] < np.asarray(options["lengths"]).astype("int64")[None, :]


def steps_of(names: dict[str, Any]) -> int:
    inputs = list(flat(names["xs"]))
    return int(inputs[0].shape[0]) if inputs else int(names["options"]["length"])


def mapped(function: Callable[..., Any], *trees: Any) -> Any:
    """Apply a function to the leaves of pytrees of one structure."""
    first = trees[0]
    if isinstance(first, dict):
        return {k: mapped(function, *(t[k] for t in trees)) for k in first}
    if isinstance(first, (tuple, list)):
        return tuple(mapped(function, *parts) for parts in zip(*trees, strict=True))
    return None if first is None else function(*trees)


def looped(names: dict[str, Any]) -> list[Array] | None:
    """Return final states and outputs from a loop written here, without any of `scan`."""
    there, steps = alive(names), steps_of(names)
    state, ys = names["init"], [None] * steps
    order = range(steps)[::-1] if names["options"].get("reverse") else range(steps)

    def chosen(rows: Array, new: Any, old: Any) -> Any:
        shaped = rows.reshape(rows.shape + (1,) * (len(new.shape) - 1))
        return engine.where(engine.asarray(shaped), new, old)

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for t in order:
            x = mapped(lambda a, t=t: a[t], names["xs"])
            new, ys[t] = names["step"](state, x)
            if there is not None:
                keep = there[t]
                if any(len(y.shape) == 0 or y.shape[0] != len(keep) for y in flat(ys[t])):
                    return None
                new = mapped(lambda a, b, k=keep: chosen(k, a, b), new, state)
                ys[t] = mapped(lambda a, k=keep: chosen(k, a, engine.zeros_like(a)), ys[t])
            state = new
    columns = zip(*(list(flat(y)) for y in ys), strict=True)
    outs = [np.stack([y.numpy() for y in column]) for column in columns]
    return [np.asarray(s.numpy()) for s in flat(state)] + outs


def separate(source: str, names: dict[str, Any]) -> list[Array] | None:
    """Return the loop's numbers, or None where padding changes them: rows see each other."""
    plain, there = looped(names), alive(names)
    if there is not None and any(x.shape[1:] == there.shape[1:] for x in flat(names["xs"])):
        return None  # where rows see each other, a number a row that has no step reads as 0
    for number in () if plain is None or there is None else (0.0, 3.7, -2.9, 50.0, -40.0):
        try:
            other = looped(namespace(source, change=filled(there, number)))
        except REFUSALS:
            return None
        if other is None or plain is None or gap(other, plain, 1e-12):
            return None
    return plain


def filled(there: Array, number: float) -> Callable[..., Array]:
    """Return a change of inputs that puts a number where a row has no step."""

    # An input (T, B) may as well be one of as many units that all rows share: it stays as it is.
    def change(name: str, array: Array, rowed: bool) -> Array:
        if array.ndim == 2:
            return array
        # The first axis of an input of a step counts as rows where it has their size.
        rowed = rowed or (name[0] in "xim" and array.shape[1:2] == there.shape[1:])
        if not rowed or (np.isnan(number) and array.dtype.kind != "f"):
            return array
        shaped = there.reshape(there.shape + (1,) * (array.ndim - 2))
        other = number if array.dtype.kind == "f" else int(number) % 2
        return np.where(shaped, array, other).astype(array.dtype)

    return change


def padding(source: str, names: dict[str, Any], theirs: Run, dtype: str) -> tuple[str, str]:
    """Return what NaN on padding changes, in a program with rows that do not see each other."""
    there = alive(names)
    if there is None or there.all():
        return "", ""
    for number in (3.7, -2.9, 50.0, -40.0):
        other = run(source, unroll=True, change=filled(there, number))
        if difference(other, theirs, dtype)[0]:
            return "", ""
    for unroll in (True, False):
        ours = run(source, unroll=unroll, change=filled(there, np.nan))
        kind, detail = difference(ours, theirs, dtype)
        if kind:
            return f"padding {kind}{' of the loop' if unroll else ''}", detail
    return "", ""
