"""Cut text into tokens: characters, words by one regular expression, or those of a tokeniser.

Tokenisers of the Hugging Face package `tokenizers` take the place of a vocabulary. They are known
by what they do (`encode(text).ids`, `decode`, `token_to_id`, `id_to_token`, `get_vocab_size`); the
package is never imported here. Above `vocabulary.py`.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from unicodedata import category

from engine.backends import HOST, Array
from engine.checks import flag
from rnn.data.vocabulary import integers

JOINERS = "\u200c\u200d"  # they stand within words of Persian and of India
# What the tokens of each role are called, by custom; the first that is there counts.
CUSTOMARY = {
    "pad": ("<pad>", "[PAD]", "<|padding|>"),
    "unk": ("<unk>", "[UNK]"),
    "bos": ("<bos>", "<s>", "[BOS]", "[CLS]", "<|startoftext|>"),
    "eos": ("<eos>", "</s>", "[EOS]", "[SEP]", "<|endoftext|>"),
}
METHODS = ("encode", "decode", "token_to_id", "id_to_token", "get_vocab_size")


@lru_cache(maxsize=1)
def _word() -> re.Pattern[str]:
    """Return a number with its points and commas, a word with its inner apostrophes and hyphens, or
    any other character that is not white; each with the combining marks after its characters.
    """
    places = (*range(0x300, 0x20000), *range(0xE0100, 0xE01F0))  # where Unicode has its marks
    marks = "".join(chr(place) for place in places if category(chr(place)).startswith("M"))
    part = rf"\w[\w{marks}{JOINERS}]*"
    return re.compile(rf"\d+(?:[.,]\d+)+|{part}(?:['’-]{part})*|[^\w\s][{marks}]*")


def characters(text: str) -> list[str]:
    """Return every character (code point) of a text, white space and line ends too.

    >>> import rnn.data
    >>> rnn.data.characters("to be")
    ['t', 'o', ' ', 'b', 'e']
    """
    return list(text)


def words(text: str, *, lower: bool = False) -> list[str]:
    """Return the words, numbers and punctuation marks of a text, in order, without white space.

    Apostrophes and hyphens inside of a word stay in it, as do points and commas in a number, and
    combining marks (accents, vowel signs) with what they are written on. Made for scripts that put
    spaces between words; for others pass tokens of your own wherever tokens are asked for. Raises
    TypeError for no text.

    >>> import rnn.data
    >>> rnn.data.words("Don't pay 1,000!", lower=True)
    ["don't", 'pay', '1,000', '!']
    """
    if not isinstance(text, str):
        raise TypeError(f"words: expected a text, got {type(text).__name__}")
    return _word().findall(text.lower() if flag("words: lower", lower) else text)


class TokenizerVocabulary:
    """Give a tokeniser the attributes and methods of `Vocabulary`, but for files.

    `encode` takes a text and `decode` returns one. `specials` maps roles to tokens; roles that it
    leaves out are looked up by their customary names, such as ``"[PAD]"``. The tokeniser adds the
    special tokens that it is set to add, here as elsewhere. Raises TypeError for an object without
    the methods, ValueError for a token that is not there.

    >>> import rnn, tokenizers  # doctest: +SKIP
    >>> own = tokenizers.Tokenizer.from_file("tokenizer.json")  # doctest: +SKIP
    >>> rnn.data.TokenizerVocabulary(own).encode("to be")  # doctest: +SKIP
    """

    def __init__(self, tokenizer: Any, *, specials: Mapping[str, str] | None = None) -> None:
        missing = [name for name in METHODS if not callable(getattr(tokenizer, name, None))]
        if missing:
            raise TypeError(
                f"TokenizerVocabulary: expected a tokeniser with {', '.join(METHODS)}; "
                f"{type(tokenizer).__name__} has no {', '.join(missing)}"
            )
        given = dict(specials or {})
        if unknown := [role for role in given if role not in CUSTOMARY]:
            raise ValueError(
                f"TokenizerVocabulary: unknown role {unknown[0]!r}; there are "
                f"{', '.join(CUSTOMARY)}"
            )
        self.tokenizer = tokenizer
        self.specials: dict[str, str] = {}
        for role, names in CUSTOMARY.items():
            names = (given[role],) if role in given else names
            found = [name for name in names if tokenizer.token_to_id(name) is not None]
            if found:
                self.specials[role] = found[0]
            elif role in given:
                raise ValueError(f"TokenizerVocabulary: {role}={given[role]!r} is no token of it")
        self.pad, self.unk, self.bos, self.eos = map(self._special, CUSTOMARY)

    def __len__(self) -> int:
        return int(self.tokenizer.get_vocab_size())

    def __contains__(self, token: object) -> bool:
        return isinstance(token, str) and self.tokenizer.token_to_id(token) is not None

    def index(self, token: str) -> int:
        """Return the index of a token, or `unk`; raises ValueError where there is neither."""
        number = self.tokenizer.token_to_id(token)
        number = self.unk if number is None else number
        if number is None:
            raise ValueError(f"TokenizerVocabulary: {token!r} is no token, and there is no unk")
        return int(number)

    def token(self, index: int) -> str:
        """Return the token of an index. Raises IndexError for one outside of the vocabulary."""
        # The package takes 32 bits without a sign and raises OverflowError for what is larger.
        found = self.tokenizer.id_to_token(index) if 0 <= index < 1 << 32 else None
        if found is None:
            raise IndexError(f"TokenizerVocabulary: index {index} of {len(self)} tokens")
        return str(found)

    def encode(self, text: str, *, bos: bool = False, eos: bool = False) -> Array:
        """Return the indices (T,) of a text as an array of int64, with BOS and EOS where asked for.

        Raises TypeError for what is no text, ValueError for a special token that there is not.
        """
        if not isinstance(text, str):
            raise TypeError(f"TokenizerVocabulary.encode: expected a text, got {text!r}")
        ids = list(self.tokenizer.encode(text).ids)
        for wanted, role, place in ((bos, "bos", 0), (eos, "eos", len(ids) + bos)):
            if wanted:
                number = self._special(role)
                if number is None:
                    raise ValueError(
                        f"TokenizerVocabulary.encode: there is no {role}; name its token in "
                        f"specials="
                    )
                ids.insert(place, number)
        return HOST.xp.asarray(ids, dtype=HOST.xp.int64)

    def decode(self, indices: Any, *, clean: bool = False) -> str:
        """Return the text of indices (T,). With `clean` it ends at the first EOS.

        A tokeniser of the package leaves out its special tokens, with `clean` or without. Raises
        IndexError for an index outside of the vocabulary, TypeError for what is no integer.
        """
        given = integers("TokenizerVocabulary.decode", indices)
        if clean and self.eos in given:
            given = given[: given.index(self.eos)]
        for index in dict.fromkeys(given):
            self.token(index)
        return str(self.tokenizer.decode(given))

    def _special(self, role: str) -> int | None:
        return self.tokenizer.token_to_id(self.specials[role]) if role in self.specials else None
