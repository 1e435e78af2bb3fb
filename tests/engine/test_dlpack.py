"""Test arrays in and out by DLPack: memory, dtypes, refusals; NumPy and torch outside."""

import inspect
from typing import Any

import numpy as np
import pytest

import engine
from engine import Tensor
from tests.draws import normal

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
          "float16", "float32", "float64"]  # fmt: skip
LAYOUTS: dict[str, Any] = {
    "whole": lambda x: x,
    "transposed": lambda x: x.T,
    "strided": lambda x: x[::2, 1::2],
    "backwards": lambda x: x[::-1],
    "column": lambda x: x[:, 1],
    "number": lambda x: x[1, 1],
    "nothing": lambda x: x[:0],
    "no columns": lambda x: x[:, 2:2],
    "repeated": lambda x: np.broadcast_to(x[0], (3, 6)),
}
ON_HOST = 1  # kDLCPU


def drawn(dtype: str = "float64") -> np.ndarray:
    return np.asarray((normal(4, 6) * 9).clip(0 if dtype[0] in "ub" else None).astype(dtype))


def laid_out(layout: str, dtype: str = "float64") -> np.ndarray:
    return np.asarray(LAYOUTS[layout](drawn(dtype)))


# ---- out of the engine


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_numpy_reads_tensors(layout, dtype):
    array = laid_out(layout, dtype)
    x = engine.asarray(array)
    if not array.flags.writeable:
        x = engine.asarray(array.copy())
    found = np.from_dlpack(x)
    np.testing.assert_array_equal(found, array, strict=True)
    assert np.shares_memory(found, x.numpy()) == (array.size > 0)


def test_the_device_is_the_host():
    assert engine.ones(2).__dlpack_device__() == (ON_HOST, 0)
    assert np.from_dlpack(engine.ones(2), device="cpu").tolist() == [1, 1]


def test_numpy_asks_for_copies():
    x = engine.asarray(normal(3))
    assert not np.shares_memory(np.from_dlpack(x, copy=True), x.numpy())
    assert np.shares_memory(np.from_dlpack(x, copy=False), x.numpy())
    assert np.shares_memory(np.from_dlpack(x, copy=None), x.numpy())


def test_the_standards_keywords_are_understood():
    x = engine.ones(2)
    for keywords in (
        {}, {"stream": None}, {"max_version": (1, 0)}, {"max_version": None},
        {"copy": True}, {"copy": False}, {"dl_device": (ON_HOST, 0)},
        {"stream": None, "max_version": (1, 0), "dl_device": (ON_HOST, 0), "copy": None},
    ):  # fmt: skip
        assert "dltensor" in repr(x.__dlpack__(**keywords))
    with pytest.raises(TypeError):
        x.__dlpack__(color="red")
    names = list(inspect.signature(engine.Tensor.__dlpack__).parameters)
    assert names == ["self", "stream", "max_version", "dl_device", "copy"]
    with pytest.raises(BufferError):
        x.__dlpack__(dl_device=(2, 0))
    with pytest.raises(RuntimeError, match="stream"):
        x.__dlpack__(stream=1)


def test_memory_lives_as_long_as_what_was_taken():
    x = engine.asarray(normal(1000)) + 0
    found = np.from_dlpack(x)
    del x
    np.testing.assert_array_equal(found, normal(1000))


def test_changes_of_the_tensor_do_not_reach_what_was_taken():
    x = engine.asarray(normal(3))
    found = np.from_dlpack(x)
    x[...] = 0.0
    x += 5
    np.testing.assert_array_equal(found, normal(3))


def test_tensors_with_gradients_are_refused():
    w = engine.ones(3, requires_grad=True)
    for x in (w, w * 2, w[0]):
        with pytest.raises(TypeError, match=r"requires a gradient.*detach\(\)"):
            x.__dlpack__()
        with pytest.raises(TypeError, match=r"detach\(\)"):
            np.from_dlpack(x)
        with pytest.raises(TypeError, match=r"detach\(\)"):
            engine.from_dlpack(x)
        np.testing.assert_array_equal(np.from_dlpack(x.detach()), x.numpy())
    with engine.no_grad():
        assert np.from_dlpack(w * 2).tolist() == [2, 2, 2]


def test_read_only_memory_is_not_handed_out_to_be_written_to():
    frozen = normal(3)
    frozen.flags.writeable = False
    try:
        found = np.from_dlpack(engine.asarray(frozen))
    except BufferError:
        return
    assert not found.flags.writeable


# ---- into the engine


