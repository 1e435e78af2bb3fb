"""Declare the options of ``bptt look``; what draws is loaded when it is called."""

import argparse
from pathlib import Path

from rnn.command.options import Verb, count


def _add(verb: argparse.ArgumentParser) -> None:
    add = verb.add_argument
    add("folder", type=Path, metavar="DIR", help="the folder that train has written")
    add("--out", type=Path, metavar="DIR", required=True, help="where the pictures are written")
    add("--text", help="what the model reads (the end of the text that it was trained on)")
    add("--steps", type=count, default=8, metavar="N", help="steps in the pictures (8)")
    add("--before", type=count, default=200, metavar="N",
        help="characters or words that it has read before (200)")  # fmt: skip


def _run(options: argparse.Namespace) -> int:
    from .look import look

    return look(options)


LOOK = Verb("look", "draw what a model has learnt: gradients, gates, influence", _add, _run)
