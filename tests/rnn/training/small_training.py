"""Build a small model, data that is shuffled or carried on, and comparisons of training runs."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import engine
import rnn
from rnn.training import History, fit


class Batch(NamedTuple):
    x: Any  # (T, B) indices
    y: Any  # (T, B) indices


class Net(rnn.Module):
    """Chain two layers with dropout over an embedding, and logits."""

    def __init__(self, dropout: float = 0.3, hidden: int = 6) -> None:
        self.embedding = rnn.Embedding(5, 4)
        self.core = rnn.LSTM(4, hidden, num_layers=2, dropout=dropout)
        self.head = rnn.Linear(hidden, 5)

    def forward(self, x: Any, state: Any = None) -> tuple[Any, Any]:
        y, state = self.core(self.embedding(x), state)
        return self.head(y), state


def batches(count: int = 5, seed: int = 0, steps: int = 4, rows: int = 3) -> list[Batch]:
    draw = np.random.default_rng(seed)
    x = draw.integers(0, 5, (count, steps, rows))
    return [Batch(one, (one * 2 + 1) % 5) for one in x]


class Shuffled:
    """Load as the shared conventions have it: another order in every epoch, and a state."""

    def __init__(self, items: list[Batch]) -> None:
        self.items, self.epoch, self.position = items, 0, 0

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Batch]:
        order = engine.random.generator("order", self.epoch).permutation(len(self.items))
        while self.position < len(order):
            self.position += 1
            yield self.items[order[self.position - 1]]
        self.epoch, self.position = self.epoch + 1, 0

    def state(self) -> dict[str, int]:
        return {"epoch": self.epoch, "position": self.position}

    def restore(self, state: Mapping[str, int]) -> None:
        if set(state) != {"epoch", "position"}:
            raise ValueError(f"Shuffled: no state: {state}")
        self.epoch, self.position = state["epoch"], state["position"]


class Sized:
    """Yield batches without len(): the end of an epoch is seen only when it is there."""

    def __init__(self, items: list[Batch]) -> None:
        self.items = items

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.items)


def loss(net: Any, batch: Batch) -> Any:
    return engine.cross_entropy(net(batch.x)[0], batch.y)


def carried(net: Any, batch: Batch, state: Any) -> tuple[Any, Any]:
    logits, state = net(batch.x, state)
    return engine.cross_entropy(logits, batch.y), state


def run(folder: Path | None = None, *, seed: int = 1, **options: Any) -> tuple[Net, Any, History]:
    """Run the small model, and return it, its optimiser and the history."""
    engine.seed(seed)
    net = Net()
    optimizer = options.pop("optimizer", rnn.optim.Adam)(net.parameters(), lr=0.02)
    data = options.pop("data", batches)()
    options = {"progress": False, "epochs": None if "steps" in options else 3} | options
    if folder is not None:
        options |= {"checkpoint": folder / "checkpoints", "log": folder / "run.jsonl"}
    history = fit(
        net,
        data,
        options.pop("loss", carried if options.get("carry") else loss),
        optimizer=optimizer,
        **options,
    )
    return net, optimizer, history


def numbers(history: History) -> list[Any]:
    """Return a history without its seconds."""
    steps = [record[:-1] for record in history.steps]
    return [steps, [record[:-1] for record in history.validations], history.stopped]


def logged(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a log without their seconds."""
    lines = [json.loads(line) for line in (folder / "run.jsonl").read_text().splitlines()]
    assert all(line.pop("seconds") >= 0 for line in lines)
    return lines


def assert_same_state(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Assert that arrays are equal to the bit, nan and -0.0 too."""
    assert list(one) == list(other)
    for name, value in one.items():
        assert value.dtype == other[name].dtype, name
        assert value.tobytes() == other[name].tobytes(), name


def assert_same_run(one: Any, other: Any) -> None:
    """Assert that weights, optimiser and history are equal to the bit."""
    assert_same_state(one[0].state_dict(), other[0].state_dict())
    assert_same_state(one[1].state_dict(), other[1].state_dict())
    assert numbers(one[2]) == numbers(other[2])


def perplexity(value: float) -> float:
    return math.exp(value)
