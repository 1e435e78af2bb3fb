"""Move PyTorch state dicts both ways: the same numbers and gradients on both sides, prefixes,
files, and every fault in one error.
"""

from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import engine
import rnn
from rnn.interop import OnnxGRUCell, from_pytorch, to_pytorch
from tests.draws import normal

T, B, I, H, P = 6, 3, 4, 5, 2
NAMES = ("RNN", "LSTM", "GRU")
OPTIONS = [
    {}, {"num_layers": 2, "bidirectional": True}, {"bias": False}, {"batch_first": True},
]  # fmt: skip
EXACT = {"rtol": 1e-10, "atol": 1e-12}


class Net(rnn.Module):
    """Hold all modules that PyTorch has too."""

    def __init__(self) -> None:
        self.embedding = rnn.Embedding(7, I, dtype="float64")
        self.core = rnn.LSTM(I, H, proj_size=P, dtype="float64")
        self.heads = [rnn.Linear(P, 3, dtype="float64"), rnn.Linear(P, 2, dtype="float64")]

    def forward(self, ids: Any) -> Any:
        y, _ = self.core(self.embedding(ids))
        return self.heads[0](y), self.heads[1](y)


def leaves(state: Any) -> list[Any]:
    return list(state) if isinstance(state, tuple) else [state]


# ---- with torch


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", [*NAMES, "projected"])
def test_layers_both_ways(name, options):
    torch = pytest.importorskip("torch")
    if name == "projected":
        name, options = "LSTM", {**options, "proj_size": P}
    theirs = getattr(torch.nn, name)(I, H, **options, dtype=torch.float64)
    ours = getattr(rnn, name)(I, H, **options, dtype="float64")
    from_pytorch(ours, theirs.state_dict())
    x = normal(T, B, I)
    tx = torch.tensor(x, requires_grad=True)
    ty, tstate = theirs(tx)
    leaf = engine.asarray(x, requires_grad=True)
    y, state = ours(leaf)
    for own, other in zip([y, *leaves(state)], [ty, *leaves(tstate)], strict=True):
        np.testing.assert_allclose(own.numpy(), other.detach().numpy(), **EXACT)
    seed = normal(*y.shape, salt=1)
    (own,) = engine.gradients([y], [leaf], [seed])
    (other,) = torch.autograd.grad([ty], [tx], [torch.tensor(seed)])
    np.testing.assert_allclose(own.numpy(), other.numpy(), **EXACT)
    fresh = getattr(torch.nn, name)(I, H, **options, dtype=torch.float64)
    fresh.load_state_dict({k: torch.tensor(v) for k, v in to_pytorch(ours).items()})
    np.testing.assert_array_equal(fresh(tx)[0].detach().numpy(), ty.detach().numpy())


def test_a_whole_model_from_torch():
    torch = pytest.importorskip("torch")

    class Theirs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(7, I)
            self.core = torch.nn.LSTM(I, H, proj_size=P)
            self.heads = torch.nn.ModuleList([torch.nn.Linear(P, 3), torch.nn.Linear(P, 2)])

        def forward(self, ids: Any) -> Any:
            y, _ = self.core(self.embedding(ids))
            return self.heads[0](y), self.heads[1](y)

    theirs, ours = Theirs().double(), Net()
    ids = np.array([[0, 6], [3, 2], [1, 1]])
    wrapped = torch.nn.ModuleDict({"model": theirs})
    from_pytorch(ours, wrapped.state_dict(), prefix="model")
    for own, other in zip(ours(ids), theirs(torch.tensor(ids)), strict=True):
        np.testing.assert_allclose(own.numpy(), other.detach().numpy(), **EXACT)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("take_new", [False, True])
