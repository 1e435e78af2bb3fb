"""Test vocabularies, tokenisers of words, and those of Hugging Face in a vocabulary's place."""

import json
import random
from collections import Counter

import numpy as np
import pytest

import engine
from rnn.data import TokenizerVocabulary, Vocabulary, characters, words
from rnn.data.vocabulary import ROLES

TEXT = ["the", "cat", "sat", "on", "the", "mat", ".", "the", "end"]


def brute_order(tokens: list[str]) -> list[str]:
    """Sort by frequency, then by code points, by selection."""
    left, order = list(dict.fromkeys(tokens)), []
    while left:
        best = left[0]
        for token in left:
            more, same = tokens.count(token) > tokens.count(best), tokens.count(token) == (
                tokens.count(best)
            )  # fmt: skip
            if more or (same and token < best):
                best = token
        order.append(best)
        left.remove(best)
    return order


# ---- making


def test_special_tokens_come_first_then_counts_then_the_alphabet():
    v = Vocabulary.of(TEXT)
    assert v.tokens[:4] == ("<pad>", "<unk>", "<bos>", "<eos>")
    assert (v.pad, v.unk, v.bos, v.eos) == (0, 1, 2, 3)
    assert list(v.tokens[4:]) == brute_order(TEXT)
    assert list(v) == list(v.tokens)
    assert len(v) == 11


def test_the_order_does_not_depend_on_where_tokens_stand():
    generator = random.Random(0)
    tokens = [generator.choice("abcdefghij") * generator.choice((1, 2)) for _ in range(300)]
    first = Vocabulary.of(tokens)
    assert list(first.tokens[4:]) == brute_order(tokens)
    for _ in range(5):
        generator.shuffle(tokens)
        assert Vocabulary.of(tokens) == first


def test_sources_of_every_kind_count_alike():
    lines = [["b", "a"], ["a", "c", "a"]]
    expected = Vocabulary.of(["b", "a", "a", "c", "a"])
    assert Vocabulary.of(lines) == expected
    assert Vocabulary.of(iter(lines)) == expected
    assert Vocabulary.of("baaca") == expected
    assert Vocabulary.of(map(characters, ["ba", "aca"])) == expected
    assert Vocabulary.of(map(list, ["ba", "aca"])) == expected
    assert Vocabulary.of(["ba", "aca"], specials=[]).tokens == ("aca", "ba")  # whole texts
    assert Vocabulary.of(Counter("baaca")) == expected
    assert Vocabulary.of({"a": 3, "b": 1, "c": 1}) == expected
    assert expected != Vocabulary.of("baaca", specials=[])
    assert expected != "baaca"
    assert hash(expected) == hash(Vocabulary.of("baaca"))


def test_minimum_counts_and_largest_sizes():
    tokens = list("aaaabbbccd")
    assert Vocabulary.of(tokens, min_count=2, specials=[]).tokens == ("a", "b", "c")
    assert Vocabulary.of(tokens, min_count=9, specials=["unk"]).tokens == ("<unk>",)
    assert Vocabulary.of(tokens, max_size=3, specials=["unk"]).tokens == ("<unk>", "a", "b")
    assert len(Vocabulary.of(tokens, max_size=4)) == 4
    assert len(Vocabulary.of(tokens, max_size=99)) == 8


