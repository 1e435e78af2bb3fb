"""Test options of recurrences: masks with holes, checkpoint budgets, executors, explanations."""

import re

import numpy as np
import pytest

import engine
import rnn
from engine.checks import byte_count
from engine.scan import EXECUTORS
from engine.scan.call import checked
from engine.scan.checkpointed import segment_length
from engine.scan.recurrence import Recurrence
from tests.draws import covering, normal, normal_leaf
from tests.engine.scan.test_fused import CELLS, core

__all__ = ["core"]  # the fixture: each fused executor alone

# ---- a mask with holes

T, B, I, H = 7, 5, 3, 4
MASK = np.random.default_rng(5).random((T, B)) < 0.6
MASK[:, 2] = False  # a row without a step
MASK[:, 3] = True


def functional(tensors):
    parts = [engine.sum(x * normal(*x.shape, salt=i)) for i, x in enumerate(tensors)]
    return sum(parts[1:], parts[0])


def cell_and_arrays(name):
    engine.seed(6)
    cell = CELLS[name](I, H, "float64")
    init = [normal(B, size, salt=i) for i, size in enumerate(cell.state_size.values())]
    return cell, normal(T, B, I, salt=9), init


def nested(parts):
    return parts[0] if len(parts) == 1 else tuple(parts)


def flat(state):
    return list(state) if isinstance(state, tuple) else [state]


def with_a_mask(name, *, reverse):
    """Return final states, outputs and gradients of all rows together."""
    cell, x, arrays = cell_and_arrays(name)
    xs = engine.asarray(x, requires_grad=True)
    init = [engine.asarray(one, requires_grad=True) for one in arrays]
    final, ys = engine.scan(rnn.Recurrent(cell).step(), nested(init), xs, mask=MASK,
                            reverse=reverse)  # fmt: skip
    outs = [ys, *flat(final)]
    grads = engine.gradients(functional(outs), [xs, *init, *cell.parameters()])
    return [one.numpy() for one in (*outs, *grads)]


def row_by_row(name, *, reverse):
    """Put the result together row by row, each run alone over its own steps."""
    cell, x, arrays = cell_and_arrays(name)
    xs = engine.asarray(x, requires_grad=True)
    init = [engine.asarray(one, requires_grad=True) for one in arrays]
    finals, outputs = [], []
    for b in range(B):
        state, own = nested([one[b : b + 1] for one in init]), {}
        steps = [t for t in range(T) if MASK[t, b]]
        for t in reversed(steps) if reverse else steps:
            own[t], state = cell.step(xs[t, b : b + 1], state)
        finals.append(flat(state))
        some = next(iter(own.values()), None)
        width = outputs_width(cell, name) if some is None else some.shape[1]
        zero = engine.zeros((1, width), dtype="float64")
        outputs.append(engine.stack([own.get(t, zero) for t in range(T)]))
    outs = [engine.concat(outputs, axis=1)]
    outs += [engine.concat(list(parts)) for parts in zip(*finals, strict=True)]
    grads = engine.gradients(functional(outs), [xs, *init, *cell.parameters()])
    return [one.numpy() for one in (*outs, *grads)]


def outputs_width(cell, name):
    return 2 if name == "invented" else H


@pytest.mark.parametrize(("name", "reverse"), covering(CELLS, [False, True]))
def test_a_mask_runs_each_row_over_its_own_steps_alone(name, reverse, core):
    found, wanted = with_a_mask(name, reverse=reverse), row_by_row(name, reverse=reverse)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-11)
    assert (found[0][~MASK] == 0).all()


@pytest.mark.parametrize("name", ["lstm", "layernorm"])
def test_lengths_are_a_mask(name, core):
    cell, x, arrays = cell_and_arrays(name)
    lengths = np.array([7, 0, 3, 1, 5])
    found, mask = [], np.arange(T)[:, None] < lengths
    for options in (
        {"lengths": lengths},
        {"mask": mask},
        {"lengths": [7, 7, 3, 7, 7], "mask": mask},
    ):
        step = rnn.Recurrent(cell).step()
        final, ys = engine.scan(step, nested([engine.asarray(a) for a in arrays]), x, **options)
        grads = engine.gradients(functional([ys, *flat(final)]), list(cell.parameters()))
        found.append([one.numpy() for one in (ys, *flat(final), *grads)])
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


# ---- checkpoints within a number of bytes


