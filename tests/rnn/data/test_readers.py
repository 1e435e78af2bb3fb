"""Read lines, tables and CoNLL files, and texts under a memory map."""

import csv
import gc
import gzip
import io
import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from rnn.data import (
    MappedBytes,
    MappedText,
    Streams,
    Vocabulary,
    characters,
    read_conll,
    read_lines,
    read_pairs,
    read_table,
    read_text,
    read_vectors,
    text_blocks,
)
from tests.draws import first

CONLL = """-DOCSTART- -X- -X- O

EU NNP B-NP B-ORG
"\t''  O O
rejects\u00a0it VBZ B-VP O

# NN B-NP O

 \t
-DOCSTART- -X- -X- O
-DOCSTART-X NNP B-NP O
"""


def written(path: Path, text: str | bytes) -> Path:
    content = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


# ---- lines


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_lines(tmp_path, name):
    path = written(tmp_path / name, "\ufeffone\r\n\n two \u2028x\x85y\n \nlast")
    assert list(read_lines(path)) == ["one", "", " two \u2028x\x85y", " ", "last"]
    assert list(read_lines(str(path), blank=False)) == ["one", " two \u2028x\x85y", "last"]
    assert list(read_lines(written(tmp_path / name, ""))) == []


@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("block", [1, 2, 3, 7, 1 << 16])
def test_lines_that_end_in_cr_alone(name, mark, block, tmp_path, monkeypatch):
    monkeypatch.setattr("rnn.data.files.BLOCK", block)
    path = written(tmp_path / name, f"{mark}a\tb\rc\td\r\re\tf")
    assert list(read_lines(path)) == ["a\tb", "c\td", "", "e\tf"]
    for quotes in (False, True):
        rows = [("a", "b"), ("c", "d"), ("e", "f")]
        assert list(read_table(path, quotes=quotes, delimiter="\t")) == rows
    assert list(read_pairs(path, columns=(1, 0))) == [("b", "a"), ("d", "c"), ("f", "e")]
    assert list(read_conll(path)) == [(("a", "c"), ("b", "d")), (("e",), ("f",))]
    vectors = written(tmp_path / name, "a 1 2\rb 3 4\r")
    assert read_vectors(vectors).tokens == ("a", "b")
    path = written(tmp_path / name, "a\tb\rc\td\re\rf\tg\r")
    with pytest.raises(ValueError, match="line 3: 1 columns, expected 2"):
        list(read_table(path))
    with pytest.raises(ValueError, match="line 2: not UTF-8"):
        list(read_lines(written(tmp_path / name, b"a\rb\xff\rc")))
    # Line ends of several kinds after the first; cells of several lines.
    path = written(tmp_path / name, 'a\rb\nc\r\n"d\ne"\r')
    assert list(read_lines(path)) == ["a", "b", "c", '"d', 'e"']
    assert list(read_table(path, quotes=True)) == [("a",), ("b",), ("c",), ("d\ne",)]


@pytest.mark.parametrize("block", [1, 3, 1 << 16])
def test_cr_in_a_line_of_a_file_of_other_line_ends_stays(block, tmp_path, monkeypatch):
    monkeypatch.setattr("rnn.data.files.BLOCK", block)
    for text, expected in (("a\nb\rc\n", ["a", "b\rc"]), ("a\r\r\nb\r\n", ["a", "b"]),
                           ("a\r", ["a"]), ("\r", [""]), ("\r\n", [""]), ("\n", [""]),
                           ("a\r\nb", ["a", "b"]), ("long" * 9, ["long" * 9])):  # fmt: skip
        assert list(read_lines(written(tmp_path / "a", text))) == expected, text


MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.txt.gz"])
def test_a_byte_order_mark_is_nowhere_a_token(tmp_path, name):
    path = written(tmp_path / name, MARK + b"b\tx\nc\ty\n")
    assert list(read_lines(path)) == ["b\tx", "c\ty"]
    assert list(read_table(path, delimiter="\t")) == [("b", "x"), ("c", "y")]
    assert list(read_table(path, delimiter="\t", quotes=True)) == [("b", "x"), ("c", "y")]
    assert list(read_conll(path)) == [(("b", "c"), ("x", "y"))]
    quoted = written(tmp_path / name, MARK + b'"b\tx"\ty\n')
    assert list(read_table(quoted, delimiter="\t", quotes=True)) == [("b\tx", "y")]
    nothing = written(tmp_path / name, MARK)
    for read in (read_lines, read_table, read_conll):
        assert list(read(nothing)) == []
    assert list(read_lines(written(tmp_path / name, MARK + b"\n"))) == [""]
    assert list(read_lines(written(tmp_path / name, MARK + MARK))) == ["\ufeff"]  # one alone