def test_special_tokens_of_the_user_and_none():
    v = Vocabulary.of(["x", "</s>", "x"], specials={"eos": "</s>", "unk": "??"})
    assert v.tokens == ("</s>", "??", "x")
    assert (v.eos, v.unk, v.pad, v.bos) == (0, 1, None, None)
    shared = Vocabulary(["x"], specials={"bos": "<|e|>", "eos": "<|e|>"})
    assert shared.bos == shared.eos == 0
    assert len(shared) == 2
    assert Vocabulary(["a", "b"], specials=()).pad is None
    assert repr(shared) == "Vocabulary(2 tokens, specials={'bos': '<|e|>', 'eos': '<|e|>'})"


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Vocabulary(["a", "b", "a"]), ValueError, "'a' is there twice"),
        (lambda: Vocabulary(["a", "<pad>"]), ValueError, "'<pad>' is there twice"),
        (lambda: Vocabulary(["a", 3]), TypeError, "must be text, got 3"),
        (lambda: Vocabulary([], specials=["sep"]), ValueError, "unknown role 'sep'; there are pad"),
        (lambda: Vocabulary([], specials="pad"), TypeError, "expected a list of roles"),
        (lambda: Vocabulary.of([[1, 2]]), TypeError, "must be text, got 1"),
        (lambda: Vocabulary.of([[["a"]]]), TypeError, "got lists within lists; join them first"),
        (lambda: Vocabulary([["a"]]), TypeError, r"must be text, got \['a'\]"),
        (lambda: Vocabulary.of([5]), TypeError, "expected tokens or lists of tokens, got 5"),
        (lambda: Vocabulary.of("a", min_count=0), ValueError, "min_count must be an integer of at"),
        (lambda: Vocabulary.of("a", min_count=True), ValueError, "least 1, got True"),
        (lambda: Vocabulary.of("a", max_size=3), ValueError, "max_size .* of at least 4, got 3"),
    ],
)
def test_what_makes_no_vocabulary(make, error, text):
    with pytest.raises(error, match=text):
        make()


# ---- encoding and decoding


def test_lists_and_texts_become_indices_and_back():
    v = Vocabulary.of(TEXT)
    ids = v.encode(TEXT)
    assert ids.dtype == np.int64
    assert ids.tolist() == [v.tokens.index(token) for token in TEXT]
    assert v.decode(ids) == TEXT
    assert v.decode(engine.asarray(ids)) == TEXT
    assert v.decode(list(ids)) == TEXT
    assert v.encode(iter(TEXT)).tolist() == ids.tolist()
    assert v.encode(["cat"], bos=True, eos=True).tolist() == [2, v.index("cat"), 3]
    assert v.encode([], eos=True).tolist() == [3]
    assert v.encode([]).shape == (0,)
    assert v.encode([]).dtype == np.int64


def test_texts_are_encoded_character_by_character():
    generator = random.Random(1)
    alphabet = "ab \n\u00e9\u4e2d\U0001f600\ud800"
    text = "".join(generator.choice(alphabet) for _ in range(500))
    v = Vocabulary.of(text[:30] + "zz", specials=["unk"])
    assert v.encode(text).tolist() == v.encode(list(text)).tolist()
    assert v.encode("\U0010ffff z").tolist() == [0, v.index(" "), v.index("z")]
    assert v.encode("q", bos=False).tolist() == [0]
    beyond = (
        Vocabulary(["a", "b"], specials=["unk"]).encode("".join(map(chr, range(1000)))).tolist()
    )
    assert beyond == [0] * 97 + [1, 2] + [0] * 901
    assert Vocabulary([], specials=["unk"]).encode("ab").tolist() == [0, 0]


@pytest.mark.parametrize("text", ["the cat", "t", "", "the cat sat on the mat " * 9])
def test_a_text_is_no_list_of_words(text):
    # Neither an ordinary nor a special token of one character makes no words of characters.
    for tokens, specials in ((["the", "cat", "the"], ROLES), (["cat", "the", "a", "."], ROLES),
                             (["the"], {"unk": "?"})):  # fmt: skip
        v = Vocabulary.of(tokens, specials=specials)
        with pytest.raises(TypeError, match=r"as '(the|cat)' is no single character, got the text "
                           r"'.*cut it first: words\(text\)") as error:  # fmt: skip
            v.encode(text)
        assert len(str(error.value)) < 170
    v = Vocabulary.of(["the", "cat", "the", "."])
    assert v.encode(words("the cat.")).tolist() == [4, 6, 5]
    assert Vocabulary.of("the").encode("the").tolist() == [6, 5, 4]  # all are characters


def test_a_text_is_no_list_of_tokens():
    for text in ("the cat", "a", ""):
        with pytest.raises(TypeError, match=r"expected a list of tokens.*Vocabulary.of\(text\)"):
            Vocabulary(text)
    with pytest.raises(TypeError, match="must be text, got 97"):
        Vocabulary(b"ab")


