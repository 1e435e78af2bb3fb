"""Write a sentence about a picture, from the vector of its features: one to many.

Data, generated: a scene is two things, each with a size, a colour and a shape, one beside, above
or below the other; its caption is "a small red circle above a large blue square". The features are
what a network that has seen the picture might say: sizes, colours as red, green and blue, marks of
the shapes and of the place, mixed by two random layers of tanh, with noise on top. A fifth of all
scenes is the test and a tenth the validation, so no tested scene was ever trained on.

The model is a `Captioner`: the features make the first state of a decoder, which reads the words
before. The figure is the share of test scenes with a caption that is right in every word. The floor
is a linear map from the features to the words, one for each place in the sentence, by least
squares.
"""

import argparse
import math
import sys
from itertools import product
from typing import Any, NamedTuple

import numpy as np

import engine
import rnn
from engine import Tensor
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
from rnn.data import ArrayBatches, Batch, Vocabulary
from rnn.models import Captioner, Decoder

SIZES = {"small": 0.3, "large": 0.8}
COLOURS = {
    "red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0),
    "white": (1, 1, 1), "black": (0, 0, 0),
}  # fmt: skip
SHAPES = ("circle", "square", "triangle", "star")
PLACES = {"beside": (1, 0), "above": (0, 1), "below": (0, -1)}
THINGS = list(product(SIZES, COLOURS, SHAPES))
LIMIT = 12  # words; the longest caption has 9
SHOWN = 5  # captions that are printed
VALIDATED = 8  # times in a run


class Scenes(NamedTuple):
    """Hold features (N, F) of scenes, and their captions as indices (N, U), each with its end."""

    features: Any
    captions: Any


class Parts(NamedTuple):
    """Hold scenes to learn from, to choose by, to judge by, and the words."""

    train: Scenes
    valid: Scenes
    test: Scenes
    words: Vocabulary


# ---- data


def raw(thing: tuple[str, str, str]) -> list[float]:
    """Return a thing as numbers: size, colour, shape."""
    size, colour, shape = thing
    return [SIZES[size], *COLOURS[colour], *(float(shape == one) for one in SHAPES)]