def test_files_that_cannot_be_read(tmp_path):
    for read in (read_lines, read_table, read_conll, read_pairs, text_blocks):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "none")
    lines = read_lines(written(tmp_path / "a", b"good\n\xff\xfe\n"))
    assert next(lines) == "good"
    with pytest.raises(ValueError, match=r"a, line 2: not UTF-8"):
        next(lines)
    with pytest.raises(ValueError, match=r"b.gz: damaged gzip file after line 0"):
        list(read_lines(written(tmp_path / "b", "no gzip").rename(tmp_path / "b.gz")))
    noise = random.Random(0).randbytes(200_000).hex("\n", 16)
    whole = gzip.compress(noise.encode())
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    for name, content in (("cut", whole[:-50_000]), ("flipped", flipped)):
        path = tmp_path / f"{name}.gz"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"{name}.gz: damaged gzip file after line|not UTF-8"):
            list(read_lines(path))


# ---- tables


@pytest.mark.parametrize("name", ["pairs.tsv", "pairs.txt.gz"])
def test_pairs_between_tabs(tmp_path, name):
    path = written(tmp_path / name, 'Go.\tVa !\tCC-BY 1\n\n"Hi, you\tSalut"\tCC-BY 2\n')
    assert list(read_pairs(path)) == [("Go.", "Va !"), ('"Hi, you', 'Salut"')]
    assert list(read_pairs(path, columns=(-1, 0))) == [("CC-BY 1", "Go."), ("CC-BY 2", '"Hi, you')]
    assert list(read_pairs(path, header=True)) == [('"Hi, you', 'Salut"')]
    assert [len(row) for row in read_table(path)] == [3, 3]


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.dat"])
def test_tables_with_quotes(tmp_path, name):
    rows = [["text", "label"], ['say "hi", please', "1"], ["two\nlines", "0"], ["", ""], [" ", "x"]]
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    path = written(tmp_path / name, text.getvalue() + "\r\n\r\n")
    own = {"delimiter": ","} if name == "t.dat" else {}
    assert list(read_table(path, **own)) == [tuple(row) for row in rows]
    found = read_table(path, columns=[1], header=True, **own)
    assert list(found) == [("1",), ("0",), ("",), ("x",)]


def test_quotes_where_they_are_asked_for(tmp_path):
    path = written(tmp_path / "a.tsv", '"a\tb"\tc\n')
    assert list(read_table(path)) == [('"a', 'b"', "c")]
    assert list(read_table(path, quotes=True)) == [("a\tb", "c")]
    path = written(tmp_path / "a.csv", '"a,b",c\n')
    assert list(read_table(path, quotes=False)) == [('"a', 'b"', "c")]


def test_faults_in_tables(tmp_path):
    path = written(tmp_path / "a.tsv", "a\tb\n\nc\n")
    with pytest.raises(ValueError, match=r"a.tsv, line 3: 1 columns, expected 2"):
        list(read_table(path))
    rows = read_pairs(path)
    assert next(rows) == ("a", "b")
    with pytest.raises(ValueError, match=r"a.tsv, line 3: 1 columns, expected 2"):
        next(rows)
    with pytest.raises(ValueError, match=r"a.tsv, line 1: 2 columns, there is no column 2"):
        list(read_table(path, columns=[2]))
    path = written(tmp_path / "b.csv", 'a,b\n"open,c\n')
    with pytest.raises(ValueError, match=r"b.csv, line 2: unexpected end of data"):
        list(read_table(path))
    for wrong in ("::", 5):
        with pytest.raises(ValueError, match=f"the delimiter must be one character, got '?{wrong}"):
            read_table(path, delimiter=wrong)
    with pytest.raises(ValueError, match=r"expected two columns, got \(0, 1, 2\)"):
        read_pairs(path, columns=(0, 1, 2))


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.tsv", "a"])
@pytest.mark.parametrize("columns", [None, [0], [-1]])
@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("row", ["1", "1,2,3", "1,2,"])
def test_a_row_of_another_width_is_refused(row, header, columns, name, tmp_path):
    text = f"a,b\n3,4\n\n{row}\n5,6\n".replace(",", "," if "csv" in name else "\t")
    rows = read_table(written(tmp_path / name, text), columns=columns, header=header)
    width = row.count(",") + 1
    with pytest.raises(ValueError, match=rf"{name}, line 4: {width} columns, expected 2$"):
        list(rows)