def test_one_cell_over_time_is_a_direction_of_a_layer(take_new, reverse):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.GRU(I, H, bidirectional=True, dtype=torch.float64)
    cell = rnn.GRUCell(I, H, take_new=take_new, dtype="float64")
    ours = rnn.Recurrent(cell, reverse=reverse)
    end = "_l0_reverse" if reverse else "_l0"
    half = {k: v for k, v in theirs.state_dict().items() if k.endswith("_l0_reverse") == reverse}
    from_pytorch(ours, half)
    x = normal(T, B, I)
    other = theirs(torch.tensor(x))[0].detach().numpy()
    np.testing.assert_allclose(
        ours(x)[0].numpy(), other[..., H:] if reverse else other[..., :H], **EXACT
    )
    back = to_pytorch(ours)
    assert sorted(back) == sorted(half)
    assert all(name.endswith(end) for name in back)
    for name, value in half.items():
        np.testing.assert_array_equal(back[name], value.numpy())


@pytest.mark.parametrize("take_new", [False, True])
def test_cells_by_themselves(take_new):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.GRUCell(I, H, dtype=torch.float64)
    ours = rnn.GRUCell(I, H, take_new=take_new, dtype="float64")
    from_pytorch(ours, theirs.state_dict())
    x, h = normal(B, I), normal(B, H)
    other = theirs(torch.tensor(x), torch.tensor(h)).detach().numpy()
    np.testing.assert_allclose(
        ours(engine.asarray(x), engine.asarray(h))[0].numpy(), other, **EXACT
    )


def test_bfloat16_and_half_come_in_the_dtype_of_the_parameters():
    torch = pytest.importorskip("torch")
    for dtype in (torch.bfloat16, torch.float16):
        theirs, ours = torch.nn.GRU(I, H).to(dtype), rnn.GRU(I, H)
        from_pytorch(ours, theirs.state_dict())
        for name, value in theirs.state_dict().items():
            found = ours.state_dict()[name]
            np.testing.assert_array_equal(found, value.float().numpy(), strict=True)


# ---- without torch


@pytest.mark.parametrize("name", NAMES)
def test_there_and_back_without_torch(name):
    one, other = (getattr(rnn, name)(I, H, num_layers=2, bidirectional=True) for _ in range(2))
    tensors = other.parameters()
    arrays = to_pytorch(one)
    assert list(arrays) == list(dict(one.named_parameters()))
    from_pytorch(other, arrays)
    x = normal(T, B, I)
    np.testing.assert_array_equal(one(x)[0].numpy(), other(x)[0].numpy())
    assert all(a is b for a, b in zip(other.parameters(), tensors, strict=True))
    arrays["weight_ih_l0"][:] = 9  # a copy on both ways
    assert not (one.weight_ih_l0.numpy() == 9).any()
    assert not (other.weight_ih_l0.numpy() == 9).any()


def test_anything_that_numpy_takes():
    net = rnn.RNN(2, 1, bias=False)
    from_pytorch(net, {"weight_ih_l0": [[1, 2]], "weight_hh_l0": engine.asarray([[3.0]])})
    assert net.weight_ih_l0.numpy().tolist() == [[1.0, 2.0]]
    assert net.weight_hh_l0.numpy().tolist() == [[3.0]]
    assert net.weight_ih_l0.dtype == np.float32


@pytest.mark.parametrize("prefix", ["encoder.rnn", "encoder.rnn."])
def test_a_prefix_goes_before_all_names_and_others_are_left_alone(prefix):
    one, other = rnn.GRU(I, H), rnn.GRU(I, H)
    arrays = to_pytorch(one, prefix=prefix)
    assert next(iter(arrays)) == "encoder.rnn.weight_ih_l0"
    from_pytorch(other, {**arrays, "encoder.rnn_2.bias": 1, "decoder": "x"}, prefix=prefix)
    for name, value in one.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], value)


def test_safetensors_files(tmp_path):
    one, other, path = Net(), Net(), tmp_path / "net.safetensors"
    arrays = to_pytorch(one, path, prefix="model")
    assert [each.name for each in tmp_path.iterdir()] == ["net.safetensors"]
    for name, value in load_file(path).items():
        np.testing.assert_array_equal(value, arrays[name], strict=True)
    for given in (path, str(path)):
        from_pytorch(other, given, prefix="model")
        for name, value in one.state_dict().items():
            np.testing.assert_array_equal(other.state_dict()[name], value, strict=True)
            dict(other.named_parameters())[name].data = value * 0
    save_file({"weight": np.ones((2, 3), "float32"), "bias": np.ones(2, "float32")}, path)
    linear = rnn.Linear(3, 2)
    from_pytorch(linear, path)
    assert linear.weight.numpy().tolist() == [[1.0] * 3] * 2


