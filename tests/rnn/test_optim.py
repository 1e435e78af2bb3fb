"""Compare optimisers with PyTorch's documented formulas; test that a step leaves the rest alone."""

import copy
import math
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import engine
import rnn
from rnn.optim import flat
from tests.counting import calls
from tests.draws import normal

NAMES = ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta"]
STEPS = 50


def parameter(values: Any, dtype: str = "float64") -> engine.Tensor:
    """Return a parameter of these values."""
    return engine.asarray(np.array(values, dtype), requires_grad=True)


def with_grad(values: Any, grad: Any) -> engine.Tensor:
    x = parameter(values)
    x.grad = engine.asarray(np.array(grad, "float64"))
    return x


# ---- the formulas, one number or array at a time, as PyTorch's pages have them


def sgd(lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False) -> Any:
    b = None

    def step(x, g, t):
        nonlocal b
        g = g + weight_decay * x
        if momentum:
            b = momentum * b + (1 - dampening) * g if t > 1 else g
            g = g + momentum * b if nesterov else b
        return x - lr * g

    return step


def adam(
    lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False, decoupled=False
) -> Any:
    m = v = top = 0

    def step(x, g, t):
        nonlocal m, v, top
        if decoupled:
            x = x - lr * weight_decay * x
        else:
            g = g + weight_decay * x
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        top = np.maximum(top, v)
        m_hat, v_hat = m / (1 - betas[0] ** t), (top if amsgrad else v) / (1 - betas[1] ** t)
        return x - lr * m_hat / (np.sqrt(v_hat) + eps)

    return step


def adamw(weight_decay=1e-2, **options: Any) -> Any:
    return adam(weight_decay=weight_decay, decoupled=True, **options)


def rmsprop(lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False) -> Any:
    v = mean = b = 0

    def step(x, g, t):
        nonlocal v, mean, b
        g = g + weight_decay * x
        v = alpha * v + (1 - alpha) * g**2
        mean = alpha * mean + (1 - alpha) * g
        size = np.sqrt(v - mean**2 if centered else v) + eps
        if not momentum:
            return x - lr * g / size
        b = momentum * b + g / size
        return x - lr * b

    return step


def adagrad(lr=1e-2, lr_decay=0, weight_decay=0, initial_accumulator_value=0, eps=1e-10) -> Any:
    total = initial_accumulator_value

    def step(x, g, t):
        nonlocal total
        g = g + weight_decay * x
        total = total + g**2
        return x - lr / (1 + (t - 1) * lr_decay) * g / (np.sqrt(total) + eps)

    return step


def adadelta(lr=1.0, rho=0.9, eps=1e-6, weight_decay=0) -> Any:
    v = u = 0

    def step(x, g, t):
        nonlocal v, u
        g = g + weight_decay * x
        v = rho * v + (1 - rho) * g**2
        delta = np.sqrt(u + eps) / np.sqrt(v + eps) * g
        u = rho * u + (1 - rho) * delta**2
        return x - lr * delta

    return step


FORMULAS: dict[str, Callable[..., Any]] = {
    "SGD": sgd,
    "Adam": adam,
    "AdamW": adamw,
    "RMSprop": rmsprop,
    "Adagrad": adagrad,
    "Adadelta": adadelta,
}
CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in NAMES),
    ("SGD", {"lr": 0.1, "weight_decay": 0.05}),
    ("SGD", {"lr": 0.02, "momentum": 0.9}),
    ("SGD", {"lr": 0.02, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.02, "momentum": 0.8, "nesterov": True, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3}),
    ("Adam", {"lr": 0.05, "betas": (0.0, 0.5), "weight_decay": 0.2}),
    ("Adam", {"lr": 0.05, "betas": (0.9, 0.6), "amsgrad": True}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.3, "eps": 1e-4}),
    ("AdamW", {"lr": 0.05, "betas": (0.7, 0.5), "amsgrad": True}),
    ("RMSprop", {"alpha": 0.7, "eps": 1e-3, "weight_decay": 0.1}),
    ("RMSprop", {"alpha": 0.8, "momentum": 0.9, "eps": 1e-2}),
    ("RMSprop", {"alpha": 0.8, "centered": True, "momentum": 0.5, "eps": 1e-2}),
    ("RMSprop", {"alpha": 0.8, "centered": True}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.05, "weight_decay": 0.1}),
    ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-2}),
    ("Adadelta", {"lr": 0.5, "rho": 0.7, "weight_decay": 0.1, "eps": 1e-3}),
]
EVERY_CASE = pytest.mark.parametrize(
    ("name", "options"), CASES, ids=[f"{name}-{','.join(options)}" for name, options in CASES]
)
SHAPES = [(3, 2), (), (4,), (0, 3), (2, 1, 2)]