def test_decimal_commas(tmp_path):
    path = written(tmp_path / "a.csv", 'Datum;Wert\n1.1.2020;100,25\n"a;b";101,5\n')
    for columns in (None, [1], [0]):
        with pytest.raises(ValueError, match=r"line 1: one column, with ';' in it; pass delimiter"):
            list(read_table(path, columns=columns, header=True))
    rows = read_table(path, delimiter=";", columns=[1], header=True)
    assert list(rows) == [("100,25",), ("101,5",)]
    assert list(read_table(path, delimiter=";"))[2] == ("a;b", "101,5")  # quotes, as in a .csv
    one = written(tmp_path / "one.csv", "text\nfirst; last\n")  # the first row decides
    assert list(read_table(one)) == [("text",), ("first; last",)]
    tabs = written(tmp_path / "tabs.csv", "a\tb\n1\t2\n")
    with pytest.raises(ValueError, match=r"pass delimiter='\\t' if it parts columns"):
        list(read_table(tabs))
    assert list(read_table(tabs, delimiter=",")) == [("a\tb",), ("1\t2",)]


def test_faults_that_the_csv_module_explains_badly(tmp_path):
    lone = r"line 2: a carriage return in a cell without quotes; lines end in LF or CR LF: convert"
    path = written(tmp_path / "a.csv", "a,b\nc\rd,e\n")
    with pytest.raises(ValueError, match=f"a.csv, {lone} the line ends") as caught:
        list(read_table(path))
    assert "newline" not in str(caught.value)
    assert "universal" not in str(caught.value)
    assert list(read_table(written(path, 'a,b\n"c\rd",e\n'))) == [("a", "b"), ("c\rd", "e")]
    path = written(tmp_path / "long.csv", "a,b\n" + "c" * 140_000 + ",d\n")
    hint = r"is a quote left open\? else allow more with csv.field_size_limit"
    with pytest.raises(ValueError, match=rf"long.csv, line 2: a cell of .* 131,072 char.*; {hint}"):
        list(read_table(path))
    assert len(list(read_table(path, quotes=False))[1][0]) == 140_000
    before = csv.field_size_limit(140_000)  # what the error says to do
    try:
        assert len(list(read_table(path))[1][0]) == 140_000
    finally:
        csv.field_size_limit(before)
    with pytest.raises(ValueError, match="line 1: ',' expected after"):
        list(read_table(written(tmp_path / "b.csv", '"a"b,c\n')))


def test_columns_that_are_no_numbers(tmp_path):
    path = written(tmp_path / "a", "a\tb\n")
    for wrong in ("01", b"01", [0, "1"], (0.0, 1.0), 1):
        for read in (read_conll, read_table, read_pairs):
            name = read.__name__
            with pytest.raises(
                TypeError, match=rf"{name}: columns=.*; expected whole .* \(0, -1\)"
            ):
                read(path, columns=wrong)
    assert list(read_table(path, columns=iter(np.array([1, 0])))) == [("b", "a")]


# ---- CoNLL


@pytest.mark.parametrize("name", ["a.conll", "a.conll.gz"])
def test_conll(tmp_path, name):
    path = written(tmp_path / name, CONLL.replace("\n", "\r\n"))
    found = list(read_conll(path))
    assert found == [
        (
            ("EU", '"', "rejects\u00a0it"),
            ("NNP", "''", "VBZ"),
            ("B-NP", "O", "B-VP"),
            ("B-ORG", "O", "O"),
        ),
        (("#",), ("NN",), ("B-NP",), ("O",)),
        (("-DOCSTART-X",), ("NNP",), ("B-NP",), ("O",)),
    ]
    picked = list(read_conll(path, columns=(-1, 0)))
    assert picked == [(sentence[3], sentence[0]) for sentence in found]
    assert len(list(read_conll(path, comment="#"))) == 2