class Stranger:
    """Stand for an array of another library: nothing but the two methods of DLPack."""

    def __init__(self, array: np.ndarray, device: tuple[int, int] = (ON_HOST, 0)) -> None:
        self.array, self.device = array, device

    def __dlpack__(self, **keywords: Any) -> Any:
        return self.array.__dlpack__(**keywords)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_tensors_are_made_of_strangers(layout, dtype):
    array = laid_out(layout, dtype)
    array = array if array.flags.writeable else array.copy()
    for source in (array, Stranger(array), engine.asarray(array)):
        x = engine.from_dlpack(source)
        assert isinstance(x, Tensor)
        assert (x.shape, x.dtype, x.device) == (array.shape, array.dtype, "numpy")
        np.testing.assert_array_equal(x.numpy(), array)
        assert np.shares_memory(x.numpy(), array) == (array.size > 0)
        assert not x.requires_grad


@pytest.mark.parametrize("layout", ["whole", "transposed", "repeated", "nothing"])
def test_read_only_memory_can_be_read(layout):
    array = laid_out(layout)
    array.flags.writeable = False
    x = engine.from_dlpack(array)
    np.testing.assert_array_equal(x.numpy(), array)
    x[...] = 0.0  # the tensor changes, the memory does not
    np.testing.assert_array_equal(array, laid_out(layout))


def test_copy_and_device():
    array = normal(3)
    assert not np.shares_memory(engine.from_dlpack(array, copy=True).numpy(), array)
    for copy in (False, None):
        for device in (None, "numpy"):
            x = engine.from_dlpack(array, device=device, copy=copy)
            assert np.shares_memory(x.numpy(), array)
    with pytest.raises(ValueError, match="tpu"):
        engine.from_dlpack(array, device="tpu")
    array[0] = 8.0
    assert engine.from_dlpack(array).numpy()[0] == 8


def test_copy_false_is_not_a_silent_copy():
    with pytest.raises((ValueError, BufferError, TypeError)):
        engine.from_dlpack(normal(3).astype("complex128"), copy=False)


def test_what_does_not_speak_dlpack_is_refused():
    for thing in ([1.0, 2.0], 3.0, object()):
        with pytest.raises((TypeError, AttributeError), match="dlpack"):
            engine.from_dlpack(thing)
    with pytest.raises(TypeError, match="complex"):
        engine.from_dlpack(np.ones(2, "complex64"))


def test_unknown_devices_are_refused():
    for device in ((8, 0), (2, 0), (10, 3)):
        with pytest.raises((ValueError, RuntimeError, BufferError)):
            engine.from_dlpack(Stranger(normal(3), device))


def test_what_came_in_computes_and_differentiates():
    array = np.array([1.0, 2.0, 3.0])
    x = engine.from_dlpack(array)
    assert engine.gradcheck(lambda x: x * x, [x])
    w = engine.asarray(x, requires_grad=True)
    engine.sum(w * w).backward()
    assert w.grad.numpy().tolist() == [2, 4, 6]
    assert np.from_dlpack(w.grad).tolist() == [2, 4, 6]
    assert array.tolist() == [1, 2, 3]


def test_round_trips_keep_the_memory():
    x = engine.asarray(normal(2, 3))
    assert np.shares_memory(engine.from_dlpack(np.from_dlpack(x)).numpy(), x.numpy())


# ---- torch


@pytest.mark.parametrize("dtype", ["bool", "int32", "int64", "uint8", "float32", "float64"])
@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "backwards"])
def test_torch_reads_and_is_read(layout, dtype):
    torch = pytest.importorskip("torch")
    array = laid_out(layout, dtype).copy()
    x = engine.asarray(array)
    theirs = torch.from_dlpack(x)
    assert (tuple(theirs.shape), str(theirs.dtype)) == (array.shape, f"torch.{dtype}")
    np.testing.assert_array_equal(theirs.numpy(), array)
    back = engine.from_dlpack(theirs)
    np.testing.assert_array_equal(back.numpy(), array, strict=True)
    if array.size:
        assert theirs.data_ptr() == array.ctypes.data == back.numpy().ctypes.data


def test_torch_layouts_and_gradients():
    torch = pytest.importorskip("torch")
    strided = torch.arange(24.0).reshape(4, 6).T[::2, 1:]
    np.testing.assert_array_equal(engine.from_dlpack(strided).numpy(), strided.numpy())
    broadcast = torch.ones(3, 1).expand(3, 4)
    assert engine.from_dlpack(broadcast).shape == (3, 4)
    with pytest.raises((BufferError, RuntimeError, TypeError)):
        engine.from_dlpack(torch.ones(2, requires_grad=True))
    with pytest.raises(TypeError, match=r"detach\(\)"):
        torch.from_dlpack(engine.ones(2, requires_grad=True))
    x = engine.asarray(normal(3))
    theirs = torch.from_dlpack(x)
    theirs[0] = 7.0  # the memory is shared: torch may write to it
    assert x.numpy()[0] == 7
