"""Judge whether a sentence from a film review is for or against the film: many to one.

Data: the sentence polarity dataset v1.0 (Pang and Lee, 2005), 5,331 sentences of each kind. A tenth
of each is held out to test and another to validate, both drawn by the seed; the test part is read
once, with the epoch that was best in validation.

The model is a GRU in both directions over word vectors, with the largest outputs over time; with
--model textbook it is the textbook's stack, a simple recurrence of 15 words and three dense layers.
The figure is the accuracy, beside that of one answer for all.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import engine
import rnn
from engine import Tensor
from examples import task
from examples.data import TENTHS, Parts, dealt, filled, found
from examples.layers import hide
from rnn.data import Batch, Batches, Vocabulary, read_lines
from rnn.models import Classifier, Sequential
from rnn.modules.module import evaluating
from rnn.training import Accuracy, History

FILES = ("rt-polarity.neg.gz", "rt-polarity.pos.gz")
WORDS, STEPS = 16_000, 15  # the most frequent words; the tokens that the textbook reads

Judged = list[tuple[list[str], int]]  # the words of a sentence, and 1 for a good opinion


# ---- data


def read(options: argparse.Namespace) -> Judged:
    """Read every distinct sentence of both files, cut into words as they stand there."""
    folder = options.data or (None if options.fast else found("rt-polarity"))
    if folder is None:
        print("no data given: opinions made by rule")
        return generated()
    lines = [(line.strip(), kind) for kind, name in enumerate(FILES)
             for line in read_lines(folder / name, blank=False)]  # fmt: skip
    return [(line.split(), kind) for line, kind in dict.fromkeys(lines)]


def generated() -> Judged:
    """Make sentences of opinions, some of them turned by "not"."""
    things = ("plot", "cast", "music", "ending", "script", "camera", "hero", "joke", "scene")
    words = (("dull", "weak", "sad", "cheap"), ("good", "warm", "sharp", "fresh"))
    return [
        (f"{start} {thing} is {turn}{word} {end}".split(), kind ^ bool(turn))
        for start in ("the", "its", "every")
        for thing in things
        for kind, own in enumerate(words)
        for word in own
        for turn in ("", "not ")
        for end in (".", "and long .")
    ]


def split(judged: Judged, seed: int) -> Parts[Judged]:
    """Split by the seed: a tenth of each kind to test, a tenth to validate."""
    kinds = ([one for one in judged if one[1] == kind] for kind in (0, 1))
    bad, good = (dealt(own, TENTHS, "sentiment", seed, kind) for kind, own in enumerate(kinds))
    return Parts(*map(list.__add__, bad, good))


# ---- models


class Pooled(rnn.Module):
    """Word vectors, a recurrent layer in both directions, its largest or mean outputs."""

    def __init__(self, words: Vocabulary, options: argparse.Namespace) -> None:
        assert words.unk is not None
        self.unk, self.word_dropout = words.unk, options.word_dropout
        self.classifier = Classifier(
            len(words), 2, embedding=options.embedding, hidden=options.hidden, cell=options.cell,
            bidirectional=True, pooling=options.pooling, dropout=options.dropout,
        )  # fmt: skip
        # Small word vectors: what is seldom seen stays near nothing.
        rnn.initialize(self, {"classifier.embedding.weight": rnn.initializers.normal(0.0, 0.1)})

    def forward(self, x: Any, lengths: Any) -> Tensor:
        """Map words (T, B), some hidden while training, and lengths (B,) to logits (B, 2)."""
        x = engine.asarray(x, device=self.classifier.head.weight.device)
        if self.training:
            x = hide(x, self.word_dropout, self.unk)
        logits: Tensor = self.classifier(x, lengths)
        return logits


class Textbook(rnn.Module):
    """Stack a simple recurrent layer of relu units and three dense ones, as the textbook does."""

    def __init__(self, words: Vocabulary, options: argparse.Namespace) -> None:
        self.layers = Sequential(
            rnn.Embedding(len(words), options.embedding),
            rnn.RNN(options.embedding, 100, nonlinearity="relu"),
            lambda y: y[-1],
            rnn.Linear(100, 1000),
            engine.sigmoid,
            rnn.Linear(1000, 500),
            engine.relu,
            rnn.Linear(500, 2),  # the softmax is in the loss
        )
        init = rnn.initializers  # as Keras begins; the relu units would forget otherwise
        rnn.initialize(
            self,
            {
                "*weight*": init.xavier_uniform(),
                "layers.steps.0.weight": init.uniform(-0.05, 0.05),
                "weight_hh*": init.orthogonal(),
                "*bias*": init.zeros,
            },
        )

    def forward(self, x: Any, lengths: Any) -> Tensor:
        """Map words (15, B), padding among them, to logits (B, 2)."""
        logits: Tensor = self.layers(x)
        return logits


MODELS: dict[str, Any] = {"pooled": Pooled, "textbook": Textbook}


def batches(
    judged: Judged, words: Vocabulary, options: argparse.Namespace, *, shuffle: bool = False
) -> Batches:
    """Return words (T, B), lengths (B,), kinds (B,); the textbook has T = 15, cut or padded."""
    x = [words.encode(sentence) for sentence, _ in judged]
    if options.model == "textbook":
        x = [words.encode((sentence + ["<pad>"] * STEPS)[:STEPS]) for sentence, _ in judged]
    y = [kind for _, kind in judged]
    return Batches(x, y, batch_size=options.batch, pad=words.pad, shuffle=shuffle)


def loss(model: rnn.Module, batch: Batch) -> Tensor:
    """Return the mean cross entropy, in nats."""
    return engine.cross_entropy(model(batch.x, batch.lengths), batch.y)


def accuracy(model: rnn.Module, judged: Batches) -> float:
    """Return the share of sentences that are judged rightly."""
    score = Accuracy()
    with evaluating(model):
        for x, lengths, y, *_ in judged:
            score.update(model(x, lengths), y)
    return score.value()


# ---- training


def trained(
    parts: Parts[Judged], options: argparse.Namespace
) -> tuple[rnn.Module, Vocabulary, History]:
    """Train a model; return it with the weights that were best in validation, and its words."""
    words = Vocabulary.of(
        [sentence for sentence, _ in parts.train], max_size=WORDS, specials=["pad", "unk"]
    )
    model = MODELS[options.model](words, options).to(options.device)
    validation = batches(parts.validation, words, options)
    history = task.fitted(
        "sentiment",
        model,
        batches(parts.train, words, options, shuffle=True),
        loss,
        optimizer=rnn.optim.Adam(model.parameters(), options.lr),
        epochs=options.epochs,
        evaluate=lambda model: {"accuracy": accuracy(model, validation)},
        mode="max",
        restore_best=True,
        clip_norm=1.0,
        **task.outputs(options),
    )
    return model, words, history


def run(options: argparse.Namespace) -> task.Result:
    """Train, choose the best epoch by validation, and measure on the test part."""
    return ran(options)[0]


def ran(options: argparse.Namespace) -> tuple[task.Result, Parts[Judged], Vocabulary]:
    """Do the same as `run`, and return the parts and the words of the model too."""
    began = task.begin(options)
    parts = filled(split(read(options), options.seed), options.data)
    model, words, history = trained(parts, options)
    figures = {
        "accuracy": accuracy(model, batches(parts.test, words, options)),
        "validation accuracy": accuracy(model, batches(parts.validation, words, options)),
        "most frequent": most_frequent(parts),
    }
    curve = task.validated(history, "accuracy")
    return task.result("sentiment", options, began, figures, history, curve), parts, words


def most_frequent(parts: Parts[Judged]) -> float:
    """Return the accuracy of one answer for all, the one more frequent where it is learned."""
    train, test = ([kind for _, kind in part] for part in (parts.train, parts.test))
    return test.count(max((0, 1), key=train.count)) / len(test)


def tell(options: argparse.Namespace) -> None:
    """Train, and print the figures."""
    kept, parts, words = ran(options)
    train, validation, test = (f"{len(part):,}" for part in parts)
    print(f"{train} sentences to learn from, {validation} to validate, {test} held out; "
          f"{len(words):,} words")  # fmt: skip
    figures = kept["figures"]
    print(f"held out: accuracy {figures['accuracy']:.2%} after {kept['steps']:,} steps in "
          f"{kept['seconds']:.0f} s (validation {figures['validation accuracy']:.2%}; one answer "
          f"for all: {figures['most frequent']:.2%})")  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Train and print. Returns the exit status."""
    return task.finish("sentiment", lambda: tell(parse(arguments)))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the options of the command line."""
    parser = task.task_parser("sentiment", __doc__)
    add, number = parser.add_argument, parser.number
    add("--data", type=Path, metavar="DIR", help=f"with {' and '.join(FILES)} (rt-polarity)")
    add("--model", choices=sorted(MODELS), default="pooled", help="which one (pooled)")
    add("--cell", choices=("rnn", "lstm", "gru"), default="gru", help="of the pooled model (gru)")
    number("--embedding", default=64, help="size of a word vector")
    number("--hidden", default=64, help="hidden units of each direction")
    add("--pooling", choices=("last", "mean", "max"), default="max", help="over time (max)")
    add("--dropout", type=task.share, default=0.5, help="before the last layer (0.5)")
    add("--word-dropout", type=task.share, default=0.3, help="share of words that are hidden (0.3)")
    number("--batch", default=32, help="sentences side by side")
    number("--epochs", default=6, help="how often every sentence is read")
    number("--lr", default=1e-3, help="learning rate of Adam")
    fast = {"embedding": 16, "hidden": 16, "epochs": 6, "lr": 0.01, "word_dropout": 0.0}
    task.resumable(parser)
    return task.settled(parser, arguments, fast)


if __name__ == "__main__":
    sys.exit(main())