def scenes(size: int, noise: float) -> Parts:
    """Return all scenes, in random order, in three parts; features (N, size) with noise."""
    draw = engine.random.generator("captions")
    every = list(product(THINGS, PLACES, THINGS))
    every = [every[i] for i in draw.permutation(len(every))]
    seen = np.array([[*raw(a), *raw(b), *PLACES[place]] for a, place, b in every])
    seen = (seen - seen.mean(axis=0)) / seen.std(axis=0)
    for width in (2 * size, size):  # gain 2: far into the bends of tanh
        mixing = draw.normal(0.0, 2 / math.sqrt(seen.shape[1]), (seen.shape[1], width))
        seen = np.tanh(seen @ mixing)
    features = (seen + draw.normal(0.0, noise, seen.shape)).astype(np.float32)
    texts = [f"a {' '.join(a)} {place} a {' '.join(b)}".split() for a, place, b in every]
    words = Vocabulary.of(texts, specials=["pad", "bos", "eos"])
    captions = np.stack([words.encode(text, eos=True) for text in texts])
    cuts = [7 * len(every) // 10, 8 * len(every) // 10]
    three = zip(np.split(features, cuts), np.split(captions, cuts), strict=True)
    train, valid, test = (Scenes(*part) for part in three)
    return Parts(train, valid, test, words)


def linear(parts: Parts) -> float:
    """Return the share of test captions that a linear map finds, a word from the features alone."""
    train, test = (np.pad(part.features, ((0, 0), (0, 1)), constant_values=1.0)
                   for part in (parts.train, parts.test))  # fmt: skip
    marks = np.eye(len(parts.words))[parts.train.captions]
    weights = np.linalg.lstsq(train, marks.reshape(len(train), -1), rcond=None)[0]
    found = (test @ weights).reshape(len(test), *marks.shape[1:]).argmax(axis=-1)
    return float((found == parts.test.captions).all(axis=1).mean())


def batches(part: Scenes, size: int, shuffle: bool = True) -> ArrayBatches:
    """Return features (B, F) and captions (U, B)."""
    return ArrayBatches(*part, batch_size=size, steps=False, shuffle=shuffle)


# ---- training


def loss(model: Captioner, batch: Batch) -> Tensor:
    """Return the cost of a word, given the features and the words before it."""
    return model.loss(batch.x, batch.y)


def written(model: Captioner, features: Any, width: int) -> list[list[int]]:
    """Return the captions of rows of features: the likeliest words, or those of a beam."""
    if width == 1:
        return model.decode(features, limit=LIMIT)
    return [row[0].indices for row in model.beam_search(features, limit=LIMIT, width=width)]


def right(model: Captioner, part: Scenes, width: int) -> float:
    """Return the share of captions that are right in every word."""
    ours = written(model, part.features, width)
    pairs = zip(ours, part.captions.tolist(), strict=True)
    return sum(bool([*own, model.end] == caption) for own, caption in pairs) / len(ours)


def run(options: argparse.Namespace) -> Result:
    """Train, choose the moment by the validation scenes, measure on the test scenes."""
    return ran(options)[0]


def ran(options: argparse.Namespace) -> tuple[Result, Captioner, Parts]:
    """Do the same as `run`, and return the model and its data too."""
    began = begin(options)
    parts = scenes(options.features, options.noise)
    words = parts.words
    assert words.bos is not None and words.eos is not None  # noqa: PT018
    decoder = Decoder(len(words), options.embedding, options.hidden, cell=options.cell)
    model = Captioner(
        options.features, decoder, start=words.bos, end=words.eos, pad=words.pad
    ).to(options.device)  # fmt: skip
    history = fitted(
        "captions",
        model,
        batches(parts.train, options.batch),
        loss,
        optimizer=rnn.optim.Adam(model.parameters(), options.lr),
        schedule=lambda adam: rnn.schedules.LinearLR(
            adam, start_factor=1.0, end_factor=0.01, total_iters=options.steps
        ),
        steps=options.steps,
        evaluate=lambda _: {"exact": right(model, parts.valid, 1)},
        validate_every=max(1, options.steps // VALIDATED),
        mode="max",
        restore_best=True,
        clip_norm=1.0,
        **outputs(options),
    )
    own = {"exact": right(model, parts.test, 1), "beam": right(model, parts.test, options.width)}
    own |= {"linear": linear(parts)}
    kept = result("captions", options, began, own, history, validated(history, "exact"))
    return kept, model, parts


def tell(options: argparse.Namespace) -> None:
    """Print the figures, and some captions of the test."""
    kept, model, parts = ran(options)
    own = kept["figures"]
    print(
        f"{len(parts.test.captions):,} scenes never seen: {own['exact']:.1%} of the captions right "
        f"in every word, {own['beam']:.1%} with a beam of {options.width} (a linear map: "
        f"{own['linear']:.1%}), after {kept['steps']:,} updates in {kept['seconds']:.0f} s"
    )
    some = Scenes(*(part[:SHOWN] for part in parts.test))
    for own, right in zip(written(model, some.features, 1), some.captions, strict=True):
        ours, theirs = (" ".join(parts.words.decode(x, clean=True)) for x in (own, right))
        print(f"    {ours}" + ("" if ours == theirs else f"   (it is {theirs})"))


def main(arguments: list[str] | None = None) -> int:
    """Train, measure, write. Returns the exit status."""
    return finish("captions", lambda: tell(parse(arguments)))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the options of the command line."""
    parser = task_parser("captions", __doc__)
    add, number = parser.add_argument, parser.number
    number("--features", default=32, help="numbers of a vector")
    add("--noise", type=share, default=0.05, help="its standard deviation (0.05)")
    add("--cell", choices=("rnn", "lstm", "gru"), default="gru", help="of the layer (gru)")
    number("--embedding", default=32, help="size of a word")
    number("--hidden", default=128, help="hidden units")
    number("--batch", default=64, help="scenes of an update")
    number("--steps", default=2000, help="updates")
    number("--lr", default=3e-3, help="first learning rate of Adam")
    number("--width", default=4, help="of the beam")
    resumable(parser)
    return settled(
        parser, arguments, {"features": 64, "hidden": 64, "steps": 200, "lr": 0.02, "width": 2}
    )


if __name__ == "__main__":
    sys.exit(main())