@pytest.mark.parametrize("steps", [1, 2, 7, 100, 1000])
@pytest.mark.parametrize(("step", "state"), [(100, 10), (10, 100), (64, 64), (1, 0)])
def test_a_segment_is_the_longest_that_keeps_within_a_budget(steps, step, state):
    costs = {n: n * step + -(-steps // n) * state for n in range(1, steps + 1)}
    least = min(costs.values())
    for budget in (least, least + 1, 2 * least, 10 * least, steps * step + state):
        length = segment_length(f"{budget}B", steps, step, state)
        assert costs[length] <= budget
        assert all(cost > budget for n, cost in costs.items() if n > length)
    with pytest.raises(ValueError, match=re.escape(f"the least is {least:,} bytes")):
        segment_length(f"{least - 1}B" if least > 1 else "0.5B", steps, step, state)


def test_units_of_bytes():
    texts = {"2KB": 2000, "1.5 MB": 1_500_000, "3gb": 3 * 10**9, " 7 b ": 7}
    assert {text: byte_count(text) for text in texts} == texts
    assert [checked(text) for text in texts] == list(texts)
    assert segment_length("1MB", 100, 5000, 0) == 100
    assert segment_length("1KB", 100, 50, 0) == 20


def kept_bytes(monkeypatch, budget, steps=60):
    """Return the bytes a checkpointed LSTM keeps between passes, and for its longest segment."""
    segments = []
    plain = Recurrence.forward

    def watched(self, inputs):
        multi_output = plain(self, inputs)
        if self.keep:
            own = {id(a): a.nbytes for a in getattr(multi_output, "saved", {}).values()}
            segments.append((sum(own.values()), self.steps))
        return multi_output

    monkeypatch.setattr(Recurrence, "forward", watched)
    engine.seed(7)
    layer = rnn.Recurrent(rnn.LSTMCell(8, 8))
    x = engine.ones((steps, 4, 8), requires_grad=True)
    state = layer.cell.zero_state(4, like=x)
    _, y = engine.scan(layer.step(), state, x, checkpoint=budget)
    between = sum(a.nbytes for part in y.node.inputs[0].data.saved for a in part)
    engine.sum(y).backward()
    return between, max(segments)[0], max(n for _, n in segments)


def test_a_checkpointed_recurrence_keeps_within_its_budget(monkeypatch):
    longest = []
    for budget in (12_000, 20_000, 40_000):
        with monkeypatch.context() as patch:
            between, segment, length = kept_bytes(patch, f"{budget}B")
        assert between + segment <= budget
        longest.append(length)
    assert longest == sorted(longest)
    assert longest[-1] > longest[0]


def test_the_error_of_too_small_a_budget_names_the_least(monkeypatch):
    with pytest.raises(ValueError, match=r"checkpoint='1KB' is too little for 60 steps; the least"):
        kept_bytes(monkeypatch, "1KB")


def test_a_budget_changes_no_number(core):
    engine.seed(7)
    layer = rnn.Recurrent(rnn.GRUCell(3, 4, dtype="float64"))
    x = normal_leaf(50, 2, 3)
    found = []
    for checkpoint in (None, "10KB", "1MB"):
        h, y = engine.scan(layer.step(), normal(2, 4), x, checkpoint=checkpoint)
        grads = engine.gradients(functional([y, h]), [x, *layer.parameters()])
        found.append([one.numpy() for one in (y, h, *grads)])
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-11, atol=1e-13)


# ---- which executor runs


def step(h, x):
    h = engine.tanh(h + x)
    return h, h


def explained(**options):
    return engine.explain_scan(step, engine.zeros((2, 3)), engine.ones((4, 2, 3)), **options)


def test_the_best_executor_is_explained_with_both_programs():
    lines = explained().splitlines()
    assert lines[0] == "c: runs it"
    assert lines[1].endswith(": reads itself (non-linear: not affine); runs in c")
    assert lines[2] == "forward (c, 1 thread): 0 hoisted, 2 core in 1 levels, 0 deferred, 0 stored"
    assert "%3 = tanh(%2) -> float32[B,3] h [core, level 0]" in lines
    (backward,) = (i for i, line in enumerate(lines) if line.startswith("backward (c, 1 thread): "))
    assert any(line.startswith("%0 = carry 0") for line in lines[backward:])


@pytest.mark.parametrize("allowed", ["plan", "plan,explicit", "explicit", "c", "nothing"])
def test_the_environment_says_which_executors_may_run(allowed, monkeypatch):
    monkeypatch.setenv("BPTT_EXECUTORS", allowed)
    lines = explained().splitlines()
    names = allowed.split(",")
    best_first = ["c", "plan", "explicit"]
    runs = next(n for n in best_first if n in names or n == "explicit")
    before = best_first[: best_first.index(runs)]
    refused = [f"{name}: BPTT_EXECUTORS is {allowed}" for name in before]
    assert lines[: len(before) + 1] == [*refused, f"{runs}: runs it"]
    x = normal_leaf(4, 2, 3)
    _, y = engine.scan(step, normal(2, 3), x)
    assert (y.node.op.name == "output") == (runs != "explicit")


@pytest.mark.parametrize("allowed", [None, "plan"])
def test_all_executors_give_the_same(allowed, monkeypatch):
    found = []
    for names in (allowed, "explicit"):
        if names is None:
            monkeypatch.delenv("BPTT_EXECUTORS", raising=False)
        else:
            monkeypatch.setenv("BPTT_EXECUTORS", names)
        x, h = normal_leaf(4, 2, 3), normal_leaf(2, 3)
        _, y = engine.scan(step, h, x, lengths=[4, 2])
        found.append([y.numpy(), *(g.numpy() for g in engine.gradients(functional([y]), [x, h]))])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"unroll": True}, "the explicit graph was asked for"),
        ({"length": 4}, ""),
    ],
)
def test_an_explanation_takes_the_options_of_scan(options, reason):
    told = explained(**options)
    assert told.startswith(f"c: {reason or 'runs it'}")


def test_a_mask_is_explained_as_selections():
    told = explained(mask=np.array([[1, 0], [1, 1], [0, 1], [1, 1]], bool))
    assert "rows 0 -> bool[2]" in told
    assert "where(" in told
    assert [one.name for one in EXECUTORS] == ["c", "cuda", "plan", "explicit"]


def test_a_fall_to_the_loop_is_explained_with_the_body():
    def reading(h, x):
        return (h + x, h) if float(engine.sum(x)) > 0 else (h - x, h)

    told = engine.explain_scan(reading, engine.zeros((2, 3)), engine.ones((4, 2, 3)))
    assert [line.split(":")[0] for line in told.splitlines()[:3]] == ["c", "plan", "explicit"]
    assert "has no numbers" in told.splitlines()[0]
    assert "the step is not recorded" in told
