"""Test the marks of slow tests: `make test` runs some of each kind, and the page lists them all."""

import ast
import itertools
import re
from functools import cache
from pathlib import Path

import pytest

from tests import ROOT
from tests.draws import covering, crossed, first

TESTS = ROOT / "tests"


def names(node):
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


@cache
def marks_of(text):
    """Return each test of a file with its decorators."""
    return [
        (node.name, node.decorator_list) for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]  # fmt: skip


def slow_tests(*functions):
    """Yield file, name and mark of each test that one of these functions marks."""
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if not re.search(rf"\b({'|'.join(functions)})\(", text):
            continue  # to parse all files takes seconds
        for name, marks in marks_of(text):
            for mark in marks:
                if set(functions) & names(mark):
                    yield path.relative_to(TESTS).as_posix(), name, mark


def test_the_page_lists_every_slow_test():
    page = (TESTS / "README.md").read_text(encoding="utf-8")
    parts = {(file, name) for file, name, _ in slow_tests("first", "covering")}
    whole = {(f, name, mark.args[0].value) for f, name, mark in slow_tests("slow_beside")}
    assert re.findall(r"^- `(\S+)`: `(\w+)`$", page, re.M) == sorted(parts)
    assert re.findall(r"^- `(\S+)`: `(\w+)`, beside `(\S+)`$", page, re.M) == sorted(whole)


def test_beside_each_slow_test_stands_a_fast_one():
    slow = {(file, name) for file, name, _ in slow_tests("slow_beside")}
    for file, name, mark in slow_tests("slow_beside"):
        other, _, fast = mark.args[0].value.rpartition("::")
        beside = other or file
        there = [one for one, _ in marks_of((TESTS / beside).read_text(encoding="utf-8"))]
        assert fast in there, name
        assert (beside, fast) not in slow, name


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
def test_no_test_is_slow_without_a_fast_one(path):
    # The mark is given by the functions of `draws.py`, which leave some cases or name another test.
    assert path == Path(__file__) or "mark.slow" not in path.read_text(encoding="utf-8")
