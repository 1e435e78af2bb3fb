"""Guard the shape of the project: imports run downward, nothing is imported unasked."""

import ast
import gc
import subprocess
import sys
from collections.abc import Iterator
from doctest import DocTestFinder, DocTestRunner
from functools import cache
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
LONGEST = 300  # lines of a file
LAUNCHES = Path("engine/scan/cuda/module.py")  # compiles and launches what is generated


def last_name(node: ast.AST) -> str:
    """Return the name of what an expression reads: f for f, and for a.b.f."""
    return getattr(node, "attr", "") or getattr(node, "id", "")


def modules_of(node: ast.AST) -> list[str]:
    """Return the modules that a node imports: by a statement, or by name in a call."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [node.module] if node.module and not node.level else []
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        name = node.args[0].value
        if last_name(node.func) in ("import_module", "__import__") and isinstance(name, str):
            return [name] if not name.startswith(".") else []
    return []


@pytest.fixture(autouse=True, scope="module")
def _trees() -> Iterator[None]:
    """Keep the trees until the last test, and parse without collections, which take longer."""
    enabled = gc.isenabled()
    gc.disable()
    yield
    tree.cache_clear()
    importing.cache_clear()
    if enabled:
        gc.enable()


@cache
def tree(text: str) -> ast.Module:
    """Return the syntax tree of a source, which no check may change: all of them share it."""
    return ast.parse(text)


@cache
def importing(text: str) -> list[tuple[int, ast.AST, list[str]]]:
    """Return the nodes of a source that import, with their lines and modules."""
    walked = ast.walk(tree(text))
    return [(node.lineno, node, found) for node in walked if (found := modules_of(node))]


def imports(path: Path) -> dict[str, int]:
    """Return the first names of all modules that a file imports anywhere in it, with a line."""
    found: dict[str, int] = {}
    for line, _, names in importing(path.read_text(encoding="utf-8")):
        for name in names:
            found.setdefault(name.partition(".")[0], line)
    return found


def listed(path: Path, found: dict[str, int], root: Path = ROOT) -> str:
    """Return a line for each import, as file:line."""
    place = path.relative_to(root)
    return "\n".join(f"{place}:{line}: imports {name}" for name, line in sorted(found.items()))


def sources(package: str) -> list[Path]:
    found = [p for p in (ROOT / package).rglob("*.py") if "_build" not in p.parts]  # of the site
    assert found, f"{package} has no source"
    return sorted(found)


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_run_downward(package):
    for path in sources(package):
        upward = {one: line for one, line in imports(path).items() if one in OWN - ALLOWED[package]}
        assert not upward, listed(path, upward)


@pytest.mark.parametrize("package", ["engine", "rnn"])
def test_array_libraries_are_named_in_the_backends_only(package):
    for path in sources(package):
        if "backends" not in path.parts and path.relative_to(ROOT) != LAUNCHES:
            named = {one: line for one, line in imports(path).items() if one in LIBRARIES}
            assert not named, listed(path, named)


def circle(package: str, root: Path = ROOT) -> str:
    """Return a circle of files that import each other, in functions and for types too, or none."""
    files = [path for path in (root / package).rglob("*.py") if path.name != "__init__.py"]
    names = {".".join(path.relative_to(root).with_suffix("").parts): path for path in files}
    below: dict[str, dict[str, int]] = {}
    for name, path in names.items():
        found = below[name] = {}
        for line, node, imported in importing(path.read_text(encoding="utf-8")):
            for module in imported:
                inner = node.names if isinstance(node, ast.ImportFrom) else []
                for one in (module, *(f"{module}.{alias.name}" for alias in inner)):
                    if one in names:
                        found.setdefault(one, line)
    try:
        TopologicalSorter(below).prepare()
    except CycleError as error:
        used, users = error.args[1][:-1], error.args[1][1:]
        return "\n".join(
            listed(names[user], {one: below[user][one]}, root)
            for one, user in zip(used, users, strict=True)
        )
    return ""


@pytest.mark.parametrize("package", ALLOWED)
def test_files_do_not_import_each_other_in_a_circle(package):
    found = circle(package)
    assert not found, found


def test_the_check_of_circles_can_fail(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.py").write_text("def f():\n    from a import y\n")
    assert not circle("a", tmp_path)
    for line in ("from a.x import f", "import a.x", "x = import_module('a.x')"):
        (tmp_path / "a" / "y.py").write_text(f"{line}\n")
        found = circle("a", tmp_path).splitlines()
        assert sorted(found) == ["a/x.py:2: imports a.y", "a/y.py:1: imports a.x"]


def op_names_in(path: Path, root: Path = ROOT) -> op_names.OpNames:
    """Return what a file says of names of ops."""
    return op_names.read(path, root, tree(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("package", ALLOWED)
def test_no_op_names_outside_of_records(package):
    files = [path for path in sources(package) if ROOT / "engine" / "ops" not in path.parents]
    found = [line for path in files for line in op_names_in(path).found.values()]
    assert not found, "ask for a field of the op's record (engine/op.py):\n" + "\n".join(found)


@pytest.mark.parametrize("place", [*op_names.TRANSLATIONS, *op_names.WORDS])
def test_what_may_tell_ops_by_their_names_is_there(place):
    expected = {*op_names.TRANSLATIONS.get(place, {}), *op_names.WORDS.get(place, {})}
    assert expected <= op_names_in(ROOT / place).used


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
    (found,) = op_names_in(planted, tmp_path).found.values()
    assert found.startswith("planted.py:3: ")
    planted.write_text('node.op.sign == "+" or node.op is SCAN or node.op.kind == "layout"\n')
    assert not op_names_in(planted, tmp_path).found


@cache
def imported_unasked() -> set[str]:
    """Return the modules of a process that imports the engine and the layers, and no more."""
    done = subprocess.run(
        [sys.executable, "-c", "import sys, engine, rnn; print(*sys.modules)"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(done.stdout.split())


def test_nothing_imports_cupy_pictures_or_bars_unasked():
    assert {"engine", "rnn"} <= imported_unasked()
    assert not {"cupy", "viz", "graphviz", "matplotlib", "tqdm"} & imported_unasked()


def test_nothing_imports_networkx_before_a_graph_is_asked_for():
    assert "networkx" not in imported_unasked()


@pytest.mark.parametrize("package", ALLOWED)
def test_files_stay_small_and_say_what_they_own(package):
    for path in sources(package):
        text, place = path.read_text(encoding="utf-8"), path.relative_to(ROOT)
        lines = text.count("\n")
        assert lines <= LONGEST, (
            f"{place}:{LONGEST + 1}: {lines} lines, {LONGEST} at most; split it"
        )
        assert ast.get_docstring(tree(text)), f"{place}:1: no docstring says what it owns"


# With these a sentence says what something is, not what a function does.
NO_VERBS = """
A All An And Any As At Both Each Every Everything For From How If In Index Inside It Its Many No
Neither None Not Nothing Number Numbers Of On One Rows Several Some Something Such Tensors That The
These This Those To Twice Two What When Where Whether Which While Who Whose Why Zeros
"""


OWNERS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a tree and all statements in it, without the expressions, which are most of it."""
    yield node
    for name in ("body", "orelse", "handlers", "finalbody", "cases"):
        inner = getattr(node, name, ())
        for one in inner if isinstance(inner, list) else ():
            yield from statements(one)


