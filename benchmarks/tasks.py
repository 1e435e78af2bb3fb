"""Run the tasks of the textbooks: every example on its real data with the seeds 0, 1 and 2.

Run `python -m benchmarks.tasks` for all of them, or with the names of some: the rows of the others
stay as they are, if the machine and the versions are still the same. `--device cupy` runs them on a
GPU.
"""

import argparse
import importlib
import json
import math
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import devices, measuring
from examples.data import found

SEEDS = (0, 1, 2)
POINTS = 12  # of a curve that are kept


class Task(NamedTuple):
    """Hold a row of the table: an example with its options, and the one of its metrics that counts.

    `floor` is the figure that it has to beat, `aim` the one that it is to reach, both in the unit
    of `figure`; `better` says which way is up. `curve` is what is measured while it trains. `data`
    is what it needs of the folder of data.
    """

    name: str
    example: str
    figure: str
    unit: str
    floor: str
    curve: str
    aim: float | None = None
    better: str = "min"
    data: str | None = None
    arguments: tuple[str, ...] = ()


SHAKESPEARE = "tinyshakespeare/input.txt.gz"
SERIES = "timeseries"

TASKS = (
    Task("hello", "hello", "nats", "nats, sum of four letters", "before", "nats"),
    Task("adding, T = 30, GRU", "adding", "updates", "updates until the error stays below 0.01",
         "", "mean squared error", 500),
    Task("adding, T = 30, LSTM", "adding", "updates", "updates until the error stays below 0.01",
         "", "mean squared error", 1500, arguments=("--cell", "lstm")),
    Task("copying, T = 5", "copying", "nats", "nats a step", "baseline", "nats", 0.95 * 0.8318),
    Task("Shakespeare, characters", "shakespeare", "nats", "nats a character, validation",
         "frequencies", "nats", 1.50, data=SHAKESPEARE),
    Task("Shakespeare, words", "shakespeare", "perplexity", "perplexity of a word, validation",
         "of frequencies", "nats", data=SHAKESPEARE, arguments=("--level", "word")),
    Task("surnames", "surnames", "accuracy", "accuracy, test", "most frequent", "accuracy", 0.80,
         "max", "names"),
    Task("sentiment", "sentiment", "accuracy", "accuracy, test", "most frequent", "accuracy", 0.75,
         "max", "rt-polarity"),
    Task("sentiment, the textbook's stack", "sentiment", "accuracy", "accuracy, test",
         "most frequent", "accuracy", None, "max", "rt-polarity", ("--model", "textbook")),
    Task("entities", "entities", "crf", "F1 of spans, test", "dictionary", "F1", None, "max",
         "wnut17"),
    Task("entities, without the CRF", "entities", "softmax", "F1 of spans, test", "dictionary",
         "F1", None, "max", "wnut17"),
    Task("translation", "translation", "beam bleu", "BLEU, test", "nearest bleu",
         "accuracy of a word", None, "max", "eng-fra"),
    Task("music", "music", "nats", "nats a time step, test", "step before", "nats", 8.7,
         data="jsb-chorales"),
    Task("airline passengers", "forecasting", "rmse", "RMSE, test", "seasonal", "RMSE", 41.9,
         data=SERIES, arguments=("--series", "airline")),
    Task("sunspots, monthly", "forecasting", "rmse", "RMSE, test", "persistence", "RMSE", 20.1,
         data=SERIES, arguments=("--series", "monthly")),
    Task("sunspots, yearly", "forecasting", "rmse", "RMSE, test", "persistence", "RMSE",
         data=SERIES, arguments=("--series", "yearly")),
    Task("minimum temperatures", "forecasting", "rmse", "RMSE, test", "persistence", "RMSE",
         data=SERIES, arguments=("--series", "temperatures")),
    Task("captions", "captions", "exact", "exact captions, test", "linear", "exact", None, "max"),
    Task("alignment, speech", "alignment", "label error rate", "label error rate, test",
         "frame by frame", "label error rate", arguments=("--part", "speech")),
    Task("alignment, DNA", "alignment", "accuracy", "accuracy, test", "guessing", "accuracy", None,
         "max", arguments=("--part", "dna")),
    Task("alignment, video", "alignment", "accuracy", "accuracy, test", "guessing", "accuracy",
         None, "max", arguments=("--part", "video")),
    Task("jordan", "jordan", "free", "error of the free run", "standing still", "error"),
)  # fmt: skip


