"""Guess the nationality of a surname, read letter by letter: many to one.

Data: a folder with a file of surnames, one a line, for each nationality. Many lines repeat, and
some surnames are of several nations, so it is distinct surnames that are split: a tenth of each
nation's, drawn by the seed, is held out to test, another to validate, and no surname stands in two
parts. The test part is read once, with the epoch that was best in validation.

The model is a GRU in both directions over vectors of letters, with the largest outputs over time.
The figure is the accuracy, beside that of the most frequent nation.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import rnn
from examples import task
from examples.data import TENTHS, Parts, dealt, filled, found
from rnn.data import Batch, Batches, Vocabulary, read_lines
from rnn.models import Classifier
from rnn.training import Accuracy, History

# What the generated surnames of four invented nations begin and end with.
STEMS = ("bar", "dol", "fen", "gari", "kal", "lom", "mar", "nov", "per", "ros", "sta", "tor", "ve")
ENDINGS = {
    "North": ("sen", "berg", "lund"),
    "East": ("ovich", "enko", "ski"),
    "South": ("etti", "ini", "ello"),
    "West": ("ez", "ado", "eira"),
}

Named = list[tuple[str, str]]  # a surname and its nation


class Reader(NamedTuple):
    """Hold a model with what its numbers stand for."""

    model: Classifier
    letters: Vocabulary
    nations: list[str]

    def batches(self, named: Named, size: int, *, shuffle: bool = False) -> Batches:
        """Return letters (T, B) of surnames, their lengths (B,) and their nations (B,)."""
        x = [self.letters.encode(name) for name, _ in named]
        y = [self.nations.index(nation) for _, nation in named]
        return Batches(x, y, batch_size=size, pad=self.letters.pad, shuffle=shuffle)

    def accuracy(self, batches: Iterable[Batch]) -> float:
        """Return the share of surnames with the right nation."""
        score = Accuracy()
        for x, lengths, y, *_ in batches:
            score.update(self.model.predict(x, lengths), y)
        return score.value()


# ---- data


def read(options: argparse.Namespace) -> Named:
    """Read every distinct surname of every file, with the name of the file as its nation."""
    folder = options.data or (None if options.fast else found("names"))
    if folder is None:
        print("no data given: surnames of invented nations, made by rule")
        return generated()
    files = sorted(path for path in folder.iterdir() if path.suffix == ".txt")
    if len(files) < 2:
        raise ValueError(f"{folder} has {len(files)} files *.txt; expected one for each nation")
    lines = [(line.strip(), path.stem) for path in files for line in read_lines(path, blank=False)]
    return list(dict.fromkeys(lines))


def generated() -> Named:
    """Generate a few hundred surnames of invented nations, told by their endings."""
    return [
        (f"{first}{second}{ending}".capitalize(), nation)
        for nation, endings in ENDINGS.items()
        for ending in endings
        for first in STEMS
        for second in STEMS[::4]
    ]


def split(named: Named, seed: int) -> Parts[Named]:
    """Split the distinct surnames: a tenth to test, a tenth to validate, of each nation alike.

    A surname of several nations is drawn with the first, and all of its nations go with it.
    """
    nations: dict[str, list[str]] = {}
    for name, nation in named:
        nations.setdefault(name, []).append(nation)
    by_nation: dict[str, list[str]] = {}
    for name, own in nations.items():
        by_nation.setdefault(own[0], []).append(name)
    parts: Parts[Named] = Parts([], [], [])
    for nation, names in by_nation.items():
        for part, own in zip(parts, dealt(names, TENTHS, "surnames", seed, nation), strict=True):
            part += [(name, one) for name in own for one in nations[name]]
    return parts


# ---- training


def trained(parts: Parts[Named], options: argparse.Namespace) -> tuple[Reader, History]:
    """Train a reader; return it with the weights that were best in validation."""
    letters = Vocabulary.of("".join(name for name, _ in parts.train), specials=["pad", "unk"])
    nations = sorted({nation for part in parts for _, nation in part})
    model = Classifier(
        len(letters),
        len(nations),
        embedding=options.embedding,
        hidden=options.hidden,
        layers=options.layers,
        cell=options.cell,
        bidirectional=True,
        pooling=options.pooling,
        dropout=options.dropout,
    ).to(options.device)
    reader = Reader(model, letters, nations)
    train = reader.batches(parts.train, options.batch, shuffle=True)
    validation = reader.batches(parts.validation, 256)
    history = task.fitted(
        "surnames",
        model,
        train,
        lambda model, batch: model.loss(batch.x, batch.lengths, batch.y),
        optimizer=rnn.optim.AdamW(model.parameters(), options.lr, weight_decay=options.decay),
        schedule=lambda adam: rnn.schedules.LinearLR(
            adam, start_factor=1.0, end_factor=0.05, total_iters=options.epochs * len(train)
        ),
        epochs=options.epochs,
        evaluate=lambda _: {"accuracy": reader.accuracy(validation)},
        mode="max",
        restore_best=True,
        clip_norm=1.0,
        **task.outputs(options),
    )
    return reader, history


def run(options: argparse.Namespace) -> task.Result:
    """Train, choose the best epoch by validation, and measure on the test part."""
    return ran(options)[0]


def ran(options: argparse.Namespace) -> tuple[task.Result, Reader, Parts[Named]]:
    """Do the same as `run`, and return the reader and its data too."""
    began = task.begin(options)
    parts = filled(split(read(options), options.seed), options.data)
    reader, history = trained(parts, options)
    own = [nation for _, nation in parts.train]
    most = max(reader.nations, key=own.count)
    figures = {
        "accuracy": reader.accuracy(reader.batches(parts.test, 256)),
        "validation accuracy": reader.accuracy(reader.batches(parts.validation, 256)),
        "most frequent": sum(nation == most for _, nation in parts.test) / len(parts.test),
    }
    curve = task.validated(history, "accuracy")
    return task.result("surnames", options, began, figures, history, curve), reader, parts


def tell(options: argparse.Namespace) -> None:
    """Train, and print the figures and what the model says of some surnames of the test part."""
    kept, reader, parts = ran(options)
    train, validation, test = (f"{len(part):,}" for part in parts)
    print(f"{train} surnames to learn from, {validation} to validate, {test} held out")
    figures = kept["figures"]
    print(f"held out: accuracy {figures['accuracy']:.2%} after {kept['steps']:,} steps in "
          f"{kept['seconds']:.0f} s (validation {figures['validation accuracy']:.2%}; the most "
          f"frequent nation for all: {figures['most frequent']:.2%})")  # fmt: skip
    print("some of them, with their nation and the one that is found:")
    some = parts.test[:: max(1, len(parts.test) // options.shown)][: options.shown]
    for name, nation in some:
        x = reader.letters.encode(name).reshape(-1, 1)
        guess = reader.nations[reader.model.predict(x)[0]]
        print(f"    {name:16} {nation:12} {'' if guess == nation else guess}".rstrip())


def main(arguments: list[str] | None = None) -> int:
    """Train and print. Returns the exit status."""
    return task.finish("surnames", lambda: tell(parse(arguments)))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the options of the command line."""
    parser = task.task_parser("surnames", __doc__)
    add, number = parser.add_argument, parser.number
    add("--data", type=Path, metavar="DIR", help="a file NATION.txt for each nation (names)")
    add("--cell", choices=("rnn", "lstm", "gru"), default="gru", help="of the layer (gru)")
    number("--embedding", default=64, help="size of a letter")
    number("--hidden", default=128, help="hidden units of each direction")
    number("--layers", default=1, help="recurrent layers")
    add("--pooling", choices=("last", "mean", "max"), default="max", help="over time (max)")
    add("--dropout", type=task.share, default=0.3, help="before the last layer (0.3)")
    number("--batch", default=64, help="surnames side by side")
    number("--epochs", default=15, help="how often every surname is read")
    number("--lr", default=2e-3, help="the first learning rate of AdamW")
    add("--decay", type=task.share, default=0.01, help="its weight decay (0.01)")
    number("--shown", default=10, help="surnames of the test part to print")
    fast = {"embedding": 16, "hidden": 16, "epochs": 4, "lr": 0.01}
    task.resumable(parser)
    return task.settled(parser, arguments, fast)


if __name__ == "__main__":
    sys.exit(main())
