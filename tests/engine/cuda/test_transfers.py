"""Count launches and transfers of training steps on a device: none stops the host, none is hidden.

They are counted by the fake of CuPy.
"""

import numpy as np
import pytest

import engine
import rnn
from engine.apply import apply
from tests.draws import first
from tests.engine.ops.test_ops import CASES, drawn, on_device

pytestmark = pytest.mark.cupy

engine.device("cupy")
cp = pytest.importorskip("cupy")
if not getattr(cp, "IS_FAKE", False):
    pytest.skip("only the fake of CuPy counts", allow_module_level=True)

from cupy._state import count  # noqa: E402

from engine.backends.cupy_checks import LIMIT  # noqa: E402

OPTIMIZERS = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta")


class Words(rnn.Module):
    """Map words to logits (V,) by an embedding (V, I) and an LSTM."""

    def __init__(self, layers: int = 1, dropout: float = 0.0) -> None:
        self.words = rnn.Embedding(11, 6)
        self.core = rnn.LSTM(6, 5, num_layers=layers, dropout=dropout)
        self.head = rnn.Linear(5, 11)

    def forward(self, ids):
        return self.head(self.core(self.words(ids))[0])


def indices(salt: int = 0) -> engine.Tensor:
    return engine.asarray(np.random.default_rng(salt).integers(0, 11, (4, 3)), device="cuda")


def counted(step, warm_ups: int = 2):
    """Return the counts of one step, after the steps that make what is made once."""
    for _ in range(warm_ups):
        step()
    engine.synchronize()
    count.clear()
    step()
    return count


def layer_step(kind: str):
    """Return a step of an LSTM layer, with clipping by norm and by value."""
    engine.seed(0)
    net = rnn.LSTM(3, 5).to("cuda")
    optimizer = getattr(rnn.optim, kind)(net.parameters(), lr=0.01)
    x = engine.ones((4, 2, 3), device="cuda")

    def step():
        optimizer.zero_grad()
        engine.sum(net(x)[0] ** 2).backward()
        rnn.clip_grad_norm(net.parameters(), 1.0)
        rnn.clip_grad_value(net.parameters(), 0.5)
        optimizer.step()

    return step


def words_step(net, **options):
    """Return a step of a model of words, on indices that are on the device already."""
    net.to("cuda")
    optimizer = rnn.optim.Adam(net.parameters(), lr=0.01)
    ids, targets = indices(), indices(1)

    def step():
        optimizer.zero_grad()
        loss = engine.cross_entropy(net(ids), targets, **options)
        loss.backward()
        rnn.clip_grad_norm(net.parameters(), 1.0)
        optimizer.step()
        return loss

    return step


# They tell of singular matrices, or choose the number of terms, and so they wait for the device.
READING = {"svdvals", "solve", "inv", "pinv", "minors", "cofactors", "det", "expm", "cholesky"}


def test_only_linear_algebra_reads_from_the_device():
    reading, sending = set(), set()
    for op, example in (case.values for case in CASES):
        xs = on_device(drawn(op, example, "float32"), "cuda")
        seed = engine.ones(apply(op, tuple(xs), example.attrs).shape, device="cuda")
        count.clear()
        out = apply(op, tuple(xs), example.attrs)
        if out.requires_grad:
            leaves = [x for x in xs if isinstance(x, engine.Tensor) and x.requires_grad]
            engine.gradients(out, leaves, [seed])
        reading |= {op.name} if count.to_host else set()
        sending |= {op.name} if count.to_device else set()
    assert (reading, sending) == (READING, set())


@pytest.mark.parametrize("kind", first(2, OPTIMIZERS))
def test_a_step_of_a_layer_moves_nothing(kind):
    found = counted(layer_step(kind))
    assert (found.to_host, found.to_device) == ([], [])
    assert 0 < found.total() < 340  # the explicit loop: about 65 each step of time and direction


@pytest.mark.parametrize("options", [{}, {"ignore_index": 0}, {"label_smoothing": 0.1}])
def test_a_step_of_an_embedding_model_moves_nothing(options):
    engine.seed(0)
    found = counted(words_step(Words(), **options))
    assert (found.to_host, found.to_device) == ([], [])


def test_the_loss_is_the_one_transfer_of_a_step():
    engine.seed(0)
    step = words_step(Words())
    assert step().item() > 0
    found = counted(step)
    step().item()
    assert [why for why, _ in found.to_host] == ["get"]  # the checks of the indices come along


def test_fit_reads_the_loss_and_the_norm_of_a_step():
    engine.seed(0)
    model = rnn.models.LanguageModel(11, 6, 5).to("cuda")
    batches = [(indices(salt), indices(salt + 1)) for salt in range(4)]
    seen = []

    class Watch(rnn.training.Callback):
        def step(self, run, record):
            seen.append((len(count.to_host), list(count.to_device)))
            count.clear()

    optimizer = rnn.optim.Adam(model.parameters())
    rnn.fit(model, batches, lambda model, batch: model.loss(*batch)[0], optimizer=optimizer,
            epochs=1, clip_norm=1.0, progress=False, callbacks=[Watch()])  # fmt: skip
    assert seen[1:] == [(2, [])] * 3  # the loss, with the checks of the indices, and the norm


