"""The code in the docs runs, and what they link to is there."""

import re
from pathlib import Path

import pytest

import engine
import rnn

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def ran_of_training(number):
    """The names that an example of the page on training leaves, run as a reader would run it."""
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[number]
    engine.seed(0)
    names = {"engine": engine, "rnn": rnn, "x": engine.ones((3, 2, 8))}
    exec(code, names)
    return names


def test_the_loop_of_the_page_on_training(capsys):
    history = ran_of_training(1)["history"]
    assert history.stopped in ("epochs", "patience")
    assert 0 < history.best.figures["accuracy"] <= 1
    assert str(history.best.figures) in capsys.readouterr().out


def test_the_probe_of_the_page_on_training():
    names = ran_of_training(0)
    probe, loss = names["probe"], names["loss"]
    for values in probe.contributions(loss).values():
        assert values.shape[0] == 3
    assert probe.jacobian_norms("h").shape == (4, 4)


def test_every_name_in_the_docs_exists():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for module, name in re.findall(r"\b(engine|rnn)\.([A-Za-z_]\w*)", text):
            if name in ("py", "svg", "md"):
                continue
            home = {"engine": engine, "rnn": rnn}[module]
            assert hasattr(home, name), f"{page.name}: {module}.{name}"