def trained(
    name: str, options: dict[str, Any], steps: int = STEPS, dtype: str = "float64"
) -> list[np.ndarray]:
    """Return parameters of all shapes after some steps, each with different gradients."""
    own = [parameter(normal(*shape), dtype) for shape in SHAPES]
    rule = getattr(rnn.optim, name)(own, **options)
    for t in range(1, steps + 1):
        for x in own:
            x.grad = engine.asarray(normal(*x.shape, salt=t).astype(dtype))
        rule.step()
    return [x.numpy() for x in own]


@EVERY_CASE
def test_rules_are_pytorchs_formulas(name, options):
    for shape, found in zip(SHAPES, trained(name, options), strict=True):
        x, step = normal(*shape), FORMULAS[name](**options)
        for t in range(1, STEPS + 1):
            x = step(x, normal(*shape, salt=t), t)
        np.testing.assert_allclose(found, x, rtol=1e-10, atol=1e-13)


@EVERY_CASE
@pytest.mark.parametrize("maximize", [False, True])
def test_rules_agree_with_pytorch(name, options, maximize):
    torch = pytest.importorskip("torch")
    own = [torch.tensor(normal(*shape), requires_grad=True) for shape in SHAPES]
    options = options | {"maximize": maximize}
    rule = getattr(torch.optim, name)(own, **options)
    for t in range(1, STEPS + 1):
        for x in own:
            x.grad = torch.tensor(normal(*x.shape, salt=t))
        rule.step()
    for x, found in zip(own, trained(name, options), strict=True):
        np.testing.assert_allclose(found, x.detach().numpy(), rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", NAMES)
def test_defaults_and_names_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.optim, name)([torch.zeros(1, requires_grad=True)]).defaults
    (group,) = getattr(rnn.optim, name)([parameter([1.0])]).param_groups
    for key, value in group.items():
        if key != "params":
            assert theirs[key] == value, key


@pytest.mark.parametrize("name", NAMES)
def test_maximizing_is_minimizing_the_negative(name):
    x, y = parameter(normal(5)), parameter(normal(5))
    up, down = (getattr(rnn.optim, name)([p], maximize=p is x) for p in (x, y))
    for t in range(3):
        x.grad = engine.asarray(normal(5, salt=t))
        y.grad = engine.asarray(-normal(5, salt=t))
        up.step()
        down.step()
    np.testing.assert_array_equal(x.numpy(), y.numpy(), strict=True)
    assert (x.numpy() != normal(5)).all()


@pytest.mark.parametrize("name", NAMES)
def test_single_precision(name):
    for found, exact in zip(trained(name, {}, 20, "float32"), trained(name, {}, 20), strict=True):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-5)


# ---- all at once is one by one


@EVERY_CASE
def test_flat_arrays_change_nothing(name, options, monkeypatch):
    # The same bits with all parameters in one optimiser, in blocks, or each in its own.
    together = trained(name, options, 5)
    monkeypatch.setattr(flat, "BLOCK", 3)
    in_blocks = trained(name, options, 5)
    for number, shape in enumerate(SHAPES):
        x = parameter(normal(*shape))
        rule = getattr(rnn.optim, name)([x], **options)
        for t in range(1, 6):
            x.grad = engine.asarray(normal(*shape, salt=t))
            rule.step()
        np.testing.assert_array_equal(together[number], x.numpy(), strict=True)
        np.testing.assert_array_equal(in_blocks[number], x.numpy(), strict=True)


def missing(t: int, number: int) -> bool:
    """Return whether a parameter has no gradient at a step: all patterns, late starts and gaps."""
    return bool((t * 7 + number * 5) % 3 == 0 or (number == 2 and t < 4) or number == 4)


@EVERY_CASE
def test_parameters_without_gradients_are_left_alone_and_so_is_their_state(name, options):
    # Each goes on as if the steps without its gradient had not been.
    count = 6
    own = [parameter(normal(2, 2, salt=-n % 99)) for n in range(count)]
    rule = getattr(rnn.optim, name)(own, **options)
    expected = [x.numpy() for x in own]
    steps, taken = [FORMULAS[name](**options) for _ in own], [0] * count
    for t in range(12):
        for n, x in enumerate(own):
            x.grad = None if missing(t, n) else engine.asarray(normal(2, 2, salt=t * 10 + n))
            if x.grad is not None:
                taken[n] += 1
                expected[n] = steps[n](expected[n], x.grad.numpy(), taken[n])
        before = [x.data for x in own]
        rule.step()
        for n, x in enumerate(own):
            assert (x.data is before[n]) == missing(t, n)
    assert len(set(taken)) > 2
    for x, values in zip(own, expected, strict=True):
        np.testing.assert_allclose(x.numpy(), values, rtol=1e-10, atol=1e-13)
    assert f"state.4.{'step'}" not in rule.state_dict()


