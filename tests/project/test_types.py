"""Check what editors and type checkers know of the packages, as a user's project asks them."""

import importlib
import inspect
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import rnn
from tests import ROOT
from tests.draws import slow_beside
from tests.project import typed_script

SPACES = (
    "engine", "engine.linalg", "engine.testing", "rnn", "rnn.cells", "rnn.data", "rnn.decoding",
    "rnn.initializers", "rnn.interop", "rnn.models", "rnn.online", "rnn.optim", "rnn.schedules",
    "rnn.sweeps", "rnn.training", "viz",
)  # fmt: skip
# Comments that silence mypy are not read, and one that silences nothing is an error: so the
# mistakes in the script are seen by both.
PYRIGHT = {"enableTypeIgnoreComments": False, "reportUnnecessaryTypeIgnoreComment": "error"}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Make a folder outside of the clone: the script, and a file that imports every public name."""
    home = tmp_path_factory.mktemp("project")
    (home / "script.py").write_text(Path(typed_script.__file__).read_text(encoding="utf-8"))
    names = []
    for space in SPACES:
        own = importlib.import_module(space)
        public = getattr(own, "__all__", None) or [
            x for x, one in vars(own).items() if getattr(one, "__module__", "") == space
        ]
        names += [f"from {space} import {x} as {space.replace('.', '_')}_{x}" for x in public]
        names += [f"import {space}"]
        names += [f"print({space}.{x})" for x in getattr(own, "__all__", ())]
    (home / "names.py").write_text("\n".join(names))
    (home / "pyrightconfig.json").write_text(json.dumps(PYRIGHT))
    return home


def checked(project, *command):
    """Run a checker on the files; return its status and what it says."""
    done = subprocess.run(
        [sys.executable, "-m", *command, "script.py", "names.py"], cwd=project, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_mypy_knows_every_name_and_what_calls_return(project):
    pytest.importorskip("mypy")
    status, said = checked(project, "mypy", "--strict", f"--cache-dir={ROOT}/.mypy_cache/user")
    assert status == 0, said


@slow_beside("test_mypy_knows_every_name_and_what_calls_return")
def test_pyright_knows_every_name_and_what_calls_return(project):
    if find_spec("pyright") is None:
        pytest.skip("pyright is not installed")
    ready = subprocess.run([sys.executable, "-m", "pyright", "--version"], capture_output=True,
                           text=True, check=False)  # fmt: skip
    if ready.returncode or "pyright" not in ready.stdout:
        pytest.skip(f"pyright cannot run here: {(ready.stderr or ready.stdout).strip()[-200:]}")
    status, said = checked(project, "pyright", "--pythonpath", sys.executable)
    assert status == 0, said


def test_every_checker_sees_a_mistake(project):
    # A script with one `assert_type` turned wrong must be refused: the check can fail.
    pytest.importorskip("mypy")
    right = (project / "script.py").read_text()
    wrong = right.replace("assert_type(c, Tensor)", "assert_type(c, State)")
    assert wrong != right
    (project / "script.py").write_text(wrong)
    try:
        status, said = checked(project, "mypy", "--strict", f"--cache-dir={ROOT}/.mypy_cache/user")
    finally:
        (project / "script.py").write_text(right)
    assert status == 1
    assert "Expression is of type" in said
    assert "Tensor" in said


LAYERS = (rnn.RNN, rnn.LSTM, rnn.GRU)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda one: one.__name__)
def test_help_of_a_layer_says_all_that_a_user_asks(layer):
    told = inspect.getdoc(layer)
    arguments = list(inspect.signature(layer).parameters)
    assert [one for one in arguments if f"`{one}" not in told] == []
    for part in ("(T, B, I)", "(T, B, directions * H)", "Raises", "ValueError", "Source", ">>>"):
        assert part in told, part
    assert "h' = " in told  # the equations of a step