def test_the_ordinary_tokens_are_what_it_was_made_of():
    assert Vocabulary(["x", "y"]).ordinary == ("x", "y")
    assert Vocabulary(["x"], specials={"bos": "e", "eos": "e"}).ordinary == ("x",)
    assert Vocabulary(["a", "b"], specials=[]).ordinary == ("a", "b")
    assert Vocabulary([]).ordinary == ()


def test_unknown_tokens():
    v, closed = Vocabulary.of("ab"), Vocabulary.of("ab", specials=[])
    assert v.encode(["a", "?"]).tolist() == [4, 1]
    assert v.index("?") == v.unk
    with pytest.raises(ValueError, match=r"'\?' at 2 is no token, and there is no unk among the 2"):
        closed.encode("ab?")
    with pytest.raises(ValueError, match=r"'\?' at 0 is no token.* specials=\['unk'\]"):
        closed.encode(["?"])
    with pytest.raises(ValueError, match=r"'\?' is no token, and there is no unk"):
        closed.index("?")
    for vocabulary in (v, closed):
        with pytest.raises(TypeError, match="tokens must be text, got 7 at 1"):
            vocabulary.encode(["a", 7])
    with pytest.raises(ValueError, match="there is no eos; make it with specials="):
        closed.encode("ab", eos=True)
    assert "a" in v
    assert "?" not in v


def test_decoding_what_was_generated():
    v = Vocabulary.of("ab")
    ids = [v.bos, 4, v.pad, v.unk, 5, v.eos, 4, v.eos]
    assert v.decode(ids) == ["<bos>", "a", "<pad>", "<unk>", "b", "<eos>", "a", "<eos>"]
    assert v.decode(ids, clean=True) == ["a", "<unk>", "b"]
    assert Vocabulary.of("ab", specials=[]).decode([0, 1], clean=True) == ["a", "b"]
    for wrong in (6, -1):
        with pytest.raises(IndexError, match=f"index {wrong}; expected 0 to 5"):
            v.decode([wrong])
    for wrong in ([0.5], [True], np.zeros((2, 2), dtype=int), 3, np.array(3), "a"):
        with pytest.raises(TypeError, match=r"expected integers \(T,\)"):
            v.decode(wrong)