def test_parameters_of_several_dtypes():
    own = [
        parameter(normal(3, salt=n), dtype) for n, dtype in enumerate(["float64", "float32"] * 2)
    ]
    rule = rnn.optim.Adam(own, lr=0.1)
    for x in own:
        x.grad = engine.ones_like(x)
    rule.step()
    for n, x in enumerate(own):
        assert x.dtype == ("float64", "float32")[n % 2]
        np.testing.assert_allclose(x.numpy(), normal(3, salt=n) - 0.1, rtol=1e-5)


def test_a_step_is_a_few_operations_for_all():
    # 50 small parameters at once take far less than 50 times what one takes.

    def work(groups: list[list[engine.Tensor]]) -> int:
        rules = [rnn.optim.Adam(own) for own in groups]
        for rule in rules:
            rule.step()  # makes what is made once
        return calls(lambda: [rule.step() for rule in rules])[1]

    own = [with_grad(normal(8, 8), normal(8, 8)) for _ in range(50)]
    assert work([own]) < work([[x] for x in own]) / 3


# ---- arrays that others hold


@pytest.mark.parametrize("name", NAMES)
def test_old_arrays_are_never_written_to(name):
    layer = rnn.Linear(2, 2)
    rule = getattr(rnn.optim, name)(layer.parameters())
    for _ in range(3):
        before = [x.data for x in layer.parameters()]
        copies = [array.copy() for array in before]
        engine.sum(layer(engine.ones((1, 2)))).backward()
        grads = [x.grad.numpy().copy() for x in layer.parameters()]
        rule.step()
        for x, array, old, g in zip(layer.parameters(), before, copies, grads, strict=True):
            np.testing.assert_array_equal(array, old)
            np.testing.assert_array_equal(x.grad.numpy(), g)
            assert not np.shares_memory(x.data, array)
            assert x.dtype == engine.float32
            assert (x.data != old).all()


def test_old_graphs_keep_their_values():
    w = parameter([3.0, 4.0])
    turned = engine.reshape(w, (2, 1))
    loss = engine.sum(turned * turned)
    loss.backward()
    rnn.optim.SGD([w], lr=0.5).step()
    assert w.numpy().tolist() == [0, 0]
    assert turned.numpy().tolist() == [[3], [4]]
    assert engine.gradients(loss, [w])[0].numpy().tolist() == [6, 8]


def test_parameters_may_get_other_arrays_between_steps():
    x = with_grad([1.0, 2.0], [1.0, 1.0])
    rule = rnn.optim.SGD([x], lr=0.5)
    rule.step()
    x.data = np.array([10.0, 20.0])
    rule.step()
    assert x.numpy().tolist() == [9.5, 19.5]
    x.data[0] = 1.0
    rule.step()
    assert x.numpy().tolist() == [0.5, 19]


def test_arrays_in_any_order_of_memory():
    values = np.asfortranarray(normal(3, 4))
    x = engine.asarray(values, requires_grad=True)
    x.grad = engine.asarray(np.asfortranarray(normal(3, 4, salt=1)))
    rnn.optim.SGD([x], lr=1.0).step()
    np.testing.assert_array_equal(x.numpy(), normal(3, 4) - normal(3, 4, salt=1))


def test_a_parameter_that_starts_infinite_poisons_no_memory():
    x = with_grad([np.inf, 1.0], [1.0, 1.0])
    rule = rnn.optim.SGD([x], lr=0.5, momentum=0.5)
    rule.step()
    assert x.numpy().tolist() == [np.inf, 0.5]


@pytest.mark.parametrize("name", NAMES)
def test_extreme_gradients_warn_of_nothing(name):
    x = with_grad([1.0] * 5, [1e300, 0.0, np.inf, -1e-300, np.nan])
    getattr(rnn.optim, name)([x]).step()
    found = x.numpy()
    assert found[1] == (1 - 1e-5 if name == "AdamW" else 1)
    assert np.isnan(found[4])


def test_a_variance_is_never_negative():
    # Equal gradients: the centred mean of squares is 0 up to rounding, and no NaN comes of it.
    x = parameter(np.ones(64))
    rule = rnn.optim.RMSprop([x], alpha=0.5, centered=True)
    g = engine.asarray(normal(64))
    for _ in range(80):
        x.grad = g
        rule.step()
    assert np.isfinite(x.numpy()).all()


