"""Translate short French sentences into English, with attention: many to many, not aligned.

Data: the pairs of PyTorch's tutorial on translation (under ten words, the English begins with "I
am", "he is" and so on) from manythings.org/anki and tatoeba.org, normalised as there: lower case,
accents off, punctuation apart. Of the distinct English sentences a tenth, drawn by the seed, is
held out to test and a twentieth to validate, each with all of its French; held-out pairs with
learned French are left out. The test part is read once, with the epoch best in validation.

The model is a GRU in both directions that reads, and one with attention that writes. The figures
are the share of words found given those before, the share of beams that are right in every word,
and BLEU: greedy, by beams, and of a memory that says the nearest sentence it learned.
"""

import argparse
import re
import sys
import unicodedata
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import engine
import rnn
import viz
from engine import Tensor
from examples import task
from examples.command import positive
from examples.data import Parts, dealt, filled, found
from rnn.data import Batch, Batches, Vocabulary, pad_sequences, read_pairs
from rnn.models import Attention, Decoder, Encoder, Seq2Seq, forcing_ratio
from rnn.modules.module import evaluating
from rnn.training import Accuracy, History, bleu

LIMIT = 20  # words of a translation
TURNS = (2, 1, *8 * (0,), 2, *9 * (0,))  # of twenty sentences, two to test, one to validate
Pairs = list[tuple[list[str], list[str]]]  # the words of a French and of an English sentence


# ---- data


def normalised(sentence: str) -> list[str]:
    """Return the words of a sentence in lower case without accents, . ! ? as words of their own."""
    plain = unicodedata.normalize("NFD", sentence.lower().strip())
    plain = "".join(c for c in plain if unicodedata.category(c) != "Mn")
    return re.sub(r"[^a-z.!?]+", " ", re.sub(r"([.!?])", r" \1 ", plain)).split()


def read(options: argparse.Namespace) -> Pairs:
    """Read every distinct pair, French first, of a table with the English in its first column."""
    path = options.data or (None if options.fast else found("eng-fra/eng-fra.tutorial.tsv.gz"))
    if path is None:
        print("no data given: sentences of two invented languages, made by rule")
        return generated()
    pairs = ((normalised(french), normalised(english)) for english, french in read_pairs(path))
    distinct = dict.fromkeys((tuple(one), tuple(two)) for one, two in pairs if one and two)
    return [(list(one), list(two)) for one, two in distinct]


def generated() -> Pairs:
    """Generate sentences of an invented language, and their English in another order of words."""
    persons = {"mi": "i am", "tu": "you are", "lo": "he is", "la": "she is"}
    what = {"bon": "good", "fel": "happy", "gran": "tall", "lent": "slow", "nov": "new"}
    how = {"": "", "tre": "very", "ne": "not", "sempre": "always"}
    return [
        (f"{one} {e}{c} {a} .".split(), f"{persons[a]} {how[c]} {what[one]} {also}.".split())
        for a in persons
        for one in what
        for e, also in [("", ""), *((f"e {x} ", f"and {what[x]} ") for x in what if x != one)]
        for c in how
    ]


def split(pairs: Pairs, seed: int) -> Parts[Pairs]:
    """Split pairs by their English: a tenth to test, a twentieth to validate."""
    by_english: dict[tuple[str, ...], Pairs] = {}
    for pair in pairs:
        by_english.setdefault(tuple(pair[1]), []).append(pair)
    drawn = dealt(list(by_english.values()), TURNS, "translation", seed)
    parts = Parts(*(list(chain.from_iterable(groups)) for groups in drawn))
    known = frozenset(tuple(french) for french, _ in parts.train)
    new = ([one for one in part if tuple(one[0]) not in known] for part in parts[1:])
    return Parts(parts.train, *new)


# ---- the model


