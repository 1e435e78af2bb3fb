"""Read word vectors in text files, and make matrices of them for a vocabulary."""

import gzip
import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import engine
import rnn
from rnn.data import Vocabulary, read_vectors

GLOVE = "the 0.1 -2 3e-1\n. . . 1 2 3\nat name@x.org 4 5 6\n\u00a0 7 8 9\n7 1 1 1\n"
WORDS = ("the", ". . .", "at name@x.org", "\u00a0", "7")
VALUES = [[0.1, -2, 0.3], [1, 2, 3], [4, 5, 6], [7, 8, 9], [1, 1, 1]]


def written(path: Path, text: str) -> Path:
    content = text.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.fixture(autouse=True)
def _seeded():
    engine.seed(0)


@pytest.mark.parametrize("name", ["v.txt", "v.txt.gz"])
@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("end", ["\n", " \n", "\r\n"])
def test_both_formats(tmp_path, name, header, end):
    text = ("5 3\n" if header else "") + GLOVE
    vectors = read_vectors(written(tmp_path / name, text.replace("\n", end)))
    assert vectors.tokens == WORDS
    assert vectors.values.dtype == np.float32
    assert np.array_equal(vectors.values, np.array(VALUES, dtype=np.float32))
    assert vectors.duplicates == ()
    assert len(vectors) == 5
    assert vectors["7"].tolist() == [1, 1, 1]
    assert "the" in vectors
    assert "The" not in vectors
    with pytest.raises(KeyError, match="The"):
        vectors["The"]


def test_tabs_and_ends_of_the_file(tmp_path):
    vectors = read_vectors(written(tmp_path / "v", "a\t1\t2\nb c\t3\t4\n\n"))
    assert vectors.tokens == ("a", "b c")
    assert vectors.values.tolist() == [[1, 2], [3, 4]]
    assert read_vectors(written(tmp_path / "v", "a 1 2")).tokens == ("a",)


@pytest.mark.parametrize("size", [None, 2])
@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("a\u00a0b 1 2\nc 3 4\n", ("a\u00a0b", "c")),
        ("a  1  2\nb 3 4\n", ("a", "b")),
        ("a 1 2 \nb   3\t 4  \n", ("a", "b")),
        ("a\t\t1 2\nb \u2003 3 4\n", ("a", "b \u2003")),
        ("\u3000 1 2\nb  c  3 4\n", ("\u3000", "b  c")),
        ("\ufeffa 1 2\nb 3 4\n", ("a", "b")),
    ],
)
def test_the_size_is_guessed_by_the_rule_that_lines_are_read_by(tmp_path, text, tokens, size):
    vectors = read_vectors(written(tmp_path / "v", text), size=size)
    assert vectors.tokens == tokens
    assert vectors.values.tolist() == [[1, 2], [3, 4]]


def test_what_the_first_line_is_can_be_said(tmp_path):
    path = written(tmp_path / "v", "1 1\n7 2\n")
    assert read_vectors(path).values.tolist() == [[2]]  # a header
    assert read_vectors(path, header=False).values.tolist() == [[1], [2]]
    path = written(tmp_path / "v", "new york 1 2\nb 3 4\n")
    assert read_vectors(path, size=2).tokens == ("new york", "b")
    with pytest.raises(ValueError, match="line 1: could not convert string to float: 'york'"):
        read_vectors(path)


def test_the_first_of_doubled_tokens_counts(tmp_path):
    vectors = read_vectors(written(tmp_path / "v", "4 1\na 1\nb 2\na 3\na 4\n"))
    assert vectors.tokens == ("a", "b")
    assert vectors.values.tolist() == [[1], [2]]
    assert vectors.duplicates == ("a",)


def test_only_some_tokens_are_kept(tmp_path):
    path = written(tmp_path / "v", GLOVE)
    vectors = read_vectors(path, only=Vocabulary(["7", "the", "none"]))
    assert vectors.tokens == ("the", "7")
    assert vectors.values.tolist() == [np.float32(VALUES[0]).tolist(), [1, 1, 1]]
    none = read_vectors(path, only=())
    assert none.values.shape == (0, 3)
    assert none.matrix(Vocabulary(["a", "b"])).coverage == 0


