"""The shape of the project itself: imports run downward, nothing is imported unasked."""

import ast
import subprocess
import sys
from doctest import DocTestFinder, DocTestRunner
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from inspect import getdoc, ismodule
from pathlib import Path
from types import ModuleType

import pytest

import engine
from docs.make_reference import PACKAGES, modules, public
from tests import ROOT
from tests.project import op_names

ALLOWED = {"engine": {"engine"}, "rnn": {"rnn", "engine"}, "viz": {"viz", "engine"}}
OWN = set(ALLOWED) | {"examples", "benchmarks", "docs", "tests"}
LIBRARIES = {"numpy", "cupy", "cupyx"}
LAUNCHES = Path("engine/scan/cuda/module.py")  # compiles and launches what is generated


def imports(path: Path) -> set[str]:
    """Return the first names of all modules that a file imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def sources(package: str) -> list[Path]:
    found = [p for p in (ROOT / package).rglob("*.py") if "_build" not in p.parts]  # of the site
    assert found, f"{package} has no source"
    return sorted(found)


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_run_downward(package):
    for path in sources(package):
        upward = (imports(path) & OWN) - ALLOWED[package]
        assert not upward, f"{path.relative_to(ROOT)} imports {upward}"


@pytest.mark.parametrize("package", ["engine", "rnn"])
def test_array_libraries_are_named_in_the_backends_only(package):
    for path in sources(package):
        if "backends" not in path.parts and path.relative_to(ROOT) != LAUNCHES:
            assert not imports(path) & LIBRARIES, path.relative_to(ROOT)


def circle(package: str, root: Path = ROOT) -> str:
    """Return a circle of files that import each other, in functions and for types too, or none."""
    files = [path for path in (root / package).rglob("*.py") if path.name != "__init__.py"]
    names = {".".join(path.relative_to(root).with_suffix("").parts): path for path in files}
    below = {}
    for name, path in names.items():
        below[name] = found = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    try:
        TopologicalSorter({name: found & names.keys() for name, found in below.items()}).prepare()
    except CycleError as error:
        return " <- ".join(error.args[1])
    return ""


@pytest.mark.parametrize("package", ALLOWED)
def test_files_do_not_import_each_other_in_a_circle(package):
    assert not circle(package)


def test_the_check_of_circles_can_fail(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.py").write_text("def f():\n    from a import y\n")
    assert not circle("a", tmp_path)
    (tmp_path / "a" / "y.py").write_text("from a.x import f\n")
    assert circle("a", tmp_path)


@pytest.mark.parametrize("package", ALLOWED)
def test_no_op_names_outside_of_records(package):
    files = [path for path in sources(package) if ROOT / "engine" / "ops" not in path.parents]
    found = [line for path in files for line in op_names.read(path, ROOT).found.values()]
    assert not found, "ask for a field of the op's record (engine/op.py):\n" + "\n".join(found)


@pytest.mark.parametrize("place", [*op_names.TRANSLATIONS, *op_names.WORDS])
def test_what_may_tell_ops_by_their_names_is_there(place):
    expected = {*op_names.TRANSLATIONS.get(place, {}), *op_names.WORDS.get(place, {})}
    assert expected <= op_names.read(ROOT / place, ROOT).used


@pytest.mark.parametrize(
    "line",
    [
        'node.op.name == "add"', 'op.name != "astype"', 'node.op.name in ("stack", "tanh")',
        'node.op.name in {"sum"}', "node.op.name in SUMS", "SUMS[op.name]", "SUMS.get(op.name)",
        'name = node.op.name; name == "add"', 'value.op == "add"', 'OPS = ["add", "subtract"]',
        'OPS = {"add": 1, "subtract": 2, "mine": 3}', 'OPS = frozenset({"add", "subtract"})',
        "op is ADD", "node.op is record(add)", "node.op is engine.add.op", "node.op in SUMS",
        'match node.op.name:\n    case "add": pass', 'match op:\n    case "add" | "sum": pass',
    ],
)  # fmt: skip
def test_the_check_of_op_names_can_fail(line, tmp_path):
    planted = tmp_path / "planted.py"
    planted.write_text(f"import engine\n\n{line}\n")
    (found,) = op_names.read(planted, tmp_path).found.values()
    assert found.startswith("planted.py:3: ")
    planted.write_text('node.op.sign == "+" or node.op is SCAN or node.op.kind == "layout"\n')
    assert not op_names.read(planted, tmp_path).found


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_nothing_imports_cupy_or_pictures_unasked():
    unasked = "('cupy', 'viz', 'graphviz', 'matplotlib')"
    assert (
        run(f"import sys, engine, rnn; print([m for m in {unasked} if m in sys.modules])") == "[]"
    )


def test_nothing_imports_networkx_before_a_graph_is_asked_for():
    code = "import sys, engine, rnn; print('networkx' in sys.modules)"
    assert run(code) == "False"


@pytest.mark.parametrize("package", ALLOWED)
def test_files_stay_small_and_say_what_they_own(package):
    for path in sources(package):
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= 300, f"{path.relative_to(ROOT)} is two ideas"
        assert ast.get_docstring(ast.parse(text)), f"{path.relative_to(ROOT)} does not say"


# With these a sentence says what something is, not what a function does.
NO_VERBS = """
A All An And Any As At Both Each Every Everything For From How If In Index Inside It Its Many No
Neither None Not Nothing Number Numbers Of On One Rows Several Some Something Such Tensors That The
These This Those To Twice Two What When Where Whether Which While Who Whose Why Zeros
"""


def without_a_verb(text: str) -> list[str]:
    """Return the functions of a source file that have a docstring which begins with no verb."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]
    found = []
    for node in functions:
        first = (ast.get_docstring(node) or "Return").split()[0].rstrip(".,:;")
        plural = first.endswith("s") and not first.endswith("ss")  # as in Takes, and in Values
        if first in NO_VERBS.split() or plural or not (first.isalpha() and first.istitle()):
            found.append(f"{node.name} (line {node.lineno}): {first}")
    return found


