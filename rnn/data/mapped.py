"""Read texts larger than memory through a memory map, as bytes or as characters.

`Streams` takes them in the place of an array. Above the vocabulary.
"""

from codecs import BOM_UTF8, getincrementaldecoder
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from engine.backends import HOST, Array
from rnn.data.vocabulary import Vocabulary

BLOCK = 1 << 18  # bytes that are looked at together
EVERY = 4096  # characters between two with a known place in the file


class MappedBytes:
    """Read the bytes of a file as integers of 0 to 255: ``text[a:b]`` is b - a of them, as int64.

    Nothing else is read, and nothing is kept. Raises FileNotFoundError where there is no file,
    ValueError for an empty one.

    >>> import rnn, tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     size = file.write(b"to be"); file.flush()
    ...     rnn.data.MappedBytes(file.name)[0:2].tolist()
    [116, 111]
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.stat().st_size:
            raise ValueError(f"{type(self).__name__}: {path} is empty")
        self._data = HOST.xp.memmap(self.path, dtype=HOST.xp.uint8, mode="r")
        self._first, self._stop = 0, len(self._data)

    def __len__(self) -> int:
        return self._stop - self._first

    def __getitem__(self, key: slice) -> Array:
        return HOST.xp.asarray(self._data[slice(*self._range(key))], dtype=HOST.xp.int64)

    def part(self, start: int, stop: int | None = None) -> Self:
        """Return a stretch of the text as a text of its own, such as the one that is held out."""
        first, last = self._range(slice(start, stop))
        made = object.__new__(type(self))
        vars(made).update(vars(self), _first=first, _stop=last)
        return made

    def _range(self, key: Any) -> tuple[int, int]:
        """Start and stop of a slice, in the whole text."""
        if not isinstance(key, slice) or key.step not in (None, 1):
            raise TypeError(f"{type(self).__name__}: expected a slice a:b, got {key!r}")
        start, stop, _ = key.indices(len(self))
        return self._first + start, self._first + max(start, stop)


class MappedText(MappedBytes):
    """Read the characters of a UTF-8 file as indices of a vocabulary: ``text[a:b]``, as int64.

    The file is read once, to check it and to note where every 4,096th character stands (8 bytes
    each); after that a slice reads what it needs. A byte order mark is no character of the text.
    `vocabulary` is made with ``Vocabulary.of(map(characters, text_blocks(path)))``. Raises as
    `MappedBytes`, and ValueError for what is not UTF-8, with the byte.

    >>> import rnn, tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     size = file.write("à be".encode()); file.flush()
    ...     v = rnn.data.Vocabulary.of(map(rnn.data.characters, rnn.data.text_blocks(file.name)))
    ...     v.decode(rnn.data.MappedText(file.name, v)[0:3])
    ['à', ' ', 'b']
    """

    def __init__(self, path: str | Path, vocabulary: Vocabulary) -> None:
        super().__init__(path)
        self.vocabulary = vocabulary
        marks: list[int] = []
        count = 0
        for start, _, block in _checked(self.path, self._data, _begin(self.path, self._data)):
            heads = HOST.xp.flatnonzero((block & 0xC0) != 0x80)  # bytes that begin a character
            marks += (heads[-count % EVERY :: EVERY] + start).tolist()
            count += len(heads)
        self._marks = HOST.xp.asarray([*marks, len(self._data)], dtype=HOST.xp.int64)
        self._stop = count

    def __getitem__(self, key: slice) -> Array:
        self._range(key)  # refuses what is no slice
        return self.vocabulary.encode(self.text(key.start, key.stop))

    def text(self, start: int | None = 0, stop: int | None = None) -> str:
        """Return the characters from `start` to `stop`."""
        first, last = self._range(slice(start, stop))
        mark = first // EVERY
        end = self._marks[min(-(-last // EVERY), len(self._marks) - 1)]
        read: bytes = self._data[int(self._marks[mark]) : int(end)].tobytes()
        return read.decode()[first - mark * EVERY : last - mark * EVERY]


def text_blocks(path: str | Path) -> Iterator[str]:
    """Yield the text of a UTF-8 file, 262,144 characters at most each, without a byte order mark.

    Raises FileNotFoundError, and ValueError for an empty file and for what is not UTF-8.

    >>> import rnn, tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     size = file.write(b"to be"); file.flush()
    ...     list(rnn.data.text_blocks(file.name))
    ['to be']
    """
    data = MappedBytes(path)._data
    return (text for _, text, _ in _checked(Path(path), data, _begin(path, data)))


def _begin(path: str | Path, data: Array) -> int:
    """Return where the characters begin, after a byte order mark. Raises ValueError for none."""
    begin = len(BOM_UTF8) if data[: len(BOM_UTF8)].tobytes() == BOM_UTF8 else 0
    if begin == len(data):
        raise ValueError(f"{path} is empty: there is only a byte order mark")
    return begin


def _checked(path: Path, data: Array, begin: int) -> Iterator[tuple[int, str, Array]]:
    """Yield the blocks of a file from a byte on: where each begins, what ends in it, its bytes."""
    decoder = getincrementaldecoder("utf-8")()
    for start in range(begin, len(data), BLOCK):
        block = data[start : start + BLOCK]
        held = len(decoder.getstate()[0])  # bytes of a character that began in the block before
        try:
            text = decoder.decode(block.tobytes(), start + BLOCK >= len(data))
        except UnicodeDecodeError as error:
            place = start - held + error.start
            raise ValueError(f"{path}, byte {place}: not UTF-8: {error.reason}") from error
        yield start, text, block
