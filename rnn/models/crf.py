"""Model tags by linear-chain conditional random fields; tell by name which tags may follow others.

Above the modules, below `tagger.py`. All sums run in log space, by one recurrence forward and one
backward. Sources: Lafferty et al., Conditional random fields, 2001; Rabiner, A tutorial on hidden
Markov models, 1989, for the algorithms.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import engine
from engine import Tensor
from engine.backends import HOST
from engine.scan.padding import read_lengths
from rnn.models.stacks import integers, sequence_mask
from rnn.modules.module import Module, parameter, positive

FORBIDDEN = -10000.0  # a score that leaves nothing of a path, and no NaN in the sums as -inf does
SCHEMES = {"BIO": "BI", "IOBES": "BIES"}
Allowed = tuple[list[list[bool]], list[bool], list[bool]]


def constraints(names: Sequence[str], scheme: str) -> Allowed:
    """Return whether tag j may follow tag i, whether a tag may come first, and last.

    ``"BIO"``: I-X only after B-X or I-X. ``"IOBES"``: I-X and E-X only after B-X or I-X, which must
    go on so; S-X is a span of its own. Raises ValueError for unknown schemes and names, and for a
    name that is there twice.

    >>> constraints(["O", "B-X", "I-X"], "BIO")[1]
    [True, True, False]
    """
    if scheme not in SCHEMES:
        raise ValueError(f"CRF: unknown scheme {scheme!r}; there are {', '.join(SCHEMES)}")
    parts = [_part(name, scheme) for name in names]
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise ValueError(f"CRF: tag {twice[0]!r} is there twice; give each name once")
    outside = ("O", "")
    moves = [[_may(i, j, scheme) for j in parts] for i in parts]
    return (
        moves,
        [_may(outside, j, scheme) for j in parts],
        [_may(i, outside, scheme) for i in parts],
    )


def _part(name: str, scheme: str) -> tuple[str, str]:
    """Return ``B-PER`` as its letter and its kind."""
    letter, dash, kind = name.partition("-")
    if name == "O" or (dash and kind and letter in SCHEMES[scheme]):
        return letter, kind
    letters = ", ".join(f"{one}-..." for one in SCHEMES[scheme])
    raise ValueError(f"CRF: {name!r} is no tag of {scheme}; expected O, {letters}")


def _may(i: tuple[str, str], j: tuple[str, str], scheme: str) -> bool:
    """Return whether j may follow i: spans that are open go on, others cannot."""
    open_, goes_on = i[0] in "BI", j[0] in "IE"
    if goes_on:
        return open_ and i[1] == j[1]
    return scheme == "BIO" or not open_


class CRF(Module):
    """Score whole tag sequences: the emissions, and what it is worth that j follows i.

    `transitions` (K, K) from i to j, `start` and `stop` (K,). `tags` is their number, or their
    names, of which `scheme` ``"BIO"`` or ``"IOBES"`` forbids what is no sequence of spans.
    Emissions are (T, B, K) and `lengths` (B,) end each row; without them all rows are whole. Raises
    ValueError for shapes, lengths and tags that do not fit.

    >>> import engine
    >>> from rnn.models import CRF
    >>> CRF(["O", "B-PER", "I-PER"], scheme="BIO").log_partition(engine.zeros((4, 2, 3))).shape
    (2,)
    """

    def __init__(self, tags: int | Sequence[str], *, scheme: str | None = None) -> None:
        self.names: list[str] | None = None
        count: Any = tags
        if isinstance(tags, Iterable) and not isinstance(tags, str):
            self.names = list(tags)
            count = len(self.names)
        positive(tags=count)
        self.tags = int(count)
        if scheme is not None and self.names is None:
            raise ValueError(f"CRF: scheme {scheme!r} goes with the names of the tags")
        self.transitions = parameter((self.tags, self.tags), 0.1)
        self.start = parameter((self.tags,), 0.1)
        self.stop = parameter((self.tags,), 0.1)
        self._allowed = constraints(self.names, scheme) if scheme and self.names else None

    # ---- the scores in force

    def _scores(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return transitions, start and stop, those that are forbidden out of reach."""
        own = (self.transitions, self.start, self.stop)
        if self._allowed is not None:
            own = tuple(
                engine.where(engine.asarray(may, device=like.device), x, FORBIDDEN)
                for may, x in zip(self._allowed, own, strict=True)
            )  # type: ignore[assignment]
        transitions, start, stop = (engine.astype(x, like.dtype) for x in own)
        return transitions, start, stop

    def _given(self, emissions: Any, lengths: Any) -> tuple[Tensor, Tensor]:
        """Return emissions and lengths, checked; the emissions in float64.

        Sums over T steps grow so large that float32 would keep few digits of the differences
        between paths, which are what counts.
        """
        x = emissions if isinstance(emissions, Tensor) else engine.asarray(emissions)
        if x.ndim != 3 or x.shape[-1] != self.tags or not x.size:
            raise ValueError(
                f"CRF: expected emissions (T, B, K) with K = {self.tags}, got {x.shape}"
            )
        T, B, _ = x.shape
        x = engine.astype(x, engine.float64)
        if lengths is None:
            return x, engine.full((B,), T, dtype=engine.int64, device=x.device)
        read_lengths("CRF", lengths, T, B, least=1)
        return x, engine.asarray(lengths, dtype=engine.int64, device=x.device)

    # ---- sums over all sequences

    def log_partition(self, emissions: Any, lengths: Any = None) -> Tensor:
        """Return log of the sum of exp(score) over all tag sequences of each row (B,), in nats."""
        return engine.astype(self._partition(*self._given(emissions, lengths)), _kind(emissions))

    def _partition(self, x: Tensor, ends: Tensor) -> Tensor:
        _, _, stop = self._scores(x)
        return engine.logsumexp(self._forward(x, ends)[0] + stop, axis=-1)

    def _forward(self, x: Tensor, ends: Tensor) -> tuple[Tensor, Tensor]:
        """Return log of the sums over all beginnings up to a tag: at the end, and (T, B, K)."""
        transitions, start, _ = self._scores(x)

        def step(alpha: Tensor, emitted: Tensor) -> tuple[Tensor, Tensor]:
            ways = engine.expand_dims(alpha, axis=-1) + transitions  # (B, i, j)
            alpha = engine.logsumexp(ways, axis=-2) + emitted
            return alpha, alpha

        first = start + x[0]
        with engine.scope("forward"):
            last, rest = engine.scan(step, first, x[1:], lengths=ends - 1)
        return last, engine.concat([engine.expand_dims(first, axis=0), rest], axis=0)

    def _backward(self, x: Tensor, ends: Tensor) -> Tensor:
        """Return log of the sums over all endings that go on from a tag (T, B, K)."""
        transitions, _, stop = self._scores(x)

        def step(beta: Tensor, emitted: Tensor) -> tuple[Tensor, Tensor]:
            ways = transitions + engine.expand_dims(beta + emitted, axis=-2)
            beta = engine.logsumexp(ways, axis=-1)
            return beta, beta

        end = engine.broadcast_to(stop, x.shape[1:])
        with engine.scope("backward"):
            _, rest = engine.scan(step, end, x[1:], reverse=True, lengths=ends - 1)
        whole = engine.concat([rest, engine.zeros_like(x[:1])], axis=0)
        steps = engine.arange(x.shape[0], device=x.device).reshape((-1, 1))
        is_last = engine.expand_dims(steps == ends - 1, axis=-1)
        return engine.where(is_last, stop, whole)

    def marginals(self, emissions: Any, lengths: Any = None) -> Tensor:
        """Return the probability of each tag at each step (T, B, K), 0 past the end of a row.

        By the forward-backward algorithm; the gradient of `log_partition` is the same.
        """
        x, ends = self._given(emissions, lengths)
        last, alpha = self._forward(x, ends)
        total = engine.logsumexp(last + self._scores(x)[2], axis=-1, keepdims=True)
        kept = engine.expand_dims(sequence_mask(ends, x.shape[0], x.device), axis=-1)
        # Past the end it is 0 in the exponent too, so that nothing overflows there.
        inside = engine.where(kept, alpha + self._backward(x, ends) - total, 0.0)
        return engine.astype(engine.where(kept, engine.exp(inside), 0.0), _kind(emissions))

    # ---- one sequence

    def score(self, emissions: Any, tags: Any, lengths: Any = None) -> Tensor:
        """Return the score of the tags (T, B) of each row (B,).

        Raises ValueError for tags that the scheme forbids, IndexError for tags that there are not.
        """
        own = self._score(*self._given(emissions, lengths), tags)
        return engine.astype(own, _kind(emissions))

    def _score(self, x: Tensor, ends: Tensor, tags: Any) -> Tensor:
        given = integers("CRF", "tags", engine.asarray(tags, device=x.device), "(T, B)", 2)
        if given.shape != x.shape[:2]:
            raise ValueError(f"CRF: expected tags (T, B) = {x.shape[:2]}, got {given.shape}")
        kept = sequence_mask(ends, x.shape[0], x.device)
        own = engine.where(kept, given, 0)
        self._check(own, ends)
        transitions, start, stop = self._scores(x)
        emitted = engine.take_along_axis(x, engine.expand_dims(own, axis=-1), axis=-1)
        emitted = engine.sum(engine.where(kept, engine.squeeze(emitted, axis=-1), 0.0), axis=0)
        moves = engine.take(transitions.reshape((-1,)), own[:-1] * self.tags + own[1:])
        moves = engine.sum(engine.where(kept[1:], moves, 0.0), axis=0)
        rows = engine.arange(x.shape[1], device=x.device)
        edges = engine.take(start, own[0]) + engine.take(stop, own[ends - 1, rows])
        return edges + emitted + moves

    def _check(self, tags: Tensor, ends: Tensor) -> None:
        """Raise for tags that there are not, and for such as may not follow each other."""
        own, lengths = tags.numpy(), ends.numpy().tolist()
        if own.min() < 0 or own.max() >= self.tags:
            wrong = int(own[(own < 0) | (own >= self.tags)][0])
            raise IndexError(f"CRF: tag {wrong} of {self.tags}; expected 0 to {self.tags - 1}")
        if self._allowed is None or self.names is None:
            return
        moves, start, stop = self._allowed
        for row, length in enumerate(lengths):
            path = own[:length, row].tolist()
            here = ["the start", *(self.names[k] for k in path), "the end"]
            may = [start[path[0]], *(moves[i][j] for i, j in pairwise(path))]
            for t, allowed in enumerate([*may, stop[path[-1]]]):
                if not allowed:
                    raise ValueError(
                        f"CRF: {here[t + 1]} after {here[t]} in row {row} at t = {t} is no "
                        "sequence of spans; is the data in this scheme?"
                    )

    def log_likelihood(self, emissions: Any, tags: Any, lengths: Any = None) -> Tensor:
        """Return log p (B,) of the tags (T, B), in nats; the loss is the negated mean."""
        x, ends = self._given(emissions, lengths)
        found = self._score(x, ends, tags) - self._partition(x, ends)
        return engine.astype(found, _kind(emissions))

    def viterbi(self, emissions: Any, lengths: Any = None) -> tuple[Tensor, Tensor]:
        """Return the best tags (T, B) of each row, 0 past its end, and their scores (B,).

        Of equal ones that with the smaller tag at the last step where they differ. Raises
        ValueError where NaN leaves no best ones.
        """
        x, ends = self._given(emissions, lengths)
        with engine.no_grad():
            moves, start, stop = (one.numpy() for one in self._scores(x))
        xp, values, last = HOST.xp, x.detach().numpy(), ends.numpy() - 1
        best = start + values[0]
        before = []
        for t, emitted in enumerate(values[1:], 1):
            ways = best[:, :, None] + moves
            before.append(ways.argmax(axis=1))
            best = xp.where((t <= last)[:, None], ways.max(axis=1) + emitted, best)
        best = best + stop
        if xp.isnan(best).any():
            raise ValueError("CRF: the scores hold NaN, so that no tags are best; has it diverged?")
        tags = xp.zeros(values.shape[:2], dtype=xp.int64)
        tag, rows = best.argmax(axis=1), xp.arange(len(last))
        for t in range(len(values) - 1, -1, -1):
            if t < len(before):
                tag = xp.where(t < last, before[t][rows, tag], tag)
            tags[t] = xp.where(t <= last, tag, 0)
        scores = engine.asarray(best.max(axis=1), dtype=_kind(emissions), device=x.device)
        return engine.asarray(tags, device=x.device), scores


def _kind(emissions: Any) -> Any:
    """Return the dtype of what is returned: that of the emissions."""
    given = emissions if isinstance(emissions, Tensor) else engine.asarray(emissions)
    return given.dtype if engine.isdtype(given.dtype, "real floating") else engine.float32
