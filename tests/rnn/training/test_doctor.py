"""Check what ``python -m rnn doctor`` says of a machine, and that it finds what does not work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import engine
from engine.scan.c import compiler
from rnn.command import doctor, main
from rnn.shadowed import shadowing
from tests import ROOT
from tests.draws import covering, first
from tests.engine.test_host_kernels import there_is_a_compiler

compiles = pytest.mark.skipif(not there_is_a_compiler(), reason="there is no compiler")


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)


def lines(capsys):
    """Return the printed lines, by the words before the first colon."""
    return {name.strip(): told.strip() for name, _, told in
            (line.partition(":") for line in capsys.readouterr().out.splitlines())}  # fmt: skip


@compiles
def test_a_sound_machine(no_gpu, capsys):
    before = dict(os.environ)
    assert main(["doctor"]) == 0
    told = lines(capsys)
    assert any(line.startswith(f"bptt {engine.__version__}, Python 3.") for line in told)
    assert "compiles in" in told["compiler"]
    assert "kernels" in told["cache"]
    assert told["threads"].startswith(f"{engine.get_num_threads()} of ")
    assert "CuPy is not installed" in told["GPU"]
    assert [told[x].partition(",")[0] for x in ("explicit", "plan", "c")] == ["runs"] * 3
    assert told["cuda"] == "does not run here: there is no GPU"
    assert "all that is there works" in told
    assert dict(os.environ) == before


@compiles
def test_a_compiler_that_fails_is_found(no_gpu, capsys, monkeypatch, tmp_path):
    broken = tmp_path / "cc"
    broken.write_text('#!/bin/sh\n[ "$1" = --version ] && echo broken && exit 0\nexit 3\n')
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    compiler.compiler.cache_clear()
    try:
        assert main(["doctor"]) == 1
    finally:
        compiler.compiler.cache_clear()
    told = lines(capsys)
    assert told["compiler"].startswith("does not work: the C compiler failed")
    assert told["plan"].startswith("runs")
    assert "something does not work; see above" in told


def test_no_compiler_is_no_fault(no_gpu, capsys, monkeypatch):
    def none():
        raise doctor.CannotCompileError("there is no C compiler (cc, gcc or clang)")

    monkeypatch.setattr(doctor, "compiler", none)
    assert main(["doctor"]) == 0
    told = lines(capsys)
    assert told["compiler"].startswith("none, so recurrences run by NumPy")
    assert told["c"] == "does not run here: there is no compiler"


@pytest.mark.parametrize(("wrong", "place"), covering([1e-3, float("nan")], [0, 2]))
def test_wrong_numbers_are_found(wrong, place, no_gpu, capsys, monkeypatch):
    right = doctor._trained

    def planted(name, device):
        found, told = right(name, device)
        if name == "plan":
            found[place] += wrong
        return found, told

    monkeypatch.setattr(doctor, "_trained", planted)
    assert main(["doctor"]) == 1
    assert lines(capsys)["plan"].startswith("WRONG")


@pytest.mark.parametrize("start", ["import rnn", "import engine as e, rnn"])
def test_a_file_of_the_users_that_shadows_the_engine_is_named(start, tmp_path):
    (tmp_path / "engine.py").write_text("import rnn\nnet = rnn.LSTM(3, 5)\n")
    (tmp_path / "go.py").write_text(start)
    root = {"PYTHONPATH": str(ROOT)}
    for script in ("engine.py", "go.py"):
        done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True,
                              text=True, check=False, env={**os.environ, **root})  # fmt: skip
        assert done.returncode == 1
        last = done.stderr.strip().splitlines()[-1]
        assert str(tmp_path / "engine.py") in last
        assert "give that file another name" in last


def said(code, folder):
    """Return the status and the last line of a script that runs in a folder."""
    root = ROOT
    paths = os.pathsep.join(map(str, (folder, root, root / "examples" / "installed")))
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True,
                          check=False, env={**os.environ, "PYTHONPATH": paths})  # fmt: skip
    return done.returncode, (done.stderr or done.stdout).strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "code"),
    first(2, [("viz", "import bptt; bptt.viz"), ("engine", "import bptt"), ("rnn", "import bptt")]),
)
def test_the_package_of_all_three_names_a_file_that_shadows_one(name, code, tmp_path):
    file = tmp_path / f"{name}.py"
    file.write_text("raise RuntimeError('it was run')")
    status, last = said(code, tmp_path)
    assert status == 1
    assert last == (f"ImportError: import {name} finds {file}, which is not the {name} of bptt; "
                    "give that file another name")  # fmt: skip
    file.rename(tmp_path / "own.py")
    (tmp_path / name).mkdir()  # of data, which Python passes over
    assert said(f"{code}; print('good')", tmp_path) == (0, "good")


def test_files_that_shadow_a_package_are_found(no_gpu, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rnn.py").touch()
    (tmp_path / "engine").mkdir()
    (tmp_path / "viz").mkdir()
    (tmp_path / "viz" / "__init__.py").touch()
    assert main(["doctor"]) == 1
    told = lines(capsys)
    assert told["rnn"].startswith(
        f"WRONG for scripts in this folder, which import {tmp_path}/rnn.py"
    )
    assert "give it another name" in told["viz"]
    assert "WRONG" not in told["engine"]
    monkeypatch.chdir(ROOT)
    assert shadowing(Path.cwd()) == []


def test_rnn_and_its_command_need_no_packages_of_pictures():
    # A GPU machine often lacks them.
    code = """
import sys
for name in ("viz", "graphviz", "networkx", "matplotlib"):
    sys.modules[name] = None
from rnn.command import main
sys.exit(main(["doctor"]))
"""
    root = str(ROOT)
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "all that is there works" in done.stdout
