"""Compare scan with the loop that it stands for: values, gradients, forms, lengths, errors."""

from typing import Any, NamedTuple

import numpy as np
import pytest

import engine
from engine import tanh
from tests.draws import normal, normal_leaf

pytestmark = pytest.mark.usefixtures("explicit")

T, B, H = 5, 3, 4


def make_step(w: engine.Tensor) -> Any:
    """Return a step with one state that is not its output."""

    def step(h, x):
        h = tanh(h @ w + x)
        return h, h * x

    return step


def loop(step: Any, state: Any, xs: list[Any], reverse: bool = False) -> tuple[Any, list[Any]]:
    """Run the loop by hand: the final state, and the outputs in the order of time."""
    ys = []
    for x in reversed(xs) if reverse else xs:
        state, y = step(state, x)
        ys.append(y)
    return state, ys[::-1] if reverse else ys


def seeded_sum(*tensors: Any) -> Any:
    """Return a loss without symmetries in which every element counts."""
    parts = [engine.sum(x * normal(*x.shape, salt=9 + i)) for i, x in enumerate(tensors)]
    return sum(parts[1:], parts[0])


def same(ours: Any, theirs: Any, *leaves: engine.Tensor) -> None:
    """Assert the same losses, and the same gradients to the last bits but one or two."""
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-14)
    pairs = zip(
        engine.gradients(ours, leaves), engine.gradients(theirs, leaves), leaves, strict=True
    )
    for one, other, x in pairs:
        assert one.shape == x.shape
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12, atol=1e-13)


# ---- the same as a loop


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_is_a_loop(reverse, device):
    w, h, x = (
        normal_leaf(H, H, device=device),
        normal_leaf(B, H, device=device),
        normal_leaf(T, B, H, device=device),
    )
    final, ys = engine.scan(make_step(w), h, x, reverse=reverse)
    last, each = loop(make_step(w), h, list(x), reverse)
    np.testing.assert_array_equal(final.numpy(), last.numpy())
    np.testing.assert_array_equal(ys.numpy(), engine.stack(each).numpy())
    for create_graph in (False, True):
        ours, theirs = (
            engine.gradients(engine.sum(a * a) + engine.sum(b), [w, h, x], None, create_graph)
            for a, b in ((final, ys), (last, engine.stack(each)))
        )
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12, atol=1e-14)


def test_unroll_gives_the_same_numbers():
    w, h, x = normal_leaf(H, H), normal_leaf(B, H), normal_leaf(T, B, H)
    plain = engine.scan(make_step(w), h, x)
    unrolled = engine.scan(make_step(w), h, x, unroll=True)
    same(seeded_sum(*plain), seeded_sum(*unrolled), w, h, x)


class Pair(NamedTuple):
    """Name the two parts of a state."""

    h: Any
    c: Any


FORMS = {
    "tuple": (lambda h, c: (h, c), lambda s: (s[0], s[1])),
    "list": (lambda h, c: [h, c], lambda s: (s[0], s[1])),
    "dict": (lambda h, c: {"h": h, "c": c}, lambda s: (s["h"], s["c"])),
    "named": (Pair, lambda s: (s.h, s.c)),
    "nested": (lambda h, c: (None, {"in": [h, (c,)]}), lambda s: (s[1]["in"][0], s[1]["in"][1][0])),
}


@pytest.mark.parametrize("form", FORMS)
def test_states_of_any_form(form):
    pack, unpack = FORMS[form]
    w, h0, c0, x = (
        normal_leaf(H, H),
        normal_leaf(B, H),
        normal_leaf(B, H, salt=1),
        normal_leaf(T, B, H),
    )

    def step(state, x):
        h, c = unpack(state)
        c = c * 0.5 + tanh(h @ w + x)
        return pack(tanh(c), c), c

    final, ys = engine.scan(step, pack(h0, c0), x)
    assert type(final) is type(pack(h0, c0))
    last, each = loop(step, pack(h0, c0), list(x))
    ours = seeded_sum(*unpack(final), ys)
    same(ours, seeded_sum(*unpack(last), engine.stack(each)), w, h0, c0, x)


def test_the_keys_of_a_state_may_come_in_any_order():
    step = lambda s, x: ({"b": s["b"] * 2, "a": s["a"] + 1}, x)  # noqa: E731
    final, _ = engine.scan(step, {"a": engine.ones(()), "b": engine.ones(())}, np.zeros(3))
    assert {name: x.item() for name, x in final.items()} == {"a": 4, "b": 8}