def test_files_that_torch_writes_and_reads(tmp_path):
    torch = pytest.importorskip("torch")
    files = pytest.importorskip("safetensors.torch")
    theirs, ours = torch.nn.LSTM(I, H), rnn.LSTM(I, H)
    files.save_file(theirs.state_dict(), tmp_path / "a.safetensors")
    from_pytorch(ours, tmp_path / "a.safetensors")
    to_pytorch(ours, tmp_path / "b.safetensors")
    for name, value in files.load_file(tmp_path / "b.safetensors").items():
        assert torch.equal(value, theirs.state_dict()[name])
    files.save_file({"w": torch.ones(2).to(torch.float8_e5m2)}, tmp_path / "c.safetensors")
    with pytest.raises(ValueError, match="w: arrays of F8_E5M2 cannot be read; read it by torch"):
        from_pytorch(ours, tmp_path / "c.safetensors")


def test_moving_to_a_device_keeps_the_way_open(device):
    one, other = rnn.GRU(I, H), rnn.GRU(I, H).to(device)
    from_pytorch(other, to_pytorch(one))
    assert {x.device for x in other.parameters()} == {device}
    for name, value in to_pytorch(other).items():
        np.testing.assert_array_equal(value, one.state_dict()[name])


def test_all_faults_come_in_one_error_and_nothing_changes():
    net = rnn.LSTM(I, H)
    before = net.state_dict()
    given = to_pytorch(rnn.LSTM(I, H), prefix="core")
    del given["core.weight_hh_l0"]
    given |= {"core.extra": np.ones(2), "core.bias_ih_l0": np.ones(4)}
    given["core.bias_hh_l0"] = "words"  # type: ignore[assignment]
    with pytest.raises(ValueError, match="from_pytorch") as caught:
        from_pytorch(net, given, prefix="core")
    for part in (
        "missing: core.weight_hh_l0",
        "unknown: core.extra",
        "core.bias_ih_l0: shape (4,), expected (20,)",
        "core.bias_hh_l0: expected an array of real numbers, got 'words'",
    ):
        assert part in str(caught.value)
    assert "weight_ih" not in str(caught.value)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    for wrong in (np.ones(20) * 1j, [[1.0], [2.0, 3.0]], object()):
        with pytest.raises(ValueError, match="bias_hh_l0: expected an array of real numbers"):
            from_pytorch(net, {**to_pytorch(net), "bias_hh_l0": wrong})


class Halved(rnn.LSTMCell):
    """Halve what an LSTM gives."""

    def step(self, x, state):
        h, (_, c) = super().step(x, state)
        return h / 2, (h / 2, c)


def test_cells_with_other_equations_are_refused_by_name():
    for cell in (
        rnn.ResetBeforeGRUCell(I, H), rnn.PeepholeLSTMCell(I, H), rnn.CoupledLSTMCell(I, H),
        rnn.MinimalGatedCell(I, H), rnn.OneGateGRUCell(I, H), rnn.LayerNormLSTMCell(I, H),
        OnnxGRUCell(I, H), Halved(I, H),
    ):  # fmt: skip
        name = type(cell).__name__
        for module in (cell, rnn.Recurrent(cell), rnn.Stacked([cell])):
            with pytest.raises(TypeError, match=f"PyTorch has no {name}"):
                to_pytorch(module)
            with pytest.raises(TypeError, match=f"PyTorch has no {name}"):
                from_pytorch(module, {})
    with pytest.raises(TypeError, match="no such nonlinearity"):
        to_pytorch(rnn.RNN(I, H, nonlinearity="sigmoid"))
    assert list(to_pytorch(rnn.RNN(I, H, nonlinearity="relu", bias=False))) == [
        "weight_ih_l0", "weight_hh_l0"
    ]  # fmt: skip


