"""Model the language of Shakespeare, by characters or by words: many to many, aligned.

Data: tinyshakespeare, the first 90 % of its characters to learn from and the rest to validate, the
usual split; without it Python's own documentation. The text runs as parallel streams, with a state
that is carried from chunk to chunk.

The model is an LSTM over vectors of the tokens, with a softmax of the next one. The figure is what
a held-out token costs, in nats; of characters in bits too, of words as a perplexity. It is that of
the weights after the last step: there is no third part to choose a better moment by.
"""

import argparse
import sys
from collections.abc import Iterable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import engine
import rnn
from engine import Tensor
from examples import task
from examples.command import positive, whole
from examples.data import documentation, found
from examples.installed.bptt.pictures import draw_language_model, losses_over_time
from rnn.data import Chunk, Streams, Vocabulary, read_text, words
from rnn.models import LanguageModel
from rnn.schedules import LinearLR
from rnn.training import bits, perplexity

DEFAULTS = {  # by level: what was chosen for the figure of the task
    "character": {"steps": 8000, "dropout": 0.2, "lr": 5e-3, "embedding": 64, "length": 64},
    "word": {"steps": 1500, "dropout": 0.5, "lr": 3e-3, "embedding": 256, "length": 32},
}
DRAWN = 8  # tokens in the pictures
EVERY = 10  # how often a run is validated


class Text(NamedTuple):
    """Hold a text as indices: to learn from, and to validate."""

    vocabulary: Vocabulary
    train: Any
    valid: Any


# ---- data


def read(options: argparse.Namespace) -> str:
    """Read the text: the one given, else tinyshakespeare, else Python's own documentation."""
    path = options.data or (None if options.fast else found("tinyshakespeare/input.txt.gz"))
    if path is not None:
        return read_text(path)
    print("no data given: learning from Python's own documentation")
    return documentation()


def tokens_of(text: str, level: str) -> list[str]:
    """Return characters, or words with an end after every line."""
    if level == "character":
        return list(text)
    return [word for line in text.splitlines() for word in (*words(line), "<eos>")]


def split(text: str, level: str) -> Text:
    """Split the text into the first 90 % of the characters, and the rest.

    Words that the first part has once are unknown: all such words count as one, <unk>.
    """
    cut = int(len(text) * 0.9)
    before, after = tokens_of(text[:cut], level), tokens_of(text[cut:], level)
    if level == "character":
        vocabulary = Vocabulary.of(before, specials=["unk"])
    else:
        vocabulary = Vocabulary.of(before, min_count=2, specials=["unk", "eos"])
    return Text(vocabulary, vocabulary.encode(before), vocabulary.encode(after))


def frequencies(text: Text) -> float:
    """Return the cost of a token by the frequencies of tokens alone, in nats."""
    counts = np.bincount(text.train, minlength=len(text.vocabulary)) + 1.0  # none is impossible
    return float(-np.log(counts / counts.sum())[text.valid[1:]].mean())


# ---- training


def loss(model: LanguageModel, chunk: Chunk, state: Any) -> tuple[Tensor, Any]:
    """Return the loss of a chunk, and the state that the next one begins with."""
    return model.loss(chunk.x, chunk.y, state)