def test_only_spaces_and_tabs_part_columns(tmp_path):
    path = written(tmp_path / "a", "\u00a0 X\n \u3000\tX \u2028\n")
    with pytest.raises(ValueError, match="line 2: 3 columns, expected 2"):
        list(read_conll(path))
    path = written(tmp_path / "a", "\u00a0 X\n \u3000\t\u2028 \n")
    assert list(read_conll(path)) == [(("\u00a0", "\u3000"), ("X", "\u2028"))]


def test_conllu(tmp_path):
    text = "# text = a b\n1\ta b\t_\n2\t\tX\n\n# c\n1\tc\t_\n"
    path = written(tmp_path / "a.conllu", text)
    found = list(read_conll(path, columns=(1,), delimiter="\t", comment="#"))
    assert found == [(("a b", ""),), (("c",),)]


def test_faults_in_conll(tmp_path):
    path = written(tmp_path / "a", "a X O\nb O\n")
    with pytest.raises(ValueError, match=r"a, line 2: 2 columns, expected 3$"):
        list(read_conll(path))
    path = written(tmp_path / "a", "a X O\n\n# sentence number 2\nb X O\n")
    sentences = read_conll(path)
    assert next(sentences) == (("a",), ("X",), ("O",))
    with pytest.raises(ValueError, match=r'line 3: 4 columns, expected 3; .* pass comment="#"'):
        next(sentences)
    with pytest.raises(ValueError, match=r"line 1: 3 columns, there is no column 3"):
        list(read_conll(path, columns=(0, 3)))
    for wrong in ({"delimiter": ""}, {"comment": ""}):
        with pytest.raises(ValueError, match="an empty delimiter or comment"):
            read_conll(path, **wrong)
    assert list(read_conll(written(tmp_path / "e", "\n\n"))) == []


# ---- memory maps


def random_text(length: int, seed: int) -> str:
    generator = random.Random(seed)
    return "".join(generator.choices("ab\n\u00e9\u4e2d\U0001f600", k=length))


def test_bytes_under_a_map(tmp_path):
    content = random.Random(3).randbytes(5000)
    mapped = MappedBytes(written(tmp_path / "a", content))
    assert len(mapped) == 5000
    for key in (slice(0, 7), slice(4990, None), slice(None), slice(-5, -2), slice(9, 3)):
        assert mapped[key].dtype == np.int64
        assert mapped[key].tolist() == list(content[key])
    held_out = mapped.part(4000).part(10, 500)
    assert len(held_out) == 490
    assert held_out[5:20].tolist() == list(content[4015:4030])
    assert held_out[480:9999].tolist() == list(content[4490:4500])
    for wrong in (3, slice(0, 9, 2)):
        with pytest.raises(TypeError, match="expected a slice a:b"):
            mapped[wrong]
    with pytest.raises(ValueError, match="a is empty"):
        MappedBytes(written(tmp_path / "a", ""))
    with pytest.raises(FileNotFoundError):
        MappedText(tmp_path / "none", Vocabulary(["a"]))


def test_characters_under_a_map(tmp_path, monkeypatch):
    text = random_text(3000, 4)
    path = written(tmp_path / "a", text)
    v = Vocabulary.of(text)
    for every, block in ((1, 4), (7, 64), (4096, 1 << 20), (3000, 1000)):
        monkeypatch.setattr("rnn.data.mapped.EVERY", every)
        monkeypatch.setattr("rnn.data.mapped.BLOCK", block)
        mapped = MappedText(path, v)
        assert len(mapped) == 3000
        assert mapped.text() == text
        assert "".join(text_blocks(path)) == text
        generator = random.Random(5)
        for _ in range(50):
            a, b = generator.randrange(3001), generator.randrange(3001)
            assert mapped.text(a, b) == text[a:b]
            assert mapped[a:b].tolist() == v.encode(text[a:b]).tolist()
        assert mapped.part(100, 200).text(-3) == text[197:200]
        assert mapped.part(100, 200)[10:12].tolist() == v.encode(text[110:112]).tolist()


