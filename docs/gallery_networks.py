"""Train the networks of the gallery: small, seeded, for a moment, on data that is made here.

Below `gallery_parts.py`. All in float64, so that the numbers in the pictures are the same on
every machine.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

import engine
import rnn
from engine import Tensor
from rnn.data import Vocabulary

WORD = "hello "
FARM = ("a dog said woof. ", "a cat said meow. ", "a hen said cluck. ")
CLIP = 1.0


class Speller(rnn.Module):
    """Map a letter to the next letter: embedding, LSTM, linear."""

    def __init__(self, letters: str, hidden: int) -> None:
        self.letters = letters
        self.embedding = rnn.Embedding(len(letters), hidden, dtype="float64")
        self.lstm = rnn.LSTMCell(hidden, hidden, dtype="float64")
        self.head = rnn.Linear(hidden, len(letters), dtype="float64")

    def forward(self, word: str) -> list[Tensor]:
        """Return the loss of every letter but the first, judged after the letters before it."""
        state, losses = None, []
        for t, (letter, following) in enumerate(pairwise(word)):
            with engine.scope(t=t):
                i, j = (np.array([self.letters.index(c)]) for c in (letter, following))
                h, state = self.lstm(self.embedding(engine.asarray(i, name=f"{letter!r}")), state)
                logits, y = self.head(h), engine.asarray(j, name=f"{following!r}")
                with engine.scope("loss"):
                    losses.append(engine.cross_entropy(logits, y))
        return losses


class Recall(rnn.Module):
    """Read numbers, of which one is marked, and say at the end which number that was."""

    def __init__(self, cell: rnn.Cell) -> None:
        self.recurrent = rnn.Recurrent(cell)
        self.head = rnn.Linear(cell.state_size["h"], 1, dtype="float64")

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Map numbers and marks x (T, B, 2), marked numbers y (B, 1) to the mean square error."""
        hs, _ = self.recurrent(x)
        answer = self.head(hs[-1])
        with engine.scope("loss"):
            return engine.mean((answer - y) ** 2)


class Reverser(rnn.Module):
    """Read symbols and say them backwards; every step of the decoder looks at the encoder's."""

    def __init__(self, symbols: int, hidden: int) -> None:
        self.read = rnn.Embedding(symbols, hidden, dtype="float64")
        self.said = rnn.Embedding(symbols + 1, hidden, dtype="float64")
        self.encoder = rnn.GRUCell(hidden, hidden, dtype="float64")
        self.decoder = rnn.GRUCell(2 * hidden, hidden, dtype="float64")
        self.head = rnn.Linear(hidden, symbols, dtype="float64")

    def forward(self, ids: Any) -> list[Tensor]:
        """Map ids (T, B) to the loss of every step of the decoder."""
        h: Any = None
        states, losses = [], []
        for t, own in enumerate(ids):
            with engine.scope(block="encoder", t=t):
                _, h = self.encoder(self.read(engine.asarray(own, name=f"x{t}")), h)
                states.append(h)
        before = engine.asarray(np.full_like(ids[0], self.head.weight.shape[0]), name="start")
        for t, own in enumerate(ids[::-1]):
            with engine.scope(block="decoder", t=t):
                context = self.look(h, states)
                _, h = self.decoder(engine.concat([self.said(before), context], axis=-1), h)
                logits, before = self.head(h), engine.asarray(own, name=f"y{t}")
                with engine.scope("loss"):
                    losses.append(engine.cross_entropy(logits, before))
        return losses

    def look(self, h: Tensor, states: list[Tensor]) -> Tensor:
        """Return the mean of the states (B, H), weighted by how well each fits h."""
        with engine.scope("attention"):
            keys = engine.stack(states, axis=1)
            weights = engine.softmax(engine.linalg.vecdot(keys, engine.expand_dims(h, axis=1)))
            return engine.sum(engine.expand_dims(weights, axis=-1) * keys, axis=1)


