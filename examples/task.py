"""What the examples that train on a task share: common options, their result, their way out.

Every one has ``parse(arguments)``, its options, and ``run(options)``, which trains and returns a
`Result`; `benchmarks/tasks.py` calls both. Below the examples, above `command.py`.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import engine
from examples.command import Parser, fail, whole
from rnn.training import History

Result = dict[str, Any]


def share(text: str) -> float:
    """A number in [0, 1), for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} does not lie in [0, 1)")
    return value


def task_parser(name: str, doc: str | None) -> Parser:
    """A parser with the options that all tasks have."""
    form = argparse.RawDescriptionHelpFormatter
    parser = Parser(name, description=doc, formatter_class=form)
    add = parser.add_argument
    add("--seed", type=int, default=0, help="of weights, data and samples (0)")
    add("--fast", action="store_true", help="small sizes: a few seconds, only to see it run")
    add("--threads", type=whole, default=engine.get_num_threads(), help="of recurrences (all)")
    add("--out", type=Path, metavar="DIR", help="where a log, a plot and more are written")
    return parser


def settled(
    parser: Parser, arguments: list[str] | None, fast: dict[str, Any]
) -> argparse.Namespace:
    """The options that were given; with --fast those of `fast` take the place of the defaults."""
    if parser.parse_known_args(arguments)[0].fast:
        parser.set_defaults(**fast)
    options = parser.parse_args(arguments)
    if options.seed < 0:
        parser.error(f"argument --seed: {options.seed} is negative")
    return options


def begin(options: argparse.Namespace) -> float:
    """Set the seed and the threads, make the folder; returns the time at which this was."""
    engine.seed(options.seed)
    engine.set_num_threads(options.threads)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
    return time.perf_counter()


def outputs(options: argparse.Namespace) -> dict[str, Any]:
    """What `fit` is told of the screen and the folder."""
    found: dict[str, Any] = {}
    if options.out is not None:
        found |= {"log": options.out / "log.jsonl", "plot": options.out / "loss.png"}
    return found


def result(
    name: str,
    options: argparse.Namespace,
    began: float,
    figures: dict[str, float],
    history: History,
    curve: list[list[float]],
) -> Result:
    """A run in plain numbers: its figures by name, what it took, and its curve.

    Raises KeyboardInterrupt for a run that was broken off: its figures are not those of the task.
    """
    if history.interrupted:
        raise KeyboardInterrupt(f"{name}: broken off after {len(history.steps)} updates")
    apart = ("seed", "out", "fast", "data", "draw", "resume", "sample")
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
    """A figure of the validations of a run, as a curve."""
    return [[one.step, one.figures[figure]] for one in history.validations]


def finish(name: str, run: Callable[[], Any]) -> int:
    """The exit status of a run; what is wrong with its input is said in one line."""
    try:
        run()
    except KeyboardInterrupt:
        return 130
    except (OSError, ValueError, ArithmeticError, RuntimeError) as error:
        return fail(name, error)
    return 0