def test_several_inputs_and_outputs():
    w, h0 = normal_leaf(H, H), normal_leaf(B, H)
    xs = {"a": normal_leaf(T, B, H, salt=2), "b": (normal_leaf(T, 1, salt=3),)}

    def step(h, x):
        h = tanh(h @ w + x["a"] * x["b"][0])
        return h, {"twice": 2 * h, "none": None, "sum": [engine.sum(h, axis=-1)]}

    final, ys = engine.scan(step, h0, xs)
    assert ys["none"] is None
    assert (ys["twice"].shape, ys["sum"][0].shape) == ((T, B, H), (T, B))
    pairs = [{"a": a, "b": (b,)} for a, b in zip(xs["a"], xs["b"][0], strict=True)]
    last, each = loop(step, h0, pairs)
    ours = seeded_sum(final, ys["twice"], ys["sum"][0])
    theirs = seeded_sum(
        last, engine.stack([y["twice"] for y in each]), engine.stack([y["sum"][0] for y in each])
    )
    same(ours, theirs, w, h0, xs["a"], xs["b"][0])


def test_no_inputs_but_a_length():
    h0 = normal_leaf(B, H)
    final, ys = engine.scan(lambda h, x: (tanh(2 * h), (h, x)), h0, None, length=4)
    last, each = loop(lambda h, x: (tanh(2 * h), h), h0, [None] * 4)
    assert ys[1] is None
    same(seeded_sum(final, ys[0]), seeded_sum(last, engine.stack(each)), h0)


def test_no_outputs():
    final, ys = engine.scan(lambda h, x: (h + x, None), engine.zeros(2), engine.ones((3, 2)))
    assert ys is None
    assert final.numpy().tolist() == [3, 3]


def test_arrays_and_numbers_serve_as_arguments():
    final, ys = engine.scan(lambda h, x: (h + x, h), 0.0, np.array([1.0, 2.0, 3.0], np.float32))
    assert (final.item(), ys.numpy().tolist()) == (6, [0, 1, 3])


def test_integers_and_constants_go_through():
    ids = np.array([[0, 2], [1, 1]])
    table = normal_leaf(3, H)
    step = lambda h, i: ((h := h + engine.embedding(table, i)), i)  # noqa: E731
    final, ys = engine.scan(step, np.zeros((2, H)), ids)
    np.testing.assert_array_equal(ys.numpy(), ids, strict=True)
    g = engine.gradients(engine.sum(final), [table])[0]
    assert g.numpy()[:, 0].tolist() == [1, 2, 1]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("steps", [0, 1])
def test_few_steps(steps, reverse):
    w, h0, x = normal_leaf(H, H), normal_leaf(B, H), normal_leaf(steps, B, H)
    final, ys = engine.scan(make_step(w), h0, x, reverse=reverse)
    assert (ys.shape, ys.dtype) == ((steps, B, H), x.dtype)
    last, each = loop(make_step(w), h0, list(x), reverse)
    same(engine.sum(final * final), engine.sum(last * last), h0)
    if steps:
        np.testing.assert_array_equal(ys[0].numpy(), each[0].numpy())


def test_no_steps_keep_the_form():
    step = lambda s, x: (s, {"y": (x, x[:, 0])})  # noqa: E731
    final, ys = engine.scan(step, (engine.ones(2), None), np.zeros((0, B, H)))
    assert (final[0].numpy().tolist(), final[1]) == ([1, 1], None)
    assert [y.shape for y in ys["y"]] == [(0, B, H), (0, B)]


# ---- lengths

LENGTHS = [5, 0, 2]


def ragged(w: Any, h0: Any, x: Any, reverse: bool) -> tuple[Any, Any]:
    """Run each row by itself for its own length; outputs past it are zero."""
    finals, outputs = [], []
    for b, length in enumerate(LENGTHS):
        state, ys = loop(
            make_step(w), h0[b : b + 1], [x[t, b : b + 1] for t in range(length)], reverse
        )
        padding = [engine.zeros((1, H), dtype="float64")] * (T - length)
        finals.append(state)
        outputs.append(engine.stack([*ys, *padding]))
    return engine.concat(finals), engine.concat(outputs, axis=1)


@pytest.mark.parametrize("reverse", [False, True])
def test_rows_end_at_their_lengths(reverse, device):
    w, h0, x = (
        normal_leaf(H, H, device=device),
        normal_leaf(B, H, device=device),
        normal_leaf(T, B, H, device=device),
    )
    final, ys = engine.scan(make_step(w), h0, x, lengths=LENGTHS, reverse=reverse)
    for b, length in enumerate(LENGTHS):
        assert (ys.numpy()[length:, b] == 0).all()
        assert (ys.numpy()[:length, b] != 0).all()
    np.testing.assert_array_equal(final.numpy()[1], h0.numpy()[1])
    if device == "numpy":
        same(seeded_sum(final, ys), seeded_sum(*ragged(w, h0, x, reverse)), w, h0, x)


