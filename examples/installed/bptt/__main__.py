"""Run the command ``bptt``, also ``python -m bptt``: the verbs of `rnn.command`, and `look`."""

import sys
from collections.abc import Sequence

from rnn.command import main as run

from .options import LOOK


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say. Returns the exit status."""
    return run(arguments, program="bptt", more=(LOOK,))


if __name__ == "__main__":
    sys.exit(main())