class Translator(NamedTuple):
    """Hold a model with the words of both languages."""

    model: Seq2Seq
    french: Vocabulary
    english: Vocabulary

    @classmethod
    def of(cls, train: Pairs, options: argparse.Namespace) -> "Translator":
        """Build a bidirectional encoder, and a decoder that looks at all of its outputs."""
        # French that was seen once is unknown: so the unknown has a vector that is learned.
        french = Vocabulary.of([one for one, _ in train], min_count=2)
        english = Vocabulary.of([two for _, two in train])
        E, H, dropout = options.embedding, options.hidden, options.dropout
        encoder = Encoder(len(french), E, H, bidirectional=True, dropout=dropout)
        attention = Attention(H, encoder.width, options.score)
        decoder = Decoder(len(english), E, H, attention=attention, dropout=dropout)
        assert english.bos is not None and english.eos is not None  # noqa: PT018
        model = Seq2Seq(encoder, decoder, start=english.bos, end=english.eos, pad=english.pad)
        return cls(model, french, english)

    def batches(self, pairs: Pairs, size: int, *, shuffle: bool = False) -> Batches:
        """French (T, B), lengths (B,), English (U, B) with its end."""
        x = [self.french.encode(one) for one, _ in pairs]
        y = [self.english.encode(two, eos=True) for _, two in pairs]
        return Batches(x, y, batch_size=size, shuffle=shuffle, pad=self.french.pad,
                       y_pad=self.english.pad)  # fmt: skip

    def accuracy(self, batches: Batches) -> float:
        """Return the share of English words that are found, given those before them."""
        score = Accuracy(ignore=self.english.pad)
        with evaluating(self.model):
            for x, lengths, y, *_ in batches:
                score.update(self.model(x, lengths, y), y)
        return score.value()

    def translated(self, pairs: Pairs, width: int) -> list[str]:
        """Translate French sentences into English: greedily, or by beams of that width."""
        texts = []
        for first in range(0, len(pairs), 64):
            x = pad_sequences([self.french.encode(one) for one, _ in pairs[first : first + 64]])
            if width == 1:
                ids = self.model.decode(*x, limit=LIMIT)
            else:
                beams = self.model.beam_search(*x, limit=LIMIT, width=width, alpha=1.0)
                ids = [best.indices for best, *_ in beams]
            texts += [" ".join(self.english.decode(one)) for one in ids]
        return texts


# ---- training


def loss(options: argparse.Namespace, model: Seq2Seq, batch: Batch, step: int) -> Tensor:
    """Return the loss of a batch, with --decay under scheduled sampling."""
    share = options.ratio
    if options.decay is not None and model.training:
        share = forcing_ratio(step, "inverse sigmoid", options.decay, least=share)
    return model.loss(batch.x, batch.lengths, batch.y, ratio=share)


def trained(parts: Parts[Pairs], options: argparse.Namespace) -> tuple[Translator, History]:
    """Train a translator; return it with the weights that were best in validation."""
    own = Translator.of(parts.train, options)
    own.model.to(options.device)
    train = own.batches(parts.train, options.batch, shuffle=True)
    validation = own.batches(parts.validation, 128)
    total = options.epochs * len(train)
    history = task.fitted(
        "translation", own.model, train,
        partial(loss, options),
        optimizer=rnn.optim.Adam(own.model.parameters(), options.lr), epochs=options.epochs,
        schedule=lambda adam: rnn.schedules.LinearLR(adam, 1.0, 0.05, total_iters=total),
        evaluate=lambda _: {"accuracy": own.accuracy(validation)},
        mode="max", restore_best=True, clip_norm=1.0,
        **task.outputs(options),
    )  # fmt: skip
    return own, history


def nearest(train: Pairs, pairs: Pairs) -> list[str]:
    """Translate by memory: the learned sentence that shares the most and rarest words."""
    places: dict[str, list[int]] = {}
    for number, (french, _) in enumerate(train):
        for word in dict.fromkeys(french):
            places.setdefault(word, []).append(number)
    texts = []
    for french, _ in pairs:
        shares: dict[int, float] = {}
        for word in dict.fromkeys(french):
            for number in places.get(word, []):
                shares[number] = shares.get(number, 0.0) + 1 / len(places[word])
        texts.append(" ".join(train[max(shares, key=shares.__getitem__, default=0)][1]))
    return texts


def run(options: argparse.Namespace) -> task.Result:
    """Train, choose the best epoch by validation, and measure on the test part."""
    return ran(options)[0]


