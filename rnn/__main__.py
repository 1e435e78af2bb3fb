"""Run ``python -m rnn``, the command line of the language model. See `rnn/command/`."""

import sys

from rnn.command import main

if __name__ == "__main__":
    sys.exit(main())