def without_a_verb(text: str) -> list[str]:
    """Return line, name and first word of each docstring that begins with no verb."""
    found = []
    for node in statements(tree(text)):
        if not isinstance(node, OWNERS):
            continue
        first = (ast.get_docstring(node) or "Return").split()[0].rstrip(".,:;")
        plural = first.endswith("s") and not first.endswith("ss")  # as in Takes, and in Values
        if first in NO_VERBS.split() or plural or not (first.isalpha() and first.istitle()):
            line, name = getattr(node, "lineno", 1), getattr(node, "name", "the file")
            found.append(f"{line}: the docstring of {name} begins with {first!r}")
    return found


@pytest.mark.parametrize("place", [*ALLOWED, "examples", "benchmarks", "docs", "tests"])
def test_docstrings_begin_with_a_verb(place):
    for path in sources(place):
        found = without_a_verb(path.read_text(encoding="utf-8"))
        assert not found, "\n".join(f"{path.relative_to(ROOT)}:{one}" for one in found)


@pytest.mark.parametrize(
    "text", ["The sum of x.", "x (B, I) to y.", "What is left.", "`f` of x.", "Sums of x."]
)
@pytest.mark.parametrize("owner", ["def f():", "class F:", ""])
def test_the_check_of_verbs_can_fail(text, owner):
    indent = "    " if owner else ""
    found = without_a_verb(f'{owner}\n{indent}"""{text}"""\n')
    assert [one.partition(":")[0] for one in found] == ["1"]
    assert not without_a_verb(f'{owner}\n{indent}"""Return the sum of x."""\n')


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
    assert module.__file__
    lines = Path(module.__file__).read_text(encoding="utf-8").splitlines()
    line = next((n for n, one in enumerate(lines, 1) if "__all__" in one), 1)
    place = f"{'/'.join(Path(module.__file__).parts[-2:])}:{line}: of __all__ and dir()"
    assert dir(module) == sorted(module.__all__), (
        f"{place} only one has {', '.join(sorted({*dir(module)} ^ {*module.__all__}))}"
    )
    missing = [name for name in module.__all__ if not hasattr(module, name)]
    assert not missing, f"{place}, none leads to {', '.join(missing)}"