def test_tokens_that_are_not_kept_take_no_memory(tmp_path):
    with (tmp_path / "v").open("w") as file:
        for number in range(4000):
            file.write(f"word{number}" + " 0.125" * 100 + "\n")
    tracemalloc.start()
    vectors = read_vectors(tmp_path / "v", only=("word7", "word3999"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert vectors.tokens == ("word7", "word3999")
    assert peak < 200_000


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no vectors, the file is empty"),
        ("\ufeff", "no vectors, the file is empty"),
        ("a 1 2\nb  1  2  3\n", "line 2: 3 numbers after the token, expected 2"),
        ("a 1 2\nb\t1\t2\t3\n", "line 2: 3 numbers after the token, expected 2"),
        ("a 1 2\n\u00a0b  1\n", "line 2: 1 numbers after the token, expected 2"),
        ("word\n", "line 1: no numbers after the token 'word'"),
        ("a 1 2\nb 1\n", "line 2: 1 numbers after the token, expected 2"),
        ("a 1 2\nb 1 2\nc 1 2 3\n", "line 3: 3 numbers after the token, expected 2"),
        ("2 2\na 1 2\nb 1 2 3\n", "line 3: 3 numbers after the token, expected 2"),
        ("a 1 2\nb 1 x\n", "line 2: could not convert string to float: 'x'"),
        ("a 1 2\nb 1 nan\n", "line 2: a number that is not finite"),
        ("a 1 2\nb -inf 1\n", "line 2: a number that is not finite"),
        ("a 1 2\nb 1 1e39\n", "line 2: a number that is not finite in float32"),
        ("3 2\na 1 2\nb 1 2\n", "2 vectors, and the header says 3; is it whole"),
        ("1 2\na 1 2\nb 1 2\n", "2 vectors, and the header says 1"),
        ("2 0\na\nb\n", "line 1: no numbers after the token"),
    ],
)
def test_damaged_files_are_refused(tmp_path, text, fault):
    with pytest.raises(ValueError, match=rf"v(, |: ){fault}"):
        read_vectors(written(tmp_path / "v", text))


def test_settings_that_contradict_the_file(tmp_path):
    path = written(tmp_path / "v", "1 2\na 1 2\n")
    with pytest.raises(ValueError, match="line 1: vectors of 2 numbers, expected size=3"):
        read_vectors(path, size=3)
    assert read_vectors(path, size=2, header=True).tokens == ("a",)
    for size in (0, -1, 2.0):
        with pytest.raises(ValueError, match=f"size must be an integer of at least 1, got {size}"):
            read_vectors(path, size=size)
    with pytest.raises(ValueError, match="line 1: expected a header of two whole numbers"):
        read_vectors(written(tmp_path / "v", "a 1\n"), header=True)
    with pytest.raises(FileNotFoundError):
        read_vectors(tmp_path / "none")
    (tmp_path / "v").write_bytes(b"a 1\n\xff 2\n")
    with pytest.raises(ValueError, match="v, line 2: not UTF-8"):
        read_vectors(tmp_path / "v")


# ---- matrices


def test_the_matrix_of_a_vocabulary(tmp_path):
    vectors = read_vectors(written(tmp_path / "v", GLOVE))
    v = Vocabulary(["7", "The", "gone", "the"])
    values, coverage, missing = vectors.matrix(v)
    assert values.shape == (8, 3)
    assert values.dtype == np.float32
    assert np.array_equal(values[v.index("7")], vectors["7"])
    assert np.array_equal(values[v.index("the")], vectors["the"])
    assert not values[v.pad].any()
    assert coverage == 0.5
    assert missing == ("The", "gone")
    again = vectors.matrix(v)
    assert np.array_equal(values, again.values)
    engine.seed(1)
    assert not np.array_equal(values, vectors.matrix(v).values)
    lower = vectors.matrix(v, lower=True)
    assert lower.missing == ("gone",)
    assert lower.coverage == 0.75
    assert np.array_equal(lower.values[v.index("The")], vectors["the"])


def test_the_scale_of_missing_rows(tmp_path):
    generator = random.Random(0)
    text = "".join(f"w{i} {generator.gauss(0, 3)} {generator.gauss(0, 3)}\n" for i in range(800))
    vectors = read_vectors(written(tmp_path / "v", text))
    v = Vocabulary([f"w{i}" for i in range(400, 3000)])
    for scale, expected in ((None, 3.0), (0.5, 0.5), (0.0, 0.0)):
        matrix = vectors.matrix(v, scale=scale)
        assert len(matrix.missing) == 2200
        rows = [v.index(token) for token in matrix.missing]
        assert np.isclose(matrix.values[rows].std(), expected, rtol=0.05)
        assert np.isclose(matrix.coverage, 400 / 2600)
    for wrong in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="scale must be at least 0"):
            vectors.matrix(v, scale=wrong)


def test_an_embedding_takes_the_matrix(tmp_path):
    vectors = read_vectors(written(tmp_path / "v", GLOVE))
    v = Vocabulary(["7", "the"], specials=["pad"])
    embedding = rnn.Embedding(len(v), 3)
    embedding.load_state_dict({"weight": vectors.matrix(v).values})
    assert embedding(v.encode(["the", "7"])).numpy().tolist() == [
        vectors["the"].tolist(), [1, 1, 1]
    ]  # fmt: skip
    bare = Vocabulary([], specials=["pad", "unk"])
    assert vectors.matrix(bare).coverage == 0
    assert vectors.matrix(Vocabulary(["the"], specials=[])).coverage == 1


def test_a_text_is_no_set_of_tokens(tmp_path):
    path = tmp_path / "v"
    path.write_text("the 1 2\nh 3 4\n")
    with pytest.raises(TypeError, match="only='the'; expected tokens, such as a list"):
        read_vectors(path, only="the")
    assert read_vectors(path, only=["the"], size=np.int64(2)).tokens == ("the",)
