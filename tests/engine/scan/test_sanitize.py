"""Run a few random steps under sanitizers, and mistakes in kernels that these must find."""

import subprocess
import sys

import pytest

from tests import ROOT
from tests.draws import first, slow_beside
from tests.engine.scan.sanitize import PLANTS, environment, libraries

pytestmark = pytest.mark.skipif(not libraries(), reason="gcc has no libasan here")

FOUND = {
    "row": "heap-buffer-overflow",
    "step": "heap-buffer-overflow",
    "packed": "heap-buffer-overflow",
    "shift": "shift exponent 40 is too large",
    "overflow": "signed integer overflow",
    "index": "index 3 out of bounds",
    "cast": "outside the range of representable values",
}


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    return environment(str(tmp_path_factory.mktemp("sanitized")))


def run(env, *arguments):
    command = [sys.executable, "-W", "ignore", "-m", "tests.engine.scan.sanitize", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False
    )


def test_random_steps_touch_no_other_memory(env):
    done = run(env, "--inside", "steps", "300000", "300003")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "equal in c" in done.stdout


def test_every_plant_has_its_message():
    assert set(FOUND) == set(PLANTS)


@pytest.mark.parametrize("plant", first(2, ["row", "cast", "packed", "shift"]))
def test_a_mistake_in_a_kernel_is_found(plant, env):
    done = run(env, "--plant", plant, "--inside", "layer")
    assert done.returncode != 0
    assert FOUND[plant] in done.stderr


@slow_beside("test_random_steps_touch_no_other_memory")
def test_a_layer_without_a_mistake_passes(env):
    done = run(env, "--inside", "layer")
    assert done.returncode == 0, done.stderr[-3000:]
