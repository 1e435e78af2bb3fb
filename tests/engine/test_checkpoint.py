"""Test checkpoint: bit for bit the same as without it, from a graph that is not kept."""

import gc
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import engine
from engine import random
from tests.draws import leaf, normal, normal_leaf

pytestmark = pytest.mark.usefixtures("frozen")

H = 4


@pytest.fixture(autouse=True)
def _seed_as_before() -> Iterator[None]:
    before = random._Seed.value, random._Seed.births, random._Seed.streams
    yield
    random._Seed.value, random._Seed.births, random._Seed.streams = before


def scanned(w: Any, x: Any, p: float = 0.0) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = engine.dropout(engine.tanh(h @ w + x), p)
        return h, h

    return engine.scan(step, engine.zeros((2, H), dtype="float64"), x)


# Functions of an input (3, 2, H) and of parameters that they close over.
BLOCKS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "ops": lambda x, w, v: engine.tanh(x @ w) * x + x @ w,
    "slices": lambda x, w, v: x[0] @ w[:, :2] + engine.sum(x[1:], axis=0) @ w[:, 2:],
    "recurrence": lambda x, w, v: scanned(v, x @ w)[1],
    "dropout": lambda x, w, v: engine.dropout(engine.dropout(engine.tanh(x @ w), 0.5) @ w, 0.3),
    "dropout in time": lambda x, w, v: scanned(v, engine.dropout(x, 0.2), 0.5)[1],
    "several": lambda x, w, v: {"h": scanned(v, x, 0.3), "x": (x @ w, x * w[0], None)},
    "nested": lambda x, w, v: engine.checkpoint(lambda y: engine.dropout(y @ w, 0.4) @ w)(x @ v),
    "mask": lambda x, w, v: (x @ w, x > 0, engine.argmax(x)),
}
CASES = pytest.mark.parametrize("name", BLOCKS)


def total(result: Any) -> Any:
    """Return one number in which all floating results count, with different weights."""
    parts = [x for x in engine.pytree.flatten(result)[0] if x.dtype.kind == "f"]
    weighted = [engine.sum(x * normal(*x.shape, salt=i)) ** 2 for i, x in enumerate(parts)]
    return sum(weighted[1:], weighted[0])


def used_twice(name: str, checked: bool) -> tuple[Any, list[Any]]:
    """Return a loss in which a block is applied twice, and what it depends on."""
    engine.seed(5)
    w, v, x = normal_leaf(H, H), normal_leaf(H, H, salt=1), normal_leaf(3, 2, H)

    def block(x: Any) -> Any:
        return BLOCKS[name](x, w, v)

    f = engine.checkpoint(block) if checked else block
    with engine.scope("model"):
        y = x * w[0]
        first = f(y)
        with engine.scope("again"):
            second = f(engine.tanh(y) + x)
        # Uses of the same tensors before, between and after.
        return total(first) + total(second) * engine.sum(w) + engine.sum(x * v[1]), [w, v, x]


def bits(tensors: Any) -> list[Any]:
    return [x if x is None else x.numpy().tolist() for x in tensors]


@CASES
def test_values_and_gradients_to_the_last_bit(name):
    (plain, leaves), (ours, own) = used_twice(name, False), used_twice(name, True)
    assert ours.item() == plain.item()
    assert bits(engine.gradients(ours, own)) == bits(engine.gradients(plain, leaves))
    assert bits(engine.gradients(ours, own[1:2])) == bits(engine.gradients(plain, leaves[1:2]))
    plain.backward()
    ours.backward()
    assert bits(x.grad for x in own) == bits(x.grad for x in leaves)


@CASES
def test_a_second_pass_is_the_same(name):
    loss, leaves = used_twice(name, True)
    once = bits(engine.gradients(loss, leaves))
    assert bits(engine.gradients(loss, leaves)) == once
    engine.dropout(engine.ones(9), 0.5)  # other draws in between
    assert bits(engine.gradients(loss, leaves)) == once