@pytest.mark.parametrize("place", [*ALLOWED, "examples", "benchmarks", "docs", "tests"])
def test_docstrings_of_functions_begin_with_a_verb(place):
    for path in sources(place):
        found = without_a_verb(path.read_text(encoding="utf-8"))
        assert not found, f"{path.relative_to(ROOT)}: {'; '.join(found)}"


@pytest.mark.parametrize(
    "text", ["The sum of x.", "x (B, I) to y.", "What is left.", "`f` of x.", "Sums of x."]
)
def test_the_check_of_verbs_can_fail(text):
    assert without_a_verb(f'def f():\n    """{text}"""\n')
    assert not without_a_verb('def f():\n    """Return the sum of x."""\n')


# What is offered without an example, and why.
NO_EXAMPLE = {
    "LinAlgError": "of NumPy",
    **dict.fromkeys(("EighResult", "QRResult", "SVDResult", "SlogdetResult"), "seen in a result"),
}


def without_an_example(package: ModuleType) -> list[str]:
    """Return the public callables of a package that show no call with its result."""
    offered = {name: getattr(package, name) for name in public(package)}
    return [
        name for name, one in offered.items()
        if callable(one) and not ismodule(one) and name not in NO_EXAMPLE
        and ">>>" not in (getdoc(one) or "")
    ]  # fmt: skip


@pytest.mark.parametrize("package", [path for one in PACKAGES for path, _ in modules(one)])
def test_every_public_callable_has_an_example(package):
    assert not without_an_example(import_module(package))


@pytest.mark.parametrize("package", ["engine", "rnn", "viz", "bptt"])
def test_dir_lists_the_public_names_and_each_is_there(package):
    module = import_module(package)
    assert dir(module) == sorted(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


def test_examples_of_decorated_ops_are_run():
    file = import_module("engine.ops.trigonometry")
    tests = DocTestFinder().find(file, extraglobs={"engine": engine})
    found = {test.name.rpartition(".")[2]: test for test in tests}
    assert {*file.__all__} <= {name for name, test in found.items() if test.examples}
    runner = DocTestRunner(verbose=False)
    assert not runner.run(found["tanh"], clear_globs=False).failed
    found["tanh"].examples[0].want = "[0.0]\n"
    assert runner.run(found["tanh"], out=lambda text: None).failed


def test_the_check_of_examples_can_fail():
    planted = ModuleType("planted")
    planted.__all__, planted.f, planted.g = ["f", "g", "pi"], engine.tanh, lambda x: x
    planted.pi = 3.0
    assert without_an_example(planted) == ["g"]


def test_the_check_of_imports_can_fail(tmp_path):
    planted = tmp_path / "planted.py"
    planted.write_text("def f():\n    from viz.drawings import plain\n    import cupy as cp\n")
    assert imports(planted) == {"viz", "cupy"}


# The rooms of the pictures, from the lowest; a room imports those before it.
ROOMS = (
    "instead", "labels", "moved", "checks", "gc_pause", "axes", "dark", "scene", "style", "colors",
    "writers",
    "page", "diagram", "model", "analysis", "layout", "rendering", "charts", "cells", "influence",
    "story", "drawings",
)  # fmt: skip


def rooms_imported(path: Path) -> set[str]:
    """Return the rooms of `viz` that a file imports from."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            first, *rest = node.module.split(".")
            if first == "viz":
                found |= {rest[0]} if rest else {alias.name for alias in node.names}
    return found


def test_every_room_of_pictures_is_in_the_plan():
    there = {path.relative_to(ROOT / "viz").parts[0].removesuffix(".py") for path in sources("viz")}
    assert there - {"__init__"} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_of_pictures_import_downward(room):
    own = ROOMS.index(room)
    for path in sources("viz"):
        parts = path.relative_to(ROOT / "viz").parts
        if parts[0].removesuffix(".py") == room and path.name != "__init__.py":
            upward = {one for one in rooms_imported(path) if ROOMS.index(one) > own}
            assert not upward, f"{path.relative_to(ROOT)} imports {upward}"
