"""Judge the exercises of the course: `check(name, f)` says if f is right, or what is wrong with it.

A function is called with small random arrays and held against a reference. Where its results are
those of a known mistake, the verdict names the mistake.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Arguments = tuple[Any, ...]
T, H, I = 5, 3, 2


@dataclass(frozen=True)
class Verdict:
    """Hold the result of a check: true where the exercise is solved; it shows its words."""

    right: bool
    words: str

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return self.words


@dataclass(frozen=True)
class Exercise:
    """Hold a reference, what makes its cases from a random generator, and mistakes by name."""

    right: Callable[..., Any]
    cases: Callable[[np.random.Generator], list[Arguments]]
    mistakes: dict[str, Callable[..., Any]] = field(default_factory=dict)


def check(name: str, f: Callable[..., Any]) -> Verdict:
    """Return the verdict on `f` as the solution of the exercise `name`.

    `f` gets copies, so it may change its arguments. Raises KeyError for an unknown exercise.

    >>> from docs.learn.checks import check
    >>> check("forget bias", lambda steps: 1.0)
    Not yet: for steps = 9, expected 2.525, got 1.
    """
    if name not in EXERCISES:
        raise KeyError(f"no exercise {name!r}; there are {', '.join(EXERCISES)}")
    exercise = EXERCISES[name]
    cases = exercise.cases(np.random.default_rng(0))
    wanted = [_packed(exercise.right(*_copies(case))) for case in cases]
    found = []
    for case, expected in zip(cases, wanted, strict=True):
        try:
            got = f(*_copies(case))
        except Exception as error:  # of any kind: the reader wrote it
            return Verdict(False, f"Not yet: it raises {type(error).__name__}: {error}")
        if got is None:
            return Verdict(False, "Not yet: it returns None; is there a return?")
        try:
            got = _packed(got)
        except (TypeError, ValueError):
            return Verdict(False, f"Not yet: expected numbers, got {type(got).__name__}.")
        if [x.shape for x in got] != [x.shape for x in expected]:
            return Verdict(False, f"Not yet: expected {_shapes(expected)}, got {_shapes(got)}.")
        found.append(got)
    if all(map(_same, found, wanted)):
        return Verdict(True, "Right.")
    for words, wrong in exercise.mistakes.items():
        if all(map(_same, found, (_packed(wrong(*_copies(case))) for case in cases))):
            return Verdict(False, f"Not yet: {words}.")
    return Verdict(False, _difference(exercise, cases, wanted, found))


def _copies(case: Arguments) -> list[Any]:
    return [[one.copy() for one in x] if isinstance(x, list) else
            x.copy() if isinstance(x, np.ndarray) else x for x in case]  # fmt: skip


def _packed(x: Any) -> list[Any]:
    """Return an array, or a list of arrays, as a list of arrays of float64."""
    parts = x if isinstance(x, list | tuple) and any(np.ndim(one) for one in x) else [x]
    return [np.asarray(one, dtype="float64") for one in parts]


def _shapes(x: list[Any]) -> str:
    names = [f"shape {one.shape}" if one.ndim else "a number" for one in x]
    return names[0] if len(names) == 1 else f"{len(names)} arrays: {', '.join(names)}"


def _same(some: list[Any], others: list[Any]) -> bool:
    pairs = zip(some, others, strict=True)
    return all(np.allclose(a, b, 1e-6, 1e-9, equal_nan=True) for a, b in pairs)


def _difference(
    exercise: Exercise, cases: list[Arguments], wanted: list[Any], found: list[Any]
) -> str:
    """Say where the first result that differs has its largest difference."""
    case, expected, got = next(
        one for one in zip(cases, wanted, found, strict=True) if not _same(one[2], one[1])
    )
    i, a, b = next(
        (i, a, b) for i, (a, b) in enumerate(zip(expected, got, strict=True)) if not _same([a], [b])
    )
    if not a.ndim:
        names = exercise.right.__code__.co_varnames
        given = ", ".join(f"{name} = {x}" for name, x in zip(names, case, strict=False))
        return f"Not yet: for {given}, expected {a:.4g}, got {b:.4g}."
    at = np.unravel_index(np.nan_to_num(np.abs(a - b), nan=np.inf).argmax(), a.shape)
    place = f"[{', '.join(map(str, at))}]"
    which = f"array {i}, " if len(expected) > 1 else ""
    return f"Not yet: at {which}{place} expected {a[at]:.4g}, got {b[at]:.4g}."


# ---- the references and the mistakes, a lesson each


def elman(
    x: Any, W: Any, U: Any, b: Any, *,
    first: Any = 0.0, before: float = 1.0, slope: Any = np.tanh,
) -> Any:  # fmt: skip
    """Return the states (T, H) of an Elman network from x (T, I), W (H, I), U (H, H), b (H,)."""
    h, states = np.zeros(len(b)) + first, []
    for x_t in x:
        h = slope(W @ x_t + before * (U @ h) + b)
        states.append(h)
    return np.array(states)


def bptt(
    h: Any, before: Any, e: Any, U: Any, v: Any, k: int = T, *,
    later: float = 1.0, slope: float = 1.0, turned: bool = False,
) -> Any:  # fmt: skip
    """Return dL/dU (H, H), of states h (T, H), those before each step, and errors e (T,).

    No gradient passes from a chunk of k steps to the one before it.
    """
    total, delta = np.zeros_like(U), np.zeros(len(v))
    for t in reversed(range(len(e))):
        border = (t + 1) % k == 0  # the step after t is of another chunk
        back = 0.0 if border else (U if turned else U.T) @ delta
        delta = (1 - slope * h[t] ** 2) * (v * e[t] + later * back)
        total += np.outer(delta, before[t])
    return total


def clipped(gradients: list[Any], limit: float, *, up: bool = False) -> list[Any]:
    """Return gradients scaled down together, so that their common norm is at most `limit`."""
    norm = float(np.sqrt(sum((g**2).sum() for g in gradients)))
    factor = limit / norm if up else min(1.0, limit / norm)
    return [factor * g for g in gradients]


def forget_bias(steps: int) -> float:
    """Return the bias of a forget gate that keeps a half of a gradient over so many steps."""
    f = 0.5 ** (1 / steps)
    return float(np.log(f / (1 - f)))


def attend(q: Any, K: Any, V: Any, *, shift: float = 1.0) -> Any:
    """Return the context (M,) of a query q (A,), keys K (T, A) and values V (T, M)."""
    scores = K @ q
    with np.errstate(all="ignore"):  # without the shift it overflows
        p = np.exp(scores - shift * scores.max())
        return (p / p.sum()) @ V


def delta_rule(S: Any, k: Any, v: Any, beta: float) -> Any:
    """Return the memory (K, V) after v (V,) was written at k (K,), of length 1."""
    return S + beta * np.outer(k, v - k @ S)


def _by_itself(gradients: list[Any], limit: float) -> list[Any]:
    return [clipped([g], limit)[0] for g in gradients]


def _by_entry(gradients: list[Any], limit: float) -> list[Any]:
    return [np.clip(g, -limit, limit) for g in gradients]


def _network(draw: np.random.Generator) -> Arguments:
    return draw.normal(size=(T, I)), draw.normal(size=(H, I)), _square(draw), draw.normal(size=H)


def _square(draw: np.random.Generator) -> Any:
    return draw.normal(size=(H, H))


def _walk(draw: np.random.Generator) -> Arguments:
    x, W, U, b = _network(draw)
    first = draw.normal(size=H)  # with zeros, a solution that leaves out step 0 would be right
    h = elman(x, W, U, b, first=first)
    before = np.concatenate([first[None], h[:-1]])
    return h, before, draw.normal(size=T), U, draw.normal(size=H)


def _memory(draw: np.random.Generator) -> Arguments:
    k = draw.normal(size=H)
    return _square(draw), k / np.linalg.norm(k), draw.normal(size=H), float(draw.uniform(0.2, 0.8))


EXERCISES = {
    "elman": Exercise(
        elman,
        lambda draw: [_network(draw) for _ in range(3)],
        {
            "the bias is missing": lambda x, W, U, b: elman(x, W, U, 0 * b),
            "the state does not reach the next step; assign it inside the loop": (
                lambda x, W, U, b: elman(x, W, U, b, before=0.0)
            ),
            "tanh is missing": lambda x, W, U, b: elman(x, W, U, b, slope=lambda a: a),
            "U is transposed: write U @ h": lambda x, W, U, b: elman(x, W, U.T, b),
        },
    ),
    "bptt": Exercise(
        bptt,
        lambda draw: [_walk(draw) for _ in range(3)],
        {
            "each step sees its own error only; add what comes from the step after it": (
                lambda h, before, e, U, v: bptt(h, before, e, U, v, later=0.0)
            ),
            "the slope of tanh, 1 - h², is missing": (
                lambda h, before, e, U, v: bptt(h, before, e, U, v, slope=0.0)
            ),
            "on the way back the weights are transposed: write U.T @ delta": (
                lambda h, before, e, U, v: bptt(h, before, e, U, v, turned=True)
            ),
            "the use of U at t multiplies the state before that step, before[t], not h[t]": (
                lambda h, before, e, U, v: bptt(h, h, e, U, v)
            ),
            "step 0 is left out; the state before it is not always zero": (
                lambda h, before, e, U, v: bptt(h, before * (np.arange(T) > 0)[:, None], e, U, v)
            ),
            "that is the transpose of the gradient: write np.outer(delta, before[t])": (
                lambda h, before, e, U, v: bptt(h, before, e, U, v).T
            ),
        },
    ),
    "clip": Exercise(
        clipped,
        lambda draw: [([_square(draw), draw.normal(size=H)], limit) for limit in (0.5, 2.0, 50.0)],
        {
            "gradients below the limit stay as they are": (
                lambda gradients, limit: clipped(gradients, limit, up=True)
            ),
            "each array has been scaled by a norm of its own; take one norm over all of them": (
                _by_itself
            ),
            "each entry has been clipped, which turns the gradient; scale all by one factor": (
                _by_entry
            ),
        },
    ),
    "forget bias": Exercise(
        forget_bias,
        lambda draw: [(steps,) for steps in (9, 1, 100)],
        {
            "that is the gate f; the bias is the number with the sigmoid f": (
                lambda steps: 0.5 ** (1 / steps)
            ),
            "the sign is wrong: log(f / (1 - f))": lambda steps: -forget_bias(steps),
        },
    ),
    "truncation": Exercise(
        bptt,
        lambda draw: [(*_walk(draw), k) for k in (2, 3, 5)],
        {
            "no gradient is cut": lambda h, before, e, U, v, k: bptt(h, before, e, U, v),
            "nothing passes from any step to the one before it; cut at the borders only": (
                lambda h, before, e, U, v, k: bptt(h, before, e, U, v, 1)
            ),
        },
    ),
    "attention": Exercise(
        attend,
        lambda draw: [(s * draw.normal(size=H), draw.normal(size=(T, H)), draw.normal(size=(T, 4)))
                      for s in (1.0, 3.0, 1e4)],
        {
            "exp overflows for large scores; subtract the largest score first": (
                lambda q, K, V: attend(q, K, V, shift=0.0)
            ),
            "the weights are not normalised; divide by their sum": (
                lambda q, K, V: np.exp(K @ q - (K @ q).max()) @ V
            ),
            "that is the mean of all values; weigh them by softmax of the scores": (
                lambda q, K, V: V.mean(axis=0)
            ),
        },
    ),
    "delta rule": Exercise(
        delta_rule,
        lambda draw: [_memory(draw) for _ in range(3)],
        {
            "that adds v to what is stored at k; take away what k reads now, k @ S": (
                lambda S, k, v, beta: S + beta * np.outer(k, v)
            ),
            "beta is missing": lambda S, k, v, beta: delta_rule(S, k, v, 1.0),
            "the axes are turned: S is (keys, values), so the product is np.outer(k, ...)": (
                lambda S, k, v, beta: S + beta * np.outer(v - k @ S, k)
            ),
            "S is (keys, values), so k reads k @ S, not S @ k": (
                lambda S, k, v, beta: S + beta * np.outer(k, v - S @ k)
            ),
        },
    ),
}  # fmt: skip
