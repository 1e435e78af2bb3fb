"""Test the marks of slow tests: a few of a kind run in `make test`, and the page lists them all."""

import ast
import itertools
import re
from pathlib import Path

import pytest

from tests import ROOT
from tests.draws import covering, crossed, first

TESTS = ROOT / "tests"


def names(node):
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def slow_tests():
    """Return file and name of each test with slow cases."""
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if not re.search(r"\b(first|covering)\(", text):
            continue  # to parse all files takes seconds
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef):
                marks = [m for m in node.decorator_list if "parametrize" in ast.unparse(m)]
                if any({"first", "covering"} & names(mark) for mark in marks):
                    yield path.relative_to(TESTS).as_posix(), node.name


def test_the_page_lists_every_slow_test():
    page = (TESTS / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^- `(\S+)`: `(\w+)`$", page, re.M) == sorted(slow_tests())


def test_only_the_first_cases_are_not_slow():
    cases = first(2, ["a", ("b", 1), "c", ("d", 2)])
    assert cases[:2] == ["a", ("b", 1)]
    assert [case.values for case in cases[2:]] == [("c",), ("d", 2)]
    assert all([mark.name for mark in case.marks] == ["slow"] for case in cases[2:])


def test_the_first_combinations_have_every_value():
    for sizes in ((3, 8), (8, 3), (4, 4), (2, 3, 5), (4, 2, 4)):
        axes = [range(size) for size in sizes]
        found = crossed(*axes)
        assert sorted(found) == sorted(itertools.product(*axes))
        for place, axis in enumerate(axes):
            assert {row[place] for row in found[: max(sizes)]} == set(axis)


def test_a_covering_has_every_value_before_what_is_slow():
    cases = covering("abc", [0, 1], parts=2)
    fast = [case for case in cases if type(case) is tuple]
    assert [{row[place] for row in fast} for place in (0, 1)] == [set("abc"), {0, 1}]
    assert len(fast) == len(cases) == 6
    assert sum(type(case) is tuple for case in covering("abc", [0, 1])) == 3


@pytest.mark.parametrize("path", sorted(TESTS.rglob("test_*.py")), ids=lambda path: path.name)
def test_no_test_is_slow_as_a_whole(path):
    # The mark is given by `first` alone, which leaves some cases of each test.
    assert path == Path(__file__) or "mark.slow" not in path.read_text(encoding="utf-8")
