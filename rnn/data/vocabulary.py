"""Turn tokens into indices and back. Above `rnn.serialization`, below all that reads or batches."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, Self

from engine.backends import HOST, Array
from engine.checks import is_whole
from rnn.modules.values import whole
from rnn.serialization.files import replace_files

ROLES = ("pad", "unk", "bos", "eos")
FORMAT, VERSION = "bptt vocabulary", 1
Specials = Sequence[str] | Mapping[str, str]


class Vocabulary:
    """Map tokens to indices and back: the special ones first, then the others in the order given.

    `specials` are the roles that there are, of "pad", "unk", "bos" and "eos"; their tokens are
    ``"<pad>"`` and so on; or a mapping of roles to tokens of your own. The attributes `pad`, `unk`,
    `bos` and `eos` are the indices of these tokens, None for roles that there are not. Raises
    ValueError for a token that is there twice or an unknown role, TypeError for what is no text.

    >>> import rnn.data
    >>> v = rnn.data.Vocabulary.of("abracadabra", specials=["unk"])
    >>> v.tokens, v.encode("bad!").tolist()
    (('<unk>', 'a', 'b', 'r', 'c', 'd'), [2, 1, 5, 0])
    """

    def __init__(self, tokens: Iterable[str], *, specials: Specials = ROLES) -> None:
        if isinstance(tokens, str):
            raise TypeError(
                f"Vocabulary: expected a list of tokens, got the text {_begun(tokens)}; for its "
                "characters take Vocabulary.of(text)"
            )
        self.specials = _roles(specials)
        shared = dict.fromkeys(self.specials.values())  # two roles may have one token
        self.tokens = (*shared, *tokens)
        self._first = len(shared)  # the index of the first ordinary token
        if odd := [token for token in self.tokens if not isinstance(token, str)]:
            raise TypeError(f"Vocabulary: tokens must be text, got {odd[0]!r}")
        self._numbers = {token: number for number, token in enumerate(self.tokens)}
        if len(self._numbers) != len(self.tokens):
            twice = next(t for t, count in Counter(self.tokens).items() if count > 1)
            raise ValueError(
                f"Vocabulary: token {twice!r} is there twice; Vocabulary.of(tokens) counts them"
            )
        self.pad, self.unk, self.bos, self.eos = map(self._special, ROLES)
        self._codes: Array | None = None  # the index of every one-character token by code point

    @classmethod
    def of(
        cls,
        source: Iterable[Any],
        *,
        min_count: int = 1,
        max_size: int | None = None,
        specials: Specials = ROLES,
    ) -> Self:
        """Return the tokens of a source, the most frequent first, ties by alphabet.

        The source is a text (its characters are the tokens), tokens, lists of tokens, or a mapping
        of tokens to counts. So the order depends on the counts alone, not on where a token stands
        (by alphabet means by code points). Tokens seen less than `min_count` times are left out,
        and so are the rarest beyond `max_size` tokens, special ones included.
        In a list of texts each text is one token: for the characters of many texts take
        ``Vocabulary.of(map(list, texts))`` or ``Vocabulary.of("".join(texts))``.
        Raises ValueError for sizes that are none, TypeError for tokens that are no text.
        """
        roles = _roles(specials)
        taken = dict.fromkeys(roles.values())
        min_count = whole("Vocabulary.of", "min_count", min_count)
        if max_size is not None:
            max_size = whole("Vocabulary.of", "max_size", max_size, max(1, len(taken)))
        counts = _counted(source)
        if odd := [token for token in counts if not isinstance(token, str)]:
            raise TypeError(f"Vocabulary.of: tokens must be text, got {odd[0]!r}")
        tokens = [t for t, count in counts.items() if count >= min_count and t not in taken]
        tokens.sort(key=lambda token: (-counts[token], token))
        room = len(tokens) if max_size is None else max_size - len(taken)
        return cls(tokens[:room], specials=roles)

    # ---- look-ups

    def __len__(self) -> int:
        return len(self.tokens)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._numbers

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return self.tokens == other.tokens and self.specials == other.specials

    def __hash__(self) -> int:
        return hash(self.tokens)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} tokens, specials={self.specials})"

    @property
    def ordinary(self) -> tuple[str, ...]:
        """Return the tokens that are not special, in order: what `Vocabulary` was made of."""
        return self.tokens[self._first :]

    def index(self, token: str) -> int:
        """Return the index of a token, `unk` for one that is not there.

        Raises ValueError for one that is not there where there is no `unk`.
        """
        number = self._numbers.get(token, self.unk)
        if number is None:
            raise ValueError(f"Vocabulary: {token!r} is no token, {self._hint()}")
        return number

    def token(self, index: int) -> str:
        """Return the token of an index. Raises IndexError for one outside of the vocabulary."""
        if not 0 <= index < len(self.tokens):
            raise IndexError(f"Vocabulary: index {index}; expected 0 to {len(self) - 1}")
        return self.tokens[index]

    # ---- sequences

    def encode(self, tokens: Iterable[str], *, bos: bool = False, eos: bool = False) -> Array:
        """Return the indices (T,) of tokens, or of the characters of a text, as an array of int64.

        With `bos` and `eos` these tokens are put before and after. Raises ValueError for a token
        that is not there where there is no `unk`, and for a special token that there is not;
        TypeError for a text where some token, special ones apart, is longer than a character.
        """
        xp = HOST.xp
        inner = self._characters(tokens) if isinstance(tokens, str) else self._listed(tokens)
        ends = [self._needed("bos")] if bos else [], [self._needed("eos")] if eos else []
        if not bos and not eos:
            return inner
        return xp.concatenate([xp.asarray(ends[0], xp.int64), inner, xp.asarray(ends[1], xp.int64)])

    def decode(self, indices: Any, *, clean: bool = False) -> list[str]:
        """Return the tokens of indices (T,); ``"".join`` makes characters a text again.

        With `clean` it ends at the first EOS and leaves out all special tokens but UNK, as is
        wanted of generated text. Raises IndexError for an index outside of the vocabulary.
        """
        given = integers("Vocabulary.decode", indices)
        if clean:
            end = given.index(self.eos) if self.eos in given else len(given)
            silent = [self._numbers[t] for role, t in self.specials.items() if role != "unk"]
            given = [i for i in given[:end] if i not in silent]
        return [self.token(i) for i in given]

    def _characters(self, text: str) -> Array:
        """Return the indices of characters, all at once by a table over code points."""
        xp = HOST.xp
        if self._codes is None:
            ordinary = self.ordinary
            if longer := [token for token in ordinary if len(token) != 1]:
                raise TypeError(
                    f"Vocabulary.encode: expected a list of tokens, as {_begun(longer[0])} is no "
                    f"single character, got the text {_begun(text)}; cut it first: words(text)"
                )
            single = {ord(t): number for t, number in self._numbers.items() if len(t) == 1}
            codes = xp.full(max(single, default=0) + 2, -1, dtype=xp.int64)
            codes[list(single)] = list(single.values())
            self._codes = codes  # its last place is -1, for all that lies beyond
        points = xp.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
        found = self._codes[xp.minimum(points, len(self._codes) - 1)]
        return self._known(found, text)

    def _listed(self, tokens: Iterable[str]) -> Array:
        """Return the indices of listed tokens."""
        listed = tokens if isinstance(tokens, list | tuple) else list(tokens)
        numbers = map(self._numbers.get, listed, repeat(-1))
        return self._known(HOST.xp.fromiter(numbers, HOST.xp.int64, len(listed)), listed)

    def _known(self, found: Array, tokens: Sequence[str]) -> Array:
        """Return the same with UNK where there is -1, in place."""
        missing = HOST.xp.flatnonzero(found < 0)
        if not missing.size:
            return found
        if not isinstance(tokens, str):
            for place in missing.tolist():
                if not isinstance(tokens[place], str):
                    raise TypeError(
                        f"Vocabulary.encode: tokens must be text, got {tokens[place]!r} at {place}"
                    )
        if self.unk is None:
            place = int(missing[0])
            raise ValueError(
                f"Vocabulary.encode: {tokens[place]!r} at {place} is no token, {self._hint()}"
            )
        found[missing] = self.unk
        return found

    def _special(self, role: str) -> int | None:
        return self._numbers[self.specials[role]] if role in self.specials else None

    def _needed(self, role: str) -> int:
        number = self._special(role)
        if number is None:
            raise ValueError(f"Vocabulary.encode: there is no {role}; make it with specials=")
        return number

    def _hint(self) -> str:
        return (
            f"and there is no unk among the {len(self)}; make the vocabulary with specials=['unk']"
        )

    # ---- files

    def save(self, path: str | Path) -> None:
        """Write the vocabulary as JSON, whole or not at all. Raises OSError where it cannot."""
        body = {
            "format": FORMAT,
            "version": VERSION,
            "specials": self.specials,
            "tokens": self.ordinary,
        }
        replace_files({Path(path): json.dumps(body, indent=1).encode() + b"\n"})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return the vocabulary that `save` wrote.

        Raises FileNotFoundError where there is none, ValueError for a file that is damaged.
        """
        try:
            body = json.loads(Path(path).read_bytes())
            if not isinstance(body, dict) or body.get("format") != FORMAT:
                raise ValueError(f"expected the format {FORMAT!r}")
            if body.get("version") != VERSION:
                raise ValueError(f"version {body.get('version')!r} is not {VERSION}")
            specials, tokens = body.get("specials"), body.get("tokens")
            if not isinstance(specials, dict) or not isinstance(tokens, list):
                raise ValueError("expected specials by role and a list of tokens")
            return cls(tokens, specials=specials)
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"Vocabulary.load: {path} is no vocabulary: {error}") from error


