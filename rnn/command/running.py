"""Read the arguments, run the verb, and say in one line why it failed. Above the verbs."""

import os
import sys
import warnings
from collections.abc import Sequence

from rnn.command.doctor import doctor
from rnn.command.options import Verb, parser
from rnn.command.saying import explained, say, told_of_compiling
from rnn.command.verbs import evaluate, resume, sample, train
from rnn.distributed.communicator import end_others, is_told

VERBS = {"train": train, "resume": resume, "sample": sample, "evaluate": evaluate,
         "doctor": doctor}  # fmt: skip
FAULTS = (OSError, ValueError, TypeError, RuntimeError, ArithmeticError, MemoryError)


def main(
    arguments: Sequence[str] | None = None,
    *,
    program: str = "python -m rnn",
    more: Sequence[Verb] = (),
) -> int:
    """Do what the arguments say. Returns the exit status: 2 after an error, said in one line.
    `more` are verbs of what lies above this package, and `program` is what the user called.
    """
    verbs = {**VERBS, **{verb.name: verb.run for verb in more}}
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal may not know all characters of a text
            stream.reconfigure(errors="replace")
    options = parser(program, more).parse_args(arguments)
    name = f"{program.removeprefix('python -m ')} {options.verb}"
    with warnings.catch_warnings(), told_of_compiling(name):
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *rest: print(f"{name}: {message}", file=sys.stderr)
        try:
            status = verbs[options.verb](options)
            say(end="")  # here, where a full disk is still said in one line
            return status
        except BrokenPipeError:  # what reads the output has ended, as `head` does
            _let_go()
            return 0
        except KeyboardInterrupt:
            print(file=sys.stderr)
            return 130
        except FAULTS as error:
            if is_told(error):
                print(f"{name}: {' '.join(explained(error, options).split())}", file=sys.stderr)
            _let_go()
            end_others(2, wait=not is_told(error))
            return 2


def _let_go() -> None:
    """Drop what cannot be printed; else the interpreter complains of it once more at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
