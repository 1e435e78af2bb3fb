"""Run the course: its pages hold, its pictures fit, its exercises tell right from wrong."""

import re
import time

import numpy as np
import pytest

import engine
import viz
from docs.learn import checks
from tests import ROOT
from tests.docs.course_pages import cells_of, run
from tests.draws import first

PAGES = sorted((ROOT / "docs" / "learn").glob("[0-9]*.md"))
TRAINED = {"4_gates", "5_truncation", "6_attention"}  # for seconds, also when the site is built
WIDEST = 800


@pytest.mark.parametrize(
    "page",
    first(4, sorted(PAGES, key=lambda page: page.stem in TRAINED)),
    ids=lambda page: page.stem,
)
def test_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    engine.seed(0)
    names, verdicts, pictures = {"__name__": "__main__"}, {}, 0
    began = time.process_time()
    for cell in cells_of(page):
        shown = run(cell.code, names, page, cell.line)
        if isinstance(shown, viz.Diagram):
            width = float(re.search(r'<svg[^>]* width="([\d.]+)', shown.svg())[1])
            assert width <= WIDEST, f"{page.name}, line {cell.line}: {width} pixels wide"
            pictures += 1
        for tag in {"exercise", "solution"} & set(cell.tags):
            verdicts[tag] = shown
    print(f"{page.name}: {time.process_time() - began:.1f} s of CPU, {pictures} pictures")
    assert not verdicts["exercise"], "the empty exercise passes"
    assert verdicts["solution"], verdicts["solution"]
    assert pictures


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_the_form_of_a_lesson(page):
    text = page.read_text(encoding="utf-8")
    assert "format_name: myst" in text.split("---")[1]
    assert "## What you will see" in text
    tags = [tag for cell in cells_of(page) for tag in cell.tags]
    assert tags.count("exercise") == 1
    assert tags.count("solution") == tags.count("hide-cell") == 1
    assert text.index("## Exercise") < text.index("## Solution")
    assert len(re.findall("^```", text, re.M)) == 2 * len(re.findall(r"^```\S", text, re.M))


def test_there_are_seven_lessons():
    assert [page.name[0] for page in PAGES] == list("1234567")


@pytest.mark.parametrize("name", checks.EXERCISES)
def test_a_check_names_the_mistake(name):
    exercise = checks.EXERCISES[name]
    assert checks.check(name, exercise.right)
    for words, wrong in exercise.mistakes.items():
        verdict = checks.check(name, wrong)
        assert not verdict
        assert words in repr(verdict)


@pytest.mark.parametrize("name", checks.EXERCISES)
def test_a_check_refuses_what_is_no_solution(name):
    exercise = checks.EXERCISES[name]

    def almost(*given):
        found = exercise.right(*given)
        return [1.001 * x for x in found] if isinstance(found, list) else 1.001 * found

    def broken(*given):
        raise ZeroDivisionError("of the reader")

    assert "expected" in repr(checks.check(name, almost))
    assert "None" in repr(checks.check(name, lambda *given: None))
    assert "ZeroDivisionError: of the reader" in repr(checks.check(name, broken))
    assert "shape (7,)" in repr(checks.check(name, lambda *given: np.ones(7)))
    assert "got str" in repr(checks.check(name, lambda *given: "one"))
    assert not checks.check(name, lambda *given: exercise.right(*given) * np.nan
                            if name != "clip" else [x * np.nan for x in given[0]])  # fmt: skip
