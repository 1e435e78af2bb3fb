"""Test every op of the registry on every device and float dtype, by its own examples: values
against NumPy, gradients against finite differences.
"""

import math
import zlib
from typing import Any

import numpy as np
import pytest

import engine
from engine import REGISTRY
from engine.apply import apply
from engine.backends import by_device
from engine.op import Draw, Example, Op
from engine.ops.keys import Slot
from tests.draws import first

CASES = [
    pytest.param(op, example, id=f"{op.name}-{number}")
    for op in REGISTRY.values()
    for number, example in enumerate(op.examples)
]
SMOOTH = [case for case in CASES if case.values[0].vjp is not None]
PAIRS = [case.values for case in CASES]
SMOOTH_PAIRS = [case.values for case in SMOOTH]
# The first example of each op, and all others: further shapes and attributes of the same rule.
LEADING = [(op, one) for op, one in SMOOTH_PAIRS if one is op.examples[0]]
FURTHER = [(op, one) for op, one in SMOOTH_PAIRS if one is not op.examples[0]]
ROUNDING = {"float32": 2e-6, "float64": 1e-13}


def drawn(op: Op, example: Example, dtype: str) -> list[Any]:
    """Return the inputs of an example: the same NumPy arrays in every run, literals as they are."""
    rng = np.random.default_rng(zlib.crc32(f"{op.name} {example!r}".encode()))
    return [_draw(rng, x, dtype) if isinstance(x, Draw) else x for x in example.inputs]


def _draw(rng: np.random.Generator, x: Draw, dtype: str) -> np.ndarray:
    if x.integer:
        return np.asarray(rng.integers(int(x.low), int(x.high), x.shape))
    return np.asarray(rng.uniform(x.low, x.high, x.shape)).astype(dtype)


def on_device(values: list[Any], device: str) -> list[Any]:
    """Return arrays as leaves that require a gradient where they can; literals stay."""
    return [
        engine.asarray(x, device=device, requires_grad=x.dtype.kind == "f")
        if isinstance(x, np.ndarray)
        else x
        for x in values
    ]


def indexed(key: tuple[Any, ...], arrays: Any) -> tuple[Any, ...]:
    """Return an index expression with its arrays in their slots."""
    return tuple(arrays[part.position] if isinstance(part, Slot) else part for part in key)


def placed(*operands: Any, keys: Any, shape: Any) -> np.ndarray:
    """Compute `place` piece by piece."""
    out, rest = np.zeros(shape, operands[0].dtype), list(operands)
    for key in keys:
        values = rest.pop(0)
        arrays = [rest.pop(0) for part in key if isinstance(part, Slot)]
        np.add.at(out, indexed(key, arrays), values)
    return out


def assigned(x: np.ndarray, values: Any, *arrays: Any, key: Any) -> np.ndarray:
    """Compute `assign` in NumPy."""
    out = x.copy()
    out[indexed(key, arrays)] = values
    return out


