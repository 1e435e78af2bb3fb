"""Compare random recurrences with the explicit loop, 500 or the first 200; test the checker."""

import os
from pathlib import Path

import numpy as np
import pytest

from tests.draws import crossed, first
from tests.engine.scan.random_steps import Outcome, Summary, chunk, environment, outcomes, report
from tests.engine.scan.step_checks import RESPECTS, Run, Verdict, check_source, executor_of, gap
from tests.engine.scan.step_programs import made
from tests.engine.scan.step_shrinking import shrunk, still

PLAN, PLAN_CHUNK = 440, 22
COMPILED, COMPILED_CHUNK = 60, 6
FIRST = 100_000  # far from the seeds of `make fuzz`
EMULATED = FIRST + PLAN + COMPILED

STEADY = """import numpy as np
import engine as e
from tests.engine.scan.step_programs import draw

h0 = draw("h0", (2, 3), 1)
x0 = draw("x0", (4, 2, 3), 1, rowed=True)
W = draw("W", (3, 3), 1)
init, xs = h0, x0
options = dict(lengths=[4, 2])
extra = {'use': 'all', 'dtype': 'float64', 'quiet': False, 'again': False}


def step(state, x):
    n = e.tanh(e.linear(state, W)) * x
    return n, n
"""


@pytest.fixture(scope="module")
def kept():
    """Return the cache of other tests: kernels that all programs share take seconds to compile."""
    return os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")


def fails(seeds, compiler, kept):
    """Return the reports of all seeds that fail, the first of them shrunk."""
    bad = [outcome for outcome in outcomes(seeds, compiler, kept=kept) if outcome.failed()]
    return "\n".join([*(report(o, compiler) for o in bad[:2]), *(str(o) for o in bad[2:])])


@pytest.mark.parametrize("start", first(3, range(FIRST, FIRST + PLAN, PLAN_CHUNK)))
def test_random_steps_without_a_compiler(start, kept):
    text = fails(range(start, start + PLAN_CHUNK), compiler=False, kept=kept)
    assert not text, text


@pytest.mark.parametrize(
    "start", first(1, range(FIRST + PLAN, FIRST + PLAN + COMPILED, COMPILED_CHUNK))
)
def test_random_steps_with_a_compiler(start, kept):
    text = fails(range(start, start + COMPILED_CHUNK), compiler=True, kept=kept)
    assert not text, text


@pytest.mark.cupy
@pytest.mark.parametrize(
    ("form", "start"),
    first(3, crossed(["sweep", "graph", "launches"], range(EMULATED, EMULATED + 12, 2))),
)
def test_random_steps_as_generated_cuda(form, start, kept):
    text = fails(range(start, start + 2), compiler=form, kept=kept)
    assert not text, text


# ---- the generator


def test_a_program_is_made_from_its_seed_alone():
    for seed in range(40):
        assert made(seed).source() == made(seed).source()


def test_a_program_prints_as_one_that_runs():
    for seed in range(10):
        names = {"__name__": "read back"}
        exec(made(seed).source(), names)
        assert callable(names["step"])


def test_programs_reach_what_they_are_for():
    sources = [made(seed).source() for seed in range(400)]
    wanted = [
        "lengths=",
        "mask=",
        "reverse=",
        "checkpoint=",
        "e.einsum",
        "e.linear",
        "@",
        ".detach()",
    ]
    wanted += [
        "axis=0",
        "keepdims=True",
        "[..., None]",
        "[:, 1:]",
        "e.concat",
        "e.where",
        "e.softmax",
    ]
    wanted += ["e.embedding", "e.cumsum", "e.sort", "for _ in range", "e.grad(", "float(", "uint8"]
    wanted += [
        "e.linalg.solve",
        "float32",
        "e.permute_dims",
        "e.roll",
        "e.flip",
        "e.split",
        "None\n",
    ]
    for word in wanted:
        assert any(word in source for source in sources), word


# ---- the checker: planted faults


def spoiled(respect, amount):
    """Return a change of one number of a run."""

    def spoil(result):
        array = getattr(result, respect)[0] = np.array(getattr(result, respect)[0])
        array[(-1,) * array.ndim] += amount

    return spoil


@pytest.mark.parametrize("respect", [*RESPECTS, "recorded"])
def test_one_number_that_is_off_is_caught(respect):
    assert check_source(STEADY).status in ("equal", "wrong")
    verdict = check_source(STEADY, spoiled(respect, 1e-5), explain=False)
    assert (verdict.status, verdict.kind.split()[0]) == ("wrong", respect)
    verdict = check_source(STEADY, spoiled(respect, np.nan), explain=False)
    assert verdict.status == "wrong"


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lambda r: setattr(r, "error", ValueError("no")), "raised"),
        (lambda r: r.values.__setitem__(0, r.values[0][:1]), "values"),
        (lambda r: r.values.__setitem__(0, np.broadcast_to(r.values[0][:1], (2, 3))), "values"),
        (lambda r: r.values.pop(), "values"),
        (lambda r: r.gradients.__setitem__(0, 0 * r.gradients[0]), "gradients"),
    ],
)
def test_planted_faults_are_caught(spoil, kind):
    verdict = check_source(STEADY, spoil, explain=False)
    assert (verdict.status, verdict.kind) == ("wrong", kind)


