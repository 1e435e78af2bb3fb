"""Run every block of code in the recipes as its page shows it, in a folder of its own.

A page is cut at its headings, and a part runs in any process: before it, those before it run their
Python blocks, which share its names, and the first part its commands too. A part that imports a
package that is not installed is skipped by name, and so is a command that needs a GPU.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

import engine
import rnn
import viz
from rnn.command import main
from tests import ROOT
from tests.devices import has_gpu
from tests.docs.course_pages import run
from tests.draws import first

HOWTO = ROOT / "docs" / "howto"
NAMES = ("debug_a_nan", "figure_for_a_paper", "forecast_a_series", "gpu", "move_weights",
         "own_cell", "several_machines", "train_on_my_text", "training")  # fmt: skip
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
PEERS = ("torch", "keras")
OURS = "python -m rnn "  # commands that a call does as well
SHOWN = ("latex", "text")  # languages that no test can run
FILE = re.compile(r"# (\w+\.py)\n")  # the first line of a block that is a file of the reader's


class Part(NamedTuple):
    """Hold a part of a page: its heading, the offset of its text in the page, and the text."""

    heading: str
    start: int
    text: str


def parts_of(page):
    """Return the parts of a page, cut before each heading of level two."""
    found = [0, *(m.start() for m in re.finditer("^## ", page, re.M)), len(page)]
    texts = [(a, page[a:b]) for a, b in pairwise(found)]
    return [Part(text.splitlines()[0].lstrip("# "), start, text) for start, text in texts]


def missing(text):
    """Return the peers that a part imports and that are not installed."""
    asked = [name for name in PEERS if re.search(rf"^import {name}\b", text, re.M)]
    lacking = [name for name in asked if find_spec(name) is None]
    return lacking or ["a backend of keras"] * ("keras" in asked and not any(backends()))


def backends():
    """Return the backends of Keras that are installed."""
    return [name for name in ("tensorflow", "jax", "torch") if find_spec(name)]


# Parts that start many processes or train for long: the other parts of their pages run the same
# commands, or the same calls.
LONG = {
    ("several_machines", "One run on several processes"),
    ("several_machines", "Many runs: a sweep"),
    ("several_machines", "Runs of any scheduler"),
    ("train_on_my_text", "By commands"),
}

PARTS = sorted(
    (
        (name, number, part.heading)
        for name in NAMES
        for number, part in enumerate(parts_of((HOWTO / f"{name}.md").read_text(encoding="utf-8")))
        if FENCE.search(part.text)
    ),
    key=lambda part: part[::2] in LONG,
)
CASES = [
    pytest.param(name, number, marks=pytest.mark.cupy) if name == "gpu" else (name, number)
    for name, number, _ in PARTS
]
IDS = [f"{name}: {heading}" for name, _, heading in PARTS]


def shell(commands, *, asked=True):
    """Run a block of commands as a reader would, with this Python, and fail as they do.

    What a part is not `asked` for, as it only comes before, is left out where it cannot run.
    """
    if "--device cupy" in commands and not has_gpu():
        pytest.skip("needs a GPU")
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    if "mpiexec" in commands and not (find_spec("mpi4py") and shutil.which("mpiexec", path=path)):
        if asked:
            pytest.skip("mpi4py or mpiexec is not installed")
        return
    lines = commands.splitlines()
    own = [line.startswith(OURS) and not set("\\|>;&") & set(line) for line in lines]
    if "for " in commands:  # a loop is one command
        own = [False] * len(lines)
    for ours, block in groupby(zip(own, lines, strict=True), key=lambda one: one[0]):
        text = [line for _, line in block]
        if ours:
            for line in text:  # the same as a process of its own, which takes a second to start
                assert main(shlex.split(line.removeprefix(OURS))) == 0, line
            continue
        found = subprocess.run(
            ["sh", "-ec", "\n".join(text)],
            env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert found.returncode == 0, found.stdout + found.stderr


@pytest.fixture(scope="module")
def names():
    """Return the names that the parts of each page have left."""
    return {}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {name: tmp_path_factory.mktemp(name) for name in NAMES}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras
@pytest.mark.parametrize(("name", "number"), first(len(CASES) - len(LONG), CASES), ids=IDS)
def test_a_part_runs(name, number, names, folders, monkeypatch):
    page = HOWTO / f"{name}.md"
    text = page.read_text(encoding="utf-8")
    monkeypatch.chdir(folders[name])
    if "KERAS_BACKEND" not in os.environ and backends():
        monkeypatch.setenv("KERAS_BACKEND", backends()[0])
    own = names.setdefault(name, {"__name__": "__main__"})
    done = own.setdefault("__done__", [])
    for earlier, part in enumerate(parts_of(text)[: number + 1]):
        if earlier < number and (earlier in done or missing(part.text)):
            continue
        if lacking := missing(part.text):
            pytest.skip(f"{', '.join(lacking)} is not installed")
        again = earlier in done  # a later part has run its Python
        done.append(earlier)
        for block in FENCE.finditer(part.text):
            if block[1] == "sh" and earlier in (0, number):
                shell(block[2], asked=earlier == number)
            elif block[1] == "python" and again:
                continue
            elif block[1] == "python" and (file := FILE.match(block[2])):
                Path(file[1]).write_text(block[2], encoding="utf-8")
            elif block[1] == "python":
                line = text.count("\n", 0, part.start + block.start(2)) + 1
                run(block[2], own, page, line)
            else:
                assert block[1] in ("sh", *SHOWN), f"{name}: a block of {block[1]!r} is not run"


def test_the_sizes_on_the_page_of_figures(tmp_path):
    y, _ = rnn.Recurrent(rnn.LSTMCell(3, 8))(engine.ones((20, 1, 3)))
    story = viz.draw_story(engine.sum(y[-1]), width=480)
    sizes = {float(size) for size in re.findall(r'font-size="([\d.]+)"', story.svg())}
    assert (min(sizes), max(sizes)) == (9, 15)
    assert round(9 * 345 / 480, 1) == 6.5
    pdf = story.render(tmp_path / "story.pdf").read_bytes()
    assert float(re.search(rb"/MediaBox \[ ?0 0 ([\d.]+)", pdf)[1]) == 480
    with pytest.raises(ValueError, match="480"):
        viz.draw_story(engine.sum(y[-1]), width=479)
