"""Test training: modules, sampling, seeds."""

import itertools
import math
from typing import Any

import numpy as np
import pytest

import engine
import rnn
from engine.state import current
from tests.draws import first, normal

# ---- modules


class Net(rnn.Module):
    """Hold parts in every way."""

    def __init__(self) -> None:
        self.embedding = rnn.Embedding(5, 3)
        self.core = rnn.LSTM(3, 4)
        self.heads = [rnn.Linear(4, 2), rnn.Linear(4, 2, bias=False)]
        self.scale = rnn.parameter((2,))
        self.constant = engine.ones(2)
        self._private = rnn.Linear(1, 1)
        self.size = 4


NAMES = [
    "scale",
    "embedding.weight",
    "core.weight_ih_l0",
    "core.weight_hh_l0",
    "core.bias_ih_l0",
    "core.bias_hh_l0",
    "heads.0.weight",
    "heads.0.bias",
    "heads.1.weight",
]


def test_named_parameters_are_in_order():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [id(x) for x in net.parameters()] == [
        id(x) for x in dict(net.named_parameters()).values()
    ]


def test_a_shared_parameter_is_listed_once():
    net = Net()
    net.heads[1].weight = net.heads[0].weight
    assert len(net.named_parameters()) == 9
    assert len(net.parameters()) == 8


def test_state_dict_is_a_copy():
    net = Net()
    state = net.state_dict()
    assert list(state) == NAMES
    state["scale"][:] = 99
    assert (net.scale.numpy() != 99).all()


