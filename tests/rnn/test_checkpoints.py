"""Test checkpoint folders: contents come back; damaged, mixed or hostile ones are refused."""

import hashlib
import json
import math
import os
import struct

import numpy as np
import pytest

import engine
import rnn
from rnn.serialization import documents
from rnn.serialization.files import BLANK, sealed
from rnn.training import Checkpoints, fit, random_state, read_checkpoint
from tests.rnn.training.small_training import Net, assert_same_state, batches, run

TENSORS = {
    "w": np.arange(6, dtype="float32").reshape(2, 3),
    "turned": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "nothing": np.zeros((0, 2), dtype="int64"),
    "flag": np.array([True, False]),
    "number": np.array(2.5),
}
STATE = {"step": 3, "figures": {"loss": math.inf, "other": math.nan}, "text": "aé\n", "none": None}


def written(folder, count=1):
    checkpoints = Checkpoints(folder)
    for step in range(count):
        path = checkpoints.write(TENSORS, STATE | {"step": step})
    return path


def test_a_checkpoint_comes_back(tmp_path):
    path = written(tmp_path / "a" / "b")
    found = read_checkpoint(str(path))
    assert found.path == path
    assert set(found.tensors) == set(TENSORS)
    for name, value in TENSORS.items():
        np.testing.assert_array_equal(found.tensors[name], value, strict=True)
    figures = found.state.pop("figures")
    assert figures["loss"] == math.inf
    assert math.isnan(figures["other"])
    assert found.state == {"step": 0, "text": "aé\n", "none": None}
    assert sorted(os.listdir(path.parent)) == ["checkpoint-000001.json",
                                               "checkpoint-000001.safetensors"]  # fmt: skip


def test_the_same_checkpoint_is_the_same_bytes(tmp_path):
    one, two = written(tmp_path / "1"), written(tmp_path / "2")
    for suffix in (".json", ".safetensors"):
        assert one.with_suffix(suffix).read_bytes() == two.with_suffix(suffix).read_bytes()


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_last_ones_are_kept(keep, tmp_path):
    checkpoints = Checkpoints(tmp_path, keep)
    assert checkpoints.newest() is None
    (tmp_path / "mine.json").write_text("{}")
    for step in range(5):
        checkpoints.write(TENSORS, {"step": step})
    assert checkpoints.numbers() == list(range(6 - keep, 6))
    assert checkpoints.newest().state == {"step": 4}
    assert len(os.listdir(tmp_path)) == 2 * keep + 1


def test_what_a_crash_leaves_is_none_and_is_removed(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write(TENSORS, STATE)
    for name in ("checkpoint-000002.safetensors", "checkpoint-000002.json.part"):
        (tmp_path / name).write_bytes(b"torn")
    assert checkpoints.newest().path.name == "checkpoint-000001.json"
    assert checkpoints.write(TENSORS, STATE).name == "checkpoint-000003.json"
    assert checkpoints.numbers() == [1, 3]
    assert len(os.listdir(tmp_path)) == 4


@pytest.mark.parametrize("writes", [0, 1])
def test_a_full_disk_leaves_the_old_ones(writes, tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write(TENSORS, STATE)
    before, calls, sync = sorted(os.listdir(tmp_path)), iter(range(9)), os.fsync

    def full(descriptor):
        if next(calls) == writes:
            raise OSError(28, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.write(TENSORS, STATE)
    assert sorted(os.listdir(tmp_path)) == before
    kept = checkpoints.newest()
    assert kept.path.name == "checkpoint-000001.json"
    assert sorted(kept.tensors) == sorted(TENSORS)
    for name, values in TENSORS.items():
        np.testing.assert_array_equal(kept.tensors[name], values)


def test_files_and_their_names_are_synced(tmp_path, monkeypatch):
    synced, sync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda one: (synced.append(os.fstat(one).st_mode), sync(one)))
    written(tmp_path)
    assert [mode >> 12 for mode in synced] == [0o10, 0o10, 0o04]  # two files, then their folder


# ---- damage


def test_every_byte_counts(tmp_path):
    # A flipped bit anywhere in the JSON, and anywhere in the tensors, is seen.
    path = written(tmp_path)
    draw = np.random.default_rng(0)
    for file in (path, path.with_suffix(".safetensors")):
        whole = file.read_bytes()
        for place in draw.choice(len(whole), 60, replace=False):
            bit = 1 << int(draw.integers(8))
            file.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
            with pytest.raises(ValueError, match=f"checkpoint: .*{path.name} is damaged or none"):
                read_checkpoint(path)
        file.write_bytes(whole)
    read_checkpoint(path)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 100, -1])