@pytest.mark.parametrize("padding", [np.nan, np.inf, 1e300])
@pytest.mark.parametrize("reverse", [False, True])
def test_padding_changes_nothing(reverse, padding):
    w, h0, clean = normal_leaf(H, H), normal_leaf(B, H), normal_leaf(T, B, H)
    values = clean.numpy().copy()
    for b, length in enumerate(LENGTHS):
        values[length:, b] = padding
    dirty = engine.asarray(values, requires_grad=True)
    results = []
    for x in (clean, dirty):
        final, ys = engine.scan(make_step(w), h0, x, lengths=LENGTHS, reverse=reverse)
        grads = engine.gradients(seeded_sum(final, ys), [w, h0, x])
        results.append([final, ys, *grads])
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    for b, length in enumerate(LENGTHS):
        assert (results[1][4].numpy()[length:, b] == 0).all()


def test_full_lengths_are_no_lengths():
    w, h0, x = normal_leaf(H, H), normal_leaf(B, H), normal_leaf(T, B, H)
    plain = engine.scan(make_step(w), h0, x)
    full = engine.scan(make_step(w), h0, x, lengths=np.array([T] * B, np.int32))
    same(seeded_sum(*plain), seeded_sum(*full), w, h0, x)


def test_lengths_with_several_states_and_ranks():
    c0, h0, x = normal_leaf(B, salt=4), normal_leaf(B, 2, H), normal_leaf(T, B, H)

    def step(state, x):
        c, h = state
        h = tanh(h + engine.expand_dims(x, axis=1))
        return (c + engine.sum(h, axis=(1, 2)), h), (c, h)

    (c, h), (cs, hs) = engine.scan(step, (c0, h0), x, lengths=LENGTHS)
    assert (cs.numpy()[2:, 2] == 0).all()
    assert (hs.numpy()[:, 1] == 0).all()
    assert (c.numpy()[1], h.numpy()[1].tolist()) == (c0.numpy()[1], h0.numpy()[1].tolist())
    kept = engine.scan(step, (c0[2:], h0[2:]), x[:2, 2:])[0]
    np.testing.assert_allclose(c.numpy()[2:], kept[0].numpy(), rtol=1e-14)


@pytest.mark.parametrize("dtype", ["int64", "bool", "float32"])
def test_lengths_keep_dtypes(dtype):
    x = np.ones((T, B), dtype)
    seen: list[Any] = []

    def step(h, x):
        seen.append(x.dtype)
        return h, x

    _, ys = engine.scan(step, np.zeros(B), x, lengths=LENGTHS)
    assert {str(one) for one in seen} == {dtype}
    assert str(ys.dtype) == dtype


def test_no_rows_at_all():
    w = normal_leaf(H, H)
    final, ys = engine.scan(make_step(w), np.zeros((0, H)), np.zeros((T, 0, H)))
    assert (final.shape, ys.shape) == ((0, H), (T, 0, H))


# ---- derivatives


@pytest.mark.parametrize("lengths", [None, [2, 3]])
@pytest.mark.parametrize("reverse", [False, True])
def test_derivatives_of_both_orders(lengths, reverse):
    def f(w, h, x):
        final, ys = engine.scan(make_step(w), h, x, lengths=lengths, reverse=reverse)
        return engine.concat([engine.reshape(final, (-1,)), engine.reshape(ys, (-1,))])

    assert engine.gradcheck(f, [normal(2, 2), normal(2, 2, salt=1), normal(3, 2, 2)], 2)


def test_grad_goes_through_scan():
    x = normal(3, 2)
    g = engine.grad(lambda h: engine.sum(engine.scan(lambda h, x: (h * x, h), h, x)[0]))(np.ones(2))
    np.testing.assert_allclose(g.numpy(), x.prod(0), rtol=1e-14)


def test_a_scan_within_a_scan():
    def outer(h, x):
        h, _ = engine.scan(lambda h, x: (tanh(h + x), h), h, x)
        return h, h

    x, h0 = normal_leaf(2, 3, H), normal_leaf(H)
    final, _ = engine.scan(outer, h0, x)
    last, _ = loop(lambda h, x: (tanh(h + x), h), h0, [x[i, j] for i in range(2) for j in range(3)])
    same(seeded_sum(final), seeded_sum(last), x, h0)


@pytest.mark.parametrize("unroll", [None, True])
@pytest.mark.parametrize(
    ("step", "told"),
    [(lambda h, x: h + x, "got Tensor"), (lambda h, x: None, "got NoneType"),
     (lambda h, x: (h, h, h), "got 3 values")],
)  # fmt: skip
def test_a_step_returns_a_pair(step, told, unroll):
    with pytest.raises(TypeError, match=rf"must return \(state, y\), {told}"):
        engine.scan(step, engine.zeros((2, 3)), engine.ones((4, 2, 3)), unroll=unroll)
