"""Share the common options, the result and the way out of the examples that train on a task.

Every one has ``parse(arguments)``, its options, and ``run(options)``, which trains and returns a
`Result`; `benchmarks/tasks.py` calls both. Below the examples, above `command.py`.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import engine
import rnn
from examples.command import Parser, fail, folder, seed, whole
from rnn.training import History, fit

Result = dict[str, Any]


def share(text: str) -> float:
    """Parse a number in [0, 1), for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} does not lie in [0, 1)")
    return value


def task_parser(name: str, doc: str | None, *, writes: bool = True) -> Parser:
    """Return a parser with the options that all tasks have, --out if it writes anything."""
    form = argparse.RawDescriptionHelpFormatter
    parser = Parser(name, description=doc, formatter_class=form)
    add = parser.add_argument
    add("--seed", type=seed, default=0, help="of weights, data and samples (0)")
    add("--fast", action="store_true", help="small sizes: a few seconds, only to see it run")
    add("--threads", type=whole, default=engine.get_num_threads(), help="of recurrences (all)")
    add("--device", default="numpy", help="numpy, cupy or cupy:N (numpy)")
    if writes:
        add("--out", type=Path, metavar="DIR", help="where a log, a plot and more are written")
    else:
        parser.set_defaults(out=None)
    return parser


def settled(
    parser: Parser, arguments: list[str] | None, fast: dict[str, Any]
) -> argparse.Namespace:
    """Parse the options; with --fast those of `fast` take the place of the defaults.

    What is drawn or resumed needs a folder.
    """
    if parser.parse_known_args(arguments)[0].fast:
        parser.set_defaults(**fast)
    options = parser.parse_args(arguments)
    for name in ("draw", "resume"):
        if getattr(options, name, False) and options.out is None:
            parser.error(f"argument --{name}: it needs a folder; give --out DIR")
    return options


def resumable(parser: Parser) -> None:
    """Give a task checkpoints, in --out, and the option to go on from them."""
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out")


def begin(options: argparse.Namespace) -> float:
    """Set the seed and the threads, make the folder; returns the time at which this was.

    Raises ValueError where there is a run in the folder already that is not to be resumed, and
    ValueError or RuntimeError for a device that cannot be used.
    """
    options.device = engine.device(options.device)
    engine.seed(options.seed)
    engine.set_num_threads(options.threads)
    if options.out is not None:
        folder(options.out)
        earlier = (*options.out.glob("checkpoints*/*"), *options.out.glob("*/checkpoints/*"))
        if earlier and not getattr(options, "resume", True):
            raise ValueError(
                f"{options.out} has checkpoints already; go on from them with --resume, or give "
                "another folder"
            )
    return time.perf_counter()


def outputs(options: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of `fit` for the folder: a log, a plot, checkpoints if `resumable`."""
    out: Path | None = options.out
    if out is None:
        return {}
    found: dict[str, Any] = {"log": out / "log.jsonl", "plot": out / "loss.png"}
    if "resume" in options:
        found |= {"checkpoint": out / "checkpoints", "resume": options.resume}
    return found


def fitted(
    name: str, model: rnn.Module, data: Iterable[Any], loss: Callable[..., Any], **settings: Any
) -> History:
    """Train by `rnn.training.fit`; every training of every example is one of these.

    Raises KeyboardInterrupt for a run that was broken off: nothing that is measured after it, or
    trained on top of it, would be that of the task.
    """
    history = fit(model, data, loss, **settings)
    if history.interrupted:
        way_on = "; go on with --resume" if settings.get("checkpoint") else ""
        raise KeyboardInterrupt(f"{name}: broken off after {len(history.steps):,} updates{way_on}")
    return history


def result(
    name: str,
    options: argparse.Namespace,
    began: float,
    figures: dict[str, float],
    history: History,
    curve: list[list[float]],
) -> Result:
    """Return a run in plain numbers: its figures by name, what it took, and its curve."""
    apart = ("seed", "out", "fast", "data", "draw", "resume", "sample", "device")
    settings = {key: x for key, x in vars(options).items() if key not in apart}
    return {
        "name": name,
        "figures": figures,
        "seconds": time.perf_counter() - began,
        "steps": len(history.steps),
        "curve": curve,
        "seed": options.seed,
        "settings": settings,
    }


def validated(history: History, figure: str) -> list[list[float]]:
    """Return a figure of the validations of a run, as a curve."""
    return [[one.step, one.metrics[figure]] for one in history.validations]


def finish(name: str, run: Callable[[], Any]) -> int:
    """Return a run's exit status; one line says what broke it off, or is wrong with its input."""
    try:
        run()
    except KeyboardInterrupt as stop:
        print(str(stop) or f"{name}: broken off", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of the output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, ValueError, ArithmeticError, RuntimeError) as error:
        return fail(name, error)
    return 0