@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
def test_truncated_files_are_refused(suffix, length, tmp_path):
    path = written(tmp_path)
    file = path.with_suffix(suffix)
    whole = file.read_bytes()
    file.write_bytes(whole[: length - (suffix == ".json") * (length < 0)])
    with pytest.raises(ValueError, match="is damaged or none"):
        read_checkpoint(path)


def test_mixed_files_are_refused(tmp_path):
    one, two = written(tmp_path / "1"), written(tmp_path / "2", 2)
    changed = {**TENSORS, "w": TENSORS["w"] + 1}
    other = Checkpoints(tmp_path / "3").write(changed, STATE)
    os.replace(other.with_suffix(".safetensors"), one.with_suffix(".safetensors"))
    with pytest.raises(ValueError, match="its tensors are not those that it was written with"):
        read_checkpoint(one)
    two.with_suffix(".safetensors").unlink()
    with pytest.raises(FileNotFoundError):
        read_checkpoint(two)
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "none.json")


def test_a_damaged_one_falls_back_and_says_so(tmp_path):
    path = written(tmp_path, 3)
    path.with_suffix(".safetensors").unlink()
    checkpoints = Checkpoints(tmp_path)
    with pytest.warns(UserWarning, match="000003.*; going on from checkpoint-000002.json"):
        assert checkpoints.newest().state["step"] == 1
    checkpoints.write(TENSORS, STATE)
    assert checkpoints.numbers() == [2, 4]


def test_where_all_are_damaged_none_is_taken(tmp_path):
    written(tmp_path, 2)
    for path in tmp_path.glob("*.json"):
        path.write_text("[]")
    with pytest.raises(ValueError, match=r"none in .* is good: .*000002.*; .*000001"):
        Checkpoints(tmp_path).newest()


# ---- hostility: files with right digests


def forged(folder, content, state=None, **changes):
    """Write a checkpoint with any bytes as tensors and a JSON that fits them."""
    folder.mkdir(exist_ok=True)
    path = folder / "checkpoint-000001.json"
    path.with_suffix(".safetensors").write_bytes(content)
    body = {"format": "bptt checkpoint", "version": 1, "sha256": BLANK,
            "state": {} if state is None else state,
            "tensors": {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()},
            } | changes  # fmt: skip
    path.write_bytes(sealed(documents.written(body)))
    return path


def packed(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(shape=(2,), offsets=(0, 8), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


HOSTILE = {
    "huge header": packed({}, length=1 << 62),
    "header past the end": packed({}, length=1000),
    "header of 200 MB": packed({}, length=200_000_000),
    "no header": b"",
    "no JSON": packed(b"\xff\xfe"),
    "overlap": packed({"a": entry(), "b": entry(offsets=(4, 12))}, b"\0" * 12),
    "hole": packed({"a": entry(), "b": entry(offsets=(12, 20))}, b"\0" * 20),
    "past the end": packed({"a": entry(offsets=(0, 4096))}, b"\0" * 8),
    "backwards": packed({"a": entry(offsets=(8, 0))}, b"\0" * 8),
    "negative": packed({"a": entry(offsets=(-8, 0))}, b"\0" * 8),
    "shape is too large": packed({"a": entry((1 << 62, 1 << 62))}, b"\0" * 8),
    "shape overflows to fit": packed({"a": entry((1 << 63, 4))}, b"\0" * 8),
    "negative shape": packed({"a": entry((-1, -2))}, b"\0" * 8),
    "shape and bytes differ": packed({"a": entry((3,))}, b"\0" * 8),
    "a dtype that is not read": packed({"a": entry((8,), dtype="F8_E5M2")}, b"\0" * 8),
    "the same name twice": packed(
        b'{"a":%s,"a":%s}' % ((json.dumps(entry()).encode(),) * 2), b"\0" * 16
    ),
    "unknown dtype": packed({"a": entry(dtype="PICKLE")}, b"\0" * 8),
    "bytes left over": packed({"a": entry()}, b"\0" * 16),
    "bomb": packed(b'{"a":' * 50_000),
    "deep list": packed(b"[" * 500_000),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_tensors_are_refused(kind, tmp_path):
    with pytest.raises(ValueError, match="is damaged or none") as caught:
        read_checkpoint(forged(tmp_path, HOSTILE[kind]))
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"[" * 1_000_000, "nested too deep"),
        (b'{"a":' * 200_000, "nested too deep"),
        (b"9" * 100_000, "integer string conversion|digits"),
        (b"NaN", "NaN is no number"),
        (b'{"a": Infinity}', "Infinity is no number"),
        (b'{"a": 1, "b": 2, "a": 3}', "'a' is there twice"),
        (b'{"$float": "1e9"}', "is no number"),
        (b'{"$float": "inf", "more": 1}', "is no number"),
        (b"\xff", "codec"),
        (b"", "Expecting value"),
        (b"{} {}", "Extra data"),
        (b"[]", "not of this format"),
        (b"3", "not of this format"),
        (b"{}", "not of this format"),
    ],
)
def test_hostile_json_is_refused(content, match, tmp_path):
    path = written(tmp_path)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=match):
        read_checkpoint(path)