def test_what_is_no_state_dict(tmp_path):
    net = rnn.GRU(I, H)
    with pytest.raises(TypeError, match=r"got list; pass the state_dict\(\)"):
        from_pytorch(net, [1, 2])  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        from_pytorch(net, tmp_path / "none")
    (tmp_path / "bad").write_bytes(b"no tensors here")
    with pytest.raises(ValueError, match="bad is no safetensors file"):
        from_pytorch(net, tmp_path / "bad")


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", "module._orig_mod.",
                                     "_orig_mod.module."])  # fmt: skip
def test_names_of_wrapped_models_are_those_of_the_model(wrapper):
    one, other = rnn.GRU(I, H), rnn.GRU(I, H)
    from_pytorch(other, {f"{wrapper}{name}": x for name, x in to_pytorch(one).items()})
    for name, value in to_pytorch(other).items():
        np.testing.assert_array_equal(value, one.state_dict()[name])
    given = {f"{wrapper}{name}": x for name, x in to_pytorch(one, prefix="encoder").items()}
    from_pytorch(other, {**given, f"{wrapper}decoder": 1}, prefix="encoder")
    with pytest.raises(ValueError, match="missing: weight_ih_l0; "):  # not of all names: no wrapper
        from_pytorch(other, {f"{wrapper}weight_ih_l0": 1, "weight_hh_l0": 1})


def test_a_child_that_is_called_module_keeps_its_name():
    class Holder(rnn.Module):
        def __init__(self) -> None:
            self.module = rnn.Linear(I, H)

    one, other = Holder(), Holder()
    from_pytorch(other, to_pytorch(one))
    from_pytorch(other, {f"module.{name}": x for name, x in to_pytorch(one).items()}, prefix="")


def test_the_state_dict_of_a_data_parallel_model():
    torch = pytest.importorskip("torch")
    theirs, ours = torch.nn.GRU(I, H, dtype=torch.float64), rnn.GRU(I, H, dtype="float64")
    from_pytorch(ours, torch.nn.DataParallel(theirs).state_dict())
    np.testing.assert_array_equal(
        ours.state_dict()["weight_hh_l0"], theirs.weight_hh_l0.detach().numpy()
    )


def test_the_parts_of_a_sequential_are_numbered_as_in_pytorch():
    net = rnn.Sequential(rnn.Linear(2, 3), engine.relu,
                         rnn.Sequential(rnn.GRUCell(3, 3), rnn.Linear(3, 1)))  # fmt: skip
    names = list(to_pytorch(net, prefix="body"))
    assert names[:2] == ["body.0.weight", "body.0.bias"]
    assert names[2:4] == ["body.2.0.weight_ih_l0", "body.2.0.weight_hh_l0"]
    assert names[-2:] == ["body.2.1.weight", "body.2.1.bias"]
    x = normal(2, 1, 2)
    expected = net(x).numpy()
    again = rnn.Sequential(rnn.Linear(2, 3), engine.relu,
                           rnn.Sequential(rnn.GRUCell(3, 3), rnn.Linear(3, 1)))  # fmt: skip
    assert from_pytorch(again, to_pytorch(net)) == ([], [])
    np.testing.assert_array_equal(again(x).numpy(), expected)


def test_a_sequential_of_torch():
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    net = rnn.Sequential(rnn.Linear(3, 4), engine.tanh, rnn.Linear(4, 2))
    from_pytorch(net, theirs.state_dict())
    x = normal(5, 3).astype("float32")
    expected = theirs(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(net(x).numpy(), expected, rtol=1e-5, atol=1e-6)


def test_a_part_of_a_model_of_torch_without_strict():
    weights = {"weight": np.ones((1, 2)), "head.weight": np.zeros((9, 9))}
    net = rnn.Linear(2, 1)
    found = from_pytorch(net, weights, strict=False)
    assert found == (["bias"], ["head.weight"])
    assert net.weight.tolist() == [[1.0, 1.0]]
