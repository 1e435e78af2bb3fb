"""Slow tests: a few of the same kind run in `make test`, and the page on tests lists them all."""

import ast
import itertools
import re
from pathlib import Path

import pytest

from tests import ROOT
from tests.draws import crossed, first

TESTS = ROOT / "tests"


def names(node):
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def slow_tests():
    """File and name of each test, some of whose cases are slow."""
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                marks = [m for m in node.decorator_list if "parametrize" in ast.unparse(m)]
                if any("first" in names(mark) for mark in marks):
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


@pytest.mark.parametrize("path", sorted(TESTS.rglob("test_*.py")), ids=lambda path: path.name)
def test_no_test_is_slow_as_a_whole(path):
    """The mark is given by `first` alone, which leaves some cases of each test."""
    assert path == Path(__file__) or "mark.slow" not in path.read_text(encoding="utf-8")
