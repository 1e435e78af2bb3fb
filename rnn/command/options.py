"""Check the options of the command line one by one. Below the verbs."""

import argparse
import codecs
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

from rnn.models.blocks import CELLS

LEVELS = ("character", "word")
SCHEDULES = ("constant", "linear", "cosine")
EXAMPLES = """examples:
  {0} train --text book.txt --out run      learn from the first nine tenths of a text
  {0} resume run --steps 20000             go on, as if it had never stopped
  {0} sample run --prompt "The " --temperature 0.7
  {0} evaluate run --text other.txt        nats and bits per character, perplexity
  {0} doctor                               say what runs on this machine, and check it
"""


class Verb(NamedTuple):
    """Hold one verb: its name, a line on it, its options, and the function that does it."""

    name: str
    told: str
    add: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    """Parse arguments, with errors of one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog.removeprefix('python -m ')}: {message}\n")


def parser(program: str = "python -m rnn", more: Sequence[Verb] = ()) -> Parser:
    """Return the parser of all verbs, and of `more` from above, of the program so called."""
    whole = Parser(
        prog=program,
        description="A recurrent language model of any text file, by characters or by words.",
        epilog=EXAMPLES.format(program),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = whole.add_subparsers(dest="verb", metavar="VERB", required=True)
    for add, told in ((_train, "learn from a text and write a folder"),
                      (_resume, "go on with a folder, to the bit as if it had not stopped"),
                      (_sample, "write text, one character or word after another"),
                      (_evaluate, "say what a text costs the model"),
                      (_doctor, "say what runs on this machine, and check it")):  # fmt: skip
        add(verbs.add_parser(add.__name__[1:], help=told, description=f"{told.capitalize()}."))
    for verb in more:
        verb.add(verbs.add_parser(verb.name, help=verb.told,
                                  description=f"{verb.told.capitalize()}."))  # fmt: skip
    return whole


def _train(verb: argparse.ArgumentParser) -> None:
    add = verb.add_argument_group("text").add_argument
    add("--text", metavar="FILE", required=True, help="a text, or one in a .gz")
    add("--encoding", type=_encoding, default="utf-8", metavar="NAME",
        help="of the text, such as latin-1 or utf-16 (utf-8)")  # fmt: skip
    add("--out", metavar="DIR", required=True, help="a new folder for everything that is written")
    add("--level", choices=LEVELS, default="character", help="what a step reads (character)")
    add("--min-count", type=_count, metavar="N",
        help="rarer characters or words are one, <unk> (characters 1, words 2)")  # fmt: skip
    add("--held-out", type=_share, default=0.1, metavar="FRACTION",
        help="the end of the text that is not learnt from, but validated on (0.1)")  # fmt: skip
    add = verb.add_argument_group("model").add_argument
    add("--cell", choices=list(CELLS), default="lstm", metavar="NAME",
        help=f"{', '.join(CELLS)} (lstm)")  # fmt: skip
    add("--hidden", type=_count, default=128, metavar="H", help="units of a layer (128)")
    add("--layers", type=_count, default=1, metavar="N", help="(1)")
    add("--embedding", type=_count, metavar="I", help="numbers for a character or word (H)")
    add("--dropout", type=_share, default=0.0, metavar="P", help="in [0, 1) (0)")
    add("--tie", action="store_true", help="read with the weights that it writes with")
    add = verb.add_argument_group("training").add_argument
    add("--steps", type=_count, default=2000, help="steps of the optimiser (2000)")
    add("--batch", type=_count, default=32, metavar="B", help="parallel streams of text (32)")
    add("--length", type=_count, default=64, metavar="T",
        help="steps that gradients go back (64)")  # fmt: skip
    add("--lr", type=_positive, default=3e-3, help="learning rate of Adam (0.003)")
    add("--schedule", choices=SCHEDULES, default="constant",
        help="how the rate falls to a hundredth over --steps (constant: not at all)")  # fmt: skip
    add("--clip", type=_positive, default=1.0, help="largest gradient norm (1)")
    add("--validate-every", type=_count, default=200, metavar="N", help="steps (200)")
    add("--validate-steps", type=_count, metavar="N",
        help="of --length that a validation reads of what is held out (all)")  # fmt: skip
    add("--patience", type=_count, metavar="N",
        help="stop after so many validations that were no better")  # fmt: skip
    add("--save-every", type=_count, default=200, metavar="N", help="steps (200)")
    add("--tensorboard", action="store_true", help="write event files into DIR/events, too")
    add("--gradients", type=_count, metavar="N",
        help="draw the gradient through time every N steps (in DIR/gradients)")  # fmt: skip
    add("--seed", type=_seed, default=0, metavar="N", help="(0)")
    add("--device", default="numpy", help="numpy, cupy or cupy:N; or cpu, cuda, cuda:N (numpy)")


def _resume(verb: argparse.ArgumentParser) -> None:
    _folder(verb)
    verb.add_argument("--steps", type=_count,
        help="in all (as many as train was given); beyond those the rate of a --schedule stays at "
        "a hundredth")  # fmt: skip
    verb.add_argument("--text", metavar="FILE", help="where the same text is now")


def _sample(verb: argparse.ArgumentParser) -> None:
    _folder(verb)
    add = verb.add_argument
    add("--prompt", default="", help="what the text goes on from (a new line)")
    add("--count", type=_count, default=500, metavar="N", help="characters or words (500)")
    add("--temperature", type=_temperature, default=1.0, metavar="T",
        help="0 takes the likeliest, above 1 is bolder (1)")  # fmt: skip
    add("--top-k", type=_count, metavar="K", help="draw from the K likeliest")
    add("--top-p", type=_probability, metavar="P", help="draw from the likeliest that make up P")
    add("--seed", type=_seed, default=0, metavar="N", help="(0)")
    _weights(verb)


def _evaluate(verb: argparse.ArgumentParser) -> None:
    _folder(verb)
    add = verb.add_argument
    add("--text", metavar="FILE", help="(what was held out of the text learnt from)")
    add("--encoding", type=_encoding, metavar="NAME", help="of the text (that learnt from)")
    add("--batch", type=_count, default=1, metavar="B",
        help="stretches read side by side: faster, each begins without a past (1)")  # fmt: skip
    _weights(verb)


def _doctor(verb: argparse.ArgumentParser) -> None:
    """Take no options."""


def _folder(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("folder", metavar="DIR", help="the folder that train has written")
    verb.add_argument(
        "--device", help="numpy, cupy or cupy:N; or cpu, cuda, cuda:N (where it was trained)"
    )


def _weights(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--last", action="store_true", help="the last weights, not the best ones")


def _number(text: str, what: str, kind: type, good: object) -> float:
    """Return a number in a text, for argparse. `good` says whether it is in range."""
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or not good(value):  # type: ignore[operator]
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return value  # type: ignore[no-any-return]


def _encoding(text: str) -> str:
    try:
        "".encode(text)
        return codecs.lookup(text).name
    except LookupError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an encoding of text") from None


def _count(text: str) -> int:
    """Return a positive integer, for argparse."""
    return int(_number(text, "a positive integer", int, lambda n: n >= 1))


count = _count  # for the verbs from above


def _seed(text: str) -> int:
    return int(_number(text, "an integer of at least 0", int, lambda n: n >= 0))


def _positive(text: str) -> float:
    return _number(text, "a positive number", float, lambda x: x > 0)


def _temperature(text: str) -> float:
    return _number(text, "a number of at least 0", float, lambda x: x >= 0)


def _share(text: str) -> float:
    return _number(text, "in [0, 1)", float, lambda x: 0 <= x < 1)


def _probability(text: str) -> float:
    return _number(text, "in (0, 1]", float, lambda x: 0 < x <= 1)
