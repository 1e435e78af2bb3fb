"""Save and load: one safetensors file, replaced at once, with a digest of every byte."""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import engine
import rnn
from tests.draws import normal


def arrays() -> dict[str, np.ndarray]:
    return {
        "w": normal(2, 3).astype("float32"),
        "complex": np.asarray([1 + 2j, 0.5j], "complex64"),
        "swapped": np.arange(3, dtype=">i4"),
        "turned": np.asfortranarray(normal(3, 2)),
        "slice": normal(4, 4)[::2, 1:],
        "ids": np.arange(3),
        "flag": np.array([True, False]),
        "number": np.array(2.5),
        "none": np.zeros((0, 3), "float32"),
    }


def test_a_checkpoint_comes_back(tmp_path):
    config = {"hidden": 128, "cell": "lstm", "chars": "aé\n", "rate": 3e-3, "none": None}
    path = tmp_path / "model.safetensors"
    rnn.save(path, arrays(), config)
    assert sorted(os.listdir(tmp_path)) == ["model.safetensors"]
    found, told = rnn.load(str(path))
    assert told == config
    assert set(found) == set(arrays())
    for name, value in arrays().items():
        np.testing.assert_array_equal(
            found[name], value.astype(value.dtype.newbyteorder("=")), strict=True
        )


def test_a_module_comes_back(tmp_path):
    engine.seed(1)
    net = rnn.LanguageModel(5, 3, 4)
    rnn.save(tmp_path / "net.safetensors", net)
    engine.seed(2)
    fresh = rnn.LanguageModel(5, 3, 4)
    state, config = rnn.load(tmp_path / "net.safetensors")
    fresh.load_state_dict(state)
    assert config == {}
    for one, other in zip(net.parameters(), fresh.parameters(), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy(), strict=True)


def test_the_same_checkpoint_is_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        rnn.save(tmp_path / f"{name}.safetensors", arrays(), {"b": 1, "a": 2})
    first, second = ((tmp_path / f"{name}.safetensors").read_bytes() for name in ("one", "two"))
    assert first == second


@pytest.mark.parametrize("damage", [b"", b"\x00", b"not a checkpoint", "cut", "flip"])
def test_damaged_tensors_are_refused(tmp_path, damage):
    path = tmp_path / "model.safetensors"
    rnn.save(path, arrays())
    whole = path.read_bytes()
    if damage == "cut":
        damage = whole[:-5]
    elif damage == "flip":
        damage = bytes([whole[0] ^ 0xFF]) + whole[1:]
    path.write_bytes(damage)
    with pytest.raises(
        ValueError, match=r"load: .*model\.safetensors is no checkpoint or is damaged"
    ):
        rnn.load(path)


def test_a_flipped_bit_anywhere_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    rnn.save(path, arrays(), {"rate": 0.1, "names": ["a", "b"]})
    whole = path.read_bytes()
    for place in range(len(whole)):
        flipped = bytes([whole[place] ^ (1 << place % 8)])
        path.write_bytes(whole[:place] + flipped + whole[place + 1 :])
        with pytest.raises(ValueError, match=r"load: .* is no checkpoint or is damaged"):
            rnn.load(path)
    path.write_bytes(whole)
    rnn.load(path)


def test_what_something_else_has_written_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    for metadata in (None, {"format": "pt"}, {"bptt": "{}"}, {"bptt": "[]"}):
        save_file({"w": np.ones(2, "float32")}, path, metadata=metadata)
        with pytest.raises(ValueError, match="is no checkpoint or is damaged"):
            rnn.load(path)
    path.write_bytes(b"PK\x03\x04 as torch.save begins")
    with pytest.raises(ValueError, match=r"was not written by rnn.save; a file of torch.save is"):
        rnn.load(path)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError):
        rnn.load(tmp_path / "none.safetensors")
    lost = tmp_path / "none" / "model.safetensors"
    with pytest.raises(FileNotFoundError, match="make the folder first") as caught:
        rnn.save(lost, arrays())
    assert caught.value.filename == str(lost)
    with pytest.raises(IsADirectoryError, match="Is a directory"):
        rnn.save(tmp_path, arrays())
    assert os.listdir(tmp_path) == []