def nats(model: LanguageModel, ids: Any, streams: int) -> float:
    """Return the mean cost of a token in nats; one stream reads the text as it is, end to end."""
    total, count, state = 0.0, 0, None
    streams = max(1, min(streams, len(ids) // 100))
    with engine.no_grad():
        for chunk in Streams(ids, batch_size=streams, steps=100):
            mean, state = loss(model, chunk, state)
            total += mean.item() * chunk.y.size
            count += chunk.y.size
    return total / count


def trained(text: Text, options: argparse.Namespace) -> tuple[LanguageModel, Any]:
    """Train a model; return it and the history of its training."""
    model = LanguageModel(
        len(text.vocabulary), options.embedding, options.hidden, options.layers, cell=options.cell,
        dropout=options.dropout, tie_weights=options.embedding == options.hidden,
    ).to(options.device)  # fmt: skip
    history = task.fitted(
        "shakespeare",
        model,
        Streams(text.train, batch_size=options.batch, steps=options.length, drop_last=True),
        loss,
        optimizer=rnn.optim.Adam(model.parameters(), options.lr),
        schedule=partial(LinearLR, start_factor=1.0, end_factor=0.01, total_iters=options.steps),
        steps=options.steps,
        carry=True,
        clip_norm=1.0,
        evaluate=lambda _: {"nats": nats(model, text.valid, 32)},
        validate_every=max(1, options.steps // EVERY),
        **task.outputs(options),
    )
    return model.eval(), history


def run(options: argparse.Namespace) -> task.Result:
    """Train, and measure what a held-out token costs."""
    return ran(options)[0]


def ran(options: argparse.Namespace) -> tuple[task.Result, LanguageModel, Text]:
    """Do the same as `run`, and return the model and its text too."""
    began = task.begin(options)
    text = split(read(options), options.level)
    model, history = trained(text, options)
    cost = nats(model, text.valid, 1)
    own = {"nats": cost, "frequencies": frequencies(text)}
    if options.level == "character":
        own["bits"] = bits(cost)
    else:
        own |= {"perplexity": perplexity(cost), "of frequencies": perplexity(own["frequencies"])}
    curve = task.validated(history, "nats")
    return task.result("shakespeare", options, began, own, history, curve), model, text


# ---- looking at it


def shown(vocabulary: Vocabulary, ids: Iterable[int], level: str) -> str:
    """Return indices as text."""
    tokens = map(vocabulary.token, ids)
    if level == "character":
        return "".join(tokens)
    return " ".join(tokens).replace("<eos>", "\n").replace("\n ", "\n")


def sample(model: LanguageModel, text: Text, options: argparse.Namespace) -> str:
    """Return the text that the model writes after the end of a line."""
    end = "\n" if options.level == "character" else "<eos>"
    drawn = model.generate(text.vocabulary.encode([end]), temperature=0.8, key=("sample",))
    return shown(text.vocabulary, islice(drawn, options.sample), options.level).strip()


def draw(model: LanguageModel, text: Text, out: Path) -> None:
    """Draw the gradient of the last loss, and of all, on the way back through held-out text."""
    ids = text.valid[-200 - DRAWN - 1 :]
    start = len(ids) - DRAWN - 1
    losses = losses_over_time(model.advance, ids, start, text.vocabulary.token)
    draw_language_model(losses, out)


def main(arguments: list[str] | None = None) -> int:
    """Train, measure, write a sample. Returns the exit status."""
    return task.finish("shakespeare", lambda: tell(parse(arguments)))


def tell(options: argparse.Namespace) -> None:
    kept, model, text = ran(options)
    own = kept["figures"]
    unit, figure = ("bits", own["bits"]) if "bits" in own else ("perplexity", own["perplexity"])
    print(
        f"{len(text.train):,} {options.level}s to learn from, {len(text.vocabulary):,} different; "
        f"{len(text.valid):,} held out\n"
        f"held out: {own['nats']:.4f} nats a {options.level}, {unit} {figure:.3f}, after "
        f"{kept['steps']:,} steps in {kept['seconds']:.0f} s "
        f"(frequencies alone: {own['frequencies']:.3f} nats)"
    )
    print(f"a sample at temperature 0.8:\n\n{sample(model, text, options)}")
    if options.draw:
        draw(model, text, options.out)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the options of the command line."""
    parser = task.task_parser("shakespeare", __doc__)
    add, number = parser.add_argument, parser.number
    add("--data", type=Path, metavar="FILE", help="a UTF-8 text, plain or .gz (tinyshakespeare)")
    add("--level", choices=sorted(DEFAULTS), default="character", help="of tokens (character)")
    add("--cell", choices=("rnn", "lstm", "gru"), default="lstm", help="of the layer (lstm)")
    number("--hidden", default=256, help="hidden units")
    add("--embedding", type=whole, help="size of a token (64, with words 256; as --hidden: tied)")
    number("--layers", default=1, help="recurrent layers")
    add("--dropout", type=task.share, help="of inputs and outputs (0.2, with words 0.5)")
    add("--length", type=whole, help="steps of a chunk (64, with words 32)")
    number("--batch", default=32, help="parallel streams")
    add("--steps", type=whole, help="updates (8000, with words 1500)")
    add("--lr", type=positive, help="the first learning rate of Adam (0.005, with words 0.003)")
    number("--sample", default=400, help="tokens of the sample")
    add("--draw", action="store_true", help="pictures of gradients through time, into --out")
    fast = {"hidden": 64, "embedding": 32, "steps": 150, "batch": 16, "lr": 0.01, "dropout": 0.0}
    task.resumable(parser)
    options = task.settled(parser, arguments, fast)
    for name, value in DEFAULTS[options.level].items():
        setattr(options, name, value if getattr(options, name) is None else getattr(options, name))
    return options


if __name__ == "__main__":
    sys.exit(main())
