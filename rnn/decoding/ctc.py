"""Read labels off frames that were trained by `engine.ctc_loss`. Beside `beam.py`.

Sources: Graves et al., Connectionist temporal classification, 2006, section 3.2; the search over
prefixes as in Hannun et al., First-pass large vocabulary continuous speech recognition using
bi-directional recurrent DNNs, 2014, without a language model.
"""

import math
from itertools import groupby
from typing import Any

import engine
from engine import Tensor
from engine.backends import HOST, Array
from engine.checks import is_whole
from rnn.decoding.beam import Hypothesis, check_width
from rnn.modules.module import positive

NEVER = -math.inf
Prefix = tuple[int, ...]


def ctc_decode(
    log_probs: Any, lengths: Any = None, *, blank: int = 0, width: int | None = None
) -> list[list[int]]:
    """Return the labels of rows of log probabilities (T, B, V); row b has ``lengths[b]``.

    Without a `width` those of the most probable path, with one the most probable labels that
    `ctc_beam_search` finds. Raises ValueError for shapes and settings that do not fit, and for
    NaN and inf within the lengths.

    >>> import engine
    >>> from rnn.decoding import ctc_decode
    >>> ctc_decode(engine.log(engine.asarray([[[0.1, 0.9]], [[0.2, 0.8]], [[0.6, 0.4]]])))
    [[1]]
    """
    if width is not None:
        found = ctc_beam_search(log_probs, lengths, blank=blank, width=width)
        return [row[0].indices if row else [] for row in found]
    frames = _frames("ctc_decode", log_probs, lengths, blank)
    paths = [row.argmax(axis=-1).tolist() for row in frames]
    return [[label for label, _ in groupby(path) if label != blank] for path in paths]


def ctc_beam_search(
    log_probs: Any, lengths: Any = None, *, blank: int = 0, width: int = 16, n_best: int = 1
) -> list[list[Hypothesis]]:
    """Return the `n_best` most probable labels of each row, best first, over all paths.

    Of `log_probs` (T, B, V), row b up to ``lengths[b]``, `width` prefixes are kept from frame to
    frame; exact where it leaves nothing out. A row of which a frame has no probability at all has
    none. Scores are in nats. Raises as `ctc_decode`, and ValueError for an `n_best` beyond `width`.

    >>> import engine
    >>> from rnn.decoding import ctc_beam_search
    >>> frames = engine.log(engine.asarray([[[0.6, 0.4]], [[0.6, 0.4]]]))
    >>> ctc_beam_search(frames)[0][0].indices  # [] has 0.36, [1] 0.64 over three paths
    [1]
    """
    positive(width=width, n_best=n_best)
    check_width("ctc_beam_search", width, n_best)
    frames = _frames("ctc_beam_search", log_probs, lengths, blank)
    return [_search(row, blank, width)[:n_best] for row in frames]


def _frames(name: str, log_probs: Any, lengths: Any, blank: int) -> list[Array]:
    """Return the frames (T, V) of each row, as arrays of the host. Raises for what does not fit."""
    x = log_probs if isinstance(log_probs, Tensor) else engine.asarray(log_probs)
    if x.ndim != 3 or not x.shape[-1]:
        raise ValueError(f"{name}: expected log_probs (T, B, V), got {x.shape}")
    T, B, V = x.shape
    if not is_whole(blank, 0) or blank >= V:
        raise ValueError(f"{name}: blank {blank!r} for {V} classes; expected 0 to {V - 1}")
    own = [T] * B if lengths is None else engine.asarray(lengths).numpy().tolist()
    if not isinstance(own, list) or len(own) != B:
        raise ValueError(f"{name}: expected {B} lengths, one for each row, got {lengths!r}")
    if wrong := [n for n in own if not isinstance(n, int) or not 0 <= n <= T]:
        raise ValueError(f"{name}: lengths have {wrong[0]!r} for {T} frames; expected 0 to {T}")
    values = engine.astype(x.detach(), engine.float64).numpy()
    rows = [values[:n, b] for b, n in enumerate(own)]
    for b, row in enumerate(rows):
        for odd, there in (("NaN", HOST.xp.isnan(row)), ("inf", row == math.inf)):
            if there.any():
                raise ValueError(
                    f"{name}: log_probs have {odd} in row {b}; has the training diverged?"
                )
    return rows


def _search(frames: Array, blank: int, width: int) -> list[Hypothesis]:
    """Return the prefixes that are left after the last frame, the most probable first. Of each
    prefix it keeps the log probability of its paths that end in a blank, and of the others.
    """
    beam: dict[Prefix, tuple[float, float]] = {(): (0.0, NEVER)}
    for frame in frames.tolist():
        paths: dict[Prefix, list[list[float]]] = {}
        for prefix, (blanks, labels) in beam.items():
            both = _added([blanks, labels])
            for label, p in enumerate(frame):
                if p == NEVER:
                    continue
                if label == blank:
                    paths.setdefault(prefix, [[], []])[0].append(both + p)
                    continue
                again = prefix[-1:] == (label,)
                if again:  # the same label goes on; a new one needs a blank before it
                    paths.setdefault(prefix, [[], []])[1].append(labels + p)
                longer = (*prefix, label)
                paths.setdefault(longer, [[], []])[1].append((blanks if again else both) + p)
        sums = {prefix: (_added(a), _added(b)) for prefix, (a, b) in paths.items()}
        possible = [entry for entry in sums.items() if max(entry[1]) > NEVER]
        beam = dict(sorted(possible, key=_order)[:width])
    ranked = [(prefix, _added(list(two))) for prefix, two in sorted(beam.items(), key=_order)]
    return [Hypothesis(list(prefix), p, p) for prefix, p in ranked]


def _order(entry: tuple[Prefix, tuple[float, float]]) -> tuple[float, Prefix]:
    """Return the most probable first, of equals the one with smaller labels."""
    return -_added(list(entry[1])), entry[0]


def _added(logs: list[float]) -> float:
    """Return log of the sum of what these are logarithms of."""
    top = max(logs, default=NEVER)
    if top == NEVER:
        return NEVER
    return top + math.log(math.fsum(math.exp(x - top) for x in logs))