def test_a_copy_goes_on_by_itself():
    layer = rnn.Linear(2, 2)
    rule = rnn.optim.Adam(layer.parameters(), lr=0.1)
    engine.sum(layer(engine.ones((1, 2)))).backward()
    rule.step()
    other, copied = copy.deepcopy((layer, rule))
    other.weight.data[0] = 7.0
    layer.weight.data[0] = 7.0
    before = other.weight.numpy().copy()
    rule.step()
    np.testing.assert_array_equal(other.weight.numpy(), before)
    copied.step()
    np.testing.assert_array_equal(other.weight.numpy(), layer.weight.numpy())
    assert other.weight.data[0, 0] != 7


# ---- groups and settings


def test_groups_have_settings_of_their_own():
    x, y, z = (with_grad([1.0], [1.0]) for _ in range(3))
    rule = rnn.optim.SGD(
        [{"params": [x]}, {"params": iter([y]), "lr": 0.5, "weight_decay": 1.0}], lr=0.25
    )
    rule.add_param_group({"params": z, "maximize": True})
    rule.step()
    assert [p.item() for p in (x, y, z)] == [0.75, 0, 1.25]
    assert [p is q for p, q in zip(rule.parameters, (x, y, z), strict=True)] == [True] * 3
    assert [group["lr"] for group in rule.param_groups] == [0.25, 0.5, 0.25]
    assert rule.lr == 0.25
    rule.lr = 2.0
    assert [group["lr"] for group in rule.param_groups] == [2, 2, 2]


def test_a_group_that_is_added_later_starts_from_zero():
    x, y = with_grad([1.0], [1.0]), with_grad([1.0], [1.0])
    rule = rnn.optim.Adam([x], lr=0.1)
    rule.step()
    rule.add_param_group({"params": [y]})
    rule.step()
    assert y.item() == pytest.approx(0.9, rel=1e-7)
    assert {"state.0.step", "state.1.step"} < set(rule.state_dict())
    assert rule.state_dict()["state.0.step"] == 2


def test_settings_can_change_at_any_time():
    x = with_grad([1.0], [1.0])
    rule = rnn.optim.SGD([x], lr=0.5)
    rule.step()
    rule.param_groups[0]["lr"] = 0.25
    rule.step()
    assert x.item() == 0.25
    rule.param_groups[0]["momentum"] = 0.5  # its first velocity is the gradient, undampened
    rule.param_groups[0]["dampening"] = 0.5
    rule.step()
    assert x.item() == 0
    rule.step()
    assert x.item() == -0.25 * (0.5 * 1 + 0.5 * 1)


def test_zero_grad():
    x, y = with_grad([1.0], [1.0]), with_grad([1.0], [1.0])
    rule = rnn.optim.SGD([{"params": [x]}, {"params": [y]}])
    rule.zero_grad()
    assert x.grad is None
    assert y.grad is None
    rule.step()
    assert x.item() == 1


# ---- resuming


def batch(own: list[engine.Tensor], t: int) -> None:
    for n, x in enumerate(own):
        x.grad = None if missing(t, n) else engine.asarray(normal(*x.shape, salt=t).astype(x.dtype))


def both_sorts() -> list[engine.Tensor]:
    return [parameter(normal(3, 2, salt=n), ("float64", "float32")[n % 2]) for n in range(5)]


def groups(own: list[engine.Tensor]) -> Iterator[dict[str, Any]]:
    yield {"params": own[:2]}
    yield {"params": own[2:], "weight_decay": 0.1, "lr": 0.02}


@EVERY_CASE
def test_resuming_is_exact_to_the_bit(name, options, tmp_path):
    own, kind = both_sorts(), getattr(rnn.optim, name)
    rule = kind(groups(own), **options)
    for t in range(7):
        batch(own, t)
        rule.step()
    rule.param_groups[1]["lr"] = 1 / 3
    rnn.save(tmp_path / "optimiser.safetensors", rule.state_dict())
    other = [parameter(x.numpy(), x.dtype.name) for x in own]
    resumed = kind(groups(other))
    resumed.load_state_dict(rnn.load(tmp_path / "optimiser.safetensors")[0])
    for t in range(7, 12):
        for these, one in ((own, rule), (other, resumed)):
            batch(these, t)
            one.step()
    for x, y in zip(own, other, strict=True):
        assert x.numpy().tobytes() == y.numpy().tobytes()
    assert resumed.param_groups[1]["lr"] == 1 / 3
    kinds = [{k: type(v) for k, v in group.items()} for group in resumed.param_groups]
    assert all(kind["maximize"] is bool and kind["lr"] is float for kind in kinds)