def _begun(text: str) -> str:
    """Return a text as an error shows it: not all of a book."""
    return repr(text) if len(text) <= 20 else f"{text[:20]!r}..."


def _roles(specials: Specials) -> dict[str, str]:
    """Return the special tokens by role, in the order given."""
    if isinstance(specials, str):
        raise TypeError(f"Vocabulary: specials={specials!r}; expected a list of roles or a mapping")
    if isinstance(specials, Mapping):
        roles = dict(specials)
    else:
        roles = {role: f"<{role}>" for role in specials}
    if unknown := [role for role in roles if role not in ROLES]:
        raise ValueError(f"Vocabulary: unknown role {unknown[0]!r}; there are {', '.join(ROLES)}")
    return roles


def _counted(source: Iterable[Any]) -> Counter[Any]:
    """Return how often each token is there."""
    if isinstance(source, str | Mapping):
        return Counter(source)
    counts: Counter[Any] = Counter()
    for part in source:
        if isinstance(part, str):
            counts[part] += 1
        elif isinstance(part, Iterable):
            _count(counts, part)
        else:
            raise TypeError(f"Vocabulary.of: expected tokens or lists of tokens, got {part!r}")
    return counts


def _count(counts: Counter[Any], part: Iterable[Any]) -> None:
    """Count the tokens of a list. Raises TypeError for lists in it."""
    try:
        counts.update(part)
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
        raise TypeError(
            "Vocabulary.of: expected tokens or lists of tokens, got lists within lists; join them "
            f"first ({error})"
        ) from error


def integers(where: str, indices: Any) -> list[int]:
    """Return indices of an array, a tensor or Python as a list. Raises TypeError for others."""
    listed: Any = indices.numpy() if hasattr(indices, "numpy") else indices
    listed = listed.tolist() if hasattr(listed, "tolist") else listed
    if not isinstance(listed, Iterable) or not all(map(is_whole, listed := list(listed))):
        raise TypeError(f"{where}: expected integers (T,), got {indices!r}")
    return list(map(int, listed))