class Normed(rnn.Cell):
    """Scale the state of an Elman cell to the length 1; `floor` keeps that from 0 / 0."""

    def __init__(self, I: int, H: int, floor: float = 0.0) -> None:
        self.input_size, self.state_size, self.floor = I, {"h": H}, floor
        self.W = rnn.parameter((H, I), 0.5, dtype="float64")
        self.U = rnn.parameter((H, H), 0.5, dtype="float64")

    def step(self, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        n = engine.tanh(engine.linear(x, self.W) + engine.linear(h, self.U))
        s = engine.sum(n * n, axis=-1, keepdims=True)
        s = s + self.floor if self.floor else s
        h = n / engine.sqrt(s)
        return h, h


@dataclass(frozen=True)
class Trained:
    """Hold a network with the loss and the norm before clipping of the gradient of every update."""

    net: Any
    losses: list[float]
    norms: list[float]


def trained(net: rnn.Module, loss_of: Callable[[int], Tensor], updates: int) -> Trained:
    """Train by Adam with the gradient clipped; `loss_of` gives the loss of update i."""
    optimizer = rnn.optim.Adam(net.parameters(), 1e-2)
    losses, norms = [], []
    for i in range(updates):
        loss = loss_of(i)
        optimizer.zero_grad()
        loss.backward()
        norms.append(float(rnn.clip_grad_norm(optimizer.parameters, CLIP)))
        optimizer.step()
        losses.append(loss.item())
    return Trained(net, losses, norms)


def marked(T: int, B: int, key: int, mark: int | None = None) -> tuple[Tensor, Tensor]:
    """Return numbers with a mark at one, at any step but the last two, and the marked number."""
    draw = np.random.default_rng(key)
    numbers, at = draw.uniform(-1, 1, (T, B)), draw.integers(0, T - 2, B)
    at = at if mark is None else np.full(B, mark)
    marks = (np.arange(T)[:, None] == at).astype("float64")
    x = engine.asarray(np.stack([numbers, marks], axis=-1), name="x")
    return x, engine.asarray(numbers[at, np.arange(B)][:, None], name="y")


def squared(cell: rnn.Cell, steps: int) -> Tensor:
    """Return the squared length of the last state of a cell that reads the same at every step."""
    h = None
    for t in range(steps):
        with engine.scope(t=t):
            h, _ = cell(engine.asarray([[1.0, -1.0]], dtype="float64", name="x"), h)
            loss = engine.sum(h * h)
    return loss


def penalty(found: list[Tensor | None]) -> Tensor:
    """Return the square of the length of a gradient."""
    (g,) = found
    assert g is not None
    return engine.sum(g**2)


def scaled(net: Recall, factor: float) -> Recall:
    """Return a copy of an Elman network with its recurrent weights times `factor`."""
    net = deepcopy(net)
    weight: Tensor = net.recurrent.cell.weight_hh
    weight.data = factor * weight.data
    return net


def mark_of(sequence: tuple[Tensor, Tensor]) -> int:
    """Return the step at which a sequence of one row has its mark."""
    return int(sequence[0].numpy()[:, 0, 1].argmax())


class Networks:
    """Make every network and every loss that a picture is drawn of, once each, by name."""

    @cached_property
    def speller(self) -> Speller:
        engine.seed(0)
        net = Speller("".join(sorted(set(WORD))), 8)
        trained(net, lambda i: engine.mean(engine.stack(net(WORD * 2))), 60)
        return net

    @cached_property
    def losses(self) -> list[Tensor]:
        """Return a loss of the trained speller for each letter of the word."""
        found: list[Tensor] = self.speller(WORD)
        return found

    @cached_property
    def untrained(self) -> Recall:
        engine.seed(0)
        return Recall(rnn.ElmanCell(2, 8, dtype="float64"))

    @cached_property
    def runs(self) -> dict[str, Trained]:
        """Train an Elman network and an LSTM."""
        engine.seed(0)
        elman = _recalling(rnn.ElmanCell(2, 8, dtype="float64"))
        engine.seed(0)
        lstm = _recalling(rnn.LSTMCell(2, 8, forget_bias=1.0, dtype="float64"))
        return {"Elman": elman, "LSTM": lstm}

    @cached_property
    def lstm(self) -> Recall:
        found: Recall = self.runs["LSTM"].net
        return found

    @cached_property
    def five(self) -> tuple[Tensor, Tensor]:
        return marked(5, 1, 3, mark=1)

    @cached_property
    def eight(self) -> tuple[Tensor, Tensor]:
        """Eight numbers, and the marked one."""
        return marked(8, 1, 3, mark=2)

    @cached_property
    def twelve(self) -> tuple[Tensor, Tensor]:
        return marked(12, 1, 3, mark=3)

    @cached_property
    def forty(self) -> tuple[Tensor, Tensor]:
        return marked(40, 1, 5, mark=21)

    @cached_property
    def reverser(self) -> Reverser:
        engine.seed(0)
        net, draw = Reverser(5, 16), np.random.default_rng(0)
        trained(net, lambda i: engine.mean(engine.stack(net(draw.integers(0, 5, (4, 32))))), 200)
        return net

    @cached_property
    def letters(self) -> Vocabulary:
        return Vocabulary.of("".join(FARM), specials=[])

    @cached_property
    def reader(self) -> rnn.LanguageModel:
        """Return a model of the sentences of FARM in any order, 16 rows of 96 letters an update."""
        engine.seed(0)
        net = rnn.LanguageModel(len(self.letters), 8, 16).to(dtype="float64")
        draw = np.random.default_rng(0)

        def loss_of(i: int) -> Tensor:
            texts = ["".join(draw.choice(FARM, 8))[:97] for _ in range(16)]
            ids = np.array([self.letters.encode(text) for text in texts]).T
            return engine.cross_entropy(net(ids[:-1])[0], ids[1:])

        trained(net, loss_of, 300)
        return net


def _recalling(cell: rnn.Cell) -> Trained:
    net = Recall(cell)
    return trained(net, lambda i: net(*marked(12, 32, i)), 400)