def ran(
    options: argparse.Namespace,
) -> tuple[task.Result, Translator, Parts[Pairs], dict[str, list[str]]]:
    """Do the same as `run`; return the translator, its data and its translations too."""
    began = task.begin(options)
    parts = filled(split(read(options), options.seed), options.data)
    own, history = trained(parts, options)
    said = {
        "greedy": own.translated(parts.test, 1),
        "beam": own.translated(parts.test, options.beam),
        "nearest": nearest(parts.train, parts.test),
    }
    figures = {"accuracy": own.accuracy(own.batches(parts.test, 128))}
    references = [" ".join(english) for _, english in parts.test]
    figures["exact"] = sum(map(str.__eq__, said["beam"], references)) / len(references)
    try:
        for name, texts in said.items():  # both sides are cut into words already
            figures[f"{name} bleu"] = bleu(texts, references, tokenize="none", force=True)
    except ImportError as error:
        print(f"no BLEU: {error}")
    curve = task.validated(history, "accuracy")
    return task.result("translation", options, began, figures, history, curve), own, parts, said


# ---- looking at it


def draw(own: Translator, pair: tuple[list[str], list[str]], out: Path) -> None:
    """Draw a sentence on its way through encoder and decoder, with where the decoder looks."""
    french, said = pair[0], own.translated([pair], 1)[0].split()
    x = own.french.encode(french).reshape(-1, 1)
    y = own.english.encode(said, eos=True).reshape(-1, 1)
    own.model.eval()
    with engine.explicit():
        logits, _, weights = own.model.decoded(x, None, y)
    assert weights is not None
    print("where the decoder looks:")
    for word, row in zip([*said, "(end)"], weights.numpy()[:, 0], strict=True):
        print(f"    {word:12} {french[row.argmax()]:12} {row.max():.2f}")
    title = f"{' '.join(french)} -> {' '.join(said)}"
    viz.draw_unrolled(logits, title=title).render(out / "attention.svg")


def tell(options: argparse.Namespace) -> None:
    """Train, and print the figures and some translations."""
    kept, own, parts, said = ran(options)
    train, validation, test = (f"{len(part):,}" for part in parts)
    print(f"{train} pairs to learn from, {validation} to validate, {test} held out; "
          f"{len(own.french):,} French and {len(own.english):,} English words")  # fmt: skip
    told = ", ".join(f"{name} {value:.4g}" for name, value in kept["figures"].items())
    print(f"held out: {told}; {kept['steps']:,} steps in {kept['seconds']:.0f} s")
    for number in range(0, len(parts.test), max(1, len(parts.test) // options.shown)):
        french, english = (" ".join(words) for words in parts.test[number])
        print(f"    {french}\n      = {english}\n      > {said['beam'][number]}")
    if options.draw:
        draw(own, min(parts.test, key=lambda pair: abs(len(pair[0]) - 6)), options.out)


def main(arguments: list[str] | None = None) -> int:
    """Train and print. Returns the exit status."""
    return task.finish("translation", lambda: tell(parse(arguments)))


def ratio(text: str) -> float:
    """Parse a number in [0, 1], for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} does not lie in [0, 1]")
    return value


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the options of the command line."""
    parser = task.task_parser("translation", __doc__)
    add, number = parser.add_argument, parser.number
    add("--data", type=Path, metavar="FILE", help="a table ENGLISH <tab> FRENCH (eng-fra.tutorial)")
    number("--embedding", default=192, help="size of a word vector")
    number("--hidden", default=192, help="hidden units")
    scores = ("dot", "general", "additive")
    add("--score", choices=scores, default="additive", help="of attention (additive)")
    add("--ratio", type=ratio, help="share of steps with teacher forcing (1, with --decay 0)")
    add("--decay", type=positive, metavar="K",
        help="let it fall to that by K / (K + exp(updates / K)): scheduled sampling")  # fmt: skip
    add("--dropout", type=task.share, default=0.4, help="of words and outputs (0.4)")
    number("--batch", default=64, help="pairs side by side")
    number("--epochs", default=16, help="how often every pair is read")
    number("--lr", default=2e-3, help="the first learning rate of Adam")
    number("--beam", default=5, help="the width of the beam")
    number("--shown", default=5, help="translations to print")
    add("--draw", action="store_true", help="a picture of one sentence, into --out")
    fast = {"embedding": 16, "hidden": 24, "epochs": 10, "lr": 0.02, "dropout": 0.3, "batch": 32,
            "beam": 2}  # fmt: skip
    task.resumable(parser)
    options = task.settled(parser, arguments, fast)
    if options.ratio is None:
        options.ratio = 1.0 if options.decay is None else 0.0
    return options


if __name__ == "__main__":
    sys.exit(main())
