"""Predict which notes of polyphonic music sound next, given all before: many to many, aligned.

Data: the chorales of J. S. Bach (JSB) at quarter notes, split as published; without them chords of
a random walk. A time step is 88 keys, each sounding or not; a GRU gives each of them a probability.
The figure is the negative log-likelihood of a time step, summed over its keys, in nats, as in
Boulanger-Lewandowski, Bengio and Vincent, Modeling temporal dependencies in high-dimensional
sequences, 2012. The mean is over all steps of all pieces; the first step of a piece, before which
there is silence, is one of them. The epoch is chosen on the validation part.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import engine
import rnn
from engine import Tensor
from examples.data import found
from examples.task import (
    Result,
    begin,
    finish,
    fitted,
    outputs,
    result,
    resumable,
    settled,
    share,
    task_parser,
    validated,
)
from rnn.data import Batch, Batches, padding_mask, read_text

KEYS, LOWEST = 88, 21  # of a piano; 21 is the number of its lowest key in MIDI
NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
CHORDS = ((0, 4, 7), (5, 9, 12), (7, 11, 14), (9, 12, 16))  # I, IV, V and vi of the walk


class Parts(NamedTuple):
    """Hold pieces (T, 88) of zeros and ones: to learn from, to choose by, to judge by."""

    train: list[Any]
    valid: list[Any]
    test: list[Any]


class Pianist(rnn.Module):
    """Map keys (T, B, 88) to logits (T, B, 88) of every key, given the steps before."""

    def __init__(self, hidden: int, dropout: float) -> None:
        self.dropout = dropout
        self.recurrent = rnn.GRU(KEYS, hidden)
        self.head = rnn.Linear(hidden, KEYS)

    def forward(self, keys: Any) -> Tensor:
        x = engine.asarray(keys, device=self.head.weight.device)
        before = engine.concat([engine.zeros_like(x[:1]), x[:-1]], axis=0)
        y, _ = self.recurrent(before)
        logits: Tensor = self.head(engine.dropout(y, self.dropout) if self.training else y)
        return logits


# ---- data


def read(path: Path) -> Parts:
    """Read pieces as lists of steps, each a list of MIDI pitches, by part, from JSON."""
    text = read_text(path)
    try:
        content = json.loads(text)
        parts = Parts(*([keys_of(piece) for piece in content[part]] for part in Parts._fields))
        if not all(part and all(map(len, part)) for part in parts):
            raise ValueError("a part or a piece is empty")
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{path}: expected train, valid and test pieces: {error!r}") from error
    return parts


def keys_of(piece: list[list[int]]) -> Any:
    """Return a piece as zeros and ones (T, 88)."""
    keys = np.zeros((len(piece), KEYS), dtype=np.float32)
    for t, pitches in enumerate(piece):
        for pitch in pitches:
            if not LOWEST <= pitch < LOWEST + KEYS:
                raise ValueError(f"pitch {pitch}; expected {LOWEST} to {LOWEST + KEYS - 1}")
            keys[t, int(pitch) - LOWEST] = 1.0
    return keys


def generated() -> Parts:
    """Make pieces of 24 to 40 chords in C, D, F or G major: a random walk over four, and a bass."""
    draw = engine.random.generator("music")

    def piece() -> Any:
        home, chord, steps = 48 + int(draw.choice([0, 5, 7, 2])), 0, []
        for _ in range(draw.integers(24, 41)):
            notes = [home + 12 + note for note in CHORDS[chord]]
            steps.append([notes[0] - 12, *notes])
            chord = (chord + int(draw.choice([0, 1, 3]))) % len(CHORDS)
        return keys_of(steps)

    return Parts(*([piece() for _ in range(count)] for count in (60, 20, 20)))


# ---- what a step costs


def cost(model: Pianist, batch: Batch) -> Tensor:
    """Return the negative log-likelihood of a batch, summed over keys, steps and pieces."""
    logits = model(batch.x)
    keys = engine.asarray(batch.x, device=logits.device)
    terms = engine.binary_cross_entropy_with_logits(logits, keys, reduction="none")
    kept = engine.asarray(padding_mask(batch.lengths).astype(np.float32), device=logits.device)
    return engine.sum(engine.sum(terms, axis=-1) * kept)


def loss(model: Pianist, batch: Batch) -> Tensor:
    """Return the mean of that cost over the steps."""
    return cost(model, batch) / float(batch.lengths.sum())


def measured(model: Pianist, pieces: list[Any]) -> float:
    """Return the mean over all steps of all pieces, in evaluation mode."""
    with engine.no_grad():
        costs = (cost(model.eval(), batch).item() for batch in batches(pieces, 64, False))
        total: float = sum(costs)
    return total / sum(map(len, pieces))


def batches(pieces: list[Any], size: int, shuffle: bool = True) -> Batches:
    """Put pieces of one length side by side; steps after an end are silent."""
    return Batches(pieces, batch_size=size, pad=0.0, shuffle=shuffle)


def baselines(parts: Parts) -> dict[str, float]:
    """Return the cost of a step by how often a key sounds, and by that and whether it
    sounded one step before.
    """
    train, test = (
        [np.concatenate([np.zeros((1, KEYS)), piece]) for piece in part]
        for part in (parts.train, parts.test)
    )
    before, after = (np.concatenate([p[cut] for p in train]) for cut in (np.s_[:-1], np.s_[1:]))
    seen, now = (np.concatenate([p[cut] for p in test]) for cut in (np.s_[:-1], np.s_[1:]))
    often = (after.sum(axis=0) + 1) / (len(after) + 2)  # none is impossible
    on = ((before * after).sum(axis=0) + often) / (before.sum(axis=0) + 1)
    off = (((1 - before) * after).sum(axis=0) + often) / ((1 - before).sum(axis=0) + 1)

    def nats(p: Any) -> float:
        return float(-np.log(np.where(now > 0, p, 1 - p)).sum(axis=-1).mean())

    return {"frequencies": nats(often), "step before": nats(np.where(seen > 0, on, off))}


# ---- training


def run(options: argparse.Namespace) -> Result:
    """Train, choose the epoch by the validation part, measure on the test part."""
    return ran(options)[0]


def ran(options: argparse.Namespace) -> tuple[Result, Pianist]:
    """Do the same as `run`, and return the model too."""
    began = begin(options)
    path = options.data or (None if options.fast else found(DATA))
    if path is None:
        print("no data given: learning from chords of a random walk")
    parts = generated() if path is None else read(path)
    model = Pianist(options.hidden, options.dropout).to(options.device)
    history = fitted(
        "music",
        model,
        batches(parts.train, options.batch),
        loss,
        optimizer=rnn.optim.Adam(model.parameters(), options.lr),
        epochs=options.epochs,
        evaluate=lambda _: {"nats": measured(model, parts.valid)},
        monitor="nats",
        patience=options.patience,
        clip_norm=5.0,
        **outputs(options),
    )
    own = {"nats": measured(model, parts.test), "valid": measured(model, parts.valid)}
    own |= baselines(parts)
    return result("music", options, began, own, history, validated(history, "nats")), model


def played(model: Pianist, steps: int) -> list[list[str]]:
    """Let the model play: at each step it draws every key by its probability."""
    device = model.head.weight.device
    found, state, x = [], None, engine.zeros((1, 1, KEYS), device=device)
    for t in range(steps):
        with engine.no_grad():
            y, state = model.recurrent(x, state)
            odds = engine.sigmoid(model.head(y)).numpy()
        keys = engine.random.generator("played", t).random(odds.shape) < odds
        x = engine.asarray(keys.astype(np.float32), device=device)
        pitches = (np.flatnonzero(keys) + LOWEST).tolist()
        found.append([f"{NAMES[pitch % 12]}{pitch // 12 - 1}" for pitch in pitches])
    return found


def tell(options: argparse.Namespace) -> None:
    """Print the figures, and some steps that the model plays."""
    kept, model = ran(options)
    own = kept["figures"]
    print(
        f"test: {own['nats']:.4f} nats a time step (validation {own['valid']:.4f}) after "
        f"{kept['steps']:,} updates in {kept['seconds']:.0f} s; how often each key sounds alone: "
        f"{own['frequencies']:.2f}, and whether it sounded before: {own['step before']:.2f}"
    )
    chords = (" ".join(step) or "-" for step in played(model, options.sample))
    print("it plays:", "  |  ".join(chords))


def main(arguments: list[str] | None = None) -> int:
    """Train, measure, play. Returns the exit status."""
    return finish("music", lambda: tell(parse(arguments)))


DATA = "jsb-chorales/jsb-chorales-quarter.json.gz"
FAST = {"hidden": 32, "batch": 8, "epochs": 30, "lr": 2e-2, "dropout": 0.1, "patience": 10}


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the options of the command line."""
    parser = task_parser("music", __doc__)
    add, number = parser.add_argument, parser.number
    add("--data", type=Path, metavar="FILE", help=f"JSON, plain or .gz ({DATA})")
    number("--hidden", default=400, help="hidden units")
    add("--dropout", type=share, default=0.5, help="between the layer and the keys (0.5)")
    number("--batch", default=8, help="pieces of an update")
    number("--epochs", default=200, help="at most so many")
    number("--patience", default=10, help="epochs without a better one")
    number("--lr", default=3e-3, help="learning rate of Adam")
    number("--sample", default=8, help="steps to play")
    resumable(parser)
    return settled(parser, arguments, FAST)


if __name__ == "__main__":
    sys.exit(main())
