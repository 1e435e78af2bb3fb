"""Train a language model of characters with each block of `rnn.models.blocks` on one text.

Run `python -m benchmarks.cell_language` for all blocks, or with the names of some; those that are
in the file of results are not trained again. The model is `rnn.LanguageModel`: vectors of the
characters, one layer of the cell, logits. All read the same chunks of Python's documentation, with
one seed and one thread. The times come from `--times`, which measures a few updates of each block
alone and trains nothing: the training runs may share their machine.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator
from itertools import islice
from statistics import median
from typing import Any

import engine
import rnn
from benchmarks import measuring
from examples.data import documentation
from examples.text import Text
from rnn.data import Chunk, Streams
from rnn.models.blocks import CELLS, HEAD

NAME = "cell_language"
PARAMETERS, UPDATES, T, B, SEED = 48_000, 300, 64, 16, 0
RATE, CLIP = 3e-3, 1.0
SETTINGS = {"parameters": PARAMETERS, "updates": UPDATES, "T": T, "B": B, "lr": RATE, "clip": CLIP,
            "seed": SEED}  # fmt: skip
STEP = 8  # hidden sizes are multiples of it, those of matrix memories of a head
WARM_UPS, ROUNDS = 2, 9  # updates that are timed
WHAT = ("one seed, one thread, the same chunks for all; parameters as near as the hidden sizes "
        "allow")  # fmt: skip


def model_of(name: str, symbols: int, hidden: int) -> rnn.LanguageModel:
    """Return the model of one layer of a block, its weights drawn from the seed."""
    engine.seed(SEED)
    return rnn.LanguageModel(symbols, hidden, hidden, cell=name)


def parameters(model: rnn.Module) -> int:
    """Return how many numbers are trained."""
    return sum(one.size for one in model.parameters() if one.requires_grad)


def step_of(name: str) -> int:
    """Return what the hidden sizes of a block are multiples of."""
    return HEAD if getattr(CELLS[name](2 * HEAD, 2 * HEAD), "heads", 1) > 1 else STEP


def hidden_of(name: str, symbols: int, wanted: int) -> int:
    """Return the hidden size that brings the model closest to so many parameters."""
    step = step_of(name)
    hidden, size = step, parameters(model_of(name, symbols, step))
    while abs((more := parameters(model_of(name, symbols, hidden + step))) - wanted) < abs(
        size - wanted
    ):
        hidden, size = hidden + step, more
    return hidden


def chunks(ids: Any) -> Iterator[Chunk]:
    """Yield the chunks of a text, again and again."""
    streams = Streams(ids, batch_size=B, steps=T, drop_last=True)
    while True:
        yield from streams


def updates(model: rnn.LanguageModel, ids: Any) -> Iterator[float]:
    """Yield the loss of each update, in nats, without end: the state is carried between chunks."""
    optimizer = rnn.optim.Adam(model.parameters(), RATE)
    state: Any = None
    for chunk in chunks(ids):
        loss, state = model.loss(chunk.x, chunk.y, state if chunk.carry else None)
        optimizer.zero_grad()
        loss.backward()
        rnn.clip_grad_norm(optimizer.parameters, CLIP)
        optimizer.step()
        yield loss.item()


def bits(model: rnn.LanguageModel, ids: Any) -> float:
    """Return what a character of a text costs, in bits."""
    total, count, state = 0.0, 0, None
    model.eval()
    with engine.no_grad():
        for chunk in Streams(ids, batch_size=B, steps=T):
            loss, state = model.loss(chunk.x, chunk.y, state)
            total += loss.item() * chunk.y.size
            count += chunk.y.size
    return total / count / math.log(2)


def trained(name: str, text: Text) -> dict[str, Any]:
    """Return the row of a block: its sizes, and what it learns."""
    symbols = len(text.symbols)
    hidden = hidden_of(name, symbols, PARAMETERS)
    model = model_of(name, symbols, hidden)
    losses = list(islice(updates(model, text.train), UPDATES))
    found = bits(model, text.held_out)
    print(f"{name}: {parameters(model):,} parameters, {found:.3f} bits a character", flush=True)
    return {
        "cell": name,
        "hidden": hidden,
        "parameters": parameters(model),
        "updates": len(losses),
        "bits": found,
    }


def timed(name: str, text: Text) -> float:
    """Return the median milliseconds of an update of a block, after those that compile it."""
    symbols = len(text.symbols)
    model = model_of(name, symbols, hidden_of(name, symbols, PARAMETERS))
    steps, taken = updates(model, text.train), []
    for _ in range(WARM_UPS + ROUNDS):
        began = time.perf_counter()
        next(steps)
        taken.append(time.perf_counter() - began)
    return median(taken[WARM_UPS:]) * 1e3


def written(text: Text, rows: dict[str, dict[str, Any]]) -> None:
    """Write the rows there are, in the order of the blocks."""
    kept = [rows[name] for name in CELLS if name in rows]
    about = {"characters": len(text.train), "held_out": len(text.held_out),
             "symbols": len(text.symbols), "frequencies": text.baseline()}  # fmt: skip
    path = measuring.write(NAME, {"what": WHAT, "settings": SETTINGS, "text": about, "rows": kept})
    print(f"written to {path}", flush=True)


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(NAME, description=__doc__)
    parser.add_argument("blocks", nargs="*", metavar="BLOCK", help="names (all)")
    parser.add_argument("--times", action="store_true", help="measure updates of trained blocks")
    options = parser.parse_args(given)
    if unknown := [name for name in options.blocks if name not in CELLS]:
        parser.error(f"unknown block {unknown[0]!r}; there are {', '.join(CELLS)}")
    engine.set_num_threads(1)
    text = Text.of(documentation())
    path = measuring.RESULTS / f"{NAME}.json"
    before = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    rows = {row["cell"]: row for row in before}
    for name in options.blocks or CELLS:
        if options.times and name in rows:
            rows[name]["milliseconds"] = timed(name, text)
        elif not options.times and name not in rows:
            rows[name] = trained(name, text)
        else:
            continue
        written(text, rows)


if __name__ == "__main__":
    main()
