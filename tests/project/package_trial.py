"""Build the wheel and the source distribution, and try them where the clone is out of sight.

`test_package.py` does so with the packages that are installed already. ``python -m
tests.project.package_trial`` (``make package``) installs everything from the registry instead: with
every Python from 3.11 on that is there, and for each the oldest and the newest NumPy that has a
wheel for it; and once with the compiler of `ziglang` alone.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from pathlib import Path

from tests import ROOT

OLDEST = {"3.11": "2.1", "3.12": "2.1", "3.13": "2.1", "3.14": "2.3"}  # NumPy's wheels by Python
USE = """
import pathlib, sys
import bptt, engine, rnn, viz

home = pathlib.Path(sys.prefix).resolve()
for one in (bptt, engine, rnn, viz):
    assert home in pathlib.Path(one.__file__).resolve().parents, one.__file__
    assert one.__version__ == bptt.__version__
assert bptt.engine is engine and bptt.rnn is rnn and bptt.viz is viz
y, (h, c) = rnn.LSTM(3, 5)(engine.ones((7, 2, 3)))
loss = engine.sum(y[-1] ** 2)
loss.backward()
viz.draw_story(loss).render("story.svg")
print("used", bptt.__version__)
"""


def run(*command: object, cwd: Path, **variables: str) -> str:
    """Return what a command prints, outside of the clone. Raises RuntimeError where it fails."""
    own = {x: y for x, y in os.environ.items() if not x.startswith(("PYTHON", "BPTT_"))}
    done = subprocess.run([str(one) for one in command], cwd=cwd, env={**own, **variables},
                          capture_output=True, text=True, check=False)  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def built(out: Path, source: Path = ROOT) -> tuple[Path, Path]:
    """Return the wheel and the source distribution of a tree, by hatchling, into a new folder."""
    run(sys.executable, "-m", "hatchling", "build", "-d", out, cwd=source)
    (wheel,), (archive,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, archive


def unpacked(archive: Path, out: Path) -> Path:
    """Return the tree of a source distribution."""
    with tarfile.open(archive) as file:
        file.extractall(out, filter="data")
    (tree,) = out.iterdir()
    return tree


def content(wheel: Path) -> dict[str, bytes]:
    """Return the files of a wheel by name, but for its list of them."""
    with zipfile.ZipFile(wheel) as file:
        return {one: file.read(one) for one in file.namelist() if not one.endswith("RECORD")}


def environment(out: Path, python: str = sys.executable) -> Path:
    """Return the Python of a new environment, without packages and pip."""
    run(python, "-m", "venv", "--without-pip", out, cwd=out.parent)
    return out / "bin" / "python"


def borrow(python: Path) -> None:
    """Let an environment import what is installed here, after its own; not what is editable."""
    folder = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))",
                 cwd=python.parent).strip()  # fmt: skip
    own = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    Path(folder, "borrowed.pth").write_text("\n".join(own))


def install(python: Path, *what: object) -> None:
    """Install packages into an environment by the pip of this one."""
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet",
        "--disable-pip-version-check", *what, cwd=python.parent)  # fmt: skip


def used(python: Path, home: Path, **variables: str) -> list[str]:
    """Use the packages and ask the command what works, in a new folder; return what was printed."""
    home.mkdir()
    told = {"cwd": home, "XDG_CACHE_HOME": str(home / "cache"), **variables}
    return [run(python, "-c", USE, **told), run(python.parent / "bptt", "doctor", **told)]


def trained(python: Path, home: Path, **variables: str) -> list[str]:
    """Run every other verb of the command in a folder; return what was printed."""
    bptt = python.parent / "bptt"
    (home / "fox.txt").write_text("The quick brown fox jumps over the lazy dog.\n" * 40)
    sizes = ("--steps", 4, "--hidden", 6, "--batch", 2, "--length", 8)
    told = {"cwd": home, "XDG_CACHE_HOME": str(home / "cache"), **variables}
    return [
        run(bptt, "train", "--text", "fox.txt", "--out", "run", *sizes, **told),
        run(bptt, "resume", "run", "--steps", 6, **told),
        run(bptt, "sample", "run", "--count", 20, **told),
        run(bptt, "evaluate", "run", **told),
        run(bptt, "look", "run", "--out", "drawn", "--steps", 3, **told),
        run(python, "-m", "rnn", "--help", **told),
        run(python, "-m", "bptt", "--help", **told),
    ]


def tried(python: Path, home: Path, **variables: str) -> list[str]:
    """Use the packages and every verb of the command; return what was printed."""
    return [*used(python, home, **variables), *trained(python, home, **variables)]


def runs(python: str) -> bool:
    """Tell whether a Python is there; one that a version manager only lists is not."""
    if shutil.which(python) is None:
        return False
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def main() -> int:
    """Try all combinations that are there, and print each."""
    found = [name for name in OLDEST if runs(f"python{name}")]
    print(f"Pythons that are there: {', '.join(found)}; not: "
          f"{', '.join(x for x in OLDEST if x not in found) or 'none'}", flush=True)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        wheel, _ = built(home / "dist")
        for name in found:
            for numpy in (f"numpy=={OLDEST[name]}.*", "numpy"):
                python = environment(home / f"{name}-{len(numpy)}", f"python{name}")
                install(python, wheel, numpy, "--only-binary", "numpy")
                tried(python, home / f"tried-{name}-{len(numpy)}")
                version = run(python, "-c", "import numpy; print(numpy.__version__)", cwd=home)
                print(f"Python {name}, NumPy {version.strip()}: works", flush=True)
        install(python, "ziglang")
        told = tried(python, home / "zig", PATH="/nowhere", CC="")
        assert "ziglang cc" in told[1], told[1]
        print("without a compiler of the system, by ziglang: works")
    return 0


if __name__ == "__main__":
    sys.exit(main())