def test_a_state_is_a_copy_of_arrays():
    x = with_grad([1.0, 2.0], [1.0, 1.0])
    rule = rnn.optim.Adam([x])
    assert {name.split(".")[0] for name in rule.state_dict()} == {"groups"}
    rule.step()
    state = rule.state_dict()
    assert all(type(value) is np.ndarray for value in state.values())
    assert sorted(name for name in state if name.startswith("state")) == [
        "state.0.exp_avg",
        "state.0.exp_avg_sq",
        "state.0.step",
    ]
    before = state["state.0.exp_avg"].copy()
    rule.step()
    np.testing.assert_array_equal(state["state.0.exp_avg"], before)
    state["state.0.exp_avg"][:] = 99
    assert (rule.state_dict()["state.0.exp_avg"] != 99).all()


def test_loading_forgets_what_was():
    x = with_grad([1.0], [1.0])
    rule = rnn.optim.Adagrad([x], initial_accumulator_value=0.5)
    fresh = rule.state_dict()
    rule.step()
    first = x.item()
    x.data = np.array([1.0])
    rule.load_state_dict(fresh)
    rule.step()
    assert x.item() == first


def test_a_parameter_that_starts_after_loading():
    own, other = ([with_grad([1.0], [1.0]), parameter([1.0])] for _ in range(2))
    rules = [rnn.optim.Adagrad(these, initial_accumulator_value=0.5) for these in (own, other)]
    rules[0].step()
    other[0].data = own[0].data
    rules[1].load_state_dict(rules[0].state_dict())
    for these, rule in zip((own, other), rules, strict=True):
        these[1].grad = engine.ones_like(these[1])
        rule.step()
    assert [x.item() for x in own] == [x.item() for x in other]


def test_state_lists_every_fault_and_changes_nothing():
    x = with_grad([1.0, 2.0], [1.0, 1.0])
    rule = rnn.optim.Adam([x])
    rule.step()
    good = rule.state_dict()
    bad = dict(good)
    del bad["groups.0.lr"], bad["state.0.exp_avg"]
    bad |= {"extra": np.ones(2), "state.7.step": np.array(3), "groups.0.betas": np.ones(3)}
    bad |= {"groups.0.eps": np.array(0.25), "state.0.exp_avg_sq": np.ones(3)}
    with pytest.raises(ValueError, match="Adam: load_state_dict") as caught:
        rule.load_state_dict(bad)
    for part in (
        "missing: groups.0.lr",
        "missing: state.0.exp_avg;",
        "unknown: extra",
        "unknown: state.7.step",
        "groups.0.betas: shape (3,), expected (2,)",
        "state.0.exp_avg_sq: shape (3,), expected (2,)",
    ):
        assert part in str(caught.value)
    with pytest.raises(ValueError, match="Adam: eps must be a finite number"):
        rule.load_state_dict(good | {"groups.0.eps": np.array(-1.0)})
    for name, value in rule.state_dict().items():
        np.testing.assert_array_equal(value, good[name], strict=True)


# ---- errors


def test_optimisers_refuse_what_are_no_parameters():
    x, kind = parameter([1.0]), rnn.optim.SGD
    with pytest.raises(ValueError, match="SGD: no parameters"):
        kind([])
    with pytest.raises(ValueError, match="SGD: no parameters to optimise in group 1"):
        kind([{"params": [x]}, {"params": []}])
    with pytest.raises(TypeError, match=r"got a Tensor; write SGD\(module.parameters"):
        kind(x)
    with pytest.raises(TypeError, match=r"got a Linear; write SGD\(module.parameters\(\)\)"):
        rnn.optim.SGD(rnn.Linear(2, 3), 0.1)
    with pytest.raises(TypeError, match="expected a list of tensors or of groups, got a dict"):
        kind(dict(rnn.Linear(1, 1).named_parameters()))
    with pytest.raises(TypeError, match="parameter 0 is tuple, expected a Tensor"):
        kind(rnn.Linear(1, 1).named_parameters())
    with pytest.raises(TypeError, match=r'expected a group \{"params"'):
        kind([{"params": [x]}, x])
    with pytest.raises(ValueError, match=r"unknown settings \['rate'\] in a group; there are"):
        kind([{"params": [x], "rate": 1}])
    with pytest.raises(ValueError, match=r"parameter 1 \(unnamed, \(1,\)\) is given twice"):
        kind([x, x])
    with pytest.raises(ValueError, match=r"parameter 1 .* is given twice"):
        kind([{"params": [x]}, {"params": [x]}])
    with pytest.raises(ValueError, match=r"parameter 0 .* was computed from others"):
        kind([x * 2])
    with pytest.raises(TypeError, match=r"parameter 0 .* is int64; only floats"):
        kind([engine.asarray(np.array([1]))])


