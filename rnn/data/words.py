"""Text cut into tokens: characters, or words by one regular expression. Below the vocabulary."""

import re

# A number with its points and commas, a word with its inner apostrophes and hyphens, or any one
# other character that is not white.
WORD = re.compile(r"\d+(?:[.,]\d+)+|\w+(?:['’-]\w+)*|[^\w\s]")


def characters(text: str) -> list[str]:
    """Every character (code point) of a text, white space and line ends too.

    >>> import rnn.data
    >>> rnn.data.characters("to be")
    ['t', 'o', ' ', 'b', 'e']
    """
    return list(text)


def words(text: str, *, lower: bool = False) -> list[str]:
    """The words, numbers and single punctuation marks of a text, in order; white space is dropped.

    Apostrophes and hyphens inside of a word stay in it, as do points and commas in a number. Made
    for scripts that put spaces between words; for others pass tokens of your own wherever tokens
    are asked for.

    >>> import rnn.data
    >>> rnn.data.words("Don't pay 1,000!", lower=True)
    ["don't", 'pay', '1,000', '!']
    """
    return WORD.findall(text.lower() if lower else text)
