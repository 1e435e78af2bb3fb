"""Test that the docs name what exists: files, commands, commits, results, licences of data."""

import functools
import importlib
import importlib.util
import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.measuring import RESULTS
from tests import ROOT
from tests.docs import place
from tests.engine.scan import test_random_steps

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("[a-z]*/*.md")),
         ROOT / "docs" / "index.md"]  # fmt: skip
ROOMS = "docs|tests|engine|rnn|viz|examples|benchmarks"
GENERATED = {"docs/_build/html", "docs/reference/api", "out", ".venv", "shared/data"}
ABSENT = re.compile(r"(?:engine|rnn|viz)\.(?:py|svg|md|x)\b")  # files, and names that stand for any


def spans(page):
    """Return the texts in backticks, and the blocks of Python code, of a page."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:python|\{code-cell\}[^\n]*)\n(.*?)```", text, re.DOTALL)
    rest = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    ticked = re.findall(r"(`+)(.+?)(?<!`)\1(?!`)", rest, re.DOTALL)
    return [*(" ".join(inside.split()) for _, inside in ticked), *blocks]


def resolved(name):
    """Return True for a dotted name that can be imported or reached."""
    first, *parts = name.split(".")
    home, path = importlib.import_module(first), first
    for part in parts:
        path = f"{path}.{part}"
        if not hasattr(home, part):
            try:
                home = importlib.import_module(path)
            except ModuleNotFoundError:
                return False
        else:
            home = getattr(home, part)
    return True


# Pages that have names of other libraries, and names of other programs.
OTHERS = {"coming_from_jax", "coming_from_keras", "coming_from_pytorch"}
FOREIGN = {"ssh", "article", "--mpi", "--nodes", "--ntasks-per-node", "--cpus-per-task"}


def names(text):
    return [name for name in re.findall(r"(?<![\w./-])(?:engine|rnn|viz)(?:\.[A-Za-z_]\w*)+", text)
            if not ABSENT.fullmatch(name)]  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_name_in_backticks_exists(page):
    for text in spans(page):
        for name in names(text):
            assert resolved(name), place(page, name)


def test_a_name_that_is_not_there_is_found():
    assert names("see `engine.tahn(x)`, engine/scan.py, `rnn.training.Accuracy`") == [
        "engine.tahn", "rnn.training.Accuracy"
    ]  # fmt: skip
    assert not resolved("engine.tahn")
    assert not resolved("rnn.training.Acuracy")
    assert resolved("engine.scan.padding")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_commands_in_backticks_exist(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for text in spans(page):
        for path in re.findall(rf"^((?:{ROOMS})/[\w./]+)$", text):
            any_one = re.search(r"[A-Z]{3}", path)
            there = any_one or path.rstrip("/") in GENERATED or (ROOT / path).exists()
            assert there, place(page, path)
        for module in re.findall(r"python3? -m ([\w.]+)", text):
            any_one = re.search(r"\.[A-Z]+$", module)
            there = any_one or importlib.util.find_spec(module)
            assert there, place(page, f"-m {module}")
        for target in re.findall(r"(?:^|\s)make ([a-z]+)", text):
            assert target in targets, place(page, f"make {target}")


@functools.cache
def code():
    """Return the text of all code, and the names of its files."""
    rooms = [ROOT / room for room in ROOMS.split("|")]
    paths = [path for room in rooms for path in room.rglob("*")
             if path.suffix in (".py", ".c", ".h", ".toml", ".json") and path != Path(__file__)
             and not {"_build", "results"} & set(path.parts)]  # fmt: skip
    text = "\n".join(path.read_text(encoding="utf-8") for path in [*paths, ROOT / "pyproject.toml"])
    return "\n".join([text, *(path.name for path in [*paths, *ROOT.iterdir()])])


@functools.cache
def words():
    return set(re.findall(r"\w+", code()))


def of_the_code(page):
    """Yield each name, keyword and option that a page has in backticks."""
    for text in spans(page):
        if page.stem not in OTHERS and "\n" not in text:
            yield from re.findall(r"^(?:\w+\.)*([A-Za-z_]\w+)(?:\(.*\)|=[^=]*)?$", text)
        yield from re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_keywords_and_options_are_those_of_the_code(page):
    for name in set(of_the_code(page)) - FOREIGN:
        there = f'"{name}"' in code() if name.startswith("--") else name in words()
        assert there, place(page, name)


def test_a_name_behind_double_backticks_is_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "``mpiexec -n N`` and `Metric.merged`, `fit(x, last=1)`, `every=`, `tune --fats`"
    )
    assert set(of_the_code(page)) == {"merged", "fit", "every", "--fats"}
    assert "fit" in words()
    assert "--fats" not in code()


FORMER = "(?:whose|nobody|anew|nought|(?:what|which|who)ever)"
WORDS = re.compile(rf"\b{FORMER}\b", re.IGNORECASE)
IN_NAMES = re.compile(rf"(?<![a-z]){FORMER}(?![a-z])", re.IGNORECASE)  # with underscores too
LIST_THEM = ("test_claims.py", "test_architecture.py")  # of these words, to look for them


def test_prose_has_the_words_of_the_house():
    # An engineer reads it and has never met the writer: no person where a thing is meant.
    prose = [
        path
        for room in ("docs", "examples", "benchmarks", "tests")
        for path in (ROOT / room).rglob("*")
        if path.suffix in (".md", ".py", ".txt") and not {"_build", "api"} & set(path.parts)
    ]
    found = []
    for path in [*prose, *ROOT.glob("*.md"), ROOT / "Makefile"]:
        if path.name in LIST_THEM:
            continue
        words = IN_NAMES if (ROOT / "tests") in path.parents else WORDS
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found += [f"{path.relative_to(ROOT)}:{number}: {one}" for one in words.findall(line)]
    assert not found, "\n".join(found)


def test_the_check_of_words_can_fail():
    line = "def test_clip_whatever_its_bounds():  # Nobody reads"
    assert (WORDS.findall(line), IN_NAMES.findall(line)) == (["Nobody"], ["whatever", "Nobody"])
    assert not IN_NAMES.findall("renewal, wholesome, a_new_one")


def test_nothing_is_said_to_be_on_an_index_of_packages():
    for folder in ("engine", "rnn", "viz", "examples", "benchmarks", "docs"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".md", ".txt") and "_build" not in path.parts:
                text = path.read_text(encoding="utf-8")
                assert not re.search(r"pip install '?bptt", text), path


# ---- benchmarks


RUN = sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py")
             if '__name__ == "__main__"' in path.read_text(encoding="utf-8"))  # fmt: skip


@pytest.mark.parametrize("name", RUN)
def test_help_of_a_benchmark_writes_nothing(name, monkeypatch, capsys):
    def refuse(path, *_, **__):
        raise AssertionError(f"{name} --help writes {path}")

    for way in ("write_text", "write_bytes"):
        monkeypatch.setattr(Path, way, refuse)
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "benchmarks" / f"{name}.py"), run_name="__main__")
    assert ended.value.code in (0, None)
    assert capsys.readouterr().out.startswith("usage: ")


def listed(page, before, after):
    """Return the names in backticks between two phrases of a page."""
    text = " ".join((ROOT / "docs" / "about" / page).read_text(encoding="utf-8").split())
    return set(re.findall(r"`(\w+)`", text.partition(before)[2].partition(after)[0]))


def test_the_pages_say_which_benchmarks_take_a_device():
    code = {name: (ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8") for name in RUN}
    taking = {name for name in RUN if re.search(r"devices\.(?:parsed|add_device)\(", code[name])}
    assert listed("benchmarks.md", "before anything is timed. ", " take `--device`") == taking
    assert listed("gpu.md", "and the benchmarks ", " take `--device") == taking


def test_the_page_says_which_examples_take_no_device():
    without = listed("gpu.md", "examples but ", ", and the benchmarks")
    for path in (ROOT / "examples").glob("*.py"):
        code = path.read_text(encoding="utf-8")
        if "__main__" in code and path.stem not in without:
            assert "task_parser(" in code or '"--device"' in code, path.name


def test_the_page_says_how_many_random_steps_are_run():
    text = (ROOT / "docs" / "about" / "recurrences.md").read_text(encoding="utf-8")
    steps = test_random_steps.PLAN + test_random_steps.COMPILED
    assert f"`make test-all` runs {steps} random" in text
    count = re.search(r"^COUNT \?= (\d+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert f"`make fuzz` {int(count.group(1)):,}" in text


@pytest.mark.parametrize("path", sorted(RESULTS.rglob("*.json")), ids=lambda path: path.stem)
def test_every_result_names_its_commit_and_date(path):
    result = json.loads(path.read_text(encoding="utf-8"))
    assert re.fullmatch(r"[0-9a-f]{7,40}\+?", result["commit"])
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", result["date"])


def git(*arguments):
    """Return the output of git; skip the test where the history is not whole."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("there is no history here")
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_every_commit_that_is_named_exists():
    if git("rev-parse", "--is-shallow-repository").strip() == "true":
        pytest.skip("the history here is not whole")
    known = git("log", "--format=%H").split()
    texts = [path.read_text(encoding="utf-8") for path in [*PAGES, *RESULTS.rglob("*.json")]]
    named = set(re.findall(r'commit"?:? "?([0-9a-f]{7,40})', "\n".join(texts)))
    assert named
    assert not {one for one in named if not any(whole.startswith(one) for whole in known)}


