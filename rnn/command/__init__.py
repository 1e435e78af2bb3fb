"""Run the command line: train a language model on a text, go on, sample, evaluate; and `doctor`.

`options.py` reads the arguments, `texts.py` the text, `language.py` makes the model, `saying.py`
prints, `verbs.py` does what is asked for, `doctor.py` says what runs on this machine, `running.py`
is the program. Above models, data and training; above it are `__main__.py` and the command `bptt`,
which adds a verb that draws.
"""

from rnn.command.options import Verb
from rnn.command.running import main

__all__ = ["Verb", "main"]
