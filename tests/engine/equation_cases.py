"""Write steps in every form of assignment, without any package, to compare versions of Python.

Run as a script it prints the label of every op as JSON; `test_equations.py` runs it with each
Python that it finds.
"""

# ruff: noqa: F841, RUF059

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar


def _engine() -> Any:
    """Return `engine.naming.equations`, loaded without NumPy."""
    root = Path(__file__).parents[2] / "engine"
    package = ModuleType("engine")
    package.__path__ = [str(root)]
    sys.modules.setdefault("engine", package)
    return importlib.import_module("engine.naming.equations"), importlib.import_module(
        "engine.scope"
    )


class V:
    """Hold a value; each of its ops logs its label."""

    log: ClassVar["list[str]"] = []
    equations: Any = None
    root: Any = None

    def op(self, name: str) -> "V":
        return _apply(name)

    def __add__(self, other: Any) -> "V":
        return self.op("add")

    def __mul__(self, other: Any) -> "V":
        return self.op("mul")

    def __neg__(self) -> "V":
        return self.op("neg")

    def __getitem__(self, key: Any) -> "V":
        return self.op("getitem")

    def __lt__(self, other: Any) -> bool:
        _apply("less")
        return False


def _label() -> str:
    labels = V.equations.label(V.root).labels
    return " ".join(f"{kind}={value}" for kind, value in labels.items())


def _apply(name: str) -> V:
    V.log.append(f"{name}:{_label()}")
    return V()


def tanh(x: V, **options: Any) -> V:
    return x.op("tanh")


def parts(x: V, n: int) -> "list[V]":
    return [x[i] for i in range(n)]


def two(x: V) -> Any:
    m = -x
    return m * 2, m + 1


def tuples(x, h):
    u, dt = tanh(x), x * 2
    a, b, c = x + u, -x, dt * 2
    d, (e, f) = x + a, (b * 2, -c)
    u, dt = dt, u
    g = u + dt
    return g, (u, d)


def unpacked(x, h):
    a, b = parts(x, 2)
    c, d = two(x)
    e, *f = parts(x, 3)
    h_new, c_new = two(-a)
    return e, (h_new, c_new)


def flow(x, h):
    if x < 1:
        i = tanh(x)
    else:
        i = x * 2
    for _ in range(2):
        i = i + x
        i *= 3
    while not x:
        i = -i
    o = tanh(x, scale=2) if i else x * 3
    with open(__file__):
        p = tanh(o)
    try:
        q = -p
    except ValueError:
        q = p + 1
    r = (s := tanh(q)) * 2
    t = w = r + s
    k: V = t * w
    list_ = [tanh(k * j) for j in (1, 2)]
    dict_ = {j: -k for j in (1, 2)}  # noqa: C420
    both = tanh(x), x * 2
    m, n = both
    z = f"{k}" and max(1, *[2]) and x[0] + (lambda v: v * 2)(m)
    return t, (z, n)


def closure(x, h):
    f = tanh(x)
    use = lambda: f * 2  # noqa: E731
    c = use()
    first, second = f, c
    f = f + second
    return c, (f, first)


def single(x, h):
    h_new = tanh(x)
    h_new = h_new * 2
    return (y := h_new + 1), h_new


def unnamed(x, h):
    h = h * 2
    m = tanh(x) + h
    return m, m * 2


CASES = {tuples: "hc", unpacked: "hc", flow: "hc", closure: "hc", single: "h", unnamed: "h"}


def labels() -> "dict[str, list[str]]":
    """Return the labels of the ops of each case."""
    equations, scope = _engine()
    V.root = scope.ROOT
    found = {}
    for case, states in CASES.items():
        V.log, V.equations = [], equations.Equations.of(case, tuple(states))
        case(V(), V())
        found[case.__name__] = V.log
    return found


if __name__ == "__main__":
    print(json.dumps(labels(), indent=1))
