"""Check the checkers: each planted error must be caught, and correct code must pass."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine import GradientError
from engine.apply import apply
from engine.op import Op
from engine.state import current
from engine.stepping import stepping
from tests import ROOT
from tests.conftest import settings
from tests.draws import covering
from tests.rnn.cells import test_cells as cells


def calling(forward: Any, *vjp: Any) -> Any:
    """Return a function that applies an op made for this test alone."""
    op = Op("planted", forward, vjp)
    return lambda *xs: apply(op, xs, {})


def cube(xp: Any, x: Any) -> Any:
    return x * x * x


def detached(x: Any) -> Any:
    """Return x off the graph, be it a tensor or an array."""
    return x.detach() if isinstance(x, engine.Tensor) else x


RIGHT = calling(cube, lambda xp, g, out, x: 3 * g * x * x)
X = [0.3, -0.7, 1.1]

WRONG = {
    "factor": calling(cube, lambda xp, g, out, x: 2.999 * g * x * x),
    "sign": calling(cube, lambda xp, g, out, x: -3 * g * x * x),
    "zero": calling(cube, lambda xp, g, out, x: 0 * g * x),
    "nan": calling(cube, lambda xp, g, out, x: g * np.nan * x),
    "seed": calling(cube, lambda xp, g, out, x: 3 * x * x),
    "one element": calling(
        cube, lambda xp, g, out, x: 3 * g * x * x + np.array([0.0, 1e-4, 0.0]) * g
    ),
    "order": calling(
        lambda xp, x: x * np.array([1.0, 2.0, 3.0]),
        lambda xp, g, out, x: g * np.array([3.0, 2.0, 1.0]),
    ),
    "second input": lambda x: calling(
        lambda xp, x, y: x * y, lambda xp, g, out, x, y: g * y, lambda xp, g, out, x, y: g * y
    )(x, x * 2),
}


@pytest.mark.parametrize("order", [1, 2])
def test_a_right_rule_passes(order):
    assert engine.gradcheck(RIGHT, [X], order)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_rule_is_caught(name):
    with pytest.raises(GradientError, match="gradcheck: input 0, element"):
        engine.gradcheck(WRONG[name], [X])


def test_the_message_tells_the_place_and_both_numbers():
    with pytest.raises(GradientError, match=r"input 0, element 1: .* is .*, finite diff.* give "):
        engine.gradcheck(WRONG["one element"], [X])


def test_a_wrong_rule_is_caught_in_the_second_of_two_inputs():
    f = calling(
        lambda xp, x, y: x * y,
        lambda xp, g, out, x, y: g * y,
        lambda xp, g, out, x, y: g * x * 1.01,
    )
    with pytest.raises(GradientError, match="input 1"):
        engine.gradcheck(f, [X, X])


def test_a_wrong_rule_is_caught_at_a_single_number():
    with pytest.raises(GradientError):
        engine.gradcheck(WRONG["factor"], [0.7])
    assert engine.gradcheck(RIGHT, [0.7], 2)


WRONG_AT_SECOND_ORDER = {
    "detached input": calling(cube, lambda xp, g, out, x: 3 * g * detached(x * x)),
    "detached seed": calling(cube, lambda xp, g, out, x: 3 * detached(g) * x * x),
    "half detached": calling(cube, lambda xp, g, out, x: 3 * g * x * detached(x)),
}


@pytest.mark.parametrize("name", ["detached input", "half detached"])
def test_a_wrong_second_order_is_caught_at_order_two(name):
    f = WRONG_AT_SECOND_ORDER[name]
    assert engine.gradcheck(f, [X])
    with pytest.raises(GradientError):
        engine.gradcheck(f, [X], order=2)


def test_a_seed_that_is_detached_is_caught_behind_another_op():
    f = lambda x: engine.tanh(WRONG_AT_SECOND_ORDER["detached seed"](x))  # noqa: E731
    assert engine.gradcheck(f, [X])
    with pytest.raises(GradientError):
        engine.gradcheck(f, [X], order=2)


def test_a_gradient_that_is_cut_off_is_caught():
    with pytest.raises(GradientError):
        engine.gradcheck(lambda x: x * x.detach(), [X])
    with pytest.raises(GradientError):
        engine.gradcheck(lambda x: engine.asarray(np.tanh(x.numpy())), [X])


def test_a_wrong_rule_is_caught_inside_a_recurrence():
    def f(h, x):
        return engine.scan(lambda h, x: ((h := WRONG["factor"](h) * 0.5 + x), h), h, x)[1]

    with pytest.raises(GradientError):
        engine.gradcheck(f, [X, np.ones((3, 3)) * 0.1])


# ---- the oracle of the cells


def truncated(name: str, p: Any, x: Any, state: Any, dy: Any, *rest: Any) -> Any:
    """Cut the gradient of the oracle by the inputs after one step back."""
    right = cells.run_oracle(name, p, x, state, dy, *rest)
    for t in range(len(x)):
        alone = cells.run_oracle(name, p, x[: t + 1], state, dy[: t + 1], *rest)
        right[2]["x"][t] = alone[2]["x"][t]
    return right


def scaled(part: str) -> Any:
    """Change one gradient of the oracle by a millionth."""

    def run(*arguments: Any) -> Any:
        right = cells.run_oracle(*arguments)
        right[2][part] = right[2][part] * (1 + 1e-6)
        return right

    return run


def keras_order(name: str, p: Any, x: Any, *rest: Any) -> Any:
    """Run the oracle with the output gate before the new content."""
    order = np.concatenate([np.arange(cells.H) + cells.H * k for k in (0, 1, 3, 2)])
    return cells.run_oracle(name, {k: v[order] for k, v in p.items()}, x, *rest)


def refused(name: str, wrong: Any) -> None:
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        cells.check_against_oracle(name, cells.layer(name), run=wrong)


@pytest.mark.parametrize(
    ("part", "name"),
    covering(["x", "h", "weight_ih", "weight_hh", "bias_ih", "bias_hh"], cells.GATES),
)
def test_an_oracle_that_is_off_is_caught(name, part):
    refused(name, scaled(part))


@pytest.mark.parametrize("name", cells.GATES)
def test_an_oracle_that_truncates_is_caught(name):
    refused(name, truncated)


def test_gates_in_another_order_are_caught():
    refused("LSTM", keras_order)


# ---- the watch over leaks


def outcome_of(source: str, folder: Path) -> str:
    """Return the report of pytest on a test file, in its own process with our fixtures."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_planted_leak.py").write_text(source)
    plugins = ["-p", "tests.conftest", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins, "-c", "pytest.ini"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return run.stdout


LEAKS = {
    "gradients": "engine.no_grad().__enter__()",
    "scope": "engine.scope('left', t=1).__enter__()",
    "equations": "engine.equations(lambda x: x).__enter__()",
    "explicit": "engine.explicit().__enter__()",
    "caller": "module._caller.set(1)",
    "errors": "np.seterr(all='ignore')",
}


def test_a_leak_of_each_kind_is_seen_in_its_test_alone(tmp_path):
    tests = [f"def test_{name}():\n    {leak}\n" for name, leak in LEAKS.items()]
    imports = "import numpy as np\nimport engine\nfrom rnn.modules import module\n"
    told = outcome_of("\n".join([imports, *tests, "def test_last():\n    pass\n"]), tmp_path)
    assert f"{len(LEAKS) + 1} passed, {len(LEAKS)} errors" in told
    assert [name for name in LEAKS if f"ERROR test_planted_leak.py::test_{name} " not in told] == []


@pytest.mark.parametrize("state", [current(), stepping()], ids=lambda state: type(state).__name__)
def test_every_setting_of_a_thread_is_watched(state):
    for name in state.__slots__:
        before, known = getattr(state, name), settings()
        setattr(state, name, object())
        changed = settings() != known
        setattr(state, name, before)
        assert changed, name


def test_no_leak_is_seen_where_there_is_none(tmp_path):
    source = "import engine\n\ndef test_fine():\n    with engine.no_grad():\n        pass\n"
    assert "1 passed in" in outcome_of(source, tmp_path)