@CASES
def test_recorded_passes_and_second_order(name, explicit):
    found = []
    for checked in (False, True):
        loss, leaves = used_twice(name, checked)
        first = engine.gradients(loss, leaves, create_graph=True)
        slope = sum((engine.sum(g * g) for g in first if g is not None), leaf(0.0))
        found.append([*first, *engine.gradients(slope, leaves)])
    for one, other in zip(*found, strict=True):
        if one is None or other is None:
            assert one is other
        else:
            np.testing.assert_allclose(other.numpy(), one.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("order", [1, 2])
def test_derivatives_agree_with_differences(order):
    def f(x: Any, w: Any) -> Any:
        inner = engine.checkpoint(lambda x: engine.tanh(x @ w))
        return inner(inner(x) * x)

    assert engine.gradcheck(f, [normal(2, 3), normal(3, 3)], order)
    _, tangent = engine.jvp(f, (normal(2, 3), normal(3, 3)), (normal(2, 3), normal(3, 3)))
    plain = engine.jvp(lambda x, w: engine.tanh((engine.tanh(x @ w) * x) @ w),
                       (normal(2, 3), normal(3, 3)), (normal(2, 3), normal(3, 3)))[1]  # fmt: skip
    np.testing.assert_allclose(tangent.numpy(), plain.numpy(), rtol=1e-12)


def test_draws_go_on_as_without_it():
    found = []
    for wrap in (lambda f: f, engine.checkpoint):
        engine.seed(1)
        f = wrap(lambda x: engine.dropout(x, 0.5))
        x = normal_leaf(50)
        engine.sum(f(x)).backward()
        found.append([f(x).numpy().tolist(), engine.dropout(x, 0.5).numpy().tolist()])
    assert found[0] == found[1]
    assert found[0][0] != found[0][1]


def test_inside_a_step_of_a_recurrence(explicit):
    # There the draws are numbered in the step.
    found = []
    for wrap in (lambda f: f, engine.checkpoint):
        engine.seed(1)
        w, x = normal_leaf(H, H), normal_leaf(5, 2, H)
        cell = wrap(lambda h, x: engine.dropout(engine.tanh(engine.dropout(h, 0.3) @ w + x), 0.5))  # noqa: B023

        def step(h: Any, x: Any, cell: Any = cell) -> Any:
            h = engine.dropout(cell(engine.dropout(h, 0.1), x), 0.2)
            return h, h

        _, ys = engine.scan(step, engine.ones((2, H), dtype="float64"), x)
        loss = engine.sum(ys * ys)
        found.append([loss.item(), *bits(engine.gradients(loss, [w, x]))])
    assert found[0] == found[1]


def test_in_a_fused_recurrence_it_is_the_function():
    w, x = normal_leaf(H, H), normal_leaf(5, 2, H)

    def run(wrap: Any) -> Any:
        cell = wrap(lambda h, x: engine.tanh(h @ w + x))
        ys = engine.scan(lambda h, x: (cell(h, x),) * 2, engine.zeros((2, H), dtype="float64"), x)[
            1
        ]
        return engine.sum(ys * ys)

    plain, ours = run(lambda f: f), run(engine.checkpoint)
    assert ours.item() == plain.item()
    assert bits(engine.gradients(ours, [w, x])) == bits(engine.gradients(plain, [w, x]))


# ---- what is kept


def chain(x: Any) -> Any:
    for _ in range(50):
        x = engine.tanh(x)
    return x


def test_only_inputs_and_outputs_stay_on_the_graph():
    x = leaf(0.5)
    y = engine.checkpoint(chain)(engine.checkpoint(chain)(x))
    assert [n.op.name for n in engine.Graph.of(y).nodes] == ["leaf", "checkpoint", "checkpoint"]
    assert "checkpoint(%0, run=<chain>)" in engine.Graph.of(y).text()
    assert len(engine.Graph.of(chain(chain(x)))) == 101


def held_after(f: Any, x: Any) -> int:
    """Return the bytes that a result holds."""
    gc.collect()
    tracemalloc.start()
    y = f(x)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    engine.sum(y).backward()
    return held


def peak_of_training(f: Any, x: Any) -> int:
    """Return the most bytes at any time in a pass forward and backward."""
    gc.collect()
    tracemalloc.start()
    for _ in range(8):
        x = f(x)
    engine.sum(x).backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_is_lower():
    x = normal_leaf(20_000)  # 160 kB an array
    plain, ours = held_after(chain, x), held_after(engine.checkpoint(chain), x)
    assert plain > 49 * 160_000
    assert ours < 2 * 160_000
    # 8 blocks of 50: all of them without it; with it the inputs of 8 and one block.
    plain, ours = peak_of_training(chain, x), peak_of_training(engine.checkpoint(chain), x)
    assert plain > 8 * 49 * 160_000
    assert ours < (8 + 50 + 15) * 160_000


def test_a_dropped_result_frees_everything():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    made = []

    def block(x: Any) -> Any:
        inner = x * w
        made.append(weakref.ref(inner))
        return inner + 1

    gc.collect()
    gc.disable()
    try:
        y = engine.checkpoint(block)(x * 2)
        assert made[0]() is None
        engine.sum(y).backward()
        assert made[1]() is None
        freed = weakref.ref(y)
        del y
        assert freed() is None
    finally:
        gc.enable()


# ---- what is given and returned


def test_arguments_of_every_kind():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)

    @engine.checkpoint
    def f(a: Any, n: int, *, pair: Any, name: str, none: Any = None) -> Any:
        """Multiply and add."""
        assert (name, none) == ("given", None)
        return a * n + pair["y"][0] * pair["k"], name

    out, name = f(x, 3, pair={"y": [y], "k": 2.0}, name="given")
    assert (f.__name__, f.__doc__, name) == ("f", "Multiply and add.", "given")
    assert [g.numpy().tolist() for g in engine.gradients(out.sum(), [x, y])] == [[3, 3], [2, 2]]