def test_a_loop_that_looks_at_padding_is_caught(monkeypatch):
    import engine

    real = engine.scan

    def without_lengths(step, init, xs, lengths=None, **options):
        return real(step, init, xs, **options)

    monkeypatch.setattr(engine, "scan", without_lengths)
    verdict = check_source(STEADY, explain=False)
    assert (verdict.status, verdict.kind) == ("wrong", "loop")


def test_gradients_of_padding_are_caught(monkeypatch):
    # An executor that multiplies by zero on padding instead of choosing hands NaN on.
    import engine

    def by_product(step, init, xs, lengths, unroll=False, **options):
        state, ys = init, []
        for t in range(xs.shape[0]):
            there = engine.asarray((t < np.asarray(lengths)) * 1.0)[:, None]
            new, y = step(state, xs[t])
            state = new * there + state * (1.0 - there)
            ys.append(y * there)
        return state, engine.stack(ys)

    monkeypatch.setattr(engine, "scan", by_product)
    verdict = check_source(STEADY, explain=False)
    assert (verdict.status, verdict.kind.split()[0]) == ("wrong", "padding")


def test_a_constant_that_is_baked_in_is_caught(monkeypatch):
    import engine

    real, first = engine.scan, []

    def stale(step, init, xs, unroll=False, **options):
        if unroll:
            return real(step, init, xs, unroll=True, **options)
        first.append(step)
        return real(first[0], init, xs, unroll=True, **options)

    monkeypatch.setattr(engine, "scan", stale)
    again = STEADY.replace("'again': False", "'again': True").replace(
        "1)\ninit", "1, grad=False)\ninit"
    )
    assert check_source(again, explain=False).kind.startswith("other numbers")


def test_ties_that_rounding_breaks_are_no_fault():
    tie = STEADY.replace("* x\n", "* x\n    n = e.where(n - n * 3 / 3 > 0.0, 1.0, 2.0) + 0.0 * n\n")
    verdict = check_source(tie, lambda r: r.values.__setitem__(0, r.values[0] + 1.0), explain=False)
    assert verdict.status == "wild"


def test_gap_names_the_place_and_lets_rounding_pass():
    one = [np.ones((2, 2))]
    assert not gap(one, [np.ones((2, 2)) + 1e-12], 1e-9)
    assert "[0][1, 0]" in gap([np.array([[1.0, 1.0], [2.0, 1.0]])], one, 1e-9)
    assert "shape" in gap([np.ones((2, 1))], one, 1e-9)
    assert not gap([np.array([np.nan])], [np.array([np.nan])], 1e-9)


def test_the_executor_is_read_from_the_explanation():
    assert executor_of("c: cumsum has no C\nplan: runs it\nforward: 2 hoisted") == "plan"
    assert executor_of("no line that says so") == "unknown"


# ---- the driver and the shrinker


def test_a_crash_is_reported_with_its_seed(monkeypatch, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nfrom tests.engine.scan import step_programs as p\nreal = p.made\n"
        "p.made = lambda seed: os.abort() if seed == 3 else real(seed)\n"
    )
    env = environment(False, str(tmp_path))
    env["PYTHONPATH"] = f"{tmp_path}{':'}{env['PYTHONPATH']}"
    found = list(chunk(range(2, 6), env, 60.0))
    assert [(o.seed, o.status == "crashed") for o in found] == [(2, False), (3, True)]
    monkeypatch.setattr("tests.engine.scan.random_steps.environment", lambda *_: env)
    assert [o.seed for o in outcomes(range(2, 6), False)] == [2, 3, 4, 5]


def test_a_seed_that_hangs_is_reported(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import time\nfrom tests.engine.scan import step_programs as p\n"
        "p.made = lambda seed: time.sleep(60)\n"
    )
    env = environment(False, str(tmp_path))
    env["PYTHONPATH"] = f"{tmp_path}{':'}{env['PYTHONPATH']}"
    assert [(o.seed, o.status) for o in chunk(range(7, 9), env, 1.0)] == [(7, "stuck")]


def test_the_shrinker_keeps_what_matters_and_drops_the_rest():
    program = next(
        p for p in map(made, range(500)) if "e.softmax" in p.source() and len(p.body) > 8
    )
    small = shrunk(program, lambda source: "e.softmax" in source)
    assert len(small.body) <= 2
    assert "e.softmax" in small.source()


def test_what_raises_is_not_what_was_wrong():
    assert not still("values")("raise ValueError")


def test_the_summary_counts():
    found = [
        Outcome(0, "equal", executor="c"),
        Outcome(1, "equal", executor="explicit"),
        Outcome(2, "equal", executor="explicit", reads=True),
        Outcome(3, "wrong", "values", executor="plan"),
    ]
    total = Summary(found)
    assert total.fused() == pytest.approx(2 / 3)
    assert [o.seed for o in total.failures()] == [3]
    assert "wrong: values" in total.text()
    assert str(Verdict("equal", executor="c")) == "equal [c]"
    assert Run().error is None