REFUSED = {
    "a config that JSON cannot hold": ({}, {"bad": object()}, "JSON: .* is object; expected"),
    "a number of NumPy in a config": ({}, {"n": np.int64(3)}, "is int64; expected text, numbers"),
    "names that are no text in a config": ({}, {1: "a"}, "names must be text"),
    "no mapping": ([np.ones(2)], None, r"got list; give its state_dict\(\)"),
    "no array": ({"w": "no array"}, None, "w is str; expected an array"),
    "a list": ({"w": [1.0, 2.0]}, None, "w is list"),
    "objects": ({"w": np.asarray([None])}, None, "w is object"),
    "complex128": ({"w": np.ones(2, complex)}, None, "w is complex128"),
    "a number as a name": ({1: np.ones(2)}, None, "1 cannot be the name"),
    "the name of the metadata": ({"__metadata__": np.ones(2)}, None, "cannot be the name"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_held_is_refused_and_leaves_the_old_file(what, tmp_path):
    path = tmp_path / "model.safetensors"
    old_checkpoint(path)
    state, config, match = REFUSED[what]
    with pytest.raises(TypeError, match=match):
        rnn.save(path, state, config)
    assert is_old(path)


def test_the_path_comes_first(tmp_path):
    with pytest.raises(TypeError, match=r"got Linear; the path comes first: save\(path, module\)"):
        rnn.save(rnn.Linear(2, 2), tmp_path / "model.safetensors")


@pytest.mark.parametrize("name", ["model", "model.v1", "model.json", "mo del.safetensors", "m.pt"])
def test_the_file_has_the_name_given(name, tmp_path):
    for kind in (Path, str):
        rnn.save(kind(tmp_path / name), {"w": np.ones(2)}, {"name": name})
        assert os.listdir(tmp_path) == [name]
        assert rnn.load(kind(tmp_path / name))[1] == {"name": name}


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
def test_a_link_stays_one(tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    old_checkpoint(real)
    link.symlink_to(real)
    rnn.save(link, {"w": np.zeros(2)})
    assert link.is_symlink()
    assert rnn.load(real)[0]["w"].tolist() == [0, 0]


CONFIGS = [None, {}, [], 3, "text", 0.1, {"a": [1, {"b": None}], "é": "\n"},
           {"rate": float("inf"), "zeros": "0" * 64}]  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS)
def test_configurations_come_back(config, tmp_path):
    rnn.save(tmp_path / "m", {"0" * 64: np.ones(2)}, config)
    assert rnn.load(tmp_path / "m")[1] == ({} if config is None else config)


def test_other_readers_of_safetensors_read_it(tmp_path):
    rnn.save(tmp_path / "m", arrays(), {"size": 3})
    for name, value in load_file(tmp_path / "m").items():
        np.testing.assert_array_equal(value, arrays()[name])
    with safe_open(tmp_path / "m", "numpy") as file:
        assert '"size": 3' in file.metadata()["bptt"]


def test_bfloat16_comes_back_and_is_float32_without_its_package(tmp_path, monkeypatch):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    narrow = np.asarray([1.0, -2.5, 3e38, np.inf, 1e-40, 0.0], ml_dtypes.bfloat16).reshape(2, 3)
    rnn.save(tmp_path / "m", {"w": narrow, "b": np.ones(2, "float32")})
    np.testing.assert_array_equal(rnn.load(tmp_path / "m")[0]["w"], narrow, strict=True)
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    wide = rnn.load(tmp_path / "m")[0]["w"]
    np.testing.assert_array_equal(wide, narrow.astype("float32"), strict=True)


def test_bfloat16_of_other_libraries_is_read(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save_torch

    theirs = torch.nn.Linear(3, 2).bfloat16()
    save_torch(theirs.state_dict(), tmp_path / "theirs.safetensors")
    ours = rnn.Linear(3, 2)
    rnn.interop.from_pytorch(ours, tmp_path / "theirs.safetensors")
    np.testing.assert_array_equal(ours.weight.numpy(), theirs.weight.detach().float().numpy())


def old_checkpoint(path: Any) -> None:
    rnn.save(path, {"w": np.ones(2)}, {"version": 1})


def is_old(path: Any) -> bool:
    """Tell whether the old checkpoint is there whole, and nothing else."""
    state, config = rnn.load(path)
    files = os.listdir(path.parent)
    return state["w"].tolist() == [1, 1] and config == {"version": 1} and files == [path.name]


def test_a_failing_write_leaves_the_old_checkpoint_and_names_it(tmp_path, monkeypatch):
    path = tmp_path / "model.safetensors"
    old_checkpoint(path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        rnn.save(path, {"w": np.zeros(2)}, {"version": 2})
    assert caught.value.filename == str(path)
    assert is_old(path)