def test_results_that_pass_through():
    x, w = leaf(1.0), leaf(2.0)
    out, same, other, number = engine.checkpoint(lambda x: (x * w, x, w, 3))(x)
    assert (same is x, other is w, number) == (True, True, 3)
    found = engine.gradients(out * same * other, [x, w])
    assert [g.item() for g in found] == [2 * 1 * 4, 2 * 2 * 1]


def test_without_a_gradient_it_is_the_function():
    x = leaf(1.0)
    f = engine.checkpoint(lambda x: x * 2)
    assert not f(engine.ones(2)).requires_grad
    with engine.no_grad():
        assert not f(x).requires_grad
    assert engine.checkpoint(lambda x: x > 0)(x).node.operands == ()
    assert engine.checkpoint(lambda x: x.detach() * 2)(x).requires_grad is False
    integer = engine.checkpoint(lambda x: (x * 2, engine.argmax(x) + 1))(x)[1]
    assert integer.node.operands == ()  # nothing of the run is held by it


def test_one_tensor_given_and_used_besides():
    x = leaf(3.0)
    f = engine.checkpoint(lambda a, b: a * b * x)
    assert engine.gradients(f(x, x * 1), [x])[0].item() == 3 * 9


def test_a_tensor_in_between_that_it_closes_over():
    x = leaf(3.0)
    y = x * x
    f = engine.checkpoint(lambda a: a * y * x)
    found = engine.gradients(f(y), [x, y])
    assert [g.item() for g in found] == [5 * 3**4, 2 * 9 * 3]
    recorded = engine.gradients(f(y), [x], create_graph=True)[0]
    assert engine.gradients(recorded, [x])[0].item() == 20 * 27
    z = f(x * 1)  # y itself is not given
    assert [n.op.name for n in engine.Graph.of(z).nodes].count("multiply") == 2
    assert [g.item() for g in engine.gradients(z, [x, y])] == [4 * 27, 9]


def test_an_argument_that_is_changed_afterwards():
    x, mask = leaf(1.0, 2.0), engine.asarray([1.0, 0.0])
    y = engine.checkpoint(lambda x, mask: x * engine.where(mask > 0, 2.0, 3.0))(x, mask)
    mask[...] = 0.0
    assert engine.gradients(engine.sum(y), [x])[0].numpy().tolist() == [2, 3]


