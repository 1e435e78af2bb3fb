"""Train examples on a GPU and on the host: the same within rounding."""

import importlib

import numpy as np
import pytest

from tests.draws import first
from tests.examples.shortened import shorten

# Sizes of a second: what is wrong on a device is so in the first updates. The first ones have each
# kind of task: a loop of its own, a label a step, a state that is carried, a cell of its own.
FEW = [
    ("hello", "--steps", "3"),
    ("copying", "-T", "2", "--steps", "2", "--hidden", "5", "--batch", "4"),
    ("shakespeare", "--data", "TEXT", "--steps", "2", "--hidden", "5", "--length", "8"),
    ("jordan", "-T", "5", "--steps", "2", "--own", "2", "--hidden", "5", "--batch", "4"),
    ("adding", "-T", "5", "--steps", "2", "--hidden", "5", "--batch", "4"),
    ("sentiment", "--fast", "--epochs", "1", "--hidden", "5", "--word-dropout", "0.2"),
    ("alignment", "--part", "video", "--fast", "--steps", "2", "--hidden", "5", "--tests", "8"),
    ("alignment", "--fast", "--steps", "2", "--hidden", "5", "--tests", "8", "--batch", "4"),
    ("captions", "--fast", "--steps", "2", "--hidden", "8", "--batch", "8"),
    ("surnames", "--fast", "--epochs", "1", "--hidden", "5", "--batch", "256"),
    ("entities", "--fast", "--epochs", "1", "--hidden", "5", "--batch", "64"),
    ("translation", "--fast", "--epochs", "1", "--hidden", "8", "--batch", "256"),
    ("music", "--fast", "--epochs", "1", "--hidden", "5", "--batch", "60"),
    ("forecasting", "--fast", "--steps", "2", "--hidden", "5"),
    ("alignment", "--part", "dna", "--fast", "--steps", "2", "--hidden", "5", "--tests", "8"),
]  # fmt: skip


@pytest.mark.cupy
@pytest.mark.parametrize("run", first(4, map(list, FEW)), ids=lambda run: " ".join(run[:3]))
def test_an_example_gives_the_same_on_a_device(gpu, tmp_path, run, monkeypatch):
    text = tmp_path / "text.txt"
    text.write_text("To be, or not to be, that is the question.\n" * 40, encoding="utf-8")
    name, *arguments = (str(text) if one == "TEXT" else one for one in run)
    example = importlib.import_module(f"examples.{name}")
    shorten(example, monkeypatch, every=10)
    here, there = (example.run(example.parse([*arguments, "--device", device]))
                   for device in ("numpy", gpu))  # fmt: skip
    assert there["figures"] == pytest.approx(here["figures"], rel=1e-3, abs=1e-5)
    np.testing.assert_allclose(there["curve"], here["curve"], rtol=1e-3, atol=1e-5)
    assert there["settings"] == here["settings"]


def test_a_missing_device_is_reported_in_a_line(capsys):
    example = importlib.import_module("examples.hello")
    assert example.main(["--device", "tpu"]) == 2
    assert "unknown device 'tpu'" in capsys.readouterr().err
