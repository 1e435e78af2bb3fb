"""Run the code in the docs, and test that the targets of their links exist."""

import re

import numpy as np
import pytest

import engine
import rnn
import viz
from benchmarks import char_rnn
from tests import ROOT
from tests.docs import place

DOORS = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
PAGES = [*(ROOT / name for name in DOORS), *sorted((ROOT / "docs").glob("[a-z]*/*.md")),
         ROOT / "docs" / "index.md"]  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"`[^`\n]+`", "", text)  # x[0](y) in code is no link
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        if "/api/" not in target:  # pages that `make docs` makes, which follows links itself
            assert (page.parent / target).exists(), place(page, f"]({target}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_is_not_wider_than_the_page(page):
    # The site has room for 100 letters (docs/static/site.css); a longer line is cut off.
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?!math)\S[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    wide = [line for block in blocks for line in block.splitlines() if len(line) > 100]
    assert not wide, "\n".join(place(page, line) for line in wide)


def ran_of_training(number):
    """Return the names that an example of the page on training defines when it is run."""
    text = (ROOT / "docs" / "howto" / "training.md").read_text(encoding="utf-8")
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[number]
    engine.seed(0)
    names = {"engine": engine, "rnn": rnn}
    exec(code, names)
    return names


def test_the_loop_of_the_page_on_training(capsys):
    history = ran_of_training(0)["history"]
    assert history.stopped in ("epochs", "patience")
    assert 0 < history.best.metrics["accuracy"] <= 1
    assert str(history.best.metrics) in capsys.readouterr().out


def test_the_probe_of_the_page_on_training():
    names = ran_of_training(1)
    probe, loss = names["probe"], names["loss"]
    for values in probe.contributions(loss).values():
        assert values.shape[0] == 20
    assert probe.jacobian_norms("h").shape == (21, 21)


def title_of(picture):
    """Return the finding that a picture of the docs has as its title."""
    svg = (ROOT / "docs" / "pictures" / picture).read_text(encoding="utf-8")
    return re.search(r"<title>(.*?)</title>", svg).group(1)


def test_the_caption_of_the_readme_says_what_its_picture_says():
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    share, factor = re.fullmatch(
        r"(1/\d+) of the last loss’s gradient reaches the first state: (×\S+) a step",
        title_of("story.svg"),
    ).groups()
    assert f"{share} of the gradient of its last loss reaches the first state: {factor} a step" in (
        readme
    )
    svg = (ROOT / "docs" / "pictures" / "story.svg").read_text(encoding="utf-8")
    adds = [float(x.replace("−", "-")) for x in re.findall(r"<title>t = \d+: (\S+)</title>", svg)]
    assert f" the last two letters give {sum(adds[-2:]) / sum(adds):.0%}".replace("%", " %") in (
        readme
    )
    kept = re.match(r"\S+", title_of("story_lstm.svg")).group()
    assert f"[keeps {kept}](docs/pictures/story_lstm.svg)" in readme


def test_make_demo_draws_the_picture_of_the_readme():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for arguments in ([], [*char_rnn.ELMAN, "--out", "out/elman"]):
        command = " ".join(["python", "-m", "examples.char_rnn", *arguments])
        assert f"\t$(BIN)/{command}\n" in makefile


def test_the_ten_lines_of_the_readme(tmp_path, monkeypatch):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    engine.seed(0)
    names = {}
    exec(code, names)
    picture = (ROOT / "docs" / "pictures" / "leaky.svg").read_bytes()
    assert (tmp_path / "leaky.svg").read_bytes() == picture, "run: python docs/make_cells.py"
    assert "reaches the first state" in (tmp_path / "story.svg").read_text(encoding="utf-8")
    drawn = viz.draw_unrolled(names["y"], level="gate").svg()
    assert ">n<" in drawn
    assert ">h<" in drawn


def test_the_first_five_minutes_run(monkeypatch, tmp_path):
    text = (ROOT / "docs" / "start" / "five_minutes.md").read_text(encoding="utf-8")
    cells = re.findall(r"```\{code-cell\} ipython3\n(.*?)```", text, re.DOTALL)
    assert len(cells) == text.count("```{code-cell}")
    monkeypatch.chdir(tmp_path)
    names = {}
    for cell in cells:
        exec(cell, names)


def test_the_install_page_prints_what_it_says(capsys):
    text = (ROOT / "docs" / "start" / "install.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out.splitlines() == re.findall(r"^print\(.*\)  # (.*)$", code, re.M)


def blocks(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_the_examples_of_the_page_on_recurrences():
    names = {"engine": engine, "rnn": rnn}
    for code in blocks("about/recurrences.md"):
        exec(code, names)
    assert names["y"].shape == (300, 2, 16)


def test_the_example_of_sums_in_one_order_gives_the_gradient():
    (code,) = [one for one in blocks("howto/gpu.md") if "deterministic" in one]
    x = engine.asarray([1.0, 2.0], requires_grad=True)
    exec(code, {"engine": engine, "net": lambda x: (x,), "x": x})
    assert x.grad.numpy().tolist() == [1.0, 2.0]


@pytest.mark.cupy
def test_the_examples_of_the_pages_on_gpus(gpu):
    before = engine.get_matmul_precision()
    names = {"engine": engine, "rnn": rnn}
    move, again = (
        next(one for one in blocks("howto/gpu.md") if text in one)
        for text in ('.to("cupy")', "deterministic")
    )
    try:
        for code in blocks("about/gpu.md"):
            exec(code, names)
        assert engine.get_matmul_precision() == "float32"
        exec(move, names)
        weights = [*names["net"].parameters()]
        once = [weight.grad.numpy().copy() for weight in weights]
        exec(again, names)  # the same loss, so the gradients are twice as large
    finally:
        engine.set_matmul_precision(before)
    assert {one.device for one in (names["y"], *weights)} == {gpu}
    for weight, g in zip(weights, once, strict=True):
        np.testing.assert_allclose(weight.grad.numpy(), 2 * g, rtol=1e-5, atol=1e-8)