def test_other_formats_and_versions_are_refused(tmp_path):
    good = packed({})
    assert read_checkpoint(forged(tmp_path, good)).tensors == {}
    for match, changes in {
        "not of this format": {"format": "other"},
        "version 2 is not 1": {"version": 2},
        "of this format$": {"state": []},
        "of this format": {"tensors": "../../etc/passwd"},
        "is damaged": {"tensors": {"bytes": 10, "sha256": 0}},
        "not of this  ?format": {"more": 1},
        "it is not of": {"tensors": {"bytes": 10, "sha256": "", "file": "/etc/passwd"}},
    }.items():
        with pytest.raises(ValueError, match=match.replace("  ?", " ")):
            read_checkpoint(forged(tmp_path, good, **changes))


def test_too_large_a_json_is_not_read(tmp_path, monkeypatch):
    path = written(tmp_path)
    monkeypatch.setattr("rnn.training.checkpoints.LARGEST", 100)
    with pytest.raises(ValueError, match="more than 100"):
        read_checkpoint(path)


def test_what_is_no_file_is_not_read(tmp_path):
    path = written(tmp_path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ValueError, match="is no file"):
        read_checkpoint(path)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Return the tensors and state that a run has written."""
    folder = tmp_path_factory.mktemp("good")
    run(folder, steps=4, carry=True, validation=batches(1), patience=5, validate_every=2)
    return Checkpoints(folder / "checkpoints").newest()


def tampered(good, change):
    """Change tensors and state by one function of both."""
    tensors, state = dict(good.tensors), json.loads(documents.written(good.state))
    change(tensors, state)
    return tensors, state


def _set(where, *path, value):
    for name in path[:-1]:
        where = where[name]
    where[path[-1]] = value


TAMPERED = {
    "a weight of another shape": lambda t, s: _set(t, "model.head.bias", value=np.ones(6, "f")),
    "a weight of another dtype": lambda t, s: _set(t, "model.head.bias", value=np.ones(5)),
    "a weight is missing": lambda t, s: t.pop("model.head.bias"),
    "a weight too many": lambda t, s: _set(t, "model.__class__", value=np.ones(5)),
    "a best weight of another shape": lambda t, s: _set(t, "best.head.bias", value=np.ones(4)),
    "no history": lambda t, s: t.pop("history"),
    "a history of another shape": lambda t, s: _set(t, "history", value=np.ones((4, 3))),
    "a slot of another shape": lambda t, s: _set(
        t, "optimizer.state.0.exp_avg", value=np.ones(3, "f")),
    "a slot of another dtype": lambda t, s: _set(
        t, "optimizer.state.0.exp_avg", value=t["optimizer.state.0.exp_avg"].astype("float64")),
    "a step before the first": lambda t, s: _set(
        t, "optimizer.state.0.step", value=np.array(-5)),
    "a rate below 0": lambda t, s: _set(t, "optimizer.groups.0.lr", value=np.array(-1.0)),
    "a setting too many": lambda t, s: _set(t, "optimizer.groups.0.x", value=np.array(1.0)),
    "a step that is no number": lambda t, s: _set(s, "step", value="4"),
    "a negative epoch": lambda t, s: _set(s, "epoch", value=-1),
    "a step that is true": lambda t, s: _set(s, "step", value=True),
    "a field too many": lambda t, s: _set(s, "__import__", value="os"),
    "a field too few": lambda t, s: s.pop("random"),
    "no seed": lambda t, s: _set(s, "random", "seed", value=-4),
    "a carried state that is none": lambda t, s: _set(s, "carried", value={"call": "os.system"}),
    "a carried tensor that is not there": lambda t, s: t.pop("carried.0"),
    "a log of a negative length": lambda t, s: _set(s, "log", "bytes", value=-1),
    "a log that is no mark": lambda t, s: _set(s, "log", value="/etc/passwd"),
    "a validation of other fields": lambda t, s: _set(s, "validations", 0, "x", value=1),
    "a metric that is a word": lambda t, s: _set(s, "best", "metrics", "loss", value="low"),
    "a count below 0": lambda t, s: _set(s, "epoch_count", value=-1.0),
    "something due that is nothing": lambda t, s: _set(s, "due", value=["rm"]),
    "a last batch of other fields": lambda t, s: _set(s, "seen", value={"digest": 3}),
    "settings that are none": lambda t, s: _set(s, "made", value=[3]),
    "averages that are not there": lambda t, s: _set(s, "averaged", value=True),
    "validations that are none": lambda t, s: _set(s, "validations", value=[3]),
}  # fmt: skip


@pytest.mark.parametrize("kind", TAMPERED)
def test_a_tampered_checkpoint_changes_nothing(kind, good, tmp_path):
    Checkpoints(tmp_path).write(*tampered(good, TAMPERED[kind]))
    engine.seed(8)
    net = Net()
    weights, chance = net.state_dict(), random_state()
    with pytest.raises(ValueError, match=r"fit: .*000001.json does not fit this run: ") as caught:
        _resume(net, tmp_path)
    assert "\n" not in str(caught.value)
    assert_same_state(weights, net.state_dict())
    assert random_state() == chance
    assert sorted(os.listdir(tmp_path)) == ["checkpoint-000001.json",
                                            "checkpoint-000001.safetensors"]  # fmt: skip


def test_what_is_not_tampered_with_is_taken(good, tmp_path):
    Checkpoints(tmp_path).write(*tampered(good, lambda t, s: None))
    assert len(_resume(Net(), tmp_path).losses) == 4


def test_a_checkpoint_with_the_former_name_of_the_metrics_is_taken(good, tmp_path):
    def former(t, s):
        for record in (s["best"], *s["validations"]):
            record["figures"] = record.pop("metrics")

    Checkpoints(tmp_path).write(*tampered(good, former))
    history = _resume(Net(), tmp_path)
    assert history.best.metrics == good.state["best"]["metrics"]
    with pytest.warns(DeprecationWarning, match="called metrics now"):
        assert history.best.figures is history.best.metrics


def _resume(net, folder):
    from tests.rnn.training.small_training import carried

    return fit(net, batches(), carried, steps=4, carry=True, resume=True, checkpoint=folder,
               optimizer=rnn.optim.Adam(net.parameters(), lr=0.02),
               validation=batches(1), progress=False)  # fmt: skip


# ---- JSON


def test_plain_data_comes_back():
    for value in (None, True, 3, -0.0, 1e300, 5e-324, "a\0é", [1, [2]], {"a": {"b": []}},
                  math.inf, -math.inf, {"x": [math.inf]}):  # fmt: skip
        assert documents.read(documents.written(value)) == value
    assert math.isnan(documents.read(documents.written(math.nan)))
    assert documents.read(documents.written((1, 2))) == [1, 2]
    assert list(documents.read(documents.written({"b": 1, "a": 2}))) == ["b", "a"]


def test_what_is_no_plain_data_is_not_written():
    for value in (object(), {1: 2}, np.float32(2), {"a": {3}}):
        with pytest.raises(TypeError):
            documents.written(value)


def test_no_pickle_anywhere():
    import ast
    from pathlib import Path

    import rnn

    for path in sorted(Path(rnn.__file__).parent.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {n.name for x in ast.walk(tree) if isinstance(x, ast.Import) for n in x.names}
        names |= {str(x.module) for x in ast.walk(tree) if isinstance(x, ast.ImportFrom)}
        assert not names & {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}, path