BAD: list[tuple[str, dict[str, Any], str]] = [
    *((name, {"lr": -0.1}, f"{name}: learning rate lr must be") for name in NAMES),
    *((name, {"weight_decay": math.nan}, f"{name}: weight_decay must be") for name in NAMES),
    *((name, {"maximize": 1}, f"{name}: maximize must be True or False") for name in NAMES),
    ("Adam", {"lr": math.nan}, "Adam: learning rate"),
    ("Adam", {"lr": math.inf}, "Adam: learning rate"),
    ("Adam", {"lr": "fast"}, "Adam: learning rate .* got 'fast'"),
    ("Adam", {"lr": True}, "Adam: learning rate"),
    ("Adam", {"betas": (0.9, 1.0)}, r"betas \(0.9, 1.0\) must lie in"),
    ("AdamW", {"betas": (-0.1, 0.9)}, r"AdamW: betas \(-0.1, 0.9\)"),
    ("Adam", {"betas": 0.9}, "betas must be two numbers"),
    ("Adam", {"betas": ("a", 0.9)}, "betas must be two numbers"),
    ("Adam", {"eps": -1.0}, "Adam: eps must be"),
    ("Adam", {"amsgrad": None}, "Adam: amsgrad must be True or False"),
    ("SGD", {"momentum": -1}, "SGD: momentum must be"),
    ("SGD", {"nesterov": True}, "nesterov needs a momentum above 0 and a dampening of 0"),
    ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "nesterov needs"),
    ("RMSprop", {"alpha": 1.5}, r"RMSprop: alpha must lie in \[0, 1\]"),
    ("RMSprop", {"centered": "no"}, "RMSprop: centered must be True or False"),
    ("Adagrad", {"lr_decay": -1.0}, "Adagrad: lr_decay must be"),
    ("Adagrad", {"initial_accumulator_value": -1.0}, "initial_accumulator_value must be"),
    ("Adadelta", {"rho": 1.5}, r"Adadelta: rho must lie in \[0, 1\]"),
]


@pytest.mark.parametrize(("name", "options", "text"), BAD)
def test_settings_out_of_range_are_refused(name, options, text):
    kind, x = getattr(rnn.optim, name), parameter([1.0])
    error = TypeError if "True or False" in text else ValueError
    with pytest.raises(error, match=text):
        kind([x], **options)
    with pytest.raises(error, match=text):
        kind([{"params": [x], **options}])


def test_a_refused_group_or_rate_changes_nothing():
    rule = rnn.optim.SGD([parameter([1.0])], lr=0.5)
    with pytest.raises(ValueError, match="learning rate"):
        rule.add_param_group({"params": [parameter([1.0])], "lr": -1})
    with pytest.raises(ValueError, match="learning rate"):
        rule.lr = math.nan
    assert len(rule.param_groups) == 1
    assert rule.lr == 0.5


def test_gradients_that_do_not_fit_are_refused_before_anything_changes():
    x, y = with_grad([1.0], [1.0]), with_grad([1.0, 2.0], [1.0, 1.0])
    rule = rnn.optim.SGD([x, y])
    y.grad = engine.asarray(np.ones(1))
    with pytest.raises(ValueError, match=r"parameter 1 \(unnamed, \(2,\)\): its .grad has shape"):
        rule.step()
    y.grad = engine.asarray(np.ones(2, "float32"))
    with pytest.raises(TypeError, match=r"is float64 on numpy, its .grad float32 on numpy"):
        rule.step()
    y.grad = np.ones(2)
    with pytest.raises(TypeError, match=r"its .grad is ndarray, expected a Tensor"):
        rule.step()
    y.grad = engine.asarray(np.ones(2))
    y.data = y.data.astype("float32")
    with pytest.raises(ValueError, match=r"is float32 on numpy, but was float64\[2\] on numpy"):
        rule.step()
    assert x.item() == 1


def test_a_module_may_be_moved_before_the_first_step(device):
    net = rnn.Linear(2, 2)
    rules = [getattr(rnn.optim, name)(net.parameters()) for name in NAMES]
    net.to(device)
    for rule in rules:
        engine.sum(net(engine.ones((1, 2), device=device))).backward()
        rule.step()
        rule.load_state_dict(rule.state_dict())
        rule.step()
    assert {x.device for x in net.parameters()} == {device}
    assert all(np.isfinite(engine.to(x, "numpy").numpy()).all() for x in net.parameters())