def test_dropout_draws_its_key_on_the_device():
    engine.seed(0)
    found = counted(words_step(Words(layers=2, dropout=0.5)))
    assert (found.to_host, found.to_device) == ([], [])


def test_a_deterministic_step_moves_nothing():
    engine.seed(0)
    step = words_step(Words())
    with engine.deterministic():
        found = counted(step)
    assert (found.to_host, found.to_device) == ([], [])


def test_a_hidden_read_would_be_seen():
    found = counted(lambda: engine.ones(2, device="cuda").sum().item())
    assert [why for why, _ in found.to_host] == ["get"]
    found = counted(
        lambda: engine.ones(2, device="cuda") * engine.asarray([1.0, 2.0], device="cuda")
    )
    assert found.to_device == [(2,)]


def test_norms_that_are_not_finite_are_reported_with_the_next_values():
    x = engine.ones(3, device="cuda", requires_grad=True)
    x.grad = engine.asarray([1.0, np.inf, 2.0], device="cuda")
    norm = rnn.clip_grad_norm([x], 1.0)
    with pytest.raises(FloatingPointError, match=r"clip_grad_norm: the norm .* was not finite"):
        norm.item()
    assert x.grad.tolist() == [1, np.inf, 2]
    assert rnn.clip_grad_norm([x], 1.0, error_if_nonfinite=False).item() == np.inf
    x.grad = engine.asarray([1.0, np.nan, 2.0], device="cuda")
    rnn.clip_grad_value([x], 1.0)
    with pytest.raises(FloatingPointError, match="clip_grad_value: a gradient had NaN"):
        engine.synchronize()
    np.testing.assert_array_equal(x.grad.numpy(), [1, np.nan, 2])


@pytest.mark.parametrize("p", [1, 2, 3.5, np.inf])
@pytest.mark.parametrize("size", [0.0, 1e-200, 1.0, 1e200])
def test_norms_are_those_of_the_host(p, size):
    grads = [np.random.default_rng(i).normal(size=(4, 3)) * size for i in range(2)]

    def clipped(device):
        xs = [engine.zeros((4, 3), dtype=engine.float64, device=device, requires_grad=True)
              for _ in grads]  # fmt: skip
        for x, g in zip(xs, grads, strict=True):
            x.grad = engine.asarray(g, device=device)
        before = rnn.grad_norm(xs, p)
        norm = float(rnn.clip_grad_norm(xs, size / 2 or 1.0, p))
        assert norm == before
        return [norm, *(x.grad.numpy() for x in xs)]

    for ours, theirs in zip(clipped("cuda"), clipped("cpu"), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13)


@pytest.mark.parametrize("wrong", [11, -1, 10**9])
def test_no_wrong_index_is_silently_another_one(wrong):
    engine.seed(0)
    model = rnn.models.LanguageModel(11, 6, 5).to("cuda")
    ids = indices().numpy().copy()
    ids[2, 1] = wrong
    with pytest.raises(IndexError, match=f"index {wrong} is outside of the vocabulary of 11"):
        model(ids)  # from the host: at once

    def called_on_device():  # at the latest by synchronize: the first call of its kind asks, too
        _ = model(engine.asarray(ids, device="cuda"))
        engine.synchronize()

    with pytest.raises(IndexError, match=f"index {wrong} is outside of the vocabulary of 11"):
        called_on_device()


def test_targets_are_checked_where_they_come_from():
    logits = engine.zeros((2, 3), device="cuda")
    with pytest.raises(IndexError, match="cross_entropy: target 3 for 3 classes"):
        engine.cross_entropy(logits, [0, 3])
    loss = engine.cross_entropy(logits, engine.asarray([0, -1], device="cuda"))
    with pytest.raises(IndexError, match=r"target -1 for 3 classes.*ignore_index=-1 leaves"):
        loss.item()


def test_places_to_add_at_are_checked():
    x, ones = engine.zeros(3, device="cuda"), engine.ones(2, device="cuda")
    with pytest.raises(IndexError, match="index 3 is out of bounds for axis 0 with size 3"):
        engine.scatter_add(x, engine.asarray([0, 3], device="cuda"), ones).numpy()
    x[engine.asarray([-4, 0], device="cuda")] = 1.0
    with pytest.raises(IndexError, match="assign: index -4 is out of bounds"):
        x.numpy()


def test_unread_checks_are_read_at_the_end():
    x = engine.ones(3, device="cuda")
    bad = engine.asarray([5], device="cuda")
    for _ in range(LIMIT):
        x[bad].detach()  # as a loop that never looks at its loss
    with pytest.raises(IndexError, match="index 5"):
        x[bad].detach()