# ---- the door of developers


def quoted():
    """Yield the differences that CONTRIBUTING.md quotes: the subject of a commit, and its parts."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for before, block in re.findall(r"(.*?)```diff\n(.*?)```", text, re.DOTALL):
        (*_, subject) = re.findall(r'"([^"]+)"', before)
        parts = re.split(r"^--- a/(.*)\n\+\+\+ b/.*\n", block, flags=re.MULTILINE)[1:]
        yield " ".join(subject.split()), dict(zip(parts[::2], parts[1::2], strict=True))


def test_there_is_a_difference_for_an_op_a_cell_an_executor_and_a_drawing():
    files = [list(parts) for _, parts in quoted()]
    for room in ("engine/ops/", "rnn/cells/", "engine/scan/executors.py", "viz/"):
        assert any(path.startswith(room) for own in files for path in own), room


def closest(path, added):
    """Return the lines at `path`, or of the file it moved to, which has most of what it added."""
    files = (ROOT / Path(path).parts[0]).rglob("*.py")
    places = [ROOT / path] if (ROOT / path).exists() else files
    texts = [{*place.read_text(encoding="utf-8").splitlines()} for place in places]
    return max(texts, key=lambda lines: len(lines & added))


def test_what_was_added_is_still_there():
    # Docstrings begin with a verb by now, ops have an example, and files have moved.
    for _, parts in quoted():
        for path, lines in parts.items():
            now = closest(path, {line[1:] for line in lines.splitlines()})
            for line in lines.splitlines():
                if line.startswith("+"):
                    verbs = [line[1:].replace('"""', f'"""{verb}', 1)
                             for verb in ("", "Return ", "Map ", "Compute ")]  # fmt: skip
                    known = {*verbs, *(one.removesuffix('"""') for one in verbs)}
                    assert known & now, f"{path}: {line}"


def test_differences_are_those_of_the_history():
    for subject, parts in quoted():
        done = git("log", "-1", "--format=", "-p", "-F", f"--grep={subject}", "--", *parts)
        if not done:
            pytest.skip(f"the history here does not have {subject!r}")
        real = set(done.splitlines())
        for lines in parts.values():
            missing = [line for line in lines.splitlines() if line not in real]
            assert missing == [], subject


# ---- versions and data


def test_the_changelog_and_the_citation_have_one_version():
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)
    told = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert cited.group(1) == told.group(1)


def test_every_folder_of_data_has_its_licence():
    page = (ROOT / "docs" / "about" / "data.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([\w-]+)` \| (.*)$", page, re.MULTILINE))
    read = {}
    for path in sorted((ROOT / "examples").glob("*.py")):
        code = path.read_text(encoding="utf-8")
        for folder in re.findall(r"(?:found\(f?|^DATA = )\"([\w-]+)", code, re.MULTILINE):
            read.setdefault(folder, set()).add(path.name)
    assert set(rows) == set(read)
    for folder, examples in read.items():
        assert all(f"[{name}](../../examples/{name})" in rows[folder] for name in examples), folder
