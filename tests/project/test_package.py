"""Check the wheel and the source distribution, installed and used outside of the clone."""

import re
from importlib.util import find_spec

import pytest

import engine
from tests.draws import slow_beside
from tests.project import package_trial as trial

pytestmark = pytest.mark.skipif(find_spec("hatchling") is None, reason="hatchling is not installed")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("package")


@pytest.fixture(scope="module")
def distributions(home):
    return trial.built(home / "dist")


def test_the_wheel_has_the_four_packages_and_no_more(distributions):
    wheel, _ = distributions
    files = trial.content(wheel)
    tops = {name.partition("/")[0] for name in files}
    assert tops == {"bptt", "engine", "rnn", "viz", f"bptt-{engine.__version__}.dist-info"}
    assert {f"{one}/py.typed" for one in ("bptt", "engine", "rnn", "viz")} <= set(files)
    there = (trial.ROOT / "engine").rglob("*.[chp]*")  # C beside Python
    sources = {one.relative_to(trial.ROOT).as_posix() for one in there if one.suffix != ".pyc"}
    assert sources <= set(files)


def test_the_source_distribution_builds_the_same_wheel(distributions, home):
    wheel, archive = distributions
    again, _ = trial.built(home / "again", trial.unpacked(archive, home / "tree"))
    assert trial.content(again) == trial.content(wheel)


@pytest.fixture(scope="module")
def python(distributions, home):
    """Return the Python of an environment that has the wheel."""
    own = trial.environment(home / "venv")
    trial.install(own, "--no-deps", "--no-index", distributions[0])
    trial.borrow(own)
    return own


@pytest.fixture(scope="module")
def said(python, home):
    """Use the packages in that environment; return what was printed."""
    return trial.used(python, home / "tried")


def test_it_is_used_in_an_environment_of_its_own(said, home):
    used, doctor = said
    assert used.strip() == f"used {engine.__version__}"
    assert str(home / "venv") in doctor
    assert "all that is there works" in doctor


@slow_beside("test_it_is_used_in_an_environment_of_its_own")
def test_every_verb_of_the_command_runs_there(said, python, home):
    learnt, *_ = trial.trained(python, home / "tried")
    assert "written to run" in learnt
    drawn = {path.name for path in (home / "tried" / "drawn").iterdir()}
    assert drawn == {"story.svg", "last.svg", "all.svg", "gates.svg", "influence.html",
                     "curves.svg"}  # fmt: skip


def test_pages_for_users_name_no_module_that_the_wheel_lacks(distributions):
    files = set(trial.content(distributions[0]))
    pages = ("README.md", "docs/howto/train_on_my_text.md")
    text = "".join((trial.ROOT / page).read_text(encoding="utf-8") for page in pages)
    named = re.findall(r"python -m ((?:engine|rnn|viz|bptt|examples|benchmarks)\b[\w.]*)", text)
    assert named
    for one in named:
        path = one.replace(".", "/")
        assert {f"{path}.py", f"{path}/__main__.py"} & files, f"python -m {one}"
