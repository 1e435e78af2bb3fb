"""Shade a text by how far each character moves a logit, with its page: `draw_influence`.

Above the other files of `viz.influence`.
"""

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import networkx as nx

from engine.checks import is_whole
from engine.suggestions import advised
from viz.analysis.sampling import chosen_steps
from viz.checks import check_names, check_title, check_width, shown
from viz.diagram import Diagram, _write
from viz.influence.norms import NAME, Influence, norms_of, output_at, read, smallest
from viz.influence.page import page
from viz.influence.scene import LEAST, scene
from viz.instead import DRAWINGS

FRAME = 560  # pixels: the height of the page within a notebook


class InfluenceDiagram(Diagram):
    """Show a shaded text: the picture has one t, the page lets its reader choose.

    `influence` holds all norms, `graph` an edge from k to t with each `norm` that is not zero.
    """

    def __init__(self, influence: Influence, t: int, *, title: str, width: float) -> None:
        super().__init__(
            scene(influence, t, title=title, width=width), lambda: influence_graph(influence)
        )
        self.influence, self.t, self._heading = influence, t, title

    def page(self) -> str:
        """Return the page as text, one HTML file that needs nothing else."""
        return page(self.influence, self.t, title=self._heading)

    def to_html(self, path: str | Path) -> Path:
        """Write the page. Raises OSError where it cannot be written; what was there then stays."""
        return _write(Path(path), self.page().encode())

    def _text(self, suffix: str) -> str:
        return self.page() if suffix == ".html" else super()._text(suffix)

    def _repr_html_(self) -> str:
        """Return the page in a frame."""
        return (
            f'<iframe srcdoc="{escape(self.page(), quote=True)}" sandbox="allow-scripts" '
            f'title="{escape(self.scene.title)}" style="width:100%;height:{FRAME}px;border:0">'
            "</iframe>"
        )


@advised(DRAWINGS)
def draw_influence(
    model: Callable[..., Any],
    text: str | Sequence[str],
    t: int | None = None,
    *,
    vocabulary: Any,
    embedding: Any = None,
    follows: bool | None = None,
    names: Sequence[str] | None = None,
    max_positions: int = 400,
    width: float = 800,
    title: str = "",
) -> InfluenceDiagram:
    """Draw a text with each token k shaded by the norm of d logit / d x_k, for the logit at t.

    The logit is that of the token which follows in the text; after the last one, and with
    ``follows=False``, the largest. x_k is the vector that `embedding` (``model.embedding`` by
    default) returns for token k, and d the total derivative: through all states and all other
    inputs that depend on it. Norms are exact, a backward pass for each t, in evaluation mode; what
    comes after t is exactly zero where the model is causal, and drawn so. Shades go by decades.

    `model` maps indices (T, 1) to logits (T, 1, V), alone or first in a tuple, as `LanguageModel`
    and `Tagger` do; for a tagger give the `names` of its tags. `vocabulary` has `encode` and
    `token`, as `rnn.data.Vocabulary` has; `text` is anything that it encodes. The page can show
    every t, or of more than `max_positions` so many, evenly apart; the picture shows `t`, by
    default the last. `width` is in pixels, 680 or more, for the scale of shades. Raises ValueError
    for a text without tokens, for logits of other shapes, and for other numbers of names,
    IndexError for a t outside of the text, TypeError for a model without an embedding.

    >>> import rnn, viz
    >>> from rnn.data import Vocabulary
    >>> v = Vocabulary.of("to be or not", specials=[])
    >>> d = viz.draw_influence(rnn.models.LanguageModel(len(v), 4, 8), "to be", vocabulary=v)
    >>> d.graph.number_of_edges(), len(d.influence.times)
    (15, 5)
    """
    width = check_width(NAME, width, LEAST)
    check_title(NAME, title)
    if not (hasattr(vocabulary, "encode") and hasattr(vocabulary, "token")):
        raise TypeError(
            f"{NAME}: expected a vocabulary with `encode` and `token`, got {shown(vocabulary)}"
        )
    if names is not None:
        check_names(NAME, "names", names)
    if not is_whole(max_positions) or max_positions < 1:
        raise ValueError(f"{NAME}: max_positions must be at least 1, got {max_positions!r}")
    ids = [int(i) for i in vocabulary.encode(text)]
    chosen = _position(t, len(ids))
    times = _times(len(ids), max_positions, chosen)
    found = influence(
        model, text, ids, times, vocabulary, embedding=embedding, follows=follows, names=names
    )
    return InfluenceDiagram(found, chosen, title=title, width=width)


def influence(
    model: Callable[..., Any],
    text: str | Sequence[str],
    ids: Sequence[int],
    times: Sequence[int],
    vocabulary: Any,
    *,
    embedding: Any,
    follows: bool | None,
    names: Sequence[str] | None,
) -> Influence:
    """Compute the norms of a text at the steps `times`."""
    reading = read(model, embedding, ids)
    V = reading.logits.shape[-1]
    if follows is None:  # is there a logit for each token? then they are those of a language model
        follows = names is None and len(vocabulary) == V
    if follows and len(vocabulary) > V:
        raise ValueError(
            f"{NAME}: {V} logits for a vocabulary of {len(vocabulary)} tokens; give the vocabulary "
            "of the model, or follows=False where its logits are no tokens"
        )
    name = vocabulary.token if follows or (names is None and len(vocabulary) == V) else str
    if names is not None:
        check_names(NAME, "logits", names, V)
        name = list(names).__getitem__
    outputs = [output_at(reading, t, ids, name, follows=follows) for t in times]
    norms = [norms_of(reading, t, output.place) for t, output in zip(times, outputs, strict=True)]
    single = isinstance(text, str) and len(text) == len(ids)
    pieces = list(text) if len(text) == len(ids) else [str(vocabulary.token(i)) for i in ids]
    unit = "character" if single else "token"
    return Influence(
        tuple(pieces), unit, tuple(times), tuple(outputs), tuple(norms),
        smallest(reading), follows,
    )  # fmt: skip


def _position(t: int | None, T: int) -> int:
    """Return t counted from the beginning, the last by default."""
    if not T:
        raise ValueError(f"{NAME}: the text has no tokens; give at least one")
    if t is None:
        return T - 1
    if not is_whole(t):
        raise TypeError(f"{NAME}: t must be a whole number, got {t!r}")
    if not -T <= t < T:
        raise IndexError(
            f"{NAME}: t = {t} lies outside of a text of {T} tokens; give one from {-T} to {T - 1}"
        )
    return int(t) % T


def _times(T: int, most: int, chosen: int) -> list[int]:
    """Return at most `most` steps, evenly apart, the chosen one among them."""
    if most == 1:
        return [chosen]
    times = chosen_steps(range(T), most)
    if chosen not in times:  # in the place of its neighbour
        times[min(range(len(times)), key=lambda i: abs(times[i] - chosen))] = chosen
    return times


def influence_graph(found: Influence) -> nx.MultiDiGraph:
    """Return a node for each token, and an edge from k to t for each norm that is not zero."""
    graph = nx.MultiDiGraph(quantity="norm of d logit_t / d x_k")
    logits = dict(zip(found.times, found.outputs, strict=True))
    for k, piece in enumerate(found.pieces):
        of = logits.get(k)
        graph.add_node(k, kind=found.unit, name=piece, t=k, of=of.token if of else None,
                       logit=of.logit if of else None)  # fmt: skip
    for t, row in zip(found.times, found.norms, strict=True):
        graph.add_edges_from((k, t, {"norm": norm}) for k, norm in enumerate(row) if norm != 0)
    return graph