def test_the_second_run_has_the_settings_of_the_first():
    x, seen = leaf(1.0), []

    @engine.checkpoint
    def f(x: Any) -> Any:
        state = engine.state.current()
        seen.append(
            (
                engine.stepping.stepping().explicit,
                state.scope.path,
                state.recording,
                state.equations,
            )
        )
        return x * 2

    with engine.explicit(), engine.scope("cell"):
        y = f(x)
    with engine.no_grad(), engine.scope("elsewhere"):
        y.backward()
    assert seen == [(True, "cell", True, None)] * 2


def test_an_object_that_can_be_called():
    class Scale:
        def __init__(self) -> None:
            self.w = leaf(2.0)

        def __call__(self, x: Any) -> Any:
            return x * self.w

    scale, x = Scale(), leaf(3.0)
    y = engine.checkpoint(scale)(x)
    assert "run=<Scale>" in engine.Graph.of(y).text()
    assert [g.item() for g in engine.gradients(y, [scale.w, x])] == [3, 2]


def test_hooks_and_norms_around_it():
    x, seen = leaf(1.0, 2.0), []

    def block(x: Any) -> Any:
        inner = x * 3
        inner.register_hook(lambda g: seen.append(g.numpy().tolist()))
        return inner * inner + x

    y = x * 1
    z = engine.checkpoint(block)(y)
    loss = engine.sum(z)
    y.register_hook(lambda g: seen.append(g.numpy().tolist()))
    engine.gradients(loss, [x])
    assert seen == [[6, 12], [19, 37]]
    nodes, uses = engine.gradient_norms(loss)
    g = engine.gradients(loss, [y])[0].numpy()
    assert nodes[y.node] == pytest.approx(np.linalg.norm(g), rel=1e-14)
    assert uses[y.node, (z.node, 0)] == pytest.approx(np.linalg.norm(g), rel=1e-14)


def test_it_can_be_computed_again():
    w, xs = normal_leaf(H, H), normal_leaf(5, 2, H)
    f = engine.checkpoint(lambda x: engine.tanh(x) @ w)
    y = f(scanned(w, xs)[1])
    again = engine.expanded(y)[0]
    np.testing.assert_allclose(again.numpy(), y.numpy(), rtol=1e-13)
    one, other = (engine.gradients(engine.sum(z * z), [w, xs]) for z in (y, again))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-14)


# ---- memory

VIEWS: dict[str, Callable[[Any], Any]] = {
    "slice": lambda h: h[:, -1],
    "row": lambda h: h[0],
    "parts": lambda h: (h[:, 0], h[:, 1:3]),
    "strided": lambda h: h[::7, ::-2],
    "turned slice": lambda h: engine.permute_dims(h[:2], (1, 0)),
    "split": lambda h: {"first": engine.split(h, 4, axis=1)[0], "mask": h > 0},
    "squeezed": lambda h: engine.reshape(h[:1], (-1,)),
    "selected": lambda h: engine.where(h > 0, h, 0.0)[:1],
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_result_that_is_a_slice_keeps_nothing_else(name):
    w, x = normal_leaf(40, 40), normal_leaf(40, 40, salt=1)

    def f(x: Any) -> Any:
        return VIEWS[name](engine.tanh(x @ w))

    found, plain = engine.checkpoint(f)(x), f(x)
    for one, other in zip(*(engine.pytree.flatten(y)[0] for y in (found, plain)), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), strict=True)
        if one.requires_grad:
            assert one.data.base is None or one.data.base.nbytes <= one.data.nbytes
    for one, other in zip(*(engine.gradients(total(y), [w, x]) for y in (found, plain)),
                          strict=True):  # fmt: skip
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12)


def test_views_of_all_of_an_array_are_not_copied():
    made = []

    def f(x: Any) -> Any:
        made.append(engine.tanh(x))
        return engine.reshape(made[0], (-1,))

    assert np.shares_memory(engine.checkpoint(f)(normal_leaf(3, 4)).data, made[0].data)


def test_steps_that_return_slices_keep_linear_memory_of_the_slices_alone():
    steps, width = 30, 4096
    w = engine.asarray(np.ones((2, width), "f"), requires_grad=True)
    step = engine.checkpoint(lambda h: engine.tanh(h @ w)[:, :2])
    gc.collect()
    tracemalloc.start()
    h = engine.ones((64, 2))
    for _ in range(steps):
        h = step(h)
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    whole = 64 * width * 4
    assert kept < whole  # of one step, out of 30
    assert h.requires_grad


