"""Test the page for users of PyTorch: each row and block of it runs, and both sides agree."""

import re
from typing import Any

import numpy as np
import pytest

import engine
import rnn
from rnn.training.reading import digest
from tests.docs.two_sides import assert_alike, names_of, read

TEXT, BLOCKS, ROWS = read("coming_from_pytorch.md")
OF_TORCH, OURS, LOOP_OF_TORCH, LOOP, FIT, AUTOCAST, ONNX, HOOKS_OF_TORCH, HOOKS = BLOCKS


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    """Have what rows write fall into a folder of the test."""
    monkeypatch.chdir(tmp_path)


def torch_names() -> dict[str, Any]:
    pytest.importorskip("torch")
    return names_of(OF_TORCH)


def test_the_page_has_its_rows():
    cells = [line for line in TEXT.splitlines() if line.startswith("| `")]
    assert len(cells) == len(ROWS) > 60  # each is read, none is skipped for its form


@pytest.mark.parametrize(("torch_way", "our_way"), ROWS, ids=[row[1] for row in ROWS])
def test_our_side_runs(torch_way, our_way):
    eval(our_way, names_of(OURS))


@pytest.mark.parametrize(("torch_way", "our_way"), ROWS, ids=[row[0] for row in ROWS])
def test_both_sides_agree(torch_way, our_way):
    theirs = eval(torch_way, torch_names())
    assert_alike(eval(our_way, names_of(OURS)), theirs)


def test_rows_that_differ_are_caught():
    theirs = eval("x.sum(dim=1)", torch_names())
    for wrong in ("x.sum(axis=0)", "x.sum(axis=1, keepdims=True)", "x.sum(axis=1) + 1e-3"):
        with pytest.raises(AssertionError):
            assert_alike(eval(wrong, names_of(OURS)), theirs)


def test_only_pytorch_adds_to_the_norm_that_it_clips_by():
    torch = pytest.importorskip("torch")
    g = np.array([3.0, 4.0])
    theirs = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    ours = engine.zeros(2, dtype="float64", requires_grad=True)
    theirs.grad, ours.grad = torch.from_numpy(g.copy()), engine.asarray(g.copy())
    torch.nn.utils.clip_grad_norm_([theirs], 1.0)
    rnn.clip_grad_norm([ours], 1.0)
    np.testing.assert_allclose(ours.grad.numpy(), g / 5, rtol=1e-15)
    np.testing.assert_allclose(theirs.grad.numpy(), g / (5 + 1e-6), rtol=1e-15)


def test_the_count_on_the_page_makes_a_validation_a_mean_over_tokens():
    (count,) = re.findall(r"`count=(lambda .+?)`", TEXT)
    logits = np.linspace(-1, 1, 24).reshape(2, 4, 3)
    tags = np.array([[0, 1, 2, 0], [1, -100, -100, -100]])
    net = rnn.Linear(3, 3, dtype="float64")

    def loss(net, batch):
        return engine.cross_entropy(net(batch[0]), batch[1], ignore_index=-100)

    batches = list(zip(logits, tags, strict=True))
    whole = loss(net, (logits, tags)).item()
    found = rnn.evaluate(net, batches, loss, count=eval(count))["loss"]
    np.testing.assert_allclose(found, whole, rtol=1e-12)
    assert abs(rnn.evaluate(net, batches, loss)["loss"] - whole) > 1e-3


def first_weights() -> dict[str, Any]:
    """Return the first weights of the loops, which are PyTorch's where it is installed."""
    names = names_of(OURS)
    own = LOOP[: LOOP.index("rnn.interop")]
    exec(own, names)
    return dict(names["model"].state_dict())


def test_our_loop_and_fit_are_one():
    names = names_of(OURS) | {"start": first_weights()}
    exec(LOOP, names)
    by_hand = names["losses"]
    assert by_hand[-1] < by_hand[0]
    exec(FIT, names)
    np.testing.assert_allclose(names["losses"], by_hand, rtol=1e-6)


def test_both_loops_and_a_loader_of_torch_give_the_same_losses():
    theirs = torch_names()
    exec(LOOP_OF_TORCH, theirs)
    names = names_of(OURS) | {"start": theirs["start"]}
    exec(LOOP, names)
    np.testing.assert_allclose(names["losses"], theirs["losses"], rtol=1e-5)
    names["loader"] = theirs["loader"]
    exec(FIT, names)
    np.testing.assert_allclose(names["losses"], theirs["losses"], rtol=1e-5)


def test_a_loader_of_torch_for_validation_and_a_metric():
    torch = pytest.importorskip("torch")

    data = torch.utils.data.TensorDataset(torch.ones(6, 3), torch.tensor([0, 1, 1] * 2))
    loader = torch.utils.data.DataLoader(data, batch_size=4, shuffle=True)
    history = rnn.fit(
        rnn.Linear(3, 2),
        loader,
        lambda net, batch: engine.cross_entropy(net(batch[0]), batch[1]),
        validation=loader,
        metrics=[rnn.training.Accuracy()],
        outputs=lambda net, batch: (net(batch[0]), batch[1]),
        epochs=2,
        progress=False,
    )
    assert history.best.metrics["accuracy"] in (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert [step.step for step in history.steps] == [1, 2, 3, 4]


def test_a_resumed_run_tells_batches_of_torch_apart():
    torch = pytest.importorskip("torch")
    ones = [torch.ones(3), torch.zeros(3, dtype=torch.int64)]
    assert digest(ones) == digest([torch.ones(3), torch.zeros(3, dtype=torch.int64)])
    assert digest(ones) == digest([one.numpy() for one in ones])
    assert digest(ones) != digest([torch.ones(3) * 2, ones[1]])


def test_hooks_see_the_same_gradient():
    names = names_of(OURS)
    exec(HOOKS, names)
    assert [g.shape for g in names["seen"]] == [(2, 2)]
    theirs = torch_names()
    exec(HOOKS_OF_TORCH, theirs)
    assert_alike(names["seen"], theirs["seen"])


def test_mixed_precision_is_that_of_products_and_is_put_back():
    names = names_of(OURS) | {"start": first_weights()}
    exec(LOOP, names)
    exec(AUTOCAST, names)
    assert names["inside"] == "bfloat16"
    assert engine.get_matmul_precision() == "float32"
    assert np.isfinite(names["losses"][-1])


def test_the_model_in_onnxruntime(tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    names = names_of(OURS) | {"start": first_weights()}
    exec(LOOP, names)
    exec(ONNX, names)
    own = names["model"](names["tokens"].T).numpy()
    np.testing.assert_allclose(names["logits"], own, rtol=1e-4, atol=1e-6)
