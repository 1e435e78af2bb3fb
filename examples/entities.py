"""Find names of persons, places, products and more in noisy text: many to many, aligned.

Data: WNUT 2017, emerging and rare entities (Derczynski et al., 2017), in the parts that are
published: tweets to learn from, comments and posts from elsewhere to validate and to test, with
names that were not seen before. A word is its vector, learned from these tweets alone, and its
spelling, read by a small recurrence of its own. Two outputs are compared: a softmax for each word,
and a conditional random field (CRF) that scores whole sequences of tags. The figure is the F1 of
whole names, as conlleval counts.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import engine
import rnn
from engine import Tensor
from engine.backends import HOST
from examples import task
from examples.data import Parts, filled, found
from examples.layers import hide
from rnn.data import Batch, Batches, Vocabulary, pad_sequences, read_conll
from rnn.models import CRF, CharacterEncoder, Tagger
from rnn.training import History, SpanF1

FILES = ("train.conll.gz", "dev.conll", "test.conll")
HEADS = ("softmax", "crf")
LETTERS = 20  # of a word that are read

Tagged = list[tuple[tuple[str, ...], ...]]  # the words and the tags of each sentence


# ---- data


def read(options: argparse.Namespace) -> Parts[Tagged]:
    """Read the three parts as they are published."""
    folder = options.data or (None if options.fast else found("wnut17"))
    if folder is None:
        print("no data given: sentences with invented names, made by rule")
        return generated()
    return Parts(*(list(read_conll(folder / name, columns=(0, 1), delimiter="\t"))
                   for name in FILES))  # fmt: skip


def generated() -> Parts[Tagged]:
    """Return sentences around names that are told by their ends and by what stands before them."""
    stems = ("Ar", "Bel", "Cor", "Dun", "Eli", "Fal", "Gor", "Hem", "Ist", "Jor", "Kel", "Lun")
    people = [f"{stem}{end}" for stem in stems for end in ("son", "mann", "ova")]
    places = [f"{stem}{end}" for stem in stems for end in ("ville", "burg", "ton")]
    patterns = (("we", "met", "P", "in", "L"), ("P", "Q", "likes", "L", "."), ("L", "is", "far"),
                ("she", "knows", "P", "here"), ("did", "it", "rain", "?"))  # fmt: skip
    tags = {"P": "B-person", "Q": "I-person", "L": "B-location"}
    parts: Parts[Tagged] = Parts([], [], [])
    for number in range(240):
        part, pattern = parts[max(0, number % 6 - 3)], patterns[number % 5]
        first = 0 if part is parts.train else 1  # names of even places to learn, of odd ones to try
        names = {"P": people, "Q": people[::-1], "L": places}
        words = [names[word][first::2][(number + at) % 18] if word in names else word
                 for at, word in enumerate(pattern)]  # fmt: skip
        part.append((tuple(words), tuple(tags.get(word, "O") for word in pattern)))
    return parts


class Reader(NamedTuple):
    """Hold what the numbers of a batch stand for, and how each form of a word is spelled."""

    words: Vocabulary
    tags: Vocabulary
    forms: dict[str, int]
    letters: Vocabulary
    spelled: Any  # (forms, LETTERS), a row for each form
    lengths: Any  # (forms,)

    @classmethod
    def of(cls, parts: Parts[Tagged]) -> "Reader":
        """Return words and letters of the training part, and all spellings, as they can be read."""
        train = [sentence for sentence, _ in parts.train]
        words = Vocabulary.of(
            [[word.lower() for word in sentence] for sentence in train], specials=["pad", "unk"]
        )
        tags = Vocabulary.of([tags for _, tags in parts.train], specials=[])
        forms = dict.fromkeys(["", *(word for part in parts for one, _ in part for word in one)])
        letters = Vocabulary.of(
            "".join(word for sentence in train for word in sentence), specials=["pad", "unk"]
        )
        spelled, lengths = pad_sequences(
            [letters.encode(form[:LETTERS]) for form in forms], length=LETTERS, batch_first=True
        )
        numbers = {form: number for number, form in enumerate(forms)}
        return cls(words, tags, numbers, letters, spelled, lengths)

    def batches(self, tagged: Tagged, size: int, *, shuffle: bool = False) -> Batches:
        """Return batches: x (T, B, 2), the word and its form; lengths (B,); tags (T, B)."""
        x = [
            HOST.xp.stack([self.words.encode([word.lower() for word in sentence]),
                           [self.forms[word] for word in sentence]], axis=-1)
            for sentence, _ in tagged
        ]  # fmt: skip
        y = [self.tags.encode(tags) for _, tags in tagged]
        return Batches(x, y, batch_size=size, shuffle=shuffle)

    def spelling(self, x: Any) -> tuple[Any, Any]:
        """Return the letters (L, T, B) of the words of a batch, and how many there are (T, B)."""
        lengths = self.lengths[x[..., 1]]
        return self.spelled[x[..., 1]].transpose(2, 0, 1)[: lengths.max()], lengths


# ---- training


class Entities(rnn.Module):
    """Tag words by their spelling too; in training hide some words, so that it learns to spell."""

    def __init__(self, reader: Reader, options: argparse.Namespace, head: str) -> None:
        assert reader.words.unk is not None
        self.unk, self.word_dropout = reader.words.unk, options.word_dropout
        self.tagger = Tagger(
            len(reader.words),
            len(reader.tags),
            embedding=options.embedding,
            hidden=options.hidden,
            dropout=options.dropout,
            characters=CharacterEncoder(
                len(reader.letters), embedding=options.letters, hidden=options.letters
            ),
            crf=CRF(reader.tags.tokens, scheme="BIO") if head == "crf" else None,
        )
        rnn.initialize(self, {"tagger.embedding.weight": rnn.initializers.normal(0.0, 0.1)})

    def loss(self, batch: Batch, spelling: Any) -> Tensor:
        """Return the mean loss a word, or with the CRF a sentence."""
        words = engine.asarray(batch.x[..., 0], device=self.tagger.embedding.weight.device)
        if self.training:
            words = hide(words, self.word_dropout, self.unk)
        return self.tagger.loss(words, batch.lengths, batch.y, spelling)


def scored(model: Entities, reader: Reader, batches: Iterable[Batch]) -> SpanF1:
    """Count the names that are found and those that are there, as conlleval does."""
    score = SpanF1(reader.tags)
    for x, lengths, y, *_ in batches:
        score.update(model.tagger.predict(x[..., 0], lengths, reader.spelling(x)), y, lengths)
    return score


def trained(
    parts: Parts[Tagged], reader: Reader, head: str, options: argparse.Namespace
) -> tuple[Entities, History]:
    """Train a model; return it with the weights that were best in validation."""
    model = Entities(reader, options, head).to(options.device)
    train = reader.batches(parts.train, options.batch, shuffle=True)
    validation = reader.batches(parts.validation, 64)
    out = options.out and options.out / head
    history = task.fitted(
        f"entities: {head}", model, train,
        lambda model, batch: model.loss(batch, reader.spelling(batch.x)),
        optimizer=rnn.optim.Adam(model.parameters(), options.lr), epochs=options.epochs,
        evaluate=lambda _: {"f1": scored(model, reader, validation).value()},
        mode="max", restore_best=True, clip_norm=5.0,
        **task.outputs(argparse.Namespace(out=out, resume=options.resume)),
    )  # fmt: skip
    return model, history


def run(options: argparse.Namespace) -> task.Result:
    """Train with each output, choose the best epochs by validation, measure on the test part."""
    return ran(options)[0]


def ran(options: argparse.Namespace) -> tuple[task.Result, Parts[Tagged], dict[str, SpanF1]]:
    """Do the same as `run`; return the parts and the counts of the test part by output too."""
    began = task.begin(options)
    parts = filled(read(options), options.data)
    reader = Reader.of(parts)
    figures: dict[str, float] = {}
    counts = {}
    for head in HEADS:
        engine.seed(options.seed)
        model, history = trained(parts, reader, head, options)
        counts[head] = scored(model, reader, reader.batches(parts.test, 64))
        figures[head] = counts[head].value()
        best = scored(model, reader, reader.batches(parts.validation, 64))
        figures[f"{head} validation"] = best.value()
    figures["dictionary"] = seen(parts).value()
    kept = task.result("entities", options, began, figures, history, task.validated(history, "f1"))
    return kept, parts, counts


def seen(parts: Parts[Tagged]) -> SpanF1:
    """Score what a dictionary finds: every word with the tag that it most often had."""
    tags = Vocabulary.of([tags for _, tags in parts.train], specials=[])
    often: dict[str, list[int]] = {}
    for words, own in parts.train:
        for word, tag in zip(words, own, strict=True):
            often.setdefault(word, [0] * len(tags))[tags.index(tag)] += 1
    score = SpanF1(tags)
    for words, own in parts.test:
        best = [tags.index("O") if word not in often else often[word].index(max(often[word]))
                for word in words]  # fmt: skip
        score.update([[one] for one in best], tags.encode(own).reshape(-1, 1))
    return score


def tell(options: argparse.Namespace) -> None:
    """Train, and print what is found by kind of name."""
    kept, parts, counts = ran(options)
    train, validation, test = (f"{len(part):,}" for part in parts)
    print(f"{train} sentences to learn from, {validation} to validate, {test} to test")
    for head, score in counts.items():
        print(f"{head}\n{score.counts}")
    told = ", ".join(f"{name} {value:.2%}" for name, value in kept["figures"].items())
    print(f"held out: F1 of {told}; {kept['seconds']:.0f} s")


def main(arguments: list[str] | None = None) -> int:
    """Train and print. Returns the exit status."""
    return task.finish("entities", lambda: tell(parse(arguments)))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the options of the command line."""
    parser = task.task_parser("entities", __doc__)
    add, number = parser.add_argument, parser.number
    add("--data", type=Path, metavar="DIR", help=f"with {', '.join(FILES)} (wnut17)")
    number("--embedding", default=100, help="size of a word vector")
    number("--letters", default=25, help="size of a letter, hidden units over them")
    number("--hidden", default=100, help="hidden units of each direction")
    add("--dropout", type=task.share, default=0.5, help="before and after the recurrence (0.5)")
    add("--word-dropout", type=task.share, default=0.2, help="share of words that are hidden (0.2)")
    number("--batch", default=16, help="sentences side by side")
    number("--epochs", default=12, help="how often every sentence is read")
    number("--lr", default=2e-3, help="learning rate of Adam")
    fast = {"embedding": 16, "letters": 8, "hidden": 16, "epochs": 8, "lr": 0.02, "dropout": 0.1}
    task.resumable(parser)
    return task.settled(parser, arguments, fast)


if __name__ == "__main__":
    sys.exit(main())