# ---- files


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "vocabulary.json"
    for v in (
        Vocabulary.of(TEXT),
        Vocabulary.of('\n"\u4e2d\ud800\\', specials=[]),
        Vocabulary(["x"], specials={"bos": "<|e|>", "eos": "<|e|>"}),
    ):
        v.save(path)
        found = Vocabulary.load(path)
        assert found == v
        assert (found.pad, found.unk, found.bos, found.eos) == (v.pad, v.unk, v.bos, v.eos)
        content = path.read_bytes()
        found.save(path)
        assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["vocabulary.json"]


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "vocabulary.json"
    Vocabulary.of("ab").save(path)

    def full(descriptor: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        Vocabulary.of("xyz").save(path)
    monkeypatch.undo()
    assert Vocabulary.load(path) == Vocabulary.of("ab")
    assert [p.name for p in tmp_path.iterdir()] == ["vocabulary.json"]


def body(**changes: object) -> bytes:
    good = {"format": "bptt vocabulary", "version": 1, "specials": {"pad": "<pad>"}, "tokens": []}
    return json.dumps(good | changes).encode()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "Expecting value"),
        (b"\xff\xfe\xff", "codec can't decode"),
        (body()[:-9], "Unterminated|Expecting"),
        (b"[" * 100_000, "recursion"),
        (b"[]", "expected the format 'bptt vocabulary'"),
        (body(format="other"), "expected the format"),
        (body(version=2), "version 2 is not 1"),
        (body(tokens={"a": 1}), "a list of tokens"),
        (body(specials=["pad"]), "specials by role"),
        (body(tokens=["a", "a"]), "'a' is there twice"),
        (body(tokens=["a", 1]), "must be text"),
        (body(tokens=[["a"]]), "must be text"),
        (body(specials={"sep": "x"}), "unknown role"),
        (body(specials={"pad": 4}), "must be text"),
    ],
)
def test_damaged_files_are_refused(tmp_path, content, text):
    path = tmp_path / "v.json"
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=rf"Vocabulary.load: .*v.json is no vocabulary: .*({text})"
    ):
        Vocabulary.load(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        Vocabulary.load(tmp_path / "v.json")
    path = tmp_path / "v.json"
    path.write_bytes(body(tokens=["a"]))  # the one that the changes above were made to is good
    assert Vocabulary.load(path).tokens == ("<pad>", "a")


# ---- words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t", []),
        ("Hello, world!", ["Hello", ",", "world", "!"]),
        ("don't it\u2019s well-known", ["don't", "it\u2019s", "well-known"]),
        ("'quoted' -x- a--b", ["'", "quoted", "'", "-", "x", "-", "a", "-", "-", "b"]),
        ("3.14 1,000,000. 5.", ["3.14", "1,000,000", ".", "5", "."]),
        ("na\u00efve \u4e2d\u6587 snake_case", ["na\u00efve", "\u4e2d\u6587", "snake_case"]),
        ("a\u00a0b$%", ["a", "b", "$", "%"]),
        ("\u0939\u093f\u0928\u094d\u0926\u0940 a", ["\u0939\u093f\u0928\u094d\u0926\u0940", "a"]),
        ("cafe\u0301s n\u0303-o\u0302!", ["cafe\u0301s", "n\u0303-o\u0302", "!"]),
        (
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            ["\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"],
        ),
        ("\u0e17\u0e35\u0e48 =\u0338 \u0301", ["\u0e17\u0e35\u0e48", "=\u0338", "\u0301"]),
        ("\u2764\ufe0f\u2764 1,0\u0301", ["\u2764\ufe0f", "\u2764", "1,0", "\u0301"]),
    ],
)
def test_words(text, expected):
    assert words(text) == expected
    assert words(text.upper(), lower=True) == [t.lower() for t in words(text.upper())]


def test_words_lose_nothing_but_white_space():
    generator = random.Random(2)
    for _ in range(50):
        text = "".join(
            generator.choice("ab1.,'-_ \n\u00e9!\u4e2d\u0301\u200d\u093f") for _ in range(40)
        )
        assert "".join(words(text)) == "".join(text.split())
        assert "".join(characters(text)) == text


# ---- tokenisers from elsewhere


class Encoding:
    def __init__(self, ids: list[int]) -> None:
        self.ids = ids


class Fake:
    """Split texts into single characters."""

    tokens = ("[PAD]", "[UNK]", "a", "b", "</s>", "[EOS]")

    def encode(self, text: str) -> Encoding:
        return Encoding([self.tokens.index(c) if c in self.tokens else 1 for c in text])

    def decode(self, ids: list[int]) -> str:
        return "".join(self.tokens[i] for i in ids)

    def token_to_id(self, token: str) -> int | None:
        return self.tokens.index(token) if token in self.tokens else None

    def id_to_token(self, index: int) -> str | None:
        return self.tokens[index] if index < len(self.tokens) else None

    def get_vocab_size(self) -> int:
        return len(self.tokens)


def test_a_tokeniser_in_the_place_of_a_vocabulary():
    v = TokenizerVocabulary(Fake())
    assert (v.pad, v.unk, v.bos, v.eos) == (0, 1, None, 4)
    assert v.specials == {"pad": "[PAD]", "unk": "[UNK]", "eos": "</s>"}
    assert len(v) == 6
    ids = v.encode("abz", eos=True)
    assert ids.dtype == np.int64
    assert ids.tolist() == [2, 3, 1, 4]
    assert v.encode("").dtype == np.int64
    assert v.decode(ids) == "ab[UNK]</s>"
    assert v.decode(engine.asarray([2, 4, 3]), clean=True) == "a"
    assert v.decode([2, 3], clean=True) == "ab"
    assert v.index("b") == 3
    assert v.index("zz") == 1
    assert v.token(3) == "b"
    assert "b" in v
    assert "zz" not in v
    assert 3 not in v
    own = TokenizerVocabulary(Fake(), specials={"eos": "[EOS]", "bos": "a"})
    assert (own.eos, own.bos, own.pad) == (5, 2, 0)
    assert own.encode("b", bos=True, eos=True).tolist() == [2, 3, 5]