# Where a thread or a context has state of its own, and why the watch over leaks need not see it.
WATCHED = {
    "engine/random.py": "settings() reads its seed",
    "engine/state.py": "settings() reads all of State",
    "engine/stepping.py": "settings() reads all of Stepping",
    "engine/scan/c/single.py": "arrays for the next call, which no result depends on",
    "rnn/cells/declaration.py": "in VARIABLES",
    "rnn/layers/recurrent.py": "in VARIABLES",
    "rnn/modules/module.py": "in VARIABLES",
}


def states(text: str) -> list[int]:
    """Return the lines on which a source makes a context variable or state of a thread."""
    kinds = {"ContextVar", "local"}
    found: list[int] = []
    if not any(kind in text for kind in kinds):
        return found  # to walk all files takes seconds
    for node in ast.walk(tree(text)):
        made = node.bases if isinstance(node, ast.ClassDef) else []
        made = [*made, node.func] if isinstance(node, ast.Call) else made
        if any(last_name(one) in kinds for one in made):
            found.append(node.lineno)
    return found


@pytest.mark.parametrize("package", ALLOWED)
def test_all_state_of_threads_is_watched_for_leaks(package):
    for path in sources(package):
        place = path.relative_to(ROOT)
        lines = states(path.read_text(encoding="utf-8"))
        assert len(lines) <= (place.as_posix() in WATCHED), (
            f"{place}:{lines[-1]}: state of a thread that settings() of tests/conftest.py does not "
            f"read; add it there, and its file to WATCHED"
        )


def test_the_check_of_states_can_fail():
    planted = "class A(threading.local): ...\nx = ContextVar('x')\ny = threading.local()\n"
    assert states(planted) == [1, 2, 3]


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
    planted.write_text(
        "def f():\n    from viz.drawings import plain\n    import cupy as cp\n"
        "    rnn = importlib.import_module('rnn.cells')\n    return __import__('docs.conf'), rnn\n"
        "from .viz import plain\n"  # of its own folder
    )
    found = imports(planted)
    assert found == {"viz": 2, "cupy": 3, "rnn": 4, "docs": 5}
    assert "planted.py:4: imports rnn" in listed(planted, found, tmp_path)


# The rooms of the pictures, from the lowest; a room imports those before it.
ROOMS = (
    "instead", "labels", "moved", "checks", "gc_pause", "axes", "dark", "scene", "style", "colors",
    "writers",
    "page", "diagram", "model", "analysis", "layout", "rendering", "charts", "cells", "influence",
    "story", "drawings",
)  # fmt: skip


def rooms_imported(path: Path) -> dict[str, int]:
    """Return the rooms of `viz` that a file imports from, with a line each."""
    found: dict[str, int] = {}
    for line, node, names in importing(path.read_text(encoding="utf-8")):
        for name in names:
            first, *rest = name.split(".")
            if first == "viz":
                whole = isinstance(node, ast.ImportFrom) and not rest
                for room in [alias.name for alias in node.names] if whole else rest[:1]:
                    found.setdefault(room, line)
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
            upward = {one: line for one, line in rooms_imported(path).items()
                      if ROOMS.index(one) > own}  # fmt: skip
            assert not upward, listed(path, upward)