def test_load_state_dict_takes_everything_over():
    engine.seed(1)
    one, other = Net(), Net()
    tensors = other.parameters()
    state = one.state_dict()
    other.load_state_dict({name: value.astype("float64") for name, value in state.items()})
    for (name, x), before in zip(other.named_parameters(), tensors, strict=True):
        assert x is before
        np.testing.assert_array_equal(x.numpy(), state[name], strict=True)
        assert not np.shares_memory(x.numpy(), state[name])
    ids = np.array([[0, 1], [4, 2]])
    for a, b in zip(*(net.core(net.embedding(ids))[1] for net in (one, other)), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_load_state_dict_lists_every_fault_and_changes_nothing():
    net = Net()
    before, state = net.state_dict(), net.state_dict()
    del state["scale"], state["heads.0.bias"]
    state |= {"extra": np.ones(2), "embedding.weight": np.ones((5, 4))}
    state["core.bias_ih_l0"] = state["core.bias_ih_l0"] + 1
    with pytest.raises(ValueError, match="load_state_dict") as caught:
        net.load_state_dict(state)
    for part in (
        "missing: scale",
        "missing: heads.0.bias",
        "unknown: extra",
        "embedding.weight: shape (5, 4), expected (5, 3)",
    ):
        assert part in str(caught.value)
    assert "core" not in str(caught.value)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_train_and_eval_reach_everything():
    net = Net()
    assert net.training
    assert net.eval() is net
    assert [module.training for module in net.modules()] == [False] * 5
    assert net.train().heads[0].training


def test_zero_grad_of_a_module():
    net = rnn.Linear(2, 2)
    engine.sum(net(engine.ones((1, 2)))).backward()
    assert all(x.grad is not None for x in net.parameters())
    net.zero_grad()
    assert all(x.grad is None for x in net.parameters())


def test_moving_a_module(device):
    net = rnn.GRU(2, 3).to(device)
    assert {x.device for x in net.parameters()} == {device}
    y, h = net(engine.ones((2, 1, 2), device=device))
    assert y.device == h.device == device


def test_linear_and_embedding_by_hand():
    net, x = rnn.Linear(3, 2, dtype="float64"), normal(4, 5, 3)
    expected = x @ net.weight.numpy().T + net.bias.numpy()
    np.testing.assert_allclose(net(x).numpy(), expected, rtol=1e-13)
    assert rnn.Linear(3, 2, bias=False).bias is None
    table = rnn.Embedding(6, 2)
    np.testing.assert_array_equal(table([[1, 5]]).numpy(), table.weight.numpy()[[[1, 5]]])


def test_modules_name_their_parameters():
    net = Net()
    assert net.scale.node.name == "scale"
    assert net.heads[0].weight.node.name == "weight"
    assert net.core.weight_hh_l0.node.name.startswith("weight_hh")


# ---- sampling


def test_sampling_at_zero_takes_the_largest():
    assert rnn.sample(engine.asarray([0.0, 3.0, -1.0]), temperature=0) == 1
    assert rnn.sample(engine.asarray([5.0, 5.0]), temperature=0) == 0


@pytest.mark.parametrize("temperature", first(1, [0.5, 1.0, 2.0]))
def test_sampling_follows_the_odds(temperature):
    engine.seed(4)
    logits = engine.asarray([0.0, 1.0, 2.0, -math.inf])
    drawn = [rnn.sample(logits, temperature, key=(n,)) for n in range(4000)]
    odds = np.exp(np.array([0, 1, 2]) / temperature)
    share = np.bincount(drawn, minlength=4) / 4000
    np.testing.assert_allclose(share[:3], odds / odds.sum(), atol=0.03)
    assert share[3] == 0


def test_sampling_at_extremes():
    for logits in ([1e4, -1e4], [1e30, 0.0], [0.0, -math.inf]):
        assert {rnn.sample(engine.asarray(logits), 1.0, key=(n,)) for n in range(50)} == {0}
    assert rnn.sample(engine.asarray([1.0, 1.1]), 1e-6) == 1


def test_sampling_refuses_nonsense():
    for temperature in (-1, math.nan):
        with pytest.raises(ValueError, match="temperature must be at least 0"):
            rnn.sample(engine.zeros(2), temperature)


def advance(index: int, state: Any) -> tuple[Any, Any]:
    """Return a model that counts: after n it predicts n + 1 (mod 5); its state is its inputs."""
    fed = [*(state or []), index]
    return engine.asarray(np.eye(5)[(index + 1) % 5] * 50), fed


def test_generating():
    found = list(itertools.islice(rnn.generate(advance, [0, 1, 2]), 6))
    assert found == [3, 4, 0, 1, 2, 3]
    assert list(itertools.islice(rnn.generate(advance, [3], temperature=0), 3)) == [4, 0, 1]


def test_generating_feeds_the_prompt_and_every_draw():
    fed: list[Any] = []

    def watched(index: int, state: Any) -> tuple[Any, Any]:
        fed.append((index, state))
        return advance(index, state)

    list(itertools.islice(rnn.generate(watched, [1, 3]), 2))
    assert fed[0] == (1, None)
    assert fed[1] == (3, [1])
    assert fed[2] == (4, [1, 3])


def test_generating_needs_a_prompt():
    with pytest.raises(ValueError, match="prompt needs at least one index"):
        next(rnn.generate(advance, []))


def test_generating_records_nothing_and_leaves_the_caller_alone():
    modes: list[bool] = []

    def watched(index: int, state: Any) -> tuple[Any, Any]:
        modes.append(current().recording)
        return advance(index, state)

    stream = rnn.generate(watched, [0])
    for _ in range(3):
        next(stream)
        assert current().recording
    assert not any(modes)
    stream.close()


def flat_model(index: int, state: Any) -> tuple[Any, Any]:
    return engine.zeros(50), state


def drawn_text(seed: int, *key: Any) -> list[int]:
    engine.seed(seed)
    return list(itertools.islice(rnn.generate(flat_model, [0], key=key), 20))


def test_generating_follows_from_seed_and_key():
    assert drawn_text(1) == drawn_text(1)
    assert drawn_text(1) != drawn_text(2)
    assert drawn_text(1, "a") != drawn_text(1, "b")
    assert len(set(drawn_text(1))) > 5


# ---- seeds


def weights(seed: int) -> list[np.ndarray]:
    engine.seed(seed)
    return [x.numpy() for x in Net().parameters()]


def test_the_same_seed_gives_the_same_network():
    for one, same, other in zip(weights(7), weights(7), weights(8), strict=True):
        np.testing.assert_array_equal(one, same)
        assert (one != other).all()


def test_no_two_parameters_are_alike():
    engine.seed(7)
    one, other = rnn.Linear(3, 3), rnn.Linear(3, 3)
    assert (one.weight.numpy() != other.weight.numpy()).all()


def test_draws_are_keyed_and_independent_of_each_other():
    engine.seed(5)
    first = engine.random.normal((3,), 1.0, "path", 0).numpy()
    engine.random.normal((100,), 1.0, "elsewhere")
    again = engine.random.normal((3,), 1.0, "path", 0).numpy()
    np.testing.assert_array_equal(first, again)
    assert (engine.random.normal((3,), 1.0, "path", 1).numpy() != first).all()
    uniform = engine.random.uniform((1000,), -2.0, 3.0, "u").numpy()
    assert -2 <= uniform.min() < -1.9
    assert 2.9 < uniform.max() < 3
    assert uniform.dtype == engine.float32


@pytest.mark.parametrize("number", [-1, 1.5, True, "1", None])
def test_seeds_that_are_none_are_refused(number):
    with pytest.raises(ValueError, match="seed: expected an integer"):
        engine.seed(number)


def test_training_repeats_itself_to_the_last_bit():
    def run() -> list[bytes]:
        engine.seed(3)
        net = rnn.LSTM(2, 4)
        rule = rnn.optim.Adam(net.parameters(), lr=0.01)
        for t in range(5):
            rule.zero_grad()
            y, _ = net(normal(4, 3, 2, salt=t).astype("float32"))
            engine.sum(y * y).backward()
            rnn.clip_grad_norm(net.parameters(), 0.1)
            rule.step()
        return [x.numpy().tobytes() for x in net.parameters()]

    assert run() == run()
