"""Compare golden pictures byte for byte with those that were looked at, under two hash seeds.

`make golden` writes them again; look at them before they are committed.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import viz
from tests import ROOT
from tests.draws import first
from tests.viz.pictures import network

GOLDEN = Path(__file__).parent / "golden"
PICTURES = {
    "elman_rolled": lambda: viz.draw_rolled(network("elman", 3)),
    "elman_unrolled": lambda: viz.draw_unrolled(network("elman", 3)),
    "elman_unrolled_ops": lambda: viz.draw_unrolled(network("elman", 3), level="op", max_steps=3),
    "lstm_gradients": lambda: viz.draw_gradients(network("lstm", 4), max_steps=4),
    "gru_gradients_window": lambda: viz.draw_gradients(network("gru", 20), max_steps=4),
}


@pytest.mark.parametrize("name", PICTURES)
def test_the_picture_is_the_one_that_was_looked_at(name, update_golden):
    diagram = PICTURES[name]()
    for suffix, text in ((".svg", diagram.svg()), (".dot", diagram.source)):
        path = GOLDEN / f"{name}{suffix}"
        if update_golden:
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")


PRINT = "from tests.viz.test_golden import PICTURES as p; d = p['{}'](); print(d.svg(), d.source)"


@pytest.mark.parametrize("name", first(1, ["lstm_gradients", "elman_unrolled_ops"]))
def test_two_hash_seeds_give_the_same_bytes(name):
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PRINT.format(name)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_a_change_of_one_byte_is_caught():
    text = (GOLDEN / "elman_rolled.svg").read_text(encoding="utf-8")
    assert PICTURES["elman_rolled"]().svg() != text.replace("z⁻¹", "z⁻²", 1)
