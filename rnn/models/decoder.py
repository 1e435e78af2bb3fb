"""Write sequences step by step, from a state and with attention: decoders. Above `attention.py`.

`Decoder.advance` is the step that greedy search, sampling and beams share; `Decoder.forward` runs
it over known inputs, or over its own choices. Architectures: Luong et al., Effective approaches to
attention-based neural machine translation, 2015, with input feeding (section 3.3), and Bahdanau et
al., Neural machine translation by jointly learning to align and translate, 2015.
"""

from typing import Any, NamedTuple

import engine
from engine import Tensor
from engine.checks import flag
from engine.stepping import stepping
from rnn.layers.recurrent import Checkpoint
from rnn.models.attention import Attention, Memory
from rnn.models.blocks import Make
from rnn.models.stacks import advanced, checked_states, dropped, integers, made_cells, tie
from rnn.models.teacher_forcing import Feedback
from rnn.modules.feedforward import Embedding, Linear
from rnn.modules.module import Module, positive, probability

ATTEND = ("after", "before")


class DecoderState(NamedTuple):
    """Hold all that a step needs of what was before it; in every tensor the rows are on axis 0.

    `cells` has the state of each layer, `feed` (B, H) is the output that is fed back (input
    feeding), `memory` is what attention looks at.

    >>> import rnn
    >>> [x.shape for x in rnn.Decoder(9, 4, 5).start(batch=2).cells]
    [(2, 5)]
    """

    cells: list[Any]
    feed: Tensor | None = None
    memory: Memory | None = None


class Decoded(NamedTuple):
    """Hold logits (U, B, V), the state after them, and attention's weights (U, B, T), if any.

    >>> import rnn
    >>> decoder = rnn.Decoder(9, 4, 5)
    >>> found = decoder([[1, 2], [3, 4]], decoder.start(batch=2))
    >>> found.logits.shape, found.weights
    ((2, 2, 9), None)
    """

    logits: Tensor
    state: DecoderState
    weights: Tensor | None = None


