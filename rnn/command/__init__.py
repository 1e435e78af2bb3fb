"""The command line: train a language model on a text file, go on, sample, evaluate.

`options.py` reads the arguments, `texts.py` the text, `language.py` makes the model, `saying.py`
prints, `verbs.py` does what is asked for. Above models, data and training; nothing is above it but
`__main__.py`.
"""

from rnn.command.verbs import main

__all__ = ["main"]