def test_a_recurrence_keeps_the_states_between_segments_alone():
    # Also of a state that is no more than a slice of what its step computes.
    w = normal_leaf(H, 8 * H)

    def step(h: Any, x: Any) -> Any:
        h = engine.tanh((h + x) @ w)[:, :H]
        return h, engine.sum(h)

    ys = engine.scan(step, engine.zeros((2, H), dtype="float64"), normal_leaf(30, 2, H),
                     checkpoint=True)[1]  # fmt: skip
    scanned_node = ys.node.inputs[0]
    assert isinstance(scanned_node, engine.Tensor)
    for state in scanned_node.data.saved:
        for array in state:
            assert array.base is None or array.base.nbytes <= array.nbytes


# ---- what is refused


def test_a_function_that_does_something_else_is_refused():
    x, ws = leaf(2.0), [leaf(3.0), leaf(3.0)]  # of which the numbers tell nothing
    turn = iter(range(9))
    y = engine.checkpoint(lambda x: x * ws[next(turn) % 2])(x)
    with pytest.raises(RuntimeError, match="checkpoint: the second run used <node leaf"):
        y.backward()
    answers = iter([lambda x: (x * 2, x > 0), lambda x: (x > 0, x * 2)])
    y = engine.checkpoint(lambda x: next(answers)(x))(x)[0]
    with pytest.raises(RuntimeError, match=r"gave gradients to results \[1\] .* \[0\] the first"):
        y.backward()
    x, counts = leaf(2.0, 3.0), iter([1, 2])

    def drops(x: Any) -> Any:
        for _ in range(next(counts)):
            x = engine.dropout(x, 0.5)
        return x

    y = engine.sum(engine.checkpoint(drops)(x))
    with pytest.raises(RuntimeError, match="checkpoint: the second run draws more numbers"):
        y.backward()
    assert x.grad is None


def test_a_seed_in_between_is_refused():
    x = normal_leaf(9)
    engine.seed(1)
    drawn = engine.sum(engine.checkpoint(lambda x: engine.dropout(x, 0.5))(x))
    plain = engine.sum(engine.checkpoint(lambda x: x * 2)(x))
    engine.seed(2)
    with pytest.raises(RuntimeError, match="checkpoint: the seed was set between the run and its"):
        drawn.backward()
    assert x.grad is None
    plain.backward()  # draws nothing
    assert x.grad.numpy().tolist() == [2] * 9


def test_an_argument_changed_in_place_is_refused():
    x = leaf(2.0) * 1

    def f(x: Any) -> Any:
        x *= 2
        return x * 3

    with pytest.raises(ValueError, match=r"checkpoint: <.*f> changes an argument in place"):
        engine.checkpoint(f)(x)


@pytest.mark.parametrize("again", [False, True])
def test_an_error_of_the_function_is_its_own(again):
    x, runs = leaf(2.0), iter([0 if again else 1, 1])

    def f(x: Any) -> Any:
        if next(runs):
            raise ZeroDivisionError("planted")
        return x * 2

    with pytest.raises(ZeroDivisionError, match="planted"):
        engine.checkpoint(f)(x).backward()
    assert x.grad is None
    assert engine.state.current().keys is None


@pytest.mark.parametrize("effect", [lambda n: n, lambda n: np.random.default_rng(n).normal()])
def test_a_function_that_gives_other_numbers_is_refused(effect):
    calls = []

    def counted(x):
        calls.append(1)
        return engine.tanh(x) * effect(len(calls)), x * 2

    out = total(engine.checkpoint(counted)(normal_leaf(3, H)))
    with pytest.raises(RuntimeError, match=r"counted> gave other numbers for result 0 the second"):
        out.backward()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_numbers_that_are_not_finite_or_cancel_are_the_same_again(dtype):
    x = engine.asarray(np.asarray([1.0, -1.0, np.inf, np.nan, 0.0], dtype), requires_grad=True)
    for part in (x, x[:2], x[4:]):
        engine.sum(engine.checkpoint(lambda v: v * 3)(part)).backward()
    assert x.grad[:2].numpy().tolist() == [6, 6]