def test_what_is_no_tokeniser():
    class Poor(Fake):
        token_to_id = None

    class NoUnknown(Fake):
        tokens = ("a", "b")

    with pytest.raises(TypeError, match="Poor has no token_to_id"):
        TokenizerVocabulary(Poor())
    with pytest.raises(TypeError, match="str has no decode, token_to_id, id_to_token"):
        TokenizerVocabulary("abc")
    with pytest.raises(ValueError, match=r"eos='<end>' is no token of it"):
        TokenizerVocabulary(Fake(), specials={"eos": "<end>"})
    with pytest.raises(ValueError, match="unknown role 'sep'"):
        TokenizerVocabulary(Fake(), specials={"sep": "a"})
    v = TokenizerVocabulary(NoUnknown())
    with pytest.raises(ValueError, match="'c' is no token, and there is no unk"):
        v.index("c")
    with pytest.raises(ValueError, match="there is no bos; name its token"):
        v.encode("a", bos=True)
    for wrong in (-1, 2):
        with pytest.raises(IndexError, match=f"index {wrong} of 2 tokens"):
            v.token(wrong)
    with pytest.raises(TypeError, match="expected a text"):
        v.encode(["a"])


class Packaged(Fake):
    """Return indices of 32 bits, and nothing for missing words, as the real package does."""

    def decode(self, ids: list[int]) -> str:
        if not all(0 <= i < 1 << 32 for i in ids):
            raise OverflowError("can't convert negative int to unsigned")
        return "".join(self.tokens[i] for i in ids if i < len(self.tokens))

    def id_to_token(self, index: int) -> str | None:
        if not 0 <= index < 1 << 32:
            raise OverflowError("can't convert negative int to unsigned")
        return super().id_to_token(index)


def test_tokenisers_and_vocabularies_refuse_the_same_indices():
    ours, theirs = Vocabulary.of("ab"), TokenizerVocabulary(Packaged())
    assert len(ours) == len(theirs) == 6
    for wrong in (-1, 6, 10**6, 2**32, 2**70):
        for v in (ours, theirs):
            with pytest.raises(IndexError, match=f"Vocabulary: index {wrong}[; ]"):
                v.decode([2, wrong])
            with pytest.raises(IndexError, match=f"Vocabulary: index {wrong}[; ]"):
                v.token(wrong)
    for odd in ([0.5], [True], 3, "a", np.zeros((2, 2), dtype=int)):
        for v in (ours, theirs):
            with pytest.raises(TypeError, match=r"Vocabulary.decode: expected integers \(T,\)"):
                v.decode(odd)
    assert (
        theirs.decode([2, theirs.eos, 99], clean=True) == "a"
    )  # what follows EOS is not looked at
    assert ours.decode([4, ours.eos, 99], clean=True) == ["a"]


def test_the_tokenisers_of_the_real_package():
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    made.decoder = tokenizers.decoders.Metaspace()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=60, special_tokens=["[PAD]", "[UNK]", "<s>", "</s>"], show_progress=False
    )
    made.train_from_iterator(["the cat sat on the mat", "the dog sat"], trainer)
    v = TokenizerVocabulary(made)
    assert (v.pad, v.unk, v.bos, v.eos) == (0, 1, 2, 3)
    ids = v.encode("the cat sat", eos=True)
    assert ids.tolist() == [*made.encode("the cat sat").ids, 3]
    assert v.decode(ids, clean=True) == "the cat sat"
    assert len(v) == made.get_vocab_size()
    assert v.index(v.token(7)) == 7
    for wrong in (-1, 10_000, 2**40):
        with pytest.raises(IndexError):
            v.token(wrong)
        with pytest.raises(IndexError):
            v.decode([4, wrong])
