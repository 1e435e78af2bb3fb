"""Make speech, DNA and video for `alignment.py` as they are needed, fixed by the seed and a key.

Each is a batch: x (T, B) or (T, B, I), lengths (B,), and what is to be said. Below it, above
`rnn.data`.
"""

from itertools import zip_longest
from typing import Any

import numpy as np

import engine
from rnn.data import Batch, pad_sequences

SOUNDS, BANDS = 8, 12  # labels of the speech, and numbers of a frame
LETTERS, MOTIFS, MOTIF, MUTATED = 4, 4, 8, 0.15
SIDE, FRAMES, FLICKER = 8, 8, 0.2  # pixels, frames, and the noise of a pixel
WAYS = np.array([(0, 1), (0, -1), (1, 0), (-1, 0)])  # right, left, down, up


def speech(B: int, *key: Any) -> Batch:
    """Return frames (T, B, 12) of spoken labels; y (S, B) of 1 to 8, as 0 is the blank."""
    sounds, draw = known_sounds(), engine.random.generator("speech", *key)
    frames, labels = [], []
    for _ in range(B):
        said = draw.integers(1, SOUNDS + 1, draw.integers(3, 9))
        spoken = [0] * int(draw.integers(0, 3))
        for label, after in zip_longest(said, said[1:]):
            pause = draw.integers(1 if label == after else 0, 3)
            spoken += [int(label)] * int(draw.integers(2, 6)) + [0] * int(pause)
        frames.append(sounds[spoken] + draw.normal(0.0, 1.0, (len(spoken), BANDS)))
        labels.append(said)
    x, lengths = pad_sequences([one.astype(np.float32) for one in frames], 0.0)
    return Batch(x, lengths, pad_sequences(labels)[0])


def known_sounds() -> Any:
    """Return the frames (9, 12) of silence and of the labels, without noise."""
    sounds = engine.random.generator("sounds").normal(0.0, 1.0, (SOUNDS + 1, BANDS))
    sounds[0] = 0.0
    return sounds


def dna(B: int, *key: Any) -> Batch:
    """Return letters (T, B), and the motif in them, y (B,)."""
    draw = engine.random.generator("dna", *key)
    y, rows = draw.integers(0, MOTIFS, B), []
    for motif in known_motifs()[y]:
        letters = draw.integers(0, LETTERS, draw.integers(40, 81))
        place = draw.integers(0, len(letters) - MOTIF + 1)
        other = (motif + draw.integers(1, LETTERS, MOTIF)) % LETTERS
        letters[place : place + MOTIF] = np.where(draw.random(MOTIF) < MUTATED, other, motif)
        rows.append(letters)
    x, lengths = pad_sequences(rows)
    return Batch(x, lengths, y)


def known_motifs() -> Any:
    """Return the motifs (4, 8) of the seed."""
    return engine.random.generator("motifs").integers(0, LETTERS, (MOTIFS, MOTIF))


def video(B: int, *key: Any) -> Batch:
    """Return frames as rows of pixels (T, B, 64), and the direction of the dot, y (B,)."""
    draw = engine.random.generator("video", *key)
    y, t = draw.integers(0, len(WAYS), B), np.arange(FRAMES)[:, None, None]
    row, column = np.moveaxis((draw.integers(0, SIDE, (B, 2)) + WAYS[y] * t) % SIDE, -1, 0)
    x = draw.normal(0.0, FLICKER, (FRAMES, B, SIDE * SIDE)).astype(np.float32)
    np.put_along_axis(x, (row * SIDE + column)[..., None], 1.0, axis=-1)
    return Batch(x, np.full(B, FRAMES), y)
