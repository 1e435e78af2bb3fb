"""Draw a run of the command line: the picture is of the model in the folder."""

import pytest

from examples.installed.bptt.__main__ import main

TEXT = "The quick brown fox jumps over the lazy dog.\n" * 40


@pytest.fixture(scope="module", params=["character", "word"])
def run(request, tmp_path_factory):
    home = tmp_path_factory.mktemp("look")
    (home / "fox.txt").write_text(TEXT)
    given = ["train", "--text", str(home / "fox.txt"), "--out", str(home / "run"), "--level",
             request.param, "--steps", "12", "--hidden", "6", "--batch", "2", "--length", "8",
             "--min-count", "1"]  # fmt: skip
    assert main(given) == 0
    return home / "run"


def test_everything_is_drawn(run, tmp_path, capsys):
    assert main(["look", str(run), "--out", str(tmp_path), "--steps", "5", "--before", "7"]) == 0
    assert "written to" in capsys.readouterr().out
    last = (tmp_path / "last.svg").read_text()
    assert last.count(">LSTMCell<") == 5
    assert "the last loss" in last
    assert "reaches the first state" in (tmp_path / "story.svg").read_text()
    assert "d logit / d x" in (tmp_path / "influence.html").read_text()
    assert "all losses" in (tmp_path / "all.svg").read_text()
    assert ">LSTMCell, layer 0<" in (tmp_path / "gates.svg").read_text()
    assert "norm of the gradient" in (tmp_path / "curves.svg").read_text()


def test_a_text_of_the_user_is_read(run, tmp_path):
    assert (
        main(["look", str(run), "--out", str(tmp_path), "--text", "the lazy dog.", "--steps", "3"])
        == 0
    )
    drawn = (tmp_path / "last.svg").read_text()
    assert drawn.count(">LSTMCell<") == 3


def test_what_cannot_be_drawn_is_one_line(run, tmp_path, capsys):
    assert main(["look", str(run), "--out", str(tmp_path), "--text", "T"]) == 2
    assert "are too few to draw; give at least 3" in capsys.readouterr().err
    assert main(["look", str(tmp_path / "none"), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("bptt look: ")


def test_a_text_is_read_in_the_encoding_of_the_run(tmp_path):
    (tmp_path / "latin.txt").write_bytes("café au lait\n".encode("latin-1") * 80)
    run, sizes = str(tmp_path / "run"), ["--steps", "2", "--hidden", "5", "--batch", "2"]
    assert main(["train", "--text", str(tmp_path / "latin.txt"), "--encoding", "latin-1", "--out",
                 run, "--length", "8", *sizes]) == 0  # fmt: skip
    assert main(["look", run, "--out", str(tmp_path / "drawn"), "--steps", "14"]) == 0
    assert "é" in (tmp_path / "drawn" / "influence.html").read_text(encoding="utf-8")