def test_dtypes_that_are_equal_and_not_the_same_object():
    x = with_grad([1.0], [1.0])
    x.grad.data = x.grad.data.view(np.dtype("<f8", metadata={"from": "elsewhere"}))
    rnn.optim.SGD([x], lr=0.5).step()
    assert x.item() == 0.5


# ---- half precision

HALVES = ["float16", "bfloat16"]
OPTIONS: dict[str, dict[str, Any]] = {
    "SGD": {"lr": 1e-4, "momentum": 0.9, "weight_decay": 0.01},
    "Adam": {"lr": 1e-5, "amsgrad": True},
    "AdamW": {"lr": 1e-5},
    "RMSprop": {"lr": 1e-5, "centered": True, "momentum": 0.5},
    "Adagrad": {"lr": 1e-4},
    "Adadelta": {"lr": 0.1},
}


def half(kind: str) -> Any:
    return pytest.importorskip("ml_dtypes").bfloat16 if kind == "bfloat16" else np.float16


def twins(dtype: Any, name: str, **options: Any) -> Any:
    """Return a parameter of half precision and one of single, with an optimiser each."""
    values = normal(7, 5).astype(dtype)
    values[0, 0] = 0
    xs = [engine.asarray(x.copy(), requires_grad=True) for x in (values, values.astype("float32"))]
    return [(x, getattr(rnn.optim, name)([x], **options)) for x in xs]


def stepped(pair: Any, t: int, dtype: Any, scale: float = 1e-3) -> None:
    """Step both by the same gradients, which half precision holds exactly."""
    g = (normal(7, 5, salt=t) * scale).astype(dtype)
    for x, rule in pair:
        x.grad = engine.asarray(g.astype(x.dtype))
        rule.step()


@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [1e-3, 1.0])
def test_half_is_single_rounded(kind, name, scale):
    dtype = half(kind)
    pair = twins(dtype, name, **OPTIONS[name])
    (x, rule), (exact, _) = pair
    before = exact.numpy().copy()
    for t in range(60):
        stepped(pair, t, dtype, scale)
        np.testing.assert_array_equal(x.numpy(), exact.numpy().astype(dtype), strict=True)
    assert np.abs(exact.numpy() - before).max() > 0
    kinds = {key: x.dtype for key, x in rule.state_dict().items() if key.startswith("state.0.")}
    assert kinds.pop("state.0.step").kind == "i"
    assert set(kinds.values()) == {np.dtype("float32")}


def test_steps_that_half_would_lose_add_up():
    x = engine.asarray(np.ones(3, "float16"), requires_grad=True)
    rule = rnn.optim.SGD([x], lr=1e-4)
    for _ in range(100):
        x.grad = engine.ones(3, dtype="float16")
        rule.step()  # 1 - 1e-4 is 1 in half
    np.testing.assert_array_equal(x.numpy(), np.float16(0.99))


@pytest.mark.parametrize("kind", HALVES)
def test_half_goes_on_from_a_state_to_the_bit(kind):
    dtype = half(kind)
    one, other = (twins(dtype, "Adam", lr=1e-5)[:1] for _ in range(2))
    for t in range(5):
        stepped(one, t, dtype)
    other[0][0].data = one[0][0].data.copy()
    other[0][1].load_state_dict(one[0][1].state_dict())
    for t in range(5, 60):
        stepped(one, t, dtype)
        stepped(other, t, dtype)
    state, again = one[0][1].state_dict(), other[0][1].state_dict()
    for key, value in state.items():
        np.testing.assert_array_equal(again[key], value, strict=True)


def test_a_state_of_half_as_it_was_once_is_taken():
    pair = twins(np.float16, "Adam")
    stepped(pair, 0, np.float16, 1.0)
    rule = pair[0][1]
    old = {key: x.astype("float16") if x.ndim else x for key, x in rule.state_dict().items()
           if key != "state.0.master"}  # fmt: skip
    rule.load_state_dict(old)
    assert rule.state_dict()["state.0.exp_avg"].dtype == np.float32
    x = pair[0][0].numpy().copy()
    pair[0][0].grad = engine.zeros((7, 5), dtype="float16")
    rule.step()
    assert (pair[0][0].numpy() != x).any()
    assert np.abs(pair[0][0].numpy() - x).max() < 0.01


def test_half_that_was_set_between_steps_holds():
    x = engine.asarray(np.ones(4, "float16"), requires_grad=True)
    rule = rnn.optim.SGD([x], lr=1e-4)
    for _ in range(2):
        x.grad = engine.ones(4, dtype="float16")
        rule.step()
    x.data = np.array([5, 1, 0, -np.inf], "float16")
    x.grad = engine.ones(4, dtype="float16")
    rule.step()
    master = rule.state_dict()["state.0.master"]
    np.testing.assert_allclose(master, [4.9999, 0.9997, -0.0001, -np.inf], rtol=1e-6)
    np.testing.assert_array_equal(x.numpy(), master.astype("float16"))