def measured(
    task: Task, threads: int, done: dict[Any, Any], device: str = "numpy"
) -> dict[str, Any]:
    """Return a row: the runs of all seeds, those of `done` where another row has had them already.

    Raises FileNotFoundError without the data, ValueError for a figure that there is not.
    """
    if task.data is not None and found(task.data) is None:
        raise FileNotFoundError(f"{task.name}: there is no {task.data} in the folder of data")
    same = task.example, task.arguments
    if same not in done:
        done[same] = [ran(task, seed, threads, device) for seed in SEEDS]
    for name in filter(None, (task.figure, task.floor)):
        if name not in done[same][0]["figures"]:
            raise ValueError(f"{task.name}: no {name} in {done[same][0]['figures']}")
    return {**task._asdict(), "arguments": list(task.arguments), "runs": done[same]}


def ran(task: Task, seed: int, threads: int, device: str = "numpy") -> dict[str, Any]:
    """Run a task with one seed, print its figures, and return it in plain numbers."""
    example = importlib.import_module(f"examples.{task.example}")
    arguments = [*task.arguments, "--seed", str(seed), "--threads", str(threads),
                 "--device", device]  # fmt: skip
    run = plain(example.run(example.parse(arguments)))
    print(f"{task.name}, seed {seed}: {run['figures']}", flush=True)
    return {**run, "curve": thinned(run["curve"])}


def plain(value: Any) -> Any:
    """Return a value as JSON has it: numbers not finite are None, NumPy's are Python's."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if value is None or isinstance(value, bool | str | int):
        return value
    if isinstance(value, Path):
        return str(value)
    number = value.item() if hasattr(value, "item") else value
    return number if math.isfinite(number) else None


def thinned(curve: list[Any]) -> list[Any]:
    """Return the first, the last, and some points between, evenly."""
    if len(curve) <= POINTS:
        return curve
    last = len(curve) - 1
    return [curve[round(i * last / (POINTS - 1))] for i in range(POINTS)]


def kept(
    names: tuple[str, ...], result_name: str = "tasks", machine: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the earlier rows that are not measured again, by name; none of another machine.

    Says which are left out for that.
    """
    path = measuring.RESULTS / f"{result_name}.json"
    if not path.exists():
        return {}
    result = json.loads(path.read_text(encoding="utf-8"))
    others = {row["name"]: row for row in result["rows"] if row["name"] not in names}
    if result["machine"] == (machine or measuring.machine()):
        return others
    if others:
        print(f"tasks: the machine or the versions are others now; dropped are the rows of "
              f"{', '.join(others)}", file=sys.stderr, flush=True)  # fmt: skip
    return {}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser("tasks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="TASK", help="some of the tasks (all)")
    devices.add_device(parser)
    options = parser.parse_args(arguments)
    known = {task.name: task for task in TASKS}
    if unknown := [name for name in options.names if name not in known]:
        raise SystemExit(f"tasks: no task {unknown[0]!r}; there are {', '.join(known)}")
    device = devices.usable(parser, options.device)
    result_name = devices.result_name("tasks", device)
    machine = measuring.machine() if devices.on_host(device) else devices.described()
    names = tuple(options.names) or tuple(known)
    threads = os.cpu_count() or 1
    rows = kept(names, result_name, machine)
    done: dict[Any, Any] = {}
    for name in names:
        rows[name] = measured(known[name], threads, done, device)
        ordered = [rows[one] for one in known if one in rows]
        what = f"the examples with the seeds {', '.join(map(str, SEEDS))}, {threads} threads"
        found = {"what": what, **devices.on(device), "rows": ordered}
        path = measuring.write(result_name, found)  # after each: none is lost
    print(f"written to {path}")


if __name__ == "__main__":
    main()