def test_texts_under_a_map_begin_after_a_byte_order_mark(tmp_path, monkeypatch):
    text = random_text(500, 8)
    path = written(tmp_path / "a", MARK + text.encode())
    v = Vocabulary.of(text, specials=[])
    for every, block in ((1, 1), (7, 4), (64, 3), (4096, 1 << 18)):
        monkeypatch.setattr("rnn.data.mapped.EVERY", every)
        monkeypatch.setattr("rnn.data.mapped.BLOCK", block)
        mapped = MappedText(path, v)
        assert "".join(text_blocks(path)) == mapped.text() == text
        assert len(mapped) == 500
        for a, b in ((0, 1), (3, 90), (499, 500), (63, 65)):
            assert mapped[a:b].tolist() == v.encode(text[a:b]).tolist()
            assert mapped.part(2).text(a, b) == text[2:][a:b]
    assert len(MappedBytes(path)) == len(text.encode()) + 3  # bytes are as they are
    path = written(path, MARK + b"abc\xff")
    nothing = written(tmp_path / "b", MARK)
    for read in (lambda path: MappedText(path, v), lambda path: list(text_blocks(path))):
        with pytest.raises(ValueError, match="a, byte 6: not UTF-8"):  # of the file
            read(path)
        with pytest.raises(ValueError, match="b is empty: there is only a byte order mark"):
            read(nothing)
    with pytest.raises(ValueError, match="is empty"):
        text_blocks(nothing)  # at once
    assert "".join(text_blocks(written(path, MARK + MARK + b"a"))) == "\ufeffa"  # one alone
    assert "".join(text_blocks(written(path, "\ufefe"))) == "\ufefe"


def test_a_map_makes_the_chunks_of_an_array(tmp_path):
    text = random_text(997, 6)
    v = Vocabulary.of(text)
    mapped = MappedText(written(tmp_path / "a", text), v)
    ours = list(Streams(mapped, batch_size=4, steps=10))
    theirs = list(Streams(v.encode(text), batch_size=4, steps=10))
    assert len(ours) == len(theirs) == 25
    for one, other in zip(ours, theirs, strict=True):
        assert np.array_equal(one.x, other.x)
        assert np.array_equal(one.y, other.y)
        assert one.carry == other.carry


def test_maps_refuse_what_is_not_utf8(tmp_path, monkeypatch):
    monkeypatch.setattr("rnn.data.mapped.BLOCK", 8)
    for content, place in (
        (b"abc\xffdef", 3),
        (b"abcdefg\xc3(", 7),  # the first byte of a pair ends a block
        (b"0123456789abcde\xe4\xb8", 15),  # the end is cut
        (b"0123456\x80", 7),
    ):
        path = written(tmp_path / "a", content)
        with pytest.raises(ValueError, match=rf"a, byte {place}: not UTF-8"):
            MappedText(path, Vocabulary(["a"]))
        with pytest.raises(ValueError, match=rf"a, byte {place}: not UTF-8"):
            list(text_blocks(path))


@pytest.mark.parametrize("kind", first(1, ["text", "bytes"]))
def test_maps_take_no_memory_for_the_text(tmp_path, kind):
    size = 24_000_000
    path = tmp_path / "large"
    with path.open("wb") as file:
        for _ in range(8):
            file.write("ab \u00e9\n".encode() * (size // 8 // 6))
    v = Vocabulary.of(map(characters, ["ab \u00e9\n"]))
    gc.collect()
    tracemalloc.start()
    mapped = MappedBytes(path) if kind == "bytes" else MappedText(path, v)
    built = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    stream = Streams(mapped, batch_size=8, steps=64)
    for number, chunk in zip(range(300), stream, strict=False):
        assert chunk.carry == (number > 0)
    read = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A block of 256 KiB as bytes, as characters and with the places of its characters, no more.
    assert built < 5_000_000
    assert read < 1_000_000
    assert len(stream) == (len(mapped) - 1) // 8 // 64 + 1


def test_a_whole_text_keeps_its_line_ends(tmp_path):
    text = "a\r\nb\u2028\U0001f600\ufeff\n"
    for name, content in (("a.txt", text.encode()), ("a.gz", gzip.compress(text.encode()))):
        (tmp_path / name).write_bytes(content)
        assert read_text(tmp_path / name) == text
    (tmp_path / "marked.txt").write_bytes(("\ufeff" + text).encode())
    assert read_text(tmp_path / "marked.txt") == text
    for content, said in (
        (b"\xef\xbb\xbf", "is empty"),
        (b"\xef\xbb\xbfab\xff", "byte 5: not UTF-8: invalid start byte"),
    ):
        (tmp_path / "bad.txt").write_bytes(content)
        with pytest.raises(ValueError, match=f"bad.txt.*{said}"):
            read_text(tmp_path / "bad.txt")
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "none")
