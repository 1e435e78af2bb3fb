"""Align speech, video and DNA as shapes of sequence work, on generated data. Choose one by --part.

speech: many to many, unaligned. Labels are spoken one after another, each for two to five frames of
    its own sound with noise, with silence between some; their times are not told. A bidirectional
    GRU is trained by CTC and tells labels and their times. The figure is the label error rate:
    insertions, deletions and substitutions by the number of labels.
dna: many to one. One of four motifs of eight letters, each letter mutated with a probability of
    0.15, lies anywhere in 40 to 80 random letters; which one? A bidirectional GRU reads them, with
    the largest outputs over time. Beside its accuracy stands that of a rule that knows the motifs
    and takes the nearest one.
video: many to one. A dot moves a pixel a frame over 8 x 8 noisy ones, to the right, left, down or
    up, and round the edges; which way? The last state of a GRU says it. Its accuracy is also taken
    with the frames of the tests in random order, to see how much it goes by their order.

Training data are made as they are needed, so nothing is seen twice; tests are fresh.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import engine
import rnn
from engine import Tensor
from examples import task
from examples.command import whole
from examples.data import fresh
from examples.signals import (
    BANDS,
    LETTERS,
    MOTIF,
    MOTIFS,
    SIDE,
    SOUNDS,
    WAYS,
    dna,
    known_motifs,
    known_sounds,
    speech,
    video,
)
from rnn.data import Batch
from rnn.decoding import ctc_decode
from rnn.models import Classifier

# ---- models and figures


class Listener(rnn.Module):
    """Log probabilities of the blank and the labels: frames (T, B, I) -> (T, B, 1 + labels)."""

    def __init__(self, hidden: int) -> None:
        self.recurrent = rnn.GRU(BANDS, hidden, bidirectional=True)
        self.head = rnn.Linear(2 * hidden, SOUNDS + 1)

    def forward(self, x: Any, lengths: Any) -> Tensor:
        frames = engine.asarray(x, device=self.head.weight.device)
        y, _ = self.recurrent(frames, lengths=lengths)
        return engine.log_softmax(self.head(y), axis=-1)

    def loss(self, x: Any, lengths: Any, y: Any) -> Tensor:
        return engine.ctc_loss(self(x, lengths), y.T, lengths, (y > 0).sum(axis=0))


def heard(model: Listener, batch: Batch) -> dict[str, float]:
    """Return the label error rate, and that of taking the nearest known sound of each frame."""
    with engine.no_grad():
        own = model(batch.x, batch.lengths)
    nearest = -((batch.x[:, :, None] - known_sounds()) ** 2).sum(axis=-1)
    rates = [error_rate(ctc_decode(x, batch.lengths), batch) for x in (own, nearest)]
    return dict(zip(("label error rate", "frame by frame"), rates, strict=True))


def error_rate(found: list[list[int]], batch: Batch) -> float:
    """Divide the labels that are wrong, too many or missing by how many there are."""
    said = [row[row > 0].tolist() for row in batch.y.T]
    wrong = sum(distance(ours, theirs) for ours, theirs in zip(found, said, strict=True))
    return wrong / sum(map(len, said))


def distance(ours: list[int], theirs: list[int]) -> int:
    """Count the insertions, deletions and substitutions that lead from one to the other."""
    row = list(range(len(theirs) + 1))
    for i, one in enumerate(ours, 1):
        before, row = row, [i]
        for j, other in enumerate(theirs, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (one != other)))
    return row[-1]


def told(model: Classifier, batch: Batch) -> float:
    """Return the share of classes that are right."""
    return float((model.predict(batch.x, batch.lengths) == batch.y).mean())


def read(model: Classifier, batch: Batch) -> dict[str, float]:
    """Return the accuracy, and that of taking the nearest of the true motifs."""
    spans = np.lib.stride_tricks.sliding_window_view(batch.x, MOTIF, axis=0)  # (T - 7, B, 8)
    gaps = (spans[:, :, None] != known_motifs()).sum(axis=-1)  # (T - 7, B, 4)
    outside = np.arange(len(gaps))[:, None] > batch.lengths - MOTIF
    gaps[outside] = MOTIF
    nearest = float((gaps.min(axis=0).argmin(axis=-1) == batch.y).mean())
    return {"accuracy": told(model, batch), "guessing": 1 / MOTIFS, "knowing the motifs": nearest}


def watched(model: Classifier, batch: Batch) -> dict[str, float]:
    """Return the accuracy, and that with the frames of each video in random order."""
    order = engine.random.generator("order").random(batch.x.shape[:2]).argsort(axis=0)
    mixed = batch._replace(x=np.take_along_axis(batch.x, order[..., None], axis=0))
    own = {"accuracy": told(model, batch), "guessing": 1 / len(WAYS)}
    return own | {"mixed frames": told(model, mixed)}


READER = partial(
    Classifier, LETTERS, MOTIFS, embedding=8, cell="gru", bidirectional=True, pooling="max"
)
WATCHER = partial(Classifier, None, len(WAYS), embedding=SIDE * SIDE, cell="gru")


class Part(NamedTuple):
    """Hold how data is made, the model, the metrics (the first counts), and how many updates."""

    make: Callable[..., Batch]
    model: Callable[..., Any]
    measure: Callable[[Any, Batch], dict[str, float]]
    steps: int


PARTS = {
    "speech": Part(speech, Listener, heard, 600),
    "dna": Part(dna, READER, read, 3000),
    "video": Part(video, WATCHER, watched, 3000),
}


# ---- training


def loss(model: Any, batch: Batch) -> Tensor:
    """Return the CTC loss or the cross entropy of a batch."""
    mean: Tensor = model.loss(batch.x, batch.lengths, batch.y)
    return mean


def run(options: argparse.Namespace) -> task.Result:
    """Train on fresh sequences, test on fresh sequences."""
    return ran(options)[0]


def ran(options: argparse.Namespace) -> tuple[task.Result, Any]:
    """Do the same as `run`, and return the model too."""
    began = task.begin(options)
    part = PARTS[options.part]
    steps = options.steps or part.steps
    model = part.model(hidden=options.hidden).to(options.device)
    valid = part.make(options.tests, "validation")
    history = task.fitted(
        "alignment",
        model,
        fresh(part.make, options.batch, "train", steps=steps),
        loss,
        optimizer=rnn.optim.Adam(model.parameters(), options.lr),
        schedule=lambda adam: rnn.schedules.LinearLR(
            adam, start_factor=1.0, end_factor=0.01, total_iters=steps
        ),
        steps=steps,
        clip_norm=1.0,
        evaluate=lambda _: part.measure(model, valid),
        validate_every=max(1, steps // 10),
        **task.outputs(options),
    )
    own = part.measure(model, part.make(options.tests, "test"))
    curve = task.validated(history, next(iter(own)))
    return task.result("alignment", options, began, own, history, curve), model


def spelled(model: Listener, batch: Batch) -> Iterator[tuple[str, str, str]]:
    """Yield for each row what was said, the labels that are heard, and the class of each frame."""

    def written(labels: Any) -> str:
        return "".join("_abcdefgh"[i] for i in labels)

    with engine.no_grad():
        log_probs = model(batch.x, batch.lengths)
    paths = engine.argmax(log_probs, axis=-1).numpy().T
    for row, labels in enumerate(ctc_decode(log_probs, batch.lengths)):
        said, path = batch.y[:, row], paths[row, : batch.lengths[row]]
        yield written(said[said > 0]), written(labels), written(path)


def tell(options: argparse.Namespace) -> None:
    """Print the figures, and for speech what was heard when."""
    kept, model = ran(options)
    told = ", ".join(f"{name} {value:.1%}" for name, value in kept["figures"].items())
    print(f"{options.part}: {told} after {kept['steps']:,} updates in {kept['seconds']:.0f} s")
    if options.part == "speech":
        print("    said      heard     frame by frame, _ is the blank")
        for said, labels, path in spelled(model, speech(5, "shown")):
            print(f"    {said:9} {labels:9} {path}")


def main(arguments: list[str] | None = None) -> int:
    """Train, measure, show. Returns the exit status."""
    return task.finish("alignment", lambda: tell(parse(arguments)))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the options of the command line."""
    parser = task.task_parser("alignment", __doc__)
    add, number = parser.add_argument, parser.number
    add("--part", choices=list(PARTS), default="speech", help="which task (speech)")
    number("--hidden", default=64, help="hidden units of a direction")
    number("--batch", default=32, help="sequences of an update")
    add("--steps", type=whole, help="updates (3000, of speech 600)")
    number("--lr", default=5e-3, help="first learning rate of Adam")
    number("--tests", default=1000, help="sequences of a test")
    task.resumable(parser)
    return task.settled(parser, arguments, {"hidden": 32, "steps": 150, "lr": 0.01, "tests": 200})


if __name__ == "__main__":
    sys.exit(main())
