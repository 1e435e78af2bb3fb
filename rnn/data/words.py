"""Text cut into tokens: characters, or words by one regular expression. Below the vocabulary."""

import re
from functools import lru_cache
from unicodedata import category

from engine.checks import flag

JOINERS = "\u200c\u200d"  # they stand within words of Persian and of India


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