def chances(
    key: Any, t: Any, *, shape: Any, probability: float, number: int = 0, window: Any = None
) -> np.ndarray:
    """Compute `chance` one number at a time, by Philox in Python's own integers."""
    if window is not None:
        axis, first, total = window
        whole = (*shape[:axis], total, *shape[axis + 1 :])
        drawn = chances(key, t, shape=whole, probability=probability, number=number)
        return np.take(drawn, range(first, first + shape[axis]), np.ndim(t) + axis)
    flat = []
    for time in np.ravel(t):
        for place in range(math.prod(shape)):
            word = philox_word([place // 4, int(time), number, 0], list(map(int, key)), place % 4)
            flat.append(word < int(probability * 2**32))
    return np.array(flat).reshape(*np.shape(t), *shape)


def subkeys(key: Any, t: Any, *, number: int = 0) -> np.ndarray:
    """Compute `subkey` in Python's own integers."""
    counter = [2**32 - 1, int(t), number, 1]
    return np.array([philox_word(counter, list(map(int, key)), which) for which in (0, 1)])


def philox_word(counter: list[int], key: list[int], which: int) -> int:
    for _ in range(10):
        left, right = counter[0] * 0xD2511F53, counter[2] * 0xCD9E8D57
        counter = [right >> 32 ^ counter[1] ^ key[0], right % 2**32,
                   left >> 32 ^ counter[3] ^ key[1], left % 2**32]  # fmt: skip
        key = [(key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32]
    return counter[which]


def halved(x: np.ndarray) -> np.ndarray:
    """Return the symmetric part of matrices."""
    return np.asarray((x + np.swapaxes(x, -2, -1)) / 2)


def cofactors(x: np.ndarray) -> np.ndarray:
    """Compute the cofactors of matrices, each by its definition."""
    out, size = np.empty_like(x), x.shape[-1]
    for i in range(size):
        for j in range(size):
            rest = np.delete(np.delete(x, i, -2), j, -1)
            out[..., i, j] = (-1) ** (i + j) * np.linalg.det(rest)
    return out


def minors(h: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Compute the derivative of the cofactors along h, exact for polynomials of degree 2."""
    return (cofactors(x + h) - cofactors(x - h)) / 2


def summed_powers(x: np.ndarray) -> np.ndarray:
    """Compute the exponential of matrices by its series."""
    total = term = np.eye(x.shape[-1], dtype=np.longdouble) + 0 * x
    for n in range(1, 60):
        term = term @ x / n
        total = total + term
    return np.asarray(total)


def searched(rows: np.ndarray, numbers: np.ndarray, side: str = "left") -> np.ndarray:
    """Count the elements of a row that come before each number."""
    before = rows[..., None, :] < numbers[..., None] if side == "left" else (
        rows[..., None, :] <= numbers[..., None])  # fmt: skip
    return np.searchsorted(rows, numbers, side) if rows.ndim == 1 else before.sum(-1)


def naive_softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    raised = np.exp(x.astype(np.longdouble))
    return raised / raised.sum(axis=axis, keepdims=True)


def naive_logsumexp(x: np.ndarray, axis: Any = None, keepdims: bool = False) -> np.ndarray:
    return np.log(np.exp(x.astype(np.longdouble)).sum(axis=axis, keepdims=keepdims))


def naive_softmax_cross_entropy(x: np.ndarray, target: Any, kept: Any = 1) -> np.ndarray:
    hits = np.take_along_axis(naive_softmax(x), np.asarray(target)[..., None], -1)[..., 0]
    return np.where(kept, -np.log(hits), 0)


# What each op means, said without the engine: what NumPy has under its name, or what stands here.
MEANING: dict[str, Any] = {
    **{name: getattr(np, name) for name in REGISTRY if hasattr(np, name)},
    "sigmoid": lambda x: 0.5 + 0.5 * np.tanh(0.5 * x.astype(np.longdouble)),
    "relu": lambda x: x * (x > 0),
    "clip": lambda x, min=None, max=None: np.clip(x, min, max),
    "astype": lambda x, dtype: x.astype(dtype),
    "discretize": lambda x, dtype: np.trunc(x).astype(dtype),
    "identity": lambda x: x,
    "copy": lambda x: x,
    "stop_gradient": lambda x: x,
    "erf": lambda x: np.vectorize(math.erf)(x),
    "assign": assigned,
    "argsort": lambda x, axis=-1, descending=False: np.argsort(-x if descending else x, axis),
    "searchsorted": searched,
    "cummax": lambda x, axis=-1: np.maximum.accumulate(x, axis),
    "chance": chances,
    "subkey": subkeys,
    "getitem": lambda x, *arrays, key: x[indexed(key, arrays)],
    "place": placed,
    "softmax": naive_softmax,
    "log_softmax": lambda x, axis=-1: np.log(naive_softmax(x, axis)),
    "logsumexp": naive_logsumexp,
    "softmax_cross_entropy": naive_softmax_cross_entropy,
    "reshape": lambda x, shape: x.reshape(shape),
    "permute_dims": lambda x, axes: np.transpose(x, axes),
    "broadcast_to": lambda x, shape: np.broadcast_to(x, shape),
    "concat": lambda *xs, axis=0: np.concatenate(xs, axis=axis),
    "stack": lambda *xs, axis=0: np.stack(xs, axis=axis),
    "cholesky": lambda x: np.linalg.cholesky(halved(x)),
    "eigvalsh": lambda x: np.linalg.eigvalsh(halved(x)),
    "svdvals": lambda x: np.linalg.svdvals(x),
    "det": lambda x: np.linalg.det(x),
    "cofactors": cofactors,
    "minors": minors,
    "root": lambda x: np.sqrt(x),
    "slogdet": lambda x: np.stack(np.linalg.slogdet(x), -1),
    "inv": lambda x: np.linalg.inv(x),
    "expm": summed_powers,
    "pinv": lambda x, rtol=None: np.linalg.pinv(x, rtol=rtol),
    "solve": lambda a, b, strict=True: np.linalg.solve(a, b),
    "unit_lower_inverse": lambda x: np.linalg.inv(np.eye(x.shape[-1]) + np.tril(x, -1)),
    "linear": lambda x, w, b=0.0: np.einsum("...i,oi->...o", x, w) + b,
}


def labels(cases: list[tuple[Any, ...]]) -> list[str]:
    """Return the names of cases: op, number of the example, and what else there is."""
    return [
        "-".join([op.name, str([x is example for x in op.examples].index(True)), *map(str, rest)])
        for op, example, *rest in cases
    ]


def in_dtypes(pairs: list[tuple[Any, ...]], *dtypes: str) -> list[tuple[Any, ...]]:
    """Return these examples in one dtype after another."""
    return [(op, example, dtype) for dtype in dtypes for op, example in pairs]


def test_every_op_has_a_meaning_and_examples():
    assert set(REGISTRY) - set(MEANING) == set(), "enter them in MEANING here, in NumPy"
    assert set(MEANING) - set(REGISTRY) == set(), "ops that are no more"
    assert [op.name for op in REGISTRY.values() if not op.examples] == []
    assert [op.name for op in REGISTRY.values() if not op.doc] == []


# In single precision a literal or a constant shows that widens the result.
RULED = in_dtypes(sorted(PAIRS, key=lambda one: one[1] is not one[0].examples[0]), "float32",
                  "float64")  # fmt: skip


@pytest.mark.parametrize(("op", "example", "dtype"), first(len(REGISTRY), RULED), ids=labels(RULED))
def test_forward_is_the_rule_on_arrays(op, example, device, dtype):
    values = drawn(op, example, dtype)
    out = apply(op, tuple(on_device(values, device)), example.attrs)
    expected = np.asarray(op.forward(by_device("numpy").xp, *values, **example.attrs))
    assert (out.shape, out.dtype, out.device) == (expected.shape, expected.dtype, device)
    if device == "numpy":
        np.testing.assert_array_equal(out.numpy(), expected)
    else:
        np.testing.assert_allclose(out.numpy(), expected, rtol=ROUNDING[dtype], atol=1e-6)


MEANT = in_dtypes(PAIRS, "float64", "float32")  # the finer comparison comes first


@pytest.mark.parametrize(("op", "example", "dtype"), first(len(PAIRS), MEANT), ids=labels(MEANT))
def test_forward_means_what_numpy_means(op, example, device, dtype):
    values = drawn(op, example, dtype)
    out = apply(op, tuple(on_device(values, device)), example.attrs)
    expected = np.asarray(MEANING[op.name](*values, **example.attrs))
    assert out.shape == expected.shape
    tolerance = ROUNDING[dtype]
    np.testing.assert_allclose(out.numpy(), expected, rtol=tolerance, atol=tolerance)


def agree_with_differences(op: Op, example: Example, order: int, device: str) -> bool:
    values = drawn(op, example, "float64")
    arrays = [engine.asarray(x, device=device) for x in values if isinstance(x, np.ndarray)]

    def with_literals(*tensors: Any) -> Any:
        given = iter(tensors)
        inputs = (next(given) if isinstance(x, np.ndarray) else x for x in values)
        return apply(op, tuple(inputs), example.attrs)

    return engine.gradcheck(with_literals, arrays, order)


# The check of order 2 begins with that of order 1.
ORDERS = [(*one, 2) for one in LEADING] + [(*one, 1) for one in FURTHER]
ORDERS += [(*one, 1) for one in LEADING] + [(*one, 2) for one in FURTHER]
ON_A_DEVICE = [(*one, order) for order in (1, 2) for one in (*LEADING, *FURTHER)]


@pytest.mark.parametrize(("op", "example", "order"), first(len(SMOOTH), ORDERS), ids=labels(ORDERS))
def test_derivatives_agree_with_differences(op, example, order):
    assert agree_with_differences(op, example, order, "numpy")


@pytest.mark.cupy
@pytest.mark.parametrize(
    ("op", "example", "order"), first(len(LEADING), ON_A_DEVICE), ids=labels(ON_A_DEVICE)
)
def test_derivatives_on_a_device_agree_with_differences(op, example, order, gpu):
    assert agree_with_differences(op, example, order, gpu)


LITERAL = [x for x in SMOOTH if any(isinstance(one, float) for one in x.values[1].inputs)]


@pytest.mark.parametrize(("op", "example"), LITERAL)
def test_a_literal_widens_nothing(op, example):
    # A rule gets it as a Python number, and what NumPy makes of such alone is float64.
    values = drawn(op, example, "float32")
    assert apply(op, tuple(on_device(values, "numpy")), example.attrs).dtype == engine.float32


def pulled(op: Op, example: Example, device: str, dtype: str, create_graph: bool) -> list[Any]:
    """Return the leaves of an example and their gradients, on a seed with no symmetry."""
    inputs = on_device(drawn(op, example, dtype), device)
    leaves = [x for x in inputs if isinstance(x, engine.Tensor) and x.requires_grad]
    out = apply(op, tuple(inputs), example.attrs)
    seed = np.random.default_rng(3).uniform(0.5, 1.5, out.shape)
    grads = engine.gradients(out, leaves, grads=seed, create_graph=create_graph)
    return list(zip(leaves, grads, strict=True))


PULLED = in_dtypes([*LEADING, *FURTHER], "float32", "float64")


@pytest.mark.parametrize(
    ("op", "example", "dtype"), first(len(LEADING), PULLED), ids=labels(PULLED)
)
def test_gradients_look_like_their_inputs(op, example, device, dtype):
    for create_graph in (False, True):
        pairs = pulled(op, example, device, dtype, create_graph)
        assert pairs
        for x, g in pairs:
            assert (g.shape, g.dtype, g.device) == (x.shape, x.dtype, x.device)


RECORDED = in_dtypes([*LEADING, *FURTHER], "float64", "float32")


@pytest.mark.parametrize(
    ("op", "example", "dtype"), first(len(LEADING), RECORDED), ids=labels(RECORDED)
)
def test_both_modes_give_the_same_gradients(op, example, device, dtype):
    plain = pulled(op, example, device, dtype, False)
    recorded = pulled(op, example, device, dtype, True)
    for (_, one), (_, other) in zip(plain, recorded, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


ROUNDED = [*LEADING, *FURTHER]


@pytest.mark.parametrize(("op", "example"), first(len(LEADING), ROUNDED), ids=labels(ROUNDED))
def test_single_precision_gradients_are_the_double_ones_rounded(op, example, device):
    single = pulled(op, example, device, "float32", False)
    double = pulled(op, example, device, "float64", False)
    for (_, one), (_, other) in zip(single, double, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=2e-5, atol=2e-6)


def test_an_input_keeps_its_own_dtype_among_others(device):
    x = engine.ones((2, 3), device=device, requires_grad=True)
    y = engine.ones((3,), dtype="float64", device=device, requires_grad=True)
    for g, like in zip(engine.gradients(engine.sum(x * y), [x, y]), (x, y), strict=True):
        assert (g.dtype, g.shape) == (like.dtype, like.shape)
