"""Read text files as indices, by characters or by words. Below the verbs, above `rnn/data/`.

A character is a code point. Words are those of `rnn.data.words`, with an EOS after every line.
What ends in ``.gz`` is unpacked on the way, in memory. A byte order mark is left out everywhere,
and lines end in LF, also where they end in CR LF in the file.
"""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from io import IncrementalNewlineDecoder
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, NamedTuple

from engine.backends import HOST
from rnn.data.files import numbered_lines, read_text
from rnn.data.mapped import MappedText, text_blocks
from rnn.data.tokenizers import words
from rnn.data.vocabulary import Vocabulary

MAPPED = 1 << 26  # bytes from which on a file is not read into memory
BLOCK = 1 << 18  # characters of an unpacked text that are looked at together
EOS, PACKED = "<eos>", ".gz"


class Text(NamedTuple):
    """Hold indices (N,), a slice of which is an array, and how many characters they stand for."""

    ids: Any
    characters: int


def digest(path: str | Path) -> str:
    """Return what tells one text from another: of the file as it is, packed or not."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def border(count: int, held_out: float) -> int:
    """Return how many of so many tokens are learnt from; those after them are held out."""
    return count - int(count * held_out)


def vocabulary_of(
    path: str | Path, level: str, min_count: int | None, held_out: float, *, encoding: str = "utf-8"
) -> Vocabulary:
    """Return the tokens of what is learnt from of a text. Raises ValueError for an empty one."""
    least = (1 if level == "character" else 2) if min_count is None else min_count
    specials = ["unk"] if level == "character" else ["unk", "eos"]
    found = Vocabulary.of(
        _learnt(path, level, held_out, encoding), min_count=least, specials=specials
    )
    if len(found) == len(specials):
        raise ValueError(f"{path}: no {level} is there {least} times; lower --min-count")
    return found


def text_of(
    path: str | Path, level: str, vocabulary: Vocabulary, *, encoding: str = "utf-8"
) -> Text:
    """Return a file as indices. Raises ValueError for one empty, damaged or in another encoding."""
    path = Path(path)
    if level == "character":
        plain = encoding == "utf-8" and path.suffix != PACKED
        if plain and path.stat().st_size >= MAPPED and not _has_cr(path):
            mapped = MappedText(path, vocabulary)
            return Text(mapped, len(mapped))
        text = "".join(_blocks(path, encoding))
        return Text(vocabulary.encode(text), len(text))
    counted = _Counted(path, encoding)
    ids = array("i")  # four bytes a word
    for one in counted:
        ids.extend(vocabulary.encode(one).tolist())
    if not counted.tokens:
        raise ValueError(f"{path} is empty")
    return Text(HOST.xp.frombuffer(ids, dtype=ids.typecode), counted.characters)


def cut(text: Text, held_out: float) -> tuple[Any, Text]:
    """Return what is learnt from, and what is held out: the last `held_out` of the tokens. Its
    characters are taken to be as many to a token as in the whole text.
    """
    place = border(len(text.ids), held_out)
    if hasattr(text.ids, "part"):
        before, after = text.ids.part(0, place), text.ids.part(place)
    else:
        before, after = text.ids[:place], text.ids[place:]
    return before, Text(after, round(text.characters * len(after) / len(text.ids)))


def shown(tokens: Sequence[str], level: str, begun: bool) -> str:
    """Return tokens as text, words with spaces; `begun`: there are words on the line already."""
    if level == "character":
        return "".join(tokens)
    text = ""
    for token in tokens:
        text += "\n" if token == EOS else f"{' ' if begun else ''}{token}"
        begun = token != EOS
    return text


class _Counted:
    """Yield the tokens of a file line by line, and count what went by."""

    def __init__(self, path: Path, encoding: str) -> None:
        self.path, self.encoding, self.tokens, self.characters = path, encoding, 0, 0

    def __iter__(self) -> Iterator[list[str]]:
        for _, line in numbered_lines(self.path, self.encoding):
            found = [*words(line), EOS]
            self.tokens += len(found)
            self.characters += len(line) + 1
            yield found


def _learnt(path: str | Path, level: str, held_out: float, encoding: str) -> Iterable[Any]:
    """Return the tokens of a file before the border, read twice to keep it out of memory."""
    if level == "character":
        total = sum(map(len, _blocks(path, encoding)))
        return _head(_blocks(path, encoding), border(total, held_out))
    counted = _Counted(Path(path), encoding)
    for _ in counted:
        pass
    if not counted.tokens:
        raise ValueError(f"{path} is empty")
    return _head(_Counted(Path(path), encoding), border(counted.tokens, held_out))


def _blocks(path: str | Path, encoding: str) -> Iterator[str]:
    """Yield the characters of a file, some at a time, with LF as the line end."""
    if not Path(path).stat().st_size:
        raise ValueError(f"{path} is empty")
    if Path(path).suffix != PACKED and encoding == "utf-8":
        blocks = text_blocks(path)
    else:
        text = read_text(path, encoding)
        blocks = (text[start : start + BLOCK] for start in range(0, len(text), BLOCK))
    ends = IncrementalNewlineDecoder(None, translate=True)  # a CR LF may lie in two blocks
    for block in blocks:
        yield ends.decode(block)
    yield ends.decode("", final=True)


def _has_cr(path: Path) -> bool:
    """Return whether lines of a file end in more than LF."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        return content.find(b"\r") >= 0


def _head(parts: Iterable[Any], count: int) -> Iterator[Any]:
    """Yield the first `count` tokens of parts."""
    for part in parts:
        yield list(part[:count])
        count -= len(part)
        if count <= 0:
            return