# ---- numbers of NumPy, pickles


@pytest.mark.parametrize("name", NAMES)
def test_settings_may_be_numbers_of_numpy(name):
    options: dict[str, Any] = {"lr": 0.5, "weight_decay": 0.25}
    options |= {"betas": (0.5, 0.75)} if name.startswith("Adam") else {}
    found = []
    for real in (float, np.float32, np.float64, np.float16):
        x = parameter([1.0, 2.0], "float32")
        given = {k: tuple(map(real, v)) if k == "betas" else real(v) for k, v in options.items()}
        rule = getattr(rnn.optim, name)([{"params": [x], **given}])
        rule.lr = real(0.125)
        for _ in range(3):
            x.grad = engine.asarray(np.array([0.1, -0.3], "float32"))
            rule.step()
        assert type(rule.lr) is float
        assert type(rule.param_groups[0]["weight_decay"]) is float
        found.append(x.numpy().tobytes())
    assert len(set(found)) == 1


@pytest.mark.parametrize("name", NAMES)
def test_pickles_go_on_by_themselves(name):
    layer = rnn.Linear(2, 2)
    rule = getattr(rnn.optim, name)(layer.parameters(), lr=0.1)
    schedule = rnn.schedules.WarmUp(rnn.schedules.OneCycleLR(rule, 0.2, 9, cycle_momentum=False), 3)

    def step(layer, rule, schedule):
        rule.zero_grad()
        engine.sum(layer(engine.ones((1, 2))) ** 2).backward()
        rule.step()
        schedule.step()

    step(layer, rule, schedule)
    for copied in (pickle.loads(pickle.dumps((layer, rule, schedule))),
                   copy.deepcopy((layer, rule, schedule))):  # fmt: skip
        for _ in range(4):
            step(*copied)
        assert copied[2].optimizer is copied[1]
        copies = [x.numpy() for x in copied[0].parameters()]
        assert all((x.numpy() != y).any() for x, y in zip(layer.parameters(), copies, strict=True))
        last = copied[1].lr
    for _ in range(4):
        step(layer, rule, schedule)
    for x, y in zip(layer.parameters(), copies, strict=True):
        np.testing.assert_array_equal(x.numpy(), y)
    assert last == rule.lr


# ---- all together


def test_a_network_learns():
    engine.seed(1)
    net, head = rnn.GRU(2, 8), rnn.Linear(8, 2)
    x = normal(6, 16, 2).astype("float32")
    targets = (x[..., 0].sum(0) > 0).astype(int)
    parameters = [*net.parameters(), *head.parameters()]
    rule, losses = rnn.optim.Adam(parameters, lr=0.02), []
    for _ in range(60):
        loss = engine.cross_entropy(head(net(x)[0][-1]), targets)
        rule.zero_grad()
        loss.backward()
        rnn.clip_grad_norm(parameters, 1.0)
        rule.step()
        losses.append(loss.item())
    assert losses[0] > 0.5
    assert losses[-1] < 0.02


def test_gradients_are_forgotten_or_made_zeros():
    x, y = with_grad([1.0], [2.0]), parameter([1.0])
    optimiser = rnn.optim.SGD([x, y], lr=0.5, weight_decay=1.0)
    optimiser.zero_grad(set_to_none=False)
    assert x.grad.tolist() == [0.0]
    assert y.grad is None
    optimiser.step()
    assert x.tolist() == [0.5]  # by the weight decay alone
    optimiser.zero_grad()
    assert x.grad is None
    with pytest.raises(TypeError, match="zero_grad: set_to_none"):
        optimiser.zero_grad("yes")


def test_a_rule_of_your_own_says_what_it_lacks():
    class Empty(rnn.optim.Optimizer):
        def check(self, group):
            pass

    w = engine.asarray([1.0], requires_grad=True)
    settings = {"lr": 0.1, "maximize": False}
    with pytest.raises(NotImplementedError, match=r"Optimizer has no check\(group\); write one"):
        rnn.optim.Optimizer([w], settings)
    own = Empty([w], settings)
    engine.sum(w).backward()
    with pytest.raises(NotImplementedError, match=r"Empty has no slots\(group\); write one"):
        own.step()
    Empty.slots = lambda self, group: {}
    with pytest.raises(NotImplementedError, match=r"Empty has no rule\(group, xp, x, g"):
        own.step()