class Decoder(Module):
    """Embed, run cells, attend, make logits: ``(inputs, state, ratio=1.0, feedback) -> Decoded``.

    The inputs are indices (U, B), the state is one from `start`. `cell` is ``"gru"``, ``"lstm"``,
    ``"rnn"`` or a function of the sizes (I, H) that makes a `Cell`. `attention` is an `Attention`
    of queries of the hidden size; its context c and the output h of the cells make the new output
    tanh(W [c, h]). The query is that output h (`attend` ``"after"``, Luong), and with
    `input_feeding`, the default, the new output is also fed to the next step, beside the embedding.
    Or it is the last layer's first state s before the step (``"before"``, Bahdanau, appendix
    A.2.2): the cells then read [embedding, c] and nothing else is fed back; tanh(W [c, h]) stands
    for the paper's maxout layer of s, c and the embedding.
    Raises ValueError for sizes, shapes and settings that do not fit.

    `ratio` is the share of steps that are fed their input (teacher forcing); the others are fed
    what the decoder has chosen itself one step before, the most probable index or, with `feedback`
    ``"sample"``, a drawn one (Bengio et al., Scheduled sampling for sequence prediction with
    recurrent neural networks, 2015). No gradient goes through the choice. The first step is always
    fed its input; each other step and row tosses a coin of its own, by the seed and the step.

    >>> from rnn.models import Decoder
    >>> decoder = Decoder(9, 4, 5)
    >>> decoder([[1, 2], [3, 4]], decoder.start(batch=2)).logits.shape
    (2, 2, 9)
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding: int,
        hidden: int,
        layers: int = 1,
        *,
        cell: str | Make = "gru",
        attention: Attention | None = None,
        attend: str = "after",
        input_feeding: bool | None = None,
        dropout: float = 0.0,
        tie_weights: bool = False,
        checkpoint: Checkpoint = False,
    ) -> None:
        positive(vocabulary_size=vocabulary_size, embedding=embedding)
        if attention is not None and attention.query != hidden:
            raise ValueError(
                f"Decoder: attention takes queries of {attention.query}, hidden is {hidden}"
            )
        _check_order(attend, attention, input_feeding)
        after = attention is not None and attend == "after"
        fed = input_feeding is None or flag("input_feeding", input_feeding)
        self.attend, self.input_feeding = attend, after and fed
        width = embedding + (hidden if self.input_feeding else 0)
        if attention is not None and attend == "before":
            width = embedding + attention.memory
        self.hidden, self.dropout = hidden, probability("Decoder: dropout", dropout)
        self.checkpoint: Any = checkpoint
        self.embedding = Embedding(vocabulary_size, embedding)
        self.cells = made_cells("Decoder", cell, width, hidden, layers)
        first = next(iter(self.cells[-1].state_size.values()))
        if attend == "before" and first != hidden:
            raise ValueError(
                f"Decoder: attend='before' asks with the cell's first state, which is {first} "
                f"wide, hidden is {hidden}; take another cell or attend='after'"
            )
        self.attention = attention
        self.combine = (
            Linear(attention.memory + hidden, hidden, bias=False) if attention is not None else None
        )
        self.head = Linear(hidden, vocabulary_size)
        if flag("tie_weights", tie_weights):
            tie("Decoder", self.embedding, self.head)

    def start(
        self,
        cells: list[Any] | None = None,
        outputs: Tensor | None = None,
        lengths: Any = None,
        *,
        batch: int | None = None,
    ) -> DecoderState:
        """Return the state to begin with: that of each layer (zeros of a `batch` by default), and
        the outputs (T, B, M) of an encoder to look at, of which row b has ``lengths[b]``.

        Raises ValueError for states of other layers or shapes, without states and a `batch`, and
        where there is attention without outputs, or with lengths that are not in 1 to T.
        """
        like = self.head.weight
        if cells is None:
            if batch is None:
                raise ValueError("Decoder.start: give the states of the cells, or a batch size")
            cells = [cell.zero_state(batch, like=like) for cell in self.cells]
        first = like if not cells else cells[0][0] if isinstance(cells[0], tuple) else cells[0]
        rows = first.shape[0]
        cells = checked_states("Decoder.start", self.cells, cells, rows)
        if self.attention is None:
            return DecoderState(cells)
        if outputs is None:
            raise ValueError("Decoder.start: attention needs the outputs of an encoder")
        with engine.scope(block="decoder"):
            memory = self.attention.prepare(outputs, lengths)
            feed = None
            if self.input_feeding:
                feed = engine.zeros(
                    (rows, self.hidden), dtype=first.dtype, device=like.device, name="feed0"
                )
        return DecoderState(cells, feed, memory)

    def advance(self, indices: Any, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Return one step: indices (B,) -> logits (B, V), and the state. Nothing is dropped.

        Raises ValueError for a state of other layers or another number of rows.
        """
        given = integers(
            "Decoder", "indices", indices, "(B,)", 1, vocabulary=self.embedding.weight.shape[0]
        )
        cells = checked_states("Decoder.advance", self.cells, state.cells, given.shape[0])
        h, cells, _ = self._step(self.embedding(given), cells, state.feed, state.memory, 0.0)
        return self.head(h), state._replace(cells=cells, feed=h if self.input_feeding else None)

    def _step(
        self,
        x: Tensor,
        cells: list[Any],
        feed: Tensor | None,
        memory: Memory | None,
        dropout: float,
    ) -> tuple[Tensor, list[Any], Tensor | None]:
        """Map x (B, E) and what was before to output (B, H), states and weights (B, T)."""
        if memory is not None and self.attend == "before":
            return self._informed(x, cells, memory, dropout)
        if feed is not None:
            with engine.scope("feed"):
                x = engine.concat([x, feed], axis=-1)
        h, cells = advanced(self.cells, x, cells, dropout)
        if memory is None:
            return h, cells, None
        h, weights = self._attended(h, memory)
        return h, cells, weights

    def _informed(
        self, x: Tensor, cells: list[Any], memory: Memory, dropout: float
    ) -> tuple[Tensor, list[Any], Tensor]:
        """Return the same with the context, by the state before, as input of the cells."""
        assert self.attention is not None
        s = cells[-1][0] if isinstance(cells[-1], tuple) else cells[-1]
        context, weights = self.attention(s, memory)
        with engine.scope("feed"):
            x = engine.concat([x, context], axis=-1)
        h, cells = advanced(self.cells, x, cells, dropout)
        return self._combined(context, h), cells, weights

    def _attended(self, h: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Return tanh(W [c, h]) with the context c, and the weights; of one step or of many."""
        assert self.attention is not None
        context, weights = self.attention(h, memory)
        return self._combined(context, h), weights

    def _combined(self, context: Tensor, h: Tensor) -> Tensor:
        assert self.combine is not None
        with engine.scope("combine"):  # one box in pictures
            both = engine.concat([context, h], axis=-1)
            return engine.tanh(engine.linear(both, self.combine.weight))

    def forward(
        self, inputs: Any, state: DecoderState, *, ratio: float = 1.0, feedback: str = "argmax"
    ) -> Decoded:
        given = integers(
            "Decoder", "inputs", inputs, "(U, B)", 2, vocabulary=self.embedding.weight.shape[0]
        )
        choice = Feedback("Decoder", ratio, feedback)
        checked_states("Decoder", self.cells, state.cells, given.shape[1])
        if ratio != 1 and not given.shape[0]:
            raise ValueError(
                f"Decoder: ratio = {ratio} needs a first step to go on from, the inputs are "
                f"{given.shape}; expected (U, B) with U of at least 1"
            )
        with engine.scope(block="decoder"):
            return self._known(given, state) if ratio == 1 else self._own(given, state, choice)

    def _known(self, inputs: Tensor, state: DecoderState) -> Decoded:
        """Run with teacher forcing: all inputs are known, so only what recurs goes step by step."""
        xs = dropped(self, self.embedding(inputs))
        memory = state.memory
        # Attention that is not fed back waits for no step, unless each step is to be seen.
        later = self.attend == "after" and not self.input_feeding and not stepping().explicit
        dropout = self.dropout if self.training else 0.0
        inside = None if later else memory

        def step(before: Any, x: Tensor) -> tuple[Any, Any]:
            h, cells, weights = self._step(x, before[0], before[1], inside, dropout)
            return (cells, h if self.input_feeding else None), (h, weights)

        (cells, feed), (hs, weights) = engine.scan(
            step, (state.cells, state.feed), xs, checkpoint=self.checkpoint
        )
        if later and memory is not None:
            hs, weights = self._attended(hs, memory)
        logits = self.head(dropped(self, hs))
        return Decoded(logits, DecoderState(cells, feed, memory), weights)

    def _own(self, inputs: Tensor, state: DecoderState, choice: Feedback) -> Decoded:
        """Return some or all steps are fed what was chosen one step before."""
        dropout = self.dropout if self.training else 0.0

        def step(before: Any, x: Any) -> tuple[Any, Any]:
            (cells, feed, own), (given, coin, mark) = before, x
            fed = dropped(self, self.embedding(engine.where(coin, given, own)))
            h, cells, weights = self._step(fed, cells, feed, state.memory, dropout)
            logits = self.head(dropped(self, h))
            own = choice(logits, mark)
            return (cells, h if self.input_feeding else None, own), (logits, weights)

        inputs = engine.asarray(inputs, dtype=engine.int64, device=self.head.weight.device)
        first = (state.cells, state.feed, inputs[0])
        xs = (inputs, *choice.drawn(inputs))
        (cells, feed, _), (logits, weights) = engine.scan(
            step, first, xs, checkpoint=self.checkpoint
        )
        return Decoded(logits, DecoderState(cells, feed, state.memory), weights)


def _check_order(attend: str, attention: Attention | None, input_feeding: bool | None) -> None:
    """Raise ValueError for an unknown order, or one that the other settings do not go with."""
    if attend not in ATTEND:
        raise ValueError(f"Decoder: unknown attend {attend!r}; there are {', '.join(ATTEND)}")
    if attend == "before" and attention is None:
        raise ValueError("Decoder: attend='before' has no attention to ask; give one")
    if attend == "before" and input_feeding:
        raise ValueError(
            "Decoder: attend='before' feeds the cells the context and no output besides; "
            "leave input_feeding out, or take attend='after'"
        )
